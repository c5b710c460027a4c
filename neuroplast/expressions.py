"""The small expression language of rules, transfer functions and equation neurons, and its three readings.

An expression is Python/Brian2 arithmetic over names: ``+ - * / **``, comparisons, ``and or not``, numbers and the functions of
:data:`FUNCTIONS`. It is parsed once, never evaluated as code, and read as NumPy, as C++ and as Brian2 abstract code, so that
all targets compute the same thing.
"""

from __future__ import annotations

import ast
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from scipy.special import expit

from neuroplast.errors import DescriptionError, Source, did_you_mean

FUNCTIONS: dict[str, tuple[int, Callable[..., Any], str, str]] = {
    # name: (arguments, NumPy, C++ pattern, Brian2 pattern)
    "exp": (1, np.exp, "std::exp({0})", "exp({0})"),
    "log": (1, np.log, "std::log({0})", "log({0})"),
    "sqrt": (1, np.sqrt, "std::sqrt({0})", "sqrt({0})"),
    "tanh": (1, np.tanh, "std::tanh({0})", "tanh({0})"),
    "sin": (1, np.sin, "std::sin({0})", "sin({0})"),
    "cos": (1, np.cos, "std::cos({0})", "cos({0})"),
    "abs": (1, np.abs, "std::fabs({0})", "abs({0})"),
    "floor": (1, np.floor, "std::floor({0})", "floor({0})"),
    "sign": (1, np.sign, "((double)(({0})>0)-(double)(({0})<0))", "(int({0} > 0) - int({0} < 0))"),
    "sigmoid": (1, expit, "(1.0/(1.0+std::exp(-({0}))))", "(1/(1 + exp(-({0}))))"),
    "clip": (3, np.clip, "std::fmin(std::fmax({0},{1}),{2})", "clip({0}, {1}, {2})"),
    "minimum": (2, np.minimum, "std::fmin({0},{1})", "clip({0}, -inf, {1})"),
    "maximum": (2, np.maximum, "std::fmax({0},{1})", "clip({0}, {1}, inf)"),
    "int": (1, lambda x: np.trunc(np.asarray(x, float)), "std::trunc((double)({0}))", "int({0})"),
    "where": (3, np.where, "(({0})?(double)({1}):(double)({2}))", "(int({0})*({1}) + (1 - int({0}))*({2}))"),
}
"""Every function of the language. ``where(condition, a, b)`` needs finite a and b."""

_BINARY: dict[type[ast.operator], tuple[str, Callable[[float, float], Any]]] = {
    ast.Add: ("+", operator.add), ast.Sub: ("-", operator.sub), ast.Mult: ("*", operator.mul), ast.Div: ("/", operator.truediv),
    ast.Pow: ("**", operator.pow), ast.Mod: ("%", operator.mod),
}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
CONSTANTS = {"pi": np.pi, "inf": np.inf}
_LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Expression:
    """A checked expression. ``names`` are its free variables."""

    text: str
    names: frozenset[str] = field(repr=False)  # its order changes from process to process, and programs are told apart by repr

    def __str__(self) -> str:
        return self.text

    @property
    def tree(self) -> ast.expr:
        return _parse(self.text)

    def numpy(self, values: Mapping[str, Any]) -> Any:
        """The value over arrays; names are looked up in ``values``."""
        return _compiled(self.text)(values)

    def cpp(self, name: Callable[[str], str]) -> str:
        """C++ text; ``name`` maps a variable to what stands for it."""
        return _render(self.tree, name, 2)

    def brian2(self, name: Callable[[str], str] = lambda n: n) -> str:
        """Brian2 abstract code."""
        return _render(self.tree, name, 3)

    def substitute(self, replacements: Mapping[str, str]) -> Expression:
        """The expression with names replaced by (parenthesised) expressions."""
        return expression(_render(self.tree, lambda n: f"({replacements[n]})" if n in replacements else n, 0))


def expression(text: str | Expression, where: Source | None = None, known: set[str] | None = None) -> Expression:
    """Parse and check ``text``; DescriptionError for bad syntax, unknown functions or (if ``known`` is given) unknown names."""
    if isinstance(text, Expression):
        text = text.text
    if not isinstance(text, str):
        raise DescriptionError("an expression must be text", where=where, got=repr(text), allowed="such as 'tanh(x)'")
    try:
        tree = _parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DescriptionError(
            f"the expression '{text}' cannot be read: {getattr(error, 'msg', error)}", where=where,
            allowed=f"arithmetic over names, comparisons and {', '.join(FUNCTIONS)}",
        ) from None
    names = frozenset(
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id not in FUNCTIONS and n.id not in CONSTANTS
    )
    if known is not None:
        for name in sorted(names - known):
            raise DescriptionError(
                f"the expression '{text}' names '{name}', which is not declared", where=where, do=did_you_mean(name, known)
            )
    return Expression(text, names)


@lru_cache(maxsize=4096)
def _parse(text: str) -> ast.expr:
    tree = ast.parse(text.strip(), mode="eval").body
    called: set[ast.expr] = set()  # ast.walk comes to a call before it comes to its function's name
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if node.keywords:
                raise SyntaxError("functions take their arguments in order, without names")
            if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
                name = getattr(node.func, "id", ast.unparse(node.func))
                raise SyntaxError(f"unknown function '{name}'. {did_you_mean(name, FUNCTIONS)}")
            if len(node.args) != FUNCTIONS[node.func.id][0]:
                raise SyntaxError(f"{node.func.id} takes {FUNCTIONS[node.func.id][0]} arguments")
            called.add(node.func)
        elif isinstance(node, ast.Name):
            if node.id in FUNCTIONS and node not in called:
                raise SyntaxError(f"{node.id} is a function: write {node.id}(...)")
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, (int, float)) or abs(node.value) > _LARGEST:
                raise SyntaxError(f"{str(node.value)[:40]} is not a number")
        elif isinstance(node, ast.Compare):
            if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARE:
                raise SyntaxError("one comparison at a time: write 'a < b and b < c'")
        elif isinstance(node, ast.BinOp):
            if type(node.op) not in _BINARY:
                raise SyntaxError(f"operator in '{ast.unparse(node)}' is not known")
            _constant(node)
        elif isinstance(node, ast.UnaryOp):
            if not isinstance(node.op, (ast.USub, ast.UAdd, ast.Not)):
                raise SyntaxError(f"operator in '{ast.unparse(node)}' is not known")
        elif not isinstance(node, (ast.BoolOp, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context)):
            raise SyntaxError(f"'{ast.unparse(node)}' is not part of the language")
    _render(tree, str, 0)  # RecursionError for what is nested too deeply to be written
    return tree


def _number(node: ast.Constant) -> float:
    assert isinstance(node.value, (int, float))
    return float(node.value)


def _constant(node: ast.expr) -> float | None:
    """The value of arithmetic of numbers alone, None for anything else; SyntaxError where it has none, as in 1/0 or 9**9**9."""
    if isinstance(node, ast.Constant):
        return _number(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _constant(node.operand)
        return -value if value is not None and isinstance(node.op, ast.USub) else value
    if not isinstance(node, ast.BinOp) or type(node.op) not in _BINARY:
        return None
    left, right = _constant(node.left), _constant(node.right)
    if left is None or right is None:
        return None
    try:
        value = _BINARY[type(node.op)][1](left, right)
    except ArithmeticError:
        value = float("nan")
    if isinstance(value, complex) or not np.isfinite(value):
        raise SyntaxError(f"'{ast.unparse(node)}' has no value")
    return value


def is_truth(node: ast.expr) -> bool:
    """Whether an expression is true or false by its form. Numbers may stand for truth (0 is false), and truth for numbers."""
    return isinstance(node, (ast.Compare, ast.BoolOp)) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))


def _render(node: ast.expr, name: Callable[[str], str], dialect: int) -> str:
    """dialect: 0 the language itself, 2 C++, 3 Brian2 (the pattern's place in FUNCTIONS)."""

    def r(child: ast.expr) -> str:
        """As a number."""
        text = _render(child, name, dialect)
        return f"{('', '', '(double)', 'int')[dialect]}({text})" if dialect and is_truth(child) else text

    def truth(child: ast.expr) -> str:
        text = _render(child, name, dialect)
        return f"({text} != 0)" if dialect and not is_truth(child) else text

    if isinstance(node, ast.Constant):
        return repr(_number(node)) if dialect else repr(node.value)  # 1/3 and 2**-1 are whole numbers in Brian2
    if isinstance(node, ast.Name):
        if node.id in CONSTANTS:
            if dialect == 2:
                return "M_PI" if node.id == "pi" else "HUGE_VAL"
            return node.id
        return name(node.id)
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        arguments = [truth(a) if node.func.id == "where" and k == 0 else r(a) for k, a in enumerate(node.args)]
        if dialect == 0:
            return f"{node.func.id}({', '.join(arguments)})"
        return FUNCTIONS[node.func.id][dialect].format(*(f"({a})" for a in arguments))  # type: ignore[union-attr]
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not):
            return f"(!({truth(node.operand)}))" if dialect == 2 else f"(not ({truth(node.operand)}))"
        return f"({'-' if isinstance(node.op, ast.USub) else ''}{r(node.operand)})"
    if isinstance(node, ast.BoolOp):
        both = isinstance(node.op, ast.And)
        word = ("&&" if both else "||") if dialect == 2 else ("and" if both else "or")
        return "(" + f" {word} ".join(truth(v) for v in node.values) + ")"
    if isinstance(node, ast.Compare):
        return f"({r(node.left)} {_COMPARE[type(node.ops[0])]} {r(node.comparators[0])})"
    if isinstance(node, ast.BinOp):
        left, right = r(node.left), r(node.right)
        if isinstance(node.op, ast.Pow) and dialect == 2:
            power = node.right.value if isinstance(node.right, ast.Constant) else None
            if isinstance(power, int) and 1 <= power <= 4:
                return "(" + "*".join([f"({left})"] * power) + ")"
            return f"std::pow({left},{right})"
        if isinstance(node.op, ast.Mod) and dialect == 2:
            return (
                "([](double a, double b) { const double r = std::fmod(a, b); "
                f"return r != 0 && (r < 0) != (b < 0) ? r + b : r; }}({left}, {right}))"
            )
        if isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant):
            right = repr(node.right.value)  # a whole power stays one
        return f"({left} {_BINARY[type(node.op)][0]} {right})"
    raise AssertionError(ast.dump(node))


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """A checked tree holds arithmetic only, so compiling it cannot run anybody's code."""
    tree = _parse(text)

    def number(node: ast.expr) -> ast.expr:
        """Truth as 0.0 and 1.0: NumPy would add two truths to one."""
        return ast.Call(ast.Name("_number", ast.Load()), [node], []) if is_truth(node) else node

    class _Numpy(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if isinstance(node, ast.BinOp):
                node.left, node.right = number(node.left), number(node.right)
            elif isinstance(node, ast.Compare):
                node.left, node.comparators = number(node.left), [number(c) for c in node.comparators]
            elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
                node.operand = number(node.operand)
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in FUNCTIONS:
                first = 1 if node.func.id == "where" else 0  # type: ignore[attr-defined]
                node.args = [*node.args[:first], *(number(a) for a in node.args[first:])]
            return super().visit(node)

        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            return ast.Constant(_number(node))

        def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
            self.generic_visit(node)
            function = "_and" if isinstance(node.op, ast.And) else "_or"
            result = node.values[0]
            for value in node.values[1:]:
                result = ast.Call(ast.Name(function, ast.Load()), [result, value], [])
            return result

        def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
            self.generic_visit(node)
            if isinstance(node.op, ast.Not):
                return ast.Call(ast.Name("_not", ast.Load()), [node.operand], [])
            return node

    import copy

    body = ast.fix_missing_locations(ast.Expression(_Numpy().visit(copy.deepcopy(tree))))  # type: ignore[arg-type]
    code = compile(body, f"<expression {text}>", "eval")
    functions: dict[str, Any] = {name: entry[1] for name, entry in FUNCTIONS.items()}
    functions |= CONSTANTS | {
        "_and": np.logical_and, "_or": np.logical_or, "_not": np.logical_not, "_number": lambda x: np.asarray(x, float),
        "__builtins__": {},
    }
    return lambda values: eval(code, functions, values)


@dataclass(frozen=True)
class Term:
    """One product of a sum of products: coefficient times the factors, each name with its whole power."""

    coefficient: float
    powers: tuple[tuple[str, int], ...]


def sum_of_products(text: Expression, where: Source | None = None) -> tuple[Term, ...]:
    """An eligibility drive as its terms: ``"pre*(x - 2*y)"`` -> ``pre*x - 2*pre*y``; DescriptionError where it has none."""

    def bad(node: ast.expr) -> DescriptionError:
        return DescriptionError(
            f"the drive '{text}' is not a sum of products: '{ast.unparse(node)}'", where=where,
            allowed="named factors joined by + - * and whole positive powers, times numbers",
            do="put other functions of a signal into a factor of its own (Transformed(signal, 'tanh(x)'))",
        )

    def go(node: ast.expr) -> list[tuple[float, dict[str, int]]]:
        if isinstance(node, ast.Constant):
            return [(_number(node), {})]
        if isinstance(node, ast.Name):
            return [(1.0, {node.id: 1})]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
            return [(sign * c, p) for c, p in go(node.operand)]
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, ast.Add):
                return go(node.left) + go(node.right)
            if isinstance(node.op, ast.Sub):
                return go(node.left) + [(-c, p) for c, p in go(node.right)]
            if isinstance(node.op, ast.Mult):
                return [_times(a, b) for a, b in product(go(node.left), go(node.right))]
            divisor = _constant(node.right)
            if isinstance(node.op, ast.Div) and divisor:
                return [(c / divisor, p) for c, p in go(node.left)]
            if isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant):
                power = node.right.value
                if isinstance(power, int) and 1 <= power <= 8:
                    result: list[tuple[float, dict[str, int]]] = [(1.0, {})]
                    for _ in range(power):
                        result = [_times(a, b) for a, b in product(result, go(node.left))]
                    return result
        raise bad(node)

    merged: dict[tuple[tuple[str, int], ...], float] = {}
    for coefficient, powers in go(text.tree):
        key = tuple(sorted(powers.items()))
        merged[key] = merged.get(key, 0.0) + coefficient
    return tuple(Term(c, key) for key, c in merged.items() if c != 0.0)


def _times(a: tuple[float, dict[str, int]], b: tuple[float, dict[str, int]]) -> tuple[float, dict[str, int]]:
    powers = dict(a[1])
    for name, power in b[1].items():
        powers[name] = powers.get(name, 0) + power
    return a[0] * b[0], powers

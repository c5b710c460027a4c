"""The expression language: one meaning in NumPy, C++ and Brian2; sums of products; and no way to run code."""

from __future__ import annotations

import ast
import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from neuroplast.errors import DescriptionError
from neuroplast.expressions import FUNCTIONS, Expression, expression, is_truth, sum_of_products

NAMES = ("a", "b", "c")
VALUES = {  # away from borders at which a rounding error makes a jump
    "a": np.array([0.31, -1.27, 2.83, -0.613, 5.07, -3.19]),
    "b": np.array([1.13, 0.77, -0.291, -2.21, 0.457, 3.67]),
    "c": np.array([-0.83, 2.39, 0.119, 1.71, -4.43, 0.931]),
}


# ---- expressions at random -----------------------------------------------------------------------------------------------------
numbers = st.one_of(st.sampled_from(NAMES), st.sampled_from(["0.5", "2", "3", "1.37", "0.11", "pi"]), st.sampled_from(NAMES))


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Larger expressions out of smaller ones; arguments kept where every reading is finite and has no jump nearby."""
    truth = st.builds("({} {} {})".format, inner, st.sampled_from(["<", ">", "<=", ">="]), inner)
    truth = st.one_of(
        truth, st.builds("({} {} {})".format, truth, st.sampled_from(["and", "or"]), truth), st.builds("(not {})".format, truth)
    )
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*"]), inner),
        st.builds("({}/(1.5 + abs({})))".format, inner, inner),
        st.builds("(abs({}) + 0.7)**{}".format, inner, st.sampled_from(["2", "3", "0.5", "1.3", "(-2)"])),
        st.builds("(-{})".format, inner),
        st.builds("{}({})".format, st.sampled_from(["tanh", "sin", "cos", "abs", "sigmoid", "sign"]), inner),
        st.builds("exp(tanh({}))".format, inner),
        st.builds("log(1.3 + abs({}))".format, inner),
        st.builds("sqrt(0.2 + abs({}))".format, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["minimum", "maximum"]), inner, inner),
        st.builds("clip({}, -1.1, {})".format, inner, st.sampled_from(["0.9", "2"])),
        st.builds("where({}, {}, {})".format, truth, inner, inner),
        st.builds("({}*{})".format, truth, inner),
        st.builds("int({})".format, truth),
    )


texts = st.recursive(numbers, _grow, max_leaves=12)


def corpus(n: int) -> list[str]:
    """About n different random expressions, the same each time."""
    found: dict[str, None] = {}

    @settings(max_examples=n, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(text=texts)
    def collect(text: str) -> None:
        found[text] = None

    collect()
    return list(found)


FIXED = (
    "(a > 0) + (b > 0)",
    "(a > 0) - (b > 0)",
    "-(a > b)",
    "abs(a < b)",
    "(a < b) == (b < c)",
    "where(a, b, c)",
    "where(a*0, b, c)",
    "not a",
    "a and b",
    "a*0 or b",
    "(not (a > 0)) * 2",
    "where(0.5, a, b)",
    "where(a > 0 and b, 1, 2)",
    "int(a > 0)/int(b < 9)",
    "1/3 + a",
    "7/2",
    "2**-1 * a",
    "-a**2",
    "(-a)**2",
    "a**3 - b**4",
    "2**a",
    "abs(a)**b",
    "a - -b",
    "+a",
    "floor(a*2)",
    "int(a*2)",
    "a % 1.3",
    "a % -1.3",
    "(a*10) % 0.7",
    "sign(a)*sign(0*b)",
    "minimum(a, maximum(b, c))",
    "clip(a, -1, 1)",
    "sigmoid(-40*a)",
    "exp(-a**2/2)/sqrt(2*pi)",
    "minimum(a, inf)",
    "maximum(-inf, b)",
    "tanh(20*a)",
    "log(abs(a))",
    "a >= 0.31",
    "1e-3*a",
    "1e20*a/1e20",
)


def numpy_value(text: str) -> np.ndarray:
    return np.broadcast_to(np.asarray(expression(text).numpy(VALUES), float), (6,))


@pytest.fixture(scope="module")
def compiler() -> str:
    found = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if found is None:
        pytest.skip("no C++ compiler on this machine")
    return found


def test_cpp_agrees(compiler: str, tmp_path: Path):
    """Hundreds of expressions in one file, compiled once, without optimisation."""
    every = (*FIXED, *corpus(400))
    cases = "\n".join(f"    case {k}: return (double)({expression(t).cpp(lambda n: f'v_{n}')});" for k, t in enumerate(every))
    source = (
        "#include <cmath>\n#include <cstring>\n"
        f'extern "C" double value(int k, double v_a, double v_b, double v_c) {{\n  switch (k) {{\n{cases}\n  }}\n  return NAN;\n}}\n'
    )
    (tmp_path / "e.cpp").write_text(source)
    done = subprocess.run(
        [compiler, "-std=c++11", "-O0", "-shared", "-fPIC", "-o", tmp_path / "e.so", tmp_path / "e.cpp"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:2000]
    value = ctypes.CDLL(str(tmp_path / "e.so")).value
    value.restype, value.argtypes = ctypes.c_double, [ctypes.c_int, *[ctypes.c_double] * 3]
    for k, text in enumerate(every):
        got = [value(k, *(VALUES[n][i] for n in NAMES)) for i in range(6)]
        np.testing.assert_allclose(got, numpy_value(text), rtol=1e-9, atol=1e-12, err_msg=text)


def test_brian2_agrees():
    """As many expressions in one Brian2 code object (NumPy), where Brian2 parses, checks and renders them.

    Left out: comparisons of what ``where`` gives. Brian2 up to 2.11 refuses them ("Invalid comparison of non-real"), because
    SymPy takes its ``int`` for complex; that is an error before the run, not another value.
    """
    brian2 = pytest.importorskip("brian2")
    every = tuple(t for t in (*FIXED, *corpus(80)) if not _compares_where(expression(t).tree))
    equations = "\n".join(f"{name} : 1" for name in (*(f"v_{n}" for n in NAMES), *(f"r_{k}" for k in range(len(every)))))
    group = brian2.NeuronGroup(
        6, equations, name="expressions*", namespace={}, codeobj_class=brian2.codegen.runtime.numpy_rt.NumpyCodeObject
    )
    for name in NAMES:
        getattr(group, f"v_{name}_")[:] = VALUES[name]

    def number(text: str) -> str:
        rendered = expression(text).brian2(lambda n: f"v_{n}")
        return f"int({rendered})" if is_truth(expression(text).tree) else rendered

    group.run_regularly("\n".join(f"r_{k} = 1.0*({number(t)})" for k, t in enumerate(every)))
    network = brian2.Network(group)
    network.run(group.clock.dt, namespace={})
    for k, text in enumerate(every):
        np.testing.assert_allclose(getattr(group, f"r_{k}_")[:], numpy_value(text), rtol=1e-9, atol=1e-12, err_msg=text)


def _compares_where(tree: ast.expr) -> bool:
    return any(
        isinstance(inner, ast.Name) and inner.id == "where"
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for inner in ast.walk(node)
    )


@settings(max_examples=200, deadline=None)
@given(text=texts)
def test_text_and_tree_say_the_same(text: str):
    """Writing an expression down and reading it again changes nothing, and names can be replaced by expressions."""
    one = expression(text)
    again = one.substitute({})
    assert one.names == again.names
    np.testing.assert_array_equal(one.numpy(VALUES), again.numpy(VALUES))
    swapped = one.substitute({"a": "b", "b": "a"})
    np.testing.assert_array_equal(swapped.numpy({**VALUES, "a": VALUES["b"], "b": VALUES["a"]}), one.numpy(VALUES))
    inside = one.substitute({"a": "2*a - 1"})
    np.testing.assert_allclose(inside.numpy(VALUES), one.numpy({**VALUES, "a": 2 * VALUES["a"] - 1}), rtol=1e-12)


def test_truth_counts_as_number():
    """NumPy alone would add two truths to one, and refuse to subtract them."""
    values = {"a": np.array([1.0, -1.0]), "b": np.array([2.0, 3.0])}
    np.testing.assert_array_equal(expression("(a > 0) + (b > 0)").numpy(values), [2.0, 1.0])
    np.testing.assert_array_equal(expression("(a > 0) - (b > 0)").numpy(values), [0.0, -1.0])
    np.testing.assert_array_equal(expression("-(b > 0)").numpy(values), [-1.0, -1.0])


# ---- sums of products ----------------------------------------------------------------------------------------------------------
polynomials = st.recursive(
    st.one_of(st.sampled_from(NAMES), st.sampled_from(["2", "0.5", "1e-3", "3"])),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*"]), inner),
        st.builds("(-{})".format, inner),
        st.builds("({})**{}".format, inner, st.sampled_from(["2", "3"])),
        st.builds("({})/{}".format, inner, st.sampled_from(["2", "(-0.3)"])),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=polynomials)
def test_sum_of_products_equals_the_expression(text: str):
    one = expression(text)
    terms = sum_of_products(one)
    total, size = np.zeros(6), np.full(6, 1e-300)
    for term in terms:
        product = np.full(6, term.coefficient)
        for name, power in term.powers:
            assert isinstance(power, int) and power >= 1
            product = product * VALUES[name] ** power
        total, size = total + product, size + np.abs(product)
    assert len({term.powers for term in terms}) == len(terms)
    assert np.all(np.abs(total - one.numpy(VALUES)) <= 1e-9 * (size + np.abs(one.numpy(VALUES))))


@pytest.mark.parametrize("text", ["a/b", "tanh(a)", "a**0.5", "a**b", "a**9", "a > b", "a % 2", "a/0", "a and b", "2**a"])
def test_not_a_sum_of_products(text: str):
    with pytest.raises(DescriptionError, match="not a sum of products"):
        sum_of_products(expression(text))


# ---- bad and malicious text ----------------------------------------------------------------------------------------------------
MALICIOUS = (
    "__import__('os')",
    "__import__('os').system('true')",
    "().__class__.__bases__",
    "a.__class__",
    "a.real",
    "lambda: 1",
    "[a]",
    "{a}",
    "{'a': a}",
    "(a, b)",
    "a[0]",
    "[x for x in a]",
    "(x for x in a)",
    "a if b else c",
    "(a := 2)",
    "f'{a}'",
    "'a'",
    "b'a'",
    "...",
    "None",
    "True",
    "1j",
    "print(a)",
    "open(a)",
    "eval(a)",
    "exec(a)",
    "exp.__self__",
    "exp(a)(b)",
    "await a",
    "yield a",
    "*a",
    "a; b",
    "a\nb",
    "import os",
    "del a",
    "a = 2",
    "a\0b",
    "exp",
    "exp + 1",
    "exp(a, base=2)",
    "exp()",
    "clip(a)",
    "a < b < c",
    "a in b",
    "a is b",
    "a @ b",
    "a // b",
    "a & b",
    "a | b",
    "a ^ b",
    "~a",
    "a << 2",
    "a >> 2",
    "1/0",
    "9**9**9**9",
    "10**400",
    "1e999",
    "(-1)**0.5",
    "",
    "   ",
    "a +",
    "(" * 500,
    "-" * 5000 + "a",
    "a" * 3 + "(",
    "softplus(a)",
    "#",
    "a ! b",
    "a ? b : c",
    "5 mV",
)


@pytest.mark.parametrize("text", MALICIOUS, ids=lambda t: repr(t)[:24])
def test_refused(text: str):
    with pytest.raises(DescriptionError) as caught:
        expression(text, None, {*NAMES})
    assert "cannot be read" in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="ab()+-*/.,_'\"[]{}:=<>!@#%&|^~ \n0123456789elxpinot\\", max_size=30))
def test_anything_is_read_or_refused(text: str):
    """No text leads to another error than the one for descriptions; what is read has known names only."""
    try:
        read = expression(text, None, {*NAMES})
    except DescriptionError:
        return
    assert isinstance(read, Expression) and read.names <= {*NAMES}
    with np.errstate(all="ignore"):
        read.numpy(VALUES)


@pytest.mark.parametrize("text", [None, 3, 2.5, ["a"], b"a"])
def test_text_is_asked_for(text: object):
    with pytest.raises(DescriptionError, match="must be text"):
        expression(text)  # type: ignore[arg-type]


def test_unknown_names_are_guessed():
    with pytest.raises(DescriptionError, match="Did you mean 'voltage'"):
        expression("voltag + 1", None, {"voltage", "current"})
    with pytest.raises(DescriptionError, match="Did you mean 'sigmoid'"):
        expression("sigmoide(a)")


def test_every_function_has_three_readings():
    for name, (arguments, numpy_function, cpp, brian2) in FUNCTIONS.items():
        assert callable(numpy_function), name
        for pattern in (cpp, brian2):
            assert {f"{{{k}}}" for k in range(arguments)} <= set(re.findall(r"\{\d\}", pattern)), name

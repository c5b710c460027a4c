"""The neurons of a step program as Brian2 NeuronGroups: one group and one ``run_regularly`` a population.

A population's Map becomes abstract code over plain variables ``name : 1``, so that a population costs one code object: cold
compilation is Brian2's largest price. Names of the description (``e``, ``i``, ``t``, ``xi`` are reserved in Brian2; endings
like ``_post`` are not allowed) never reach Brian2: variable number k is ``s_<name>_k``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

import brian2
import numpy as np

from neuroplast.errors import LoweringError, Source
from neuroplast.expressions import Expression, is_truth
from neuroplast.ir.program import Map, StepProgram


@dataclass(frozen=True)
class Population:
    """One Map as text for Brian2. variables: name of the program's array -> name of the group's variable."""

    name: str
    owner: str
    size: int
    variables: dict[str, str]
    equations: str
    code: str
    where: Source | None


def populations(program: StepProgram) -> tuple[Population, ...]:
    """The text of every population's group; LoweringError for arrays that cannot be variables of one group."""
    found: list[Population] = []
    taken: dict[str, str] = {}
    for k, neurons in enumerate(program.neurons):
        population = _population(program, neurons, f"neuroplast_{_ascii(neurons.owner)}_{k}")
        for array in population.variables:
            if array in taken:
                raise LoweringError(
                    f"Brian2 keeps array '{array}' in one group, but populations '{taken[array]}' and '{neurons.owner}' use it",
                    where=population.where, do="use the target reference or compiled",
                )
            taken[array] = neurons.owner
        found.append(population)
    return tuple(found)


def neuron_group(population: Population, clock: brian2.Clock, codeobj_class: type | None = None) -> brian2.NeuronGroup:
    """The group, with its statements in the slot "groups" of each step. codeobj_class: what runs them; None for C++."""
    # Brian2 gives code objects names that are unique among the living: those of runtime groups must not change generated C++
    ending = "step" if codeobj_class is None else "run"
    group = brian2.NeuronGroup(
        population.size, population.equations, clock=clock, name=population.name, namespace={}, codeobj_class=codeobj_class
    )
    group.state_updater.active = False  # there are no differential equations: it would only cost time in each step
    if population.code:
        group.run_regularly(population.code, clock=clock, when="groups", name=f"{population.name}_{ending}")
    return group


def group_arrays(found: tuple[Population, ...]) -> dict[str, tuple[Population, str]]:
    """Array of the program -> its group and the variable that holds it."""
    return {array: (population, variable) for population in found for array, variable in population.variables.items()}


def _ascii(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z_]", "_", text)


def _population(program: StepProgram, neurons: Map, name: str) -> Population:
    variables: dict[str, str] = {}
    flags: dict[str, str] = {}
    for bound, array in neurons.bind.items():
        initial = program.arrays[array].initial
        if initial.dtype != np.float64 or initial.size not in (1, neurons.size):
            raise LoweringError(
                f"population '{neurons.owner}': array '{array}' cannot be a variable of its Brian2 group",
                where=program.arrays[array].where, got=f"{initial.size} values of type {initial.dtype}",
                allowed=f"{neurons.size} (or 1) values of type float64",
            )
        if array not in variables:
            variables[array] = f"s_{_ascii(bound)}_{len(variables)}"
            flags[array] = " (shared)" if initial.size < neurons.size else ""
    known = {bound: variables[array] for bound, array in neurons.bind.items()}
    lines = []
    for k, (target, body) in enumerate(neurons.code):
        right = _floating(body, known.__getitem__)
        if target not in neurons.bind:  # each assignment makes a new local, as Brian2 fixes the kind of a local once
            known[target] = f"l_{_ascii(target)}_{k}"
        lines.append(f"{known[target]} = {right}")
    where = next((program.arrays[a].where for a in variables if program.arrays[a].where is not None), None)
    equations = "\n".join(f"{variable} : 1{flags[array]}" for array, variable in variables.items())
    return Population(name, neurons.owner, neurons.size, variables, equations, "\n".join(lines), where)


class _Floating(ast.NodeTransformer):
    """Everything a float, as in NumPy: Brian2 has integers and truth values of their own (``1/3`` is single precision in its
    C++, ``int(x)`` and ``floor(x)`` have 32 bits, and of Boolean locals its optimiser writes out all combinations)."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(float(node.value)) if isinstance(node.value, int) else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        node.left = self.visit(node.left)
        if not (isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant)):  # x**2 is exact with a whole power
            node.right = self.visit(node.right)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func.id if isinstance(node.func, ast.Name) else ""
        text = _WHOLE.get("truth" if function == "int" and is_truth(node.args[0]) else function)
        return node if text is None else _Replace(node.args[0]).visit(ast.parse(text, mode="eval").body)


_WHOLE = {
    "truth": "1.0*int(x)", "floor": "(x - x % 1.0)", "int": "(abs(x) - abs(x) % 1.0)*(1.0*int(x > 0.0) - 1.0*int(x < 0.0))",
}


class _Replace(ast.NodeTransformer):
    """x by something else."""

    def __init__(self, by: ast.expr) -> None:
        self.by = by

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.by if node.id == "x" else node


def _floating(body: Expression, names: Callable[[str], str]) -> str:
    """The expression in Brian2's language, with a float as its value."""
    text = body.brian2(names)
    tree = ast.parse(f"int({text})" if is_truth(body.tree) else text, mode="eval").body
    return ast.unparse(ast.fix_missing_locations(_Floating().visit(tree)))

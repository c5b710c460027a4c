"""Reading a population's statements as a membrane: linear in its state and input up to the threshold, then spike and reset.

A step program knows no neuron types. Whether a Map is a leaky integrator is found by looking at what it computes: currents
``i <- d i + in``, then ``v <- A v + sum of B_k i_k + sum of C_p in_p + N noise + b``, with a threshold and a reset that are constants.
The coefficients are the differences that a one makes; that the whole is linear is checked at points chosen at random.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neuroplast.expressions import Expression
from neuroplast.ir.program import Map, StepProgram

TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Membrane:
    """All arrays (n,). variable: "v", or "m" of a readout.  currents: name -> (decay, gain into the variable).  inputs: name of an
    accumulator -> gain.  steady: other names that are added (external, noise) -> gain.  threshold None: it never fires.
    kept: statements that stay as they are (the noise), in order."""

    variable: str
    keep: np.ndarray
    bias: np.ndarray
    currents: dict[str, tuple[np.ndarray, np.ndarray]]
    inputs: dict[str, np.ndarray]
    steady: dict[str, np.ndarray]
    threshold: np.ndarray | None
    reset: np.ndarray
    refractory: str | None
    kept: tuple[tuple[str, Expression], ...]


def membrane_of(op: Map, program: StepProgram) -> Membrane | str:
    """The membrane that a Map is, or why it is none."""
    reader = _Reader(op, program)
    variable = next((name for name in ("v", "m") if name in op.bind and any(target == name for target, _ in op.code)), None)
    if variable is None:
        return "it is no membrane"
    if "adaptation" in op.bind:
        return "its threshold adapts"
    if any(target.startswith("g_") for target, _ in op.code):
        return "conductance synapses are not linear in the membrane"
    spiking = any(target == "spikes" for target, _ in op.code)
    refractory = "refractory_left" if "refractory_left" in op.bind else None
    before: list[tuple[str, Expression]] = []
    kept: list[tuple[str, Expression]] = []
    currents: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    threshold: np.ndarray | None = None
    reset = np.zeros(op.size)
    for target, expression in op.code:
        if target == "noise":
            kept.append((target, expression))
        elif target.startswith("i_"):
            own = reader.linear([(target, expression)], target, (target, f"in_{target[2:]}"))
            if own is None or np.any(np.abs(own[1][f"in_{target[2:]}"] - 1.0) > TOLERANCE) or np.any(own[0]):
                return f"the current '{target}' is no exponential trace"
            currents[target] = (own[1][target], np.zeros(op.size))
        elif target == "spikes":
            threshold = reader.constant(expression, "spikes", variable)
            if threshold is None:
                return "its threshold is no constant"
        elif target == variable and _is_where(expression):
            value = reader.constant(expression, "reset", variable)
            if value is None:
                return "its reset is no constant"
            reset = value
        elif target != "refractory_left":
            if threshold is not None:
                return f"'{target}' is computed after the threshold"
            before.append((target, expression))
    names = {name for _, e in before for name in e.names} & op.bind.keys() - {variable}
    inputs = tuple(sorted(name for name in names if name.startswith("in_")))
    steady = tuple(sorted(name for name in names & {"noise", "external"}))
    found = reader.linear(before, variable, (variable, *currents, *inputs, *steady))
    if found is None or (spiking and threshold is None):
        return "it is not linear below its threshold"
    bias, gain = found
    return Membrane(
        variable, gain[variable], bias, {name: (d, gain[name]) for name, (d, _) in currents.items()},
        {name: gain[name] for name in inputs}, {name: gain[name] for name in steady}, threshold, reset, refractory, tuple(kept),
    )


class _Reader:
    """Evaluates statements of a Map with its constants, and other names as asked."""

    def __init__(self, op: Map, program: StepProgram) -> None:
        self.size = op.size
        self.values = {name: np.asarray(program.arrays[array].initial, float) for name, array in op.bind.items()}
        self.constant_names = {name for name, array in op.bind.items() if program.arrays[array].kind == "constant"}

    def evaluate(self, code: list[tuple[str, Expression]], target: str, given: Mapping[str, np.ndarray]) -> np.ndarray:
        values = {**self.values, **given}
        for name, expression in code:
            values[name] = np.asarray(expression.numpy(values), float)
        return np.array(np.broadcast_to(values[target], (self.size,)))

    def linear(
        self, code: list[tuple[str, Expression]], target: str, variables: tuple[str, ...]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
        """(offset, coefficient of each variable), None where the code is not linear in them."""
        zeros = dict.fromkeys(variables, np.zeros(self.size))
        offset = self.evaluate(code, target, zeros)
        gains = {name: self.evaluate(code, target, {**zeros, name: np.ones(self.size)}) - offset for name in variables}
        rng = np.random.default_rng(0)
        for scale in (1e-3, 1.0, 30.0):
            point = {name: scale * rng.normal(size=self.size) for name in variables}
            expected = offset + sum(gains[name] * point[name] for name in variables)
            size = np.abs(offset) + sum(np.abs(gains[name] * point[name]) for name in variables)
            if np.any(np.abs(self.evaluate(code, target, point) - expected) > TOLERANCE * np.maximum(size, 1e-300)):
                return None
        return offset, gains

    def constant(self, expression: Expression, what: str, variable: str) -> np.ndarray | None:
        """The threshold in ``where(v > threshold, 1.0, 0.0)``, or the reset in ``where(condition, reset, v)``."""
        tree = expression.tree
        if not isinstance(tree, ast.Call) or not isinstance(tree.args[0], ast.Compare):
            return None
        condition = tree.args[0]
        node = condition.comparators[0] if what == "spikes" else tree.args[1]
        if what == "spikes" and not (
            isinstance(condition.left, ast.Name) and condition.left.id == variable and isinstance(condition.ops[0], ast.Gt)
        ):
            return None
        text = ast.unparse(node)
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        if not names <= self.constant_names:
            return None
        return self.evaluate([("x", Expression(text, frozenset(names)))], "x", {})


def _is_where(expression: Expression) -> bool:
    tree = expression.tree
    return isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "where"


__all__ = ["Membrane", "membrane_of"]

"""Writing integer neurons and weights into a step program.

The program keeps its arrays and their units: ``v`` is shown in volts, as what the chip holds divided by its scale, and weights lie on a
grid in their own unit. New arrays hold the whole numbers: ``<population>_v_counts``, ``_u0_counts`` and ``_peak``, the largest
magnitude that any of them came to before it was wrapped or clipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from neuroplast.expressions import Expression, expression
from neuroplast.ir.program import Array, Deliver, Draw, EndLearn, Learn, Map, Operation, StepProgram
from neuroplast.quantize.formats import Formats
from neuroplast.quantize.integers import (
    IntegerNeuron,
    IntegerWeights,
    QuantizationError,
    current_statements,
    shifted,
    voltage_statements,
)
from neuroplast.quantize.membranes import Membrane

if TYPE_CHECKING:
    from neuroplast.quantize.rules import ChipRule

EDGE = 1e-6
"""Whole numbers stay what they are when they are rounded at random: this much of the draw is cut off at both ends."""


@dataclass(frozen=True, eq=False)
class PlacedNeuron:
    """An integer neuron and what its numbers mean: value = origin + counts / scale. pushes: name in the statements -> counts that
    one unit of it adds in a step, rounded (noise, graded input)."""

    neuron: IntegerNeuron
    membrane: Membrane
    scale: float
    origin: np.ndarray
    pushes: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class PlacedWeights:
    """Integer weights, and the weight that a one stands for, by target neuron (n_post,)."""

    weights: IntegerWeights
    unit: np.ndarray


class _Writer:
    """A Map while it is written: statements, bound names, new arrays."""

    def __init__(self, op: Map, arrays: dict[str, Array]) -> None:
        self.op, self.arrays, self.bind = op, arrays, dict(op.bind)
        self.code: list[tuple[str, Expression]] = []

    def number(self, name: str, values: np.ndarray) -> str:
        """A literal where all are equal, else a constant array."""
        values = np.array(np.broadcast_to(np.asarray(values, float), (self.op.size,)))
        if values.size and np.all(values == values[0]):
            return f"({float(values[0])!r})"
        return self.array(name, values, "constant", False)

    def array(self, name: str, initial: np.ndarray, kind: str = "state", reset: bool = False) -> str:
        full = f"{self.op.owner}_{name}"
        self.arrays[full] = Array(full, np.array(initial, float), "1", kind, reset)
        self.bind[name] = full
        return name

    def set(self, target: str, text: str) -> None:
        self.code.append((target, expression(text)))

    def map(self) -> Map:
        used = {name for target, body in self.code for name in (target, *body.names)}
        return Map(self.op.owner, self.op.size, tuple(self.code), {n: a for n, a in self.bind.items() if n in used})


def neuron_map(
    op: Map, placed: PlacedNeuron, weights: Mapping[str, PlacedWeights], arrays: dict[str, Array], formats: Formats, rounded: bool
) -> Map:
    """The Map of a population as integers; new arrays are put into ``arrays``. Not ``rounded``: the state keeps its fractions."""
    whole = lambda text: f"floor({text} + 0.5)" if rounded else text
    w, neuron, membrane, scale = _Writer(op, arrays), placed.neuron, placed.membrane, placed.scale
    value = arrays[op.bind[membrane.variable]]
    start = np.rint((np.asarray(value.initial) - placed.origin) * scale)
    v = w.array("v_counts", start, reset=value.reset)
    peaks = ["raw_v"]
    for k, current in enumerate(neuron.currents):
        initial = np.zeros(op.size)
        traces = [f"i_{name}" for name in current.inputs if f"i_{name}" in membrane.currents]
        for name in traces:
            initial = initial + np.rint(np.asarray(arrays[op.bind[name]].initial) * membrane.currents[name][1] * scale)
        u = w.array(f"u{k}_counts", initial, reset=value.reset)
        arriving = []
        for name in current.inputs:
            count = f"floor(in_{name}*{w.number(f'per_unit_{name}', 1.0 / weights[name].unit)} + 0.5)"
            arriving.append(shifted(count, weights[name].weights.exponent, rounded))
        kept = w.number(f"kept_u{k}", formats.unity - (current.du + 1.0))
        for target, text in current_statements(u, kept, " + ".join(arriving) or "0.0", formats, rounded):
            w.set(f"{target}_u{k}" if target == "raw" else target, text.replace("raw", f"raw_u{k}"))
        peaks.append(f"raw_u{k}")
        if len(traces) == 1:
            w.set(traces[0], f"{u}*{w.number(f'back_{traces[0]}', 1.0 / (membrane.currents[traces[0]][1] * scale))}")
    w.code += membrane.kept
    pushes = [f"u{k}_counts" for k in range(len(neuron.currents))]
    pushes += [whole(f"{name}*{w.number(f'push_{name}', gain)}") for name, gain in placed.pushes.items()]
    if np.any(neuron.bias):
        pushes.append(w.number("bias_counts", neuron.bias))
    for target, text in voltage_statements(v, w.number("kept_v", formats.unity - neuron.dv), pushes, formats, rounded):
        w.set("raw_v" if target == "raw" else target, text.replace("raw", "raw_v"))
    if neuron.vth is not None:
        if membrane.refractory:
            w.set(v, f"where({membrane.refractory} > 0.5, 0.0, {v})")
        left = [s for s in op.code if s[0] == membrane.refractory]
        w.code += left[:1]
        w.set("spikes", f"where({v} > {w.number('vth_counts', neuron.vth * 2.0**formats.alignment)}, 1.0, 0.0)")
        w.code += left[1:]
        w.set(v, f"where(spikes > 0.5, 0.0, {v})")
    w.set(membrane.variable, f"{w.number('origin', placed.origin)} + {v}*{1.0 / scale!r}")
    largest = f"abs({peaks[0]})"
    for name in peaks[1:]:
        largest = f"maximum({largest}, abs({name}))"
    w.set(w.array("peak", np.zeros(op.size)), f"maximum(peak, {largest})")
    return w.map()


def rounding(learn: Learn, placed: PlacedWeights, arrays: dict[str, Array], formats: Formats) -> tuple[Draw, Map]:
    """Weights back onto their grid, up or down at random, each synapse for itself, so that the mean change is what was asked."""
    name, n = learn.projection, learn.synapses.n
    low, high, step = formats.weight_range(placed.weights.mode)
    drawn = f"{name}_rounding_uniform"
    arrays[drawn] = Array(drawn, np.zeros(n), kind="scratch")
    each = "step" if learn.update == "continuous" else "trial"
    unit = placed.unit[np.asarray(arrays[learn.synapses.post].initial)] * step
    bind = {"w": learn.target, "u": drawn}
    if n and np.all(unit == unit[0]):
        grid = f"({float(unit[0])!r})"
    else:
        arrays[f"{name}_grid"] = Array(f"{name}_grid", unit, kind="constant")
        bind["grid"], grid = f"{name}_grid", "grid"
    if n:  # bounds of the rule: the last grid point inside
        least = max(low / step, -np.inf if learn.low is None else float(np.ceil(learn.low / np.max(unit) - EDGE)))
        most = min(high / step, np.inf if learn.high is None else float(np.floor(learn.high / np.max(unit) + EDGE)))
    else:
        least, most = low / step, high / step
    text = f"{grid}*clip(floor(w/{grid} + {EDGE!r} + {1 - 2 * EDGE!r}*u), {least!r}, {most!r})"
    return Draw(drawn, "uniform", f"{name}/rounding", probe=False, each=each), Map(name, n, (("w", expression(text)),), bind)


def rewrite(
    program: StepProgram, neurons: Mapping[str, PlacedNeuron], weights: Mapping[str, PlacedWeights], formats: Formats,
    rounded: bool = True, rules: Mapping[str, ChipRule] | None = None, **changes: object,
) -> StepProgram:
    """The program with these populations and projections as integers, and these rules on the learning engine. Others stay as they are.

    Not ``rounded``: their parameters are those of the chip, but what they compute keeps its fractions.
    """
    for name, neuron in neurons.items():
        neuron.neuron.check(name, formats)
    for name, placed in weights.items():
        placed.weights.check(name, formats)
    arrays = dict(program.arrays)
    maps = tuple(
        neuron_map(op, neurons[op.owner], weights, arrays, formats, rounded) if op.owner in neurons else op for op in program.neurons
    )
    delivered = {op.projection: op for op in program.before if isinstance(op, Deliver)}
    for name, placed in weights.items():
        array = arrays[delivered[name].weight]
        post = np.asarray(arrays[delivered[name].synapses.post].initial)
        arrays[array.name] = replace(array, initial=placed.weights.values * placed.unit[post])
    before, start = list(program.before), list(program.trial_start)
    rules = rules or {}
    for rule in rules.values():
        before += rule.draws
        arrays |= rule.arrays
    parts: dict[str, list[Operation]] = {"after": [], "trial_end": []}
    for where, operations in (("after", program.after), ("trial_end", program.trial_end)):
        for op in operations:
            learn = op.learn if isinstance(op, EndLearn) else op
            if isinstance(learn, Learn) and learn.projection in rules:
                rule = rules[learn.projection]
                parts[where] += rule.end if where == "trial_end" else rule.after
                continue
            parts[where].append(op)
            if not isinstance(learn, Learn) or learn.projection not in weights or learn.target != delivered[learn.projection].weight:
                continue
            if (learn.update == "continuous") == (where == "after"):
                draw, on_grid = rounding(learn, weights[learn.projection], arrays, formats)
                (before if draw.each == "step" else start).append(draw)
                parts[where].append(on_grid)
            elif isinstance(op, EndLearn) and op.closing:  # one more change, after the last step
                draw, on_grid = rounding(learn, weights[learn.projection], arrays, formats)
                parts[where] += [replace(draw, stream=f"{learn.projection}/last rounding", each="trial"), on_grid]
    if rules:
        parts["after"] = _without(parts["after"], frozenset[str]().union(*(rule.unread for rule in rules.values())), program)
    return replace(
        program, arrays=arrays, neurons=maps, before=tuple(before), trial_start=tuple(start), after=tuple(parts["after"]),
        trial_end=tuple(parts["trial_end"]), **changes,  # type: ignore[arg-type]
    )


def _without(operations: list[Operation], unread: frozenset[str], program: StepProgram) -> list[Operation]:
    """The operations without the statements for arrays that only a rule read which is on the engine now."""
    from neuroplast.backends.cpp.access import reads

    kept = {array for op in (*operations, *program.trial_end) for array in reads(op) if not isinstance(op, Map)}
    kept |= {op.bind[name] for op in operations if isinstance(op, Map) for target, body in op.code for name in body.names
             if name in op.bind and op.bind.get(target) != op.bind[name]}
    gone = unread - kept - {recording.array for recording in program.recordings}
    found: list[Operation] = []
    for op in operations:
        if isinstance(op, Map) and any(op.bind.get(target) in gone for target, _ in op.code):
            code = tuple(statement for statement in op.code if op.bind.get(statement[0]) not in gone)
            if code:
                found.append(replace(op, code=code))
        else:
            found.append(op)
    return found


def check_overflow(program: StepProgram, arrays: Mapping[str, np.ndarray], formats: Formats) -> None:
    """QuantizationError naming the neuron where a number left the chip's range in a run that ended with these arrays."""
    for name in program.populations:
        peak = arrays.get(f"{name}_peak")
        if peak is not None and f"{name}_v_counts" in program.arrays and np.any(peak >= formats.state_limit):
            raise overflow(name, int(np.argmax(peak)), float(np.max(peak)), None, formats)


def overflow(name: str, neuron: int, value: float, step: tuple[int, int] | None, formats: Formats) -> QuantizationError:
    when = "" if step is None else f" in step {step[1]} of trial {step[0]}"
    return QuantizationError(
        f"neuron {neuron} of '{name}' leaves the {formats.state_bits} bits of {formats.name}{when}", got=f"{value:.0f}",
        allowed=f"magnitudes below {formats.state_limit}",
        do="quantize with a smaller headroom (deploy --headroom 0.1, Fixed(target, headroom=0.1)), or give the ranges of a run in which "
        "the neurons are driven as strongly",
    )


__all__ = ["PlacedNeuron", "PlacedWeights", "check_overflow", "neuron_map", "overflow", "rewrite", "rounding"]

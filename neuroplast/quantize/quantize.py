"""Quantisation: a step program as the integers of a chip. A pure pass: program in, program out, every changed number in its notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neuroplast.ir.program import CLOCK, STEP, TRIAL, Deliver, EndLearn, Learn, Map, Note, StepProgram
from neuroplast.quantize.formats import LOIHI2, Formats, sign_mode
from neuroplast.quantize.integers import (
    IntegerCurrent,
    IntegerNeuron,
    IntegerWeights,
    QuantizationError,
    weights_to_integers,
)
from neuroplast.quantize.membranes import Membrane, membrane_of
from neuroplast.quantize.rewrite import PlacedNeuron, PlacedWeights, overflow, rewrite
from neuroplast.quantize.rules import PLASTICITY, ChipRule, Unsayable, check_sayable, chip_rule, signals
from neuroplast.quantize.trial_run import Ranges, measured_ranges, watch

HEADROOM, LEARNING_HEADROOM = 0.5, 0.25
SCALING_TRIALS = 4
"""Float trials from which a rule on the learning engine is scaled: in the first, a baseline may leave no reward."""
ROOM_TO_LEARN = 2.0
"""Weights that learn without bounds may grow to this many times the largest at the start."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer program, and what it is made of in the chip's vocabulary.

    parameters_only: the same with the chip's parameters, but fractions in what is computed: it parts the two kinds of rounding.
    """

    program: StepProgram
    parameters_only: StepProgram
    neurons: dict[str, PlacedNeuron]
    weights: dict[str, PlacedWeights]
    rules: dict[str, ChipRule]
    formats: Formats

    def check(self, trials: int = 1) -> None:
        """Run that many trials; QuantizationError naming the first neuron and step where a number leaves its range."""
        watch(self.program, trials, self._look)

    def _look(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name in self.neurons:
            peak = arrays[f"{name}_peak"]
            if np.any(peak >= self.formats.state_limit):
                when = int(arrays[CLOCK][TRIAL]), int(arrays[CLOCK][STEP])
                raise overflow(name, int(np.argmax(peak)), float(np.max(peak)), when, self.formats)


def quantize(
    program: StepProgram, formats: Formats = LOIHI2, *, ranges: Ranges | None = None, trials: int | None = None,
    headroom: float | None = None, plasticity: str = "process",
) -> Quantized:
    """The program in a chip's integers.

    Populations that are leaky integrators (LIF with current or delta synapses, readouts) become integer neurons; others stay float and
    are noted as simulator only. Weights of every projection go to the chip's grid; those that learn return to it after each change,
    up or down at random.

    ranges: array -> (least, most), besides (with trials=0: instead of) what a float run of ``trials`` trials (None: one, or four for
    "loihi") shows; for weights that learn, what they may become.  headroom: part of the 24 bits that these ranges may take (None: a
    half, or a quarter where something learns, and will drive neurons otherwise than at the start).
    plasticity: "process" (traces and eligibility in float), or "loihi": every rule on the chip's learning engine, all of it whole
    numbers; QuantizationError naming the rule and the part that cannot be said there. It needs trials in which the third factor acts.
    """
    if plasticity not in PLASTICITY:
        raise QuantizationError("plasticity is not known", got=repr(plasticity), allowed=", ".join(PLASTICITY))
    trials = (1 if plasticity == "process" else SCALING_TRIALS) if trials is None else trials
    if headroom is None:
        headroom = LEARNING_HEADROOM if any(isinstance(op, Learn) for op in program.after) else HEADROOM
    usual = {a for op in program.after if isinstance(op, Learn) for a in signals(op)} if plasticity == "loihi" else set()
    ranges = measured_ranges(program, trials, usual) | dict(ranges or {}) if trials else dict(ranges or {})
    return _Pass(program, formats, ranges, headroom, plasticity).quantized()


class _Pass:
    def __init__(self, program: StepProgram, formats: Formats, ranges: Ranges, headroom: float, plasticity: str) -> None:
        self.program, self.formats, self.ranges, self.headroom, self.plasticity = program, formats, ranges, headroom, plasticity
        self.notes: list[Note] = []
        self.delivers = {op.projection: op for op in program.before if isinstance(op, Deliver)}
        self.learns = {
            op.projection: op for op in (*program.after, *(e.learn for e in program.trial_end if isinstance(e, EndLearn)))
            if isinstance(op, Learn)
        }
        self.neurons: dict[str, PlacedNeuron] = {}
        self.weights: dict[str, PlacedWeights] = {}

    def note(self, node: str, what: str, asked: object, got: object) -> None:
        array = self.program.arrays.get(f"{node}_weight")
        self.notes.append(Note(node, what, str(asked), str(got), array.where if array else None))

    def quantized(self) -> Quantized:
        for op in self.program.neurons:
            incoming = {n.removeprefix("in_"): n for n in op.bind if n.startswith("in_") and n.removeprefix("in_") in self.delivers}
            membrane = membrane_of(op, self.program)
            if isinstance(membrane, Membrane):
                self.population(op, membrane)
            elif any(name in self.delivers for name in incoming):
                self.note(op.owner, "place", "on chip", f"simulator only, in float: {membrane}")
            else:
                self.note(op.owner, "place", "on chip", "input, made by the host")
            for name in incoming:
                if name not in self.weights and not any(n.node == name and n.what == "weights" for n in self.notes):
                    self.free_weights(name)
        owners = {op.owner for op in self.program.neurons}
        for name in self.program.populations:
            if name not in owners:
                self.note(name, "place", "on chip", "input, made by the host")
        for name, deliver in self.delivers.items():
            if deliver.release is not None:
                self.note(name, "release", "on chip", "simulator only, in float: the chip's synapses have no chance of release")
            if deliver.noise is not None:
                self.note(name, "noise of the weights", "on chip", "simulator only, in float: the chip's synapses have no noise")
        rules = {name: rule for name, learn in self.learns.items() if (rule := self.rule(name, learn)) is not None}
        notes = (*self.program.notes, *self.notes)
        whole, fractions = (
            rewrite(self.program, self.neurons, self.weights, self.formats, rounded, rules if rounded else None, notes=notes)
            for rounded in (True, False)
        )
        return Quantized(whole, fractions, self.neurons, self.weights, rules, self.formats)

    def rule(self, name: str, learn: Learn) -> ChipRule | None:
        """The rule on the learning engine, or None where it stays as it is; each with its notes."""
        try:
            check_sayable(self.program, learn)
            if self.plasticity == "process":
                why = "the process form, as asked (plasticity='loihi' puts it on the chip's learning engine)"
            elif name not in self.weights:
                raise Unsayable("weights", "they start at zero and learn without bounds, so their range is not known", "bounds, or ranges")
            else:
                rule = chip_rule(self.program, learn, self.weights[name], self.ranges, self.formats)
                self.note(name, "rule", "float", "on chip, if the assumptions hold that its parts name")
                self.notes += rule.notes
                return rule
        except Unsayable as error:
            if self.plasticity == "loihi":
                raise QuantizationError(
                    f"the rule of '{name}' cannot be said in {self.formats.name}'s learning engine", got=str(error),
                    where=self.program.arrays[learn.target].where, do=f"{error.do or 'another rule'}; or plasticity='process'",
                ) from None
            why = f"the learning engine cannot say its {error}"
        if name in self.weights and learn.target == self.delivers[name].weight:
            self.note(name, "rule", "float", "weights rounded at random, each synapse for itself; traces and eligibility in float: "
                      f"simulator only: {why}")
            if learn.low is None or learn.high is None:
                unit = float(np.max(self.weights[name].unit))
                low, high, _ = self.formats.weight_range(self.weights[name].weights.mode)
                asked = " to ".join("none" if b is None else f"{b:.6g}" for b in (learn.low, learn.high))
                got = f"{low * unit:.6g} to {high * unit:.6g}: those of the format, where nothing nearer is asked"
                self.note(name, "bounds", asked, got)
        else:
            self.note(name, "rule", "float", f"simulator only, in float: {why}")
        return None

    def largest(self, name: str) -> tuple[float, str]:
        """(largest magnitude that the weights of a projection may have, their sign mode)."""
        weights = np.asarray(self.program.arrays[self.delivers[name].weight].initial)
        most, learn = float(np.max(np.abs(weights), initial=0.0)), self.learns.get(name)
        if learn is None or learn.target != self.delivers[name].weight:
            return most, sign_mode(weights)
        if self.delivers[name].weight in self.ranges:
            given = self.ranges[self.delivers[name].weight]
            return max(most, *map(abs, given)), sign_mode(weights, *given)
        bounds = [abs(b) for b in (learn.low, learn.high) if b is not None]
        if self.unknown(name):
            raise QuantizationError(
                f"the weights of '{name}' start at zero and learn without bounds: how large they become is not known",
                do=f"give the rule bounds, or quantize(program, ranges={{'{self.delivers[name].weight}': (low, high)}}), or start from "
                "learned weights",
            )
        grows = most * ROOM_TO_LEARN if learn.low is None or learn.high is None else 0.0
        low = learn.low if learn.low is not None else -np.inf
        high = learn.high if learn.high is not None else np.inf
        return max(most, grows, *bounds), sign_mode(weights, low, high)

    def unknown(self, name: str) -> bool:
        """Whether nobody can say how large the weights of a projection become: they start at zero and learn without bounds."""
        deliver, learn = self.delivers[name], self.learns.get(name)
        if learn is None or learn.target != deliver.weight or deliver.weight in self.ranges:
            return False
        return not np.any(self.program.arrays[deliver.weight].initial) and (learn.low is None or learn.high is None)

    def free_weights(self, name: str) -> None:
        """Weights into a population that stays float: a grid of their own."""
        if self.unknown(name):
            self.note(name, "weights", "on chip", "simulator only, in float: they start at zero and learn without bounds, so their range "
                      "is not known (give ranges, or bounds)")
            return
        most, mode = self.largest(name)
        top = max(abs(n) for n in self.formats.weight_range(mode)[:2] if n != -(2**self.formats.weight_bits)) if most else 1
        unit = most / top if most else 1.0
        self.place(name, np.full(self.delivers[name].synapses.n_post, unit), 0, mode)

    def place(self, name: str, unit: np.ndarray, exponent: int, mode: str) -> None:
        """Put the weights of a projection on its grid, and note how far they moved."""
        deliver = self.delivers[name]
        weights = np.asarray(self.program.arrays[deliver.weight].initial)
        each = unit[np.asarray(self.program.arrays[deliver.synapses.post].initial)]
        scale = 2.0 ** (self.formats.alignment + exponent) / each
        values = weights_to_integers(weights, scale, exponent, mode, self.formats)
        self.weights[name] = PlacedWeights(IntegerWeights(values, exponent, mode), unit)
        if weights.size:
            moved, step = values * each - weights, self.formats.weight_range(mode)[2]
            self.note(
                name, "weights", f"{weights.min():.6g} to {weights.max():.6g}",
                f"{values.min():.0f} to {values.max():.0f} x 2^{exponent}, {mode}, step {step * np.max(unit):.3g}; moved by "
                f"{np.max(np.abs(moved)):.3g} at most",
            )

    def population(self, op: Map, membrane: Membrane) -> None:
        """Choose the scale of a leaky integrator and write down its integers."""
        formats, name = self.formats, op.owner
        threshold = membrane.threshold
        origin = membrane.reset if threshold is not None else np.zeros(op.size)
        bias = membrane.bias - origin * (1.0 - membrane.keep)
        above = None if threshold is None else threshold - origin
        groups, graded = self._groups(op, membrane)
        scale = self._scale(op, membrane, origin, bias, above, groups)
        exponents = {}
        for p, gain in [(p, gain) for _, members in groups for p, gain in members]:
            most, mode = self.largest(p)
            top = formats.weight_range(mode)[1] if mode != "inhibitory" else -formats.weight_range(mode)[0]
            need = scale * most * float(np.max(np.abs(gain), initial=0.0)) / (top * 2.0**formats.alignment)
            low, high = formats.weight_exponents
            exponents[p] = int(np.clip(np.ceil(np.log2(need) - 1e-12), low, high)) if need > 0 else 0
            unit = 2.0 ** (formats.alignment + exponents[p]) / (scale * np.where(gain == 0, 1.0, gain))
            self.place(p, np.broadcast_to(unit, (op.size,)).copy(), exponents[p], mode)
        currents = []
        for decay, members in groups:
            du = np.clip(np.rint((1.0 - decay) * formats.unity) - 1.0, 0, formats.unity - 1)
            currents.append(IntegerCurrent(du, tuple(p for p, _ in members)))
            self._changed(name, f"decay of the current of {', '.join(p for p, _ in members)}", decay, 1.0 - (du + 1.0) / formats.unity)
        dv = np.clip(np.rint((1.0 - membrane.keep) * formats.unity), 0, formats.unity - 1)
        self._changed(name, "decay of the membrane", membrane.keep, 1.0 - dv / formats.unity)
        counts = bias * scale
        largest = float(np.max(np.abs(counts), initial=0.0))
        exponent = int(np.clip(np.ceil(np.log2(max(largest, 1.0) / formats.bias_limit)), *formats.bias_exponents))
        mantissa = np.rint(counts / 2.0**exponent)
        self._changed(name, "bias per step", bias, mantissa * 2.0**exponent / scale)
        vth = None if above is None else np.rint(above * scale / 2.0**formats.alignment)
        if vth is not None and above is not None:
            self._changed(name, "threshold above reset", above, vth * 2.0**formats.alignment / scale)
        pushes = {n: gain * scale for n, gain in membrane.steady.items()} | {f"in_{p}": gain * scale for p, gain in graded}
        beyond = self._beyond(membrane, currents, vth)
        self.note(name, "scale", "float", f"{scale:.6g} counts a unit; 2^{np.log2(scale):.1f}")
        if vth is None:
            self.note(name, "place", "on chip", "on chip, if a neuron that never fires is read through its voltage")
        else:
            self.note(name, "place", "on chip", "on chip: LIF" if not beyond else f"on chip, if microcoded: {', '.join(beyond)}")
        self.neurons[name] = PlacedNeuron(
            IntegerNeuron(dv, mantissa, exponent, vth, tuple(currents), beyond), membrane, scale, origin, pushes
        )

    def _groups(self, op: Map, membrane: Membrane) -> tuple[list, list]:
        """Projections that share a current, as (decay, [(projection, gain)]), and graded ones, whose input is no count of weights."""
        groups: list[tuple[np.ndarray, list[tuple[str, np.ndarray]]]] = []
        read = self._read_elsewhere(op)
        graded = []

        def put(decay: np.ndarray, projection: str, gain: np.ndarray, alone: bool) -> None:
            for other, members in groups:
                if not alone and np.array_equal(other, decay) and not any(op.bind.get(f"i_{p}") in read for p, _ in members):
                    members.append((projection, gain))
                    return
            groups.append((decay, [(projection, gain)]))

        for name, (decay, gain) in membrane.currents.items():
            put(decay, name[2:], gain, op.bind[name] in read)
        for name, gain in membrane.inputs.items():
            if self.unknown(name[3:]):
                self.free_weights(name[3:])
                graded.append((name[3:], gain))
            elif self.delivers[name[3:]].spiking:
                put(np.zeros(op.size), name[3:], gain, False)
            else:
                graded.append((name[3:], gain))
        return groups, graded

    def _read_elsewhere(self, op: Map) -> set[str]:
        """Arrays of a population that rules, other statements or monitors read."""
        from neuroplast.backends.cpp.access import reads

        read = {recording.array for recording in self.program.recordings}
        for other in (*self.program.before, *self.program.after, *self.program.trial_end):
            read |= reads(other)
        return read | {array for name, array in op.bind.items() for t, e in op.code if t == "noise" and name in e.names}

    def _scale(
        self, op: Map, membrane: Membrane, origin: np.ndarray, bias: np.ndarray, above: np.ndarray | None, groups: list
    ) -> float:
        """Counts a unit: as many as the 24 bits, the threshold and the bias allow, and such that the strongest weight uses its bits."""
        formats = self.formats
        away = [np.abs(edge - origin) for edge in self._range(op.bind[membrane.variable])]
        away += [above] if above is not None else []
        for name, (_, gain) in membrane.currents.items():
            away += [np.abs(edge * gain) * len(membrane.currents) for edge in self._range(op.bind[name])]
        reach = max((float(np.max(a, initial=0.0)) for a in away), default=0.0)
        limits = [self.headroom * formats.state_limit / reach] if reach > 0 else []
        if above is not None:
            limits.append(formats.threshold_limit * 2.0**formats.alignment / float(np.max(above)))
        if np.any(bias):
            limits.append(formats.bias_limit * 2.0 ** formats.bias_exponents[1] / float(np.max(np.abs(bias))))
        strongest = []
        for p, gain in [(p, gain) for _, members in groups for p, gain in members]:
            most, mode = self.largest(p)
            top = formats.weight_range(mode)[1] if mode != "inhibitory" else -formats.weight_range(mode)[0]
            if most > 0 and np.any(gain):
                strongest.append(most * float(np.max(np.abs(gain))) / top)
        scale = min(limits, default=2.0 ** (formats.state_bits // 2))
        if strongest:
            exponent = min(np.floor(np.log2(scale * max(strongest))) - formats.alignment, formats.weight_exponents[1])
            if exponent >= formats.weight_exponents[0]:
                scale = min(scale, 2.0 ** (formats.alignment + exponent) / max(strongest))
        return float(scale)

    def _range(self, array: str) -> tuple[float, float]:
        """Of an array in the float run; that of its initial values where it is not known."""
        initial = np.asarray(self.program.arrays[array].initial)
        return self.ranges.get(array, (float(np.min(initial, initial=0.0)), float(np.max(initial, initial=0.0))))

    def _changed(self, node: str, what: str, asked: np.ndarray, got: np.ndarray) -> None:
        """A note where numbers are not exactly as asked."""
        asked, got = np.atleast_1d(asked), np.atleast_1d(got)
        if np.array_equal(asked, got):
            return
        at = int(np.argmax(np.abs(np.broadcast_to(got, asked.shape) - asked)))
        which = "" if np.ptp(asked) == 0 else f" (neuron {at})"
        self.note(node, what, f"{asked[at]:.6g}{which}", f"{np.broadcast_to(got, asked.shape)[at]:.6g}{which}")

    @staticmethod
    def _beyond(membrane: Membrane, currents: list[IntegerCurrent], vth: np.ndarray | None) -> tuple[str, ...]:
        """What a neuron has that the chip's LIF has not."""
        shared = lambda values: np.ptp(values) == 0 if values.size else True
        found = [f"{len(currents)} currents"] if len(currents) > 1 else []
        found += ["refractory period"] if membrane.refractory else []
        found += [f"{name}" for name in membrane.steady]
        found += ["a decay for each neuron"] if not all(shared(c.du) for c in currents) else []
        found += ["a threshold for each neuron"] if vth is not None and not shared(vth) else []
        return tuple(found)


__all__ = ["Quantized", "Ranges", "measured_ranges", "quantize"]

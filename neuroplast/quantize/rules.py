"""A three-factor rule in the words of a chip's learning engine: traces x on 7 bits, eligibility in the tag, reward as graded y.

    w += step_rate M e          ->  dw = 4 2^e u0 t y2 - 4 2^e u0 t y3      y2, y3: the positive and the negative part of M
    e <- decay e + gain drive   ->  dt = k u0 x1 (y1 - 64) - m 2^-e u0 t        a term for each product of the drive

A coefficient of the engine is m 2^e with m up to 7, so it is not free; how many counts of the tag and of the reward are one is, and both
are chosen such that the first product of dt and those of dw are exact. All other numbers go to the nearest there is, and are noted.
A reward is rounded at random to few counts, so that slow rules are told as rare rewards, without bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from neuroplast.expressions import expression
from neuroplast.ir.program import (
    TAG_RANGE,
    TRACE_MAX,
    Array,
    ChipLearn,
    ChipProduct,
    ChipTrace,
    Deliver,
    Draw,
    EndLearn,
    Learn,
    Map,
    Note,
    StepProgram,
)
from neuroplast.quantize.formats import Formats
from neuroplast.quantize.rewrite import PlacedWeights

PLASTICITY = ("process", "loihi")
"""Forms of rules in integers: traces and eligibility in float, or all of it on the learning engine."""
ROOM = 0.8
"""Part of the tag that the eligibility of the float run may take."""
CENTRE = 64
"""Stands for zero where a graded value has a sign."""
COARSEST = 14
"""The largest value of a factor has this many counts at least."""
REWARDS = 15
"""y2 and y3 are 8 k, with k up to this."""
EXPONENTS = (-7, 8)
MANTISSA = 7


class Unsayable(Exception):
    """What of a rule the learning engine cannot be told: the part, why, and what to do about it."""

    def __init__(self, part: str, why: str, do: str | None = None) -> None:
        super().__init__(f"{part}: {why}")
        self.part, self.why, self.do = part, why, do


@dataclass(frozen=True, eq=False)
class ChipRule:
    """What takes the place of a Learn: draws before a step, ``after`` in its place, ``end`` in that of its EndLearn; and new arrays.

    unread: arrays that nothing of the rule reads any more.
    """

    draws: tuple[Draw, ...]
    after: tuple[Draw | Map | ChipLearn, ...]
    end: tuple[Draw | Map | ChipLearn, ...]
    arrays: Mapping[str, Array]
    notes: tuple[Note, ...]
    unread: frozenset[str]


def check_sayable(program: StepProgram, learn: Learn) -> None:
    """Unsayable where the form of a rule is not one of the engine's, whatever its numbers are."""
    weight = {op.projection: op.weight for op in program.before if isinstance(op, Deliver)}[learn.projection]
    if learn.target != weight:
        raise Unsayable("target", "the engine changes weights, and this rule the chance of release")
    if len(learn.eligibility) > 1:
        raise Unsayable(
            "eligibility", f"a kernel of order {len(learn.eligibility) - 1}, and a tag only decays", "give the eligibility order 0"
        )
    if learn.update == "deferred":
        raise Unsayable(
            "update", "'deferred' keeps changes until the trial ends, and the engine has no memory for them",
            "update='continuous' or 'episodic'",
        )
    if learn.max_change is not None:
        raise Unsayable("max_change", "the engine has no bound of a change", "leave max_change out")
    spikes = _spike_arrays(program)
    for side, most, where in (("pre", 2, "x1 and x2"), ("post", 1, "y1, as y2 and y3 carry the reward")):
        graded = {array for p in learn.products for array, _ in getattr(p, side) if array not in spikes}
        if len(graded) > most:
            raise Unsayable(f"{side}synaptic factors", f"{', '.join(sorted(graded))} are {len(graded)}, and there is {where}")
    before = {array for p in learn.products for array, _ in p.pre if array not in spikes}
    sent = sorted(array for array in before if program.arrays[array].trace is None)
    if sent and len(before) > 1:
        raise Unsayable("presynaptic factors", f"{', '.join(sorted(before))}: a graded spike can overwrite x1, and then there is no other")
    own = {array for p in learn.products for array, _ in p.synapse} - {learn.target}
    if own:
        raise Unsayable("synaptic factors", f"the engine does not see {', '.join(sorted(own))}")
    if 0.0 < learn.decay < 1.0 and 1.0 - learn.decay < 0.75 * 2.0 ** EXPONENTS[0]:
        raise Unsayable(
            "eligibility", f"a time constant of {-1.0 / np.log(learn.decay):.0f} steps, and a tag forgets 2^-7 in a step at least",
            "a larger dt, or tau of up to 170 steps",
        )


def signals(learn: Learn) -> set[str]:
    """Arrays whose ranges in a float run say how the rule is scaled."""
    factors = {array for p in learn.products for array, _ in (*p.pre, *p.post)}
    return factors | {learn.modulator, learn.eligibility[-1]}


def chip_rule(
    program: StepProgram, learn: Learn, placed: PlacedWeights, ranges: Mapping[str, tuple[float, float]], formats: Formats
) -> ChipRule:
    """The rule on the learning engine. ranges: of its ``signals``. Unsayable where it, or one of its numbers, has no place there."""
    check_sayable(program, learn)
    return _Rule(program, learn, placed, ranges, formats).lowered()


def _spike_arrays(program: StepProgram) -> set[str]:
    arrived = {str(op.arrived) for op in program.before if isinstance(op, Deliver) and op.spiking and op.arrived is not None}
    return arrived | {f"{population}_spikes" for population in program.populations}


def nearest(value: float) -> tuple[int, int] | None:
    """(m, e) such that m 2^e is next to a value, None where it would be nothing or there is nothing as large."""
    low, high = EXPONENTS
    if not 2.0 ** (low - 1) < abs(value) <= (MANTISSA + 0.5) * 2.0**high:
        return None
    pairs = [(m, e) for e in range(low, high + 1) for m in range(1, MANTISSA + 1)]
    m, e = min(pairs, key=lambda p: (abs(p[0] * 2.0 ** p[1] - abs(value)), p[1]))
    return (m if value > 0 else -m), e


def _at_most(value: float) -> float | None:
    """The largest m 2^e up to a value."""
    found = [m * 2.0**e for e in range(EXPONENTS[0], EXPONENTS[1] + 1) for m in range(1, MANTISSA + 1) if m * 2.0**e <= value * (1 + 1e-12)]
    return max(found, default=None)


@dataclass
class _Value:
    """A factor of the drive as the engine sees it: scale counts for one, plus offset."""

    array: str
    scale: float
    offset: int = 0
    trace: bool = False
    tau: float = 0.0


@dataclass
class _Rule:
    program: StepProgram
    learn: Learn
    placed: PlacedWeights
    ranges: Mapping[str, tuple[float, float]]
    formats: Formats
    arrays: dict[str, Array] = field(default_factory=dict)
    values: dict[str, _Value] = field(default_factory=dict)  # variable -> what it stands for
    notes: list[Note] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.learn.projection
        unit = np.asarray(self.placed.unit)
        if np.ptp(unit) > 1e-9 * float(np.max(np.abs(unit), initial=0.0)):
            raise Unsayable("rate", "the postsynaptic neurons differ in gain, so that one change of weight is not one number for all")
        self.unit = float(unit.flat[0]) if unit.size else 1.0

    def note(self, what: str, asked: object, got: str) -> None:
        self.notes.append(Note(self.name, f"rule: {what}", str(asked), got, self.program.arrays[self.learn.target].where))

    def peak(self, array: str) -> tuple[float, float]:
        """(least, largest magnitude) of a signal."""
        low, high = self.ranges.get(array, (0.0, 0.0))
        if not max(-low, high) > 0.0:
            raise Unsayable(
                "range", f"'{array}' is zero in the float run, so its scale is not known",
                f"quantize with more trials, or ranges={{'{array}': (low, high)}}",
            )
        return low, max(-low, high)

    def lowered(self) -> ChipRule:
        learn, name = self.learn, self.name
        products = [(p.coefficient * learn.gain, self._factors(p)) for p in learn.products]
        shapes = [self._shape(variables) for _, variables in products]
        dt, tag_scale = self._drive(products, shapes)
        dw, reward = self._change(tag_scale)
        draws, traces, maps, values = self._inputs()
        low, high, step = self.formats.weight_range(self.placed.weights.mode)
        self._note_bounds(low, high)
        between = any(p.exponent < 0 for p in dt)
        op = ChipLearn(
            name, learn.synapses, learn.target, self.unit, learn.eligibility[-1], values, traces, dw, dt, low, high, step,
            f"{name}/rounding", f"{name}/rounding" if between else None,
        )
        last = replace(op, traces=(), dt=(), round_weights=f"{name}/last rounding", round_tags=None, each="trial")
        for which in ("dt", "dw"):
            self.note(which, {"dt": "eligibility", "dw": "weight change"}[which], f"on chip: {which} = {op.text(which)}")
        self.note("rounding", "none", "on chip, if it rounds each synapse for itself (Lava's own model has one random number for all)")
        episodic = learn.update == "episodic"
        closing = any(isinstance(e, EndLearn) and e.learn.projection == name and e.closing for e in self.program.trial_end)
        after: list[Draw | Map | ChipLearn] = [*maps]
        if episodic:
            op = replace(op, dw=(), round_weights=None)
        else:
            draw, encode = self._rewards(reward, "step")
            draws = (*draws, draw)
            after.append(encode)
        end = (*self._rewards(reward, "trial"), last) if episodic or closing else ()
        unread = frozenset(value.array for value in self.values.values() if value.trace)
        return ChipRule(draws, (*after, op), end, self.arrays, tuple(self.notes), unread)

    # --- the drive ------------------------------------------------------------------------------------------------------------

    def _factors(self, product: object) -> list[str]:
        """The variables that a product of the drive multiplies, those with a power as often as it says."""
        found = []
        for side in ("pre", "post", "synapse"):
            for array, power in getattr(product, side):
                found += [self._variable(side, array)] * power
        return found

    def _variable(self, side: str, array: str) -> str:
        known = next((v for v, value in self.values.items() if value.array == array), None)
        if known is not None:
            return known
        if side == "synapse":
            self.values["w"] = _Value(array, 1.0 / self.unit)
            return "w"
        if array in _spike_arrays(self.program):
            variable = "x0" if side == "pre" else "y0"
            self.values[variable] = _Value(array, 1.0)
            return variable
        variable = next(v for v in (("x1", "x2") if side == "pre" else ("y1",)) if v not in self.values)
        low, most = self.peak(array)
        law = self.program.arrays[array].trace
        if side == "pre" and law is not None:
            impulse = int(np.clip(np.floor(TRACE_MAX / most), 1, TRACE_MAX))
            self.values[variable] = _Value(array, float(impulse), trace=True, tau=-1.0 / np.log(law.decay) if law.decay else 0.0)
        elif low < 0.0 or side == "pre":  # a graded spike of nothing is none, so what a presynaptic neuron sends is never 0
            self.values[variable] = _Value(array, (CENTRE - 1) / most, CENTRE)
        else:
            self.values[variable] = _Value(array, TRACE_MAX / most)
        return variable

    def _drive(
        self, products: list[tuple[float, list[str]]], shapes: list[ChipProduct]
    ) -> tuple[tuple[ChipProduct, ...], float]:
        """(dt, counts of the tag for a unit of eligibility)."""
        learn = self.learn
        _, most = self.peak(learn.eligibility[-1])
        tag_scale = ROOM * TAG_RANGE[1] / most

        def literal(k: int, scale: float) -> float:
            """The coefficient of the language that is wanted for product k."""
            coefficient, variables = products[k]
            return coefficient * scale / float(np.prod([self.values[v].scale for v in variables])) * 2.0 ** shapes[k].shift

        while products and _at_most(abs(literal(0, tag_scale))) is None:
            coarse = [v for v in dict.fromkeys(products[0][1]) if self._halved(v) is not None]
            if not coarse:
                raise Unsayable("eligibility", "a step adds less to it than a tag can take", "a shorter tau, or a larger dt")
            chosen = max(coarse, key=lambda v: (self.values[v].scale * self.peak(self.values[v].array)[1], v))
            self.values[chosen].scale = float(self._halved(chosen) or 1.0)
        if products:
            exact = _at_most(abs(literal(0, tag_scale)))
            assert exact is not None
            tag_scale *= exact / abs(literal(0, tag_scale))
        terms = []
        for k, shape in enumerate(shapes):
            found = nearest(literal(k, tag_scale))
            if found is None:
                raise Unsayable("eligibility", f"its products differ so much in size that '{shape}' has no coefficient m 2^e")
            terms.append(replace(shape, mantissa=found[0], exponent=found[1]))
            if k:
                ratio = found[0] * 2.0 ** found[1] / literal(k, tag_scale)
                self.note(f"product {k + 1} of the drive", f"{products[k][0]:.6g}", f"{products[k][0] * ratio:.6g}")
        largest = f"{tag_scale * most:.0f} of 255 at the largest of the float run"
        self.note("scale of the tag", "float", f"{tag_scale:.6g} counts a unit, {largest}")
        if learn.decay < 1.0:
            m, e = nearest(1.0 - learn.decay) or (1, EXPONENTS[0])
            terms.append(ChipProduct(-m, e, "u0", (("t", 0),)))
            if learn.decay:
                steps = lambda kept: f"{-1.0 / np.log(kept):.4g} steps" if kept > 0 else "none"
                self.note("memory of the tag", steps(learn.decay), steps(1.0 - m * 2.0**e))
        return tuple(terms), tag_scale

    def _halved(self, variable: str) -> float | None:
        """A coarser scale, None where it would be too coarse."""
        value = self.values[variable]
        if variable in ("x0", "y0", "w") or value.scale * self.peak(value.array)[1] < COARSEST:
            return None
        return float(max(1, int(value.scale) // 2)) if value.trace else value.scale / 2

    def _shape(self, variables: list[str]) -> ChipProduct:
        """A product without its coefficient. A spike is the dependency, which takes no bits."""
        gate = next((v for v in ("y0", "x0") if v in variables), "u0")
        rest = [v for v in variables if v != gate]
        shape = ChipProduct(1, 0, gate, tuple((v, -self.values[v].offset) for v in rest))
        if shape.bits > 31:
            raise Unsayable("eligibility", f"'{shape}' needs {shape.bits} bits, and the engine has 31")
        return shape

    # --- the change of weight -------------------------------------------------------------------------------------------------

    def _change(self, tag_scale: float) -> tuple[tuple[ChipProduct, ...], float]:
        """(dw, pulses of reward for a unit of the third factor).

        t y2 has 16 bits and the engine drops 5 of a product with a mantissa, always downwards: that would be a drift of all weights in
        every step with a reward. With y2 = 8 k and the mantissa 4, k a whole number, nothing is dropped: dw = 2^e t k.
        """
        learn = self.learn
        _, most = self.peak(learn.modulator)
        rate = learn.rate if learn.update == "episodic" else learn.step_rate
        wanted = abs(rate) / (self.unit * tag_scale)  # change of W for a count of the tag and a unit of the third factor
        low, high = EXPONENTS
        exponent = max(low, int(np.ceil(np.log2(wanted * most / REWARDS) - 1e-9))) if wanted else low
        if exponent > high:
            most_times = f"a reward changes weights by {wanted * most:.3g} times the tag, and {REWARDS} 2^8 is the most"
            raise Unsayable("rate", most_times, "a smaller rate")
        mantissa = 4 if rate > 0 else -4
        dw = tuple(ChipProduct(sign * mantissa, exponent, "u0", (("t", 0), (y, 0))) for sign, y in ((1, "y2"), (-1, "y3")))
        pulses = wanted * 2.0**-exponent
        self.note(
            "third factor", learn.modulator, "on chip, if microcode sends it as y2 (positive part) and y3 (negative part), 8 k with k up "
            f"to {REWARDS}: {pulses:.6g} a unit, rounded at random",
        )
        return dw if wanted else (), pulses

    # --- what the engine reads ------------------------------------------------------------------------------------------------

    def _array(self, suffix: str, size: int, kind: str, reset: bool = False) -> str:
        full = f"{self.name}_{suffix}"
        self.arrays[full] = Array(full, np.zeros(size), "1", kind, reset)
        return full

    def _inputs(self) -> tuple[tuple[Draw, ...], tuple[ChipTrace, ...], tuple[Map, ...], tuple[tuple[str, str], ...]]:
        draws, traces, maps, values = [], [], [], []
        s = self.learn.synapses
        for variable, value in self.values.items():
            if variable == "w":
                continue
            if variable in ("x0", "y0"):
                values.append((variable, value.array))
                continue
            side, size = ("pre", s.n_pre) if variable[0] == "x" else ("post", s.n_post)
            source = self.program.arrays[value.array]
            array = self._array(variable, size, "state", source.reset)
            values.append((variable, array))
            if value.trace:
                assert source.trace is not None
                uniform = self._array(f"{variable}_uniform", size, "scratch")
                draws.append(Draw(uniform, "uniform", f"{self.name}/rounding of {variable}", probe=False))
                traces.append(ChipTrace(variable, array, source.trace.arrived, uniform, value.tau, int(value.scale)))
                self.note(
                    f"presynaptic trace {variable}", f"{value.tau:.6g} steps", f"on chip: 7 bits, impulse {int(value.scale)}, decay "
                    "rounded at random, if the engine sees a spike when it arrives (Lava's LearningDense: a step before)",
                )
                continue
            least = 1.0 if side == "pre" else 0.0
            text = f"clip(floor(f*{value.scale!r} + 0.5) + {float(value.offset)!r}, {least!r}, {float(TRACE_MAX)!r})"
            maps.append(Map(f"{self.name}_{side}", size, (("y", expression(text)),), {"f": value.array, "y": array}))
            how = "as a graded spike that overwrites the trace" if side == "pre" else "from its microcode"
            self.note(
                f"{side}synaptic factor {variable}", value.array, f"on chip, if the {side}synaptic neuron sends it {how}: "
                f"{f'{value.offset} + ' if value.offset else ''}{value.scale:.6g} counts a unit, 0 to 127",
            )
        values += [("y2", self._array("y2", 1, "scratch")), ("y3", self._array("y3", 1, "scratch"))]
        return tuple(draws), tuple(traces), tuple(maps), tuple(values)

    def _rewards(self, scale: float, each: str) -> tuple[Draw, Map]:
        """y2 and y3 from the third factor, which is one number; the random number with which it is rounded."""
        which = "reward" if each == "step" else "last reward"
        uniform = self._array(f"{which.replace(' ', '_')}_uniform", 1, "scratch")
        bind = {"m": self.learn.modulator, "u": uniform, "y2": f"{self.name}_y2", "y3": f"{self.name}_y3"}
        code = tuple(
            (y, expression(f"8.0*clip(floor({sign}m*{scale!r} + u), 0.0, {float(REWARDS)!r})")) for y, sign in (("y2", ""), ("y3", "-"))
        )
        draw = Draw(uniform, "uniform", f"{self.name}/rounding of {which}", probe=False, each=each)
        return draw, Map(f"{self.name}_post", 1, code, bind)

    def _note_bounds(self, low: int, high: int) -> None:
        asked = tuple(self.learn.low if k == 0 else self.learn.high for k in range(2))
        got = (low * self.unit, high * self.unit)
        if any(a is None or abs(a - g) > 1e-9 * max(abs(g), abs(self.unit)) for a, g in zip(asked, got, strict=True)):
            show = lambda pair: " to ".join("none" if v is None else f"{v:.6g}" for v in pair)
            self.note("bounds", show(asked), f"on chip: {show(got)}, those of the format")


__all__ = ["PLASTICITY", "ChipRule", "Unsayable", "check_sayable", "chip_rule", "nearest", "signals"]

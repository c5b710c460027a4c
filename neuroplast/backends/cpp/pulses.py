"""The form ``Pulses``: its loops are in pulses.h."""

from __future__ import annotations

import math

from neuroplast.backends.cpp.dense import bounds_each_step, end_learn, tag
from neuroplast.backends.cpp.factors import Outer, Side, fill, outer_products
from neuroplast.backends.cpp.header import LAST_DIGITS, is_pulse, pre_values, rule_constants
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import EndLearn, Learn, StepProgram

LONGEST = 8192


def has_pulses(program: StepProgram, learn: Learn) -> bool:
    """Whether bounds act in every step, and every term of the drive needs a spike of one side."""
    outers = outer_products(learn, learn.products)
    rare = all(is_pulse(program, outer) or _fired(program, outer.post) for outer in outers)
    return bounds_each_step(learn) and rare and 0.0 < learn.decay <= 1.0


def _fired(program: StepProgram, side: Side) -> bool:
    """Whether a side is zero but for units that fire."""
    spikes = {f"{name}_spikes" for name in program.populations}
    return all(any(array in spikes for array, _ in factors) for _, factors in side.terms)


class Pulses:
    """Synapses are touched when a spike arrives or their postsynaptic unit fires; see pulses.h."""

    headers: tuple[str, ...] = ("pulses.h",)
    maintained: frozenset[str] = frozenset()
    got = "at spikes of either side only, with bounds in each step"

    def __init__(self, program: StepProgram, learn: Learn, names: Names) -> None:
        self.program, self.learn, self.names = program, learn, names
        self.outers = outer_products(learn, learn.products)
        self.stale = frozenset({*learn.eligibility, learn.target})
        self.pulses, self.post = f"pulses_{tag(learn, names)}", f"post_{tag(learn, names)}"

    def declare(self) -> list[str]:
        learn, name = self.learn, f"Rule_{tag(self.learn, self.names)}"
        span = LONGEST if learn.decay == 1.0 else max(1, min(LONGEST, int(math.log(LAST_DIGITS) / math.log(learn.decay))))
        limits = {
            "low": -math.inf if learn.low is None else learn.low, "high": math.inf if learn.high is None else learn.high,
        }
        constants = rule_constants(learn, self.names, len(self.outers), {"span": span}, {"decay": learn.decay, **limits})
        s = learn.synapses
        scratch = f"alignas(64) static double factor_{tag(learn, self.names)}[{s.n_pre}], {self.post}[{s.n_post}];"
        return [*constants, "};", f"static Pulses<{name}> {self.pulses};", scratch]

    def bind(self) -> list[str]:
        s, names = self.learn.synapses, self.names
        arrays = (self.learn.target, self.learn.eligibility[0], s.row_start, s.pre, s.post)
        return [f"{self.pulses}.bind({', '.join(names(array) for array in arrays)});"]

    def start(self) -> list[str]:
        return [f"{self.pulses}.start();"]

    def step(self) -> list[str]:
        learn, names = self.learn, self.names
        lines = ["{", f"{self.pulses}.step({number(learn.step_rate)}*{names(learn.modulator)}[0]);"]
        for outer in self.outers:
            lines += self._rows(outer) if is_pulse(self.program, outer) else self._columns(outer)
        return [*lines, f"{self.pulses}.close();", "}"]

    def _rows(self, outer: Outer) -> list[str]:
        """Rows whose presynaptic factor is not zero; the postsynaptic factor is made when there is one."""
        learn, names, s = self.learn, self.names, self.learn.synapses
        made, pre = pre_values(names, outer.pre, f"factor_{tag(learn, names)}", s.n_pre)
        return [
            "{", *made, f"bool any = false; for (long j = 0; j < {s.n_pre}; ++j) any |= {pre}[j] != 0.0;", "if (any) {",
            *fill(names, outer.post, self.post, s.n_post),
            f"for (long j = 0; j < {s.n_pre}; ++j) {self.pulses}.row(j, {pre}[j], {self.post});", "}", "}",
        ]

    def _columns(self, outer: Outer) -> list[str]:
        learn, names, s = self.learn, self.names, self.learn.synapses
        made, pre = pre_values(names, outer.pre, f"factor_{tag(learn, names)}", s.n_pre)
        return ["{", *made, *fill(names, outer.post, self.post, s.n_post), f"{self.pulses}.columns({pre}, {self.post});", "}"]

    def current(self, row: str) -> list[str]:
        return []

    def read(self, array: str, synapse: str) -> str:
        return f"{self.pulses}.value({synapse})" if array == self.learn.target else f"{self.names(array)}[{synapse}]"

    def flush(self) -> list[str]:
        return [f"{self.pulses}.flush();"]

    def finish(self, end: EndLearn) -> list[str]:
        return end_learn(end, self.names)

    def complete(self) -> list[str]:
        return []

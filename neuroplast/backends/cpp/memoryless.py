"""The form ``Memoryless``: no trace, so the eligibility is the drive of the last step, an outer product of few factors."""

from __future__ import annotations

import math

from neuroplast.backends.cpp.dense import Kept, bounded, bounds_each_step, changing, end_learn, over_synapses, tag
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import Deliver, EndLearn, Learn


class Memoryless:
    """The factors of the last step are kept; the eligibility's array is written when needed.

    reader: the delivery that alone reads the weights within a trial, all of them in each step: the change is then left to it, so
    that a step goes over the weights once. None: there is no such delivery.
    """

    headers: tuple[str, ...] = ("memoryless.h",)
    maintained: frozenset[str] = frozenset()

    def __init__(self, learn: Learn, names: Names, reader: Deliver | None) -> None:
        self.learn, self.names, self.kept, self.reader = learn, names, Kept(learn, names), reader
        self.stale = frozenset(learn.eligibility) | (frozenset() if reader is None else {learn.target})
        self.flag, self.owed = f"kept_{tag(learn, names)}", f"owed_{tag(learn, names)}"
        how = "" if reader is None else ", made while the weights are read"
        self.got = f"the outer product of the last step's factors{how}; the eligibility is written when a trial ends"

    def declare(self) -> list[str]:
        s, rank = self.learn.synapses, len(self.kept.outers)
        lines = [*self.kept.declare(), f"static bool {self.flag};  // the factors of the last step are those of this pass"]
        return lines if self.reader is None else [*lines, f"static Owed<{rank}, {s.n_pre}, {s.n_post}> {self.owed};"]

    def bind(self) -> list[str]:
        return []

    def start(self) -> list[str]:
        return [f"{self.flag} = false;", *([] if self.reader is None else [f"{self.owed}.gain = 0.0;"])]

    def step(self) -> list[str]:
        learn, names, changed = self.learn, self.names, changing(self.learn)
        lines = ["{"]
        if changed is not None:
            lines += [
                f"const double g = {number(learn.step_rate)}*{names(learn.modulator)}[0];", f"if (!{self.flag}) {{",
                *over_synapses(learn.synapses, names, [], [self._add(changed, f"g*{names(learn.eligibility[0])}[s]")]),
                "} else if (g != 0.0) {", *(self._now(changed) if self.reader is None else self._later()), "}",
            ]
        return [*lines, *self.kept.fill(), f"{self.flag} = true;", "}"]

    def _now(self, changed: str) -> list[str]:
        return over_synapses(self.learn.synapses, self.names, self._row(), [self._add(changed, self.kept.sum({}))])

    def _later(self) -> list[str]:
        kept = enumerate(zip(self.kept.pre, self.kept.post, strict=True))
        return [*(f"{self.owed}.take({k}, {pre}, {post});" for k, (pre, post) in kept), f"{self.owed}.gain = g;"]

    def deliver(self, output: str, into: str) -> list[str]:
        """into += the product of the weights with an output, once they have what is owed to them."""
        learn, bounds = self.learn, "true" if bounds_each_step(self.learn) else "false"
        low, high = -math.inf if learn.low is None else learn.low, math.inf if learn.high is None else learn.high
        return [f"{self.owed}.pay<{bounds}>({self.names(learn.target)}, {output}, {into}, {number(low)}, {number(high)});"]

    def _row(self) -> list[str]:
        rows = self.kept.row("g*")
        if self.learn.synapses.dense and rows:
            rows.append(f"if ({' && '.join(f'p{k} == 0.0' for k in range(len(rows)))}) continue;")
        return rows

    def _add(self, changed: str, change: str) -> str:
        value = f"{self.names(changed)}[s] + {change}"
        return f"{self.names(changed)}[s] = {bounded(self.learn, value) if bounds_each_step(self.learn) else value};"

    def current(self, row: str) -> list[str]:
        return []

    def read(self, array: str, synapse: str) -> str:
        return f"{self.names(array)}[{synapse}]"

    def flush(self) -> list[str]:
        learn, names = self.learn, self.names
        write = [f"{names(learn.eligibility[0])}[s] = {self.kept.sum({})};"]
        paid = [] if self.reader is None else self.deliver("0", "0")
        return [*paid, f"if ({self.flag}) {{", *over_synapses(learn.synapses, names, self.kept.row(), write), "}"]

    def finish(self, end: EndLearn) -> list[str]:
        return end_learn(end, self.names)

    def complete(self) -> list[str]:
        return []

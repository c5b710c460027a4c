"""The form ``Events``: its loops are in events.h."""

from __future__ import annotations

import math

from neuroplast.backends.cpp.dense import bounds_each_step, changing, end_learn, tag
from neuroplast.backends.cpp.factors import fill, outer_products
from neuroplast.backends.cpp.header import (
    LAST_DIGITS,
    arrivals,
    fall,
    is_pulse,
    lists_arrivals,
    own_traces,
    per_factor,
    pre_values,
    rule_constants,
    sole,
)
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import Deliver, EndLearn, Learn, StepProgram

LONGEST = 1024


def has_events(program: StepProgram, learn: Learn) -> bool:
    """Whether all presynaptic sides of a rule only jump and fall, and order matters to no bound."""
    outers = outer_products(learn, learn.products)
    lawful = all(fall(program, outer) > 0.0 or is_pulse(program, outer) for outer in outers)
    return lawful and 0.0 < learn.decay <= 1.0 and not bounds_each_step(learn)


class Events:
    """Rows are touched when their presynaptic factor jumps; see events.h for the algebra."""

    headers: tuple[str, ...] = ("traces.h", "events.h")
    got = "at jumps of presynaptic factors only, from running sums for each postsynaptic unit"

    def __init__(self, program: StepProgram, learn: Learn, names: Names) -> None:
        self.program, self.learn, self.names = program, learn, names
        self.outers = outer_products(learn, learn.products)
        self.falls = [fall(program, outer) for outer in self.outers]
        changed = changing(learn)
        self.stale = frozenset(learn.eligibility) | (frozenset() if changed is None else {changed})
        self.events = f"events_{tag(learn, names)}"
        self.own = own_traces(program, learn, self.outers, names)
        self.maintained = frozenset(own.array for own in self.own.values())
        self.pulses = self._pulses()

    def _pulses(self) -> dict[int, str]:
        """Factor -> list of arrivals that is the whole of it."""
        result = {}
        for k, outer in enumerate(self.outers):
            array = sole(outer.pre)
            sources = [op for op in self.program.before if isinstance(op, Deliver) and op.arrived == array and lists_arrivals(op)]
            if array is not None and len(sources) == 1:
                result[k] = arrivals(sources[0], self.names)
        return result

    def declare(self) -> list[str]:
        learn = self.learn
        flags = {"moves": int(changing(learn) is not None), "span": self._span()}
        constants = rule_constants(learn, self.names, len(self.outers), flags, {"decay": learn.decay})
        scratch = f"alignas(64) static double factor_{tag(learn, self.names)}[{learn.synapses.n_pre}];"
        instance = f"static Events<Rule_{tag(learn, self.names)}> {self.events};"
        traces = [own.declare() for own in self.own.values()]
        return [*constants, per_factor("fall", self.falls), "};", instance, scratch, *traces]

    def _span(self) -> int:
        """Steps of a base: until a trace, an eligibility, or an eligibility against a trace has fallen too far."""
        traces = [a for a in self.falls if a > 0.0]
        fastest = min([self.learn.decay, *traces, *(self.learn.decay / a for a in traces)])
        return LONGEST if fastest >= 1.0 else max(1, min(LONGEST, int(math.log(LAST_DIGITS) / math.log(fastest))))

    def bind(self) -> list[str]:
        learn, names, changed = self.learn, self.names, changing(self.learn)
        target, s = "0" if changed is None else names(changed), learn.synapses
        return [f"{self.events}.bind({target}, {names(learn.eligibility[0])}, {names(s.row_start)}, {names(s.post)});"]

    def start(self) -> list[str]:
        lines = [f"{self.events}.start();"]
        for k, own in self.own.items():
            awake = f"for (int32_t c = 0; c < {own.variable}.n_awake; ++c)"
            lines += [
                f"{own.variable}.start({self.names(own.array)});",
                f"{awake} {self.events}.jumped({k}, {own.variable}.awake[c], {own.variable}.S[{own.variable}.awake[c]]);",
            ]
        return lines

    def step(self) -> list[str]:
        learn, names, s, events = self.learn, self.names, self.learn.synapses, self.events
        lines = ["{", f"{events}.step({number(learn.step_rate)}*{names(learn.modulator)}[0]);"]
        for k, outer in enumerate(self.outers):
            lines += ["{", f"double* const post = {events}.post[{k}];", *fill(names, outer.post, "post", s.n_post), "}"]
            if k in self.own:
                own, t = self.own[k], self.own[k].variable
                moves = f"{events}.jumped({k}, {t}.row[c], {t}.S[{t}.row[c]]);"
                lines += [own.step(names), f"for (int32_t c = 0; c < {t}.count; ++c) {moves}"]
            elif k in self.pulses:
                list_ = self.pulses[k]
                lines.append(f"for (int32_t c = 1; c <= {list_}[0]; ++c) {events}.pulse({k}, {list_}[c], 1.0);")
            else:
                made, pre = pre_values(names, outer.pre, f"factor_{tag(learn, names)}", s.n_pre)
                lines += [*made, f"{events}.drive({k}, {pre});"]
        renew = "".join(f" {own.variable}.renew();" for own in self.own.values())
        return [*lines, f"if ({events}.close()) {{{renew} }}", "}"]

    def current(self, row: str) -> list[str]:
        events = self.events
        sums = [
            f"const double trace_{k} = {events}.S[{k}][{row}], *const sum_{k} = {events}.Q[{k}];"
            for k, a in enumerate(self.falls) if a > 0.0
        ]
        return [f"const double gain = {events}.gain({row});", *sums]

    def read(self, array: str, synapse: str) -> str:
        if array != changing(self.learn):
            return f"{self.names(array)}[{synapse}]"
        sums = "".join(f" + trace_{k}*sum_{k}[i]" for k, a in enumerate(self.falls) if a > 0.0)
        return f"({self.names(array)}[{synapse}] + gain*{self.names(self.learn.eligibility[0])}[{synapse}]{sums})"

    def flush(self) -> list[str]:
        traces = [f"{own.variable}.renew(); {own.variable}.store({self.names(own.array)});" for own in self.own.values()]
        return [f"{self.events}.flush();", *traces]

    def finish(self, end: EndLearn) -> list[str]:
        return end_learn(end, self.names)

    def complete(self) -> list[str]:
        return []

"""The form ``History``: its loops are in history.h."""

from __future__ import annotations

import math

from neuroplast.backends.cpp.dense import bounded, end_learn, tag
from neuroplast.backends.cpp.factors import fill, outer_products
from neuroplast.backends.cpp.header import fall, is_whole, own_traces, per_factor, pre_values, rule_constants
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import EndLearn, Learn, StepProgram


class History:
    """Factors of a whole trial; the change is made when it ends. Earlier passes leave nothing behind and are not kept."""

    headers: tuple[str, ...] = ("traces.h", "history.h")

    def __init__(self, program: StepProgram, learn: Learn, names: Names) -> None:
        self.program, self.learn, self.names = program, learn, names
        self.outers = outer_products(learn, learn.products)
        self.stale: frozenset[str] = frozenset()
        self.history = f"history_{tag(learn, names)}"
        self.own = own_traces(program, learn, self.outers, names)
        self.whole = [k for k, outer in enumerate(self.outers) if is_whole(program, outer)]
        self.maintained = frozenset(own.array for own in self.own.values())
        self.got = "the whole change when a trial ends, from the kept factors"

    def declare(self) -> list[str]:
        learn, steps, order = self.learn, self.program.steps, len(self.learn.eligibility) - 1
        shifts = " : ".join(f"m == {m} ? {number(learn.h**m / math.factorial(m))}" for m in range(order + 1))
        numbers = {"steps": steps, "order": order, "whole": len(self.whole)}
        constants = rule_constants(learn, self.names, len(self.outers), numbers, {"decay": learn.decay})
        falls = per_factor("fall", [fall(self.program, outer) for outer in self.outers])
        places = "".join(f"k == {k} ? {place} : " for place, k in enumerate(self.whole))
        rows = f"static int row(int k) {{ return {places}-1; }}"
        scratch = f"alignas(64) static double factor_{tag(learn, self.names)}[{learn.synapses.n_pre}];"
        return [
            *constants, f"static double shift(int m) {{ return {shifts} : 0.0; }}", falls, rows, "};",
            f"static History<Rule_{tag(learn, self.names)}> {self.history};", scratch, *(own.declare() for own in self.own.values()),
        ]

    def bind(self) -> list[str]:
        s = self.learn.synapses
        return [f"{self.history}.bind({self.names(s.row_start)}, {self.names(s.post)});"]

    def start(self) -> list[str]:
        traces = [f"{own.variable}.start({self.names(own.array)});" for own in self.own.values()]
        return [f"{self.history}.start();", *traces]

    def step(self) -> list[str]:
        learn, names, s, history = self.learn, self.names, self.learn.synapses, self.history
        last = "" if self.program.passes == 1 else f"if ({names.clock}[PASS] == {self.program.passes - 1}) "
        lines = [f"{last}{{", f"{history}.open();", f"const long at = {history}.logged*{len(self.outers)};"]
        for k, outer in enumerate(self.outers):
            if k in self.own:
                t = self.own[k].variable
                lines += [f"for (int32_t c = 0; c < {t}.count; ++c) {history}.jumped({k}, {t}.row[c], {t}.jump[c]);"]
            else:
                made, pre = pre_values(names, outer.pre, f"factor_{tag(learn, names)}", s.n_pre)
                lines += [*made, f"{history}.{'keep_row' if k in self.whole else 'keep'}({pre}, {k});"]
            lines += ["{", f"double* post = {history}.post[at + {k}];", *fill(names, outer.post, "post", s.n_post), "}"]
        gain = "0.0" if learn.update == "episodic" else f"{number(learn.step_rate)}*{names(learn.modulator)}[0]"
        steps = [f"{own.step(names)} if ({own.variable}.left < 1e-9) {own.variable}.renew();" for own in self.own.values()]
        return [*steps, *lines, f"{history}.g[{history}.logged++] = {gain};", "}"]

    def current(self, row: str) -> list[str]:
        return []

    def read(self, array: str, synapse: str) -> str:
        return f"{self.names(array)}[{synapse}]"

    def flush(self) -> list[str]:
        return [f"{own.variable}.store({self.names(own.array)});" for own in self.own.values()]

    def finish(self, end: EndLearn) -> list[str]:
        learn, names, lines = self.learn, self.names, []
        for k, array in enumerate(learn.eligibility):
            recorded = [n for n, r in enumerate(self.program.recordings) if r.array == array]
            if k == len(learn.eligibility) - 1 and learn.update == "episodic":
                lines += self._fill(array, k)
            elif recorded:
                lines += [f"if ({' || '.join(f'buffers[{n}]' for n in recorded)}) {{", *self._fill(array, k), "}"]
        if learn.update == "episodic":
            return [*lines, *end_learn(end, names)]
        assert learn.pending is not None
        w, pending, loop = names(learn.target), names(learn.pending), f"for (long s = 0; s < {learn.synapses.n}; ++s) "
        lines += [
            f"{self.history}.weigh(-1, {self._last(end)});", f"{self.history}.add({w});", "{", "double given = 0.0;",
            f"{loop}given += std::fabs({pending}[s]);", f"if (given != 0.0) {loop}{{", f"{w}[s] += {pending}[s];",
            f"{pending}[s] = 0.0;", "}", "}",
        ]
        inside = bounded(learn, f"{w}[s]")
        return lines if inside == f"{w}[s]" else [*lines, f"{loop}{w}[s] = {inside};"]

    def _last(self, end: EndLearn) -> str:
        """What the eligibility of the last step does to the weights when the trial ends."""
        return f"{number(self.learn.step_rate)}*{self.names(self.learn.modulator)}[0]" if end.closing else "0.0"

    def complete(self) -> list[str]:
        fill = [line for k, array in enumerate(self.learn.eligibility) for line in self._fill(array, k)]
        return [f"if (!{self.history}.complete) {{", *fill, f"{self.history}.complete = true;", "}"]

    def _fill(self, array: str, k: int) -> list[str]:
        target = self.names(array)
        return [
            f"std::memset({target}, 0, sizeof(double)*{self.names.size(array)});", f"{self.history}.weigh({k}, 0.0);",
            f"{self.history}.add({target});",
        ]

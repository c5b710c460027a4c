"""The form ``ActiveRows``: its loops are in rows.h."""

from __future__ import annotations

import math

from neuroplast.backends.cpp.dense import bounds_each_step, changing, end_learn, tag
from neuroplast.backends.cpp.factors import fill, outer_products, powers
from neuroplast.backends.cpp.header import arrivals, rule_constants
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import Deliver, EndLearn, Learn, Product


class ActiveRows:
    """Blocks of steps at once; rows without presynaptic drive only take note of what they miss.

    events: terms with the score of stochastic release, which drive a row only in the steps in which a spike arrives there.
    """

    headers: tuple[str, ...] = ("rows.h",)
    maintained: frozenset[str] = frozenset()

    def __init__(self, learn: Learn, names: Names, events: tuple[Product, ...], own: Deliver | None) -> None:
        self.learn, self.names, self.own = learn, names, own
        self.outers = outer_products(learn, tuple(p for p in learn.products if p not in events))
        self.events = outer_products(learn, events)
        changed = changing(learn)
        self.stale = frozenset(learn.eligibility) | (frozenset() if changed is None else {changed})
        self.rows = f"rows_{tag(learn, names)}"
        self.got = "active presynaptic units, in blocks of steps" + (", bounds in each step" if bounds_each_step(learn) else "")

    def declare(self) -> list[str]:
        learn, infinity = self.learn, math.inf
        bounds = bounds_each_step(learn)
        limits = {"low": -infinity if learn.low is None else learn.low, "high": infinity if learn.high is None else learn.high}
        flags = {"moves": int(changing(learn) is not None), "bounded": int(bounds)}
        constants = rule_constants(learn, self.names, len(self.outers), flags, {"decay": learn.decay, **limits})
        return [*constants, "};", f"static Rows<Rule_{tag(learn, self.names)}> {self.rows};"]

    def bind(self) -> list[str]:
        learn, names, changed = self.learn, self.names, changing(self.learn)
        target = "0" if changed is None else names(changed)
        s = learn.synapses
        return [f"{self.rows}.bind({target}, {names(learn.eligibility[0])}, {names(s.row_start)}, {names(s.post)});"]

    def start(self) -> list[str]:
        return [f"{self.rows}.start();"]

    def step(self) -> list[str]:
        learn, names, s = self.learn, self.names, self.learn.synapses
        lines = ["{"]
        if self.outers:
            lines.append(f"const int at = {self.rows}.logged*{len(self.outers)};")
        for k, outer in enumerate(self.outers):
            lines += ["{", f"double *pre = {self.rows}.pre[at + {k}], *post = {self.rows}.post[at + {k}];"]
            lines += [*fill(names, outer.pre, "pre", s.n_pre), *fill(names, outer.post, "post", s.n_post), "}"]
        lines.append(f"{self.rows}.log({number(learn.step_rate)}*{names(learn.modulator)}[0]);")
        return [*lines, *(self._events() if self.events else []), "}"]

    def _events(self) -> list[str]:
        """The drive at synapses whose release was decided in this step."""
        learn, names, rows = self.learn, self.names, self.rows
        assert self.own is not None and self.own.release is not None
        e, terms, arrived = names(learn.eligibility[0]), [], arrivals(self.own, names)
        for outer in self.events:
            pre, post = outer.pre.text(names, "j"), outer.post.text(names, "i")
            terms.append("*".join([f"({pre})", f"({post})", *powers(names, outer.synapse, "s")]))
        lines = [
            f"for (int32_t c = 1; c <= {arrived}[0]; ++c) {{", f"const long j = {arrived}[c];",
            f"{rows}.current(j);", f"const long first = {rows}.first(j), length = {rows}.length(j);", "double biggest = 0.0;",
            "NP_IVDEP", "for (long k = 0; k < length; ++k) {", "const long s = first + k;",
            f"const long i = {'k' if learn.synapses.dense else f'{names(learn.synapses.post)}[s]'};", "(void)i;",
            f"const double grown = {e}[s] + {' + '.join(terms)};", f"{e}[s] = grown;",
        ]
        if bounds_each_step(learn):
            lines += ["biggest = maximum(biggest, std::fabs(grown));", "}", f"{rows}.largest[j] = biggest;", "}"]
        else:
            lines += ["}", "(void)biggest;", "}"]
        return lines

    def current(self, row: str) -> list[str]:
        return [f"{self.rows}.current({row});"]

    def read(self, array: str, synapse: str) -> str:
        return f"{self.names(array)}[{synapse}]"

    def flush(self) -> list[str]:
        return [f"{self.rows}.flush();"]

    def finish(self, end: EndLearn) -> list[str]:
        return end_learn(end, self.names)

    def complete(self) -> list[str]:
        return []

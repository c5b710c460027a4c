"""Forms whose loops are in C++ headers: ``ActiveRows`` (rows.h) and ``History`` (history.h)."""

from __future__ import annotations

import math

from neuroplast.backends.cpp.dense import bounded, bounds_each_step, changing, end_learn, tag
from neuroplast.backends.cpp.factors import fill, outer_products, powers
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import Deliver, Learn, Product, ReleaseState, StepProgram


def arrivals(release: ReleaseState, names: Names) -> str:
    """The list of presynaptic units whose spike has arrived in this step: a count, then their numbers."""
    return f"arrived_{names(release.score)}"


def _constants(learn: Learn, names: Names, rank: int, numbers: dict[str, int], functions: dict[str, float]) -> list[str]:
    """A struct with what a rule's header needs to know."""
    s = learn.synapses
    values = {"n_pre": s.n_pre, "n_post": s.n_post, "n": s.n, "rank": rank, "dense": int(s.dense), **numbers}
    return [
        f"struct Rule_{tag(learn, names)} {{", f"enum {{ {', '.join(f'{k} = {v}' for k, v in values.items())} }};",
        *(f"static double {name}() {{ return {number(value)}; }}" for name, value in functions.items()),
    ]


class ActiveRows:
    """Blocks of steps at once; rows without presynaptic drive only take note of what they miss.

    events: terms with the score of stochastic release, which drive a row only in the steps in which a spike arrives there.
    """

    headers: tuple[str, ...] = ("rows.h",)

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
        constants = _constants(learn, self.names, len(self.outers), flags, {"decay": learn.decay, **limits})
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
        e, terms, arrived = names(learn.eligibility[0]), [], arrivals(self.own.release, names)
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

    def flush(self) -> list[str]:
        return [f"{self.rows}.flush();"]

    def finish(self) -> list[str]:
        return end_learn(self.learn, self.names)

    def complete(self) -> list[str]:
        return []


class History:
    """Factors of a whole trial; the change is made when it ends. Earlier passes leave nothing behind and are not kept."""

    headers: tuple[str, ...] = ("history.h",)

    def __init__(self, program: StepProgram, learn: Learn, names: Names) -> None:
        self.program, self.learn, self.names = program, learn, names
        self.outers = outer_products(learn, learn.products)
        self.stale: frozenset[str] = frozenset()
        self.history = f"history_{tag(learn, names)}"
        self.got = "the whole change when a trial ends, from the kept factors"

    def declare(self) -> list[str]:
        learn, steps, order = self.learn, self.program.steps, len(self.learn.eligibility) - 1
        shifts = " : ".join(f"m == {m} ? {number(learn.h**m / math.factorial(m))}" for m in range(order + 1))
        constants = _constants(learn, self.names, len(self.outers), {"steps": steps, "order": order}, {"decay": learn.decay})
        scratch = f"alignas(64) static double factor_{tag(learn, self.names)}[{learn.synapses.n_pre}];"
        return [
            *constants, f"static double shift(int m) {{ return {shifts} : 0.0; }}", "};",
            f"static History<Rule_{tag(learn, self.names)}> {self.history};", scratch,
        ]

    def bind(self) -> list[str]:
        s = self.learn.synapses
        return [f"{self.history}.bind({self.names(s.row_start)}, {self.names(s.post)});"]

    def start(self) -> list[str]:
        return [f"{self.history}.start();"]

    def step(self) -> list[str]:
        learn, names, s, history = self.learn, self.names, self.learn.synapses, self.history
        last = "" if self.program.passes == 1 else f"if ({names.clock}[PASS] == {self.program.passes - 1}) "
        lines = [f"{last}{{", f"const long at = {history}.logged*{len(self.outers)};"]
        for k, outer in enumerate(self.outers):
            scratch, post = f"factor_{tag(learn, self.names)}", f"{history}.post[at + {k}]"
            lines += [*fill(names, outer.pre, scratch, s.n_pre), f"{history}.keep({scratch}, {k});"]
            lines += ["{", f"double* post = {post};", *fill(names, outer.post, "post", s.n_post), "}"]
        gain = "0.0" if learn.update == "episodic" else f"{number(learn.step_rate)}*{names(learn.modulator)}[0]"
        return [*lines, f"{history}.g[{history}.logged++] = {gain};", "}"]

    def current(self, row: str) -> list[str]:
        return []

    def flush(self) -> list[str]:
        return []

    def finish(self) -> list[str]:
        learn, names, lines = self.learn, self.names, []
        for k, array in enumerate(learn.eligibility):
            recorded = [n for n, r in enumerate(self.program.recordings) if r.array == array]
            if k == len(learn.eligibility) - 1 and learn.update == "episodic":
                lines += self._fill(array, k)
            elif recorded:
                lines += [f"if ({' || '.join(f'buffers[{n}]' for n in recorded)}) {{", *self._fill(array, k), "}"]
        if learn.update == "episodic":
            return [*lines, *end_learn(learn, names)]
        assert learn.pending is not None
        w, pending, loop = names(learn.target), names(learn.pending), f"for (long s = 0; s < {learn.synapses.n}; ++s) "
        lines += [
            f"{self.history}.weigh(-1);", f"{self.history}.add({w});", "{", "double given = 0.0;",
            f"{loop}given += std::fabs({pending}[s]);", f"if (given != 0.0) {loop}{{", f"{w}[s] += {pending}[s];",
            f"{pending}[s] = 0.0;", "}", "}",
        ]
        inside = bounded(learn, f"{w}[s]")
        return lines if inside == f"{w}[s]" else [*lines, f"{loop}{w}[s] = {inside};"]

    def complete(self) -> list[str]:
        fill = [line for k, array in enumerate(self.learn.eligibility) for line in self._fill(array, k)]
        return [f"if (!{self.history}.complete) {{", *fill, f"{self.history}.complete = true;", "}"]

    def _fill(self, array: str, k: int) -> list[str]:
        target = self.names(array)
        return [
            f"std::memset({target}, 0, sizeof(double)*{self.names.size(array)});", f"{self.history}.weigh({k});",
            f"{self.history}.add({target});",
        ]

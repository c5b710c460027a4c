"""The form ``Dense``, which goes over all synapses in every step; what forms share: kept factors, bounds, a trial's end."""

from __future__ import annotations

import math

from neuroplast.backends.cpp.factors import Outer, fill, outer_products, powers
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import EndLearn, Learn, Synapses


def bounded(learn: Learn, value: str) -> str:
    """The value within the bounds of the rule."""
    if learn.low is not None:
        value = f"maximum({value}, {number(learn.low)})"
    return value if learn.high is None else f"minimum({value}, {number(learn.high)})"


def bounds_each_step(learn: Learn) -> bool:
    """Whether the bounds act within a trial."""
    return learn.update == "continuous" and learn.bound_each == "step" and not (learn.low is None and learn.high is None)


def tag(learn: Learn, names: Names) -> str:
    """What the C++ names of a rule end in."""
    return names(learn.eligibility[-1])


def changing(learn: Learn) -> str | None:
    """The array that a step changes, besides the eligibility."""
    return {"continuous": learn.target, "deferred": learn.pending, "episodic": None}[learn.update]


def end_learn(end: EndLearn, names: Names) -> list[str]:
    """The change when a trial ends, with eligibility and pending change complete."""
    learn = end.learn
    w, lines = names(learn.target), []
    value = f"{w}[s]"
    if end.closing:
        value = f"{value} + last_step*{names(learn.eligibility[-1])}[s]"
    if learn.update == "deferred":
        assert learn.pending is not None
        value = f"{value} + {names(learn.pending)}[s]"
        lines = [f"{names(learn.pending)}[s] = 0.0;"]
    elif learn.update == "episodic":
        change = f"step_change*{names(learn.eligibility[-1])}[s]"
        if learn.max_change is not None:
            change = f"minimum(maximum({change}, {number(-learn.max_change)}), {number(learn.max_change)})"
        value = f"{value} + {change}"
    result = bounded(learn, value)
    if result == f"{w}[s]":
        return []
    gain = [
        f"const double step_change = {number(learn.rate)}*{names(learn.modulator)}[0];", "(void)step_change;",
        f"const double last_step = {number(learn.step_rate)}*{names(learn.modulator)}[0];", "(void)last_step;",
    ]
    loop = ["NP_IVDEP", f"for (long s = 0; s < {learn.synapses.n}; ++s) {{"]
    return ["{", *gain, *loop, f"{w}[s] = {result};", *lines, "}", "}"]


def over_synapses(synapses: Synapses, names: Names, row: list[str], body: list[str]) -> list[str]:
    """A loop in which j, i, s are the presynaptic unit, the postsynaptic unit and the synapse. row: once a presynaptic unit
    where all pairs exist, else at each synapse.
    """
    if synapses.dense:
        return [
            f"for (long j = 0; j < {synapses.n_pre}; ++j) {{", *row, "NP_IVDEP",
            f"for (long i = 0; i < {synapses.n_post}; ++i) {{", f"const long s = j*{synapses.n_post} + i;", *body, "}", "}",
        ]
    return [
        f"const int32_t *sources = {names(synapses.pre)}, *targets = {names(synapses.post)};",
        "NP_IVDEP", f"for (long s = 0; s < {synapses.n}; ++s) {{", "const long j = sources[s], i = targets[s];", *row, *body,
        "}",
    ]


class Kept:
    """Static storage for the values of outer products."""

    def __init__(self, learn: Learn, names: Names) -> None:
        self.learn, self.names, self.outers = learn, names, outer_products(learn, learn.products)
        self.pre = [f"pre_{k}_{tag(learn, names)}" for k in range(len(self.outers))]
        self.post = [f"post_{k}_{tag(learn, names)}" for k in range(len(self.outers))]

    def declare(self) -> list[str]:
        s = self.learn.synapses
        both = zip(self.pre, self.post, strict=True)
        return [f"alignas(64) static double {a}[{s.n_pre}], {b}[{s.n_post}];" for a, b in both]

    def fill(self) -> list[str]:
        s, lines = self.learn.synapses, []
        for outer, pre, post in zip(self.outers, self.pre, self.post, strict=True):
            lines += [*fill(self.names, outer.pre, pre, s.n_pre), *fill(self.names, outer.post, post, s.n_post)]
        return lines

    def row(self, scale: str = "") -> list[str]:
        return [f"const double p{k} = {scale}{pre}[j];" for k, pre in enumerate(self.pre)]

    def sum(self, synapse: dict[str, str]) -> str:
        """The drive of synapse s. synapse: arrays whose new value is in a local variable."""
        terms = [self._term(k, outer, synapse) for k, outer in enumerate(self.outers)]
        return " + ".join(terms) if terms else "0.0"

    def _term(self, k: int, outer: Outer, synapse: dict[str, str]) -> str:
        own = [synapse[array] for array, power in outer.synapse if array in synapse for _ in range(power)]
        rest = powers(self.names, tuple(f for f in outer.synapse if f[0] not in synapse), "s")
        return "*".join([f"p{k}", f"{self.post[k]}[i]", *own, *rest])


class Dense:
    """Every synapse in every step, as it is written."""

    got = "every synapse in every step"
    headers: tuple[str, ...] = ()
    maintained: frozenset[str] = frozenset()

    def __init__(self, learn: Learn, names: Names) -> None:
        self.learn, self.names, self.kept = learn, names, Kept(learn, names)
        self.stale: frozenset[str] = frozenset()

    def declare(self) -> list[str]:
        learn, names = self.learn, self.names
        e = [names(name) for name in learn.eligibility]
        changed = changing(learn)
        local: dict[str, str] = {}
        body = [f"const double old{k} = {array}[s];" for k, array in enumerate(e)]
        if changed is not None:
            new = f"{names(changed)}[s] + g*old{len(e) - 1}"
            if bounds_each_step(learn):
                new = bounded(learn, new)
            array = names(changed)
            body += [f"const double changed = moves ? {new} : {array}[s];", f"if (moves) {array}[s] = changed;"]
            local[changed] = "changed"
        for k in range(len(e)):
            parts = [f"{number(learn.h**m / math.factorial(m))}*old{k - m}" if m else f"old{k}" for m in range(k + 1)]
            body.append(f"const double e{k} = {number(learn.decay)}*({' + '.join(parts)});")
            local[learn.eligibility[k]] = f"e{k}"
        body += [f"{array}[s] = e{k}{f' + {self.kept.sum(local)}' if k == 0 else ''};" for k, array in enumerate(e)]
        return [
            *self.kept.declare(), f"template <bool moves> static void learn_{tag(learn, names)}(double g) {{",
            *over_synapses(learn.synapses, names, self.kept.row(), body), "(void)g;", "}",
        ]

    def bind(self) -> list[str]:
        return []

    def start(self) -> list[str]:
        return []

    def step(self) -> list[str]:
        learn, function = self.learn, f"learn_{tag(self.learn, self.names)}"
        lines = ["{", *self.kept.fill(), f"const double g = {number(learn.step_rate)}*{self.names(learn.modulator)}[0];"]
        if changing(learn) is None:
            return [*lines, f"{function}<false>(g);", "}"]
        if bounds_each_step(learn):
            return [*lines, f"{function}<true>(g);", "}"]
        return [*lines, f"if (g != 0.0) {function}<true>(g); else {function}<false>(g);", "}"]

    def current(self, row: str) -> list[str]:
        return []

    def read(self, array: str, synapse: str) -> str:
        return f"{self.names(array)}[{synapse}]"

    def flush(self) -> list[str]:
        return []

    def finish(self, end: EndLearn) -> list[str]:
        return end_learn(end, self.names)

    def complete(self) -> list[str]:
        return []

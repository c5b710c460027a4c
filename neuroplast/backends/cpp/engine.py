"""ChipLearn in C++: weights and tags as 16-bit numbers, rows with nothing to learn left out, rounding bytes made where they are used."""

from __future__ import annotations

from itertools import product

import numpy as np

from neuroplast.backends.cpp.access import uses
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import ACCUMULATOR, TAG_RANGE, TRACE_MAX, ChipLearn, ChipProduct, ChipTrace, Deliver, EndLearn, StepProgram

SETS = 5
"""With up to so many products, there is a loop for each set of them that may be at work in a row; else one for all."""


class Engine:
    """The rule of one projection. Within a trial its weights and tags are kept as whole numbers, and its arrays are stale.

    A row is a presynaptic unit. A product is left out of a row where it is zero for all of it: its presynaptic factors or its
    postsynaptic ones are, or it multiplies the tag and all tags are zero.
    """

    headers: tuple[str, ...] = ("engine.h",)
    maintained: frozenset[str] = frozenset()

    def __init__(self, program: StepProgram, op: ChipLearn, names: Names) -> None:
        self.program, self.op, self.names = program, op, names
        ends = [o for o in program.trial_end if isinstance(o, ChipLearn) and o.projection == op.projection]
        self.ops = [op, *ends]
        self.tag = names(op.tag)
        self.w, self.t = f"weights_{self.tag}", f"tags_{self.tag}"
        self.size = {variable: names.size(array) for variable, array in op.values}
        in_step = [o for o in (*program.before, *program.neurons, *program.after) if o is not op]
        others = [o for o in in_step if not (isinstance(o, Deliver) and o.projection == op.projection)]
        self.seen = any({op.target, op.tag} & uses(o) for o in others)
        self.stale = frozenset[str]() if self.seen else frozenset({op.target, op.tag})
        self.got = "a chip's learning engine: whole numbers on 16 bits" + (", shown in every step" if self.seen else "")

    def declare(self) -> list[str]:
        s = self.op.synapses
        longest = max(1, int(np.diff(self.program.arrays[s.row_start].initial).max(initial=0)))
        lines = [
            f"alignas(64) static int16_t {self.w}[{s.n + 32}], {self.t}[{s.n + 32}];",
            f"static bool live_{self.tag}[{max(s.n_pre, 1)}], changed_{self.tag};",
            f"static Bytes<{longest}> bytes_0_{self.tag}, bytes_1_{self.tag};",
            *(f"alignas(64) static int32_t {v}_{self.tag}[{max(size, 1)}];" for v, size in self.size.items()),
        ]
        for k, trace in enumerate(self.op.traces):
            for name, values in zip(("fallen", "chance"), trace.fall(), strict=True):
                lines.append(f"static const double {name}_{k}_{self.tag}[] = {{{', '.join(map(number, values))}}};")
        return [*lines, *(line for k, op in enumerate(self.ops) for line in self._row(k, op))]

    def _row(self, number_: int, op: ChipLearn) -> list[str]:
        """The function over the synapses of a row, for a set of products: bits of ``live``, those of dw first."""
        s, masks = op.synapses, self._masks(op)
        place = "s - first" if s.dense else f"{self.names(s.post)}[s]"
        lines = [
            "template <unsigned live>",
            f"static bool row_{number_}_{self.tag}(long first, long last, const int32_t* c, const uint8_t* up_w, const uint8_t* up_t) {{",
            "int32_t any = 0;", "NP_IVDEP", "for (long s = first; s < last; ++s) {", f"const long i = {place};",
            f"const int32_t w = {self.w}[s], t = {self.t}[s];",
        ]
        low, high = TAG_RANGE
        for products, mask, first, step, stream, limits, array, up in (
            (op.dw, masks[0], 0, op.step, op.round_weights, (op.low, op.high), self.w, "up_w"),
            (op.dt, masks[1], len(op.dw), 1, op.round_tags, (low, high), self.t, "up_t"),
        ):
            if not products:
                continue
            lines += [f"if (live & {mask}u) {{", f"int32_t total = 128*{'w' if array == self.w else 't'};"]
            for k, p in enumerate(products, first):
                change = "*".join([f"c[{k}]", *self._post_factors(p)])
                scaled = f"(({change}) >> {p.shift})*{2 ** (p.exponent + 7)}"
                scaled = scaled if self._fits(p) else f"accumulated({scaled})"
                later = mask & ~((2 << k) - 1)  # after the last one, the limits of weights and tags do what the accumulator's would
                cut = f"if (live & {later}u) total = accumulated(total);" if later else ""
                lines.append(f"if (live & {1 << k}u) {{ total += {scaled}; {cut} }}")
            lines += [
                f"total = {f'rounded(total, {step}, {up}[s - first])' if stream is not None else f'total - (total & {128 * step - 1})'};",
                f"const int32_t next = within(total >> 7, {limits[0]}, {limits[1]});",
                f"{array}[s] = static_cast<int16_t>(next);", *(["any |= next;"] if array == self.t else []), "}",
            ]
        return [*lines, "}", "(void)up_w; (void)up_t; (void)c;", "return any != 0;", "}"]

    @staticmethod
    def _fits(p: ChipProduct) -> bool:
        """Whether a product never leaves the accumulator, whatever its factors are."""
        most = abs(p.mantissa)
        for variable, offset in p.factors:
            most *= 256 + abs(offset) if variable in "wt" else max(abs(offset), abs(TRACE_MAX + offset))
        return ((most >> p.shift) + 1) * 2 ** (p.exponent + 7) <= ACCUMULATOR[1]

    @staticmethod
    def _masks(op: ChipLearn) -> tuple[int, int]:
        """Bits of the products of dw, and of dt."""
        return (1 << len(op.dw)) - 1, ((1 << len(op.dt)) - 1) << len(op.dw)

    def _is_row(self, variable: str) -> bool:
        """Whether a variable has one value in all of a row."""
        return variable[0] == "x" or (variable[0] == "y" and self.size[variable] == 1 != self.op.synapses.n_post)

    def _factors(self, p: ChipProduct) -> list[tuple[str, int]]:
        gate = [] if p.dependency == "u0" else [(p.dependency, 0)]
        return [*gate, *p.factors]

    def _post_factors(self, p: ChipProduct) -> list[str]:
        """Those of a synapse, in terms of i, w and t."""
        names = {v: v if v in "wt" else f"{v}_{self.tag}[i]" for v, _ in self._factors(p)}
        return [f"({names[v]} + {offset})" if offset else names[v] for v, offset in self._factors(p) if not self._is_row(v)]

    def _row_factors(self, p: ChipProduct) -> list[str]:
        """The mantissa and those of a row, in terms of j."""
        values = [(f"{v}_{self.tag}[{'j' if v[0] == 'x' else '0'}]", offset) for v, offset in self._factors(p) if self._is_row(v)]
        return [f"({p.mantissa})", *(f"({value} + {offset})" if offset else value for value, offset in values)]

    def bind(self) -> list[str]:
        return []

    def start(self) -> list[str]:
        """Whole numbers from the arrays."""
        s, names, op = self.op.synapses, self.names, self.op
        return [
            "NP_IVDEP", f"for (long s = 0; s < {s.n}; ++s) {{",
            f"{self.w}[s] = static_cast<int16_t>(std::floor({names(op.target)}[s]*{number(1.0 / op.unit)} + 0.5));",
            f"{self.t}[s] = static_cast<int16_t>({names(op.tag)}[s]);", "}",
            f"for (long j = 0; j < {s.n_pre}; ++j) live_{self.tag}[j] = true;", f"changed_{self.tag} = false;",
        ]

    def step(self) -> list[str]:
        return self.learn(self.op)

    def learn(self, op: ChipLearn) -> list[str]:
        """In the place of a ChipLearn."""
        from neuroplast.backends.cpp.delivery import counter  # which imports the forms
        from neuroplast.backends.cpp.emit import streams

        names, s, products = self.names, op.synapses, (*op.dw, *op.dt)
        which, keys = self.ops.index(op), {stream: k for k, stream in enumerate(streams(self.program))}
        lines = ["{", *(line for k, trace in enumerate(op.traces) for line in self._trace(k, trace))]
        for variable, array in op.values:
            fill = f"for (long k = 0; k < {names.size(array)}; ++k) {variable}_{self.tag}[k] = static_cast<int32_t>({names(array)}[k]);"
            lines += ["NP_IVDEP", fill]
        if not products:
            return [*lines, "}"]
        lines += [f"const Counter at = {counter(self.program, names, False, op.each)};", "(void)at;"]
        masks = self._masks(op)
        asked = {s: 0 for s in (op.round_weights, op.round_tags) if s is not None}  # stream -> products that are rounded by it
        for stream, mask in ((op.round_weights, masks[0]), (op.round_tags, masks[1])):
            if stream is not None:
                asked[stream] |= mask
        lines += [f"bytes_{k}_{self.tag}.start();" for k in range(len(asked))]
        lines += [f"bool there[{len(products)}];", *(line for k, p in enumerate(products) for line in self._there(k, p))]
        lines += [
            f"for (long j = 0; j < {s.n_pre}; ++j) {{",
            f"const int32_t c[] = {{{', '.join('*'.join(self._row_factors(p)) for p in products)}}};", "unsigned live = 0;",
        ]
        for k, p in enumerate(products):
            tagged = f" && live_{self.tag}[j]" if ("t", 0) in p.factors else ""
            lines.append(f"if (there[{k}] && c[{k}] != 0{tagged}) live |= {1 << k}u;")
        first, last = (f"j*{s.n_post}", f"(j + 1)*{s.n_post}") if s.dense else (f"{names(s.row_start)}[j]", f"{names(s.row_start)}[j + 1]")
        lines += ["if (live == 0) continue;", f"const long first = {first}, last = {last};", f"changed_{self.tag} = true;"]
        for k, (stream, mask) in enumerate(asked.items()):
            made = f"bytes_{k}_{self.tag}(first, last, keys[{keys[stream]}], at)"
            lines.append(f"const uint8_t* const up_{k} = live & {mask}u ? {made} : 0;")
        place = {stream: f"up_{k}" for k, stream in enumerate(asked)}
        for array, stream in (("w", op.round_weights), ("t", op.round_tags)):
            lines.append(f"const uint8_t* const up_{array} = {'0' if stream is None else place[stream]};")
        return [*lines, *self._dispatch(which, op, masks), "}", *(self.flush() if self.seen or op.each == "trial" else []), "}"]

    def _dispatch(self, which: int, op: ChipLearn, masks: tuple[int, int]) -> list[str]:
        count = len(op.dw) + len(op.dt)
        call = lambda live: f"row_{which}_{self.tag}<{live}u>(first, last, c, up_w, up_t)"
        put = lambda live: f"live_{self.tag}[j] = {call(live)};" if live & masks[1] else f"{call(live)};"
        if count <= SETS:
            return ["switch (live) {", *(f"case {live}u: {put(live)} break;" for live in range(1, 1 << count)), "}"]
        whole = [(w, t) for w, t in product((masks[0], 0), (masks[1], 0)) if w | t]
        return [f"{'' if not k else 'else '}if ({f'live & {w}u' if w else 'true'} && {f'live & {t}u' if t else 'true'}) {put(w | t)}"
                for k, (w, t) in enumerate(whole)]

    def _there(self, k: int, p: ChipProduct) -> list[str]:
        """Whether the postsynaptic factors of a product are other than zero anywhere."""
        factors = [f for f in self._post_factors(p) if "[i]" in f]
        if not factors:
            return [f"there[{k}] = true;"]
        return [
            "{", "int32_t any = 0;", f"for (long i = 0; i < {self.op.synapses.n_post}; ++i) any |= ({'*'.join(factors)});",
            f"there[{k}] = any != 0;", "}",
        ]

    def _trace(self, k: int, trace: ChipTrace) -> list[str]:
        names = self.names
        up = "" if trace.uniform is None else f" + ({names(trace.uniform)}[j] < chance_{k}_{self.tag}[at] ? 1.0 : 0.0)"
        x = names(trace.array)
        return [
            f"for (long j = 0; j < {self.op.synapses.n_pre}; ++j) {{", f"const long at = static_cast<long>({x}[j]);",
            f"const double next = fallen_{k}_{self.tag}[at]{up} + ({names(trace.arrived)}[j] > 0.0 ? {number(trace.impulse)} : 0.0);",
            f"{x}[j] = minimum(next, {number(TRACE_MAX)});", "}",
        ]

    def current(self, row: str) -> list[str]:
        return []

    def read(self, array: str, synapse: str) -> str:
        if array == self.op.target:
            return f"({number(self.op.unit)}*static_cast<double>({self.w}[{synapse}]))"
        return f"static_cast<double>({self.t}[{synapse}])"

    def flush(self) -> list[str]:
        names, op = self.names, self.op
        return [
            f"if (changed_{self.tag}) {{", "NP_IVDEP", f"for (long s = 0; s < {op.synapses.n}; ++s) {{",
            f"{names(op.target)}[s] = {self.read(op.target, 's')};", f"{names(op.tag)}[s] = {self.read(op.tag, 's')};", "}",
            f"changed_{self.tag} = false;", "}",
        ]

    def finish(self, end: EndLearn) -> list[str]:
        raise AssertionError("a rule on the learning engine has no EndLearn")

    def complete(self) -> list[str]:
        return []

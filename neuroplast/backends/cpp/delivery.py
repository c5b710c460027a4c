"""Deliver in C++: spikes from the ring's lists, graded output as a product with the matrix, stochastic release."""

from __future__ import annotations

import numpy as np

from neuroplast.backends.cpp.access import uses
from neuroplast.backends.cpp.header import arrivals, lists_arrivals
from neuroplast.backends.cpp.memoryless import Memoryless
from neuroplast.backends.cpp.names import Names, number
from neuroplast.backends.cpp.plasticity import Form
from neuroplast.ir.program import CLOCK, PROBE_SCALE, Deliver, Draw, Operation, ReleaseState, StepProgram


def lazy_draws(program: StepProgram) -> dict[str, Draw]:
    """Array -> its draw, where only synapses that a spike reaches need their number: uniforms of stochastic release."""
    in_step: list[Operation] = [*program.before, *program.neurons, *program.after, *program.trial_start]
    ends: list[Operation] = [*program.pass_end, *program.trial_end]
    result = {}
    for op in program.before:
        if isinstance(op, Deliver) and op.release is not None:
            for array in (op.release.uniform, op.release.recovery):
                draws = [d for d in program.before if isinstance(d, Draw) and d.target == array]
                others = [o for o in (*in_step, *ends) if o is not op and o not in draws and array in uses(o)]
                if (
                    array is not None and len(draws) == 1 and not others and draws[0].law == "uniform"
                    and program.arrays[array].kind == "scratch" and not any(r.array == array for r in program.recordings)
                ):
                    result[array] = draws[0]
    return result


def counter(program: StepProgram, names: Names, probe: bool, each: str = "step") -> str:
    """Where a draw stands: step, trial and pass."""
    step = "0x7fffffffffffffffull" if each == "trial" else f"static_cast<uint64_t>({names.clock}[STEP])"
    own = f"static_cast<uint64_t>({names.clock}[PASS])" if probe and program.pass_noise == "other" else "0"
    return f"Counter{{{step}, static_cast<uint64_t>({names.clock}[TRIAL]), {own}}}"


class Delivery:
    """The C++ of one Deliver. keys: stream -> place of its key; forms: those of all rules."""

    def __init__(
        self, program: StepProgram, names: Names, op: Deliver, forms: dict[str, Form], lazy: dict[str, Draw],
        keys: dict[str, int],
    ) -> None:
        self.program, self.names, self.op, self.lazy, self.keys, self.forms = program, names, op, lazy, keys, forms
        read = {op.weight} | ({op.release.q} if op.release is not None else set())
        self.late = [form for form in forms.values() if form.stale & read]
        self.tag = names(op.into)
        weight = program.arrays[op.weight]
        self.uniform = (
            op.synapses.dense and op.release is None and op.noise is None and weight.kind == "constant"
            and weight.initial.size > 0 and bool(np.all(weight.initial == weight.initial.flat[0]))
        )
        self.listed = lists_arrivals(op) and (op.release is not None or op.arrived is not None)
        self.deepest = op.depth
        self.columns = names.size(op.ring) // op.depth if op.ring is not None else 0

    def declare(self) -> list[str]:
        op, s, lines = self.op, self.op.synapses, []
        if op.delays is not None:
            lines.append(
                f"static int32_t first_{self.tag}[{s.n_pre * (self.deepest + 2)}], order_{self.tag}[{max(s.n, 1)}];"
            )
        if self.listed:
            lines.append(f"static int32_t {arrivals(op, self.names)}[{s.n_pre + 1}];")
        if op.drawn is not None:
            longest = int(np.diff(self.program.arrays[s.row_start].initial).max(initial=0))
            lines.append(f"static double xi_{self.tag}[{longest + 16}];")
        return [*lines, f"static bool scored_{self.tag};"] if op.release is not None else lines

    def bind(self) -> list[str]:
        op, s, names = self.op, self.op.synapses, self.names
        if op.delays is None:
            return []
        arguments = f"{names(s.row_start)}, {names(op.delays)}, {s.n_pre}, {self.deepest}, first_{self.tag}, order_{self.tag}"
        return [f"sort_by_delay({arguments});"]

    def start(self) -> list[str]:
        lines = [] if self.op.release is None else [f"scored_{self.tag} = false;"]
        if self.listed and self.op.arrived is not None:
            lines.append(f"list_nonzero({self.names(self.op.arrived)}, {self.op.synapses.n_pre}, {arrivals(self.op, self.names)});")
        return lines

    def step(self) -> list[str]:
        op, s, names = self.op, self.op.synapses, self.names
        lines = ["{", f"double* const into = {names(op.into)};", f"std::memset(into, 0, sizeof(double)*{s.n_post});"]
        lines += self._prepare_release() if op.release is not None else []
        if op.delays is not None:
            return [*lines, *self._delayed(), "}"]
        if op.spiking and op.ring is not None:
            return [*lines, *self._spikes(), "}"]
        return [*lines, *self._graded(), "}"]

    def _slot(self, delay: str) -> str:
        return f"modulo({self.names.clock}[TICK] - {delay}, {self.op.depth})*{self.columns}"

    def _current(self, row: str) -> list[str]:
        return [line for form in self.late for line in form.current(row)]

    def _value(self, array: str) -> str:
        """An array's value at synapse s, up to date."""
        late = next((form for form in self.late if array in form.stale), None)
        return f"{self.names(array)}[s]" if late is None else late.read(array, "s")

    def _row(self, passing: str) -> list[str]:
        """The synapses of row j."""
        s, names = self.op.synapses, self.names
        ivdep = [] if self.op.release is not None else ["NP_IVDEP"]
        if s.dense:
            loop = f"for (long i = 0; i < {s.n_post}; ++i) {{"
            return [*ivdep, loop, f"const long s = j*{s.n_post} + i;", *self._synapse(passing), "}"]
        return [
            f"for (long s = {names(s.row_start)}[j]; s < {names(s.row_start)}[j + 1]; ++s) {{",
            f"const long i = {names(s.post)}[s];", *self._synapse(passing), "}",
        ]

    def _synapse(self, passing: str) -> list[str]:
        """Synapse s, onto unit i, at which an output ``passing`` arrives."""
        op, names = self.op, self.names
        weight = self._value(op.weight)
        if op.noise is not None:
            weight = f"({weight} + {names(op.noise)}[s])"
        if op.release is not None:
            return [*self._release(op.release), f"if (released) into[i] += {weight};"]
        return [f"into[i] += {weight};" if passing == "1.0" else f"into[i] += {weight}*{passing};"]

    def _spikes(self) -> list[str]:
        op, s, names = self.op, self.op.synapses, self.names
        lines = [f"const int32_t* const fired = {names(str(op.ring))} + {self._slot(str(op.delay))};"]
        list_ = arrivals(op, names)
        if op.arrived is not None:
            lines += [
                f"for (int32_t c = 1; c <= {list_}[0]; ++c) {names(op.arrived)}[{list_}[c]] = 0.0;",
                f"for (int32_t c = 1; c <= fired[0]; ++c) {names(op.arrived)}[fired[c]] = 1.0;",
            ]
        if self.listed:
            lines.append(f"std::memcpy({list_}, fired, sizeof(int32_t)*(fired[0] + 1));")
        if self.uniform:  # every spike adds the same to everybody: counting them is enough
            each = f"fired[0]*{names(op.weight)}[0]"
            return [*lines, f"const double each = {each};", f"for (long i = 0; i < {s.n_post}; ++i) into[i] = each;"]
        loop = ["for (int32_t c = 1; c <= fired[0]; ++c) {", "const long j = fired[c];"]
        return [*lines, *loop, *self._drawn(), *self._current("j"), *self._row("1.0"), "}"]

    def _drawn(self) -> list[str]:
        """New noise for the synapses of unit j."""
        op, drawn, names = self.op, self.op.drawn, self.names
        if drawn is None:
            return []
        seen, xi, starts = names(drawn.seen), f"xi_{self.tag}", names(op.synapses.row_start)
        std = f"{names(drawn.std)}[s]" if isinstance(drawn.std, str) else number(drawn.std)
        left = "0.0" if drawn.decay == 0.0 else f"{seen}[j] < 0.0 ? 0.0 : std::pow({number(drawn.decay)}, tick - {seen}[j])"
        place = f"keys[{self.keys[drawn.stream]}], {counter(self.program, names, True)}, {names(PROBE_SCALE)}[0]"
        return [
            "{", f"const long first = {starts}[j], last = {starts}[j + 1], block = first / 8;",
            f"const double tick = static_cast<double>({names.clock}[TICK]), left = {left}, gain = std::sqrt(1.0 - left*left);",
            f"draw<{drawn.law.upper()}>({xi}, last - 8*block, {place}, static_cast<uint64_t>(block));",
            f"const double* const xi = {xi} - 8*block;", "NP_IVDEP", "for (long s = first; s < last; ++s)",
            f"{names(drawn.x)}[s] = left*{names(drawn.x)}[s] + gain*{std}*xi[s];", f"{seen}[j] = tick;", "}",
        ]

    def _graded(self) -> list[str]:
        op, s, names = self.op, self.op.synapses, self.names
        source = names(op.output) if op.ring is None else f"{names(op.ring)} + {self._slot(str(op.delay))}"
        lines = [f"const double* const output = {source};"]
        if op.arrived is not None:
            lines.append(f"std::memcpy({names(op.arrived)}, output, sizeof(double)*{s.n_pre});")
        own = self.forms.get(op.projection)
        if isinstance(own, Memoryless) and own.reader is op:
            return [*lines, *own.deliver("output", "into")]
        if s.dense and op.release is None and op.noise is None and not self.late:
            return [*lines, f"add_transposed({names(op.weight)}, output, into, {s.n_pre}, {s.n_post});"]
        silent = "x <= 0.0" if op.release is not None else "x == 0.0"
        return [
            *lines, f"for (long j = 0; j < {s.n_pre}; ++j) {{", "const double x = output[j];", f"if ({silent}) continue;",
            *self._current("j"), *self._row("x"), "}",
        ]

    def _delayed(self) -> list[str]:
        """Every synapse has its own delay: for each delay, the outputs of then, and their synapses with that delay."""
        op, s, names, tag = self.op, self.op.synapses, self.names, self.tag
        stride, ring = self.deepest + 2, op.ring
        chosen = f"for (int32_t n = first_{tag}[j*{stride} + d]; n < first_{tag}[j*{stride} + d + 1]; ++n) {{"
        rows = [
            f"if (first_{tag}[j*{stride} + d] == first_{tag}[j*{stride} + d + 1]) continue;", *self._current("j"), chosen,
            f"const long s = order_{tag}[n], i = {names(s.post)}[s];",
        ]
        lines = [f"for (long d = 0; d <= {self.deepest}; ++d) {{"]
        if op.spiking and ring is not None:
            return [
                *lines, f"const int32_t* const fired = {names(ring)} + {self._slot('d')};",
                "for (int32_t c = 1; c <= fired[0]; ++c) {", "const long j = fired[c];", *rows, *self._synapse("1.0"),
                "}", "}", "}",
            ]
        source = names(op.output) if ring is None else f"{names(ring)} + {self._slot('d')}"
        silent = "x <= 0.0" if op.release is not None else "x == 0.0"
        return [
            *lines, f"const double* const output = {source};", f"for (long j = 0; j < {s.n_pre}; ++j) {{",
            "const double x = output[j];", f"if ({silent}) continue;", *rows, *self._synapse("x"), "}", "}", "}",
        ]

    def _prepare_release(self) -> list[str]:
        """Scores of the last step back to zero, facilitation decayed, streams of the numbers that are made on demand."""
        op, names, release = self.op, self.names, self.op.release
        assert release is not None
        s, score, list_ = op.synapses, names(release.score), arrivals(op, names)
        everything = f"std::memset({score}, 0, sizeof(double)*{s.n});"
        lines = [everything]
        if self.listed:
            first, last = (f"j*{s.n_post}", f"(j + 1)*{s.n_post}") if s.dense else (
                f"{names(s.row_start)}[j]", f"{names(s.row_start)}[j + 1]"
            )
            lines = [
                f"if (scored_{self.tag}) for (int32_t c = 1; c <= {list_}[0]; ++c) {{", f"const long j = {list_}[c];",
                f"for (long s = {first}; s < {last}; ++s) {score}[s] = 0.0;", f"}} else {everything}",
                f"scored_{self.tag} = true;",
            ]
        if release.c is not None:
            lines.append(f"for (long s = 0; s < {s.n}; ++s) {names(release.c)}[s] *= {number(release.c_decay)};")
        for name, array in (("uniform", release.uniform), ("recovery", release.recovery)):
            if array in self.lazy:
                draw = self.lazy[array]
                lines += [
                    f"Uniforms {name};",
                    f"{name}.start(keys[{self.keys[draw.stream]}], {counter(self.program, names, draw.probe)});",
                ]
            elif array is not None:
                lines.append(f"const double* const {name} = {names(array)};")
        return [*lines, f"const double tick = static_cast<double>({names(CLOCK)}[TICK]);"]

    def _release(self, release: ReleaseState) -> list[str]:
        names = self.names
        lines = [f"const bool ready = {'true' if release.ready_at is None else f'{names(release.ready_at)}[s] <= tick'};"]
        drive = self._value(release.q)
        if release.c is not None:
            lines.append(f"const double drive = {drive} + {names(release.c)}[s];")
            lines.append(f"{names(release.c)}[s] += {number(release.facilitation)};")
        else:
            lines.append(f"const double drive = {drive};")
        lines += [
            "const double p = 1.0/(1.0 + std::exp(-drive));", "const bool released = ready && uniform[s] < p;",
            f"{names(release.score)}[s] = ready ? static_cast<double>(released) - p : 0.0;",
        ]
        if release.ready_at is not None:
            wait = f"tick - {number(release.recovery_steps)}*std::log(recovery[s])"
            lines.append(f"if (released) {names(release.ready_at)}[s] = {wait};")
        return lines




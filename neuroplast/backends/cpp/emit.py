"""Step program -> one C++ translation unit, the kernel. Its functions, all ``extern "C"``:

    void np_bind(void** arrays, int (*callback)(int))   the arrays in the order of ``program.arrays``; the Python task
    void np_configure(const uint64_t* keys, void** initial)   only with ``embed=False``: see :func:`kernel_source`
    void np_before(void)   a step up to the neurons; the start of a pass and trial comes with its first step
    void np_neurons(void)  the neurons, if they are in the kernel
    int np_after(void)     the rest of the step: 0 the trial goes on, 1 a pass or 2 a trial has ended, -1 the task stopped it
    int np_run(long trials)                      whole trials; how many were run, or -1
    void np_record(int index, void* buffer)      where a recording of the coming trial goes; NULL: it is not made
    long np_recorded(int index)                  samples of it
    void np_log(double* rows)                    where the measures of the coming trials go, a row each; NULL: nowhere
    void np_complete(void)                       only needed with ``complete=False``

State between trials is in the arrays alone. A kernel has one instance for each time its library is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

import numpy as np

from neuroplast.backends.cpp.delivery import Delivery, lazy_draws
from neuroplast.backends.cpp.names import Names, number
from neuroplast.backends.cpp.operations import Operations
from neuroplast.backends.cpp.plasticity import Form, choose_forms, late_arrays
from neuroplast.ir.program import PROBE_SCALE, ChipLearn, Deliver, Draw, DrawnAtSpikes, Operation, StepProgram, stream_key


def kernel_source(program: StepProgram, neurons: bool, embed: bool = True, complete: bool = True) -> str:
    """The kernel of a program.

    neurons: with the neurons' Maps.  embed: keys of random streams and initial values are part of the text; without,
    ``np_configure`` hands them over, and programs that differ in these alone share one compilation.  complete: all arrays are
    complete when a trial ends; without, eligibilities that the next trial resets may only be so after ``np_complete``, which
    saves more than half of the work of a deferred rule.
    """
    return _Kernel(program, neurons, embed, complete).source()


def configuration(program: StepProgram) -> tuple[np.ndarray, list[np.ndarray]]:
    """What ``np_configure`` takes: keys (streams, 2), and the values that arrays start a trial with."""
    keys = np.array([stream_key(program.seed, stream) for stream in streams(program)], np.uint64).reshape(-1, 2)
    return keys, [np.ascontiguousarray(program.arrays[name].initial) for name in _varied(program)]


def streams(program: StepProgram) -> list[str]:
    """The random streams of a program, in the order of their keys."""
    operations = (*program.trial_start, *program.before, *program.after, *program.pass_end, *program.trial_end)
    made = [op.drawn if isinstance(op, Deliver) else op for op in operations]
    drawn = [op.stream for op in made if isinstance(op, (Draw, DrawnAtSpikes))]
    rounding = [stream for op in operations if isinstance(op, ChipLearn) for stream in (op.round_weights, op.round_tags) if stream]
    return list(dict.fromkeys([*drawn, *rounding]))


def _varied(program: StepProgram) -> list[str]:
    """Arrays that start anew in each trial with values that are not all the same."""
    return [
        name for name, array in program.arrays.items()
        if program.reset and array.reset and array.initial.size and np.any(array.initial != array.initial.flat[0])
    ]


class _Kernel:
    """The parts of one kernel, written one after the other."""

    def __init__(self, program: StepProgram, neurons: bool, embed: bool, complete: bool) -> None:
        self.program, self.neurons, self.embed, self.complete = program, neurons, embed, complete
        self.names = names = Names(program)
        self.forms: dict[str, Form] = choose_forms(program, names)
        self.keys = {stream: k for k, stream in enumerate(streams(program))}
        lazy = lazy_draws(program)
        self.deliveries = {
            op.projection: Delivery(program, names, op, self.forms, lazy, self.keys)
            for op in (*program.before, *program.after) if isinstance(op, Deliver)
        }
        self.operations = Operations(program, names, self.forms, self.deliveries, self.keys, lazy)
        self.clock = names.clock

    def source(self) -> str:
        headers = ["runtime.h", *dict.fromkeys(h for form in self.forms.values() for h in form.headers)]
        parts = [files("neuroplast.backends.cpp").joinpath(name).read_text() for name in headers]
        body = [
            *self._globals(), *self._bind(), *self._phases(), *self._record(), *self._start(), *self._before(), *self._after(),
        ]
        return "\n".join([*parts, "#include <algorithm>", "namespace np_kernel {", *body, "}", *self._interface()]) + "\n"

    def _globals(self) -> list[str]:
        program = self.program
        count = max(1, len(program.recordings))
        lines = [
            *self.names.declarations(), "static int (*task)(int);", f"static void* buffers[{count}];",
            f"static long samples[{count}];", "static double* log;", "static bool starting, stopped;", "static int64_t next_pass;",
        ]
        keys, initial = configuration(program)
        if self.embed:
            pairs = ", ".join(f"{{{a}ull, {b}ull}}" for a, b in keys) or "{0, 0}"
            lines.append(f"static const uint64_t keys[][2] = {{{pairs}}};")
            lines += [self.names.table(f"initial_{self.names(n)}", v) for n, v in zip(_varied(program), initial, strict=True)]
        else:
            lines.append(f"static uint64_t keys[{max(1, len(keys))}][2];")
            lines += [f"static const {self.names.type(n)}* initial_{self.names(n)};" for n in _varied(program)]
        lines += [f"static const int64_t units_{k}[] = {{{', '.join(map(str, r.units))}}};"
                  for k, r in enumerate(program.recordings) if r.units is not None and len(r.units)]
        lines += [line for part in (*self.forms.values(), *self.deliveries.values(), self.operations) for line in part.declare()]
        call = ["// Whether the Python task wants to stop", "static bool call(const FlushDenormals& mode, int method) {"]
        return [*lines, *call, "stopped = task == 0 || mode.outside(task, method) != 0;", "return stopped;", "}"]

    def _bind(self) -> list[str]:
        parts = [line for part in (*self.forms.values(), *self.deliveries.values()) for line in part.bind()]
        lines = [
            "static void bind(void** arrays, int (*callback)(int)) {", "task = callback;", *self.names.bindings(), *parts,
            "starting = true;", "stopped = false;", "next_pass = 0;", "}",
        ]
        if self.embed:
            return lines
        keys, _ = configuration(self.program)
        copy = [f"std::memcpy(keys, values, sizeof(uint64_t)*{keys.size});"] if keys.size else []
        give = [
            f"initial_{self.names(n)} = static_cast<const {self.names.type(n)}*>(initial[{k}]);"
            for k, n in enumerate(_varied(self.program))
        ]
        head = "static void configure(const uint64_t* values, void** initial) {"
        return [*lines, head, *copy, *give, "(void)values; (void)initial;", "}"]

    def _function(self, name: str, operations: Iterable[Operation]) -> list[str]:
        lines = [line for op in operations for line in self.operations.lines(op)]
        return [f"static bool {name}(const FlushDenormals& mode) {{", *lines, "(void)mode;", "return true;", "}"]

    def _phases(self) -> list[str]:
        program = self.program
        phases = {
            "at_trial_start": program.trial_start, "step_before": program.before, "step_after": program.after,
            "at_pass_end": program.pass_end, "at_trial_end": program.trial_end,
            **({"step_neurons": program.neurons} if self.neurons else {}),
        }
        flush = [line for form in self.forms.values() for line in form.flush()]
        return [
            *(line for name, operations in phases.items() for line in self._function(name, operations)),
            "// All arrays that the kernel needs as of now", "static void flush() {", *flush, "}",
            "// And the others", "static void complete() {", *(line for form in self.forms.values() for line in form.complete()), "}",
        ]

    def _record(self) -> list[str]:
        """Samples in the steps of the last pass, and at the trial's end."""
        in_step, at_end = [], []
        for k, recording in enumerate(self.program.recordings):
            fresh = [line for form in self.forms.values() if recording.array in form.stale for line in form.flush()]
            width = self.names.size(recording.array) if recording.units is None else len(recording.units)
            index = "k" if recording.units is None else f"units_{k}[k]"
            kind = "uint8_t" if recording.spikes else "double"
            value = f"static_cast<{kind}>({self.names(recording.array)}[{index}])"
            copy = [
                f"{kind}* const to = static_cast<{kind}*>(buffers[{k}]) + samples[{k}]*{width};",
                f"for (long k = 0; k < {width}; ++k) to[k] = {value};" if width else "(void)to;", f"++samples[{k}];", "}",
            ]
            if recording.stride:
                due = "" if recording.stride == 1 else f" && ({self.clock}[STEP] + 1) % {recording.stride} == 0"
                in_step += [f"if (buffers[{k}]{due}) {{", *fresh, *copy]
            else:
                at_end += [f"if (buffers[{k}]) {{", *copy]
        last = f"if ({self.clock}[PASS] != {self.program.passes - 1}) return;"
        return [
            "static void record_step() {", *([last, *in_step] if in_step else []), "}",
            "static void record_end() {", *at_end, *self._log(), "}",
        ]

    def _log(self) -> list[str]:
        """The measures of a trial that has ended."""
        values = [f"*log++ = {self.names.value(array, '0')};" for array in self.program.measures.values()]
        return ["if (log) {", *values, "}"] if values else []

    def _start(self) -> list[str]:
        """The start of a pass, and of a trial."""
        program, names = self.program, self.names
        lines = [f"{self.clock}[PASS] = next_pass;", f"{self.clock}[STEP] = 0;", "starting = false;"]
        if program.reset:
            lines.append(f"{self.clock}[TICK] = 0;")
            varied, late = _varied(program), late_arrays(self.forms)
            for name, array in program.arrays.items():
                if array.reset and array.initial.size and name not in late:
                    target, size = names(name), array.initial.size
                    if name in varied:
                        lines.append(f"std::memcpy({target}, initial_{target}, sizeof({names.type(name)})*{size});")
                    else:
                        value = array.initial.flat[0]
                        text = number(value) if names.type(name) == "double" else str(int(value))
                        lines.append(f"for (long k = 0; k < {size}; ++k) {target}[k] = {text};")
        scale = "1.0"
        if program.passes == 2 and program.pass_noise == "off":
            scale = f"{self.clock}[PASS] == 0 ? 0.0 : 1.0"
        lines.append(f"{names(PROBE_SCALE)}[0] = {scale};")
        lines += [line for part in (*self.forms.values(), *self.deliveries.values(), self.operations) for line in part.start()]
        lines += [f"for (long k = 0; k < {len(program.recordings)}; ++k) samples[k] = 0;"] if program.recordings else []
        return ["static bool start(const FlushDenormals& mode) {", *lines, "return at_trial_start(mode);", "}"]

    def _before(self) -> list[str]:
        return [
            "static bool before(const FlushDenormals& mode) {",
            "if (starting && !start(mode)) return false;", "return step_before(mode);", "}",
        ]

    def _after(self) -> list[str]:
        program, clock = self.program, self.clock
        going_on = f"{clock}[STEP] < {program.steps}"
        if program.done is not None:
            going_on += f" && {self.names(program.done)}[0] == 0.0"
        complete = ["complete();"] if self.complete else []
        return [
            "// The task stopped the trial, which begins anew when it is run again",
            "static int give_up() {", "flush();", *complete, "starting = true;", "stopped = false;", "next_pass = 0;", "return -1;", "}",
            "static int after(const FlushDenormals& mode) {",
            "if (stopped || !step_after(mode)) return give_up();", "record_step();", f"++{clock}[STEP];", f"++{clock}[TICK];",
            f"if ({going_on}) return 0;", "flush();", "starting = true;",
            f"if ({clock}[PASS] < {program.passes - 1}) {{", "if (!at_pass_end(mode)) return give_up();",
            f"next_pass = {clock}[PASS] + 1;", "return 1;", "}",
            "if (!at_trial_end(mode)) return give_up();", *complete, "record_end();", f"++{clock}[TRIAL];", "next_pass = 0;",
            "return 2;", "}",
        ]

    def _interface(self) -> list[str]:
        lines = [
            "void np_bind(void** arrays, int (*callback)(int)) { np_kernel::bind(arrays, callback); }",
            "void np_before(void) { np_kernel::FlushDenormals mode; np_kernel::before(mode); }",
            "int np_after(void) { np_kernel::FlushDenormals mode; return np_kernel::after(mode); }",
            "void np_record(int index, void* buffer) { np_kernel::buffers[index] = buffer; }",
            "void np_complete(void) { np_kernel::FlushDenormals mode; np_kernel::complete(); }",
            "long np_recorded(int index) { return np_kernel::samples[index]; }",
            "void np_log(double* rows) { np_kernel::log = rows; }",
        ]
        if not self.embed:
            lines.append("void np_configure(const uint64_t* keys, void** initial) { np_kernel::configure(keys, initial); }")
        if self.neurons:
            lines += [
                "void np_neurons(void) { np_kernel::FlushDenormals mode; np_kernel::step_neurons(mode); }",
                "int np_run(long trials) {", "using namespace np_kernel;", "FlushDenormals mode;", "int done = 0;",
                "while (done < trials) {", "if (before(mode)) step_neurons(mode);", "const int code = after(mode);",
                "if (code < 0) return -1;", "if (code == 2) ++done;", "}", "return done;", "}",
            ]
        return ['extern "C" {', *lines, "}"]

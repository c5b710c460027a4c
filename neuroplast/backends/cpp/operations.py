"""The plain operations in C++, one function each. Deliver and the rules have files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatchmethod

import numpy as np

from neuroplast.backends.cpp.access import writes
from neuroplast.backends.cpp.delivery import Delivery, counter
from neuroplast.backends.cpp.engine import Engine
from neuroplast.backends.cpp.names import Names
from neuroplast.backends.cpp.plasticity import Form
from neuroplast.expressions import Expression
from neuroplast.ir.program import (
    PROBE_SCALE,
    CallTask,
    ChipLearn,
    DelayLine,
    Deliver,
    Dot,
    Draw,
    EndLearn,
    Learn,
    Map,
    Operation,
    Remember,
    Row,
    SetRow,
    SpikeTable,
    StepProgram,
    Sum,
)

_FUNCTIONS = {"fmin": "minimum", "fmax": "maximum", "exp": "exponential"}
"""Functions of the C++ library that runtime.h has in a form that becomes vector code."""


class Operations:
    """Operation -> lines of C++, to stand in a function that returns whether to go on."""

    def __init__(
        self, program: StepProgram, names: Names, forms: dict[str, Form], deliveries: dict[str, Delivery], keys: dict[str, int],
        lazy: dict[str, Draw],
    ) -> None:
        self.program, self.names, self.forms, self.deliveries = program, names, forms, deliveries
        self.keys, self.lazy = keys, lazy
        self.maintained = frozenset(array for form in forms.values() for array in form.maintained)
        self.tables = {op.target: op for op in program.before if isinstance(op, SpikeTable)}

    def declare(self) -> list[str]:
        """Given spikes of this step: how many, and who."""
        return [f"static int32_t {self._given(op)}[{self._most(op) + 1}];" for op in self.tables.values()]

    def _most(self, op: SpikeTable) -> int:
        """Spikes that one step may list."""
        return max(self.names.size(op.target), int(np.diff(self.program.arrays[op.offsets].initial).max(initial=0)))

    def start(self) -> list[str]:
        """When a pass begins."""
        names = self.names
        return [f"list_nonzero({names(op.target)}, {names.size(op.target)}, {self._given(op)});" for op in self.tables.values()]

    def _given(self, op: SpikeTable) -> str:
        return f"given_{self.names(op.target)}"

    def _listed(self, array: str) -> str | None:
        """The list of an output that is a table of spikes and nothing else, each step's in ascending order."""
        table = self.tables.get(array)
        every = (*self.program.trial_start, *self.program.before, *self.program.neurons, *self.program.after)
        if table is None or any(array in writes(op) for op in every if op is not table):
            return None
        offsets, indices = (self.program.arrays[name].initial.astype(np.int64) for name in (table.offsets, table.indices))
        step = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        ascending = np.all(np.diff(step * (self.names.size(array) + 1) + indices[: len(step)]) > 0)
        return self._given(table) if ascending else None

    @singledispatchmethod
    def lines(self, operation: Operation) -> list[str]:
        raise AssertionError(f"no C++ for {type(operation).__name__}")

    @lines.register
    def _(self, op: Deliver) -> list[str]:
        return [f"// arrivals of {op.projection}", *self.deliveries[op.projection].step()]

    @lines.register
    def _(self, op: Learn) -> list[str]:
        form = self.forms[op.projection]
        return [f"// rule of {op.projection}: {form.got}", *form.step()]

    @lines.register
    def _(self, op: EndLearn) -> list[str]:
        return self.forms[op.learn.projection].finish(op)

    @lines.register
    def _(self, op: ChipLearn) -> list[str]:
        form = self.forms[op.projection]
        assert isinstance(form, Engine)
        return [f"// rule of {op.projection}: {form.got}", *form.learn(op)]

    @lines.register
    def _(self, op: Map) -> list[str]:
        loop = Loop(self.names, op.bind, op.size)
        body = [loop.assign(target, expression) for target, expression in op.code if op.bind.get(target) not in self.maintained]
        return [f"// {op.owner}", *loop.around(body)] if body else []

    @lines.register
    def _(self, op: Sum) -> list[str]:
        loop = Loop(self.names, op.bind, op.size)
        body = [f"total += {loop.text(op.expression)};"]
        return ["{", "double total = 0.0;", *loop.around(body), f"{self.names(op.target)}[0] = total;", "}"]

    @lines.register
    def _(self, op: Draw) -> list[str]:
        if op.target in self.lazy:
            return []
        names = self.names
        scale = f"{names(PROBE_SCALE)}[0]" if op.probe and op.law != "uniform" else "1.0"
        arguments = f"{names(op.target)}, {names.size(op.target)}, keys[{self.keys[op.stream]}]"
        return [f"draw<{op.law.upper()}>({arguments}, {counter(self.program, names, op.probe, op.each)}, {scale});"]

    def _row(self, op: Row | SetRow, mode: str) -> str:
        names = self.names
        at = f"{names.clock}[STEP]/{op.stride}" if op.by == "step" else f"static_cast<int64_t>({names.value(op.by, '0')})"
        return f"modulo({at}, {op.rows})" if mode == "wrap" else f"std::max<int64_t>(0, std::min<int64_t>({at}, {op.rows - 1}))"

    @lines.register
    def _(self, op: Row) -> list[str]:
        width = self.names.size(op.table) // (op.rows * op.trials)
        row = self._row(op, op.mode)
        if op.trials > 1:
            row = f"({row} + {op.rows}*({self.names.clock}[TRIAL] % {op.trials}))"
        target, table = self.names(op.target), self.names(op.table)
        if width == 1:
            copy = self._for(self.names.size(op.target), f"{target}[k] = value;")
            return ["{", f"const double value = {table}[{row}];", *copy, "}"]
        return ["{", f"const double* const row = {table} + {row}*{width};", *self._for(width, f"{target}[k] = row[k];"), "}"]

    @lines.register
    def _(self, op: SetRow) -> list[str]:
        width = self.names.size(op.table) // op.rows
        index = "k" if self.names.size(op.source) == width else "0"
        return [
            "{", f"double* const row = {self.names(op.table)} + {self._row(op, 'hold')}*{width};",
            *self._for(width, f"row[k] = {self.names(op.source)}[{index}];"), "}",
        ]

    @staticmethod
    def _for(size: int, statement: str) -> list[str]:
        return ["NP_IVDEP", f"for (long k = 0; k < {size}; ++k) {statement}"]

    @lines.register
    def _(self, op: SpikeTable) -> list[str]:
        names, step = self.names, f"{self.names.clock}[STEP]"
        target, offsets = names(op.target), names(op.offsets)
        given = self._given(op)
        return [
            f"for (int32_t c = 1; c <= {given}[0]; ++c) {target}[{given}[c]] = 0.0;", f"{given}[0] = 0;", f"if ({step} < {op.steps})",
            f"for (int64_t k = {offsets}[{step}]; k < {offsets}[{step} + 1]; ++k) {{",
            f"{given}[++{given}[0]] = static_cast<int32_t>({names(op.indices)}[k]);", f"{target}[{names(op.indices)}[k]] = 1.0;", "}",
        ]

    @lines.register
    def _(self, op: Dot) -> list[str]:
        names = self.names
        return [
            f"for (long i = 0; i < {op.rows}; ++i) {{", f"const double* const row = {names(op.matrix)} + i*{op.columns};",
            "double total = 0.0;", f"for (long j = 0; j < {op.columns}; ++j) total += row[j]*{names(op.vector)}[j];",
            f"{names(op.target)}[i] = total;", "}",
        ]

    @lines.register
    def _(self, op: DelayLine) -> list[str]:
        target, source = self.names(op.target), self.names(op.source)
        if op.steps == 0:
            return [f"{target}[0] = {source}[0];"]
        return [
            "{", f"double* const past = {self.names(op.ring)} + {self.names.clock}[TICK] % {op.steps};",
            f"const double now = {source}[0];", f"{target}[0] = *past;", "*past = now;", "}",
        ]

    @lines.register
    def _(self, op: Remember) -> list[str]:
        columns = self.names.size(op.ring) // op.depth
        slot = f"{self.names(op.ring)} + {self.names.clock}[TICK] % {op.depth}*{columns}"
        listed = self._listed(op.output)
        if op.spiking and listed is not None:
            return [f"std::memcpy({slot}, {listed}, sizeof(int32_t)*({listed}[0] + 1));"]
        if op.spiking:
            return [f"list_nonzero({self.names(op.output)}, {op.size}, {slot});"]
        return [f"std::memcpy({slot}, {self.names(op.output)}, sizeof(double)*{op.size});"]

    @lines.register
    def _(self, op: CallTask) -> list[str]:
        if op.method == "reset":
            return ["if (call(mode, 0)) return false;"]
        return [f"if ({self.names.clock}[STEP] % {op.every} == {op.every - 1} && call(mode, 1)) return false;"]


class Loop:
    """A loop over k in which names stand for elements of arrays: read once before the statements, written once after them."""

    def __init__(self, names: Names, bind: Mapping[str, str], size: int) -> None:
        self.names, self.bind, self.size = names, bind, size
        self._locals: dict[str, str] = {}
        self._read: list[str] = []
        self._written: list[str] = []

    def _local(self, name: str) -> str:
        """The C++ variable for a name; names of one array share one."""
        key = self.bind.get(name, f"local {name}")
        if key not in self._locals:
            self._locals[key] = f"x{len(self._locals)}"
        return self._locals[key]

    def text(self, expression: Expression) -> str:
        for name in sorted(expression.names):
            array = self.bind.get(name)
            if array is not None and array not in self._read and array not in self._written:
                self._read.append(array)
        text = expression.cpp(self._local)
        for function, ours in _FUNCTIONS.items():
            text = text.replace(f"std::{function}(", f"{ours}(")
        return text

    def assign(self, target: str, expression: Expression) -> str:
        text = self.text(expression)
        array = self.bind.get(target)
        new = self.bind.get(target, f"local {target}") not in self._locals
        variable = self._local(target)
        if array is not None and array not in self._written:
            self._written.append(array)
        return f"{'double ' if new else ''}{variable} = {text};"

    def around(self, body: list[str]) -> list[str]:
        outside, inside, last = [], [], []
        for array in self._read:
            single = self.names.size(array) == 1
            const = "" if array in self._written else "const "
            declaration = f"{const}double {self._locals[array]} = {self.names.value(array, '0' if single else 'k')};"
            (outside if single and array not in self._written else inside).append(declaration)
        for array in self._written:
            cast = "" if self.names.type(array) == "double" else f"({self.names.type(array)})"
            last.append(f"{self.names(array)}[{'0' if self.names.size(array) == 1 else 'k'}] = {cast}{self._locals[array]};")
        if self.size == 1:
            return ["{", "const long k = 0;", "(void)k;", *outside, *inside, *body, *last, "}"]
        return ["{", *outside, "NP_IVDEP", f"for (long k = 0; k < {self.size}; ++k) {{", *inside, *body, *last, "}", "}"]

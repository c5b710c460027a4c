"""The arrays of a program as C++ sees them: pointers, element types, sizes, and how numbers are written."""

from __future__ import annotations

import math
import re

import numpy as np

from neuroplast.errors import LoweringError
from neuroplast.ir.program import CLOCK, StepProgram

_TYPES = {"float64": "double", "int32": "int32_t", "int64": "int64_t"}


def number(value: float) -> str:
    """A literal with exactly that value."""
    value = float(value)
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "HUGE_VAL" if value > 0 else "(-HUGE_VAL)"
    return repr(value) if value >= 0 else f"({value!r})"


class Names:
    """Array -> pointer variable. The number makes it unique, the array's own name makes the code readable."""

    def __init__(self, program: StepProgram) -> None:
        self._arrays = program.arrays
        for name, array in program.arrays.items():
            if array.initial.dtype.name not in _TYPES:
                raise LoweringError(
                    f"array '{name}' holds numbers that native code does not know", where=array.where, got=array.initial.dtype,
                    allowed=", ".join(_TYPES),
                )
        self._pointers = {name: f"a{k}_{re.sub(r'[^A-Za-z0-9]', '_', name)}" for k, name in enumerate(program.arrays)}

    def __call__(self, array: str) -> str:
        return self._pointers[array]

    @property
    def clock(self) -> str:
        return self._pointers[CLOCK]

    def type(self, array: str) -> str:
        return _TYPES[self._arrays[array].initial.dtype.name]

    def size(self, array: str) -> int:
        return self._arrays[array].initial.size

    def value(self, array: str, index: str) -> str:
        """One element, as a double."""
        text = f"{self._pointers[array]}[{index}]"
        return text if self.type(array) == "double" else f"static_cast<double>({text})"

    def declarations(self) -> list[str]:
        return [f"static {self.type(name)}* {pointer};" for name, pointer in self._pointers.items()]

    def bindings(self) -> list[str]:
        return [
            f"{pointer} = static_cast<{self.type(name)}*>(arrays[{k}]);"
            for k, (name, pointer) in enumerate(self._pointers.items())
        ]

    def table(self, name: str, values: np.ndarray) -> str:
        """A constant table with the values of an array."""
        kind = _TYPES[values.dtype.name]
        texts = map(number, values.ravel()) if kind == "double" else map(str, values.ravel())
        return f"static const {kind} {name}[] = {{{', '.join(texts)}}};"

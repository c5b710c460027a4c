"""Brian2 as a target, in three ways. Importing this package imports Brian2; nothing else in neuroplast does.

brian2-library     Brian2's generated C++ as a shared library, driven trial by trial (the fastest that can call Python)
brian2-standalone  Brian2's C++ standalone mode: a whole training run in one compiled program
brian2-runtime     Brian2's runtime device, with Cython or NumPy
brian2             the first where there is a C++ compiler, else the last
"""

from __future__ import annotations

from neuroplast.backends.brian2.library import Brian2Library, Brian2LibraryExecutable
from neuroplast.backends.brian2.runtime import Brian2Runtime, Brian2RuntimeExecutable
from neuroplast.backends.brian2.standalone import Brian2Standalone, Brian2StandaloneExecutable
from neuroplast.backends.cpp.build import find_compiler
from neuroplast.backends.targets import TaskCaller
from neuroplast.ir.program import StepProgram


class Brian2:
    """Brian2, in the fastest way that this machine allows."""

    name = "brian2"

    def prepare(
        self, program: StepProgram, task: TaskCaller | None = None
    ) -> Brian2LibraryExecutable | Brian2RuntimeExecutable:
        return (Brian2Library() if find_compiler() else Brian2Runtime()).prepare(program, task)


__all__ = [
    "Brian2", "Brian2Library", "Brian2LibraryExecutable", "Brian2Runtime", "Brian2RuntimeExecutable", "Brian2Standalone",
    "Brian2StandaloneExecutable",
]

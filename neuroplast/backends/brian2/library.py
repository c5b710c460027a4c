"""Brian2's C++ as a shared library that stays alive: its compiled speed, and Python between the trials.

Brian2 generates the neurons' code and the loop over steps; the kernel, in the same library, does the rest of each step. All
arrays are Python's own memory, to which Brian2's pointers are directed, so they may be read and written between trials, and
outlive the library.
"""

from __future__ import annotations

from neuroplast.backends.brian2.groups import populations
from neuroplast.backends.brian2.kernel import Kernel
from neuroplast.backends.brian2.project import generate
from neuroplast.backends.brian2.shim import library_source
from neuroplast.backends.cpp.build import compile_library
from neuroplast.backends.cpp.emit import kernel_source
from neuroplast.backends.cpp.plasticity import notes
from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import AfterTrial, LoweringReport, TaskCaller
from neuroplast.ir.program import CLOCK, TRIAL, StepProgram


class Brian2LibraryExecutable:
    """One instance of a program's library with its own arrays. Threads may run several instances at once."""

    side_by_side = True

    def __init__(self, program: StepProgram, task: TaskCaller | None, target: str) -> None:
        self.program = program
        self.arrays = program.fresh_arrays()
        self.report = LoweringReport(target, (*program.notes, *notes(program)))
        project = generate(populations(program), program.dt)
        path = compile_library(library_source(program, project, kernel_source(program, neurons=False, embed=False)))
        self._kernel = Kernel(path, program, self.arrays, task)
        self._kernel.library.neuroplast_adopt(self._kernel.pointers)

    def run(self, trials: int, recorder: Recorder, after_trial: AfterTrial | None = None) -> int:
        self._kernel.begin(recorder)
        for done in range(1, trials + 1):
            self._kernel.ended(self._kernel.library.neuroplast_run_trial())
            if after_trial is not None and not after_trial(int(self.arrays[CLOCK][TRIAL]) - 1, self.arrays):
                return done
        return trials

    def close(self) -> None:
        self._kernel.close()


class Brian2Library:
    """Brian2's C++ in a shared library that is driven trial by trial."""

    name = "brian2-library"

    def prepare(self, program: StepProgram, task: TaskCaller | None = None) -> Brian2LibraryExecutable:
        return Brian2LibraryExecutable(program, task, self.name)

"""Brian2's runtime device: Brian2 steps the neurons, two network operations do the rest of the step program around them.

One ``Network.run`` holds many trials, as each call costs 50 to 180 ms: a trial ends inside the operation after the neurons.
With a C++ compiler the operations call the compiled kernel on Brian2's own arrays, else the NumPy interpreter.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import brian2
import numpy as np
from brian2.codegen.runtime.cython_rt import CythonCodeObject
from brian2.codegen.runtime.cython_rt.extension_manager import get_cython_cache_dir
from brian2.codegen.runtime.numpy_rt import NumpyCodeObject
from brian2.devices.device import all_devices

from neuroplast.backends.brian2.groups import group_arrays, neuron_group, populations
from neuroplast.backends.brian2.kernel import TRIAL_ENDED, InterpretedSteps, Kernel, Steps
from neuroplast.backends.brian2.project import current_device, preferences, refused
from neuroplast.backends.cpp.build import compile_library, find_compiler
from neuroplast.backends.cpp.emit import kernel_source
from neuroplast.backends.cpp.plasticity import notes
from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import AfterTrial, LoweringReport, TaskCaller
from neuroplast.errors import DescriptionError, LoweringError
from neuroplast.ir.program import CLOCK, TRIAL, Note, StepProgram

CODEGEN = ("auto", "cython", "numpy")
BEING_WRITTEN = 60.0
"""Seconds for which a short file may belong to another process that is about to finish it."""


class Brian2RuntimeExecutable:
    """A program whose neurons live in Brian2's runtime device. ``arrays`` of groups are views of Brian2's own memory."""

    def __init__(self, program: StepProgram, task: TaskCaller | None, compiled: bool, report: LoweringReport) -> None:
        self.program, self.report = program, report
        self.arrays = program.fresh_arrays()
        if compiled:
            remove_truncated(Path(str(get_cython_cache_dir())))
        found = populations(program)
        with _runtime_device():
            clock = brian2.Clock(dt=program.dt * brian2.second, name="neuroplast_runtime_clock*")
            codegen = CythonCodeObject if compiled else NumpyCodeObject
            groups = {p.name: neuron_group(p, clock, codegen) for p in found}
            for name, (population, variable) in group_arrays(found).items():
                view = groups[population.name].variables[variable].get_value()
                view[:] = self.arrays[name].ravel()
                self.arrays[name] = view.reshape(self.arrays[name].shape)
            self._steps: Steps = (
                Kernel(compile_library(kernel_source(program, neurons=False, embed=False)), program, self.arrays, task)
                if compiled else InterpretedSteps(program, self.arrays, task)
            )
            self._network = brian2.Network(
                *groups.values(),
                brian2.NetworkOperation(self._before, clock=clock, when="start", name="neuroplast_before"),
                brian2.NetworkOperation(self._after, clock=clock, when="end", name="neuroplast_after"),
                name="neuroplast_runtime*",
            )
            try:
                self._network.run(0 * brian2.second, namespace={})
            except Exception as error:
                raise refused(error, found, self._network) from error
        self._check_compiled(groups)

    @staticmethod
    def _check_compiled(groups: dict[str, brian2.NeuronGroup]) -> None:
        """Where Cython itself fails, Brian2 prints its message and goes on without the code object: neurons stand still."""
        for group in groups.values():
            for runner in group.contained_objects:
                code = getattr(runner, "codeobj", None)
                if runner.active and (code is None or code.compiled_code.get("run") is None):
                    raise LoweringError(
                        f"Cython could not compile the neurons of Brian2 group '{group.name}' (its message is printed above)",
                        do="use Brian2Runtime(codegen='numpy'), or the target compiled",
                    )

    def run(self, trials: int, recorder: Recorder, after_trial: AfterTrial | None = None) -> int:
        if trials < 1:
            return 0
        self._trials, self._done, self._after_trial = trials, 0, after_trial
        self._stopped, self._failure = False, None
        self._steps.begin(recorder)
        steps = trials * self.program.passes * self.program.steps + 1
        with _runtime_device():
            try:
                self._network.run(steps * self.program.dt * brian2.second, namespace={})
            finally:
                brian2.Network._globally_running = False  # else Brian2 swallows the next Ctrl-C after an error
        if self._failure is not None:
            raise self._failure
        if not self._stopped:
            raise KeyboardInterrupt  # Brian2's own handler of Ctrl-C ended the run in the middle of a trial
        return self._done

    def _before(self) -> None:
        if self._failure is None:
            try:
                self._steps.before()
            except BaseException as error:
                self._fail(error)

    def _after(self) -> None:
        if self._failure is None:
            try:
                if self._steps.after() == TRIAL_ENDED:
                    self._trial_ended()
            except BaseException as error:
                self._fail(error)

    def _trial_ended(self) -> None:
        self._done += 1
        ended = int(self.arrays[CLOCK][TRIAL]) - 1
        goes_on = self._after_trial is None or self._after_trial(ended, self.arrays)
        if not goes_on or self._done == self._trials:
            self._stopped = True
            self._network.stop()

    def _fail(self, error: BaseException) -> None:
        """End Brian2's run first, so that it closes as it should; ``run`` raises the error."""
        self._failure = error
        self._network.stop()

    def close(self) -> None:
        self._steps.close()


class Brian2Runtime:
    """Brian2's runtime device. codegen: of the neurons, "cython", "numpy", or "auto" for Cython where there is a compiler."""

    name = "brian2-runtime"

    def __init__(self, codegen: str = "auto") -> None:
        if codegen not in CODEGEN:
            raise DescriptionError("Brian2Runtime.codegen is not known", got=repr(codegen), allowed=", ".join(CODEGEN))
        self.codegen = codegen

    def prepare(self, program: StepProgram, task: TaskCaller | None = None) -> Brian2RuntimeExecutable:
        compiler = None if self.codegen == "numpy" else find_compiler()
        if self.codegen == "cython" and compiler is None:
            raise LoweringError(
                "Brian2Runtime(codegen='cython') needs a C++ compiler, and none was found",
                do="install g++ or clang++, or use codegen='numpy'",
            )
        found = program.notes if compiler is None else (*program.notes, *notes(program))
        if self.codegen == "auto" and compiler is None:
            found = (*found, Note(program.name, "code generation", "Cython and C++", "NumPy: no C++ compiler was found"))
        return Brian2RuntimeExecutable(program, task, compiler is not None, LoweringReport(self.name, found))


def remove_truncated(folder: Path) -> None:
    """Take half-written modules (a killed linker, a full disk) out of Cython's cache: loading one ends the process."""
    for path in folder.glob("*.so"):
        with path.open("rb") as file:
            header = file.read(64)
        if header[:5] == b"\x7fELF\x02" and len(header) == 64:
            start, size, count = *struct.unpack_from("<Q", header, 40), *struct.unpack_from("<HH", header, 58)
            whole = start + size * count  # the table of sections comes last
        else:
            whole = 64 if len(header) < 64 else 0
        if path.stat().st_size < whole and time.time() - path.stat().st_mtime > BEING_WRITTEN:
            path.unlink(missing_ok=True)


@contextmanager
def _runtime_device() -> Iterator[None]:
    with preferences(core__default_float_dtype=np.float64), current_device(all_devices["runtime"]):
        yield

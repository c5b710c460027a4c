"""Everything of a step but the neurons: the compiled kernel seen from Python, and the same thing done by NumPy."""

from __future__ import annotations

import _ctypes
import ctypes
import tempfile
import weakref
from pathlib import Path
from typing import Protocol

import numpy as np

from neuroplast.backends.brian2.shim import sample_shape
from neuroplast.backends.cpp.build import read_verified
from neuroplast.backends.cpp.emit import configuration
from neuroplast.backends.reference import Interpreter, Recorder, start_pass
from neuroplast.backends.targets import TaskCaller
from neuroplast.errors import LoweringError
from neuroplast.ir.program import CLOCK, PASS, STEP, TICK, TRIAL, StepProgram

GOES_ON, PASS_ENDED, TRIAL_ENDED, STOPPED = 0, 1, 2, -1
"""What ``np_after`` gives."""

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
_METHODS = ("reset", "step")


class Steps(Protocol):
    """What happens before and after the neurons of each step."""

    def begin(self, recorder: Recorder) -> None:
        """The next step is the first of a trial."""

    def before(self) -> object: ...

    def after(self) -> int:
        """GOES_ON, PASS_ENDED, TRIAL_ENDED or STOPPED."""
        ...

    def close(self) -> None: ...


class InterpretedSteps:
    """The operations by NumPy: ``reference.run_trials``, turned inside out."""

    def __init__(self, program: StepProgram, arrays: dict[str, np.ndarray], task: TaskCaller | None) -> None:
        self._program, self._arrays, self._clock = program, arrays, arrays[CLOCK]
        self._operations = Interpreter(program, arrays, task)

    def begin(self, recorder: Recorder) -> None:
        self._recorder, self._starts, self._pass = recorder, True, 0

    def before(self) -> None:
        if self._starts:
            self._starts = False
            self._clock[PASS], self._clock[STEP] = self._pass, 0
            start_pass(self._program, self._arrays)
            self._recorder.start(int(self._clock[TRIAL]), self._pass)
            self._operations.run(self._program.trial_start)
        self._operations.run(self._program.before)

    def after(self) -> int:
        program, clock = self._program, self._clock
        self._operations.run(program.after)
        self._recorder.step(self._arrays)
        clock[STEP] += 1
        clock[TICK] += 1
        if clock[STEP] < program.steps and (program.done is None or self._arrays[program.done][0] == 0.0):
            return GOES_ON
        self._starts = True
        if self._pass < program.passes - 1:
            self._operations.run(program.pass_end)
            self._pass += 1
            return PASS_ENDED
        self._operations.run(program.trial_end)
        self._recorder.end(self._arrays)
        clock[TRIAL] += 1
        self._pass = 0
        return TRIAL_ENDED

    def close(self) -> None:
        """Nothing to give back."""


class Kernel:
    """One instance of a compiled kernel over ``arrays``. Its state is global in the library, so each loads its own copy."""

    def __init__(self, path: Path, program: StepProgram, arrays: dict[str, np.ndarray], task: TaskCaller | None) -> None:
        if program.calls_python and task is None:
            raise LoweringError(f"the program '{program.name}' calls a Python task, and none was given")
        self._program, self._arrays, self._task = program, arrays, task
        self._failure: BaseException | None = None
        self.library = _load(path)
        self.library.np_record.argtypes = [ctypes.c_int, ctypes.c_void_p]
        self.library.np_recorded.restype = ctypes.c_long
        self._keys, self._initial = configuration(program)
        self.library.np_configure(ctypes.c_void_p(self._keys.ctypes.data), _pointers(self._initial))
        self.pointers = _pointers(list(arrays.values()))
        self._callback = _CALLBACK(self._call_task)
        self._buffers: dict[str, np.ndarray] = {}
        self.before, self._after = self.library.np_before, self.library.np_after
        self.close = weakref.finalize(self, _ctypes.dlclose, self.library._handle)
        """Unload the library; the arrays are Python's own."""
        self.close.atexit = False

    def begin(self, recorder: Recorder) -> None:
        """The next step is the first of a trial."""
        if not self.close.alive:
            raise RuntimeError("this executable is closed")
        self._recorder, self._failure = recorder, None
        self.library.np_bind(self.pointers, self._callback)
        self._open_trial()

    def after(self) -> int:
        code = self._after()
        return self.ended(code) if code else code

    def ended(self, code: int) -> int:
        """Hand over the recordings when a trial has ended; the task's own error when it stopped the run."""
        if code == TRIAL_ENDED:
            self._close_trial()
            self._open_trial()
        elif code == STOPPED and self._failure is not None:
            raise self._failure
        return code

    def _call_task(self, method: int) -> int:
        assert self._task is not None
        try:
            self._task.call(_METHODS[method], self._arrays)
        except BaseException as error:  # nothing may pass through C++: it is raised again in ``ended``
            self._failure = error
            return 1
        return 0

    def _open_trial(self) -> None:
        self._trial = int(self._arrays[CLOCK][TRIAL])
        self._buffers = {}
        for k, recording in enumerate(self._program.recordings):
            pointer = None
            if self._trial in self._recorder.trials[recording.name]:
                buffer = np.empty(sample_shape(self._program, recording), np.uint8 if recording.spikes else np.float64)
                self._buffers[recording.name], pointer = buffer, buffer.ctypes.data
            self.library.np_record(k, pointer)

    def _close_trial(self) -> None:
        for k, recording in enumerate(self._program.recordings):
            if recording.name in self._buffers:
                samples = self.library.np_recorded(k)
                if samples:
                    self._recorder.results[recording.name][self._trial] = self._buffers[recording.name][:samples]


def _load(path: Path) -> ctypes.CDLL:
    """A copy of the library of its own; what was damaged since it was built would end the process with a bus error."""
    content = read_verified(path)
    if content is None:
        raise LoweringError("a compiled kernel was damaged after it was built", got=str(path), do="run again")
    with tempfile.TemporaryDirectory(prefix="load_", dir=path.parent) as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(content)
        return ctypes.CDLL(str(copy))


def _pointers(arrays: list[np.ndarray]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * max(1, len(arrays)))(*(array.ctypes.data for array in arrays))

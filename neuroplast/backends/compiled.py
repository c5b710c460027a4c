"""The Compiled target: the whole step program as native code, driven trial by trial or many trials at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import numpy as np

from neuroplast.backends.cpp.build import compile_library
from neuroplast.backends.cpp.emit import configuration, kernel_source
from neuroplast.backends.cpp.library import Library, aligned
from neuroplast.backends.cpp.names import Names
from neuroplast.backends.cpp.plasticity import choose_forms, late_arrays, notes
from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import AfterPiece, AfterTrial, LoweringReport, TaskCaller
from neuroplast.errors import LoweringError
from neuroplast.ir.program import CLOCK, TRIAL, Recording, StepProgram

_METHODS = ("reset", "step")
PATIENCE = 0.25
"""Seconds of uninterrupted native code to aim at: Ctrl-C is seen between calls."""


class LiveArrays(Mapping[str, np.ndarray]):
    """The arrays of a running program. Those that are ``late`` are computed when somebody looks at them."""

    def __init__(self, arrays: dict[str, np.ndarray], late: frozenset[str], complete: Callable[[], None]) -> None:
        self._arrays, self._late, self._complete = arrays, late, complete

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._late:
            self._complete()
        return self._arrays[name]

    def __setitem__(self, name: str, values: np.ndarray) -> None:
        """Into the array that is there: the kernel works on its memory."""
        self[name][...] = values

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


class CompiledExecutable:
    """A program with its arrays and its own instance of the kernel. Threads may run several executables at once.

    Within a trial, which only a Python task sees, the weights and eligibilities of plastic projections may lag behind.
    """

    side_by_side = True

    def __init__(self, program: StepProgram, task: TaskCaller | None) -> None:
        if program.calls_python and task is None:
            raise LoweringError(f"the program '{program.name}' calls a Python task, and none was given")
        self.program = program
        self.report = LoweringReport("compiled", (*program.notes, *notes(program)))
        self._arrays = {
            name: np.ascontiguousarray(array.initial) if array.kind == "constant" else aligned(array.initial)
            for name, array in program.arrays.items()
        }
        self._live = LiveArrays(self._arrays, late_arrays(choose_forms(program, Names(program))), self._complete)
        self._task, self._failure = task, None
        source = kernel_source(program, neurons=True, embed=False, complete=False)
        self._library: Library | None = Library(compile_library(source))
        self._library.configure(*configuration(program))
        self._library.bind(list(self._arrays.values()), self._call if program.calls_python else None)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return cast("dict[str, np.ndarray]", self._live)  # a dictionary for all who only read it

    def run(self, trials: int, recorder: Recorder, after_trial: AfterTrial | None = None) -> int:
        """Run that many trials, or until ``after_trial`` gives False. What the task raises is raised here."""
        done = 0
        for trial, measures in self._pieces(trials, recorder, 1 if after_trial is not None else trials):
            done += len(measures)
            if after_trial is not None and not after_trial(trial, self.arrays):
                break
        return done

    def run_logged(self, trials: int, recorder: Recorder, after_piece: AfterPiece) -> int:
        """The same with many short trials in one native call: Python, and its lock, are needed once in a piece."""
        done = 0
        for trial, measures in self._pieces(trials, recorder, trials):
            done += len(measures)
            if not after_piece(trial, measures, self.arrays):
                break
        return done

    def _pieces(self, trials: int, recorder: Recorder, most: int) -> Iterator[tuple[int, np.ndarray]]:
        """Native calls of up to ``most`` trials: the first trial of each, and their measures (trials, measures)."""
        library, done, together = self._open(), 0, 1
        while done < trials:
            trial = int(self._arrays[CLOCK][TRIAL])
            buffers = self._buffers(recorder, trial)
            together = 1 if buffers else self._unrecorded(recorder, trial, min(together, most, trials - done))
            for index in range(len(self.program.recordings)):
                library.record(index, buffers.get(index))
            measures = np.empty((together, len(self.program.measures)))
            library.log(measures)
            begun = time.perf_counter()
            ran = library.run(together)
            seconds = time.perf_counter() - begun
            if ran < 0:
                self._raise()
            self._keep(recorder, trial, buffers)
            done += ran
            yield trial, measures
            together = max(1, min(2 * together, int(PATIENCE * together / max(seconds, 1e-9))))

    def _open(self) -> Library:
        if self._library is None:
            raise RuntimeError("this executable is closed")
        return self._library

    def _complete(self) -> None:
        if self._library is not None:
            self._library.complete()

    def _buffers(self, recorder: Recorder, trial: int) -> dict[int, np.ndarray]:
        """Memory for the recordings that are wanted of a trial."""
        return {
            index: np.empty(self._shape(recording), np.uint8 if recording.spikes else np.float64)
            for index, recording in enumerate(self.program.recordings)
            if trial in recorder.trials[recording.name]
        }

    def _shape(self, recording: Recording) -> tuple[int, int]:
        samples = self.program.steps // recording.stride if recording.stride else 1
        width = self.program.arrays[recording.array].initial.size if recording.units is None else len(recording.units)
        return samples, width

    def _unrecorded(self, recorder: Recorder, trial: int, most: int) -> int:
        """How many trials from this one on, up to ``most``, are not recorded. This one is not."""
        wanted = [recorder.trials[recording.name] for recording in self.program.recordings]
        count = 1
        while count < most and not any(trial + count in trials for trials in wanted):
            count += 1
        return count

    def _keep(self, recorder: Recorder, trial: int, buffers: dict[int, np.ndarray]) -> None:
        for index, buffer in buffers.items():
            samples = self._open().recorded(index)
            if samples:
                recorder.results[self.program.recordings[index].name][trial] = buffer[:samples]

    def _call(self, method: int) -> int:
        """The task's turn. Nothing may be raised through C++, not even Ctrl-C: it is kept for ``run``."""
        assert self._task is not None
        try:
            self._task.call(_METHODS[method], self._arrays)
        except BaseException as error:
            self._failure = error
            return 1
        return 0

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        assert failure is not None
        raise failure

    def close(self) -> None:
        """Unload the kernel. The arrays stay."""
        if self._library is not None:
            self._complete()
            self._library.close()
            self._library = None


class Compiled:
    """Native code for the whole program, compiled once and kept in a cache: the fast target."""

    name = "compiled"

    def prepare(self, program: StepProgram, task: TaskCaller | None = None) -> CompiledExecutable:
        return CompiledExecutable(program, task)

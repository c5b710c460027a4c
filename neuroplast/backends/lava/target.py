"""The Lava target: a step program as Lava processes, by the in-process executor or by Lava's own runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from neuroplast.backends.lava.compat import require_lava
from neuroplast.backends.lava.errors import LavaError
from neuroplast.backends.lava.memory import ENDED, EPOCH, SAMPLES, Memory, allocate
from neuroplast.backends.lava.partition import Partition, partition
from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import AfterTrial, LoweringReport, TaskCaller
from neuroplast.errors import DescriptionError, LoweringError
from neuroplast.ir.program import CLOCK, PROBE_SCALE, TRIAL, Note, StepProgram

if TYPE_CHECKING:
    from neuroplast.backends.lava.network import Models

EXECUTORS = ("inprocess", "multiprocess")


class Executor(Protocol):
    """What runs a network of Lava processes."""

    def run(self, steps: int) -> int: ...

    def close(self) -> None: ...


class _Witness:
    """Calls the Python task, and keeps what it raises: that is the task's error, not Lava's."""

    def __init__(self, task: TaskCaller) -> None:
        self.task, self.failure = task, None

    def call(self, method: str, arrays: dict[str, np.ndarray]) -> None:
        try:
            self.task.call(method, arrays)
        except Exception as error:
            self.failure = error
            raise


class LavaExecutable:
    """A program as a network of Lava processes. ``arrays`` are the processes' own; writing to them between two trials changes the run."""

    def __init__(self, program: StepProgram, task: TaskCaller | None, executor: str, patience: float) -> None:
        if program.calls_python and task is None:
            raise LoweringError(f"the program '{program.name}' calls a Python task, and none was given")
        if program.calls_python and executor == "multiprocess":
            raise LoweringError(
                f"the task of '{program.name}' is written in Python and remembers, so it cannot live in a process of Lava's own runtime",
                do="Lava(executor='inprocess')",
            )
        self.program = program
        self._kind, self._patience = executor, patience
        self._memory: Memory = allocate(program, shared=executor == "multiprocess")
        self.arrays = self._memory.arrays
        self._partition: Partition = partition(program)
        self.report = LoweringReport("lava", (*program.notes, *_notes(program, self._partition, executor)))
        self._task = None if task is None else _Witness(task)
        held = {name for part in self._partition.parts.values() for name in part.arrays}
        self._unheld = [name for name, array in program.arrays.items() if array.reset and name not in held]
        self._executor: Executor | None = None
        self._closed = False

    def run(self, trials: int, recorder: Recorder, after_trial: AfterTrial | None = None) -> int:
        """Run that many trials, or until ``after_trial`` gives False. What the task raises is raised here."""
        if self._closed:
            raise RuntimeError("this executable is closed")
        clock, control = self.arrays[CLOCK], self._memory.control
        for done in range(1, trials + 1):
            trial = int(clock[TRIAL])
            for k, recording in enumerate(self.program.recordings):
                control[SAMPLES + 2 * k + 1] = trial in recorder.trials[recording.name]
            if self.program.reset:
                for name in self._unheld:
                    self.arrays[name][...] = self.program.arrays[name].initial
            control[EPOCH] += 1
            control[ENDED] = 0
            self._steps()
            self.arrays[PROBE_SCALE][0] = 1.0
            self._keep(recorder, trial)
            clock[TRIAL] += 1
            if after_trial is not None and not after_trial(trial, self.arrays):
                return done
        return trials

    def _steps(self) -> None:
        """One trial: all its steps in one run of Lava, or one by one where a trial may end early."""
        known = self.program.done is None
        steps = self.program.steps * self.program.passes if known else 1
        if not self._partition.parts:
            return
        if self._executor is None:
            self._executor = self._made()
        try:
            while not self._memory.control[ENDED]:
                self._executor.run(steps)
                if known and not self._memory.control[ENDED]:
                    raise LavaError(f"the trial did not end in {steps} steps")
        except BaseException as error:
            self._end()  # the processes stand in the middle of a trial; the next run makes them anew, from the arrays
            failure = self._task.failure if self._task is not None else None
            if failure is not None and self._task is not None:
                self._task.failure = None
                raise failure from None
            raise error

    def _made(self) -> Executor:
        from neuroplast.backends.lava.network import tidy
        from neuroplast.backends.lava.parts import Work, build

        with tidy():
            models: Models = build(Work(self.program, self._partition, self._memory, self._task))
        if self._kind == "inprocess":
            from neuroplast.backends.lava.inprocess import InProcess

            return InProcess(models)
        from neuroplast.backends.lava.multiprocess import Multiprocess

        return Multiprocess(models, self._patience)

    def _keep(self, recorder: Recorder, trial: int) -> None:
        memory = self._memory
        for k, recording in enumerate(self.program.recordings):
            if trial not in recorder.trials[recording.name]:
                continue
            if recording.stride and recording.array in self._partition.home:
                rows = memory.recordings[k][: memory.control[SAMPLES + 2 * k]].copy()
            else:
                now = self.arrays[recording.array].ravel()
                row = now if recording.units is None else now[recording.units]
                if recording.stride:  # an array that nobody changes
                    row = row.astype(memory.recordings[k].dtype)
                    rows = np.tile(row, (int(self.arrays[CLOCK][0]) // recording.stride, 1))
                else:
                    rows = row.copy()[None]
            if len(rows):
                recorder.results[recording.name][trial] = rows

    def _end(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.close()

    def close(self) -> None:
        """End the processes. The arrays stay."""
        self._closed = True
        self._end()


class Lava:
    """Lava processes for each population, projection, modulator and task.

    executor: "inprocess" (the default: Lava's compiled process models, stepped in this process), or "multiprocess" (Lava's own
    runtime, one operating system process each, guarded).  patience: seconds without progress after which the latter is stuck.
    """

    name = "lava"

    def __init__(self, executor: str = "inprocess", patience: float = 60.0) -> None:
        if executor not in EXECUTORS:
            raise DescriptionError("Lava.executor is not known", got=repr(executor), allowed=", ".join(EXECUTORS))
        self.executor, self.patience = executor, patience

    def prepare(self, program: StepProgram, task: TaskCaller | None = None) -> LavaExecutable:
        require_lava()
        return LavaExecutable(program, task, self.executor, self.patience)


def _notes(program: StepProgram, parts: Partition, executor: str) -> list[Note]:
    """What is particular about a network of Lava processes."""
    kinds: dict[str, int] = {}
    for part in parts.parts.values():
        kinds[part.kind] = kinds.get(part.kind, 0) + 1
    counted = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in kinds.items())
    runtime = "in this process" if executor == "inprocess" else "Lava's own runtime, one OS process each"
    return [Note(program.name, "Lava processes", "a network", f"{counted}; {len(parts.messages)} messages a trial and step; {runtime}")]


__all__ = ["EXECUTORS", "Lava", "LavaExecutable"]

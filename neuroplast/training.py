"""The run of a program over its trials: logs measures, collects recordings, stores checkpoints, and stops cleanly.

The law here: what can be stored is the state *between* two trials. While trials run, a copy of that state is kept in memory
(as often as costs about 1 % of the time), so that an error or a second Ctrl-C in the middle of a trial loses next to nothing.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import xarray as xr

from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import Executable
from neuroplast.checkpoint import CheckpointFolder, Saved, bytes_of, check_writable, fallback_folder
from neuroplast.errors import NeuroplastError, ResultError, TaskError
from neuroplast.ir.program import CLOCK, TRIAL, StepProgram
from neuroplast.ir.tasks import PythonBinding
from neuroplast.results import learned
from neuroplast.spans import spans

_SHOW_EVERY = 0.1
_COPY_SHARE = 0.01
_FIRST_PIECE = 2
_LONGEST_PIECE = 5.0


@dataclass(frozen=True)
class Progress:
    """Where a run is. trial: number of trials done out of ``trials``.  measures: of the last trial.  stopping: after Ctrl-C.

    Of replicas trials are summed, measures are means over those that run now, and ``finished`` of ``replicas`` have ended.
    warnings: of what went wrong up to now.
    """

    trial: int
    trials: int
    measures: dict[str, float]
    seconds: float
    trials_per_second: float
    seconds_left: float
    stopping: bool = False
    finished: int = 0
    replicas: int = 1
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stop:
    """Where and with what a run ended before its last trial. checkpoint: the folder to resume from, None if there is none."""

    saved: Saved
    checkpoint: Path | None
    result: xr.DataTree | None = None

    @property
    def trial(self) -> int:
        return self.saved.trial


class RunError(NeuroplastError):
    """Something that neither neuroplast nor the task expected, in the middle of a run."""


class NotFiniteWarning(RuntimeWarning):
    """A measure or a learned array became NaN or infinite: what was learned after that means nothing."""


class Interruption:
    """While it is entered, the first Ctrl-C (or SIGTERM) is a request to stop after the trial; the second stops at once.

    patient: the second does no more than the first, because other threads are to end their trials.
    """

    def __init__(self, notify: Callable[[], None] | None = None) -> None:
        self.requested = self.patient = self._held = self._late = False
        self._notify = notify
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._received) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self.requested and not self.patient:
            if not self._held:
                raise KeyboardInterrupt
            self._late = True
        self.requested = True
        if self._notify is not None:
            self._notify()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Something that must not be left half done: the second Ctrl-C comes behind it."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._late:
                self._late = False
                raise KeyboardInterrupt

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._notify = None  # whose it is holds this: a circle would keep its arrays until the next garbage collection


class Training:
    """One call of ``Simulation.run``, or one replica of it. ``stop`` is set where it ended early.

    interruption: shared by several trainings, which it stops together; who made it enters it.  keep: store the end of the run
    too; without, a run that ended leaves what was stored on the way.
    """

    def __init__(
        self, executable: Executable, folder: CheckpointFolder | None, every: float,
        progress: Callable[[Progress], None] | None, interruption: Interruption | None = None, keep: bool = True,
    ) -> None:
        self.executable, self.program, self.folder, self.every = executable, executable.program, folder, every
        self.stop: Stop | None = None
        self._keep, self._shared = keep, interruption is not None
        self._progress = progress
        self._failure: BaseException | None = None
        self._troubles: dict[str, str] = {}
        self._lost: tuple[str, ...] = ()
        self._blind = False
        self._interruption = Interruption(self._show) if interruption is None else interruption
        self._task = _remembering_task(self.program)

    def begin(self, trials: int | None, resume: bool, record: bool) -> None:
        """Set the state to that of the beginning, or of the checkpoint."""
        program, arrays = self.program, self.executable.arrays
        digest = program.digest()
        if self.folder is not None:
            self.folder.remove_parts()
        saved = self.folder.read(digest) if resume and self.folder is not None else None
        if saved is None:
            if trials is None:
                raise ResultError("there is nothing to resume", got=self.folder and self.folder.folder, do="run(trials=...)")
            first = int(arrays[CLOCK][TRIAL])
            start = {name: _same(arrays[name], program.arrays[name].initial) for name in learned(program)}
            measures = {name: np.empty(0) for name in program.measures}
            saved = Saved(digest, first, trials, first, self._state(), measures, start, self._task_state())
            if self.folder is not None:
                self.folder.make_place()
        self._wanted = _wanted(program, saved.first, trials or saved.trials, record)
        if trials is not None and saved.first + trials < saved.trial:
            raise ResultError(
                "the checkpoint is beyond the end of the run", got=f"{saved.trial - saved.first} trials done",
                allowed=f"at most {trials}",
            )
        monitors = _monitors(program) if record else {}
        if saved.trial > saved.first:
            self._check_monitors(saved, monitors)
        saved.trials, saved.monitors = trials or saved.trials, monitors
        if self.folder is not None:
            check_writable(self.folder.folder, _estimated_bytes(program, self._wanted, saved))
        self._restore(saved)
        self._saved = saved
        self._measures = {name: list(values) for name, values in saved.measures.items()}
        for name, values in saved.measures.items():
            self._watch(name, values, saved.first)
        self._recorder = Recorder(program.recordings, self._wanted, program.passes)
        for name, by_trial in saved.recordings.items():
            kept = {trial: samples for trial, samples in by_trial.items() if trial in self._wanted.get(name, ())}
            self._recorder.results[name] = kept
        saved.recordings = self._recorder.results

    @property
    def saved(self) -> Saved:
        """The run as it is now."""
        return self._saved

    def _check_monitors(self, saved: Saved, monitors: dict[str, list[Any]]) -> None:
        """A run may be resumed if its monitors did not miss any of what the whole run records."""
        before = monitors if saved.monitors is None else saved.monitors
        for name, about in monitors.items():
            if name in before and before[name][:3] != about[:3]:
                raise ResultError(
                    f"monitor '{name}' recorded something else before", got=_monitor_text(about), allowed=_monitor_text(before[name]),
                    do="resume with the monitor as it was, or start again in another folder",
                )
            recorded = {saved.first + k for k in _recorded(before[name][1], before[name][3], saved.trials)} if name in before else set()
            missed = sorted(trial for trial in self._wanted[name] - recorded if trial < saved.trial)
            if missed:
                raise ResultError(
                    f"monitor '{name}' would record trials that were run without recording", got=f"trials {spans(missed)}",
                    do=f"resume with the monitors and the number of trials ({saved.trials}) of before, or start again in another folder",
                )

    def _state(self) -> dict[str, np.ndarray]:
        return {name: np.array(self.executable.arrays[name]) for name in self.program.lasting_names()}

    def _task_state(self) -> dict[str, np.ndarray]:
        told = {} if self._task is None else self._task.state()
        if not isinstance(told, Mapping):
            raise TaskError("the task's state() is not a dictionary of arrays", got=repr(told)[:200], allowed="{name: array}, or {}")
        state = {name: np.array(value) for name, value in told.items()}
        for name, value in state.items():
            if value.dtype.hasobject:
                raise TaskError(
                    f"the task's state '{name}' cannot be stored in a checkpoint", got=f"dtype {value.dtype}",
                    allowed="numbers, text, and arrays of them",
                )
        return state

    def _restore(self, saved: Saved) -> None:
        arrays = self.executable.arrays
        for name, values in saved.arrays.items():
            arrays[name][...] = values
        if self._task is not None:
            self._task.restore({name: value.copy() for name, value in saved.task.items()})

    def run(self) -> Saved:
        """The state after the last trial; or, with ``stop`` set, after the trial in which Ctrl-C came."""
        left = self._saved.first + self._saved.trials - self._saved.trial
        self._began, self._begin_trial = time.perf_counter(), self._saved.trial
        self._shown = self._copied = self._stored = self._began
        self._copy_cost = 0.0
        try:
            with contextlib.nullcontext() if self._shared else self._interruption:
                self._run_pieces(left)
            if self._failure is not None:
                raise self._failure
            self._copy(self.executable.arrays)
            self._store(self._keep or not self._saved.finished)
        except KeyboardInterrupt:
            self._interruption.requested = True
        except Exception as error:
            if not self._interruption.requested:
                self._fail(error)
        if self._interruption.requested and not self._saved.finished:
            self._truncate()
            self.stop = Stop(self._saved, self._rescue())
        self._lost = tuple(
            f"'{name}' holds numbers that are not finite after trial {self._saved.trial - 1}"
            for name in learned(self.program) if not np.isfinite(self._saved.arrays[name]).all()
        )
        self._show()
        return self._saved

    def _run_pieces(self, left: int) -> None:
        """All trials in one call where the target shows its state after each; else in pieces between which it can be stored."""
        piece = min(left, _FIRST_PIECE)
        while left > 0 and self._failure is None and not self._interruption.requested:
            began = time.perf_counter()
            left -= self._run_piece(piece)
            if not self._blind or (self.folder is None and self._progress is None):
                piece = left
            else:
                wanted = min(_LONGEST_PIECE, self.every / 2) if self.folder is not None else _LONGEST_PIECE
                piece = max(1, min(left, int(piece * wanted / max(time.perf_counter() - began, 1e-6)), 8 * piece))

    def _run_piece(self, trials: int) -> int:
        logged = getattr(self.executable, "run_logged", None)
        if logged is None or self.program.calls_python:  # a task in Python sees Ctrl-C after each trial
            return self.executable.run(trials, self._recorder, self._after_trial)
        return logged(trials, self._recorder, self._after_piece)

    def _after_trial(self, trial: int, arrays: dict[str, np.ndarray]) -> bool:
        row = [float(arrays[array][0]) for array in self.program.measures.values()]
        return self._after_piece(trial, np.array([row]), arrays)

    def _after_piece(self, trial: int, measures: np.ndarray, arrays: dict[str, np.ndarray]) -> bool:
        try:
            for name, values in zip(self.program.measures, measures.T, strict=True):
                self._measures[name].extend(values.tolist())
                self._watch(name, values, trial)
            now = time.perf_counter()
            due = self.folder is not None and now - self._stored >= self.every
            # a target that runs many trials in one piece calls this afterwards: its arrays are then those of the last trial
            live = int(arrays[CLOCK][TRIAL]) == trial + len(measures)
            self._blind |= not live
            if live and (due or self._copy_cost < _COPY_SHARE * (now - self._copied)):
                self._copy(arrays)
                if due:
                    self._store()
            if now - self._shown >= _SHOW_EVERY:
                self._show()
            return not self._interruption.requested
        except BaseException as error:  # raised here, inside a call from compiled code, it could be lost
            self._failure = error
            return False

    def _watch(self, name: str, values: np.ndarray, first: int) -> None:
        """Note the first trial in which a measure is no number."""
        if name not in self._troubles and not (fine := np.isfinite(values)).all():
            at = int(np.argmin(fine))
            self._troubles[name] = (
                f"the measure '{name}' is {values[at]:g} in trial {first + at}: what follows may mean nothing. "
                "Often a learning rate is too high, or a task divides by zero"
            )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Measures, and at the end of the run learned arrays, that are not finite."""
        return (*self._troubles.values(), *self._lost)

    def _copy(self, arrays: dict[str, np.ndarray]) -> None:
        began = time.perf_counter()
        task, trial = self._task_state(), int(arrays[CLOCK][TRIAL])
        with self._interruption.held():
            for name, copy in self._saved.arrays.items():
                copy[...] = arrays[name]
            self._saved.task, self._saved.trial = task, trial
        self._copied = time.perf_counter()
        self._copy_cost = self._copied - began

    def _store(self, on_disk: bool = True) -> None:
        """Write the copy in memory to the checkpoint."""
        done = self._saved.trial - self._saved.first
        self._saved.measures = {name: np.array(values[:done], float) for name, values in self._measures.items()}
        if self.folder is not None and on_disk:
            self.folder.write(self._saved)
            self._stored = time.perf_counter()

    def _truncate(self) -> None:
        """Go back to the last copy: forget what was measured and recorded after it."""
        saved = self._saved
        self._measures = {name: values[: saved.trial - saved.first] for name, values in self._measures.items()}
        saved.measures = {name: np.array(values, float) for name, values in self._measures.items()}
        for by_trial in saved.recordings.values():
            for trial in [trial for trial in by_trial if trial >= saved.trial]:
                del by_trial[trial]
        self._restore(saved)

    def _rescue(self) -> Path | None:
        """Store the copy in memory, elsewhere if need be; the folder that it is in. None where no checkpoint was asked for."""
        if self.folder is None:
            return None
        try:
            self._store()
        except ResultError:
            if self._shared:  # replicas stay together: there is the last whole checkpoint
                return self.folder.folder if self.folder.exists else None
            self.folder = CheckpointFolder(fallback_folder())
            self._store()
        return self.folder.folder

    def _fail(self, error: Exception) -> None:
        """Save what can be saved, and say in which trial it went wrong."""
        running = int(self.executable.arrays[CLOCK][TRIAL])
        self._truncate()
        try:
            checkpoint = self._rescue()
        except ResultError:
            checkpoint = None
        self.stop = Stop(self._saved, checkpoint)
        todo = f"resume from trial {self._saved.trial} with {checkpoint}" if checkpoint else ""
        if isinstance(error, NeuroplastError):
            advice = "; then ".join(part for part in (error.do, todo) if part) or None
            raise type(error)(
                f"trial {running}: {error.what}", where=error.where, got=error.got, allowed=error.allowed, do=advice
            ) from error
        raise RunError(f"trial {running}: {type(error).__name__}: {error}", do=todo or None) from error

    def _show(self) -> None:
        if self._progress is None:
            return
        self._shown = now = time.perf_counter()
        some = next(iter(self._measures.values()), None)
        saved = self._saved
        done = saved.trial - saved.first if some is None else len(some)
        seconds = now - self._began
        speed = (saved.first + done - self._begin_trial) / seconds if seconds > 0 else 0.0
        left = (saved.trials - done) / speed if speed > 0 else float("nan")
        measures = {name: values[-1] for name, values in self._measures.items() if values}
        self._progress(Progress(
            done, saved.trials, measures, seconds, speed, left, self._interruption.requested, warnings=self.warnings
        ))


def _remembering_task(program: StepProgram) -> Any:
    """The environment of a Python task that has a state of its own between trials; None where there is none."""
    environment = program.task.task.environment if isinstance(program.task, PythonBinding) else None
    return environment if hasattr(environment, "state") and hasattr(environment, "restore") else None


def _same(values: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """What a run starts from: where these are the program's initial values still, they need no second copy in memory."""
    if not np.array_equal(values, initial):
        return np.array(values)
    shown = initial.view()
    shown.flags.writeable = False
    return shown


def _wanted(program: StepProgram, first: int, trials: int, record: bool) -> dict[str, set[int]]:
    """Monitor -> the numbers of the trials that it records."""
    return {r.name: {first + k for k in _recorded(r.stride, r.trials, trials)} if record else set() for r in program.recordings}


def _recorded(stride: int, asked: Any, trials: int) -> Iterable[int]:
    if stride == 0 or asked == "all":
        return range(trials)
    if asked == "ends":
        return (0, trials - 1)
    return (k + trials if k < 0 else k for k in (int(k) for k in np.atleast_1d(np.asarray(asked))))


def _monitors(program: StepProgram) -> dict[str, list[Any]]:
    """What each monitor records, as a checkpoint keeps it: array, stride, units, trials."""
    return {
        r.name: [
            r.array, r.stride, None if r.units is None else np.asarray(r.units).tolist(),
            r.trials if isinstance(r.trials, str) else np.atleast_1d(np.asarray(r.trials)).tolist(),
        ]
        for r in program.recordings
    }


def _monitor_text(about: list[Any]) -> str:
    array, stride, units, _ = about
    when = f"every {stride} steps" if stride else "at the end of each trial"
    return f"{array} {when}, {'all units' if units is None else 'units ' + spans(units)}"


def _estimated_bytes(program: StepProgram, wanted: dict[str, set[int]], saved: Saved) -> int:
    """What a run puts on the disk: three copies of the state, recordings in the checkpoint and in the result, measures."""
    recordings = 0
    for recording in program.recordings:
        width = program.arrays[recording.array].initial.size if recording.units is None else len(recording.units)
        samples = program.steps // recording.stride if recording.stride else 1
        recordings += width * samples * len(wanted[recording.name]) * (1 if recording.spikes else 8)
    return 3 * (bytes_of(saved.arrays.values()) + 8 * saved.trials * len(program.measures)) + 2 * recordings

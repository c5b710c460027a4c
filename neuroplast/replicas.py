"""Replicas: independent simulations side by side, a thread for each core, each with its own kernel and arrays.

A replica is exactly the run that it would be alone, whatever the number of threads. Only those that run now hold a kernel; of
the others there is the state. Targets whose executables cannot share the process (those written in Python), and tasks in
Python, run one after another in the caller's thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from neuroplast.checkpoint import CheckpointFolder
from neuroplast.errors import DescriptionError, NeuroplastError, ResultError, Source
from neuroplast.ir.program import Note
from neuroplast.training import Interruption, Progress, Stop

if TYPE_CHECKING:
    from neuroplast.simulation import Simulation

_LOOK_EVERY = 0.1


@dataclass(frozen=True)
class Member:
    """One of the simulations that run side by side. checkpoint: its own folder.  attributes: of its result."""

    simulation: Simulation
    checkpoint: Path | None = None
    attributes: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Wish:
    """How long and how to run; see ``Simulation.run``. keep: whether a checkpoint of the end is written too."""

    trials: int | None
    every: float = 30.0
    resume: bool = False
    record: bool = True
    keep: bool = True


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def replica_folder(number: int) -> str:
    """Where a replica's checkpoint lies in the folder of all."""
    return f"replica-{number:03d}"


def checked_count(number: Any, what: str, where: Source | None) -> int:
    """A number of replicas, threads or seeds; DescriptionError where it is none."""
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number != int(number) or number < 1:
        raise DescriptionError(f"{what} is no number", where=where, got=repr(number), allowed="a whole number from 1")
    return int(number)


def separate(simulation: Simulation) -> str | None:
    """Why simulations like this one cannot run at the same time in one process; None where they can."""
    if simulation.program.calls_python:
        return "the task is written in Python, which runs in one thread at a time"
    if not getattr(simulation.executable, "side_by_side", False):
        return f"the target {simulation.target.name} runs once in a process at a time"
    return None


def replica_note(simulations: Sequence[Simulation], threads: int) -> Note:
    """For the lowering report: how many run at once."""
    alone = separate(simulations[0])
    got = f"up to {min(threads, len(simulations))} at a time, a thread each" if alone is None else f"one after another: {alone}"
    return Note(simulations[0].program.name, "replicas", f"{len(simulations)} side by side", got)


class SideBySide:
    """One call that runs several simulations. Afterwards ``trees`` holds the results of those that ran, by number (of those that
    were stopped, the trials that were done), ``stops`` where those ended early, and ``interrupted`` whether by Ctrl-C."""

    def __init__(
        self, members: Sequence[Member], wish: Wish, threads: int | None = None,
        progress: Callable[[Progress], None] | None = None, finished: Callable[[int, xr.DataTree, float], None] | None = None,
    ) -> None:
        """finished: called where the member ran, with its number, its result and the seconds that it took."""
        self.members, self.wish, self._progress, self._finished = members, wish, progress, finished
        self.trees: dict[int, xr.DataTree] = {}
        self.stops: dict[int, Stop] = {}
        self.interrupted = False
        self._threads = min(threads or cores(), len(members))
        self._left = deque(range(len(members)))
        self._latest: dict[int, Progress] = {}
        self._errors: dict[int, BaseException] = {}
        self._interruption = Interruption()
        self._ended = False

    def run(self) -> None:
        """Raises the first error of a member, after all others have ended their trials; not for Ctrl-C."""
        if not self.wish.resume:
            self._make_place()
        self._began = time.perf_counter()
        with self._interruption:
            # the first is prepared alone: what has to be compiled is compiled once
            together = self._threads > 1 and separate(self.members[0].simulation) is None
            if together:
                self._interruption.patient = True
                self._run_in_threads()
            else:
                self._run_all(self._show)
        self._show()
        done = len(self.trees) == len(self.members) and not self.stops
        self.interrupted = self._interruption.requested and not self._errors and not done
        if self._errors:
            raise self._named(min(self._errors))

    def _make_place(self) -> None:
        """Take away a run of all members that has ended; ResultError where one could still be resumed."""
        folders = [CheckpointFolder(member.checkpoint) for member in self.members if member.checkpoint is not None]
        there = [folder for folder in folders if folder.exists]
        if there and len(there) < len(folders):
            raise ResultError(
                f"{there[0].folder.parent} holds a run that has not ended", got=f"{len(there)} of {len(folders)} replicas were begun",
                do="resume it, choose another folder, or remove this one",
            )
        for folder in there:
            folder.make_place()

    def _run_in_threads(self) -> None:
        threads = [threading.Thread(target=self._run_all, args=(None,), name=f"replicas-{k}") for k in range(self._threads)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(_LOOK_EVERY)
                    self._show()
        finally:  # where ``progress`` raises
            self._interruption.requested |= any(thread.is_alive() for thread in threads)
            for thread in threads:
                thread.join()

    def _run_all(self, show: Callable[[], None] | None) -> None:
        while not self._interruption.requested:
            try:
                number = self._left.popleft()
            except IndexError:
                return
            self._run_one(number, show)

    def _run_one(self, number: int, show: Callable[[], None] | None) -> None:
        member = self.members[number]

        def note(progress: Progress) -> None:
            self._latest[number] = progress
            if show is not None:
                show()

        simulation, began = member.simulation, time.perf_counter()
        try:
            tree = simulation.train(self.wish, member.checkpoint, member.attributes, note, interruption=self._interruption)
            if simulation.stopped is None and self._finished is not None:
                self._finished(number, tree, time.perf_counter() - began)
            self.trees[number] = tree
        except BaseException as error:
            self._errors[number] = error
            self._interruption.requested = True
        if simulation.stopped is not None:
            self.stops[number] = simulation.stopped
            if simulation.stopped.result is not None:
                self.trees[number] = simulation.stopped.result
        simulation.rest()

    def _named(self, number: int) -> BaseException:
        """The error of a member with the number of the member in it."""
        error = self._errors[number]
        if not isinstance(error, NeuroplastError) or len(self.members) == 1:
            return error
        what = f"replica {number} (seed {self.members[number].simulation.seed}): {error.what}"
        named = type(error)(what, where=error.where, got=error.got, allowed=error.allowed, do=error.do)
        named.__cause__ = error
        return named

    def _show(self) -> None:
        if self._progress is None or not self._latest:
            return
        latest = dict(self._latest)
        one = next(iter(latest.values()))
        total, done = one.trials * len(self.members), sum(p.trial for p in latest.values())
        running = [p for p in latest.values() if p.trial < p.trials] or list(latest.values())
        names = dict.fromkeys(name for p in running for name in p.measures)
        measures = {name: _mean([p.measures[name] for p in running if name in p.measures]) for name in names}
        seconds = time.perf_counter() - self._began
        # trials that a checkpoint had already are no measure of speed
        ran = sum(p.trials_per_second * p.seconds for p in latest.values())
        speed = ran / seconds if seconds > 0 else 0.0
        finished = sum(p.trial >= p.trials for p in latest.values())
        ended, self._ended = self._ended, finished == len(self.members)
        if ended:
            return
        self._progress(Progress(
            done, total, measures, seconds, speed, (total - done) / speed if speed > 0 else float("nan"),
            self._interruption.requested, finished, len(self.members), self._warnings(latest),
        ))

    def _warnings(self, latest: Mapping[int, Progress]) -> tuple[str, ...]:
        return tuple(
            text if len(self.members) == 1 else f"seed {self.members[number].simulation.seed}: {text}"
            for number, progress in sorted(latest.items()) for text in progress.warnings
        )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


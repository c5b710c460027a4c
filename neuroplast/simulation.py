"""A simulation: a network on a target, run trial by trial, that can be stopped and goes on exactly where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroplast import results
from neuroplast.backends.targets import Executable, LoweringReport, Target, target_named
from neuroplast.checkpoint import CheckpointFolder, Saved
from neuroplast.errors import DescriptionError, Source, caller
from neuroplast.ir.program import StepProgram
from neuroplast.network import Network
from neuroplast.training import Progress, Stop, Training
from neuroplast.units import second, si


class Interrupted(KeyboardInterrupt):
    """A run that was stopped with Ctrl-C, between two trials. result: of the trials that were run.  checkpoint: its folder."""

    def __init__(self, trial: int, result: xr.DataTree, checkpoint: Path | None) -> None:
        super().__init__(f"stopped before trial {trial}")
        self.trial, self.result, self.checkpoint = trial, result, checkpoint


class Simulation:
    """A network in steps of ``dt`` on a target.

    dt: a time.  target: an object such as ``Reference()``, a name, or None for the fastest that is at hand. What costs time
    (drawing the network, compiling) happens when it is first needed.
    """

    def __init__(self, network: Network, dt: Any, target: Target | str | None = None) -> None:
        self.where: Source | None = caller()
        self.dt = float(si(dt, "time", "Simulation.dt", self.where))
        if not 0 < self.dt < np.inf:
            raise DescriptionError("Simulation.dt is out of range", where=self.where, got=dt, allowed="greater than zero")
        self.network: Network | None = network
        self.target = _target(target)
        self.stopped: Stop | None = None
        self._timed = False
        self._program: StepProgram | None = None
        self._executable: Executable | None = None

    @classmethod
    def of_program(cls, program: StepProgram, target: Target | str | None = None) -> Simulation:
        """A simulation of a program that is there already: one from ``quantize`` or ``apply``, for instance."""
        simulation = cls.__new__(cls)
        simulation.where, simulation.dt, simulation.network = caller(), program.dt, None
        simulation.target, simulation.stopped, simulation._timed = _target(target), None, False
        simulation._program, simulation._executable = program, None
        return simulation

    @property
    def program(self) -> StepProgram:
        """The network in discrete time."""
        if self._program is None:
            self._program = self._discretized(None)
        return self._program

    def _discretized(self, duration: Any) -> StepProgram:
        from neuroplast.ir.discretize import discretize

        assert self.network is not None
        return discretize(self.network, self.dt * second, duration)

    @property
    def executable(self) -> Executable:
        """The program on the target, with its live arrays (writing to them between runs changes the run)."""
        if self._executable is None:
            from neuroplast.ir.tasks import task_caller

            self._executable = self.target.prepare(self.program, task_caller(self.program))
        return self._executable

    @property
    def report(self) -> LoweringReport:
        """What the target could not represent exactly as asked."""
        return self.executable.report

    def run(
        self,
        trials: int | None = None,
        duration: Any = None,
        *,
        checkpoint: Path | str | None = None,
        checkpoint_every: float = 30.0,
        resume: bool = False,
        progress: Callable[[Progress], None] | None = None,
        record: bool = True,
        attributes: Mapping[str, Any] | None = None,
    ) -> xr.DataTree:
        """Run that many trials from where the simulation is now; the result of these trials.

        duration: the length of a trial (one, if ``trials`` is not given) of a network without a task; tasks have their own.
        checkpoint: a folder; the run is stored there every ``checkpoint_every`` seconds and when it ends or is stopped.
        resume: go on from what is stored there (from the beginning where nothing is); the result is that of a run that was
        never stopped.  progress: called a few times a second.  record: False leaves out what monitors ask for.
        attributes: more attributes for the root of the result.

        Ctrl-C ends the run after the current trial, a second one at once; ``Interrupted`` then carries what was done. After any
        other error ``stopped`` does, and the arrays are those between the last two trials, so that ``run`` can be called again.
        """
        if duration is not None:
            self._set_duration(duration)
            trials = 1 if trials is None else trials
        if trials is None and not resume:
            raise DescriptionError("how long to run?", where=caller(), do="run(trials=...) or run(duration=...)")
        if trials is not None and (isinstance(trials, bool) or int(trials) != trials or trials < 1):
            raise DescriptionError("trials is no number of trials", where=caller(), got=trials, allowed="a whole number from 1")
        self.stopped = None
        folder = None if checkpoint is None else CheckpointFolder(checkpoint)
        training = Training(self.executable, folder, checkpoint_every, progress)
        training.begin(None if trials is None else int(trials), resume, record)
        try:
            saved = training.run()
        except BaseException:
            if training.stop is not None:
                self.stopped = replace(training.stop, result=self._result(training.stop.saved, attributes))
            raise
        result = self._result(saved, attributes)
        if training.stop is not None:
            self.stopped = replace(training.stop, result=result)
            raise Interrupted(saved.trial, result, training.stop.checkpoint)
        return result

    def _result(self, saved: Saved, attributes: Mapping[str, Any] | None) -> xr.DataTree:
        return results.build(self.program, saved, self.target.name, self.report, attributes)

    def _set_duration(self, duration: Any) -> None:
        """Make the one trial of a network without a task this long: another program, prepared anew."""
        where = caller()
        seconds = float(si(duration, "time", "Simulation.run: duration", where))
        task = self.network.task if self.network is not None else self.program.task
        if task is not None or self.network is None:
            raise DescriptionError(
                "Simulation.run: the task sets the length of a trial", where=where, got=f"duration={duration:~}",
                do="run(trials=...), and give the duration to the task",
            )
        if not self._timed or abs(self.program.steps - seconds / self.dt) > 1e-6:
            program = self._discretized(duration)
            self.close()
            self._program, self._timed = program, True

    def close(self) -> None:
        """Give back what the target holds; the next run starts from the initial state."""
        if self._executable is not None:
            self._executable.close()
            self._executable = None

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        name = self.network.name if self.network is not None else self.program.name
        return f"Simulation({name!r}, dt={self.dt:g} s, target={self.target.name!r})"


def _target(target: Target | str | None) -> Target:
    if target is None:
        return default_target()
    return target_named(target) if isinstance(target, str) else target


def default_target() -> Target:
    """Brian2's generated code as a library where a C++ compiler is found, else Brian2 with NumPy."""
    from neuroplast.backends.cpp.build import find_compiler

    return target_named("brian2" if find_compiler() else "brian2-runtime")

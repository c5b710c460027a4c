"""A simulation: a network on a target, run trial by trial, that can be stopped and goes on exactly where it was."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroplast import results
from neuroplast.backends.targets import Executable, LoweringReport, Target, target_named
from neuroplast.checkpoint import CheckpointFolder
from neuroplast.errors import DescriptionError, Source, caller
from neuroplast.ir.program import StepProgram
from neuroplast.lock import locked
from neuroplast.network import Network, Population
from neuroplast.neurons import Pattern
from neuroplast.node import single
from neuroplast.replicas import Member, SideBySide, Wish, checked_count, cores, replica_folder, replica_note
from neuroplast.stacking import REPLICA, stack_replicas
from neuroplast.tasks import PythonTask
from neuroplast.training import Interruption, NotFiniteWarning, Progress, Stop, Training
from neuroplast.units import ms, second


class Interrupted(KeyboardInterrupt):
    """A run that was stopped with Ctrl-C, between two trials. result: of the trials that were run.  checkpoint: its folder."""

    def __init__(self, trial: int, result: xr.DataTree, checkpoint: Path | None) -> None:
        super().__init__(f"stopped before trial {trial}")
        self.trial, self.result, self.checkpoint = trial, result, checkpoint


class Simulation:
    """A network in steps of ``dt`` on a target.

    network: or a sequence of networks, which are run side by side (the same one with other parameters, for instance).
    dt: a time.  target: an object such as ``Reference()``, a name, or None for Brian2 (its generated code as a library where a C++
    compiler is found, else with NumPy).
    replicas: run this many independent copies of the network side by side, with the seeds seed, seed + 1, ...; each has its own
    weights, connectivity and noise, and a copy of a task that is written in Python.  threads: how many replicas at a time; by
    default as many as there are processor cores. Results do not depend on it.

    What costs time (drawing the network, compiling) happens when it is first needed. With replicas the results have an axis
    ``replica``; ``simulation.replicas`` are the single simulations, and ``program``, ``executable`` those of the first.
    """

    def __init__(
        self, network: Network | Sequence[Network], dt: Any, target: Target | str | None = None, *, replicas: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.where: Source | None = caller()
        self.dt = single(dt, "time", "Simulation.dt", self.where)
        if self.dt <= 0:
            raise DescriptionError("Simulation.dt is out of range", where=self.where, got=dt, allowed="greater than zero")
        networks = self._networks(network, replicas)
        self.network: Network | None = network if isinstance(network, Network) else networks[0]
        self.target = _target(target)
        self.threads = None if threads is None else checked_count(threads, "Simulation.threads", self.where)
        self._clear()
        self.replicas = tuple(Simulation(one, dt, self.target) for one in networks)

    def _networks(self, network: Network | Sequence[Network], replicas: int | None) -> list[Network]:
        if isinstance(network, Network):
            count = 0 if replicas is None else checked_count(replicas, "Simulation.replicas", self.where)
            return [network, *(network.reseeded(network.seed + k) for k in range(1, count))][:count]
        networks = list(network) if isinstance(network, Sequence) else []
        if not networks or not all(isinstance(one, Network) for one in networks):
            raise DescriptionError(
                "Simulation.network is no network", where=self.where, got=repr(network)[:200],
                allowed="a Network, or a sequence of them",
            )
        if replicas is not None:
            raise DescriptionError(
                "Simulation takes replicas= of one network, or a sequence of networks", where=self.where,
                got=f"replicas={replicas!r} and {len(networks)} networks", do="leave out replicas=",
            )
        environments = [id(task.environment) for one in networks if isinstance(task := one.task, PythonTask)]
        if len(set(environments)) < len(environments):
            raise DescriptionError(
                "several networks share one environment of a Python task", where=self.where,
                do="make an environment for each, or let Simulation(network, ..., replicas=n) copy it",
            )
        return networks

    def _clear(self) -> None:
        self.replicas: tuple[Simulation, ...] = ()
        self.stopped: Stop | None = None
        self._duration: Any = None
        self._program: StepProgram | None = None
        self._executable: Executable | None = None
        self._reached: dict[str, np.ndarray] | None = None
        self._resting = False

    @classmethod
    def of_program(cls, program: StepProgram, target: Target | str | None = None) -> Simulation:
        """A simulation of a program that is there already: one from ``quantize`` or ``apply``, for instance."""
        simulation = cls.__new__(cls)
        simulation.where, simulation.dt, simulation.network = caller(), program.dt, None
        simulation.target, simulation.threads = _target(target), None
        simulation._clear()
        simulation._program = program
        return simulation

    @property
    def seed(self) -> int:
        return self.network.seed if self.network is not None else self.program.seed

    @property
    def program(self) -> StepProgram:
        """The network in discrete time."""
        if self.replicas:
            return self.replicas[0].program
        if self._program is None:
            self._program = self._discretized(self._duration)
        return self._program

    def _discretized(self, duration: Any) -> StepProgram:
        from neuroplast.ir.discretize import discretize

        assert self.network is not None
        return discretize(self.network, self.dt * second, duration)

    @property
    def executable(self) -> Executable:
        """The program on the target, with its live arrays (writing to them between runs changes the run)."""
        if self.replicas:
            return self.replicas[0].executable
        if self._executable is None:
            from neuroplast.ir.tasks import task_caller

            self._executable = self.target.prepare(self.program, task_caller(self.program))
            if self._resting and self._reached is not None:
                for name, values in self._reached.items():
                    self._executable.arrays[name][...] = values
                self._resting = False
        return self._executable

    @property
    def report(self) -> LoweringReport:
        """What the target could not represent exactly as asked."""
        report = self.executable.report
        if not self.replicas:
            return report
        return replace(report, notes=(*report.notes, replica_note(self.replicas, self.threads or cores())))

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
            for simulation in self.replicas or (self,):
                simulation._set_duration(duration)
            trials = 1 if trials is None else trials
        if resume and checkpoint is None:
            raise DescriptionError(
                "there is nothing to resume: no checkpoint folder was given", where=caller(),
                do="run(resume=True, checkpoint=folder); a simulation that is still in memory goes on with run(trials=...) alone",
            )
        if trials is None and not resume:
            raise DescriptionError("how long to run?", where=caller(), do="run(trials=...) or run(duration=...)")
        if trials is not None:
            trials = _trials(trials, caller())
        self._check_trials(trials, record)
        wish = Wish(trials, checkpoint_every, resume, record)
        folder = None if checkpoint is None else Path(checkpoint)
        if self.replicas:
            result = self._run_replicas(wish, folder, attributes, progress)
        else:
            result = self.train(wish, folder, attributes, progress)
            if self.stopped is not None:
                raise Interrupted(self.stopped.trial, result, self.stopped.checkpoint)
        for text in run_warnings(result):
            warnings.warn(text, NotFiniteWarning, stacklevel=2)
        return result

    def _check_trials(self, trials: int | None, record: bool) -> None:
        """DescriptionError where trials have no length, or a run of that many does not have those that are to be recorded."""
        for simulation in self.replicas or (self,):
            network = simulation.network
            if network is None:
                continue
            if network.task is None and simulation._duration is None:
                raise DescriptionError(
                    f"network '{network.name}' has no task, so nothing says how long a trial is", where=caller(),
                    do=f"run({'' if trials is None else f'trials={trials}, '}duration=100*ms), or add a task",
                )
            if record and trials is not None:
                for monitor in network.monitors:
                    monitor.check_run(trials)

    def train(
        self, wish: Wish, folder: Path | None, attributes: Mapping[str, Any] | None, progress: Callable[[Progress], None] | None,
        interruption: Interruption | None = None,
    ) -> xr.DataTree:
        """``run`` for one replica: the result, also where Ctrl-C stopped it (``stopped`` is then set)."""
        self.stopped = None
        place = None if folder is None else CheckpointFolder(folder)
        training = Training(self.executable, place, wish.every, progress, interruption, wish.keep)
        with contextlib.nullcontext() if folder is None else locked(folder):
            training.begin(wish.trials, wish.resume, wish.record)
            try:
                saved = training.run()
            except BaseException:
                if training.stop is not None:
                    self._reached = training.stop.saved.arrays
                    self.stopped = replace(training.stop, result=self._result(training, attributes))
                raise
        self._reached = saved.arrays
        result = self._result(training, attributes)
        if training.stop is not None:
            self.stopped = replace(training.stop, result=result)
        return result

    def _run_replicas(
        self, wish: Wish, folder: Path | None, attributes: Mapping[str, Any] | None, progress: Callable[[Progress], None] | None
    ) -> xr.DataTree:
        self.stopped = None
        members = [
            Member(replica, None if folder is None else folder / replica_folder(k), attributes)
            for k, replica in enumerate(self.replicas)
        ]
        note = replica_note(self.replicas, self.threads or cores())
        together = SideBySide(members, wish, self.threads, progress)
        try:
            together.run()
        finally:
            found = {self.replicas[k].seed: run_warnings(tree) for k, tree in sorted(together.trees.items())}
            result = stack_replicas(together.trees, note) if together.trees else None
            if result is not None:
                _warn_in(result, [f"seed {seed}: {text}" for seed, texts in found.items() for text in texts])
            if together.stops:
                first = min(together.stops.values(), key=lambda stop: stop.trial)
                self.stopped = replace(first, result=result, checkpoint=folder)
        if result is None:
            raise KeyboardInterrupt
        if together.interrupted:
            missing = len(self.replicas) - result.sizes[REPLICA]
            raise Interrupted(self.stopped.trial if self.stopped is not None and not missing else 0, result, folder)
        return result

    def rest(self) -> None:
        """After ``train``: keep the state that it reached, and give back all else. The simulation can go on from there."""
        if self._executable is not None and self._reached is not None:
            if getattr(self._executable, "prepared_once", False):
                return
            self._executable.close()
            self._executable, self._resting = None, True
            if self.network is not None:
                self._program = None

    def _result(self, training: Training, attributes: Mapping[str, Any] | None) -> xr.DataTree:
        tree = results.build(self.program, training.saved, self.target.name, self.report, attributes)
        _warn_in(tree, training.warnings)
        return tree

    def _set_duration(self, duration: Any) -> None:
        """Make the one trial of a network without a task this long: another program, prepared anew."""
        where = caller()
        seconds = single(duration, "time", "Simulation.run: duration", where)
        task = self.network.task if self.network is not None else self.program.task
        if task is not None or self.network is None:
            raise DescriptionError(
                "Simulation.run: the task sets the length of a trial", where=where, got=f"duration={duration:~}",
                do="run(trials=...), and give the duration to the task",
            )
        if self._duration is None or abs(self.program.steps - seconds / self.dt) > 1e-6:
            program = self._discretized(duration)
            self.close()
            self._program, self._duration = program, duration

    def close(self) -> None:
        """Give back what the target holds; the next run starts from the initial state."""
        for replica in self.replicas:
            replica.close()
        if self._executable is not None:
            self._executable.close()
            self._executable = None
        self._reached, self._resting = None, False

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        name = self.network.name if self.network is not None else self.program.name
        count = f", {len(self.replicas)} replicas" if self.replicas else ""
        return f"Simulation({name!r}, dt={self.dt:g} s, target={self.target.name!r}{count})"


def run_warnings(tree: xr.DataTree) -> list[str]:
    """What went wrong in a run that was not stopped by it; of a result, also of one that was loaded."""
    return json.loads(tree.attrs.get("warnings", "[]"))


def _warn_in(tree: xr.DataTree, texts: Sequence[str]) -> None:
    """``warnings`` of a result's root: a JSON list, there where there are any."""
    tree.attrs.pop("warnings", None)
    if texts:
        tree.attrs["warnings"] = json.dumps(list(texts))


def _target(target: Target | str | None) -> Target:
    if target is None:
        return default_target()
    if isinstance(target, str):
        return target_named(target)
    if isinstance(target, type) or not callable(getattr(target, "prepare", None)):
        raise DescriptionError(
            "Simulation.target is no target", where=caller(), got=repr(target)[:200], allowed="a name such as 'compiled', or Reference()"
        )
    return target


def _trials(trials: Any, where: Source | None) -> int:
    number = trials if isinstance(trials, (int, float, np.integer, np.floating)) and not isinstance(trials, bool) else float("nan")
    if not np.isfinite(number) or number != int(number) or number < 1:
        raise DescriptionError("trials is no number of trials", where=where, got=repr(trials), allowed="a whole number from 1")
    return int(number)


def usable_target(target: str | None) -> Target:
    """The target of that name (None: the fastest), after a test on one small network; NeuroplastError where it cannot run here."""
    found = target_named(target) if target else fastest_target()
    net = Network("test", 0)
    net.add(Population("unit", 1, Pattern()))
    with Simulation(net, 1 * ms, found) as simulation:
        simulation.run(duration=1 * ms)
    return found


def fastest_target() -> Target:
    """The compiled target where a C++ compiler is found, else Brian2 with NumPy: for whole training runs."""
    from neuroplast.backends.cpp.build import find_compiler

    return target_named("compiled" if find_compiler() else "brian2-runtime")


def default_target() -> Target:
    """Brian2's generated code as a library where a C++ compiler is found, else Brian2 with NumPy."""
    from neuroplast.backends.cpp.build import find_compiler

    return target_named("brian2" if find_compiler() else "brian2-runtime")

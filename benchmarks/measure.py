"""Measuring one case: is it right, how long does it take to start, and how long does a step take."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np

from benchmarks.peers import how_to_install, interpreter
from benchmarks.registry import ROOT, Case, Implementation, load

Say = Callable[[str], None]


class Unavailable(Exception):
    """The implementation is not there."""


class Failed(Exception):
    """The implementation is there and does not work."""


@dataclass
class Row:
    """What was found about one implementation. Times in seconds but for ``us_per_step``, medians of CPU time."""

    case: str
    implementation: str
    group: str
    remark: str
    us_per_step: float | None = None
    us_per_step_wall: float | None = None
    samples: list[float] = field(default_factory=list)
    startup_cold_s: float | None = None
    startup_cold_cpu_s: float | None = None
    startup_warm_s: float | None = None
    startup_warm_cpu_s: float | None = None
    memory_mb: float | None = None
    difference: float | None = None
    """Largest difference from the Reference's outcome, relative to the largest change; None where not compared."""
    tolerance: float | None = None
    problem: str = ""

    @property
    def wrong(self) -> bool:
        return self.difference is not None and self.tolerance is not None and not self.difference <= self.tolerance


class Worker:
    """One implementation in a process of its own, with caches and home folder of its own."""

    def __init__(self, case: Case, name: str, job: dict[str, Any], limit: float, log: Path) -> None:
        peer = case[name].peer if not job["against"] else ""
        python = interpreter(peer) if peer else Path(sys.executable)
        if python is None:
            raise Unavailable(how_to_install(peer))
        home = Path(job["folder"])
        home.mkdir(parents=True, exist_ok=True)
        places = ("HOME", "XDG_CACHE_HOME", "NEUROPLAST_CACHE", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")
        environment = {**os.environ, **dict.fromkeys(places, str(home)), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.limit, self.log = limit, log
        began = time.perf_counter()
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [str(python), "-m", "benchmarks.worker", case.name, name], cwd=ROOT, env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            ready = self.ask(job)
        except BaseException:
            self.close()
            raise
        self.startup, self.startup_cpu, self.steps = time.perf_counter() - began, ready["cpu"], ready["steps"]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def ask(self, request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=self.limit)
        except queue.Empty:
            raise Failed(f"no answer within {self.limit:g} s") from None
        except OSError as error:
            raise Failed(str(error)) from error
        if not line:
            raise Failed(f"the process ended with code {self.process.wait()}")
        answer = json.loads(line)
        if "missing" in answer:
            raise Unavailable(answer["missing"])
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
            self.process.wait(timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


class Measurement:
    """All measurements of one case. folder: a temporary one.  quick: fewer implementations, checks and repetitions."""

    def __init__(self, case: Case, folder: Path, quick: bool, say: Say, limit: float = 1200.0) -> None:
        self.case, self.folder, self.quick, self.say, self.limit = case, folder, quick, say, limit
        self.rounds, self.batch = (3, 0.4) if quick else (5, 2.0)
        self.rows: dict[str, Row] = {}
        self._expected: dict[str, np.ndarray] = {}

    def run(self, implementations: Sequence[Implementation]) -> list[Row]:
        make = partial(cast("Callable[..., dict[str, Any]]", load(self.case.data)), **self.case.options)
        trials, steps = self.case.check
        self.say("shared arrays")
        for name, arrays in (("check", make(steps, trials)), ("timing", make(self.case.steps, 1))):
            np.savez(self.folder / f"{name}.npz", **arrays)
        workers: dict[str, Worker] = {}
        try:
            for implementation in implementations:
                row = self.rows[implementation.name] = Row(
                    self.case.name, implementation.name, implementation.group, implementation.remark
                )
                try:
                    workers[row.implementation] = self._start(implementation, row)
                    if self._checks(implementation):
                        self._check(implementation, row)
                except Unavailable as error:
                    row.problem = str(error) if str(error).startswith("not installed") else f"missing: {error}"
                except Failed as error:
                    row.problem = f"failed: {error}"
            for name in [name for name in workers if self.rows[name].problem]:
                workers.pop(name).close()
            self._time(workers)
        finally:
            for worker in workers.values():
                worker.close()
        return list(self.rows.values())

    def _checks(self, implementation: Implementation) -> bool:
        """Whether to compare it with the Reference: those that are built for minutes for that only in a full run."""
        same = implementation.name == self.case.reference.name
        soon = implementation.name == "compiled" or implementation.group == "limit"
        return implementation.checked and not same and (soon or not self.quick)

    def _job(self, name: str, *, check: bool, against: bool = False) -> dict[str, Any]:
        trials, steps = self.case.check if check else (1, self.case.steps)
        data = self.folder / ("check.npz" if check else "timing.npz")
        return {"folder": str(self.folder / name), "data": str(data), "steps": steps, "trials": trials, "given": check,
                "against": against}

    def _worker(self, name: str, *, check: bool, against: bool = False) -> Worker:
        job = self._job(name, check=check, against=against)
        return Worker(self.case, name, job, self.limit, self.folder / f"{name}.log")

    def _start(self, implementation: Implementation, row: Row) -> Worker:
        """Twice: with nothing in the caches, and again with what the first start left there; Brian2 by hand once where it is to be
        quick."""
        self.say(f"{implementation.name}: start")
        cold = self._worker(implementation.name, check=False)
        row.startup_cold_s, row.startup_cold_cpu_s = cold.startup, cold.startup_cpu
        if self.quick and implementation.group == "brian2":
            return cold
        cold.close()
        warm = self._worker(implementation.name, check=False)
        row.startup_warm_s, row.startup_warm_cpu_s = warm.startup, warm.startup_cpu
        return warm

    def _outcome(self, name: str, *, against: bool = False) -> np.ndarray:
        worker = self._worker(name, check=True, against=against)
        path = self.folder / f"{name}.npy"
        try:
            worker.ask(["run", self.case.check[0]])
            worker.ask(["outcome", str(path)])
        finally:
            worker.close()
        return np.load(path).ravel()

    def _check(self, implementation: Implementation, row: Row) -> None:
        """Same noise, same first state: the same outcome as the Reference's?"""
        self.say(f"{implementation.name}: comparison with the Reference")
        key = json.dumps(dict(implementation.against), sort_keys=True)
        if key not in self._expected:
            self._expected[key] = self._outcome(implementation.name, against=True)
        expected = self._expected[key]
        with np.load(self.folder / "check.npz") as shared:
            change = np.abs(expected - shared[self.case.start].ravel()).max()
        row.difference = float(np.abs(self._outcome(implementation.name) - expected).max() / change)
        row.tolerance = implementation.tolerance

    def _time(self, workers: dict[str, Worker]) -> None:
        """Rounds over all implementations, so that a busy moment of the machine does not hit one alone. A step's time is the
        difference between a long and a short run: what each call costs (writing results, preparing objects) is left out."""
        trials: dict[str, int] = {}
        for name in list(workers):
            try:
                self.say(f"{name}: how many trials")
                workers[name].ask(["run", 1])
                trials[name] = self._enough(workers[name])
            except Failed as error:
                self.rows[name].problem = f"failed: {error}"
                workers.pop(name).close()
        walls: dict[str, list[float]] = {name: [] for name in workers}
        for turn in range(self.rounds):
            for name, worker in workers.items():
                self.say(f"{name}: round {turn + 1} of {self.rounds}")
                cpu, wall = self._per_step(worker, trials[name])
                self.rows[name].samples.append(cpu)
                walls[name].append(wall)
        for name, worker in workers.items():
            row = self.rows[name]
            row.us_per_step, row.us_per_step_wall = median(row.samples), median(walls[name])
            if row.group in ("ours", "limit") and not worker.ask(["finite"])["finite"]:  # the others run the same network
                row.problem = "failed: what was learnt is not finite after the timing, so its speed means nothing"
            row.memory_mb = worker.ask(["memory"])["mb"]

    def _enough(self, worker: Worker) -> int:
        """A number of trials that takes long enough to be measured."""
        trials = 2
        while trials * worker.steps < 4_000_000:
            cpu, _ = self._per_step(worker, trials)
            if cpu * worker.steps * (trials - 1) >= 1e6 * self.batch:
                break
            trials *= 2 if cpu * worker.steps * (trials - 1) > 3e5 * self.batch else 4
        return trials

    @staticmethod
    def _per_step(worker: Worker, trials: int) -> tuple[float, float]:
        """Microseconds of CPU and of wall time."""
        short, long = worker.ask(["run", 1]), worker.ask(["run", trials])
        steps = (trials - 1) * worker.steps
        return (long["cpu"] - short["cpu"]) / steps * 1e6, (long["wall"] - short["wall"]) / steps * 1e6

"""Hand-written Brian2 as an implementation of a case, on its runtime device with Cython or as a C++ standalone program."""

from __future__ import annotations

import importlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import brian2 as b2
import numpy as np

from benchmarks.registry import Job, load

SECOND: Any = b2.second


class Form(Protocol):
    """A network in Brian2, made for a job. objects: all of them.  dt: in seconds."""

    objects: list[Any]
    dt: float

    def outcome(self) -> np.ndarray:
        """What is compared with the Reference, with what Brian2 would do only in its next step done here."""
        ...


def made_by(form: str | Callable[[Job], Form]) -> Callable[[Job], Form]:
    return cast("Callable[[Job], Form]", load(form)) if isinstance(form, str) else form


def _includes(folder: str) -> None:
    if folder:
        b2.prefs.codegen.cpp.include_dirs += [str(Path(str(importlib.import_module(folder).__file__)).parent)]


class Cython:
    """Brian2's runtime device with Cython.

    form: makes the network, or "module:name" of what does.  includes: package whose folder holds the C++ headers of user
    functions.  few: run only so many steps of each trial when it is timed.
    """

    def __init__(self, form: str | Callable[[Job], Form], includes: str = "", few: int | None = None) -> None:
        self.form, self.includes, self.few, self.steps = form, includes, few, 0

    def prepare(self, job: Job) -> None:
        self.steps = job.steps if job.given or self.few is None else self.few
        b2.prefs.codegen.target = "cython"
        b2.prefs.codegen.runtime.cython.cache_dir = str(job.folder / "cython")
        _includes(self.includes)
        form = made_by(self.form)
        self.made = form(job)
        self.network = b2.Network(self.made.objects)
        self.network.run(0 * SECOND)  # compiles

    def run(self, trials: int) -> None:
        self.network.run(trials * self.steps * self.made.dt * SECOND)

    def outcome(self) -> np.ndarray:
        return self.made.outcome()


STOP = """
#include <cstdlib>
static double bench_stop(double t) {
    static const double last = std::getenv("BENCH_SECONDS") ? std::atof(std::getenv("BENCH_SECONDS")) : 1e30;
    if (t > last - 1e-9) Network::_globally_stopped = true;
    return 0.0;
}
"""
LONG = 1e6 * SECOND


class Standalone:
    """Brian2's C++ standalone device. form, includes, few: as for Cython.

    One binary for any number of trials: a function called once a trial stops it at the time that the environment names.
    """

    def __init__(self, form: str | Callable[[Job], Form], includes: str = "", few: int | None = None) -> None:
        self.form, self.includes, self.few, self.steps = form, includes, few, 0

    def prepare(self, job: Job) -> None:
        self.job, self.folder = job, job.folder / ("given" if job.given else "standalone")
        self.steps = job.steps if job.given or self.few is None else self.few
        b2.set_device("cpp_standalone", build_on_run=False, directory=str(self.folder))
        b2.prefs.devices.cpp_standalone.extra_make_args_unix = ["-j2"]
        _includes(self.includes)
        form = made_by(self.form)
        self.made = form(job)
        trial, objects = self.steps * self.made.dt * SECOND, list(self.made.objects)
        if not job.given:
            stop = b2.implementation("cpp", STOP, headers=['"network.h"'])(b2.check_units(t=1, result=1)(lambda t: 0))
            stopper = b2.NeuronGroup(1, "done : 1", name="BENCH", namespace={"bench_stop": stop})
            stopper.run_regularly("done = bench_stop(t/second)", dt=trial, when="start", name="BENCH_stop")
            objects.append(stopper)
        b2.Network(objects).run(job.trials * trial if job.given else LONG)
        b2.device.build(directory=str(self.folder), compile=True, run=False, with_output=False)

    def run(self, trials: int) -> None:
        if self.job.given:
            b2.device.run(with_output=False)
            return
        subprocess.run(
            ["./main", "--results_dir", "results/"], cwd=self.folder, check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "BENCH_SECONDS": repr(trials * self.steps * self.made.dt)},
        )

    def outcome(self) -> np.ndarray:
        return self.made.outcome()

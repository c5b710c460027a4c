"""Our own targets as implementations of a case: the case's step program, prepared by name."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.registry import Job, Missing


class OnTarget:
    """network: module with ``program(steps, **options)`` and ``LEARNED``, the array that is compared, or ``outcome(job, arrays,
    **options)``.

    few: run only so many steps of each trial when it is timed (a trial of the Reference is long).
    """

    def __init__(self, target: str, network: str, few: int | None = None, **options: Any) -> None:
        self.target, self.network, self.few, self.options = target, importlib.import_module(network), few, options
        self.steps = 0

    def prepare(self, job: Job) -> None:
        """Our random numbers are the Reference's own, so the given noise needs no other network."""
        from neuroplast.backends.reference import Recorder
        from neuroplast.backends.targets import target_named
        from neuroplast.errors import DescriptionError
        from neuroplast.ir.tasks import task_caller

        try:
            target = target_named(self.target)
        except (ImportError, AttributeError, DescriptionError) as error:
            raise Missing(str(error)) from error
        self.job = job
        program = self.network.program(job.steps, **self.options)
        if self.few is not None and not job.given:
            program = replace(program, steps=self.few)
        self.steps = program.steps
        self.executable = target.prepare(program, task_caller(program))
        self.recorder = Recorder(program.recordings, {r.name: set() for r in program.recordings}, program.passes)

    def run(self, trials: int) -> None:
        self.executable.run(trials, self.recorder)

    def outcome(self) -> np.ndarray:
        if hasattr(self.network, "outcome"):
            return self.network.outcome(self.job, self.executable.arrays, **self.options)
        return self.executable.arrays[self.network.LEARNED].copy()

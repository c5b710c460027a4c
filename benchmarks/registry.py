"""The cases and their implementations, by name and import path: nothing is imported until a process of its own runs it.

A new case is a folder with a ``CASE``, named in :data:`CASES`; a new peer is one :class:`Implementation` in its case.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""
CASES = {
    "song": "benchmarks.song:CASE",
    "rnn": "benchmarks.rnn:CASE",
    "bci": "benchmarks.bci:CASE",
    "distal-reward": "benchmarks.distal_reward:CASE",
    "weight-noise": "benchmarks.weight_noise:SPIKES",
    "weight-noise-graded": "benchmarks.weight_noise:GRADED",
    "weight-noise-1e6": "benchmarks.weight_noise:SPIKES_LARGE",
    "weight-noise-graded-1e6": "benchmarks.weight_noise:GRADED_LARGE",
    "scaling-1e4": "benchmarks.scaling:SMALL",
    "scaling-1e5": "benchmarks.scaling:MIDDLE",
    "scaling-1e6": "benchmarks.scaling:LARGE",
    "scaling-1e7": "benchmarks.scaling:HUGE",
}
"""Case -> where it is defined."""


def expand(name: str, quick: bool = False) -> list[str]:
    """The cases that a word stands for: that one and its variants ("<name>-..."); with quick, itself or the first two of them."""
    variants = [case for case in CASES if case.startswith(f"{name}-")]
    if name in CASES:
        return [name] if quick else [name, *variants]
    return variants[:2] if quick else variants


class Missing(Exception):
    """An implementation that cannot be run here: not installed, or not written yet."""


@dataclass(frozen=True)
class Job:
    """What an implementation is asked to prepare. folder: its own place for caches and builds.  data: file of shared arrays.

    steps: of a trial.  given: the noise is that of the shared arrays (``trials`` trials), to be compared with the Reference;
    else its own, for timing.
    """

    folder: Path
    data: Path
    steps: int
    trials: int = 1
    given: bool = False

    def arrays(self) -> dict[str, np.ndarray]:
        with np.load(self.data) as file:
            return dict(file)


class Runner(Protocol):
    """An implementation at work. ``steps``: of one trial, where it differs from the job's."""

    steps: int

    def prepare(self, job: Job) -> None:
        """Everything before the first step: code generation, compilation, memory."""
        ...

    def run(self, trials: int) -> None:
        """Run that many trials, from where the last call ended."""
        ...

    def outcome(self) -> np.ndarray:
        """What is compared with the Reference after ``job.trials`` trials with the given noise."""
        ...


@dataclass(frozen=True)
class Implementation:
    """One way to run a case.

    runner: "module:factory", called with ``options``.  group: "ours", "brian2" or "limit", or another peer's name.
    remark: where its semantics or its conditions differ.  quick: part of --quick.
    checked: False where no outcome can be compared.  tolerance: of the comparison, relative to the largest change.
    against: options of the reference that it is compared with, where they are not the usual ones.
    peer: runs in the environment of this peer (benchmarks/peers.py).
    """

    name: str
    runner: str
    group: str
    remark: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False
    checked: bool = True
    tolerance: float = 1e-9
    against: Mapping[str, Any] = field(default_factory=dict)
    peer: str = ""

    def make(self) -> Runner:
        """The runner; called in the process that runs it."""
        factory = cast("Callable[..., Runner]", load(self.runner))
        return factory(**self.options)


@dataclass(frozen=True)
class Case:
    """One network, and every way to run it.

    steps: of a trial.  check: (trials, steps) of the comparison with the Reference.  data: "module:function" of (steps, trials,
    **options), giving the arrays that all share.  start: the one of them that the outcome starts from, so that changes can be
    compared.
    reference: what outcomes are compared with.  baselines: implementations that ratios in the table refer to.
    left_out: peer -> why it is not among them.
    """

    name: str
    title: str
    steps: int
    check: tuple[int, int]
    data: str
    start: str
    reference: Implementation
    baselines: tuple[str, ...]
    implementations: tuple[Implementation, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Implementation:
        """The implementation of that name; ``reference`` is always one."""
        return next(i for i in (*self.implementations, self.reference) if i.name == name)


def load(path: str) -> object:
    """The object that "module:name" stands for."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def case_named(name: str) -> Case:
    """The case of that name."""
    found = load(CASES[name])
    assert isinstance(found, Case)
    return found

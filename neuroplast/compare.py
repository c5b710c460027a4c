"""The same network with the same noise on several targets: where, and when, do they first differ?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neuroplast.backends.cpp.access import writes
from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import Target
from neuroplast.ir.program import CLOCK, Recording, StepProgram
from neuroplast.testing.tolerances import RELATIVE

WIDEST = 4096
"""Arrays with more elements are compared when a trial ends, not in every step."""


@dataclass(frozen=True)
class Run:
    """One target's values: array -> trial -> (steps, size); (1, size) for large arrays. In the order in which a step writes them."""

    label: str
    values: dict[str, dict[int, np.ndarray]]


@dataclass(frozen=True)
class Difference:
    """Of one array between two runs. largest: relative to the largest magnitude of the array.  trial, step, unit: where they first
    differ by more than ``RELATIVE``, None where they never do (step -1: at the end of the trial)."""

    array: str
    largest: float
    trial: int | None
    step: int | None
    unit: int | None
    one: float
    other: float


def observe(label: str, program: StepProgram, target: Target, trials: int) -> Run:
    """Run a program and keep every array of its neurons, weights and modulators."""
    from neuroplast.ir.tasks import task_caller

    in_order = dict.fromkeys(name for op in (*program.before, *program.neurons, *program.after) for name in sorted(writes(op)))
    arrays = [program.arrays[name] for name in (*in_order, *(n for n in program.arrays if n not in in_order))]
    recordings = tuple(
        Recording(array.name, array.name, 1 if array.initial.size <= WIDEST else 0, None, "all", False, array.unit, ("time", "unit"))
        for array in arrays
        if array.kind == "state" and array.name != CLOCK and array.initial.dtype == float and array.initial.size
    )
    watched = replace(program, recordings=recordings)
    recorder = Recorder(recordings, {r.name: set(range(trials)) for r in recordings}, program.passes)
    executable = target.prepare(watched, task_caller(watched))
    try:
        executable.run(trials, recorder)
    finally:
        executable.close()
    return Run(label, recorder.results)


def differences(one: Run, other: Run) -> list[Difference]:
    """Arrays that both have, those that differ earliest first; within a step, those that are written first."""
    found = [_difference(name, one.values[name], other.values[name]) for name in one.values if name in other.values]
    late = (np.inf, np.inf)
    return sorted(found, key=lambda d: late if d.trial is None else (d.trial, np.inf if d.step == -1 else d.step or 0))


def _difference(name: str, one: dict[int, np.ndarray], other: dict[int, np.ndarray]) -> Difference:
    size = max((float(np.max(np.abs(v), initial=0.0, where=np.isfinite(v))) for v in one.values()), default=0.0) or 1.0
    largest, first = 0.0, None
    for trial in sorted(one.keys() & other.keys()):
        a, b = one[trial], other[trial]
        steps = min(len(a), len(b))
        with np.errstate(invalid="ignore"):
            away = np.where(a[:steps] == b[:steps], 0.0, np.nan_to_num(np.abs(a[:steps] - b[:steps]), nan=np.inf)) / size
        largest = max(largest, float(away.max(initial=0.0)))
        if len(a) != len(b):
            largest = max(largest, np.inf)
        if first is None and np.any(away > RELATIVE):
            step, unit = np.unravel_index(int(np.argmax(away.ravel() > RELATIVE)), away.shape)
            first = trial, -1 if steps == 1 and len(a) == 1 else int(step), int(unit), float(a[step, unit]), float(b[step, unit])
    if first is None:
        return Difference(name, largest, None, None, None, 0.0, 0.0)
    return Difference(name, largest, *first)


def picture(runs: Sequence[Run], name: str, path: Path) -> Path:
    """One array on every target, and below how far the others are from the first; of the unit that is furthest away."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    series = [np.concatenate([run.values[name][t] for t in sorted(run.values[name])]) for run in runs]
    steps = min(len(s) for s in series)
    away = [np.abs(s[:steps] - series[0][:steps]) for s in series]
    unit = int(np.argmax(sum(a.max(0) for a in away)))
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
    for run, values, apart in zip(runs, series, away, strict=True):
        upper.plot(values[:steps, unit], label=run.label, lw=1)
        lower.semilogy(np.maximum(apart[:, unit], 1e-18), label=run.label, lw=1)
    upper.set_title(f"{name}[{unit}]", fontsize=10)
    upper.legend(fontsize=8, frameon=False)
    lower.set(xlabel="step", ylabel=f"distance from {runs[0].label}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


__all__ = ["Difference", "Run", "differences", "observe", "picture"]

"""A short run of a program before it is changed: what values its arrays take."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from neuroplast.backends.reference import Recorder, Reference
from neuroplast.backends.targets import Executable, TaskCaller
from neuroplast.ir.program import CLOCK, TRIAL, Recording, StepProgram
from neuroplast.quantize.integers import QuantizationError

Ranges = Mapping[str, tuple[float, float]]
"""array -> the smallest and the largest value that it takes"""

USUAL = 0.99
"""Signals of rules are scaled by what they do not exceed in this part of the steps in which they are not zero."""

_PATIENCE = 2.0
"""Seconds from which on compiling is worth it."""
_STEP, _SYNAPSE = 2e-4, 1e-8
"""Seconds that the Reference takes for a step, and for each synapse in it."""
_MEMORY = 1e9
"""Bytes of one trial's values, beyond which they are looked at step by step."""


class _Watch(Recorder):
    """Looks at the arrays after each step."""

    def __init__(self, look: Callable[[Mapping[str, np.ndarray]], None]) -> None:
        super().__init__((), {}, 1)
        self.look = look

    def step(self, arrays: dict[str, np.ndarray]) -> None:
        self.look(arrays)


def watch(program: StepProgram, trials: int, look: Callable[[Mapping[str, np.ndarray]], None]) -> None:
    """Run on the Reference, and look at the arrays after each step. A Python task is copied, so that it does not remember."""
    Reference().prepare(program, _caller(program)).run(trials, _Watch(look))


def measured_ranges(program: StepProgram, trials: int = 1, usual: Iterable[str] = ()) -> dict[str, tuple[float, float]]:
    """The ranges of what neurons keep, in a short float run.

    usual: arrays for which the few steps with the largest values do not count: signals of rules, which begin with a jump where a
    running mean has seen nothing yet, and may be cut off.
    """
    kept = sorted({array for op in program.neurons for name, array in op.bind.items() if name in ("v", "m") or name.startswith("i_")})
    cut = sorted(set(usual))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in (*kept, *cut)}  # (steps, 2): the least and the largest of each step
    for values in _values(program, sorted(rows), trials):
        for name, array in values.items():
            rows[name].append(np.stack([array.min(axis=1, initial=np.inf), array.max(axis=1, initial=-np.inf)], axis=1))
    seen = {name: np.concatenate(parts) if parts else np.zeros((0, 2)) for name, parts in rows.items()}
    found = {name: (float(seen[name][:, 0].min(initial=np.inf)), float(seen[name][:, 1].max(initial=-np.inf))) for name in kept}
    for name in cut:
        low, high = np.maximum(-seen[name][:, 0], 0.0), np.maximum(seen[name][:, 1], 0.0)
        most = [float(np.quantile(side[side > 0.0], USUAL)) if np.any(side > 0.0) else 0.0 for side in (low, high)]
        found[name] = -most[0], most[1]
    return found


def _values(program: StepProgram, names: list[str], trials: int) -> Iterator[dict[str, np.ndarray]]:
    """Of each trial, or of each step where a trial is too large: array -> (steps, size)."""
    width = sum(program.arrays[name].initial.size for name in names)
    if 8.0 * width * program.steps > _MEMORY:
        steps: list[dict[str, np.ndarray]] = []
        watch(program, trials, lambda arrays: steps.append(
            {name: np.array([[arrays[name].min(initial=np.inf)], [arrays[name].max(initial=-np.inf)]]).T for name in names}
        ))
        yield from steps
        return
    recordings = tuple(Recording(name, name, 1, None, "all", False, "1", ("time", "unit")) for name in names)
    executable = _prepared(replace(program, recordings=recordings), trials)
    try:
        for _ in range(trials):
            trial = int(executable.arrays[CLOCK][TRIAL])
            recorder = Recorder(recordings, {name: {trial} for name in names}, program.passes)
            executable.run(1, recorder)
            yield {name: recorder.results[name][trial] for name in names}
    finally:
        executable.close()


def _prepared(program: StepProgram, trials: int) -> Executable:
    """On the Reference where that is quick; else compiled, where a compiler is."""
    from neuroplast.backends.compiled import Compiled
    from neuroplast.backends.cpp.build import find_compiler

    synapses = sum(array.initial.size for name, array in program.arrays.items() if name.endswith("_weight"))
    seconds = trials * program.passes * program.steps * (_STEP + _SYNAPSE * synapses)
    target = Compiled() if seconds > _PATIENCE and find_compiler() else Reference()
    return target.prepare(program, _caller(program))


def _caller(program: StepProgram) -> TaskCaller | None:
    from neuroplast.ir.tasks import PythonBinding, PythonCaller

    if not isinstance(program.task, PythonBinding):
        return None
    try:
        return PythonCaller(copy.deepcopy(program.task))
    except Exception as error:
        raise QuantizationError(
            f"the task of '{program.name}' cannot be copied for a trial run", got=repr(error),
            do="quantize(program, ranges=..., trials=0)",
        ) from error

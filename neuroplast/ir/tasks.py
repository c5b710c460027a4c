"""Tasks in discrete time: declarative ones become operations, Python ones a call. Counterpart of tasks/.

The task comes last in a step (phase 7): it sees the output and sets the reward and the inputs for the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from neuroplast.errors import DescriptionError, NeuroplastError, TaskError, did_you_mean, raised_at
from neuroplast.expressions import expression
from neuroplast.ir.builder import REWARD, TOTAL, TRIAL_TYPE, Builder
from neuroplast.ir.graph import generator
from neuroplast.ir.modulation import TRIAL_TYPES
from neuroplast.ir.neurons import output_signal
from neuroplast.ir.program import CLOCK, STEP, TRIAL, CallTask, Dot, Draw, Row, SetRow, StepProgram, Sum
from neuroplast.modulation import PerTrialType
from neuroplast.network import Population
from neuroplast.neurons import Pattern
from neuroplast.node import numbers
from neuroplast.tasks import OpenLoop, PythonTask, Reach, Regression, Task, TrackTarget


def lower_task(task: Task, b: Builder) -> None:
    """Add the operations of a task, and those that every task has."""
    network = set(b.arrays)
    _lower(task, b)
    if not isinstance(task, OpenLoop):
        if not b.reset:
            # the network goes on where it was, the last reward included; the task's own state and sums begin with each trial
            own = [TOTAL, *(name for name, array in b.arrays.items() if name not in network and array.reset)]
            b.trial_start[:0] = [b.scalar_map("task", [("x", "0.0")], {"x": name}, b.arrays[name].initial.size) for name in own]
        b.observe.append(b.scalar_map("task", [("total", "total + reward")], {"total": TOTAL, "reward": REWARD}))
        b.measures.setdefault("reward", TOTAL)
        b.measure_units.setdefault("reward", "1")


def _measure(b: Builder, name: str, unit: str = "1") -> str:
    array = b.array(f"task_{name}", np.zeros(1), unit, reset=True)
    b.measures[name], b.measure_units[name] = array, unit
    return array


def _squared(unit: str) -> str:
    return "1" if unit == "1" else f"{unit}^2"


def _given(population: Population, task: Task) -> None:
    if not isinstance(population.neuron, Pattern) or population.neuron.values is not None:
        raise DescriptionError(
            f"the task sets the input '{population.name}', which must be a Pattern without values", where=task.where,
            got=f"{type(population.neuron).__name__} declared at {population.where}", do="Population(..., Pattern())",
        )


@singledispatch
def _lower(task: Task, b: Builder) -> None:
    raise AssertionError(f"{type(task).__name__} has no discrete form")


@_lower.register
def _(task: OpenLoop, b: Builder) -> None:
    """Nothing happens."""


@_lower.register
def _(task: TrackTarget, b: Builder) -> None:
    k, target = task.readout.size, numbers(task.target, "TrackTarget.target", task.where)
    stride = b.steps_of(task.si.interval, "task", "interval", task.where, least=1)
    sung = len(target) * stride
    if sung > b.steps:
        raise DescriptionError(
            "TrackTarget.target is longer than the trial", where=task.where,
            got=f"{len(target)} rows of {stride} steps in a trial of {b.steps} steps", allowed=f"up to {b.steps // stride} rows",
            do="make the trial longer, or the target shorter",
        )
    if (task.readout.name, task.variable) not in b.signals:
        known = [v for n, v in b.signals if n == task.readout.name]
        raise DescriptionError(
            f"TrackTarget.variable '{task.variable}' is no signal of '{task.readout.name}'", where=task.where,
            do=did_you_mean(task.variable, known),
        )
    signal = b.signal(task.readout.name, task.variable)
    table = b.array("task_target_table", target, kind="constant")
    now = b.array("task_target", np.zeros(k), kind="scratch")
    active = b.array("task_active", np.zeros(1), kind="scratch")
    mask = b.array("task_active_table", np.r_[np.ones(sung), 0.0], kind="constant")
    bind = {"active": active, "D": b.array("task_distance", np.zeros(1), kind="scratch"), "reward": REWARD,
            "error": _measure(b, "error", _squared(b.arrays[signal].unit))}
    b.observe += [
        Row(now, table, len(target), "step", stride), Row(active, mask, sung + 1),
        Sum(bind["D"], k, expression("(m - target)**2"), {"m": signal, "target": now}),
    ]
    statements = [("error", f"error + active*D/{float(sung)!r}")]
    if task.reward == "error":
        statements.append(("reward", "-active*D"))
    elif task.reward == "random":
        bind["u"] = b.array("task_uniform", np.zeros(1), kind="scratch")
        b.observe.append(Draw(bind["u"], "uniform", "task/random reward", probe=True))
        statements.append(("reward", "active*where(u < 0.5, 1.0, 0.0)"))
    elif task.threshold is not None:
        statements.append(("reward", f"active*where(D < {float(task.si.threshold)!r}, 1.0, 0.0)"))
    else:
        bars = b.array("task_threshold_table", np.full(b.steps, -1.0), reset=False)
        bind["bar"] = b.array("task_threshold", np.zeros(1), kind="scratch")
        b.observe.append(Row(bind["bar"], bars, b.steps))
        # a bar below zero has not been set: the first song is its own expectation and earns nothing
        statements += [
            ("bar", "where(bar < 0.0, D, bar)"),
            ("reward", "active*where(D < bar, 1.0, 0.0)"),
            ("bar", f"bar + {float(task.si.smoothing)!r}*(D - bar)"),
        ]
        b.observe += [b.scalar_map("task", statements, bind), SetRow(bars, bind["bar"], b.steps)]
        return
    b.observe.append(b.scalar_map("task", statements, bind))


@_lower.register
def _(task: Reach, b: Builder) -> None:
    _given(task.inputs, task)
    targets = numbers(task.targets, "Reach.targets", task.where)
    n, d = targets.shape
    for modulator in b.graph.network.modulators:
        if isinstance(modulator.baseline, PerTrialType) and n > TRIAL_TYPES:
            raise DescriptionError(
                f"the baseline of '{modulator.name}' keeps a mean for each trial type, and Reach has too many targets", where=task.where,
                got=f"{n} targets", allowed=f"up to {TRIAL_TYPES}", do="use fewer targets, or RunningMean(trials=...)",
            )
    x, s = b.signal(task.inputs.name, "rate"), b.signal(task.outputs.name, output_signal(task.outputs))
    arrays = {
        "targets": b.array("task_targets", targets, kind="constant"),
        "encoder": b.array("task_encoder", numbers(task.encoder, "Reach.encoder", task.where), kind="constant"),
        "decoder": b.array("task_decoder", numbers(task.decoder, "Reach.decoder", task.where), kind="constant"),
        "offset": b.array("task_offset", numbers(task.offset, "Reach.offset", task.where), kind="constant"),
        "goal": b.array("task_goal", np.zeros(d), reset=True), "cursor": b.array("task_cursor", np.zeros(d), reset=True),
        "want": b.array("task_direction", np.zeros(d), reset=True), "y": b.array("task_velocity", np.zeros(d), kind="scratch"),
        "s": b.array("task_centred", np.zeros(task.outputs.size), kind="scratch"),
    }
    scalars = {name: b.array(f"task_{name}_", np.zeros(1), kind="scratch") for name in ("distance", "speed", "cosine", "number")}
    b.done = b.array("task_done", np.zeros(1), reset=True)
    if task.order == "random":
        choice = b.array("task_choice", np.zeros(1), kind="scratch")
        bind = {"type": TRIAL_TYPE, "choice": choice}
        pick = [
            Draw(choice, "uniform", "task/choice", probe=False, each="trial"),
            b.scalar_map("task", [("type", f"floor({float(n)!r}*choice)")], bind),
        ]
    else:
        pick = [Row(TRIAL_TYPE, b.array("task_sequence", np.arange(float(n)), kind="constant"), 1, trials=n)]
    vectors = {k: arrays[k] for k in ("goal", "cursor", "want", "y")} | {k: scalars[k] for k in ("distance", "speed")}
    aim = [
        Sum(scalars["distance"], d, expression("(goal - cursor)**2"), {k: arrays[k] for k in ("goal", "cursor")}),
        b.scalar_map("task", [("want", "(goal - cursor)/maximum(sqrt(distance), 1e-12)")], vectors, d),
        Dot(x, arrays["encoder"], arrays["want"], task.inputs.size, d),
    ]
    b.trial_start += [*pick, Row(arrays["goal"], arrays["targets"], n, TRIAL_TYPE), *aim]
    measures = {name: _measure(b, name, unit) for name, unit in (("match", "1"), ("duration", "step"), ("hit", "1"))}
    bind = measures | {"cosine": scalars["cosine"], "speed": scalars["speed"], "distance": scalars["distance"], "reward": REWARD,
                       "done": b.done, "total": TOTAL}
    b.observe += [
        b.scalar_map("task", [("out", "s - offset")], {"out": arrays["s"], "s": s, "offset": arrays["offset"]}, task.outputs.size),
        Dot(arrays["y"], arrays["decoder"], arrays["s"], d, task.outputs.size),
        Sum(scalars["speed"], d, expression("y**2"), {"y": arrays["y"]}),
        Sum(scalars["cosine"], d, expression("y*want"), {"y": arrays["y"], "want": arrays["want"]}),
        b.scalar_map("task", [("cursor", f"cursor + y*{b.dt!r}")], vectors, d),
        *aim[:1],
        b.scalar_map("task", [
            ("reward", "cosine/maximum(sqrt(speed), 1e-12)"), ("duration", "duration + 1.0"),
            ("match", "match + (reward - match)/duration"),
            ("hit", f"where(distance < {float(task.si.radius) ** 2!r}, 1.0, 0.0)"), ("done", "hit"),
        ], bind),
        *aim[1:],
    ]


@_lower.register
def _(task: Regression, b: Builder) -> None:
    _given(task.inputs, task)
    n, m = task.inputs.size, task.outputs.size
    x, y = b.signal(task.inputs.name, "rate"), b.signal(task.outputs.name, output_signal(task.outputs))
    teacher = b.array("task_teacher", numbers(task.teacher, "Regression.teacher", task.where), kind="constant")
    wanted = b.array("task_wanted", np.zeros(m), reset=True)
    if task.x is None:
        b.trial_start.append(Draw(x, "normal", "task/input", probe=False, each="trial"))
    else:
        fixed = b.array("task_x", numbers(task.x, "Regression.x", task.where), kind="constant")
        b.trial_start.append(b.scalar_map("task", [("x", "fixed + 0.0")], {"x": x, "fixed": fixed}, n))
    b.trial_start.append(Dot(wanted, teacher, x, m, n))
    error = _measure(b, "error")
    b.observe += [
        Sum(error, m, expression("0.5*(y - d)**2"), {"y": y, "d": wanted}),
        b.scalar_map("task", [("reward", "-error")], {"reward": REWARD, "error": error}),
    ]


@dataclass
class PythonBinding:
    """Where a Python task finds its outputs and puts its inputs: population name -> array of the program.

    counts: the outputs that count spikes; a call sets them to zero.
    """

    task: PythonTask
    seed: int
    inputs: dict[str, str]
    outputs: dict[str, str]
    done: str
    counts: tuple[str, ...] = ()


@_lower.register
def _(task: PythonTask, b: Builder) -> None:
    every = 1 if task.every is None else b.steps_of(task.si.every, "task", "every", task.where, least=1)
    outputs, counts = {}, []
    for population in task.outputs:
        variable = task.variables.get(population.name, None) or output_signal(population)
        known = [v for n, v in b.signals if n == population.name]
        if variable not in known:
            raise DescriptionError(
                f"the task reads '{variable}' of '{population.name}'", where=task.where, do=did_you_mean(variable, known)
            )
        outputs[population.name] = signal = b.signal(population.name, variable)
        if variable == "spikes" and every > 1:
            count = b.array(f"task_{population.name}_count", np.zeros(population.size), reset=True)
            b.observe.append(b.scalar_map("task", [("n", "n + s")], {"n": count, "s": signal}, population.size))
            b.note(population.name, "spikes seen by the task", "a spike train", f"spikes since the last call ({every} steps)", task.where)
            counts.append(count)
            outputs[population.name] = count
    for population in task.inputs:
        _given(population, task)
    b.done = b.array("task_done", np.zeros(1), reset=True)
    b.task = PythonBinding(
        task, b.graph.network.seed, {p.name: b.signal(p.name, "rate") for p in task.inputs}, outputs, b.done, tuple(counts)
    )
    b.trial_start.append(CallTask("reset"))
    b.observe += [b.scalar_map("task", [("reward", "0.0")], {"reward": REWARD}), CallTask("step", every)]


class PythonCaller:
    """Calls a Python task and checks what it gives back."""

    def __init__(self, binding: PythonBinding) -> None:
        self.binding, self.environment = binding, binding.task.environment

    def call(self, method: str, arrays: dict[str, np.ndarray]) -> None:
        binding, trial = self.binding, int(arrays[CLOCK][TRIAL])
        if method == "reset":
            inputs = self._ask("reset", arrays, trial, generator(binding.seed, f"task/{trial}"))
            arrays[TRIAL_TYPE][0] = self._trial_type(arrays)
        else:
            seen = {name: arrays[array].copy() for name, array in binding.outputs.items()}
            for name in binding.counts:
                arrays[name][...] = 0.0
            answer = self._ask("step", arrays, seen)
            if not isinstance(answer, tuple) or len(answer) != 3:
                raise self._error("returned something else than (reward, inputs, done)", repr(answer)[:200], arrays)
            reward, inputs, done = answer
            number = _floats(reward)
            if number is None or number.shape != () or not np.isfinite(number):
                raise self._error("returned a reward that is not a finite number", repr(reward)[:200], arrays)
            if isinstance(done, str) or np.size(done) != 1:
                raise self._error("returned a done that is neither true nor false", repr(done)[:200], arrays)
            arrays[REWARD][0], arrays[binding.done][0] = float(number), float(bool(done))
        if inputs is not None and not isinstance(inputs, Mapping):
            raise self._error(
                f"gave no inputs by name in {method}", repr(inputs)[:200], arrays, "{name of the population: values}, or {}"
            )
        for name, value in (inputs or {}).items():
            if name not in binding.inputs:
                raise self._error(
                    f"set the input '{name}', which it did not declare", repr(name), arrays, do=did_you_mean(str(name), binding.inputs)
                )
            target, given = arrays[binding.inputs[name]], _floats(value)
            if given is None:
                raise self._error(f"returned input '{name}' that is no array of numbers", repr(value)[:200], arrays)
            if given.shape not in ((), target.shape):
                raise self._error(f"returned input '{name}' of the wrong shape", f"{given.shape}", arrays, str(target.shape))
            if not np.all(np.isfinite(given)):
                raise self._error(f"returned input '{name}' with values that are not finite", repr(given)[:200], arrays)
            target[...] = given

    def _ask(self, method: str, arrays: dict[str, np.ndarray], *arguments: Any) -> Any:
        """What the environment answers; TaskError with the line in the user's code where it raised an exception."""
        try:
            return getattr(self.environment, method)(*arguments)
        except NeuroplastError:
            raise
        except Exception as problem:
            trial, step = int(arrays[CLOCK][TRIAL]), int(arrays[CLOCK][STEP])
            raise TaskError(
                f"{type(problem).__name__}: {problem}", where=self.binding.task.where,
                got=f"raised at {raised_at(problem)}, in {method} of {type(self.environment).__name__} (trial {trial}, step {step})",
            ) from problem

    def _trial_type(self, arrays: dict[str, np.ndarray]) -> float:
        number = getattr(self.environment, "trial_type", 0)
        value = _floats(number)
        if value is None or value.shape != () or value != np.floor(value) or not 0 <= value < TRIAL_TYPES:
            raise self._error("has no usable trial_type", repr(number)[:200], arrays, f"a whole number from 0 to {TRIAL_TYPES - 1}")
        return float(value)

    def _error(
        self, what: str, got: str, arrays: dict[str, np.ndarray], allowed: str | None = None, do: str | None = None
    ) -> TaskError:
        trial, step = int(arrays[CLOCK][TRIAL]), int(arrays[CLOCK][STEP])
        return TaskError(
            f"the task {type(self.environment).__name__} {what} (trial {trial}, step {step})", where=self.binding.task.where, got=got,
            allowed=allowed, do=do,
        )


def _floats(value: object) -> np.ndarray | None:
    """An array of floats; None where it is none."""
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return None


def task_caller(program: StepProgram) -> PythonCaller | None:
    """What calls the Python task of a program; None where there is none."""
    return PythonCaller(program.task) if isinstance(program.task, PythonBinding) else None

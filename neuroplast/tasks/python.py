"""Tasks written in Python, and Gymnasium environments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from neuroplast.errors import DescriptionError, caller, did_you_mean
from neuroplast.node import part, quantity
from neuroplast.tasks.task import Task, checked_population

if TYPE_CHECKING:
    from neuroplast.network import Population


@runtime_checkable
class Environment(Protocol):
    """What a Python task must have.

    reset(trial, rng) -> {input population name: array}: the inputs at the trial's start (rng: numpy Generator of that trial).
    step(outputs) -> (reward, inputs, done): outputs is {population name: array}, a copy; inputs as above (may be empty).
    Optional: ``trial_type`` (int), read after reset; ``state()`` -> {name: array} and ``restore(state)`` if it remembers
    anything between trials, so that checkpoints hold it.
    """

    def reset(self, trial: int, rng: np.random.Generator) -> Mapping[str, Any]: ...

    def step(self, outputs: Mapping[str, np.ndarray]) -> tuple[float, Mapping[str, Any], bool]: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class PythonTask(Task):
    """A task written in Python, called every ``every`` (each step by default); runs on every target that can call Python.

    environment: an :class:`Environment`.  inputs: Pattern populations that it sets.  outputs: population -> signal that it sees
    (the population's output by default).  variables: name of an output population -> the signal.

    Spikes: 1 where a unit fired in this step; with ``every``, the number of spikes since the last call.

    Raises DescriptionError where the environment is a class or lacks a method with these arguments, and where ``variables`` names
    no output. An exception in the environment stops the run with a TaskError that names the line in which it was raised.
    """

    environment: Any
    inputs: tuple[Population, ...] = ()
    outputs: tuple[Population, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    every: Any = quantity("time", default=None, positive=True, scalar=True)
    calls_python: ClassVar[bool] = True

    def check(self) -> None:
        self.check_length()
        self._check_environment()
        for name in ("inputs", "outputs"):
            if not isinstance(getattr(self, name), (tuple, list)):
                raise DescriptionError(
                    f"PythonTask.{name} is a tuple of populations", where=self.where, got=repr(getattr(self, name)), do=f"{name}=(a, b)"
                )
            for k, population in enumerate(getattr(self, name)):
                checked_population(population, f"PythonTask.{name}[{k}]", self.where)
        part(self.variables, dict, "PythonTask.variables is no dict", self.where, "{name of an output population: one of its signals}")
        read = [population.name for population in self.outputs]
        for name in self.variables:
            if name not in read:
                raise DescriptionError(
                    f"PythonTask.variables names '{name}', which is none of its outputs", where=self.where, do=did_you_mean(str(name), read)
                )

    def _check_environment(self) -> None:
        environment = self.environment
        if isinstance(environment, type):
            raise DescriptionError(
                "the task's environment is a class, not an object", where=self.where, got=environment.__name__,
                do=f"environment={environment.__name__}(...)",
            )
        for name, arguments in (("reset", ("trial", "rng")), ("step", ("outputs",))):
            method = getattr(environment, name, None)
            if not callable(method):
                raise DescriptionError(
                    f"the task's environment has no method '{name}'", where=self.where, got=type(environment).__name__,
                    do="see neuroplast.tasks.Environment",
                )
            try:
                shape = signature(method)
            except (TypeError, ValueError):  # a method written in C does not tell
                continue
            try:
                shape.bind(*arguments)
            except TypeError:
                raise DescriptionError(
                    f"the method '{name}' of the task's environment takes other arguments", where=self.where,
                    got=f"{type(environment).__name__}.{name}{shape}", allowed=f"{name}({', '.join(arguments)})",
                ) from None


class GymnasiumEnvironment:
    """A Gymnasium environment as an Environment: its observation (flattened) is the input population's rate, and the action is
    chosen from the output population: start + arg max for a Discrete space, the values clipped to the bounds for a Box."""

    def __init__(self, env: Any, inputs: str, outputs: str) -> None:
        self.env, self.inputs, self.outputs = env, inputs, outputs

    def reset(self, trial: int, rng: np.random.Generator) -> Mapping[str, Any]:
        observation, _ = self.env.reset(seed=int(rng.integers(2**31)))
        return {self.inputs: np.ravel(observation).astype(float)}

    def step(self, outputs: Mapping[str, np.ndarray]) -> tuple[float, Mapping[str, Any], bool]:
        values, space = outputs[self.outputs], self.env.action_space
        if hasattr(space, "n"):
            action: Any = int(getattr(space, "start", 0)) + int(np.argmax(values))
        else:
            action = np.clip(values, space.low.ravel(), space.high.ravel()).reshape(space.shape).astype(space.dtype)
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return float(reward), {self.inputs: np.ravel(observation).astype(float)}, bool(terminated or truncated)


def _numbers(space: Any) -> int:
    """How many numbers there are in an element of a space."""
    return int(np.prod(space.shape))


def _choices(space: Any) -> int:
    """How many units choose an action."""
    return int(space.n) if hasattr(space, "n") else _numbers(space)


def gymnasium_task(env: Any, inputs: Population, outputs: Population, **task: Any) -> PythonTask:
    """A PythonTask around a Gymnasium environment; keyword arguments as for PythonTask (duration, every, reset, ...).

    inputs: a Pattern population with a unit for each number of the observation.  outputs: for a Discrete action space a unit for
    each action, of which the largest output wins; for a Box a unit for each number of the action.

    Raises DescriptionError for other spaces, and where the populations do not have these sizes.
    """
    where = caller()
    for name in ("reset", "step"):
        if isinstance(env, type) or not callable(getattr(env, name, None)):
            raise DescriptionError(
                "gymnasium_task needs a Gymnasium environment", where=where, got=repr(env)[:200], do="gymnasium.make('CartPole-v1')"
            )
    given = checked_population(inputs, "the inputs of gymnasium_task", where)
    read = checked_population(outputs, "the outputs of gymnasium_task", where)
    for what, population, space, kinds, sizes in (
        ("observation", given, getattr(env, "observation_space", None), ("Box", "Discrete", "MultiDiscrete", "MultiBinary"), _numbers),
        ("action", read, getattr(env, "action_space", None), ("Box", "Discrete"), _choices),
    ):
        if type(space).__name__ not in kinds:
            raise DescriptionError(
                f"gymnasium_task cannot use this {what} space", where=where, got=repr(space)[:200], allowed=" or ".join(kinds),
                do="use a wrapper of Gymnasium (FlattenObservation, TransformAction), or write an Environment for PythonTask",
            )
        if population.size != sizes(space):
            raise DescriptionError(
                f"the population '{population.name}' does not fit the {what} space", where=where,
                got=f"{population.size} units and {space}"[:200], allowed=f"{sizes(space)} units",
            )
    return PythonTask(
        environment=GymnasiumEnvironment(env, inputs.name, outputs.name), inputs=(inputs,), outputs=(outputs,), **task
    )

"""Tasks written in Python, and Gymnasium environments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.node import quantity
from neuroplast.tasks.task import Task

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
    (the population's output by default).
    """

    environment: Any
    inputs: tuple[Population, ...] = ()
    outputs: tuple[Population, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    every: Any = quantity("time", default=None, positive=True, scalar=True)
    calls_python: ClassVar[bool] = True

    def check(self) -> None:
        self.check_length()
        for name in ("reset", "step"):
            if not callable(getattr(self.environment, name, None)):
                raise DescriptionError(
                    f"the task's environment has no method '{name}'", where=self.where, got=type(self.environment).__name__,
                    do="see neuroplast.tasks.Environment",
                )
        for name in ("inputs", "outputs"):
            if not isinstance(getattr(self, name), (tuple, list)):
                raise DescriptionError(
                    f"PythonTask.{name} is a tuple of populations", where=self.where, got=repr(getattr(self, name)), do=f"{name}=(a, b)"
                )


class GymnasiumEnvironment:
    """A Gymnasium environment as an Environment: its observation (flattened) is the input population's rate, and the action is
    chosen from the output population: arg max for a Discrete space, the values clipped to the bounds for a Box."""

    def __init__(self, env: Any, inputs: str, outputs: str) -> None:
        self.env, self.inputs, self.outputs = env, inputs, outputs

    def reset(self, trial: int, rng: np.random.Generator) -> Mapping[str, Any]:
        observation, _ = self.env.reset(seed=int(rng.integers(2**31)))
        return {self.inputs: np.ravel(observation).astype(float)}

    def step(self, outputs: Mapping[str, np.ndarray]) -> tuple[float, Mapping[str, Any], bool]:
        values, space = outputs[self.outputs], self.env.action_space
        if hasattr(space, "n"):
            action: Any = int(np.argmax(values))
        else:
            action = np.clip(values, space.low.ravel(), space.high.ravel()).reshape(space.shape).astype(space.dtype)
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return float(reward), {self.inputs: np.ravel(observation).astype(float)}, bool(terminated or truncated)


def gymnasium_task(env: Any, inputs: Population, outputs: Population, **task: Any) -> PythonTask:
    """A PythonTask around a Gymnasium environment; keyword arguments as for PythonTask (duration, every, reset, ...)."""
    return PythonTask(
        environment=GymnasiumEnvironment(env, inputs.name, outputs.name), inputs=(inputs,), outputs=(outputs,), **task
    )

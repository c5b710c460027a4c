"""What a task is: trials of one length, a reward, inputs; declarative tasks run inside every target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from neuroplast.errors import DescriptionError, Source
from neuroplast.node import Node, part, quantity

if TYPE_CHECKING:
    from neuroplast.network import Population


@dataclass(frozen=True, eq=False, kw_only=True)
class Task(Node):
    """Abstract base of all tasks.

    duration: of a trial, rounded to whole steps; or ``steps``, a number of steps whatever dt is.
    reset: whether a trial starts from the network's initial state (weights, baselines and critics are always kept).
    """

    name: str = "task"
    duration: Any = quantity("time", default=None, positive=True, scalar=True)
    steps: int | None = None
    reset: bool = True
    calls_python: ClassVar[bool] = False

    def check(self) -> None:
        self.check_length()

    def check_length(self) -> None:
        if (self.duration is None) == (self.steps is None):
            raise DescriptionError(
                f"{type(self).__name__} takes either duration or steps", where=self.where,
                got=f"duration={self.duration}, steps={self.steps}",
            )
        if self.steps is not None and (
            isinstance(self.steps, bool) or not isinstance(self.steps, (int, np.integer)) or self.steps < 1
        ):
            raise DescriptionError(
                f"{type(self).__name__}.steps must be a whole number from 1", where=self.where, got=repr(self.steps)
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class OpenLoop(Task):
    """Trials without reward: the network runs by itself. What a Simulation uses where a network has no task."""


def population_of(task: Task, name: str) -> Population:
    """The population in a task's field; DescriptionError where it is none."""
    return checked_population(getattr(task, name), f"{type(task).__name__}.{name}", task.where)


def checked_population(value: object, what: str, where: Source | None) -> Population:
    """``value``, if it is a population."""
    from neuroplast.network import Population  # which imports this module

    return part(value, Population, f"{what} is not a population", where, "what network.add(Population(...)) gave")

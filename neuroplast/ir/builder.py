"""The workbench on which a step program is put together: arrays by name, lists of operations, notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuroplast.errors import DescriptionError, Source, did_you_mean
from neuroplast.expressions import Expression, expression
from neuroplast.ir.graph import Graph
from neuroplast.ir.program import CLOCK, PROBE_SCALE, Array, Map, Note, Operation

REWARD, TOTAL, TRIAL_TYPE = "task_reward", "task_total", "task_type"
"""(1,) each: the reward that the task set in the last step, its sum over the trial, and the number of the trial's type."""


@dataclass
class Code:
    """Statements of one Map while they are being written. Plain numbers become literals, arrays become bound names."""

    builder: Builder
    owner: str
    size: int
    statements: list[tuple[str, Expression]] = field(default_factory=list)
    bind: dict[str, str] = field(default_factory=dict)

    def number(self, name: str, value: Any, unit: str = "1") -> str:
        """How a parameter is written in an expression: a literal, or the name of a constant array."""
        array = np.asarray(value, dtype=float)
        if array.ndim == 0:
            return f"({float(array)!r})"
        if array.shape != (self.size,):
            raise DescriptionError(
                f"'{name}' of '{self.owner}' has the wrong shape", where=self.builder.where(self.owner), got=f"shape {array.shape}",
                allowed=f"a number or shape ({self.size},)",
            )
        if np.all(array == array.flat[0]):
            return f"({float(array.flat[0])!r})"
        return self.use(name, self.builder.array(f"{self.owner}_{name}", array, unit, kind="constant"))

    def use(self, name: str, array: str) -> str:
        """Bind a name to an array of the program."""
        assert self.bind.get(name, array) == array, name
        self.bind[name] = array
        return name

    def state(self, name: str, initial: Any, unit: str = "1", reset: bool | None = None) -> str:
        """A state variable of the owner, of the owner's size."""
        start = np.array(np.broadcast_to(np.asarray(initial, float), (self.size,)))
        return self.use(name, self.builder.array(f"{self.owner}_{name}", start, unit, reset=reset))

    def set(self, target: str, text: str) -> None:
        self.statements.append((target, expression(text)))

    def map(self) -> Map:
        return Map(self.owner, self.size, tuple(self.statements), dict(self.bind))


class Builder:
    """Collects the parts of a StepProgram."""

    def __init__(self, graph: Graph, dt: float, steps: int) -> None:
        self.graph, self.dt, self.steps = graph, dt, steps
        self.reset = graph.task.reset if graph.task is not None else False
        self.arrays: dict[str, Array] = {}
        self.trial_start: list[Operation] = []
        self.before: list[Operation] = []
        self.deliver: list[Operation] = []
        self.neurons: list[Map] = []
        self.after: list[Operation] = []
        self.learn: list[Operation] = []
        self.observe: list[Operation] = []
        self.pass_end: list[Operation] = []
        self.trial_end: list[Operation] = []
        self.baselines: list[Operation] = []
        self.notes: list[Note] = []
        self.measures: dict[str, str] = {}
        self.measure_units: dict[str, str] = {}
        self.done: str | None = None
        self.task: object | None = None
        self.signals: dict[tuple[str, str], str] = {}
        self.codes: dict[str, Code] = {}
        self.array(CLOCK, np.zeros(4, np.int64), reset=False)
        self.array(PROBE_SCALE, np.ones(1), reset=False)
        self.array(REWARD, np.zeros(1), reset=True)
        self.array(TOTAL, np.zeros(1), reset=True)
        self.array(TRIAL_TYPE, np.zeros(1), reset=False)

    def array(
        self, name: str, initial: Any, unit: str = "1", kind: str = "state", reset: bool | None = None,
        where: Source | None = None, own: bool = False,
    ) -> str:
        """Add an array; its name. reset None: as the task says.  own: ``initial`` is ours, and need not be copied."""
        if name in self.arrays:
            raise DescriptionError(
                f"two parts of the network would both be called '{name}'", where=where, do="rename one of the nodes"
            )
        start = np.asarray(initial, order="C") if own else np.array(initial, order="C")
        keep = kind == "constant"
        self.arrays[name] = Array(name, start, unit, kind, False if keep else (self.reset if reset is None else reset), (), where)
        return name

    def signal(self, node: str, variable: str) -> str:
        """The array of a signal of a population."""
        if (node, variable) not in self.signals:
            raise DescriptionError(
                f"'{variable}' of '{node}' is not kept by this network", where=self.where(node),
                do=did_you_mean(variable, [v for n, v in self.signals if n == node]),
            )
        return self.signals[node, variable]

    def where(self, node: str) -> Source | None:
        """The user's line of a population or projection."""
        if node in self.graph.populations:
            return self.graph.populations[node].where
        return self.graph.connections[node].node.where if node in self.graph.connections else None

    def scalar_map(self, owner: str, statements: list[tuple[str, str]], bind: dict[str, str], size: int = 1) -> Map:
        return Map(owner, size, tuple((target, expression(text)) for target, text in statements), bind)

    def note(self, node: str, what: str, asked: Any, got: Any, where: Source | None = None) -> None:
        self.notes.append(Note(node, what, str(asked), str(got), where))

    def check_dt(
        self, what: str, tau: Any, where: Source | None, steps: float = 2.0, do: str = "use a smaller dt, or a longer time constant"
    ) -> None:
        """DescriptionError where a time constant (seconds; zero stands for none) is shorter than that many steps."""
        times = np.asarray(tau, float)
        smallest = float(np.min(times, where=times > 0, initial=np.inf))
        if smallest < steps * self.dt * (1 - 1e-9):
            raise DescriptionError(
                f"dt is too coarse for {what}", where=where, got=f"dt {self.dt:g} s, time constant {smallest:g} s",
                allowed=f"dt up to {smallest / steps:g} s", do=do,
            )

    def steps_of(self, seconds: float, node: str, what: str, where: Source | None, least: int = 0) -> int:
        """A time in whole steps, at least ``least``; a note where that is not what was asked."""
        steps = max(least, round(seconds / self.dt))
        if abs(steps * self.dt - seconds) > 1e-9 * max(self.dt, seconds):
            self.note(node, what, f"{seconds:g} s", f"{steps * self.dt:g} s ({steps} steps)", where)
        return steps

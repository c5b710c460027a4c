"""What a target is, the lowering report, and finding a target by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from neuroplast.errors import DescriptionError, did_you_mean
from neuroplast.ir.program import Note, StepProgram

if TYPE_CHECKING:
    from neuroplast.backends.reference import Recorder

AfterTrial = Callable[[int, dict[str, np.ndarray]], bool]
"""Called with the number of the trial that has just ended and the live arrays; False stops the run."""

AfterPiece = Callable[[int, np.ndarray, dict[str, np.ndarray]], bool]
"""Called with the first of the trials that have just ended, their measures (trials, measures), and the live arrays."""


class TaskCaller(Protocol):
    """The bridge from a program to a task written in Python."""

    def call(self, method: str, arrays: dict[str, np.ndarray]) -> None: ...


@dataclass(frozen=True)
class LoweringReport:
    """What a target did with a program: each number or feature that is not exactly as asked, and the choices it made."""

    target: str
    notes: tuple[Note, ...]

    def rows(self) -> list[dict[str, str]]:
        return [
            {"node": n.node, "what": n.what, "asked": n.asked, "got": n.got, "where": str(n.where or "")} for n in self.notes
        ]

    def __str__(self) -> str:
        if not self.notes:
            return f"{self.target}: everything exactly as described"
        return "\n".join([f"{self.target}:", *(f"  {n.node}: {n.what}: asked {n.asked}, got {n.got}" for n in self.notes)])


class Executable(Protocol):
    """A program on a target. ``arrays`` are its live state by name (writing to them between runs changes the run).

    Three things that a target may have, and need not: ``side_by_side = True`` where several executables may run at the same time
    in threads; ``run_logged(trials, recorder, after_piece)``, a ``run`` that hands over several trials at once; ``prepared_once =
    True`` where preparing the program again would give another executable, to which the state that was reached does not belong.
    """

    program: StepProgram
    report: LoweringReport

    @property
    def arrays(self) -> dict[str, np.ndarray]: ...

    def run(self, trials: int, recorder: Recorder, after_trial: AfterTrial | None = None) -> int:
        """Run that many trials from the trial in ``clock``; the number that was run."""
        ...

    def close(self) -> None: ...


class Target(Protocol):
    """Turns a step program into something that runs; LoweringError for what it cannot express."""

    name: str

    def prepare(self, program: StepProgram, task: TaskCaller | None = None) -> Executable: ...


def known_targets() -> dict[str, Any]:
    """Name -> entry point of every installed target (group ``neuroplast.targets``)."""
    return {point.name: point for point in entry_points(group="neuroplast.targets")}


def target_named(name: str) -> Target:
    """The target of that name, with ":fixed" or ":loihi" behind it in a chip's integers; DescriptionError if there is none."""
    known = known_targets()
    base, colon, precision = name.partition(":")
    if base not in known:
        raise DescriptionError(f"there is no target '{name}'", do=did_you_mean(base, known))
    target = known[base].load()()
    if not colon:
        return target
    if precision not in ("fixed", "loihi"):
        raise DescriptionError(f"there is no target '{name}'", got=f"'{precision}'", allowed=f"{base}, {base}:fixed or {base}:loihi")
    from neuroplast.quantize.target import Fixed

    return Fixed(target, "process" if precision == "fixed" else precision)

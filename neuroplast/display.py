"""What the command line shows to people: progress, tables, errors. All of it goes to standard error when a program reads."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from neuroplast.errors import NeuroplastError
from neuroplast.spans import spans

if TYPE_CHECKING:
    from neuroplast.doctor import Finding
    from neuroplast.lab import Verdict
    from neuroplast.model import Model
    from neuroplast.training import Progress

_PLAIN_EVERY = 10.0
_COLOURS = {"holds": "green", "fails": "red", "skipped": "yellow"}


class _State(ProgressColumn):
    """The measure, the speed and the time left, as the run reports them (a resumed run knows better than the bar)."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("state", "")))


class Watch:
    """A live line for a run; where there is no terminal, a plain line every ten seconds."""

    def __init__(self, console: Console, measure: str | None) -> None:
        self.console, self.measure = console, measure
        self._bar = Bar(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), _State(),
            console=console, transient=False, disable=not console.is_terminal,
        )
        self._label, self._task, self._said, self._warned = "", None, time.monotonic(), False
        self._told: set[tuple[str, str]] = set()

    def show(self, label: str, progress: Progress) -> None:
        state = state_text(progress, self.measure)
        if progress.stopping and not self._warned and progress.trial < progress.trials:
            self._warned = True
            self.console.print("[yellow]Stopping after this trial (Ctrl-C again: at once) ...[/]")
        for warning in progress.warnings:
            if (label, warning) not in self._told:
                self._told.add((label, warning))
                self.console.print(f"warning: {label}: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        if label != self._label or self._task is None:
            self._begin(label)
        assert self._task is not None
        self._bar.update(self._task, total=progress.trials, completed=progress.trial, state=state)
        if not self.console.is_terminal and (time.monotonic() - self._said > _PLAIN_EVERY or progress.trial == progress.trials):
            self._said = time.monotonic()
            self.console.print(f"{label}: {progress.trial}/{progress.trials} {state}", markup=False, highlight=False)

    def wait(self, label: str) -> None:
        """A run is being prepared: the network is drawn, code is compiled."""
        self._begin(label)
        if not self.console.is_terminal:
            self.console.print(f"{label}: preparing", markup=False, highlight=False)

    def _begin(self, label: str) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._label = label
        self._task = self._bar.add_task(escape(shortened(label, 60)), total=None, state="preparing")

    def __enter__(self) -> Watch:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def state_text(progress: Progress, measure: str | None) -> str:
    """'error 0.123  52 trials/s  0:01:20 left'."""
    parts = [f"{progress.finished}/{progress.replicas} done"] if progress.replicas > 1 else []
    name = measure if measure in progress.measures else next(iter(progress.measures), None)
    if name is not None:
        parts.append(f"{name} {progress.measures[name]:.4g}")
    if progress.trials_per_second > 0:
        parts.append(f"{progress.trials_per_second:.3g} trials/s")
    if math.isfinite(progress.seconds_left):
        parts.append(f"{clock(progress.seconds_left)} left")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """'0:01:20'."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


@contextmanager
def plain_errors(console: Console) -> Iterator[None]:
    """Errors raised on purpose are shown without a traceback, and go on to the caller."""
    try:
        yield
    except NeuroplastError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise


def model_table(models: list[Model]) -> Table:
    table = Table(title="Models", title_justify="left")
    for column in ("name", "title", "citation", "claims", "parameters"):
        table.add_column(column, justify="right" if column in ("claims", "parameters") else "left")
    for model in models:
        table.add_row(model.name, model.title, model.citation, str(len(model.claims)), str(len(model.parameters)))
    return table


def verdict_table(model: str, verdicts: list[Verdict]) -> Table:
    """The claims of one model."""
    table = Table(title=f"Claims of {model}", title_justify="left", show_lines=True)
    for column, ratio in (("claim", 4), ("source", 2), ("expected", 3), ("measured", 4), ("seeds", None), ("verdict", None)):
        table.add_column(column, ratio=ratio, no_wrap=column == "verdict", overflow="fold", max_width=8 if column == "seeds" else None)
    for row in verdicts:
        # of a traceback the last line says what happened; the JSON document holds all of it
        measured = "\n".join(part for part in (row.measured, row.reason.strip().rpartition("\n")[2]) if part)
        claim = Text.assemble((row.claim, "bold"), "\n", row.statement)
        table.add_row(claim, *map(escape, (row.source, row.expected, measured, spans(row.seeds))), verdict_text(row))
    return table


def verdict_text(row: Verdict) -> Text:
    return Text(row.verdict, style=f"bold {_COLOURS[row.verdict]}")


def finding_table(findings: list[Finding]) -> Table:
    table = Table(title="What is here", title_justify="left")
    for column in ("part", "state", "detail", "how to get it"):
        table.add_column(column, no_wrap=column in ("part", "state"), overflow="fold")
    for finding in findings:
        state = Text(finding.state, style="green" if finding.ok else "yellow")
        table.add_row(finding.part, state, escape(finding.detail), escape("" if finding.ok else finding.get))
    return table


def measure_table(measures: dict[str, dict[str, Any]]) -> Table:
    several = any("last_quartiles" in ends for ends in measures.values())
    table = Table(title="Measures" + (", medians over seeds" if several else ""), title_justify="left")
    for column in ("measure", "first trials", "last trials", *(["quartiles of last"] if several else []), "unit"):
        table.add_column(column, justify="left" if column in ("measure", "unit") else "right")
    for name, ends in measures.items():
        shown = ["" if ends[end] is None else f"{ends[end]:.4g}" for end in ("first", "last")]
        if several:
            shown.append("{:.4g} to {:.4g}".format(*ends["last_quartiles"]) if "last_quartiles" in ends else "")
        table.add_row(name, *shown, ends["units"])
    return table

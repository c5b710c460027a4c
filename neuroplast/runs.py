"""The folder of a run: what ``neuroplast run`` writes there, and how it goes on where it was stopped.

    parameters.json   what was asked for, and every parameter's value
    checkpoint/       see checkpoint.py
    result.nc         see results.py
    report.html       see report/
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroplast import results
from neuroplast.checkpoint import CheckpointFolder, check_writable, write_atomically
from neuroplast.errors import NeuroplastError, ResultError
from neuroplast.lock import locked
from neuroplast.model import Model, model_named
from neuroplast.overrides import parse_settings
from neuroplast.replicas import checked_count
from neuroplast.simulation import Interrupted, Simulation, run_warnings
from neuroplast.training import NotFiniteWarning, Progress

PARAMETERS, CHECKPOINT, REPORT_FILE, REPLICAS = "parameters.json", "checkpoint", "report.html", "replica-"


@dataclass(frozen=True)
class Order:
    """What to run. None stands for what was not said: the default, or with ``resume`` what the run was begun with.

    seeds: so many replicas, with the seeds seed, seed + 1, ...; None for one run without an axis of replicas.
    """

    model: str
    target: str | None = None
    trials: int | None = None
    seed: int | None = None
    settings: tuple[str, ...] | None = None
    quick: bool | None = None
    seeds: int | None = None

    def folder(self, out: Path | None) -> Path:
        first = self.seed or 0
        return out or Path("results") / (f"{self.model}-{first}" + (f"-to-{first + self.seeds - 1}" if self.seeds else ""))

    def completed_by(self, begun: Order, folder: Path) -> Order:
        """This order with what it leaves open taken from the one the run was begun with; only ``trials`` may differ."""
        known = {field.name: getattr(begun, field.name) for field in fields(Order)}
        for name, value in known.items():
            asked = getattr(self, name)
            if asked is None or name == "trials":
                known[name] = value if asked is None else asked
            elif asked != value:
                raise ResultError(
                    f"the run in {folder} was begun with another {name.rstrip('s')}", got=f"{asked}", allowed=f"{value}",
                    do="resume without this option, or choose another folder with --out",
                )
        return Order(**known)


@dataclass(frozen=True)
class Done:
    """The outcome of a run. files: what was written, by kind.  finished: False if it was interrupted.  found: the same run was
    there already, and nothing was run."""

    order: Order
    folder: Path
    target: str
    tree: xr.DataTree
    files: dict[str, str]
    finished: bool
    warnings: tuple[str, ...] = ()
    found: bool = False

    def document(self) -> dict[str, Any]:
        """What ``run --json`` prints."""
        found = {
            "model": self.order.model, "target": self.target, "trials": int(self.tree.attrs["trials"]), "seed": self.order.seed,
            **({"seeds": self.order.seeds} if self.order.seeds else {}), "measures": measures(self.tree), "files": self.files,
            "warnings": list(self.warnings),
        }
        if self.found:
            return found | {"found": True}
        return found if self.finished else found | {"interrupted": True, "resume": resume_command(self.order, self.folder)}


def carry_out(
    order: Order, out: Path | None, resume: bool, progress: Callable[[Progress], None], every: float = 30.0, force: bool = False
) -> Done:
    """Run a model and write its folder. force: replace the run that is there; without, the same finished run is not run again, and
    any other run is an error."""
    if resume and force:
        raise ResultError("--resume goes on with a run and --force begins anew", do="give one of them")
    folder, notes = order.folder(out), []
    if resume:
        _check_begun(folder)
        order = _begun(order, folder)
        if not _checkpoints(folder):
            notes.append("there was no checkpoint yet to resume from: the run began with its first trial")
    if order.seeds is not None:
        checked_count(order.seeds, "--seeds", None)
    order = replace(order, seed=order.seed or 0, quick=bool(order.quick), settings=order.settings or ())
    model = model_named(order.model)
    overrides = parse_settings(order.settings or (), model.defaults)
    if order.trials is not None:
        overrides[model.trials] = order.trials
    values = model.values(bool(order.quick), overrides)
    trials = int(getattr(values, model.trials))
    check_writable(folder)
    checkpoint = folder / CHECKPOINT
    about = _parameters(order, model, values)
    with _simulation(model, values, order) as simulation, locked(folder):
        program = simulation.program  # errors of the description come before anything is written
        if force:
            _remove(folder)
        elif not resume:
            done = _finished(order, folder, program.digest())
            if done is not None:
                return done
            for place in _checkpoints(folder):
                place.make_place()
        before = _read(folder / PARAMETERS)
        _write(folder / PARAMETERS, about)
        finished = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotFiniteWarning)  # they are in the result
                tree = simulation.run(
                    trials, checkpoint=checkpoint, checkpoint_every=every, resume=resume, progress=progress,
                    attributes=model.attributes(values),
                )
        except Interrupted as stop:
            tree, finished = stop.result, False
        except NeuroplastError as error:
            stopped = simulation.stopped
            if stopped is None:  # it did not begin: what could be resumed still can
                if before:
                    _write(folder / PARAMETERS, before)
                raise
            if stopped.checkpoint is None:
                raise
            elsewhere = stopped.checkpoint.parent
            if stopped.checkpoint != checkpoint:
                _write(elsewhere / PARAMETERS, about)  # so that --out may name this folder
            todo = f"{error.do}: {resume_command(order, elsewhere)}"
            raise type(error)(error.what, where=error.where, got=error.got, allowed=error.allowed, do=todo) from error
        return _write_results(order, folder, simulation.target.name, tree, finished, notes)


def _checkpoints(folder: Path) -> list[CheckpointFolder]:
    """The checkpoints that are in the folder of a run: one, or one for each replica."""
    found = [CheckpointFolder(place) for place in (folder / CHECKPOINT, *sorted((folder / CHECKPOINT).glob(f"{REPLICAS}*")))]
    return [checkpoint for checkpoint in found if checkpoint.exists]


def _check_begun(folder: Path) -> None:
    if not (folder / PARAMETERS).exists() and not _checkpoints(folder):
        raise ResultError(
            f"there is nothing to resume in {folder}", got="no run was begun there",
            do="leave out --resume to begin one, or name the folder of a run with --out",
        )


def _finished(order: Order, folder: Path, program: str) -> Done | None:
    """The same run where it is there already, None where no finished run is; ResultError where another one is."""
    if any(not checkpoint.ended for checkpoint in _checkpoints(folder)):
        raise ResultError(
            f"{folder} holds a run that has not ended",
            do="resume it (--resume), replace it (--force), or choose another folder (--out DIR)",
        )
    result = folder / results.RESULT
    if not result.exists():
        if _checkpoints(folder):
            raise ResultError(
                f"{folder} holds a finished run whose result was not written",
                do="write it (--resume), replace the run (--force), or choose another folder (--out DIR)",
            )
        return None
    tree, begun = results.load(result), _read(folder / PARAMETERS).get("order")
    asked = json.loads(json.dumps(asdict(order)))
    if begun != asked or tree.attrs.get("program") != program:
        other = {name: value for name, value in (begun or {}).items() if value != asked[name]}
        got = ", ".join(f"{name} {value}" for name, value in other.items()) or "another version of the model"
        raise ResultError(
            f"{folder} holds another finished run", got=got,
            do="choose another folder (--out DIR), replace the run (--force), or make it longer (--resume --trials N)",
        )
    return replace(_write_report(order, folder, str(tree.attrs["target"]), tree, folder / results.RESULT, []), found=True)


def _remove(folder: Path) -> None:
    """Take away what runs wrote there."""
    for checkpoint in _checkpoints(folder):
        checkpoint.clear()
    for name in (results.RESULT, REPORT_FILE, PARAMETERS):
        (folder / name).unlink(missing_ok=True)


def _simulation(model: Model, values: Any, order: Order) -> Simulation:
    first = order.seed or 0
    if order.seeds is None:
        return model.simulation(values, first, order.target)
    return model.replicas(values, range(first, first + order.seeds), order.target)


def _write_results(order: Order, folder: Path, target: str, tree: xr.DataTree, finished: bool, notes: list[str]) -> Done:
    try:
        result = results.save(tree, folder / results.RESULT)
    except ResultError as error:
        result = results.save(tree, Path(tempfile.mkdtemp(prefix="neuroplast-")) / results.RESULT)
        notes = [*notes, f"{error}\n  the result is in {result} instead"]
    return _write_report(order, folder, target, tree, result, notes, finished)


def _write_report(
    order: Order, folder: Path, target: str, tree: xr.DataTree, result: Path, notes: list[str], finished: bool = True
) -> Done:
    """Draw the report of a finished run, where it is not newer than the result."""
    files = {"parameters": str(folder / PARAMETERS), "checkpoint": str(folder / CHECKPOINT), "result": str(result)}
    page = result.parent / REPORT_FILE
    if finished:
        from neuroplast.report import write_report

        try:
            fresh = page.exists() and page.stat().st_mtime_ns >= result.stat().st_mtime_ns
            files["report"] = str(page if fresh else write_report(result.parent))
        except NeuroplastError as error:  # the numbers are safe: pictures can be drawn again
            notes = [*notes, f"{error}\n  try again with: neuroplast report {folder}"]
    return Done(order, folder, target, tree, files, finished, (*notes, *run_warnings(tree)))


def resume_command(order: Order, folder: Path) -> str:
    return f"neuroplast run {order.model} --out {folder} --resume"


def measures(tree: xr.DataTree) -> dict[str, dict[str, Any]]:
    """Measure -> its mean over the first and the last trials (one in 20, at most 50), and its unit.

    Of replicas the medians over them, with the quartiles of the last; of those that were stopped, up to where all came."""
    found = {}
    done = int(tree.attrs["trials"])
    for name, variable in tree["learning"].data_vars.items():
        values = np.asarray(variable.values, dtype=float)[..., :done]
        n = min(50, max(1, done // 20))
        ends = {"first": values[..., :n], "last": values[..., -n:]}
        found[str(name)] = {
            **{end: float(np.median(part.mean(axis=-1))) if part.size else None for end, part in ends.items()},
            "units": variable.attrs.get("units", "1"),
        }
        if values.ndim > 1 and done:
            found[str(name)]["last_quartiles"] = np.percentile(ends["last"].mean(axis=-1), [25, 75]).tolist()
    return found


def _begun(order: Order, folder: Path) -> Order:
    """The order with which the run in a folder was begun; ``order`` itself where nothing was begun."""
    document = _read(folder / PARAMETERS)
    if not document:
        return order
    try:
        about = document["order"]
        begun = Order(**{**about, "settings": tuple(about["settings"])})
    except (KeyError, TypeError) as problem:
        raise ResultError(f"{folder / PARAMETERS} cannot be read", got=f"{type(problem).__name__}: {problem}") from problem
    return order.completed_by(begun, folder)


def _read(path: Path) -> dict[str, Any]:
    """The document in a file, an empty one where there is no file."""
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ResultError(f"{path} cannot be read", got=str(problem)) from problem


def _parameters(order: Order, model: Model, values: Any) -> dict[str, Any]:
    return {"order": asdict(order), "versions": results.versions(), "parameters": model.parameter_table(values)}


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        write_atomically(path, lambda beside: _dump(beside, document))
    except OSError as problem:
        raise ResultError(f"{path} cannot be written", got=str(problem)) from problem


def _dump(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")

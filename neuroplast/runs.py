"""The folder of a run: what ``neuroplast run`` writes there, and how it goes on where it was stopped.

    parameters.json   what was asked for, and every parameter's value
    checkpoint/       see checkpoint.py
    result.nc         see results.py
    report.html       see report/
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroplast import results
from neuroplast.checkpoint import CheckpointFolder, check_writable, write_atomically
from neuroplast.errors import NeuroplastError, ResultError
from neuroplast.model import Model, model_named
from neuroplast.overrides import parse_settings
from neuroplast.replicas import checked_count, replica_folder
from neuroplast.simulation import Interrupted, Simulation
from neuroplast.training import Progress

PARAMETERS, CHECKPOINT = "parameters.json", "checkpoint"


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
    """The outcome of a run. files: what was written, by kind.  finished: False if it was interrupted."""

    order: Order
    folder: Path
    target: str
    tree: xr.DataTree
    files: dict[str, str]
    finished: bool
    warnings: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """What ``run --json`` prints."""
        found = {
            "model": self.order.model, "target": self.target, "trials": int(self.tree.attrs["trials"]), "seed": self.order.seed,
            **({"seeds": self.order.seeds} if self.order.seeds else {}), "measures": measures(self.tree), "files": self.files,
        }
        return found if self.finished else found | {"interrupted": True, "resume": resume_command(self.order, self.folder)}


def carry_out(
    order: Order, out: Path | None, resume: bool, progress: Callable[[Progress], None], every: float = 30.0
) -> Done:
    """Run a model and write its folder."""
    folder = order.folder(out)
    if resume:
        order = _begun(order, folder)
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
    with _simulation(model, values, order) as simulation:
        _ = simulation.program  # errors of the description come before anything is written
        if not resume:
            for place in (checkpoint, *(checkpoint / replica_folder(k) for k in range(order.seeds or 0))):
                CheckpointFolder(place).make_place()
        before = _read(folder / PARAMETERS)
        _write(folder / PARAMETERS, about)
        finished = True
        try:
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
        target = simulation.target.name
    return _write_results(order, folder, target, tree, finished)


def _simulation(model: Model, values: Any, order: Order) -> Simulation:
    first = order.seed or 0
    if order.seeds is None:
        return model.simulation(values, first, order.target)
    return model.replicas(values, range(first, first + order.seeds), order.target)


def _write_results(order: Order, folder: Path, target: str, tree: xr.DataTree, finished: bool) -> Done:
    warnings: list[str] = []
    files = {"parameters": str(folder / PARAMETERS), "checkpoint": str(folder / CHECKPOINT)}
    try:
        files["result"] = str(results.save(tree, folder / results.RESULT))
    except ResultError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="neuroplast-")) / results.RESULT
        files["result"] = str(results.save(tree, elsewhere))
        warnings.append(f"{error}\n  the result is in {elsewhere} instead")
    if finished:
        from neuroplast.report import write_report

        try:
            files["report"] = str(write_report(Path(files["result"]).parent))
        except NeuroplastError as error:  # the numbers are safe: pictures can be drawn again
            warnings.append(f"{error}\n  try again with: neuroplast report {folder}")
    return Done(order, folder, target, tree, files, finished, tuple(warnings))


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

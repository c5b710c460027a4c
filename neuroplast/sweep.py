"""Sweeps: a model over values of its parameters and over seeds, on Dask: this machine's cores, or any Dask scheduler.

    FOLDER/points/NAME.nc           the whole result of one point (one value of each parameter, one seed)
    FOLDER/points/NAME.checkpoint/  of a point that runs, or was stopped
    FOLDER/sweep.nc                 learning at all points: (a parameter an axis, seed, trial), and the files' names

The folder is one that the workers share (the disk of a cluster's nodes). A point whose worker dies is given to another, which
goes on from the checkpoint, to the same result bit for bit; a sweep that was stopped goes on when it is called again.

A sweep from a script needs ``if __name__ == "__main__":`` around it, as Dask starts its workers as new processes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import pickle
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr

from neuroplast import results
from neuroplast.checkpoint import CheckpointFolder, check_writable
from neuroplast.errors import DescriptionError, ResultError
from neuroplast.lab import run_key
from neuroplast.model import Model
from neuroplast.overrides import fitted, value_text
from neuroplast.replicas import Wish, checked_count, cores
from neuroplast.stacking import stack_datasets
from neuroplast.training import Progress
from neuroplast.units import is_quantity

RESULT, POINTS, SEED = "sweep.nc", "points", "seed"
_CONNECT = "20s"


@dataclass(frozen=True)
class Point:
    """One run of a sweep. index: its place along each axis, the seed last.  changes: parameter -> value."""

    index: tuple[int, ...]
    changes: dict[str, Any]
    seed: int

    @property
    def label(self) -> str:
        return ", ".join([*(f"{name}={value_text(value)}" for name, value in self.changes.items()), f"seed={self.seed}"])


@dataclass(frozen=True)
class Finished:
    """What became of a point. file: of its result.  resumed: trials that a checkpoint had.  ran: False where it was there."""

    file: str
    resumed: int
    ran: bool


def parse_axes(settings: Iterable[str], defaults: Mapping[str, Any]) -> dict[str, list[Any]]:
    """``["a=1,2,3", "tau=10,20 ms"]`` as values for each parameter. Lists of numbers are separated by ";"."""
    axes: dict[str, list[Any]] = {}
    for setting in settings:
        name, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or not name or not text:
            raise DescriptionError("a setting is written parameter=value,value", got=repr(setting), do="for example --set a=1,2,3")
        if name in axes:
            raise DescriptionError(f"the parameter '{name}' is set twice", got=repr(setting), do=f"--set {name}=1,2,3")
        axes[name] = _fitted(name, _texts(text, defaults.get(name)), defaults)
    return axes


def _texts(text: str, default: Any) -> list[str]:
    """The values of one setting. The unit of the last is that of those before it that have none."""
    several = np.ndim(default.magnitude if is_quantity(default) else default) > 0
    parts = [part.strip() for part in text.split(";" if several else ",")]
    if is_quantity(default) and (unit := re.search(r"[A-Za-zµΩ%].*$", parts[-1])):
        parts = [f"{part} {unit.group()}" if re.fullmatch(r"[-+0-9.eE, ]+", part) else part for part in parts]
    return parts


def _fitted(name: str, values: Sequence[Any], defaults: Mapping[str, Any]) -> list[Any]:
    found = [fitted(name, value, defaults) for value in values]
    texts = [value_text(value) for value in found]
    if not found or len(set(texts)) < len(texts):
        raise DescriptionError(f"the values of the parameter '{name}' are not different from each other", got=", ".join(texts) or "none")
    return found


def sweep(
    model: Model, axes: Mapping[str, Sequence[Any]], seeds: Iterable[int] | int, folder: Path | str, *, trials: int | None = None,
    quick: bool = False, target: str | None = None, scheduler: str | Any | None = None, workers: int | None = None,
    checkpoint_every: float = 30.0, progress: Callable[[Progress], None] | None = None,
    finished: Callable[[Point, Finished], None] | None = None,
) -> xr.DataTree:
    """Run every combination of the values with every seed, and give back what ``sweep.nc`` holds.

    axes: parameter -> values.  seeds: seeds, or how many from 0.  scheduler: address of a Dask scheduler, a Dask cluster or
    client; None for a cluster on this machine, with ``workers`` processes (as many as there are cores).  trials: in place of the
    model's.  progress: called with how many points are done.  finished: called for each point.

    A point that fails does not stop the others; then the first error is raised.
    """
    seeds = list(range(checked_count(seeds, "seeds of a sweep", None))) if isinstance(seeds, int) else list(seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise DescriptionError("the seeds of a sweep are none, or not different from each other", got=seeds)
    axes = {name: _fitted(name, values, model.defaults) for name, values in axes.items()}
    if trials is not None and model.trials in axes:
        raise DescriptionError(f"the parameter '{model.trials}' is set twice", got=f"trials={trials}")
    shared = {} if trials is None else {model.trials: trials}
    points = [
        Point(index, dict(zip(axes, values, strict=True)), seed)
        for index, (*values, seed) in zip(
            np.ndindex(*map(len, axes.values()), len(seeds)), itertools.product(*axes.values(), seeds), strict=True
        )
    ]
    for point in points[:: len(seeds)]:
        model.values(quick, shared | point.changes)
    folder = Path(folder).resolve()
    check_writable(folder / POINTS)
    with _client(scheduler, min(checked_count(workers or cores(), "workers", None), len(points))) as client:
        done = _run(client, model, points, shared, folder, quick, target, checkpoint_every, progress, finished)
    tree = _combined(model, model.values(quick, shared), axes, seeds, points, done, folder)
    results.save(tree, folder / RESULT)
    return tree


@contextlib.contextmanager
def _client(scheduler: str | Any | None, workers: int) -> Iterator[Any]:
    try:
        import distributed
    except ImportError as problem:
        raise DescriptionError(
            "a sweep needs Dask, which is not installed", got=str(problem), do="pip install 'neuroplast[sweep]'"
        ) from problem
    if isinstance(scheduler, distributed.Client):
        yield scheduler
        return
    with contextlib.ExitStack() as stack:
        address = scheduler
        if scheduler is None:
            address = stack.enter_context(
                distributed.LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0")
            )
        try:
            client = stack.enter_context(distributed.Client(address, timeout=_CONNECT, set_as_default=False))
        except (OSError, TimeoutError, ValueError) as problem:
            raise ResultError(
                f"there is no Dask scheduler at {scheduler}", got=str(problem), do="start one with: dask scheduler"
            ) from problem
        yield client


def _run(
    client: Any, model: Model, points: Sequence[Point], shared: dict[str, Any], folder: Path, quick: bool, target: str | None,
    every: float, progress: Callable[[Progress], None] | None, finished: Callable[[Point, Finished], None] | None,
) -> dict[tuple[int, ...], str]:
    """Index of each point -> its file. Raises the first error when all others have ended."""
    import cloudpickle
    from distributed import as_completed

    # as bytes: what a worker cannot read is then the error of a point, and not the end of the worker
    packed = cloudpickle.dumps(model)
    began, done, errors = time.perf_counter(), {}, []
    futures = {
        client.submit(
            run_point, packed, shared | point.changes, point.seed, point.label, str(folder), quick, target, every,
            key=f"{model.name}: {point.label} {uuid.uuid4().hex}", pure=False,
        ): point
        for point in points
    }
    try:
        for future in as_completed(futures, loop=client.loop):
            point, error = futures[future], future.exception()
            if error is not None:
                errors.append((point, error))
                continue
            about = Finished(*future.result())
            done[point.index] = about.file
            if not (folder / POINTS / about.file).exists():
                errors.append((point, ResultError(
                    "the workers of the Dask scheduler do not share this folder", got=folder, do="choose a folder that they share"
                )))
            if finished is not None:
                finished(point, about)
            if progress is not None:
                seconds = time.perf_counter() - began
                left = (len(points) - len(done)) * seconds / len(done)
                progress(Progress(len(done), len(points), {}, seconds, len(done) / seconds, left))
    finally:
        client.cancel(list(futures))
    if errors:
        point, error = errors[0]
        raise ResultError(
            f"{len(errors)} of {len(points)} points failed, the first at {point.label}", got=f"{type(error).__name__}: {error}",
            do="the others are stored: the same sweep again runs only what is missing",
        ) from error
    return done


def run_point(
    packed: bytes, changes: dict[str, Any], seed: int, label: str, folder: str, quick: bool, target: str | None, every: float
) -> tuple[str, int, bool]:
    """On a worker: one point, from its checkpoint if there is one. Name of its file, trials that were resumed, whether it ran."""
    model: Model = pickle.loads(packed)
    values = model.values(quick, changes)
    trials = int(getattr(values, model.trials))
    with model.simulation(values, seed, target) as simulation:
        key = run_key(simulation.program, simulation.target.name, trials, True)
        name = re.sub(r"[^A-Za-z0-9.=+-]+", "_", label)[:80]
        place = Path(folder) / POINTS / f"{name}-{key}"
        file, checkpoint = place.with_name(f"{place.name}.nc"), CheckpointFolder(place.with_name(f"{place.name}.checkpoint"))
        if file.exists():
            checkpoint.clear()
            return file.name, 0, False
        saved = checkpoint.read(simulation.program.digest()) if checkpoint.exists else None
        tree = simulation.train(Wish(trials, every, True, keep=False), checkpoint.folder, model.attributes(values), None)
        results.save(tree, file)
        checkpoint.clear()
        return file.name, 0 if saved is None else saved.trial - saved.first, True


def _combined(
    model: Model, values: SimpleNamespace, axes: Mapping[str, Sequence[Any]], seeds: Sequence[int], points: Sequence[Point],
    done: Mapping[tuple[int, ...], str], folder: Path,
) -> xr.DataTree:
    """Learning at all points, an axis for each parameter and one for the seeds."""
    labels = {name: _labels(found) for name, found in axes.items()} | {SEED: (np.array(seeds), {})}

    def nested(index: tuple[int, ...]) -> xr.Dataset:
        if len(index) == len(labels):
            path = folder / POINTS / done[index]
            with xr.open_dataset(path, group="learning", engine="h5netcdf", decode_times=False) as learning:
                return learning.load()
        name = list(labels)[len(index)]
        numbers, about = labels[name]
        stacked = stack_datasets([nested((*index, k)) for k in range(len(numbers))], name, numbers)
        stacked.coords[name].attrs.update(about)
        return stacked

    files = np.array([done[point.index] for point in points]).reshape([len(numbers) for numbers, _ in labels.values()])
    coords = {name: (name, numbers, about) for name, (numbers, about) in labels.items()}
    attributes = {
        "name": model.name, "sweep": ", ".join(axes), "points": len(points), "versions": json.dumps(results.versions()),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    root = xr.Dataset({"file": (tuple(labels), files)}, coords, model.attributes(values) | attributes)
    return xr.DataTree.from_dict({"/": root, "/learning": nested(())}, name=model.name)


def _labels(values: Sequence[Any]) -> tuple[np.ndarray, dict[str, str]]:
    """Coordinates of a parameter's values: numbers where they are, else their text."""
    plain = [value.magnitude if is_quantity(value) else value for value in values]
    if any(np.ndim(value) or isinstance(value, (str, bool)) for value in plain):
        return np.array([value_text(value) for value in values]), {}
    return np.array(plain), {"units": f"{values[0].units:~}"} if is_quantity(values[0]) else {}

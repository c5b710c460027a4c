"""Results of a run as one xarray DataTree, and its file: netCDF4 (HDF5), which xarray, MATLAB, Julia, R and h5dump open.

    /                   attributes: name, seed, dt, target, trials, created, versions and lowering (the report) as JSON; of a
                        model also model, title, citation, doi, learning_measure, and parameters as JSON
    /learning           (trial): one variable a measure of the task
    /recordings/NAME    value (recorded, time, unit), or (recorded, unit) for what is sampled when a trial ends
    /weights_initial    one variable a plastic projection: (post, pre) where all are connected, else (synapse) with pre and post
    /weights_final
    /state_final        every state variable after the last trial

All numbers are in SI units, each named in its ``units`` attribute.
"""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import h5netcdf
import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from neuroplast.backends.targets import LoweringReport
from neuroplast.checkpoint import Saved, write_atomically
from neuroplast.errors import ResultError, did_you_mean
from neuroplast.ir.program import ChipLearn, DelayLine, Learn, Recording, Remember, StepProgram

RESULT = "result.nc"
"""The name of the result's file in the folder of a run."""


def build(
    program: StepProgram, saved: Saved, target: str, report: LoweringReport, attributes: Mapping[str, Any] | None = None
) -> xr.DataTree:
    """The DataTree of a run. attributes: more root attributes (the parameters of a model, for one)."""
    datasets: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=_root_attributes(program, saved, target, report, attributes))}
    datasets["/learning"] = _learning(program, saved)
    for recording in program.recordings:
        datasets[f"/recordings/{recording.name}"] = _recording(recording, saved.recordings.get(recording.name, {}), program)
    datasets["/weights_initial"] = _weights(program, saved.start)
    datasets["/weights_final"] = _weights(program, saved.arrays)
    datasets["/state_final"] = _state(program, saved.arrays)
    return xr.DataTree.from_dict(datasets, name=program.name)


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {"python": platform.python_version()}
    for package in ("neuroplast", "numpy", "brian2"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _root_attributes(
    program: StepProgram, saved: Saved, target: str, report: LoweringReport, attributes: Mapping[str, Any] | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": program.name,
        "seed": program.seed,
        "dt": program.dt,
        "dt_units": "s",
        "steps": program.steps,
        "target": target,
        "first_trial": saved.first,
        "trials": saved.trial - saved.first,
        "trials_asked": saved.trials,
        "program": saved.digest,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": json.dumps(versions()),
        "lowering": json.dumps(report.rows()),
    }
    return found | dict(attributes or {})


def _learning(program: StepProgram, saved: Saved) -> xr.Dataset:
    trials = np.arange(saved.first, saved.trial)
    variables = {
        name: ("trial", values, {"units": program.measure_units.get(name, "1")}) for name, values in saved.measures.items()
    }
    return xr.Dataset(variables, coords={"trial": trials})


def _recording(recording: Recording, by_trial: Mapping[int, np.ndarray], program: StepProgram) -> xr.Dataset:
    trials = sorted(by_trial)
    node = _owner(recording)
    variable = recording.name[len(node) + 1 :]
    about = {"units": recording.unit, "of": node, "variable": variable, "array": recording.array}
    coords: dict[str, Any] = {"trial": ("recorded", np.array(trials, dtype=np.int64))}
    places = recording.units if recording.units is not None else slice(None)
    if recording.numbers is not None:
        coords["unit"] = np.asarray(recording.numbers, dtype=np.int64)
        for side in ("pre", "post"):
            of_synapse = program.arrays[f"{node}_{side}"].initial.ravel()[places]
            coords[side] = ("unit", of_synapse, {"units": "1", "long_name": f"index of the {side}synaptic unit"})
    elif recording.units is not None:
        coords["unit"] = np.asarray(recording.units, dtype=np.int64)
    kind = np.uint8 if recording.spikes else float
    if not trials:
        width = len(coords["unit"]) if "unit" in coords else 0
        dims = ("recorded", "time", "unit") if recording.stride else ("recorded", "unit")
        return xr.Dataset({"value": (dims, np.zeros((*(0 for _ in dims[:-1]), width), kind), about)}, coords=coords)
    coords.setdefault("unit", np.arange(by_trial[trials[0]].shape[1]))
    if not recording.stride:
        values = np.stack([by_trial[trial][0] for trial in trials])
        return xr.Dataset({"value": (("recorded", "unit"), values, about)}, coords=coords)
    lengths = np.array([len(by_trial[trial]) for trial in trials])
    values = np.full((len(trials), lengths.max(), by_trial[trials[0]].shape[1]), 0 if recording.spikes else np.nan, kind)
    for row, trial in enumerate(trials):
        values[row, : lengths[row]] = by_trial[trial]
    coords["time"] = ("time", (1 + np.arange(lengths.max())) * recording.stride * program.dt, {"units": "s"})
    length = ("recorded", lengths, {"units": "1", "long_name": "samples in this trial; what follows them is padding"})
    return xr.Dataset({"value": (("recorded", "time", "unit"), values, about), "length": length}, coords=coords)


def _owner(recording: Recording) -> str:
    """The node that a monitor records: a recording is called by it and by the variable."""
    dim = recording.dims[-1] if recording.dims else ""
    for node in (dim, dim.removesuffix("_synapse")):
        if node and recording.name.startswith(f"{node}_"):
            return node
    return recording.name.rpartition("_")[0]


def learned(program: StepProgram) -> dict[str, Learn | ChipLearn]:
    """Array -> the rule that changes it, for each array that is learned."""
    return {op.target: op for op in program.after if isinstance(op, (Learn, ChipLearn))}


def _weights(program: StepProgram, arrays: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Dimensions carry the projection's name, as projections differ in size."""
    variables: dict[str, Any] = {}
    rules = learned(program)
    named = [rule.projection for rule in rules.values()]
    for array, rule in rules.items():
        synapses = rule.synapses
        name = rule.projection if named.count(rule.projection) == 1 else array
        about = {"units": program.arrays[array].unit, "projection": rule.projection, "array": array}
        values = np.asarray(arrays[array]).ravel()
        if synapses.dense:
            matrix = values.reshape(synapses.n_pre, synapses.n_post).T
            variables[name] = ((f"{rule.projection}_post", f"{rule.projection}_pre"), matrix, about)
            continue
        dim = f"{rule.projection}_synapse"
        variables[name] = (dim, values, about)
        for side, index in (("pre", synapses.pre), ("post", synapses.post)):
            what = {"units": "1", "long_name": f"index of the {side}synaptic unit"}
            variables[f"{rule.projection}_{side}"] = (dim, program.arrays[index].initial.ravel(), what)
    return xr.Dataset(variables)


def _state(program: StepProgram, arrays: Mapping[str, np.ndarray]) -> xr.Dataset:
    rings = {op.ring for op in (*program.trial_start, *program.before, *program.after) if isinstance(op, (Remember, DelayLine))}
    variables: dict[str, Any] = {}
    for name in program.lasting_names():
        values = np.asarray(arrays[name])
        if name in rings or not np.issubdtype(values.dtype, np.floating):
            continue
        dims = tuple(f"{name}_dim{axis}" for axis in range(values.ndim))
        variables[name] = (dims, values, {"units": program.arrays[name].unit})
    return xr.Dataset(variables)


def array(tree: xr.DataTree, path: str) -> np.ndarray:
    """The numbers of a variable: ``array(tree, "learning/error")``; ResultError with the known ones if there is none."""
    found = tree[path] if path in _paths(tree) else None
    if not isinstance(found, xr.DataArray):
        raise ResultError(f"the result holds no '{path}'", do=did_you_mean(path, _paths(tree)))
    return np.asarray(found.values)


def _paths(tree: xr.DataTree) -> set[str]:
    """Every variable and coordinate by its path from this node."""
    return {str(PurePosixPath(path, str(name))) for path, node in tree.subtree_with_keys for name in node.variables}


def save(tree: xr.DataTree, path: Path | str) -> Path:
    """Write a result to one netCDF4 file, atomically; ResultError where that fails (an older file is then still whole)."""
    path = Path(path)
    content = _netcdf(tree)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda beside: _write(beside, content))
    except OSError as problem:
        raise ResultError(f"the result cannot be written to {path}", got=str(problem)) from problem
    return path


def _netcdf(tree: xr.DataTree) -> memoryview:
    """The content of the file. It is made in memory: the HDF5 library does not survive a disk that fills up under it."""
    content = io.BytesIO()
    with h5netcdf.File(content, "w") as file:
        for path, node in tree.subtree_with_keys:
            group = file if node is tree else file.create_group(path)
            packed = "value" in node.data_vars and node["value"].size
            node.to_dataset(inherit=False).dump_to_store(
                H5NetCDFStore(group), encoding={"value": {"zlib": True, "complevel": 1, "shuffle": True}} if packed else None
            )
    return content.getbuffer()


def _write(path: Path, content: memoryview) -> None:
    with open(path, "xb") as file:
        file.write(content)


def load(path: Path | str) -> xr.DataTree:
    """Read a result: a file, or the folder of a run. Never executes anything from it."""
    path = Path(path)
    path = path / RESULT if path.is_dir() else path
    if not path.exists():
        raise ResultError(f"there is no result {path}", do="give the .nc file of a result, or the folder of a finished run")
    try:
        with xr.open_datatree(path, engine="h5netcdf", decode_times=False) as tree:
            tree.load()
            loaded = tree.copy()
    except Exception as problem:  # whatever h5py and xarray meet in a broken file
        raise ResultError(f"{path} cannot be read as a result", got=f"{type(problem).__name__}: {problem}") from problem
    if "learning" not in loaded.children:
        raise ResultError(f"{path} is not a result of neuroplast", got=f"groups {', '.join(loaded.children) or '(none)'}")
    loaded.name = loaded.attrs.get("name")
    return loaded

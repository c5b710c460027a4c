"""Results side by side: several result trees as one, with a new first axis.

Values along a dimension with coordinates (trials) meet where the coordinates are equal, others at the same place; what one
result lacks is padding: NaN, -1 for indices, 0 for spikes. A coordinate that is the same in all stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from neuroplast.ir.program import Note

REPLICA = "replica"


def stack_replicas(trees: dict[int, xr.DataTree], note: Note | None = None) -> xr.DataTree:
    """The results of replicas by their numbers, with the coordinates ``replica`` and ``seed`` at the root. Empties ``trees``."""
    numbers = sorted(trees)
    results = [trees.pop(number) for number in numbers]
    abouts = [dict(tree.attrs) for tree in results]
    done = [int(about["trials"]) for about in abouts]
    tree = stack(results, REPLICA, np.array(numbers))
    tree.attrs = abouts[0] | {"replicas": len(numbers), "trials": min(done)}
    if note is not None:
        row = {"node": note.node, "what": note.what, "asked": note.asked, "got": note.got, "where": ""}
        tree.attrs["lowering"] = json.dumps([*json.loads(tree.attrs["lowering"]), row])
    about = {"seed": (REPLICA, np.array([about["seed"] for about in abouts])), "program": (REPLICA, [about["program"] for about in abouts])}
    tree.dataset = tree.to_dataset().assign_coords(about).assign(trials_done=(REPLICA, np.array(done)))
    return tree


def stack(trees: list[xr.DataTree], axis: str, labels: np.ndarray) -> xr.DataTree:
    """Trees of the same groups as one. Empties the list on the way, so that nothing is held twice for long."""
    root = trees[0]
    paths = [path for path, _ in root.subtree_with_keys]
    groups = {path: [_own(tree, path) for tree in trees] for path in paths}
    name = root.name
    del root
    trees.clear()
    stacked: dict[str, xr.Dataset] = {}
    for path in paths:
        dataset = stack_datasets(groups.pop(path), axis, labels)
        stacked["/" if path == "." else f"/{path}"] = dataset
    return xr.DataTree.from_dict(stacked, name=name)


def _own(tree: xr.DataTree, path: str) -> xr.Dataset:
    node = tree[path]
    assert isinstance(node, xr.DataTree)
    return node.to_dataset(inherit=False)


def stack_datasets(parts: list[xr.Dataset], axis: str, labels: np.ndarray) -> xr.Dataset:
    """The variables of all parts, with the new axis first."""
    names = list(dict.fromkeys(name for part in parts for name in part.data_vars))
    index = {dim: _union([part.coords[dim].values for part in parts if dim in part.coords]) for dim in _dims(parts)}
    coords: dict[Hashable, Any] = {axis: (axis, labels)}
    for name in dict.fromkeys(name for part in parts for name in part.coords):
        given = [part.coords[name] for part in parts if name in part.coords]
        if name in index:
            union = index[name]
            assert union is not None
            coords[name] = (name, union, given[0].attrs)
        elif len(given) == len(parts) and all(np.array_equal(given[0], other) for other in given):
            coords[name] = given[0].variable
        else:
            coords[name] = _together([part.coords.get(name) for part in parts], index, parts, axis)
    variables: dict[Hashable, Any] = {}
    for name in names:
        variables[name] = _together([part.data_vars.get(name) for part in parts], index, parts, axis)
        for k, part in enumerate(parts):
            parts[k] = part.drop_vars([name], errors="ignore")
    return xr.Dataset(variables, coords)


def _dims(parts: Sequence[xr.Dataset]) -> list[Hashable]:
    return list(dict.fromkeys(dim for part in parts for dim in part.dims))


def _union(found: Sequence[np.ndarray]) -> np.ndarray | None:
    """All labels of a dimension, in order; None where it has none."""
    if not found:
        return None
    return found[0] if all(np.array_equal(found[0], other) for other in found) else np.unique(np.concatenate(found))


def _together(
    given: Sequence[xr.DataArray | None], index: Mapping[Hashable, np.ndarray | None], parts: Sequence[xr.Dataset], axis: str
) -> xr.Variable:
    """One variable of all parts, as (axis, its dimensions)."""
    there = [one for one in given if one is not None]
    dims, dtype = there[0].dims, np.result_type(*(one.dtype for one in there))
    shape = tuple(_length(dim, there, index) for dim in dims)
    full = len(there) == len(given) and all(one.shape == shape for one in there)
    values = np.empty((len(given), *shape), dtype) if full else np.full((len(given), *shape), _padding(dtype), dtype)
    for row, one, part in zip(values, given, parts, strict=True):
        if one is not None:
            row[np.ix_(*(_places(dim, one.sizes[dim], part, index.get(dim)) for dim in dims))] = one.values
    return xr.Variable((axis, *dims), values, there[0].attrs)


def _length(dim: Hashable, there: Sequence[xr.DataArray], index: Mapping[Hashable, np.ndarray | None]) -> int:
    labels = index.get(dim)
    return max(one.sizes[dim] for one in there) if labels is None else len(labels)


def _places(dim: Hashable, size: int, part: xr.Dataset, labels: np.ndarray | None) -> np.ndarray:
    if labels is None or dim not in part.coords or np.array_equal(part.coords[dim].values, labels):
        return np.arange(size)
    return np.searchsorted(labels, part.coords[dim].values)


def _padding(dtype: np.dtype) -> Any:
    if np.issubdtype(dtype, np.floating):
        return np.nan
    return -1 if np.issubdtype(dtype, np.signedinteger) else np.zeros((), dtype)[()]

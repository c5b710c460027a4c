"""Reading a result file: the one place of the report that touches the disk for input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from neuroplast.errors import ResultError

RESULT_FILE = "result.nc"
REPLICA = "replica"
"""The axis of a result that holds several runs."""


@contextmanager
def open_result(path: Path) -> Iterator[xr.DataTree]:
    """The result in a folder (or the result file itself), read lazily, closed at the end. ResultError if it cannot be read."""
    path = Path(path)
    file = path / RESULT_FILE if path.is_dir() else path
    if not file.is_file():
        raise ResultError("There is no result here", got=str(file), do="give the folder that a run wrote")
    try:
        tree = xr.open_datatree(file, engine="h5netcdf", decode_times=False)
    except (OSError, ValueError, KeyError) as error:
        raise ResultError(f"The result cannot be read: {error}", got=str(file), do="run again, or with --resume") from error
    with tree:
        yield tree


def attribute(tree: xr.DataTree, name: str) -> str:
    """A root attribute as text; empty where the file has none."""
    return str(tree.attrs.get(name, ""))


def json_attribute(tree: xr.DataTree, name: str, kind: type) -> Any:
    """A root attribute that holds a JSON list or object (``kind``); an empty one where the file has none."""
    text = attribute(tree, name)
    if not text:
        return kind()
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultError(f"The attribute '{name}' of the result is not JSON: {error}", got=text[:80]) from error
    if not isinstance(value, kind):
        allowed = f"a JSON {kind.__name__}"
        raise ResultError(f"The attribute '{name}' of the result has the wrong form", got=text[:80], allowed=allowed)
    return value

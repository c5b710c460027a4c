"""Variables of Lava process models: which may be read and set, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import issparse

from neuroplast.backends.lava.errors import LavaError
from neuroplast.errors import did_you_mean

ONCE = {
    # model: variables that it reads in its first time step only
    "PyLifModelBitAcc": ("vth",),
    "PyTernLifModelFixed": ("vth_lo", "vth_hi"),
    "PyLifResetModelBitAcc": ("vth",),
}
"""Lava takes a new value of these without a word, and goes on with the old one."""


def check_name(process: Any, name: str) -> None:
    """LavaError for a variable that a process does not have."""
    if name not in process.vars.member_names:
        raise LavaError(
            f"the Lava process '{process.name}' has no variable '{name}'", do=did_you_mean(name, process.vars.member_names)
        )


def check_settable(process: Any, model: type, name: str, time_step: int) -> None:
    """LavaError where Lava would ignore the new value."""
    for kind in model.__mro__:
        if time_step > 0 and name in ONCE.get(kind.__name__, ()):
            raise LavaError(
                f"'{name}' of the Lava process '{process.name}' is read in the first time step only; a new value would do nothing",
                do="set it before the first run, or make the network anew",
            )


def read(models: Mapping[Any, Any], process: Any, name: str) -> Any:
    """A copy of a variable of a built model, an array where it can be one."""
    check_name(process, name)
    value, shape = getattr(models[process], name), getattr(process.vars, name).shape
    if isinstance(value, str) or issparse(value):
        return value if isinstance(value, str) else value.copy()
    array = np.array(value)
    return array.reshape(shape) if array.size == np.prod(shape) else array


def write(models: Mapping[Any, Any], process: Any, name: str, value: Any) -> None:
    """Set a variable of a built model, keeping its type and shape."""
    check_name(process, name)
    model = models[process]
    check_settable(process, type(model), name, model.time_step)
    there = getattr(model, name)
    if isinstance(there, np.ndarray):
        there[...] = value
    elif isinstance(there, (bool, int, float, str)):
        setattr(model, name, type(there)(value))
    else:
        setattr(model, name, value)
    model.on_var_update()


__all__ = ["ONCE", "check_name", "check_settable", "read", "write"]

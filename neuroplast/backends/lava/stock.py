"""The process models that Lava ships for its own processes, by precision, without Lava's search."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any

from neuroplast.backends.lava.errors import LavaError

TAGS = {"float": "floating_pt", "fixed": "fixed_pt"}


def stock_models(processes: Iterable[Any], precision: str) -> dict[Any, type]:
    """process -> the one shipped model of that precision ("float" or "fixed")."""
    return {process: stock_model(type(process), precision) for process in processes}


def stock_model(process: type, precision: str) -> type:
    """The shipped model of a class of processes; LavaError where there is not exactly one."""
    if precision not in TAGS:
        raise LavaError("precision is not known", got=repr(precision), allowed=", ".join(TAGS))
    home = process.__module__
    beside = f"{home.rpartition('.')[0]}.models"
    names = [home, *([beside] if importlib.util.find_spec(beside) else [])]
    found = {
        model
        for name in names
        for model in vars(importlib.import_module(name)).values()
        if isinstance(model, type) and getattr(model, "implements_process", None) is process
        and TAGS[precision] in getattr(model, "tags", ())
    }
    if len(found) != 1:
        raise LavaError(
            f"Lava ships {len(found)} process models of {process.__name__} for '{precision}'",
            got=", ".join(sorted(m.__name__ for m in found)) or None, do="name the model of this process yourself",
        )
    return found.pop()


__all__ = ["stock_model", "stock_models"]

"""What every part of a description has in common: frozen fields that are checked where the user wrote them.

A field declared with :func:`quantity` is checked for unit, sign and finiteness when the object is made, and its SI value is
kept in ``node.si``; the user's line is kept in ``node.declared`` for every later message.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass, field
from types import SimpleNamespace
from typing import Any, Union

import numpy as np
import pint

from neuroplast.errors import DescriptionError, Source, caller
from neuroplast.units import Quantity, is_quantity, si

Number = Union[float, int, np.ndarray, list, tuple, pint.Quantity]
"""A scalar or an array, with a unit where the field has one."""


@dataclass(frozen=True, eq=False)
class Uniform:
    """Independent uniform values on [low, high), drawn once when the network is resolved. low, high share one unit."""

    low: Any
    high: Any

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator, dimension: str, what: str, where: Source | None) -> np.ndarray:
        return self.sample(si(self.low, dimension, what, where), si(self.high, dimension, what, where), shape, rng, what, where)

    def sample(
        self, low: np.ndarray, high: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator, what: str, where: Source | None
    ) -> np.ndarray:
        """Draw between ends that are in SI already."""
        if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high)) and np.all(low <= high)):
            raise DescriptionError(f"{what}: Uniform needs finite ends", where=where, got=f"{self.low}, {self.high}", allowed="low <= high")
        return rng.uniform(low, high, shape)


@dataclass(frozen=True, eq=False)
class Normal:
    """Independent Gaussian values, drawn once when the network is resolved. mean, std share one unit."""

    mean: Any
    std: Any

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator, dimension: str, what: str, where: Source | None) -> np.ndarray:
        return self.sample(si(self.mean, dimension, what, where), si(self.std, dimension, what, where), shape, rng, what, where)

    def sample(
        self, mean: np.ndarray, std: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator, what: str, where: Source | None
    ) -> np.ndarray:
        """Draw with a mean and a standard deviation that are in SI already."""
        if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(std)) and np.all(std >= 0)):
            raise DescriptionError(f"{what}: Normal needs finite numbers", where=where, got=f"{self.mean}, {self.std}", allowed="std >= 0")
        return rng.normal(mean, std, shape)


Drawn = Union[Uniform, Normal]


def quantity(
    dimension: str,
    *,
    default: Any = MISSING,
    positive: bool = False,
    nonnegative: bool = False,
    low: float | None = None,
    high: float | None = None,
    drawn: bool = False,
    zero_free: bool = False,
    scalar: bool = False,
) -> Any:
    """A dataclass field that holds a number of one dimension ("1" for none).

    positive, nonnegative, low, high (SI): allowed range.  drawn: a :class:`Uniform` or :class:`Normal` may stand for an array.
    zero_free: a plain 0 needs no unit.  scalar: one number only, no array.
    """
    metadata = {
        "dimension": dimension, "positive": positive, "nonnegative": nonnegative, "low": low, "high": high, "drawn": drawn,
        "zero_free": zero_free, "scalar": scalar,
    }
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True, eq=False)
class Node:
    """Base of all parts of a description. ``declared`` is the user's line, ``si`` the fields as SI floats."""

    def __post_init__(self) -> None:
        self.__dict__["declared"] = caller()
        self.__dict__["si"] = SimpleNamespace()
        for spec in dataclasses.fields(self):
            if "dimension" in spec.metadata:
                setattr(self.si, spec.name, self._check(spec))
        self.check()

    # set in __post_init__; declared here for readers and type checkers
    @property
    def where(self) -> Source | None:
        return self.__dict__["declared"]

    @property
    def si(self) -> SimpleNamespace:
        """The quantity fields as SI floats or arrays; None and Uniform/Normal pass through."""
        return self.__dict__["si"]

    def check(self) -> None:
        """Checks that involve more than one field; classes define it where there are any."""

    def _check(self, spec: dataclasses.Field[Any]) -> Any:
        value, rule = getattr(self, spec.name), spec.metadata
        what = f"{type(self).__name__}.{spec.name}"
        if value is None:
            if spec.default is None:
                return None
            raise DescriptionError(f"{what} is missing", where=self.where, got="None")
        if isinstance(value, (Uniform, Normal)):
            if not rule["drawn"]:
                raise DescriptionError(f"{what} takes a number, not a distribution", where=self.where, got=value)
            value.draw((1,), np.random.default_rng(0), rule["dimension"], what, self.where)
            return value
        plain_zero = rule["zero_free"] and not is_quantity(value) and np.ndim(value) == 0 and value == 0
        number = np.asarray(0.0) if plain_zero else si(value, rule["dimension"], what, self.where)
        if rule["scalar"] and number.ndim:
            raise DescriptionError(f"{what} is one number", where=self.where, got=f"an array of shape {number.shape}")
        if not np.all(np.isfinite(number)):
            bad = int(np.argmax(~np.isfinite(np.ravel(number))))
            raise DescriptionError(
                f"{what} holds a value that is not finite", where=self.where,
                got=f"{np.ravel(number)[bad]} at index {bad}", allowed="finite numbers",
            )
        for broken, allowed in (
            (rule["positive"] and np.any(number <= 0), "greater than zero"),
            (rule["nonnegative"] and np.any(number < 0), "zero or greater"),
            (rule["low"] is not None and np.any(number < rule["low"]), f"at least {rule['low']}"),
            (rule["high"] is not None and np.any(number > rule["high"]), f"at most {rule['high']}"),
        ):
            if broken:
                got = f"{value:~}" if is_quantity(value) else repr(value)
                raise DescriptionError(f"{what} is out of range", where=self.where, got=got, allowed=allowed)
        return float(number) if number.ndim == 0 else number


def numbers(value: Any, what: str, where: Source | None) -> np.ndarray:
    """A plain array of floats; DescriptionError where it is none."""
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise DescriptionError(f"{what} must be an array of numbers", where=where, got=repr(value)[:200]) from None


def expand(value: Any, shape: tuple[int, ...], what: str, where: Source | None) -> np.ndarray:
    """A scalar or an array as a fresh array of ``shape``; DescriptionError where it does not fit."""
    array = np.asarray(value, dtype=float)
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError:
        raise DescriptionError(
            f"{what} has the wrong shape", where=where, got=f"shape {array.shape}", allowed=f"a scalar or shape {shape}"
        ) from None


__all__ = ["Drawn", "Node", "Normal", "Number", "Quantity", "Uniform", "expand", "numbers", "quantity"]

"""What every part of a description has in common: frozen fields that are checked where the user wrote them.

A field declared with :func:`quantity` is checked for unit, sign and finiteness when the object is made, and its SI value is
kept in ``node.si``; the user's line is kept in ``node.declared`` for every later message.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass, field
from inspect import Parameter, Signature, signature
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, Union

import numpy as np
import pint

from neuroplast.errors import DescriptionError, Source, UnitsError, caller, did_you_mean
from neuroplast.units import Quantity, holds_quantities, is_quantity, si

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
        if np.ndim(low) or np.ndim(high) or not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise DescriptionError(
                f"{what}: Uniform needs finite ends, one number each", where=where, got=f"{self.low}, {self.high}", allowed="low <= high"
            )
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
        if np.ndim(mean) or np.ndim(std) or not (np.isfinite(mean) and np.isfinite(std) and std >= 0):
            raise DescriptionError(
                f"{what}: Normal needs finite numbers, one each", where=where, got=f"{self.mean}, {self.std}", allowed="std >= 0"
            )
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


if TYPE_CHECKING:
    _Checked = type  # type checkers read the arguments from the fields
else:

    class _Checked(type):
        """Makes of a wrong call, a plain TypeError, a DescriptionError with the user's line."""

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().__call__(*args, **kwargs)
            except TypeError:
                _check_call(cls, args, kwargs)
                raise

        @property
        def __signature__(cls) -> Signature:  # what help() and notebooks show
            own = signature(cls.__init__)
            return own.replace(parameters=list(own.parameters.values())[1:])


def _check_call(kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """DescriptionError where the fields of ``kind`` cannot be filled from these arguments."""
    known = list(signature(kind).parameters.values())
    positional = [p.name for p in known if p.kind is not Parameter.KEYWORD_ONLY]
    names, where = [p.name for p in known], caller()
    for name in kwargs:
        if name not in names:
            raise DescriptionError(f"{kind.__name__} has no field '{name}'", where=where, do=did_you_mean(name, names)) from None
    given = positional[: len(args)]
    if len(args) > len(positional):
        raise DescriptionError(
            f"{kind.__name__} was given too many values", where=where, got=f"{len(args)} values without a name",
            allowed=", ".join(positional) or "fields by name only", do=f"name them: {names[0]}=..." if names else None,
        ) from None
    for name in given:
        if name in kwargs:
            raise DescriptionError(f"{kind.__name__}.{name} is given twice", where=where, got=repr(kwargs[name])[:200]) from None
    missing = [p.name for p in known if p.default is Parameter.empty and p.name not in (*given, *kwargs)]
    if missing:
        raise DescriptionError(
            f"{kind.__name__} lacks {', '.join(missing)}", where=where, got=", ".join((*given, *kwargs)) or "nothing",
            do=", ".join(f"{name}=..." for name in missing),
        ) from None


@dataclass(frozen=True, eq=False)
class Node(metaclass=_Checked):
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

    def same_length(self, *names: str) -> None:
        """DescriptionError where two of these quantity fields are arrays of different shapes."""
        arrays = {name: getattr(self.si, name) for name in names if np.ndim(getattr(self.si, name, 0.0)) > 0}
        if len({np.shape(value) for value in arrays.values()}) > 1:
            raise DescriptionError(
                f"{type(self).__name__}: {' and '.join(arrays)} differ in shape", where=self.where,
                got=", ".join(f"{name} {np.shape(value)}" for name, value in arrays.items()),
                allowed="numbers, or arrays of one shape (size,)",
            )

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


K = TypeVar("K")


def part(value: Any, kinds: type[K] | tuple[type[K], ...], what: str, where: Source | None, allowed: str, optional: bool = False) -> K:
    """``value``, if it is an object of one of ``kinds`` (or None, if ``optional``); DescriptionError where it is not."""
    if isinstance(value, kinds) or (optional and value is None):
        return value  # type: ignore[return-value]
    made = isinstance(value, type) and issubclass(value, kinds)
    raise DescriptionError(
        what, where=where, got=repr(value)[:200], allowed=allowed + (", or None" if optional else ""),
        do=f"make one: {value.__name__}(...)" if made else None,
    )


def single(value: Any, dimension: str, what: str, where: Source | None) -> float:
    """One finite number in SI; DescriptionError where it is an array or not finite."""
    number = si(value, dimension, what, where)
    if number.ndim:
        raise DescriptionError(f"{what} is one number", where=where, got=f"an array of shape {number.shape}")
    if not np.isfinite(number):
        raise DescriptionError(f"{what} is not finite", where=where, got=value)
    return float(number)


def numbers(value: Any, what: str, where: Source | None) -> np.ndarray:
    """A plain array of floats; UnitsError where it has a unit that would be lost, DescriptionError where it is no array."""
    if is_quantity(value) and value.dimensionless:
        value = value.to("").magnitude  # 50 percent are 0.5
    if is_quantity(value) or holds_quantities(value):
        raise UnitsError(
            f"{what} takes plain numbers, without a unit", where=where, got=f"{value:~}"[:200] if is_quantity(value) else repr(value)[:200],
            do="divide by the unit that its numbers are to be in: (values / Hz).to('').magnitude",
        )
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise DescriptionError(f"{what} must be an array of numbers", where=where, got=repr(value)[:200]) from None


def expand(value: Any, shape: tuple[int, ...], what: str, where: Source | None) -> np.ndarray:
    """A scalar or an array of ``shape`` as a fresh array; DescriptionError where it is neither (nothing is broadcast)."""
    array = np.asarray(value, dtype=float)
    if array.shape not in ((), shape):
        raise DescriptionError(
            f"{what} has the wrong shape", where=where, got=f"shape {array.shape}", allowed=f"a scalar or shape {shape}"
        )
    return np.array(np.broadcast_to(array, shape))


__all__ = ["Drawn", "Node", "Normal", "Number", "Quantity", "Uniform", "expand", "numbers", "part", "quantity", "single"]

"""Changing a model's parameters: a value, or its text from the command line, made to fit the parameter's type and unit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pint

from neuroplast.errors import DescriptionError, UnitsError, did_you_mean
from neuroplast.units import Quantity, is_quantity, registry

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBERS = re.compile(rf"[\[(]?\s*(?P<numbers>{_NUMBER}(?:\s*,\s*{_NUMBER})*)\s*[\])]?\s*\*?\s*(?P<unit>.*)")


def parse_settings(settings: Iterable[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """``["tau=20 ms", "n_hvc=200"]`` as values of the parameters' own types; DescriptionError where they do not fit."""
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or not name or not text:
            raise DescriptionError(
                "a setting is written parameter=value", got=repr(setting), do='for example --set "tau=20 ms" or --set n=200'
            )
        if name in found:
            raise DescriptionError(f"the parameter '{name}' is set twice", got=repr(setting))
        found[name] = fitted(name, text, defaults)
    return found


def fitted(name: str, value: Any, defaults: Mapping[str, Any]) -> Any:
    """``value`` (or its text) in the type and unit of the parameter's default."""
    if name not in defaults:
        raise DescriptionError(f"there is no parameter '{name}'", do=did_you_mean(name, defaults))
    default = defaults[name]
    if isinstance(default, str):
        return str(value)
    if is_quantity(default):
        return _quantity(name, value, default)
    if is_quantity(value):
        raise UnitsError(f"the parameter '{name}' has no unit", got=value_text(value), allowed=f"such as {value_text(default)}")
    if isinstance(default, bool):
        return _truth(name, value)
    if isinstance(default, (int, float, np.number)):
        return _number(name, value, default)
    if isinstance(default, (list, tuple, np.ndarray)):
        return _array(name, value, default)
    if isinstance(value, str):
        raise DescriptionError(f"the parameter '{name}' cannot be set from text", got=repr(value))
    return value


def value_text(value: Any) -> str:
    """A value as it is shown, and as it can be given with --set: '20 ms', '200', '0.1, 0.2'."""
    if is_quantity(value):
        return f"{value_text(value.magnitude)} {value.units:~}".strip()
    if isinstance(value, (list, tuple, np.ndarray)):
        return ", ".join(value_text(item) for item in np.ravel(np.asarray(value)).tolist())
    return str(value.item() if isinstance(value, np.generic) else value)


def _truth(name: str, value: Any) -> bool:
    truth = _TRUTH.get(str(value).lower())
    if truth is None:
        raise DescriptionError(f"the parameter '{name}' is a switch", got=repr(value), allowed="true or false")
    return truth


def _number(name: str, value: Any, default: Any) -> Any:
    whole = isinstance(default, (int, np.integer))
    kind = "a whole number" if whole else "a number"
    wrong = DescriptionError(f"the parameter '{name}' is {kind} without a unit", got=repr(value), allowed=f"such as {default}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise wrong from None
    if np.isnan(number) or (whole and (np.isinf(number) or number != int(number))):
        raise wrong
    return int(number) if whole else number


def _quantity(name: str, value: Any, default: Any) -> Any:
    given = _parsed(name, value) if isinstance(value, str) else value
    if not is_quantity(given):
        raise UnitsError(f"the parameter '{name}' needs a unit", got=repr(value), allowed=f"such as {value_text(default)}")
    if not given.is_compatible_with(default.units):
        raise UnitsError(
            f"the parameter '{name}' has another unit", got=value_text(given), allowed=f"such as {value_text(default)}"
        )
    magnitude = np.asarray(given.to(default.units).magnitude, dtype=float)
    if np.ndim(default.magnitude) == 0 and magnitude.ndim:
        raise DescriptionError(f"the parameter '{name}' is one number", got=value_text(given), allowed=value_text(default))
    return Quantity(magnitude if magnitude.ndim else float(magnitude), default.units)


def _parsed(name: str, text: str) -> Any:
    """'20 ms', '20*ms' or '1, 2 ms' as a quantity; a plain number as it is."""
    wrong = UnitsError(f"the parameter '{name}' is a number with a unit", got=repr(text), allowed='such as "20 ms"')
    magnitude, unit = _split(text, wrong)
    try:
        units = registry.parse_units(f"1{unit}" if unit.startswith("/") else unit) if unit else None
    except (ValueError, pint.PintError, AttributeError, TypeError):
        raise wrong from None
    value = magnitude[0] if len(magnitude) == 1 else np.array(magnitude)
    return value if units is None else Quantity(value, units)


def _array(name: str, value: Any, default: Any) -> Any:
    wrong = DescriptionError(f"the parameter '{name}' is a list of numbers", got=repr(value), allowed=value_text(default))
    if isinstance(value, str):
        value, unit = _split(value, wrong)
        if unit:
            raise wrong
    dtype = np.asarray(default).dtype
    array = np.asarray(value)
    if np.issubdtype(dtype, np.integer) and np.any(array != np.floor(array)):
        raise wrong
    array = array.astype(dtype)
    return array if isinstance(default, np.ndarray) else type(default)(array.tolist())


def _split(text: str, wrong: DescriptionError) -> tuple[list[float], str]:
    """Numbers separated by commas, and the unit that follows them; ``wrong`` is raised where there is no number."""
    found = _NUMBERS.fullmatch(text.strip())
    if found is None:
        raise wrong
    return [float(number) for number in found["numbers"].split(",")], found["unit"].strip()

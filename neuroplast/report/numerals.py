"""Numbers and units as they are set in print."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_SUPERSCRIPTS = str.maketrans("-+0123456789", "⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹")
_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 3: "k", 6: "M", 9: "G"}
_SYMBOLS = {"hertz": "Hz", "second": "s", "volt": "V", "siemens": "S", "ampere": "A", "farad": "F", "ohm": "Ω", "metre": "m"}


def number_text(value: Any, digits: int = 4) -> str:
    """A number with so many significant digits, set as in print: 2.1×10⁻⁵, −3. What is no number is given as text."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return str(value)
    text = f"{value:.{digits}g}" if isinstance(value, (float, np.floating)) else str(value)
    mantissa, _, exponent = text.partition("e")
    return mantissa.replace("-", "−") + (f"×{power_text(int(exponent))}" if exponent else "")


def power_text(exponent: int) -> str:
    """10⁻⁹"""
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def unit_text(units: object) -> str:
    """A unit's symbol: "hertz ** 2" gives "Hz²"; a number without a unit gives the empty string."""
    text = str(units or "").strip().replace(" ** ", "**")
    if text in ("1", "dimensionless", "None"):
        return ""
    base, *powers = text.split("**")
    for power in powers:
        digits = power[: len(power) - len(power.lstrip("-0123456789"))]
        base += digits.translate(_SUPERSCRIPTS) + power[len(digits) :]
    for name, symbol in _SYMBOLS.items():
        base = base.replace(name, symbol)
    return base


def with_unit(text: str, units: object) -> str:
    """An axis label: "error (Hz²)", or the text alone where the unit is 1."""
    unit = unit_text(units)
    return f"{text} ({unit})" if unit else text


def scaled(values: Any, units: object) -> tuple[float, str]:
    """(factor, unit) that make numbers easy to read on an axis: conductances of 1e-9 S are shown times 1e9, in nS.

    Units that take no prefix ("Hz²", or none) get a power of ten: "10⁻⁶ Hz²".
    """
    unit = unit_text(units)
    finite = np.abs(np.asarray(values, float))
    finite = finite[np.isfinite(finite)]
    largest = float(finite.max()) if finite.size else 0.0
    symbol = unit in _SYMBOLS.values()
    if largest == 0 or (1 if symbol else 0.01) <= largest < 1e4:
        return 1.0, unit
    exponent = 3 * math.floor(math.log10(largest) / 3)
    if symbol and exponent in _PREFIXES:
        return 10.0**-exponent, _PREFIXES[exponent] + unit
    return (10.0**-exponent, f"{power_text(exponent)} {unit}".strip()) if exponent else (1.0, unit)

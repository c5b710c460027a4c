"""Physical units (pint) and their one way into the program: SI floats, checked.

``20 * ms``, ``[1, 2] * mV`` and ``5 * Hz`` are :class:`pint.Quantity` objects. Everything behind the description works on
plain numbers in SI units (second, volt, siemens, ampere, hertz, ohm, farad).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pint

from neuroplast.errors import Source, UnitsError

registry: pint.UnitRegistry = pint.UnitRegistry(cache_folder=None, autoconvert_to_preferred=False)
Quantity = registry.Quantity

second = registry.second
ms = registry.millisecond
us = registry.microsecond
minute = registry.minute
volt = registry.volt
mV = registry.millivolt
uV = registry.microvolt
ampere = registry.ampere
nA = registry.nanoampere
pA = registry.picoampere
siemens = registry.siemens
uS = registry.microsiemens
nS = registry.nanosiemens
ohm = registry.ohm
Mohm = registry.megaohm
farad = registry.farad
nF = registry.nanofarad
pF = registry.picofarad
Hz = registry.hertz
kHz = registry.kilohertz
metre = registry.metre
mm = registry.millimetre
um = registry.micrometre

SI_UNITS: dict[str, pint.Unit] = {
    "1": registry.dimensionless,
    "time": registry.second,
    "voltage": registry.volt,
    "current": registry.ampere,
    "conductance": registry.siemens,
    "resistance": registry.ohm,
    "capacitance": registry.farad,
    "rate": registry.hertz,
    "length": registry.metre,
}
"""The dimensions that fields may ask for, each with the SI unit that its numbers are kept in."""

_EXAMPLES = {
    "1": "a plain number such as 0.5",
    "time": "a time such as 20*ms",
    "voltage": "a voltage such as -60*mV",
    "current": "a current such as 100*pA",
    "conductance": "a conductance such as 2*nS",
    "resistance": "a resistance such as 100*Mohm",
    "capacitance": "a capacitance such as 200*pF",
    "rate": "a rate such as 80*Hz",
    "length": "a length such as 2*mm",
}


def unit_name(dimension: str | pint.Unit) -> str:
    """'time' -> 's'. A unit, or a unit's name that is no dimension of the table, is given back as text."""
    if not isinstance(dimension, str):
        return f"{dimension:~}" or "1"
    return "1" if dimension == "1" else f"{SI_UNITS[dimension]:~}" if dimension in SI_UNITS else dimension


def si_name(unit: pint.Unit) -> str:
    """What a unit is called in SI: 'mV' -> 'V', 'Hz s' -> '1', 'V s' -> 's * V'."""
    for known in SI_UNITS.values():
        if known.is_compatible_with(unit):
            return unit_name(known)
    plain = registry.Quantity(1.0, unit)
    reduced = plain.to_reduced_units()
    return f"{(reduced if reduced.m == 1.0 and plain.to_base_units().m == 1.0 else plain.to_base_units()).units:~}" or "1"


def named_unit(name: str) -> pint.Unit | None:
    """The unit with this name; None where the name is no unit's (a readout may be measured in anything)."""
    try:
        return registry.Unit("dimensionless" if name == "1" else name)
    except Exception:  # pint, and the parsers below it, have many
        return None


def is_quantity(value: object) -> bool:
    return isinstance(value, pint.Quantity)


def holds_quantities(value: Any) -> bool:
    """Whether a list or tuple hides quantities, whose units NumPy would strip."""
    return isinstance(value, (list, tuple)) and any(is_quantity(one) or holds_quantities(one) for one in value)


def dimension_of(value: Any) -> str | None:
    """The name of a value's dimension in :data:`SI_UNITS`, None if it has none of these."""
    if not is_quantity(value):
        return "1"
    for name, unit in SI_UNITS.items():
        if value.is_compatible_with(unit):
            return name
    return None


def si(value: Any, dimension: str, what: str, where: Source | None = None) -> np.ndarray:
    """``value`` as a float array in the SI unit of ``dimension``; UnitsError where the unit does not fit."""
    unit = SI_UNITS[dimension]
    if is_quantity(value):
        if not value.is_compatible_with(unit):
            raise UnitsError(
                f"{what} has the wrong unit", where=where, got=f"{value:~}", allowed=_EXAMPLES[dimension]
            )
        # registries of other packages are welcome: go through the unit's own factor
        number = value.to(str(unit)).magnitude if value._REGISTRY is not registry else value.to(unit).magnitude
    else:
        if dimension != "1" and not holds_quantities(value):
            raise UnitsError(
                f"{what} needs a unit", where=where, got=repr(value), allowed=_EXAMPLES[dimension],
                do="multiply by a unit: from neuroplast.units import ms, mV, nS, Hz, ...",
            )
        number = value
    if holds_quantities(value):
        raise UnitsError(
            f"{what} is a list with a unit inside", where=where, got=repr(value)[:200], allowed=_EXAMPLES[dimension],
            do="write the unit once, behind the list: [1, 2] * mV",
        )
    try:
        return np.asarray(number, dtype=float)
    except (TypeError, ValueError):
        raise UnitsError(
            f"{what} is not a number", where=where, got=repr(value), allowed=_EXAMPLES[dimension]
        ) from None

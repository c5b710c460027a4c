"""Equations of an EquationNeuron, in Brian2's notation, read without Brian2.

    dv/dt = (I - v)/tau : volt        differential equation; with the flag (unless refractory) it stands still while refractory
    I = g*(E - v) : volt              subexpression
    tau : second                      parameter
Units may be written in the expressions (``-50*mV``) and become numbers in SI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pint

from neuroplast import units
from neuroplast.errors import DescriptionError, Source, UnitsError, did_you_mean
from neuroplast.expressions import CONSTANTS, FUNCTIONS, Expression, expression, is_truth
from neuroplast.node import Normal, Uniform

_LINE = re.compile(
    r"^\s*(?:d(?P<diff>\w+)\s*/\s*dt\s*=|(?P<sub>\w+)\s*=|(?P<par>\w+)(?=\s*:))\s*(?P<expr>[^:]*?)\s*:\s*(?P<unit>[^()]+?)\s*"
    r"(?:\((?P<flags>.*)\))?\s*$"
)
UNIT_NAMES = {
    "mV": 1e-3,
    "uV": 1e-6,
    "volt": 1.0,
    "second": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "amp": 1.0,
    "ampere": 1.0,
    "nA": 1e-9,
    "pA": 1e-12,
    "siemens": 1.0,
    "nS": 1e-9,
    "uS": 1e-6,
    "ohm": 1.0,
    "Mohm": 1e6,
    "farad": 1.0,
    "nF": 1e-9,
    "pF": 1e-12,
    "Hz": 1.0,
    "hertz": 1.0,
    "kHz": 1e3,
    "metre": 1.0,
    "meter": 1.0,
    "um": 1e-6,
    "mm": 1e-3,
}
_PINT = {"amp": "ampere", "Mohm": "megaohm", "meter": "metre", "1": "dimensionless"}
_FLAGS = {("unless refractory", "differential"), ("constant", "parameter")}
RESERVED = {"noise", "dt", "t", "spikes", "i", "xi"}
EXTERNAL = {"noise", "dt"}
MADE_UP = ("_", "slope_", "in_", "decay_", "noise_", "refractory_")
"""What names begin with that the lowering makes up beside those of the equations."""


@dataclass(frozen=True)
class Equations:
    """differential, subexpressions: name -> right-hand side in SI numbers.  parameters, initial: name -> SI value, Uniform or
    Normal.  units: name -> pint.  held: the variables that stand still while the neuron is refractory.  noisy: name, unit and text, as
    written, of the right-hand sides that read the noise."""

    differential: dict[str, Expression]
    subexpressions: dict[str, Expression]
    parameters: dict[str, Any]
    initial: dict[str, Any]
    units: dict[str, pint.Unit]
    held: frozenset[str] = frozenset()
    noisy: tuple[tuple[str, Any, Expression], ...] = ()

    @property
    def names(self) -> set[str]:
        return {*self.differential, *self.subexpressions, *self.parameters}

    @classmethod
    def parse(cls, text: str | Equations, parameters: Mapping[str, Any], initial: Mapping[str, Any], where: Source | None) -> Equations:
        if isinstance(text, Equations):
            return text
        raw: dict[str, tuple[str, str]] = {}
        unit: dict[str, pint.Unit] = {}
        held: set[str] = set()
        if not isinstance(text, str):
            raise DescriptionError("the equations must be text", where=where, got=repr(text))
        for line in filter(None, (part.split("#")[0].strip() for part in re.split(r"[\n;]", text))):
            match = _LINE.match(line)
            if match is None:
                raise DescriptionError(
                    f"the equation '{line}' cannot be read",
                    where=where,
                    allowed="'dx/dt = expression : unit', 'x = expression : unit' or 'x : unit'",
                )
            kind = "differential" if match["diff"] else "subexpression" if match["sub"] else "parameter"
            name = match["diff"] or match["sub"] or match["par"]
            if name in raw:
                raise DescriptionError(f"the equations define '{name}' twice", where=where)
            made_up = name.startswith(MADE_UP) or name in RESERVED
            if made_up or name in UNIT_NAMES or name in CONSTANTS or name in FUNCTIONS:
                raise DescriptionError(f"the equations define '{name}', which is reserved", where=where, do="rename it")
            raw[name] = (kind, match["expr"])
            unit[name] = _unit(match["unit"].strip(), name, where)
            for flag in filter(None, ((f or "").strip() for f in (match["flags"] or "").split(","))):
                if (flag, kind) not in _FLAGS:
                    raise DescriptionError(
                        f"the flag '({flag})' of '{name}' is not known",
                        where=where,
                        allowed="(unless refractory) on a differential equation, (constant) on a parameter",
                    )
                held |= {name} if kind == "differential" else set()
        if not any(kind == "differential" for kind, _ in raw.values()):
            raise DescriptionError("the equations have no differential equation", where=where, got=text.strip() or "''")
        known = set(raw) | EXTERNAL | set(UNIT_NAMES)
        right: dict[str, Expression] = {}
        noisy: list[tuple[str, Any, Expression]] = []
        for name, (kind, body) in raw.items():
            if kind != "parameter":
                parsed = expression(body, where, known)
                wanted = unit[name] / units.registry.second if kind == "differential" else unit[name]
                if "noise" in parsed.names:
                    noisy.append((name, wanted, parsed))
                else:
                    _check_dimension(name, wanted, parsed, unit, where)
                right[name] = parsed.substitute({u: repr(UNIT_NAMES[u]) for u in parsed.names & set(UNIT_NAMES)})
        for name in (*parameters, *initial):
            if name not in raw:
                raise DescriptionError(f"'{name}' is not in the equations", where=where, do=did_you_mean(name, raw))
        values = {}
        for name, (kind, _) in raw.items():
            if kind == "parameter":
                values[name] = _number(parameters[name], unit[name], name, where) if name in parameters else 0.0
            elif name in parameters:
                raise DescriptionError(
                    f"'{name}' is a {kind}{' equation' if kind == 'differential' else ''}, not a parameter",
                    where=where,
                    do="give its start in initial=" if kind == "differential" else None,
                )
        starts = {name: _number(value, unit[name], name, where) for name, value in initial.items()}
        pick = lambda wanted: {n: right[n] for n, (k, _) in raw.items() if k == wanted}
        return cls(pick("differential"), _ordered(pick("subexpression"), where), values, starts, unit, frozenset(held), tuple(noisy))

    def check_times(self, given: Mapping[str, Any], where: Source | None) -> None:
        """DescriptionError for a parameter that is a time and has no value, or none above zero: equations divide by it."""
        for name, value in self.parameters.items():
            if not self.units[name].is_compatible_with(units.registry.second):
                continue
            if name not in given:
                raise DescriptionError(f"the parameter '{name}' has no value", where=where, do=f"parameters={{'{name}': 10*ms}}")
            if not isinstance(value, (Uniform, Normal)) and np.any(np.asarray(value) <= 0):
                allowed = "greater than zero"
                raise DescriptionError(f"the parameter '{name}' is out of range", where=where, got=given[name], allowed=allowed)

    def check_noise(self, unit: pint.Unit, where: Source | None) -> None:
        """UnitsError if a noise measured in ``unit`` does not fit into the equations."""
        for name, wanted, parsed in self.noisy:
            _check_dimension(name, wanted, parsed, {**self.units, "noise": unit}, where)

    def check_statements(self, threshold: str | None, reset: str, where: Source | None) -> None:
        if threshold is not None:
            condition = self.si_expression(threshold, where)
            if not is_truth(condition.tree):
                raise DescriptionError(f"the threshold '{threshold}' is no condition", where=where, allowed="such as 'v > -50*mV'")
        for target, _ in self.reset_statements(reset, where):
            if target not in self.differential and target not in self.parameters:
                raise DescriptionError(
                    f"reset sets '{target}'", where=where, do=did_you_mean(target, {*self.differential, *self.parameters})
                )

    def si_expression(self, text: str, where: Source | None, unit: pint.Unit | None = None, what: str = "threshold") -> Expression:
        """A condition (or, with ``unit``, a right-hand side) over the equations' names, with units as SI numbers."""
        parsed = expression(text, where, self.names | EXTERNAL | set(UNIT_NAMES))
        _check_dimension(what, unit, parsed, self.units, where)
        return parsed.substitute({u: repr(UNIT_NAMES[u]) for u in parsed.names & set(UNIT_NAMES)})

    def reset_statements(self, reset: str, where: Source | None) -> list[tuple[str, Expression]]:
        statements = []
        for part in filter(None, (p.strip() for p in re.split(r"[\n;]", reset))):
            match = re.match(r"^(\w+)\s*([-+*/]?)=\s*(?!=)(.+)$", part)
            if match is None:
                raise DescriptionError(f"the reset '{part}' cannot be read", where=where, allowed="'v = expression', 'u += expression'")
            name, operator, body = match.groups()
            unit = self.units.get(name)
            statements.append((name, self.si_expression(f"{name} {operator} ({body})" if operator else body, where, unit, name)))
        return statements


def _unit(text: str, name: str, where: Source | None) -> pint.Unit:
    try:
        return (
            units.registry.parse_units(" * ".join(_PINT.get(p, p) for p in text.split("*")))
            if text != "1"
            else units.registry.dimensionless
        )
    except Exception:
        raise UnitsError(
            f"the unit '{text}' of '{name}' is not known", where=where, allowed="1, volt, second, amp, siemens, Hz, ..."
        ) from None


def _number(value: Any, unit: pint.Unit, name: str, where: Source | None) -> Any:
    if isinstance(value, (Uniform, Normal)):
        ends = [_number(v, unit, name, where) for v in value.__dict__.values()]
        return type(value)(*ends)
    quantity = value if units.is_quantity(value) else units.registry.Quantity(np.asarray(value, float), "dimensionless")
    if not quantity.is_compatible_with(unit):
        raise UnitsError(f"the value of '{name}' has the wrong unit", where=where, got=value, allowed=f"a value in {unit:~}")
    array = np.asarray(quantity.to_base_units().magnitude, float)  # the registry's base units are SI
    if not np.all(np.isfinite(array)):
        raise DescriptionError(f"the value of '{name}' is not finite", where=where, got=value)
    return array


def _check_dimension(name: str, wanted: Any, parsed: Expression, unit: Mapping[str, pint.Unit], where: Source | None) -> None:
    """Evaluate once with numbers of the right units: pint finds what does not fit. wanted: the unit of the value, None for any."""
    if "noise" in parsed.names and "noise" not in unit:
        return
    registry = units.registry
    # arrays of different numbers: a - b and 1/(a - b) are not to be zero and infinite by chance
    values: dict[str, Any] = {u: registry.Quantity(np.array(1.0), _PINT.get(u, u)) for u in UNIT_NAMES}
    values |= {n: registry.Quantity(np.array(0.5 + 0.17 * k), u) for k, (n, u) in enumerate(unit.items())}
    plain = lambda x: registry.Quantity(x).to("dimensionless").magnitude
    values |= {  # these functions do not know pint, or would take any unit
        "dt": registry.Quantity(np.array(1e-4), "second"),
        "sigmoid": lambda x: 1 / (1 + np.exp(-plain(x))),
        "int": lambda x: np.trunc(plain(x)),
        "floor": lambda x: np.floor(plain(x)),
    }
    try:
        with np.errstate(all="ignore"):
            got = parsed.numpy(values)
    except Exception as error:
        if isinstance(error, pint.DimensionalityError) or "Cannot compare" in str(error):
            raise UnitsError(f"the units in '{name} = {parsed}' do not fit: {error}", where=where) from None
        raise DescriptionError(f"'{name} = {parsed}' cannot be evaluated: {error}", where=where) from None
    if wanted is None:
        return
    if not registry.Quantity(1.0, wanted).is_compatible_with(got if units.is_quantity(got) else registry.Quantity(1.0, "")):
        found = f"{got.units:~}" if units.is_quantity(got) and not got.dimensionless else "no unit"
        raise UnitsError(
            f"the right-hand side of '{name}' has the wrong unit", where=where, got=f"'{parsed}' in {found}", allowed=f"{wanted:~}"
        )


def _ordered(subexpressions: dict[str, Expression], where: Source | None) -> dict[str, Expression]:
    """Subexpressions in an order in which each uses only earlier ones."""
    done: dict[str, Expression] = {}
    while len(done) < len(subexpressions):
        ready = [n for n, e in subexpressions.items() if n not in done and not (e.names & set(subexpressions) - set(done))]
        if not ready:
            raise DescriptionError("subexpressions refer to each other in a circle", where=where, got=", ".join(subexpressions))
        done |= {n: subexpressions[n] for n in ready}
    return done

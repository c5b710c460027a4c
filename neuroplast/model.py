"""The frame for the files in models/: a paper's network, every parameter with its source, and the claims that it makes.

A file models/NAME.py ends in ``MODEL = Model(name="NAME", ...)``. Its claims are measured in a :class:`~neuroplast.lab.Lab`.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from neuroplast.errors import DescriptionError, did_you_mean
from neuroplast.network import Network
from neuroplast.overrides import fitted, value_text
from neuroplast.ranges import Allowed
from neuroplast.units import is_quantity

if TYPE_CHECKING:
    from neuroplast.backends.targets import Target
    from neuroplast.lab import Lab
    from neuroplast.report.section import Section
    from neuroplast.simulation import Simulation


@dataclass(frozen=True)
class Parameter:
    """value: a number, quantity, switch, text, or an array.  source: where it comes from ("paper", "code", "card", "chosen").
    why: the reason, for what was chosen.  allowed: the values it may be set to (all that have its type and unit, if not said)."""

    value: Any
    source: str
    why: str = ""
    allowed: Allowed | None = None


@dataclass(frozen=True)
class Measured:
    """What a claim's measurement found. text: for readers.  seeds: of the runs it rests on."""

    value: float | dict[str, Any]
    text: str
    holds: bool
    seeds: list[int]


class Skip(Exception):
    """Raised by a measurement that cannot be made here (in a quick version, without a compiler, ...), with the reason."""


@dataclass(frozen=True)
class Claim:
    """name: short.  statement: what is claimed.  source: who says so.  expected: the outcome in words, with its tolerance."""

    name: str
    statement: str
    source: str
    expected: str
    measure: Callable[[Lab], Measured]


@dataclass(frozen=True)
class Model:
    """A published model.

    name: of its file.  equations: as in the paper, plain text.  network: makes it from the parameters' values and a seed.
    dt, trials: names of the parameters that hold them.  quick: values of the smaller, honest version.  learning_measure: the
    measure to watch.  report: more sections for the report of a run.
    """

    name: str
    title: str
    citation: str
    doi: str
    equations: str
    parameters: dict[str, Parameter]
    network: Callable[[SimpleNamespace, int], Network]
    dt: str
    trials: str
    claims: tuple[Claim, ...]
    learning_measure: str
    quick: dict[str, Any] = field(default_factory=dict)
    report: Callable[[xr.DataTree], list[Section]] | None = None

    def __post_init__(self) -> None:
        for role, name in (("dt", self.dt), ("trials", self.trials), *(("quick", name) for name in self.quick)):
            if name not in self.parameters:
                raise DescriptionError(
                    f"model '{self.name}': {role} names '{name}', which is no parameter", do=did_you_mean(name, self.parameters)
                )
        names = [claim.name for claim in self.claims]
        for name in names:
            if names.count(name) > 1:
                raise DescriptionError(f"model '{self.name}' has two claims called '{name}'")

    @property
    def defaults(self) -> dict[str, Any]:
        return {name: parameter.value for name, parameter in self.parameters.items()}

    def values(self, quick: bool = False, overrides: Mapping[str, Any] | None = None) -> SimpleNamespace:
        """The parameters' values: the defaults, over them the quick ones, over them the overrides."""
        defaults = self.defaults
        changes = {**(self.quick if quick else {}), **(overrides or {})}
        fit = {name: fitted(name, value, defaults) for name, value in changes.items()}
        for name, value in fit.items():
            allowed = self.parameters[name].allowed
            if allowed is not None:
                allowed.check(name, value)
        return SimpleNamespace(**(defaults | fit))

    def simulation(self, values: SimpleNamespace, seed: int, target: Target | str | None = None) -> Simulation:
        """target: None for the fastest that is here."""
        from neuroplast.simulation import Simulation, fastest_target

        return Simulation(self.network(values, seed), getattr(values, self.dt), target or fastest_target())

    def replicas(
        self, values: SimpleNamespace, seeds: Iterable[int], target: Target | str | None = None, threads: int | None = None
    ) -> Simulation:
        """One simulation of a replica for each seed."""
        from neuroplast.simulation import Simulation, fastest_target

        networks = [self.network(values, seed) for seed in seeds]
        return Simulation(networks, getattr(values, self.dt), target or fastest_target(), threads=threads)

    def attributes(self, values: SimpleNamespace) -> dict[str, str]:
        """What the result of a run says about its model."""
        return {
            "model": self.name, "title": self.title, "citation": self.citation, "doi": self.doi, "equations": self.equations,
            "learning_measure": self.learning_measure, "parameters": json.dumps(self.parameter_table(values)),
        }

    def parameter_table(self, values: SimpleNamespace) -> dict[str, dict[str, Any]]:
        """Parameter -> value, source and why; what was changed says so."""
        table: dict[str, dict[str, Any]] = {}
        for name, parameter in self.parameters.items():
            value = getattr(values, name)
            same = _same(value, parameter.value)
            table[name] = {
                "value": plain(value),
                "source": parameter.source if same else "set for this run",
                "why": parameter.why if same else f"the model's own value is {value_text(parameter.value)}",
            }
        return table


def plain(value: Any) -> Any:
    """A value as JSON takes it; quantities as text."""
    if is_quantity(value):
        return value_text(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _same(one: Any, other: Any) -> bool:
    return one is other or bool(np.all(one == other))


def models() -> dict[str, Model]:
    """Every model in neuroplast.models, by name."""
    import neuroplast.models as package

    found: dict[str, Model] = {}
    for module in pkgutil.iter_modules(package.__path__):
        model = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "MODEL", None)
        if isinstance(model, Model):
            if model.name != module.name:
                raise DescriptionError(f"the model in models/{module.name}.py is called '{model.name}'", do="give both a name")
            found[model.name] = model
    return found


def model_named(name: str) -> Model:
    """The model of that name; DescriptionError with the known ones if there is none."""
    known = models()
    if name not in known:
        raise DescriptionError(f"there is no model '{name}'", do=did_you_mean(name, known))
    return known[name]

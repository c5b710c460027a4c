"""Noises: the probes. On a population they perturb neurons, on a projection weights; a rule can always read them as ``noise``.

On a LIF they add to the membrane's input (V), on a Rate or Bernoulli unit to its input, on an EquationNeuron to its variable
``noise``; on a projection to the weight, in the weight's unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.node import Node, Number, numbers, quantity
from neuroplast.units import dimension_of

if TYPE_CHECKING:
    from neuroplast.network import Population
    from neuroplast.synapses import Connectivity, Synapse

LAWS = ("normal", "uniform")


@dataclass(frozen=True, eq=False)
class Noise(Node):
    """Abstract base of all noises."""

    amplitude_fields: ClassVar[tuple[str, ...]] = ()
    """Fields measured in the unit of what is perturbed; checked against it in resolve."""


def _check_law(noise: Any) -> None:
    if noise.law not in LAWS:
        raise DescriptionError(f"{type(noise).__name__}.law is not known", where=noise.where, got=noise.law, allowed=LAWS)


def _check_amplitude(noise: Node, name: str) -> None:
    value = getattr(noise, name)
    if dimension_of(value) is None:
        raise DescriptionError(f"{type(noise).__name__}.{name} has an unknown unit", where=noise.where, got=value)
    number = numbers(getattr(value, "magnitude", value), f"{type(noise).__name__}.{name}", noise.where)
    if not np.all(np.isfinite(number)) or np.any(number < 0):
        raise DescriptionError(
            f"{type(noise).__name__}.{name} is out of range", where=noise.where, got=value, allowed="finite, zero or greater"
        )


@dataclass(frozen=True, eq=False)
class White(Noise):
    """Independent values of standard deviation ``std`` in every step; with every="trial" drawn once a trial and held.

    std: a number, one for each unit, or one for each synapse as weights are given; per step, so what it does to a membrane depends
    on dt.  law: "normal", or "uniform" on [-std sqrt(3), std sqrt(3)].
    """

    std: Any
    law: str = "normal"
    every: str = "step"
    amplitude_fields: ClassVar[tuple[str, ...]] = ("std",)

    def check(self) -> None:
        _check_law(self)
        _check_amplitude(self, "std")
        if self.every not in ("step", "trial"):
            raise DescriptionError("White.every is not known", where=self.where, got=self.every, allowed="'step' or 'trial'")


@dataclass(frozen=True, eq=False)
class OrnsteinUhlenbeck(Noise):
    """dx = -x/tau dt + std sqrt(2/tau) dW, sampled exactly (Gillespie 1996, 10.1103/PhysRevE.54.2084):

        x <- a x + std sqrt(1 - a^2) N(0, 1),    a = exp(-dt/tau)

    Starts from its stationary law N(0, std^2); variance std^2, autocorrelation exp(-|s|/tau).
    """

    std: Any
    tau: Number = quantity("time", positive=True)
    amplitude_fields: ClassVar[tuple[str, ...]] = ("std",)

    def check(self) -> None:
        _check_amplitude(self, "std")


@dataclass(frozen=True, eq=False)
class Impulses(Noise):
    """With probability 1 - exp(-rate dt) in a step, a value of standard deviation ``std``; zero otherwise (Miconi 2017,
    10.7554/eLife.20899)."""

    std: Any
    rate: Number = quantity("rate", nonnegative=True)
    law: str = "uniform"
    amplitude_fields: ClassVar[tuple[str, ...]] = ("std",)

    def check(self) -> None:
        _check_law(self)
        _check_amplitude(self, "std")


@dataclass(frozen=True, eq=False)
class SynapticNoise(Noise):
    """"Empiric" synapses: noise from the spikes of ``source`` (Fiete & Seung 2006, 10.1103/PhysRevLett.97.048104).

    A projection named ``<population>_noise`` of fixed ``weight`` carries it; the rule reads ``noise`` = g - mean(g) (or i).
    ``mean``: in the weight's unit; None for Poisson sources, where the stationary mean is known in closed form.  Populations only.
    """

    source: Population | None = None
    weight: Any = 0.0
    synapse: Synapse | None = None
    connectivity: Connectivity | None = None
    mean: Any = None

    def check(self) -> None:
        if self.source is None or self.synapse is None:
            raise DescriptionError("SynapticNoise needs a source population and a synapse", where=self.where)
        if not getattr(self.source, "spiking", False):
            raise DescriptionError(
                "SynapticNoise.source must be a spiking population", where=self.where, got=repr(getattr(self.source, "name", self.source))
            )


@dataclass(frozen=True, eq=False)
class Frozen(Noise):
    """Given values, for tests and replays. array: (steps, size) from the trial's start, or (trials, steps, size); in the unit
    of what is perturbed; wraps around."""

    array: Any
    amplitude_fields: ClassVar[tuple[str, ...]] = ("array",)

    def check(self) -> None:
        number = numbers(getattr(self.array, "magnitude", self.array), "Frozen.array", self.where)
        if number.ndim not in (2, 3) or not np.all(np.isfinite(number)):
            raise DescriptionError(
                "Frozen.array must be finite, of shape (steps, size) or (trials, steps, size)", where=self.where,
                got=f"shape {number.shape}",
            )

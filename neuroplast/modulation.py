"""Modulators: the third factor. The reward, minus what was expected, delayed, filtered, and broadcast to all synapses of a rule,
as a number or as the firing of a population of dopamine-like neurons around its tonic rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.node import Node, Number, part, quantity

if TYPE_CHECKING:
    from neuroplast.network import Population


@dataclass(frozen=True, eq=False)
class RunningMean(Node):
    """M = R - Rbar, then Rbar moves towards R: with ``tau`` in every step (1 - exp(-dt/tau) of the way), with ``trials`` once a
    trial, by 1/trials of the way, over the reward at the trial's end.

    At the start of a trial that begins anew there is no reward yet: M is 0 there, and Rbar stays. Trials that a task ends early are
    expected to earn in the steps that they have."""

    tau: Any = quantity("time", default=None, positive=True, scalar=True)
    trials: Any = quantity("1", default=None, low=1.0, scalar=True)

    def check(self) -> None:
        if (self.tau is None) == (self.trials is None):
            raise DescriptionError("RunningMean takes either tau or trials", where=self.where)


@dataclass(frozen=True, eq=False)
class PerTrialType(Node):
    """A running mean over trials of its own for each trial type that the task names (Miconi 2017, 10.7554/eLife.20899)."""

    trials: float = quantity("1", low=1.0, scalar=True)


@dataclass(frozen=True, eq=False)
class PairedPass(Node):
    """Each trial is run twice on the same input, first to find R0, then to learn from R - R0 (node perturbation proper: Werfel,
    Xie & Seung 2005, 10.1162/089976605774320539).

    noise: "off" (the first pass without probes) or "other" (with probes of its own).
    """

    noise: str = "off"

    def check(self) -> None:
        if self.noise not in ("off", "other"):
            raise DescriptionError("PairedPass.noise is not known", where=self.where, got=self.noise, allowed="'off', 'other'")


def _check_population(node: Node, name: str) -> None:
    from neuroplast.network import Population  # which imports this module

    what = f"{type(node).__name__}.{name} is not a population"
    part(getattr(node, name), Population, what, node.where, "what network.add(Population(...)) gave")


@dataclass(frozen=True, eq=False)
class Critic(Node):
    """A learned linear critic (temporal difference, Sutton & Barto 2018; Fremaux 2013, 10.1371/journal.pcbi.1003024):

        V = c . phi;   delta = R + (gamma V(t) - V(t-1));   c += rate * delta * phi_trace

    phi: low-passed output (``tau``) of the population ``features``, of spikes in Hz; phi_trace decays with gamma lambda, lambda being
    ``trace``.  M = delta.  gamma (``discount``) and lambda are for each step, t - 1 is the step before.
    """

    features: Population
    rate: float = quantity("1", positive=True, scalar=True)
    tau: Number = quantity("time", positive=True, scalar=True)
    discount: float = quantity("1", default=1.0, low=0.0, high=1.0, scalar=True)
    trace: float = quantity("1", default=0.0, low=0.0, high=1.0, scalar=True)

    def check(self) -> None:
        _check_population(self, "features")


Baseline = Union[RunningMean, PerTrialType, PairedPass, Critic]


@dataclass(frozen=True, eq=False)
class Dopamine(Node):
    """The population that carries the error (Schultz, Dayan & Montague 1997, 10.1126/science.275.5306.1593). Its units' ``external``
    input becomes gain * error; the mean firing rate, filtered with ``tau``, minus ``tonic``, divided by ``slope``, is M.

    population: Poisson or LIF.  tonic: its rate at error zero (Hz).  tau: of the filter of the mean rate (time).
    gain: what an error of one adds to each unit: a rate for Poisson, a voltage for LIF neurons.
    slope: change of the mean rate (Hz) for an error of one; for Poisson neurons ``gain`` by default, LIF neurons need it.

    Raises DescriptionError where gain is missing or no number, UnitsError where its unit does not fit the neurons.
    """

    population: Population
    tonic: Number = quantity("rate", positive=True, scalar=True)
    tau: Number = quantity("time", positive=True, scalar=True)
    gain: Any = field(kw_only=True)
    slope: Any = quantity("rate", default=None, scalar=True)

    def check(self) -> None:
        _check_population(self, "population")
        if isinstance(self.gain, type(None)) or np.ndim(getattr(self.gain, "magnitude", self.gain)):
            raise DescriptionError(
                "Dopamine.gain is one number", where=self.where, got=repr(self.gain), allowed="Hz for Poisson neurons, mV for LIF"
            )


@dataclass(frozen=True, eq=False)
class Modulator(Node):
    """M(t) = low-pass_tau( R(t - delay) - baseline ), R the reward that the task set after the last step.

    name: unique.  delay: dead time between reward and modulator.  tau: 0 for none.  dopamine: None for a broadcast scalar.
    gain: M is multiplied by it.
    """

    name: str
    baseline: Baseline | None = None
    delay: Number = quantity("time", default=0.0, zero_free=True, nonnegative=True, scalar=True)
    tau: Number = quantity("time", default=0.0, zero_free=True, nonnegative=True, scalar=True)
    dopamine: Dopamine | None = None
    gain: float = quantity("1", default=1.0, scalar=True)

    def check(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier() or self.name.startswith("_"):
            raise DescriptionError(
                "the name of a Modulator cannot be used", where=self.where, got=repr(self.name),
                allowed="letters, digits and underscores, starting with a letter",
            )
        if self.baseline is not None and not isinstance(self.baseline, (RunningMean, PerTrialType, PairedPass, Critic)):
            raise DescriptionError(
                f"modulator '{self.name}': baseline is no baseline", where=self.where, got=repr(self.baseline),
                allowed="None, RunningMean, PerTrialType, PairedPass or Critic",
            )
        if self.dopamine is not None and not isinstance(self.dopamine, Dopamine):
            raise DescriptionError(f"modulator '{self.name}': dopamine must be a Dopamine", where=self.where, got=repr(self.dopamine))

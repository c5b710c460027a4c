"""Scenarios of the contract: every noise, on neurons and on weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroplast.modulation import Modulator
from neuroplast.neurons import LIF, EquationNeuron, Poisson, Rate
from neuroplast.node import Normal, Uniform
from neuroplast.noise import Frozen, Impulses, Noise, OrnsteinUhlenbeck, SynapticNoise, White
from neuroplast.plasticity import Eligibility, LowPass, Signal, ThreeFactorRule
from neuroplast.synapses import AllToAll, Conductance, Connectivity, Current, Delta, FixedProbability, Graded
from neuroplast.testing.stage import STEPS, Part, Stage
from neuroplast.units import Hz, ms, mV


def _cell() -> LIF:
    return LIF(tau=6 * ms, v_rest=-60 * mV, v_threshold=-52 * mV, v_reset=-58 * mV, drive=8.5 * mV)


def values(*shape: int) -> np.ndarray:
    """Fixed numbers of standard deviation 1 for Frozen noises."""
    return np.random.default_rng(5).normal(size=shape)


def _on_cells(name: str, noise: Noise) -> Part:
    def add(stage: Stage) -> None:
        stage.population(name, 5, _cell(), noise, watch=("noise", "v", "spikes"))

    return add


def _on_units(name: str, noise: Noise) -> Part:
    def add(stage: Stage) -> None:
        stage.population(name, 4, Rate("tanh", tau=3 * ms), noise, watch=("noise", "rate"))

    return add


def on_equation(stage: Stage) -> None:
    """Noise that multiplies."""
    neuron = EquationNeuron("dx/dt = (1 - x + x*noise)/tau : 1\ntau : second", parameters={"tau": 5 * ms}, initial={"x": 0.5})
    stage.population("noise_on_equation", 4, neuron, OrnsteinUhlenbeck(0.5, tau=2 * ms), watch=("x", "noise"))


def _synaptic(name: str, synapse: Any, weight: Any, **more: Any) -> Part:
    def add(stage: Stage) -> None:
        source = stage.population(f"{name}_source", 5, Poisson(300 * Hz), watch=("spikes",))
        noise = SynapticNoise(source, weight=weight, synapse=synapse, **more)
        cells = stage.population(name, 5, _cell(), noise, watch=("noise", "v", "spikes"))
        stage.watch(cells, f"{'g' if isinstance(synapse, Conductance) else 'i'}_{name}_noise")

    return add


def _on_weights(name: str, noise: Noise, graded: bool = False) -> Part:
    """Perturbed weights, 36 or 24 of them, and a rule that reads the perturbation."""

    def add(stage: Stage) -> None:
        pre = stage.graded if graded else stage.drive
        post = stage.population(f"{name}_units", 4, Rate("tanh", tau=3 * ms), watch=("rate",))
        rule = ThreeFactorRule(
            {"x": LowPass(Signal("pre", "rate" if graded else "spikes"), 4 * ms), "xi": Signal("synapse", "noise")},
            Eligibility("x*xi", tau=6 * ms),
            Modulator(f"{name}_reward"),
            rate=20.0,
        )
        stage.project(
            pre, post, Normal(0.0, 0.5), Graded() if graded else Delta(), "weight", "noise", noise=noise, plasticity=rule, name=name
        )

    return add


def on_sparse_weights(stage: Stage) -> None:
    """Perturbed weights with a standard deviation of each pair's own, of which only some are connected."""
    post = stage.population("noise_sparse_units", 4, Rate(), watch=("rate",))
    stage.project(
        stage.drive,
        post,
        Uniform(0.0, 1.0),
        Current(tau=3 * ms),
        "noise",
        name="noise_on_sparse",
        connectivity=FixedProbability(0.4),
        noise=White(0.3),
    )


def _at_spikes(name: str, noise: Noise, learns: bool = False, connectivity: Connectivity | None = None) -> Part:
    """Noise of weights that nobody looks at but the spikes that arrive."""

    def add(stage: Stage) -> None:
        post = stage.population(f"{name}_units", 7, Rate("tanh", tau=3 * ms), watch=("rate",))
        rule = ThreeFactorRule(
            {"x": LowPass(Signal("pre", "spikes"), 4 * ms), "y": Signal("post", "rate")}, Eligibility("x*y", tau=6 * ms),
            Modulator(f"{name}_reward"), rate=20.0,
        ) if learns else None
        watch = ("weight",) if learns else ()
        stage.project(
            stage.drive, post, Uniform(0.0, 1.0), Delta(), *watch, name=name, noise=noise, plasticity=rule,
            connectivity=connectivity or AllToAll(),
        )

    return add


NOISES: dict[str, Part] = {
    "noise_white": _on_cells("noise_white", White([2.0, 4.0, 6.0, 0.0, 8.0] * mV)),
    "noise_uniform": _on_cells("noise_uniform", White(5 * mV, law="uniform")),
    "noise_per_trial": _on_cells("noise_per_trial", White(3 * mV, every="trial")),
    "noise_ou": _on_cells("noise_ou", OrnsteinUhlenbeck([1.0, 2.0, 3.0, 4.0, 5.0] * mV, tau=[2.0, 4.0, 8.0, 16.0, 1.0] * ms)),
    "noise_impulses": _on_cells("noise_impulses", Impulses(8 * mV, rate=200 * Hz)),
    "noise_impulses_normal": _on_cells(
        "noise_impulses_normal", Impulses(8 * mV, rate=[0.0, 50.0, 200.0, 800.0, 5000.0] * Hz, law="normal")
    ),
    "noise_frozen": _on_cells("noise_frozen", Frozen(4 * values(STEPS - 7, 5) * mV)),
    "noise_frozen_trials": _on_cells("noise_frozen_trials", Frozen(4 * values(2, STEPS, 5) * mV)),
    "noise_on_rate": _on_units("noise_on_rate", White([0.1, 0.2, 0.0, 0.5])),
    "noise_on_rate_ou": _on_units("noise_on_rate_ou", OrnsteinUhlenbeck(0.4, tau=3 * ms)),
    "noise_on_rate_trial": _on_units("noise_on_rate_trial", White(0.4, law="uniform", every="trial")),
    "noise_on_equation": on_equation,
    "noise_on_weights": _on_weights("noise_on_weights", White(0.2)),
    "noise_on_weights_trial": _on_weights("noise_on_weights_trial", White(0.2, every="trial"), graded=True),
    "noise_on_weights_uniform": _on_weights("noise_on_weights_uniform", White(0.2, law="uniform"), graded=True),
    "noise_on_weights_ou": _on_weights("noise_on_weights_ou", OrnsteinUhlenbeck(0.2, tau=5 * ms)),
    "noise_on_weights_impulses": _on_weights("noise_on_weights_impulses", Impulses(0.5, rate=100 * Hz)),
    "noise_on_weights_frozen": _on_weights("noise_on_weights_frozen", Frozen(0.2 * values(13, 4, 9))),
    "noise_on_sparse_weights": on_sparse_weights,
    "noise_on_weights_at_spikes": _at_spikes("noise_on_weights_at_spikes", OrnsteinUhlenbeck(0.4, tau=5 * ms), learns=True),
    "noise_at_spikes_sparse": _at_spikes(
        "noise_at_spikes_sparse", OrnsteinUhlenbeck(0.4, tau=5 * ms), connectivity=FixedProbability(0.6)
    ),
    "noise_on_weights_at_spikes_white": _at_spikes("noise_on_weights_at_spikes_white", White(0.4), learns=True),
}
"""Scenario name -> what it adds to a stage."""

SPIKING_NOISES: dict[str, Part] = {
    "noise_synaptic": _synaptic("noise_synaptic", Conductance(4 * ms, 0 * mV), 0.1),
    "noise_synaptic_current": _synaptic("noise_synaptic_current", Current(4 * ms), 2 * mV),
    "noise_synaptic_mean": _synaptic(
        "noise_synaptic_mean", Conductance(4 * ms, 0 * mV), Uniform(0.0, 0.1), connectivity=FixedProbability(0.6), mean=0.12
    ),
}
"""Noises that come from spikes, which a first pass cannot switch off."""

"""Scenarios of the contract: every modulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neuroplast.modulation import Critic, Dopamine, Modulator, PairedPass, PerTrialType, RunningMean
from neuroplast.neurons import LIF, Poisson
from neuroplast.node import Uniform
from neuroplast.plasticity import Eligibility, LowPass, Signal, ThreeFactorRule
from neuroplast.synapses import Current
from neuroplast.testing.stage import Part, Stage
from neuroplast.units import Hz, ms, mV


def learn_from(stage: Stage, modulator: Modulator, rate: float = 200.0, **more: Any) -> None:
    """A plain rule on ``drive`` -> ``cells`` that learns from this modulator, which is recorded."""
    rule = ThreeFactorRule(
        {"s": LowPass(Signal("pre", "spikes"), 4 * ms), "xi": Signal("post", "noise")}, Eligibility("s*xi", tau=6 * ms), modulator,
        rate=rate, **more,
    )
    stage.project(
        stage.drive, stage.cells, Uniform(0 * mV, 0.4 * mV), Current(3 * ms), "weight", name=f"{modulator.name}_synapses",
        plasticity=rule,
    )
    stage.watch(modulator, "value", "reward")


def _modulator(name: str, make: Callable[[Stage], dict[str, Any]], **rule: Any) -> Part:
    def add(stage: Stage) -> None:
        learn_from(stage, Modulator(name, **make(stage)), **rule)

    return add


def dopamine_poisson(stage: Stage) -> None:
    """The error as the firing of Poisson units around their tonic rate."""
    cells = stage.population("dopamine_poisson_cells", 20, Poisson(80 * Hz), watch=("spikes", "external"))
    carried = Dopamine(cells, tonic=80 * Hz, tau=10 * ms, gain=40 * Hz)
    learn_from(stage, Modulator("dopamine_poisson", baseline=RunningMean(tau=15 * ms), delay=2 * ms, dopamine=carried))


def dopamine_lif(stage: Stage) -> None:
    """The error as a current into regularly firing cells; read out through a filter of its own."""
    lif = LIF(
        tau=10 * ms, v_rest=-60 * mV, v_threshold=-50 * mV, v_reset=-60 * mV, drive=13 * mV, v_initial=Uniform(-60 * mV, -50 * mV)
    )
    cells = stage.population("dopamine_lif_cells", 12, lif, watch=("spikes",))
    carried = Dopamine(cells, tonic=70 * Hz, tau=8 * ms, gain=0.5 * mV, slope=30 * Hz)
    learn_from(stage, Modulator("dopamine_lif", dopamine=carried, tau=3 * ms, gain=2.0))


MODULATORS: dict[str, Part] = {
    "modulator_plain": _modulator("modulator_plain", lambda stage: {}),
    "modulator_delay": _modulator("modulator_delay", lambda stage: {"delay": 4 * ms}),
    "modulator_tau": _modulator("modulator_tau", lambda stage: {"tau": 5 * ms, "gain": -2.0}),
    "modulator_delay_tau": _modulator("modulator_delay_tau", lambda stage: {"delay": 3.2 * ms, "tau": 5 * ms}),
    "modulator_mean_tau": _modulator("modulator_mean_tau", lambda stage: {"baseline": RunningMean(tau=20 * ms)}),
    "modulator_mean_trials": _modulator("modulator_mean_trials", lambda stage: {"baseline": RunningMean(trials=2.5)}),
    "modulator_per_type": _modulator("modulator_per_type", lambda stage: {"baseline": PerTrialType(trials=3), "delay": 1 * ms}),
    "modulator_critic": _modulator(
        "modulator_critic", lambda stage: {"baseline": Critic(stage.drive, rate=1e-6, tau=5 * ms, discount=0.97, trace=0.8)}
    ),
    "modulator_critic_graded": _modulator(
        "modulator_critic_graded", lambda stage: {"baseline": Critic(stage.units, rate=0.05, tau=5 * ms), "tau": 2 * ms}
    ),
    "dopamine_poisson": dopamine_poisson,
    "dopamine_lif": dopamine_lif,
}
"""Scenario name -> what it adds to a stage."""

EPISODIC_MODULATORS: dict[str, Part] = {
    "episodic_mean_trials": _modulator(
        "episodic_mean_trials", lambda stage: {"baseline": RunningMean(trials=2), "gain": 0.5}, rate=0.05, update="episodic"
    ),
    "episodic_mean_tau": _modulator(
        "episodic_mean_tau", lambda stage: {"baseline": RunningMean(tau=20 * ms)}, rate=0.05, update="episodic"
    ),
    "episodic_per_type": _modulator(
        "episodic_per_type", lambda stage: {"baseline": PerTrialType(trials=2)}, rate=0.05, update="episodic"
    ),
}
"""Modulators of rules that act when a trial ends."""


def paired(noise: str) -> Part:
    """Each trial twice, the first time without noise or with other noise."""
    return _modulator(f"paired_{noise}", lambda stage: {"baseline": PairedPass(noise)}, rate=0.05, update="episodic")

"""The scenarios of the contract: small networks, one for each feature of a description, and networks of many features at once.

Targets that compile each network for seconds run those with ``combined``; together they hold every feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from neuroplast.network import Network
from neuroplast.testing.modulation import EPISODIC_MODULATORS, MODULATORS, paired
from neuroplast.testing.neurons import NEURONS
from neuroplast.testing.noise import NOISES, SPIKING_NOISES
from neuroplast.testing.plasticity import EPISODIC, RULES
from neuroplast.testing.stage import DT, Part, Stage
from neuroplast.testing.synapses import RELEASES, SYNAPSES
from neuroplast.testing.tasks import TASKS, Build


@dataclass(frozen=True)
class Scenario:
    """One network. build: makes it anew, as a Python task remembers.  alone: shows one feature.  combined: of those for targets
    that compile for long.

    trials: how many are compared, at least 3.
    """

    name: str
    build: Build
    alone: bool = True
    combined: bool = False
    trials: int = 4
    dt = DT

    def __str__(self) -> str:
        return self.name


def staged(name: str, parts: Mapping[str, Part], *, reset: bool = True) -> Build:
    """One stage with these parts on it."""

    def build() -> Network:
        stage = Stage(name, reset=reset)
        for part in parts.values():
            part(stage)
        return stage.network

    return build


_QUIET = {**EPISODIC, **EPISODIC_MODULATORS, **{n: p for n, p in NEURONS.items() if n in ("rate_tanh", "lif_everything", "bernoulli")}}
_NO_CHANCE = {n: p for n, p in _QUIET.items() if n != "bernoulli"}
_PASSES = {n: p for n, p in NOISES.items() if "weights" not in n}
"""What may stand beside a paired pass: nothing that learns within a trial."""

PARTS: dict[str, Part] = {
    **NEURONS, **NOISES, **SPIKING_NOISES, **SYNAPSES, **RELEASES, **RULES, **EPISODIC, **MODULATORS, **EPISODIC_MODULATORS
}
_GROUPS: dict[str, dict[str, Part]] = {
    "all_neurons": NEURONS,
    "all_noises": {**NOISES, **SPIKING_NOISES},
    "all_synapses": {**SYNAPSES, **RELEASES},
    "all_rules": {**RULES, **EPISODIC},
    "all_modulators": {**MODULATORS, **EPISODIC_MODULATORS},
}
_WRITTEN = (
    "lif_everything", "rate_expression", "bernoulli_expression", "equation_izhikevich", "equation_subexpression", "equation_graded",
    "noise_on_equation",
)
"""Neurons whose statements together hold every form of the language."""
_CONTINUING = (
    "lif_everything", "rate_inputs", "bernoulli", "equation_izhikevich", "noise_white", "noise_per_trial", "noise_ou",
    "noise_frozen_trials", "noise_synaptic", "noise_on_weights_ou", "delay_heterogeneous", "release_both", "rule_order_1",
    "rule_bounds_trial", "rule_deferred", "rule_floor", "rule_deviation", "rule_episodic", "modulator_mean_tau", "modulator_delay_tau",
    "modulator_critic", "dopamine_poisson", "episodic_per_type",
)
"""What differs between trials that start anew and trials that go on."""
_TELLING = ("track_running_threshold", "track_random", "reach_sequence", "regression", "python_every", "gymnasium")
"""Tasks that differ most from each other, for targets that compile for long."""
_TRIALS = {"reach_sequence": 9, "track_running_threshold": 6}
"""Where a baseline of each trial type, or of each step, has to be known before anything is learned."""

SCENARIOS: tuple[Scenario, ...] = (
    *(Scenario(name, staged(name, {name: part})) for name, part in PARTS.items()),
    *(Scenario(name, build, combined=name in _TELLING, trials=_TRIALS.get(name, 4)) for name, build in TASKS.items()),
    *(Scenario(name, staged(name, parts), alone=False, combined=True) for name, parts in _GROUPS.items()),
    Scenario("all_statements", staged("all_statements", {name: PARTS[name] for name in _WRITTEN}), alone=False),
    Scenario(
        "all_continuing", staged("all_continuing", {name: PARTS[name] for name in _CONTINUING}, reset=False), alone=False,
        combined=True,
    ),
    Scenario("paired_off", staged("paired_off", {"paired": paired("off"), **_NO_CHANCE, **_PASSES}), alone=False, combined=True),
    Scenario(
        "paired_other", staged("paired_other", {"paired": paired("other"), **_QUIET, **_PASSES, **SPIKING_NOISES}), alone=False,
        combined=True,
    ),
)


def scenario(name: str) -> Scenario:
    return next(s for s in SCENARIOS if s.name == name)


__all__ = ["PARTS", "SCENARIOS", "Scenario", "scenario", "staged"]

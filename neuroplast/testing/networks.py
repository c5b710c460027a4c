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
    """One network. build: makes it anew, as a Python task remembers.  alone: shows one feature.  combined: see above.

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
_PASSES = {n: p for n, p in NOISES.items() if "weights" not in n}
"""What may stand beside a paired pass: nothing that learns within a trial."""

PARTS: dict[str, Part] = {
    **NEURONS, **NOISES, **SPIKING_NOISES, **SYNAPSES, **RELEASES, **RULES, **EPISODIC, **MODULATORS, **EPISODIC_MODULATORS
}
_CONTINUING = {name: part for name, part in PARTS.items() if name != "rule_no_decay"}
_SPOKEN = ("track_running_threshold", "track_random", "reach_sequence", "regression", "python_every", "gymnasium")
"""Tasks that differ most from each other, for targets that compile for long."""

_TRIALS = {"reach_sequence": 9, "track_running_threshold": 6}
"""Where a baseline of each trial type, or of each step, has to be known before anything is learned."""

SCENARIOS: tuple[Scenario, ...] = (
    *(Scenario(name, staged(name, {name: part})) for name, part in PARTS.items()),
    Scenario("paired_off", staged("paired_off", {"paired": paired("off"), **_QUIET, **_PASSES}), alone=False, combined=True),
    Scenario(
        "paired_other", staged("paired_other", {"paired": paired("other"), **_QUIET, **_PASSES, **SPIKING_NOISES}), alone=False,
        combined=True,
    ),
    *(Scenario(name, build, combined=name in _SPOKEN, trials=_TRIALS.get(name, 4)) for name, build in TASKS.items()),
    Scenario("all_at_once", staged("all_at_once", PARTS), alone=False, combined=True),
    Scenario("all_continuing", staged("all_continuing", _CONTINUING, reset=False), alone=False, combined=True),
    Scenario("all_neurons", staged("all_neurons", NEURONS), alone=False),
)


def scenario(name: str) -> Scenario:
    return next(s for s in SCENARIOS if s.name == name)


__all__ = ["PARTS", "SCENARIOS", "Scenario", "scenario", "staged"]

"""Scenarios of the contract: connectivity, delays, and stochastic release. All synapse types are in the scenarios of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroplast.modulation import Modulator
from neuroplast.neurons import Rate, Readout
from neuroplast.node import Normal, Uniform
from neuroplast.plasticity import Eligibility, Factor, LowPass, Signal, ThreeFactorRule
from neuroplast.synapses import (
    AllToAll,
    Connectivity,
    Current,
    Delta,
    FixedProbability,
    Graded,
    OneToOne,
    Pairs,
    Release,
)
from neuroplast.testing.stage import DT, Part, Stage
from neuroplast.units import ms


def _connected(name: str, connectivity: Connectivity, n: int = 9, **more: Any) -> Part:
    """Spikes of ``drive`` through this connectivity, heard by n readouts; the rule learns by them, so it is there as well."""

    def add(stage: Stage) -> None:
        out = stage.population(f"{name}_out", n, Readout(tau=5 * ms), watch=("m",))
        rule = ThreeFactorRule(
            {"s": LowPass(Signal("pre", "spikes"), 3 * ms), "m": Signal("post", "m")}, Eligibility("s*m", tau=5 * ms),
            Modulator(f"{name}_reward"), rate=5.0,
        )
        stage.project(
            stage.drive, out, more.get("weight", Normal(0.2, 0.5)), Delta(), "weight", "eligibility", connectivity=connectivity,
            name=name, plasticity=rule,
        )

    return add


def recurrent(stage: Stage) -> None:
    """Spiking and graded populations onto themselves, without i -> i, all or some."""
    for pre, synapse, name in ((stage.cells, Current(3 * ms), "spikes"), (stage.units, Graded(), "graded")):
        for connectivity, kind in ((AllToAll(self_connections=False), "all"), (FixedProbability(0.5, self_connections=False), "some")):
            out = stage.population(f"recurrent_{name}_{kind}_out", pre.size, Rate(), watch=("rate",))
            stage.project(pre, out, Uniform(0.0, 1.0), synapse, connectivity=OneToOne(), name=f"recurrent_{name}_{kind}_heard")
            if name == "graded":
                stage.project(out, out, Normal(0.0, 0.4), Graded(), connectivity=connectivity, name=f"recurrent_{name}_{kind}")


def delay_uniform(stage: Stage) -> None:
    """One delay for all: none, one step, some steps, not a whole number of steps; spikes and graded output."""
    for k, steps in enumerate((0.0, 1.0, 4.0, 7.3)):
        out = stage.population(f"delay_uniform_{k}", 3, Readout(tau=4 * ms), watch=("m",))
        stage.project(stage.drive, out, Normal(0.0, 0.5), Delta(), name=f"delay_uniform_spikes_{k}", delay=steps * DT)
        stage.project(stage.units, out, Normal(0.0, 0.5), Graded(), name=f"delay_uniform_graded_{k}", delay=steps * DT)


def delay_heterogeneous(stage: Stage) -> None:
    """A delay of each synapse's own, all-to-all, in pairs, and with release."""
    out = stage.population("delay_heterogeneous_out", 4, Readout(tau=4 * ms), watch=("m",))
    delays = np.arange(36).reshape(4, 9) * 5 % 11
    stage.project(stage.drive, out, Normal(0.0, 0.5), Delta(), name="delay_all", delay=delays * DT)
    pairs = Pairs([8, 0, 3, 3, 5], [0, 3, 2, 1, 0])
    stage.project(
        stage.drive, out, [1.0, 2.0, 3.0, 4.0, 5.0], Delta(), name="delay_pairs", delay=[9.0, 0.0, 3.0, 1.0, 6.0] * DT,
        connectivity=pairs,
    )
    stage.project(
        stage.drive, out, Normal(0.0, 0.5), Delta(), name="delay_release", delay=delays[::-1] * DT,
        release=Release(0.5, facilitation=1.0, tau_facilitation=8 * ms, tau_recovery=3 * ms),
    )
    stage.project(stage.units, out, Normal(0.0, 0.5), Graded(), name="delay_graded", delay=(np.arange(20).reshape(4, 5) % 7) * DT)


def delay_learning(stage: Stage) -> None:
    """Rules on delayed synapses: the presynaptic spike counts when it arrives."""
    out = stage.population("delay_learning_out", 4, Readout(tau=4 * ms), watch=("m",))
    for k, delay in enumerate((2 * ms, (np.arange(36).reshape(4, 9) % 5) * DT)):
        factors: dict[str, Factor] = {"m": Signal("post", "m"), "w": Signal("synapse", "weight")}
        drive = "m*w"
        if k == 0:
            factors["s"] = LowPass(Signal("pre", "spikes"), 3 * ms)
            drive = "m*s"
        rule = ThreeFactorRule(factors, Eligibility(drive, tau=5 * ms), Modulator(f"delay_learning_reward_{k}"), rate=3.0)
        stage.project(
            stage.drive, out, Normal(0.1, 0.3), Delta(), "weight", name=f"delay_learning_{k}", delay=delay, plasticity=rule
        )


def _release(name: str, release: Release, delay: Any = 0.0) -> Part:
    """Stochastic release whose ``q`` and whose weight are learned from it (Seung 2003)."""

    def add(stage: Stage) -> None:
        out = stage.population(f"{name}_out", 4, Readout(tau=6 * ms), watch=("m",))
        for target in ("release", "weight"):
            rule = ThreeFactorRule(
                {"score": Signal("synapse", "release_score")}, Eligibility("score", tau=8 * ms),
                Modulator(f"{name}_{target}_reward"), rate=4.0, target=target, bounds=(-3.0, 3.0),
            )
            stage.project(
                stage.drive, out, Normal(0.2, 0.3), Delta(), "q", "weight", "release_score", name=f"{name}_{target}",
                release=release, plasticity=rule, delay=delay,
            )

    return add


SYNAPSES: dict[str, Part] = {
    "connect_all": _connected("connect_all", AllToAll(), 5),
    "connect_one_to_one": _connected("connect_one_to_one", OneToOne(), weight=np.linspace(-1.0, 1.0, 9)),
    "connect_some": _connected("connect_some", FixedProbability(0.3), 7),
    "connect_none": _connected("connect_none", FixedProbability(0.0), 3),
    "connect_pairs": _connected("connect_pairs", Pairs([8, 0, 3, 3, 0], [1, 4, 2, 0, 0]), 5, weight=[0.5, 0.1, -0.3, 0.7, 1.0]),
    "recurrent": recurrent,
    "delay_uniform": delay_uniform,
    "delay_heterogeneous": delay_heterogeneous,
    "delay_learning": delay_learning,
}
"""Scenario name -> what it adds to a stage."""

RELEASES: dict[str, Part] = {
    "release": _release("release", Release(Uniform(-1.0, 1.0))),
    "release_facilitation": _release("release_facilitation", Release(-0.5, facilitation=0.8, tau_facilitation=10 * ms)),
    "release_recovery": _release("release_recovery", Release(0.5, tau_recovery=4 * ms), delay=1.5 * ms),
    "release_both": _release("release_both", Release(0.0, facilitation=0.8, tau_facilitation=10 * ms, tau_recovery=4 * ms)),
}
"""Stochastic release, which a first pass cannot switch off."""

"""Scenarios of the contract: every form of a three-factor rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroplast.modulation import Modulator
from neuroplast.neurons import LIF
from neuroplast.node import Normal, Uniform
from neuroplast.noise import White
from neuroplast.plasticity import Deviation, Eligibility, Factor, LowPass, Signal, ThreeFactorRule, Transformed
from neuroplast.synapses import AllToAll, Conductance, Connectivity, Current, FixedProbability, Graded, Pairs, Release
from neuroplast.testing.stage import Part, Stage
from neuroplast.units import ms, mV

TRACE = LowPass(Signal("pre", "spikes"), 4 * ms)
NOISE = Signal("post", "noise")


def rule_of(name: str, factors: dict[str, Factor], eligibility: Eligibility, rate: float, **more: Any) -> ThreeFactorRule:
    """A rule that learns from the plain reward."""
    return ThreeFactorRule(factors, eligibility, Modulator(f"{name}_reward"), rate=rate, **more)


def _spiking(
    name: str,
    factors: dict[str, Factor],
    eligibility: Eligibility,
    rate: float,
    connectivity: Connectivity = AllToAll(),
    sparse: bool = False,
    **more: Any,
) -> Part:
    """The rule on weak synapses from ``drive`` (or ``sparse``) onto ``cells``."""

    def add(stage: Stage) -> None:
        stage.project(
            stage.sparse if sparse else stage.drive,
            stage.cells,
            Uniform(0 * mV, 0.4 * mV),
            Current(tau=3 * ms),
            "weight",
            "eligibility",
            name=name,
            plasticity=rule_of(name, factors, eligibility, rate, **more),
            connectivity=connectivity,
        )

    return add


def _graded(name: str, factors: dict[str, Factor], eligibility: Eligibility, rate: float, **more: Any) -> Part:
    """The rule on weak synapses from ``graded`` onto ``units``."""

    def add(stage: Stage) -> None:
        stage.project(
            stage.graded,
            stage.units,
            Normal(0.0, 0.1),
            Graded(),
            "weight",
            "eligibility",
            name=name,
            plasticity=rule_of(name, factors, eligibility, rate, **more),
        )

    return add


def rule_synapse_factors(stage: Stage) -> None:
    """Factors of the synapse itself: its weight, its noise, its release."""
    factors: dict[str, Factor] = {
        "s": TRACE,
        "w": Signal("synapse", "weight"),
        "xi": LowPass(Signal("synapse", "noise"), 2 * ms),
        "score": LowPass(Signal("synapse", "release_score"), 3 * ms),
        "q": Signal("synapse", "q"),
        "v": Transformed(Signal("post", "v"), "tanh((x + 0.056)/0.004)"),
    }
    rule = rule_of("synapse_factors", factors, Eligibility("s*xi*v + 1e-3*score*q*v - 0.1*w*s", tau=6 * ms), 60.0)
    stage.project(
        stage.drive,
        stage.cells,
        Uniform(0 * mV, 0.5 * mV),
        Current(3 * ms),
        "weight",
        "noise",
        "release_score",
        name="synapse_factors",
        noise=White(0.3 * mV),
        release=Release(1.0, tau_recovery=2 * ms),
        plasticity=rule,
    )


def rule_large(stage: Stage) -> None:
    """More synapses than fit any vector or block: 12 x 77 sparse spikes onto conductance cells, with a floor."""
    lif = LIF(tau=10 * ms, v_rest=-60 * mV, v_threshold=-50 * mV, v_reset=-55 * mV, v_initial=Uniform(-60 * mV, -51 * mV))
    cells = stage.population("rule_large_cells", 77, lif, White(4 * mV), watch=("spikes",))
    rule = rule_of(
        "rule_large",
        {"s": LowPass(Signal("pre", "spikes"), 2 * ms, floor=0.05), "xi": NOISE},
        Eligibility("s*xi", tau=8 * ms),
        4e5,
        bounds=(0.0, 0.3),
        bounded="trial",
    )
    stage.project(
        stage.sparse,
        cells,
        Uniform(0.0, 0.25),
        Conductance(4 * ms, 0 * mV),
        "weight",
        "eligibility",
        name="rule_large",
        plasticity=rule,
    )


_TRACE_NOISE: dict[str, Factor] = {"s": TRACE, "xi": NOISE}
_FLOOR: dict[str, Factor] = {"s": LowPass(Signal("pre", "spikes"), 2 * ms, floor=0.02), "xi": NOISE}
_RATES: dict[str, Factor] = {"x": Signal("pre", "rate"), "y": Signal("post", "rate"), "xi": NOISE}
_BOUNDS = (0.1 * mV, 0.3 * mV)

RULES: dict[str, Part] = {
    "rule_order_0": _spiking("rule_order_0", _TRACE_NOISE, Eligibility("s*xi", tau=6 * ms), 500.0),
    "rule_order_1": _spiking("rule_order_1", _TRACE_NOISE, Eligibility("s*xi", tau=6 * ms, order=1), 500.0),
    "rule_order_3": _spiking("rule_order_3", _TRACE_NOISE, Eligibility("s*xi", tau=3 * ms, order=3), 500.0),
    "rule_memoryless": _spiking("rule_memoryless", _TRACE_NOISE, Eligibility("s*xi", tau=0), 5.0),
    "rule_pulses": _spiking(
        "rule_pulses",
        {"s": Signal("pre", "spikes"), "z": Signal("post", "spikes"), "xi": NOISE},
        Eligibility("s*xi - 1e-6*z*s + 1e-7*z**2", tau=6 * ms),
        50.0,
    ),
    "rule_bounds_step": _spiking("rule_bounds_step", _TRACE_NOISE, Eligibility("s*xi", tau=6 * ms), 5000.0, bounds=_BOUNDS),
    "rule_bounds_trial": _spiking(
        "rule_bounds_trial", _TRACE_NOISE, Eligibility("s*xi", tau=6 * ms), 5000.0, bounds=_BOUNDS, bounded="trial"
    ),
    "rule_bound_low": _spiking(
        "rule_bound_low", _TRACE_NOISE, Eligibility("s*xi", tau=6 * ms), 5000.0, bounds=(0.1 * mV, None), update="deferred"
    ),
    "rule_deferred": _spiking("rule_deferred", _TRACE_NOISE, Eligibility("s*xi", tau=6 * ms), 500.0, update="deferred"),
    "rule_floor": _spiking("rule_floor", _FLOOR, Eligibility("s*xi", tau=6 * ms), 500.0, sparse=True),
    "rule_floor_bounded": _spiking("rule_floor_bounded", _FLOOR, Eligibility("s*xi", tau=20 * ms), 5000.0, sparse=True, bounds=_BOUNDS),
    "rule_floor_memoryless": _spiking("rule_floor_memoryless", _FLOOR, Eligibility("s*xi", tau=0), 5.0, sparse=True),
    "rule_floor_deferred": _spiking(
        "rule_floor_deferred", _FLOOR, Eligibility("s*xi", tau=6 * ms, order=1), 5000.0, sparse=True, update="deferred", bounds=_BOUNDS
    ),
    "rule_floor_some": _spiking(
        "rule_floor_some",
        _FLOOR,
        Eligibility("s*xi", tau=6 * ms),
        500.0,
        FixedProbability(0.9),
        sparse=True,
        bounds=(None, 0.3 * mV),
        bounded="trial",
    ),
    "rule_some": _spiking("rule_some", _TRACE_NOISE, Eligibility("s*xi", tau=6 * ms), 500.0, FixedProbability(0.9)),
    "rule_few": _spiking("rule_few", _TRACE_NOISE, Eligibility("s*xi", tau=6 * ms), 500.0, FixedProbability(0.3)),
    "rule_pairs": _spiking(
        "rule_pairs",
        _TRACE_NOISE,
        Eligibility("s*xi", tau=6 * ms),
        500.0,
        Pairs([8, 2, 2, 0], [5, 0, 3, 1]),
        bounded="trial",
        bounds=(None, 0.3 * mV),
    ),
    "rule_deviation": _spiking(
        "rule_deviation",
        {"s": TRACE, "v": Deviation(Signal("post", "v"), 10 * ms), "z": Deviation(Signal("pre", "spikes"), 20 * ms)},
        Eligibility("s*v + 1e-3*z*v", tau=6 * ms),
        500.0,
    ),
    "rule_low_pass_graded": _spiking(
        "rule_low_pass_graded",
        {"v": LowPass(Signal("post", "v"), 5 * ms), "z": LowPass(Signal("post", "spikes"), 5 * ms), "s": TRACE},
        Eligibility("v*s - 0.01*z*s", tau=6 * ms),
        10.0,
    ),
    "rule_pre_only": _spiking("rule_pre_only", {"s": TRACE}, Eligibility("s**2 - 0.1", tau=6 * ms), 0.01),
    "rule_post_only": _spiking("rule_post_only", {"xi": NOISE}, Eligibility("xi", tau=6 * ms), 50.0),
    "rule_terms": _graded("rule_terms", _RATES, Eligibility("(x - 0.3)*(xi + 2*y**2) - x**3*xi/4 + 0.05*(x + y)**2", tau=6 * ms), 0.05),
    "rule_transformed": _graded(
        "rule_transformed",
        {"x": Transformed(Signal("pre", "rate"), "tanh(x)"), "a": Transformed(Signal("post", "activation"), "x**3 + clip(x, 0, 1)")},
        Eligibility("x*a", tau=6 * ms),
        0.05,
        bounds=(np.float64(-0.15), 0.15),
    ),
    "rule_no_decay": _graded("rule_no_decay", _RATES, Eligibility("x*xi"), 0.5, update="deferred"),
    "rule_synapse_factors": rule_synapse_factors,
    "rule_large": rule_large,
}
"""Scenario name -> what it adds to a stage. ``rule_no_decay`` needs a task that resets the network."""

EPISODIC: dict[str, Part] = {
    "rule_episodic": _spiking("rule_episodic", _TRACE_NOISE, Eligibility("s*xi", tau=6 * ms), 0.05, update="episodic"),
    "rule_episodic_floor": _spiking(
        "rule_episodic_floor", _FLOOR, Eligibility("s*xi", tau=12 * ms), 0.05, update="episodic", sparse=True, bounds=_BOUNDS
    ),
    "rule_episodic_clipped": _graded("rule_episodic_clipped", _RATES, Eligibility("x*xi - 0.1*y"), 1.0, update="episodic", max_change=0.02),
    "rule_episodic_memoryless": _graded("rule_episodic_memoryless", _RATES, Eligibility("x*xi", tau=0), 0.01, update="episodic"),
}
"""Rules that act when a trial ends: the only ones that may compare two passes."""

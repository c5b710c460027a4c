"""The benchmark network ``bci``: the brain-control model's network (models/brain_control.py; Legenstein, Chase, Schwartz & Maass
2010, 10.1523/JNEUROSCI.4284-09.2010), 340 rate units, 100 inputs that are never silent, the EH rule in every step.

A reach lasts 18 steps, which is what the model's take, whether the target is hit or not: the radius is next to nothing. The
learning rate is a thousandth of the model's: it learns for 320 reaches, and in the hundred thousand of a benchmark its weights
would wander off to infinity.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.registry import Job

if TYPE_CHECKING:
    from models.brain_control import Session
    from neuroplast import Network
    from neuroplast.ir.program import StepProgram

DT = 1 / 30
STEPS = 18
N_IN, N, N_RECORDED = 100, 340, 40
RANGE, PEAK, ROTATED, ANGLE = 0.5, 120.0, 0.5, 90.0
EXPLORATION, LEARNING_RATE, MEMORY = 40.0, 3e-5, 0.8
DISTANCE, RADIUS, SPEED = 0.11, 1e-9, 0.16
SEED = 1


def start() -> Session:
    """Weights, encoder and decoder as the model draws them."""
    from models.brain_control import session

    p = SimpleNamespace(
        n_recorded=N_RECORDED, n_cortex=N, n_inputs=N_IN, weight_range=RANGE, peak_rate=PEAK, rotated=ROTATED, angle=ANGLE
    )
    return session(p, SEED)


def parts() -> dict[str, np.ndarray]:
    """w (pre, post), encoder (inputs, 3), decoder (3, units), offset (units,), targets (8, 3)."""
    s, others = start(), N - N_RECORDED
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / np.sqrt(3)
    return {
        "w": s.weights.T, "encoder": s.encoder, "decoder": SPEED * np.pad(s.decoder, [(0, 0), (0, others)]),
        "offset": np.pad(s.offset, (0, others)), "targets": DISTANCE * corners,
    }


def bci(steps: int = STEPS) -> Network:
    """The network. Nothing but the cursor is reset between reaches."""
    from neuroplast import (
        Deviation,
        Eligibility,
        Graded,
        Modulator,
        Network,
        Pattern,
        Population,
        Projection,
        Rate,
        Reach,
        RunningMean,
        Signal,
        ThreeFactorRule,
        White,
    )
    from neuroplast.units import second

    network, first, tau = Network("bci", seed=SEED), parts(), DT / np.log(1 / MEMORY) * second
    inputs = network.add(Population("inputs", N_IN, Pattern()))
    noise = White(EXPLORATION / np.sqrt(3), law="uniform")
    cortex = network.add(Population("cortex", N, Rate(transfer="relu"), noise=noise))
    rule = ThreeFactorRule(
        factors={"x": Signal("pre", "rate"), "d": Deviation(Signal("post", "activation"), tau)},
        eligibility=Eligibility("x*d", tau=0), modulator=Modulator("dopamine", baseline=RunningMean(tau=tau)),
        rate=LEARNING_RATE / DT,
    )
    network.add(Projection(inputs, cortex, first["w"].T, Graded(), plasticity=rule))
    network.add(
        Reach(
            inputs=inputs, outputs=cortex, targets=first["targets"], radius=RADIUS, steps=steps, reset=False,
            encoder=first["encoder"], decoder=first["decoder"], offset=first["offset"],
        )
    )
    return network


def program(steps: int = STEPS) -> StepProgram:
    """The step program of the network."""
    from neuroplast.ir.discretize import discretize
    from neuroplast.units import second

    return discretize(bci(steps), DT * second)


LEARNED = "inputs_cortex_weight"


def shared_arrays(steps: int, trials: int) -> dict[str, np.ndarray]:
    """The parts; the noise (trials, steps, n) and the numbers of the targets (trials,) that the Reference draws."""
    from benchmarks.drawn import drawn

    made = program(steps)
    noise = EXPLORATION / np.sqrt(3) * drawn(made, "cortex_draw", steps, trials)
    goal = np.floor(8 * drawn(made, "task_choice", steps, trials))
    return {**parts(), "noise": noise, "goal": goal.ravel()}


def native(job: Job) -> tuple[list[np.ndarray], list[np.ndarray], Any]:
    """For bci.cpp."""
    data = job.arrays()
    constants = np.array([DT, EXPLORATION, LEARNING_RATE, 1 - MEMORY], float)
    arrays = [constants, *(data[name] for name in ("w", "encoder", "decoder", "offset", "targets"))]
    return arrays, [data["noise"], data["goal"]], (N_IN, N)

"""The benchmark network ``rnn``: 200 recurrent rate units that learn from a reward at the end of a trial, by a cubic eligibility.

The network, noise and rule of Miconi (2017), 10.7554/eLife.20899, with his constants (tau 30 ms, dt 1 ms, g 1.5, impulses of
+-16 at 3 Hz, running mean of x with 0.05, changes clipped to 3e-4): all 40 000 recurrent synapses are plastic,

    e_ij = sum over the trial of (r_j(t-1) (x_i(t) - xbar_i))^3,    dw_ij = clip(eta (R - Rbar) e_ij)    when the trial ends.

The task is one that needs no Python: two pulses of input, and a target for the output unit; R is minus its mean squared
error, known when the trial is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.registry import Job

if TYPE_CHECKING:
    from neuroplast import Network
    from neuroplast.ir.program import StepProgram

DT = 1e-3
STEPS = 1000
N, N_IN = 200, 3
TAU, GAIN, KEEP_MEAN = 30e-3, 1.5, 0.05
IMPULSE, RATE = 16.0, 3.0
"""Impulses are uniform on [-IMPULSE, IMPULSE], added to the input, with probability 1 - exp(-RATE dt) in a step."""
ETA, MAX_CHANGE, BASELINE_TRIALS = 0.1, 3e-4, 4.0
CHANCE = float(-np.expm1(-RATE * DT))
SPREAD = IMPULSE / np.sqrt(3.0)
"""Standard deviation of an impulse."""


def inputs(steps: int) -> np.ndarray:
    """(steps, 3): two pulses of 200 ms, 200 ms apart, and a constant."""
    t = np.arange(steps) * DT
    return np.stack([(t < 0.2) * 1.0, ((t >= 0.4) & (t < 0.6)) * 1.0, np.ones(steps)], axis=1)


def target(steps: int) -> np.ndarray:
    """(steps, 1): what the output should be."""
    t = np.arange(steps) * DT
    return (0.98 * np.sin(2 * np.pi * t) * (t >= 0.2))[:, None]


def fixed() -> dict[str, np.ndarray]:
    """First recurrent weights (post, pre), weights of the input (post, 3), first activations."""
    rng = np.random.default_rng(1)
    feed = rng.uniform(-1, 1, (N, N_IN))
    feed[0] = 0.0  # the output unit hears no input
    return {"w": rng.normal(0, GAIN / np.sqrt(N), (N, N)), "feed": feed, "x": rng.uniform(-0.1, 0.1, N)}


def rnn(steps: int = STEPS) -> Network:
    """The network."""
    from neuroplast import (
        Deviation,
        Eligibility,
        Graded,
        Impulses,
        Modulator,
        Network,
        Pairs,
        Pattern,
        Population,
        Projection,
        Rate,
        RunningMean,
        Signal,
        ThreeFactorRule,
        TrackTarget,
    )
    from neuroplast.units import Hz, second

    network, first = Network("rnn", seed=1), fixed()
    given = network.add(Population("inputs", N_IN, Pattern(inputs(steps), interval=DT * second)))
    units = network.add(
        Population(
            "units", N, Rate(transfer="tanh", tau=TAU * second, a_initial=first["x"]), noise=Impulses(SPREAD, rate=RATE * Hz)
        )
    )
    output = network.add(Population("output", 1, Rate(transfer="linear")))
    network.add(Projection(given, units, first["feed"], Graded()))
    rule = ThreeFactorRule(
        factors={"r": Signal("pre", "rate"), "d": Deviation(Signal("post", "activation"), DT / np.log(1 / KEEP_MEAN) * second)},
        eligibility=Eligibility("r**3*d**3", tau=None),
        modulator=Modulator("dopamine", baseline=RunningMean(trials=BASELINE_TRIALS), gain=1.0 / steps),
        rate=ETA / DT, update="episodic", max_change=MAX_CHANGE,
    )
    network.add(Projection(units, units, first["w"], Graded(), plasticity=rule))
    network.add(Projection(units, output, np.ones(1), Graded(), connectivity=Pairs([0], [0])))
    network.add(TrackTarget(readout=output, target=target(steps), interval=DT * second, steps=steps, variable="rate", reward="error"))
    return network


def program(steps: int = STEPS) -> StepProgram:
    """The step program of the network."""
    from neuroplast.ir.discretize import discretize
    from neuroplast.units import second

    return discretize(rnn(steps), DT * second)


LEARNED = "units_units_weight"


def shared_arrays(steps: int, trials: int) -> dict[str, np.ndarray]:
    """First weights (pre, post), input weights (post, 3), first activations; and the impulses (trials, steps, n) that the
    Reference draws."""
    from benchmarks.drawn import drawn

    made, first = program(steps), fixed()
    gate, size = (drawn(made, f"units_{name}", steps, trials) for name in ("gate", "draw"))
    return {**first, "w": first["w"].T, "impulses": SPREAD * size * (gate < CHANCE)}


def native(job: Job) -> tuple[list[np.ndarray], list[np.ndarray], Any]:
    """For rnn.cpp."""
    data = job.arrays()
    constants = np.array(
        [np.exp(-DT / TAU), KEEP_MEAN, CHANCE, IMPULSE, ETA, MAX_CHANGE, 1 / BASELINE_TRIALS], float
    )
    drive = inputs(job.steps) @ data["feed"].T
    return [constants, data["w"], data["x"], drive, target(job.steps)], [data["impulses"]], (N, N)

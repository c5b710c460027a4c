"""The benchmark network ``song``: 500 bursting HVC units, 200 RA neurons perturbed by 200 LMAN units, 100 000 plastic synapses.

The size and shape of the birdsong model (Fiete, Fee & Seung 2007, 10.1152/jn.01311.2006), in our description. The peers build
the same network from the constants of this file and from the arrays of :func:`shared_arrays`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from neuroplast import Network
    from neuroplast.ir.program import StepProgram

DT = 2e-4
STEPS = 5000
"""Steps of a trial (1 s)."""
N_HVC, N_RA, N_MOTOR = 500, 200, 2
TAU_S, TAU_E, TAU_N, TAU_M, TAU_MOTOR, TAU_ELIGIBILITY = 5e-3, 5e-3, 5e-3, 20e-3, 10e-3, 35e-3
REST, THRESHOLD, RESET, REVERSAL = -60e-3, -50e-3, -55e-3, 0.0
LMAN_RATE, LMAN_WEIGHT = 80.0, 0.3
BURST_START, BURST_SPIKES, BURST_INTERVAL = 10, 4, 8
"""HVC unit j bursts from step BURST_START j on: BURST_SPIKES spikes, BURST_INTERVAL steps apart."""
W_FIRST, W_MAX = 0.04, 0.3
MOTOR_WEIGHT = 0.05
REWARD_DISTANCE, REWARD_DELAY = 0.12, 50e-3
ETA = 0.1
FLOOR = 1e-3
"""Presynaptic traces below it count as zero."""

LMAN_CHANCE = -np.expm1(-LMAN_RATE * DT)
"""Probability of an LMAN spike in a step."""
NOISE_MEAN = float(LMAN_WEIGHT * LMAN_CHANCE / (1.0 - np.exp(-DT / TAU_N)))
"""Mean of g_N as the rule sees it: after the arrivals of the step."""


def hvc_spikes(steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """(unit, step) of every HVC spike of a trial."""
    unit = np.repeat(np.arange(N_HVC), BURST_SPIKES)
    step = unit * BURST_START + np.tile(np.arange(BURST_SPIKES) * BURST_INTERVAL, N_HVC)
    return unit[step < steps], step[step < steps]


def target(steps: int = STEPS) -> np.ndarray:
    """What the two readouts should sing, (steps, 2)."""
    t = np.arange(steps) * DT
    return np.stack(
        [
            0.5 * np.sin(2 * np.pi * 2 * t) + 0.2 * np.sin(2 * np.pi * 5 * t),
            0.5 * np.cos(2 * np.pi * 3 * t) - 0.2 * np.sin(2 * np.pi * 7 * t),
        ],
        axis=1,
    )


def motor_weights() -> np.ndarray:
    """Weight of RA unit i on readout i div 100."""
    return np.where(np.arange(N_RA) % 2 == 0, MOTOR_WEIGHT, -MOTOR_WEIGHT)


def song(steps: int = STEPS, floor: float = FLOOR) -> Network:
    """The network. A trial goes on where the last one ended: nothing is reset (reset=False), as in the peers."""
    from neuroplast import (
        LIF,
        Conductance,
        Delta,
        Eligibility,
        LowPass,
        Modulator,
        Network,
        Pairs,
        Poisson,
        Population,
        Projection,
        Readout,
        Signal,
        SpikeSequence,
        SynapticNoise,
        ThreeFactorRule,
        TrackTarget,
        Uniform,
    )
    from neuroplast.units import Hz, mV, second

    network = Network("song", seed=1)
    unit, step = hvc_spikes(steps)
    hvc = network.add(Population("HVC", N_HVC, SpikeSequence(unit, step * DT * second)))
    lman = network.add(Population("LMAN", N_RA, Poisson(LMAN_RATE * Hz)))
    membrane = LIF(
        tau=TAU_M * second, v_rest=REST * 1e3 * mV, v_threshold=THRESHOLD * 1e3 * mV, v_reset=RESET * 1e3 * mV,
        v_initial=Uniform(REST * 1e3 * mV, THRESHOLD * 1e3 * mV),
    )
    empiric = SynapticNoise(
        source=lman, weight=LMAN_WEIGHT, synapse=Conductance(tau=TAU_N * second, reversal=REVERSAL * 1e3 * mV)
    )
    ra = network.add(Population("RA", N_RA, membrane, noise=empiric))
    motor = network.add(Population("motor", N_MOTOR, Readout(tau=TAU_MOTOR * second)))
    to_motor = Pairs(np.arange(N_RA), np.arange(N_RA) // (N_RA // N_MOTOR))
    network.add(Projection(ra, motor, weight=motor_weights(), synapse=Delta(), connectivity=to_motor))
    network.add(
        TrackTarget(
            readout=motor, target=target(steps), interval=DT * second, steps=steps, threshold=REWARD_DISTANCE, reset=False
        )
    )
    rule = ThreeFactorRule(
        factors={"s": LowPass(Signal("pre", "spikes"), TAU_S * second, floor=floor), "xi": Signal("post", "noise")},
        eligibility=Eligibility("s*xi", tau=TAU_ELIGIBILITY * second),
        modulator=Modulator("dopamine", delay=REWARD_DELAY * second),
        rate=ETA / TAU_S, bounds=(0.0, W_MAX), bounded="trial",
    )
    network.add(
        Projection(
            hvc, ra, weight=Uniform(0.0, W_FIRST), synapse=Conductance(tau=TAU_E * second, reversal=REVERSAL * 1e3 * mV),
            plasticity=rule,
        )
    )
    return network


def program(steps: int = STEPS, floor: float = FLOOR) -> StepProgram:
    """The step program of the network."""
    from neuroplast.ir.discretize import discretize
    from neuroplast.units import second

    return discretize(song(steps, floor), DT * second)


LEARNED = "HVC_RA_weight"
"""What is learned, as the step program calls it."""


def shared_arrays(steps: int, trials: int) -> dict[str, np.ndarray]:
    """What peers get from us, so that they run the same network: first weights (n_pre, n_post), potentials and
    noise conductances; and, to be compared with the Reference, the LMAN spikes (trials, steps, n) that the Reference draws."""
    from neuroplast.ir.program import Draw, draw, stream_key

    made = program(steps)
    law = next(op for op in made.before if isinstance(op, Draw) and op.target == "LMAN_uniform")
    key = stream_key(made.seed, law.stream)
    uniform = np.array([[draw(law.law, N_RA, key, n, t, 0) for n in range(steps)] for t in range(trials)])
    first = {name: made.arrays[array].initial for name, array in (("w", LEARNED), ("v", "RA_v"), ("g", "RA_g_RA_noise"))}
    return {**first, "w": first["w"].reshape(N_HVC, N_RA), "lman": uniform < LMAN_CHANCE}

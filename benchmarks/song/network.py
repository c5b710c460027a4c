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


def hvc_spikes(steps: int = STEPS, n_hvc: int = N_HVC) -> tuple[np.ndarray, np.ndarray]:
    """(unit, step) of every HVC spike of a trial."""
    unit = np.repeat(np.arange(n_hvc), BURST_SPIKES)
    step = unit * BURST_START * N_HVC // n_hvc + np.tile(np.arange(BURST_SPIKES) * BURST_INTERVAL, n_hvc)
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


def motor_weights(n_ra: int = N_RA) -> np.ndarray:
    """Weight of RA unit i, which is on readout 0 in the first half of them, else on readout 1."""
    return np.where(np.arange(n_ra) % 2 == 0, MOTOR_WEIGHT, -MOTOR_WEIGHT) * (N_RA / n_ra)


def song(steps: int = STEPS, floor: float = FLOOR, n_hvc: int = N_HVC, n_ra: int = N_RA) -> Network:
    """The network; of another size, its weights are scaled so that a unit hears as much. A trial goes on where the last one ended:
    nothing is reset (reset=False), as in the peers."""
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
    unit, step = hvc_spikes(steps, n_hvc)
    hvc = network.add(Population("HVC", n_hvc, SpikeSequence(unit, step * DT * second)))
    lman = network.add(Population("LMAN", n_ra, Poisson(LMAN_RATE * Hz)))
    membrane = LIF(
        tau=TAU_M * second, v_rest=REST * 1e3 * mV, v_threshold=THRESHOLD * 1e3 * mV, v_reset=RESET * 1e3 * mV,
        v_initial=Uniform(REST * 1e3 * mV, THRESHOLD * 1e3 * mV),
    )
    empiric = SynapticNoise(
        source=lman, weight=LMAN_WEIGHT, synapse=Conductance(tau=TAU_N * second, reversal=REVERSAL * 1e3 * mV)
    )
    ra = network.add(Population("RA", n_ra, membrane, noise=empiric))
    motor = network.add(Population("motor", N_MOTOR, Readout(tau=TAU_MOTOR * second)))
    to_motor = Pairs(np.arange(n_ra), np.arange(n_ra) // (n_ra // N_MOTOR))
    network.add(Projection(ra, motor, weight=motor_weights(n_ra), synapse=Delta(), connectivity=to_motor))
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
            hvc, ra, weight=Uniform(0.0, W_FIRST * N_HVC / n_hvc), synapse=Conductance(tau=TAU_E * second, reversal=REVERSAL * 1e3 * mV),
            plasticity=rule,
        )
    )
    return network


def program(steps: int = STEPS, floor: float = FLOOR, n_hvc: int = N_HVC, n_ra: int = N_RA) -> StepProgram:
    """The step program of the network."""
    from neuroplast.ir.discretize import discretize
    from neuroplast.units import second

    return discretize(song(steps, floor, n_hvc, n_ra), DT * second)


LEARNED = "HVC_RA_weight"
"""What is learned, as the step program calls it."""


def shared_arrays(steps: int, trials: int, n_hvc: int = N_HVC, n_ra: int = N_RA) -> dict[str, np.ndarray]:
    """What peers get from us, so that they run the same network: first weights (n_pre, n_post), potentials and
    noise conductances; and, to be compared with the Reference, the LMAN spikes (trials, steps, n) that the Reference draws."""
    from neuroplast.ir.program import Draw, draw, stream_key

    made = program(steps, n_hvc=n_hvc, n_ra=n_ra)
    law = next(op for op in made.before if isinstance(op, Draw) and op.target == "LMAN_uniform")
    key = stream_key(made.seed, law.stream)
    uniform = np.array([[draw(law.law, n_ra, key, n, t, 0) for n in range(steps)] for t in range(trials)])
    first = {name: made.arrays[array].initial for name, array in (("w", LEARNED), ("v", "RA_v"), ("g", "RA_g_RA_noise"))}
    return {**first, "w": first["w"].reshape(n_hvc, n_ra), "lman": uniform < LMAN_CHANCE}

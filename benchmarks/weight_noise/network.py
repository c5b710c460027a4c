"""The benchmark networks ``weight-noise``: an Ornstein-Uhlenbeck process on every weight onto 1000 units.

"spikes": Poisson inputs of 5 Hz onto LIF units, so that weights are read when a spike arrives and at no other time;
"graded": inputs that change all the time onto leaky readouts, so that every weight is read in every step.

What is compared is the part of the postsynaptic signal that comes from the noise: its root mean square and mean over units.
Who draws the numbers of the Reference has these values to rounding; who draws his own, to about two standard errors of 1000
units in each; both depend on the variance of the process and, as the signal is low-passed, on its autocorrelation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.registry import Job

if TYPE_CHECKING:
    from neuroplast import Network
    from neuroplast.ir.program import StepProgram

DT = 5e-4
N_POST = 1000
TAU_OU, TAU_I, TAU_M = 50e-3, 50e-3, 20e-3
RATE, WEIGHT, STD = 5.0, 0.1e-3, 0.05e-3
"""Of an input, Hz; weights are uniform up to twice WEIGHT (V), with noise of standard deviation STD (V)."""
REST, THRESHOLD, RESET, DRIVE = -60e-3, -50e-3, -58e-3, 6e-3
CHANCE = float(-np.expm1(-RATE * DT))
DECAY = float(np.exp(-DT / TAU_OU))


def weights(n_pre: int) -> np.ndarray:
    """(post, pre), V."""
    return np.random.default_rng(1).uniform(0, 2 * WEIGHT * 100 / n_pre, (N_POST, n_pre))


def std(n_pre: int) -> float:
    """Standard deviation of the noise, V: smaller with more inputs."""
    return STD * float(np.sqrt(100 / n_pre))


def rates(steps: int, n_pre: int) -> np.ndarray:
    """(steps, n_pre) graded inputs, each with its own frequency."""
    t = np.arange(steps) * DT
    return 0.6 + 0.4 * np.sin(2 * np.pi * np.outer(t, 1 + 20 * np.arange(n_pre) / n_pre))


def noisy(steps: int, kind: str = "spikes", n_pre: int = 100) -> Network:
    """The network."""
    from neuroplast import (
        LIF,
        Current,
        Graded,
        Network,
        OrnsteinUhlenbeck,
        Pattern,
        Poisson,
        Population,
        Projection,
        Readout,
    )
    from neuroplast.tasks import OpenLoop
    from neuroplast.units import Hz, mV, second

    network = Network(f"weight_noise_{kind}", seed=1)
    if kind == "spikes":
        inputs = network.add(Population("inputs", n_pre, Poisson(RATE * Hz)))
        membrane = LIF(
            tau=TAU_M * second, v_rest=REST * 1e3 * mV, v_threshold=THRESHOLD * 1e3 * mV, v_reset=RESET * 1e3 * mV,
            drive=DRIVE * 1e3 * mV,
        )
        units = network.add(Population("units", N_POST, membrane))
        noise = OrnsteinUhlenbeck(std(n_pre) * 1e3 * mV, tau=TAU_OU * second)
        network.add(Projection(inputs, units, weights(n_pre) * 1e3 * mV, Current(tau=TAU_I * second), noise=noise))
    else:
        inputs = network.add(Population("inputs", n_pre, Pattern(rates(steps, n_pre), interval=DT * second)))
        units = network.add(Population("units", N_POST, Readout(tau=TAU_I * second)))
        noise = OrnsteinUhlenbeck(std(n_pre), tau=TAU_OU * second)
        network.add(Projection(inputs, units, weights(n_pre), Graded(), noise=noise))
    network.add(OpenLoop(steps=steps, reset=False))
    return network


def program(steps: int, kind: str = "spikes", n_pre: int = 100) -> StepProgram:
    """The step program of the network."""
    from neuroplast.ir.discretize import discretize
    from neuroplast.units import second

    return discretize(noisy(steps, kind, n_pre), DT * second)


SIGNAL = {"spikes": "units_i_inputs_units", "graded": "units_m"}
"""The compared signal, as the step program calls it."""


def noise_part(job: Job, signal: np.ndarray, kind: str = "spikes", n_pre: int = 100) -> np.ndarray:
    """Root mean square and mean over units of what the noise adds to the signal (N_POST,) at the end of the run."""
    keep = np.exp(-DT / TAU_I)
    if kind == "spikes":
        arrivals = job.arrays()["spikes"].reshape(-1, n_pre).astype(float)[:-1]  # the last step's have not arrived
    else:
        arrivals = np.tile(rates(job.steps, n_pre), (job.trials, 1)) * (1 - keep)
    traced = keep ** np.arange(len(arrivals))[::-1] @ arrivals
    part = np.asarray(signal).ravel() - weights(n_pre) @ traced
    return np.array([np.sqrt(np.mean(part**2)), np.mean(part)])


def outcome(job: Job, arrays: dict[str, np.ndarray], kind: str = "spikes", n_pre: int = 100) -> np.ndarray:
    """What is compared, from the arrays of a target."""
    return noise_part(job, arrays[SIGNAL[kind]], kind, n_pre)


native_outcome = noise_part


def shared_arrays(steps: int, trials: int, kind: str, n_pre: int) -> dict[str, np.ndarray]:
    """The spikes (trials, steps, n_pre) that the Reference draws; the outcome without noise."""
    from benchmarks.drawn import drawn

    nothing = {"nothing": np.zeros(2)}
    if kind == "graded":
        return nothing
    return {**nothing, "spikes": drawn(program(steps, kind, n_pre), "inputs_uniform", steps, trials) < CHANCE}


def native(job: Job, kind: str = "spikes", n_pre: int = 100) -> tuple[list[np.ndarray], list[np.ndarray], Any]:
    """For weight_noise.cpp. Keys of our generator's streams, as halves of 32 bits."""
    from neuroplast.ir.program import stream_key

    seed, stream = program(job.steps, kind, n_pre).seed, "weight noise/inputs_units"
    keys = [stream_key(seed, name) for name in (stream, f"{stream}/start")]
    halves = [float(word >> shift & 0xFFFFFFFF) for key in keys for word in key for shift in (0, 32)]
    constants = np.array(
        [n_pre, DECAY, std(n_pre), np.exp(-DT / TAU_I), np.exp(-DT / TAU_M), REST + DRIVE, THRESHOLD, RESET, CHANCE, REST], float
    )
    arrays = [constants, np.array(halves), weights(n_pre).T]
    if kind == "spikes":
        return arrays, [job.arrays()["spikes"].astype(float)], (N_POST,)
    return [*arrays, rates(job.steps, n_pre)], [], (N_POST,)

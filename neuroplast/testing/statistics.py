"""The statistics of free noise on a target: mean, variance, autocorrelation, independence, rates and probabilities.

Each is an average over independent units, so the spread between units gives its standard error. As the random numbers are the same
on every target, one target and a faster one with more samples are enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import Target
from neuroplast.ir.discretize import discretize
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import LIF, Bernoulli, Poisson, Rate, Readout, SpikeSequence
from neuroplast.noise import Impulses, Noise, OrnsteinUhlenbeck, SynapticNoise, White
from neuroplast.synapses import Current, Delta, OneToOne, Release
from neuroplast.tasks import OpenLoop
from neuroplast.testing.tolerances import STANDARD_ERRORS
from neuroplast.units import Hz, ms, mV, second

DT, TAU, RATE, STD = 0.5e-3, 4e-3, 120.0, 0.7


@dataclass(frozen=True)
class Statistic:
    """One comparison. error: standard error of ``got``."""

    name: str
    got: float
    expected: float
    error: float

    @property
    def away(self) -> float:
        """Distance from the expected value in standard errors."""
        return abs(self.got - self.expected) / self.error if self.error > 0 else (0.0 if self.got == self.expected else np.inf)

    def __str__(self) -> str:
        return f"{self.name}: {self.got:.5g} +- {self.error:.2g}, expected {self.expected:.5g} ({self.away:.1f} standard errors)"


def _noises() -> dict[str, tuple[Noise, float, float, float]]:
    """Noise, its variance, its fourth moment over the squared variance, its correlation from step to step."""
    chance, a = -np.expm1(-RATE * DT), float(np.exp(-DT / TAU))
    return {
        "white": (White(STD), STD**2, 3.0, 0.0),
        "uniform": (White(STD, law="uniform"), STD**2, 1.8, 0.0),
        "trial": (White(STD, every="trial"), STD**2, 3.0, 1.0),
        "ou": (OrnsteinUhlenbeck(STD, tau=TAU * second), STD**2, 3.0, a),
        "impulses": (Impulses(STD, rate=RATE * Hz), chance * STD**2, 1.8 / chance, 0.0),
        "impulses_normal": (Impulses(STD, rate=RATE * Hz, law="normal"), chance * STD**2, 3.0 / chance, 0.0),
    }


_RATES = np.array([5.0, 80.0, 700.0])
_BIASES = np.array([-2.0, 0.0, 1.5])


def _network(units: int, steps: int) -> Network:
    network = Network("statistics", seed=21)

    def record(node: Any, variable: str) -> None:
        network.add(Monitor(node, variable, trials="all"))

    spikes = SpikeSequence(np.tile(np.arange(units), steps), np.repeat(np.arange(steps), units) * DT * second)
    every = network.add(Population("every", units, spikes))
    for name, (noise, *_) in _noises().items():
        record(network.add(Population(name, units, Rate(), noise=noise)), "noise")
        listener = network.add(Population(f"{name}_out", units, Readout(tau=5 * ms)))
        record(network.add(Projection(every, listener, 0.0, Delta(), OneToOne(), noise=noise, name=f"{name}_synapses")), "noise")
    source = network.add(Population("source", units, Poisson(RATE * Hz)))
    quiet = LIF(tau=10 * ms, v_rest=-60 * mV, v_threshold=0 * mV, v_reset=-60 * mV)
    empiric = SynapticNoise(source, weight=1 * mV, synapse=Current(TAU * second))
    record(network.add(Population("empiric", units, quiet, noise=empiric)), "noise")
    record(network.add(Population("poisson", units, Poisson(np.resize(_RATES, units) * Hz))), "spikes")
    bernoulli = network.add(Population("bernoulli", units, Bernoulli(bias=np.resize(_BIASES, units))))
    record(bernoulli, "spikes")
    record(bernoulli, "score")
    out = network.add(Population("out", units, Readout(tau=5 * ms)))
    released = Projection(
        every, out, 1.0, Delta(), OneToOne(), release=Release(q=np.resize(_BIASES, units)), name="release"
    )
    record(network.add(released), "release_score")
    network.add(OpenLoop(steps=steps, reset=False))
    return network


def _average(name: str, each: np.ndarray, expected: float) -> Statistic:
    """From one number of each independent unit."""
    return Statistic(name, float(np.mean(each)), expected, float(np.std(each, ddof=1) / np.sqrt(each.size)))


def _moments(name: str, x: np.ndarray, variance: float, kurtosis: float | None, a: float) -> Iterator[Statistic]:
    """x: (steps, units), of mean 0."""
    yield _average(f"{name}: mean", x.mean(0), 0.0)
    yield _average(f"{name}: variance", (x**2).mean(0), variance)
    if kurtosis is not None:
        yield _average(f"{name}: kurtosis", (x**4).mean(0) / variance**2, kurtosis)
    for lag in (1, 5, 20):
        yield _average(f"{name}: autocorrelation at lag {lag}", (x[lag:] * x[:-lag]).mean(0) / variance, a**lag)
    yield _average(f"{name}: correlation of neighbours", (x[:, 1::2] * x[:, : 2 * (x.shape[1] // 2) : 2]).mean(0) / variance, 0.0)


def _chances(name: str, x: np.ndarray, chances: np.ndarray) -> Iterator[Statistic]:
    """x: (steps, units) of 0 and 1; unit k fires with chances[k % n]."""
    for k, chance in enumerate(chances):
        own = x[:, k :: chances.size].astype(float)
        yield _average(f"{name}: probability", own.mean(0), float(chance))
        centred = own - chance
        product = centred[1:] * centred[:-1] / (chance * (1 - chance))
        # its variance is 1 if steps are independent; that between units is no measure of it where two spikes in turn are rare
        yield Statistic(f"{name}: autocorrelation at lag 1", float(product.mean()), 0.0, float(1 / np.sqrt(product.size)))


def statistics(target: Target, units: int = 240, steps: int = 400, trials: int = 2) -> list[Statistic]:
    """Every statistic of a run on the target."""
    program = discretize(_network(units, steps), DT * second)
    executable = target.prepare(program)
    recorder = Recorder(program.recordings, {r.name: set(range(trials)) for r in program.recordings}, program.passes)
    executable.run(trials, recorder)
    executable.close()
    values = {name: np.stack([by_trial[k] for k in range(trials)]) for name, by_trial in recorder.results.items()}
    found: list[Statistic] = []
    for name, (_, variance, kurtosis, a) in _noises().items():
        for where in (name, f"{name}_synapses"):
            x = values[f"{where}_noise"]
            found += _moments(where, x[0] if name == "trial" else x.reshape(-1, units), variance, kurtosis, a)
            carried = 0.0 if name == "trial" else a**steps
            found.append(_average(f"{where}: correlation of trials", (x[0] * x[1]).mean(0) / variance, carried))
        both = values[f"{name}_noise"] * values[f"{name}_synapses_noise"]
        found.append(_average(f"{name}: correlation of two streams", both.mean((0, 1)) / variance, 0.0))
    chance, a = -np.expm1(-RATE * DT), float(np.exp(-DT / TAU))
    shot = chance * (1 - chance) / (1 - a * a) * 1e-6
    found += _moments("empiric", values["empiric_noise"].reshape(-1, units)[100:], shot, None, a)
    found += _chances("poisson", values["poisson_spikes"].reshape(-1, units), -np.expm1(-_RATES * DT))
    sigmoid = 1 / (1 + np.exp(-_BIASES))
    found += _chances("bernoulli", values["bernoulli_spikes"].reshape(-1, units), sigmoid)
    found.append(_average("bernoulli: score", values["bernoulli_score"].mean((0, 1)), 0.0))
    score = values["release_release_score"].reshape(-1, units)[1:]  # the first spikes are on their way in the first step
    found += _chances("release", score > 0, sigmoid)
    found.append(_average("release: score", score.mean(0), 0.0))
    return found


def check_statistics(target: Target, units: int = 240, steps: int = 400, trials: int = 2) -> list[Statistic]:
    """All statistics within :data:`STANDARD_ERRORS`; AssertionError with those that are not."""
    found = statistics(target, units, steps, trials)
    wrong = [str(s) for s in found if s.away > STANDARD_ERRORS]
    if wrong:
        raise AssertionError("\n  ".join([f"{target.name}: {len(wrong)} of {len(found)} statistics are off", *wrong]))
    return found


__all__ = ["Statistic", "check_statistics", "statistics"]

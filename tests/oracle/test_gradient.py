"""The mean weight change of a rule is the gradient of the expected reward, where that gradient is known.

Weights are held still by a rate so small that they hardly move: the change over K trials is then K times the mean change. Errors
are those of the mean over blocks of trials.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroplast.backends.reference import Recorder
from neuroplast.ir.discretize import discretize
from neuroplast.modulation import Modulator, PairedPass, RunningMean
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import LIF, Bernoulli, Pattern, Rate, SpikeSequence
from neuroplast.node import Uniform
from neuroplast.noise import White
from neuroplast.plasticity import Eligibility, Signal, ThreeFactorRule
from neuroplast.synapses import Conductance, Graded, Release
from neuroplast.tasks import Regression
from neuroplast.units import ms, mV

RATE = 1e-9


def mean_change(executable: Any, array: str, trials: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean change of an array in a trial over RATE, and its standard error."""
    recorder, changes = Recorder((), {}, 2), []
    for _ in range(blocks):
        before = np.array(executable.arrays[array])
        executable.run(trials // blocks, recorder)
        changes.append((executable.arrays[array] - before) / (RATE * (trials // blocks)))
    return np.mean(changes, 0), np.std(changes, 0, ddof=1) / np.sqrt(blocks)


def assert_gradient(name: str, mean: np.ndarray, error: np.ndarray, gradient: np.ndarray) -> None:
    """Each component within 3 standard errors (4 where there are many), the whole vector within 5 %, and print both."""
    away = np.abs(mean - gradient) / error
    relative = np.linalg.norm(mean - gradient) / np.linalg.norm(gradient)
    slope = float(mean @ gradient / (gradient @ gradient))
    print(f"{name}: slope {slope:.4f}, relative error {relative:.4f}, furthest component {away.max():.1f} standard errors")
    assert (away < 3).mean() > 0.95 and away.max() < 4
    assert relative < 0.05


X = np.array([1.0, -0.5, 0.8])
WANTED = np.array([0.7, -1.2])


def one_step(outputs: Population, factors: dict[str, Any], drive: str, modulator: Modulator, **projection: Any) -> Any:
    """A network of one step a trial: fixed input X, wanted output WANTED, an episodic rule."""
    network = Network("gradient", seed=5)
    inputs = network.add(Population("inputs", 3, Pattern()))
    network.add(outputs)
    rule = ThreeFactorRule(factors, Eligibility(drive, tau=0), modulator, rate=RATE, update="episodic")
    network.add(Projection(inputs, outputs, 0.0, Graded(), plasticity=rule, name="p", **projection))
    teacher = WANTED[:, None] * X[None, :] / (X @ X)
    network.add(Regression(inputs=inputs, outputs=outputs, teacher=teacher, x=X, steps=1))
    return discretize(network, 1 * ms)


@pytest.mark.parametrize("baseline", [None, PairedPass("off"), PairedPass("other"), RunningMean(trials=5)])
def test_node_perturbation(fast, baseline):
    """y = W x + xi, R = -1/2 |y - d|^2:  E[M xi x'] = sigma^2 (d - W x) x' = sigma^2 grad R, with any baseline."""
    sigma = 0.4
    outputs = Population("outputs", 2, Rate(), noise=White(sigma))
    program = one_step(outputs, {"x": Signal("pre", "rate"), "xi": Signal("post", "noise")}, "x*xi", Modulator("r", baseline=baseline))
    executable = fast.prepare(program)
    mean, error = mean_change(executable, "p_weight", 2_400_000, 100)
    assert_gradient(f"node perturbation, {type(baseline).__name__}", mean, error, sigma**2 * np.outer(X, WANTED).ravel())


def test_weight_perturbation(fast):
    """y = (W + Psi) x:  E[M Psi] = sigma^2 grad R. The term Psi' x x' Psi of the reward is even and drops out."""
    sigma = 0.2
    program = one_step(
        Population("outputs", 2, Rate()),
        {"psi": Signal("synapse", "noise")},
        "psi",
        Modulator("r", baseline=PairedPass()),
        noise=White(sigma, every="trial"),
    )
    mean, error = mean_change(fast.prepare(program), "p_weight", 400_000, 100)
    assert_gradient("weight perturbation", mean, error, sigma**2 * np.outer(X, WANTED).ravel())


def test_node_perturbation_through_time_and_a_nonlinearity(fast):
    """y = tanh(W x + xi) over 4 steps; the gradient of the mean reward by quadrature over the noise."""
    sigma, steps = 0.5, 4
    network = Network("gradient", seed=6)
    inputs, outputs = (
        network.add(p) for p in (Population("inputs", 3, Pattern()), Population("outputs", 2, Rate("tanh"), noise=White(sigma)))
    )
    rule = ThreeFactorRule(
        {"x": Signal("pre", "rate"), "xi": Signal("post", "noise")},
        Eligibility("x*xi"),
        Modulator("r", baseline=RunningMean(trials=50)),
        rate=RATE,
        update="episodic",
    )
    weight = np.array([[0.3, -0.2, 0.5], [0.1, 0.6, -0.4]])
    network.add(Projection(inputs, outputs, weight, Graded(), plasticity=rule, name="p"))
    teacher = WANTED[:, None] * X[None, :] / (X @ X)
    network.add(Regression(inputs=inputs, outputs=outputs, teacher=teacher, x=X, steps=steps))
    dt = 1e-3
    mean, error = mean_change(fast.prepare(discretize(network, 1 * ms)), "p_weight", 600_000, 100)
    z, p = np.polynomial.hermite_e.hermegauss(60)
    p = p / p.sum()
    y = np.tanh((weight @ X)[:, None] + sigma * z)
    slope = (-(y - WANTED[:, None]) * (1 - y**2)) @ p  # d E[R]/d(W x), one step; each step's noise moves its own reward
    assert_gradient("tanh units, 4 steps", mean, error, sigma**2 * steps * dt * np.outer(X, slope).ravel())


def test_reinforce_with_bernoulli_units(fast):
    """s ~ Bernoulli(sigmoid(W x + b)):  E[R (s - p) x'] = grad E[R] = (d - 1/2) p (1 - p) x' for R = -1/2 |s - d|^2."""
    bias = np.array([0.3, -0.8])
    outputs = Population("outputs", 2, Bernoulli(bias=bias))
    program = one_step(
        outputs, {"x": Signal("pre", "rate"), "score": Signal("post", "score")}, "x*score", Modulator("r", baseline=RunningMean(trials=20))
    )
    mean, error = mean_change(fast.prepare(program), "p_weight", 400_000, 100)
    p = 1 / (1 + np.exp(-bias))
    assert_gradient("REINFORCE", mean, error, np.outer(X, (WANTED - 0.5) * p * (1 - p)).ravel())


def hedonistic_network() -> Network:
    """8 hedonistic synapses, facilitating and depressing, onto one LIF whose spikes are rewarded one by one (Seung 2003)."""
    network, steps, n = Network("hedonistic", seed=9), 200, 8
    rng = np.random.default_rng(2)
    unit, step = np.nonzero(rng.random((n, steps)) < 0.05)
    pre = network.add(Population("pre", n, SpikeSequence(unit, step * ms)))
    lif = LIF(tau=20 * ms, v_rest=-74 * mV, v_threshold=-54 * mV, v_reset=-60 * mV, v_initial=Uniform(-70 * mV, -60 * mV), drive=12 * mV)
    cell = network.add(Population("cell", 1, lif, noise=White(20 * mV)))
    rule = ThreeFactorRule(
        {"score": Signal("synapse", "release_score")},
        Eligibility("score"),
        Modulator("r", baseline=RunningMean(trials=50)),
        rate=RATE,
        update="episodic",
        target="release",
    )
    release = Release(np.linspace(-1.5, 0.5, n)[None, :], facilitation=0.4, tau_facilitation=50 * ms, tau_recovery=10 * ms)
    network.add(
        Projection(pre, cell, np.linspace(0.1, 0.5, n)[None, :], Conductance(5 * ms, 0 * mV), release=release, plasticity=rule, name="p")
    )
    one = network.add(Population("one", 1, Pattern()))
    # R = -1/2 (s - 1.5)^2 in each step: 1 for a spike and a constant, which the baseline takes away
    network.add(Regression(inputs=one, outputs=cell, teacher=[[1.5]], x=[1.0], steps=steps))
    return network


def test_hedonistic_release(fast):
    """<h sum of scores> = d<h>/dq, facilitation and depression included: against finite differences, slope 1 +- 0.1, r > 0.95."""
    executable = fast.prepare(discretize(hedonistic_network(), 1 * ms))
    mean, error = mean_change(executable, "p_q", 60_000, 60)
    q, delta, rewards = executable.arrays["p_q"], 0.4, {}
    start, first = np.array(q), int(executable.arrays["clock"][1])
    trials, blocks = 12_000, 12
    for k in range(q.size):
        for sign in (1, -1):
            executable.arrays["clock"][1] = first  # the same random numbers on both sides
            q[:] = start
            q[k] += sign * delta
            total = np.zeros(blocks)
            for block in range(blocks):
                kept = _summed(executable, trials // blocks)
                total[block] = kept
            rewards[k, sign] = total
    difference = np.array([(rewards[k, 1] - rewards[k, -1]) / (2 * delta) for k in range(q.size)])
    finite, finite_error = difference.mean(1), difference.std(1, ddof=1) / np.sqrt(blocks)
    slope, r = float(mean @ finite / (finite @ finite)), float(np.corrcoef(mean, finite)[0, 1])
    away = np.abs(mean - finite) / np.hypot(error, finite_error)
    print(f"hedonistic release: slope {slope:.3f}, r {r:.3f}, furthest component {away.max():.1f} standard errors")
    print("  <h sum of scores>:", np.round(mean, 3), "d<h>/dq:", np.round(finite, 3))
    assert abs(slope - 1) < 0.1 and r > 0.95 and away.max() < 3.5


def _summed(executable: Any, trials: int) -> float:
    """Mean reward of a trial."""
    rewards: list[float] = []

    def keep(_: int, arrays: dict[str, np.ndarray]) -> bool:
        rewards.append(float(arrays["task_total"][0]))
        return True

    executable.run(trials, Recorder((), {}, 1), keep)
    return float(np.mean(rewards))

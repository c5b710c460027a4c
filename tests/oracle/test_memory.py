"""Traces, eligibilities, noises and release against their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neuroplast.modulation import Modulator
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import Pattern, Poisson, Rate, Readout, SpikeSequence
from neuroplast.noise import OrnsteinUhlenbeck
from neuroplast.plasticity import Deviation, Eligibility, LowPass, Signal, ThreeFactorRule
from neuroplast.synapses import Delta, Graded, OneToOne, Release
from neuroplast.tasks import OpenLoop
from neuroplast.units import Hz, ms

DT = 0.2  # ms


def network(*nodes, steps: int, reset: bool = True) -> Network:
    net = Network("oracle", seed=3)
    for node in nodes:
        net.add(node)
    net.add(OpenLoop(steps=steps, reset=reset))
    return net


def learning(source, factors, eligibility, steps, synapse=None, weight=1.0):
    """``source`` onto one readout, with this eligibility, which is recorded."""
    out = Population("out", 1, Readout(tau=5 * ms))
    rule = ThreeFactorRule(factors, eligibility, Modulator("reward"), rate=0.0)
    projection = Projection(source, out, weight, synapse or Delta(), plasticity=rule, name="p")
    return network(source, out, projection, Monitor(projection, "eligibility"), steps=steps)


def spikes_at(*steps: int) -> Population:
    return Population("source", 1, SpikeSequence([0] * len(steps), np.array(steps) * DT * ms))


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_gamma_kernel_of_the_eligibility(play, order):
    """One presynaptic pulse gives G(u) = (u/tau)^n/n! exp(-u/tau) of unit drive, u from the step of its arrival."""
    tau, steps = 8.0, 400
    net = learning(spikes_at(10), {"s": Signal("pre", "spikes")}, Eligibility("s", tau=tau * ms, order=order), steps)
    e = play(net, DT * ms)["p_eligibility"][0, :, 0]
    u = DT * (np.arange(steps) - 11)  # the spike arrives in step 11
    kernel = np.where(u >= 0, (np.maximum(u, 0) / tau) ** order / math.factorial(order) * np.exp(-u / tau), 0.0)
    np.testing.assert_allclose(e, kernel, rtol=1e-9, atol=1e-13)
    assert DT * (np.argmax(e) - 11) == pytest.approx(order * tau, abs=DT)


def test_trace_of_spikes_and_its_floor(play):
    """s(t) = sum exp(-(t - t_k)/tau); below the floor it is exactly zero. Without memory the eligibility is the trace itself."""
    tau, arrivals = 5.0, np.array([11, 14, 60])
    for floor in (0.0, 0.1):
        factors = {"s": LowPass(Signal("pre", "spikes"), tau * ms, floor=floor)}
        net = learning(spikes_at(*(arrivals - 1)), factors, Eligibility("s", tau=0), 250)
        s = play(net, DT * ms)["p_eligibility"][0, :, 0]
        expected, value = np.zeros(250), 0.0
        for n in range(250):
            value = value * np.exp(-DT / tau) + (n in arrivals)
            value = 0.0 if value < floor else value
            expected[n] = value
        np.testing.assert_allclose(s, expected, rtol=1e-12, atol=0)
        late = 3 * np.exp(-DT * (249 - 60) / tau)
        assert s[-1] == 0.0 if floor else 0 < s[-1] < late


def test_low_pass_and_deviation_of_a_graded_signal(play):
    """A step of height h: low-pass h (1 - exp(-t/tau)), deviation from the mean h exp(-t/tau) (without this step)."""
    t = DT * np.arange(300)
    for factor, expected in (
        (LowPass(Signal("pre", "rate"), 6 * ms), 2.5 * -np.expm1(-(t + DT) / 6)),
        (Deviation(Signal("pre", "rate"), 6 * ms), 2.5 * np.exp(-t / 6)),
    ):
        net = learning(Population("source", 1, Pattern([2.5])), {"x": factor}, Eligibility("x", tau=0), 300, Graded())
        np.testing.assert_allclose(play(net, DT * ms)["p_eligibility"][0, :, 0], expected, rtol=1e-10)


def test_eligibility_without_tau_is_the_integral_of_the_drive(play):
    net = learning(Population("source", 1, Pattern([2.0])), {"x": Signal("pre", "rate")}, Eligibility("3*x**2 - x"), 50, Graded())
    e = play(net, DT * ms)["p_eligibility"][0, :, 0]
    np.testing.assert_allclose(e, (3 * 4 - 2) * DT * 1e-3 * np.arange(1, 51), rtol=1e-12)


@pytest.mark.parametrize("dt", [0.1, 3.0])
def test_ornstein_uhlenbeck_at_any_step(play, dt):
    """Stationary from the first step on: variance std^2 and autocorrelation exp(-s/tau), however coarse dt is."""
    std, tau, n, steps = 1.3, 4.0, 1500, round(12 / dt)
    units = Population("units", n, Rate(), noise=OrnsteinUhlenbeck(std, tau=tau * ms))
    x = play(network(units, Monitor(units, "noise"), steps=steps), dt * ms, trials=2)["units_noise"]
    for first in (x[:, 0], x[:, -1]):
        assert abs((first**2).mean() / std**2 - 1) < 4 * np.sqrt(2 / (2 * n))
    for lag in (1, steps // 2, steps - 1):
        got, expected = (x[:, 0] * x[:, lag]).mean() / std**2, np.exp(-lag * dt / tau)
        assert abs(got - expected) < 4 * np.sqrt((1 + expected**2) / (2 * n))
    assert abs((x[0, -1] * x[1, 0]).mean()) / std**2 < 4 / np.sqrt(n)  # trials that start anew are independent


def _released(play, release: Release, steps: int, every: int, n: int = 500, trials: int = 8) -> np.ndarray:
    """Release scores (trials, arrivals, n) of n synapses that each get a spike every so many steps."""
    times = np.arange(0, steps - 1, every)
    source = Population("source", n, SpikeSequence(np.tile(np.arange(n), times.size), np.repeat(times, n) * DT * ms))
    out = Population("out", n, Readout(tau=5 * ms))
    projection = Projection(source, out, 1.0, Delta(), OneToOne(), release=release, name="p")
    got = play(network(source, out, projection, Monitor(projection, "release_score"), steps=steps), DT * ms, trials)
    return got["p_release_score"][:, times + 1]


def test_release_with_facilitation(play):
    """p of the k-th of regular spikes = 1/(1 + exp(-q - c_k)), c_k = jump sum_{j=1}^{k-1} exp(-j T/tau)."""
    q, jump, tau, every = -1.0, 0.9, 20.0, 15
    score = _released(play, Release(q, facilitation=jump, tau_facilitation=tau * ms), 151, every)
    k = np.arange(score.shape[1])
    c = jump * np.array([np.exp(-np.arange(1, i + 1) * every * DT / tau).sum() for i in k])
    p = 1 / (1 + np.exp(-q - c))
    n = score.shape[0] * score.shape[2]
    rate = (score > 0).mean((0, 2))
    assert np.all(np.abs(rate - p) < 4 * np.sqrt(p * (1 - p) / n)), f"released {rate}, expected {p}"
    np.testing.assert_allclose(np.where(score > 0, 1 - score, -score), np.broadcast_to(p[:, None], score.shape), rtol=1e-12)
    assert p[-1] > 2 * p[0]


def test_release_with_recovery(play):
    """With a spike in every step and p near 1, gaps between releases are m steps with probability
    exp(-(m - 1) dt/tau) - exp(-m dt/tau)."""
    tau, s = 2.0, 2.0 / DT
    score = _released(play, Release(9.0, tau_recovery=tau * ms), 800, 1, n=40, trials=2)
    gaps = np.concatenate([np.diff(np.flatnonzero(score[t, :, u] > 0)) for t in range(2) for u in range(40)])
    assert gaps.size > 3000
    mean, p1 = 1 / -np.expm1(-1 / s), -np.expm1(-1 / s)
    assert abs(gaps.mean() - mean) < 4 * gaps.std() / np.sqrt(gaps.size)
    assert abs((gaps == 1).mean() - p1) < 4 * np.sqrt(p1 * (1 - p1) / gaps.size)


def test_poisson_trace_has_the_mean_and_variance_of_shot_noise(play):
    """A trace of Poisson spikes: mean p/(1 - a), variance p (1 - p)/(1 - a^2), a = exp(-dt/tau)."""
    n, steps, tau, rate = 400, 600, 10.0, 150.0
    source = Population("source", n, Poisson(rate * Hz))
    out = Population("out", n, Readout(tau=tau * ms))
    synapses = Projection(source, out, 1.0, Delta(), OneToOne())
    m = play(network(source, out, synapses, Monitor(out, "m"), steps=steps), DT * ms)["out_m"][0, 400:]
    a, p = np.exp(-DT / tau), -np.expm1(-rate * DT * 1e-3)
    for each, expected in ((m.mean(0), p / (1 - a)), (((m - p / (1 - a)) ** 2).mean(0), p * (1 - p) / (1 - a * a))):
        assert abs(each.mean() - expected) < 4 * each.std() / np.sqrt(n)

"""Neurons against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import LIF, AdaptiveThreshold, EquationNeuron, Pattern, Poisson, Rate, Readout, SpikeSequence
from neuroplast.synapses import Conductance, Current, Delta, Graded, OneToOne
from neuroplast.tasks import OpenLoop
from neuroplast.units import Hz, ms, mV

DT = 0.1  # ms
TAU, REST, THRESHOLD, RESET = 10.0, -60.0, -50.0, -58.0


def network(*nodes, steps: int) -> Network:
    net = Network("oracle", seed=1)
    for node in nodes:
        net.add(node)
    net.add(OpenLoop(steps=steps))
    return net


def lif(**more) -> LIF:
    return LIF(tau=TAU * ms, v_rest=REST * mV, v_threshold=THRESHOLD * mV, v_reset=RESET * mV, **more)


@pytest.mark.parametrize("refractory", [0.0, 2.0, 7.3])
def test_lif_rate_under_constant_drive(play, refractory):
    """f = 1/(t_ref + tau ln((D - V_reset)/(D - theta))), D = V_rest + drive; with whole steps, to the spike."""
    drives = np.array([9.0, 10.5, 12.0, 20.0, 40.0])
    cells = Population("cells", drives.size, lif(drive=drives * mV, refractory=refractory * ms))
    spikes = play(network(cells, Monitor(cells, "spikes"), steps=20000), DT * ms)["cells_spikes"][0]
    above = REST + drives
    with np.errstate(invalid="ignore"):
        climb = TAU * np.log((above - RESET) / (above - THRESHOLD))
    for k in range(drives.size):
        times = np.flatnonzero(spikes[:, k])
        if drives[k] < 10:
            assert times.size == 0
            continue
        period = round(refractory / DT) + int(np.floor(climb[k] / DT)) + 1  # the first step in which v is above threshold
        assert np.all(np.diff(times) == period)
        assert 1 / (np.diff(times).mean() * DT) == pytest.approx(1 / (refractory + climb[k]), rel=0.02)


def test_lif_membrane_is_exact_for_any_step(play):
    """v(t) = D + (v0 - D) exp(-t/tau): the same at 0.1 and at 5 ms steps."""
    for dt in (0.1, 5.0):
        cells = Population("cells", 1, lif(drive=8 * mV, v_initial=-70 * mV))
        v = play(network(cells, Monitor(cells, "v"), steps=round(50 / dt)), dt * ms)["cells_v"][0, :, 0] * 1e3
        t = dt * np.arange(1, v.size + 1)
        np.testing.assert_allclose(v, -52 + (-70 + 52) * np.exp(-t / TAU), rtol=1e-12)


def test_conductance_and_current_kernels(play):
    """A spike at t0 arrives one step later: g(t) = w exp(-(t - t0 - dt)/tau), and the sum of both for two."""
    source = Population("source", 1, SpikeSequence([0, 0], [1.0, 4.0] * ms))
    cells = Population("cells", 1, lif())
    g = Projection(source, cells, 0.3, Conductance(5 * ms, 0 * mV), name="g")
    i = Projection(source, cells, 2 * mV, Current(3 * ms), name="i")
    got = play(network(source, cells, g, i, Monitor(cells, "g_g"), Monitor(cells, "i_i"), steps=300), DT * ms)
    t = DT * np.arange(300)
    for name, weight, tau in (("cells_g_g", 0.3, 5.0), ("cells_i_i", 2e-3, 3.0)):
        kernel = sum(np.where(t > s + DT / 2, np.exp(-(t - s - DT) / tau), 0.0) for s in (1.0, 4.0))
        np.testing.assert_allclose(got[name][0, :, 0], weight * kernel, rtol=1e-12, atol=1e-18)


def test_conductance_steady_state(play):
    """A spike in every step holds g at w/(1 - exp(-dt/tau_s)); then v = (V_rest + g E)/(1 + g), reached with tau/(1 + g)."""
    steps, weight = 4000, 2e-4
    source = Population("source", 1, SpikeSequence(np.zeros(steps, int), DT * np.arange(steps) * ms))
    cells = Population("cells", 1, lif())
    synapses = Projection(source, cells, weight, Conductance(5 * ms, 0 * mV))
    net = network(source, cells, synapses, Monitor(cells, "v"), Monitor(cells, "g_source_cells"), steps=steps)
    got = play(net, DT * ms)
    g = weight / -np.expm1(-DT / 5.0)
    assert got["cells_g_source_cells"][0, -1, 0] == pytest.approx(g, rel=1e-12)
    v_inf = REST * 1e-3 / (1 + g)
    v = got["cells_v"][0, :, 0]
    assert v[-1] == pytest.approx(v_inf, rel=1e-12)
    late = np.log((v[801:1000] - v_inf) / (v[800:999] - v_inf))
    np.testing.assert_allclose(late, -DT / TAU * (1 + g), rtol=3e-4)


def test_adaptive_threshold(play):
    """theta(t) = v_threshold + sum over past spikes of jump exp(-(t - t_k)/tau)."""
    adaptation = AdaptiveThreshold(tau=30 * ms, jump=3 * mV)
    cells = Population("cells", 1, lif(drive=25 * mV, adaptation=adaptation))
    got = play(network(cells, Monitor(cells, "threshold"), Monitor(cells, "spikes"), steps=3000), DT * ms)
    theta, times = got["cells_threshold"][0, :, 0] * 1e3, np.flatnonzero(got["cells_spikes"][0, :, 0])
    expected = np.full(3000, THRESHOLD)
    for spike in times:
        later = np.arange(3000) - spike
        expected += np.where(later > 0, 3.0 * np.exp(-later * DT / 30.0), 0.0)
    np.testing.assert_allclose(theta, expected, rtol=1e-12)
    gaps = np.diff(times)
    assert times.size > 10 and gaps[0] < gaps[5] and abs(gaps[-1] - gaps[-2]) <= 1


def test_rate_unit_and_readout_step_response(play):
    source = Population("source", 1, Pattern([1.5]))
    unit, out = Population("unit", 1, Rate(tau=7 * ms)), Population("out", 1, Readout(tau=12 * ms))
    nodes = [source, unit, out, Projection(source, unit, 2.0, Graded()), Projection(source, out, 2.0, Graded())]
    got = play(network(*nodes, Monitor(unit, "rate"), Monitor(out, "m"), steps=500), DT * ms)
    t = DT * np.arange(1, 501)
    np.testing.assert_allclose(got["unit_rate"][0, :, 0], 3 * -np.expm1(-t / 7), rtol=1e-12)
    np.testing.assert_allclose(got["out_m"][0, :, 0], 3 * -np.expm1(-t / 12), rtol=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 2, 17])
def test_delay_is_exact_in_steps(play, steps):
    """A spike fired in step n arrives in step n + delay, and one step later at the earliest."""
    fired = np.array([0, 3, 4, 40])
    source = Population("source", 2, SpikeSequence(np.r_[np.zeros(4, int), 1], np.r_[fired, 10] * DT * ms))
    out = Population("out", 2, Readout(tau=1 * ms))
    delay = [steps * DT, (steps + 3) * DT] * ms
    nodes = [source, out, Projection(source, out, 1.0, Delta(), OneToOne(), delay=delay), Monitor(out, "m")]
    m = play(network(*nodes, steps=100), DT * ms)["out_m"][0]
    jumps = m - np.vstack([np.zeros(2), m[:-1] * np.exp(-DT / 1.0)])
    np.testing.assert_array_equal(np.flatnonzero(np.round(jumps[:, 0])), fired + max(steps, 1))
    np.testing.assert_array_equal(np.flatnonzero(np.round(jumps[:, 1])), [10 + steps + 3])


def test_poisson_counts(play):
    """Counts of n steps are binomial: mean n p and variance n p (1 - p), p = 1 - exp(-rate dt)."""
    rates = np.repeat([20.0, 200.0, 2000.0], 100)
    cells = Population("cells", 300, Poisson(rates * Hz))
    counts = play(network(cells, Monitor(cells, "spikes"), steps=500), 0.2 * ms, trials=8)["cells_spikes"].sum(1, dtype=float)
    p = -np.expm1(-rates * 0.2e-3)
    for group in np.split(np.arange(300), 3):
        mean, variance, n = 500 * p[group[0]], 500 * p[group[0]] * (1 - p[group[0]]), group.size * 8
        assert abs(counts[:, group].mean() - mean) < 4 * np.sqrt(variance / n)
        assert abs(counts[:, group].var() / variance - 1) < 4 * np.sqrt(2 / n)


def test_exponential_euler_is_exact_for_linear_equations(play):
    """dx/dt = (b - x)/tau at a coarse step, where Euler is far off."""
    text = "dx/dt = (b - x)/tau : 1\nb : 1\ntau : second"
    for method, exact in (("exponential_euler", True), ("euler", False)):
        neuron = EquationNeuron(text, parameters={"b": 2.0, "tau": 5 * ms}, initial={"x": -1.0}, method=method, output="x")
        cells = Population("cells", 1, neuron)
        x = play(network(cells, Monitor(cells, "x"), steps=20), 2 * ms)["cells_x"][0, :, 0]
        expected = 2 - 3 * np.exp(-2 * np.arange(1, 21) / 5)
        assert np.allclose(x, expected, rtol=1e-12) == exact


def test_equations_and_lif_are_the_same_neuron(play):
    """A LIF written as equations (exponential Euler, held while refractory: a step less, as Brian2 counts) fires in the same steps."""
    text = "dv/dt = (E - v + drive)/tau : volt (unless refractory)\nE : volt\ndrive : volt\ntau : second"
    written = EquationNeuron(
        text, threshold="v > -50*mV", reset="v = -58*mV", refractory=(2 + DT) * ms, method="exponential_euler",
        parameters={"E": REST * mV, "drive": [11.0, 15.0, 30.0] * mV, "tau": TAU * ms}, initial={"v": REST * mV},
    )
    own, other = Population("own", 3, lif(drive=[11.0, 15.0, 30.0] * mV, refractory=2 * ms)), Population("other", 3, written)
    got = play(network(own, other, Monitor(own, "spikes"), Monitor(other, "spikes"), steps=2000), DT * ms)
    assert got["own_spikes"].sum() > 30
    np.testing.assert_array_equal(got["own_spikes"], got["other_spikes"])

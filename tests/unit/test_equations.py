"""Equations of EquationNeuron: reading, units, statements, and what they become in discrete time."""

from __future__ import annotations

import numpy as np
import pytest

from neuroplast.backends.reference import Recorder, Reference
from neuroplast.equations import Equations
from neuroplast.errors import DescriptionError, UnitsError
from neuroplast.ir.discretize import discretize
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import EquationNeuron, Pattern
from neuroplast.node import Normal, Uniform
from neuroplast.noise import Frozen
from neuroplast.synapses import Graded, OneToOne
from neuroplast.tasks import OpenLoop
from neuroplast.units import ms, mV, nS, second


def parse(text: str, parameters: dict | None = None, initial: dict | None = None) -> Equations:
    return Equations.parse(text, parameters or {}, initial or {}, None)


def play(neuron: EquationNeuron, *watch: str, size: int = 2, steps: int = 50, dt=0.1 * ms, noise=None, given=None) -> dict:
    network = Network("equations", seed=4)
    cells = network.add(Population("cells", size, neuron, noise))
    if given is not None:
        source = network.add(Population("source", size, Pattern(given[1])))
        network.add(Projection(source, cells, 1.0 if len(given) == 2 else given[2], Graded(given[0]), OneToOne()))
    for variable in watch:
        network.add(Monitor(cells, variable))
    network.add(OpenLoop(steps=steps))
    program = discretize(network, dt)
    recorder = Recorder(program.recordings, {r.name: {0} for r in program.recordings}, 1)
    executable = Reference().prepare(program)
    executable.run(1, recorder)
    return {v: recorder.results[f"cells_{v}"][0] for v in watch} | {"arrays": executable.arrays}


def test_lines_kinds_comments_and_semicolons():
    e = parse("""
        dv/dt = (drive - v)/tau : volt  # the membrane
        drive = E + extra : volt; extra = 2*mV : volt
        E : volt (constant)
        tau : second
        # a comment alone
        dw/dt=-w/tau:1
    """)
    assert list(e.differential) == ["v", "w"] and list(e.parameters) == ["E", "tau"]
    assert list(e.subexpressions) == ["extra", "drive"], "a subexpression comes after those that it uses"
    assert e.names == {"v", "w", "drive", "extra", "E", "tau"}


def test_units_become_si_numbers():
    e = parse("dv/dt = (5*mV - v)/(2*ms) : volt", initial={"v": -60 * mV})
    assert e.differential["v"].numpy({"v": 0.001}) == pytest.approx(2.0)
    assert float(e.initial["v"]) == pytest.approx(-0.06)
    g = parse("dg/dt = -g/tau : siemens\ntau : second", {"tau": 5 * ms}, {"g": Uniform(0 * nS, 2 * nS)})
    assert float(g.parameters["tau"]) == pytest.approx(0.005) and g.initial["g"].high == pytest.approx(2e-9)


@pytest.mark.parametrize(
    "right",
    [
        "alpha*(1 - x) - x/(1*ms)",
        "(0.1*(v + 40*mV)/mV/(exp((v + 40*mV)/(10*mV)) - 1) - x)/ms",
        "1/(v - u)*mV/ms",
        "sqrt(v*v)/mV/ms",
        "where(v > u, x, 2)/ms",
        "int(v > u)/ms",
        "clip(x, 0, 1)*sigmoid(v/mV)/ms",
        "floor(x)*sign(v)/ms",
        "maximum(v, u)/(volt*second)",
        "(v/mV)**2*x/ms",
        "tanh(x)*cos(x)/dt",
        "(v > u and x < 1)*x/ms",
    ],
)
def test_units_that_fit(right: str):
    parse(f"dx/dt = {right} : 1\nv : volt\nu : volt\nalpha : hertz")


@pytest.mark.parametrize(
    "right",
    [
        "x",
        "v/ms",
        "(x + v)/ms",
        "exp(v)/ms",
        "sigmoid(v)/ms",
        "where(v > 1, x, 2)/ms",
        "floor(v)/ms",
        "clip(v, 0, 1)/ms",
        "tanh(x)/mV",
        "maximum(v, x)/ms",
        "x**v/ms",
    ],
)
def test_units_that_do_not_fit(right: str):
    with pytest.raises(UnitsError):
        parse(f"dx/dt = {right} : 1\nv : volt")


@pytest.mark.parametrize(
    "statement", ["v = -60*mV", "v += 2*mV", "v -= d", "v *= 2", "v /= 3", "v = c; u += d", "v=c\nu=-u", "u = v*0 + d"]
)
def test_resets(statement: str):
    e = parse("dv/dt = (u - v)/(1*ms) : volt\ndu/dt = -u/(1*ms) : volt\nc : volt\nd : volt")
    e.check_statements("v > 20*mV or u < -1*volt", statement, None)
    names = {name for name, _ in e.reset_statements(statement, None)}
    assert names <= {"v", "u"}


@pytest.mark.parametrize(
    ("threshold", "reset"),
    [
        ("v > 5", ""),
        ("v", ""),
        ("v > tau", ""),
        ("x > 1*mV", ""),
        ("v > 1*mV", "v"),
        ("v > 1*mV", "v == 2*mV"),
        ("v > 1*mV", "v = 2"),
        ("v > 1*mV", "v = 3*ms"),
        ("v > 1*mV", "tua = 2*ms"),
        ("v > 1*mV", "v += tau"),
        ("v > 1*mV", "sub = 1*mV"),
        ("v > 1*mV and", ""),
    ],
)
def test_statements_that_mean_nothing(threshold: str, reset: str):
    e = parse("dv/dt = sub/tau : volt\nsub = -v : volt\ntau : second")
    with pytest.raises(DescriptionError):
        e.check_statements(threshold, reset, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x : 1",
        "dv/dt = -v/(1*ms)",
        "v = 3",
        "dv/dt : volt",
        "dv/dt = -v/(1*ms) : volt\nv : volt",
        "di/dt = 1/(1*ms) : 1",
        "dmV/dt = 1/ms : 1",
        "dpi/dt = 1/ms : 1",
        "dsqrt/dt = 1/ms : 1",
        "d_v/dt = 1/ms : 1",
        "dv/dt = -v/(1*ms) : volt (shared)",
        "tau : second (unless refractory)\ndv/dt = 1/tau : 1",
        "dv/dt = __import__('os') : 1",
        "dv/dt = a/(1*ms) : 1\na = b : 1\nb = a : 1",
        "dv/dt = -v/ms : nonsense",
    ],
)
def test_equations_that_cannot_be_read(text: str):
    with pytest.raises(DescriptionError):
        parse(text)


def test_euler_step_uses_the_old_values_of_all_variables():
    neuron = EquationNeuron("dx/dt = y/(1*ms) : 1\ndy/dt = -x/(1*ms) : 1", initial={"x": 1.0, "y": 0.0}, output="x")
    got = play(neuron, "x", "y", steps=3)
    x, y = 1.0, 0.0
    for n in range(3):
        x, y = x + 0.1 * y, y - 0.1 * x
        assert got["x"][n, 0] == pytest.approx(x) and got["y"][n, 0] == pytest.approx(y)


def test_subexpressions_are_seen_after_the_step():
    neuron = EquationNeuron("dx/dt = -r/(1*ms) : 1\nr = 2*x + s : 1\ns = x**2 : 1", initial={"x": 1.0}, output="r")
    got = play(neuron, "x", "r", "s", steps=5)
    np.testing.assert_allclose(got["r"], 2 * got["x"] + got["x"] ** 2)
    np.testing.assert_allclose(got["s"], got["x"] ** 2)


def test_unless_refractory_holds_that_variable_only():
    neuron = EquationNeuron(
        "dv/dt = 20*mV/ms : volt (unless refractory)\ndw/dt = 1/ms : 1",
        threshold="v > 9*mV",
        reset="v = 0*mV",
        refractory=1 * ms,
    )
    got = play(neuron, "v", "w", "spikes", steps=60)
    fired = np.flatnonzero(got["spikes"][:, 0])
    assert np.all(np.diff(fired) == 5 + 9), "five steps of 2 mV, and nine held: free in the step that begins 1 ms later"
    for n in fired[:-1]:
        assert np.all(got["v"][n : n + 10, 0] == 0) and got["v"][n + 10, 0] > 0
    np.testing.assert_allclose(np.diff(got["w"][:, 0]), 0.1)


def test_refractory_without_the_flag_only_silences():
    neuron = EquationNeuron("dv/dt = 20*mV/ms : volt", threshold="v > 9*mV", refractory=1 * ms)
    got = play(neuron, "v", "spikes", steps=40)
    fired = np.flatnonzero(got["spikes"][:, 0])
    assert np.all(np.diff(fired) == 10) and np.all(np.diff(got["v"][:, 0]) > 0)


def test_noise_takes_the_unit_that_fits():
    values = np.random.default_rng(0).normal(size=(50, 2))
    volts = EquationNeuron("dv/dt = (noise - v)/(1*ms) : volt", output="v")
    plain = EquationNeuron("dv/dt = (noise*1*mV - v)/(1*ms) : volt", output="v")
    a = play(volts, "v", noise=Frozen(values * mV))["v"]
    b = play(plain, "v", noise=Frozen(values))["v"]
    np.testing.assert_allclose(a, b, rtol=1e-12)
    with pytest.raises(UnitsError, match="units in 'v"):
        play(volts, "v", noise=Frozen(values))
    with pytest.raises(UnitsError, match="units in 'v"):
        play(plain, "v", noise=Frozen(values * mV))


def test_graded_input_fills_its_parameter_in_each_step():
    neuron = EquationNeuron("dx/dt = (I - x)/(1*ms) : 1\nI : 1", method="exponential_euler", output="x")
    got = play(neuron, "x", "I", given=("I", [1.0, -2.0]))
    np.testing.assert_allclose(got["I"], np.broadcast_to([1.0, -2.0], (50, 2)))
    np.testing.assert_allclose(got["x"][:, 0], 1 - np.exp(-0.1 * np.arange(1, 51)), rtol=1e-12)


def test_drawn_parameters_and_starts_follow_from_the_seed():
    neuron = EquationNeuron(
        "dx/dt = (b - x)/tau : 1\nb : 1\ntau : second",
        parameters={"b": Normal(0.0, 1.0), "tau": Uniform(0.001 * second, 9 * ms)},
        initial={"x": Uniform(-1.0, 1.0)},
        output="x",
    )
    first, second_ = (play(neuron, "x", "b", size=200, steps=2) for _ in range(2))
    np.testing.assert_array_equal(first["x"], second_["x"])
    assert np.unique(first["x"][0]).size == 200 and abs(first["b"][0].std() - 1) < 0.3


@pytest.mark.parametrize(
    "right", ["-abs(x)", "-maximum(x, 0)", "-x**2", "-tanh(x)", "-where(x > 30, x, 2*x)", "-floor(x)", "-int(x)", "-x*abs(x)"]
)
def test_exponential_euler_refuses_what_is_not_linear(right: str):
    neuron = EquationNeuron(f"dx/dt = ({right})/(1*ms) : 1", method="exponential_euler", output="x")
    with pytest.raises(DescriptionError, match="not linear in x"):
        play(neuron, "x")


@pytest.mark.parametrize("right", ["-x", "y - x*y", "-x*abs(y)", "2", "where(y > 0, -x, 3*x)", "-(x + 1)*y**2/4"])
def test_exponential_euler_takes_what_is_linear(right: str):
    neuron = EquationNeuron(f"dx/dt = ({right})/(1*ms) : 1\ny : 1", parameters={"y": 0.7}, method="exponential_euler", output="x")
    assert np.all(np.isfinite(play(neuron, "x")["x"]))


@pytest.mark.parametrize("refractory", [0, 1, 2, 5])
@pytest.mark.parametrize("flag", ["", " (unless refractory)"])
def test_refractory_steps_are_those_of_brian2(refractory: int, flag: str):
    import brian2

    brian2.prefs.codegen.target = "numpy"
    clock = brian2.Clock(1 * brian2.ms)
    text = f"dv/dt = 1.0/(2*ms) : 1{flag}"
    cells = brian2.NeuronGroup(
        1, text, threshold="v > 1.9", reset="v = 0", refractory=refractory * brian2.ms, method="euler", clock=clock,  # type: ignore[arg-type]
    )
    monitor = brian2.SpikeMonitor(cells)
    brian2.Network(cells, monitor).run(40 * brian2.ms)
    neuron = EquationNeuron(text, threshold="v > 1.9", reset="v = 0", refractory=refractory * ms)
    spikes = play(neuron, "spikes", size=1, steps=40, dt=1 * ms)["spikes"]
    assert np.flatnonzero(spikes[:, 0]).tolist() == np.rint(np.asarray(monitor.t / brian2.ms)).astype(int).tolist()

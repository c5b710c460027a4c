"""NIR there and back: the same file, the same spikes."""

# pyright: reportMissingImports=false
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuroplast import LIF, Current, Delta, Network, Population, Projection, Rate, Readout, SpikeSequence, White
from neuroplast.backends.reference import Reference
from neuroplast.errors import DescriptionError, LoweringError
from neuroplast.ir.discretize import discretize
from neuroplast.node import Normal, Uniform
from neuroplast.quantize.by_hand import trace
from neuroplast.units import ms, mV

nir = pytest.importorskip("nir", reason="nir is an extra")
from neuroplast.nir import from_nir, to_nir  # noqa: E402

SPIKES = SpikeSequence(np.repeat(np.arange(6), 12), np.sort(np.random.default_rng(0).uniform(1, 95, 72).round()) * ms)


def written() -> Network:
    """Two layers, recurrent, with every synapse that NIR can say, and delays."""
    network = Network("written", seed=4)
    given = network.add(Population("given", 6, SPIKES))
    cell = {"v_threshold": -50 * mV, "v_reset": -60 * mV, "drive": Uniform(0 * mV, 4 * mV), "v_initial": -60 * mV}
    mixed = network.add(Population("mixed", 5, LIF(tau=np.linspace(10, 20, 5) * ms, v_rest=-58 * mV, **cell)))
    cuba = network.add(Population("cuba", 4, LIF(tau=12 * ms, v_rest=-60 * mV, **cell)))
    output = network.add(Population("output", 2, Readout(tau=15 * ms)))
    add = lambda *a, **k: network.add(Projection(*a, **k))
    add(given, mixed, Normal(5 * mV, 4 * mV), Delta(), name="jumps")
    add(given, mixed, Normal(20 * mV, 9 * mV), Current(tau=3 * ms), name="slow", delay=4 * ms)
    add(mixed, mixed, Normal(0 * mV, 9 * mV), Current(tau=6 * ms), name="recurrent", delay=2 * ms)
    add(mixed, cuba, Normal(25 * mV, 9 * mV), Current(tau=5 * ms), name="on", delay=3 * ms)
    add(given, cuba, Normal(15 * mV, 9 * mV), Current(tau=5 * ms), name="past", delay=1 * ms)
    add(cuba, output, Normal(0.0, 1.0), Delta(), name="out")
    add(mixed, output, Normal(0.0, 1.0), Current(tau=7 * ms), name="smooth")
    return network


def values(network: Network) -> dict[str, np.ndarray]:
    program = discretize(network, 1 * ms, 120 * ms)
    return trace(program, Reference(), ("mixed_spikes", "cuba_spikes", "mixed_v", "cuba_v", "output_m"))


def test_there_and_back(tmp_path: Path):
    graph, notes = to_nir(written(), tmp_path / "net.nir")
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    assert (kinds["mixed"], kinds["cuba"], kinds["output"], kinds["given"]) == ("LIF", "CubaLIF", "LI", "Input")
    assert kinds["slow_current"] == "LI" and kinds["slow_delay"] == "Delay" and "past_current" not in kinds
    assert [(n.node, n.what) for n in notes] == [("given", "SpikeSequence spikes")]
    before, after = values(written()), values(from_nir(tmp_path / "net.nir", inputs={"given": SPIKES}))
    assert before["mixed_spikes"].sum() > 10 and before["cuba_spikes"].sum() > 10
    for name, value in before.items():
        assert np.allclose(value, after[name], rtol=1e-9, atol=1e-12), name


def test_a_graph_of_another_tool():
    """NIR's own numbers: a pulse through weight w moves v by r w / tau; a bias is a constant current."""
    one = np.ones(2)
    graph = nir.NIRGraph(
        {
            "in": nir.Input(np.array([1])), "w": nir.Affine(weight=np.array([[0.02], [0.01]]), bias=np.array([0.0, 0.3])),
            "lif": nir.LIF(tau=0.02 * one, r=2 * one, v_leak=0 * one, v_threshold=50 * one, v_reset=0 * one),
            "out": nir.Output(np.array([2])),
        },
        [("in", "w"), ("w", "lif"), ("lif", "out")],
    )
    network = from_nir(graph, inputs={"in": SpikeSequence([0], [0] * ms)})
    v = trace(discretize(network, 1 * ms, 3 * ms), Reference(), ("lif_v",))["lif_v"]
    a = np.exp(-1 / 20)
    assert np.allclose(v[0], [0.0, 0.6 * (1 - a)])
    assert np.allclose(v[1], [2.0 * a, (0.6 * (1 - a) + 1.0) * a + 0.6 * (1 - a)])  # 2 x 0.02 / 0.02 and 2 x 0.01 / 0.02


def test_what_is_left_out_and_what_is_refused():
    network = Network("rich", seed=1)
    cells = LIF(tau=10 * ms, v_rest=0 * mV, v_threshold=9 * mV, v_reset=0 * mV, refractory=2 * ms)
    network.add(Population("cells", 3, cells, White(1 * mV)))
    notes = to_nir(network)[1]
    assert {n.what for n in notes} == {"noise (White)", "refractory period", "start of v"}
    network.add(Population("rates", 3, Rate(transfer="relu")))
    with pytest.raises(LoweringError, match="Rate 'rates'"):
        to_nir(network)


@pytest.mark.parametrize("wrong", ["node", "input", "leak"])
def test_graphs_that_cannot_be_read(wrong: str):
    one = np.ones(2)
    nodes = {"in": nir.Input(np.array([2])), "w": nir.Linear(weight=np.eye(2)), "li": nir.LI(tau=one, r=one, v_leak=0 * one)}
    if wrong == "node":
        nodes["other"] = nir.Threshold(threshold=one)
    if wrong == "leak":
        nodes["li"] = nir.LI(tau=one, r=one, v_leak=one)
    graph = nir.NIRGraph(nodes, [("in", "w"), ("w", "li")], type_check=False)
    with pytest.raises(DescriptionError, match={"node": "Threshold", "input": "no Input 'spikes'", "leak": "zero"}[wrong]):
        from_nir(graph, inputs={"spikes": SPIKES} if wrong == "input" else None)

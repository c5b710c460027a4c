"""Integer programs against Lava's own fixed-point processes, over random networks: u, v and spikes in every step, bit for bit."""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOptionalSubscript=false
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuroplast.backends.lava import Lava
from neuroplast.backends.lava.inprocess import InProcess
from neuroplast.backends.lava.stock import stock_models
from neuroplast.backends.reference import Reference
from neuroplast.quantize import IntegerCurrent, IntegerNeuron
from neuroplast.quantize.by_hand import Connection, integer_program, state_names, trace

sys.path.insert(0, str(Path(__file__).parent))
from processes import LIF, Dense, RingBuffer

STEPS = 25


def stock(spikes: np.ndarray, neurons: dict[str, IntegerNeuron], connections: dict[str, Connection]) -> dict[str, np.ndarray]:
    """The same network of Lava's own processes and models: name of an array -> (steps, size)."""
    from lava.utils.weightutils import SignMode

    made = {"input": RingBuffer(data=spikes.astype(int))}
    for name, n in neurons.items():
        current = n.currents[0]
        made[name] = LIF(
            shape=n.dv.shape, du=int(current.du[0]), dv=int(n.dv[0]), vth=int(n.vth[0]), bias_mant=n.bias_mantissa.astype(int),
            bias_exp=n.bias_exponent,
        )
    dense = []
    for c in connections.values():
        d = Dense(weights=c.weights, weight_exp=c.exponent, sign_mode=SignMode[c.mode.upper()], num_weight_bits=8)
        made[c.pre].s_out.connect(d.s_in)
        d.a_out.connect(made[c.post].a_in)
        dense.append(d)
    found: dict[str, list[np.ndarray]] = {name: [] for name in state_names(neurons)}
    with InProcess(stock_models([*made.values(), *dense], "fixed")) as network:
        for _ in range(spikes.shape[1]):
            network.run(1)
            for name in neurons:
                model = network.models[made[name]]
                found[f"{name}_u0_counts"].append(model.u.copy())
                found[f"{name}_v_counts"].append(model.v.copy())
                found[f"{name}_spikes"].append(model.s_out_buff.copy())
    return {name: np.array(rows) for name, rows in found.items()}


@st.composite
def networks(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, IntegerNeuron], dict[str, Connection]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = {"input": draw(st.integers(1, 5)), "a": draw(st.integers(1, 6)), "b": draw(st.integers(1, 4))}
    connections = {}
    for name, pre, post in (("in_a", "input", "a"), ("a_a", "a", "a"), ("a_b", "a", "b"), ("in_b", "input", "b")):
        mode = draw(st.sampled_from(["mixed", "excitatory", "inhibitory"]))
        low, high, step = {"mixed": (-128, 127, 2), "excitatory": (0, 255, 1), "inhibitory": (-255, 0, 1)}[mode]
        weights = step * rng.integers(low, high, (sizes[post], sizes[pre]), endpoint=True)
        connections[name] = Connection(pre, post, weights, draw(st.integers(-8, 7)), mode)
    inputs = {"a": ("in_a", "a_a"), "b": ("a_b", "in_b")}
    neurons = {}
    for name in ("a", "b"):
        full = lambda value, n=sizes[name]: np.full(n, float(value))
        neurons[name] = IntegerNeuron(
            full(draw(st.sampled_from([0, 4095]) | st.integers(0, 4095))), rng.integers(-4096, 4096, sizes[name]).astype(float),
            draw(st.integers(0, 7)), full(draw(st.integers(0, 131071) | st.integers(0, 600))),
            (IntegerCurrent(full(draw(st.sampled_from([0, 4095]) | st.integers(0, 4095))), inputs[name]),),
        )
    return rng.random((sizes["input"], STEPS)) < draw(st.floats(0.05, 0.9)), neurons, connections


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(networks())
def test_equal_to_lavas_fixed_point_processes(network: tuple[np.ndarray, dict[str, IntegerNeuron], dict[str, Connection]]):
    spikes, neurons, connections = network
    expected = stock(spikes, neurons, connections)
    got = trace(integer_program(spikes, neurons, connections), Reference(), tuple(state_names(neurons)))
    for name in expected:
        assert np.array_equal(got[name], expected[name]), name


def test_the_lava_target_has_the_same_bits():
    """Our own Lava processes, given the integer program, beside Lava's LIF and Dense."""
    rng = np.random.default_rng(3)
    full = lambda value, n: np.full(n, float(value))
    neurons = {"a": IntegerNeuron(full(300, 7), full(900, 7), 4, full(2000, 7), (IntegerCurrent(full(400, 7), ("in_a", "a_a")),))}
    connections = {
        "in_a": Connection("input", "a", 2 * rng.integers(-128, 128, (7, 5)), 2),
        "a_a": Connection("a", "a", 2 * rng.integers(-128, 128, (7, 7)), -1),
    }
    spikes = rng.random((5, 80)) < 0.4
    expected = stock(spikes, neurons, connections)
    got = trace(integer_program(spikes, neurons, connections), Lava(), tuple(state_names(neurons)))
    assert expected["a_spikes"].any()
    for name in expected:
        assert np.array_equal(got[name], expected[name]), name

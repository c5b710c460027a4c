"""Integer neurons and synapses beside Brian2Loihi, an independent emulator of the chip: voltage and spikes of every step, bit for bit.

C. Michaelis, A. B. Lehr, W. Oed, C. Tetzlaff: Brian2Loihi: An emulator for the neuromorphic chip Loihi using the spiking neural network
simulator Brian. Front Neuroinform 16:1015624 (2022), 10.3389/fninf.2022.1015624. It shifts each weight where Lava shifts their sum, so
weight exponents here are not negative; it does not wrap or clip, so weights here are such that neither happens.
"""

# The emulator has no annotations:
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportOptionalSubscript=false
from __future__ import annotations

import numpy as np
import pytest

from neuroplast.backends.reference import Reference
from neuroplast.quantize import IntegerCurrent, IntegerNeuron
from neuroplast.quantize.by_hand import Connection, integer_program, trace

STEPS = 60
MODES = {"mixed": 1, "excitatory": 2, "inhibitory": 3}


def emulated(
    spikes: np.ndarray, neurons: dict[str, IntegerNeuron], connections: dict[str, Connection]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Brian2Loihi's (v, spikes) of each population, (steps, size) each. An input spike is given a step later: there is no axon."""
    import brian2
    from brian2_loihi import LoihiNetwork, LoihiNeuronGroup, LoihiSpikeGeneratorGroup, LoihiSpikeMonitor, LoihiStateMonitor, LoihiSynapses

    unit, step = np.nonzero(spikes)
    before = brian2.prefs.codegen.target, brian2.defaultclock.dt  # the emulator sets the clock, for all of Brian2
    brian2.prefs.codegen.target = "numpy"
    try:
        made = {"input": LoihiSpikeGeneratorGroup(len(spikes), unit, step + 1)}
        for name, n in neurons.items():
            made[name] = LoihiNeuronGroup(
                n.dv.size, refractory=1, threshold_v_mant=int(n.vth[0]), decay_v=int(n.dv[0]), decay_I=int(n.currents[0].du[0]) + 1
            )
        synapses = []
        for c in connections.values():
            s = LoihiSynapses(made[c.pre], made[c.post], w_exp=c.exponent, sign_mode=MODES[c.mode])
            post, pre = np.indices(c.weights.shape)
            s.connect(i=pre.ravel(), j=post.ravel())
            s.w = c.weights.ravel()
            synapses.append(s)
        voltages = {name: LoihiStateMonitor(made[name], "v") for name in neurons}
        fired = {name: LoihiSpikeMonitor(made[name]) for name in neurons}
        LoihiNetwork(*made.values(), *synapses, *voltages.values(), *fired.values()).run(STEPS)
    finally:
        brian2.prefs.codegen.target, brian2.defaultclock.dt = before
    found = {}
    for name, n in neurons.items():
        raster = np.zeros((STEPS, n.dv.size))
        raster[np.rint(1e3 * np.asarray(fired[name].t_)).astype(int), np.asarray(fired[name].i)] = 1.0
        found[name] = np.asarray(voltages[name].v).T, raster
    return found


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_brian2loihi(seed: int):
    pytest.importorskip("brian2_loihi", reason="Brian2Loihi is not installed: pip install --no-deps brian2-loihi==0.5.2")
    rng = np.random.default_rng(seed)
    sizes = {"input": 5, "a": 6, "b": 3}
    neurons, connections = {}, {}
    for name, pre, post in (("in_a", "input", "a"), ("a_a", "a", "a"), ("a_b", "a", "b"), ("in_b", "input", "b")):
        mode = str(rng.choice(["mixed", "excitatory"] if pre == "input" else list(MODES)))
        low, high, grid = {"mixed": (-60, 127, 2), "excitatory": (0, 255, 1), "inhibitory": (-255, 0, 1)}[mode]
        weights = grid * rng.integers(low, high, (sizes[post], sizes[pre]), endpoint=True)
        connections[name] = Connection(pre, post, weights, int(rng.integers(0, 4)), mode)
    for name, inputs in (("a", ("in_a", "a_a")), ("b", ("a_b", "in_b"))):
        full = lambda value, n=sizes[name]: np.full(n, float(value))
        du, dv, vth = (rng.integers(100, 4096), rng.integers(1, 4096), rng.integers(1, 400))
        neurons[name] = IntegerNeuron(full(dv), full(0), 0, full(vth), (IntegerCurrent(full(du), inputs),))
    spikes = rng.random((sizes["input"], STEPS)) < 0.3
    expected = emulated(spikes, neurons, connections)
    names = tuple(f"{name}_{what}" for name in neurons for what in ("v_counts", "spikes"))
    got = trace(integer_program(spikes, neurons, connections), Reference(), names)
    assert any(got[f"{name}_spikes"].any() for name in neurons) and max(np.abs(got[n]).max() for n in names) < 2**23 - 1
    for name, (v, fired) in expected.items():
        assert np.array_equal(got[f"{name}_spikes"], fired), name
        assert np.array_equal(got[f"{name}_v_counts"], v), name

"""Integer programs: equal to a recorded Loihi 2 chip, the same on every target, and close to the float program they come from."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from neuroplast.backends.compiled import Compiled
from neuroplast.backends.cpp.build import find_compiler
from neuroplast.backends.reference import Reference
from neuroplast.backends.targets import Target
from neuroplast.quantize import IntegerCurrent, IntegerNeuron, IntegerWeights, QuantizationError
from neuroplast.quantize.by_hand import Connection, integer_program, state_names, trace

TARGETS = [pytest.param(Reference(), id="reference"), pytest.param(Compiled(), id="compiled", marks=pytest.mark.skipif(
    find_compiler() is None, reason="no C++ compiler"
))]

# A Loihi 2 running one neuron (du=4095, dv=163, vth=25) behind one synapse of weight 10: the trace of the chip that is published with
# the NIR paper (10.1038/s41467-024-52259-9, BSD-3), steps counted from 0
CHIP_INPUT = (
    60, 220, 270, 310, 320, 350, 370, 400, 410, 430, 440, 450, 460, 470, 480, 490, 500, 510, 520, 530, 670, 680, 690, 700, 710, 720,
    730, 740, 750, 760, 770, 780, 840, 850,
)
CHIP_SPIKES = (461, 511, 711, 761)
CHIP_VOLTAGE = (  # one step after each input; None where it fired (the chip's probe shows 128 then)
    640, 640, 712, 770, 1149, 972, 1065, 946, 1266, 1194, 1431, 1589, None, 640, 1062, 1343, 1530, None, 640, 1062, 640, 1062, 1343,
    1530, None, 640, 1062, 1343, 1530, None, 640, 1062, 722, 1117,
)
CHIP_DECAY = (640, 614, 589, 565, 542, 520, 499, 479)
SHA256 = "078298c85696df3fd784b4689d940920a33a9beb053c14eeac65f4bb8b7b98d1"
"""Of the voltage of all 1000 steps as little-endian 32-bit integers."""


def neuron(n: int, du: int, dv: int, vth: int, inputs: tuple[str, ...], bias: int = 0, exponent: int = 0) -> IntegerNeuron:
    full = lambda value: np.full(n, float(value))
    return IntegerNeuron(full(dv), full(bias), exponent, full(vth), (IntegerCurrent(full(du), inputs),))


@pytest.mark.parametrize("target", TARGETS)
def test_equals_a_loihi_2(target: Target):
    spikes = np.zeros((1, 1000), bool)
    spikes[0, list(CHIP_INPUT)] = True
    program = integer_program(spikes, {"cell": neuron(1, 4095, 163, 25, ("w",))}, {"w": Connection("input", "cell", np.array([[10]]))})
    got = trace(program, target, ("cell_v_counts", "cell_spikes"))
    v = got["cell_v_counts"][:, 0]
    assert tuple(np.flatnonzero(got["cell_spikes"][:, 0])) == CHIP_SPIKES
    for step, expected in zip(CHIP_INPUT, CHIP_VOLTAGE, strict=True):
        assert v[step + 1] == (0 if expected is None else expected)
    assert tuple(v[61 : 61 + len(CHIP_DECAY)]) == CHIP_DECAY
    assert hashlib.sha256(v.astype("<i4").tobytes()).hexdigest() == SHA256


@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
@pytest.mark.parametrize("seed", range(3))
def test_same_bits_on_every_target(seed: int):
    """Large weights and slow decays, so that currents wrap around and voltages are clipped."""
    rng = np.random.default_rng(seed)
    neurons = {
        "a": neuron(9, 200, 300, 9000, ("in_a", "a_a"), 1234, 3), "b": neuron(4, 4095, 60, 131071, ("a_b",), -77, 7),
    }
    connections = {
        "in_a": Connection("input", "a", 2 * rng.integers(-128, 128, (9, 6)), 7),
        "a_a": Connection("a", "a", 2 * rng.integers(-128, 128, (9, 9)), -3),
        "a_b": Connection("a", "b", rng.integers(0, 256, (4, 9)), 5, "excitatory"),
    }
    program = integer_program(rng.random((6, 300)) < 0.3, neurons, connections)
    names = (*state_names(neurons), "a_peak", "b_peak")
    one, other = (trace(program, target, names) for target in (Reference(), Compiled()))
    assert one["a_spikes"].any() and one["b_spikes"].any() and one["a_peak"].max() > 2**23
    for name in names:
        assert np.array_equal(one[name], other[name]), name


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: neuron(3, 4096, 0, 1, ()).check("x"), "du of current 0 of neuron 0"),
        (lambda: neuron(3, 0, 0, 131072, ()).check("x"), "vth of neuron 0"),
        (lambda: neuron(3, 0, 0, 1, (), 4096).check("x"), "bias mantissa of neuron 0"),
        (lambda: neuron(3, 0, 0, 1, (), 1, 8).check("x"), "bias exponent"),
        (lambda: IntegerWeights(np.array([2.0, 3.0]), 0, "mixed").check("x"), "synapse 1 of 'x'"),
        (lambda: IntegerWeights(np.array([256.0]), 0, "excitatory").check("x"), "0 to 255"),
        (lambda: IntegerWeights(np.array([2.0]), 8, "mixed").check("x"), "exponent"),
    ],
)
def test_numbers_that_the_chip_does_not_have(wrong, message: str):
    with pytest.raises(QuantizationError, match=message):
        wrong()

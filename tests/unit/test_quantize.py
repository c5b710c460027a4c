"""Quantisation of programs: how close to float, what is noted, what is refused, and weights that learn on a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroplast import (
    LIF,
    Current,
    Delta,
    Eligibility,
    LowPass,
    Modulator,
    Network,
    Poisson,
    Population,
    Projection,
    Readout,
    Signal,
    ThreeFactorRule,
    TrackTarget,
)
from neuroplast.backends.compiled import Compiled
from neuroplast.backends.cpp.build import find_compiler
from neuroplast.backends.reference import Recorder, Reference
from neuroplast.ir.discretize import discretize
from neuroplast.ir.program import StepProgram
from neuroplast.ir.tasks import task_caller
from neuroplast.quantize import QuantizationError, Quantized, quantize
from neuroplast.quantize.by_hand import trace
from neuroplast.testing.contract import program_of, scenario
from neuroplast.units import Hz, ms, mV


def driven(tau_current: float, tau: float, scale: float, steps: int = 1500, **lif: Any) -> StepProgram:
    """40 Poisson sources -> 30 LIF neurons; time constants in steps."""
    network = Network("driven", seed=1)
    source = network.add(Population("source", 40, Poisson(40 * Hz)))
    values = {"v_rest": 0 * mV, "v_threshold": 10 * mV, "v_reset": 0 * mV, "drive": 2 * mV, **lif}
    cells = network.add(Population("cells", 30, LIF(tau=tau * ms, **values)))
    weight = np.random.default_rng(1).normal(0.35, 1.0, (30, 40)) * scale
    network.add(Projection(source, cells, weight * mV, Current(tau=tau_current * ms), name="in"))
    return discretize(network, 1 * ms, steps * ms)


def raster(program: StepProgram) -> np.ndarray:
    return trace(program, Reference(), ("cells_spikes",))["cells_spikes"] > 0


@pytest.mark.parametrize(("tau_current", "tau", "scale"), [(5, 20, 72.0), (2, 100, 120.0)])
def test_spikes_of_float_and_integer(tau_current: float, tau: float, scale: float):
    """Rounding the state moves next to no spike (3 to 13 of 24 000 with 20-step membranes, 0 to 4 of 5300 with 100-step ones, over
    four seeds); rounding parameters moves few."""
    program = driven(tau_current, tau, scale)
    quantized = quantize(program)
    exact, parameters, whole = (raster(p) for p in (program, quantized.parameters_only, quantized.program))
    assert whole.sum() > 300
    assert (parameters ^ whole).sum() <= 0.002 * whole.sum()
    assert np.corrcoef(exact.sum(0), whole.sum(0))[0, 1] > 0.99
    near = whole | np.roll(whole, 1, 0) | np.roll(whole, -1, 0)
    assert (exact & near).sum() > 0.9 * exact.sum()
    quantized.check()


@pytest.mark.parametrize("rest", [-3, 4])
def test_rest_and_reset_may_lie_anywhere(rest: float):
    """The chip resets to zero: its zero is put where the reset is, and what pulls to rest becomes a bias."""
    program = driven(5, 20, 9.0, v_rest=-60 * mV, v_threshold=-50 * mV, v_reset=(-60 + rest) * mV, refractory=3 * ms, drive=4 * mV)
    quantized = quantize(program)
    exact, whole = raster(program), raster(quantized.program)
    assert whole.sum() > 100 and np.corrcoef(exact.sum(0), whole.sum(0))[0, 1] > 0.99
    assert abs(int(exact.sum()) - int(whole.sum())) < 0.03 * exact.sum()
    notes = {(n.node, n.what): n for n in quantized.program.notes}
    assert "refractory period" in notes["cells", "place"].got


def test_every_changed_number_is_noted():
    quantized = quantize(driven(5, 20, 9.0))
    notes = {(n.node, n.what): n for n in quantized.program.notes}
    assert notes["cells", "place"].got == "on chip: LIF"
    assert notes["source", "place"].got == "input, made by the host"
    decay = notes["cells", "decay of the membrane"]
    assert float(decay.asked) == pytest.approx(np.exp(-1 / 20), rel=1e-5)
    assert float(decay.got) == pytest.approx(1 - quantized.neurons["cells"].neuron.dv[0] / 4096, rel=1e-5)
    assert "x 2^" in notes["in", "weights"].got
    values = quantized.weights["in"].weights.values
    assert max(abs(values)) in (254, 256) and not np.any(values % 2), "the strongest weight uses all its bits"


def test_the_program_is_not_changed():
    program = driven(5, 20, 9.0, steps=50)
    before = program.digest()
    once, twice = quantize(program), quantize(program)
    assert program.digest() == before and once.program.digest() == twice.program.digest() != before


def test_an_overflow_names_the_neuron_and_the_step():
    """Ranges of a quieter network promise room that is not there."""
    program = driven(5, 20, 400.0, steps=300)
    quantized = quantize(program, ranges={"cells_v": (0.0, 0.01), "cells_i_in": (0.0, 1e-4)}, trials=0, headroom=0.9)
    with pytest.raises(QuantizationError, match=r"neuron \d+ of 'cells' leaves the 24 bits of Loihi 2 in step \d+ of trial 0"):
        quantized.check()


def test_conductances_stay_in_float_and_say_so():
    quantized = quantize(program_of(scenario("lif_conductance")))
    notes = {(n.node, n.what): n.got for n in quantized.program.notes}
    assert "simulator only" in notes["lif_conductance", "place"] and "conductance" in notes["lif_conductance", "place"]


def test_weights_whose_range_is_not_known():
    network = Network("blank", seed=0)
    source = network.add(Population("source", 3, Poisson(50 * Hz)))
    output = network.add(Population("output", 2, Readout(tau=20 * ms)))
    rule = ThreeFactorRule(
        {"pre": LowPass(Signal("pre", "spikes"), 20 * ms), "m": Signal("post", "m")}, Eligibility("pre*m", tau=50 * ms),
        Modulator("reward"), rate=1e-3,
    )
    network.add(Projection(source, output, 0.0, Delta(), name="blank", plasticity=rule))
    network.add(TrackTarget(readout=output, target=np.zeros((10, 2)), interval=1 * ms, steps=10))
    program = discretize(network, 1 * ms)
    notes = {(n.node, n.what): n.got for n in quantize(program).program.notes}
    assert "simulator only" in notes["blank", "weights"] and "start at zero" in notes["blank", "weights"]
    known = quantize(program, ranges={"blank_weight": (0.0, 2.0)})
    assert known.weights["blank"].weights.mode == "excitatory"


def test_readouts_and_delta_synapses():
    """Output that is read by a task stays close to float, in its own unit."""
    network = Network("readout", seed=2)
    source = network.add(Population("source", 20, Poisson(50 * Hz)))
    output = network.add(Population("output", 3, Readout(tau=20 * ms)))
    network.add(Projection(source, output, np.random.default_rng(0).normal(0.1, 0.5, (3, 20)), Delta(), name="out"))
    program = discretize(network, 1 * ms, 400 * ms)
    quantized = quantize(program)
    exact, whole = (trace(p, Reference(), ("output_m",))["output_m"] for p in (program, quantized.program))
    assert np.max(np.abs(whole - exact)) < 0.03 * np.max(np.abs(exact))
    assert quantized.neurons["output"].neuron.vth is None


def learned(quantized: Quantized, target: Any, trials: int = 3) -> dict[str, np.ndarray]:
    program = quantized.program
    executable = target.prepare(program, task_caller(program))
    executable.run(trials, Recorder(program.recordings, {r.name: set() for r in program.recordings}, program.passes))
    arrays = {name: np.array(value) for name, value in executable.arrays.items()}
    executable.close()
    return arrays


@pytest.mark.parametrize("rule", ["rule_order_1", "rule_deferred", "rule_episodic", "rule_bounds_trial"])
def test_weights_that_learn_stay_on_their_grid(rule: str):
    quantized = quantize(program_of(scenario(rule)))
    placed = quantized.weights[rule]
    arrays = learned(quantized, Reference())
    low, high, step = quantized.formats.weight_range(placed.weights.mode)
    post = arrays[f"{rule}_post"]
    counts = arrays[f"{rule}_weight"] / placed.unit[post]
    assert np.allclose(counts, step * np.rint(counts / step), atol=1e-6) and counts.min() >= low and counts.max() <= high
    assert np.any(np.abs(counts - placed.weights.values) > 0.5), "nothing was learned"


@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
@pytest.mark.parametrize("rule", ["rule_order_1", "rule_episodic"])
def test_learning_in_integers_is_the_same_when_compiled(rule: str):
    """Whole numbers are equal; what stays float (traces, eligibility) is equal as it is between targets."""
    quantized = quantize(program_of(scenario(rule)))
    one, other = learned(quantized, Reference()), learned(quantized, Compiled())
    for name in quantized.program.state_names():
        if name.endswith(("_counts", "_peak", "_spikes")):
            assert np.array_equal(one[name], other[name]), name
        else:
            scale = np.max(np.abs(one[name]), initial=1e-250)
            assert np.max(np.abs(one[name] - other[name]), initial=0.0) <= 1e-10 * scale, name


def test_rounding_at_random_is_fair():
    """The mean of many small changes is what was asked, and synapses do not move together."""
    from neuroplast.ir.program import Learn
    from neuroplast.quantize.rewrite import rounding

    quantized = quantize(program_of(scenario("rule_order_1")))
    learn = next(op for op in quantized.program.after if isinstance(op, Learn))
    placed, arrays = quantized.weights[learn.projection], dict(quantized.program.arrays)
    _, on_grid = rounding(learn, placed, arrays, quantized.formats)
    rng, grid = np.random.default_rng(0), placed.unit[0] * quantized.formats.weight_range(placed.weights.mode)[2]
    kept = []
    for k in range(4000):
        w = np.full(50, (7 if k % 2 else 10) * grid + 0.3 * grid)
        values = {"w": w, "u": rng.random(50)}
        kept.append((on_grid.code[0][1].numpy(values) - (7 if k % 2 else 10) * grid) / grid)
    moves = np.array(kept)
    assert np.all(np.abs(moves - np.rint(moves)) < 1e-6)
    assert abs(moves.mean() - 0.3) < 0.005
    together = np.corrcoef(moves.T)[np.triu_indices(50, 1)]
    assert abs(together.mean()) < 0.005 and np.abs(together).max() < 0.1

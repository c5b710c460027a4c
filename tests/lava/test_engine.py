"""The learning engine on Lava: what Lava's own code makes of the rule in Lava's own language is what the integer program says."""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.chip_networks import engine, learning_programs, on_engine, outcome, perturbed, whole

from neuroplast.backends.lava import Lava
from neuroplast.backends.lava.engine import LASTING, chip_rules
from neuroplast.backends.lava.inprocess import InProcess
from neuroplast.backends.lava.stock import stock_models
from neuroplast.backends.reference import Interpreter, Reference
from neuroplast.ir.program import ChipLearn, ChipProduct, ChipTrace, StepProgram

sys.path.insert(0, str(Path(__file__).parent))
from processes import LearningDense, RingBuffer


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(learning_programs())
def test_the_same_bits_on_lava(program: StepProgram):
    (errors, one), (found, other) = outcome(program, Reference(), 2), outcome(program, Lava(), 2)
    assert np.array_equal(errors, found)
    for name in whole(program):
        assert np.array_equal(one[name], other[name]), name


def test_lavas_own_runtime_has_the_same_bits():
    program = on_engine(perturbed(), 3.0)
    one, other = (outcome(program, target, 2)[1] for target in (Lava(), Lava("multiprocess", patience=20.0)))
    for name in whole(program):
        assert np.array_equal(one[name], other[name]), name


# --- beside Lava's LearningDense as it is shipped ------------------------------------------------------------------------------

STEPS = 30


@pytest.fixture(scope="module")
def program() -> StepProgram:
    return on_engine(perturbed(n_in=5, n=3, positive=True), 1.0)


def _stock(op: ChipLearn, spikes: np.ndarray, y: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Lava's process and model, given spikes (n_pre, steps) and traces (3, n_post, steps): weights, tags and x1 after each step."""
    from lava.utils.weightutils import SignMode

    from neuroplast.backends.lava.engine import Rule

    rule = Rule(op, None).lava()
    dense = LearningDense(weights=weights, learning_rule=rule, sign_mode=SignMode.EXCITATORY, num_weight_bits=8)
    source = RingBuffer(data=spikes.astype(int))
    sent = [RingBuffer(data=rows.astype(int)) for rows in y]
    source.s_out.connect(dense.s_in)
    for ring, port in zip(sent, (dense.s_in_y1, dense.s_in_y2, dense.s_in_y3), strict=True):
        ring.s_out.connect(port)
    found: dict[str, list[np.ndarray]] = {"weights": [], "tag_1": [], "x1": []}
    with InProcess(stock_models([dense, source, *sent], "fixed")) as network:
        for _ in range(STEPS):
            network.run(1)
            for name, rows in found.items():
                rows.append(np.array(getattr(network.models[dense], name)))
    return {name: np.array(rows) for name, rows in found.items()}


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7), st.integers(0, 8), st.booleans(), st.booleans())
def test_equals_lavas_learning_dense(program: StepProgram, seed: int, m: int, k: int, e: int, gated: bool, lasting: bool):
    """Rules in which nothing is rounded: whole coefficients, traces that stay or go, and no sum that is cut off before its last term."""
    rng = np.random.default_rng(seed)
    base = engine(program)
    n_pre, n_post, array = base.synapses.n_pre, base.synapses.n_post, dict(base.values)
    drive = ChipProduct(m, 0, "x0" if gated else "u0", (("x1", 0), ("y1", -64)))
    dw = tuple(ChipProduct(sign * k, e, "u0", (("t", 0), (y, 0))) for sign, y in ((1, "y2"), (-1, "y3")))
    trace = ChipTrace("x1", array["x1"], "plastic_arrived", None, LASTING if lasting else 0.0, int(rng.integers(1, 4 if lasting else 16)))
    op = replace(
        base, values=(*base.values, ("x0", "plastic_arrived")), traces=(trace,), dw=dw, low=0, high=255, step=1, round_weights=None,
        dt=(drive, ChipProduct(-1, 0, "u0", (("t", 0),))), round_tags=None,
    )
    weights, spikes = rng.integers(0, 256, (n_post, n_pre)), rng.random((n_pre, STEPS)) < (0.1 if lasting else 0.4)
    y = np.stack([rng.integers(56, 73, (n_post, STEPS)), *rng.integers(0, 128, (2, n_post, STEPS))])
    y[2 - rng.integers(0, 2, STEPS), :, np.arange(STEPS)] = 0  # a reward is good or bad
    y[1:, :, rng.random(STEPS) < 0.3] = 0
    expected = _stock(op, spikes, y, weights)
    arrays = program.fresh_arrays()
    for name in ("y2", "y3"):
        arrays[array[name]] = np.zeros(n_post)
    arrays[op.target][...] = op.unit * weights.T.ravel()
    interpreter = Interpreter(program, arrays, None)
    for step in range(STEPS):
        arrays["plastic_arrived"][...] = spikes[:, step]
        for name, rows in zip(("y1", "y2", "y3"), y, strict=True):
            arrays[array[name]][...] = rows[:, step]
        interpreter.do(op)
        assert np.array_equal(arrays[array["x1"]], expected["x1"][step]), step
        assert np.array_equal(arrays[op.tag], expected["tag_1"][step].T.ravel()), step
        assert np.array_equal(np.rint(arrays[op.target] / op.unit), expected["weights"][step].T.ravel()), step
    assert np.any(expected["tag_1"]) and np.any(expected["weights"] != weights)


def test_the_rule_in_lavas_language(program: StepProgram):
    rule = chip_rules(program)["plastic"].lava()
    op = engine(program)
    assert rule.dw_str == op.text("dw") and rule.dt_str == op.text("dt") and rule.x1_impulse == op.traces[0].impulse

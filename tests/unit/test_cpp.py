"""The compiled kernel against Reference, on step programs made by hand: operations, forms of a rule, the machinery."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroplast.backends.compiled import Compiled, CompiledExecutable
from neuroplast.backends.cpp import build
from neuroplast.backends.cpp.emit import kernel_source
from neuroplast.backends.reference import Recorder, Reference, ReferenceExecutable
from neuroplast.errors import LoweringError
from neuroplast.expressions import expression
from neuroplast.ir.program import (
    CLOCK,
    PROBE_SCALE,
    STEP,
    TRIAL,
    Array,
    CallTask,
    DelayLine,
    Deliver,
    Dot,
    Draw,
    EndLearn,
    Learn,
    Map,
    Operation,
    Product,
    Recording,
    ReleaseState,
    Remember,
    Row,
    SetRow,
    SpikeTable,
    SpikeTrace,
    StepProgram,
    Sum,
    Synapses,
    draw,
    stream_key,
)

pytestmark = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler")

N_PRE, N_POST, STEPS = 13, 37, 175


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cache of our own, so that every run of the tests compiles."""
    folder, before = tmp_path_factory.mktemp("cache"), os.environ.get("NEUROPLAST_CACHE")
    os.environ["NEUROPLAST_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["NEUROPLAST_CACHE"]
    else:
        os.environ["NEUROPLAST_CACHE"] = before


def code(*statements: tuple[str, str]) -> tuple:
    return tuple((name, expression(text)) for name, text in statements)


@dataclass
class Workbench:
    """Arrays and operations while a program is put together."""

    reset: bool

    def __post_init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.add(CLOCK, np.zeros(4, np.int64), reset=False)
        self.add(PROBE_SCALE, np.ones(1), reset=False)

    def add(self, name: str, initial: Any, kind: str = "state", reset: bool | None = None) -> str:
        keep = kind == "constant"
        again = False if keep else (self.reset if reset is None else reset)
        self.arrays[name] = Array(name, np.array(initial), kind=kind, reset=again)
        return name

    def zeros(self, name: str, *shape: int, kind: str = "state", reset: bool | None = None) -> str:
        return self.add(name, np.zeros(shape), kind, reset)


def program(bench: Workbench, before: list, neurons: list, after: list, **more: Any) -> StepProgram:
    values: dict[str, Any] = dict(
        name="by hand", dt=1e-3, steps=STEPS, passes=1, pass_noise="off", seed=5, trial_start=(), pass_end=(), trial_end=(),
        measures={}, measure_units={}, recordings=(), done=None, reset=bench.reset,
    )
    return StepProgram(
        arrays=bench.arrays, before=tuple(before), neurons=tuple(neurons), after=tuple(after), **(values | more)
    )


PRE, POST, SYNAPSE = (("trace", 1),), (("post noise", 1),), (("w", 1),)
SIMPLE = (Product(1.5, PRE, POST, ()), Product(-0.4, PRE, (), ()))
RANK_TWO = (*SIMPLE, Product(0.3, (("arrived", 1),), (("u", 2),), ()))
POST_ONLY = (*SIMPLE, Product(0.05, (), POST, ()))
WITH_WEIGHT = (*SIMPLE, Product(-0.2, (("arrived", 1),), (), SYNAPSE))


def network(
    *, graded: bool = False, dense: bool = True, delays: bool = False, release: bool = False, recovery: bool = False,
    noise: bool = False, products: tuple[Product, ...] = SIMPLE, decay: float = 0.93, order: int = 0,
    update: str = "continuous", low: float | None = None, high: float | None = None, bound_each: str = "step",
    max_change: float | None = None, target: str = "w", rate: float = 0.02, reset: bool = True, drive: float = 0.4,
    endless: bool = False, lawful: bool = True, record: tuple[tuple[str, int], ...] = (), **more: Any,
) -> StepProgram:
    """Noisy units ``pre`` -> plastic synapses -> ``post``, with a modulator that changes its sign.

    drive: how much noise, 0.2 for rare spikes.  endless: traces that never become zero.  lawful: the program says how traces fall.
    """
    b, rng = Workbench(reset), np.random.default_rng(1)
    connected = np.ones((N_PRE, N_POST), bool) if dense else rng.random((N_PRE, N_POST)) < 0.6
    pre, post = (x.astype(np.int32) for x in np.nonzero(connected))
    n = pre.size
    synapses = Synapses(
        "pre>post", N_PRE, N_POST, n, b.add("syn.pre", pre, "constant"), b.add("syn.post", post, "constant"),
        b.add("row_start", np.searchsorted(pre, np.arange(N_PRE + 1)).astype(np.int32), "constant"), dense,
    )
    b.add("w", rng.uniform(0, 0.3, n), reset=False)
    for name in ("v", "pre output", "arrived", "trace"):
        b.zeros(name, N_PRE)
    if lawful:
        law = SpikeTrace("arrived", 0.95, 0.0) if endless else SpikeTrace("arrived", 0.6, 0.1)
        b.arrays["trace"] = replace(b.arrays["trace"], trace=law)
    b.zeros("pre noise", N_PRE, kind="scratch")
    for name in ("g", "u", "in"):
        b.zeros(name, N_POST)
    b.zeros("post noise", N_POST, kind="scratch")
    for name in ("M", "activity", "total"):
        b.zeros(name, 1)
    depth = 4 if delays else 2
    ring = b.zeros("ring", depth, N_PRE) if graded else b.add("ring", np.zeros((depth, N_PRE + 1), np.int32))
    before: list[Operation] = [
        Draw("pre noise", "normal", "pre", True), Draw("post noise", "normal", "post", True),
        Map("M", 1, code(("M", "0.9*M + 0.1*tanh(total - 3) + 0.2*where(activity > 1, 1, -1)")),
            {"M": "M", "activity": "activity", "total": "total"}),
    ]
    state = None
    if release:
        b.add("q", rng.normal(0, 1, n), reset=False)
        b.zeros("uniform", n, kind="scratch")
        b.zeros("score", n)
        before.append(Draw("uniform", "uniform", "release", True))
        if recovery:
            b.zeros("recovery", n, kind="scratch")
            b.zeros("ready", n)
            b.zeros("c", n)
            before.append(Draw("recovery", "uniform", "recovery", True))
        kept = ("recovery", "ready", "c", 0.7, 0.8, 3.0) if recovery else (None, None, None, 0.0, 0.0, 0.0)
        state = ReleaseState("q", "uniform", *kept, "score")
    if noise:
        b.zeros("weight noise", n)
        b.zeros("weight draw", n, kind="scratch")
        before += [
            Draw("weight draw", "centred", "weights", True),
            Map("weights", n, code(("x", "0.9*x + 0.1*draw")), {"x": "weight noise", "draw": "weight draw"}),
        ]
    steps_each = b.add("delays", rng.integers(1, depth + 1, n).astype(np.int32), "constant") if delays else None
    before.append(Deliver(
        "pre>post", synapses, "w", "weight noise" if noise else None, "in", "pre output", ring, depth, not graded,
        0 if delays else depth, steps_each, None if delays else "arrived", state,
    ))
    reset_v = "v" if graded else "where(out > 0.5, 0, v)"
    spikes = ("out", "tanh(v)") if graded else ("out", "where(v > 1, 1, 0)")
    neurons = [
        Map("pre", N_PRE, code(("v", f"0.9*v + {drive}*x + 0.07"), spikes, ("v", reset_v)),
            {"v": "v", "x": "pre noise", "out": "pre output"}),
        Map("post", N_POST, code(("g", "0.8*g + arriving"), ("u", "tanh(u + (g - u)*0.1 + 0.01*x)")),
            {"g": "g", "arriving": "in", "u": "u", "x": "post noise"}),
    ]
    eligibility = tuple(b.zeros(f"e{k}", n) for k in range(order + 1))
    pending = b.zeros("pending", n, reset=False) if update == "deferred" else None
    learn = Learn(
        "pre>post", synapses, target, eligibility, pending, products, decay, 0.07, 0.8, "M", 30 * rate, rate, update, low, high,
        bound_each, max_change,
    )
    trace = code(("x", "0.95*x + a")) if endless else code(("x", "0.6*x + a"), ("x", "where(abs(x) < 0.1, 0, x)"))
    after: list[Operation] = [
        Map("trace", N_PRE, trace, {"x": "trace", "a": "arrived"}),
        learn, Sum("activity", N_POST, expression("u*u"), {"u": "u"}),
        Map("task", 1, code(("total", "total + 0.1*a")), {"total": "total", "a": "activity"}),
        Remember("pre", "pre output", ring, depth, N_PRE, not graded),
    ]
    recordings = tuple(Recording(f"{a}/{s}", a, s, None, "all", a == "pre output" and not graded, "1", ()) for a, s in record)
    values: dict[str, Any] = {"trial_end": (EndLearn(learn),), "recordings": recordings}
    return program(b, before, neurons, after, **(values | more))


class Both:
    """A program on Reference and on Compiled, run alike."""

    def __init__(self, made: StepProgram, task: Callable[[], Any] | None = None) -> None:
        self.program = made
        self.reference: ReferenceExecutable = Reference().prepare(made, task and task())
        self.compiled: CompiledExecutable = Compiled().prepare(made, task and task())
        self.recorders = [self._recorder(), self._recorder()]

    def _recorder(self) -> Recorder:
        return Recorder(self.program.recordings, {r.name: {0, 1, 2, 3} for r in self.program.recordings}, self.program.passes)

    def run(self, trials: int) -> Both:
        for executable, recorder in zip((self.reference, self.compiled), self.recorders, strict=True):
            assert executable.run(trials, recorder) == trials
        return self

    def form(self) -> str:
        return next(note.got for note in self.compiled.report.notes if note.what == "plasticity form")

    def check(self) -> Both:
        for name, array in self.program.arrays.items():
            if array.kind != "scratch":
                same(self.compiled.arrays[name], self.reference.arrays[name], name)
        expected, got = (recorder.results for recorder in self.recorders)
        for name, trials in expected.items():
            assert trials.keys() == got[name].keys(), name
            for trial, values in trials.items():
                assert got[name][trial].dtype == values.dtype
                same(got[name][trial], values, f"{name} in trial {trial}")
        self.compiled.close()
        return self


def same(got: np.ndarray, expected: np.ndarray, name: str) -> None:
    """Equal to rounding, measured against the largest value."""
    assert got.shape == expected.shape, name
    tolerance = 1e-10 * max(float(np.max(np.abs(expected), initial=0.0)), 1e-12)
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(expected, float), rtol=0, atol=tolerance, err_msg=name)


def moved(both: Both) -> None:
    """The rule did something, and the synapses do not all do the same."""
    change = both.reference.arrays["w"] - both.program.arrays["w"].initial
    assert np.std(change) > 1e-4 and np.all(np.isfinite(change))


# ---- operations ------------------------------------------------------------------------------------------------------
LAWS = ("normal", "uniform", "centred")


def operations() -> StepProgram:
    """Everything but synapses."""
    b, rng = Workbench(True), np.random.default_rng(2)
    sizes = {"a": 11, "b": 11, "hold": 3, "wrap": 3, "chosen": 2, "written": 24, "given": 9, "dot": 4, "y": 11}
    for name, size in sizes.items():
        b.zeros(name, size, reset=name != "written")
    b.add("varied", rng.normal(size=11))
    for name in ("which", "sum", "late", "now", "line", "single"):
        b.zeros(name, 1)
    b.zeros("line ring", 5)
    tables = {"table": (12, 3), "choices": (6, 2), "matrix": (4, 11)}
    for name, shape in tables.items():
        b.add(name, rng.normal(size=shape), "constant")
    unit, step = rng.integers(0, 9, 40), np.sort(rng.integers(0, 50, 40))
    b.add("offsets", np.searchsorted(step, np.arange(51)).astype(np.int32), "constant")
    b.add("indices", unit.astype(np.int32), "constant")
    for law in LAWS:
        for size in (1, 2, 7, 530):
            b.zeros(f"{law} {size}", size)
    b.zeros("each trial", 6)
    before = [
        *(Draw(f"{law} {size}", law, f"{law}{size}", size > 2) for law in LAWS for size in (1, 2, 7, 530)),
        Row("hold", "table", 4, "step", 3, "hold", 3), Row("wrap", "table", 12, "step", 2, "wrap"),
        Map("scalar", 1, code(("which", "floor(6*u)"), ("now", "u")), {"which": "which", "now": "now", "u": "uniform 1"}),
        Row("chosen", "choices", 3, "which", trials=2), SpikeTable("given", "offsets", "indices", 50),
        Dot("dot", "matrix", "varied", 4, 11), DelayLine("late", "now", "line ring", 5),
        DelayLine("line", "now", "line ring", 0),
    ]
    everything = (
        ("local", "x*0.9 + sin(y) - cos(x)/(2 + abs(y)) + single"), ("x", "clip(local, -1, 1) + 0.1*sign(local)"),
        ("y", "where(x > 0 and y < 1 or not (local < 0.2), exp(-abs(x)), sqrt(abs(y)) + log(1 + x*x))"),
        ("local", "maximum(local, minimum(y, 0.3)) + sigmoid(x) + tanh(y)**3 + int(3*x) + floor(2*y) % 2 + 2**(-x) + pi"),
        ("z", "local + (x > 0) + 1e-3*(y == y)"),
    )
    neurons = [Map("pop", 11, code(*everything), {"x": "a", "y": "b", "z": "y", "single": "single"})]
    after = [
        Sum("sum", 11, expression("x*s + 1"), {"x": "y", "s": "now"}), SetRow("written", "sum", 24, "step", 3),
        SetRow("written", "now", 24, "which"), Map("again", 11, code(("x", "x + y"), ("y", "x")), {"x": "varied", "y": "a"}),
    ]
    start = (Draw("each trial", "normal", "each trial", False, "trial"),)
    recordings = (
        Recording("all", "y", 1, None, "all", False, "1", ()), Recording("end", "sum", 0, None, "all", False, "1", ()),
        Recording("some", "a", 4, np.array([3, 1]), "all", False, "1", ()),
        Recording("spikes", "given", 1, None, "all", True, "1", ()),
    )
    return program(b, before, neurons, after, trial_start=start, recordings=recordings)


def test_operations() -> None:
    Both(operations()).run(4).check()


@pytest.mark.parametrize("law", ["uniform", "normal", "centred"])
def test_random_numbers_are_those_of_the_program(law: str) -> None:
    """Uniform numbers to the last bit, the others to rounding."""
    b = Workbench(False)
    b.zeros("x", 1003)
    made = program(b, [Draw("x", law, "s", False)], [], [], steps=3)
    executable = Compiled().prepare(made)
    executable.arrays[CLOCK][TRIAL] = (1 << 40) + 7
    executable.run(1, Recorder((), {}, 1))
    expected = draw(law, 1003, stream_key(made.seed, "s"), 2, (1 << 40) + 7, 0)
    if law == "uniform":
        np.testing.assert_array_equal(executable.arrays["x"], expected)
    np.testing.assert_allclose(executable.arrays["x"], expected, rtol=1e-13, atol=1e-14)


def test_one_seed_more_needs_no_compilation() -> None:
    made = network()
    assert kernel_source(made, True, embed=False) == kernel_source(replace(made, seed=6), True, embed=False)
    first, second = (Both(replace(made, seed=seed)).run(1).check() for seed in (5, 6))
    assert np.any(first.compiled.arrays["w"] != second.compiled.arrays["w"])


# ---- forms of a rule -------------------------------------------------------------------------------------------------
EVENTS, ACTIVE, HISTORY = "at jumps of presynaptic factors", "active presynaptic", "the whole change"
MEMORYLESS, DENSE = "the outer product", "every synapse"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "no bounds": (EVENTS, {}),
    "bounds each trial": (EVENTS, {"low": 0.05, "high": 0.25, "bound_each": "trial"}),
    "bounds each step": (ACTIVE, {"low": 0.05, "high": 0.25}),
    "bounds that are far apart": (ACTIVE, {"low": 0.0, "high": 5.0}),
    "bounds that are met often": (ACTIVE, {"low": 0.1, "high": 0.12, "rate": 0.2}),
    "one bound": (ACTIVE, {"low": 0.1}),
    "other bound": (ACTIVE, {"high": 0.2}),
    "rank two": (EVENTS, {"products": RANK_TWO}),
    "rank two with bounds": (ACTIVE, {"products": RANK_TWO, "low": 0.05, "high": 0.25}),
    "a postsynaptic term": (EVENTS, {"products": POST_ONLY}),
    "a plain integral": (EVENTS, {"decay": 1.0}),
    "no trace": (ACTIVE, {"decay": 0.0}),
    "no trace with bounds": (ACTIVE, {"decay": 0.0, "low": 0.05, "high": 0.25}),
    "rare": (EVENTS, {"drive": 0.2}),
    "rare with bounds": (ACTIVE, {"drive": 0.2, "low": 0.05, "high": 0.25}),
    "rare with bounds far apart": (ACTIVE, {"drive": 0.2, "low": 0.05, "high": 2.0, "decay": 0.99}),
    "rare with bounds met often": (ACTIVE, {"drive": 0.2, "low": 0.1, "high": 0.2, "decay": 0.99, "rate": 0.1}),
    "mostly idle with bounds": (ACTIVE, {"drive": 0.16, "low": 0.05, "high": 0.25, "decay": 0.97, "rate": 0.004, "steps": 800}),
    "rare, deferred": (HISTORY, {"drive": 0.2, "update": "deferred"}),
    "endless": (EVENTS, {"drive": 0.2, "endless": True}),
    "endless with rank two": (EVENTS, {"drive": 0.2, "endless": True, "products": RANK_TWO, "low": 0.0, "bound_each": "trial"}),
    "endless with bounds": (ACTIVE, {"drive": 0.2, "endless": True, "low": 0.05, "high": 0.25}),
    "endless, deferred": (HISTORY, {"drive": 0.2, "endless": True, "update": "deferred"}),
    "endless, deferred without reset": (EVENTS, {"drive": 0.2, "endless": True, "update": "deferred", "reset": False}),
    "weight noise": (EVENTS, {"noise": True}),
    "delays": (EVENTS, {"delays": True}),
    "deferred without reset": (EVENTS, {"update": "deferred", "reset": False, "low": 0.0, "high": 0.25}),
    "episodic without reset": (EVENTS, {"update": "episodic", "reset": False, "max_change": 0.02}),
    "deferred": (HISTORY, {"update": "deferred", "low": 0.0, "high": 0.3}),
    "deferred with rank two": (HISTORY, {"update": "deferred", "products": RANK_TWO}),
    "deferred without trace": (HISTORY, {"update": "deferred", "decay": 0.0}),
    "deferred of order 1": (HISTORY, {"update": "deferred", "order": 1}),
    "deferred of order 3": (HISTORY, {"update": "deferred", "order": 3}),
    "episodic": (HISTORY, {"update": "episodic"}),
    "episodic and limited": (HISTORY, {"update": "episodic", "max_change": 0.02, "order": 2, "low": 0.0, "high": 0.3}),
    "episodic graded": (HISTORY, {"update": "episodic", "graded": True}),
    "without a law": (ACTIVE, {"lawful": False}),
    "without a law, rank two": (ACTIVE, {"lawful": False, "products": RANK_TWO, "endless": True}),
    "deferred without a law": (HISTORY, {"update": "deferred", "lawful": False, "products": RANK_TWO}),
    "long trials": (EVENTS, {"drive": 0.2, "endless": True, "steps": 1500, "rate": 0.001, "decay": 0.99}),
    "long trials, deferred": (HISTORY, {"drive": 0.2, "endless": True, "steps": 1500, "update": "deferred", "rate": 0.001}),
    "a trace that falls more slowly than memory": (EVENTS, {"drive": 0.2, "endless": True, "decay": 0.4, "steps": 600}),
    "graded without trace": (MEMORYLESS, {"graded": True, "decay": 0.0}),
    "graded without trace, with bounds": (
        MEMORYLESS, {"graded": True, "decay": 0.0, "low": 0.05, "high": 0.25, "products": RANK_TWO},
    ),
    "graded": (DENSE, {"graded": True}),
    "graded with bounds": (DENSE, {"graded": True, "low": 0.05, "high": 0.25}),
    "graded with delays": (DENSE, {"graded": True, "delays": True}),
    "graded with weight noise": (DENSE, {"graded": True, "noise": True}),
    "graded of order 2": (DENSE, {"graded": True, "order": 2, "bound_each": "trial", "low": 0.0}),
    "order 2": (DENSE, {"order": 2}),
    "weights in the drive": (DENSE, {"products": WITH_WEIGHT, "low": 0.05, "high": 0.25}),
    "deferred with weights in the drive": (DENSE, {"products": WITH_WEIGHT, "update": "deferred"}),
    "episodic with weights in the drive": (DENSE, {"products": WITH_WEIGHT, "update": "episodic", "order": 1}),
}


SPARSE = (
    "no bounds", "without a law", "rank two", "rank two with bounds", "mostly idle with bounds", "endless with rank two", "delays",
    "deferred without reset", "deferred of order 1", "episodic and limited", "graded without trace, with bounds",
    "graded of order 2", "graded with delays",
    "weights in the drive",
)
"""Cases that are also run where not all pairs are connected: one or two for each loop over synapses."""


@pytest.mark.parametrize(("case", "dense"), [*((case, True) for case in CASES), *((case, False) for case in SPARSE)])
def test_each_form(case: str, dense: bool) -> None:
    """Three trials, then one more after the state was written to."""
    form, options = CASES[case]
    record = (("pre output", 1), ("u", 3), ("w", 0), ("M", 1))
    both = Both(network(dense=dense, record=record, **options)).run(2)
    assert both.form().startswith(form)
    for executable in (both.reference, both.compiled):
        executable.arrays["w"] *= 0.9
    both.run(1)
    both.check()
    moved(both)


@pytest.mark.parametrize("options", [
    {"record": (("w", 1), ("e0", 7))}, {"record": (("w", 5),), "low": 0.05, "high": 0.25},
    {"record": (("e0", 1),), "reset": False},
    {"record": (("e0", 2), ("w", 3)), "graded": True, "decay": 0.0},
    {"record": (("e0", 0), ("e1", 0), ("pending", 0)), "update": "deferred", "order": 1},
    {"record": (("e0", 4), ("pending", 2)), "update": "deferred"}, {"record": (("e0", 10),), "update": "episodic"},
], ids=str)
def test_what_is_recorded_is_up_to_date(options: dict[str, Any]) -> None:
    both = Both(network(**options)).run(3)
    both.check()
    moved(both)


@pytest.mark.parametrize("options", [
    {"dense": False}, {"recovery": True}, {"recovery": True, "delays": True}, {"noise": True, "recovery": True, "dense": False},
    {"recovery": True, "delays": True, "dense": False}, {"low": -1.0, "high": 1.0},
    {"products": (Product(0.7, (), (), (("score", 1),)),), "decay": 1.0},
    {"products": (Product(0.7, (), (), (("score", 1),)), *SIMPLE), "target": "w", "low": 0.0, "high": 0.3},
    {"products": (Product(0.7, (("trace", 1),), (("u", 1),), (("score", 2),)),), "update": "deferred"},
], ids=str)
def test_stochastic_release(options: dict[str, Any]) -> None:
    values: dict[str, Any] = {"products": (Product(0.7, (), (), (("score", 1),)),), "target": "q", "rate": 0.2} | options
    both = Both(network(release=True, record=(("score", 1), ("in", 1)), **values)).run(3)
    both.check()
    squared = values["products"][0].synapse == (("score", 2),)
    assert both.form().startswith(DENSE if options.get("delays") or squared else ACTIVE)


@pytest.mark.parametrize("noise", ["off", "other", "same"])
@pytest.mark.parametrize("update", ["episodic", "continuous"])
def test_two_passes(noise: str, update: str) -> None:
    made = network(update=update, passes=2, pass_noise=noise, record=(("u", 1), ("M", 0)))
    end = Map("task", 1, code(("first", "total")), {"first": "first", "total": "total"})
    made.arrays["first"] = Array("first", np.zeros(1))
    both = Both(replace(made, pass_end=(end,))).run(3)
    both.check()
    moved(both)


def test_a_trial_that_ends_early() -> None:
    made = network(record=(("u", 1), ("w", 10)))
    made.arrays["done"] = Array("done", np.zeros(1), reset=True)
    over = Map("task", 1, code(("done", "total > 1.5")), {"done": "done", "total": "total"})
    both = Both(replace(made, after=(*made.after, over), done="done")).run(3)
    lengths = {len(values) for values in both.recorders[0].results["u/1"].values()}
    assert min(lengths) < STEPS
    both.check()


# ---- tasks in Python, errors, interruption ---------------------------------------------------------------------------
class Task:
    """Sets the modulator from what it sees; raises ``error`` at its ``at``-th step."""

    def __init__(self, error: BaseException | None = None, at: int = 0) -> None:
        self.error, self.at, self.calls = error, at, [0, 0]

    def call(self, method: str, arrays: dict[str, np.ndarray]) -> None:
        self.calls[method == "step"] += 1
        if method == "reset":
            arrays["total"][0] = 0.1 * arrays[CLOCK][TRIAL]
            return
        arrays["M"][0] = np.sin(arrays["u"].sum() + arrays[CLOCK][STEP])
        if self.error is not None and self.calls[1] == self.at:
            raise self.error


def with_task(**options: Any) -> StepProgram:
    made = network(**options)
    return replace(made, trial_start=(CallTask("reset"),), after=(*made.after, CallTask("step", 4)))


def test_a_python_task() -> None:
    both = Both(with_task(record=(("M", 1),)), Task).run(3)
    both.check()
    moved(both)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=repr)
def test_what_a_task_raises_is_raised_by_run(error: BaseException) -> None:
    """And the trial begins anew when the run goes on."""
    task, made = Task(error, 50), with_task()
    executable = Compiled().prepare(made, task)
    with pytest.raises(type(error)):
        executable.run(5, Recorder((), {}, 1))
    assert executable.arrays[CLOCK][TRIAL] == 1 and task.calls == [2, 50]
    expected = Reference().prepare(made, Task(error, 50))
    with pytest.raises(type(error)):
        expected.run(5, Recorder((), {}, 1))
    for run in (executable, expected):
        run.run(1, Recorder((), {}, 1))
    for name in ("w", "e0", "M", CLOCK):
        same(executable.arrays[name], expected.arrays[name], name)


def test_arrays_are_complete_for_everybody_who_looks() -> None:
    """A rule for the trial's end computes its eligibility when it is asked for, in whatever way."""
    made = network(update="deferred", order=1)
    expected, seen = Both(made).run(2).reference.arrays, []
    looks: list[Callable[[Any], Any]] = [
        lambda a: a["e1"], lambda a: a.get("e1"), lambda a: dict(a)["e1"], lambda a: {**a}["e1"], lambda a: dict(a.items())["e1"],
        lambda a: list(a.values())[list(a).index("e1")],
    ]
    for look in looks:
        executable = Compiled().prepare(made)
        assert executable.run(2, Recorder((), {}, 1), lambda _, arrays, look=look: seen.append(np.array(look(arrays))) is None) == 2
        same(seen[-1], expected["e1"], "e1")
        executable.close()
    np.testing.assert_array_equal(seen[0], seen[2])


def test_arrays_can_be_set() -> None:
    executable = Compiled().prepare(network())
    memory = executable.arrays["w"]
    executable.arrays["w"] = np.full(memory.size, 0.5)
    executable.arrays["w"] *= 0.5
    assert executable.arrays["w"] is memory and np.all(memory == 0.25) and len(executable.arrays) == len(executable.program.arrays)


def test_no_task_no_run() -> None:
    with pytest.raises(LoweringError):
        Compiled().prepare(with_task())


def test_after_trial_sees_the_arrays_and_stops() -> None:
    executable, seen = Compiled().prepare(network()), []

    def after(trial: int, arrays: dict[str, np.ndarray]) -> bool:
        seen.append((trial, int(arrays[CLOCK][TRIAL])))
        return trial < 2

    assert executable.run(10, Recorder((), {}, 1), after) == 3
    assert seen == [(0, 1), (1, 2), (2, 3)]


def test_many_trials_at_once_are_the_same_as_one_by_one() -> None:
    made = network(record=(("u", 1),), reset=False)
    together, single = Compiled().prepare(made), Compiled().prepare(made)
    some = Recorder(made.recordings, {"u/1": {17, 40}}, 1)
    assert together.run(60, some) == 60
    for _ in range(60):
        single.run(1, Recorder(made.recordings, {"u/1": set()}, 1), lambda trial, arrays: True)
    np.testing.assert_array_equal(together.arrays["w"], single.arrays["w"])
    assert set(some.results["u/1"]) == {17, 40} and some.results["u/1"][40].shape == (STEPS, N_POST)


def test_a_run_goes_on_exactly_from_its_arrays() -> None:
    made = network(reset=False, low=0.05, high=0.25)
    whole, first, second = (Compiled().prepare(made) for _ in range(3))
    whole.run(4, Recorder((), {}, 1))
    first.run(2, Recorder((), {}, 1))
    for name in made.state_names():
        second.arrays[name][...] = first.arrays[name]
    second.run(2, Recorder((), {}, 1))
    for name in made.state_names():
        np.testing.assert_array_equal(whole.arrays[name], second.arrays[name], err_msg=name)


def test_instances_live_side_by_side_in_threads() -> None:
    made = network()
    executables = [Compiled().prepare(replace(made, seed=seed)) for seed in range(4)]
    threads = [threading.Thread(target=e.run, args=(50, Recorder((), {}, 1))) for e in executables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, executable in enumerate(executables):
        alone = Compiled().prepare(replace(made, seed=seed))
        alone.run(50, Recorder((), {}, 1))
        np.testing.assert_array_equal(alone.arrays["w"], executable.arrays["w"])
        executable.close()
    assert len({e.arrays["w"].tobytes() for e in executables}) == 4


def test_a_closed_executable_says_so() -> None:
    executable = Compiled().prepare(network())
    executable.close()
    executable.close()
    with pytest.raises(RuntimeError, match="closed"):
        executable.run(1, Recorder((), {}, 1))


@pytest.fixture
def heard():
    """Ctrl-C as Python takes it: a job that was started in the background ignores it, and Brian2 puts a handler of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_surfaces_between_trials() -> None:
    made = network(reset=False)
    executable = Compiled().prepare(made)
    executable.run(1, Recorder((), {}, 1))
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    begun = time.perf_counter()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        executable.run(10**9, Recorder((), {}, 1))
    assert time.perf_counter() - begun < 5
    trials = int(executable.arrays[CLOCK][TRIAL])
    again = Compiled().prepare(made)
    again.run(trials, Recorder((), {}, 1))
    np.testing.assert_array_equal(again.arrays["w"], executable.arrays["w"])


def test_denormals_are_kept_outside_the_kernel() -> None:
    executable = Compiled().prepare(network())
    executable.run(1, Recorder((), {}, 1))
    assert np.float64(1e-310) * np.float64(0.5) > 0


# ---- kernel functions one by one, and in other programs --------------------------------------------------------------
def test_single_steps_and_embedded_values() -> None:
    """np_before, np_neurons and np_after as a Brian2 target calls them; keys and initial values in the text."""
    made = network(passes=2, pass_noise="other", record=(("u", 1),), update="episodic")
    made.arrays["u"] = replace(made.arrays["u"], initial=np.linspace(0, 1, N_POST))
    library = ctypes.CDLL(str(build.compile_library(kernel_source(made, True))))
    arrays = made.fresh_arrays()
    pointers = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays.values()))
    library.np_bind(pointers, None)
    library.np_record.argtypes = [ctypes.c_int, ctypes.c_void_p]
    library.np_recorded.restype = ctypes.c_long
    buffer, codes = np.zeros((STEPS, N_POST)), []
    for trial in range(2):
        library.np_record(0, buffer.ctypes.data if trial == 0 else None)
        code_ = 0
        while code_ != 2:
            library.np_before()
            library.np_neurons()
            code_ = library.np_after()
            codes.append(code_)
        assert library.np_recorded(0) == (STEPS if trial == 0 else 0)
    assert [k for k, c in enumerate(codes) if c] == [STEPS - 1, 2 * STEPS - 1, 3 * STEPS - 1, 4 * STEPS - 1]
    expected, recorder = Reference().prepare(made), Recorder(made.recordings, {"u/1": {0}}, 2)
    expected.run(2, recorder)
    same(arrays["w"], expected.arrays["w"], "w")
    same(buffer, recorder.results["u/1"][0], "u")


def test_a_kernel_without_neurons_has_no_run() -> None:
    source = kernel_source(network(), False)
    assert "np_run" not in source and "np_neurons" not in source and "np_before" in source


def test_the_source_can_stand_in_another_program(tmp_path: Path) -> None:
    """With the compiler flags of Brian2's projects."""
    (tmp_path / "kernel.h").write_text(kernel_source(network(release=True), False))
    (tmp_path / "main.cpp").write_text(
        '#include <vector>\nusing namespace std;\n#include "kernel.h"\n'
        "double draw = 1, load = 2, minimum = 3;\n"
        "int main() { return np_recorded(0) != 0; }\n"
    )
    compiler = build.find_compiler()
    assert compiler is not None
    flags = ["-O1", "-std=c++11", "-Wall", "-Werror=return-type", "-march=native"]
    subprocess.run([compiler, *flags, "main.cpp", "-o", "main"], cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)


# ---- compiling and the cache -----------------------------------------------------------------------------------------
SMALL = 'extern "C" int answer() { return 42; }'


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPLAST_CACHE", str(tmp_path))
    return tmp_path


def answer(path: Path) -> int:
    return ctypes.CDLL(str(path)).answer()


def test_a_library_is_compiled_once(empty_cache: Path) -> None:
    path = build.compile_library(SMALL)
    written = path.stat().st_mtime_ns
    assert build.compile_library(SMALL) == path and path.stat().st_mtime_ns == written and answer(path) == 42
    assert build.compile_library(SMALL + "\n") != path
    assert not [p for p in empty_cache.iterdir() if p.name.startswith(("build_", "load_"))]


def test_a_program_can_be_compiled(empty_cache: Path) -> None:
    assert subprocess.run([build.compile_program("int main() { return 7; }")], check=False).returncode == 7


@pytest.mark.parametrize("damage", ["truncated", "without digest", "other digest"])
def test_a_damaged_library_is_built_again(empty_cache: Path, damage: str) -> None:
    path = build.compile_library(SMALL)
    content, digest = path.read_bytes(), path.with_name(path.name + ".sum")
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "without digest":
        digest.unlink()
    else:
        digest.write_text("0" * 128)
    assert build.read_verified(path) is None
    assert build.compile_library(SMALL) == path and answer(path) == 42


def test_processes_may_compile_the_same_at_once(empty_cache: Path) -> None:
    text = f"from neuroplast.backends.cpp.build import compile_library as c; import ctypes\n" \
           f"assert ctypes.CDLL(str(c({SMALL!r}))).answer() == 42"
    running = [subprocess.Popen([sys.executable, "-c", text]) for _ in range(4)]
    assert [process.wait() for process in running] == [0, 0, 0, 0]


def test_a_killed_compilation_leaves_nothing_broken(empty_cache: Path) -> None:
    text = f"from neuroplast.backends.cpp.build import compile_library as c; c({kernel_source(network(), True)!r})"
    process = subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.DEVNULL)
    time.sleep(1.0)
    process.kill()
    process.wait()
    path = build.compile_library(kernel_source(network(), True))
    assert build.read_verified(path) is not None


def test_without_a_compiler_the_message_says_what_to_do(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(empty_cache))
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert build.find_compiler() is None
    with pytest.raises(LoweringError, match="CXX"):
        build.compile_library(SMALL)


def test_a_cache_that_cannot_be_written_is_named(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_cache / "file").write_text("")
    monkeypatch.setenv("NEUROPLAST_CACHE", str(empty_cache / "file" / "folder"))
    with pytest.raises(LoweringError, match="NEUROPLAST_CACHE"):
        build.compile_library(SMALL)


def test_an_array_of_another_type_is_refused() -> None:
    made = network()
    made.arrays["u"] = replace(made.arrays["u"], initial=np.zeros(N_POST, np.float32))
    with pytest.raises(LoweringError, match="float32"):
        Compiled().prepare(made)


def test_the_environment_names_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"{sys.executable} -u")
    assert build.find_compiler() == f"{sys.executable} -u"


def test_a_failing_compilation_shows_what_the_compiler_said(empty_cache: Path) -> None:
    with pytest.raises(LoweringError, match="expected"):
        build.compile_library("int main( {")

"""Step programs made by hand, and running them alike on Reference and on Compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neuroplast.backends.compiled import Compiled, CompiledExecutable
from neuroplast.backends.reference import Recorder, Reference, ReferenceExecutable
from neuroplast.expressions import expression
from neuroplast.ir.program import (
    CLOCK,
    PROBE_SCALE,
    Array,
    Deliver,
    Draw,
    EndLearn,
    Learn,
    Map,
    Operation,
    Product,
    Recording,
    ReleaseState,
    Remember,
    SpikeTrace,
    StepProgram,
    Sum,
    Synapses,
)

N_PRE, N_POST, STEPS = 13, 37, 175


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
STDP = (Product(1.5, PRE, (("post_spikes", 1),), ()), Product(-0.9, (("arrived", 1),), (("u", 1),), ()))
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
    for name in ("g", "u", "in", "post_spikes"):
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
        Map("post", N_POST, code(("g", "0.8*g + arriving"), ("u", "tanh(u + (g - u)*0.1 + 0.01*x)"),
                                  ("z", "where(abs(x) > 1.3 + 0.1*u, 1, 0)")),
            {"g": "g", "arriving": "in", "u": "u", "x": "post noise", "z": "post_spikes"}),
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
    values: dict[str, Any] = {"trial_end": (EndLearn(learn),), "recordings": recordings, "populations": {"post": N_POST}}
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



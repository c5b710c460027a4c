"""The Brian2 targets against Reference, on step programs made by hand."""

from __future__ import annotations

import _ctypes as ctypes_module
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import brian2
import numpy as np
import pytest
from brian2.codegen.runtime.cython_rt.extension_manager import CythonExtensionManager
from brian2.devices import all_devices, get_device, reset_device

from neuroplast.backends.brian2 import Brian2, Brian2Library, Brian2Runtime, Brian2Standalone
from neuroplast.backends.brian2.groups import populations
from neuroplast.backends.brian2.project import generate
from neuroplast.backends.brian2.runtime import remove_truncated
from neuroplast.backends.cpp.build import find_compiler
from neuroplast.backends.reference import Recorder, Reference
from neuroplast.errors import LoweringError
from neuroplast.expressions import FUNCTIONS, expression
from neuroplast.ir.program import (
    CLOCK,
    PROBE_SCALE,
    Array,
    CallTask,
    Deliver,
    Draw,
    EndLearn,
    Learn,
    Map,
    Product,
    Recording,
    Remember,
    StepProgram,
    Sum,
    Synapses,
)

N_PRE, N_POST = 7, 5


def statements(**code: str) -> tuple:
    return tuple((name.rstrip("_"), expression(text)) for name, text in code.items())


def spiking_program(*, passes: int = 1, pass_noise: str = "same", task: bool = False, done: bool = False) -> StepProgram:
    """Noisy LIF-like neurons ``in`` -> ``out``, dense plastic synapses with a delay of 2 steps, a running reward, a measure."""
    n = N_PRE * N_POST
    weights = np.linspace(0.0, 0.8, n)
    pre, post = np.repeat(np.arange(N_PRE), N_POST), np.tile(np.arange(N_POST), N_PRE)
    named: dict[str, tuple[np.ndarray, str, bool]] = {
        CLOCK: (np.zeros(4, np.int64), "state", False), PROBE_SCALE: (np.ones(1), "scratch", False),
        "in.v": (np.linspace(-1.0, 0.5, N_PRE), "state", True), "in.noise": (np.zeros(N_PRE), "scratch", False),
        "in.spikes": (np.zeros(N_PRE), "scratch", True), "in.e": (np.zeros(N_PRE), "state", True),
        "in.ring": (np.zeros((3, N_PRE + 1), np.int32), "state", True),
        "out.v": (np.zeros(N_POST), "state", True), "out.noise": (np.zeros(N_POST), "scratch", False),
        "out.spikes": (np.zeros(N_POST), "scratch", True), "out.g": (np.zeros(N_POST), "state", True),
        "w": (weights, "state", False), "e0": (np.zeros(n), "state", True), "arrived": (np.zeros(N_PRE), "scratch", False),
        "into": (np.zeros(N_POST), "scratch", False), "pre": (pre.astype(np.int32), "constant", False),
        "post": (post.astype(np.int32), "constant", False),
        "row_start": ((np.arange(N_PRE + 1) * N_POST).astype(np.int32), "constant", False),
        "activity": (np.zeros(1), "scratch", False), "reward": (np.zeros(1), "state", True),
        "total": (np.zeros(1), "state", True), "done": (np.zeros(1), "scratch", True),
    }
    arrays = {name: Array(name, initial, kind=kind, reset=reset) for name, (initial, kind, reset) in named.items()}
    synapses = Synapses("in>out", N_PRE, N_POST, n, "pre", "post", "row_start", True)
    learn = Learn(
        "in>out", synapses, "w", ("e0",), None, (Product(0.3, (("in.e", 1),), (("out.noise", 1),), ()),), 0.9, 0.0, 1.0, "reward",
        0.02, 0.02, "continuous", 0.0, 1.0, "trial", None,
    )
    inputs = Map(
        "in", N_PRE,
        statements(v="0.9*v + 0.4 + 0.5*xi", fired="v > 1", v_="where(fired, 0, v)", e="0.8*e + fired", spikes="fired"),
        {"v": "in.v", "xi": "in.noise", "e": "in.e", "spikes": "in.spikes"},
    )
    outputs = Map(
        "out", N_POST,
        statements(g="exp(-0.2)*g + into", drive_post="g/3 + 1/3*t", v="v + (drive_post - v)*0.1", spk="v > 0.4 and drive_post > 0",
                   v_="v - spk*clip(v, 0, 1)**2", spikes="spk"),
        {"g": "out.g", "into": "into", "t": "out.noise", "v": "out.v", "spikes": "out.spikes"},
    )
    count = Map("task", 1, statements(total="total + a", reward="tanh(a - 1)", done="total > 60"),
                {"total": "total", "a": "activity", "reward": "reward", "done": "done"})
    after = (
        Remember("in", "in.spikes", "in.ring", 3, N_PRE, True), learn,
        Sum("activity", N_POST, expression("s"), {"s": "out.spikes"}), count, *((CallTask("step", 3),) if task else ()),
    )
    return StepProgram(
        name="hand-made", dt=1e-4, steps=50, passes=passes, pass_noise=pass_noise, seed=3, arrays=arrays,
        trial_start=(CallTask("reset"),) if task else (),
        before=(
            Deliver("in>out", synapses, "w", None, "into", "in.spikes", "in.ring", 3, True, 2, None, "arrived", None),
            Draw("in.noise", "normal", "in", False), Draw("out.noise", "centred", "out", True),
        ),
        neurons=(inputs, outputs), after=after, pass_end=(), trial_end=(EndLearn(learn),), measures={"total": "total"},
        measure_units={"total": "1"},
        recordings=(
            Recording("spikes", "out.spikes", 1, None, None, True, "1", ("unit",)),
            Recording("v", "out.v", 4, np.array([0, 3]), None, False, "1", ("unit",)),
            Recording("w", "w", 0, None, None, False, "1", ("synapse",)),
        ),
        done="done" if done else None, reset=True, populations={"in": N_PRE, "out": N_POST},
    )


needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C++ compiler")
NUMPY = pytest.param(Brian2Runtime("numpy"), id="numpy")
CYTHON = pytest.param(Brian2Runtime("cython"), id="cython", marks=needs_compiler)
LIBRARY = pytest.param(Brian2Library(), id="library", marks=needs_compiler)
STANDALONE = pytest.param(Brian2Standalone(), id="standalone", marks=needs_compiler)


class Results:
    """What a run gives: recordings, measures of each trial, final arrays."""

    def __init__(self, target, program: StepProgram, trials: int, task=None, runs: int = 1) -> None:
        wanted = {"spikes": {0, 2}, "v": {1}, "w": {0, trials - 1}}
        recorder = Recorder(program.recordings, wanted, program.passes)
        self.measures: list[tuple[int, float]] = []
        executable = target.prepare(program, task)
        done = [executable.run(trials // runs, recorder, self._after_trial) for _ in range(runs)]
        assert done == [trials // runs] * runs
        self.arrays = {name: np.array(value) for name, value in executable.arrays.items()}
        self.recordings = recorder.results
        executable.close()

    def _after_trial(self, trial: int, arrays: dict[str, np.ndarray]) -> bool:
        self.measures.append((trial, float(arrays["total"][0])))
        return True


def assert_same(got: Results, expected: Results) -> None:
    assert [t for t, _ in got.measures] == [t for t, _ in expected.measures]
    assert [m for _, m in got.measures] == pytest.approx([m for _, m in expected.measures], rel=1e-10)
    assert got.recordings.keys() == expected.recordings.keys()
    for name, trials in expected.recordings.items():
        assert got.recordings[name].keys() == trials.keys()
        for trial, values in trials.items():
            np.testing.assert_allclose(got.recordings[name][trial], values, rtol=1e-10, atol=1e-13, err_msg=name)
            assert got.recordings[name][trial].dtype == values.dtype
    for name, values in expected.arrays.items():
        np.testing.assert_allclose(got.arrays[name], values, rtol=1e-10, atol=1e-13, err_msg=name)


PROGRAMS = {
    "one pass": spiking_program(), "quiet first pass": spiking_program(passes=2, pass_noise="off"),
    "other noise, early end": spiking_program(passes=2, pass_noise="other", done=True),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("target", [NUMPY, CYTHON, LIBRARY, STANDALONE])
def test_agrees_with_reference(target, name: str) -> None:
    expected = Results(Reference(), PROGRAMS[name], 4)
    assert expected.recordings["spikes"][0].sum() > 20
    assert_same(Results(target, PROGRAMS[name], 4), expected)
    assert_same(Results(target, PROGRAMS[name], 4, runs=2), expected)


def function_program() -> StepProgram:
    """A Map that uses every function of the language, names that Brian2 reserves, and mixtures of numbers and truth values."""
    size = 9
    x = np.array([-2.6, -1.0, -0.5, -0.0, 0.0, 0.3, 1.0, 2.5, 7.25])
    code = {f"f_{name}": f"{name}({', '.join(['x + 3', '0.5', '2'][:FUNCTIONS[name][0]])})" for name in FUNCTIONS}
    code |= {f"g_{name}": f"{name}({', '.join(['x', 'x - 1', 'x + 1'][:FUNCTIONS[name][0]])})" for name in ("abs", "sign", "clip",
             "minimum", "maximum", "int", "floor", "sigmoid", "where")}
    code |= {
        "thirds": "1/3 + x*2/3 + int(x)/3 + int(x)/int(5) + sign(x)/2", "powers": "x**2 + abs(x)**3 - (-x)**2 + (x + 3)**0.5",
        "rest": "x % 2 + (-x) % 3", "truth": "(x > 0)*2 - (x < -1) + (not x > 0) + pi", "both": "x > 0 and x < 2 or x == -1",
        "number_as_truth": "x and e_post", "large": "int(1e12*x) + floor(1e13*x)", "inf_": "minimum(x, inf)",
    }
    # a local that changes its kind, and reserved names
    first = (("t", expression("3")), ("t", expression("t*x")), ("e_post", expression("t > 0")), ("i", expression("not e_post")))
    body = tuple((name, expression(text)) for name, text in code.items())
    last = (("xi", expression("where(i, t, e_post)")), ("N", expression("xi")))
    bound = [*code, "xi", "N"]
    arrays = {name: Array(name, np.zeros(size)) for name in bound}
    arrays |= {"x": Array("x", x), CLOCK: Array(CLOCK, np.zeros(4, np.int64)), PROBE_SCALE: Array(PROBE_SCALE, np.ones(1))}
    neurons = Map("f", size, (*first, *body, *last), {name: name for name in [*bound, "x"]})
    return StepProgram("functions", 1e-3, 1, 1, "same", 0, arrays, (), (), (neurons,), (), (), (), {}, {}, (), None, False)


@pytest.mark.parametrize("target", [NUMPY, CYTHON, LIBRARY])
def test_every_function_means_the_same(target) -> None:
    program = function_program()
    results = []
    for each in (Reference(), target):
        executable = each.prepare(program)
        executable.run(1, Recorder((), {}, 1))
        results.append({name: np.array(array) for name, array in executable.arrays.items()})
        executable.close()
    for name, values in results[0].items():
        np.testing.assert_allclose(results[1][name], values, rtol=1e-13, atol=1e-15, err_msg=name)


class Task:
    """Counts its calls and sets the reward; raises in a given call."""

    def __init__(self, fails_at: int = -1) -> None:
        self.calls: list[str] = []
        self.fails_at = fails_at

    def call(self, method: str, arrays: dict[str, np.ndarray]) -> None:
        self.calls.append(f"{method} {arrays[CLOCK].tolist()}")
        if len(self.calls) == self.fails_at:
            raise ZeroDivisionError("the task's own mistake")
        arrays["reward"][0] = 0.25 * len(self.calls) % 1.0


@pytest.mark.parametrize("target", [NUMPY, CYTHON, LIBRARY])
def test_python_tasks_are_called_and_their_errors_arrive(target) -> None:
    program = spiking_program(task=True, passes=2)
    tasks = Task(), Task(), Task()
    expected, got = Results(Reference(), program, 3, tasks[0]), Results(target, program, 3, tasks[1])
    assert tasks[0].calls == tasks[1].calls and len(tasks[0].calls) == 3 * 2 * (1 + 16)
    assert_same(got, expected)
    executable = target.prepare(program, tasks[2])
    recorder = Recorder(program.recordings, {r.name: set() for r in program.recordings}, 2)
    tasks[2].fails_at = 40
    with pytest.raises(ZeroDivisionError, match="own mistake"):
        executable.run(3, recorder)
    assert executable.arrays[CLOCK][1] == 1  # the second trial did not end
    executable.arrays[CLOCK][1] = 0
    executable.arrays["w"][:] = program.arrays["w"].initial
    tasks[2].calls.clear()
    tasks[2].fails_at = -1
    executable.run(3, recorder)  # a new run starts with the beginning of a trial
    np.testing.assert_allclose(executable.arrays["w"], expected.arrays["w"], rtol=1e-10, atol=1e-13)


def test_standalone_refuses_python() -> None:
    with pytest.raises(LoweringError, match="written in Python") as error:
        Brian2Standalone().prepare(spiking_program(task=True), Task())
    assert all(name in str(error.value) for name in ("brian2-library", "brian2-runtime", "compiled", "reference"))


@pytest.mark.parametrize("target", [NUMPY, CYTHON, LIBRARY])
def test_after_trial_stops_and_arrays_are_live(target) -> None:
    program = spiking_program()
    executable, recorder = target.prepare(program), Recorder((), {r.name: set() for r in program.recordings}, 1)
    assert executable.run(5, recorder, lambda trial, arrays: trial < 1) == 2
    assert executable.run(0, recorder) == 0
    reference = Reference().prepare(program)
    reference.run(2, recorder)
    totals: list[float] = []
    for each in (reference, executable):
        each.arrays["out.v"][:] = 0.125  # the trial starts from its initial value all the same
        each.arrays["w"][:] *= 0.5
        assert each.run(1, recorder, lambda trial, arrays: totals.append(float(arrays["total"][0])) or True) == 1
    assert totals[0] == totals[1] and executable.arrays[CLOCK].tolist() == [50, 3, 0, 50]
    for _ in range(2):
        executable.close()
    np.testing.assert_allclose(executable.arrays["w"], reference.arrays["w"], rtol=1e-10)


@needs_compiler
def test_standalone_takes_changed_arrays_and_keeps_the_final_state() -> None:
    program = spiking_program()
    executable, reference = Brian2Standalone().prepare(program), Reference().prepare(program)
    recorder = Recorder(program.recordings, {r.name: {1} for r in program.recordings}, 1)
    seen: list[list[tuple[int, float]]] = [[], []]
    for each, log in zip((reference, executable), seen, strict=True):
        each.arrays["w"][:] *= 0.5
        assert each.run(3, recorder, lambda t, a, log=log: log.append((t, float(a["total"][0]))) or True) == 3
    assert seen[0] == seen[1] and len(set(seen[0])) == 3
    assert executable.run(2, recorder, lambda trial, arrays: arrays[CLOCK][1] != 5) == 2  # it sees the end, and cannot stop
    assert "a way to stop" in str(executable.report)
    assert {name: list(trials) for name, trials in recorder.results.items()} == {"spikes": [1], "v": [1], "w": [1]}


@needs_compiler
def test_library_instances_are_independent_and_run_in_threads() -> None:
    program = PROGRAMS["one pass"]
    expected = Results(Reference(), program, 4)
    results: dict[int, Results] = {}
    instances = [Brian2Library().prepare(program) for _ in range(3)]
    instances[0].arrays["w"][:] = 0.0

    class Ready:
        def prepare(self, program, task):
            return instances[int(threading.current_thread().name)]

    def job(k: int) -> None:
        results[k] = Results(Ready(), program, 4)

    threads = [threading.Thread(target=job, args=(k,), name=str(k)) for k in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same(results[1], expected)
    assert_same(results[2], expected)
    assert not instances[0].arrays["w"].any()


def test_the_same_program_gives_the_same_text() -> None:
    runtime = Brian2Runtime("numpy").prepare(PROGRAMS["one pass"])  # living groups must not change the names in the C++
    first = generate(populations(PROGRAMS["one pass"]), 1e-4)
    kept = brian2.defaultclock.dt
    brian2.defaultclock.dt = 0.3 * brian2.ms
    assert generate(populations(PROGRAMS["one pass"]), 1e-4) == first
    brian2.defaultclock.dt = kept
    runtime.close()


def test_brian2_is_left_as_it_was() -> None:
    brian2.prefs.core.default_float_dtype = np.float32
    brian2.defaultclock.dt = 0.7 * brian2.ms
    brian2.set_device("cpp_standalone", build_on_run=False)
    try:
        group = brian2.NeuronGroup(3, "u : 1", name="users_group")
        before = brian2.prefs.as_file
        for target in (Brian2(), Brian2Runtime("numpy")):
            assert_same(Results(target, PROGRAMS["one pass"], 4), Results(Reference(), PROGRAMS["one pass"], 4))
        assert brian2.prefs.as_file == before
        assert get_device() is all_devices["cpp_standalone"]
        assert float(brian2.defaultclock.dt) == pytest.approx(0.7e-3)
        assert [var.owner.name for var in brian2.device.arrays if var.owner.name == "users_group"]
        assert len(group) == 3
    finally:
        brian2.device.reinit()
        reset_device()
        brian2.prefs.core.default_float_dtype = np.float64
        brian2.defaultclock.dt = 0.1 * brian2.ms


def test_truncated_modules_leave_cythons_cache(tmp_path: Path) -> None:
    whole = Path(ctypes_module.__file__).read_bytes()
    for name, content, age in (("whole", whole, 100), ("half", whole[: len(whole) // 2], 100), ("empty", b"", 100),
                               ("being_written", whole[:100], 0)):
        path = tmp_path / f"{name}.so"
        path.write_bytes(content)
        os.utime(path, (time.time() - age, time.time() - age))
    remove_truncated(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {"whole", "being_written"}


@needs_compiler
def test_a_code_object_that_cython_rejects_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(CythonExtensionManager, "create_extension", lambda *args, **kwargs: None)
    with pytest.raises(LoweringError, match="Cython could not compile"):
        Brian2Runtime("cython").prepare(PROGRAMS["one pass"])


def test_brian2s_refusal_names_the_population() -> None:
    program = spiking_program()
    neurons = program.neurons[1]
    wrong = replace(neurons, code=(*neurons.code, ("shared", expression("v"))), bind={**neurons.bind, "shared": "total"})
    with pytest.raises(LoweringError, match="population 'out'"):
        Brian2Runtime("numpy").prepare(replace(program, neurons=(wrong,)))
    with pytest.raises(LoweringError, match="type int32"):
        Brian2Runtime("numpy").prepare(replace(program, neurons=(replace(neurons, bind={**neurons.bind, "p": "post"}),)))
    with pytest.raises(LoweringError, match="'in.v'"):
        Brian2Runtime("numpy").prepare(
            replace(program, neurons=(program.neurons[0], replace(program.neurons[0], owner="again")))
        )


INTERRUPTED = """
import os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from test_brian2 import *
target = {"library": Brian2Library(), "standalone": Brian2Standalone(), "runtime": Brian2Runtime("numpy")}[sys.argv[2]]
program = replace(spiking_program(), steps=2000)
executable = target.prepare(program)
recorder = Recorder(program.recordings, {r.name: set() for r in program.recordings}, 1)
threading.Timer(2.0, lambda: os.killpg(0, signal.SIGINT)).start()
try:
    done = executable.run(10**8, recorder)
except KeyboardInterrupt:
    done = "interrupted"
print("done", done, executable.arrays[CLOCK].tolist(), flush=True)
"""


@pytest.mark.parametrize("way", [
    "runtime", pytest.param("library", marks=needs_compiler), pytest.param("standalone", marks=needs_compiler)
])
def test_ctrl_c_ends_a_run(way: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(Path(__file__).parent), way], capture_output=True, text=True, timeout=60,
        start_new_session=True, check=False, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert "done interrupted" in finished.stdout, finished.stderr[-2000:]

"""The compiled kernel's operations against Reference, and its functions one by one."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.programs import N_POST, STEPS, Both, Workbench, code, network, program, same

from neuroplast.backends.compiled import Compiled
from neuroplast.backends.cpp import build
from neuroplast.backends.cpp.emit import kernel_source
from neuroplast.backends.reference import Recorder, Reference
from neuroplast.expressions import expression
from neuroplast.ir.program import (
    CLOCK,
    TRIAL,
    DelayLine,
    Dot,
    Draw,
    Map,
    Recording,
    Row,
    SetRow,
    SpikeTable,
    StepProgram,
    Sum,
    draw,
    stream_key,
)

pytestmark = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler")


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



"""The Compiled target as a running thing: tasks in Python, errors, interruption, threads, going on from arrays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.programs import N_POST, STEPS, Both, moved, network, same

from neuroplast.backends.compiled import Compiled
from neuroplast.backends.cpp import build
from neuroplast.backends.reference import Recorder, Reference
from neuroplast.errors import LoweringError
from neuroplast.ir.program import (
    CLOCK,
    STEP,
    TRIAL,
    CallTask,
    StepProgram,
)

pytestmark = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler")


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


DENORMAL = """
import numpy as np
from support.programs import network
from neuroplast.backends.compiled import Compiled
from neuroplast.backends.reference import Recorder
Compiled().prepare(network()).run(1, Recorder((), {}, 1))
print(np.float64(1e-310) * np.float64(0.5) > 0)
"""


def test_denormals_are_kept_outside_the_kernel() -> None:
    """In a process of its own: libraries that others compile with -ffast-math turn them off when they are loaded."""
    folders = os.pathsep.join(str(folder) for folder in Path(__file__).parents[1:3])
    finished = subprocess.run(
        [sys.executable, "-c", DENORMAL], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": folders},
    )
    assert finished.stdout.strip() == "True", finished.stderr[-2000:]



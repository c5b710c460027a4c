"""The Lava target beside what the contract shows: Lava's own runtime gives the same, errors are whose they are, it goes on after them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroplast.backends.lava import Lava
from neuroplast.backends.lava.errors import LavaError
from neuroplast.backends.reference import Recorder, Reference
from neuroplast.backends.targets import target_named
from neuroplast.errors import DescriptionError, LoweringError
from neuroplast.ir.tasks import task_caller
from neuroplast.testing.contract import check, program_of, scenario


def _everything(program: Any) -> Recorder:
    return Recorder(program.recordings, {r.name: {0, 1, 2} for r in program.recordings}, program.passes)


@pytest.mark.parametrize("name", ["rule_order_1", "reach_sequence", "modulator_critic"])
def test_lavas_own_runtime_gives_the_same(name: str):
    """Processes of the operating system, messages through Lava's channels; arrays and recordings in shared memory."""
    assert check(Lava("multiprocess", patience=20.0), scenario(name), resumed=name == "rule_order_1") is None


class _Failing:
    """A task that fails in step 5 of trial 1, once."""

    def __init__(self, caller: Any) -> None:
        self.caller, self.failed, self.calls = caller, False, 0

    def call(self, method: str, arrays: dict[str, np.ndarray]) -> None:
        self.calls += 1
        if not self.failed and arrays["clock"][1] == 1 and arrays["clock"][0] == 5:
            self.failed = True
            raise ZeroDivisionError("the user's own")
        self.caller.call(method, arrays)


def test_a_task_that_fails():
    """Its own error comes out; given the state between two trials again, the run goes on as if nothing had been."""
    program = program_of(scenario("python"))
    executable = Lava().prepare(program, _Failing(task_caller(program)))
    recorder = _everything(program)
    executable.run(1, recorder)
    kept = {name: executable.arrays[name].copy() for name in program.state_names()}
    with pytest.raises(ZeroDivisionError, match="the user's own"):
        executable.run(2, recorder)
    for name, value in kept.items():
        executable.arrays[name][...] = value
    program.task.task.environment.restore({"trials": np.array([1.0])})  # type: ignore[union-attr]
    executable.run(2, recorder)
    executable.close()
    other = program_of(scenario("python"))
    expected = Reference().prepare(other, task_caller(other))
    expected.run(3, _everything(other))
    for name in program.state_names():
        assert np.allclose(executable.arrays[name], expected.arrays[name], rtol=1e-10, atol=1e-14), name


def test_what_a_run_may_not_do():
    program = program_of(scenario("python"))
    with pytest.raises(LoweringError, match="written in Python"):
        Lava("multiprocess").prepare(program, task_caller(program))
    with pytest.raises(LoweringError, match="none was given"):
        Lava().prepare(program)
    with pytest.raises(DescriptionError, match=r"Lava\.executor"):
        Lava("threads")


def test_a_number_that_cannot_be_is_an_error_of_its_process():
    """A model error names the Lava process and the time step."""
    program = program_of(scenario("rule_order_1"))
    executable = Lava().prepare(program)
    executable.run(1, _everything(program))
    assert executable._executor is not None
    network: Any = executable._executor
    model = next(m for p, m in network.models.items() if p.name == "cells")
    model.arrays.pop("cells_v")
    with pytest.raises(LavaError, match="'cells' failed in time step 61: KeyError"):
        executable.run(1, _everything(program))


def test_the_report_and_the_name():
    program = program_of(scenario("rule_order_1"))
    target = target_named("lava")
    note = target.prepare(program).report.notes[-1]
    assert target.name == "lava" and "population" in note.got and "projection" in note.got

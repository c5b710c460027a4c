"""A Python task that returns what it must not: the message names the task, its line, the trial and the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroplast import Graded, Network, Pattern, Population, Projection, PythonTask, Rate, TaskError
from neuroplast.backends.reference import Recorder, Reference
from neuroplast.ir.discretize import discretize
from neuroplast.ir.tasks import task_caller
from neuroplast.units import ms

DT, NAN = 0.5 * ms, float("nan")


class Env:
    """Right until the second step of the second trial, where it gives ``answer``; or ``first`` from reset in the second trial."""

    def __init__(self, answer: Any = (0.0, {}, False), first: Any = None, trial_type: Any = 0) -> None:
        self.answer, self.first, self.trial_type, self.wanted_type = answer, first, 0, trial_type

    def reset(self, trial: int, rng: np.random.Generator) -> Any:
        self.trial, self.step_number = trial, 0
        if trial == 1:
            self.trial_type = self.wanted_type
            return {"x": np.zeros(2)} if self.first is None else self.first
        return {"x": np.zeros(2)}

    def step(self, outputs: Any) -> Any:
        self.step_number += 1
        return self.answer if (self.trial, self.step_number) == (1, 2) else (0.0, {}, False)


RESULTS: dict[str, tuple[Env, tuple[str, ...]]] = {
    "no tuple": (Env(0.5), ("something else than (reward, inputs, done)", "got: 0.5")),
    "two things": (Env((0.5, {})), ("something else than (reward, inputs, done)",)),
    "NaN reward": (Env((NAN, {}, False)), ("reward that is not a finite number", "got: nan")),
    "reward that is an array": (Env((np.zeros(2), {}, False)), ("reward that is not a finite number",)),
    "reward that is text": (Env(("good", {}, False)), ("reward that is not a finite number", "'good'")),
    "no reward": (Env((None, {}, False)), ("reward that is not a finite number", "None")),
    "wrong shape": (Env((0.0, {"x": np.zeros(3)}, False)), ("input 'x' of the wrong shape", "(3,)", "(2,)")),
    "NaN input": (Env((0.0, {"x": [0.0, NAN]}, False)), ("input 'x' with values that are not finite", "nan")),
    "ragged input": (Env((0.0, {"x": [[1.0], [1.0, 2.0]]}, False)), ("input 'x' that is no array of numbers",)),
    "done that is an array": (Env((0.0, {}, np.array([True, False]))), ("a done that is neither true nor false",)),
    "done that is text": (Env((0.0, {}, "False")), ("a done that is neither true nor false", "'False'")),
    "unknown input": (Env((0.0, {"z": 1.0}, False)), ("set the input 'z', which it did not declare", "Known names are: x")),
    "input without a name": (Env((0.0, np.zeros(2), False)), ("gave no inputs by name in step",)),
    "wrong shape at the start": (Env(first={"x": np.zeros((2, 2))}), ("input 'x' of the wrong shape", "(2, 2)")),
    "no name at the start": (Env(first=np.zeros(2)), ("gave no inputs by name in reset",)),
    "trial type": (Env(trial_type=-1), ("no usable trial_type", "-1", "0 to 63")),
    "trial type that is no number": (Env(trial_type="left"), ("no usable trial_type", "'left'")),
}


@pytest.mark.parametrize("name", RESULTS)
def test_task_that_returns_what_it_must_not(name: str):
    environment, says = RESULTS[name]
    network = Network("closed")
    x, y = (network.add(Population(n, 2, neuron)) for n, neuron in (("x", Pattern()), ("y", Rate())))
    network.add(Projection(x, y, 1.0, Graded()))
    network.add(PythonTask(environment=environment, inputs=(x,), outputs=(y,), steps=4))
    program = discretize(network, DT)
    executable = Reference().prepare(program, task_caller(program))
    with pytest.raises(TaskError) as caught:
        executable.run(3, Recorder((), {}, 1))
    message = str(caught.value)
    for words in (*says, "the task Env", "(trial 1, step " + ("0" if "start" in name or "type" in name else "1") + ")"):
        assert words in message, f"'{words}' is not in:\n{message}"
    assert f"declared at: {__file__}" in message

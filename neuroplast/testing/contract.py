"""The contract: what every target must do. A target is right where it does what Reference does.

    for scenario in SCENARIOS:
        check(MyTarget(), scenario)
    check_statistics(MyTarget())

Noise is counter-based, so it is the same on all targets: ``check`` compares every state array after every trial, every measure and
every recording. What a target cannot run must be a LoweringError, and must stand in :data:`REFUSALS` with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from neuroplast.backends.reference import Recorder, Reference
from neuroplast.backends.targets import Executable, Target
from neuroplast.errors import LoweringError
from neuroplast.ir.discretize import discretize
from neuroplast.ir.program import CLOCK, TRIAL, StepProgram
from neuroplast.ir.tasks import task_caller
from neuroplast.testing.networks import SCENARIOS, Scenario, scenario
from neuroplast.testing.statistics import check_statistics
from neuroplast.testing.tolerances import RELATIVE, difference

REFUSALS: dict[tuple[str, str], str] = {
    ("brian2-standalone", name): "a standalone program of Brian2 runs without Python"
    for name in ("python", "python_every", "python_continuing", "gymnasium")
}
"""(target, scenario) -> why that target cannot run it. The only accepted LoweringErrors."""


@dataclass
class Outcome:
    """What a run gave. states: after each trial, by trial.  measures: name -> value of each trial.  stopped: trials that were run
    until ``after_trial`` said stop."""

    states: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
    measures: dict[str, list[float]] = field(default_factory=dict)
    recordings: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)
    live: bool = True


class ContractError(AssertionError):
    """A target does not do what Reference does."""


def program_of(scenario: Scenario) -> StepProgram:
    """A scenario in discrete time, made anew: a Python task remembers."""
    return discretize(scenario.build(), scenario.dt)


def state_of(executable: Executable) -> dict[str, np.ndarray]:
    """A copy of the arrays that mean something between two trials."""
    return {name: np.array(executable.arrays[name]) for name in executable.program.state_names()}


def run(executable: Executable, pieces: tuple[int, ...]) -> Outcome:
    """Run pieces of so many trials one after the other, with everything recorded; the state after each piece, and after each
    trial on targets that show it."""
    program = executable.program
    outcome = Outcome(measures={name: [] for name in program.measures})
    recorder = Recorder(program.recordings, {r.name: set(range(sum(pieces))) for r in program.recordings}, program.passes)

    def after_trial(trial: int, arrays: dict[str, np.ndarray]) -> bool:
        for name, array in program.measures.items():
            outcome.measures[name].append(float(arrays[array][0]))
        if int(arrays[CLOCK][TRIAL]) == trial + 1:
            outcome.states[trial] = {name: np.array(arrays[name]) for name in program.state_names()}
        else:
            outcome.live = False
        return True

    for trials in pieces:
        done = executable.run(trials, recorder, after_trial)
        if done != trials:
            raise ContractError(f"asked for {trials} trials, {done} were run")
        outcome.states[int(executable.arrays[CLOCK][TRIAL]) - 1] = state_of(executable)
    outcome.recordings = recorder.results
    return outcome


@lru_cache(maxsize=256)
def reference(name: str) -> Outcome:
    """What Reference gives in a scenario of the list, all trials in one go."""
    one = scenario(name)
    program = program_of(one)
    return run(Reference().prepare(program, task_caller(program)), (one.trials,))


def prepare(target: Target, scenario: Scenario) -> Executable | str:
    """The scenario on the target, or why this target cannot run it."""
    program = program_of(scenario)
    refusal = REFUSALS.get((target.name, scenario.name))
    before = program.digest()
    try:
        executable = target.prepare(program, task_caller(program))
    except LoweringError as error:
        if refusal is None:
            raise ContractError(f"{target.name} refuses '{scenario}', which is not among its known refusals:\n{error}") from error
        return f"{target.name}: {refusal}"
    if refusal is not None:
        executable.close()
        raise ContractError(f"{target.name} runs '{scenario}' after all: take it out of REFUSALS")
    if program.digest() != before:
        raise ContractError(f"{target.name} changed the program")
    for name, array in program.arrays.items():
        there = executable.arrays.get(name)
        if there is None or there.shape != array.initial.shape or there.dtype != array.initial.dtype:
            raise ContractError(f"{target.name}: array '{name}' is missing, or has another shape or type")
    return executable


def check(target: Target, scenario: Scenario, resumed: bool = True) -> str | None:
    """Compare a target with Reference in one scenario: two trials in one go, then one by one, then (if ``resumed``) a resumed run.

    ContractError where it differs; why the target cannot run the scenario, where that is known; else None.
    """
    executable = prepare(target, scenario)
    if isinstance(executable, str):
        return executable
    rest = scenario.trials - 2
    try:
        got = run(executable, (2, *(1,) * rest))
    finally:
        executable.close()
    compare(got, reference(scenario.name), f"{target.name}, {scenario}")
    if resumed:
        check_resumed(target, scenario, got)
    return None


def check_resumed(target: Target, scenario: Scenario, whole: Outcome) -> None:
    """A fresh executable that is given the state after two trials goes on exactly, bit for bit."""
    executable = prepare(target, scenario)
    assert not isinstance(executable, str)
    environment = getattr(getattr(executable.program.task, "task", None), "environment", None)
    try:
        for name, value in whole.states[1].items():
            executable.arrays[name][...] = value
        if environment is not None and hasattr(environment, "restore"):
            environment.restore({"trials": np.array([2.0])})
        rest = run(executable, (scenario.trials - 2,))
    finally:
        executable.close()
    last = scenario.trials - 1
    for name, value in rest.states[last].items():
        if not np.array_equal(value, whole.states[last][name], equal_nan=value.dtype == float):
            raise ContractError(f"{target.name}, {scenario}: '{name}' differs between a resumed run and one in a single piece")


def compare(got: Outcome, expected: Outcome, what: str) -> None:
    """ContractError with a list of what differs."""
    wrong: list[str] = []
    for trial, arrays in got.states.items():
        for name, value in arrays.items():
            _compare(wrong, f"state '{name}' after trial {trial}", value, expected.states[trial][name])
    for name, values in expected.measures.items():
        _compare(wrong, f"measure '{name}'", np.array(got.measures[name]), np.array(values))
    for name, trials in expected.recordings.items():
        if got.recordings[name].keys() != trials.keys():
            wrong.append(f"recording '{name}' holds trials {sorted(got.recordings[name])}, not {sorted(trials)}")
            continue
        for trial, value in trials.items():
            _compare(wrong, f"recording '{name}' of trial {trial}", got.recordings[name][trial], value)
    if wrong:
        raise ContractError("\n  ".join([f"{what}: {len(wrong)} things differ from Reference", *wrong[:20]]))


def _compare(wrong: list[str], what: str, got: np.ndarray, expected: np.ndarray) -> None:
    away = difference(got, expected)
    if away > RELATIVE:
        shown = f"got {got.dtype}{got.shape}, expected {expected.dtype}{expected.shape}"
        if got.shape == expected.shape and got.size:
            at = np.unravel_index(np.argmax(np.abs(got.astype(float) - expected.astype(float))), got.shape)
            shown = f"got {got[at]!r}, expected {expected[at]!r} at {tuple(map(int, at))}"
        wrong.append(f"{what}: off by {away:.3g} of its scale, allowed {RELATIVE:g} ({shown})")


__all__ = [
    "REFUSALS", "SCENARIOS", "ContractError", "Outcome", "Scenario", "check", "check_resumed", "check_statistics", "compare",
    "prepare", "program_of", "reference", "run", "scenario", "state_of",
]

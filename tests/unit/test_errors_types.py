"""Parts of the wrong kind, lost units, and asking for more than there is: the message names the user's own line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neuroplast import (
    LIF,
    Delta,
    DescriptionError,
    Dopamine,
    Eligibility,
    LowPass,
    Modulator,
    Monitor,
    Network,
    Pattern,
    PerTrialType,
    Poisson,
    Population,
    Projection,
    PythonTask,
    Rate,
    Reach,
    Readout,
    Signal,
    Simulation,
    SpikeSequence,
    TaskError,
    ThreeFactorRule,
    TrackTarget,
    gymnasium_task,
)
from neuroplast.ir.discretize import discretize
from neuroplast.units import Hz, kHz, ms, mV

DT = 1 * ms


class Env:
    """Does nothing but remember what it saw."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def reset(self, trial: int, rng: np.random.Generator) -> dict[str, Any]:
        return {}

    def step(self, outputs: Any) -> tuple[float, dict[str, Any], bool]:
        self.seen += [float(values[0]) for values in outputs.values()]
        return 0.0, {}, False


class Falls(Env):
    def step(self, outputs: Any) -> Any:
        return 1 / len(())


class NoArguments(Env):
    def reset(self) -> dict[str, Any]:  # type: ignore[override]
        return {}


def space(kind: str, **fields: Any) -> Any:
    return type(kind, (SimpleNamespace,), {})(**fields)


def gym(action: Any) -> Any:
    made = SimpleNamespace(reset=lambda **_: None, step=lambda _: None)
    return SimpleNamespace(observation_space=space("Box", shape=(2,)), action_space=action, **vars(made))


def lif(**more: Any) -> LIF:
    return LIF(**({"tau": 10 * ms, "v_rest": -60 * mV, "v_threshold": -50 * mV, "v_reset": -55 * mV} | more))


def pop(neuron: Any = None, name: str = "cells") -> Population:
    return Population(name, 2, neuron or lif())


def arrow(**more: Any) -> Projection:
    return Projection(pop(Poisson(50 * Hz), "source"), pop(), 1 * mV, Delta(), **more)


def rule(*names: str) -> ThreeFactorRule:
    factors: Any = {name: LowPass(Signal("pre", "spikes"), tau=5 * ms) for name in names}
    return ThreeFactorRule(factors, Eligibility(" * ".join(names), tau=9 * ms), Modulator("reward"))


def track(rows: int = 5, unit: Any = 1.0) -> TrackTarget:
    return TrackTarget(readout=pop(Readout(tau=5 * ms), "out"), target=np.ones((rows, 2)) * unit, interval=1 * ms, steps=5)


def run(*nodes: Any, trials: Any = 2, duration: Any = None, dt: Any = DT, target: Any = "reference", seed: Any = 0) -> Any:
    network = Network("mine", seed)
    for node in nodes:
        network.add(node)
    return Simulation(network, dt, target).run(trials, duration)


def watched(**more: Any) -> Any:
    cells = pop()
    return run(cells, Monitor(cells, "v", **more), duration=5 * ms)


def task(environment: Any, **more: Any) -> PythonTask:
    return PythonTask(environment=environment, steps=5, **more)


def many_types() -> Any:
    network, eye = Network("mine"), np.eye(2)
    x, y = network.add(pop(Pattern(), "x")), network.add(pop(Rate(), "y"))
    network.add(Modulator("reward", baseline=PerTrialType(trials=5)))
    targets = np.ones((65, 2))
    network.add(Reach(inputs=x, outputs=y, targets=targets, encoder=eye, decoder=eye, offset=np.zeros(2), radius=0.1, steps=3))
    return discretize(network, DT)


def rare_spikes() -> Any:
    cells = pop()
    return run(cells, Monitor(cells, "spikes", every=5 * ms), duration=9 * ms)


DA = pop(Poisson(20 * Hz), "da")
CASES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "unit of a pattern": (lambda: Pattern(np.ones(2) * kHz), ("Pattern.values takes plain numbers", "divide by the unit")),
    "unit of a target": (lambda: track(unit=kHz), ("TrackTarget.target takes plain numbers",)),
    "unit inside a list": (lambda: lif(v_rest=[-60 * mV, -61 * mV]), ("a unit inside", "write the unit once")),
    "wrong field": (lambda: LIF(v_rst=-60 * mV), ("LIF has no field 'v_rst'", "Did you mean 'v_rest'?")),  # type: ignore[call-arg]
    "missing fields": (lambda: LIF(tau=10 * ms), ("LIF lacks v_rest, v_threshold, v_reset",)),  # type: ignore[call-arg]
    "no gain": (lambda: Dopamine(DA, 20 * Hz, 9 * ms), ("Dopamine lacks gain",)),  # type: ignore[call-arg]
    "lengths of fields": (
        lambda: lif(v_reset=np.full(2, -60) * mV, v_threshold=np.full(3, -50) * mV),
        ("v_threshold and v_reset differ in shape",),
    ),
    "connectivity": (lambda: arrow(connectivity=0.1), ("connectivity is not a connectivity", "FixedProbability(p)")),
    "noise": (lambda: arrow(noise=0.1), ("noise is not a noise", "got: 0.1")),
    "release": (lambda: arrow(release=0.1), ("release is not a release",)),
    "rule": (lambda: arrow(plasticity="hebb"), ("plasticity is not a rule", "'hebb'")),
    "class in place of an object": (lambda: pop(Rate), ("neuron is not a neuron", "make one: Rate(...)")),
    "signal": (lambda: LowPass("pre", tau=5 * ms), ("LowPass.signal is not a signal",)),  # type: ignore[arg-type]
    "factor named as a constant": (lambda: rule("pi", "probe"), ("'pi' is that of a constant",)),
    "dopamine of what is no population": (
        lambda: Dopamine("da", 20 * Hz, 9 * ms, gain=1 * Hz),  # type: ignore[arg-type]
        ("Dopamine.population is not a population",),
    ),
    "monitor of a name": (lambda: Monitor("b", "v"), ("Monitor.of is nothing that can be recorded", "'b'")),  # type: ignore[arg-type]
    "monitor going back": (lambda: watched(every=-5 * ms), ("Monitor.every is out of range",)),
    "half a trial": (lambda: watched(trials=(0.5,)), ("Monitor.trials must be whole numbers",)),
    "trial by name": (lambda: watched(trials=("x",)), ("Monitor.trials must be whole numbers",)),
    "trial beyond the run": (lambda: watched(trials=(7,)), ("records trial 7", "a run of 2 trials", "-2 to 1")),
    "spikes now and then": (rare_spikes, ("misses most of them", "record every step")),
    "no number of trials": (lambda: run(pop(), trials=float("nan")), ("trials is no number of trials", "nan")),
    "trials in words": (lambda: run(pop(), trials="ten"), ("trials is no number of trials", "'ten'")),
    "no length of a trial": (lambda: run(pop(), trials=3), ("nothing says how long a trial is", "run(trials=3, duration=100*ms)")),
    "target": (lambda: run(pop(), target=5), ("Simulation.target is no target",)),
    "two steps": (lambda: run(pop(), dt=[1, 2] * ms), ("Simulation.dt is one number",)),
    "seed": (lambda: run(seed=1.7), ("Network.seed is no seed", "1.7")),
    "target beyond the trial": (lambda: run((t := track(50)).readout, t), ("longer than the trial", "up to 5 rows")),
    "trial types": (many_types, ("too many targets", "65 targets", "up to 64")),
    "output of a task": (lambda: task(Env(), outputs=("b",)), ("PythonTask.outputs[0] is not a population",)),
    "variable of a task": (lambda: task(Env(), outputs=(pop(),), variables={"cell": "v"}), ("Did you mean 'cells'?",)),
    "environment that is a class": (lambda: task(Env), ("is a class, not an object", "environment=Env(...)")),
    "reset without arguments": (lambda: task(NoArguments()), ("'reset' of the task's environment takes other", "reset(trial, rng)")),
    "action space": (
        lambda: gymnasium_task(gym(space("MultiDiscrete", shape=(2,))), pop(), pop(), steps=3),
        ("cannot use this action space", "Box or Discrete"),
    ),
    "number of actions": (
        lambda: gymnasium_task(gym(space("Discrete", shape=(), n=3)), pop(), pop(), steps=3),
        ("does not fit the action space", "3 units"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_mistake(name: str):
    wrong, says = CASES[name]
    with pytest.raises(DescriptionError) as caught:
        wrong()
    message = str(caught.value)
    for words in (*says, f"declared at: {__file__}:"):
        assert words in message, f"'{words}' is not in:\n{message}"


def test_an_exception_of_the_environment_names_its_line():
    with pytest.raises(TaskError) as caught:
        run(pop(), task(Falls()))
    line = Falls.step.__code__.co_firstlineno + 1
    assert "ZeroDivisionError" in str(caught.value) and f"raised at {__file__}:{line}" in str(caught.value)


@pytest.mark.parametrize("reset", (True, False))
def test_a_task_called_now_and_then_sees_every_spike(reset: bool):
    cells, environment = Population("cells", 1, SpikeSequence([0, 0, 0, 0], [1, 2, 3, 7] * ms)), Env()
    run(cells, PythonTask(environment=environment, outputs=(cells,), every=5 * ms, steps=10, reset=reset))
    assert environment.seen == [3.0, 1.0] * 2


def test_factors_of_any_name_go_together():
    """Names that the lowering makes up are never those of factors."""
    source, cells, goal = pop(Poisson(50 * Hz), "source"), pop(), track()
    plastic = Projection(source, cells, 1 * mV, Delta(), plasticity=rule("pre", "x_pre", "pre_mean"))
    assert run(source, cells, plastic, goal.readout, goal)["learning/error"].size == 2

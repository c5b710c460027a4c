"""The reward of a trial's last step is acted on, though no step follows; and given input may come late by one step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroplast import (
    Eligibility,
    Graded,
    Modulator,
    Monitor,
    Network,
    Pattern,
    Population,
    Projection,
    PythonTask,
    Rate,
    Readout,
    RunningMean,
    Signal,
    Simulation,
    ThreeFactorRule,
)
from neuroplast.units import ms

STEPS, RATE, DT = 5, 3.0, 1e-3


class Pays:
    """One unit of reward in the last step."""

    def reset(self, trial: int, rng: np.random.Generator) -> dict[str, Any]:
        self.step_number = 0
        return {}

    def step(self, outputs: Any) -> tuple[float, dict[str, Any], bool]:
        self.step_number += 1
        done = self.step_number == STEPS
        return float(done), {}, done


@pytest.mark.parametrize("target", ["reference", "compiled", "brian2-runtime"])
@pytest.mark.parametrize("update", ["continuous", "deferred", "episodic"])
def test_a_reward_at_the_end_teaches(target: str, update: str):
    """x = 1 all the time, so e = STEPS dt when the reward comes; dw = rate e (dt, if the rule integrates over time)."""
    net = Network("end", seed=1)
    x, y = net.add(Population("x", 1, Pattern([1.0]))), net.add(Population("y", 1, Readout(tau=5 * ms)))
    rule = ThreeFactorRule({"x": Signal("pre", "rate")}, Eligibility("x", tau=None), Modulator("r"), rate=RATE, update=update)
    net.add(Projection(x, y, 0.0, Graded(), plasticity=rule, name="wire"))
    net.add(PythonTask(environment=Pays(), inputs=(), outputs=(y,), steps=STEPS + 3))
    weight = Simulation(net, DT * 1e3 * ms, target).run(trials=2)["weights_final"]["wire"].to_numpy().item()
    assert weight == pytest.approx(2 * RATE * STEPS * DT * (1.0 if update == "episodic" else DT), rel=1e-12)


@pytest.mark.parametrize("target", ["reference", "compiled"])
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_given_input_comes_as_late_as_it_is_told_to(target: str, steps: int):
    net = Network("late", seed=1)
    x = net.add(Population("x", 1, Pattern(np.arange(1.0, 7.0)[:, None], interval=1 * ms)))
    y = net.add(Population("y", 1, Rate("linear")))
    net.add(Projection(x, y, 1.0, Graded(), delay=steps * ms))
    net.add(Monitor(y, "rate"))
    found = Simulation(net, 1 * ms, target).run(duration=6 * ms)["recordings"]["y_rate"]["value"].to_numpy()[0, :, 0]
    assert found.tolist() == [0.0] * steps + list(range(1, 7 - steps))


class Short:
    """One unit of reward in each step; a trial ends after STEPS steps."""

    def reset(self, trial: int, rng: np.random.Generator) -> dict[str, Any]:
        self.step_number = 0
        return {}

    def step(self, outputs: Any) -> tuple[float, dict[str, Any], bool]:
        self.step_number += 1
        return 1.0, {}, self.step_number == STEPS


@pytest.mark.parametrize("reset", [True, False])
def test_what_a_trial_that_ends_early_should_earn_is_counted_in_its_own_steps(reset: bool):
    net = Network("short", seed=1)
    x, y = net.add(Population("x", 1, Pattern([1.0]))), net.add(Population("y", 1, Readout(tau=5 * ms)))
    modulator = Modulator("r", baseline=RunningMean(tau=5 * ms))
    rule = ThreeFactorRule({"x": Signal("pre", "rate")}, Eligibility("x", tau=5 * ms), modulator, update="episodic")
    net.add(Projection(x, y, 0.0, Graded(), plasticity=rule, name="wire"))
    net.add(PythonTask(environment=Short(), outputs=(y,), steps=100 * STEPS, reset=reset))
    simulation = Simulation(net, DT * 1e3 * ms, "reference")
    simulation.run(trials=50)
    arrays = simulation.executable.arrays
    assert arrays["r_end"][0] == pytest.approx(STEPS * (1.0 - arrays["r_mean"][0]), abs=1e-12)
    assert abs(arrays["r_end"][0]) < 1.0  # and not what 100 STEPS steps would have earned


@pytest.mark.parametrize("baseline", [RunningMean(tau=5 * ms), RunningMean(trials=4)])
@pytest.mark.parametrize("delay", [0.0, 2e-3])
def test_a_steady_reward_is_what_was_expected(baseline: RunningMean, delay: float):
    """Always one: the mean goes to one (a trial's worth), the error to zero, and no step in which none was given counts."""
    net = Network("steady", seed=1)
    x, y = net.add(Population("x", 1, Pattern([1.0]))), net.add(Population("y", 1, Readout(tau=5 * ms)))
    modulator = Modulator("r", baseline=baseline, delay=delay * 1e3 * ms)
    rule = ThreeFactorRule({"x": Signal("pre", "rate")}, Eligibility("x", tau=5 * ms), modulator)
    net.add(Projection(x, y, 0.0, Graded(), plasticity=rule, name="wire"))
    net.add(PythonTask(environment=Short(), outputs=(y,), steps=3 * STEPS))
    net.add(Monitor(modulator, "value", trials=[-1]))
    simulation = Simulation(net, DT * 1e3 * ms, "reference")
    tree = simulation.run(trials=200)
    arrays = simulation.executable.arrays
    expected = 1.0 if baseline.tau is not None else STEPS
    assert arrays["r_mean"][0] == pytest.approx(expected, rel=1e-6)
    assert np.abs(tree["recordings/r_value/value"].to_numpy()).max() < 1e-6

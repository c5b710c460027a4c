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

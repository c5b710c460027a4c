"""Scenarios of the contract: every task, closed over a small network that learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neuroplast.modulation import Baseline, Modulator, PairedPass, PerTrialType, RunningMean
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import LIF, Bernoulli, Pattern, Poisson, Rate, Readout
from neuroplast.node import Normal, Uniform
from neuroplast.noise import OrnsteinUhlenbeck, White
from neuroplast.plasticity import Deviation, Eligibility, LowPass, Signal, ThreeFactorRule
from neuroplast.synapses import Conductance, Delta, Graded
from neuroplast.tasks import OpenLoop, PythonTask, Reach, Regression, TrackTarget, gymnasium_task
from neuroplast.testing.stage import STEPS, waves
from neuroplast.units import Hz, ms, mV

Build = Callable[[], Network]


def _record(network: Network, *what: tuple[Any, str]) -> None:
    for node, variable in what:
        network.add(Monitor(node, variable, trials="all"))


def open_loop() -> Network:
    """No task, no reward: a population that runs by itself for one step a trial."""
    network = Network("open_loop", seed=2)
    cells = network.add(Population("cells", 4, LIF(5 * ms, -60 * mV, -52 * mV, -58 * mV, drive=9 * mV), noise=White(6 * mV)))
    network.add(Projection(cells, cells, Normal(0.0, 0.3), Conductance(4 * ms, 0 * mV), delay=1 * ms))
    network.add(OpenLoop(steps=25, reset=False))
    _record(network, (cells, "spikes"), (cells, "v"))
    return network


def track(reward: str, threshold: float | None = None, variable: str = "m", reset: bool = True, steps: int = STEPS) -> Build:
    """Spiking drive onto conductance cells, read out along a target that ends before the trial does."""

    def build() -> Network:
        network = Network("track", seed=4)
        drive = network.add(Population("drive", 12, Poisson(150 * Hz)))
        lif = LIF(10 * ms, -60 * mV, -50 * mV, -55 * mV, drive=7 * mV, v_initial=Uniform(-60 * mV, -50 * mV))
        cells = network.add(Population("cells", 8, lif, noise=OrnsteinUhlenbeck(3 * mV, tau=3 * ms)))
        out = network.add(Population("out", 2, Readout(tau=8 * ms)))
        rule = ThreeFactorRule(
            {"s": LowPass(Signal("pre", "spikes"), 5 * ms), "xi": Signal("post", "noise")}, Eligibility("s*xi", tau=8 * ms),
            Modulator("reward", delay=1 * ms), rate=3e5, bounds=(0.0, None),
        )
        plastic = network.add(Projection(drive, cells, Uniform(0.0, 0.1), Conductance(5 * ms, 0 * mV), plasticity=rule))
        network.add(Projection(cells, out, Normal(0.0, 0.5), Delta()))
        read = out if variable == "m" else cells
        target = waves(min(25, steps // 2), read.size) * (1.0 if variable == "m" else 0.01) - (0.0 if variable == "m" else 0.055)
        network.add(
            TrackTarget(
                readout=read, target=target, interval=1 * ms, variable=variable, reward=reward, threshold=threshold, steps=steps,
                reset=reset,
            )
        )
        _record(network, (cells, "spikes"), (out, "m"), (plastic, "weight"))
        return network

    return build


def reach(order: str, baseline: Baseline | None, reset: bool = True) -> Build:
    """The brain-computer interface: trials that end when the cursor has come close to one of four targets."""

    def build() -> Network:
        network = Network("reach", seed=6)
        n, angle = 10, np.linspace(0.0, 2 * np.pi, 10, endpoint=False)
        inputs = network.add(Population("inputs", 5, Pattern()))
        units = network.add(Population("units", n, Rate("relu", bias=0.5), noise=White(0.6, law="uniform")))
        rule = ThreeFactorRule(
            {"x": Signal("pre", "rate"), "a": Deviation(Signal("post", "activation"), 5 * ms)}, Eligibility("x*a", tau=0),
            Modulator("reward", baseline=baseline, tau=2 * ms), rate=20.0,
        )
        plastic = network.add(Projection(inputs, units, Normal(0.0, 0.5), Graded(), plasticity=rule))
        directions = np.stack([np.cos(angle), np.sin(angle)])
        task = Reach(
            inputs=inputs, outputs=units, targets=[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]],
            encoder=np.random.default_rng(1).normal(size=(5, 2)), decoder=16.0 * directions, offset=np.full(n, 0.5), radius=0.7,
            order=order, steps=STEPS, reset=reset,
        )
        network.add(task)
        _record(network, (units, "rate"), (inputs, "rate"), (plastic, "weight"))
        return network

    return build


def regression(x: np.ndarray | None, noise: str, steps: int = 1) -> Build:
    """Node perturbation on a linear network, each trial in two passes (Werfel, Xie & Seung 2005)."""

    def build() -> Network:
        network = Network("regression", seed=8)
        inputs = network.add(Population("inputs", 4, Pattern()))
        outputs = network.add(Population("outputs", 3, Rate(), noise=White(0.3)))
        rule = ThreeFactorRule(
            {"x": Signal("pre", "rate"), "xi": Signal("post", "noise")}, Eligibility("x*xi", tau=0),
            Modulator("reward", baseline=PairedPass(noise)), rate=0.2, update="episodic",
        )
        plastic = network.add(Projection(inputs, outputs, 0.0, Graded(), plasticity=rule))
        teacher = np.random.default_rng(3).normal(size=(3, 4))
        network.add(Regression(inputs=inputs, outputs=outputs, teacher=teacher, x=x, steps=steps))
        _record(network, (outputs, "rate"), (plastic, "weight"))
        return network

    return build


class ToyEnvironment:
    """Wants its input back, with a sign that belongs to the trial type; ends a trial early when the reward has been high."""

    def __init__(self) -> None:
        self.trials = np.zeros(1)
        self.trial_type = 0

    def reset(self, trial: int, rng: np.random.Generator) -> Mapping[str, Any]:
        self.trial_type, self.left = trial % 3, 20 + 5 * int(self.trials[0] % 4)
        self.trials += 1
        self.wanted = rng.normal(size=3)
        return {"inputs": self.wanted, "context": float(self.trial_type)}

    def step(self, outputs: Mapping[str, np.ndarray]) -> tuple[float, Mapping[str, Any], bool]:
        error = outputs["units"] - self.wanted * (1 - self.trial_type)
        self.left -= 1
        reward = -float(error @ error) + 0.5 * float(outputs["coins"].sum())
        return reward, {"inputs": self.wanted * np.cos(self.left)} if self.left % 3 else {}, self.left == 0

    def state(self) -> Mapping[str, np.ndarray]:
        return {"trials": self.trials}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.trials = np.array(state["trials"])


def python(every: float | None = None, reset: bool = True) -> Build:
    """A task in Python, called in each step or every few, that reads spikes and activations."""

    def build() -> Network:
        network = Network("python", seed=10)
        inputs, context = (network.add(Population(name, size, Pattern())) for name, size in (("inputs", 3), ("context", 1)))
        units = network.add(Population("units", 3, Rate("tanh", tau=2 * ms), noise=White(0.4)))
        coins = network.add(Population("coins", 4, Bernoulli()))
        network.add(Projection(context, units, Normal(0.0, 1.0), Graded()))
        network.add(Projection(units, coins, Normal(0.0, 1.0), Graded(), delay=1.5 * ms))
        rule = ThreeFactorRule(
            {"x": Signal("pre", "rate"), "xi": Signal("post", "noise")}, Eligibility("x*xi", tau=4 * ms),
            Modulator("reward", baseline=PerTrialType(trials=2)), rate=50.0,
        )
        plastic = network.add(Projection(inputs, units, Normal(0.0, 0.5), Graded(), plasticity=rule))
        network.add(
            PythonTask(
                environment=ToyEnvironment(), inputs=(inputs, context), outputs=(units, coins), variables={"units": "activation"},
                every=None if every is None else every * ms, steps=STEPS, reset=reset,
            )
        )
        _record(network, (coins, "spikes"), (units, "rate"), (inputs, "rate"), (plastic, "weight"))
        return network

    return build


def line_world() -> Any:
    """A tiny Gymnasium environment: walk to the end of a line of seven places."""
    import gymnasium

    class LineWorld(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-3.0, 3.0, (1,))
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
            super().reset(seed=seed)
            self.place = int(self.np_random.integers(-2, 2))
            return np.array([float(self.place)]), {}

        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            self.place += 1 if action else -1
            return np.array([float(self.place)]), float(self.place), abs(self.place) == 3, False, {}

    return LineWorld()


def gymnasium() -> Network:
    """A Gymnasium environment whose discrete action is the more active of two units."""
    network = Network("gymnasium", seed=12)
    inputs = network.add(Population("inputs", 1, Pattern()))
    units = network.add(Population("units", 2, Rate("sigmoid", bias=[0.0, 0.1]), noise=White(0.5)))
    rule = ThreeFactorRule(
        {"x": Signal("pre", "rate"), "xi": Signal("post", "noise")}, Eligibility("x*xi", tau=2 * ms),
        Modulator("reward", baseline=RunningMean(trials=3)), rate=100.0,
    )
    plastic = network.add(Projection(inputs, units, Normal(0.0, 0.5), Graded(), plasticity=rule))
    network.add(gymnasium_task(line_world(), inputs, units, steps=STEPS))
    _record(network, (units, "rate"), (inputs, "rate"), (plastic, "weight"))
    return network


TASKS: dict[str, Build] = {
    "open_loop": open_loop,
    "track_error": track("error"),
    "track_binary": track("binary", threshold=2.0),
    "track_running_threshold": track("binary"),
    "track_random": track("random"),
    "track_voltage": track("error", variable="v", steps=40),
    "track_continuing": track("binary", reset=False),
    "reach_random": reach("random", RunningMean(trials=4)),
    "reach_sequence": reach("sequence", PerTrialType(trials=2)),
    "reach_continuing": reach("random", RunningMean(tau=20 * ms), reset=False),
    "regression": regression(None, "off"),
    "regression_other": regression(None, "other", steps=3),
    "regression_fixed": regression(np.array([1.0, -0.5, 0.3, 2.0]), "off"),
    "python": python(),
    "python_every": python(every=2.0),
    "python_continuing": python(every=1.5, reset=False),
    "gymnasium": gymnasium,
}
"""Scenario name -> the network with its task."""

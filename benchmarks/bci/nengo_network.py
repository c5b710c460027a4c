"""The brain-control network in Nengo: inputs are an ensemble whose decoders are the plastic weights, learning by PES.

PES changes decoders by the outer product of an error and the presynaptic activities, in every step, which is the EH rule where
the error of unit i is -M d_i: minus dopamine times the deviation of its activity. Noise, deviations, cursor and reward are
nodes in Python, as an environment is in Nengo. The same network, order of events and numbers as ours.
"""

from __future__ import annotations

from typing import Any

import nengo  # pyright: ignore[reportMissingImports]  # lives in an environment of its own
import numpy as np

from benchmarks.bci import network as bci
from benchmarks.registry import Job


class Linear(nengo.neurons.NeuronType):
    """A rate that is its input, of either sign."""

    negative = True
    spiking = False

    def gain_bias(self, max_rates: Any, intercepts: Any) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(len(max_rates)), np.zeros(len(max_rates))

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        output[...] = J


class LastStep(nengo.synapses.Synapse):
    """What it was given a step ago; the rule pairs the last step's activities and deviations with the dopamine that they earned."""

    def make_state(self, shape_in: Any, shape_out: Any, dt: float, dtype: Any = None, y0: Any = 0) -> dict[str, np.ndarray]:
        return {"last": np.zeros(shape_out)}

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: dict[str, np.ndarray]) -> Any:
        last = state["last"]

        def step(t: float, signal: np.ndarray) -> np.ndarray:
            given = last.copy()
            last[...] = signal
            return given

        return step


class World:
    """Cursor, goal and reward. Whatever acts in the next step is kept here, so that Nengo sees no loop without a delay."""

    def __init__(self, job: Job) -> None:
        self.data, self.steps, self.random = job.arrays(), job.steps, np.random.default_rng(1)
        self.given = job.given
        self.decoder, self.offset = (self.data[name][..., : bci.N_RECORDED] for name in ("decoder", "offset"))
        self.step, self.reward, self.expected = 0, 0.0, 0.0
        self.mean, self.deviation = np.zeros(bci.N), np.zeros(bci.N)
        self.begin()

    def begin(self) -> None:
        """A reach to another corner."""
        corner = int(self.data["goal"][self.step // self.steps % len(self.data["goal"])]) if self.given else self.random.integers(8)
        self.goal, self.cursor = self.data["targets"][corner], np.zeros(3)
        self.aim()

    def aim(self) -> None:
        way = self.goal - self.cursor
        self.direction = way / max(float(np.sqrt(way @ way)), 1e-12)

    def see(self, t: float) -> np.ndarray:
        return self.direction

    def act(self, t: float, heard: np.ndarray) -> np.ndarray:
        """Activities, and errors of the last step."""
        dopamine = self.reward - self.expected
        self.expected += (1 - bci.MEMORY) * dopamine
        error = -dopamine * self.deviation
        if self.given:
            noise = self.data["noise"].reshape(-1, bci.N)[self.step]
        else:
            noise = self.random.uniform(-bci.EXPLORATION, bci.EXPLORATION, bci.N)
        active = heard + noise
        self.deviation = active - self.mean
        self.mean += (1 - bci.MEMORY) * self.deviation
        return np.concatenate([active, error])

    def move(self, t: float, active: np.ndarray) -> float:
        velocity = self.decoder @ (np.maximum(active, 0.0) - self.offset)
        self.reward = float(velocity @ self.direction) / max(float(np.sqrt(velocity @ velocity)), 1e-12)
        self.cursor = self.cursor + bci.DT * velocity
        self.step += 1
        if self.step % self.steps == 0:
            self.begin()
        else:
            self.aim()
        return self.reward


class Nengo:
    steps = bci.STEPS

    def prepare(self, job: Job) -> None:
        self.steps, world = job.steps, World(job)
        with nengo.Network() as network:
            eyes = nengo.Node(world.see, size_in=0, size_out=3)
            inputs = nengo.Ensemble(bci.N_IN, 3, neuron_type=Linear(), gain=np.ones(bci.N_IN), bias=np.zeros(bci.N_IN))
            cortex = nengo.Node(world.act, size_in=bci.N, size_out=2 * bci.N)
            hand = nengo.Node(world.move, size_in=bci.N_RECORDED, size_out=1)  # of no size, Nengo would try it out
            # to the neurons: an ensemble's own encoders are of length 1
            nengo.Connection(eyes, inputs.neurons, transform=world.data["encoder"], synapse=None)
            self.plastic = nengo.Connection(
                inputs, cortex, function=lambda x: np.zeros(bci.N), solver=nengo.solvers.NoSolver(world.data["w"]), synapse=None,
                learning_rule_type=nengo.PES(bci.LEARNING_RATE * bci.N_IN / bci.DT, pre_synapse=LastStep()),
            )
            nengo.Connection(cortex[bci.N :], self.plastic.learning_rule, synapse=None)
            nengo.Connection(cortex[: bci.N_RECORDED], hand, synapse=None)
        self.simulator = nengo.Simulator(network, dt=bci.DT, progress_bar=False)

    def run(self, trials: int) -> None:
        self.simulator.run_steps(trials * self.steps)

    def outcome(self) -> np.ndarray:
        """The change of the last step, which Nengo would make in its next step, is added."""
        signals, names = self.simulator.signals, self.simulator.model.sig
        weights = signals[names[self.plastic]["weights"]] + signals[names[self.plastic.learning_rule]["delta"]]
        return np.array(weights.T)

"""The stage on which the contract's scenarios play: a small network with a task that gives reward in every step.

A scenario adds its own populations and projections to a stage. What it does not need is not there, as everything is made when it
is first asked for; several scenarios can share one stage, because each names its own nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import LIF, Neuron, Pattern, Poisson, Rate, Readout, SpikeSequence
from neuroplast.node import Normal, Uniform
from neuroplast.noise import Noise, White
from neuroplast.synapses import Current, Delta, Graded
from neuroplast.tasks import TrackTarget
from neuroplast.units import Hz, ms, mV

DT = 0.5 * ms
STEPS = 60
Part = Callable[["Stage"], None]


class Stage:
    """``drive`` (Poisson) excites ``cells`` (noisy LIF), whose spikes move ``output``; the reward is minus its error.

    Besides these, for those that want them: ``sparse`` (given spikes, most units silent at any time), ``units`` (noisy rate units)
    and ``graded`` (a given pattern).
    """

    def __init__(self, name: str, *, reset: bool = True, seed: int = 11) -> None:
        self.network = Network(name, seed=seed)
        self.drive = self.add(Population("drive", 9, Poisson(np.linspace(60.0, 260.0, 9) * Hz)))
        lif = LIF(
            tau=10 * ms, v_rest=-60 * mV, v_threshold=-52 * mV, v_reset=-58 * mV, refractory=1 * ms, drive=7.5 * mV,
            v_initial=Uniform(-60 * mV, -52 * mV),
        )
        self.cells = self.population("cells", 10, lif, White(5 * mV), watch=("spikes", "v"))
        self.output = self.population("output", 2, Readout(tau=6 * ms), watch=("m",))
        self.project(self.drive, self.cells, Normal(0.5 * mV, 2.0 * mV), Current(tau=3 * ms))
        self.project(self.cells, self.output, Normal(0.2, 0.6), Delta())
        self.network.add(
            TrackTarget(readout=self.output, target=waves(20, 2), interval=1.5 * ms, steps=STEPS, reset=reset, reward="error")
        )

    def add(self, node: Any) -> Any:
        return self.network.add(node)

    def population(
        self, name: str, size: int, neuron: Neuron, noise: Noise | None = None, watch: tuple[str, ...] = ()
    ) -> Population:
        """A population of which every trial of the signals in ``watch`` is recorded."""
        population = self.add(Population(name, size, neuron, noise))
        self.watch(population, *watch)
        return population

    def project(self, pre: Population, post: Population, weight: Any, synapse: Any, *watch: str, **more: Any) -> Projection:
        """A projection of which ``watch`` is recorded when a trial ends."""
        projection = self.add(Projection(pre, post, weight, synapse, **more))
        self.watch(projection, *watch, every="trial")
        return projection

    def watch(self, node: Any, *variables: str, every: Any = None, units: Any = None) -> None:
        for variable in variables:
            self.add(Monitor(node, variable, every=every, trials="all", units=units))

    @cached_property
    def sparse(self) -> Population:
        """12 units that burst one after the other, two spikes each; the last one never."""
        unit, step = np.repeat(np.arange(11), 2), (np.arange(11)[:, None] * 5 + [1, 3]).ravel()
        return self.population("sparse", 12, SpikeSequence(unit, step * DT), watch=("spikes",))

    @cached_property
    def units(self) -> Population:
        units = self.population("units", 5, Rate("tanh", tau=4 * ms, bias=Normal(0.0, 0.3)), White(0.3), watch=("rate",))
        self.project(self.graded, units, Normal(0.0, 0.5), Graded())
        return units

    @cached_property
    def graded(self) -> Population:
        return self.population("graded", 4, Pattern(waves(12, 4), interval=2 * ms))


def waves(rows: int, columns: int) -> np.ndarray:
    """Smooth values around zero, no two columns the same. (rows, columns)"""
    time = np.arange(rows)[:, None]
    return np.sin(0.7 * time / (1 + np.arange(columns)) + np.arange(columns)) + 0.1 * np.arange(columns)


__all__ = ["DT", "STEPS", "Part", "Stage", "waves"]

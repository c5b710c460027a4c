"""Integers on any target by name: "compiled:fixed"."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroplast import (
    LIF,
    Current,
    DescriptionError,
    Graded,
    Network,
    Normal,
    Pattern,
    Poisson,
    Population,
    Projection,
    PythonTask,
    Readout,
    Simulation,
)
from neuroplast.backends.reference import Reference
from neuroplast.backends.targets import target_named
from neuroplast.quantize import QuantizationError, quantize
from neuroplast.quantize.target import Fixed
from neuroplast.results import array
from neuroplast.testing.contract import program_of, scenario
from neuroplast.units import Hz, ms, mV


@pytest.mark.parametrize(("target", "form"), [("reference", "process"), ("compiled", "process"), ("compiled", "loihi")])
def test_it_is_the_quantised_program(target: str, form: str) -> None:
    rule = "rule_episodic" if form == "loihi" else "rule_order_1"
    program = program_of(scenario(rule))
    name, whole = f"{target}:{'fixed' if form == 'process' else form}", quantize(program, plasticity=form).program
    with Simulation.of_program(program, name) as one, Simulation.of_program(whole, target) as other:
        trees = [simulation.run(2) for simulation in (one, other)]
        assert one.report.rows() == other.report.rows()
    one, other = (array(tree, f"state_final/{rule}_weight") for tree in trees)
    assert np.array_equal(one, other) and np.any(one != whole.arrays[f"{rule}_weight"].initial)
    assert trees[0].attrs["target"] == name


def test_a_number_out_of_range_is_an_error() -> None:
    """The ranges of a quieter network promise room that is not there."""
    network = Network("loud", seed=1)
    source = network.add(Population("source", 40, Poisson(40 * Hz)))
    cells = network.add(Population("cells", 5, LIF(20 * ms, 0 * mV, 10 * mV, 0 * mV)))
    network.add(Projection(source, cells, Normal(200 * mV, 400 * mV), Current(tau=5 * ms), name="in"))
    ranges = {"cells_v": (0.0, 0.01), "cells_i_in": (0.0, 1e-4)}
    simulation = Simulation(network, 1 * ms, Fixed(Reference(), ranges=ranges, trials=0, headroom=0.9))
    with simulation, pytest.raises(QuantizationError, match=r"trial \d: neuron \d of 'cells' leaves the 24 bits of Loihi 2"):
        simulation.run(duration=300 * ms)


def test_other_words_behind_a_target_are_refused() -> None:
    with pytest.raises(DescriptionError, match="there is no target 'compiled:float'"):
        target_named("compiled:float")
    with pytest.raises(DescriptionError, match="compiled"):
        target_named("compild:fixed")


class Louder:
    """Gives more with every trial that it has seen."""

    def __init__(self) -> None:
        self.trials = 0

    def reset(self, trial: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        self.trials += 1
        return {"given": np.full(3, 5.0 + 0.2 * self.trials)}

    def step(self, outputs: Any) -> tuple[float, dict[str, Any], bool]:
        return 0.0, {}, False


def test_the_scale_stays_while_a_task_in_python_remembers() -> None:
    def states(rests: bool) -> dict[str, np.ndarray]:
        network = Network("louder", seed=1)
        given, cells = network.add(Population("given", 3, Pattern())), network.add(Population("cells", 2, Readout(20 * ms)))
        network.add(Projection(given, cells, [[0.5, 1.0, 0.2], [1.0, 0.1, 0.4]], Graded()))
        network.add(PythonTask(environment=Louder(), inputs=(given,), outputs=(cells,), steps=20))
        simulation = Simulation(network, 1 * ms, "reference:fixed")
        simulation.run(4)
        if rests:
            simulation.rest()
        simulation.run(2)
        return {name: np.array(value) for name, value in simulation.executable.arrays.items()}

    once, twice = states(False), states(True)
    for name in once:
        assert np.array_equal(once[name], twice[name]), name

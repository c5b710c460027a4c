"""Whoever names a synapse, or gives a value for each, counts them alike: as weights are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroplast import (
    AllToAll,
    DescriptionError,
    FixedProbability,
    Frozen,
    Graded,
    Monitor,
    Network,
    Pairs,
    Pattern,
    Population,
    Projection,
    Readout,
    Simulation,
    White,
)
from neuroplast.synapses import Connectivity
from neuroplast.units import ms

PRE, POST = np.array([2, 0, 1, 0]), np.array([1, 1, 0, 0])
"""Pairs in no order."""


def recorded(connectivity: Connectivity, weight: Any, noise: Any = None, units: Any = None, variable: str = "weight") -> Any:
    net = Network("order", seed=3)
    pre, post = net.add(Population("pre", 3, Pattern([1.0, 2.0, 4.0]))), net.add(Population("post", 2, Readout(tau=2 * ms)))
    wire = net.add(Projection(pre, post, weight, Graded(), connectivity, noise=noise, name="wire"))
    net.add(Monitor(wire, variable, units=units))
    return Simulation(net, 1 * ms, "reference").run(duration=2 * ms)["recordings"][f"wire_{variable}"]


def value(found: Any) -> np.ndarray:
    return found["value"].to_numpy()[0, -1]


def test_pairs_are_counted_in_their_order():
    found = recorded(Pairs(PRE, POST), [10.0, 20.0, 30.0, 40.0], units=[0, 2])
    assert value(found).tolist() == [10.0, 30.0] and found["unit"].to_numpy().tolist() == [0, 2]
    assert found["pre"].to_numpy().tolist() == [2, 1] and found["post"].to_numpy().tolist() == [1, 0]


@pytest.mark.parametrize("connectivity", [AllToAll(), FixedProbability(0.7)], ids=repr)
def test_places_of_a_matrix(connectivity: Connectivity):
    matrix = np.arange(6.0).reshape(2, 3)
    found = recorded(connectivity, matrix)
    assert value(found).tolist() == found["unit"].to_numpy().tolist()
    assert value(found).tolist() == [matrix[i, j] for i, j in zip(found["post"].to_numpy(), found["pre"].to_numpy(), strict=True)]


def test_frozen_noise_and_amplitudes_follow_the_weights():
    given = np.arange(12.0).reshape(2, 2, 3)
    found = recorded(AllToAll(), 0.0, Frozen(given), variable="noise")
    assert value(found).tolist() == [given[-1, i, j] for i, j in zip(found["post"].to_numpy(), found["pre"].to_numpy(), strict=True)]
    found = recorded(Pairs(PRE, POST), 0.0, White([0.0, 1.0, 0.0, 1.0]), variable="noise")
    silent = {(int(i), int(j)) for i, j, x in zip(found["post"], found["pre"], value(found), strict=True) if x == 0.0}
    assert silent == {(1, 2), (0, 1)}


def test_what_does_not_fit_is_refused():
    with pytest.raises(DescriptionError, match=r"does not fit"):
        recorded(AllToAll(), 0.0, White(np.ones(6)), variable="noise")
    with pytest.raises(DescriptionError, match=r"reads number 9"):
        recorded(Pairs(PRE, POST), 1.0, units=[9])


def test_no_synapse_at_all_from_given_input():
    """A probability of zero leaves nothing to be remembered of the input: its delays need no ring."""
    net = Network("none", seed=3)
    pre, post = net.add(Population("pre", 3, Pattern([1.0, 2.0, 4.0]))), net.add(Population("post", 2, Readout(tau=2 * ms)))
    net.add(Projection(pre, post, 1.0, Graded(), FixedProbability(0.0), delay=np.arange(6.0).reshape(2, 3) * ms))
    net.add(Monitor(post, "m"))
    result = Simulation(net, 1 * ms, "reference").run(duration=3 * ms)
    assert not result["recordings"]["post_m"]["value"].to_numpy().any()

"""What the lowering of a rule says of it: units of the eligibility, weights that start outside of their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from neuroplast import (
    LIF,
    Delta,
    Deviation,
    Eligibility,
    LowPass,
    Modulator,
    Network,
    OpenLoop,
    Poisson,
    Population,
    Projection,
    Signal,
    ThreeFactorRule,
)
from neuroplast.ir.discretize import discretize
from neuroplast.ir.program import StepProgram
from neuroplast.units import Hz, ms, mV

FACTORS = {
    "trace": LowPass(Signal("pre", "spikes"), 5 * ms), "fired": Signal("post", "spikes"),
    "extra": Deviation(Signal("post", "spikes"), 9 * ms),
    "v": Signal("post", "v"), "smooth": LowPass(Signal("post", "v"), 5 * ms),
}


def program(drive: str, tau: Any = 20 * ms, **rule: Any) -> StepProgram:
    net = Network("units", seed=0)
    pre = net.add(Population("pre", 2, Poisson(20 * Hz)))
    post = net.add(Population("post", 2, LIF(10 * ms, -60 * mV, -50 * mV, -60 * mV)))
    reward = Modulator("reward")
    net.add(OpenLoop(steps=3))
    net.add(Projection(
        pre, post, [[1.0, -1.0], [3.0, 2.0]] * mV, Delta(), plasticity=ThreeFactorRule(FACTORS, Eligibility(drive, tau), reward, **rule)
    ))
    return discretize(net, 1 * ms)


@pytest.mark.parametrize(
    ("drive", "tau", "unit"),
    [
        ("trace*v", 20 * ms, "s * V"), ("trace*smooth", 0, "V"), ("trace*fired", 20 * ms, "1"),
        ("trace*extra - 2*trace*fired", 20 * ms, "1"), ("trace*fired", 0, "Hz"), ("trace*v + trace", 20 * ms, "1"),
    ],
)
def test_unit_of_the_eligibility(drive: str, tau: Any, unit: str) -> None:
    """That of the drive, times a second where it is integrated; "1" where its terms do not have one unit."""
    assert program(drive, tau).arrays["pre_post_eligibility"].unit == unit


def test_weights_outside_their_bounds_are_noted() -> None:
    notes = {note.what: note for note in program("trace*v", bounds=(0 * mV, 2.5 * mV)).notes}
    assert notes["start within the bounds"].asked == "2 of 4 outside"
    assert "start within the bounds" not in {note.what for note in program("trace*v", bounds=(-1 * mV, 3 * mV)).notes}

"""Noise of weights that is drawn when spikes arrive: the variance, and the correlation over the time since the last spike."""

from __future__ import annotations

import numpy as np
import pytest

from neuroplast import Current, Monitor, Network, OrnsteinUhlenbeck, Population, Projection, Readout, SpikeSequence
from neuroplast.backends.reference import Recorder, Reference
from neuroplast.ir.discretize import discretize
from neuroplast.ir.program import Deliver
from neuroplast.units import ms

N, STD, TAU, DT = 20000, 0.3, 6.0, 0.5
STEPS = (3, 7, 18)
"""The source fires in these steps; spikes arrive one step later."""


def noise_after(steps: int, watched: bool) -> np.ndarray:
    """The noise after so many steps: always of the same realisation."""
    net = Network("noise", seed=4)
    fired = np.array([step for step in STEPS if step < steps])
    source = net.add(Population("source", 1, SpikeSequence(np.zeros(fired.size, int), fired * DT * ms)))
    output = net.add(Population("output", N, Readout(tau=1 * ms)))
    noise = OrnsteinUhlenbeck(STD, tau=TAU * ms)
    wire = net.add(Projection(source, output, 1.0, Current(tau=2 * ms), noise=noise, name="wire"))
    if watched:
        net.add(Monitor(wire, "noise"))
    program = discretize(net, DT * ms, steps * DT * ms)
    deliver = next(op for op in program.before if isinstance(op, Deliver) and op.projection == "wire")
    assert (deliver.drawn is None) == watched
    executable = Reference().prepare(program)
    executable.run(1, Recorder(program.recordings, {r.name: set() for r in program.recordings}, 1))
    return np.array(executable.arrays["wire_noise"])


@pytest.mark.parametrize("watched", [False, True])
def test_noise_has_the_law_of_the_process(watched: bool):
    """When a spike arrives: standard deviation STD, correlation exp(-time/tau), whether drawn then or in every step."""
    x = [noise_after(step + 2, watched) for step in STEPS]
    error = 1 / np.sqrt(N)
    np.testing.assert_allclose(np.mean(x, 1), 0.0, atol=4 * STD * error)
    np.testing.assert_allclose(np.std(x, 1), STD, atol=4 * STD * error)
    for a, b in ((0, 1), (1, 2), (0, 2)):
        expected = np.exp(-(STEPS[b] - STEPS[a]) * DT / TAU)
        assert abs(np.corrcoef(x[a], x[b])[0, 1] - expected) < 4 * error

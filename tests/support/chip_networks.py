"""Small networks whose rule can be said on a chip's learning engine, and what a run of them leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from neuroplast import (
    LIF,
    AllToAll,
    Current,
    Delta,
    Eligibility,
    FixedProbability,
    LowPass,
    Modulator,
    Network,
    Normal,
    Poisson,
    Population,
    Projection,
    Readout,
    RunningMean,
    Signal,
    SpikeSequence,
    ThreeFactorRule,
    TrackTarget,
    Uniform,
    White,
)
from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import Target
from neuroplast.ir.discretize import discretize
from neuroplast.ir.program import ChipLearn, EndLearn, Learn, StepProgram
from neuroplast.ir.tasks import task_caller
from neuroplast.quantize import measured_ranges, quantize
from neuroplast.quantize.rules import signals
from neuroplast.units import Hz, ms, mV

DRIVES = (
    "x*xi", "x*fired - 0.6*sent*y", "sent*xi", "x*long*fired", "x*x*xi", "x*xi*w", "x*fired + 0.3*x*sent*fired", "1.5*xi - 0.5*x*xi",
    "x*xi + 0.001*sent*xi - 0.000002*x*fired + 0.5*xi",  # more products than the compiled engine has a loop for each set of
)
MOST = 3e-3
"""Largest weight, in V."""
FACTORS = {
    "x": LowPass(Signal("pre", "spikes"), 5 * ms), "long": LowPass(Signal("pre", "spikes"), 30 * ms), "sent": Signal("pre", "spikes"),
    "fired": Signal("post", "spikes"), "y": LowPass(Signal("post", "spikes"), 8 * ms), "xi": Signal("post", "noise"),
    "w": Signal("synapse", "weight"),
}


def perturbed(
    drive: str = "x*xi", tau: Any = 10 * ms, *, n_in: int = 10, n: int = 4, seed: int = 0, steps: int = 60, rate: float = 1e-9,
    positive: bool = False, connectivity: Any = AllToAll(), delay: int = 1, **rule: Any,
) -> StepProgram:
    """Bursts at given times and Poisson spikes -> noisy LIF neurons -> two readouts that follow a target; reward: minus the error."""
    network = Network("perturbed", seed)
    unit, times = np.repeat(np.arange(n_in), 3), (np.arange(n_in)[:, None] * (steps - 10) / n_in + 2 * np.arange(3)).ravel()
    source = network.add(Population("source", n_in, SpikeSequence(unit, times * ms)))
    cells = network.add(Population("cells", n, LIF(10 * ms, 0 * mV, 10 * mV, 0 * mV, drive=8 * mV), noise=White(4 * mV)))
    other = network.add(Population("other", 3, Poisson(60 * Hz)))
    out = network.add(Population("out", 2, Readout(tau=20 * ms)))
    used = {name: factor for name, factor in FACTORS.items() if name in drive.replace("*", " ").split()}
    learning = ThreeFactorRule(
        used, Eligibility(drive, tau=tau), Modulator("reward", baseline=RunningMean(tau=200 * ms)), rate=rate,
        bounds=(0 * mV if positive else None, None), **rule,
    )
    start = Uniform(0 * mV, 1 * mV) if positive else Normal(0 * mV, 0.5 * mV)
    network.add(Projection(
        source, cells, start, Current(tau=5 * ms), connectivity, delay=delay * ms, name="plastic", plasticity=learning
    ))
    network.add(Projection(other, cells, 1 * mV, Current(tau=5 * ms), name="fixed"))
    network.add(Projection(cells, out, np.array([[1.0, -1.0] * n, [1.0] * 2 * n])[:, :n] * 4.0 / n, Delta()))
    x = 2 * np.pi * np.arange(steps) / steps
    target = np.stack([2 * np.sin(x), 1.5 + np.cos(x)], axis=1)
    network.add(TrackTarget(readout=out, target=target, interval=1 * ms, reward="error", steps=steps, reset=True))
    return discretize(network, 1 * ms)


def engine(program: StepProgram) -> ChipLearn:
    return next(op for op in program.after if isinstance(op, ChipLearn))


def outcome(program: StepProgram, target: Target, trials: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(error of each trial, the arrays after the last)."""
    executable, errors = target.prepare(program, task_caller(program)), []

    def after(_: int, arrays: dict[str, np.ndarray]) -> bool:
        errors.append(float(arrays[program.measures["error"]][0]))
        return True

    executable.run(trials, Recorder(program.recordings, {r.name: set() for r in program.recordings}, program.passes), after)
    arrays = {name: np.array(value) for name, value in executable.arrays.items()}
    executable.close()
    return np.array(errors), arrays


def whole(program: StepProgram) -> list[str]:
    """Arrays that are whole numbers, or a number of them times a unit: they are equal on all targets to the last bit."""
    op = engine(program)
    return [op.target, op.tag, *(array for _, array in op.values), *(n for n in program.arrays if n.endswith(("_counts", "_spikes")))]


def rated(program: StepProgram, counts: float) -> tuple[StepProgram, dict[str, tuple[float, float]]]:
    """The program with a rate at which the largest reward, at the largest eligibility, changes a weight by so many of 255 of MOST; and
    the ranges that were seen."""
    learn = next(op for op in program.after if isinstance(op, Learn))
    ranges = measured_ranges(program, 2, signals(learn)) | {learn.target: (0.0 if learn.low is not None else -MOST, MOST)}
    largest = [max(-low, high) for low, high in (ranges[learn.modulator], ranges[learn.eligibility[-1]])]
    rate = counts * MOST / 255 / float(np.prod([most or 1.0 for most in largest]))
    changed = replace(learn, rate=rate, step_rate=rate)
    after = tuple(changed if op is learn else op for op in program.after)
    end = tuple(replace(op, learn=changed) if isinstance(op, EndLearn) else op for op in program.trial_end)
    # what a short run does not show
    ranges |= {name: (-1.0, 1.0) for name in signals(learn) if not any(ranges[name])}
    return replace(program, after=after, trial_end=end), ranges


def on_engine(program: StepProgram, counts: float) -> StepProgram:
    """As an integer program, learning at that rate on the chip's engine."""
    program, ranges = rated(program, counts)
    return quantize(program, trials=0, plasticity="loihi", ranges=ranges).program


@st.composite
def learning_programs(draw: st.DrawFn) -> StepProgram:
    """Integer programs with all kinds of drives, memories, signs of weights, connections and times of the weight change."""
    tau = draw(st.sampled_from([0, None]) | st.integers(3, 90))
    program = perturbed(
        draw(st.sampled_from(DRIVES)), tau * ms if tau else tau, n_in=draw(st.integers(1, 40)), n=draw(st.integers(1, 9)),
        seed=draw(st.integers(0, 1000)), steps=40, positive=draw(st.booleans()),
        connectivity=draw(st.sampled_from([AllToAll(), FixedProbability(0.6)])), delay=draw(st.integers(1, 3)),
        update=draw(st.sampled_from(["continuous", "episodic"])),
    )
    return on_engine(program, 10.0 ** draw(st.integers(-1, 2)))


__all__ = ["DRIVES", "FACTORS", "engine", "learning_programs", "on_engine", "outcome", "perturbed", "rated", "whole"]

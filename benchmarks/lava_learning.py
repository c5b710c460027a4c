"""A step of learning in integers: our compiled engine beside Lava's LearningDense (fixed point), the same rule, side by side.

    python -m benchmarks.lava_learning [--size 1000] [--rounds 5] [--out FILE.json]

Node perturbation: SIZE Poisson sources at 20 Hz, each with a synapse onto each of SIZE noisy LIF neurons; all synapses learn, all have a
tag that is not zero nearly all the time, and nearly every step has a reward. Ours is timed with everything that the step has: spikes,
noise, neurons, readout, task. Of Lava only the process LearningDense is, with what it hears read from tables, stepped in this process
(Lava's own runtime is slower). The two take turns, so that other work on the machine hits both; given are the quotients of the medians
and of the fastest.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from neuroplast import (
    LIF,
    Current,
    Delta,
    Eligibility,
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
    ThreeFactorRule,
    TrackTarget,
    White,
)
from neuroplast.backends.reference import Recorder
from neuroplast.ir.discretize import discretize
from neuroplast.ir.program import ChipLearn, StepProgram
from neuroplast.ir.tasks import task_caller
from neuroplast.quantize import quantize
from neuroplast.units import Hz, ms, mV

STEPS = 200
RATE = 30.0
"""Of the rule, V per (V reward second): such that most steps have a reward on the chip."""
ACTIVE = 0.02
"""Spikes a source and step in Lava's tables."""


def program(size: int) -> StepProgram:
    """The network in integers, its rule on the chip's learning engine."""
    network = Network("lava_learning", seed=1)
    sources = network.add(Population("sources", size, Poisson(20 * Hz)))
    cells = network.add(Population("cells", size, LIF(10 * ms, 0 * mV, 10 * mV, 0 * mV, drive=8 * mV), noise=White(4 * mV)))
    out = network.add(Population("out", 2, Readout(tau=20 * ms)))
    rule = ThreeFactorRule(
        {"x": LowPass(Signal("pre", "spikes"), 20 * ms), "xi": Signal("post", "noise")}, Eligibility("x*xi", tau=10 * ms),
        Modulator("reward", baseline=RunningMean(tau=200 * ms)), rate=RATE,
    )
    weights = Normal(0 * mV, 1.6 * mV / np.sqrt(size))
    network.add(Projection(sources, cells, weights, Current(tau=5 * ms), name="plastic", plasticity=rule))
    network.add(Projection(cells, out, Normal(0.0, 3.0 / np.sqrt(size)), Delta()))
    target = np.random.default_rng(0).normal(size=(STEPS, 2))
    network.add(TrackTarget(readout=out, target=target, interval=1 * ms, reward="error", steps=STEPS, reset=False))
    most = 16e-3 / np.sqrt(size)
    return quantize(discretize(network, 1 * ms), plasticity="loihi", ranges={"plastic_weight": (-most, most)}).program


class Ours:
    """The integer program on Compiled."""

    def __init__(self, made: StepProgram) -> None:
        from neuroplast.backends.compiled import Compiled

        self.executable = Compiled().prepare(made, task_caller(made))
        self.recorder = Recorder(made.recordings, {r.name: set() for r in made.recordings}, made.passes)
        self.executable.run(1, self.recorder)

    def seconds(self) -> float:
        """Of a step, in a trial."""
        begun = time.perf_counter()
        self.executable.run(1, self.recorder)
        return (time.perf_counter() - begun) / STEPS

    def activity(self) -> dict[str, float]:
        arrays = self.executable.arrays
        return {
            "presynaptic traces above 0": float(np.mean(arrays["plastic_x1"] > 0)),
            "tags other than 0": float(np.mean(arrays["plastic_eligibility"] != 0)),
        }


class Lavas:
    """Lava's LearningDense with the same rule, weights and number of synapses."""

    def __init__(self, made: StepProgram, size: int) -> None:
        from neuroplast.backends.lava.engine import chip_rules  # checks that Lava is there, and makes it importable

        rule = chip_rules(made)["plastic"].lava()
        from lava.proc.dense.process import LearningDense  # pyright: ignore[reportMissingImports]
        from lava.proc.io.source import RingBuffer  # pyright: ignore[reportMissingImports]
        from lava.utils.weightutils import SignMode  # pyright: ignore[reportMissingImports]

        from neuroplast.backends.lava.inprocess import InProcess
        from neuroplast.backends.lava.stock import stock_models

        rng, op = np.random.default_rng(0), next(op for op in made.after if isinstance(op, ChipLearn))
        weights = np.rint(made.arrays[op.target].initial / op.unit).astype(int).reshape(size, size).T
        dense: Any = LearningDense(weights=weights, learning_rule=rule, sign_mode=SignMode.MIXED, num_weight_bits=8)
        rings: list[Any] = [RingBuffer(data=(rng.random((size, 20)) < ACTIVE).astype(int))]
        rings += [RingBuffer(data=rows) for rows in rng.integers(0, 128, (3, size, 20))]
        for ring, port in zip(rings, (dense.s_in, dense.s_in_y1, dense.s_in_y2, dense.s_in_y3), strict=True):
            ring.s_out.connect(port)
        self.network = InProcess(stock_models([dense, *rings], "fixed"))
        self.network.run(2)

    def seconds(self) -> float:
        begun = time.perf_counter()
        self.network.run(3)
        return (time.perf_counter() - begun) / 3


def rewarded(made: StepProgram) -> float:
    """The part of the steps in which weights change."""
    from neuroplast.backends.compiled import Compiled
    from neuroplast.quantize.by_hand import trace

    sent = trace(made, Compiled(), ("plastic_y2", "plastic_y3"))
    return float(np.mean(sent["plastic_y2"] + sent["plastic_y3"] > 0))


def measured(size: int, rounds: int) -> dict[str, Any]:
    """Both, in turns: milliseconds a step, and how often ours is as fast."""
    made = program(size)
    ours, lavas = Ours(made), Lavas(made, size)
    times = np.array([(ours.seconds(), lavas.seconds()) for _ in range(rounds)]) * 1e3
    one, other = np.median(times, axis=0)
    op = next(op for op in made.after if isinstance(op, ChipLearn))
    return {
        "synapses": size * size,
        "compiled, ms a step": round(float(one), 4), "Lava LearningDense fixed, ms a step": round(float(other), 2),
        "compiled, fastest": round(float(times[:, 0].min()), 4), "Lava, fastest": round(float(times[:, 1].min()), 2),
        "times as fast": round(float(other / one), 1), "times as fast, fastest of each": round(float(np.divide(*times.min(0)[::-1])), 1),
        "steps with a reward": rewarded(made), "rounds": rounds, **ours.activity(),
        "dt": op.text("dt"), "dw": op.text("dw"), "machine": platform.processor() or platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The learning engine, compiled, beside Lava's LearningDense.")
    parser.add_argument("--size", type=int, default=1000, help="of both populations")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None, help="write the result there as JSON")
    arguments = parser.parse_args()
    result = json.dumps(measured(arguments.size, arguments.rounds), indent=2)
    print(result)
    if arguments.out is not None:
        arguments.out.write_text(result + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

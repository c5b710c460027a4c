"""Replicas side by side: how much faster two threads are than one, and what one replica costs in memory.

    python benchmarks/replicas.py [MODEL ...] [--replicas 8] [--rounds 5] [--threads 2]

Runs with one thread and with several are interleaved, so that what else the machine does meets both; the ratio is the median
of the rounds' ratios of wall time. "Busy" is the processor time of the threaded run, in units of wall time: it is below the
number of threads where threads wait for each other, or for other programs. "CPU" is the processor time of one thread's run to
that of several: it is 1 where running side by side costs nothing.

Memory: the growth of the process' resident size from one replica that is alive (program, arrays, kernel, after two trials) to
the next.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path

from neuroplast.model import Model, model_named
from neuroplast.simulation import Simulation

SECONDS = 2.0
"""Wall time for one replica to aim at."""


def run(model: Model, replicas: int, threads: int, trials: int) -> tuple[float, float]:
    """Wall and processor seconds to run all replicas, each drawn, prepared and trained."""
    values = model.values()
    networks = [model.network(values, seed) for seed in range(replicas)]
    with Simulation(networks, getattr(values, model.dt), "compiled", threads=threads) as simulation:
        _ = simulation.executable  # compiled before
        began, used = time.perf_counter(), time.process_time()
        simulation.run(trials, record=False)
        return time.perf_counter() - began, time.process_time() - used


def trials_for(model: Model) -> int:
    values, trials, seconds = model.values(), 1, 0.0
    with model.simulation(values, 0, "compiled") as simulation:
        while seconds < 0.5:
            trials *= 2
            began = time.perf_counter()
            simulation.run(trials, record=False)
            seconds = time.perf_counter() - began
    return max(2, int(trials * SECONDS / seconds))


def resident() -> float:
    """Resident size of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def memory(model: Model, count: int = 4) -> float:
    """MB for each replica that is alive."""
    values, alive, sizes = model.values(), [], []
    for seed in range(count):
        simulation = model.simulation(values, seed, "compiled")
        simulation.run(2, record=False)
        alive.append(simulation)
        sizes.append(resident())
    return statistics.median(b - a for a, b in itertools.pairwise(sizes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["birdsong", "brain_control"])
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    for name in asked.models:
        model = model_named(name)
        trials = trials_for(model)
        pairs = [tuple(run(model, asked.replicas, threads, trials) for threads in (1, asked.threads)) for _ in range(asked.rounds)]
        ratios = [one[0] / many[0] for one, many in pairs]
        middle = statistics.median
        print(
            f"{name}: {asked.replicas} replicas of {trials} trials: 1 thread {middle(one[0] for one, _ in pairs):.2f} s, "
            f"{asked.threads} threads {middle(many[0] for _, many in pairs):.2f} s; ratio {middle(ratios):.2f} "
            f"({', '.join(f'{r:.2f}' for r in ratios)}); busy {middle(many[1] / many[0] for _, many in pairs):.2f}; "
            f"CPU {middle(one[1] / many[1] for one, many in pairs):.2f}; {memory(model):.1f} MB a living replica", flush=True,
        )


if __name__ == "__main__":
    main()

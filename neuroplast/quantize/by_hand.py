"""A spiking network given by its integers: the way to say exactly what a chip is to do, and to check that it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import Target
from neuroplast.ir.discretize import discretize
from neuroplast.ir.program import Deliver, Note, Recording, StepProgram
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import LIF, SpikeSequence
from neuroplast.quantize.formats import LOIHI2, Formats
from neuroplast.quantize.integers import IntegerNeuron, IntegerWeights
from neuroplast.quantize.membranes import Membrane, membrane_of
from neuroplast.quantize.rewrite import PlacedNeuron, PlacedWeights, rewrite
from neuroplast.synapses import Current
from neuroplast.units import ms, mV

INPUT = "input"
"""Name of the population that is given."""


@dataclass(frozen=True, eq=False)
class Connection:
    """All-to-all from ``pre`` to ``post`` with one step of delay. weights: (n_post, n_pre) whole numbers, times 2^exponent."""

    pre: str
    post: str
    weights: np.ndarray
    exponent: int = 0
    mode: str = "mixed"


def integer_program(
    spikes: np.ndarray, neurons: Mapping[str, IntegerNeuron], connections: Mapping[str, Connection], formats: Formats = LOIHI2
) -> StepProgram:
    """One trial of a network of integer neurons. spikes: (n_input, steps), those of the population ``input``.

    Each projection is named once in the currents of its target. Arrays: ``<name>_v_counts``, ``_u0_counts`` ..., ``_spikes``.
    """
    unit, step = np.nonzero(spikes.T)[::-1]
    network = Network("integers", seed=0)
    frame = LIF(tau=20 * ms, v_rest=0 * mV, v_threshold=10 * mV, v_reset=0 * mV)
    populations = {INPUT: network.add(Population(INPUT, len(spikes), SpikeSequence(unit, step * ms)))}
    for name, neuron in neurons.items():
        populations[name] = network.add(Population(name, len(neuron.dv), frame))
    for name, c in connections.items():
        network.add(Projection(populations[c.pre], populations[c.post], 1 * mV, Current(tau=5 * ms), name=name, delay=1 * ms))
    program = discretize(network, 1 * ms, spikes.shape[1] * ms)
    placed: dict[str, PlacedNeuron] = {}
    for op in program.neurons:
        membrane = membrane_of(op, program)
        if op.owner in neurons and isinstance(membrane, Membrane):
            placed[op.owner] = PlacedNeuron(neurons[op.owner], membrane, 1.0, np.zeros(op.size), {})
    delivers = {op.projection: op for op in program.before if isinstance(op, Deliver)}
    weights = {
        name: PlacedWeights(
            IntegerWeights(np.asarray(c.weights, float).T.ravel(), c.exponent, c.mode), np.ones(delivers[name].synapses.n_post)
        )
        for name, c in connections.items()
    }
    notes = [Note(name, "place", "on chip", f"on chip, if microcoded: {', '.join(n.beyond)}" if n.beyond else "on chip: LIF")
             for name, n in neurons.items()]
    return rewrite(program, placed, weights, formats, notes=(Note(INPUT, "place", "on chip", "input, made by the host"), *notes))


def trace(program: StepProgram, target: Target, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """One trial on a target: name of an array -> its value after each step, (steps, size)."""
    recordings = tuple(Recording(n, n, 1, None, "all", False, "1", ("time", "unit")) for n in names)
    recorded = replace(program, recordings=recordings)
    executable = target.prepare(recorded)
    recorder = Recorder(recordings, {n: {0} for n in names}, 1)
    try:
        executable.run(1, recorder)
    finally:
        executable.close()
    return {name: recorder.results[name][0] for name in names}


def state_names(neurons: Mapping[str, IntegerNeuron]) -> Iterator[str]:
    """The arrays that show what integer neurons do."""
    for name, neuron in neurons.items():
        yield f"{name}_spikes"
        yield f"{name}_v_counts"
        yield from (f"{name}_u{k}_counts" for k in range(len(neuron.currents)))


__all__ = ["INPUT", "Connection", "integer_program", "state_names", "trace"]

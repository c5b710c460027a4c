"""What a quantised program takes of a chip, and what the chip has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuroplast.ir.program import Deliver
from neuroplast.quantize.quantize import Quantized

AVAILABLE = {"compartments": 128 * 8192, "synapses": 120_000_000, "synapse memory (kB)": 128 * 192, "axons": 128 * 4096}
"""One Loihi 2: 128 cores of up to 8192 neurons and 192 kB, 120 million synapses (Intel's technology brief, 2021); axons: of Loihi 1."""


@dataclass(frozen=True)
class Resource:
    name: str
    used: float
    available: float

    @property
    def fits(self) -> bool:
        return self.used <= self.available


def resources(quantized: Quantized) -> list[Resource]:
    """Used and available: one compartment a current of each neuron, one byte a weight and two an index, one axon a source and target."""
    neurons = sum(p.neuron.dv.size * max(1, len(p.neuron.currents)) for p in quantized.neurons.values())
    synapses = axons = 0
    for op in quantized.program.before:
        if isinstance(op, Deliver):
            synapses += op.synapses.n
            axons += int(np.unique(quantized.program.arrays[op.synapses.pre].initial).size)
    used = {"compartments": neurons, "synapses": synapses, "synapse memory (kB)": 3 * synapses / 1000, "axons": axons}
    return [Resource(name, used[name], available) for name, available in AVAILABLE.items()]


__all__ = ["AVAILABLE", "Resource", "resources"]

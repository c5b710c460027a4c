"""A step program in the integers of a chip: ``quantize(program).program`` runs on every target."""

from neuroplast.quantize.formats import LOIHI2, Formats
from neuroplast.quantize.integers import IntegerCurrent, IntegerNeuron, IntegerWeights, QuantizationError
from neuroplast.quantize.quantize import Quantized, measured_ranges, quantize

__all__ = [
    "LOIHI2", "Formats", "IntegerCurrent", "IntegerNeuron", "IntegerWeights", "QuantizationError", "Quantized", "measured_ranges",
    "quantize",
]

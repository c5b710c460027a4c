"""A network in the chip's vocabulary, all whole numbers, and its statements: the same in every target, bit for bit.

Whole numbers below 2^53 are exact in double precision, and so is every operation here, so a program of integers needs no targets of
its own: the Reference, the Compiled kernel, Brian2 and Lava compute the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from neuroplast.errors import NeuroplastError
from neuroplast.quantize.formats import LOIHI2, Formats


class QuantizationError(NeuroplastError):
    """Numbers that do not fit the formats of a chip."""


@dataclass(frozen=True, eq=False)
class IntegerWeights:
    """Weights of one projection: ``values`` (n synapses) times 2^exponent. step: of the grid they lie on."""

    values: np.ndarray
    exponent: int
    mode: str

    def check(self, name: str, formats: Formats = LOIHI2) -> None:
        """QuantizationError for a weight or an exponent that the chip does not have."""
        low, high, step = formats.weight_range(self.mode)
        at = np.flatnonzero((self.values < low) | (self.values > high) | (self.values % step != 0))
        if at.size:
            raise QuantizationError(
                f"synapse {at[0]} of '{name}' has a weight that {formats.name} does not have", got=int(self.values[at[0]]),
                allowed=f"{low} to {high} in steps of {step} ({self.mode})",
            )
        least, most = formats.weight_exponents
        if not least <= self.exponent <= most:
            raise QuantizationError(
                f"the weights of '{name}' have an exponent that {formats.name} does not have", got=self.exponent,
                allowed=f"{least} to {most}",
            )


@dataclass(frozen=True, eq=False)
class IntegerCurrent:
    """One synaptic current u: its decay du (n,), and the projections that flow into it. du = 4095 forgets at once."""

    du: np.ndarray
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class IntegerNeuron:
    """A population of integrate-and-fire neurons, or (vth None) of readouts that never fire. All arrays (n,), whole numbers.

    The chip's LIF has one current, no refractory period and no noise; ``beyond`` names what is more than that.
    """

    dv: np.ndarray
    bias_mantissa: np.ndarray
    bias_exponent: int
    vth: np.ndarray | None
    currents: tuple[IntegerCurrent, ...]
    beyond: tuple[str, ...] = field(default=())

    @property
    def bias(self) -> np.ndarray:
        return np.floor(self.bias_mantissa * 2.0**self.bias_exponent)

    def check(self, name: str, formats: Formats = LOIHI2) -> None:
        """QuantizationError naming the neuron whose number does not fit."""
        numbers: dict[str, tuple[np.ndarray, int, int]] = {
            "dv": (self.dv, 0, formats.unity - 1), "bias mantissa": (self.bias_mantissa, -formats.bias_limit - 1, formats.bias_limit),
            "bias exponent": (np.array([self.bias_exponent]), *formats.bias_exponents),
        }
        numbers |= {f"du of current {k}": (current.du, 0, formats.unity - 1) for k, current in enumerate(self.currents)}
        if self.vth is not None:
            numbers["vth"] = (self.vth, 0, formats.threshold_limit)
        for what, (values, low, high) in numbers.items():
            wrong = np.flatnonzero((values < low) | (values > high) | (values != np.floor(values)))
            if wrong.size:
                raise QuantizationError(
                    f"{what} of neuron {wrong[0]} of '{name}' does not fit {formats.name}", got=f"{values[wrong[0]]:g}",
                    allowed=f"whole numbers {low} to {high}",
                )


Statement = tuple[str, str]


def decayed(name: str, kept: str, formats: Formats, rounded: bool = True) -> str:
    """|name| kept // 4096 with the sign of ``name``: the chip rounds towards zero."""
    unity = repr(float(formats.unity))
    return f"sign({name})*floor(abs({name})*({kept})/{unity})" if rounded else f"{name}*({kept})/{unity}"


def shifted(total: str, exponent: int, rounded: bool = True) -> str:
    """A sum of weights times 2^exponent, rounded down."""
    return f"floor(({total})*{2.0**exponent!r})" if exponent < 0 and rounded else f"({total})*{2.0**exponent!r}"


def current_statements(u: str, kept: str, arriving: str, formats: Formats, rounded: bool = True) -> list[Statement]:
    """One step of a current: decay, input, wrap-around. ``raw`` is its value before it wraps."""
    limit = float(formats.state_limit)
    return [
        ("raw", f"{decayed(u, kept, formats, rounded)} + {float(2**formats.alignment)!r}*({arriving})"),
        (u, f"where(raw > {limit!r}, raw - {2 * limit!r}, where(raw <= {-limit!r}, raw + {2 * limit!r}, raw))"),
    ]


def voltage_statements(v: str, kept: str, pushes: list[str], formats: Formats, rounded: bool = True) -> list[Statement]:
    """One step of a membrane up to the threshold. ``raw`` is its value before it is clipped."""
    most = float(formats.state_limit - 1)
    return [("raw", " + ".join([decayed(v, kept, formats, rounded), *pushes])), (v, f"clip(raw, {-most!r}, {most!r})")]


def weights_to_integers(weights: np.ndarray, scale: float | np.ndarray, exponent: int, mode: str, formats: Formats = LOIHI2) -> np.ndarray:
    """The nearest weights of the chip: W 2^(alignment + exponent) ~ scale * weights, on the grid of the sign mode."""
    low, high, step = formats.weight_range(mode)
    exact = weights * scale / 2.0 ** (formats.alignment + exponent)
    return np.clip(step * np.rint(exact / step), low, high)


def bits_used(peaks: Mapping[str, np.ndarray]) -> dict[str, float]:
    """How many bits the largest value of each population took, the sign included."""
    return {name: float(np.log2(np.max(peak, initial=1.0)) + 1.0) for name, peak in peaks.items()}


__all__ = [
    "IntegerCurrent", "IntegerNeuron", "IntegerWeights", "QuantizationError", "bits_used", "current_statements", "decayed", "shifted",
    "voltage_statements", "weights_to_integers",
]

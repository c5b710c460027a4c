"""The number formats of a chip: how wide its integers are and how they are aligned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Formats:
    """Widths in bits. State, threshold and input are aligned: a threshold counts 2^6 of the state's units, and so does input.

    One step of a neuron with these formats (s: sign, //: towards zero, W: weights, z: spikes that arrive):

        a <- (sum W z) 2^exponent, rounded down;  u <- s(u) (|u| (4096 - du - 1) // 4096) + 64 a, wrapped at 2^23
        v <- s(v) (|v| (4096 - dv) // 4096) + u + mantissa 2^exponent, clipped at +-(2^23 - 1);  spike and v <- 0 where v > 64 vth

    This is Lava's PyLifModelBitAcc with PyDenseModelBitAcc, which equals a Loihi 2 (tests/unit/test_integer.py).
    """

    name: str = "Loihi 2"
    state_bits: int = 24
    decay_bits: int = 12
    threshold_bits: int = 17
    weight_bits: int = 8
    weight_exponents: tuple[int, int] = (-8, 7)
    bias_bits: int = 13
    bias_exponents: tuple[int, int] = (0, 7)
    alignment: int = 6

    @property
    def state_limit(self) -> int:
        """u wraps beyond, v is clipped below it by one."""
        return 2 ** (self.state_bits - 1)

    @property
    def unity(self) -> int:
        """The number that stands for a decay of one."""
        return 2**self.decay_bits

    @property
    def threshold_limit(self) -> int:
        return 2**self.threshold_bits - 1

    @property
    def bias_limit(self) -> int:
        """Largest mantissa of a bias."""
        return 2 ** (self.bias_bits - 1) - 1

    def weight_range(self, mode: str) -> tuple[int, int, int]:
        """(smallest, largest, step) of a weight, by sign mode: "mixed" spends a bit on the sign, so its step is 2."""
        whole = 2**self.weight_bits
        return {"mixed": (-whole, whole - 2, 2), "excitatory": (0, whole - 1, 1), "inhibitory": (1 - whole, 0, 1)}[mode]


LOIHI2 = Formats()


def sign_mode(weights: np.ndarray, low: float | None = None, high: float | None = None) -> str:
    """The sign mode of weights that may move between bounds: those that are known not to change sign have one bit more."""
    least = float(np.min(weights, initial=0.0)) if low is None else min(low, float(np.min(weights, initial=low)))
    most = float(np.max(weights, initial=0.0)) if high is None else max(high, float(np.max(weights, initial=high)))
    if least >= 0.0:
        return "excitatory"
    return "inhibitory" if most <= 0.0 else "mixed"


__all__ = ["LOIHI2", "Formats", "sign_mode"]

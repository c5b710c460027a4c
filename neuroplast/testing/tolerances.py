"""How close a target must come to Reference: one table for all of the contract."""

from __future__ import annotations

import numpy as np

RELATIVE = 1e-10
"""Largest difference of a float, relative to the largest magnitude in its own array."""

SMALLEST = 1e-250
"""Below this, numbers count as zero: targets may flush denormal numbers."""

STANDARD_ERRORS = 4.5
"""How many standard errors a statistic may lie away from its expected value (a fair one lies further away once in 150 000)."""


def difference(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference relative to the scale of ``expected``; inf for another shape or type, or where only one is NaN."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return np.inf
    if not np.issubdtype(expected.dtype, np.floating):
        return 0.0 if np.array_equal(got, expected) else np.inf
    if not np.array_equal(np.isfinite(got), np.isfinite(expected)):
        return np.inf
    finite = np.isfinite(expected)
    if not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return np.inf
    scale = np.max(np.abs(expected), initial=SMALLEST, where=finite)
    return float(np.max(np.abs(got - expected), initial=0.0, where=finite) / scale)


__all__ = ["RELATIVE", "SMALLEST", "STANDARD_ERRORS", "difference"]

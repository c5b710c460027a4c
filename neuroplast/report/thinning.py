"""Fewer numbers that draw the same picture: what keeps figures of thousands of trials fast and small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LINE_BINS = 600
MAP_SIDE = 300
DOTS = 150_000


@dataclass(frozen=True)
class Smooth:
    """A smoothed curve. positions, values: equally long.  window: the number of values that each was taken over."""

    positions: np.ndarray
    values: np.ndarray
    window: int


def envelope(x: np.ndarray, y: np.ndarray, bins: int = LINE_BINS) -> tuple[np.ndarray, np.ndarray]:
    """A line with the same outline: where there are more than two points a bin, the smallest and the largest of each bin."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(y) <= 2 * bins:
        return x, y
    starts = np.linspace(0, len(y), bins, endpoint=False).astype(int)
    extremes = np.stack([np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts)], axis=1)
    extremes[1::2] = extremes[1::2, ::-1]  # down, then up: the pen travels half as far
    return np.repeat(x[starts], 2), extremes.ravel()


def is_discrete(values: np.ndarray) -> bool:
    """Whether there are so few values (success or failure) that their median would only jump between them."""
    return len(np.unique(values[np.isfinite(values)])) <= 3


def centre(values: np.ndarray) -> float:
    """The median; the mean of values that are only success or failure."""
    values = values[np.isfinite(values)]
    return float(np.mean(values) if is_discrete(values) else np.median(values))


def running_centre(values: np.ndarray, points: int = 300) -> Smooth:
    """Running median (mean, where the values are discrete) over 2.5 % of the trials (of few trials more), at ``points`` trials.

    NaN are left out."""
    kept = np.flatnonzero(np.isfinite(values))
    finite = values[kept]
    half = max(len(finite) // 80, min(5, len(finite) // 20))
    take = np.mean if is_discrete(finite) else np.median
    where = np.unique(np.linspace(0, len(finite) - 1, min(points, len(finite))).round().astype(int))
    smooth = np.array([take(finite[max(0, k - half) : k + half + 1]) for k in where])
    return Smooth(kept[where], smooth, 2 * half + 1)


def shrink(matrix: np.ndarray, side: int = MAP_SIDE) -> np.ndarray:
    """The matrix with at most ``side`` rows and columns, by the means of blocks; NaN (no synapse) where a block is empty."""
    for axis in (0, 1):
        n = matrix.shape[axis]
        if n > side:
            starts = np.arange(0, n, -(-n // side))  # equal blocks: unequal ones would show as stripes
            there = np.isfinite(matrix)
            total = np.add.reduceat(np.where(there, matrix, 0.0), starts, axis=axis)
            count = np.add.reduceat(there.astype(float), starts, axis=axis)
            matrix = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return matrix


def thin(points: np.ndarray, most: int = DOTS) -> np.ndarray:
    """Every k-th point, with the smallest k that leaves at most ``most``."""
    return points[:: max(1, -(-len(points) // most))]

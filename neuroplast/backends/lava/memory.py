"""Memory of a run that its processes and the caller share: the arrays of the program, recordings, and words of control.

Within one operating system process these are plain arrays. For Lava's own runtime they lie in memory that forked processes share: a
process writes its own arrays there, so nothing has to be fetched number by number.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

import numpy as np

from neuroplast.ir.program import StepProgram

EPOCH, ENDED, SAMPLES = 0, 1, 2
"""Places in ``control``: a number that grows with each trial; 1 when the trial has ended; samples of recording k at SAMPLES + 2k,
and whether it is wanted at SAMPLES + 2k + 1."""


@dataclass
class Memory:
    """arrays: name -> the array that is shown.  recordings: (samples, width) each, filled in a trial where they are wanted."""

    arrays: dict[str, np.ndarray]
    recordings: list[np.ndarray]
    control: np.ndarray

    def wanted(self, recording: int) -> bool:
        return bool(self.control[SAMPLES + 2 * recording + 1])


def allocate(program: StepProgram, shared: bool) -> Memory:
    """The memory of a program in its initial state."""

    def empty(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
        if not shared:
            return np.zeros(shape, dtype)
        count = int(np.prod(shape))
        memory = mmap.mmap(-1, max(1, count * np.dtype(dtype).itemsize))  # pages come into being when they are touched
        return np.frombuffer(memory, dtype, count).reshape(shape)

    arrays = {}
    for name, array in program.arrays.items():
        arrays[name] = empty(array.initial.shape, array.initial.dtype)
        arrays[name][...] = array.initial
    recordings = []
    for recording in program.recordings:
        width = program.arrays[recording.array].initial.size if recording.units is None else len(recording.units)
        samples = program.steps // recording.stride if recording.stride else 0
        recordings.append(empty((samples, width), np.uint8 if recording.spikes else np.float64))
    return Memory(arrays, recordings, empty((SAMPLES + 2 * len(recordings),), np.int64))


__all__ = ["ENDED", "EPOCH", "SAMPLES", "Memory", "allocate"]

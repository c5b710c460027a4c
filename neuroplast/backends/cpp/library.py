"""A loaded kernel: its functions with Python types. Its state is global, so each instance loads a copy of the file."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from neuroplast.backends.cpp.build import read_verified
from neuroplast.errors import LoweringError

ALIGNMENT = 64
"""Bytes of a cache line, and of the longest vectors."""
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy at an address that vector code likes best. Memory of zeros is not touched before it is needed."""
    memory = np.zeros(array.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    result = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    if array.any():
        result[...] = array
    return result


class Library:
    """One instance of a kernel. All calls release Python's lock; two instances may run in two threads."""

    def __init__(self, path: Path) -> None:
        content = read_verified(path)
        if content is None:
            raise LoweringError("a compiled kernel was damaged after it was built", got=str(path), do="run again")
        handle, copy = tempfile.mkstemp(prefix="load_", suffix=".so", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            self._library = ctypes.CDLL(copy)
        finally:
            os.unlink(copy)
        self._library.np_run.argtypes = [ctypes.c_long]
        self._library.np_record.argtypes = [ctypes.c_int, ctypes.c_void_p]
        self._library.np_recorded.restype = ctypes.c_long
        self._library.np_log.argtypes = [ctypes.c_void_p]
        self._kept: list[object] = []

    def configure(self, keys: np.ndarray, initial: list[np.ndarray]) -> None:
        """Keys of the random streams and the values that trials start with."""
        self._kept += [keys, initial]
        self._library.np_configure(ctypes.c_void_p(keys.ctypes.data), self._pointers(initial))

    def bind(self, arrays: list[np.ndarray], call: Callable[[int], int] | None) -> None:
        """The arrays to work on, in the order of the program. call: the Python task; a value other than 0 stops the run."""
        callback = _CALLBACK() if call is None else _CALLBACK(call)
        self._kept += [arrays, callback]
        self._library.np_bind(self._pointers(arrays), callback)

    @staticmethod
    def _pointers(arrays: list[np.ndarray]) -> ctypes.Array[ctypes.c_void_p]:
        return (ctypes.c_void_p * max(1, len(arrays)))(*(array.ctypes.data for array in arrays))

    def run(self, trials: int) -> int:
        """Whole trials; how many were run, or -1 where the task stopped them."""
        return self._library.np_run(trials)

    def record(self, index: int, buffer: np.ndarray | None) -> None:
        """Where the samples of a recording go in the coming trials; None: nowhere."""
        self._library.np_record(index, None if buffer is None else buffer.ctypes.data)

    def recorded(self, index: int) -> int:
        """Samples of a recording in the last trial."""
        return self._library.np_recorded(index)

    def log(self, rows: np.ndarray) -> None:
        """Where the measures of the coming trials go: float64 (trials, measures)."""
        self._log = rows
        self._library.np_log(rows.ctypes.data)

    def complete(self) -> None:
        """Arrays that the kernel itself did not need, as of the last step."""
        self._library.np_complete()

    def close(self) -> None:
        """Unload. No other method may be called any more."""
        import _ctypes

        _ctypes.dlclose(self._library._handle)

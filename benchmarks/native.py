"""Hand-written C++ as an implementation of a case. A source has three functions (and perhaps several forms of its network):

    void* bench_new(const double* const* arrays, long steps, long form, const double* const* given);
    void bench_run(void*, long trials);
    void bench_outcome(void*, double*);

arrays, given: those that the case's network module lists, as doubles; given is null where the form makes its own random numbers.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.registry import ROOT, Job, Missing

FLAGS = ("-O3", "-march=native", "-fopenmp-simd", "-std=c++17", "-shared", "-fPIC")


def build(source: Path, folder: Path, flags: Sequence[str] = ()) -> ctypes.CDLL:
    """Compile a source, or find it compiled in the folder, and load it."""
    flags = (*FLAGS, f"-I{ROOT}", *flags)
    text = source.read_bytes() + b"".join(header.read_bytes() for header in sorted(Path(__file__).parent.glob("*.h")))
    name = hashlib.blake2b(text + " ".join(flags).encode(), digest_size=8).hexdigest()
    path = folder / f"{source.stem}_{name}.so"
    if not path.exists():
        try:
            subprocess.run(["g++", *flags, str(source), "-o", str(path)], check=True)
        except FileNotFoundError as error:
            raise Missing("no g++ found") from error
    return ctypes.CDLL(str(path))


def pointers(arrays: Sequence[np.ndarray]) -> Any:
    """A C array of their addresses."""
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))


class Native:
    """network: module with ``native(job, **options) -> (arrays, given, outcome's shape)``; where it has ``native_outcome(job, found,
    **options)``, that is what is compared.  source: beside it.

    form: which of the source's forms.  flags: further ones for the compiler, such as "-DREAL=float".
    """

    def __init__(self, network: str, source: str, form: int = 0, flags: Sequence[str] = (), **options: Any) -> None:
        self.network = importlib.import_module(network)
        assert self.network.__file__ is not None
        self.source, self.form, self.flags, self.options = Path(self.network.__file__).with_name(source), form, flags, options
        self.steps = 0

    def prepare(self, job: Job) -> None:
        self.job, self.steps = job, job.steps
        self.library = build(self.source, job.folder, self.flags)
        self.library.bench_new.restype = ctypes.c_void_p
        arrays, given, self.shape = self.network.native(job, **self.options)
        # read while it runs, so they are kept
        self.arrays = [np.ascontiguousarray(a, np.float64) for a in arrays]
        self.given = [np.ascontiguousarray(a, np.float64) for a in given]
        self.made = ctypes.c_void_p(
            self.library.bench_new(
                pointers(self.arrays), ctypes.c_long(job.steps), ctypes.c_long(self.form), pointers(self.given) if job.given else None
            )
        )

    def run(self, trials: int) -> None:
        self.library.bench_run(self.made, ctypes.c_long(trials))

    def outcome(self) -> np.ndarray:
        found = np.empty(self.shape)
        self.library.bench_outcome(self.made, ctypes.c_void_p(found.ctypes.data))
        judged = getattr(self.network, "native_outcome", None)
        return found if judged is None else judged(self.job, found, **self.options)

"""The song network in hand-written C++ (song.cpp): the limit."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
from pathlib import Path

import numpy as np

from benchmarks.registry import Job
from benchmarks.song import network as song

FORMS = ("dense", "active", "exact")
FLAGS = ("-O3", "-march=native", "-fopenmp-simd", "-std=c++17", "-shared", "-fPIC")
SOURCE = Path(__file__).with_name("song.cpp")


def constants() -> np.ndarray:
    """The fields of ``Constants`` in song.cpp, in their order."""
    dt = song.DT

    def decay(tau: float) -> float:
        return float(np.exp(-dt / tau))

    return np.array(
        [
            dt, decay(song.TAU_S), decay(song.TAU_E), decay(song.TAU_N), decay(song.TAU_MOTOR), decay(song.TAU_ELIGIBILITY),
            dt / song.TAU_M, song.REST, song.THRESHOLD, song.RESET, song.REVERSAL, song.LMAN_CHANCE, song.LMAN_WEIGHT,
            song.NOISE_MEAN, song.FLOOR, song.ETA / song.TAU_S, song.W_MAX, song.REWARD_DISTANCE,
        ]
    )


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class Cpp:
    """form: how plasticity is done, one of FORMS.  precision: "double" or "single".  n_hvc, n_ra: sizes, compiled in."""

    def __init__(self, form: str, precision: str = "double", n_hvc: int = song.N_HVC, n_ra: int = song.N_RA) -> None:
        self.n_hvc, self.n_ra = n_hvc, n_ra
        self.form, self.single = FORMS.index(form), int(precision == "single")
        self.steps = song.STEPS

    def prepare(self, job: Job) -> None:
        self.steps = job.steps
        name = f"{hashlib.blake2b(SOURCE.read_bytes(), digest_size=8).hexdigest()}_{self.n_hvc}_{self.n_ra}"
        path = job.folder / f"song_{name}.so"
        if not path.exists():
            subprocess.run(["g++", *FLAGS, f"-DHVC={self.n_hvc}", f"-DRA={self.n_ra}", str(SOURCE), "-o", str(path)], check=True)
        self.library = ctypes.CDLL(str(path))
        self.library.song_new.restype = ctypes.c_void_p
        data = job.arrays()
        unit, step = song.hvc_spikes(job.steps, self.n_hvc)
        order = np.argsort(step, kind="stable")
        offsets = np.searchsorted(step[order], np.arange(job.steps + 1)).astype(np.int32)
        self.given = np.ascontiguousarray(data["lman"].reshape(-1, self.n_ra), np.uint8)  # read while it runs
        arrays = (constants(), data["w"], data["v"], data["g"], song.target(job.steps), song.motor_weights(self.n_ra), offsets)
        arrays = (*map(np.ascontiguousarray, arrays), unit[order].astype(np.int32))
        self.song = ctypes.c_void_p(
            self.library.song_new(
                *map(pointer, arrays), pointer(self.given) if job.given else None, ctypes.c_long(job.steps), self.form,
                self.single,
            )
        )

    def run(self, trials: int) -> None:
        self.library.song_run(self.song, ctypes.c_long(trials))

    def outcome(self) -> np.ndarray:
        weights = np.empty((self.n_hvc, self.n_ra))
        self.library.song_weights(self.song, pointer(weights))
        return weights

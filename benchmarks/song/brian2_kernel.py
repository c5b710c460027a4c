"""The plastic projection as a small C++ kernel (kernel.h) that Brian2 calls once a step through a user function.

No Brian2 Synapses: weights and eligibilities are the variables of a group, so one code object does the whole projection.
"""

from __future__ import annotations

from typing import Any

import brian2 as b2
import numpy as np

from benchmarks.registry import Job
from benchmarks.song import network as song
from benchmarks.song.brian2_parts import Parts, clipped

CPP = """
static inline double song_kernel(double R) {{
    return song_step({w}, {e}, {s}, {gN}, {gE}, {A}, {D}, {spikes}, {spikes}[{n_pre}], {n_pre}, {n_post}, R, {etadt!r}, {keep!r},
                     {dt!r}, {mu!r}, {floor!r});
}}
static inline double song_kernel_flush(double R) {{
    return song_flush({w}, {e}, {gN}, {A}, {D}, {n_pre}, {n_post}, {etadt!r}, {mu!r}, {w_max!r});
}}
"""
CYTHON = """
cdef extern from "kernel.h":
    double song_step(double*, double*, double*, double*, double*, double*, double*, int*, int, int, int, double, double, double,
                     double, double, double)
    double song_flush(double*, double*, double*, double*, double*, int, int, double, double, double)

cdef double song_kernel(double R):
    return song_step(<double*>{w}, <double*>{e}, <double*>{s}, <double*>{gN}, <double*>{gE}, <double*>{A}, <double*>{D},
                     <int*>{spikes}, (<int*>{spikes})[{n_pre}], {n_pre}, {n_post}, R, {etadt!r}, {keep!r}, {dt!r}, {mu!r}, {floor!r})

cdef double song_kernel_flush(double R):
    return song_flush(<double*>{w}, <double*>{e}, <double*>{gN}, <double*>{A}, <double*>{D}, {n_pre}, {n_post}, {etadt!r}, {mu!r},
                      {w_max!r})
"""


def on_runtime() -> bool:
    return b2.get_device() is b2.all_devices["runtime"]


class Kernel:
    """Semantics: the same numbers as ours."""

    def __init__(self, job: Job) -> None:
        self.parts = parts = Parts(job, "A : 1\nD : 1")
        parts.hvc.D = 1
        self.synapses = b2.NeuronGroup(song.N_HVC * song.N_RA, "w : 1\nel : 1", name="W", namespace=parts.names)
        self.synapses.w = parts.data["w"].ravel()
        self.caller = b2.NeuronGroup(1, "R : 1 (linked)\ndone : 1", name="KERNEL", namespace={})
        self.caller.R = b2.linked_var(parts.critic, "R")
        self._bind()
        self.caller.run_regularly("done = song_kernel(R)", when="after_resets", name="KERNEL_step")
        self.caller.run_regularly("done = song_kernel_flush(R)", dt=parts.trial, when="start", name="KERNEL_flush")
        parts.objects += [self.synapses, self.caller]
        self.objects, self.dt = parts.objects, parts.dt

    def _bind(self) -> None:
        """Give the kernel's code the arrays: by their C++ names, or by their addresses."""
        hvc, ra, group = self.parts.hvc, self.parts.ra, self.synapses
        self.arrays = arrays = {
            "w": group.variables["w"], "e": group.variables["el"], "s": hvc.variables["s"], "gN": ra.variables["gN"],
            "gE": ra.variables["gE"], "A": hvc.variables["A"], "D": hvc.variables["D"], "spikes": hvc.variables["_spikespace"],
        }
        numbers = {"n_pre": song.N_HVC, "n_post": song.N_RA, "mu": song.NOISE_MEAN, "dt": song.DT, "floor": song.FLOOR}
        numbers |= {name: self.parts.names[name] for name in ("etadt", "keep", "w_max")}
        if not on_runtime():
            names: dict[str, Any] = {name: f"brian::{b2.device.get_array_name(v)}" for name, v in arrays.items()}
            code, target, more = CPP.format(**names, **numbers), "cpp", {"headers": ['"kernel.h"']}
        else:
            values = {f"_kernel_{name}": v.get_value() for name, v in arrays.items()}
            names = {name: f"_namespace_kernel_{name}" for name in arrays}
            code, target, more = CYTHON.format(**names, **numbers), "cython", {"namespace": values}
        for name in ("song_kernel", "song_kernel_flush"):
            function = b2.check_units(R=1, result=1)(lambda R: 0)
            self.caller.namespace[name] = b2.implementation(target, code, **more)(function)

    def outcome(self) -> np.ndarray:
        """The last flush comes at the start of Brian2's next step."""
        if not on_runtime():  # Brian2 does not know that the kernel writes to them
            for variable in self.arrays.values():
                b2.device.array_cache[variable] = None
        pending = np.repeat(np.asarray(self.parts.hvc.A[:]), song.N_RA) * np.asarray(self.synapses.el[:])
        return clipped(np.asarray(self.synapses.w[:]) + self.parts.names["etadt"] * pending)

"""Case ``song``: a network of the birdsong model's size, with 100 000 plastic synapses and a delayed reward.

All implementations run the same network from the same first state. Before it is timed, each is run for two short trials with
the LMAN spikes that the Reference draws, and its weights are compared with the Reference's.
"""

from __future__ import annotations

from typing import Any

from benchmarks.registry import Case, Implementation
from benchmarks.ways import Ways

SONG = Ways("benchmarks.song.network")


def _brian2(name: str, device: str, form: str, remark: str, quick: bool = False, **more: Any) -> Implementation:
    return SONG.brian2(name, device, f"benchmarks.song.brian2_{form}", remark, quick, includes="benchmarks.song", **more)


def _cpp(name: str, form: str, precision: str, remark: str, tolerance: float = 1e-9, quick: bool = False) -> Implementation:
    return Implementation(
        name, "benchmarks.song.cpp:Cpp", "limit", remark, {"form": form, "precision": precision}, quick, tolerance=tolerance
    )


REFERENCE = SONG.reference(few=250, quick=True)

# The trace s of the natural form has no floor (it keeps its tail below 1e-3), so it is compared with a Reference without one.
NO_FLOOR = {"floor": 0.0}
NATURAL = "by hand, an equation for each synapse; no floor of s"
EVENTS = "by hand, event-driven active set"
KERNEL = "by hand, a C++ kernel through a user function"

CASE = Case(
    name="song",
    title="500 bursting HVC, 200 LIF RA, 100 000 plastic synapses, 200 noise inputs, delayed reward, dt 0.2 ms",
    steps=5000,
    check=(2, 1500),
    data="benchmarks.song.network:shared_arrays",
    start="w",
    reference=REFERENCE,
    baselines=("brian2-standalone-events", "cpp"),
    implementations=(
        REFERENCE,
        SONG.ours("compiled", "compiled", quick=True),
        SONG.library(quick=True),
        SONG.ours("brian2-target-standalone", "brian2-standalone", "our C++ standalone target"),
        SONG.ours("brian2-target-runtime", "brian2-runtime", "our target on Brian2's runtime device"),
        _brian2("brian2-cython", "Cython", "natural:Natural", NATURAL, against=NO_FLOOR),
        _brian2("brian2-cython-events", "Cython", "events:Events", EVENTS),
        _brian2("brian2-cython-kernel", "Cython", "kernel:Kernel", KERNEL),
        _brian2("brian2-standalone", "Standalone", "natural:Natural", NATURAL, against=NO_FLOOR),
        _brian2("brian2-standalone-events", "Standalone", "events:Events", EVENTS, quick=True),
        _brian2("brian2-standalone-kernel", "Standalone", "kernel:Kernel", KERNEL),
        Implementation(
            "lava", "benchmarks.song.lava_network:Lava", "lava",
            "LearningDense in floats, stepped here (Lava's own runtime is slower); no floor of s", {"few": 500}, against=NO_FLOOR,
        ),
        _cpp("cpp", "exact", "double", "by hand, spike-exact algebra: the limit", quick=True),
        # single precision moves spikes by a step now and then
        _cpp("cpp-single", "exact", "single", "the same in single precision", tolerance=1e-2),
        _cpp("cpp-active", "active", "double", "active rows in every step"),
        _cpp("cpp-dense", "dense", "double", "every synapse in every step"),
    ),
    left_out={
        "nest": "its plastic synapses pair spikes; none has a factor of the perturbing conductance (see distal-reward)",
        "bindsnet": "MSTDPET pairs spikes; no factor of the perturbing conductance (see distal-reward)",
        "nengo": "its rules have no eligibility that waits for a delayed reward (see bci)",
    },
)

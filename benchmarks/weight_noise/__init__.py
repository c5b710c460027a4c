"""Cases ``weight-noise``: an Ornstein-Uhlenbeck process on each of 10^5 or 10^6 weights, read at spikes or in every step.

Before timing, the root mean square and mean of what the noise adds to the postsynaptic signal is compared with the Reference's,
for the same input spikes; implementations that draw their own numbers are allowed about four standard errors of 1000 units.
"""

from __future__ import annotations

from typing import Any

from benchmarks.registry import Case, Implementation

NETWORK = "benchmarks.weight_noise.network"
IN_LAW = 0.13
"""Relative tolerance of those who draw their own numbers."""
MATHS = ("-ffast-math", "-fno-finite-math-only", "-fno-math-errno")
"""As our kernels are compiled: without them there are no vector forms of log and sqrt."""
EVENTS = "by hand; the process moved on where a spike reads the weight"


def _case(name: str, kind: str, n_pre: int) -> Case:
    options = {"kind": kind, "n_pre": n_pre}
    large = n_pre > 100

    def ours(name: str, target: str, remark: str = "", quick: bool = False, **more: Any) -> Implementation:
        settings = {"target": target, "network": NETWORK, **options, **more}
        return Implementation(name, "benchmarks.targets:OnTarget", "ours", remark, settings, quick, tolerance=IN_LAW)

    def brian2(name: str, device: str, form: str, remark: str, quick: bool = False) -> Implementation:
        settings = {"form": f"benchmarks.weight_noise.brian2:{form}_{n_pre}", "few": 50}
        return Implementation(name, f"benchmarks.on_brian2:{device}", "brian2", remark, settings, quick, tolerance=IN_LAW)

    def cpp(name: str, form: int, remark: str, exact: bool, quick: bool = False, fast: bool = False) -> Implementation:
        flags = (*MATHS, "-DFAST") if fast else MATHS
        settings = {"network": NETWORK, "source": "weight_noise.cpp", "form": form, "flags": flags, **options}
        return Implementation(
            name, "benchmarks.native:Native", "limit", remark, settings, quick, tolerance=1e-7 if exact else IN_LAW
        )

    reference = ours("reference", "reference", "NumPy, the specification; few steps only", few=4 if large else 20)
    natural = "by hand, an equation with xi for each synapse"
    found = [
        reference,
        ours("compiled", "compiled", quick=True, few=200 if large else None),
        brian2("brian2-standalone", "Standalone", "spikes" if kind == "spikes" else "graded", natural, quick=True),
    ]
    if not large:
        found += [
            ours("brian2-target", "brian2-library", "our default Brian2 target: its C++ as a shared library", few=200),
            brian2("brian2-cython", "Cython", kind, natural),
        ]
    if kind == "spikes":
        found += [
            brian2("brian2-standalone-events", "Standalone", "events", EVENTS),
            *([] if large else [brian2("brian2-cython-events", "Cython", "events", EVENTS)]),
            cpp("cpp", 0, "by hand, moved on at spikes, our generator: the limit", exact=False, quick=True),
            cpp("cpp-fast", 0, "the same with xoshiro128++, in single precision", exact=False, fast=True),
            cpp("cpp-every-step", 1, "in every step, our generator", exact=True),
        ]
    else:
        found += [
            cpp("cpp", 2, "by hand, our generator: the limit for these numbers", exact=True, quick=True),
            cpp("cpp-fast", 2, "xoshiro128++, single precision: the limit of this machine", exact=False, fast=True),
        ]
    read = "only by spikes" if kind == "spikes" else "in every step"
    return Case(
        name=name, title=f"{n_pre} inputs, 1000 units, an Ornstein-Uhlenbeck process on each of {n_pre * 1000} weights, read {read}",
        steps=1000, check=(1, 200), data=f"{NETWORK}:shared_arrays", start="nothing", reference=reference,
        baselines=("brian2-standalone", "cpp"), implementations=tuple(found), options=options,
    )


SPIKES = _case("weight-noise", "spikes", 100)
GRADED = _case("weight-noise-graded", "graded", 100)
SPIKES_LARGE = _case("weight-noise-1e6", "spikes", 1000)
GRADED_LARGE = _case("weight-noise-graded-1e6", "graded", 1000)

"""Cases ``weight-noise``: an Ornstein-Uhlenbeck process on each of 10^5 or 10^6 weights, read at spikes or in every step.

Before timing, the root mean square and mean of what the noise adds to the postsynaptic signal is compared with the Reference's,
for the same input spikes; implementations that draw their own numbers are allowed about four standard errors of 1000 units.
"""

from __future__ import annotations

from benchmarks.registry import Case, Implementation
from benchmarks.ways import Ways

FORMS = "benchmarks.weight_noise.brian2"
IN_LAW = 0.13
"""Relative tolerance of those who draw their own numbers."""
MATHS = ("-ffast-math", "-fno-finite-math-only", "-fno-math-errno")
"""As our kernels are compiled: without them there are no vector forms of log and sqrt."""
EVENTS = "by hand; the process moved on where a spike reads the weight"


def _case(name: str, kind: str, n_pre: int) -> Case:
    options = {"kind": kind, "n_pre": n_pre}
    large = n_pre > 100

    ways = Ways("benchmarks.weight_noise.network", IN_LAW, options)

    def brian2(name: str, device: str, form: str, remark: str, quick: bool = False) -> Implementation:
        return ways.brian2(name, device, f"{FORMS}:{form}_{n_pre}", remark, quick, few=50)

    def cpp(name: str, form: int, remark: str, exact: bool, quick: bool = False, fast: bool = False) -> Implementation:
        flags = (*MATHS, "-DFAST") if fast else MATHS
        return ways.cpp(name, "weight_noise.cpp", remark, quick, 1e-7 if exact else None, form=form, flags=flags)

    reference = ways.reference(few=4 if large else 20)
    natural = "by hand, an equation with xi for each synapse"
    found = [
        reference,
        ways.ours("compiled", "compiled", quick=True, few=200 if large else None),
        brian2("brian2-standalone", "Standalone", "spikes" if kind == "spikes" else "graded", natural, quick=True),
    ]
    if not large:
        found += [
            ways.library(few=200),
            brian2("brian2-cython", "Cython", kind, natural),
        ]
    if kind == "spikes":
        found += [
            brian2("brian2-standalone-events", "Standalone", "events", EVENTS),
            *([] if large else [brian2("brian2-cython-events", "Cython", "events", EVENTS)]),
            cpp("cpp", 0, "by hand, moved on at spikes, our generator: the limit", exact=True, quick=True),
            cpp("cpp-fast", 0, "the same with xoshiro128++, in single precision", exact=False, fast=True),
            cpp("cpp-every-step", 1, "in every step, our generator", exact=False),
        ]
    else:
        found += [
            cpp("cpp", 2, "by hand, our generator: the limit for these numbers", exact=True, quick=True),
            cpp("cpp-fast", 2, "xoshiro128++, single precision: the limit of this machine", exact=False, fast=True),
        ]
    read = "only by spikes" if kind == "spikes" else "in every step"
    return Case(
        name=name, title=f"{n_pre} inputs, 1000 units, an Ornstein-Uhlenbeck process on each of {n_pre * 1000} weights, read {read}",
        steps=1000, check=(1, 200), data=f"{ways.network}:shared_arrays", start="nothing", reference=reference,
        baselines=("brian2-standalone", "cpp"), implementations=tuple(found), options=options,
        left_out={"nest, bindsnet, nengo, lava": "none has a random process on each weight"},
    )


SPIKES = _case("weight-noise", "spikes", 100)
GRADED = _case("weight-noise-graded", "graded", 100)
SPIKES_LARGE = _case("weight-noise-1e6", "spikes", 1000)
GRADED_LARGE = _case("weight-noise-graded-1e6", "graded", 1000)

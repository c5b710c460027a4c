"""Cases ``scaling``: the network ``song`` with 10^4 to 10^7 plastic synapses, our compiled target and C++, with their memory.

The two smaller ones are compared with the Reference before timing; for the larger ones, whose code is the same, the Reference
would take hours until the first reward.
"""

from __future__ import annotations

from benchmarks.registry import Case, Implementation
from benchmarks.ways import Ways

NETWORK = "benchmarks.song.network"


def _case(name: str, n_hvc: int, n_ra: int, checked: bool = True) -> Case:
    sizes = {"n_hvc": n_hvc, "n_ra": n_ra}

    ways = Ways(NETWORK, options=sizes)

    def cpp(name: str, precision: str, remark: str, tolerance: float) -> Implementation:
        settings = {"form": "exact", "precision": precision, **sizes}
        return Implementation(name, "benchmarks.song.cpp:Cpp", "limit", remark, settings, True, checked, tolerance)

    return Case(
        name=name, title=f"the network song with {n_hvc} HVC and {n_ra} RA units: {n_hvc * n_ra} plastic synapses",
        steps=5000, check=(2, 1500), data=f"{NETWORK}:shared_arrays", start="w",
        reference=ways.reference(few=50), baselines=("cpp",),
        implementations=(
            ways.ours("compiled", "compiled", quick=True, checked=checked),
            cpp("cpp", "double", "by hand, spike-exact algebra: the limit", 1e-9),
            # single precision moves spikes by a step now and then
            cpp("cpp-single", "single", "the same in single precision", 1e-1),
        ),
        options=sizes,
    )


SMALL = _case("scaling-1e4", 100, 100)
MIDDLE = _case("scaling-1e5", 500, 200)
LARGE = _case("scaling-1e6", 2500, 400, checked=False)
HUGE = _case("scaling-1e7", 10000, 1000, checked=False)

"""Case ``song``: a network of the birdsong model's size, with 100 000 plastic synapses and a delayed reward.

All implementations run the same network from the same first state. Before it is timed, each is run for two short trials with
the LMAN spikes that the Reference draws, and its weights are compared with the Reference's.
"""

from benchmarks.registry import Case, Implementation

NETWORK = "benchmarks.song.network"


def _ours(name: str, target: str, remark: str = "", quick: bool = False, **options: object) -> Implementation:
    return Implementation(
        name, "benchmarks.targets:OnTarget", "ours", remark, {"target": target, "network": NETWORK, **options}, quick
    )


def _brian2(name: str, runner: str, remark: str, quick: bool = False, **more: object) -> Implementation:
    return Implementation(name, f"benchmarks.song.{runner}", "brian2", remark, quick=quick, **more)  # type: ignore[arg-type]


def _cpp(name: str, form: str, precision: str, remark: str, tolerance: float = 1e-9, quick: bool = False) -> Implementation:
    return Implementation(
        name, "benchmarks.song.cpp:Cpp", "limit", remark, {"form": form, "precision": precision}, quick, tolerance=tolerance
    )


REFERENCE = _ours("reference", "reference", "NumPy, the specification; few steps only", True, few=250)

# The trace s of the natural form has no floor (it keeps its tail below 1e-3), so it is compared with a Reference without one.
NO_FLOOR = {"floor": 0.0}

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
        _ours("compiled", "compiled", quick=True),
        _ours("brian2-target", "brian2-library", "our default Brian2 target: its C++ as a shared library", quick=True),
        _ours("brian2-target-standalone", "brian2-standalone", "our C++ standalone target"),
        _ours("brian2-target-runtime", "brian2-runtime", "our target on Brian2's runtime device"),
        _brian2(
            "brian2-cython", "brian2_natural:cython", "by hand, an equation for each synapse; no floor of s", against=NO_FLOOR
        ),
        _brian2("brian2-cython-events", "brian2_events:cython", "by hand, event-driven active set"),
        _brian2("brian2-cython-kernel", "brian2_kernel:cython", "by hand, a C++ kernel through a user function"),
        _brian2(
            "brian2-standalone", "brian2_natural:standalone", "by hand, an equation for each synapse; no floor of s",
            against=NO_FLOOR,
        ),
        _brian2("brian2-standalone-events", "brian2_events:standalone", "by hand, event-driven active set", quick=True),
        _brian2("brian2-standalone-kernel", "brian2_kernel:standalone", "by hand, a C++ kernel through a user function"),
        _cpp("cpp", "exact", "double", "by hand, spike-exact algebra: the limit", quick=True),
        # single precision moves spikes by a step now and then
        _cpp("cpp-single", "exact", "single", "the same in single precision", tolerance=1e-2),
        _cpp("cpp-active", "active", "double", "active rows in every step"),
        _cpp("cpp-dense", "dense", "double", "every synapse in every step"),
    ),
)

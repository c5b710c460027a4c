"""Case ``rnn``: Miconi's recurrent network, 40 000 plastic synapses with a cubic eligibility, weights changed at trial ends.

Each is run for three short trials with the impulses that the Reference draws, and its weights are compared.
"""

from benchmarks.registry import Case, Implementation

NETWORK = "benchmarks.rnn.network"


def _ours(name: str, target: str, remark: str = "", quick: bool = False, **options: object) -> Implementation:
    return Implementation(
        name, "benchmarks.targets:OnTarget", "ours", remark, {"target": target, "network": NETWORK, **options}, quick, tolerance=1e-7
    )


def _brian2(name: str, device: str, quick: bool = False) -> Implementation:
    return Implementation(
        name, f"benchmarks.on_brian2:{device}", "brian2", "by hand; eligibility of all synapses in every step",
        {"form": "benchmarks.rnn.brian2:Form"}, quick, tolerance=1e-7,
    )


def _cpp(name: str, remark: str, quick: bool = False, tolerance: float = 1e-7, **options: object) -> Implementation:
    return Implementation(
        name, "benchmarks.native:Native", "limit", remark, {"network": NETWORK, "source": "rnn.cpp", **options}, quick,
        tolerance=tolerance,
    )


REFERENCE = _ours("reference", "reference", "NumPy, the specification; few steps only", True, few=100)

CASE = Case(
    name="rnn",
    title="200 recurrent rate units, 40 000 plastic synapses, cubic eligibility, reward at the end of a trial, dt 1 ms",
    steps=1000,
    check=(3, 300),
    data="benchmarks.rnn.network:shared_arrays",
    start="w",
    reference=REFERENCE,
    baselines=("brian2-standalone", "cpp"),
    implementations=(
        REFERENCE,
        _ours("compiled", "compiled", quick=True),
        _ours("brian2-target", "brian2-library", "our default Brian2 target: its C++ as a shared library", quick=True),
        _brian2("brian2-cython", "Cython"),
        _brian2("brian2-standalone", "Standalone", quick=True),
        _cpp("cpp", "by hand, the trial's eligibility as one matrix product: the limit", quick=True),
        _cpp("cpp-single", "the same in single precision", tolerance=0.5, flags=("-DREAL=float",)),
        _cpp("cpp-dense", "eligibility of all synapses in every step", form=1),
    ),
)

"""Case ``bci``: the brain-control model's network; dense presynaptic activity, and all weights changed in every step.

Each is run for four reaches with the noise and the targets that the Reference draws, and its weights are compared.
"""

from benchmarks.registry import Case, Implementation

NETWORK = "benchmarks.bci.network"


def _ours(name: str, target: str, remark: str = "", quick: bool = False, **options: object) -> Implementation:
    return Implementation(
        name, "benchmarks.targets:OnTarget", "ours", remark, {"target": target, "network": NETWORK, **options}, quick, tolerance=1e-9
    )


def _brian2(name: str, device: str, quick: bool = False) -> Implementation:
    return Implementation(
        name, f"benchmarks.on_brian2:{device}", "brian2", "by hand; all weights change in every step",
        {"form": "benchmarks.bci.brian2:Form"}, quick, tolerance=1e-9,
    )


def _cpp(name: str, remark: str, quick: bool = False, tolerance: float = 1e-9, **options: object) -> Implementation:
    return Implementation(
        name, "benchmarks.native:Native", "limit", remark, {"network": NETWORK, "source": "bci.cpp", **options}, quick,
        tolerance=tolerance,
    )


REFERENCE = _ours("reference", "reference", "NumPy, the specification; few steps only", True, few=18)

CASE = Case(
    name="bci",
    title="100 inputs that are never silent, 340 noisy rate units, 34 000 plastic synapses, EH rule in every step of a reach",
    steps=18,
    check=(4, 18),
    data="benchmarks.bci.network:shared_arrays",
    start="w",
    reference=REFERENCE,
    baselines=("brian2-standalone", "cpp"),
    implementations=(
        REFERENCE,
        _ours("compiled", "compiled", quick=True),
        _ours("brian2-target", "brian2-library", "our default Brian2 target: its C++ as a shared library", quick=True),
        _brian2("brian2-cython", "Cython"),
        _brian2("brian2-standalone", "Standalone", quick=True),
        _cpp("cpp", "by hand, change and product in one pass over the weights: the limit for inputs of any kind", quick=True),
        _cpp("cpp-deferred", "changes of eight steps kept as pairs of vectors, then folded in", form=1),
        # changes at the small learning rate are a thousandth of the model's, near the rounding of weights of 30 in single precision:
        # 2 % of the change is lost; with the model's own rate it was 2e-5
        _cpp("cpp-single", "as cpp in single precision, which loses 2 % of such small changes", tolerance=5e-2, flags=("-DREAL=float",)),
        _cpp("cpp-encoder", "uses that these inputs lie in three dimensions: 3 numbers a unit in place of 100", form=2),
    ),
)

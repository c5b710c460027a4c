"""Case ``distal-reward``: 1000 Izhikevich neurons, 100 000 plastic synapses with reward-modulated STDP, dt 1 ms.

Each is run for half a second with the noise that the Reference draws, and its weights are compared; not so NEST, whose rule
pairs spikes otherwise, as its remark says.
"""

from benchmarks.registry import Case, Implementation

NETWORK = "benchmarks.distal_reward.network"


def _ours(name: str, target: str, remark: str = "", quick: bool = False, **options: object) -> Implementation:
    return Implementation(
        name, "benchmarks.targets:OnTarget", "ours", remark, {"target": target, "network": NETWORK, **options}, quick
    )


def _brian2(name: str, device: str, form: str, remark: str, quick: bool = False) -> Implementation:
    settings = {"form": f"benchmarks.distal_reward.brian2:{form}"}
    return Implementation(name, f"benchmarks.on_brian2:{device}", "brian2", remark, settings, quick, tolerance=0.02)


def _cpp(name: str, form: int, remark: str, quick: bool = False) -> Implementation:
    settings = {"network": NETWORK, "source": "distal_reward.cpp", "form": form}
    return Implementation(name, "benchmarks.native:Native", "limit", remark, settings, quick)


REFERENCE = _ours("reference", "reference", "NumPy, the specification; few steps only", True, few=50)
NATURAL = "by hand, eligibility and weight of all synapses in every step; no floor of traces"
EVENTS = "by hand, synapses are touched when a unit spikes; no floor of traces"

CASE = Case(
    name="distal-reward",
    title="1000 Izhikevich neurons, 100 000 plastic synapses, reward-modulated STDP, dt 1 ms",
    steps=1000,
    check=(1, 600),
    data="benchmarks.distal_reward.network:shared_arrays",
    start="w",
    reference=REFERENCE,
    baselines=("nest", "brian2-standalone-events", "cpp"),
    implementations=(
        REFERENCE,
        _ours("compiled", "compiled", quick=True),
        _ours("brian2-target", "brian2-library", "our default Brian2 target: its C++ as a shared library"),
        _brian2("brian2-cython", "Cython", "Natural", NATURAL),
        _brian2("brian2-standalone", "Standalone", "Natural", NATURAL),
        _brian2("brian2-standalone-events", "Standalone", "Events", EVENTS, quick=True),
        Implementation(
            "nest", "benchmarks.distal_reward.nest_network:Nest", "nest",
            "stdp_dopamine_synapse; dendritic delays, so pairs are 2 ms apart from ours; Gaussian noise", quick=True, checked=False,
            peer="nest",
        ),
        _cpp("cpp", 0, "by hand, synapses are touched when a unit spikes: the limit", quick=True),
        _cpp("cpp-dense", 1, "every synapse in every step"),
    ),
)

"""Case ``distal-reward``: 1000 Izhikevich neurons, 100 000 plastic synapses with reward-modulated STDP, dt 1 ms.

Each is run for half a second with the noise that the Reference draws, and its weights are compared; not so NEST, whose rule
pairs spikes otherwise, as its remark says.
"""

from benchmarks.registry import Case, Implementation
from benchmarks.ways import Ways

DISTAL = Ways("benchmarks.distal_reward.network")
FORMS = "benchmarks.distal_reward.brian2"
REFERENCE = DISTAL.reference(few=50, quick=True)
NATURAL = "by hand, eligibility and weight of all synapses in every step; no floor of traces"
EVENTS = "by hand, synapses are touched when a unit spikes; no floor of traces"
NO_FLOOR = 0.02
"""Tolerance of those who have no floor of traces."""

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
        DISTAL.ours("compiled", "compiled", quick=True),
        DISTAL.library(),
        DISTAL.brian2("brian2-cython", "Cython", f"{FORMS}:Natural", NATURAL, tolerance=NO_FLOOR),
        DISTAL.brian2("brian2-standalone", "Standalone", f"{FORMS}:Natural", NATURAL, tolerance=NO_FLOOR),
        DISTAL.brian2("brian2-standalone-events", "Standalone", f"{FORMS}:Events", EVENTS, True, tolerance=NO_FLOOR),
        Implementation(
            "nest", "benchmarks.distal_reward.nest_network:Nest", "nest",
            "stdp_dopamine_synapse; dendritic delays, so pairs are 2 ms apart from ours; Gaussian noise", quick=True, checked=False,
            peer="nest",
        ),
        Implementation(
            "bindsnet", "benchmarks.distal_reward.bindsnet_network:BindsNet", "bindsnet",
            "MSTDPET on matrices of all pairs (8 times as many); our neurons; no floor of traces", {"few": 100}, tolerance=NO_FLOOR,
            peer="bindsnet",
        ),
        DISTAL.cpp("cpp", "distal_reward.cpp", "by hand, synapses are touched when a unit spikes: the limit", quick=True),
        DISTAL.cpp("cpp-dense", "distal_reward.cpp", "every synapse in every step, of the same layout (not vectorised)", form=1),
    ),
    left_out={
        "nengo": "its rules have no eligibility trace (see bci)",
        "lava": "LearningDense is all-to-all, ten times the synapses, and is compared in song",
    },
)

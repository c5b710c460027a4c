"""Case ``rnn``: Miconi's recurrent network, 40 000 plastic synapses with a cubic eligibility, weights changed at trial ends.

Each is run for three short trials with the impulses that the Reference draws, and its weights are compared.
"""

from benchmarks.registry import Case
from benchmarks.ways import Ways

RNN = Ways("benchmarks.rnn.network", tolerance=1e-7)
FORM = "benchmarks.rnn.brian2:Form"
EVERY_STEP = "by hand; eligibility of all synapses in every step"
REFERENCE = RNN.reference(few=100, quick=True)

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
        RNN.ours("compiled", "compiled", quick=True),
        RNN.library(quick=True),
        RNN.brian2("brian2-cython", "Cython", FORM, EVERY_STEP),
        RNN.brian2("brian2-standalone", "Standalone", FORM, EVERY_STEP, quick=True),
        RNN.cpp("cpp", "rnn.cpp", "by hand, the trial's eligibility as one matrix product: the limit", quick=True),
        RNN.cpp("cpp-single", "rnn.cpp", "the same in single precision", tolerance=0.5, flags=("-DREAL=float",)),
        RNN.cpp("cpp-dense", "rnn.cpp", "eligibility of all synapses in every step", form=1),
    ),
    left_out={
        "nest": "e-prop there is for spiking neurons (eprop_iaf and its kin) that hear a learning signal of the readouts in every step; "
                "these are rate units with a cubic eligibility and one reward a trial",
        "bindsnet": "its rules are of spikes",
        "nengo": "its rules have no eligibility that is kept over a trial",
        "lava": "its traces are of spikes; LearningDense is compared in song",
    },
)

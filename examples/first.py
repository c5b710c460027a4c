import numpy as np
from neuroplast import (LIF, Current, Delta, Eligibility, LowPass, Modulator, Network, Population, Projection, Readout, RunningMean,
                        Signal, Simulation, SpikeSequence, ThreeFactorRule, TrackTarget, Uniform, White)
from neuroplast.units import ms, mV

net = Network("waveform", seed=1)

# a clock: 40 units, each fires a short burst once in a trial of 200 ms
unit = np.repeat(np.arange(40), 3)
clock = net.add(Population("clock", 40, SpikeSequence(indices=unit, times=(unit * 5 + np.tile([0, 2, 4], 40)) * ms)))
# 20 noisy neurons: the white noise is the probe
cells = net.add(Population("cells", 20, LIF(tau=10 * ms, v_rest=-60 * mV, v_threshold=-50 * mV, v_reset=-60 * mV),
                           noise=White(std=5 * mV)))
output = net.add(Population("output", 1, Readout(tau=20 * ms)))
net.add(Projection(cells, output, weight=np.tile([0.1, -0.1], 10)[None, :], synapse=Delta()))

# the task: follow a sine wave; reward is minus the squared error
time = np.arange(0, 200) * 1e-3
net.add(TrackTarget(readout=output, target=np.sin(2 * np.pi * 5 * time)[:, None], interval=1 * ms, duration=200 * ms,
                    reward="error"))

# probe x activity -> eligibility; reward minus its expectation -> dopamine; both together -> learning
dopamine = Modulator("dopamine", baseline=RunningMean(tau=50 * ms))
rule = ThreeFactorRule(
    factors={"pre": LowPass(Signal("pre", "spikes"), tau=5 * ms), "probe": Signal("post", "noise")},
    eligibility=Eligibility("pre * probe", tau=20 * ms), modulator=dopamine, rate=1000.0, bounds=(0 * mV, 30 * mV))
net.add(Projection(clock, cells, weight=Uniform(0 * mV, 15 * mV), synapse=Current(tau=5 * ms), plasticity=rule))

result = Simulation(net, dt=1 * ms).run(trials=500)
error = result["learning"]["error"].to_numpy()
print(f"squared error: {error[:20].mean():.3f} in the first 20 trials, {error[-20:].mean():.3f} in the last")

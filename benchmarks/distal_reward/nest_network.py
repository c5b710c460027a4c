"""The network with distal reward in NEST: izhikevich neurons by forward Euler, stdp_dopamine_synapse, a volume transmitter.

What differs from ours: NEST's delays are dendritic (a presynaptic spike reaches the synapse at once, a postsynaptic one after
the delay), where ours are axonal; the input is Gaussian of the same standard deviation; weights move at spikes and at dopamine
deliveries, n jumps at dopamine spikes, b = -0.002 is the floor. Dopamine reaches synapses every 1000 steps and at spikes.
"""

from __future__ import annotations

import nest  # pyright: ignore[reportMissingImports]  # lives in an environment of its own
import numpy as np

from benchmarks.distal_reward import network as distal
from benchmarks.registry import Job

DELAY = 1.0
"""ms"""


class Nest:
    steps = 1000

    def prepare(self, job: Job) -> None:
        self.steps = job.steps
        nest.set_verbosity("M_ERROR")
        nest.ResetKernel()
        nest.set(resolution=distal.DT * 1e3, local_num_threads=1, print_time=False)
        values = distal.neurons()
        neurons = nest.Create(
            "izhikevich", distal.N,
            {
                "a": values["a"], "b": 0.2, "c": distal.RESET, "d": values["d"], "V_th": distal.PEAK, "V_m": distal.V_FIRST,
                "U_m": 0.2 * distal.V_FIRST, "consistent_integration": True,
            },
        )
        noise = nest.Create("noise_generator", {"std": distal.NOISE / np.sqrt(12), "dt": distal.DT * 1e3})
        nest.Connect(noise, neurons)
        dopamine = nest.Create("volume_transmitter", {"deliver_interval": 1000})
        self.giver = nest.Create("spike_generator")
        relay = nest.Create("parrot_neuron")
        nest.Connect(self.giver, relay)
        nest.Connect(relay, dopamine)
        nest.CopyModel(
            "stdp_dopamine_synapse", "plastic",
            {
                "volume_transmitter": dopamine, "A_plus": distal.A_PLUS, "A_minus": distal.A_MINUS, "tau_plus": distal.TAU_STDP * 1e3,
                "tau_c": distal.TAU_C * 1e3, "tau_n": distal.TAU_D * 1e3, "b": -distal.FLOOR, "Wmin": 0.0, "Wmax": distal.W_MAX,
            },
        )
        neurons.tau_minus = distal.TAU_STDP * 1e3
        first, (pre, post, inhibiting, inhibited) = neurons[0].global_id, distal.pairs()
        n = pre.size
        nest.Connect(
            first + pre, first + post, "one_to_one",
            {"synapse_model": "plastic", "weight": np.full(n, distal.W_FIRST), "delay": np.full(n, DELAY)},
        )
        m = inhibiting.size
        nest.Connect(
            first + distal.N_E + inhibiting, first + inhibited, "one_to_one",
            {"synapse_model": "static_synapse", "weight": np.full(m, distal.W_I), "delay": np.full(m, DELAY)},
        )
        nest.Prepare()

    def run(self, trials: int) -> None:
        """Dopamine once in each second of biological time."""
        now = nest.biological_time
        seconds = np.arange(round(now / 1e3), round(now / 1e3) + trials * self.steps // 1000 + 1)
        times = seconds * 1e3 + distal.REWARD_STEP
        self.giver.spike_times = times[times > now + 2 * DELAY]
        nest.Run(trials * self.steps * distal.DT * 1e3)

    def outcome(self) -> np.ndarray:
        return np.asarray(nest.GetConnections(synapse_model="plastic").weight)

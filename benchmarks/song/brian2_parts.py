"""What the hand-written Brian2 forms of the song network share: everything but the plastic projection.

How Brian2's step agrees with our law of a step. State at the end of Brian2's step b is ours in step n = b before the membranes
move; a spike of ours in step n is Brian2's in step b = n + 1 and arrives within it. So HVC and the given LMAN spikes come one
step later here, D is computed in Brian2's next step (against the target of the step before), and membranes move once more, in
step 0, which their first value takes back. All decays are exact (``exponential_euler``), as in our description; with Euler,
which most people write, the cost is the same but for 200 exponentials a step.
"""

from __future__ import annotations

from typing import Any

import brian2 as b2
import numpy as np

from benchmarks.on_brian2 import SECOND
from benchmarks.registry import Job
from benchmarks.song import network as song

DT = song.DT * SECOND

HVC_EQUATIONS = """
ds/dt = -s/tau_s : 1
kb : integer (constant)
k = (t_in_timesteps - 1) % nT - kb : integer
"""
RA_EQUATIONS = """
dv/dt = (EL - v + (gE + gN)*(EE - v))/tau_m : 1
dgE/dt = -gE/tau_E : 1
dgN/dt = -gN/tau_N : 1
"""
MOTOR_EQUATIONS = """
dm/dt = -m/tau_mot : 1
err = (m - target(t_in_timesteps % nT * DT, i))**2 : 1
"""
BURST = f"k >= 0 and k < {song.BURST_SPIKES * song.BURST_INTERVAL} and k % {song.BURST_INTERVAL} == 0"


class Parts:
    """The groups of the network, and a list of all objects. Voltages are plain numbers in volt."""

    def __init__(
        self, job: Job, hvc_equations: str = "", ra_equations: str = "", hvc_events: dict[str, str] | None = None
    ) -> None:
        b2.defaultclock.dt = DT
        self.job, self.data, self.dt = job, job.arrays(), song.DT
        target = np.roll(song.target(job.steps), 1, axis=0)  # D is computed one step after the output that it judges
        self.names: dict[str, Any] = {
            "nT": job.steps, "DT": DT, "EL": song.REST, "EE": song.REVERSAL, "Vth": song.THRESHOLD, "Vr": song.RESET,
            "tau_s": song.TAU_S * SECOND, "tau_m": song.TAU_M * SECOND, "tau_E": song.TAU_E * SECOND, "tau_N": song.TAU_N * SECOND,
            "tau_mot": song.TAU_MOTOR * SECOND, "wN": song.LMAN_WEIGHT, "mu": song.NOISE_MEAN, "theta": song.REWARD_DISTANCE,
            "floor_s": song.FLOOR, "w_max": song.W_MAX,
            "etadt": song.ETA / song.TAU_S * song.DT, "dt_s": song.DT,
            "keep": float(np.exp(-song.DT / song.TAU_ELIGIBILITY)),
            "target": b2.TimedArray(target, dt=DT, name="song_target"),
        }
        exact = {"method": "exponential_euler", "namespace": self.names}
        self.hvc = b2.NeuronGroup(
            song.N_HVC, HVC_EQUATIONS + hvc_equations, threshold=BURST, reset="s += 1", events=hvc_events or {}, name="HVC", **exact
        )
        self.ra = b2.NeuronGroup(
            song.N_RA, RA_EQUATIONS + ra_equations, threshold="v > Vth", reset="v = Vr", name="RA", **exact
        )
        self.lman = self._lman()
        noise = b2.Synapses(self.lman, self.ra, on_pre="gN_post += wN", namespace=self.names, name="S_L", delay=0 * SECOND)
        noise.connect(j="i")
        self.motor = b2.NeuronGroup(song.N_MOTOR, MOTOR_EQUATIONS, name="MOT", **exact)
        sing = b2.Synapses(self.ra, self.motor, "a : 1 (constant)", on_pre="m_post += a", name="S_M", delay=0 * SECOND)
        units = np.arange(song.N_RA)
        sing.connect(i=units, j=units // (song.N_RA // song.N_MOTOR))
        sing.a = song.motor_weights()
        self.critic = b2.NeuronGroup(
            1, "Dist : 1\nR : 1", events={"good": "Dist < theta"}, namespace=self.names, name="CR"
        )
        judge = b2.Synapses(self.motor, self.critic, "Dist_post = err_pre : 1 (summed)", name="S_C", namespace=self.names)
        judge.connect()
        # a synapse sees no variable of a third group, so where the rule needs R in each of them, RA neurons hear it
        listener = self.ra if "R :" in ra_equations else self.critic
        listener.run_regularly("R = 0", when="before_synapses", name="forget")
        delay = b2.Synapses(
            self.critic, listener, on_pre="R_post = 1", on_event="good", delay=song.REWARD_DELAY * SECOND, name="S_D"
        )
        delay.connect()
        self.hvc.kb = song.BURST_START * np.arange(song.N_HVC)
        leak = 1.0 + self.data["g"]
        rest = (song.REST + self.data["g"] * song.REVERSAL) / leak
        self.ra.v = rest + (self.data["v"] - rest) * np.exp(song.DT / song.TAU_M * leak)
        self.ra.gN = self.data["g"]
        self.objects: list[Any] = [self.hvc, self.ra, self.lman, noise, self.motor, sing, self.critic, judge, delay]

    def _lman(self) -> Any:
        if not self.job.given:
            return b2.PoissonGroup(song.N_RA, rates=song.LMAN_CHANCE / DT, name="LMAN")
        step, unit = np.nonzero(self.data["lman"].reshape(-1, song.N_RA))
        return b2.SpikeGeneratorGroup(song.N_RA, unit, (step + 1) * DT, name="LMAN")

    @property
    def trial(self) -> Any:
        return self.job.steps * DT


def clipped(weights: Any) -> np.ndarray:
    return np.clip(np.asarray(weights, float).reshape(song.N_HVC, song.N_RA), 0.0, song.W_MAX)

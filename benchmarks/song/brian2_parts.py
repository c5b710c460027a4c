"""What the hand-written Brian2 forms of the song network share: everything but the plastic projection; and how they are run.

How Brian2's step agrees with our law of a step. State at the end of Brian2's step b is ours in step n = b before the membranes
move; a spike of ours in step n is Brian2's in step b = n + 1 and arrives within it. So HVC and the given LMAN spikes come one
step later here, D is computed in Brian2's next step (against the target of the step before), and membranes move once more, in
step 0, which their first value takes back. All decays are exact (``exponential_euler``), as in our description; with Euler,
which most people write, the cost is the same but for 200 exponentials a step.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import brian2 as b2
import numpy as np

from benchmarks.registry import Job
from benchmarks.song import network as song

SECOND: Any = b2.second
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
        self.job, self.data = job, job.arrays()
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


class Plastic(Protocol):
    """The plastic projection of one form, added to the parts when it is made."""

    parts: Parts

    def outcome(self) -> np.ndarray:
        """The weights after a trial, (n_pre, n_post), with what the form does only after the last step done here."""
        ...


def clipped(weights: Any) -> np.ndarray:
    return np.clip(np.asarray(weights, float).reshape(song.N_HVC, song.N_RA), 0.0, song.W_MAX)


class Cython:
    """Brian2's runtime device with Cython. form: makes the plastic projection."""

    steps = song.STEPS

    def __init__(self, form: Callable[[Job], Plastic]) -> None:
        self.form = form

    def prepare(self, job: Job) -> None:
        self.steps = job.steps
        b2.prefs.codegen.target = "cython"
        b2.prefs.codegen.runtime.cython.cache_dir = str(job.folder / "cython")
        b2.prefs.codegen.cpp.include_dirs += [str(Path(__file__).parent)]
        b2.defaultclock.dt = DT
        self.made = self.form(job)
        self.network = b2.Network(self.made.parts.objects)
        self.network.run(0 * SECOND)  # compiles

    def run(self, trials: int) -> None:
        self.network.run(trials * self.made.parts.trial)

    def outcome(self) -> np.ndarray:
        return self.made.outcome()


STOP = """
#include <cstdlib>
static double bench_stop(double t) {
    static const double last = std::getenv("BENCH_SECONDS") ? std::atof(std::getenv("BENCH_SECONDS")) : 1e30;
    if (t > last - 1e-9) Network::_globally_stopped = true;
    return 0.0;
}
"""
LONG = 1e6 * SECOND


class Standalone:
    """Brian2's C++ standalone device. form: makes the plastic projection.

    One binary for any number of trials: a function called once a trial stops it at the time that the environment names.
    """

    steps = song.STEPS

    def __init__(self, form: Callable[[Job], Plastic]) -> None:
        self.form = form

    def prepare(self, job: Job) -> None:
        self.steps, self.folder = job.steps, job.folder / ("given" if job.given else "standalone")
        b2.set_device("cpp_standalone", build_on_run=False, directory=str(self.folder))
        b2.prefs.devices.cpp_standalone.extra_make_args_unix = ["-j2"]
        b2.prefs.codegen.cpp.include_dirs += [str(Path(__file__).parent)]
        b2.defaultclock.dt = DT
        self.made = self.form(job)
        parts = self.made.parts
        if not job.given:
            stop = b2.implementation("cpp", STOP, headers=['"network.h"'])(b2.check_units(t=1, result=1)(lambda t: 0))
            parts.critic.namespace["bench_stop"] = stop
            parts.critic.run_regularly("Dist += bench_stop(t/second)", dt=parts.trial, when="start", name="CR_stop")
        b2.Network(parts.objects).run(job.trials * parts.trial if job.given else LONG)
        b2.device.build(directory=str(self.folder), compile=True, run=False, with_output=False)

    def run(self, trials: int) -> None:
        if self.made.parts.job.given:
            b2.device.run(with_output=False)
            return
        seconds = trials * self.steps * song.DT
        command = ["./main", "--results_dir", "results/"]
        subprocess.run(
            command, cwd=self.folder, check=True, env={**os.environ, "BENCH_SECONDS": repr(seconds)}, stdout=subprocess.DEVNULL
        )

    def outcome(self) -> np.ndarray:
        return self.made.outcome()

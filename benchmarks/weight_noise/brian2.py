"""The networks with noisy weights in Brian2 by hand. Spikes of our step n are Brian2's of step n + 1 and arrive within it."""

from __future__ import annotations

from typing import Any

import brian2 as b2
import numpy as np

from benchmarks.on_brian2 import SECOND
from benchmarks.registry import Job
from benchmarks.weight_noise import network as noisy

EVERY_STEP = "dn/dt = -n/tau_n + sigma*sqrt(2/tau_n)*xi : 1"
MEMBRANE = """
dv/dt = (rest + current - v)/tau_m : 1
dcurrent/dt = -current/tau_i : 1
"""
AT_SPIKE = """
keep = exp(-(t - moved)/tau_n)
n = keep*n + sigma*sqrt(1 - keep*keep)*randn()
moved = t
current_post += w + n
"""


class Parts:
    def __init__(self, job: Job, kind: str, n_pre: int) -> None:
        self.dt, self.job, self.kind, self.n_pre = noisy.DT, job, kind, n_pre
        b2.defaultclock.dt = noisy.DT * SECOND
        self.names: dict[str, Any] = {
            "tau_n": noisy.TAU_OU * SECOND, "sigma": noisy.std(n_pre), "tau_m": noisy.TAU_M * SECOND, "tau_i": noisy.TAU_I * SECOND,
            "rest": noisy.REST + noisy.DRIVE, "DT": noisy.DT * SECOND, "nT": job.steps,
        }
        self.objects: list[Any] = []

    def start(self, synapses: Any) -> None:
        """All pairs, with weights and the stationary law of the noise."""
        synapses.connect()
        synapses.w = noisy.weights(self.n_pre).T.ravel()
        synapses.n = "sigma*randn()"

    def spiking(self, model: str, on_pre: str, **more: Any) -> None:
        if self.job.given:
            step, unit = np.nonzero(self.job.arrays()["spikes"].reshape(-1, self.n_pre))
            inputs: Any = b2.SpikeGeneratorGroup(self.n_pre, unit, (step + 1) * noisy.DT * SECOND, name="IN")
        else:
            inputs = b2.PoissonGroup(self.n_pre, rates=noisy.CHANCE / (noisy.DT * SECOND), name="IN")
        units = b2.NeuronGroup(
            noisy.N_POST, MEMBRANE, threshold="v > threshold_v", reset="v = reset_v", method="exponential_euler", name="UNITS",
            namespace={**self.names, "threshold_v": noisy.THRESHOLD, "reset_v": noisy.RESET},
        )
        units.v = noisy.REST
        synapses = b2.Synapses(inputs, units, model, on_pre=on_pre, namespace=self.names, name="W", delay=0 * SECOND, **more)
        self.start(synapses)
        self.objects, self.signal = [inputs, units, synapses], (units, "current")

    def outcome(self) -> np.ndarray:
        group, name = self.signal
        return noisy.noise_part(self.job, np.asarray(getattr(group, name)[:]), self.kind, self.n_pre)


class Natural(Parts):
    """A stochastic differential equation for every weight, by Euler and Maruyama: the variance is 1 + dt/2tau too large."""

    def __init__(self, job: Job, kind: str, n_pre: int) -> None:
        super().__init__(job, kind, n_pre)
        if kind == "spikes":
            self.spiking(f"w : 1 (constant)\n{EVERY_STEP} (clock-driven)", "current_post += w + n", method="euler")
            return
        self.names["given"] = b2.TimedArray(noisy.rates(job.steps, n_pre), dt=noisy.DT * SECOND, name="rates")
        inputs = b2.NeuronGroup(n_pre, "x = given(t_in_timesteps % nT * DT, i) : 1", namespace=self.names, name="IN")
        units = b2.NeuronGroup(
            noisy.N_POST, "dm/dt = (heard - m)/tau_i : 1\nheard : 1", method="exponential_euler", namespace=self.names, name="UNITS"
        )
        synapses = b2.Synapses(
            inputs, units, f"w : 1 (constant)\n{EVERY_STEP} (clock-driven)\nheard_post = (w + n)*x_pre : 1 (summed)",
            method="euler", namespace=self.names, name="W", order=-2,
        )
        synapses.summed_updaters["heard_post"].order = -1
        self.start(synapses)
        self.objects, self.signal = [inputs, units, synapses], (units, "m")


class Events(Parts):
    """The process is moved on where a spike reads the weight, over the time since the last one: exact in law."""

    def __init__(self, job: Job, n_pre: int, kind: str = "spikes") -> None:
        super().__init__(job, kind, n_pre)
        self.spiking("w : 1 (constant)\nn : 1\nmoved : second", AT_SPIKE)


def spikes_100(job: Job) -> Natural:
    return Natural(job, "spikes", 100)


def spikes_1000(job: Job) -> Natural:
    return Natural(job, "spikes", 1000)


def graded_100(job: Job) -> Natural:
    return Natural(job, "graded", 100)


def graded_1000(job: Job) -> Natural:
    return Natural(job, "graded", 1000)


def events_100(job: Job) -> Events:
    return Events(job, 100)


def events_1000(job: Job) -> Events:
    return Events(job, 1000)

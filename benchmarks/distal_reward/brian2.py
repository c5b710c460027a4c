"""The network with distal reward in Brian2 by hand."""

from __future__ import annotations

from typing import Any

import brian2 as b2
import numpy as np

from benchmarks.distal_reward import network as distal
from benchmarks.on_brian2 import SECOND
from benchmarks.registry import Job

NEURON = """
dv/dt = (0.04*v*v + 5*v + 140 - u + I + noise)/ms : 1
du/dt = a*(0.2*v - u)/ms : 1
dI/dt = -I/ms : 1
noise : 1
a : 1 (constant)
d : 1 (constant)
M : 1 (shared)
G : 1 (shared)
p : 1 (shared)
"""
TRACES = """
dx/dt = -x/tau_stdp : 1 (event-driven)
dy/dt = -y/tau_stdp : 1 (event-driven)
"""
NATURAL = "w : 1\ndc/dt = -c/tau_c : 1 (clock-driven)" + TRACES
NATURAL_PRE = {"deliver": "I_post += w", "trace": "x += 1", "pre": "c -= minus*y"}
NATURAL_POST = "y += 1\nc += plus*x"
EVENTS = "w : 1\nc : 1\ng : 1" + TRACES
MOVE = "w = clip(w + c*(G_post - g), 0, w_max)\ng = G_post\n"
EVENTS_PRE = {
    "deliver": "I_post += clip(w + c*(G_post - g), 0, w_max)", "trace": "x += 1", "pre": MOVE + "c -= minus*y/p_post",
}


class Parts:
    """Neurons, noise, dopamine, inhibition. A spike acts in the step after it was fired, so it is delivered at the end of its own;
    the rule sees it in that later step, where the traces of both sides move before they are read."""

    def __init__(self, job: Job) -> None:
        self.dt, self.job = distal.DT, job
        dt = distal.DT * SECOND
        b2.defaultclock.dt = dt
        values = distal.neurons()
        self.pre, self.post, inhibiting, inhibited = distal.pairs()
        self.names: dict[str, Any] = {
            "tau_stdp": distal.TAU_STDP * SECOND, "tau_c": distal.TAU_C * SECOND, "plus": distal.A_PLUS, "minus": distal.A_MINUS,
            "w_max": distal.W_MAX, "half": distal.NOISE / 2, "keep_d": np.exp(-distal.DT / distal.TAU_D),
            "keep": np.exp(-distal.DT / distal.TAU_C), "nT": job.steps, "DT": dt, "step": distal.DT,
            "dopamine": b2.TimedArray(np.roll(distal.dopamine_input(job.steps), 1), dt=dt, name="dopamine"),
        }
        if job.given:
            self.names["frozen"] = b2.TimedArray(job.arrays()["noise"].reshape(-1, distal.N), dt=dt, name="distal_noise")
        self.neurons = neurons = b2.NeuronGroup(
            distal.N, NEURON, threshold="v >= 30", reset="v = -65\nu += d", method="euler", namespace=self.names, name="N"
        )
        neurons.v, neurons.u, neurons.p = distal.V_FIRST, 0.2 * distal.V_FIRST, 1
        neurons.a, neurons.d = values["a"], values["d"]
        noise = "frozen(t, i)" if job.given else "half*(2*rand() - 1)"
        neurons.run_regularly(f"noise = {noise}", when="start", name="N_noise")
        given = "dopamine(t_in_timesteps % nT * DT)*int(t_in_timesteps > 0)"
        neurons.run_regularly(f"M = {given} + (M - {given})*keep_d", when="start", order=-1, name="N_dopamine")
        fixed = b2.Synapses(
            neurons, neurons, on_pre="I_post += inhibition", name="S_I", delay=0 * SECOND, namespace={"inhibition": distal.W_I}
        )
        fixed.connect(i=inhibiting + distal.N_E, j=inhibited)
        self.objects: list[Any] = [neurons, fixed]

    def plastic(self, model: str, on_pre: dict[str, str], on_post: str) -> Any:
        dt = distal.DT * SECOND
        made = b2.Synapses(
            self.neurons, self.neurons, model, on_pre=on_pre, on_post=on_post, method="exact", namespace=self.names, name="S_E",
            delay={"deliver": 0 * SECOND, "trace": dt, "pre": dt},
        )
        for order, name in enumerate(("deliver", "trace", "post", "pre")):
            getattr(made, name).order = order
        made.connect(i=self.pre, j=self.post)
        made.w = distal.W_FIRST
        self.objects.append(made)
        return made


class Natural(Parts):
    """Eligibility and weight of every synapse in every step."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.synapses = self.plastic(NATURAL, NATURAL_PRE, NATURAL_POST)
        self.synapses.run_regularly("w = clip(w + step*M_post*c, 0, w_max)", when="start", name="S_E_learn")

    def outcome(self) -> np.ndarray:
        return np.asarray(self.synapses.w[:])


class Events(Parts):
    """Synapses are touched when one of their units spikes; one sum G for all tells what their weights missed."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.synapses = self.plastic(EVENTS, EVENTS_PRE, MOVE + "y += 1\nc += plus*x/p_post")
        self.neurons.run_regularly("G += step*M*p\np *= keep", when="start", name="N_gather")
        second = 1000 * distal.DT * SECOND  # then p is exp(-1): a new base costs next to nothing
        self.synapses.run_regularly(MOVE + "c *= p_post\ng = 0", dt=second, when="start", order=-9, name="S_E_rebase")
        self.neurons.run_regularly("G = 0\np = 1", dt=second, when="start", order=-8, name="N_rebase")

    def outcome(self) -> np.ndarray:
        w, c, g = (np.asarray(x[:]) for x in (self.synapses.w, self.synapses.c, self.synapses.g))
        return np.clip(w + c * (float(np.ravel(self.neurons.G)[0]) - g), 0, distal.W_MAX)

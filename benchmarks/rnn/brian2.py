"""The rnn in Brian2 by hand.

How Brian2's step agrees with our law: rates of the last step are summed at "start", membranes move at "groups", and the
eligibility takes r(t-1) and d(t) at "end"; the change of a trial comes at the start of Brian2's next step, with the state's reset.
"""

from __future__ import annotations

from typing import Any

import brian2 as b2
import numpy as np

from benchmarks.on_brian2 import SECOND
from benchmarks.registry import Job
from benchmarks.rnn import network as rnn

UNITS = """
da/dt = (heard + given(t_in_timesteps % nT * DT, i) + impulse - a)/tau : 1
heard : 1
impulse : 1
mean : 1
d : 1
r : 1
r_last : 1
first : 1 (constant)
total : 1
expected : 1
seen : 1
begun : 1
R : 1
M : 1
"""
DRAW = """
impulse = int(rand() < chance)
impulse *= amplitude*(2*rand() - 1)
"""  # Brian2 allows one call of rand in an expression
GIVEN = "impulse = frozen(t, i)"
STEP = """
r_last = r
r = tanh(a)
d = a - mean
mean += fresh*d
total -= (r_last - wanted(t_in_timesteps % nT * DT))**2/nT
"""
END = """
R = seen*(total - expected)
expected += begun*(seen*smooth + 1 - seen)*(total - expected)
seen = begun
begun = 1
total = 0
"""


LEARN = """
w += clip(eta*M_post*el, -most, most)
el = 0
"""


class Form:
    """One code object for the eligibility of all synapses in every step; the recurrent input is a summed variable.

    As a synapse sees only its two units, each unit judges itself, and unit 0, the output, tells all once a trial.
    """

    def __init__(self, job: Job) -> None:
        self.dt, data = rnn.DT, job.arrays()
        dt = rnn.DT * SECOND
        b2.defaultclock.dt = dt
        trial = job.steps * dt
        names: dict[str, Any] = {
            "tau": rnn.TAU * SECOND, "DT": dt, "nT": job.steps, "amplitude": rnn.IMPULSE, "chance": rnn.CHANCE,
            "eta": rnn.ETA, "most": rnn.MAX_CHANGE, "smooth": 1 / rnn.BASELINE_TRIALS, "fresh": 1 - rnn.KEEP_MEAN,
            "given": b2.TimedArray(rnn.inputs(job.steps) @ data["feed"].T, dt=dt, name="rnn_inputs"),
            "wanted": b2.TimedArray(rnn.target(job.steps).ravel(), dt=dt, name="rnn_target"),
        }
        if job.given:
            names["frozen"] = b2.TimedArray(data["impulses"].reshape(-1, rnn.N), dt=dt, name="rnn_impulses")
        self.units = units = b2.NeuronGroup(rnn.N, UNITS, method="exponential_euler", namespace=names, name="UNITS")
        units.first = data["x"]
        units.run_regularly(END, dt=trial, when="start", order=-5, name="UNITS_end")
        units.run_regularly("a = first\nr = tanh(a)", dt=trial, when="start", order=-2, name="UNITS_reset")
        units.run_regularly(GIVEN if job.given else DRAW, when="before_groups", name="UNITS_noise")
        units.run_regularly(STEP, when="after_groups", name="UNITS_rate")
        tell = b2.Synapses(units, units, "M_post = R_pre : 1 (summed)", dt=trial, name="TELL")
        tell.connect(i=np.zeros(rnn.N, int), j=np.arange(rnn.N))
        tell.summed_updaters["M_post"].when, tell.summed_updaters["M_post"].order = "start", -4
        self.synapses = synapses = b2.Synapses(
            units, units, "w : 1\nel : 1\nheard_post = w*r_pre : 1 (summed)", namespace=names, name="REC"
        )
        synapses.connect()
        synapses.w = data["w"].ravel()
        synapses.summed_updaters["heard_post"].when = "before_groups"
        synapses.run_regularly("el += r_last_pre**3*d_post**3", when="end", name="REC_el")
        synapses.run_regularly(LEARN, dt=trial, when="start", order=-3, name="REC_learn")
        self.objects: list[Any] = [units, tell, synapses]

    def outcome(self) -> np.ndarray:
        """The last trial's change comes at the start of Brian2's next step."""
        units, synapses = self.units, self.synapses
        total, expected, seen = (float(np.asarray(x[:])[0]) for x in (units.total, units.expected, units.seen))
        change = rnn.ETA * seen * (total - expected) * np.asarray(synapses.el[:])
        return np.asarray(synapses.w[:]) + np.clip(change, -rnn.MAX_CHANGE, rnn.MAX_CHANGE)

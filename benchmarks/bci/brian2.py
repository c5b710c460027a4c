"""The brain-control network in Brian2 by hand.

A step here: the error of the last reward and the inputs ("start"), the summed input ("before_groups"), noise, activity and
deviation ("groups"), the change for the last step ("after_groups"), movement and reward ("end").
"""

from __future__ import annotations

from typing import Any

import brian2 as b2
import numpy as np

from benchmarks.bci import network as bci
from benchmarks.on_brian2 import SECOND
from benchmarks.registry import Job

AXES = "xyz"
BODY = "corner : 1\nreward : 1\nexpected : 1\nerror : 1\n" + "".join(f"g{k} : 1\nc{k} : 1\nw{k} : 1\nv{k} : 1\n" for k in AXES)
"""Goal g, cursor c, direction w, velocity v."""
INPUTS = "x : 1\nx_last : 1\n" + "".join(f"w{k} : 1 (linked)\ne{k} : 1 (constant)\n" for k in AXES)
CORTEX = """
heard : 1
a : 1
mean : 1
d : 1
gain : 1
M : 1 (linked)
offset : 1 (constant)
s = clip(a, 0, inf) - offset : 1
"""
AIM = "\n".join(
    ["far = clip(sqrt((gx - cx)**2 + (gy - cy)**2 + (gz - cz)**2), 1e-12, inf)", *(f"w{k} = (g{k} - c{k})/far" for k in AXES)]
)
GOAL = "\n".join(
    ["corner = {corner}", *(f"g{k} = side*(2*((corner // {m}) % 2) - 1)\nc{k} = 0" for k, m in zip(AXES, (4, 2, 1), strict=True)), AIM]
)
MOVE = "\n".join(
    [
        "reward = (vx*wx + vy*wy + vz*wz)/clip(sqrt(vx**2 + vy**2 + vz**2), 1e-12, inf)",
        *(f"c{k} += v{k}*step" for k in AXES), AIM,
    ]
)
ACT = """
gain = eta*M*d
a = heard + {noise}
d = a - mean
mean += fresh*d
"""


class Form:
    """The rule changes all weights in every step, in one code object; sums over units are summed variables."""

    def __init__(self, job: Job) -> None:
        self.dt, data = bci.DT, job.arrays()
        dt = bci.DT * SECOND
        b2.defaultclock.dt = dt
        trial = job.steps * dt
        names: dict[str, Any] = {
            "spread": bci.EXPLORATION, "eta": bci.LEARNING_RATE, "fresh": 1 - bci.MEMORY, "step": bci.DT, "inf": np.inf,
            "side": bci.DISTANCE / np.sqrt(3),
        }
        if job.given:
            names["frozen"] = b2.TimedArray(data["noise"].reshape(-1, bci.N), dt=dt, name="bci_noise")
            names["goals"] = b2.TimedArray(data["goal"], dt=trial, name="bci_goals")
        body = b2.NeuronGroup(1, BODY, namespace=names, name="BODY")
        inputs = b2.NeuronGroup(bci.N_IN, INPUTS, namespace=names, name="IN")
        cortex = b2.NeuronGroup(bci.N, CORTEX, namespace=names, name="CORTEX")
        cortex.M = b2.linked_var(body, "error")
        cortex.offset = data["offset"]
        for n, k in enumerate(AXES):
            setattr(inputs, f"w{k}", b2.linked_var(body, f"w{k}"))
            setattr(inputs, f"e{k}", data["encoder"][:, n])
        corner = "goals(t)" if job.given else "floor(8*rand())"
        body.run_regularly(GOAL.format(corner=corner), dt=trial, when="start", order=-2, name="BODY_goal")
        body.run_regularly("error = reward - expected\nexpected += fresh*error", when="start", order=-1, name="BODY_error")
        inputs.run_regularly("x_last = x\nx = ex*wx + ey*wy + ez*wz", when="start", name="IN_step")
        noise = "frozen(t, i)" if job.given else "(2*rand() - 1)*spread"
        cortex.run_regularly(ACT.format(noise=noise), when="groups", name="CORTEX_step")
        self.synapses = synapses = b2.Synapses(inputs, cortex, "w : 1\nheard_post = w*x_pre : 1 (summed)", name="W")
        synapses.connect()
        synapses.w = data["w"].ravel()
        synapses.summed_updaters["heard_post"].when = "before_groups"
        synapses.run_regularly("w += x_last_pre*gain_post", when="after_groups", name="W_learn")
        # the cursor hears the recorded units alone
        decode = b2.Synapses(
            cortex, body, "".join(f"k{k} : 1 (constant)\nv{k}_post = k{k}*s_pre : 1 (summed)\n" for k in AXES), name="DECODE"
        )
        decode.connect(i=np.arange(bci.N_RECORDED), j=np.zeros(bci.N_RECORDED, int))
        for n, k in enumerate(AXES):
            setattr(decode, f"k{k}", data["decoder"][n, : bci.N_RECORDED])
            decode.summed_updaters[f"v{k}_post"].when = "end"
        body.run_regularly(MOVE, when="end", order=1, name="BODY_move")
        self.objects: list[Any] = [body, inputs, cortex, synapses, decode]

    def outcome(self) -> np.ndarray:
        return np.asarray(self.synapses.w[:])

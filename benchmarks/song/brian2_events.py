"""The plastic projection as an expert writes it in Brian2: only rows whose presynaptic trace is not negligible are touched.

A custom event ``act`` of HVC units drives a second pathway. Two variables of each HVC unit carry what an untouched row misses:
A, the sum of R times the decay since the row was touched, and D, that decay.
"""

from __future__ import annotations

from typing import Any

import brian2 as b2
import numpy as np

from benchmarks.on_brian2 import SECOND
from benchmarks.registry import Job
from benchmarks.song import network as song
from benchmarks.song.brian2_parts import Parts, clipped

HVC_EQUATIONS = """
A : 1
D : 1
R : 1 (linked)
"""
TOUCH = """
w += etadt*A_pre*el
el = D_pre*el + dt_s*s_pre*(gN_post - mu)
"""
FLUSH = """
w = clip(w + etadt*A_pre*el, 0, w_max)
el = el*D_pre
"""


class Events:
    """Semantics: the same numbers as ours. A spike passes on w with what its row has still to learn (zero for active rows)."""

    def __init__(self, job: Job) -> None:
        self.parts = parts = Parts(job, HVC_EQUATIONS, hvc_events={"act": "s > floor_s"})
        hvc = parts.hvc
        hvc.D = 1
        hvc.R = b2.linked_var(parts.critic, "R")
        hvc.run_regularly("A += R*D\nD *= keep", when="after_resets", name="HVC_gather")
        hvc.set_event_schedule("act", when="after_resets", order=1)
        events: Any = {"pre": "spike", "act": "act"}
        self.synapses = b2.Synapses(
            hvc, parts.ra, "w : 1\nel : 1", on_pre={"pre": "gE_post += w + etadt*A_pre*el", "act": TOUCH}, on_event=events,
            namespace=parts.names, name="S_W", delay={"pre": 0 * SECOND, "act": 0 * SECOND},
        )
        self.synapses.connect()
        self.synapses.act.when = "end"
        hvc.run_on_event("act", "A = 0\nD = 1", when="end", order=1)
        self.synapses.w = parts.data["w"].ravel()
        self.synapses.run_regularly(FLUSH, dt=parts.trial, when="start", name="S_W_flush")
        hvc.run_regularly("A = 0\nD = 1", dt=parts.trial, when="start", order=1, name="HVC_flush")
        parts.objects.append(self.synapses)
        self.objects, self.dt = parts.objects, parts.dt

    def outcome(self) -> np.ndarray:
        """The last flush comes at the start of Brian2's next step."""
        pending = np.repeat(np.asarray(self.parts.hvc.A[:]), song.N_RA) * np.asarray(self.synapses.el[:])
        return clipped(np.asarray(self.synapses.w[:]) + self.parts.names["etadt"] * pending)

"""The plastic projection as one writes it from the paper: a differential equation for every synapse, integrated in every step."""

from __future__ import annotations

import brian2 as b2
import numpy as np

from benchmarks.on_brian2 import SECOND
from benchmarks.registry import Job
from benchmarks.song import network as song
from benchmarks.song.brian2_parts import Parts, clipped

EQUATIONS = """
dw/dt = eta*R_post*el : 1 (clock-driven)
del/dt = -el*leak + s_pre*(gN_post - mu)/second : 1 (clock-driven)
"""


class Natural:
    """Semantics: Euler, with ``leak`` chosen so that the factor of a step is the exact exp(-dt/tau); no floor of the trace s
    (its endless tail below 1e-3 stays). Otherwise the same numbers."""

    def __init__(self, job: Job) -> None:
        self.parts = parts = Parts(job, ra_equations="R : 1")
        names = {
            **parts.names, "eta": song.ETA / song.TAU_S / SECOND, "leak": (1 - parts.names["keep"]) / (song.DT * SECOND),
        }
        # first in its slot: it sees the traces of one step, before any of them moves on
        self.synapses = b2.Synapses(
            parts.hvc, parts.ra, EQUATIONS, on_pre="gE_post += w", method="euler", namespace=names, name="S_W", order=-2,
            delay=0 * SECOND,
        )
        self.synapses.connect()
        self.synapses.w = parts.data["w"].ravel()
        self.synapses.run_regularly("w = clip(w, 0, w_max)", dt=parts.trial, when="groups", order=-1, name="S_W_clip")
        parts.objects.append(self.synapses)
        self.objects, self.dt = parts.objects, parts.dt

    def outcome(self) -> np.ndarray:
        """The last step's change comes at the start of Brian2's next step."""
        change = np.asarray(self.synapses.el[:]).reshape(song.N_HVC, song.N_RA) * np.asarray(self.parts.ra.R[:])
        return clipped(np.asarray(self.synapses.w[:]) + self.parts.names["etadt"] * change.ravel())

"""Follow a given trajectory: a song, a movement, any waveform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.node import numbers, quantity
from neuroplast.tasks.task import Task, population_of

if TYPE_CHECKING:
    from neuroplast.network import Population


@dataclass(frozen=True, eq=False, kw_only=True)
class TrackTarget(Task):
    """The output of ``readout`` should follow ``target``.  D(t) = sum_k (m_k(t) - target_k(t))^2

    reward: "binary": R(t) = 1 if D(t) < threshold, else 0;  "error": R(t) = -D(t);  "random": 1 or 0 with even odds whatever
    the output (a control).  Past the target's end (a silent tail of the trial) R = 0.
    threshold: a number, or None for a running mean of D kept for each step of the trial, Dbar <- Dbar + smoothing (D - Dbar)
    (Fiete, Fee & Seung 2007, 10.1152/jn.01311.2006).
    target: (steps, size of readout), one row every ``interval``.  variable: the signal of the readout, "m".
    Measures of a trial: ``error`` = mean of D over the target's steps, ``reward`` = sum of R.
    """

    readout: Population
    target: Any
    interval: Any = quantity("time", positive=True, scalar=True)
    variable: str = "m"
    reward: str = "binary"
    threshold: Any = quantity("1", default=None, scalar=True)
    smoothing: float = quantity("1", default=0.2, low=0.0, high=1.0, scalar=True)

    def check(self) -> None:
        self.check_length()
        population_of(self, "readout")
        target = numbers(self.target, "TrackTarget.target", self.where)
        if target.ndim != 2 or len(target) == 0 or target.shape[1] != self.readout.size or not np.all(np.isfinite(target)):
            raise DescriptionError(
                "TrackTarget.target does not fit the readout", where=self.where,
                got=f"shape {target.shape}" + ("" if np.all(np.isfinite(target)) else ", with values that are not finite"),
                allowed=f"finite numbers of shape (steps, {self.readout.size})",
            )
        if self.reward not in ("binary", "error", "random"):
            raise DescriptionError(
                "TrackTarget.reward is not known", where=self.where, got=self.reward, allowed="'binary', 'error' or 'random'"
            )

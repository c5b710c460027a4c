"""Monitors: what to record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.node import Node, quantity

if TYPE_CHECKING:
    from neuroplast.modulation import Modulator
    from neuroplast.network import Population, Projection


@dataclass(frozen=True, eq=False)
class Monitor(Node):
    """Records ``variable`` of a population, projection or modulator.

    of: the node.  variable: one of its signals (projections: "weight", "eligibility", "noise", "q"; modulators: "value",
    "reward").  every: None for each step, a time, or "trial" for the value when a trial ends.
    trials: which trials are recorded: "ends" (the first and the last), "all", or a sequence of trial numbers (negative ones
    count from the end).  units: numbers of the units or synapses to record, None for all. Synapses are counted as their weights
    are given: pairs in their order, else by place in the matrix (n_post, n_pre), number post n_pre + pre.
    """

    of: Union[Population, Projection, Modulator]
    variable: str
    every: Any = None
    trials: Any = "ends"
    units: Any = None
    interval: Any = quantity("time", default=None, positive=True)

    def check(self) -> None:
        if self.every is not None and self.every != "trial":
            object.__setattr__(self, "interval", self.every)
            from neuroplast.units import si

            self.si.interval = float(si(self.every, "time", "Monitor.every", self.where))
        if isinstance(self.trials, str) and self.trials not in ("ends", "all"):
            raise DescriptionError(
                "Monitor.trials is not known", where=self.where, got=self.trials, allowed="'ends', 'all' or trial numbers"
            )
        if self.units is not None and not np.issubdtype(np.asarray(self.units).dtype, np.integer):
            raise DescriptionError("Monitor.units must be whole numbers", where=self.where, got=self.units)

    def recorded(self, trials: int) -> set[int]:
        """The trial numbers that are recorded in a run of ``trials``."""
        if self.trials == "all" or self.every == "trial":
            return set(range(trials))
        wanted = (0, trials - 1) if self.trials == "ends" else tuple(int(k) for k in np.atleast_1d(self.trials))
        return {k + trials if k < 0 else k for k in wanted}

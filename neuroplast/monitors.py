"""Monitors: what to record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.node import Node, part, quantity, single
from neuroplast.units import is_quantity

if TYPE_CHECKING:
    from neuroplast.modulation import Modulator
    from neuroplast.network import Population, Projection


TRIALS = "'ends', 'all' or trial numbers"


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
        from neuroplast.modulation import Modulator
        from neuroplast.network import Population, Projection  # which imports this module

        kinds = (Population, Projection, Modulator)
        part(self.of, kinds, "Monitor.of is nothing that can be recorded", self.where, "a Population, Projection or Modulator")
        part(self.variable, str, "Monitor.variable is not a name", self.where, "a signal such as 'spikes' or 'v'")
        if self.every is not None and not (isinstance(self.every, str) and self.every == "trial"):
            object.__setattr__(self, "interval", self.every)
            self.si.interval = single(self.every, "time", "Monitor.every", self.where)
            if self.si.interval <= 0:
                raise DescriptionError(
                    "Monitor.every is out of range", where=self.where, got=f"{self.every:~}", allowed="a time above zero, 'trial' or None"
                )
        if isinstance(self.trials, str):
            if self.trials not in ("ends", "all"):
                raise DescriptionError("Monitor.trials is not known", where=self.where, got=self.trials, allowed=TRIALS)
        elif not _whole(self.trials):
            raise DescriptionError("Monitor.trials must be whole numbers", where=self.where, got=repr(self.trials)[:200], allowed=TRIALS)
        if self.units is not None and not _whole(self.units):
            raise DescriptionError("Monitor.units must be whole numbers", where=self.where, got=self.units)

    def check_run(self, trials: int) -> None:
        """DescriptionError where a run of that many trials has not all that should be recorded."""
        if isinstance(self.trials, str) or self.every == "trial":
            return
        beyond = [int(k) for k in np.atleast_1d(self.trials) if not -trials <= k < trials]
        if beyond:
            raise DescriptionError(
                f"a monitor records trial {beyond[0]} of a run that does not have it", where=self.where, got=f"a run of {trials} trials",
                allowed=f"{-trials} to {trials - 1}", do="run more trials, or record others: trials='ends'",
            )


def _whole(values: Any) -> bool:
    """Whether these are whole numbers, one or several."""
    if is_quantity(values):
        return False
    array = np.asarray(values)
    return array.ndim <= 1 and array.size > 0 and np.issubdtype(array.dtype, np.integer)

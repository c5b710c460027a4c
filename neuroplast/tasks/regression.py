"""Linear regression on a teacher: the problem whose learning curves are known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.tasks.task import Task

if TYPE_CHECKING:
    from neuroplast.network import Population


@dataclass(frozen=True, eq=False, kw_only=True)
class Regression(Task):
    """x ~ N(0, I) fresh in each trial, desired output d = teacher x;  R = -E,  E = 1/2 |y - d|^2, in each step of the trial.

    (Werfel, Xie & Seung 2005, 10.1162/089976605774320539.)  teacher: (n_outputs, n_inputs).
    ``x``: (n_inputs,) for one fixed input instead of fresh ones.  Measures: ``reward`` (sum of R),
    ``error`` (E in the last step).
    """

    inputs: Population
    outputs: Population
    teacher: Any
    x: Any = None

    def check(self) -> None:
        self.check_length()
        for name, shape in (("teacher", (self.outputs.size, self.inputs.size)), ("x", (self.inputs.size,))):
            value = getattr(self, name)
            if value is not None and (np.shape(value) != shape or not np.all(np.isfinite(np.asarray(value, float)))):
                raise DescriptionError(
                    f"Regression.{name} does not fit", where=self.where, got=f"shape {np.shape(value)}",
                    allowed=f"finite, shape {shape}",
                )

"""Linear regression on a teacher: the problem whose learning curves are known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.node import numbers
from neuroplast.tasks.task import Task, population_of

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
        inputs, outputs = population_of(self, "inputs"), population_of(self, "outputs")
        for name, shape in (("teacher", (outputs.size, inputs.size)), ("x", (inputs.size,))):
            if name == "x" and self.x is None:
                continue
            value = numbers(getattr(self, name), f"Regression.{name}", self.where)
            if value.shape != shape or not np.all(np.isfinite(value)):
                raise DescriptionError(
                    f"Regression.{name} does not fit", where=self.where,
                    got=f"shape {value.shape}" + ("" if np.all(np.isfinite(value)) else ", with values that are not finite"),
                    allowed=f"finite numbers of shape {shape}",
                )

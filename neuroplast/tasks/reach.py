"""Centre-out reaching with a decoded cursor: the brain-computer-interface task."""

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
class Reach(Task):
    """A cursor starts at the origin and moves with the velocity decoded from ``outputs`` towards one of ``targets``:

        y = decoder (s - offset);   cursor += y dt;   y* = (target - cursor)/|target - cursor|;   inputs x = encoder y*
        R(t) = y . y* / (|y| |y*|)         the cosine of the angle between movement and desired movement

    After Legenstein, Chase, Schwartz & Maass 2010, 10.1523/JNEUROSCI.4284-09.2010. A trial ends at a distance below ``radius``,
    or after its duration.
    targets: (n, d);  decoder: (d, n_outputs);  offset: (n_outputs,);  encoder: (n_inputs, d).  order: "random" or "sequence".
    Measures: ``reward`` (sum of R), ``match`` (mean of R), ``duration`` (steps), ``hit`` (1 or 0).
    """

    inputs: Population
    outputs: Population
    targets: Any
    encoder: Any
    decoder: Any
    offset: Any
    radius: float = quantity("1", positive=True, scalar=True)
    order: str = "random"

    def check(self) -> None:
        self.check_length()
        for side in ("inputs", "outputs"):
            population_of(self, side)
        targets = numbers(self.targets, "Reach.targets", self.where)
        d = targets.shape[-1] if targets.ndim == 2 else 0
        for name, shape in (
            ("targets", (len(targets) if targets.ndim else 0, d)),
            ("encoder", (self.inputs.size, d)),
            ("decoder", (d, self.outputs.size)),
            ("offset", (self.outputs.size,)),
        ):
            array = numbers(getattr(self, name), f"Reach.{name}", self.where)
            if array.shape != shape or not array.size or not np.all(np.isfinite(array)):
                raise DescriptionError(
                    f"Reach.{name} does not fit",
                    where=self.where,
                    got=f"shape {array.shape}" + ("" if np.all(np.isfinite(array)) else ", with values that are not finite"),
                    allowed=f"finite numbers of shape {shape}",
                )
        if self.order not in ("random", "sequence"):
            raise DescriptionError("Reach.order is not known", where=self.where, got=self.order, allowed="'random', 'sequence'")
        if self.inputs.spiking or self.outputs.spiking:
            raise DescriptionError("Reach needs graded inputs (Pattern) and outputs (Rate)", where=self.where)

"""Synapses: how arriving output acts on the postsynaptic neuron, who is connected to whom, and stochastic release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.node import Node, Number, numbers, quantity


@dataclass(frozen=True, eq=False)
class Synapse(Node):
    """Abstract base: the action of one projection on its target."""

    graded: ClassVar[bool] = False


@dataclass(frozen=True, eq=False)
class Conductance(Synapse):
    """dg/dt = -g/tau; an arriving spike adds its weight; current g (reversal - v). weight: 1 (units of leak) or siemens."""

    tau: Number = quantity("time", positive=True)
    reversal: Number = quantity("voltage")


@dataclass(frozen=True, eq=False)
class Current(Synapse):
    """di/dt = -i/tau; an arriving spike adds its weight. weight: volt (times membrane resistance) or ampere; 1 on Rate units."""

    tau: Number = quantity("time", positive=True)


@dataclass(frozen=True, eq=False)
class Delta(Synapse):
    """An arriving spike adds its weight to a variable at once: to v of a LIF, m of a Readout, the input of a Rate or Bernoulli
    unit in that step, ``variable`` of an EquationNeuron."""

    variable: str | None = None


@dataclass(frozen=True, eq=False)
class Graded(Synapse):
    """input_i = sum_j w_ij rate_j from graded units, every step; ``variable`` names the input of an EquationNeuron."""

    variable: str | None = None
    graded: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class Connectivity(Node):
    """Abstract base: which pairs are connected."""


@dataclass(frozen=True, eq=False)
class AllToAll(Connectivity):
    """Every presynaptic unit with every postsynaptic unit; ``self_connections=False`` leaves i -> i out of one population."""

    self_connections: bool = True


@dataclass(frozen=True, eq=False)
class OneToOne(Connectivity):
    """Unit i with unit i; both populations have one size."""


@dataclass(frozen=True, eq=False)
class FixedProbability(Connectivity):
    """Each pair with probability p, independently."""

    p: float = quantity("1", low=0.0, high=1.0, scalar=True)
    self_connections: bool = True


@dataclass(frozen=True, eq=False)
class Pairs(Connectivity):
    """Given pairs. pre, post: (n,) whole numbers; arrays of weights and delays follow their order."""

    pre: Any = ()
    post: Any = ()

    def check(self) -> None:
        for name in ("pre", "post"):
            numbers(getattr(self, name), f"Pairs.{name}", self.where)
        pre, post = np.asarray(self.pre), np.asarray(self.post)
        if pre.ndim != 1 or pre.shape != post.shape:
            raise DescriptionError(
                "Pairs: pre and post differ in length", where=self.where, got=f"{pre.shape} and {post.shape}",
                allowed="two lists of one length",
            )
        for name, array in (("pre", pre), ("post", post)):
            if array.size and (not np.issubdtype(array.dtype, np.integer) or array.min() < 0):
                raise DescriptionError(f"Pairs.{name} must be whole numbers from 0", where=self.where, got=array.dtype)


@dataclass(frozen=True, eq=False)
class Release(Node):
    """Stochastic transmitter release (Seung 2003, 10.1016/S0896-6273(03)00761-X). At each arrival of a spike, if available:

        released with probability p = 1/(1 + exp(-q - c));   score = (1 - p) if released else -p

    q: (n_post, n_pre) or scalar, what a rule with target="release" learns.  c jumps by ``facilitation`` at each arrival and
    decays with ``tau_facilitation``.  After a release the synapse is unavailable for an exponential time of mean
    ``tau_recovery`` (0: always available).  Signals of the projection: ``release_score`` (Hz), ``q``.
    """

    q: Any = quantity("1", default=0.0, drawn=True)
    facilitation: Number = quantity("1", default=0.0, nonnegative=True, scalar=True)
    tau_facilitation: Any = quantity("time", default=None, positive=True, scalar=True)
    tau_recovery: Number = quantity("time", default=0.0, zero_free=True, nonnegative=True, scalar=True)

    def check(self) -> None:
        if self.si.facilitation > 0 and self.tau_facilitation is None:
            raise DescriptionError("Release with facilitation needs tau_facilitation", where=self.where)

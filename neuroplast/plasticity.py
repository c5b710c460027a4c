"""Three-factor rules: factors x eligibility x modulator.

        de/dt = -e/tau + drive          drive: a sum of products of named factors
        dw/dt = rate * M(t) * e(t)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

from neuroplast.errors import DescriptionError, did_you_mean
from neuroplast.expressions import CONSTANTS, FUNCTIONS, expression, sum_of_products
from neuroplast.modulation import Modulator
from neuroplast.node import Node, Number, part, quantity
from neuroplast.units import dimension_of, si

SIDES = ("pre", "post", "synapse")
UPDATES = ("continuous", "deferred", "episodic")


@dataclass(frozen=True, eq=False)
class Signal(Node):
    """A signal as a rule sees it in this step. side: "pre", "post" or "synapse"; variable: one of that node's signals.

    Presynaptic spikes are seen as they arrive (after the delay), postsynaptic ones in the step in which they occur; a spike is
    a Dirac pulse: 1/dt in its step. Synapses have ``weight``, ``noise`` and, with release, ``release_score`` and ``q``.
    """

    side: str
    variable: str

    def check(self) -> None:
        part(self.variable, str, "Signal.variable is not a name", self.where, "a signal such as 'spikes' or 'v'")
        if self.side not in SIDES:
            raise DescriptionError(
                f"Signal.side '{self.side}' is not known", where=self.where, do=did_you_mean(str(self.side), SIDES)
            )


def _check_signal(factor: Any) -> None:
    what = f"{type(factor).__name__}.signal is not a signal"
    part(factor.signal, Signal, what, factor.where, "such as Signal('pre', 'spikes')")


@dataclass(frozen=True, eq=False)
class LowPass(Node):
    """A filtered signal. Of spikes: a trace, dy/dt = -y/tau, y += 1 at each spike (Morrison, Diesmann & Gerstner 2008,
    10.1007/s00422-008-0233-1). Of a graded signal: tau dy/dt = -y + x.

    floor: a spike trace below it is set to exactly zero, on every target; most presynaptic units of sparse codes are then
    silent for the rule in most steps, which is what makes it cheap (0 keeps the endless tail).
    """

    signal: Signal
    tau: Number = quantity("time", positive=True, scalar=True)
    floor: float = quantity("1", default=0.0, nonnegative=True, scalar=True)

    def check(self) -> None:
        _check_signal(self)


@dataclass(frozen=True, eq=False)
class Deviation(Node):
    """A signal minus its running mean: x(t) - m(t-), then m <- m + (1 - exp(-dt/tau)) (x - m): the mean without this step.

    tau: of any length; models written in steps have means that forget within one (Miconi 2017, 10.7554/eLife.20899).
    """

    signal: Signal
    tau: Number = quantity("time", positive=True, scalar=True)

    def check(self) -> None:
        _check_signal(self)


@dataclass(frozen=True, eq=False)
class Transformed(Node):
    """An expression of one signal, written in ``x``: Transformed(Signal("post", "v"), "tanh(x)")."""

    signal: Signal
    function: str

    def check(self) -> None:
        _check_signal(self)
        expression(self.function, self.where, {"x"})


Factor = Union[Signal, LowPass, Deviation, Transformed]


def signal_of(factor: Factor) -> Signal:
    return factor if isinstance(factor, Signal) else factor.signal


@dataclass(frozen=True, eq=False)
class Eligibility(Node):
    """The memory of each synapse: e(t) = integral of G(t - s) drive(s) ds with G(u) = (u/tau)^order/order! exp(-u/tau)
    (Gerstner et al. 2018, 10.3389/fncir.2018.00053; kernels of order n: Fiete, Fee & Seung 2007, 10.1152/jn.01311.2006).

    drive: text, a sum of products of the rule's factors.  tau: None for a plain integral over the trial (G = 1), 0 for none (e
    is the drive of the last step).  order: 0 an exponential; n a kernel that peaks n tau after the event, for a delayed reward.
    """

    drive: str
    tau: Any = quantity("time", default=None, nonnegative=True, zero_free=True, scalar=True)
    order: int = 0

    def check(self) -> None:
        part(self.drive, str, "Eligibility.drive is not text", self.where, "a sum of products of factors, such as 'pre * probe'")
        if isinstance(self.order, bool) or not isinstance(self.order, (int, np.integer)) or not 0 <= self.order <= 20:
            raise DescriptionError("Eligibility.order must be a whole number from 0 to 20", where=self.where, got=repr(self.order))
        if self.order and not self.si.tau:
            raise DescriptionError("Eligibility.order needs a tau above 0", where=self.where, got=f"tau {self.tau}")


@dataclass(frozen=True, eq=False)
class ThreeFactorRule(Node):
    """dw/dt = rate * M * e, with bounds (Fremaux & Gerstner 2016, 10.3389/fncir.2015.00085).

    factors: name -> Signal, LowPass, Deviation or Transformed.  eligibility: over these names.  modulator: the third factor.
    rate: plain number in SI units of what is learned (weight per [M e] per second; per trial for "episodic").
    update: "continuous": in every step;  "deferred": the same integral, applied when the trial ends;  "episodic": once, when
    the trial ends, w += rate * M(end) * e(end), M(end) the gain times the trial's summed reward minus the baseline: what makes M
    in each step (dopamine neurons, a critic) has no part in it and is refused, a delay or tau is noted.
    bounds: (low, high) in the weight's unit, either may be None; bounded: "step" or "trial", when they are applied.
    target: "weight", or "release" for the q of stochastic release.
    max_change: an episodic change is clipped to +-max_change.
    """

    factors: dict[str, Factor]
    eligibility: Eligibility
    modulator: Modulator
    rate: float = quantity("1", default=1.0, scalar=True)
    bounds: tuple[Any, Any] = (None, None)
    update: str = "continuous"
    bounded: str = "step"
    target: str = "weight"
    max_change: Any = quantity("1", default=None, positive=True, scalar=True)
    label: str = field(default="")

    def check(self) -> None:
        for name, kind in (("factors", dict), ("eligibility", Eligibility), ("modulator", Modulator)):
            if not isinstance(getattr(self, name), kind):
                raise DescriptionError(
                    f"ThreeFactorRule.{name} must be a {kind.__name__}", where=self.where, got=repr(getattr(self, name))
                )
        for name, factor in self.factors.items():
            if not isinstance(factor, (Signal, LowPass, Deviation, Transformed)):
                raise DescriptionError(
                    f"the factor '{name}' is not a factor", where=self.where, got=repr(factor),
                    allowed="Signal, LowPass, Deviation or Transformed",
                )
            if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
                raise DescriptionError(
                    f"the factor name '{name}' is not a name", where=self.where, got=repr(name),
                    allowed="letters, digits and underscores, starting with a letter",
                )
            if name in CONSTANTS or name in FUNCTIONS:
                raise DescriptionError(f"the factor name '{name}' is that of a constant or function", where=self.where, do="rename it")
        sum_of_products(expression(self.eligibility.drive, self.where, set(self.factors)), self.where)
        for field_name, allowed in (("update", UPDATES), ("bounded", ("step", "trial")), ("target", ("weight", "release"))):
            value = getattr(self, field_name)
            if value not in allowed:
                raise DescriptionError(
                    f"ThreeFactorRule.{field_name} '{value}' is not known", where=self.where, do=did_you_mean(str(value), allowed)
                )
        self._check_bounds()
        if self.max_change is not None and self.update != "episodic":
            raise DescriptionError("max_change goes with update='episodic'", where=self.where, got=self.update)

    def _check_bounds(self) -> None:
        if not isinstance(self.bounds, (tuple, list)) or len(self.bounds) != 2:
            raise DescriptionError(
                "ThreeFactorRule.bounds are two", where=self.where, got=repr(self.bounds), allowed="(low, high), None for no bound"
            )
        low, high = self.bounds
        for bound in (low, high):
            if bound is not None and (np.ndim(getattr(bound, "magnitude", bound)) or dimension_of(bound) is None):
                raise DescriptionError("ThreeFactorRule.bounds are one number each", where=self.where, got=repr(bound))
        if low is None or high is None:
            return
        dimension = dimension_of(low)
        assert dimension is not None
        if not si(low, dimension, "the lower bound", self.where) < si(high, dimension, "the upper bound", self.where):
            raise DescriptionError(
                "ThreeFactorRule.bounds are not ordered", where=self.where, got=f"{low}, {high}", allowed="low < high"
            )

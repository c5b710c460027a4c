"""Neurons: what a population is made of.

Every neuron has named signals that noises, rules, tasks and monitors can read; ``signals`` lists those that do not depend on
what is attached to it. A projection P onto a population adds ``g_P`` (conductance) or ``i_P`` (current), a noise adds ``noise``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Union

import numpy as np

from neuroplast.equations import Equations
from neuroplast.errors import DescriptionError
from neuroplast.expressions import expression
from neuroplast.node import Drawn, Node, Number, numbers, part, quantity
from neuroplast.units import is_quantity

TRANSFERS = {
    "linear": "x",
    "relu": "maximum(x, 0)",
    "tanh": "tanh(x)",
    "sigmoid": "sigmoid(x)",
}
"""Named transfer functions; any other expression in ``x`` may stand in their place."""


@dataclass(frozen=True, eq=False)
class Neuron(Node):
    """Abstract base of all neurons. spiking: its output is a spike train; graded otherwise."""

    spiking: ClassVar[bool] = True
    signals: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[str] = "1"
    """Dimension of its input ("1", "voltage", ...): what a Delta or graded weight and a noise are measured in."""


@dataclass(frozen=True, eq=False)
class AdaptiveThreshold(Node):
    """theta = v_threshold + a;  da/dt = -a/tau;  a += jump at each spike.  jump: mV.  (Gerstner et al. 2014, as LIF.)"""

    tau: Number = quantity("time", positive=True)
    jump: Number = quantity("voltage", nonnegative=True)


@dataclass(frozen=True, eq=False)
class LIF(Neuron):
    """Leaky integrate-and-fire neuron with current and conductance synapses (Gerstner, Kistler, Naud & Paninski 2014, Neuronal
    Dynamics, 10.1017/CBO9781107447615).

        tau dv/dt = v_rest - v + drive + sum_k i_k + sum_k g_k (E_k - v) + noise;    spike and v = v_reset at v > threshold

    g_k in units of the leak, i_k in volts (already times the membrane resistance); with ``leak`` conductances are in siemens,
    with ``resistance`` currents are in ampere. v is integrated in closed form with g, i and the noise held over one step.
    ``noise`` (V) is added as a current is. ``refractory``: v is held at v_reset for that long after a spike.

    Signals: ``v`` (V), ``spikes`` (Hz, a train of Dirac pulses), ``threshold`` with an adaptive threshold, ``external`` (V, the
    error) where the population is a modulator's dopamine.
    """

    tau: Number = quantity("time", positive=True)
    v_rest: Number = quantity("voltage")
    v_threshold: Number = quantity("voltage")
    v_reset: Number = quantity("voltage")
    refractory: Number = quantity("time", default=0.0, zero_free=True, nonnegative=True)
    drive: Any = quantity("voltage", default=None, drawn=True)
    v_initial: Any = quantity("voltage", default=None, drawn=True)
    leak: Any = quantity("conductance", default=None, positive=True)
    resistance: Any = quantity("resistance", default=None, positive=True)
    adaptation: AdaptiveThreshold | None = None

    signals: ClassVar[tuple[str, ...]] = ("v", "spikes", "external")
    unit: ClassVar[str] = "voltage"

    def check(self) -> None:
        part(self.adaptation, AdaptiveThreshold, "LIF.adaptation is no adaptation", self.where, "AdaptiveThreshold(...)", optional=True)
        self.same_length("tau", "v_rest", "v_threshold", "v_reset", "refractory", "drive", "v_initial", "leak", "resistance")
        if np.any(np.asarray(self.si.v_reset) >= np.asarray(self.si.v_threshold)):
            raise DescriptionError(
                "LIF.v_reset is not below LIF.v_threshold: the neuron would fire in every step", where=self.where,
                got=f"v_reset {self.v_reset}, v_threshold {self.v_threshold}", allowed="v_reset < v_threshold",
            )


@dataclass(frozen=True, eq=False)
class Rate(Neuron):
    """Graded unit: tau da/dt = -a + input + bias + noise (a = input + bias + noise where tau is 0);  rate = f(a).

    transfer: "linear", "relu", "tanh", "sigmoid", or an expression in ``x``.

    Signals: ``activation`` (a), ``rate``, ``input`` (sum of synaptic input and bias, without noise).
    """

    transfer: str = "linear"
    tau: Number = quantity("time", default=0.0, zero_free=True, nonnegative=True)
    bias: Any = quantity("1", default=0.0, drawn=True)
    a_initial: Any = quantity("1", default=0.0, drawn=True)

    spiking: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("activation", "rate", "input")

    def check(self) -> None:
        expression(TRANSFERS.get(self.transfer, self.transfer), self.where, {"x"})


@dataclass(frozen=True, eq=False)
class Bernoulli(Neuron):
    """Stochastic binary unit: in each step it spikes with probability f(input + bias), independently given its input; the score is
    that of REINFORCE (Williams 1992, 10.1007/BF00992696).

    Signals: ``spikes``, ``probability``, ``score`` = spike (0 or 1) - probability, ``input``.
    """

    transfer: str = "sigmoid"
    bias: Any = quantity("1", default=0.0, drawn=True)

    signals: ClassVar[tuple[str, ...]] = ("spikes", "probability", "score", "input")

    def check(self) -> None:
        expression(TRANSFERS.get(self.transfer, self.transfer), self.where, {"x"})


@dataclass(frozen=True, eq=False)
class Poisson(Neuron):
    """Poisson spike trains: in each step a spike with probability 1 - exp(-rate dt). rate: scalar or (size,), Hz.

    Signals: ``spikes``, ``external`` (Hz, the error, added to the rate) where the population is a modulator's dopamine.
    """

    rate: Number = quantity("rate", nonnegative=True)

    signals: ClassVar[tuple[str, ...]] = ("spikes", "external")
    unit: ClassVar[str] = "rate"


@dataclass(frozen=True, eq=False)
class SpikeSequence(Neuron):
    """Given spikes, the same in every trial. indices: (n,) unit of each spike; times: (n,) from the trial's start.

    Signals: ``spikes``.
    """

    indices: Any
    times: Number = quantity("time", nonnegative=True)

    signals: ClassVar[tuple[str, ...]] = ("spikes",)

    def check(self) -> None:
        n = np.asarray(self.indices) if not is_quantity(self.indices) else numbers(self.indices, "SpikeSequence.indices", self.where)
        n = n.astype(int) if n.size == 0 else n
        if n.shape != np.shape(self.si.times) or n.ndim != 1:
            raise DescriptionError(
                "SpikeSequence: indices and times differ in length", where=self.where,
                got=f"indices {n.shape}, times {np.shape(self.si.times)}", allowed="two arrays of one length",
            )
        if n.size and (not np.issubdtype(n.dtype, np.integer) or n.min() < 0):
            raise DescriptionError("SpikeSequence.indices must be whole numbers from 0", where=self.where, got=n.dtype)


@dataclass(frozen=True, eq=False)
class Pattern(Neuron):
    """Given graded output. values: (steps, size) played from the trial's start, one row every ``interval`` (the last row holds),
    or (size,) for a constant; None where a task sets it (the population is named as a task's input).

    Signals: ``rate``.
    """

    values: Any = None
    interval: Any = quantity("time", default=None, positive=True, scalar=True)

    spiking: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("rate",)

    def check(self) -> None:
        if self.values is None:
            return
        array = numbers(self.values, "Pattern.values", self.where)
        if array.ndim not in (1, 2) or not np.all(np.isfinite(array)):
            raise DescriptionError(
                "Pattern.values must be finite numbers of shape (size,) or (steps, size)", where=self.where,
                got=f"shape {array.shape}" + ("" if np.all(np.isfinite(array)) else " with values that are not finite"),
            )
        if array.ndim == 2 and self.interval is None:
            raise DescriptionError("Pattern with several rows needs an interval", where=self.where, do="interval=1*ms")


@dataclass(frozen=True, eq=False)
class Readout(Neuron):
    """Leaky integrator: tau dm/dt = -m + graded input;  a spike through a Delta synapse adds its weight to m.

    label: what m is measured in, for the axes of figures ("Hz"); it is not converted.  Signals: ``m``.
    """

    tau: Number = quantity("time", positive=True)
    m_initial: Number = quantity("1", default=0.0)
    label: str = "1"

    spiking: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("m",)


@dataclass(frozen=True, eq=False)
class EquationNeuron(Neuron):
    """A neuron written in Brian2's equation language (Stimberg, Brette & Goodman 2019, 10.7554/eLife.47314), one equation or
    parameter a line: ``"dv/dt = (I - v)/tau : volt"``.

    threshold, reset: Brian2 expressions and statements ("v > -50*mV", "v = -60*mV; u += d").  refractory: no spike, and equations
    flagged "(unless refractory)" stand still, in the steps that begin less than that long after a spike, as in Brian2.
    parameters: name -> quantity (scalar or (size,)); initial: name -> quantity, Uniform or Normal.
    Synapses reach it through ``Delta(variable)`` and ``Graded(variable)``, a noise through the variable ``noise``.
    method: "euler" (default), or "exponential_euler" for equations linear in their own variable.
    output: the variable that graded projections read where there is no threshold.

    Signals: every variable of the equations, and ``spikes`` with a threshold.
    """

    equations: Union[str, Equations] = ""
    threshold: str | None = None
    reset: str = ""
    refractory: Number = quantity("time", default=0.0, zero_free=True, nonnegative=True)
    parameters: dict[str, Any] = field(default_factory=dict)
    initial: dict[str, Any] = field(default_factory=dict)
    method: str = "euler"
    output: str | None = None

    def check(self) -> None:
        parsed = Equations.parse(self.equations, self.parameters, self.initial, self.where)
        parsed.check_times(self.parameters, self.where)
        object.__setattr__(self, "parsed", parsed)
        parsed.check_statements(self.threshold, self.reset, self.where)
        if self.method not in ("euler", "exponential_euler"):
            raise DescriptionError(
                "EquationNeuron.method is not known", where=self.where, got=self.method,
                allowed="'euler' or 'exponential_euler'",
            )
        if self.output is not None and self.output not in parsed.names:
            raise DescriptionError(
                f"EquationNeuron.output names '{self.output}'", where=self.where, allowed=", ".join(sorted(parsed.names))
            )


NEURONS: tuple[type[Neuron], ...] = (
    LIF, Rate, Bernoulli, Poisson, SpikeSequence, Pattern, Readout, EquationNeuron
)


def signals_of(neuron: Neuron) -> tuple[str, ...]:
    """The names of the signals of a neuron itself."""
    if isinstance(neuron, EquationNeuron):
        parsed: Equations = neuron.__dict__["parsed"]
        return tuple(sorted(parsed.names)) + (("spikes",) if neuron.threshold else ())
    if isinstance(neuron, LIF) and neuron.adaptation is not None:
        return (*neuron.signals, "threshold")
    return neuron.signals


def carried_signal(neuron: Neuron) -> str | None:
    """The signal that projections carry away; None for an EquationNeuron that names none."""
    if is_spiking(neuron):
        return "spikes"
    if isinstance(neuron, EquationNeuron):
        return neuron.output
    return "m" if isinstance(neuron, Readout) else "rate"


def is_spiking(neuron: Neuron) -> bool:
    return neuron.threshold is not None if isinstance(neuron, EquationNeuron) else neuron.spiking


__all__ = [
    "LIF", "NEURONS", "TRANSFERS", "AdaptiveThreshold", "Bernoulli", "Drawn", "EquationNeuron", "Neuron", "Pattern", "Poisson",
    "Rate", "Readout", "SpikeSequence", "carried_signal", "is_spiking", "signals_of",
]

"""Scenarios of the contract: every neuron, with every way of reaching it."""

from __future__ import annotations

import numpy as np

from neuroplast.neurons import (
    LIF,
    AdaptiveThreshold,
    Bernoulli,
    EquationNeuron,
    Pattern,
    Poisson,
    Rate,
    Readout,
    SpikeSequence,
)
from neuroplast.node import Normal, Uniform
from neuroplast.noise import White
from neuroplast.synapses import Conductance, Current, Delta, Graded, OneToOne, Pairs
from neuroplast.testing.stage import DT, Part, Stage, waves
from neuroplast.units import Hz, Mohm, ms, mV, nS, pA, second


def lif_current(stage: Stage) -> None:
    """Excitation and inhibition as currents, given in volts, next to a constant drive."""
    lif = LIF(tau=8 * ms, v_rest=-65 * mV, v_threshold=-50 * mV, v_reset=-60 * mV, drive=13 * mV)
    cells = stage.population("lif_current", 4, lif, watch=("spikes", "v"))
    stage.project(stage.drive, cells, Uniform(0 * mV, 6 * mV), Current(tau=4 * ms), name="lif_current_excitation")
    stage.project(stage.drive, cells, -1.5 * mV, Current(tau=9 * ms), name="lif_current_inhibition")
    stage.watch(cells, "i_lif_current_inhibition")


def lif_ampere(stage: Stage) -> None:
    """Currents in ampere through a membrane resistance of each cell's own."""
    lif = LIF(
        tau=8 * ms,
        v_rest=-65 * mV,
        v_threshold=-50 * mV,
        v_reset=-60 * mV,
        resistance=np.array([80.0, 100.0, 120.0]) * Mohm,
        drive=[10.0, 12.0, 14.0] * mV,
    )
    cells = stage.population("lif_ampere", 3, lif, watch=("spikes", "v"))
    stage.project(stage.drive, cells, Uniform(10 * pA, 90 * pA), Current(tau=4 * ms))


def lif_conductance(stage: Stage) -> None:
    """Excitatory and inhibitory conductances in units of the leak, the latter with a time constant of each cell's own."""
    lif = LIF(tau=12 * ms, v_rest=-60 * mV, v_threshold=-50 * mV, v_reset=-55 * mV, refractory=1.5 * ms)
    cells = stage.population("lif_conductance", 3, lif, watch=("spikes", "v"))
    excitation, inhibition = Conductance(5 * ms, 0 * mV), Conductance([4.0, 6.0, 9.0] * ms, -75 * mV)
    stage.project(stage.drive, cells, Uniform(0.0, 0.6), excitation, name="lif_conductance_excitation")
    stage.project(stage.drive, cells, 0.1, inhibition, name="lif_conductance_inhibition")
    stage.watch(cells, "g_lif_conductance_excitation", "g_lif_conductance_inhibition")


def lif_siemens(stage: Stage) -> None:
    """Conductances in siemens beside a leak in siemens."""
    lif = LIF(tau=12 * ms, v_rest=-60 * mV, v_threshold=-50 * mV, v_reset=-55 * mV, leak=25 * nS)
    cells = stage.population("lif_siemens", 3, lif, watch=("spikes", "v"))
    stage.project(stage.drive, cells, Uniform(0 * nS, 15 * nS), Conductance(5 * ms, 0 * mV))


def lif_delta(stage: Stage) -> None:
    """Jumps of the membrane, of either sign."""
    lif = LIF(tau=10 * ms, v_rest=-60 * mV, v_threshold=-52 * mV, v_reset=-58 * mV)
    cells = stage.population("lif_delta", 5, lif, watch=("spikes", "v"))
    stage.project(stage.drive, cells, Normal(1.5 * mV, 2 * mV), Delta())


def lif_graded(stage: Stage) -> None:
    """Graded input, in volts."""
    lif = LIF(tau=5 * ms, v_rest=-60 * mV, v_threshold=-52 * mV, v_reset=-58 * mV, drive=6 * mV)
    cells = stage.population("lif_graded", 5, lif, watch=("spikes", "v"))
    stage.project(stage.graded, cells, Normal(2 * mV, 4 * mV), Graded())


def lif_adaptive(stage: Stage) -> None:
    """A threshold that jumps at each spike."""
    lif = LIF(
        tau=5 * ms,
        v_rest=-60 * mV,
        v_threshold=-52 * mV,
        v_reset=-58 * mV,
        drive=[15.0, 20.0, 25.0] * mV,
        adaptation=AdaptiveThreshold(tau=[15.0, 20.0, 30.0] * ms, jump=[2.0, 1.0, 0.0] * mV),
    )
    stage.population("lif_adaptive", 3, lif, watch=("spikes", "v", "threshold"))


def lif_refractory(stage: Stage) -> None:
    """A refractory time of each cell's own, one of them none."""
    lif = LIF(tau=5 * ms, v_rest=-60 * mV, v_threshold=-52 * mV, v_reset=-58 * mV, refractory=[0.0, 1.0, 2.5, 7.0] * ms, drive=20 * mV)
    stage.population("lif_refractory", 4, lif, watch=("spikes", "v"))


def lif_heterogeneous(stage: Stage) -> None:
    """Every parameter an array or drawn."""
    lif = LIF(
        tau=np.linspace(4.0, 12.0, 5) * ms,
        v_rest=[-60.0, -61.0, -62.0, -63.0, -64.0] * mV,
        v_threshold=[-50.0, -51.0, -52.0, -50.0, -54.0] * mV,
        v_reset=[-57.0, -58.0, -59.0, -56.0, -60.0] * mV,
        refractory=[1.0, 2.0, 1.0, 3.0, 1.0] * ms,
        drive=Normal(14 * mV, 2 * mV),
        v_initial=Uniform(-60 * mV, -50 * mV),
    )
    stage.population("lif_heterogeneous", 5, lif, White([1.0, 2.0, 3.0, 4.0, 0.0] * mV), watch=("spikes", "v"))


def lif_everything(stage: Stage) -> None:
    """All synapses at once on an adaptive, refractory, noisy cell."""
    lif = LIF(
        tau=10 * ms,
        v_rest=-60 * mV,
        v_threshold=-51 * mV,
        v_reset=-57 * mV,
        refractory=1 * ms,
        drive=4 * mV,
        adaptation=AdaptiveThreshold(tau=20 * ms, jump=0.5 * mV),
    )
    cells = stage.population("lif_everything", 4, lif, White(3 * mV), watch=("spikes", "v", "threshold"))
    stage.project(stage.drive, cells, Uniform(0.0, 0.2), Conductance(5 * ms, 0 * mV), name="lif_everything_g")
    stage.project(stage.drive, cells, Normal(0 * mV, 2 * mV), Current(4 * ms), name="lif_everything_i")
    stage.project(stage.drive, cells, Normal(0 * mV, 1 * mV), Delta(), name="lif_everything_d")
    stage.project(stage.graded, cells, Normal(0 * mV, 2 * mV), Graded(), name="lif_everything_x")
    stage.project(cells, cells, -0.8 * mV, Current(4 * ms), name="lif_everything_self")


def _rate(name: str, neuron: Rate) -> Part:
    def add(stage: Stage) -> None:
        units = stage.population(name, 4, neuron, watch=("activation", "rate", "input"))
        stage.project(stage.graded, units, Normal(0.0, 0.7), Graded(), name=f"{name}_graded")

    return add


def rate_inputs(stage: Stage) -> None:
    """Filtered spikes, spikes that count in their step, and graded input that comes back with a delay."""
    units = stage.population("rate_inputs", 3, Rate("tanh", tau=3 * ms), White(0.1), watch=("rate",))
    stage.project(stage.drive, units, Normal(0.0, 1.0), Current(tau=4 * ms), name="rate_inputs_filtered")
    stage.project(stage.drive, units, Normal(0.0, 1.0), Delta(), name="rate_inputs_counted")
    stage.project(units, units, Normal(0.0, 0.8), Graded(), name="rate_inputs_self", delay=2 * ms)


def bernoulli(stage: Stage) -> None:
    units = stage.population("bernoulli", 6, Bernoulli(bias=-1.0), watch=("spikes", "probability", "score", "input"))
    stage.project(stage.graded, units, Normal(0.0, 1.0), Graded())
    stage.project(units, units, Normal(0.0, 1.0), Delta(), name="bernoulli_self")


def bernoulli_expression(stage: Stage) -> None:
    """A transfer function that leaves [0, 1] unless it is clipped."""
    units = stage.population("bernoulli_expression", 4, Bernoulli("0.4 + x", bias=Uniform(-0.2, 0.2)), watch=("spikes", "probability"))
    stage.project(stage.drive, units, Normal(0.0, 1.0), Current(tau=5 * ms))


def poisson(stage: Stage) -> None:
    """Rates from none to one that fires in nearly every step."""
    stage.population("poisson", 4, Poisson([0.0, 50.0, 400.0, 9000.0] * Hz), watch=("spikes",))


def sequence(stage: Stage) -> None:
    """Spikes in the first and in the last step, two in one step, units without any."""
    unit, step = np.array([0, 4, 4, 2, 1, 0, 0]), np.array([0, 7, 7, 7, 8, 59, 30])
    spikes = stage.population("sequence", 6, SpikeSequence(unit, step * DT), watch=("spikes",))
    listener = stage.population("sequence_listener", 6, Readout(tau=4 * ms), watch=("m",))
    stage.project(spikes, listener, 1.0, Delta(), connectivity=OneToOne())


def pattern(stage: Stage) -> None:
    """A constant, and a table that ends before the trial."""
    constant = stage.population("pattern_constant", 3, Pattern([0.5, -1.0, 2.0]), watch=("rate",))
    table = stage.population("pattern_table", 2, Pattern(waves(7, 2), interval=3 * DT), watch=("rate",))
    listener = stage.population("pattern_listener", 3, Readout(tau=4 * ms), watch=("m",))
    stage.project(constant, listener, Normal(0.0, 1.0), Graded(), connectivity=OneToOne())
    stage.project(table, listener, Normal(0.0, 1.0), Graded())


def readout(stage: Stage) -> None:
    """Every input of a readout, and a readout that is heard by others."""
    out = stage.population("readout", 3, Readout(tau=[3.0, 5.0, 50.0] * ms, m_initial=[1.0, 0.0, -1.0]), watch=("m",))
    stage.project(stage.drive, out, Normal(0.0, 0.5), Delta(), name="readout_jumps")
    stage.project(stage.drive, out, Normal(0.0, 0.5), Current(tau=2 * ms), name="readout_filtered")
    stage.project(stage.graded, out, Normal(0.0, 0.5), Graded(), name="readout_graded")
    listener = stage.population("readout_listener", 2, Rate("relu"), watch=("rate",))
    stage.project(out, listener, Normal(0.0, 1.0), Graded())


def equation_izhikevich(stage: Stage) -> None:
    """Izhikevich (2003) cells in Brian2's language: a reset of two variables, heterogeneous parameters, noise, a Delta input."""
    neuron = EquationNeuron(
        """
        dv/dt = (0.04*v**2/mV + 5*v + 140*mV - u + I + noise)/ms : volt
        du/dt = a*(b*v - u)/ms : volt
        I : volt
        a : 1
        b : 1
        c : volt
        d : volt
        """,
        threshold="v >= 30*mV",
        reset="v = c; u += d",
        parameters={
            "I": 10 * mV,
            "a": [0.02, 0.02, 0.1, 0.02],
            "b": 0.2,
            "c": [-65.0, -55.0, -65.0, -50.0] * mV,
            "d": [8.0, 4.0, 2.0, 2.0] * mV,
        },
        initial={"v": Uniform(-65 * mV, -50 * mV), "u": -13 * mV},
    )
    cells = stage.population("izhikevich", 4, neuron, White(2 * mV), watch=("spikes", "v", "u"))
    stage.project(stage.drive, cells, Uniform(0 * mV, 5 * mV), Delta("v"))


def equation_subexpression(stage: Stage) -> None:
    """Exponential Euler with subexpressions, conductances by Delta, a graded input, and a variable held while refractory."""
    neuron = EquationNeuron(
        """
        dv/dt = (leak + synaptic + I)/tau : volt (unless refractory)
        dg/dt = -g/tau_g : 1
        dw/dt = (where(v > -55*mV, 1, 0) - w)/tau_w : 1
        leak = E_L - v : volt
        synaptic = g*(0*mV - v) - w*drop : volt
        I : volt
        drop : volt
        tau : second
        tau_g : second
        tau_w : second
        E_L : volt
        """,
        threshold="v > -50*mV and g > 0.05",
        reset="v = -58*mV",
        refractory=2 * ms,
        method="exponential_euler",
        parameters={"tau": [8.0, 10.0, 12.0] * ms, "tau_g": 5 * ms, "tau_w": 0.02 * second, "E_L": -60 * mV, "drop": 4 * mV},
        initial={"v": -60 * mV, "g": Uniform(0.0, 0.2)},
    )
    cells = stage.population("subexpression", 3, neuron, watch=("spikes", "v", "g", "synaptic"))
    stage.project(stage.drive, cells, Uniform(0.0, 0.3), Delta("g"), name="subexpression_spikes")
    stage.project(stage.graded, cells, Normal(0 * mV, 4 * mV), Graded("I"), name="subexpression_graded")


def equation_graded(stage: Stage) -> None:
    """Equations without a threshold, heard through their output; every function of the language in one place."""
    neuron = EquationNeuron(
        """
        dx/dt = (-x + tanh(y)*I + 0.1*sin(z) + clip(x, -0.5, 0.5) + noise)/tau : 1
        dy/dt = (sigmoid(x) - y + 0.1*sign(x) + 0.2*maximum(z, 0.1) - 0.1*minimum(x, y))/tau : 1
        dz/dt = (cos(3*x) - z*abs(z) + sqrt(exp(-x**2)) - log(1 + y**2) + 0.1*floor(4*y) - 0.1*int(5*x))/tau : 1
        r = where(x > 0 or not (y < 0.2), x**3, (x % 0.3)*y) : 1
        I : 1
        tau : second
        """,
        parameters={"tau": 6 * ms},
        initial={"x": Normal(0.0, 1.0), "y": 0.3, "z": 0.1},
        output="r",
    )
    units = stage.population("equation_graded", 4, neuron, White(0.2), watch=("x", "y", "z", "r"))
    stage.project(stage.graded, units, Normal(0.0, 1.0), Graded("I"))
    listener = stage.population("equation_listener", 2, Rate(), watch=("rate",))
    stage.project(units, listener, Normal(0.0, 1.0), Graded(), connectivity=Pairs([0, 1, 2, 3], [0, 1, 0, 1]))


NEURONS: dict[str, Part] = {
    "lif_current": lif_current,
    "lif_ampere": lif_ampere,
    "lif_conductance": lif_conductance,
    "lif_siemens": lif_siemens,
    "lif_delta": lif_delta,
    "lif_graded": lif_graded,
    "lif_adaptive": lif_adaptive,
    "lif_refractory": lif_refractory,
    "lif_heterogeneous": lif_heterogeneous,
    "lif_everything": lif_everything,
    "rate_linear": _rate("rate_linear", Rate()),
    "rate_relu": _rate("rate_relu", Rate("relu", tau=3 * ms, bias=Uniform(-0.5, 0.5))),
    "rate_tanh": _rate("rate_tanh", Rate("tanh", tau=[0.0, 2.0, 4.0, 8.0] * ms, a_initial=Uniform(-1.0, 1.0))),
    "rate_sigmoid": _rate("rate_sigmoid", Rate("sigmoid", bias=[0.0, 1.0, -1.0, 2.0])),
    "rate_expression": _rate("rate_expression", Rate("where(x > 0, x**2/(1 + x**2), 0.1*x)", tau=2 * ms, a_initial=0.5)),
    "rate_inputs": rate_inputs,
    "bernoulli": bernoulli,
    "bernoulli_expression": bernoulli_expression,
    "poisson": poisson,
    "sequence": sequence,
    "pattern": pattern,
    "readout": readout,
    "equation_izhikevich": equation_izhikevich,
    "equation_subexpression": equation_subexpression,
    "equation_graded": equation_graded,
}
"""Scenario name -> what it adds to a stage."""

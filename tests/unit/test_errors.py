"""Every mistake that a description can hold, made on purpose: the message names the user's own line, what was got and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from neuroplast import (
    LIF,
    AdaptiveThreshold,
    Bernoulli,
    Conductance,
    Critic,
    Current,
    Delta,
    DescriptionError,
    Deviation,
    Dopamine,
    Eligibility,
    EquationNeuron,
    FixedProbability,
    Frozen,
    Graded,
    Impulses,
    LowPass,
    Modulator,
    Monitor,
    Network,
    NeuroplastError,
    Normal,
    OneToOne,
    OpenLoop,
    OrnsteinUhlenbeck,
    PairedPass,
    Pairs,
    Pattern,
    PerTrialType,
    Poisson,
    Population,
    Projection,
    PythonTask,
    Rate,
    Reach,
    Readout,
    Regression,
    Release,
    RunningMean,
    Signal,
    SpikeSequence,
    SynapticNoise,
    TaskError,
    ThreeFactorRule,
    TrackTarget,
    Transformed,
    Uniform,
    UnitsError,
    White,
)
from neuroplast.backends.targets import target_named
from neuroplast.ir.discretize import discretize
from neuroplast.units import Hz, Mohm, ms, mV, nS

DT = 0.5 * ms


# ---- right parts, of which each case spoils one ---------------------------------------------------------------------------------
def lif(**more: Any) -> LIF:
    return LIF(**({"tau": 10 * ms, "v_rest": -60 * mV, "v_threshold": -50 * mV, "v_reset": -55 * mV} | more))


def pop(name: str = "cells", size: int = 3, neuron: Any = None, noise: Any = None) -> Population:
    return Population(name, size, neuron or lif(), noise)


def source(name: str = "source", size: int = 3) -> Population:
    return Population(name, size, Poisson(50 * Hz))


def rule(**more: Any) -> ThreeFactorRule:
    given: dict[str, Any] = {
        "factors": {"s": LowPass(Signal("pre", "spikes"), 5 * ms), "v": Signal("post", "v")},
        "eligibility": Eligibility("s*v", tau=10 * ms),
        "modulator": Modulator("reward"),
    }
    return ThreeFactorRule(**(given | more))


def track(readout: Population, **more: Any) -> TrackTarget:
    given: dict[str, Any] = {"target": np.zeros((4, readout.size)), "interval": 1 * ms, "steps": 8}
    return TrackTarget(readout=readout, **(given | more))


def build(*nodes: Any, dt: Any = DT) -> Any:
    network = Network("mine")
    for node in nodes:
        network.add(node)
    return discretize(network, dt)


def wired(projection: Callable[[Population, Population], Any], neuron: Any = None, noise: Any = None, **task: Any) -> Any:
    """A source, cells, a readout with a task, and the projection made of source and cells."""
    pre, post, out = source(), pop(neuron=neuron, noise=noise), pop("out", 2, Readout(tau=5 * ms))
    return build(pre, post, out, projection(pre, post), track(out, **task))


EQUATIONS = "dv/dt = (E - v)/tau : volt\nE : volt\ntau : second"


def equation(text: str = EQUATIONS, **more: Any) -> EquationNeuron:
    given: dict[str, Any] = {"parameters": {"E": -60 * mV, "tau": 5 * ms}} if text == EQUATIONS else {}
    return EquationNeuron(text, **(given | more))


def arrow(pre: Any, post: Any, **more: Any) -> Projection:
    return Projection(pre, post, **({"weight": 1 * mV, "synapse": Current(tau=5 * ms)} | more))


NAN = float("nan")
Wrong = Callable[[], Any]

# name -> what is wrong, and what the message has to say besides the user's line
CASES: dict[str, tuple[Wrong, tuple[str, ...]]] = {
    # units
    "unit of a field": (lambda: lif(tau=20 * mV), ("LIF.tau has the wrong unit", "got: 20 mV", "a time such as 20*ms")),
    "no unit": (lambda: Readout(tau=5), ("Readout.tau needs a unit", "got: 5", "from neuroplast.units import")),
    "a unit too many": (lambda: RunningMean(trials=5 * ms), ("RunningMean.trials has the wrong unit", "plain number")),
    "no number": (lambda: Poisson("fast"), ("Poisson.rate needs a unit", "'fast'")),  # type: ignore[arg-type]
    "unit of a weight": (
        lambda: wired(lambda a, b: Projection(a, b, 2 * nS, Current(tau=5 * ms))),
        ("weight has the wrong unit", "2 nS", "a voltage"),
    ),
    "unit of a weight in ampere": (
        lambda: wired(lambda a, b: Projection(a, b, 1 * mV, Current(tau=5 * ms)), lif(resistance=100 * Mohm)),
        ("a current such as",),
    ),
    "unit of drawn weights": (
        lambda: wired(lambda a, b: Projection(a, b, Uniform(0 * mV, 1 * ms), Current(tau=5 * ms))),
        ("weight has the wrong unit", "1 ms"),
    ),
    "unit of a drawn start": (lambda: lif(v_initial=Uniform(0 * mV, 1 * nS)), ("LIF.v_initial has the wrong unit", "1 nS")),
    "unit of a noise": (lambda: build(pop(noise=White(1 * nS))), ("White.std has the wrong unit", "1 nS", "a voltage")),
    "unit of a noise in equations": (
        lambda: build(pop(neuron=equation("dv/dt = (noise - v)/(5*ms) : volt"), noise=White(0.1))),
        ("units in 'v = (noise - v)/(5*ms)'",),
    ),
    "unit of a bound": (
        lambda: wired(lambda a, b: arrow(a, b, plasticity=rule(bounds=(0 * nS, 1 * nS)))),
        ("bounds has the wrong unit", "0 nS"),
    ),
    "bounds of two units": (lambda: rule(bounds=(0 * mV, 1 * nS)), ("upper bound has the wrong unit", "1 nS")),
    "unit of dt": (lambda: build(pop(), dt=1 * mV), ("dt has the wrong unit", "1 mV")),
    "unit of a monitor's interval": (lambda: Monitor(pop(), "v", every=5), ("Monitor.every needs a unit",)),
    "unit of a gain": (
        lambda: build(
            cells := source(),
            out := pop("out", 2, Readout(tau=5 * ms)),
            Modulator("da", dopamine=Dopamine(cells, 50 * Hz, 9 * ms, gain=1.0)),
            track(out),
        ),
        ("Dopamine.gain of 'da' needs a unit", "a rate such as"),
    ),
    "unit of a parameter": (lambda: equation(parameters={"E": 1 * ms}), ("the value of 'E' has the wrong unit", "a value in V")),
    "unit of an equation": (lambda: equation("dv/dt = -v : volt"), ("right-hand side of 'v' has the wrong unit", "V / s")),
    "units in an equation": (lambda: equation("dv/dt = (v - 5*ms)/(5*ms) : volt"), ("units in 'v = (v - 5*ms)/(5*ms)' do not fit",)),
    "unit of a threshold": (lambda: equation(threshold="v > -50"), ("units in 'threshold = v > -50' do not fit",)),
    "unit of a reset": (lambda: equation(threshold="v > -50*mV", reset="v = 3*ms"), ("right-hand side of 'v'", "3*ms")),
    "unit that is none": (lambda: equation("dv/dt = -v/(5*ms) : flurb"), ("unit 'flurb' of 'v' is not known",)),
    # unknown names
    "factor that is not declared": (lambda: rule(eligibility=Eligibility("s*u", tau=5 * ms)), ("names 'u'", "Known names are: s, v")),
    "factor with a typing error": (
        lambda: rule(factors={"trace": Signal("pre", "spikes")}, eligibility=Eligibility("trase", tau=5 * ms)),
        ("Did you mean 'trace'?",),
    ),
    "signal of a factor": (
        lambda: wired(lambda a, b: arrow(a, b, plasticity=rule(factors={"s": Signal("post", "spike"), "v": Signal("post", "v")}))),
        ("reads 'spike' of the post side", "Did you mean 'spikes'?"),
    ),
    "signal of a synapse": (
        lambda: wired(lambda a, b: arrow(a, b, plasticity=rule(factors={"s": Signal("synapse", "noise"), "v": Signal("post", "v")}))),
        ("reads 'noise' of the synapse side", "Known names are: weight"),
    ),
    "signal that nothing writes": (
        lambda: build(cells := pop(), Monitor(cells, "external")),
        ("'external' of 'cells' is not kept", "Known names are:"),
    ),
    "side": (lambda: Signal("presynaptic", "v"), ("Signal.side 'presynaptic'", "Known names are: post, pre, synapse")),
    "update": (lambda: rule(update="continous"), ("update 'continous' is not known", "Did you mean 'continuous'?")),
    "variable of a monitor": (lambda: build(cells := pop(), Monitor(cells, "voltage")), ("reads 'voltage' of 'cells'", "Known names are:")),
    "variable of a task": (lambda: build(cells := pop(), track(cells, variable="w")), ("variable 'w' is no signal of 'cells'",)),
    "name in an equation": (lambda: equation("dv/dt = -v/tua : volt\ntau : second"), ("names 'tua'", "Did you mean 'tau'?")),
    "name of a parameter": (lambda: equation(parameters={"taux": 5 * ms}), ("'taux' is not in the equations", "Did you mean 'tau'?")),
    "name in a reset": (lambda: equation(threshold="v > 0*mV", reset="w = 0*mV"), ("reset sets 'w'", "Known names are: E, tau, v")),
    "name of an output": (lambda: equation(output="r"), ("output names 'r'", "E, tau, v")),
    "function of a transfer": (lambda: Rate("softplus(x)"), ("unknown function 'softplus'", "Known names are:")),
    "name in a transfer": (lambda: Rate("tanh(y)"), ("names 'y', which is not declared",)),
    "variable of a synapse": (
        lambda: wired(lambda a, b: Projection(a, b, 1 * mV, Delta("w")), equation()),
        ("Delta.variable 'w' is not a variable of 'cells'",),
    ),
    "law of a noise": (lambda: White(1 * mV, law="gaussian"), ("White.law is not known", "gaussian", "normal")),
    # sizes
    "shape of weights": (
        lambda: wired(lambda a, b: arrow(a, b, weight=np.ones((2, 2)) * mV)),
        ("weight has the wrong shape", "(2, 2)", "shape (3, 3)"),
    ),
    "shape of listed weights": (
        lambda: wired(lambda a, b: arrow(a, b, weight=[1.0, 2.0] * mV, connectivity=OneToOne())),
        ("shape (2,)", "a scalar or shape (3,)"),
    ),
    "shape of delays": (lambda: wired(lambda a, b: arrow(a, b, delay=[1.0, 2.0] * ms)), ("delay has the wrong shape", "(2,)")),
    "size of a parameter": (lambda: build(pop(neuron=lif(drive=[1.0, 2.0] * mV))), ("LIF.drive has the wrong shape", "(2,)", "(3,)")),
    "size of an adaptation": (
        lambda: build(pop(neuron=lif(adaptation=AdaptiveThreshold([1.0, 2.0] * ms, 1 * mV)))),
        ("adaptation.tau has the wrong shape",),
    ),
    "size of an equation's parameter": (
        lambda: build(pop(neuron=equation(parameters={"E": [1.0, 2.0] * mV, "tau": 5 * ms}))),
        ("EquationNeuron.E has the wrong shape",),
    ),
    "size of a noise": (lambda: build(pop(noise=White([1.0, 2.0] * mV))), ("'noise_std' of 'cells' has the wrong shape", "(2,)")),
    "size of a synapse's tau": (
        lambda: wired(lambda a, b: arrow(a, b, synapse=Current(tau=[5.0, 6.0] * ms))),
        ("'decay_source_cells' of 'cells'", "(2,)"),
    ),
    "size of frozen noise": (lambda: build(pop(noise=Frozen(np.zeros((5, 2)) * mV))), ("Frozen.array does not fit", "(5, 2)")),
    "one-to-one": (
        lambda: build(a := source(), b := pop(size=4), arrow(a, b, connectivity=OneToOne())),
        ("one-to-one", "3 and 4 units", "equal sizes"),
    ),
    "pairs out of range": (
        lambda: wired(lambda a, b: arrow(a, b, connectivity=Pairs([0, 3], [0, 1]))),
        ("Pairs.pre is out of range", "got: 3", "0 to 2"),
    ),
    "pair twice": (lambda: wired(lambda a, b: arrow(a, b, connectivity=Pairs([0, 0], [1, 1]))), ("names a pair twice",)),
    "pairs of two lengths": (lambda: Pairs([0, 1], [0]), ("pre and post differ in length",)),
    "pairs that are no numbers": (lambda: Pairs([0.5], [0]), ("Pairs.pre must be whole numbers",)),
    "index of a spike": (lambda: build(pop(neuron=SpikeSequence([3], [1.0] * ms))), ("indices is out of range", "0 to 2")),
    "spikes of two lengths": (lambda: SpikeSequence([0, 1], [1.0] * ms), ("indices and times differ in length",)),
    "size of a pattern": (lambda: build(pop(neuron=Pattern(np.zeros(2)))), ("Pattern.values do not fit its size", "(2,)")),
    "size of a target": (
        lambda: track(pop("out", 2, Readout(tau=5 * ms)), target=np.zeros((4, 3))),
        ("target does not fit", "(4, 3)", "(steps, 2)"),
    ),
    "size of a teacher": (
        lambda: Regression(inputs=pop("x", 2, Pattern()), outputs=pop("y", 3, Rate()), teacher=np.zeros((2, 3)), steps=1),
        ("Regression.teacher does not fit", "(2, 3)", "(3, 2)"),
    ),
    "size of a decoder": (
        lambda: Reach(
            inputs=pop("x", 2, Pattern()),
            outputs=pop("y", 3, Rate()),
            targets=[[1.0, 0.0]],
            encoder=np.zeros((2, 2)),
            decoder=np.zeros((2, 2)),
            offset=np.zeros(3),
            radius=1.0,
            steps=9,
        ),
        ("Reach.decoder does not fit", "(2, 2)", "(2, 3)"),
    ),
    "array for a number": (lambda: LowPass(Signal("pre", "spikes"), [1.0, 2.0] * ms), ("LowPass.tau is one number", "(2,)")),
    "array for a delay": (lambda: Modulator("reward", delay=[1.0] * ms), ("Modulator.delay is one number",)),
    "unit of a monitor": (lambda: build(cells := pop(), Monitor(cells, "v", units=[0, 3])), ("reads unit 3 of 'cells'", "0 to 2")),
    "negative unit of a monitor": (lambda: build(cells := pop(), Monitor(cells, "v", units=[-1])), ("reads unit -1", "0 to 2")),
    "synapse of a monitor": (
        lambda: build(a := source(), b := pop(), p := arrow(a, b), Monitor(p, "weight", units=[9])),
        ("number 9", "0 to 8"),
    ),
    # negative numbers and other values out of range
    "negative time constant": (lambda: lif(tau=-5 * ms), ("LIF.tau is out of range", "-5", "greater than zero")),
    "time constant of zero": (lambda: OrnsteinUhlenbeck(1 * mV, tau=0 * ms), ("OrnsteinUhlenbeck.tau", "greater than zero")),
    "negative time constant of an eligibility": (lambda: Eligibility("s", tau=-1 * ms), ("Eligibility.tau", "zero or greater")),
    "negative refractory time": (lambda: lif(refractory=-1 * ms), ("LIF.refractory", "zero or greater")),
    "negative rate": (lambda: Poisson([5.0, -1.0] * Hz), ("Poisson.rate is out of range", "zero or greater")),
    "negative delay": (lambda: arrow(source(), pop(), delay=-1 * ms), ("Projection.delay", "zero or greater")),
    "negative noise": (lambda: White(-1 * mV), ("White.std is out of range", "zero or greater")),
    "probability": (lambda: FixedProbability(1.5), ("FixedProbability.p is out of range", "at most 1.0")),
    "trials of a baseline": (lambda: PerTrialType(trials=0.5), ("PerTrialType.trials", "at least 1.0")),
    "discount": (lambda: Critic(source(), rate=0.1, tau=5 * ms, discount=1.2), ("Critic.discount", "at most 1.0")),
    "order of a kernel": (lambda: Eligibility("s", tau=5 * ms, order=-1), ("Eligibility.order must be a whole number", "-1")),
    "order without tau": (lambda: Eligibility("s", order=2), ("order needs a tau", "tau None")),
    "bounds in the wrong order": (lambda: rule(bounds=(1.0, 0.0)), ("bounds are not ordered", "1.0, 0.0", "low < high")),
    "three bounds": (lambda: rule(bounds=(0, 1, 2)), ("bounds are two", "(0, 1, 2)")),
    "reset above threshold": (lambda: lif(v_reset=-40 * mV), ("v_reset is not below", "v_reset < v_threshold")),
    "ends of a distribution": (lambda: lif(v_initial=Uniform(-50 * mV, -60 * mV)), ("Uniform needs finite ends", "low <= high")),
    "width of a distribution": (lambda: Rate(bias=Normal(0.0, -1.0)), ("Normal needs finite numbers", "std >= 0")),
    "distribution where there is none": (lambda: lif(tau=Uniform(1 * ms, 2 * ms)), ("takes a number, not a distribution",)),
    "dt of zero": (lambda: build(pop(), dt=0 * ms), ("dt must be a positive time", "0.1*ms")),
    "steps of a trial": (lambda: OpenLoop(steps=0), ("steps must be a whole number from 1", "got: 0")),
    "steps and duration": (lambda: OpenLoop(steps=5, duration=5 * ms), ("either duration or steps",)),
    "slope of zero": (
        lambda: build(
            cells := source(),
            out := pop("out", 2, Readout(tau=5 * ms)),
            Modulator("da", dopamine=Dopamine(cells, 50 * Hz, 9 * ms, gain=0 * Hz)),
            track(out),
        ),
        ("slope not zero",),
    ),
    # dt too coarse
    "dt and a membrane": (lambda: build(pop(), dt=6 * ms), ("dt is too coarse for tau of population 'cells'", "up to 0.005 s")),
    "dt and a synapse": (
        lambda: wired(lambda a, b: arrow(a, b, synapse=Conductance(0.6 * ms, 0 * mV), weight=1.0)),
        ("tau of the synapse of 'source_cells'",),
    ),
    "dt and a rate unit": (lambda: build(pop(neuron=Rate(tau=[0.0, 0.9, 5.0] * ms))), ("tau of population 'cells'", "0.00045 s")),
    "dt and a readout": (lambda: build(pop(neuron=Readout(tau=0.5 * ms))), ("dt is too coarse",)),
    "dt and an adaptation": (
        lambda: build(pop(neuron=lif(adaptation=AdaptiveThreshold(0.5 * ms, 1 * mV)))),
        ("tau of the adaptation of population 'cells'",),
    ),
    "dt and a trace": (
        lambda: wired(
            lambda a, b: arrow(a, b, plasticity=rule(factors={"s": LowPass(Signal("pre", "spikes"), 0.5 * ms), "v": Signal("post", "v")}))
        ),
        ("dt is too coarse for the factor 's' of 'source_cells'",),
    ),
    "dt and an eligibility": (
        lambda: wired(lambda a, b: arrow(a, b, plasticity=rule(eligibility=Eligibility("s", tau=0.5 * ms)))),
        ("dt is too coarse for the eligibility of 'source_cells'",),
    ),
    "dt and equations": (
        lambda: build(pop(neuron=EquationNeuron("dx/dt = (b - x)/tau : 1\nb : 1\ntau : second", parameters={"tau": [9.0, 0.4, 5.0] * ms}))),
        ("dt is too coarse for dx/dt of population 'cells'", "up to 0.0004 s", "exponential_euler"),
    ),
    "dt and a critic": (
        lambda: build(
            cells := pop(neuron=Rate()), out := pop("out", 2, Readout(tau=5 * ms)),
            Modulator("da", baseline=Critic(cells, 0.1, 0.8 * ms)), track(out),
        ),
        ("dt is too coarse for tau of the critic of 'da'", "up to 0.0004 s"),
    ),
    "dt and a modulator": (
        lambda: build(out := pop("out", 2, Readout(tau=5 * ms)), Modulator("da", tau=0.7 * ms), track(out)),
        ("dt is too coarse for tau of modulator 'da'",),
    ),
    "trial shorter than a step": (lambda: build(pop(), OpenLoop(duration=0.1 * ms)), ("the trial is shorter than one step",)),
    "spike after the end": (
        lambda: build(pop(neuron=SpikeSequence([0, 1], [1.0, 9.0] * ms)), OpenLoop(steps=9)),
        ("after the end of the trial", "0.009 s"),
    ),
    "spike in the second half of the last step": (
        lambda: build(pop(neuron=SpikeSequence([0], [4.4] * ms)), OpenLoop(steps=9)),
        ("after the end of the trial", "0.0044 s, which is nearest to the start of step 9", "before 0.00425 s"),
    ),
    "monitor that never looks": (
        lambda: build(cells := pop(), Monitor(cells, "v", every=5 * ms), OpenLoop(steps=9)),
        ("a monitor of 'v' of 'cells' never looks", "every=5 millisecond", "every='trial'"),
    ),
    "critic of an episodic rule": (
        lambda: wired(
            lambda a, b: arrow(a, b, plasticity=rule(modulator=Modulator("m", Critic(a, 0.1, 5 * ms)), update="episodic"))
        ),
        ("the rule of 'source_cells' is episodic", "critic of 'm' act in each step", "update='deferred'"),
    ),
    "dopamine of an episodic rule": (
        lambda: wired(
            lambda a, b: arrow(
                a, b,
                plasticity=rule(modulator=Modulator("m", dopamine=Dopamine(a, 50 * Hz, 9 * ms, gain=1 * Hz)), update="episodic"),
            )
        ),
        ("the rule of 'source_cells' is episodic", "dopamine neurons of 'm' act in each step"),
    ),
    "delays of a readout that a rule reads": (
        lambda: build(
            m := pop("m", 2, Readout(tau=5 * ms)), y := pop("y", 2, Rate()), track(m),
            Projection(m, y, 1.0, Graded(), delay=[[1, 2], [3, 4]] * ms, plasticity=rule(
                factors={"s": Signal("pre", "m")}, eligibility=Eligibility("s", tau=5 * ms))),
        ),
        ("the factor 's' of 'm_y' reads what arrives", "different delays"),
    ),
    "frozen noise of weights without steps": (
        lambda: wired(lambda a, b: arrow(a, b, noise=Frozen(np.ones((3, 3)) * mV))),
        ("Frozen.array does not fit", "got: shape (3, 3)", "(steps, as weights are given)"),
    ),
    "unit of the mean of synaptic noise": (
        lambda: build(s := source(), pop(noise=SynapticNoise(s, 1 * mV, Current(tau=5 * ms), mean=1.0))),
        ("SynapticNoise.mean needs a unit",),
    ),
    "synaptic noise of different time constants": (
        lambda: build(s := source(), pop(noise=SynapticNoise(s, 1 * mV, Current(tau=[5, 5, 6] * ms)))),
        ("SynapticNoise has a different mean for different units",),
    ),
    "arrays in a distribution": (
        lambda: wired(lambda a, b: arrow(a, b, weight=Uniform([0, 0] * mV, 1 * mV))), ("Uniform needs finite ends, one number each",),
    ),
    "arrays in a normal distribution": (lambda: Rate(bias=Normal([0.0, 1.0], 1.0)), ("Normal needs finite numbers, one each",)),
    "ragged pairs": (lambda: Pairs([[0, 1], [2]], [0, 1]), ("Pairs.pre must be an array of numbers",)),
    "no node": (lambda: Network("mine").add((pop(),)), ("network 'mine': this cannot be added",)),  # type: ignore[type-var]
    # not finite
    "NaN in a parameter": (lambda: lif(drive=[1.0, NAN, 2.0] * mV), ("LIF.drive holds a value that is not finite", "nan at index 1")),
    "NaN in weights": (
        lambda: wired(lambda a, b: arrow(a, b, weight=np.diag([1.0, NAN, 1.0]) * mV)),
        ("weight holds a value that is not finite", "(1, 1)"),
    ),
    "infinite delay": (lambda: arrow(source(), pop(), delay=np.inf * ms), ("Projection.delay holds a value that is not finite",)),
    "NaN in a pattern": (lambda: Pattern([0.0, NAN]), ("Pattern.values must be finite", "not finite")),
    "NaN in frozen noise": (lambda: Frozen(np.full((3, 2), NAN)), ("Frozen.array must be finite",)),
    "NaN in a target": (
        lambda: track(pop("out", 2, Readout(tau=5 * ms)), target=[[0.0, NAN]]),
        ("target does not fit", "not finite"),
    ),
    "NaN in a teacher": (
        lambda: Regression(inputs=pop("x", 1, Pattern()), outputs=pop("y", 1, Rate()), teacher=[[NAN]], steps=1),
        ("not finite",),
    ),
    "NaN in a distribution": (lambda: lif(v_initial=Uniform(NAN * mV, 0 * mV)), ("Uniform needs finite ends",)),
    "NaN in an equation's parameter": (lambda: equation(parameters={"E": NAN * mV}), ("the value of 'E' is not finite",)),
    "NaN in a noise": (lambda: Impulses([1.0, NAN], rate=5 * Hz), ("Impulses.std is out of range", "finite")),
    "NaN in spike times": (lambda: SpikeSequence([0], [NAN] * ms), ("SpikeSequence.times", "not finite")),
    "text for an array": (lambda: Pattern(["a", "b"]), ("Pattern.values must be an array of numbers", "'a'")),
    # names twice, nothing there
    "name twice": (lambda: build(pop(), pop()), ("the name 'cells' is used twice", "also declared at")),
    "name of a projection twice": (
        lambda: build(a := source(), b := pop(), arrow(a, b), arrow(a, b)),
        ("'source_cells' is used twice", "name="),
    ),
    "name of a modulator twice": (
        lambda: wired(lambda a, b: arrow(a, b, plasticity=rule(modulator=Modulator("cells")))),
        ("the name 'cells' is used twice",),
    ),
    "monitor twice": (
        lambda: build(cells := pop(), Monitor(cells, "v"), Monitor(cells, "v", every="trial")),
        ("two monitors record 'v' of 'cells'",),
    ),
    "two tasks": (lambda: build(pop(), OpenLoop(steps=5), OpenLoop(steps=5, name="other")), ("has a task already",)),
    "two first passes": (
        lambda: build(
            out := pop("out", 2, Readout(tau=5 * ms)),
            Modulator("a", baseline=PairedPass("off")),
            Modulator("b", baseline=PairedPass("other")),
            track(out),
        ),
        ("different first passes", "one kind of PairedPass"),
    ),
    "unusable name": (lambda: pop("my cells"), ("the name of a Population cannot be used", "'my cells'", "letters")),
    "unusable name of a modulator": (lambda: Modulator("a-b"), ("the name of a Modulator cannot be used", "'a-b'")),
    "empty population": (lambda: pop(size=0), ("population 'cells' is empty", "got: 0", "a whole number from 1")),
    "half a neuron": (lambda: pop(size=2.5), ("no whole size", "2.5")),  # type: ignore[arg-type]
    "empty target": (lambda: track(pop("out", 2, Readout(tau=5 * ms)), target=np.zeros((0, 2))), ("target does not fit", "(0, 2)")),
    "population that was not added": (
        lambda: build(a := source(), arrow(a, pop())),
        ("uses population 'cells', which is not in the network", "network.add(...) it first"),
    ),
    # parts that do not go together
    "what is no neuron": (lambda: Population("cells", 3, 5), ("neuron is not a neuron", "LIF(...)")),  # type: ignore[arg-type]
    "graded synapse from spikes": (lambda: arrow(source(), pop(), synapse=Graded()), ("a Graded synapse cannot carry the spiking",)),
    "spikes from a graded unit": (
        lambda: arrow(pop("x", 2, Rate()), pop(), synapse=Current(5 * ms)),
        ("cannot carry the graded output of 'x'",),
    ),
    "conductance onto a rate unit": (
        lambda: wired(lambda a, b: arrow(a, b, synapse=Conductance(5 * ms, 0 * mV), weight=1.0), Rate()),
        ("a Conductance synapse cannot reach the Rate neurons of 'cells'", "Current, Delta, Graded"),
    ),
    "synapse onto given output": (
        lambda: wired(lambda a, b: arrow(a, b), Poisson(5 * Hz)),
        ("cannot reach the Poisson neurons", "their output is given"),
    ),
    "noise on given output": (lambda: build(pop(neuron=Pattern([1.0, 1.0, 1.0]), noise=White(1.0))), ("takes no noise",)),
    "noise on a readout": (lambda: build(pop(neuron=Readout(tau=5 * ms), noise=White(1.0))), ("takes no noise",)),
    "synaptic noise on a rate unit": (
        lambda: build(a := source(), pop(neuron=Rate(), noise=SynapticNoise(a, 1.0, Current(5 * ms)))),
        ("SynapticNoise perturbs LIF",),
    ),
    "synaptic noise from a graded unit": (
        lambda: SynapticNoise(pop("x", 3, Rate()), 1 * mV, Current(5 * ms)),
        ("SynapticNoise.source must be a spiking population",),
    ),
    "synaptic noise of unknown mean": (
        lambda: build(a := pop("a"), pop(noise=SynapticNoise(a, 1 * mV, Current(5 * ms)))),
        ("known for Poisson sources only", "mean="),
    ),
    "equations without noise": (
        lambda: build(pop(neuron=equation("dv/dt = (noise - v)/(5*ms) : volt"))),
        ("use 'noise', but the population has none",),
    ),
    "not linear": (
        lambda: build(pop(neuron=EquationNeuron("dx/dt = -abs(x)/(5*ms) : 1", method="exponential_euler"))),
        ("dx/dt of 'cells' is not linear in x", "method='euler'"),
    ),
    "floor of a graded trace": (
        lambda: wired(
            lambda a, b: arrow(
                a, b, plasticity=rule(factors={"s": LowPass(Signal("post", "v"), 5 * ms, floor=0.1), "v": Signal("post", "v")})
            )
        ),
        ("has a floor, which is for traces of spikes",),
    ),
    "not a sum of products": (lambda: rule(eligibility=Eligibility("s/v", tau=5 * ms)), ("not a sum of products", "Transformed(signal")),
    "division by zero": (lambda: rule(eligibility=Eligibility("s/0", tau=5 * ms)), ("not a sum of products",)),
    "learning release without release": (
        lambda: arrow(source(), pop(), plasticity=rule(target="release")),
        ("learns release, but there is none", "release=Release(...)"),
    ),
    "release of a graded output": (
        lambda: Projection(pop("x", 2, Rate()), pop(), 1 * mV, Graded(), release=Release()),
        ("release needs spikes",),
    ),
    "learning without a task": (
        lambda: build(a := source(), b := pop(), arrow(a, b, plasticity=rule())),
        ("no task that gives reward", "add a task"),
    ),
    "integral for ever": (
        lambda: wired(lambda a, b: arrow(a, b, plasticity=rule(eligibility=Eligibility("s*v"))), reset=False),
        ("has no tau, so it would grow for ever",),
    ),
    "paired pass within a trial": (
        lambda: wired(lambda a, b: arrow(a, b, plasticity=rule(modulator=Modulator("r", baseline=PairedPass()))), reward="error"),
        ("'r' compares two whole passes", "update='episodic'"),
    ),
    "paired pass and a bar that moves": (
        lambda: wired(lambda a, b: arrow(a, b, plasticity=rule(modulator=Modulator("r", baseline=PairedPass()), update="episodic"))),
        ("the task's bar moves in each of them", "threshold=a number"),
    ),
    "paired pass without reset": (
        lambda: wired(
            lambda a, b: arrow(a, b, plasticity=rule(modulator=Modulator("r", baseline=PairedPass()), update="episodic")), reset=False
        ),
        ("trials must start anew", "reset=True"),
    ),
    "paired pass with release": (
        lambda: wired(
            lambda a, b: arrow(
                a, b, release=Release(), plasticity=rule(modulator=Modulator("r", baseline=PairedPass()), update="episodic")
            ),
            reward="error",
        ),
        ("cannot be switched off for a first pass", "PairedPass(noise='other')"),
    ),
    "two modulators on one population": (
        lambda: build(
            cells := source(),
            out := pop("out", 2, Readout(tau=5 * ms)),
            track(out),
            Modulator("a", dopamine=Dopamine(cells, 50 * Hz, 9 * ms, gain=1 * Hz)),
            Modulator("b", dopamine=Dopamine(cells, 50 * Hz, 9 * ms, gain=1 * Hz)),
        ),
        ("population 'source' carries two modulators",),
    ),
    "arrivals at different times": (
        lambda: wired(lambda a, b: arrow(a, b, delay=np.ones((3, 3)) * ms, plasticity=rule())),
        ("have different delays", "use one delay"),
    ),
    "what is no modulator": (lambda: rule(modulator="reward"), ("ThreeFactorRule.modulator must be a Modulator", "'reward'")),
    "what is no rule": (lambda: rule(factors=[Signal("pre", "spikes")]), ("ThreeFactorRule.factors must be a dict",)),
    "task on spikes": (
        lambda: Reach(
            inputs=pop("x", 2, Pattern()),
            outputs=pop("y", 2),
            targets=[[1.0, 0.0]],
            encoder=np.zeros((2, 2)),
            decoder=np.zeros((2, 2)),
            offset=np.zeros(2),
            radius=1.0,
            steps=9,
        ),
        ("Reach needs graded inputs",),
    ),
    "input that is not given": (
        lambda: build(x := pop("x", 1, Rate()), y := pop("y", 1, Rate()), Regression(inputs=x, outputs=y, teacher=[[1.0]], steps=1)),
        ("sets the input 'x', which must be a Pattern", "Rate declared at"),
    ),
    "task of what is no population": (lambda: TrackTarget(readout="out", target=[[0.0]], interval=1 * ms, steps=2), ("not a population",)),  # type: ignore[arg-type]
    "environment without step": (
        lambda: PythonTask(environment=object(), inputs=(), outputs=(), steps=5),
        ("environment has no method 'reset'", "object"),
    ),
    "equation that cannot be read": (lambda: equation("dv/dt = -v/(5*ms)"), ("cannot be read", "'dx/dt = expression : unit'")),
    "no differential equation": (lambda: equation("x : 1"), ("no differential equation",)),
    "reserved name": (lambda: equation("dt = 5 : 1"), ("define 'dt', which is reserved", "rename it")),
    "name of a function": (lambda: equation("dexp/dt = 1/(5*ms) : 1"), ("define 'exp', which is reserved",)),
    "flag of an equation": (lambda: equation("dv/dt = -v/(5*ms) : volt (event-driven)"), ("flag '(event-driven)'", "unless refractory")),
    "threshold that is no condition": (lambda: equation(threshold="v"), ("the threshold 'v' is no condition",)),
    "circle of subexpressions": (lambda: equation("dv/dt = a/(5*ms) : 1\na = b : 1\nb = a : 1"), ("refer to each other in a circle",)),
    "neither threshold nor output": (
        lambda: build(x := pop("x", 2, equation()), y := pop("y", 2, Rate()), Projection(x, y, 1.0, Graded())),
        ("output='r'",),
    ),
    "deviation of a time constant": (lambda: Deviation(Signal("pre", "spikes"), 0 * ms), ("Deviation.tau", "greater than zero")),
    "transformed by nonsense": (lambda: Transformed(Signal("post", "v"), "x +"), ("cannot be read",)),
    "bias of a coin": (lambda: Bernoulli(bias=NAN), ("Bernoulli.bias", "not finite")),
}


@pytest.mark.parametrize("name", CASES)
def test_mistake(name: str):
    wrong, says = CASES[name]
    with pytest.raises(DescriptionError) as caught:
        wrong()
    message = str(caught.value)
    for words in says:
        assert words in message, f"'{words}' is not in:\n{message}"
    assert caught.value.where is not None, f"no line in:\n{message}"
    assert f"declared at: {__file__}:{caught.value.where.line}" in message
    assert type(caught.value) is UnitsError or "unit" not in says[0] or "has the wrong" not in says[0]


def test_the_line_is_the_users_own():
    """Not that of a helper inside neuroplast, and not that of the network that was discretized later."""
    here = test_the_line_is_the_users_own.__code__.co_firstlineno
    cells = Population("cells", 3, LIF(tau=9 * ms, v_rest=0 * mV, v_threshold=1 * mV, v_reset=0 * mV))
    noisy = Population(
        "noisy",
        3,
        Rate(),
        noise=White([0.1, 0.2]),
    )
    with pytest.raises(DescriptionError) as caught:
        build(cells, noisy)
    assert caught.value.where is not None and here + 3 <= caught.value.where.line <= here + 6
    with pytest.raises(DescriptionError) as caught:
        LIF(tau=-1 * ms, v_rest=0 * mV, v_threshold=1 * mV, v_reset=0 * mV)
    assert caught.value.where is not None and caught.value.where.line == here + 14


def test_unknown_nodes_and_targets_are_guessed():
    network = Network("mine")
    network.add(pop("motor"))
    for wrong, guess in ((lambda: network["motr"], "motor"), (lambda: target_named("refrence"), "reference")):
        with pytest.raises(DescriptionError, match=f"Did you mean '{guess}'"):
            wrong()
    with pytest.raises(DescriptionError, match="this cannot be added"):
        network.add(5)  # type: ignore[type-var]
    with pytest.raises(DescriptionError, match="has no population"):
        discretize(Network("empty"), DT)


def test_errors_are_of_one_family():
    assert issubclass(UnitsError, DescriptionError) and issubclass(TaskError, NeuroplastError)

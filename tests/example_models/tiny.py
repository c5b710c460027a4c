"""A model small enough to train in a blink: two linear units learn a teacher by node perturbation, one step a trial."""

from types import SimpleNamespace

import numpy as np

from neuroplast.lab import Lab
from neuroplast.model import Claim, Measured, Model, Parameter, Skip
from neuroplast.modulation import Modulator, RunningMean
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import Pattern, Rate
from neuroplast.noise import White
from neuroplast.plasticity import Eligibility, Signal, ThreeFactorRule
from neuroplast.results import array
from neuroplast.synapses import Graded
from neuroplast.tasks import Regression
from neuroplast.units import ms, mV


def network(p: SimpleNamespace, seed: int) -> Network:
    net = Network("tiny", seed)
    x = net.add(Population("x", p.n_inputs, Pattern()))
    y = net.add(Population("y", 2, Rate(transfer="linear", tau=0 * ms), White(p.sigma, every="trial")))
    rule = ThreeFactorRule(
        {"pre": Signal("pre", "rate"), "noise": Signal("post", "noise")},
        Eligibility("pre*noise", tau=0),
        Modulator("surprise", RunningMean(trials=10)),
        rate=p.rate,
        update="episodic",
    )
    projection = net.add(Projection(x, y, 0.0, Graded(), plasticity=rule))
    net.add(
        Regression(inputs=x, outputs=y, teacher=np.full((2, p.n_inputs), p.teacher), x=np.ones(p.n_inputs), steps=2)
    )
    net.add(Monitor(projection, "weight", every="trial"))
    net.add(Monitor(y, "rate", trials="all"))
    return net


def _improves(lab: Lab) -> Measured:
    ratios = {}
    for seed in lab.seeds(2):
        error = array(lab.run(seed), "learning/error")
        ratios[seed] = float(error[-50:].mean() / error[:20].mean())
    worst = max(ratios.values())
    return Measured(worst, f"final / first error {worst:.2f}", worst < 0.7, list(ratios))


def _too_good(lab: Lab) -> Measured:
    error = float(array(lab.run(0), "learning/error")[-50:].mean())
    return Measured({"error": error}, f"error {error:.3f}", error < 1e-9, [0])


def _not_here(lab: Lab) -> Measured:
    raise Skip("needs a chip")


MODEL = Model(
    name="tiny",
    title="A tiny model",
    citation="Nobody (2026)",
    doi="10.1000/tiny",
    equations="dw = rate (R - mean R) x noise",
    parameters={
        "dt": Parameter(1 * ms, "chosen", "any step will do"),
        "trials": Parameter(600, "chosen"),
        "n_inputs": Parameter(4, "paper"),
        "rate": Parameter(0.1, "paper"),
        "sigma": Parameter(0.1, "paper"),
        "teacher": Parameter(0.5, "code"),
        "scale": Parameter(20 * mV, "card", "not used; a parameter with a unit"),
    },
    network=network,
    dt="dt",
    trials="trials",
    quick={"trials": 200},
    claims=(
        Claim("learns", "The error falls.", "Nobody, figure 1", "final / first error below 0.7", _improves),
        Claim("perfect", "Nothing is left of the error.", "chosen", "below 1e-9", _too_good),
        Claim("on_chip", "It learns on a chip.", "chosen", "the same error", _not_here),
    ),
    learning_measure="error",
)

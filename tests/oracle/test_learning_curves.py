"""Exact learning curves of node and weight perturbation on a linear network (Werfel, Xie & Seung 2003, 2005).

x ~ N(0, I_N) fresh in each trial, teacher d = W* x, student y = W x, E_t = 1/2 |W - W*|^2.  E_{t+1} = a E_t + b with

    node perturbation     a = 1 - 2 eta + eta^2 (M + 2)(N + 2)      b = eta^2 sigma^2 M (M + 2)(M + 4) N / 8
    weight perturbation   a = 1 - 2 eta + eta^2 (MN + 2)(N + 2)     b = eta^2 sigma^2 M (M + 2)(MN + 4) N (N + 2) / 8

The mean over many runs has to follow the formula within 3 % at the checkpoints of the card.  Runs are independent because the noise
of each trial is: after T trials the weights are set to zero and the next run goes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroplast.backends.reference import Recorder
from neuroplast.ir.discretize import discretize
from neuroplast.ir.program import StepProgram
from neuroplast.modulation import Modulator, PairedPass
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import Pattern, Rate
from neuroplast.noise import White
from neuroplast.plasticity import Eligibility, Factor, Signal, ThreeFactorRule
from neuroplast.synapses import Graded
from neuroplast.tasks import Regression
from neuroplast.units import ms

N, M = 10, 5
TOLERANCE = 0.03
TEACHER = np.random.default_rng(0).normal(size=(M, N))


def network(node: bool, sigma: float, eta: float) -> StepProgram:
    """dW = -(eta/sigma^2) [E(with noise) - E(without)] xi x', or Psi in place of xi x'."""
    net = Network("werfel", seed=1)
    x = net.add(Population("x", N, Pattern()))
    y = net.add(Population("y", M, Rate(), noise=White(sigma) if node else None))
    factors: dict[str, Factor] = {"x": Signal("pre", "rate")}
    factors |= {"xi": Signal("post", "noise")} if node else {"psi": Signal("synapse", "noise")}
    rule = ThreeFactorRule(
        factors, Eligibility("x*xi" if node else "psi", tau=0), Modulator("reward", baseline=PairedPass("off")),
        rate=eta / sigma**2, update="episodic",
    )
    noise = None if node else White(sigma, every="trial")
    net.add(Projection(x, y, 0.0, Graded(), noise=noise, plasticity=rule))
    net.add(Regression(inputs=x, outputs=y, teacher=TEACHER, steps=1))
    return discretize(net, 1 * ms)


def curves(executable: Any, trials: int, runs: int) -> np.ndarray:
    """E at 0, T/3, 2T/3, T of each run."""
    weight, recorder = executable.arrays["x_y_weight"], Recorder((), {}, 2)
    errors = np.empty((runs, 4))
    for run in range(runs):
        weight[:] = 0.0
        for part in range(4):
            if part:
                executable.run(trials // 3, recorder)
            errors[run, part] = 0.5 * np.sum((weight.reshape(N, M).T - TEACHER) ** 2)
    return errors


@pytest.mark.parametrize(
    ("kind", "speed", "sigma", "trials", "runs"),
    [
        ("node", 1.0, 1e-3, 252, 4000),
        ("node", 1.0, 0.5, 252, 4000),
        ("weight", 1.0, 1e-3, 1872, 2000),
        ("weight", 1.0, 0.5, 1872, 3200),
        ("weight", 0.5, 0.5, 1872, 2400),
    ],
)
def test_learning_curve(fast, kind, speed, sigma, trials, runs):
    """speed: eta over the optimal one."""
    node = kind == "node"
    dimension = M if node else M * N
    eta = speed / ((dimension + 2) * (N + 2))
    a = 1 - 2 * eta + eta**2 * (dimension + 2) * (N + 2)
    b = eta**2 * sigma**2 * M * (M + 2) * N / 8 * ((M + 4) if node else (M * N + 4) * (N + 2))
    errors = curves(fast.prepare(network(node, sigma, eta)), trials, runs)
    t = np.arange(4) * (trials // 3)
    theory = a**t * errors[0, 0] + b * (1 - a**t) / (1 - a)
    ratio, spread = errors.mean(0) / theory, errors.std(0, ddof=1) / np.sqrt(runs) / theory
    print(
        f"{kind} perturbation, eta/eta_opt {speed}, sigma {sigma}: E {np.round(errors.mean(0), 2)}, theory {np.round(theory, 2)}, "
        f"ratio {np.round(ratio, 4)} +- {np.round(spread, 4)}"
    )
    assert np.all(spread < TOLERANCE / 2), "too few runs for this tolerance to mean something"
    assert np.all(np.abs(ratio - 1) < TOLERANCE)


def test_best_learning_rate(fast):
    """The error after 60 trials of node perturbation is least at eta_opt = 1/((M + 2)(N + 2)), within 15 %."""
    best = 1 / ((M + 2) * (N + 2))
    factors = np.array([0.6, 0.8, 1.0, 1.2, 1.4])
    final = [curves(fast.prepare(network(True, 1e-3, best * f)), 60, 3000)[:, -1].mean() for f in factors]
    parabola = np.polyfit(factors, np.log(final), 2)
    minimum = -parabola[1] / (2 * parabola[0])
    print(f"best eta / eta_opt: {minimum:.3f}; errors {np.round(final, 2)}")
    assert parabola[0] > 0 and abs(minimum - 1) < 0.15

"""Reward-modulated Hebbian learning in a brain-control task (Legenstein, Chase, Schwartz & Maass 2010).

R. Legenstein, S. M. Chase, A. B. Schwartz, W. Maass: A reward-modulated Hebbian learning rule can explain experimentally
observed network reorganization in a brain control task. J Neurosci 30:8400-8410 (2010), 10.1523/JNEUROSCI.4284-09.2010.

A monkey moves a cursor by the activity of 40 recorded neurons of its motor cortex, decoded by their preferred directions (PDs).
Then the PDs that the decoder assumes for some of them are rotated by 90 degrees (Jarosiewicz et al. 2008). The monkey learns to
reach again, and neurons whose decoding was rotated change their tuning more than the others: credit goes where it is due.
The model does this with one global reward and with noise that the synapses cannot tell from the signal.

    cortex    a_i = sum_j w_ij x_j + xi_i,  xi ~ U[-nu, nu];     s_i = max(0, a_i)                         340 units, 100 inputs
    cursor    y = k (3/40) sum_i p_i (s_i - beta_i)/alpha_i      the population vector of the 40 recorded units
    input     x = A y*,  y* the direction from cursor to target
    reward    R = y . y* / (|y| |y*|)                            the cosine of the angular error
    EH rule   dw_ij = eta x_j (a_i - abar_i) (R - Rbar)          abar(t) = 0.8 abar(t-1) + 0.2 a(t), Rbar likewise

A session: draw the weights; fit each unit's tuning s = beta + alpha p.y* by regression; rotate the p of 25 or 50 % of the
recorded units; 320 reaches from the origin to the corners of a cube, learning in every step of 1/30 s; fit the tuning again.

What the paper leaves open, and what was taken here (``PARAMETERS`` says it for each number):

* There is no published code; noise, learning rate and cursor gain are not known. Source "card" is a reconstruction in which
  all of the paper's qualitative results appear; the tolerances of the claims are from there too.
* Units: rates and a are in Hz, lengths in m. x is scaled to mean |x|^2 = 1 over all directions, and the weights so that the
  fastest recorded unit reaches 120 Hz. With w ~ U[-0.5, 0.5] and x scaled instead, a and its changes are the same, and eta
  is what it is here, the dimensionless kappa = eta mean |x|^2, over mean |x|^2.
* Deviations are from the means without this step, a(t) - abar(t-1): so in the card, whose row "abar = previous a" means
  nothing otherwise. Those from the means with this step are 0.8 of them, for a and for R alike, so the rule as printed in the
  paper is this one, exactly, with its eta = kappa / 0.64. (With kappa 0.64 times as large, all claims come out as well.)
* The change due to R(t), x(t) and a(t) is made after the activity of step t+1 was computed, a step later than in the paper: a
  reward is known when the step is over. Which R belongs to which x and a is exact, also from one reach to the next, as neither
  the means nor anything else of the network is reset. The means begin at 0, which costs about ten steps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.stats import binomtest

from neuroplast.errors import DescriptionError
from neuroplast.lab import Lab
from neuroplast.model import Claim, Measured, Model, Parameter
from neuroplast.modulation import Modulator, RunningMean
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import Pattern, Rate
from neuroplast.noise import White
from neuroplast.plasticity import Deviation, Eligibility, Signal, ThreeFactorRule
from neuroplast.ranges import above, at_least
from neuroplast.synapses import Graded
from neuroplast.tasks import Reach
from neuroplast.units import second

if TYPE_CHECKING:
    from neuroplast.report.section import Section

EQUATIONS = """\
a_i = sum_j w_ij x_j + xi_i,  xi ~ U[-nu, nu];  s_i = max(0, a_i)
y = k (3/n) sum_i p_i (s_i - beta_i)/alpha_i;  x = A y*;  R = y . y* / (|y| |y*|)
dw_ij = kappa x_j (a_i - abar_i) (R - Rbar), mean |x|^2 = 1;  abar <- 0.8 abar + 0.2 a, Rbar likewise"""

PARAMETERS = {
    "dt": Parameter(second / 30, "paper", "one step of the simulation", allowed=above(0)),
    "trials": Parameter(320, "card", "reaches in a session; the paper's number is not certain", allowed=at_least(1)),
    "n_inputs": Parameter(100, "paper", "m, input units", allowed=at_least(3)),
    "n_cortex": Parameter(340, "paper", "n_total; all of them together would move the arm", allowed=at_least(3)),
    "n_recorded": Parameter(40, "paper", "n, those that move the cursor", allowed=at_least(3)),
    "weight_range": Parameter(
        0.5, "card", "w ~ U[-0.5, 0.5] before the common scale (from a third party's implementation)",
        allowed=above(0),
    ),
    "peak_rate": Parameter(120.0, "card", "Hz; of the fastest recorded unit in its preferred direction", allowed=above(0)),
    "rotated": Parameter(0.5, "paper", "fraction of the recorded units whose decoding PD is rotated: 0.25 or 0.5", allowed=at_least(0, 1)),
    "angle": Parameter(90.0, "paper", "degrees; about one of the axes x, y, z, drawn once a session"),
    "exploration": Parameter(40.0, "card", "nu, Hz; GAP in the paper, where the effect needs high noise", allowed=at_least(0)),
    "learning_rate": Parameter(
        0.03, "card", "kappa = eta mean |x|^2; GAP in the paper (whose eta is kappa/0.64, see above)",
        allowed=at_least(0),
    ),
    "memory": Parameter(0.8, "paper", "what the running means of a and R keep in a step", allowed=above(0, 0.999)),
    "noise_known": Parameter(False, "paper", "True: the rule is given xi in place of a - abar, which is node perturbation"),
    "distance": Parameter(0.11, "card", "m; from the origin to each corner of the cube of targets", allowed=above(0)),
    "radius": Parameter(0.016, "card", "m; a target is hit within it", allowed=above(0)),
    "speed": Parameter(
        0.16, "chosen", "k, m/s; GAP: a reach then takes (0.11 - 0.016) m/k = 18 steps, the card's number",
        allowed=above(0),
    ),
    "patience": Parameter(
        4 * second, "chosen", "longest reach, 120 steps; GAP: the paper does not say when one is given up",
        allowed=above(0),
    ),
}


@dataclass(frozen=True)
class Session:
    """What is there when learning begins. Units 0 to n_recorded - 1 of the cortex are the recorded ones.

    weights: (cortex, inputs).  encoder: A, (inputs, 3).  directions: (recorded, 3), their PDs.  decoder: (3, recorded), the
    population vector, and offset: (recorded,), the baselines.  rotated: (recorded,) bool.  axis: 0 to 2, of the rotation.
    """

    weights: np.ndarray
    encoder: np.ndarray
    directions: np.ndarray
    decoder: np.ndarray
    offset: np.ndarray
    rotated: np.ndarray
    axis: int


def sphere(n: int = 2000) -> np.ndarray:
    """(n, 3) directions spread evenly (a Fibonacci lattice)."""
    height, turn = 1 - (2 * np.arange(n) + 1) / n, np.pi * (3 - np.sqrt(5)) * np.arange(n)
    return np.stack([np.cos(turn) * np.sqrt(1 - height**2), np.sin(turn) * np.sqrt(1 - height**2), height], axis=1)


def rates(weights: np.ndarray, encoder: np.ndarray) -> np.ndarray:
    """(directions, units): the rates without noise for each desired direction."""
    return np.maximum(sphere() @ (weights @ encoder).T, 0.0)


def tuning(weights: np.ndarray, encoder: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear regression s = beta + alpha p.y*: baselines (n,), modulation depths (n,), preferred directions (n, 3)."""
    design = np.column_stack([np.ones(len(sphere())), sphere()])
    fit = np.linalg.lstsq(design, rates(weights, encoder), rcond=None)[0]
    depth = np.linalg.norm(fit[1:], axis=0)
    return fit[0], depth, (fit[1:] / depth).T


def plane(axis: int) -> tuple[int, int]:
    """The two axes that a rotation about the third turns into each other."""
    return (axis + 1) % 3, (axis + 2) % 3


def turned(vectors: np.ndarray, axis: int, degrees: float) -> np.ndarray:
    """(n, 3) vectors rotated about a coordinate axis."""
    (u, v), angle, result = plane(axis), np.radians(degrees), vectors.copy()
    result[:, u] = np.cos(angle) * vectors[:, u] - np.sin(angle) * vectors[:, v]
    result[:, v] = np.sin(angle) * vectors[:, u] + np.cos(angle) * vectors[:, v]
    return result


def lasting(values: np.ndarray) -> np.ndarray:
    """Rounded to single precision: the last digits of linear algebra depend on the processor and its threads, and a network must
    be the same wherever its run goes on."""
    return values.astype(np.float32).astype(float)


def session(p: SimpleNamespace, seed: int) -> Session:
    """Draw the network, calibrate the decoder, rotate it. Of one seed, the units rotated at 25 % are among those at 50 %."""
    rng, n = np.random.default_rng(seed), p.n_recorded
    if n > p.n_cortex:
        raise DescriptionError("more neurons are recorded than there are", got=f"n_recorded {n}", allowed=f"at most n_cortex, {p.n_cortex}")
    weights = rng.uniform(-p.weight_range, p.weight_range, (p.n_cortex, p.n_inputs))
    assumed = rng.normal(size=(3, p.n_cortex))
    assumed /= np.linalg.norm(assumed, axis=0)
    # the input with which the arm, decoded from all units by the PDs assumed for them, would move along y*
    encoder = np.linalg.pinv(weights) @ np.linalg.pinv(assumed)
    encoder = lasting(encoder * np.sqrt(3 / np.sum(encoder**2)))
    weights = lasting(weights * p.peak_rate / np.linalg.norm(weights[:n] @ encoder, axis=1).max())
    baseline, depth, directions = tuning(weights[:n], encoder)
    axis, rotated = int(rng.integers(3)), rng.permutation(n) < round(p.rotated * n)
    assigned = np.where(rotated[:, None], turned(directions, axis, p.angle), directions)
    decoder = lasting(3 / n * (assigned / depth[:, None]).T)
    return Session(weights, encoder, directions, decoder, lasting(baseline), rotated, axis)


def network(p: SimpleNamespace, seed: int) -> Network:
    """The network and its task."""
    start, others = session(p, seed), p.n_cortex - p.n_recorded
    tau = p.dt / np.log(1 / p.memory)
    net = Network("brain_control", seed)
    inputs = net.add(Population("inputs", p.n_inputs, Pattern()))
    noise = White(p.exploration / np.sqrt(3), law="uniform")
    cortex = net.add(Population("cortex", p.n_cortex, Rate(transfer="relu"), noise=noise))
    dopamine = Modulator("dopamine", baseline=RunningMean(tau=tau))
    probe = Signal("post", "noise") if p.noise_known else Deviation(Signal("post", "activation"), tau)
    eh = ThreeFactorRule(
        factors={"x": Signal("pre", "rate"), "d": probe},
        eligibility=Eligibility("x*d", tau=0),  # no memory: R(t) is for x(t) and a(t)
        modulator=dopamine,
        rate=p.learning_rate / p.dt.to("second").magnitude,  # kappa is per step, the rule's rate per second
    )
    net.add(Projection(inputs, cortex, start.weights, Graded(), plasticity=eh))
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / np.sqrt(3)
    task = Reach(
        inputs=inputs, outputs=cortex, targets=p.distance * corners, radius=p.radius, duration=p.patience, reset=False,
        encoder=start.encoder, decoder=p.speed * np.pad(start.decoder, [(0, 0), (0, others)]),
        offset=np.pad(start.offset, (0, others)),
    )
    net.add(task)
    net.add(Monitor(cortex, "rate", units=np.arange(p.n_recorded)))
    net.add(Monitor(dopamine, "reward"))
    net.add(Monitor(dopamine, "value"))
    return net


# --- what came of it ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """A session judged without noise.  cosines: (directions,) between the cursor's movement and the desired one, before and
    after.  shift: (recorded,) degrees between a unit's PDs before and after.  turn: (recorded,) the signed part of the shift
    about the axis of rotation, positive in the sense that undoes it.  rotated: (recorded,) bool."""

    cosines: tuple[np.ndarray, np.ndarray]
    shift: np.ndarray
    turn: np.ndarray
    rotated: np.ndarray

    @property
    def match(self) -> tuple[float, float]:
        return float(self.cosines[0].mean()), float(self.cosines[1].mean())

    def groups(self, values: np.ndarray) -> tuple[float, float]:
        """Means over rotated and over other units."""
        return float(values[self.rotated].mean()), float(values[~self.rotated].mean())


def cosines(start: Session, weights: np.ndarray) -> np.ndarray:
    """(directions,): between the cursor's movement without noise and the desired one. weights: of the recorded units."""
    y = (rates(weights, start.encoder) - start.offset) @ start.decoder.T
    return np.sum(y * sphere(), axis=1) / np.linalg.norm(y, axis=1)


def outcome(p: SimpleNamespace, seed: int, tree: xr.DataTree) -> Outcome:
    """Judge a run by its weights."""
    start = session(p, seed)
    before, after = (np.asarray(tree[f"weights_{when}/inputs_cortex"])[: p.n_recorded] for when in ("initial", "final"))
    old, (_, _, new), (u, v) = start.directions, tuning(after, start.encoder), plane(start.axis)
    shift = np.degrees(np.arccos(np.clip(np.sum(old * new, axis=1), -1, 1)))
    turn = np.degrees(np.arctan2(new[:, v], new[:, u]) - np.arctan2(old[:, v], old[:, u]))
    return Outcome((cosines(start, before), cosines(start, after)), shift, (turn + 180) % 360 - 180, start.rotated)


# --- claims -------------------------------------------------------------------------------------------------------------------

SESSIONS = 20
"""Seeds of each claim; the quick version takes the first ten. Single sessions may go against the ordering."""


class Condition:
    """Sessions of all seeds under one condition. match: (before, after);  shift, turn: (rotated, others): means over seeds.
    rose: seeds in which the match rose.  more: in which rotated units shift more.  p, p_turn: sign tests, one-sided."""

    def __init__(self, lab: Lab, **changes: Any) -> None:
        values, self.seeds = lab.parameters(**changes), lab.seeds(SESSIONS)
        trees = lab.runs(self.seeds, record=False, **changes)
        found = [outcome(values, seed, tree) for seed, tree in zip(self.seeds, trees, strict=True)]
        match, shift, turn = (np.array(rows) for rows in (
            [o.match for o in found], [o.groups(o.shift) for o in found], [o.groups(o.turn) for o in found],
        ))
        self.n, self.rose = len(found), int(np.sum(match[:, 1] > match[:, 0]))
        self.match, self.shift, self.turn = match.mean(axis=0), shift.mean(axis=0), turn.mean(axis=0)
        self.ratio, self.more = float(self.shift[0] / self.shift[1]), int(np.sum(shift[:, 0] > shift[:, 1]))
        more_turn = int(np.sum(turn[:, 0] > turn[:, 1]))
        self.p, self.p_turn = (float(binomtest(k, self.n, alternative="greater").pvalue) for k in (self.more, more_turn))
        self.match_text = "match {:.3f} -> {:.3f}".format(*self.match) + f", rises in {self.rose} of {self.n}"
        self.turn_text = "in plane {:.1f} vs {:.1f} deg".format(*self.turn) + f", p = {self.p_turn:.2g}"
        self.shift_text = "shift {:.1f} vs {:.1f} deg".format(*self.shift) + (
            f" (ratio {self.ratio:.2f}), rotated more in {self.more} of {self.n}, p = {self.p:.2g}"
        )


def recovers(rotated: float, least: float) -> Claim:
    def measure(lab: Lab) -> Measured:
        c = Condition(lab, rotated=rotated)
        return Measured(float(c.match[1]), c.match_text, c.rose == c.n and c.match[1] >= least, c.seeds)

    return Claim(
        f"recovers_{rotated * 100:.0f}", f"Performance recovers after the decoding of {rotated:.0%} of the units was rotated.",
        "paper, abstract; tolerance: card", f"match without noise rises in every seed, to a mean of {least} or more", measure,
    )


def credit(rotated: float) -> Claim:
    def measure(lab: Lab) -> Measured:
        c = Condition(lab, rotated=rotated)
        return Measured(c.ratio, c.shift_text, c.p < 0.05, c.seeds)

    return Claim(
        f"credit_{rotated * 100:.0f}", f"Units with rotated decoding ({rotated:.0%}) change their tuning more than the others.",
        "paper, abstract; tolerance: card", "mean PD shift rotated > others, sign test over seeds p < 0.05", measure,
    )


def undoes(lab: Lab) -> Measured:
    """The signed shift in the plane of rotation."""
    found = {f"{rotated:.0%}": Condition(lab, rotated=rotated) for rotated in (0.25, 0.5)}
    text = "; ".join(f"{name}: {c.turn_text}" for name, c in found.items())
    holds = all(c.p_turn < 0.05 and min(c.turn) > 0 for c in found.values())
    return Measured({name: c.turn.tolist() for name, c in found.items()}, text, holds, lab.seeds(SESSIONS))


def no_credit(lab: Lab) -> Measured:
    c = Condition(lab, rotated=0.25, exploration=5.0)
    text = f"{c.shift_text}; {c.turn_text}; {c.match_text}"
    return Measured(c.ratio, text, c.p >= 0.05 and c.ratio < 1.3 and c.match[1] <= c.match[0], c.seeds)


def grows(lab: Lab) -> Measured:
    ratios = {f"{nu:g}": Condition(lab, rotated=0.25, exploration=nu).ratio for nu in (5.0, 20.0, 40.0)}
    text = ", ".join(f"nu = {nu}: {ratio:.2f}" for nu, ratio in ratios.items())
    return Measured(ratios, text, bool(np.all(np.diff(list(ratios.values())) > 0)), lab.seeds(SESSIONS))


def unstable(lab: Lab) -> Measured:
    c = Condition(lab, rotated=0.25, exploration=2.0, learning_rate=0.1)
    return Measured(float(c.match[1] - c.match[0]), c.match_text, c.match[1] < c.match[0] - 0.1, c.seeds)


def not_told(lab: Lab) -> Measured:
    """The EH rule against node perturbation, which is given the noise itself."""
    rules = {"a - abar": False, "xi": True}
    found = {
        f"{rotated:.0%}, {name}": Condition(lab, rotated=rotated, noise_known=known)
        for rotated in (0.25, 0.5) for name, known in rules.items()
    }
    text = "; ".join(f"{name}: match {c.match[1]:.3f}, ratio {c.ratio:.2f}, p = {c.p:.2g}" for name, c in found.items())
    holds = all(c.rose == c.n and c.ratio > 1 and c.turn[0] > c.turn[1] for c in found.values())
    return Measured({name: c.ratio for name, c in found.items()}, text, holds, lab.seeds(SESSIONS))


CLAIMS = (
    recovers(0.25, 0.97), recovers(0.5, 0.95), credit(0.25), credit(0.5),
    Claim(
        "undoes_rotation", "Tuning turns in the sense that undoes the rotation, in rotated units more than in the others.",
        "paper, abstract; tolerance: card", "in-plane shift > 0, rotated > others with p < 0.05, at 25 and 50 %", undoes,
    ),
    Claim(
        "no_credit_at_small_noise", "With little noise (nu = 5, 25 %) credit is not assigned and performance does not recover.",
        "paper, abstract: it is high noise that works; tolerance: card",
        "sign test p >= 0.05, ratio of the shifts below 1.3, mean match does not rise", no_credit,
    ),
    Claim(
        "credit_grows_with_noise", "The more noise, the more rotated units shift in relation to the others (25 %).", "card",
        "ratio of the shifts rises from nu = 5 to 20 to 40", grows,
    ),
    Claim(
        "unstable_at_small_noise", "With very little noise and fast learning (nu = 2, kappa = 0.1, 25 %) performance is lost.",
        "card", "mean match falls by more than 0.1", unstable,
    ),
    Claim(
        "not_told_what_is_noise", "The rule does from a - abar what node perturbation does from the noise itself.",
        "paper, abstract; tolerance: card", "with both: match rises in every seed, rotated units shift and turn more", not_told,
    ),
)


# --- report -------------------------------------------------------------------------------------------------------------------


def report(tree: xr.DataTree) -> list[Section]:
    """Which units changed, and how well the cursor follows without noise, before and after."""
    from matplotlib.figure import Figure

    from neuroplast.report.figures import BLUE, SERIES, SOFT, WIDTH, style
    from neuroplast.report.section import Section, figure, table

    used = {name: about["value"] for name, about in json.loads(tree.attrs["parameters"]).items()}
    found = outcome(MODEL.values(overrides=used), int(tree.attrs["seed"]), tree)
    errors = [np.degrees(np.arccos(np.clip(c, -1, 1))) for c in found.cosines]
    shift, turn = found.groups(found.shift), found.groups(found.turn)
    with style():
        drawing = Figure(figsize=(WIDTH, 2.8), layout="constrained")
        left, right = drawing.subplots(1, 2)
        for place, units in enumerate((found.rotated, ~found.rotated)):
            across, colour = place + np.linspace(-0.25, 0.25, units.sum()), (SERIES[1], BLUE)[place]
            left.plot(across, np.sort(found.shift[units]), "o", color=colour, markersize=3.5, alpha=0.7)
            left.hlines(shift[place], place - 0.35, place + 0.35, color=colour, linewidth=2)
        left.set(xticks=[0, 1], xticklabels=["rotated", "others"], xlim=(-0.6, 1.6), ylabel="shift of the PD (degrees)")
        left.set_ylim(bottom=0)
        left.set_title("each recorded unit, and the mean")
        edges = np.linspace(0, float(np.max(errors)), 46)
        right.hist(errors[0], edges, color=SOFT, alpha=0.45, label="before")
        right.hist(errors[1], edges, color=BLUE, histtype="step", linewidth=1.4, label="after")
        right.set(xlabel="error of the cursor (degrees)", ylabel="directions")
        right.set_title("without noise")
        right.legend()
    html = figure(
        drawing, "Shifts of preferred directions in rotated and other units, and errors of the cursor before and after.",
        f"Left: change of each recorded unit's preferred direction (PD) in the session: rotated {shift[0]:.1f}, others "
        f"{shift[1]:.1f} degrees on average; {turn[0]:.1f} and {turn[1]:.1f} in the plane and sense that undo the rotation. "
        f"Right: angle between the cursor's movement and the desired one for {errors[0].size} directions, with the noise off.",
    )
    rows = [("mean cosine (match)", *found.match), ("mean error (degrees)", *(float(e.mean()) for e in errors))]
    return [Section("Who learned: credit assignment", html + table(("without noise", "before", "after"), rows))]


MODEL = Model(
    name="brain_control",
    title="A reward-modulated Hebbian rule reorganizes motor cortex in a brain-control task",
    citation="Legenstein R, Chase SM, Schwartz AB, Maass W (2010) A reward-modulated Hebbian learning rule can explain "
    "experimentally observed network reorganization in a brain control task. J Neurosci 30:8400-8410",
    doi="10.1523/JNEUROSCI.4284-09.2010",
    equations=EQUATIONS,
    parameters=PARAMETERS,
    network=network,
    dt="dt",
    trials="trials",
    claims=CLAIMS,
    learning_measure="match",
    report=report,
)

"""The brain-control model: the rule against a loop of its own, the calibration, and that it learns."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from neuroplast.backends.reference import Reference
from neuroplast.models.brain_control import MODEL, cosines, outcome, plane, session, tuning, turned
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population
from neuroplast.simulation import Simulation

SMALL = {"n_inputs": 20, "n_cortex": 30, "n_recorded": 12}


def values(**changes: object) -> SimpleNamespace:
    return MODEL.values(overrides=changes)


def eh_rule(p: SimpleNamespace, seed: int, goals: list[np.ndarray], noises: list[np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """The paper's equations in their plainest form: weights after these reaches, and the steps of each."""
    start = session(p, seed)
    w, n, dt, steps = start.weights.copy(), p.n_recorded, p.dt.to("second").magnitude, []
    a_mean, r_mean, change = np.zeros(p.n_cortex), 0.0, np.zeros_like(w)
    for goal, noise in zip(goals, noises, strict=True):
        cursor = np.zeros(3)
        for step, xi in enumerate(noise):
            wanted = (goal - cursor) / np.linalg.norm(goal - cursor)
            x = start.encoder @ wanted
            a = w @ x + xi
            w = w + change  # what the last step taught is there from the next step on
            y = p.speed * start.decoder @ (np.maximum(a[:n], 0) - start.offset)
            r = wanted @ y / np.linalg.norm(y)
            a_mean, r_mean = 0.8 * a_mean + 0.2 * a, 0.8 * r_mean + 0.2 * r
            change = p.learning_rate / 0.64 * np.outer((xi if p.noise_known else a - a_mean) * (r - r_mean), x)
            if p.noise_known:
                change *= 0.8  # only the mean of R holds this step
            cursor = cursor + y * dt
            if np.linalg.norm(goal - cursor) < p.radius:
                break
        steps.append(step + 1)
    return w, steps


def recorded(net: Network) -> Network:
    cortex = net["cortex"]
    assert isinstance(cortex, Population)
    net.add(Monitor(cortex, "noise", trials="all"))
    return net


@pytest.mark.parametrize("noise_known", [False, True])
def test_reward_meets_the_activity_that_earned_it(noise_known: bool) -> None:
    """Also from one reach to the next, where only the cursor goes back; and the paper's means give kappa/0.64."""
    p = values(**SMALL, noise_known=noise_known, learning_rate=0.1)
    goals: list[np.ndarray] = []
    with Simulation(recorded(MODEL.network(p, 3)), p.dt, Reference()) as simulation:
        run = simulation.executable.run

        def watched(trials, recorder, after_trial):
            def after(trial, arrays):
                goals.append(arrays["task_goal"].copy())
                return after_trial(trial, arrays)

            return run(trials, recorder, after)

        simulation.executable.run = watched  # type: ignore[method-assign]
        tree = simulation.run(5)
    noise = tree["recordings/cortex_noise"]
    lengths = noise["length"].values
    weights, steps = eh_rule(p, 3, goals, [rows[:k] for rows, k in zip(noise["value"].values, lengths, strict=True)])
    final = tree["weights_final/inputs_cortex"].values
    assert steps == list(lengths) == list(tree["learning/duration"].values)
    assert np.abs(noise["value"].values[0]).max() <= p.exploration
    assert np.abs(final - tree["weights_initial/inputs_cortex"].values).max() > 0.01
    np.testing.assert_allclose(final, weights, rtol=0, atol=1e-10)


def test_calibration() -> None:
    p = values(rotated=0.25)
    start, more = session(p, 1), session(values(rotated=0.5), 1)
    recorded_drive = start.weights[: p.n_recorded] @ start.encoder
    assert np.linalg.norm(recorded_drive, axis=1).max() == pytest.approx(p.peak_rate)
    assert np.sum(start.encoder**2) / 3 == pytest.approx(1.0)  # mean |x|^2
    assert start.rotated.sum() == 10 and more.rotated.sum() == 20 and np.all(more.rotated[start.rotated])
    untouched = session(values(rotated=0.0), 1)
    assert np.array_equal(untouched.weights, start.weights) and np.array_equal(untouched.directions, start.directions)
    match = [float(cosines(s, s.weights[: p.n_recorded]).mean()) for s in (untouched, start, more)]
    assert match[0] > 0.97 > match[1] > match[2] > 0.6


def test_turn_has_the_sense_that_undoes_the_rotation() -> None:
    p = values()
    start = session(p, 2)
    drive = turned(start.weights @ start.encoder, start.axis, 30.0)
    weights = {"initial": start.weights, "final": drive @ np.linalg.pinv(start.encoder)}
    tree = {f"/weights_{when}": xr.Dataset({"inputs_cortex": (("post", "pre"), w)}) for when, w in weights.items()}
    found = outcome(p, 2, xr.DataTree.from_dict(tree))
    np.testing.assert_allclose(found.turn, 30.0, atol=1.0)  # the lattice of directions is turned against itself
    u, v = plane(start.axis)
    assert {u, v, start.axis} == {0, 1, 2}
    assigned = start.decoder.T / np.linalg.norm(start.decoder.T, axis=1, keepdims=True)
    same = np.sum(assigned * turned(start.directions, start.axis, 90.0), axis=1)
    np.testing.assert_allclose(same[start.rotated], 1.0)
    np.testing.assert_allclose(tuning(start.weights[:40], start.encoder)[2][~start.rotated], assigned[~start.rotated])


def test_learning_raises_the_match_and_the_report_shows_it() -> None:
    p = values()
    with Simulation(MODEL.network(p, 0), p.dt, Reference()) as simulation:
        tree = simulation.run(60, record=False, attributes=MODEL.attributes(p))
    before, after = outcome(p, 0, tree).match
    assert after > before + 0.05
    assert np.all(tree["learning/hit"].values == 1)
    assert MODEL.report is not None
    section = MODEL.report(tree)[0]
    assert f"{after:.2f}"[:4] in section.html and "<svg" in section.html

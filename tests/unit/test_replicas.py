"""Replicas side by side: each is exactly the run that it would be alone, however many threads there are and whatever happens."""

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroplast import results
from neuroplast.backends.cpp.build import find_compiler
from neuroplast.errors import DescriptionError, ResultError, TaskError
from neuroplast.modulation import Modulator, RunningMean
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import Pattern, Rate
from neuroplast.node import Uniform
from neuroplast.noise import White
from neuroplast.plasticity import Eligibility, Signal, ThreeFactorRule
from neuroplast.results import array
from neuroplast.simulation import Interrupted, Simulation
from neuroplast.synapses import FixedProbability, Graded
from neuroplast.tasks import PythonTask, Regression
from neuroplast.units import ms

TRIALS = 40
TARGETS = ["reference", pytest.param("compiled", marks=pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler"))]


def described(seed: int = 5, task: PythonTask | None = None, rate: float = 0.05, p: float | None = None) -> Network:
    net = Network("net", seed)
    x = task.inputs[0] if task else Population("x", 6, Pattern())
    y = task.outputs[0] if task else Population("y", 2, Rate(transfer="linear", tau=0 * ms), White(0.1, every="trial"))
    net.add(x)
    net.add(y)
    rule = ThreeFactorRule(
        {"pre": Signal("pre", "rate"), "noise": Signal("post", "noise")}, Eligibility("pre*noise", tau=0),
        Modulator("m", RunningMean(trials=5)), rate=rate, update="episodic",
    )
    connectivity: Any = {} if p is None else {"connectivity": FixedProbability(p)}
    projection = net.add(Projection(x, y, Uniform(0.0, 0.2), Graded(), plasticity=rule, **connectivity))
    net.add(task or Regression(inputs=x, outputs=y, teacher=np.full((2, 6), 0.5), x=np.ones(6), steps=2))
    net.add(Monitor(projection, "weight", every="trial"))
    net.add(Monitor(y, "rate"))
    return net


def assert_replica_is(tree: xr.DataTree, replica: int, single: xr.DataTree) -> None:
    """Every number of the single run is there, units by their numbers; what is beyond it is padding."""
    for path, node in single.subtree_with_keys:
        alone, all_of_them = node.to_dataset(inherit=False), (tree if path == "." else tree[path]).to_dataset()
        for name, variable in alone.variables.items():
            stacked = all_of_them[name]
            if "unit" in stacked.dims and "unit" in alone.coords:
                stacked = stacked.sel(unit=alone["unit"].values)
            mine = (stacked.sel(replica=replica) if "replica" in stacked.dims else stacked).values
            np.testing.assert_array_equal(mine[tuple(slice(0, n) for n in variable.shape)], variable.values, err_msg=f"{path}/{name}")


@pytest.mark.parametrize("target", TARGETS)
def test_each_replica_is_the_run_with_its_seed_whatever_the_threads(target: str) -> None:
    trees = [Simulation(described(), 1 * ms, target, replicas=5, threads=k).run(TRIALS) for k in (1, 2, 3)]
    for other in trees[1:]:
        for tree in (trees[0], other):
            tree.attrs.pop("created", None)
            tree.attrs.pop("lowering", None)  # says how many ran at a time
        xr.testing.assert_identical(trees[0], other)
    np.testing.assert_array_equal(trees[0]["seed"], [5, 6, 7, 8, 9])
    assert trees[0]["learning/error"].dims == ("replica", "trial")
    for replica in (0, 4):
        assert_replica_is(trees[0], replica, Simulation(described(5 + replica), 1 * ms, target).run(TRIALS))
    assert np.unique(array(trees[0], "weights_initial/x_y")[:, 0, 0]).size == 5


def test_replicas_differ_where_connectivity_is_drawn_and_are_padded() -> None:
    tree = Simulation(described(p=0.5), 1 * ms, "reference", replicas=4).run(3)
    counts = np.isfinite(array(tree, "weights_final/x_y")).sum(axis=1)
    assert len(set(counts)) > 1
    for replica in range(4):
        assert_replica_is(tree, replica, Simulation(described(5 + replica, p=0.5), 1 * ms, "reference").run(3))


def test_networks_side_by_side_are_parameter_values() -> None:
    tree = Simulation([described(rate=rate) for rate in (0.05, 0.1)], 1 * ms, "reference").run(TRIALS)
    assert_replica_is(tree, 1, Simulation(described(rate=0.1), 1 * ms, "reference").run(TRIALS))


@pytest.mark.parametrize("target", TARGETS)
def test_replicas_go_on_where_they_were(target: str) -> None:
    simulation = Simulation(described(), 1 * ms, target, replicas=3, threads=2)
    parts = [simulation.run(15), simulation.run(25)]
    whole = Simulation(described(), 1 * ms, target, replicas=3).run(TRIALS)
    joined = np.concatenate([array(part, "learning/error") for part in parts], axis=1)
    np.testing.assert_array_equal(joined, array(whole, "learning/error"))
    np.testing.assert_array_equal(array(parts[1], "weights_final/x_y"), array(whole, "weights_final/x_y"))
    np.testing.assert_array_equal(array(parts[1], "learning/trial"), np.arange(15, TRIALS))


def test_a_saved_result_is_the_same(tmp_path: Path) -> None:
    tree = Simulation(described(p=0.5), 1 * ms, "reference", replicas=2).run(3)
    xr.testing.assert_identical(results.load(results.save(tree, tmp_path / "result.nc")), tree)


def test_the_report_says_what_runs_at_a_time() -> None:
    simulation = Simulation(described(), 1 * ms, "reference", replicas=2)
    assert "one after another: the target reference" in str(simulation.report)
    assert "one after another" in simulation.run(1).attrs["lowering"]


def test_progress_is_of_all_replicas() -> None:
    told = []
    Simulation(described(), 1 * ms, "reference", replicas=3).run(TRIALS, progress=told.append)
    assert (told[-1].trial, told[-1].trials, told[-1].finished, told[-1].replicas) == (3 * TRIALS, 3 * TRIALS, 3, 3)
    assert all(a.trial <= b.trial for a, b in itertools.pairwise(told)) and "error" in told[-1].measures


# --- stopping -----------------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from test_replicas import described
from neuroplast.simulation import Simulation
from neuroplast.units import ms
from neuroplast import results
tree = Simulation(described(), 1 * ms, {target!r}, replicas=5, threads=2).run({trials}, checkpoint="c", checkpoint_every=0.3, resume=True)
results.save(tree, "result.nc")
"""


def script(target: str, trials: int) -> list[str]:
    return [sys.executable, "-c", SCRIPT.format(folder=str(Path(__file__).parent), target=target, trials=trials)]


@pytest.mark.parametrize(("target", "trials"), [("reference", 1500), pytest.param("compiled", 20_000, marks=TARGETS[1].marks)])
def test_killed_replicas_are_resumed_exactly(target: str, trials: int, tmp_path: Path) -> None:
    command = script(target, trials)
    for _ in range(2):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("c/*/state.npz")}
        process = subprocess.Popen(command, cwd=tmp_path)
        while process.poll() is None and {p: p.stat().st_mtime_ns for p in tmp_path.glob("c/*/state.npz")} == before:
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    subprocess.run(command, cwd=tmp_path, check=True)
    with Simulation(described(), 1 * ms, target, replicas=5) as simulation:
        whole = simulation.run(trials)
    killed = results.load(tmp_path / "result.nc")
    for tree in (whole, killed):
        del tree.attrs["created"], tree.attrs["lowering"]
    xr.testing.assert_identical(killed, whole)


@pytest.mark.parametrize("target", TARGETS)
def test_ctrl_c_stops_all_and_resuming_is_exact(target: str, tmp_path: Path) -> None:
    trials, pressed = (1_500 if target == "reference" else 6_000), []

    def press(progress: Any) -> None:
        if not pressed and progress.trial % trials > 10:  # within a replica, not between two
            pressed.append(progress.trial)
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as stop:
        Simulation(described(), 1 * ms, target, replicas=4, threads=2).run(trials, checkpoint=tmp_path, progress=press)
    assert signal.getsignal(signal.SIGINT) is handler
    assert stop.value.checkpoint == tmp_path and stop.value.result["trials_done"].sum() < 4 * trials
    assert threading.active_count() == 1 or not [t for t in threading.enumerate() if t.name.startswith("replicas")]
    with pytest.raises(ResultError, match="holds a run that has not ended"):
        Simulation(described(), 1 * ms, target, replicas=4).run(trials, checkpoint=tmp_path)
    resumed = Simulation(described(), 1 * ms, target, replicas=4).run(checkpoint=tmp_path, resume=True, trials=trials)
    whole = Simulation(described(), 1 * ms, target, replicas=4).run(trials)
    for tree in (whole, resumed):
        del tree.attrs["created"], tree.attrs["lowering"]
    xr.testing.assert_identical(resumed, whole)


def test_replicas_that_have_ended_are_not_taken_away_for_a_run_of_more(tmp_path: Path) -> None:
    """As after a Ctrl-C that came when two of four had ended and no other was begun."""
    Simulation(described(), 1 * ms, "reference", replicas=2).run(5, checkpoint=tmp_path)
    with pytest.raises(ResultError, match="holds a run that has not ended") as error:
        Simulation(described(), 1 * ms, "reference", replicas=4).run(5, checkpoint=tmp_path)
    assert error.value.got == "2 of 4 replicas were begun"
    tree = Simulation(described(), 1 * ms, "reference", replicas=4).run(5, checkpoint=tmp_path, resume=True)
    assert tree.sizes["replica"] == 4


class Environment:
    """Rewards output near 1; remembers how many trials it has seen. fails: the trial in which it breaks, of the second replica."""

    made = 0

    def __init__(self, fails: int | None = None) -> None:
        self.seen, self.fails, self.copy = 0, fails, 0

    def __deepcopy__(self, memo: Any) -> "Environment":
        Environment.made += 1
        other = Environment(self.fails)
        other.seen, other.copy = self.seen, Environment.made
        return other

    def reset(self, trial: int, rng: np.random.Generator) -> Mapping[str, Any]:
        self.seen += 1
        if self.copy == 1 and trial == self.fails:
            raise ValueError("the arm fell off")
        return {"x": 1.0 + 0.1 * rng.normal(size=3) + 0.001 * self.seen}

    def step(self, outputs: Mapping[str, np.ndarray]) -> tuple[float, Mapping[str, Any], bool]:
        return -float(np.sum((outputs["y"] - 1.0) ** 2)), {}, False


def python_task(environment: Any) -> PythonTask:
    x = Population("x", 3, Pattern())
    y = Population("y", 2, Rate(transfer="linear", tau=0 * ms), White(0.1))
    return PythonTask(environment=environment, inputs=(x,), outputs=(y,), steps=4)


def test_each_replica_has_its_own_python_task() -> None:
    tree = Simulation(described(task=python_task(Environment())), 1 * ms, "reference", replicas=3).run(10)
    for replica in range(3):
        assert_replica_is(tree, replica, Simulation(described(5 + replica, python_task(Environment())), 1 * ms, "reference").run(10))
    assert "the task is written in Python" in tree.attrs["lowering"]


def test_an_error_names_the_replica_and_keeps_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Environment, "made", 0)
    simulation = Simulation(described(task=python_task(Environment(fails=4))), 1 * ms, "reference", replicas=3)
    with pytest.raises(TaskError, match=r"replica 1 \(seed 6\): trial 4: ValueError: the arm fell off"):
        simulation.run(10)
    assert simulation.stopped is not None and simulation.stopped.result is not None
    np.testing.assert_array_equal(simulation.stopped.result["trials_done"], [10, simulation.stopped.trial])


class Uncopyable(Environment):
    def __deepcopy__(self, memo: Any) -> "Environment":
        raise TypeError("there is only one arm")


def test_errors_of_the_description() -> None:
    for wrong in (0, -1, True, 2.5, "three"):
        with pytest.raises(DescriptionError, match="Simulation.replicas"):
            Simulation(described(), 1 * ms, "reference", replicas=wrong)  # type: ignore[arg-type]
    with pytest.raises(DescriptionError, match="Simulation.threads"):
        Simulation(described(), 1 * ms, "reference", replicas=2, threads=0)
    with pytest.raises(DescriptionError, match=r"no network(.|\n)*a sequence of them"):
        Simulation([], 1 * ms, "reference")
    with pytest.raises(DescriptionError, match="leave out replicas="):
        Simulation([described()], 1 * ms, "reference", replicas=2)
    with pytest.raises(DescriptionError, match=r"cannot be copied(.|\n)*there is only one arm(.|\n)*a list of networks"):
        Simulation(described(task=python_task(Uncopyable())), 1 * ms, "reference", replicas=2)
    shared = python_task(Environment())
    with pytest.raises(DescriptionError, match="share one environment"):
        Simulation([described(1, shared), described(2, shared)], 1 * ms, "reference")

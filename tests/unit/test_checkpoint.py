"""Runs that are stopped in every way go on, and end as if they had not been."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroplast import checkpoint as checkpoints
from neuroplast.backends.reference import Reference
from neuroplast.checkpoint import PREVIOUS, STATE, CheckpointFolder, check_writable
from neuroplast.errors import DescriptionError, ResultError, TaskError
from neuroplast.lock import LOCK, locked
from neuroplast.modulation import Modulator, RunningMean
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import Pattern, Rate
from neuroplast.noise import White
from neuroplast.plasticity import Eligibility, Signal, ThreeFactorRule
from neuroplast.results import array
from neuroplast.simulation import Interrupted, Simulation
from neuroplast.synapses import Graded
from neuroplast.tasks import PythonTask, Regression
from neuroplast.training import NotFiniteWarning
from neuroplast.units import ms

TRIALS = 30


class Environment:
    """Rewards output near 1, and remembers how many trials it has seen. ``events``: (trial, step) -> what happens then."""

    def __init__(self, events: Mapping[tuple[int, int], Any] | None = None) -> None:
        self.events = dict(events or {})
        self.seen = 0

    def reset(self, trial: int, rng: np.random.Generator) -> Mapping[str, Any]:
        self.trial, self.step_number = trial, 0
        self.seen += 1
        return {"x": 1.0 + 0.1 * rng.normal(size=3) + 0.001 * self.seen}

    def step(self, outputs: Mapping[str, np.ndarray]) -> tuple[float, Mapping[str, Any], bool]:
        event = self.events.pop((self.trial, self.step_number), None)
        if event is not None:
            event()
        self.step_number += 1
        return -float(np.sum((outputs["y"] - 1.0) ** 2)), {}, self.trial % 3 == 0 and self.step_number == 2

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.seen = int(state["seen"])


def simulation(
    events: Mapping[tuple[int, int], Any] | None = None, seed: int = 1, rate: float = 0.05, monitors: tuple[str, ...] = ("rate", "noise"),
    units: Any = None,
) -> Simulation:
    net = Network("net", seed)
    x = net.add(Population("x", 3, Pattern()))
    y = net.add(Population("y", 2, Rate(transfer="linear", tau=0 * ms), White(0.1)))
    rule = ThreeFactorRule(
        {"pre": Signal("pre", "rate"), "noise": Signal("post", "noise")}, Eligibility("pre*noise", tau=3 * ms),
        Modulator("m", RunningMean(trials=5)), rate=rate, update="episodic",
    )
    projection = net.add(Projection(x, y, 0.1, Graded(), plasticity=rule))
    net.add(PythonTask(environment=Environment(events), inputs=(x,), outputs=(y,), steps=4))
    net.add(Monitor(projection, "weight", every="trial"))
    for variable in monitors:
        net.add(Monitor(y, variable, trials="all" if variable == "rate" else "ends", units=units))
    return Simulation(net, 1 * ms, Reference())


@pytest.fixture(scope="module")
def whole() -> xr.DataTree:
    return simulation().run(TRIALS)


def assert_same(one: xr.DataTree, other: xr.DataTree) -> None:
    one, other = one.copy(), other.copy()
    del one.attrs["created"], other.attrs["created"]
    xr.testing.assert_identical(one, other)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_twice() -> None:
    interrupt()
    interrupt()


def fail() -> None:
    raise ValueError("the arm fell off")


@pytest.mark.parametrize(("event", "done"), [(interrupt, 13), (interrupt_twice, 12)])
def test_ctrl_c_then_resume_is_the_uninterrupted_run(tmp_path: Path, whole: xr.DataTree, event: Any, done: int) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as stop:
        simulation({(12, 1): event}).run(TRIALS, checkpoint=tmp_path / "c", checkpoint_every=0.0)
    assert signal.getsignal(signal.SIGINT) is before
    assert stop.value.trial == done
    assert stop.value.checkpoint == tmp_path / "c"
    np.testing.assert_array_equal(array(stop.value.result, "learning/reward"), array(whole, "learning/reward")[:done])
    assert stop.value.result["recordings/y_rate"].sizes["recorded"] == done
    assert_same(simulation().run(checkpoint=tmp_path / "c", resume=True), whole)


def test_ctrl_c_in_the_first_trial(tmp_path: Path, whole: xr.DataTree) -> None:
    with pytest.raises(Interrupted) as stop:
        simulation({(0, 0): interrupt_twice}).run(TRIALS, checkpoint=tmp_path)
    assert stop.value.trial == 0
    assert_same(simulation().run(checkpoint=tmp_path, resume=True), whole)


def test_interruption_without_a_checkpoint_goes_on_in_the_same_simulation(whole: xr.DataTree) -> None:
    stopped = simulation({(12, 1): interrupt})
    with pytest.raises(Interrupted) as stop:
        stopped.run(TRIALS)
    assert stop.value.checkpoint is None
    rest = stopped.run(TRIALS - 13)
    rewards = np.concatenate([array(part, "learning/reward") for part in (stop.value.result, rest)])
    np.testing.assert_array_equal(rewards, array(whole, "learning/reward"))
    np.testing.assert_array_equal(array(rest, "weights_final/x_y"), array(whole, "weights_final/x_y"))
    np.testing.assert_array_equal(array(rest, "learning/trial"), np.arange(13, TRIALS))


def test_many_interruptions(tmp_path: Path, whole: xr.DataTree) -> None:
    for trial in (3, 4, 11, 28):
        with pytest.raises(Interrupted):
            simulation({(trial, 1): interrupt}).run(TRIALS, checkpoint=tmp_path, resume=True)
    assert_same(simulation().run(TRIALS, checkpoint=tmp_path, resume=True), whole)


def test_an_error_in_the_middle_keeps_the_work_and_names_the_trial(tmp_path: Path, whole: xr.DataTree) -> None:
    broken = simulation({(17, 2): fail})
    with pytest.raises(TaskError, match="trial 17: ValueError: the arm fell off") as error:
        broken.run(TRIALS, checkpoint=tmp_path)
    assert str(tmp_path) in str(error.value)
    assert broken.stopped is not None and broken.stopped.result is not None
    done = broken.stopped.trial
    assert 0 < done <= 17
    np.testing.assert_array_equal(array(broken.stopped.result, "learning/reward"), array(whole, "learning/reward")[:done])
    assert_same(simulation().run(checkpoint=tmp_path, resume=True), whole)


def test_a_task_error_stays_one_and_says_where_the_work_is(tmp_path: Path) -> None:
    broken = simulation({(17, 2): lambda: (_ for _ in ()).throw(TaskError("reward is NaN", do="check the task"))})
    with pytest.raises(TaskError, match="trial 17: reward is NaN") as error:
        broken.run(TRIALS, checkpoint=tmp_path)
    assert "check the task; then resume from trial" in str(error.value)


def test_a_full_disk_sends_the_work_elsewhere(
    tmp_path: Path, whole: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, asked, elsewhere = checkpoints.write_npz, tmp_path / "asked", tmp_path / "elsewhere"
    written = []

    def full(path: Path, *rest: Any, **more: Any) -> None:
        written.append(path.name)
        if path.parent == asked and len(written) > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, *rest, **more)

    monkeypatch.setattr(checkpoints, "write_npz", full)
    monkeypatch.setattr("neuroplast.training.fallback_folder", lambda: elsewhere)
    broken = simulation()
    with pytest.raises(ResultError, match="No space left on device") as error:
        broken.run(TRIALS, checkpoint=asked, checkpoint_every=0.0)
    assert "trial" in str(error.value) and f"with {elsewhere}" in str(error.value)
    monkeypatch.setattr(checkpoints, "write_npz", write)
    assert_same(simulation().run(checkpoint=elsewhere, resume=True), whole)
    assert_same(simulation().run(checkpoint=asked, resume=True), whole)  # what was there is older, but whole


def stopped_at(folder: Path, trial: int = 12) -> None:
    with pytest.raises(Interrupted):
        simulation({(trial, 1): interrupt}).run(TRIALS, checkpoint=folder, checkpoint_every=0.0)


@pytest.mark.parametrize("damage", ["cut", "noise", "gone"])
def test_an_unreadable_newest_checkpoint_gives_way_to_the_one_before(tmp_path: Path, whole: xr.DataTree, damage: str) -> None:
    stopped_at(tmp_path)
    newest = tmp_path / STATE
    content = newest.read_bytes()
    if damage == "cut":
        newest.write_bytes(content[: len(content) // 2])
    elif damage == "noise":
        newest.write_bytes(content[:200] + bytes(100) + content[300:])
    else:
        newest.unlink()
    # twice: the first write after resuming must not put the damaged file in the place of the good one
    with pytest.raises(Interrupted):
        simulation({(14, 2): interrupt_twice}).run(checkpoint=tmp_path, resume=True)
    assert_same(simulation().run(checkpoint=tmp_path, resume=True), whole)


def test_damage_that_cannot_be_repaired_is_said(tmp_path: Path) -> None:
    stopped_at(tmp_path)
    for name in (STATE, PREVIOUS):
        (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(ResultError, match="no checkpoint in .* can be read"):
        simulation().run(checkpoint=tmp_path, resume=True)
    with pytest.raises(ResultError, match="holds a run that has not ended"):
        simulation().run(TRIALS, checkpoint=tmp_path)


def test_a_checkpoint_never_executes_code(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path(tmp_path / "exploded").touch, ())

    stopped_at(tmp_path)
    (tmp_path / PREVIOUS).unlink()
    bomb = tmp_path / "bomb.npy"
    with bomb.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        pickle.dump([Bomb()], file)
    with zipfile.ZipFile(tmp_path / STATE, "a") as archive:
        archive.write(bomb, "=array/x.npy")
    with pytest.raises(ResultError, match="allow_pickle=False"):
        simulation().run(checkpoint=tmp_path, resume=True)
    assert not (tmp_path / "exploded").exists()


def test_another_network_is_not_resumed(tmp_path: Path) -> None:
    stopped_at(tmp_path)
    for other in (simulation(seed=2), simulation(rate=0.06)):
        with pytest.raises(ResultError, match="belongs to another network"):
            other.run(checkpoint=tmp_path, resume=True)


def test_a_monitor_that_missed_trials_is_not_resumed(tmp_path: Path, whole: xr.DataTree) -> None:
    with pytest.raises(Interrupted):
        simulation({(12, 1): interrupt}, monitors=("noise",)).run(TRIALS, checkpoint=tmp_path)
    with pytest.raises(ResultError, match=r"'y_rate' would record trials that were run without recording(.|\n)*trials 0-12"):
        simulation().run(checkpoint=tmp_path, resume=True)
    with pytest.raises(ResultError, match=r"'y_noise' recorded something else(.|\n)*units 1(.|\n)*all units"):
        simulation(monitors=("noise",), units=[1]).run(checkpoint=tmp_path, resume=True)
    with pytest.raises(ResultError, match=r"'x_y_weight' would record(.|\n)*trials 0-19"):
        silent = simulation()
        silent.run(20, checkpoint=tmp_path / "silent", record=False)
        simulation().run(TRIALS, checkpoint=tmp_path / "silent", resume=True)
    fewer = simulation(monitors=()).run(checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(fewer["weights_final/x_y"], whole["weights_final/x_y"])


def test_resume_needs_a_folder() -> None:
    with pytest.raises(DescriptionError, match="no checkpoint folder was given"):
        simulation().run(TRIALS, resume=True)


def test_two_runs_in_one_folder(tmp_path: Path, whole: xr.DataTree) -> None:
    """The second is refused, and leaves what the first is writing alone."""
    refused = []

    def intrude() -> None:
        part = tmp_path / ".state.npz-0.part"
        part.write_text("half")
        for resume in (False, True):
            with pytest.raises(ResultError, match=rf"in use by another run(.|\n)*process {os.getpid()} on ") as error:
                simulation().run(TRIALS, checkpoint=tmp_path, resume=resume)
            refused.append(error)
        CheckpointFolder(tmp_path).read(simulation().program.digest())
        assert part.exists()

    tree = simulation({(12, 1): intrude}).run(TRIALS, checkpoint=tmp_path)
    assert len(refused) == 2
    assert_same(tree, whole)
    assert not (tmp_path / LOCK).exists()
    assert_same(simulation().run(checkpoint=tmp_path, resume=True), whole)
    assert not list(tmp_path.glob(".*"))


def test_a_lock_is_free_when_its_process_was_killed(tmp_path: Path) -> None:
    script = f"import os, signal, pathlib\nfrom neuroplast.lock import locked\nwith locked(pathlib.Path({str(tmp_path)!r})):\n"
    killed = subprocess.run([sys.executable, "-c", script + "    os.kill(os.getpid(), signal.SIGKILL)"], check=False)
    assert killed.returncode == -signal.SIGKILL and (tmp_path / LOCK).exists()
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on ")
        with pytest.raises(ResultError, match="in use"), locked(tmp_path):
            pass


def diverging(replicas: int | None = None) -> Simulation:
    net = Network("net", 1)
    x, y = net.add(Population("x", 2, Pattern())), net.add(Population("y", 2, Rate(), noise=White(1.0)))
    rule = ThreeFactorRule(
        {"pre": Signal("pre", "rate"), "noise": Signal("post", "noise")}, Eligibility("pre*noise", tau=5 * ms), Modulator("m"),
        rate=1e12,
    )
    net.add(Projection(x, y, 0.0, Graded(), plasticity=rule))
    net.add(Regression(inputs=x, outputs=y, teacher=np.ones((2, 2)), steps=10))
    return Simulation(net, 1 * ms, Reference(), replicas=replicas)


@pytest.mark.filterwarnings("ignore::neuroplast.training.NotFiniteWarning")
@np.errstate(all="ignore")
def test_numbers_that_are_not_finite_are_said(tmp_path: Path) -> None:
    told: list[tuple[str, ...]] = []
    with pytest.warns(NotFiniteWarning, match=r"measure 'error' is (inf|nan) in trial") as caught:
        tree = diverging().run(TRIALS, checkpoint=tmp_path, progress=lambda progress: told.append(progress.warnings))
    at = int(np.argmin(np.isfinite(array(tree, "learning/error"))))
    texts = [str(warning.message) for warning in caught if warning.category is NotFiniteWarning]
    assert json.loads(tree.attrs["warnings"]) == texts and told[-1] == tuple(texts)
    assert 0 < at < TRIALS - 1 and f"in trial {at}:" in texts[0]
    assert texts[-1].startswith("'x_y_weight' holds numbers that are not finite")
    with pytest.warns(NotFiniteWarning, match="measure 'error'"):
        again = diverging().run(checkpoint=tmp_path, resume=True)
    assert again.attrs["warnings"] == tree.attrs["warnings"]
    with pytest.warns(NotFiniteWarning, match="seed 2: the measure 'error'"):
        two = diverging(replicas=2).run(TRIALS)
    assert [text.partition(": ")[0] for text in json.loads(two.attrs["warnings"])] == ["seed 1"] * len(texts) + ["seed 2"] * len(texts)


def test_a_run_that_could_be_resumed_is_not_overwritten_and_a_finished_one_is(tmp_path: Path, whole: xr.DataTree) -> None:
    stopped_at(tmp_path)
    with pytest.raises(ResultError, match=r"holds a run that has not ended(.|\n)*13 of 30 trials done"):
        simulation().run(TRIALS, checkpoint=tmp_path)
    simulation().run(checkpoint=tmp_path, resume=True)
    assert_same(simulation().run(TRIALS, checkpoint=tmp_path), whole)
    assert_same(simulation().run(checkpoint=tmp_path, resume=True), whole)


def test_a_finished_run_can_be_made_longer(tmp_path: Path, whole: xr.DataTree) -> None:
    simulation().run(TRIALS - 9, checkpoint=tmp_path)
    assert_same(simulation().run(TRIALS, checkpoint=tmp_path, resume=True), whole)
    with pytest.raises(ResultError, match="beyond the end"):
        simulation().run(5, checkpoint=tmp_path, resume=True)


def test_recordings_are_written_once(tmp_path: Path) -> None:
    stopped_at(tmp_path)
    parts = {path: path.stat().st_mtime_ns for path in tmp_path.glob("recordings-*.npz")}
    assert parts
    simulation().run(checkpoint=tmp_path, resume=True)
    assert {path: path.stat().st_mtime_ns for path in parts} == parts


def test_resuming_nothing_starts_from_the_beginning(tmp_path: Path, whole: xr.DataTree) -> None:
    assert_same(simulation().run(TRIALS, checkpoint=tmp_path / "new", resume=True), whole)
    with pytest.raises(ResultError, match="nothing to resume"):
        simulation().run(checkpoint=tmp_path / "newer", resume=True)


def test_a_folder_that_cannot_be_used_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResultError, match="cannot write to"):
        simulation({(0, 0): fail}).run(TRIALS, checkpoint=tmp_path / "file" / "folder")
    with pytest.raises(ResultError, match="not enough space"):
        check_writable(tmp_path, 10**18)
    check_writable(tmp_path, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_state_of_a_task_that_cannot_be_stored(tmp_path: Path) -> None:
    odd = simulation()
    assert odd.network is not None and isinstance(odd.network.task, PythonTask)
    odd.network.task.environment.state = lambda: {"arm": object()}
    with pytest.raises(TaskError, match="state 'arm' cannot be stored"):
        odd.run(TRIALS, checkpoint=tmp_path)


def test_clear_leaves_other_files_alone(tmp_path: Path) -> None:
    stopped_at(tmp_path / "c")
    (tmp_path / "c" / "mine.txt").write_text("keep")
    CheckpointFolder(tmp_path / "c").clear()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["mine.txt"]


def test_progress_is_told(whole: xr.DataTree) -> None:
    told = []
    simulation().run(TRIALS, progress=told.append)
    last = told[-1]
    assert (last.trial, last.trials, last.seconds_left) == (TRIALS, TRIALS, 0.0)
    assert last.measures["reward"] == array(whole, "learning/reward")[-1]
    assert last.trials_per_second > 0


@pytest.mark.parametrize("trials", [0, -1, 1.5, True])
def test_trials_that_are_none(trials: Any) -> None:
    with pytest.raises(DescriptionError, match="no number of trials"):
        simulation().run(trials)


def test_a_length_must_be_given() -> None:
    with pytest.raises(DescriptionError, match="how long to run"):
        simulation().run()
    with pytest.raises(DescriptionError, match="the task sets the length"):
        simulation().run(duration=1 * ms)

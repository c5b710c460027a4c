"""The command line, with a tiny model on the Reference target; and a real run that is killed at random moments."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner, Result

from neuroplast import results
from neuroplast.cli import app
from neuroplast.model import Model
from neuroplast.report import write_report

EXAMPLES = Path(__file__).parents[1] / "example_models"
PROGRAM = f"import neuroplast.models as m; m.__path__.append({str(EXAMPLES)!r}); from neuroplast.cli import app; app()"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("neuroplast.report.write_report", quick_report)


def quick_report(folder: Path) -> Path:
    """Drawing takes most of the time of a short run: the tests that are about the report ask for the real one."""
    path = folder / "report.html"
    results.load(folder)
    path.write_text("drawn")
    return path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], catch_exceptions=False)


def document(*arguments: str, code: int = 0) -> Any:
    """The one JSON document on standard output."""
    answer = call(*arguments, "--json")
    assert answer.exit_code == code, answer.output
    return json.loads(answer.stdout)


def train(*arguments: str, code: int = 0) -> Any:
    return document("run", "tiny", "--target", "reference", *arguments, code=code)


def assert_same(one: Path, other: Path) -> None:
    trees = [results.load(path) for path in (one, other)]
    for tree in trees:
        del tree.attrs["created"]
    xr.testing.assert_identical(*trees)


def test_list() -> None:
    assert "A tiny model" in call("list").stdout
    found = {model["model"]: model for model in document("list")}
    assert found["tiny"]["claims"] == ["learns", "perfect", "on_chip"]
    assert found["tiny"]["parameters"]["scale"]["value"] == "20 mV"


def test_help_of_every_command() -> None:
    for command in ("list", "run", "reproduce", "sweep", "report", "doctor", "bench"):
        assert call(command, "--help").exit_code == 0


def test_run_writes_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuroplast.report.write_report", write_report)
    answer = call("run", "tiny", "--target", "reference", "--trials", "30", "--seed", "4")
    assert answer.exit_code == 0
    folder = Path("results/tiny-4")
    assert {path.name for path in folder.iterdir()} == {"checkpoint", "parameters.json", "report.html", "result.nc"}
    tree = results.load(folder)
    assert (tree.attrs["seed"], tree.attrs["trials"], tree.attrs["model"]) == (4, 30, "tiny")
    assert json.loads(tree.attrs["parameters"])["trials"]["value"] == 30
    assert json.loads((folder / "parameters.json").read_text())["parameters"]["rate"]["value"] == 0.1


def test_run_as_json() -> None:
    found = train("--trials", "30", "--set", "rate=0.2", "--set", "scale=0.01 V", "--out", "here")
    assert list(found) == ["model", "target", "trials", "seed", "measures", "files", "warnings"]
    assert (found["model"], found["target"], found["trials"], found["seed"]) == ("tiny", "reference", 30, 0)
    assert found["measures"]["error"]["last"] < found["measures"]["error"]["first"]
    assert all(Path(path).exists() for path in found["files"].values())
    assert json.loads(Path("here/parameters.json").read_text())["parameters"]["scale"]["value"] == "10.0 mV"


def test_seeds_run_into_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuroplast.report.write_report", write_report)
    found = train("--trials", "30", "--seed", "2", "--seeds", "3")
    assert (found["trials"], found["seed"], found["seeds"]) == (30, 2, 3)
    low, high = found["measures"]["error"]["last_quartiles"]
    assert low <= found["measures"]["error"]["last"] <= high
    folder = Path("results/tiny-2-to-4")
    tree = results.load(folder)
    assert tree["learning/error"].dims == ("replica", "trial") and results.array(tree, "seed").tolist() == [2, 3, 4]
    page = (folder / "report.html").read_text()
    assert "quartiles" in page and "All that follows is of the first of the 3 replicas, with seed 2" in page
    train("--trials", "30", "--seed", "4", "--out", "one")
    np.testing.assert_array_equal(results.array(tree, "learning/error")[2], results.load("one")["learning/error"])
    document("run", "tiny", "--resume", "--out", str(folder), "--trials", "40")
    train("--trials", "40", "--seed", "2", "--seeds", "3", "--out", "forty")
    assert_same(folder, Path("forty"))
    answer = call("run", "tiny", "--resume", "--out", str(folder), "--seeds", "4")
    assert answer.exit_code == 2 and "another seed" in answer.stderr


def test_quick_is_smaller() -> None:
    assert train("--quick")["trials"] == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "tinny"], "Did you mean 'tiny'"),
        (["run", "tiny", "--target", "referenz"], "Did you mean 'reference'"),
        (["run", "tiny", "--set", "raet=1"], "Did you mean 'rate'"),
        (["run", "tiny", "--set", "scale=1 s"], "has another unit"),
        (["run", "tiny", "--set", "n_inputs=0", "--target", "reference"], "is empty"),
        (["run", "tiny", "--seeds", "0"], "a whole number from 1"),
        (["sweep", "tiny", "--seeds", "0"], "a whole number from 1"),
        (["sweep", "tiny", "--set", "raet=1,2"], "Did you mean 'rate'"),
        (["sweep", "tiny", "--set", "rate=1,two"], "is a number without a unit"),
        (["sweep", "tiny", "--set", "rate=1,1.0"], "not different from each other"),
        (["report", "nowhere"], "nowhere"),
        (["reproduce", "tinny"], "Did you mean 'tiny'"),
    ],
)
def test_errors_are_shown_without_a_traceback(arguments: list[str], message: str) -> None:
    answer = call(*arguments)
    assert answer.exit_code == 2
    assert message in answer.stderr and "Traceback" not in answer.output
    assert not answer.stdout
    shown = document(*arguments, code=2)["error"]
    assert message in " ".join(str(value) for value in shown.values())
    assert not list(Path.cwd().glob("results/*/*"))


def test_a_folder_that_cannot_be_written() -> None:
    Path("file").write_text("")
    answer = call("run", "tiny", "--target", "reference", "--out", "file/folder")
    assert answer.exit_code == 2 and "cannot write to" in answer.stderr


def test_resume_takes_what_the_run_was_begun_with() -> None:
    train("--trials", "30", "--seed", "2", "--set", "rate=0.2", "--out", "here")
    assert document("run", "tiny", "--resume", "--out", "here")["trials"] == 30
    assert document("run", "tiny", "--resume", "--out", "here", "--trials", "40")["trials"] == 40
    train("--trials", "40", "--seed", "2", "--set", "rate=0.2", "--out", "there")
    assert_same(Path("here"), Path("there"))
    for option, message in (("--seed=3", "another seed"), ("--set=rate=1", "another setting"), ("--quick", "another quick")):
        answer = call("run", "tiny", "--resume", "--out", "here", option)
        assert answer.exit_code == 2 and message in answer.stderr
    answer = call("run", "tiny", "--resume", "--out", "here", "--trials", "10")
    assert answer.exit_code == 2 and "beyond the end" in answer.stderr
    assert document("run", "tiny", "--resume", "--out", "here")["trials"] == 40


def test_a_finished_run_is_not_replaced_unasked() -> None:
    first = train("--trials", "5")
    state = Path("results/tiny-0/result.nc").stat().st_mtime_ns
    again = train("--trials", "5")
    assert again.pop("found") and again == first
    for other in (["--set", "rate=0.2"], ["--trials", "6"], ["--quick"]):
        answer = call("run", "tiny", "--target", "reference", "--trials", "5", *other)
        assert answer.exit_code == 2 and "holds another finished run" in answer.stderr and "--force" in answer.stderr
    assert Path("results/tiny-0/result.nc").stat().st_mtime_ns == state
    assert "found" not in train("--trials", "5", "--set", "rate=0.2", "--force")
    assert results.load("results/tiny-0").attrs["trials"] == 5 and Path("results/tiny-0/result.nc").stat().st_mtime_ns > state


def test_there_must_be_something_to_resume() -> None:
    assert "nothing to resume" in document("run", "tiny", "--out", "empty", "--resume", code=2)["error"]["what"]


def test_every_error_is_a_document() -> None:
    assert "--trials" in document("run", "tiny", "--trials", "0", code=2)["error"]["what"]
    assert "no target" in document("reproduce", "tiny", "--target", "foo", code=2)["error"]["what"]
    for setting in ("n_recorded=500", "rotated=2"):
        assert document("run", "brain_control", "--target", "reference", "--set", setting, code=2)["error"]["allowed"]


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fired = []

    def interrupt_once(self: Any, label: str, progress: Any) -> None:
        if progress.trial >= 10 and not fired:
            fired.append(progress.trial)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("neuroplast.training._SHOW_EVERY", 0.0)
    monkeypatch.setattr("neuroplast.display.Watch.show", interrupt_once)
    answer = call("run", "tiny", "--target", "reference", "--trials", "30", "--out", "here")
    assert answer.exit_code == 130
    assert "neuroplast run tiny --out here --resume" in answer.output
    assert results.load("here").attrs["trials"] < 30
    answer = call("run", "tiny", "--target", "reference", "--trials", "30", "--out", "here")
    assert answer.exit_code == 2 and "resume it" in answer.stderr
    fired.clear()
    found = train("--trials", "40", "--out", "other", code=130)
    assert found["interrupted"] and found["resume"].endswith("--out other --resume")
    document("run", "tiny", "--out", "here", "--resume")
    train("--trials", "30", "--out", "whole")
    assert_same(Path("here"), Path("whole"))


def test_reproduce_prints_verdicts() -> None:
    rows = document("reproduce", "tiny", "--quick", "--target", "reference", code=1)
    assert [row["verdict"] for row in rows] == ["holds", "fails", "skipped"]
    assert {"model", "claim", "source", "expected", "measured", "seeds", "verdict"} <= set(rows[0])
    assert rows[2]["reason"] == "needs a chip"
    answer = call("reproduce", "tiny", "--quick", "--target", "reference")
    assert answer.exit_code == 1 and "needs a chip" in answer.stdout


def test_report_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuroplast.report.write_report", write_report)
    train("--trials", "30", "--out", "here")
    Path("here/report.html").unlink()
    assert document("report", "here") == {"report": "here/report.html"}
    assert "A tiny model" in Path("here/report.html").read_text()


def test_doctor() -> None:
    found = {row["part"]: row for row in document("doctor")}
    parts = {"Python", "C++ compiler", "Brian2", "Cython", "Lava", "Loihi 2 (lava-loihi)", "GPU", "Gymnasium", "Cache folder"}
    assert parts <= set(found)
    assert found["Python"]["state"] == "ok"
    assert all(row["get"] for row in found.values() if row["state"] == "missing")
    assert call("doctor").exit_code == 0


def test_bench_needs_a_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("neuroplast.cli.__file__", str(tmp_path / "site-packages" / "neuroplast" / "cli.py"))
    answer = call("bench", "song")
    assert answer.exit_code == 2 and "clone" in answer.stderr
    script = tmp_path / "site-packages" / "benchmarks" / "run.py"
    script.parent.mkdir(parents=True)
    script.write_text("def main(cases, quick, json):\n    print(cases, quick, json)\n    return 3\n")
    answer = call("bench", "song", "--quick")
    assert (answer.exit_code, answer.stdout) == (3, "['song'] True False\n")


def test_what_a_task_prints_is_not_in_the_document() -> None:
    noisy = "import os, neuroplast.training as t; b = t.Training.run\n"
    noisy += "def run(self): print('chatter'); os.write(1, b'more'); return b(self)\nt.Training.run = run\n"
    arguments = ["run", "tiny", "--target", "reference", "--trials", "5", "--json"]
    answer = subprocess.run([sys.executable, "-c", noisy + PROGRAM, *arguments], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["trials"] == 5
    assert "chatter" in answer.stderr and "more" in answer.stderr


def test_a_killed_run_that_is_resumed_is_the_uninterrupted_run() -> None:
    """SIGKILL at random moments of a real process: while it starts, trains, and writes checkpoints."""
    quiet = "import neuroplast.report as r; r.write_report = lambda folder: folder\n"
    arguments = ["run", "tiny", "--target", "reference", "--trials", "1500", "--out", "killed"]
    begin = [sys.executable, "-c", quiet + PROGRAM, *arguments, "--checkpoint-every", "0.02"]
    command = [*begin, "--resume"]
    state = Path("killed/checkpoint/state.npz")
    moments, kills = random.Random(), 0
    for attempt in range(4):
        before = state.stat().st_mtime_ns if state.exists() else 0
        words = command if Path("killed/parameters.json").exists() else begin
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if attempt != 1:  # that one is killed while it starts
            while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
                time.sleep(0.001)
        time.sleep(moments.uniform(0.0, 0.1))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 3, "the run ended before it could be killed"
    subprocess.run(command, check=True, capture_output=True)
    train("--trials", "1500", "--out", "whole")
    assert_same(Path("killed"), Path("whole"))
    np.testing.assert_array_equal(results.load("killed")["learning/trial"], np.arange(1500))

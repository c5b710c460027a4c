"""The benchmark's parts: hand-written C++ of a case against the Reference, names of cases, peers that are not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.measure import Unavailable, Worker
from benchmarks.registry import CASES, Case, Job, case_named, expand, load


def test_every_case_has_our_target_and_a_limit() -> None:
    for name in CASES:
        case = case_named(name)
        names = [implementation.name for implementation in case.implementations]
        assert case.name == name and len(set(names)) == len(names) and {"compiled", "cpp"} <= set(names)
        assert any(implementation.quick for implementation in case.implementations)


def test_a_word_stands_for_a_case_and_its_variants() -> None:
    assert expand("song") == ["song"]
    assert expand("weight-noise") == ["weight-noise", "weight-noise-graded", "weight-noise-1e6", "weight-noise-graded-1e6"]
    assert expand("weight-noise", quick=True) == ["weight-noise"]
    assert expand("scaling", quick=True) == ["scaling-1e4", "scaling-1e5"]
    assert expand("no-such-case") == []


def outcomes(case: Case, names: list[str], folder: Path, trials: int, steps: int) -> dict[str, np.ndarray]:
    make: Any = load(case.data)
    arrays = make(steps, trials, **case.options)
    data = folder / "check.npz"
    np.savez(data, **arrays)
    found = {"start": arrays[case.start].ravel()}
    for name in names:
        runner = case[name].make()
        runner.prepare(Job(folder, data, steps, trials, given=True))
        runner.run(trials)
        found[name] = runner.outcome().ravel()
    return found


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize(
    ("name", "forms", "trials", "steps"),
    [("rnn", ["cpp", "cpp-dense"], 2, 60), ("bci", ["cpp", "cpp-deferred", "cpp-encoder"], 2, 18), ("distal-reward", ["cpp"], 1, 150),
     ("weight-noise", ["cpp"], 1, 60), ("weight-noise-graded", ["cpp"], 1, 10)],
)
def test_cpp_by_hand_learns_what_the_reference_learns(name: str, forms: list[str], trials: int, steps: int, tmp_path: Path) -> None:
    case = case_named(name)
    found = outcomes(case, ["reference", *forms], tmp_path, trials, steps)
    change = np.abs(found["reference"] - found["start"]).max()
    assert change > 0
    for form in forms:
        assert np.abs(found[form] - found["reference"]).max() < 1e-7 * change


def test_a_peer_that_is_not_there_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUROPLAST_PEERS", str(tmp_path))
    with pytest.raises(Unavailable, match="not installed: .*pip install nest-simulator"):
        Worker(case_named("distal-reward"), "nest", {"folder": str(tmp_path / "nest"), "against": False}, 10.0, tmp_path / "log")


def test_the_committed_results_are_drawn_and_tabulated(tmp_path: Path) -> None:
    from figures.bench import ROOT, draw, results
    from figures.bench_table import HEAD, line

    found = results(ROOT / "benchmarks" / "results")
    assert "song" in [result["case"] for result in found]
    assert all(len(line(result)) == len(HEAD) for result in found)
    draw(found).savefig(tmp_path / "bench.png", dpi=40)

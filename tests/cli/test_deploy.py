"""``neuroplast deploy`` and ``neuroplast compare`` on a tiny model, in documents and in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from neuroplast.backends.lava.loihi2 import HardwareNotAvailable, Loihi2, without_chip_model
from neuroplast.cli import app
from neuroplast.deploy import model_program
from neuroplast.model import Model
from neuroplast.quantize import IntegerCurrent, IntegerNeuron
from neuroplast.quantize.by_hand import Connection, integer_program


@pytest.fixture(autouse=True)
def in_an_empty_folder(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("neuroplast.report.write_report", lambda folder: folder / "report.html")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], catch_exceptions=False)


def document(*arguments: str, code: int = 0) -> Any:
    answer = call(*arguments, "--json")
    assert answer.exit_code == code, answer.output
    return json.loads(answer.stdout)


def test_deploy_the_weights_of_a_run():
    """Learned weights keep most of the performance on the chip's grid, and every number that changed is in the document."""
    document("run", "tiny", "--target", "reference", "--trials", "300", "--out", "run")
    naive = document("deploy", "tiny", "--target", "reference", "--precision", "float", "--trials", "20")
    exact = document("deploy", "tiny", "--target", "reference", "--precision", "float", "--weights", "run", "--trials", "20")
    fixed = document("deploy", "tiny", "--target", "reference", "--weights", "run", "--trials", "20")
    assert exact["measures"]["error"] < 0.7 * naive["measures"]["error"]
    assert fixed["measures"]["error"] < 0.8 * naive["measures"]["error"]
    assert fixed["measures"]["error"] != exact["measures"]["error"] and not exact["resources"]
    whats = {(row["node"], row["what"]): row["got"] for row in fixed["lowering"]}
    assert "x 2^0" in whats["x_y", "weights"] and "simulator only" in whats["y", "place"]
    assert {row["resource"] for row in fixed["resources"]} == {"compartments", "synapses", "synapse memory (kB)", "axons"}
    assert all(row["fits"] for row in fixed["resources"])


def test_deploy_without_learning_and_on_the_learning_engine():
    """Weights that stay give the same in every trial but for the noise; the form of the rule is asked for by name."""
    still = document("deploy", "tiny", "--target", "reference", "--no-learn", "--trials", "3")
    assert len(still["trial_measures"]["error"]) == 3 and not any(row["what"] == "rule" for row in still["lowering"])
    document("run", "tiny", "--target", "reference", "--trials", "20", "--out", "run")
    learns = document("deploy", "tiny", "--target", "reference", "--plasticity", "loihi", "--weights", "run", "--trials", "2")
    whats = {row["what"]: row["got"] for row in learns["lowering"]}
    assert whats["rule"].startswith("on chip, if") and "u0*t*y2" in whats["rule: dw"] and learns["plasticity"] == "loihi"


def test_deploy_in_words():
    answer = call("deploy", "tiny", "--target", "reference", "--trials", "2")
    assert answer.exit_code == 0 and "the numbers that changed" in answer.stdout and "error" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["deploy", "tiny", "--target", "loihi2"], "lava-loihi"),
        (["deploy", "tiny", "--precision", "double"], "float, fixed"),
        (["deploy", "tiny", "--precision", "float", "--plasticity", "loihi"], "whole numbers alone"),
        (["deploy", "tiny", "--target", "reference", "--plasticity", "chip"], "process, loihi"),
        (["deploy", "tiny", "--target", "reference", "--plasticity", "loihi"], "the rule of 'x_y' cannot be said"),
        (["deploy", "tiny", "--weights", "nowhere", "--target", "reference"], "no result"),
        (["compare", "tiny", "--targets", "reference"], "two targets"),
        (["compare", "tiny", "--targets", "reference,referenz"], "Did you mean 'reference'"),
    ],
)
def test_errors_say_what_to_do(arguments: list[str], message: str):
    answer = call(*arguments)
    assert answer.exit_code == 2 and message in " ".join(answer.stderr.split())


def test_compare_finds_nothing_where_there_is_nothing():
    found = document("compare", "tiny", "--targets", "reference,reference", "--trials", "3")
    target = found["targets"]["reference"]
    assert target["differ"] == 0 and target["arrays"] > 5


def test_compare_finds_where_and_when(monkeypatch: pytest.MonkeyPatch):
    """A target that adds a little to one number in one step is found out, and drawn."""
    from neuroplast.backends import targets
    from neuroplast.backends.reference import Reference, ReferenceExecutable

    class Wrong(Reference):
        def prepare(self, program: Any, task: Any = None) -> ReferenceExecutable:
            executable = super().prepare(program, task)
            operations, do = executable._operations, executable._operations.run

            def run(ops: Any) -> None:
                do(ops)
                if ops is program.neurons and list(executable.arrays["clock"][:2]) == [1, 2]:
                    executable.arrays["y_rate"][1] += 1e-6

            operations.run = run  # type: ignore[method-assign]
            return executable

    found = targets.target_named
    monkeypatch.setattr(targets, "target_named", lambda name: Wrong() if name == "wrong" else found(name))
    answer = document("compare", "tiny", "--targets", "reference,wrong", "--trials", "4", "--out", "picture.png")
    first = answer["targets"]["wrong"]["first"][0]
    assert (first["array"], first["trial"], first["step"], first["unit"]) == ("y_rate", 2, 1, 1)
    assert first["wrong"] - first["reference"] == pytest.approx(1e-6, rel=1e-6)
    assert Path("picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_loihi_2_is_not_pretended(monkeypatch: pytest.MonkeyPatch):
    """Without hardware, and with processes that no chip has a model for, an error before the run; for LIF alone, none to name."""
    program = model_program("tiny", 0, None, True, None)
    with pytest.raises(HardwareNotAvailable, match=r"y: simulator only"):
        Loihi2().prepare(program)
    full = lambda value: np.full(3, float(value))
    neuron = IntegerNeuron(full(100), full(0), 0, full(50), (IntegerCurrent(full(200), ("w",)),))
    chip = integer_program(np.eye(3, 9) > 0, {"cells": neuron}, {"w": Connection("input", "cells", 2 * np.ones((3, 3), int))})
    assert without_chip_model(chip) == []
    monkeypatch.setenv("SLURM", "1")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HardwareNotAvailable, match="sinfo"):
        Loihi2().prepare(chip)

"""The frame of models: parameters, overrides, the laboratory, claims."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroplast.errors import DescriptionError, UnitsError
from neuroplast.lab import Lab, judge
from neuroplast.model import Claim, Measured, Model, Parameter, Skip, model_named, models
from neuroplast.overrides import parse_settings, value_text
from neuroplast.simulation import Simulation
from neuroplast.training import Progress
from neuroplast.units import ms, mV, registry, second

DEFAULTS: dict[str, Any] = {
    "tau": 20 * ms, "n": 200, "x": 0.1, "flag": True, "name": "a", "array": np.array([1.0, 2.0]), "pair": (1, 2),
    "levels": np.array([1.0, 2.0]) * mV,
}


def test_models_are_found_by_name(tiny: Model) -> None:
    assert models()["tiny"] is tiny
    assert model_named("tiny") is tiny
    with pytest.raises(DescriptionError, match="Did you mean 'tiny'"):
        model_named("tinny")


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("tau=30 ms", "tau", 30 * ms), ("tau = 0.03 s", "tau", 30 * ms), ("tau=5e1*ms", "tau", 50 * ms), ("n=10", "n", 10),
        ("n=1e3", "n", 1000), ("x=3", "x", 3.0), ("flag=no", "flag", False), ("name=b c", "name", "b c"),
        ("pair=3, 4", "pair", (3, 4)),
    ],
)
def test_settings_take_the_type_and_unit_of_the_parameter(setting: str, name: str, value: Any) -> None:
    found = parse_settings([setting], DEFAULTS)
    assert found[name] == value and type(found[name]) is type(value)
    again = parse_settings([f"{name}={value_text(found[name])}"], DEFAULTS)
    assert again == found


def test_settings_of_arrays() -> None:
    found = parse_settings(["array=[1, 2.5, 4]", "levels=3, 4 mV"], DEFAULTS)
    np.testing.assert_array_equal(found["array"], [1, 2.5, 4])
    np.testing.assert_array_equal(found["levels"].to("mV").magnitude, [3, 4])


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ("tua=3 ms", DescriptionError, "Did you mean 'tau'"), ("tau=30", UnitsError, "needs a unit"),
        ("tau=3 mV", UnitsError, "has another unit"), ("tau=3 foo", UnitsError, "a number with a unit"),
        ("tau=ms", UnitsError, "a number with a unit"), ("tau=1, 2 ms", DescriptionError, "is one number"),
        ("tau=__import__('os')", UnitsError, "a number with a unit"), ("x=1 ms", DescriptionError, "without a unit"),
        ("n=1.5", DescriptionError, "a whole number"), ("n=many", DescriptionError, "a whole number"),
        ("n=inf", DescriptionError, "a whole number"), ("x=nan", DescriptionError, "a number"),
        ("flag=maybe", DescriptionError, "is a switch"), ("array=1, b", DescriptionError, "a list of numbers"),
        ("array=1 mV", DescriptionError, "a list of numbers"), ("pair=1.5", DescriptionError, "a list of numbers"),
        ("tau", DescriptionError, "parameter=value"), ("=3", DescriptionError, "parameter=value"),
    ],
)
def test_settings_that_do_not_fit(setting: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_settings([setting], DEFAULTS)


def test_a_parameter_is_set_once() -> None:
    with pytest.raises(DescriptionError, match="set twice"):
        parse_settings(["n=1", "n=2"], DEFAULTS)


def test_values_are_defaults_then_quick_then_overrides(tiny: Model) -> None:
    assert tiny.values().trials == 600
    assert tiny.values(quick=True).trials == 200
    values = tiny.values(quick=True, overrides={"trials": 7, "scale": 1 * registry.volt})
    assert values.trials == 7
    assert values.scale.magnitude == 1000 and str(values.scale.units) == "millivolt"
    with pytest.raises(UnitsError, match="has no unit"):
        tiny.values(overrides={"rate": 1 * second})


def test_the_table_says_what_was_changed(tiny: Model) -> None:
    table = tiny.parameter_table(tiny.values(overrides={"rate": 0.2}))
    assert table["rate"] == {"value": 0.2, "source": "set for this run", "why": "the model's own value is 0.1"}
    assert table["scale"] == {"value": "20 mV", "source": "card", "why": "not used; a parameter with a unit"}
    json.dumps(table)


def test_a_model_that_contradicts_itself(tiny: Model) -> None:
    with pytest.raises(DescriptionError, match=r"dt names 'dtt'(.|\n)*Did you mean 'dt'"):
        replace(tiny, dt="dtt")
    with pytest.raises(DescriptionError, match="quick names 'n'"):
        replace(tiny, quick={"n": 3})
    with pytest.raises(DescriptionError, match="two claims called 'learns'"):
        replace(tiny, claims=(tiny.claims[0], tiny.claims[0]))


def test_a_lab_makes_each_run_once(tiny: Model) -> None:
    watched = []
    lab = Lab(tiny, target="reference", watch=lambda label, progress: watched.append((label, progress.trial)))
    first = lab.run(1, trials=20)
    assert first["learning"].sizes["trial"] == 20 and first.attrs["model"] == "tiny"
    assert watched[-1] == ("tiny seed 1, trials 20", 20)
    assert lab.run(1, trials=20) is first
    assert lab.run(2, trials=20) is not first
    assert lab.run(1, trials=20, rate=0.2) is not first
    assert lab.run(1, trials=20, record=False)["recordings/y_rate/value"].size == 0
    assert lab.parameters(trials=20).trials == 20


def test_quick_labs_are_smaller(tiny: Model) -> None:
    assert Lab(tiny).seeds(5) == [0, 1, 2, 3, 4]
    assert Lab(tiny, quick=True).seeds(5) == [0, 1]
    assert Lab(tiny, quick=True).seeds(1) == [0]
    assert Lab(tiny, quick=True, target="reference").run()["learning"].sizes["trial"] == 200


def test_a_lab_with_a_folder_goes_on_in_another_process(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Lab(tiny, target="reference", folder=tmp_path / "whole").run(trials=20)

    def interrupt(_: str, progress: Progress) -> None:
        if progress.trial == 5 and not progress.stopping:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("neuroplast.training._SHOW_EVERY", 0.0)
    with pytest.raises(KeyboardInterrupt):
        Lab(tiny, target="reference", folder=tmp_path / "a", watch=interrupt).run(trials=20)
    assert list((tmp_path / "a").glob("*.checkpoint"))
    tree = Lab(tiny, target="reference", folder=tmp_path / "a").run(trials=20)
    np.testing.assert_array_equal(tree["learning/error"], whole["learning/error"])
    assert [path.suffix for path in (tmp_path / "a").iterdir()] == [".nc"]

    def none(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished run was run again")

    monkeypatch.setattr(Simulation, "train", none)
    xr.testing.assert_identical(Lab(tiny, target="reference", folder=tmp_path / "a").run(trials=20), tree)
    others: list[dict[str, Any]] = [{"trials": 21}, {"trials": 20, "rate": 0.2}, {"trials": 20, "record": False}]
    for other in others:
        with pytest.raises(AssertionError, match="run again"):
            Lab(tiny, target="reference", folder=tmp_path / "a").run(**other)


def test_a_lab_runs_seeds_side_by_side_and_stores_long_runs_alone(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tiny, target="reference", folder=tmp_path)
    second = lab.run(1, trials=20)
    trees = lab.runs([0, 1, 2], trials=20)
    assert trees[1] is second and [tree.attrs["seed"] for tree in trees] == [0, 1, 2]
    np.testing.assert_array_equal(trees[2]["learning/error"], Lab(tiny, target="reference").run(2, trials=20)["learning/error"])
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("neuroplast.lab.SHORT", 0.0)
    lab.runs([3, 4], trials=20)
    assert [path.suffix for path in tmp_path.iterdir()] == [".nc", ".nc"]


def test_claims_are_judged(tiny: Model) -> None:
    lab = Lab(tiny, quick=True, target="reference")
    verdicts = [judge(claim, lab) for claim in tiny.claims]
    assert [verdict.verdict for verdict in verdicts] == ["holds", "fails", "skipped"]
    assert verdicts[0].seeds == [0] and verdicts[0].measured.startswith("final / first error 0.")
    assert verdicts[2].reason == "needs a chip"
    json.dumps([verdict.row() for verdict in verdicts])


def test_a_measurement_that_breaks_down_says_nothing_about_the_claim(tiny: Model) -> None:
    def wrong_parameter(lab: Lab) -> Measured:
        lab.run(raet=1.0)
        raise AssertionError

    def bug(lab: Lab) -> Measured:
        raise ZeroDivisionError("oh")

    for measure, reason in ((wrong_parameter, "Did you mean 'rate'"), (bug, "ZeroDivisionError: oh")):
        verdict = judge(Claim("c", "s", "s", "e", measure), Lab(tiny, target="reference"))
        assert verdict.verdict == "skipped" and verdict.broke_down and reason in verdict.reason


def test_numpy_numbers_become_plain(tiny: Model) -> None:
    def measure(lab: Lab) -> Measured:
        return Measured({"a": np.float64(1.0), "b": np.arange(2), "c": 3 * ms}, "text", bool(np.True_), [np.int64(1)])  # type: ignore[list-item]

    row = judge(Claim("c", "s", "s", "e", measure), Lab(tiny)).row()
    assert json.loads(json.dumps(row))["value"] == {"a": 1.0, "b": [0, 1], "c": "3 ms"}


def test_skip_and_parameter_are_plain() -> None:
    assert str(Skip("why")) == "why"
    assert Parameter(1, "paper").why == ""

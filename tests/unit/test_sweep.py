"""Sweeps on Dask: every point is the run that it would be alone, also where its worker was killed."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from neuroplast import results
from neuroplast.cli import app
from neuroplast.errors import DescriptionError, NeuroplastError, ResultError
from neuroplast.model import Model
from neuroplast.results import array
from neuroplast.sweep import Finished, Point, parse_axes, sweep
from neuroplast.units import ms, mV

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as found:
        yield found


@pytest.fixture(autouse=True)
def sent_by_value(tiny: Model) -> Iterator[None]:
    """The workers do not know the folder of the tiny model."""
    import cloudpickle

    module = sys.modules["neuroplast.models.tiny"]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def test_values_of_settings() -> None:
    defaults = {"rate": 0.1, "tau": 20 * ms, "n": 3, "name": "a", "list": [1, 2], "taus": np.array([1.0, 2.0]) * ms}
    axes = parse_axes(["rate=1,2e-3", "tau=10,20 ms", "name=b, c", "list=1,2;3,4", "taus=1,2 ms;3 , 4 ms"], defaults)
    assert axes["rate"] == [1.0, 2e-3] and axes["name"] == ["b", "c"] and axes["list"] == [[1, 2], [3, 4]]
    assert [f"{value:~}" for value in axes["tau"]] == ["10.0 ms", "20.0 ms"]
    assert len(axes["taus"]) == 2
    wrong = {
        "raet=1": "Did you mean 'rate'", "rate=1,": "without a unit", "n=1,2.5": "a whole number", "tau=1,2": "needs a unit",
        "tau=1 mV,2 ms": "another unit", "rate": "parameter=value,value", "rate=0.1,.1": "not different", "rate=": "parameter=value",
    }
    for text, message in wrong.items():
        with pytest.raises(DescriptionError, match=message):
            parse_axes([text], defaults)
    with pytest.raises(DescriptionError, match="set twice"):
        parse_axes(["rate=1", "rate=2"], defaults)


def test_without_dask_the_error_says_how_to_get_it(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NeuroplastError, match=r"needs Dask(.|\n)*neuroplast\[sweep\]"):
        sweep(tiny, {"rate": [0.1]}, 1, tmp_path)


def test_a_scheduler_that_is_not_there(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuroplast.sweep._CONNECT", "0.5s")
    with pytest.raises(ResultError, match="no Dask scheduler at tcp://127.0.0.1:9"):
        sweep(tiny, {"rate": [0.1]}, 1, tmp_path, scheduler="tcp://127.0.0.1:9")


def test_every_point_is_the_run_alone_and_is_run_once(tiny: Model, tmp_path: Path, cluster: Any) -> None:
    axes, ran = {"rate": [0.05, 0.1], "scale": [1 * mV, 2 * mV]}, []

    def note(point: Point, about: Finished) -> None:
        ran.append(about.ran)

    tree = sweep(tiny, axes, [3, 4], tmp_path, trials=30, target="reference", scheduler=cluster, finished=note)
    assert tree["learning/error"].dims == ("rate", "scale", "seed", "trial") and sum(ran) == 8
    np.testing.assert_array_equal(tree["learning/scale"], [1.0, 2.0])
    assert tree["learning/scale"].attrs["units"] == "mV"
    for k, rate in enumerate((0.05, 0.1)):
        alone = tiny.simulation(tiny.values(overrides={"rate": rate}), 4, "reference").run(30)
        np.testing.assert_array_equal(array(tree, "learning/error")[k, 1, 1], alone["learning/error"])
        whole = results.load(tmp_path / "points" / str(array(tree, "file")[k, 1, 1]))
        np.testing.assert_array_equal(whole["weights_final/x_y"], alone["weights_final/x_y"])
    xr.testing.assert_identical(results.load(tmp_path / "sweep.nc"), tree)
    assert len(list((tmp_path / "points").iterdir())) == 8
    again = sweep(tiny, {"rate": [0.1, 0.2]}, [3], tmp_path, trials=30, target="reference", scheduler=cluster, finished=note)
    assert ran[8:] == [True, True] and again.sizes["rate"] == 2  # scale has another value there
    ran.clear()
    sweep(tiny, {"rate": [0.1, 0.2]}, [3], tmp_path, trials=30, target="reference", scheduler=cluster, finished=note)
    assert ran == [False, False]


def test_a_point_that_fails_does_not_stop_the_others(tiny: Model, tmp_path: Path, cluster: Any) -> None:
    with pytest.raises(ResultError, match=r"1 of 2 points failed, the first at n_inputs=0, seed=0(.|\n)*is empty"):
        sweep(tiny, {"n_inputs": [0, 2]}, 1, tmp_path, trials=5, target="reference", scheduler=cluster)
    assert [path.suffix for path in (tmp_path / "points").iterdir()] == [".nc"]
    assert not (tmp_path / "sweep.nc").exists()


def test_a_killed_worker_loses_nothing(tiny: Model, tmp_path: Path, cluster: Any) -> None:
    trials, abouts = 4000, {}

    def watched_sweep() -> None:
        abouts["tree"] = sweep(
            tiny, {"rate": [0.05, 0.1]}, 1, tmp_path, trials=trials, target="reference", scheduler=cluster, checkpoint_every=0.05,
            finished=lambda point, about: abouts.update({point.index: about}),
        )

    with distributed.Client(cluster, set_as_default=False) as client:
        (worker,) = client.run(os.getpid).values()
    thread = threading.Thread(target=watched_sweep)
    thread.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("points/*.checkpoint/state.npz")):
        assert time.monotonic() < deadline and thread.is_alive()
        time.sleep(0.01)
    os.kill(worker, signal.SIGKILL)
    thread.join(120)
    assert abouts[(0, 0)].resumed + abouts[(1, 0)].resumed > 0, "no point went on from a checkpoint"
    for k, rate in enumerate((0.05, 0.1)):
        alone = tiny.simulation(tiny.values(overrides={"rate": rate}), 0, "reference").run(trials)
        np.testing.assert_array_equal(array(abouts["tree"], "learning/error")[k, 0], alone["learning/error"])


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["sweep", "tiny", "--set", "rate=0.1,0.2", "--seeds", "2", "--trials", "10", "--target", "reference", "--workers", "1"]
    answer = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert answer.exit_code == 0 and '"points": 4' in answer.stdout
    assert results.load("results/tiny-sweep/sweep.nc")["learning/error"].shape == (2, 2, 10)

"""The result tree and its file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from neuroplast import results
from neuroplast.backends.reference import Reference
from neuroplast.errors import DescriptionError, ResultError
from neuroplast.modulation import Modulator
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import LIF, Pattern, Poisson
from neuroplast.plasticity import Eligibility, LowPass, Signal, ThreeFactorRule
from neuroplast.results import array
from neuroplast.simulation import Simulation
from neuroplast.synapses import Current, Pairs
from neuroplast.tasks import PythonTask
from neuroplast.units import Hz, ms, mV

LENGTHS = (4, 2, 3)


class Environment:
    """Trials of different lengths."""

    def reset(self, trial: int, rng: np.random.Generator) -> Mapping[str, Any]:
        self.trial, self.count = trial, 0
        return {"given": np.arange(2.0)}

    def step(self, outputs: Mapping[str, np.ndarray]) -> tuple[float, Mapping[str, Any], bool]:
        self.count += 1
        return 1.0, {}, self.count == LENGTHS[self.trial]


def network() -> Network:
    net = Network("net", seed=3)
    pre = net.add(Population("pre", 3, Poisson(rate=300 * Hz)))
    post = net.add(Population("post", 4, LIF(tau=20 * ms, v_rest=-60 * mV, v_threshold=-50 * mV, v_reset=-60 * mV)))
    given = net.add(Population("given", 2, Pattern()))
    rule = ThreeFactorRule(
        {"pre": LowPass(Signal("pre", "spikes"), tau=5 * ms), "post": Signal("post", "v")}, Eligibility("pre*post", tau=5 * ms),
        Modulator("m"), rate=1e-3,
    )
    some = Pairs(pre=np.array([0, 1, 2, 0]), post=np.array([0, 1, 2, 3]))
    every = net.add(Projection(pre, post, 1 * mV, Current(tau=5 * ms), plasticity=rule, name="every"))
    net.add(Projection(pre, post, 2 * mV, Current(tau=5 * ms), some, plasticity=rule, name="some"))
    net.add(PythonTask(environment=Environment(), inputs=(given,), outputs=(post,), steps=10))
    net.add(Monitor(pre, "spikes", trials="all"))
    net.add(Monitor(post, "v", every=2 * ms, trials="all", units=[1, 3]))
    net.add(Monitor(every, "weight", every="trial"))
    net.add(Monitor(rule.modulator, "reward"))
    return net


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    with Simulation(network(), 1 * ms, Reference()) as simulation:
        return simulation.run(len(LENGTHS), attributes={"model": "none"})


def test_root_attributes(tree: xr.DataTree) -> None:
    about = tree.attrs
    assert (about["name"], about["seed"], about["dt"], about["target"], about["trials"]) == ("net", 3, 1e-3, "reference", 3)
    assert about["model"] == "none"
    assert json.loads(about["versions"])["numpy"] == np.__version__
    assert isinstance(json.loads(about["lowering"]), list)


def test_learning(tree: xr.DataTree) -> None:
    reward = tree["learning/reward"]
    np.testing.assert_array_equal(reward, LENGTHS)
    np.testing.assert_array_equal(reward["trial"], [0, 1, 2])
    assert reward.attrs["units"] == "1"


def test_recordings_of_trials_of_different_lengths(tree: xr.DataTree) -> None:
    spikes = tree["recordings/pre_spikes"]
    assert spikes["value"].dims == ("recorded", "time", "unit")
    assert array(tree, "recordings/pre_spikes/value").shape == (3, 4, 3) and spikes["value"].dtype == np.uint8
    np.testing.assert_array_equal(spikes["length"], LENGTHS)
    assert not array(tree, "recordings/pre_spikes/value")[1, 2:].any()
    np.testing.assert_allclose(spikes["time"], [1e-3, 2e-3, 3e-3, 4e-3])
    v = tree["recordings/post_v"]
    assert v["value"].attrs == {"units": "V", "of": "post", "variable": "v", "array": "post_v"}
    np.testing.assert_array_equal(v["unit"], [1, 3])
    np.testing.assert_allclose(v["time"], [2e-3, 4e-3])
    missing = np.isnan(array(tree, "recordings/post_v/value")[:, :, 0])
    np.testing.assert_array_equal(missing, [[False, False], [False, True], [False, True]])


def test_recordings_at_the_end_of_trials_and_of_modulators(tree: xr.DataTree) -> None:
    weight = tree["recordings/every_weight"]
    assert weight["value"].dims == ("recorded", "unit") and array(tree, "recordings/every_weight/value").shape == (3, 12)
    assert (weight["value"].attrs["of"], weight["value"].attrs["variable"]) == ("every", "weight")
    reward = tree["recordings/m_reward"]
    assert (reward["value"].attrs["of"], reward["value"].attrs["variable"]) == ("m", "reward")
    np.testing.assert_array_equal(reward["trial"], [0, 2])


def test_weights_before_and_after(tree: xr.DataTree) -> None:
    before, after = array(tree, "weights_initial/every"), array(tree, "weights_final/every")
    assert tree["weights_initial/every"].attrs["units"] == "V"
    assert before.shape == (4, 3)
    np.testing.assert_allclose(before, 1e-3)
    np.testing.assert_array_equal(after.T.ravel(), array(tree, "recordings/every_weight/value")[-1])
    assert np.any(after != before)
    pre, post = (array(tree, f"weights_final/some_{side}").tolist() for side in ("pre", "post"))
    pairs = sorted(zip(pre, post, strict=True))
    assert pairs == [(0, 0), (0, 3), (1, 1), (2, 2)]
    assert array(tree, "weights_final/some").shape == (4,)


def test_final_state(tree: xr.DataTree) -> None:
    state = tree["state_final"]
    assert state["post_v"].shape == (4,) and state["post_v"].attrs["units"] == "V"
    assert not [name for name in state.data_vars if "ring" in str(name) or name == "clock"]


def test_saved_and_loaded_is_the_same(tree: xr.DataTree, tmp_path: Path) -> None:
    path = results.save(tree, tmp_path / "new" / "result.nc")
    xr.testing.assert_identical(results.load(path), tree)
    xr.testing.assert_identical(results.load(path.parent), tree)
    assert [file.name for file in path.parent.iterdir()] == ["result.nc"]


def test_other_tools_open_the_file(tree: xr.DataTree, tmp_path: Path) -> None:
    path = results.save(tree, tmp_path / "result.nc")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(np.asarray(file["learning/reward"]), LENGTHS)
        assert file["recordings/post_v/value"].attrs["units"] == "V"
    with xr.open_datatree(path, engine="h5netcdf") as plain:
        assert plain["recordings/post_v/time"].dtype == float


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_broken_file_is_a_clear_error(tree: xr.DataTree, tmp_path: Path, content: bytes | None) -> None:
    path = results.save(tree, tmp_path / "result.nc")
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(ResultError, match="cannot be read as a result"):
        results.load(path)


def test_no_file_and_a_file_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="there is no result"):
        results.load(tmp_path)
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(ResultError, match="is not a result of neuroplast"):
        results.load(tmp_path / "other.nc")


def test_a_failed_save_leaves_the_old_file(tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = results.save(tree, tmp_path / "result.nc")
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResultError, match="No space left"):
        results.save(tree, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["result.nc"]


def test_a_network_without_a_task_runs_for_a_duration() -> None:
    net = Network("alone", seed=1)
    noise = net.add(Population("noise", 5, Poisson(rate=100 * Hz)))
    net.add(Monitor(noise, "spikes"))
    simulation = Simulation(net, 1 * ms, Reference())
    assert array(simulation.run(duration=50 * ms), "recordings/noise_spikes/value").shape == (1, 50, 5)
    longer = simulation.run(duration=80 * ms)
    assert array(longer, "recordings/noise_spikes/value").shape == (1, 80, 5)
    assert not longer["learning"].data_vars
    with pytest.raises(DescriptionError, match="shorter than one step"):
        simulation.run(duration=0.1 * ms)
    with pytest.raises(DescriptionError, match="wrong unit"):
        simulation.run(duration=5 * mV)
    assert array(simulation.run(duration=50 * ms), "recordings/noise_spikes/value").shape == (1, 50, 5)


def test_nothing_is_recorded_where_that_is_asked() -> None:
    tree = Simulation(network(), 1 * ms, Reference()).run(3, record=False)
    assert array(tree, "recordings/pre_spikes/value").size == 0
    assert array(tree, "recordings/post_v/value").size == 0


def test_a_program_runs_by_itself() -> None:
    program = Simulation(network(), 1 * ms, Reference()).program
    tree = Simulation.of_program(program, Reference()).run(3)
    np.testing.assert_array_equal(array(tree, "learning/reward"), LENGTHS)


def test_variables_by_path(tree: xr.DataTree) -> None:
    np.testing.assert_array_equal(array(tree, "learning/trial"), [0, 1, 2])
    for path in ("learning/rewrad", "learning", "nothing/at_all"):
        with pytest.raises(ResultError, match=r"holds no(.|\n)*learning/reward"):
            array(tree, path)

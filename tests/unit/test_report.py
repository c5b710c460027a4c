"""The report of a made-up result: whole, self-contained, safe, and never stopped by a missing piece."""

from __future__ import annotations

import base64
import io
import json
import re
import runpy
import sys
import wave
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from neuroplast.errors import ResultError
from neuroplast.report import Section, section, sound, write_report
from neuroplast.report.contents import model_sections

ROOT = Path(__file__).resolve().parents[2]


def fake_result(folder: Path, *, trials=300, hvc=40, ra=24, steps=250, without=(), seed=1, **attributes) -> Path:
    """Write a result.nc as a small birdsong run would leave it, and return its folder. without: names of groups left out."""
    rng = np.random.default_rng(seed)
    dt, trial = 2e-4, np.arange(trials)
    time = dt * (1 + np.arange(steps))
    error = 2000.0 * (0.05 + 0.95 * np.exp(-trial / (trials / 5))) * rng.lognormal(0.0, 0.3, trials)
    reward = np.clip(0.5 + 0.1 * rng.standard_normal(trials), 0, 1)
    spikes = (rng.random((2, steps, ra)) < 0.005 + 0.015 * (np.sin(time * 400)[None, :, None] > 0)).astype(np.uint8)
    bursts = np.zeros((2, steps, hvc), np.uint8)
    for k in range(hvc):
        bursts[:, (np.arange(4) * 4 + int(k * (steps - 16) / hvc)), k] = 1
    kernel = (time / 5e-3) ** 5 * np.exp(-time / 5e-3)
    traces = np.stack([np.convolve(rng.standard_normal(steps), kernel)[:steps] for _ in range(60)], axis=1)
    initial = rng.uniform(0, 0.22, (ra, hvc))
    final = np.clip(initial + 0.05 * rng.standard_normal((ra, hvc)) * (rng.random((ra, hvc)) < 0.7), 0, None)

    def monitor(of, variable, units, values, numbers):
        dims = ("recorded", "time", "unit")
        coords = {"trial": ("recorded", numbers), "time": time, "unit": np.arange(values.shape[2])}
        return xr.Dataset({"value": (dims, values)}, coords, {"of": of, "variable": variable, "units": units})

    ends = np.array([0, trials - 1])
    groups = {
        "learning": xr.Dataset(
            {
                "reward": ("trial", reward, {"units": "1"}),
                "error": ("trial", error, {"units": "hertz ** 2"}),
                "in tune": ("trial", (rng.random(trials) < trial / trials).astype(float), {"units": "1"}),
            }
        ),
        "recordings/hvc_spikes": monitor("hvc", "spikes", "1", bursts, ends),
        "recordings/ra_spikes": monitor("ra", "spikes", "1", spikes, ends),
        "recordings/eligibility": monitor("hvc_to_ra", "eligibility", "S", 1e-9 * traces[None], ends[1:]),
        "recordings/reward": monitor("critic", "value", "1", (traces[None, :, :1] > 0).astype(float), ends[1:]),
        "recordings/motor": monitor("motor", "m", "Hz", 30 * np.stack([traces[:, :2], traces[:, 2:4]]), ends),
        "weights_initial": xr.Dataset({"hvc_to_ra": (("post", "pre"), initial, {"units": "nS"})}),
        "weights_final": xr.Dataset({"hvc_to_ra": (("post", "pre"), final, {"units": "nS"})}),
    }
    root = xr.Dataset(
        attrs={
            "name": "birdsong",
            "title": "Birdsong learning by perturbation of conductances",
            "citation": "Fiete IR, Fee MS, Seung HS (2007). Model of birdsong learning based on gradient estimation by dynamic "
            "perturbation of neural conductances. J Neurophysiol 98:2038–2057.",
            "equations": "    tau dV/dt = -V + g (V_E - V)\n    V < V_th",
            "doi": "10.1152/jn.01311.2006",
            "target": "brian2-library",
            "seed": 7,
            "trials": trials,
            "dt": dt,
            "created": "2025-11-21T20:14:03.123456+00:00",
            "learning_measure": "error",
            "versions": json.dumps({"neuroplast": "0.1.0", "brian2": "2.9.0", "numpy": "1.26.4"}),
            "lowering": json.dumps(
                [
                    {"node": "ra", "what": "refractory", "asked": "1.1 ms", "got": "1.2 ms (6 steps)", "where": "song.py:31"},
                    {"node": "hvc_to_ra", "what": "delay", "asked": "0 ms", "got": "0.2 ms (1 step)", "where": None},
                ]
            ),
            "parameters": json.dumps(
                {
                    "tau_s": {"value": "5 ms", "source": "paper, methods", "why": "decay of the synaptic conductances"},
                    "reward_delay": {"value": "25 ms", "source": "chosen", "why": "the kernel of the eligibility peaks here"},
                    "learning_rate": {"value": 2.5e-5, "source": "chosen", "why": "the largest at which no seed diverged"},
                    "motor_weights": {"value": [1, -1], "source": "paper, figure 2", "why": "half of a pool push, half pull"},
                }
            ),
            **attributes,
        }
    )
    kept = {name: group for name, group in groups.items() if not name.startswith(tuple(without))} if without else groups
    folder.mkdir(parents=True, exist_ok=True)
    xr.DataTree.from_dict({"/": root, **kept}).to_netcdf(folder / "result.nc", engine="h5netcdf")
    return folder


def page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


class Elements(HTMLParser):
    """All elements of a page as (tag, attributes), and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def standard(tmp_path_factory) -> str:
    return page(fake_result(tmp_path_factory.mktemp("standard")))


def test_page_holds_every_part_and_nothing_from_outside(standard):
    elements = Elements(standard)
    for text in ("Birdsong learning by", "brian2-library", "J Neurophysiol", "brian2 2.9.0", "0.2 ms", "song.py:31",
                 "learning_rate", "V < V_th", "2.5×10⁻⁵", "the largest at which", "last / first", "Hz²", "1, −1",
                 "hvc_to_ra (nS)"):
        assert text in elements.text
    drawings = [attrs["aria-label"] or "" for tag, attrs in elements.found if tag == "svg"]
    for start in ("Learning curve: error goes from", "Further measures", "Spike raster of hvc", "Spike raster of ra",
                  "Over one trial: value of critic, trial 299; eligibility of hvc_to_ra", "Weights of hvc_to_ra", "m of motor"):
        assert any(text.startswith(start) for text in drawings), start
    links = [attrs["href"] for tag, attrs in elements.found if tag == "a" and not (attrs["href"] or "").startswith("#")]
    assert links == ["https://doi.org/10.1152/jn.01311.2006"]
    for tag, attrs in elements.found:
        assert tag not in ("script", "link", "iframe", "object")
        for name, value in attrs.items():
            if name in ("src", "srcset", "poster", "data") or (name in ("href", "xlink:href") and tag != "a"):
                assert (value or "").startswith(("data:", "#")), (tag, name)


def test_ids_are_unique_and_references_lead_somewhere(standard):
    ids = re.findall(r'\bid="([^"]*)"', standard)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^")]*)', standard)) <= set(ids)


def test_report_is_the_same_each_time(tmp_path, standard):
    folder = fake_result(tmp_path)
    assert page(folder) == standard
    assert {path.name for path in folder.iterdir()} == {"result.nc", "report.html"}


@pytest.mark.parametrize(
    ("without", "left"),
    [
        (("learning", "recordings", "weights"), {"Equations", "Parameters", "Lowering"}),
        (("recordings", "weights_final"), {"Learning", "Equations", "Parameters", "Lowering"}),
        (("learning", "recordings", "weights_initial"), {"Equations", "Parameters", "Lowering"}),
        (
            ("learning", "weights", "recordings/ra", "recordings/elig", "recordings/motor"),
            {"Activity", "Eligibility and modulator over a trial", "Equations", "Parameters", "Lowering"},
        ),
    ],
)
def test_missing_group_is_left_out(tmp_path, without, left):
    titles = re.findall("<h2>(.*?)</h2>", page(fake_result(tmp_path, without=without)))
    assert set(titles) == left


def test_empty_result_gives_a_page(tmp_path):
    xr.DataTree(xr.Dataset(attrs={"name": "nothing"})).to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    assert "nothing" in page(tmp_path)


@pytest.mark.parametrize("trials", [1, 2, 7])
def test_few_trials(tmp_path, trials):
    assert "Learning curve" in page(fake_result(tmp_path, trials=trials, without=("recordings", "weights")))


def test_measures_with_nan_constant_or_negative(tmp_path):
    fake_result(tmp_path, without=("learning", "recordings", "weights"))
    with xr.open_datatree(tmp_path / "result.nc", engine="h5netcdf") as stored:
        tree = stored.load()
    gaps = np.where(np.arange(200) % 3 == 0, np.nan, -1e-7 * np.arange(200.0))
    tree["learning"] = xr.DataTree(
        xr.Dataset({"error": ("trial", gaps), "none": ("trial", np.full(200, np.nan)), "same": ("trial", np.ones(200))})
    )
    (tmp_path / "new").mkdir()
    tree.to_netcdf(tmp_path / "new" / "result.nc", engine="h5netcdf")
    cells = re.findall('data-label="(?:measure|last)">(.*?)</td>', page(tmp_path / "new"))
    assert cells == ["error", "−1.95×10⁻⁵", "same", "1"]


def test_other_forms_of_weights_and_recordings(tmp_path):
    fake_result(tmp_path, without=("learning", "recordings", "weights"))
    with xr.open_datatree(tmp_path / "result.nc", engine="h5netcdf") as stored:
        tree = stored.load()
    rng = np.random.default_rng(0)
    matrix = rng.normal(0, 2e-9, (30, 40))
    matrix[rng.random(matrix.shape) < 0.8] = np.nan
    for name, factor in (("weights_initial", 1.0), ("weights_final", 2.0)):
        tree[name] = xr.DataTree(
            xr.Dataset(
                {
                    "sparse": (("post", "pre"), factor * matrix, {"units": "S"}),
                    "listed": ("synapse", factor * np.arange(9.0), {"units": "1"}),
                    "fixed": ("other", np.ones(9), {"units": "1"}),
                    "listed_pre": ("synapse", np.arange(9), {"units": "1"}),
                    "never": ("third", np.full(3, np.nan)),
                }
            )
        )
    value = 3e-9 * rng.random((50, 6))
    each = xr.Dataset({"value": (("recorded", "unit"), value)}, attrs={"of": "sparse", "variable": "weight", "units": "S"})
    empty = xr.Dataset({"value": (("recorded", "time", "unit"), np.zeros((0, 5, 2)))})
    single = xr.Dataset({"value": (("recorded", "time", "unit"), np.full((1, 4, 1), np.nan))}, {"time": np.arange(4.0) * 3})
    short = xr.Dataset(
        {"value": (("recorded", "time", "unit"), np.eye(10, dtype=np.uint8)[None, :, :4]), "length": ("recorded", [5])},
        {"time": ("time", 2e-3 * np.arange(10.0), {"units": "s"})},
    )
    tree["recordings"] = xr.DataTree.from_dict({"short_spikes": short, "each": each, "empty": empty, "single": single})
    (tmp_path / "new").mkdir()
    tree.to_netcdf(tmp_path / "new" / "result.nc", engine="h5netcdf")
    text = Elements(page(tmp_path / "new").partition("<main>")[2]).text
    for part in ("Weights of sparse (nS)", "100% of 2", "Weights of listed before", "89% of 9", "weights of fixed are the same",
                 "The variable weight (nS) of sparse when a trial ends; of 6 units the 4",
                 "trial 0, mean rate 100 Hz", "single over a trial", "time (s)"):
        assert part in text, part
    assert not any(part in text for part in ("never", "empty", "listed_pre"))


def test_text_cannot_become_markup(tmp_path, standard):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)> $x^{ &amp;'
    note = [{"node": evil, "what": evil, "asked": evil, "got": evil, "where": evil}]
    fake_result(
        tmp_path, name=evil, title=evil, citation=evil, target=evil, model=evil, doi=f"10.1000/{evil}", learning_measure=evil,
        lowering=json.dumps(note), versions=json.dumps({evil: evil}),
        parameters=json.dumps({evil: {"value": evil, "source": evil, "why": evil}}),
    )
    with xr.open_datatree(tmp_path / "result.nc", engine="h5netcdf") as stored:
        tree = stored.load()
    curve = tree["learning"].to_dataset().rename(error=evil.replace("/", "|"))
    tree["learning"] = xr.DataTree(curve)
    for node in tree["recordings"].children.values():
        node.attrs |= {"of": evil, "units": evil}
    (tmp_path / "new").mkdir()
    tree.to_netcdf(tmp_path / "new" / "result.nc", engine="h5netcdf")
    elements = Elements(page(tmp_path / "new"))
    assert evil in elements.text
    assert {tag for tag, _ in elements.found} <= {tag for tag, _ in Elements(standard).found}
    assert not any(name.startswith("on") for _, attrs in elements.found for name in attrs)


@pytest.mark.parametrize("name", ["os", "..cli", "a.b", "__main__", "no_such_model", ""])
def test_only_models_of_this_package_are_asked(name):
    assert model_sections(xr.DataTree(xr.Dataset(attrs={"model": name}))) == []


def test_a_model_adds_sections_and_its_failure_is_told(tmp_path, monkeypatch):
    name = "neuroplast.models.made_up"
    module = SimpleNamespace(__spec__=SimpleNamespace(name=name), MODEL=None)
    monkeypatch.setitem(sys.modules, name, module)
    rate = 44100
    tone = sound.synthesize(np.full(500, 700.0), np.ones(500), 2e-4, rate)

    def song(tree):
        assert tree.attrs["trials"] == 300
        return [Section("Song & dance", section.audio(tone, rate, "at the <end>"))]

    module.MODEL = SimpleNamespace(report=song)
    text = page(fake_result(tmp_path, model="made_up", without=("learning", "recordings", "weights")))
    assert "Song &amp; dance" in text and "at the &lt;end&gt;" in text
    data = re.search(r'src="data:audio/wav;base64,([^"]*)"', text)
    assert data is not None
    with wave.open(io.BytesIO(base64.b64decode(data.group(1)))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getnframes()) == (rate, 1, 2, len(tone))

    def broken(tree):
        raise ValueError("no <pitch>")

    module.MODEL = SimpleNamespace(report=broken)  # nor does this cost the rest
    assert "ValueError: no &lt;pitch&gt;" in page(tmp_path)


def test_what_cannot_be_read_or_written_is_a_result_error(tmp_path):
    with pytest.raises(ResultError, match="no result here"):
        write_report(tmp_path)
    (tmp_path / "result.nc").write_bytes(b"not a file of that kind")
    with pytest.raises(ResultError, match="cannot be read"):
        write_report(tmp_path)
    with pytest.raises(ResultError, match="'versions' of the result is not JSON"):
        write_report(fake_result(tmp_path / "a", versions="{"))
    with pytest.raises(ResultError, match="wrong form"):
        write_report(fake_result(tmp_path / "b", versions="[]"))
    folder = fake_result(tmp_path / "c", without=("learning", "recordings", "weights"))
    (folder / "report.html").mkdir()
    with pytest.raises(ResultError, match="cannot be written"):
        write_report(folder)


def test_a_large_run_stays_small(tmp_path):
    text = page(fake_result(tmp_path, trials=20_000, hvc=500, ra=200, steps=1000))
    assert len(text) < 3_000_000


def test_a_figure_too_large_for_vectors_becomes_pixels(monkeypatch):
    drawing = Figure()
    drawing.subplots().plot([1, 2])
    assert section.figure(drawing, "a line").count("<svg") == 1
    monkeypatch.setattr(section, "VECTOR_LIMIT", 1000)
    html = section.figure(drawing, "a line")
    assert '<img alt="a line" src="data:image/png;base64,' in html and "<svg" not in html


def test_the_command_draws_one_run_and_several(tmp_path, monkeypatch, capsys):
    left = ("recordings", "weights")
    runs = [str(fake_result(tmp_path / str(k), seed=k, trials=100 + k, without=left)) for k in range(3)]

    def draw(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["learning_curve.py", *arguments])
        runpy.run_path(str(ROOT / "figures" / "learning_curve.py"), run_name="__main__")

    for chosen in (runs[:1], runs):
        out = tmp_path / f"{len(chosen)}.png"
        draw(*chosen, "--out", str(out), "--measure", "error")
        assert out.read_bytes().startswith(b"\x89PNG")
    for wrong, message in (([runs[0], "--measure", "eror"], "Did you mean 'error'?"), ([str(tmp_path)], "no result here")):
        with pytest.raises(SystemExit):
            draw(*wrong, "--out", "x")
        assert message in capsys.readouterr().err

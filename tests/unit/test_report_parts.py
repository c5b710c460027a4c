"""What a report is made of: the sound of a song, thinned curves, numbers in print."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from neuroplast.errors import DescriptionError
from neuroplast.report import sound
from neuroplast.report.numerals import number_text, scaled, unit_text
from neuroplast.report.thinning import centre, envelope, running_centre, shrink, thin

# --- sound --------------------------------------------------------------------------------------------------------------------


def test_pitch_and_amplitude_are_heard():
    rate, dt = 44100, 2e-4
    amplitude = np.repeat([1.0, 0.25], 1000)
    samples = sound.synthesize(np.full(2000, 880.0), amplitude, dt, rate)
    assert len(samples) == round(2000 * dt * rate)
    spectrum = np.abs(np.fft.rfft(samples))
    lines = np.fft.rfftfreq(len(samples), 1 / rate)[spectrum > 0.3 * spectrum.max()]
    assert np.all(np.abs(lines / 880.0 - np.round(lines / 880.0)) < 0.01)
    loud, soft = (float(np.std(part)) for part in (samples[1000:8000], samples[9800:16000]))
    assert soft / loud == pytest.approx(0.25, rel=0.02)


def test_no_clicks_and_no_overflow():
    rng = np.random.default_rng(0)
    samples = sound.synthesize(800 + 900 * rng.standard_normal(1000), 3 * rng.standard_normal(1000), 2e-4)
    assert np.abs(samples).max() <= sound.LEVEL
    steady = sound.synthesize(np.full(1000, 600.0), np.ones(1000), 2e-4)
    assert np.abs(steady[[0, -1]]).max() == 0.0
    assert np.abs(np.diff(steady[:20])).max() < 0.02


def test_song_must_be_well_formed():
    with pytest.raises(DescriptionError, match="equally long"):
        sound.synthesize(np.ones(3), np.ones(4), 1e-3)
    with pytest.raises(DescriptionError, match="finite"):
        sound.synthesize(np.array([1.0, np.nan]), np.ones(2), 1e-3)


def test_wav_clips_and_repeats():
    data = sound.wav_bytes(sound.repeated(np.array([2.0, -2.0, 0.5]), 10, times=2, pause=0.2), 10)
    with wave.open(io.BytesIO(data)) as file:
        frames = np.frombuffer(file.readframes(100), "<i2")
    assert frames.tolist() == [32767, -32767, 16384, 0, 0, 32767, -32767, 16384]


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_spectrograms_show_the_pitch(rate):
    tone = sound.synthesize(np.full(1000, 900.0), np.ones(1000), 2e-4, rate)
    power = sound._power(tone, rate, 3000.0)
    frequencies = np.linspace(0, 3000, len(power))
    assert abs(frequencies[power.sum(axis=1).argmax()] % 900.0) < 120 or frequencies[power.sum(axis=1).argmax()] % 900.0 > 780
    drawing = sound.spectrogram_figure([("tutor", tone), ("silence", np.zeros(100))], rate)
    assert len(drawing.axes) == 3


# --- thinning -----------------------------------------------------------------------------------------------------------------


def test_envelope_keeps_peaks():
    y = np.zeros(10_000)
    y[1234], y[7777] = 5.0, -3.0
    x, thinned = envelope(np.arange(10_000), y)
    assert len(x) == len(thinned) <= 1200
    assert thinned.max() == 5.0 and thinned.min() == -3.0
    assert np.all(np.diff(x) >= 0)


def test_running_centre():
    values = np.arange(1000.0)
    values[500] = 1e9
    smooth = running_centre(values)
    assert smooth.window == 25 and smooth.values.max() < 1000
    inside = (smooth.positions > 20) & (smooth.positions < 980)
    assert np.allclose(smooth.values[inside], smooth.positions[inside], atol=1)
    assert centre(np.array([0.0, 1.0, 1.0, 1.0, np.nan])) == 0.75
    assert running_centre(np.array([3.0])).values.tolist() == [3.0]


def test_shrink_takes_means_of_blocks():
    matrix = np.array([[1.0, 3.0, np.nan, np.nan], [5.0, 7.0, np.nan, 2.0]])
    assert shrink(matrix, 2).tolist() == [[2.0, pytest.approx(np.nan, nan_ok=True)], [6.0, 2.0]]
    assert len(thin(np.arange(10), 4)) == 4


# --- numerals -----------------------------------------------------------------------------------------------------------------


def test_numbers_and_units_in_print():
    assert [number_text(x) for x in (2.1e-5, -3, 0.1234567, "$", True)] == ["2.1×10⁻⁵", "−3", "0.1235", "$", "True"]
    assert [unit_text(x) for x in ("1", None, "hertz ** 2", "Hz", "m**-1")] == ["", "", "Hz²", "Hz", "m⁻¹"]
    assert scaled([2e-9, np.nan], "S") == (pytest.approx(1e9), "nS")
    assert scaled([-0.05], "V") == (pytest.approx(1e3), "mV")
    assert scaled([3e-7], "hertz ** 2") == (pytest.approx(1e9), "10⁻⁹ Hz²")
    assert [scaled(x, "Hz") for x in ([80.0], [0.0], [])] == [(1.0, "Hz")] * 3

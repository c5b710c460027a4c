"""Song as sound: a source-filter synthesis from pitch and amplitude, WAV bytes, and spectrograms.

The source is a sum of harmonics of the pitch, as of a vibrating syrinx; the filter is fixed and formant-like, as of a trachea
and beak. Both are chosen for the ear and are not fitted to a bird: what the sound tells is how pitch and amplitude move.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuroplast.errors import DescriptionError
from neuroplast.report.figures import WIDTH, style

FORMANTS = ((1600.0, 500.0, 1.0), (3300.0, 700.0, 0.9), (5600.0, 1000.0, 0.5))
"""Resonances of the filter: frequency (Hz), bandwidth (Hz), strength."""

ROLL_OFF = 1.1
"""Harmonic k of the source has amplitude k ** -ROLL_OFF."""

HARMONICS = 30
LOWEST_PITCH = 20.0
LEVEL = 0.9
FADE = 0.004
DYNAMIC_RANGE = 60.0


def synthesize(pitch_hz: np.ndarray, amplitude: np.ndarray, dt: float, rate: int = 44100) -> np.ndarray:
    """The sound of a song, as float32 samples within -0.9..0.9 (safe for 16 bits), faded over 4 ms at both ends.

        x(t) = A(t) sum_k g_k(t) sin(k phi(t)) / sum_k g_k(t),   d(phi)/dt = 2 pi f(t),   g_k = k ** -1.1 |H(k f)|

    pitch_hz: f, at steps of ``dt`` seconds; kept within 20 Hz and half of the Nyquist frequency.  amplitude: A, as many; 1 is
    the loudest, and what lies outside 0..1 is clipped, so scale all songs that are to be compared by one number.
    The division makes A alone the loudness: the filter H (formants at 1.6, 3.3 and 5.6 kHz) colours the sound only.
    """
    pitch, loudness = np.asarray(pitch_hz, float), np.asarray(amplitude, float)
    if pitch.ndim != 1 or pitch.shape != loudness.shape or len(pitch) == 0:
        shapes = f"shapes {pitch.shape} and {loudness.shape}"
        raise DescriptionError("pitch_hz and amplitude must be one-dimensional and equally long", got=shapes)
    if not (np.isfinite(pitch).all() and np.isfinite(loudness).all()):
        raise DescriptionError("pitch_hz and amplitude must be finite", got="NaN or infinity")
    time = np.arange(max(1, round(len(pitch) * dt * rate))) / rate
    steps = np.arange(len(pitch)) * dt
    f = np.clip(np.interp(time, steps, pitch), LOWEST_PITCH, rate / 4)
    a = np.clip(np.interp(time, steps, loudness), 0.0, 1.0)
    phase = 2.0 * np.pi * np.cumsum(f) / rate
    sound, total = np.zeros_like(f), np.zeros_like(f)
    for k in range(1, HARMONICS + 1):
        below_nyquist = np.clip((rate / 2 - k * f) / 1000.0, 0.0, 1.0)
        gain = k**-ROLL_OFF * below_nyquist * _filter(k * f)
        sound += gain * np.sin(k * phase)
        total += gain
    return np.asarray(LEVEL * _fade(len(time), rate) * a * sound / total, np.float32)


def _filter(frequency: np.ndarray) -> np.ndarray:
    """Magnitude of the vocal filter: parallel resonances over a low floor."""
    magnitude = np.full_like(frequency, 0.08)
    for centre, width, strength in FORMANTS:
        magnitude += strength / np.sqrt(1.0 + ((frequency - centre) / (width / 2)) ** 2)
    return magnitude


def _fade(n: int, rate: int) -> np.ndarray:
    """1 inside, a raised cosine from and to 0 at the ends: no clicks."""
    ramp = min(int(FADE * rate), n // 2)
    window = np.ones(n)
    if ramp:
        rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(ramp) / ramp)
        window[:ramp], window[-ramp:] = rise, rise[::-1]
    return window


def repeated(samples: np.ndarray, rate: int, times: int = 3, pause: float = 0.15) -> np.ndarray:
    """The sound several times over, with pauses (s) between: a motif of 0.2 s heard once is too short to judge."""
    silence = np.zeros(round(pause * rate), samples.dtype)
    return np.concatenate([part for _ in range(times) for part in (samples, silence)][:-1])


def wav_bytes(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file, mono, 16 bits. samples: -1..1; what lies outside is clipped."""
    data = np.round(np.clip(np.asarray(samples, float), -1.0, 1.0) * 32767.0).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(data.tobytes())
    return out.getvalue()


def spectrogram_figure(sounds: Sequence[tuple[str, np.ndarray]], rate: int, highest: float = 9000.0) -> Figure:
    """Spectrograms of (title, samples) above each other, in one colour scale (dB below the loudest of all).

    12 ms Hann windows; frequencies to ``highest`` (Hz).
    """
    spectra = [_power(np.asarray(samples, float), rate, highest) for _, samples in sounds]
    loudest = max(1e-12, *(float(power.max()) for power in spectra))
    with style():
        drawing = Figure(figsize=(WIDTH, 0.4 + 1.1 * len(sounds)), layout="constrained")
        grid = drawing.subplots(len(sounds), sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (title, samples), power in zip(grid, sounds, spectra, strict=True):
            decibel = 10.0 * np.log10(np.maximum(power / loudest, 10.0 ** (-DYNAMIC_RANGE / 10)))
            image = axes.imshow(
                decibel, aspect="auto", origin="lower", cmap="magma", vmin=-DYNAMIC_RANGE, vmax=0.0,
                extent=(0.0, 1e3 * len(samples) / rate, 0.0, highest / 1e3),
            )
            axes.set_title(title)
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        grid[-1].set_xlabel("time (ms)")
        drawing.supylabel("frequency (kHz)", fontsize="medium")
        bar = drawing.colorbar(image, ax=list(grid), label="power (dB)", aspect=20 + 6 * len(sounds), pad=0.02)
        bar.ax.spines[:].set_visible(False)
    return drawing


def _power(samples: np.ndarray, rate: int, highest: float) -> np.ndarray:
    """Power (frequency, time) in windows centred on the samples from the first to the last, at most 700 of them."""
    length = 2 * round(0.006 * rate)
    hop = max(length // 20, -(-len(samples) // 700))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, length // 2), length)[::hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(length), 2 * length)).T ** 2
    return power[np.fft.rfftfreq(2 * length, 1 / rate) <= highest]

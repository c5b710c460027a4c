"""Draw the README's picture from the result of a birdsong run: the learning curve, and the song's sound before and after.

    python figures/birdsong.py results/birdsong-0 --out figures/birdsong.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.signal import spectrogram

from neuroplast.errors import NeuroplastError
from neuroplast.models.birdsong import error_curve, heard
from neuroplast.report.figures import SERIES, SOFT, style
from neuroplast.report.reading import open_result


def draw(path: Path) -> Figure:
    """The figure of one run."""
    with open_result(path) as tree:
        curve, songs, rate = error_curve(tree), *heard(tree)
    with style():
        drawing = Figure(figsize=(9.0, 3.4), layout="constrained")
        left, right = drawing.subfigures(1, 2, width_ratios=(1, 1.25))
        axes = left.subplots()
        axes.plot(curve, color=SOFT, lw=0.4, alpha=0.6)
        window = max(1, len(curve) // 40)
        axes.plot(np.arange(window, len(curve) + 1), np.convolve(curve, np.ones(window) / window, "valid"), color=SERIES[0], lw=2.0)
        axes.set(xlabel="song", ylabel="error / error at the start", ylim=(0, 1.2 * curve[:20].max()), title="A bird learns its song")
        names = ["tutor", *(name for name in songs if name != "tutor")]
        spectra = {name: spectrogram(songs[name], rate, nperseg=512, noverlap=448, nfft=1024) for name in names}
        loudest = max(power.max() for _, _, power in spectra.values())
        for ax, name in zip(right.subplots(1, len(names), sharey=True), names, strict=True):
            frequency, seconds, power = spectra[name]
            decibel = 10 * np.log10(np.maximum(power / loudest, 1e-6))
            ax.pcolormesh(1e3 * seconds, frequency / 1e3, decibel, cmap="magma", vmin=-60, vmax=0, rasterized=True)
            ax.set(title=name, xlabel="time (ms)", ylim=(0, 8))
        right.axes[0].set_ylabel("frequency (kHz)")
    return drawing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="folder of a run of the birdsong model, or its result.nc")
    parser.add_argument("--out", required=True, type=Path, help="file to draw: .png, .svg or .pdf")
    options = parser.parse_args()
    try:
        drawing = draw(options.result)
    except NeuroplastError as error:
        parser.exit(1, f"{error}\n")
    with style():
        drawing.savefig(options.out, dpi=160, facecolor="white")


if __name__ == "__main__":
    main()

"""Draw what is left of a model in a Loihi 2's integers, with and without some trials of learning there; print it as a table.

    python figures/lava.py results/lava --out figures/lava.png

reads what these commands wrote, for MODEL brain_control (N=320, T=32) and birdsong (N=500, T=20) and seeds S from 0 to 2, with
``deploy`` for ``neuroplast deploy MODEL --quick --seed S --target compiled --json``; a rule that the chip's learning engine cannot say
(birdsong's) has no files with loihi in their names:

    neuroplast run MODEL --quick --seed S --target compiled --trials N --out results/lava/MODEL-S
    deploy --trials T --precision float --no-learn                            > results/lava/MODEL-S-before.json
    deploy --trials T --precision float --no-learn --weights .../MODEL-S      > results/lava/MODEL-S-float.json
    deploy --trials T --no-learn --weights .../MODEL-S                        > results/lava/MODEL-S-grid.json
    deploy --trials T --weights .../MODEL-S                                   > results/lava/MODEL-S-learns.json
    deploy --trials T --plasticity loihi --weights .../MODEL-S                > results/lava/MODEL-S-learns-loihi.json
    deploy --trials N                                                         > results/lava/MODEL-S-scratch.json
    deploy --trials N --plasticity loihi                                      > results/lava/MODEL-S-scratch-loihi.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from neuroplast import results
from neuroplast.errors import NeuroplastError, ResultError
from neuroplast.report.figures import ROLES, SOFT, style

MODELS = {"brain_control": "match", "birdsong": "error"}
"""The measure of each."""
ROWS = {
    "before": "before learning", "float": "learned in float", "grid": "the same on the chip's grid",
    "learns": "and learning on there: process", "learns-loihi": "and learning on there: loihi",
    "scratch": "learned on the grid: process", "scratch-loihi": "learned on the grid: loihi",
}
LAST = {"brain_control": 32, "birdsong": 50}
"""Trials at the end of those that learn from scratch."""
COLOURS = {"float": SOFT, "scratch": ROLES["blue"], "scratch-loihi": ROLES["orange"]}


def trials(folder: Path, model: str, row: str) -> np.ndarray | None:
    """(seeds, trials) of the measure, None where there are no files."""
    found = sorted(folder.glob(f"{model}-?-{row}.json"))
    if not found:
        return None
    return np.array([json.loads(path.read_text(encoding="utf-8"))["trial_measures"][MODELS[model]] for path in found])


def learning(folder: Path, model: str) -> np.ndarray:
    """(seeds, trials) while it was learned in float."""
    found = sorted(folder.glob(f"{model}-?"))
    if not found:
        raise ResultError(f"there are no runs of {model} in {folder}", do="make them: the commands are in figures/lava.py")
    return np.array([results.array(results.load(path), f"learning/{MODELS[model]}") for path in found])


def performance(folder: Path, model: str) -> dict[str, np.ndarray]:
    """Row -> the mean measure of each seed."""
    found = {row: trials(folder, model, row) for row in ROWS}
    return {row: (v[:, -LAST[model] :] if row.startswith("scratch") else v).mean(axis=1) for row, v in found.items() if v is not None}


def table(folder: Path) -> str:
    """Markdown: means over seeds, with the least and the largest."""
    columns = {model: performance(folder, model) for model in MODELS}
    lines = ["| | " + " | ".join(f"{m}, {MODELS[m]}" for m in MODELS) + " |", "|---" * (len(MODELS) + 1) + "|"]
    for row, label in ROWS.items():
        cells = []
        for model, measure in MODELS.items():
            v = columns[model].get(row)
            digits = 3 if measure == "match" else 0
            cells.append("cannot be said" if v is None else f"{v.mean():.{digits}f} ({v.min():.{digits}f} to {v.max():.{digits}f})")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(folder: Path) -> Figure:
    """Learning from scratch on the left, what survives on the right."""
    with style():
        drawing = Figure(figsize=(9.0, 3.4), layout="constrained")
        left, *right = drawing.subplots(1, 3, width_ratios=(1.5, 1, 1))
        window = 24
        curves = {"float": learning(folder, "brain_control")}
        curves |= {row: v for row in ("scratch", "scratch-loihi") if (v := trials(folder, "brain_control", row)) is not None}
        labels = {"float": "float", "scratch": "integers, process", "scratch-loihi": "integers, learning engine (loihi)"}
        for row, values in curves.items():
            smooth = np.array([np.convolve(v, np.ones(window) / window, "valid") for v in values])
            x = np.arange(window, values.shape[1] + 1)
            left.plot(x, smooth.T, color=COLOURS[row], lw=0.6, alpha=0.5)
            left.plot(x, smooth.mean(axis=0), color=COLOURS[row], lw=2.2, label=labels[row])
        left.set(xlabel="reach", ylabel="match with the wanted direction", title="brain_control, learned on the target")
        left.legend(loc="lower right", frameon=False)
        shown = [row for row in ROWS if not row.startswith("scratch")]
        for axes, model in zip(right, MODELS, strict=True):
            found = performance(folder, model)
            for place, row in enumerate(reversed(shown)):
                if row not in found:
                    axes.annotate("cannot be said", (0.5, place), xycoords=("axes fraction", "data"), ha="center", va="center", color=SOFT)
                    continue
                colour = ROLES["orange"] if "loihi" in row else (ROLES["blue"] if row in ("grid", "learns") else SOFT)
                axes.plot(found[row], np.full(len(found[row]), place), "o", color=colour, ms=4, alpha=0.6, mew=0)
                axes.plot(found[row].mean(), place, "|", color=colour, ms=16, mew=2.5)
            labels_ = [ROWS[row].replace(": ", ":\n").replace("the same", "the same,") for row in reversed(shown)]
            axes.set_yticks(range(len(shown)), labels_ if model == "brain_control" else [""] * len(shown))
            axes.set(xlabel=MODELS[model], title=model, ylim=(-0.6, len(shown) - 0.4))
    return drawing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the results")
    parser.add_argument("--out", required=True, type=Path, help="file to draw: .png, .svg or .pdf")
    options = parser.parse_args()
    try:
        drawing = draw(options.folder)
        print(table(options.folder))
    except NeuroplastError as error:
        parser.exit(1, f"{error}\n")
    with style():
        drawing.savefig(options.out, dpi=160, facecolor="white")


if __name__ == "__main__":
    main()

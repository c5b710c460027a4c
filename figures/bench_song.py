"""Draw the speed of the benchmark network ``song`` from the file that ``neuroplast bench song`` wrote.

    python figures/bench_song.py [benchmarks/results/song.json] [--out figures/bench_song.png]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from neuroplast.report.figures import INK, ROLES, SOFT, style

ROOT = Path(__file__).resolve().parent.parent
COLOURS = {"ours": ROLES["blue"], "brian2": ROLES["orange"], "limit": ROLES["green"]}
LABELS = {"ours": "neuroplast", "brian2": "Brian2 by hand", "limit": "C++ by hand"}


def plain(number: float) -> str:
    """Three digits, never a power of ten."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def draw(result: dict[str, Any]) -> Figure:
    """Time of a step on the left, start-up with empty and with filled caches on the right, fastest at the top."""
    rows = sorted((row for row in result["rows"] if row["us_per_step"] is not None), key=lambda row: -row["us_per_step"])
    places = range(len(rows))
    colours = [COLOURS.get(row["group"], SOFT) for row in rows]
    with style():
        drawing = Figure(figsize=(9.0, 0.8 + 0.3 * len(rows)), layout="constrained")
        steps, starts = drawing.subplots(1, 2, sharey=True, width_ratios=(1.7, 1))
        steps.barh(places, [row["us_per_step"] for row in rows], color=colours, height=0.72)
        for place, row in zip(places, rows, strict=True):
            steps.annotate(
                f" {plain(row['us_per_step'])}", (row["us_per_step"], place), va="center", fontsize=8.4, color=INK
            )
        steps.set(xscale="log", xlabel="µs of CPU time a step", title=f"{result['case']}: time of a step")
        steps.set_yticks(places, [row["implementation"] for row in rows])
        steps.margins(x=0.12)
        for key, marker in (("startup_cold_s", "o"), ("startup_warm_s", "|")):
            starts.scatter([row[key] for row in rows], places, marker=marker, s=28, color=colours)
        starts.set(xscale="log", xlabel="s until the first step", title="start")
        starts.grid(axis="x")
        for axes in (steps, starts):
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        kinds = {row["group"]: None for row in reversed(rows)}
        handles = [Patch(color=COLOURS.get(kind, SOFT), label=LABELS.get(kind, kind)) for kind in kinds]
        handles += [
            Line2D([], [], ls="", marker=marker, color=SOFT, label=f"{what} caches")
            for marker, what in (("o", "empty"), ("|", "filled"))
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return drawing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", nargs="?", type=Path, default=ROOT / "benchmarks" / "results" / "song.json")
    parser.add_argument("--out", type=Path, default=ROOT / "figures" / "bench_song.png", help="file to draw: .png, .svg or .pdf")
    options = parser.parse_args()
    try:
        result = json.loads(options.result.read_text())
    except (OSError, ValueError) as error:
        parser.exit(1, f"{options.result} cannot be read: {error}\n")
    drawing = draw(result)
    with style():
        drawing.savefig(options.out, dpi=160, facecolor="white")


if __name__ == "__main__":
    main()

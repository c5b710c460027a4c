"""Draw the speed of all benchmark cases, each as a ratio to hand-written C++, from the files that ``neuroplast bench`` wrote.

    python figures/bench.py [benchmarks/results] [--out figures/bench.png]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from neuroplast.report.figures import INK, ROLES, SOFT, style

ROOT = Path(__file__).resolve().parent.parent
COLOURS = {"ours": ROLES["blue"], "brian2": ROLES["orange"], "limit": ROLES["green"]}
LABELS = {"ours": "neuroplast", "brian2": "Brian2 by hand", "limit": "other C++ by hand"}
MARKERS = {
    "compiled": "o", "brian2-target": "s", "reference": "x", "brian2-standalone": "D", "brian2-standalone-events": "d",
    "brian2-cython": "^", "nest": "P",
}
LIMIT = "cpp"


def results(folder: Path) -> list[dict[str, Any]]:
    """One result a case, in the order of the benchmark: the full one where there is one, else the quick one."""
    from benchmarks.registry import CASES

    found = []
    for case in CASES:
        for name in (f"{case}.json", f"{case}-quick.json"):
            if (folder / name).exists():
                found.append(json.loads((folder / name).read_text()))
                break
    return found


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that ran and were right."""
    return [row for row in result["rows"] if row["us_per_step"] is not None and not row["problem"]]


def draw(cases: list[dict[str, Any]]) -> Figure:
    """A line for each case, a mark for each implementation: its time of a step over that of the C++ limit."""
    cases = [case for case in reversed(cases) if any(row["implementation"] == LIMIT for row in rows(case))]
    seen: dict[tuple[str, str], None] = {}
    with style():
        drawing = Figure(figsize=(9.0, 1.6 + 0.42 * len(cases)), layout="constrained")
        axes = drawing.subplots()
        for place, case in enumerate(cases):
            limit = next(row["us_per_step"] for row in rows(case) if row["implementation"] == LIMIT)
            axes.axhline(place, color=SOFT, lw=0.4, alpha=0.5)
            for row in rows(case):
                name, group = row["implementation"], row["group"]
                if name == LIMIT:
                    continue
                seen[group, name if name in MARKERS else ""] = None
                big = name == "compiled"
                axes.scatter(
                    row["us_per_step"] / limit, place, marker=MARKERS.get(name, "|" if group == "limit" else "."),
                    s=70 if big else 34, color=COLOURS.get(group, INK), zorder=3 if big else 2, alpha=0.9, lw=1.4,
                )
            axes.annotate(
                f"{limit:.3g} µs", (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=8.4, color=ROLES["green"]
            )
        axes.axvline(1.0, color=ROLES["green"], lw=1.6)
        axes.annotate("C++ takes", (1.01, len(cases) - 0.45), xycoords=("axes fraction", "data"), fontsize=8.4, color=ROLES["green"])
        axes.set(xscale="log", xlabel="CPU time of a step over that of C++ by hand", ylim=(-0.6, len(cases) - 0.4))
        axes.set_yticks(range(len(cases)), [case["case"] for case in cases])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.grid(axis="x")
        groups, names = [*COLOURS], [*MARKERS, ""]
        order = sorted(seen, key=lambda key: (groups.index(key[0]) if key[0] in COLOURS else len(groups), names.index(key[1])))
        handles = [
            Line2D([], [], ls="", marker=MARKERS.get(name, "|" if group == "limit" else "."), color=COLOURS.get(group, INK),
                   label=name or LABELS.get(group, group) + ("" if group == "limit" else ", other forms"))
            for group, name in order
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=5)
    return drawing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "benchmarks" / "results", help="of result files")
    parser.add_argument("--out", type=Path, default=ROOT / "figures" / "bench.png", help="file to draw: .png, .svg or .pdf")
    options = parser.parse_args()
    cases = results(options.folder)
    if not cases:
        parser.exit(1, f"no results in {options.folder}: run neuroplast bench first\n")
    drawing = draw(cases)
    with style():
        drawing.savefig(options.out, dpi=160, facecolor="white")


if __name__ == "__main__":
    main()

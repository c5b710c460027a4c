"""Draw the speed of all benchmark cases, each as a ratio to hand-written C++, from the files that ``neuroplast bench`` wrote.

    python figures/bench.py [benchmarks/results] [--out figures/bench.png]
"""

from __future__ import annotations

import argparse
import json
import sys
from math import log10
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from neuroplast.report.figures import ROLES, RULE, style

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {"ours": "neuroplast", "brian2": "Brian2 by hand", "limit": "C++ by hand", "peer": "other simulators"}
COLOURS = {"ours": ROLES["blue"], "brian2": ROLES["orange"], "limit": ROLES["green"], "peer": ROLES["purple"]}
MARKERS = {
    "compiled": "o", "brian2-target": "s", "reference": "x", "brian2-standalone": "D", "brian2-standalone-events": "d",
    "brian2-cython": "^",
}
OTHERS = {"ours": ".", "brian2": ".", "limit": "|", "peer": "P"}
"""Marks of those that have none of their own. Other simulators have their name beside it."""
OTHER_FORMS = {"ours": ", other forms", "brian2": ", other forms", "limit": ", other forms", "peer": ""}
NAMES = {
    "compiled": "compiled", "brian2-target": "brian2 (C++ library)", "reference": "reference (NumPy)", "brian2-standalone": "standalone",
    "brian2-standalone-events": "standalone, events", "brian2-cython": "Cython", "nest": "NEST", "bindsnet": "BindsNET",
    "nengo": "Nengo", "lava": "Lava",
}
SHORT = {
    "song": "100 000 synapses, spikes, delayed reward", "rnn": "40 000 synapses, rates, reward at the end",
    "bci": "34 000 synapses, rates, every step", "distal-reward": "100 000 synapses, STDP with dopamine",
    "weight-noise": "noise on 10⁵ weights, spikes read it", "weight-noise-graded": "noise on 10⁵ weights, read every step",
    "weight-noise-1e6": "noise on 10⁶ weights, spikes read it", "weight-noise-graded-1e6": "noise on 10⁶ weights, read every step",
}
LIMIT = "cpp"
SCALING = "scaling-"
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def results(folder: Path) -> list[dict[str, Any]]:
    """One result a case, in the order of the benchmark: the full one where there is one, else the quick one."""
    sys.path.insert(0, str(ROOT))  # run as a script
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


def group_of(row: dict[str, Any]) -> str:
    return row["group"] if row["group"] in COLOURS else "peer"


def time_of(result: dict[str, Any], name: str) -> float | None:
    return next((row["us_per_step"] for row in rows(result) if row["implementation"] == name), None)


def ratios(axes: Axes, cases: list[dict[str, Any]]) -> list[Line2D]:
    """A line for each case, a mark for each implementation: its time of a step over that of the C++ limit. Gives the legend."""
    seen: dict[tuple[str, str], None] = {}
    for place, case in enumerate(reversed(cases)):
        limit = time_of(case, LIMIT)
        assert limit is not None
        axes.axhline(place, color=RULE, lw=0.6, zorder=0)
        for row in rows(case):
            name, group = row["implementation"], group_of(row)
            if name == LIMIT:
                continue
            ratio, marked = row["us_per_step"] / limit, name if name in MARKERS else ""
            seen[group, marked] = None
            axes.scatter(
                ratio, place, marker=MARKERS.get(name, OTHERS[group]), s=90 if name == "compiled" else 36, color=COLOURS[group],
                zorder=3 if name == "compiled" else 2, lw=1.4,
            )
            label = f"{ratio:.1f}" if name == "compiled" else NAMES.get(str(name), str(name)) if group == "peer" else ""
            axes.annotate(
                label, (ratio, place), xytext=(0, 7), textcoords="offset points", ha="center", va="bottom", color=COLOURS[group],
                fontsize=8.4, weight="bold" if name == "compiled" else "normal",
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )
        axes.annotate(
            f"{limit:.3g} µs" if limit < 1000 else f"{limit:,.0f} µs", (1.01, place), xycoords=("axes fraction", "data"), va="center",
            fontsize=8.4, color=COLOURS["limit"],
        )
    axes.axvline(1.0, color=COLOURS["limit"], lw=1.6, zorder=1)
    top = len(cases) - 0.4
    axes.annotate(
        "C++ by\nhand takes", (1.01, top), xycoords=("axes fraction", "data"), fontsize=8.4, va="bottom",
        color=COLOURS["limit"],
    )
    axes.set(xscale="log", xlabel="CPU time of a step, in units of C++ by hand in double precision", ylim=(-0.5, top))
    axes.set_yticks(range(len(cases)), [f"{case['case']}\n{SHORT.get(case['case'], '')}" for case in reversed(cases)])
    axes.tick_params(axis="y", length=0, labelcolor=ROLES["ink"])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.grid(axis="x")
    groups, names = [*COLOURS], [*MARKERS, ""]
    return [
        Line2D(
            [], [], ls="", marker=MARKERS.get(name, OTHERS[group]), color=COLOURS[group], ms=9 if name == "compiled" else 6,
            label=f"{GROUPS[group]}: {NAMES[name]}" if name else GROUPS[group] + OTHER_FORMS[group],
        )
        for group, name in sorted(seen, key=lambda key: (groups.index(key[0]), names.index(key[1])))
    ]


def scaling(axes: Axes, cases: list[dict[str, Any]]) -> None:
    """The same network with more and more synapses: time of a step."""
    synapses = [float(case["case"].removeprefix(SCALING)) for case in cases]
    for name, group, label, style_of in (
        ("compiled", "ours", "neuroplast: compiled", "-o"), (LIMIT, "limit", "C++ by hand", "-|"),
        ("cpp-single", "limit", "C++ by hand, single precision", ":|"),
    ):
        times = [time_of(case, name) for case in cases]
        axes.plot(synapses, [t or float("nan") for t in times], style_of, color=COLOURS[group], label=label, lw=1.4, ms=7)
    axes.set(xscale="log", yscale="log", xlabel="plastic synapses of the song network", ylabel="CPU time of a step, µs")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"10{str(round(log10(value))).translate(RAISED)}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid()
    axes.legend(loc="upper left", frameon=False)


def draw(found: list[dict[str, Any]]) -> Figure:
    """Ratios of all cases, and below them the time against the number of synapses."""
    found = [case for case in found if time_of(case, LIMIT) is not None]
    sizes = [case for case in found if case["case"].startswith(SCALING)]
    cases = [case for case in found if case not in sizes]
    with style():
        tall = 0.56 * len(cases)
        drawing = Figure(figsize=(9.4, tall + (4.6 if sizes else 1.8)), layout="constrained")
        panels = drawing.subplots(2, height_ratios=[tall + 0.6, 2.6]) if sizes and cases else [drawing.subplots()] * 2
        if cases:
            drawing.legend(handles=ratios(panels[0], cases), loc="outside upper center", ncols=3, frameon=False)
        if sizes:
            scaling(panels[1], sizes)
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
        drawing.savefig(options.out, dpi=140, facecolor="white")


if __name__ == "__main__":
    main()

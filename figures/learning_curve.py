"""Draw the learning curve of one run, or of several runs that differ in their seed, from their result files.

    python figures/learning_curve.py runs/seed1 runs/seed2 runs/seed3 --out figures/birdsong_learning.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from neuroplast.errors import NeuroplastError, ResultError, did_you_mean
from neuroplast.report.contents import learning_curves
from neuroplast.report.figures import Curve, learning_curve, style
from neuroplast.report.numerals import with_unit
from neuroplast.report.reading import open_result


def read(path: Path, measure: str | None) -> Curve:
    """One run's curve of ``measure`` (None: its model's learning measure)."""
    with open_result(path) as tree:
        curves = {curve.name: curve for curve in learning_curves(tree)}
    if not curves:
        raise ResultError("The result holds no learning curve", got=str(path))
    name = measure or next(iter(curves))
    if name not in curves:
        raise ResultError(f"The result has no measure '{name}'. {did_you_mean(name, curves)}", got=str(path))
    return curves[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT", help="folder of a run, or its result.nc")
    parser.add_argument("--out", required=True, type=Path, help="file to draw: .png, .svg or .pdf")
    parser.add_argument("--measure", help="the measure to draw (default: the model's learning measure)")
    options = parser.parse_args()
    try:
        curves = [read(path, options.measure) for path in options.results]
    except NeuroplastError as error:
        parser.exit(1, f"{error}\n")
    names = {with_unit(curve.name, curve.unit) for curve in curves}
    if len(names) > 1:
        parser.exit(1, f"The results measure different things: {', '.join(sorted(names))}. Choose one with --measure.\n")
    drawing = learning_curve(Curve(curves[0].name, curves[0].unit, [curve.runs[0] for curve in curves]))
    with style():
        drawing.savefig(options.out, dpi=200, facecolor="white")


if __name__ == "__main__":
    main()

"""The figures of a report: functions from arrays to a matplotlib Figure. Their look is defined here, once, in ``style``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from neuroplast.report.numerals import number_text, scaled, with_unit
from neuroplast.report.thinning import LINE_BINS, envelope, is_discrete, running_centre, shrink, thin

ROLES = {
    "ink": "#24272c",
    "soft": "#6b7079",
    "rule": "#d9dbdf",
    "blue": "#0072b2",
    "vermilion": "#d55e00",
    "green": "#009e73",
    "purple": "#b0619a",
    "orange": "#d99500",
    "sky": "#3d9bd6",
}
"""The colours (after Okabe and Ito, safe for colour-blind readers), by the names that the page's style sheet has for them."""

INK, SOFT, RULE, BLUE = (ROLES[name] for name in ("ink", "soft", "rule", "blue"))
SERIES = tuple(ROLES[name] for name in ("blue", "vermilion", "green", "purple", "orange", "sky"))
DOT = "#4596d4"
"""Colour of what is drawn as pixels, which cannot follow the page: seen well on white and on black."""

WIDTH = 5.6
"""Inches; with 9 points of type, read both on a desk, where it is scaled up, and on a phone, where it is scaled down."""


def style() -> AbstractContextManager[None]:
    """The look of all figures, for use in a ``with`` statement while drawing and while saving."""
    return mpl.rc_context(
        {
            "font.size": 9.2,
            "font.family": "sans-serif",
            "text.color": INK,
            "text.parse_math": False,  # names come from users: a "$" is a dollar
            "axes.titlesize": 9.2,
            "axes.titlelocation": "left",
            "axes.labelcolor": INK,
            "axes.labelpad": 7.0,  # room for the page to enlarge the type on a phone
            "axes.edgecolor": SOFT,
            "axes.facecolor": "none",
            "axes.linewidth": 0.7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=SERIES),
            "axes.unicode_minus": True,
            "axes.formatter.limits": (-4, 5),
            "axes.formatter.use_mathtext": False,
            "grid.color": RULE,
            "grid.linewidth": 0.6,
            "xtick.color": SOFT,
            "ytick.color": SOFT,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "xtick.labelsize": 8.4,
            "ytick.labelsize": 8.4,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "legend.frameon": False,
            "legend.fontsize": 8.4,
            "lines.linewidth": 1.2,
            "lines.solid_capstyle": "round",
            "lines.solid_joinstyle": "round",
            "image.interpolation": "none",
            "image.cmap": "viridis",
            "figure.facecolor": "none",
            "svg.fonttype": "none",
            "svg.hashsalt": "neuroplast",
        }
    )


@dataclass(frozen=True)
class Curve:
    """A measure over trials, once per run. runs: arrays (trial,), cut to the shortest; NaN where a trial has no value."""

    name: str
    unit: str
    runs: Sequence[np.ndarray]


@dataclass(frozen=True)
class Panel:
    """One of several diagrams above each other. lines: label -> values at ``x``.  label, unit: of the y axis."""

    title: str
    x: np.ndarray
    lines: Mapping[str, np.ndarray]
    label: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Spikes:
    """Spikes of one trial. time (as in the axis label) and unit: equally long, one entry a spike.  size: number of units."""

    title: str
    time: np.ndarray
    unit: np.ndarray
    size: int
    span: tuple[float, float]


def learning_curve(curve: Curve) -> Figure:
    """One run: each trial light, the running median strong. Several: each run light, their quartiles, their median strong."""
    with style():
        drawing = Figure(figsize=(WIDTH, 2.7), layout="constrained")
        axes = drawing.subplots()
        axes.set(ylabel=_draw_curve(axes, curve), xlabel="trial")
        _legend_above(axes)
    return drawing


def small_curves(curves: Sequence[Curve]) -> Figure:
    """Further measures over trials, two in a row."""
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    with style():
        drawing = Figure(figsize=(WIDTH, 0.35 + 1.4 * rows), layout="constrained")
        grid = drawing.subplots(rows, columns, sharex=True, squeeze=False).ravel()
        for axes, curve in zip(grid, curves, strict=False):
            axes.set_title(_draw_curve(axes, curve, bins=200))
            if axes.get_yscale() == "linear":
                axes.yaxis.set_major_locator(MaxNLocator(4))
        for axes in grid[len(curves) :]:
            axes.remove()
        for axes in grid[max(0, len(curves) - columns) : len(curves)]:
            axes.set_xlabel("trial")
            axes.tick_params(labelbottom=True)
    return drawing


def _draw_curve(axes: Axes, curve: Curve, bins: int = LINE_BINS) -> str:
    """Draw a measure over trials and return its label, with the unit that the numbers are shown in."""
    length = min(len(run) for run in curve.runs)
    factor, unit = scaled(np.concatenate(curve.runs), curve.unit)
    runs = [factor * np.asarray(run[:length], float) for run in curve.runs]
    centre = "mean" if is_discrete(runs[0]) else "median"
    smooth = [running_centre(run) for run in runs]
    longest = max(smooth, key=lambda s: s.positions[-1])
    positions, window = longest.positions, longest.window
    # a run that was stopped has no value after its end
    middle = np.stack([np.interp(positions, s.positions, s.values, right=np.nan) for s in smooth])
    what = f"running {centre} of {window} trials" if window > 1 else "value"
    if len(runs) == 1:
        if window > 1 and centre == "median":
            trial, outline = envelope(np.arange(length), runs[0], bins)
            axes.plot(trial, outline, color=ROLES["sky"], alpha=0.5, linewidth=0.5, label="each trial")
        axes.plot(positions, middle[0], color=BLUE, linewidth=1.8, label=what)
    else:
        axes.plot(positions, middle.T, color=SOFT, alpha=0.5, linewidth=0.6)
        axes.lines[0].set_label(f"each of {len(runs)} runs, {what}")
        low, high = np.nanpercentile(middle, [25, 75], axis=0)
        axes.fill_between(positions, low, high, color=BLUE, alpha=0.2, linewidth=0, label="quartiles")
        axes.plot(positions, np.nanmedian(middle, axis=0), color=BLUE, linewidth=1.8, label="median")
    shown = np.concatenate([run[np.isfinite(run)] for run in runs])
    if shown.min() > 0 and np.nanmax(middle) > 10 * np.nanmin(middle):
        _logarithmic(axes)
    axes.grid(axis="y")
    axes.margins(x=0.01)
    return with_unit(curve.name, unit)


def _legend_above(axes: Axes) -> None:
    """A legend in one line above the axes, at the right; the title stands at the left."""
    legend = axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, ncols=6, handlelength=1.3, columnspacing=1.2
    )
    for line in legend.get_lines():
        line.set_linewidth(max(1.5, line.get_linewidth()))


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(float(value))))
    if high < 300 * low:  # so few powers of ten that the ticks between them need their numbers
        axes.yaxis.set_minor_formatter(
            FuncFormatter(lambda value, _: number_text(float(value)) if f"{value:e}"[0] in "25" else "")
        )
    else:
        axes.yaxis.set_minor_formatter(NullFormatter())


def stacked(panels: Sequence[Panel], x_label: str, comparable: bool = False) -> Figure:
    """Lines over one common x axis (time in a trial, or trials), a panel each. comparable: with one common y axis too."""
    common = [values for panel in panels for values in panel.lines.values()]
    with style():
        drawing = Figure(figsize=(WIDTH, 0.4 + 1.3 * len(panels)), layout="constrained")
        grid = drawing.subplots(len(panels), sharex=True, sharey=comparable, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=True):
            factor, unit = scaled(np.concatenate(common if comparable else list(panel.lines.values())), panel.unit)
            for (label, values), colour in zip(panel.lines.items(), cycle(SERIES), strict=False):
                axes.plot(*envelope(panel.x, factor * np.asarray(values)), color=colour, label=label, linewidth=1.0)
            axes.set_title(panel.title)
            axes.set_ylabel(with_unit(panel.label, unit))
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.margins(x=0.01)
            if len(panel.lines) > 1:
                _legend_above(axes)
        grid[-1].set_xlabel(x_label)
    return drawing


def raster(trials: Sequence[Spikes], x_label: str) -> Figure:
    """Spikes of the same units in several trials, above each other over one time axis; pixels, so any number is small."""
    height = 1.65
    with style():
        drawing = Figure(figsize=(WIDTH, 0.4 + height * len(trials)), layout="constrained")
        grid = drawing.subplots(len(trials), sharex=True, sharey=True, squeeze=False).ravel()
        for axes, spikes in zip(grid, trials, strict=True):
            dot = float(np.clip(0.75 * height * 72 / max(spikes.size, 1), 1.7, 8.0))
            axes.scatter(
                thin(spikes.time), thin(spikes.unit), marker="|", s=dot**2, linewidths=1.0, color=DOT, rasterized=True
            )
            axes.set(ylabel="unit", xlim=spikes.span, ylim=(-0.5, max(spikes.size, 1) - 0.5))
            axes.set_title(spikes.title)
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        grid[-1].set_xlabel(x_label)
    return drawing


def weights(before: np.ndarray, after: np.ndarray, unit: str) -> Figure:
    """Weights before and after learning: maps (where they are a matrix, post x pre), and histograms of values and changes."""
    factor, unit = scaled([before, after], unit)
    before, after = factor * before, factor * after
    finite = np.isfinite(before) & np.isfinite(after)
    old, new = before[finite], after[finite]
    matrix = before.ndim == 2 and min(before.shape) > 1
    with style():
        drawing = Figure(figsize=(WIDTH, 3.9 if matrix else 2.0), layout="constrained")
        parts = drawing.subfigures(2, 1, height_ratios=(1.15, 1)) if matrix else [drawing]
        if matrix:
            _draw_maps(parts[0], before, after, with_unit("weight", unit))
        values, changes = parts[-1].subplots(1, 2)
        bins = int(np.clip(np.sqrt(old.size), 10, 60))
        edges = np.histogram_bin_edges(np.concatenate([old, new]), bins)
        values.hist(old, edges, color=SOFT, alpha=0.45, label="before")
        values.hist(new, edges, color=BLUE, histtype="step", linewidth=1.4, label="after")
        _legend_above(values)
        values.set(xlabel=with_unit("weight", unit), ylabel="synapses")
        changes.hist(new - old, bins, color=BLUE, alpha=0.75)
        changes.axvline(0.0, color=SOFT, linewidth=0.8)
        changes.set(xlabel=with_unit("change", unit))
        for axes in (values, changes):
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.xaxis.set_major_locator(MaxNLocator(5))
    return drawing


def _draw_maps(part, before: np.ndarray, after: np.ndarray, label: str) -> None:
    """Two matrices in one colour scale, which leaves out the outermost 0.5 % so that a few weights do not flatten it."""
    both = np.concatenate([before.ravel(), after.ravel()])
    low, high = np.nanpercentile(both[np.isfinite(both)], [0.5, 99.5])
    signed = low < 0 < high
    if signed:
        high = max(-low, high)
        low = -high
    grid = part.subplots(1, 2, sharex=True, sharey=True)
    rows, columns = before.shape
    for axes, matrix, title in zip(grid, (before, after), ("before", "after"), strict=True):
        image = axes.imshow(
            shrink(matrix), aspect="auto", origin="lower", vmin=low, vmax=high, cmap="RdBu_r" if signed else "viridis",
            extent=(-0.5, columns - 0.5, -0.5, rows - 0.5),
        )
        axes.set_title(title)
        axes.set_xlabel("presynaptic unit")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    grid[0].set_ylabel("postsynaptic unit")
    bar = part.colorbar(image, ax=grid, label=label, aspect=16, pad=0.02, extend="both")
    bar.ax.spines[:].set_visible(False)
    bar.locator = MaxNLocator(4)
    bar.update_ticks()

"""What a report contains: from a result tree to its sections. A piece that the result does not hold is left out."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

import numpy as np
import xarray as xr

from neuroplast.report import figures
from neuroplast.report.figures import Curve
from neuroplast.report.numerals import number_text, scaled, unit_text, with_unit
from neuroplast.report.reading import REPLICA, attribute, json_attribute
from neuroplast.report.recordings import activity, one_trial, signals
from neuroplast.report.section import Section, figure, paragraph, preformatted, table
from neuroplast.report.thinning import LINE_BINS, MAP_SIDE, centre, is_discrete, running_centre


def sections(tree: xr.DataTree) -> list[Section]:
    """All sections in the order of the page: learning, the model's own, activity, one trial, weights, signals, description.

    Of replicas, learning is that of all, and the rest that of the first."""
    one = tree.isel({REPLICA: 0}) if REPLICA in tree.dims else tree
    one.attrs = dict(tree.attrs)
    parts = [learning(tree), *model_sections(one)]
    parts += [part(one) for part in (activity, one_trial, plastic_weights, signals, equations, parameters, lowering)]
    return [part for part in parts if part is not None]


# --- learning -----------------------------------------------------------------------------------------------------------------


def learning_curves(tree: xr.DataTree) -> list[Curve]:
    """The measures of a run (of several: of each replica) that have a value in some trial; the model's learning measure first."""
    if (group := tree.children.get("learning")) is None:
        return []
    first = attribute(tree, "learning_measure")
    curves = []
    for name in sorted(map(str, group.data_vars), key=lambda name: name != first):
        rows = np.atleast_2d(np.asarray(group[name].values, float))
        curves.append(Curve(name, str(group[name].attrs.get("units", "")), [row for row in rows if np.isfinite(row).any()]))
    return [curve for curve in curves if curve.runs]


def learning(tree: xr.DataTree) -> Section | None:
    """The learning curve of the model's measure, the others small beneath it, and the first and last values as a table."""
    curves = learning_curves(tree)
    if not curves:
        return None
    main, others, several = curves[0], curves[1:], REPLICA in tree.dims
    what = _what_of_several(main) if several else _what_of_one(main)
    first, last, ends = _middle_ends(main)
    unit, trials = unit_text(main.unit), len(main.runs[0])
    html = figure(
        figures.learning_curve(main),
        f"Learning curve: {main.name} goes from {number_text(first)} to {number_text(last)} {unit} in {trials} trials"
        + (f" (medians of {len(main.runs)} replicas)." if several else "."),
        f"Learning curve: {with_unit(main.name, main.unit)}, {what}",
    )
    if others:
        names = ", ".join(with_unit(curve.name, curve.unit) for curve in others)
        how = "Each replica light, their quartiles, their median dark." if several else (
            "Running median dark, each trial light; of successes the running mean."
        )
        alt = f"Further measures over trials: {names}."
        html += figure(figures.small_curves(others), alt, f"{alt} {how}")
    rows = []
    for curve in curves:
        first, last, _ = _middle_ends(curve)
        rows.append((curve.name, first, last, last / first if first else "", _quartiles(curve) if several else None, unit_text(curve.unit)))
    caption = (
        "The first and the last trial." if ends == 1
        else f"Medians over the first and over the last {ends} trials (means of measures that only say success or failure)."
    )
    html += table(
        ("measure", "first", "last", "last / first", "quartiles of last", "unit"), rows,
        caption + (" Of these the medians over the replicas." if several else ""),
    )
    if several:
        seed = int(np.atleast_1d(tree.coords["seed"].values)[0])
        html += paragraph(f"All that follows is of the first of the {len(main.runs)} replicas, with seed {seed}.")
    return Section("Learning", html)


def _what_of_one(main: Curve) -> str:
    values = main.runs[0]
    window, trials = running_centre(values).window, len(values)
    if window == 1:
        return f"in each of {trials} trials."
    if is_discrete(values):
        return f"its running mean over {window} of {trials} trials."
    what = f"its running median over {window} trials (dark) and its value in each of {trials} trials (light"
    return what + ("; of neighbouring trials the smallest and the largest)." if trials > 2 * LINE_BINS else ").")


def _what_of_several(main: Curve) -> str:
    values = main.runs[0]
    window, how = running_centre(values).window, "mean" if is_discrete(values) else "median"
    smooth = f"running {how} over {window} of {len(values)} trials" if window > 1 else f"value in each of {len(values)} trials"
    return f"the {smooth} of each of {len(main.runs)} replicas (light), their quartiles (band) and their median (dark)."


def _middle_ends(curve: Curve) -> tuple[float, float, int]:
    ends = [_ends(run) for run in curve.runs]
    return float(np.median([e[0] for e in ends])), float(np.median([e[1] for e in ends])), min(e[2] for e in ends)


def _quartiles(curve: Curve) -> str:
    low, high = np.percentile([_ends(run)[1] for run in curve.runs], [25, 75])
    return f"{number_text(float(low))} to {number_text(float(high))}"


def _ends(values: np.ndarray) -> tuple[float, float, int]:
    """The centres of the first and of the last trials that have a value, and of how many (one in 20, at most 50)."""
    values = values[np.isfinite(values)]
    n = min(50, max(1, len(values) // 20))
    return centre(values[:n]), centre(values[-n:]), n


def model_sections(tree: xr.DataTree) -> list[Section]:
    """What the model's own file adds (``MODEL.report``). Only a module of neuroplast.models is ever imported for it."""
    name = attribute(tree, "model")
    if not name.isidentifier() or name.startswith("_") or importlib.util.find_spec(f"neuroplast.models.{name}") is None:
        return []
    try:
        model = getattr(importlib.import_module(f"neuroplast.models.{name}"), "MODEL", None)
        report: Callable[[xr.DataTree], list[Section]] | None = getattr(model, "report", None)
        return list(report(tree)) if report is not None else []
    except Exception as error:  # a flaw in one model's pictures must not cost the rest of the report; the page says it
        return [Section(f"Of {name}", paragraph(f"This part could not be made: {type(error).__name__}: {error}"))]


# --- weights and conditions ---------------------------------------------------------------------------------------------------


def plastic_weights(tree: xr.DataTree) -> Section | None:
    """Weights before and after learning, for each plastic projection."""
    initial, final = tree.children.get("weights_initial"), tree.children.get("weights_final")
    if initial is None or final is None:
        return None
    html = ""
    for name in map(str, initial.data_vars):
        if not np.issubdtype(initial[name].dtype, np.floating):
            continue  # the indices of listed synapses stand beside their weights
        before = np.asarray(initial[name].values, float)
        after = np.asarray(final[name].values, float) if name in final.data_vars else np.empty(0)
        if before.shape != after.shape or not (np.isfinite(before) & np.isfinite(after)).any():
            continue
        if np.array_equal(before, after, equal_nan=True):
            html += paragraph(f"The weights of {name} are the same before and after.")
            continue
        change = (after - before)[np.isfinite(after - before)]
        units = str(initial[name].attrs.get("units", ""))
        factor, unit = scaled([before, after], units)
        mean, spread = (number_text(factor * float(value), 3) for value in (change.mean(), change.std()))
        blocks = before.ndim > 1 and max(before.shape) > MAP_SIDE
        html += figure(
            figures.weights(before, after, units),
            f"Weights of {name} before and after learning, as maps where they form a matrix, and as histograms.",
            f"Weights of {with_unit(name, unit)} before and after learning. {np.mean(change != 0):.0%} of {change.size} "
            f"synapses changed; the changes have mean {mean} and standard deviation {spread} {unit}".rstrip()
            + (". The maps show means of blocks of synapses." if blocks else "."),
        )
    return Section("Weights", html) if html else None


def equations(tree: xr.DataTree) -> Section | None:
    """The model as its file writes it."""
    text = attribute(tree, "equations")
    return Section("Equations", preformatted(text)) if text.strip() else None


def parameters(tree: xr.DataTree) -> Section | None:
    """Every parameter, where its value comes from, and why it was chosen."""
    rows = [
        (name, _value(entry.get("value")), entry.get("source"), entry.get("why"))
        for name, entry in json_attribute(tree, "parameters", dict).items()
    ]
    return Section("Parameters", table(("name", "value", "source", "why"), rows)) if rows else None


def _value(value: object) -> str:
    return ", ".join(map(number_text, value)) if isinstance(value, list) else number_text(value)


def lowering(tree: xr.DataTree) -> Section | None:
    """What the target could not represent exactly as asked."""
    if not attribute(tree, "lowering"):
        return None
    keys = ("node", "what", "asked", "got", "where")
    rows = [tuple(note.get(key) for key in keys) for note in json_attribute(tree, "lowering", list)]
    target = attribute(tree, "target")
    if not rows:
        return Section("Lowering", paragraph(f"The target {target} represents everything exactly as it was described."))
    return Section("Lowering", table(keys, rows, f"What the target {target} changed or chose, and where it was declared."))

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
from neuroplast.report.reading import attribute, json_attribute
from neuroplast.report.recordings import activity, one_trial, signals
from neuroplast.report.section import Section, figure, paragraph, preformatted, table
from neuroplast.report.thinning import LINE_BINS, MAP_SIDE, centre, is_discrete, running_centre


def sections(tree: xr.DataTree) -> list[Section]:
    """All sections in the order of the page: learning, the model's own, activity, one trial, weights, signals, description."""
    parts = [learning(tree), *model_sections(tree)]
    parts += [part(tree) for part in (activity, one_trial, plastic_weights, signals, equations, parameters, lowering)]
    return [part for part in parts if part is not None]


# --- learning -----------------------------------------------------------------------------------------------------------------


def learning_curves(tree: xr.DataTree) -> list[Curve]:
    """The measures of a run that have a value in some trial; the model's learning measure first."""
    if (group := tree.children.get("learning")) is None:
        return []
    first = attribute(tree, "learning_measure")
    names = sorted(map(str, group.data_vars), key=lambda name: name != first)
    curves = [Curve(name, str(group[name].attrs.get("units", "")), [np.asarray(group[name].values, float)]) for name in names]
    return [curve for curve in curves if np.isfinite(curve.runs[0]).any()]


def learning(tree: xr.DataTree) -> Section | None:
    """The learning curve of the model's measure, the others small beneath it, and the first and last values as a table."""
    curves = learning_curves(tree)
    if not curves:
        return None
    main, others = curves[0], curves[1:]
    values, unit = main.runs[0], unit_text(main.unit)
    first, last, ends = _ends(values)
    window, trials = running_centre(values).window, len(values)
    if window == 1:
        what = f"in each of {trials} trials."
    elif is_discrete(values):
        what = f"its running mean over {window} of {trials} trials."
    else:
        what = f"its running median over {window} trials (dark) and its value in each of {trials} trials (light"
        what += "; of neighbouring trials the smallest and the largest)." if trials > 2 * LINE_BINS else ")."
    html = figure(
        figures.learning_curve(main),
        f"Learning curve: {main.name} goes from {number_text(first)} to {number_text(last)} {unit} in {trials} trials.",
        f"Learning curve: {with_unit(main.name, main.unit)}, {what}",
    )
    if others:
        names = ", ".join(with_unit(curve.name, curve.unit) for curve in others)
        html += figure(
            figures.small_curves(others),
            f"Further measures over trials: {names}.",
            f"Further measures over trials: {names}. Running median dark, each trial light; of successes the running mean.",
        )
    rows = []
    for curve in curves:
        first, last, _ = _ends(curve.runs[0])
        rows.append((curve.name, first, last, last / first if first else "", unit_text(curve.unit)))
    html += table(
        ("measure", "first", "last", "last / first", "unit"),
        rows,
        "The first and the last trial."
        if ends == 1
        else f"Medians over the first and over the last {ends} trials (means of measures that only say success or failure).",
    )
    return Section("Learning", html)


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

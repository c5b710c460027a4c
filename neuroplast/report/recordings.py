"""What the monitors of a run recorded: rasters, eligibility and modulator over a trial, and all other signals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from neuroplast.report import figures
from neuroplast.report.figures import Panel, Spikes
from neuroplast.report.numerals import number_text, scaled, with_unit
from neuroplast.report.section import Section, figure, paragraph
from neuroplast.report.thinning import DOTS

MODULATOR_VARIABLES = ("value", "reward")
MOST_LINES = 4
MOST_MONITORS = 8



@dataclass(frozen=True)
class Recorded:
    """One monitor. value: dims (recorded, time, unit) or (recorded, unit), still on disk.  trials: numbers along recorded.
    samples: how many each recorded trial has; what follows is padding."""

    name: str
    of: str
    variable: str
    unit: str
    value: xr.DataArray
    trials: np.ndarray
    samples: np.ndarray

    @property
    def timed(self) -> bool:
        return "time" in self.value.dims

    @property
    def spikes(self) -> bool:
        return self.timed and self.name.endswith("_spikes")

    @property
    def in_trial(self) -> bool:
        """Whether it belongs to the picture of learning within one trial."""
        return self.timed and (self.variable == "eligibility" or self.variable in MODULATOR_VARIABLES)

    def time(self) -> tuple[np.ndarray, str]:
        """Times of the samples for an axis, and its label: in ms for short trials, in s for long ones."""
        seconds = np.asarray(self.value["time"].values, float)
        return (1e3 * seconds, "time (ms)") if seconds[-1] < 5 else (seconds, "time (s)")

    def units(self) -> np.ndarray:
        return self.value["unit"].values if "unit" in self.value.coords else np.arange(self.value.sizes["unit"])


def monitors(tree: xr.DataTree) -> Iterator[Recorded]:
    """The monitors that recorded anything, in the order of the file."""
    group = tree.children.get("recordings")
    for name, node in (group.children if group is not None else {}).items():
        value = node.get("value")
        if isinstance(value, xr.DataArray) and value.size:
            trials = value["trial"].values if "trial" in value.coords else np.arange(value.sizes["recorded"])
            attrs = {**node.attrs, **value.attrs}
            of, variable, units = (str(attrs.get(key, "")) for key in ("of", "variable", "units"))
            full = np.full(len(trials), value.sizes.get("time", 1))
            samples = np.asarray(node["length"].values) if "length" in node.data_vars else full
            yield Recorded(name, of or name, variable, units, value, np.asarray(trials), samples)


def activity(tree: xr.DataTree) -> Section | None:
    """Spike rasters of the first and of the last recorded trial."""
    html = ""
    for monitor in monitors(tree):
        if monitor.spikes:
            time, label = monitor.time()
            chosen = sorted({0, len(monitor.trials) - 1})
            drawn = [_spikes(monitor, k, time) for k in chosen]
            most = max(len(spikes.time) for spikes in drawn)
            html += figure(
                figures.raster(drawn, label),
                f"Spike raster of {monitor.of}: {'; '.join(spikes.title for spikes in drawn)}.",
                f"Spikes of the {drawn[0].size} recorded units of {monitor.of}"
                + (", before (above) and after learning (below)." if len(chosen) > 1 else ".")
                + (f" One spike in {-(-most // DOTS)} is drawn." if most > DOTS else ""),
            )
    return Section("Activity", html) if html else None


def _spikes(monitor: Recorded, index: int, time: np.ndarray) -> Spikes:
    steps, units = np.nonzero(monitor.value.isel(recorded=index).transpose("time", "unit").values)
    seconds = np.asarray(monitor.value["time"].values, float)
    step = (seconds[-1] - seconds[0]) / max(len(seconds) - 1, 1)
    size = monitor.value.sizes["unit"]
    unit_seconds = size * step * monitor.samples[index]
    rate = f", mean rate {number_text(float(len(steps) / unit_seconds), 3)} Hz" if unit_seconds > 0 else ""
    return Spikes(f"trial {monitor.trials[index]}{rate}", time[steps], units, size, (float(time[0]), float(time[-1])))


def one_trial(tree: xr.DataTree) -> Section | None:
    """Eligibility and modulator over the last trial that was recorded."""
    chosen = [monitor for monitor in monitors(tree) if monitor.in_trial][:MOST_MONITORS]
    if not chosen:
        return None
    order = sorted(chosen, key=lambda monitor: monitor.variable == "eligibility")
    label = max(order, key=lambda monitor: float(monitor.value["time"].values[-1])).time()[1]
    panels, which = [], ""
    for monitor in order:
        lines, which = _lines(monitor, [monitor.value.isel(recorded=-1).transpose("time", "unit").values])
        title = f"{monitor.variable} of {monitor.of}, trial {monitor.trials[-1]}"
        panels.append(Panel(title, monitor.time()[0], lines[0], monitor.variable, monitor.unit))
    return Section(
        "Eligibility and modulator over a trial",
        figure(
            figures.stacked(panels, label),
            "Over one trial: " + "; ".join(panel.title for panel in panels) + ".",
            "The last recorded trial: "
            + ", ".join(f"{monitor.variable} of {monitor.of}" for monitor in order)
            + f"{which}. Weights move with the product of modulator and eligibility.",
        ),
    )


def signals(tree: xr.DataTree) -> Section | None:
    """All other recordings: over time in the first and the last recorded trial, or over the trials."""
    chosen = [monitor for monitor in monitors(tree) if not monitor.spikes and not monitor.in_trial]
    html = "".join(_signal(monitor) for monitor in chosen[:MOST_MONITORS])
    if left := chosen[MOST_MONITORS:]:
        html += paragraph("Also in the result file: " + ", ".join(monitor.name for monitor in left) + ".")
    return Section("Recorded signals", html) if html else None


def _signal(monitor: Recorded) -> str:
    if monitor.timed:
        x, x_label = monitor.time()
        trials = sorted({0, len(monitor.trials) - 1})
        titles = [f"trial {monitor.trials[k]}" for k in trials]
        values = [monitor.value.isel(recorded=k).transpose("time", "unit").values for k in trials]
        when = "over the first (above) and the last recorded trial (below)" if len(trials) > 1 else "over a trial"
    else:
        x, x_label, when = monitor.trials, "trial", "when a trial ends"
        titles = [f"{monitor.variable} of {monitor.of}"]
        values = [monitor.value.transpose("recorded", "unit").values]
    lines, which = _lines(monitor, values)
    panels = [Panel(title, x, of_panel, monitor.variable, monitor.unit) for title, of_panel in zip(titles, lines, strict=True)]
    _, unit = scaled([list(of_panel.values()) for of_panel in lines], monitor.unit)
    return figure(
        figures.stacked(panels, x_label, comparable=True),
        f"{monitor.variable} of {monitor.of} {when}.",
        f"The variable {with_unit(monitor.variable, unit)} of {monitor.of} {when}{which}.",
    )


def _lines(monitor: Recorded, panels: list[np.ndarray]) -> tuple[list[dict[str, np.ndarray]], str]:
    """Of values (sample, unit) in one or several panels: lines of the same few units in each, and which units these are."""
    every = np.concatenate(panels).astype(float)
    excursion = np.nan_to_num(np.fmax.reduce(every, axis=0) - np.fmin.reduce(every, axis=0))
    largest = np.sort(np.argsort(-excursion, kind="stable")[:MOST_LINES])
    names = monitor.units()
    which = f"; of {len(names)} units the {MOST_LINES} with the largest excursions, by number"
    which = which if len(names) > MOST_LINES else ""
    return [{str(names[k]): np.asarray(values[:, k], float) for k in largest} for values in panels], which

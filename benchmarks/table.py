"""What a run of the benchmark leaves behind: a table for people, a file for plots, and the machine it was measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row
from benchmarks.registry import ROOT, Case

RESULTS = ROOT / "benchmarks" / "results"
KEYS = ("case", "implementation", "us_per_step", "startup_cold_s", "startup_warm_s", "memory_mb")
PACKAGES = ("neuroplast", "numpy", "brian2", "cython", "numba")
STYLES = {"ours": "bold", "limit": "cyan"}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _compiler() -> str:
    try:
        return subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "none"


def machine() -> dict[str, Any]:
    """The machine, without its name or places on it."""
    versions = {"python": platform.python_version(), "g++": _compiler()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    load = os.getloadavg() if hasattr(os, "getloadavg") else (float("nan"),) * 3
    return {
        "processor": _processor(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}",
        "versions": versions, "load_average_before": [round(x, 1) for x in load],
    }


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What ``--json`` prints: the implementations that ran."""
    return [{key: getattr(row, key) for key in KEYS} for row in rows if row.us_per_step is not None]


def write(case: Case, rows: Sequence[Row], about: dict[str, Any], command: str, quick: bool) -> Path:
    """Keep everything that was measured; a quick run does not replace a full one."""
    document = {
        "case": case.name, "title": case.title, "command": command, "quick": quick,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "machine": about, "baselines": case.baselines,
        "left_out": dict(case.left_out),
        "units": {"us_per_step": "microseconds of CPU time a step, median", "startup": "s, wall", "memory_mb": "MB, peak resident"},
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{case.name}{'-quick' if quick else ''}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def _number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "-"
    return f"{value:.{digits}g}" if value < 1000 else f"{value:.0f}"


def _checked(row: Row) -> str:
    if row.difference is None:
        return "-"
    return f"[red]WRONG {row.difference:.1e}[/]" if row.wrong else f"{row.difference:.0e}"


def show(case: Case, rows: Sequence[Row], console: Console) -> None:
    """The table, slowest first. Ratios: this implementation's time over the baseline's."""
    table = Table(title=f"{case.name}: {case.title}", title_style="bold", caption_justify="left")
    table.caption = (
        "us/step: CPU time. start: wall time until the first step, with empty caches and with filled ones.\n"
        "same as Reference: largest difference of the weights after the same noise, relative to the largest change."
    )
    table.add_column("implementation", no_wrap=True)
    by_name = {row.implementation: row.us_per_step for row in rows}
    for title in ("us/step", *(f"/ {name}" for name in case.baselines), "cold start s", "warm s", "MB", "same as Reference"):
        table.add_column(title, justify="right")
    table.add_column("remark", max_width=44)
    for row in sorted(rows, key=lambda r: -(r.us_per_step or 0.0)):
        if row.problem:
            continue
        assert row.us_per_step is not None
        baselines = [by_name.get(name) for name in case.baselines]
        table.add_row(
            row.implementation, _number(row.us_per_step), *(_number(row.us_per_step / b if b else None) for b in baselines),
            _number(row.startup_cold_s), _number(row.startup_warm_s), _number(row.memory_mb), _checked(row), row.remark,
            style=STYLES.get(row.group),
        )
    console.print(table)
    for row in rows:
        if row.problem:
            console.print(f"{row.implementation}: {row.problem}", markup=False, highlight=False)
    for peer, why in case.left_out.items():
        console.print(f"not compared: {peer}: {why}", markup=False, highlight=False)

"""The page: a template filled from a result, written beside it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import xarray as xr
from jinja2 import Environment, FileSystemLoader

from neuroplast.errors import ResultError
from neuroplast.report.contents import sections
from neuroplast.report.figures import ROLES
from neuroplast.report.numerals import number_text
from neuroplast.report.reading import REPLICA, attribute, json_attribute, open_result
from neuroplast.spans import spans

REPORT_FILE = "report.html"
_DOI = re.compile(r"10\.\d{4,9}/\S+")


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from ``result.nc``, both in ``folder``, and return its path.

    ResultError: there is no readable result, or the folder cannot be written. An older report stays until the new one is whole.
    """
    folder = Path(folder)
    with open_result(folder) as tree:
        html = render(tree)
    path, part = folder / REPORT_FILE, folder / f"{REPORT_FILE}.part"
    try:
        part.write_text(html, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise ResultError(f"The report cannot be written: {error}", got=str(path), do="make room there") from error
    return path


def render(tree: xr.DataTree) -> str:
    """The page as text. Names and notes are escaped; only the sections' HTML, made by section.py, is taken as it is."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    name = attribute(tree, "name")
    return environment.get_template("page.html").render(
        title=attribute(tree, "title") or attribute(tree, "model") or name or "Result",
        name=name,
        model=attribute(tree, "model"),
        citation=attribute(tree, "citation"),
        doi=_doi(attribute(tree, "doi")),
        facts=_facts(tree),
        versions=json_attribute(tree, "versions", dict),
        warnings=json_attribute(tree, "warnings", list),
        sections=sections(tree),
        roles=ROLES,
    )


def _facts(tree: xr.DataTree) -> list[tuple[str, str]]:
    """What kind of run this is, as (label, value)."""
    facts = [(label, attribute(tree, label)) for label in ("model", "target", "seed", "trials")]
    if REPLICA in tree.dims:
        seeds = np.atleast_1d(tree.coords["seed"].values).astype(int).tolist()
        facts = [(label, spans(seeds) if label == "seed" else value) for label, value in facts]
        facts.append(("replicas", str(len(seeds))))
    if "dt" in tree.attrs:
        facts.append(("time step", f"{number_text(1e3 * float(tree.attrs['dt']))} ms"))
    facts.append(("created", attribute(tree, "created").replace("T", " ")[:16]))
    return [(label, value) for label, value in facts if value]


def _doi(doi: str) -> tuple[str, str] | None:
    """(address, text) of a DOI; None for what is not one."""
    doi = doi.removeprefix("https://doi.org/").removeprefix("doi:").strip()
    return (f"https://doi.org/{quote(doi, safe='/.()-_;:')}", doi) if _DOI.fullmatch(doi) else None

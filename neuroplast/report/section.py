"""Sections of a report, and the pieces they are made of: figures, sounds, tables, paragraphs, each as safe HTML text.

All text that comes from a description (names, units, citations) is escaped here, so whoever writes a section for a model
cannot forget to.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from neuroplast.report.figures import ROLES, style
from neuroplast.report.numerals import number_text
from neuroplast.report.sound import wav_bytes

VECTOR_LIMIT = 500_000
"""Bytes of lines and marks (images within a figure not counted) above which it goes into the page as pixels and not as SVG."""

SHORT = 18
"""Characters up to which the text in a cell of a table stays on one line."""


@dataclass(frozen=True)
class Section:
    """A titled part of the page. title: plain text.  html: trusted HTML, made with the functions of this module."""

    title: str
    html: str


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def preformatted(text: str) -> str:
    """Lines whose spaces count, such as equations. A long line goes on below its text, behind the label that it begins with."""
    lines = []
    for line in textwrap.dedent(text).strip("\n").splitlines():
        label = re.match(r" *(\S+ {2,})?", line)
        hang = label.end() if label else 0
        lines.append(f'<span style="padding-left:{hang}ch;text-indent:-{hang}ch">{html.escape(line)}</span>')
    return f"<pre>{''.join(lines)}</pre>"


def figure(drawing: Figure, alt: str, caption: str = "") -> str:
    """A figure with its caption: SVG in the colours of the page where that is small, PNG else.

    alt: what the figure shows, for readers who do not see it.  caption: what is seen, with units.
    """
    svg = _svg(drawing, alt)
    vectors = len(re.sub(r'"data:[^"]*"', "", svg))
    body = svg if vectors <= VECTOR_LIMIT else _png(drawing, alt)
    return f"<figure>{body}{_caption('figcaption', caption)}</figure>"


def audio(samples: np.ndarray, rate: int, label: str) -> str:
    """A sound to listen to. samples: -1..1 at ``rate`` samples a second.  label: what it is."""
    data = base64.b64encode(wav_bytes(samples, rate)).decode("ascii")
    name = html.escape(label)
    return (
        f'<figure class="sound"><figcaption>{name}</figcaption>'
        f'<audio controls preload="metadata" aria-label="{name}" src="data:audio/wav;base64,{data}"></audio></figure>'
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table of text and numbers; columns without any entry are left out.

    On a narrow screen each row becomes a small block, with the column names in front.
    """
    cells = [["" if cell is None else number_text(cell) for cell in row] for row in rows]
    kept = [k for k in range(len(columns)) if any(row[k] for row in cells)]
    head = "".join(f'<th scope="col">{html.escape(columns[k])}</th>' for k in kept)
    body = "".join("<tr>" + "".join(_cell(columns[k], row[k]) for k in kept) + "</tr>" for row in cells)
    return f"<table>{_caption('caption', caption)}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(column: str, text: str) -> str:
    short = ' class="short"' if len(text) <= SHORT else ""
    return f'<td{short} data-label="{html.escape(column)}">{html.escape(text)}</td>'


def _caption(tag: str, text: str) -> str:
    return f"<{tag}>{html.escape(text)}</{tag}>" if text else ""


def _svg(drawing: Figure, alt: str) -> str:
    """The figure as an SVG element to stand inside HTML.

    Its colours are those of the page's style sheet (so that they follow light and dark mode), its identifiers are made
    unique (several drawings share one page), and its size is left to the page.
    """
    out = io.BytesIO()
    with style():
        drawing.savefig(out, format="svg", dpi=200, facecolor="none", metadata={"Date": None, "Creator": None})
    text = out.getvalue().decode("utf-8")
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None, "matplotlib writes a viewBox"
    text = text[text.index(">", box.end()) + 1 :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)  # the style sheet is in page.html
    prefix = "f" + hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    text = re.sub(r'(\bid="|url\(#|href="#)', lambda match: f"{match.group(1)}{prefix}-", text)
    for role, colour in (*ROLES.items(), ("ink", "#000000"), ("page", "#ffffff")):
        text = text.replace(f": {colour}", f": var(--{role})")
    return f'<svg role="img" aria-label="{html.escape(alt)}" {box.group()}>{text}'


def _png(drawing: Figure, alt: str) -> str:
    out = io.BytesIO()
    with style():
        drawing.savefig(out, format="png", dpi=160, facecolor="white")
    data = base64.b64encode(out.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'

"""Errors: each says what is wrong, where it was declared, what was got, what is allowed, and what to do."""

from __future__ import annotations

import difflib
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PACKAGE_FOLDERS = (Path(__file__).resolve().parent,)
_LIBRARIES = tuple(Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib"))
_GENERATED = ("<string>", "<frozen")


@dataclass(frozen=True)
class Source:
    """A line of the user's own code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def caller() -> Source | None:
    """The innermost line on the stack that is not inside neuroplast's own machinery."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_GENERATED) and not _is_own(file):
            return Source(file, frame.f_lineno)
        frame = frame.f_back
    return None


def raised_at(problem: BaseException) -> Source | None:
    """The innermost line of the user's own code in an exception's traceback, not that of a library which the user called."""
    lines = [Source(entry.filename, entry.lineno or 0) for entry in traceback.extract_tb(problem.__traceback__)]
    own = [line for line in lines if not line.file.startswith(_GENERATED) and not _is_own(line.file)]
    users = [line for line in own if not any(folder in Path(line.file).parents for folder in _LIBRARIES)]
    return (users or own or [None])[-1]


def _is_own(file: str) -> bool:
    path = Path(file)
    # models/ is linked into the package but its files are written like a user's: they are not machinery
    return any(folder in path.parents for folder in _PACKAGE_FOLDERS) and path.parent.name != "models"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an "unknown name" message: the nearest known name if there is one, and all known names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{hint}Known names are: {', '.join(names) if names else '(none)'}."


class NeuroplastError(Exception):
    """Base of every error that this program raises on purpose.

    what: the problem in one sentence.  where: the user's line.  got, allowed: values.  do: what to do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: Source | None = None,
        got: object = None,
        allowed: object = None,
        do: str | None = None,
    ) -> None:
        self.what, self.where, self.got, self.allowed, self.do = what, where, got, allowed, do
        lines = [what]
        if where is not None:
            lines.append(f"  declared at: {where}")
        if got is not None:
            lines.append(f"  got: {got}")
        if allowed is not None:
            lines.append(f"  allowed: {allowed}")
        if do is not None:
            lines.append(f"  what to do: {do}")
        super().__init__("\n".join(lines))


class DescriptionError(NeuroplastError):
    """A network description that cannot mean anything: wrong units, sizes, names, values."""


class UnitsError(DescriptionError):
    """A number whose unit does not fit."""


class LoweringError(NeuroplastError):
    """A valid description that one target cannot run; names the node, the limit and a way out."""


class TaskError(NeuroplastError):
    """A task that returned something it must not: a wrong shape, NaN, an unknown input."""


class ResultError(NeuroplastError):
    """A result or checkpoint that cannot be written, read, or continued."""

"""Importing Lava: only when it is needed, on every Python, whatever the start method of ``multiprocessing`` is.

``require_lava()`` comes before the first ``import lava`` of every other module here. Three things stand in the way of a plain import:

* Lava is an extra, so it may not be there. Its last release is 0.10.0 (the project is archived): no other version will come.
* From Python 3.11 on, ``dataclass`` refuses the default ``ByteEncoder`` in ``lava.magma.compiler.var_model``. The module is executed
  with ``unsafe_hash=True`` put in; no file is changed.
* Lava calls ``multiprocessing.set_start_method("fork")`` while it is imported, and fails where a method was chosen before.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import sys
from importlib import metadata
from pathlib import Path

from neuroplast.backends.lava.errors import LavaNotAvailable

VERSION = "0.10.0"
_BROKEN = "lava.magma.compiler.var_model"
_WRITTEN, _WORKING = "@dataclass\nclass ByteEncoder:", "@dataclass(unsafe_hash=True)\nclass ByteEncoder:"
INSTALL = "Python 3.10: pip install 'neuroplast[lava]'; newer: uv, with the metadata override in docs/lava.md"


def installed() -> str | None:
    """The version of Lava that is installed, None where there is none. Imports nothing."""
    try:
        return metadata.version("lava-nc")
    except metadata.PackageNotFoundError:
        return None


def require_lava() -> None:
    """Make ``import lava...`` work; LavaNotAvailable where it cannot."""
    if "lava.magma.core.process.process" in sys.modules:
        return
    version = installed()
    if version is None:
        raise LavaNotAvailable("Lava is not installed", got=f"Python {sys.version.split()[0]}", do=INSTALL)
    if version != VERSION:
        raise LavaNotAvailable("this version of Lava is not known", got=version, allowed=VERSION, do=INSTALL)
    if importlib.util.find_spec("greenlet") is None:
        raise LavaNotAvailable("greenlet is not installed, which runs Lava's process models", do="pip install greenlet")
    if sys.version_info >= (3, 11):
        _import_var_model()
    chosen = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(None, force=True)
    try:
        importlib.import_module("lava.magma.core.process.process")
    finally:
        multiprocessing.set_start_method(chosen, force=True)  # Lava's wish is its own runtime's business


def _import_var_model() -> None:
    spec = importlib.util.find_spec(_BROKEN)
    if spec is None or spec.origin is None or _BROKEN in sys.modules:
        return
    source = Path(spec.origin).read_text(encoding="utf-8")
    if _WRITTEN not in source:
        raise LavaNotAvailable(f"{_BROKEN} is not the file that is known", got=spec.origin, do=INSTALL)
    module = importlib.util.module_from_spec(spec)
    sys.modules[_BROKEN] = module
    exec(compile(source.replace(_WRITTEN, _WORKING), spec.origin, "exec"), module.__dict__)
    importlib.import_module("lava.magma.compiler").var_model = module  # type: ignore[attr-defined]


__all__ = ["INSTALL", "VERSION", "installed", "require_lava"]

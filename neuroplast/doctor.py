"""What of compilers, simulators, chips and disks is here, and how to get what is missing."""

from __future__ import annotations

import importlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from neuroplast.backends.targets import known_targets
from neuroplast.checkpoint import check_writable
from neuroplast.errors import ResultError


@dataclass(frozen=True)
class Finding:
    """One part: whether it is here, what exactly, and how to get it. needed: False for what only adds something."""

    part: str
    ok: bool
    detail: str
    get: str
    needed: bool = False

    @property
    def state(self) -> str:
        return "ok" if self.ok else "missing"


def examine() -> list[Finding]:
    """All parts, those that are needed first."""
    return [
        _python(),
        _cache(),
        _compiler(),
        _package("Brian2", "brian2", "brian2", "pip install brian2", needed=True),
        _package("Cython", "cython", "Cython", "pip install cython"),
        _package("Gymnasium", "gymnasium", "gymnasium", "pip install 'neuroplast[gymnasium]'"),
        _package("Dask", "distributed", "distributed", "pip install 'neuroplast[sweep]'"),
        _lava(),
        _package(
            "Loihi 2 (lava-loihi)", "lava-loihi", "lava.lib.loihi",
            "given to members of Intel's Neuromorphic Research Community: https://intel-ncl.atlassian.net/wiki/spaces/INRC",
        ),
        _gpu(),
        *_targets(),
    ]


def _python() -> Finding:
    supported = sys.version_info >= (3, 10)
    detail = f"{platform.python_version()} ({sys.executable}) on {platform.machine()} {platform.system()}"
    return Finding("Python", supported, detail, "Python 3.10 or newer, such as: uv python install 3.10", needed=True)


def _cache() -> Finding:
    from neuroplast.backends.cpp.build import cache_folder

    get = "set NEUROPLAST_CACHE to a folder that can be written"
    try:
        folder = cache_folder()
        check_writable(folder)
    except (OSError, ResultError) as problem:
        return Finding("Cache folder", False, str(problem), get)
    return Finding("Cache folder", True, str(folder), get)


def _compiler() -> Finding:
    from neuroplast.backends.cpp.build import find_compiler

    how = {
        "Linux": "apt install g++ (or dnf install gcc-c++)", "Darwin": "xcode-select --install",
        "Windows": "the C++ build tools of Visual Studio",
    }.get(platform.system(), "a C++17 compiler")
    found = find_compiler()
    return Finding("C++ compiler", found is not None, str(found) if found else "runs will be slow without one", how)


def _package(part: str, distribution: str, module: str, get: str, needed: bool = False) -> Finding:
    """Whether a package is installed and can be imported."""
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return Finding(part, False, "not installed", get, needed)
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a broken installation raises
        return Finding(part, False, f"{version} is installed but cannot be imported: {error}", get, needed)
    return Finding(part, True, version, get, needed)


def _lava() -> Finding:
    """Lava is imported in a way of its own, on newer Pythons with one line changed."""
    from neuroplast.backends.lava.compat import INSTALL, installed, require_lava

    version = installed()
    if version is None:
        return Finding("Lava", False, "not installed", INSTALL)
    try:
        require_lava()
    except Exception as error:  # whatever a broken installation raises
        return Finding("Lava", False, f"{version} is installed but cannot be imported: {error}", INSTALL)
    return Finding("Lava", True, version, INSTALL)


def _gpu() -> Finding:
    get = "an NVIDIA GPU with its driver; nothing in neuroplast needs one"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPU", False, "no nvidia-smi", get)
    try:
        query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return Finding("GPU", False, f"nvidia-smi does not answer: {problem}", get)
    names = "; ".join(answer.stdout.strip().splitlines())
    return Finding("GPU", answer.returncode == 0 and bool(names), names or answer.stderr.strip() or "none found", get)


def _targets() -> list[Finding]:
    def loads(load: Callable[[], object]) -> str:
        try:
            load()
        except Exception as error:  # a target of another package may raise anything
            return f"{type(error).__name__}: {error}"
        return ""

    found = []
    for name, point in sorted(known_targets().items()):
        problem = loads(point.load)
        found.append(Finding(f"Target {name}", not problem, problem or point.value, "install what its message names"))
    return found

"""Compiling a kernel, with a cache on disk that a kill, a full disk or two processes at once cannot break."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from platformdirs import user_cache_dir

from neuroplast.errors import LoweringError

# inf and NaN keep their meaning. -ffast-math must not reach the linker: there it would make denormals zero in the whole process
COMPILE_FLAGS = ("-O3", "-std=c++17", "-fPIC", "-ffast-math", "-fno-finite-math-only", "-fno-math-errno", "-w")
STEADY_FLAGS = ("--param=vect-max-peeling-for-alignment=0",)
"""Of GCC: results must not depend, in their last digit, on where in memory an array happens to lie."""
COMPILERS = ("g++", "clang++", "c++")
LIMIT = 900
"""Seconds that a compilation may take."""


def find_compiler() -> str | None:
    """The C++ compiler: the environment's ``CXX``, or the first of g++, clang++ and c++; None if there is none."""
    for candidate in (os.environ.get("CXX", ""), *COMPILERS):
        words = shlex.split(candidate)
        if words and shutil.which(words[0]) is not None:
            return candidate
    return None


def cache_folder() -> Path:
    """Where compiled kernels are kept: the environment's ``NEUROPLAST_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("NEUROPLAST_CACHE") or user_cache_dir("neuroplast"))


def compile_library(source: str) -> Path:
    """The shared library of a kernel, from the cache or built now. LoweringError without a compiler, or if it fails."""
    return _cached(source, ".so", ("-shared",))


def compile_program(source: str) -> Path:
    """The same for a program with a ``main``."""
    return _cached(source, "", ())


def read_verified(path: Path) -> bytes | None:
    """The content of a file of the cache; None where it is missing or not what was once written."""
    try:
        content, digest = path.read_bytes(), _digest_file(path).read_text()
    except OSError:
        return None
    return content if hashlib.blake2b(content).hexdigest() == digest else None


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + ".sum")


def _cached(source: str, suffix: str, link_flags: tuple[str, ...]) -> Path:
    compiler = find_compiler()
    if compiler is None:
        raise LoweringError(
            "this target needs a C++ compiler, and none was found",
            got=f"CXX={os.environ.get('CXX', '')!r}, PATH={os.environ.get('PATH')}", allowed="g++ or clang++",
            do="install one (apt install g++, xcode-select --install, conda install cxx-compiler), "
            "name it in the environment variable CXX, or take target 'reference'",
        )
    flags = (*COMPILE_FLAGS, "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native")
    if "Free Software Foundation" in _version(compiler):
        flags += STEADY_FLAGS
    key = hashlib.blake2b(
        "\0".join((source, *flags, *link_flags, compiler, _version(compiler), _processor())).encode(), digest_size=16
    ).hexdigest()
    path = cache_folder() / f"kernel_{key}{suffix}"
    if read_verified(path) is None:
        try:
            _build(compiler, source, path, flags, link_flags)
        except OSError as error:
            raise LoweringError(
                "compiled code cannot be stored", got=str(error), do="make room, or name another folder in NEUROPLAST_CACHE"
            ) from error
    return path


def _build(compiler: str, source: str, path: Path, flags: tuple[str, ...], link_flags: tuple[str, ...]) -> None:
    """Compile in a folder of our own; then put the finished file, and its digest, in their places in one move each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build_", dir=path.parent) as name:
        folder = Path(name)
        (folder / "kernel.cpp").write_text(source)
        words = shlex.split(compiler)
        _run([*words, *flags, "-c", "kernel.cpp", "-o", "kernel.o"], folder)
        _run([*words, *link_flags, "kernel.o", "-o", "kernel", "-lm"], folder)
        (folder / "sum").write_text(hashlib.blake2b((folder / "kernel").read_bytes()).hexdigest())
        os.replace(folder / "kernel", path)
        os.replace(folder / "sum", _digest_file(path))


def _run(command: list[str], folder: Path) -> None:
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoweringError("the C++ compiler could not be run", got=f"{shlex.join(command)}: {error}") from error
    if result.returncode != 0:
        raise LoweringError(
            "the C++ compiler failed", got=f"{shlex.join(command)}\n{result.stderr.strip()[-4000:]}",
            do="check that the compiler works, name another in the environment variable CXX, or take target 'reference'",
        )


@lru_cache
def _version(compiler: str) -> str:
    return subprocess.run([*shlex.split(compiler), "--version"], capture_output=True, text=True, check=False).stdout


@lru_cache
def _processor() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features"))))

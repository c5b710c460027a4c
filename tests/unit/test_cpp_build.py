"""Compiling kernels, and the cache."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.programs import N_POST, network

from neuroplast.backends.compiled import Compiled
from neuroplast.backends.cpp import build
from neuroplast.backends.cpp.emit import kernel_source
from neuroplast.errors import LoweringError

pytestmark = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler")


SMALL = 'extern "C" int answer() { return 42; }'


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPLAST_CACHE", str(tmp_path))
    return tmp_path


def answer(path: Path) -> int:
    return ctypes.CDLL(str(path)).answer()


def test_a_library_is_compiled_once(empty_cache: Path) -> None:
    path = build.compile_library(SMALL)
    written = path.stat().st_mtime_ns
    assert build.compile_library(SMALL) == path and path.stat().st_mtime_ns == written and answer(path) == 42
    assert build.compile_library(SMALL + "\n") != path
    assert not [p for p in empty_cache.iterdir() if p.name.startswith(("build_", "load_"))]


def test_a_program_can_be_compiled(empty_cache: Path) -> None:
    assert subprocess.run([build.compile_program("int main() { return 7; }")], check=False).returncode == 7


@pytest.mark.parametrize("damage", ["truncated", "without digest", "other digest"])
def test_a_damaged_library_is_built_again(empty_cache: Path, damage: str) -> None:
    path = build.compile_library(SMALL)
    content, digest = path.read_bytes(), path.with_name(path.name + ".sum")
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "without digest":
        digest.unlink()
    else:
        digest.write_text("0" * 128)
    assert build.read_verified(path) is None
    assert build.compile_library(SMALL) == path and answer(path) == 42


def test_processes_may_compile_the_same_at_once(empty_cache: Path) -> None:
    text = f"from neuroplast.backends.cpp.build import compile_library as c; import ctypes\n" \
           f"assert ctypes.CDLL(str(c({SMALL!r}))).answer() == 42"
    running = [subprocess.Popen([sys.executable, "-c", text]) for _ in range(4)]
    assert [process.wait() for process in running] == [0, 0, 0, 0]


def test_a_killed_compilation_leaves_nothing_broken(empty_cache: Path) -> None:
    text = f"from neuroplast.backends.cpp.build import compile_library as c; c({kernel_source(network(), True)!r})"
    process = subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.DEVNULL)
    time.sleep(1.0)
    process.kill()
    process.wait()
    path = build.compile_library(kernel_source(network(), True))
    assert build.read_verified(path) is not None


def test_without_a_compiler_the_message_says_what_to_do(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(empty_cache))
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert build.find_compiler() is None
    with pytest.raises(LoweringError, match="CXX"):
        build.compile_library(SMALL)


def test_a_cache_that_cannot_be_written_is_named(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_cache / "file").write_text("")
    monkeypatch.setenv("NEUROPLAST_CACHE", str(empty_cache / "file" / "folder"))
    with pytest.raises(LoweringError, match="NEUROPLAST_CACHE"):
        build.compile_library(SMALL)


def test_an_array_of_another_type_is_refused() -> None:
    made = network()
    made.arrays["u"] = replace(made.arrays["u"], initial=np.zeros(N_POST, np.float32))
    with pytest.raises(LoweringError, match="float32"):
        Compiled().prepare(made)


def test_the_environment_names_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"{sys.executable} -u")
    assert build.find_compiler() == f"{sys.executable} -u"


def test_a_failing_compilation_shows_what_the_compiler_said(empty_cache: Path) -> None:
    with pytest.raises(LoweringError, match="expected"):
        build.compile_library("int main( {")

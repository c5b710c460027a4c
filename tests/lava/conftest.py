"""Tests of Lava are skipped where Lava is not, and never hang: a test that takes a minute fails, and its processes are ended."""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Iterator

import pytest

from neuroplast.backends.lava.compat import installed

LIMIT = 60
collect_ignore_glob = [] if installed() else ["test_*.py"]


@pytest.fixture(autouse=True)
def hard_limit() -> Iterator[None]:
    """TimeoutError after LIMIT seconds; if even that is not heard, the interpreter ends."""

    def late(*_: object) -> None:
        raise TimeoutError(f"the test takes longer than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    faulthandler.dump_traceback_later(2 * LIMIT, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

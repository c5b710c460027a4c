"""One process at a time in a folder. The kernel gives a lock back when its process dies, however it dies: none is ever stale."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from neuroplast.errors import ResultError

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None

LOCK = ".lock"
_TAKEN = (errno.EAGAIN, errno.EACCES)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder (made if missing), and leave no file behind; ResultError where another run holds it.

    On a disk that knows no locks there is none.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _take(folder)
    except OSError as problem:
        raise ResultError(
            f"cannot write to {folder}", got=problem.strerror or str(problem), do="choose a folder that you may write to"
        ) from problem
    try:
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink()
            os.close(handle)
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # nothing came of it


def _take(folder: Path) -> int | None:
    path = folder / LOCK
    while fcntl is not None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_file(handle, path):  # who held it took the file away just now
                os.close(handle)
                continue
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return handle
        except OSError as problem:
            holder = os.pread(handle, 200, 0).decode(errors="replace")
            os.close(handle)
            if problem.errno not in _TAKEN:
                return None
            raise ResultError(
                f"{folder} is in use by another run", got=holder or None, do="wait until it has ended, or choose another folder"
            ) from problem
    return None


def _is_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False

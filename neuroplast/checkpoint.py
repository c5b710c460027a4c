"""Checkpoints: the state of a run between two trials, on disk, so that a run that was stopped ends as if it had not been.

A folder holds

    start.npz                  the learned arrays before the first trial (written once)
    recordings-A-B.npz         recordings of the finished trials A to B - 1 (each written once, never again)
    state.npz                  arrays, measures, and the list of the recording files that belong to it (the newest)
    state.previous.npz         the one before, used where the newest cannot be read

Every file is written beside its place, flushed to the disk, and renamed into place, so at any moment there is a whole one.
Files are read without pickle: nothing in them is ever executed. Random numbers are counter-based (see ``ir/program.py``), so
the arrays are the whole state.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neuroplast.errors import ResultError

FORMAT = 1
STATE, PREVIOUS, START, DAMAGED = "state.npz", "state.previous.npz", "start.npz", "state.unreadable.npz"
_META, _PART = "meta", ".part"
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError)

Recordings = dict[str, dict[int, np.ndarray]]
"""Monitor name -> trial -> samples (time, unit), as the Recorder collects them."""


@dataclass
class Saved:
    """A run up to a moment between two trials.

    digest: of the program.  first: the trial with which the run began.  trials: how many were asked for.  trial: the next one.
    arrays: every state array.  measures: (trials done,) each.  start: the learned arrays before the run.
    task: what a task written in Python remembers between trials, if it says so.  monitors: name -> what it records (array,
    stride, units, trials); None where a checkpoint does not say.
    """

    digest: str
    first: int
    trials: int
    trial: int
    arrays: dict[str, np.ndarray]
    measures: dict[str, np.ndarray]
    start: dict[str, np.ndarray]
    task: dict[str, np.ndarray] = field(default_factory=dict)
    recordings: Recordings = field(default_factory=dict)
    monitors: dict[str, list[Any]] | None = None

    @property
    def finished(self) -> bool:
        return self.trial >= self.first + self.trials


class CheckpointFolder:
    """The checkpoint files of one run. It remembers which recordings are on disk, and writes only new ones."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._parts: list[str] = []
        self._stored: set[tuple[str, int]] = set()
        self._started = False

    @property
    def exists(self) -> bool:
        return (self.folder / STATE).exists() or (self.folder / PREVIOUS).exists()

    def remove_parts(self) -> None:
        """What a process that was killed was writing. Only who has locked the folder may do this."""
        for unfinished in self.folder.glob(f".*{_PART}"):
            unfinished.unlink(missing_ok=True)

    def make_place(self) -> None:
        """Before a new run: take away a run that has ended; ResultError where one could still be resumed."""
        if not self.exists:
            return
        left, got = self._left()
        if left != 0:
            raise ResultError(
                f"{self.folder} holds a run that has not ended", got=got,
                do="resume it, choose another folder, or remove this one",
            )
        self.clear()

    @property
    def ended(self) -> bool:
        """Whether what is stored is a whole run."""
        return self._left()[0] == 0

    def _left(self) -> tuple[int, str]:
        """How many trials of the stored run are left (-1 where it cannot be read), and the same in words."""
        for path in (self.folder / STATE, self.folder / PREVIOUS):
            try:
                _, meta = read_npz(path)
                left = int(meta["first"]) + int(meta["trials"]) - int(meta["trial"])
                return left, f"{int(meta['trials']) - left} of {meta['trials']} trials done"
            except _UNREADABLE:
                continue
        return -1, "a checkpoint that cannot be read"

    def write(self, saved: Saved) -> None:
        """Store the run as it is now; ResultError where the disk does not take it (what was there before is still whole)."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._started:
                write_npz(self.folder / START, saved.start, {})
                self._started = True
            self._write_recordings(saved)
            self._write_state(saved)
        except OSError as problem:
            raise ResultError(f"the checkpoint cannot be written to {self.folder}", got=str(problem)) from problem

    def _write_state(self, saved: Saved) -> None:
        meta = {
            "format": FORMAT, "digest": saved.digest, "first": saved.first, "trials": saved.trials, "trial": saved.trial,
            "parts": self._parts, "monitors": saved.monitors,
        }
        content = {f"array/{name}": array for name, array in saved.arrays.items()}
        content |= {f"measure/{name}": array for name, array in saved.measures.items()}
        content |= {f"task/{name}": array for name, array in saved.task.items()}
        newest = self.folder / STATE
        write_npz(newest, content, meta, before_rename=lambda: _keep_previous(newest, self.folder / PREVIOUS))

    def _write_recordings(self, saved: Saved) -> None:
        """Those of finished trials that are not on the disk yet, several trials of one monitor in one array."""
        content: dict[str, np.ndarray] = {}
        new: set[tuple[str, int]] = set()
        for name, by_trial in saved.recordings.items():
            trials = sorted(trial for trial in by_trial if trial < saved.trial and (name, trial) not in self._stored)
            if trials:
                content[f"trials/{name}"] = np.array(trials)
                content[f"lengths/{name}"] = np.array([len(by_trial[trial]) for trial in trials])
                content[f"values/{name}"] = np.concatenate([by_trial[trial] for trial in trials])
                new |= {(name, trial) for trial in trials}
        if not new:
            return
        part = f"recordings-{min(trial for _, trial in new):08d}-{max(trial for _, trial in new) + 1:08d}.npz"
        write_npz(self.folder / part, content, {})
        self._parts = [*(p for p in self._parts if p != part), part]
        self._stored |= new

    def read(self, digest: str) -> Saved | None:
        """The newest whole state of the program with this digest, None where there is none yet; ResultError otherwise."""
        if not self.exists:
            return None
        problems: list[str] = []
        for name in (STATE, PREVIOUS):
            path = self.folder / name
            if not path.exists():
                continue
            try:
                saved, parts = self._read_state(path)
            except _UNREADABLE as problem:
                problems.append(f"{path.name}: {problem}")
                continue
            if saved.digest != digest:
                raise ResultError(
                    f"the checkpoint in {self.folder} belongs to another network", got=f"program {saved.digest}",
                    allowed=f"program {digest}",
                    do="resume with the same model, parameters, seed, dt and version, or choose another folder",
                )
            if problems:
                # or the next write would put it in the place of the one that can be read
                os.replace(self.folder / STATE, self.folder / DAMAGED)
            self._parts, self._started = parts, True
            self._stored = {(name, trial) for name, by_trial in saved.recordings.items() for trial in by_trial}
            return saved
        raise ResultError(
            f"no checkpoint in {self.folder} can be read", got="; ".join(problems), do="start again in another folder"
        )

    def _read_state(self, path: Path) -> tuple[Saved, list[str]]:
        content, meta = read_npz(path)
        if meta.get("format") != FORMAT:
            raise ResultError(
                f"the checkpoint {path} was written by another version of neuroplast", got=f"format {meta.get('format')}",
                allowed=f"format {FORMAT}",
            )
        start, _ = read_npz(self.folder / START)
        recordings: Recordings = {}
        parts = [str(part) for part in meta["parts"]]
        for part in parts:
            content_of_part, _ = read_npz(self.folder / Path(part).name)
            for name, trials in _under("trials/", content_of_part).items():
                ends = np.cumsum(content_of_part[f"lengths/{name}"])[:-1]
                samples = np.split(content_of_part[f"values/{name}"], ends)
                recordings.setdefault(name, {}).update(zip(trials.tolist(), samples, strict=True))
        saved = Saved(
            digest=meta["digest"], first=int(meta["first"]), trials=int(meta["trials"]), trial=int(meta["trial"]),
            arrays=_under("array/", content), measures=_under("measure/", content), start=start,
            task=_under("task/", content), recordings=recordings, monitors=meta.get("monitors"),
        )
        return saved, parts

    def clear(self) -> None:
        """Remove the checkpoint's files, and the folder if nothing else is in it."""
        for pattern in (STATE, PREVIOUS, DAMAGED, "recordings-*.npz", START, f".*{_PART}"):
            for path in self.folder.glob(pattern):
                path.unlink()
        self._parts, self._stored, self._started = [], set(), False
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def _under(prefix: str, content: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key[len(prefix) :]: array for key, array in content.items() if key.startswith(prefix)}


def _keep_previous(newest: Path, previous: Path) -> None:
    if newest.exists():
        os.replace(newest, previous)


def write_npz(
    path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any], before_rename: Callable[[], None] | None = None
) -> None:
    """Arrays and a JSON document as one .npz, atomically."""
    document = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    content = {_META: document, **{f"={name}": array for name, array in arrays.items()}}

    def fill(beside: Path) -> None:
        # not numpy.savez: where the disk is full it leaves the archive open, to complain when it is collected
        with zipfile.ZipFile(beside, "w", allowZip64=True) as archive:
            for name, array in content.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)

    write_atomically(path, fill, before_rename)


def read_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What :func:`write_npz` wrote; never executes anything from the file."""
    with np.load(path, allow_pickle=False) as content:
        meta = json.loads(bytes(content[_META]).decode())
        arrays = {name[1:]: content[name] for name in content.files if name.startswith("=")}
    if not isinstance(meta, dict):
        raise ValueError("its description is not a JSON object")
    return arrays, meta


def write_atomically(
    path: Path, fill: Callable[[Path], None], before_rename: Callable[[], None] | None = None
) -> None:
    """Let ``fill`` write the file at the path it is given, beside ``path``, push it to the disk, and rename it into place."""
    # not mkstemp: its files are readable by their owner alone, whatever the umask says
    beside = path.parent / f".{path.name}-{uuid.uuid4().hex}{_PART}"
    try:
        fill(beside)
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        if before_rename is not None:
            before_rename()
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last through a loss of power (where the system can)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_writable(folder: Path | str, bytes_needed: int = 0) -> None:
    """Before a run: that files can be written to the folder (made if missing) and that they will fit; else ResultError."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
            probe.write(b"neuroplast")
            probe.flush()
            os.fsync(probe.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        raise ResultError(
            f"cannot write to {folder}", got=problem.strerror or str(problem), do="choose a folder that you may write to"
        ) from problem
    if free < bytes_needed:
        raise ResultError(
            f"there is not enough space in {folder}", got=f"{size_text(free)} free",
            allowed=f"at least {size_text(bytes_needed)} for this run", do="free some space, record less, or use another disk",
        )


def size_text(size: float) -> str:
    """'12.3 MB'."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def fallback_folder() -> Path:
    """A new folder outside of the user's disk, for work that could not be written where it should."""
    return Path(tempfile.mkdtemp(prefix="neuroplast-")) / "checkpoint"


def bytes_of(arrays: Iterable[np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays)

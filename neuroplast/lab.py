"""The laboratory in which a model's claims are measured: it runs the model with changed parameters, each run only once."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import xarray as xr

from neuroplast import results
from neuroplast.backends.targets import Target
from neuroplast.checkpoint import CheckpointFolder, check_writable
from neuroplast.errors import NeuroplastError
from neuroplast.ir.program import StepProgram
from neuroplast.model import Claim, Measured, Model, Skip, plain
from neuroplast.replicas import Member, SideBySide, Wish
from neuroplast.spans import spans
from neuroplast.training import Progress

SHORT = 1.0
"""Seconds up to which a finished run is not stored: it is made again as fast."""

UNMEASURED = "could not be measured"
"""What stands in the place of a measured value where the measurement broke down."""

Watch = Callable[[str, Progress], None]
"""Called with what is being run, and where it is."""


class Lab:
    """Runs a model for its claims.

    quick: the smaller version.  folder: where finished runs that took long and checkpoints are kept, so that an interrupted
    reproduction goes on where it was; None keeps finished runs in memory alone.  watch: shows progress.
    """

    def __init__(
        self, model: Model, *, quick: bool = False, target: Target | str | None = None, folder: Path | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.model, self.quick, self.target, self.folder, self.watch = model, quick, target, folder, watch
        self._runs: dict[str, xr.DataTree] = {}
        if folder is not None:
            check_writable(folder)

    def parameters(self, **overrides: Any) -> SimpleNamespace:
        """The values of the parameters in this lab, with changes."""
        return self.model.values(self.quick, overrides)

    def seeds(self, n: int) -> list[int]:
        """``n`` seeds; in the quick version half as many (at least one)."""
        return list(range(max(1, n // 2) if self.quick else n))

    def run(self, seed: int = 0, trials: int | None = None, record: bool = True, **overrides: Any) -> xr.DataTree:
        """The result of the model with these changes; a run that was made before is not made again.

        trials: in place of the parameter.  record: False leaves out what monitors ask for.
        """
        return self.runs([seed], trials, record, **overrides)[0]

    def runs(self, seeds: Sequence[int], trials: int | None = None, record: bool = True, **overrides: Any) -> list[xr.DataTree]:
        """The same for several seeds, side by side on all cores: a result for each."""
        if trials is not None:
            overrides[self.model.trials] = trials
        values = self.parameters(**overrides)
        asked = {seed: json.dumps([seed, record, plain(vars(values))]) for seed in seeds}
        missing = [seed for seed, key in asked.items() if key not in self._runs]
        if missing:
            changes = "".join(f", {name} {plain(value)}" for name, value in overrides.items())
            label = f"{self.model.name} seed{'s' * (len(missing) > 1)} {spans(missing)}{changes}"
            for seed, tree in self._run(values, missing, record, label).items():
                self._runs[asked[seed]] = tree
        return [self._runs[asked[seed]] for seed in seeds]

    def _run(self, values: SimpleNamespace, seeds: list[int], record: bool, label: str) -> dict[int, xr.DataTree]:
        trials, watch, found = int(getattr(values, self.model.trials)), self.watch, {}
        with self.model.replicas(values, seeds, self.target) as simulation:
            members, members_seeds, places = [], [], []
            for seed, replica in zip(seeds, simulation.replicas, strict=True):
                place = None
                if self.folder is not None:
                    place = self.folder / f"{self.model.name}-{run_key(replica.program, replica.target.name, trials, record)}"
                    if (stored := _result_at(place)).exists():
                        found[seed] = results.load(stored)
                        continue
                members.append(Member(replica, place and _checkpoint_at(place), self.model.attributes(values)))
                members_seeds.append(seed)
                places.append(place)

            def keep(number: int, tree: xr.DataTree, seconds: float) -> None:
                """A short run costs less than writing and reading it."""
                place = places[number]
                if place is not None:
                    checkpoint = CheckpointFolder(_checkpoint_at(place))
                    if seconds > SHORT or checkpoint.exists:
                        results.save(tree, _result_at(place))
                    checkpoint.clear()

            if members:
                together = SideBySide(
                    members, Wish(trials, resume=self.folder is not None, record=record, keep=False), finished=keep,
                    progress=None if watch is None else lambda progress: watch(label, progress),
                )
                together.run()
                if together.interrupted:
                    raise KeyboardInterrupt
                found |= {members_seeds[number]: tree for number, tree in together.trees.items()}
        return found


def _result_at(place: Path) -> Path:
    return place.with_name(f"{place.name}.nc")


def _checkpoint_at(place: Path) -> Path:
    return place.with_name(f"{place.name}.checkpoint")


def run_key(program: StepProgram, target: str, trials: int, record: bool) -> str:
    """A name for a run: whatever changes its result changes it."""
    parts: list[Any] = [program.digest(), target, trials, results.versions()]
    if record:
        parts += [
            (r.name, r.array, r.stride, r.trials, None if r.units is None else r.units.tolist()) for r in program.recordings
        ]
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """One row of ``reproduce``. verdict: "holds", "fails" or "skipped" (``reason`` then says why, and where ``measured`` is
    UNMEASURED, what went wrong)."""

    model: str
    claim: str
    statement: str
    source: str
    expected: str
    measured: str
    value: Any
    seeds: list[int]
    verdict: str
    reason: str = ""

    @property
    def broke_down(self) -> bool:
        return self.measured == UNMEASURED

    def row(self) -> dict[str, Any]:
        return asdict(self)


def judge(claim: Claim, lab: Lab) -> Verdict:
    """Measure a claim. A measurement that breaks down says nothing about the claim, and is not the end of the others."""

    def verdict(word: str, measured: Measured | None, text: str, reason: str = "") -> Verdict:
        value = None if measured is None else plain(measured.value)
        seeds = [] if measured is None else [int(seed) for seed in measured.seeds]
        return Verdict(
            lab.model.name, claim.name, claim.statement, claim.source, claim.expected, text, value, seeds, word, reason
        )

    try:
        measured = claim.measure(lab)
    except Skip as skip:
        return verdict("skipped", None, "", str(skip))
    except NeuroplastError as error:
        return verdict("skipped", None, UNMEASURED, str(error))
    except Exception:
        return verdict("skipped", None, UNMEASURED, traceback.format_exc())
    return verdict("holds" if measured.holds else "fails", measured, measured.text)

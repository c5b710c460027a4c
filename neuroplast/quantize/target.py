"""Any target in a chip's whole numbers, wherever a target is asked for.

    compiled:fixed, lava:fixed    neurons and weights in integers, traces and eligibility in float (the process form)
    compiled:loihi, lava:loihi    the rules too, on the chip's learning engine
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import AfterPiece, AfterTrial, Executable, Target, TaskCaller
from neuroplast.ir.program import StepProgram
from neuroplast.quantize.quantize import quantize
from neuroplast.quantize.rewrite import check_overflow


class FixedExecutable:
    """A quantised program on a target. A number that left its range is an error at the end of the call in which it did."""

    def __init__(self, executable: Executable, check: Any) -> None:
        self._executable, self._check = executable, check
        self.program, self.report = executable.program, executable.report
        # the scales are those of a trial run of the task as it was at the start, and a task in Python remembers
        self.prepared_once = executable.program.calls_python
        self.side_by_side: bool = getattr(executable, "side_by_side", False)
        logged = getattr(executable, "run_logged", None)
        if logged is not None:
            self.run_logged = lambda trials, recorder, after_piece: self._run_logged(logged, trials, recorder, after_piece)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return self._executable.arrays

    def run(self, trials: int, recorder: Recorder, after_trial: AfterTrial | None = None) -> int:
        def checked(trial: int, arrays: dict[str, np.ndarray]) -> bool:
            self._check(arrays)  # before anything of this trial is kept
            return after_trial is None or after_trial(trial, arrays)

        with self._checked():
            return self._executable.run(trials, recorder, None if after_trial is None else checked)

    def _run_logged(self, logged: Any, trials: int, recorder: Recorder, after_piece: AfterPiece) -> int:
        def checked(trial: int, measures: np.ndarray, arrays: dict[str, np.ndarray]) -> bool:
            self._check(arrays)
            return after_piece(trial, measures, arrays)

        with self._checked():
            return logged(trials, recorder, checked)

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        yield
        self._check(self.arrays)

    def close(self) -> None:
        self._executable.close()


class Fixed:
    """Another target, given the program in Loihi 2's integers (docs/lava.md); the report names every number that changed.

    plasticity: "process" or "loihi"; this and other options (``headroom``, ``ranges``) are those of
    :func:`neuroplast.quantize.quantize`.
    """

    def __init__(self, target: Target, plasticity: str = "process", **options: Any) -> None:
        self.target, self.plasticity, self.options = target, plasticity, options
        self.name = f"{target.name}:{'fixed' if plasticity == 'process' else plasticity}"

    def prepare(self, program: StepProgram, task: TaskCaller | None = None) -> FixedExecutable:
        quantized = quantize(program, plasticity=self.plasticity, **self.options)
        executable = self.target.prepare(quantized.program, task)
        return FixedExecutable(executable, lambda arrays: check_overflow(quantized.program, arrays, quantized.formats))

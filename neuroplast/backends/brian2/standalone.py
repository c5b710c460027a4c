"""Brian2 C++ standalone: a whole training run inside one compiled program.

The program reads trials, arrays and the recordings that are wanted from a file and writes the final arrays, each trial's
measures and the recordings, so the same binary serves any number of trials and any values of the arrays.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from neuroplast.backends.brian2.groups import populations
from neuroplast.backends.brian2.project import generate
from neuroplast.backends.brian2.shim import program_source, sample_shape
from neuroplast.backends.cpp.build import compile_program
from neuroplast.backends.cpp.emit import configuration, kernel_source
from neuroplast.backends.cpp.plasticity import notes
from neuroplast.backends.reference import Recorder
from neuroplast.backends.targets import AfterTrial, LoweringReport, TaskCaller
from neuroplast.errors import LoweringError
from neuroplast.ir.program import CLOCK, TRIAL, Note, StepProgram


class Brian2StandaloneExecutable:
    """A compiled program with its arrays. The arrays are Python's; each run hands them over and takes them back."""

    side_by_side = True

    def __init__(self, program: StepProgram) -> None:
        self.program = program
        self.arrays = program.fresh_arrays()
        note = Note(
            program.name, "what is seen between trials", "the live state, and a way to stop",
            "after the run: the measures of each trial, and the final state",
        )
        self.report = LoweringReport("brian2-standalone", (*program.notes, *notes(program), note))
        project = generate(populations(program), program.dt)
        self._binary = compile_program(program_source(program, project, kernel_source(program, neurons=False, embed=False)))

    def run(self, trials: int, recorder: Recorder, after_trial: AfterTrial | None = None) -> int:
        """All trials in one go. Then ``after_trial`` is called for each of them, with a copy of the dictionary in which the
        arrays of ``program.measures`` hold that trial's values and all others the final state. It cannot stop the run; Ctrl-C
        ends it after the current trial."""
        if trials < 1:
            return 0
        first = int(self.arrays[CLOCK][TRIAL])
        with tempfile.TemporaryDirectory(prefix="neuroplast_run_") as name:
            folder = Path(name)
            self._write_input(folder / "input", trials, recorder)
            finished = subprocess.run([self._binary, folder], stderr=subprocess.PIPE, text=True, check=False)
            if finished.returncode != 0:
                raise RuntimeError(f"the compiled program ended with code {finished.returncode}: {finished.stderr.strip()}")
            self._read_state(folder / "state")
            self._read_records(folder / "records", recorder)
            done = int(self.arrays[CLOCK][TRIAL]) - first
            measures = np.fromfile(folder / "measures").reshape(done, len(self.program.measures))
        if after_trial is not None:
            for k, row in enumerate(measures):
                logged = {array: row[i : i + 1] for i, array in enumerate(self.program.measures.values())}
                after_trial(first + k, {**self.arrays, **logged})
        return done

    def _write_input(self, path: Path, trials: int, recorder: Recorder) -> None:
        first = int(self.arrays[CLOCK][TRIAL])
        with path.open("wb") as file:
            np.int64(trials).tofile(file)
            for recording in self.program.recordings:
                wanted = [t for t in recorder.trials[recording.name] if first <= t < first + trials]
                np.array([len(wanted), *wanted], np.int64).tofile(file)
            keys, initial = configuration(self.program)
            for array in (keys, *initial, *self.arrays.values()):
                array.tofile(file)

    def _read_state(self, path: Path) -> None:
        with path.open("rb") as file:
            for array in self.arrays.values():
                array.ravel()[:] = np.fromfile(file, array.dtype, array.size)

    def _read_records(self, path: Path, recorder: Recorder) -> None:
        with path.open("rb") as file:
            while (head := np.fromfile(file, np.int64, 3)).size:
                recording = self.program.recordings[head[0]]
                width = sample_shape(self.program, recording)[1]
                dtype = np.uint8 if recording.spikes else np.float64
                values = np.fromfile(file, dtype, int(head[2]) * width).reshape(int(head[2]), width)
                if len(values):
                    recorder.results[recording.name][int(head[1])] = values

    def close(self) -> None:
        """Nothing to give back: the binary stays in the cache."""


class Brian2Standalone:
    """Brian2's C++ standalone mode: one compiled run of all trials. For programs that never call Python."""

    name = "brian2-standalone"

    def prepare(self, program: StepProgram, task: TaskCaller | None = None) -> Brian2StandaloneExecutable:
        if program.calls_python:
            node = getattr(program.task, "task", program.task)
            raise LoweringError(
                f"task '{getattr(node, 'name', 'task')}' is written in Python, and a standalone program of Brian2's has none",
                where=getattr(node, "where", None), got="target brian2-standalone",
                allowed="targets brian2-library, brian2-runtime, compiled and reference",
                do="choose one of these targets, or a declarative task",
            )
        return Brian2StandaloneExecutable(program)

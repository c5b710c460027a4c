"""The Loihi 2 target: says what is missing, and which processes would need a model for the chip. It never runs on the CPU instead.

What is public of Lava has no models for the chip; they come with lava-loihi, for members of Intel's research community, and neurons
beyond LIF need microcode, which only they can write. For those there is the specification: the integer program itself, with its
statements (docs/lava.md) and traces of it as test vectors (neuroplast.quantize.by_hand.trace).
"""

from __future__ import annotations

import importlib.util
import os
import shutil

from neuroplast.backends.lava.compat import installed
from neuroplast.backends.lava.partition import partition
from neuroplast.backends.targets import Executable, TaskCaller
from neuroplast.errors import LoweringError
from neuroplast.ir.program import StepProgram

GET = (
    "lava-loihi is given to members of Intel's Neuromorphic Research Community (https://intel-ncl.atlassian.net/wiki/spaces/INRC); "
    "then set SLURM=1 and PARTITION or BOARD (on Intel's cloud), or NXSDKHOST (a board of your own), and LOIHI_GEN (such as N3B3)"
)
ON_CHIP = "on chip: LIF"


class HardwareNotAvailable(LoweringError):
    """There is no Loihi 2 here, or it cannot run this program."""


def missing() -> list[str]:
    """What a run on a Loihi 2 needs and this machine does not have. Imports nothing of Lava, and asks no cluster."""
    found = []
    if installed() is None:
        found.append("lava-nc")
    elif importlib.util.find_spec("lava.utils.loihi2_profiler") is None:
        found.append("lava-loihi (no lava.utils.loihi2_profiler)")
    slurm, host = os.environ.get("SLURM") == "1", os.environ.get("NXSDKHOST")
    if not slurm and not host:
        found.append("a board (neither SLURM=1 nor NXSDKHOST is set)")
    elif slurm and shutil.which("sinfo") is None:
        found.append("SLURM (SLURM=1 is set, but there is no sinfo)")
    return found


def without_chip_model(program: StepProgram) -> list[str]:
    """The processes of a program that a chip has no model for, each with the reason."""
    places = {note.node: note.got for note in program.notes if note.what == "place"}
    rules = {note.node: note.got for note in program.notes if note.what == "rule"}
    synapses = {note.node: note.got for note in program.notes if note.what in ("release", "noise of the weights")}
    found = []
    for part in partition(program).parts.values():
        if part.kind == "population":
            place = places.get(part.name, "simulator only: its numbers are floats (quantize the program)")
            if not place.startswith((ON_CHIP, "input")):
                found.append(f"{part.name}: {place}")
        elif part.kind == "projection" and part.name in rules:
            found.append(f"{part.name}: {rules[part.name]}")
        elif part.kind == "projection" and part.name in synapses:
            found.append(f"{part.name}: {synapses[part.name]}")
        elif part.kind == "modulator":
            found.append(f"{part.name}: a modulator in float, on the host or an embedded processor")
    return found


class Loihi2:
    """A Loihi 2 of Intel's research cloud, or a board."""

    name = "loihi2"

    def prepare(self, program: StepProgram, task: TaskCaller | None = None) -> Executable:
        """HardwareNotAvailable: with what is missing here, and with the processes that have no model for the chip."""
        lacking, offenders = missing(), without_chip_model(program)
        needs = f"no model for the chip: {'; '.join(offenders)}" if offenders else None
        if lacking:
            raise HardwareNotAvailable(
                f"'{program.name}' cannot run on a Loihi 2; missing here: {', '.join(lacking)}", got=needs, do=GET
            )
        raise HardwareNotAvailable(
            f"'{program.name}' cannot run on a Loihi 2", got=needs or "its processes have models, but nobody could try them here",
            allowed="networks of LIF neurons and static weights",
            do="run it on the target lava with integers; write microcode for these processes from docs/lava.md",
        )


__all__ = ["GET", "HardwareNotAvailable", "Loihi2", "missing", "without_chip_model"]

"""The random numbers that the Reference draws, for those who are to be compared with it."""

from __future__ import annotations

import numpy as np

from neuroplast.ir.program import TRIAL_DRAW, Draw, StepProgram, draw, stream_key


def drawn(program: StepProgram, target: str, steps: int, trials: int) -> np.ndarray:
    """What the Draw of that target gives: (trials, steps, size), or (trials, size) where it draws once a trial."""
    law = next(op for op in (*program.before, *program.after, *program.trial_start) if isinstance(op, Draw) and op.target == target)
    size, key = program.arrays[target].initial.size, stream_key(program.seed, law.stream)
    if law.each == "trial":
        return np.array([draw(law.law, size, key, TRIAL_DRAW, t, 0) for t in range(trials)])
    return np.array([[draw(law.law, size, key, n, t, 0) for n in range(steps)] for t in range(trials)])

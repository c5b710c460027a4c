"""Whether a scenario shows anything: neurons fire but not always, signals vary, weights change."""

from __future__ import annotations

import numpy as np

from neuroplast.ir.program import EndLearn
from neuroplast.testing.contract import ContractError, program_of, reference
from neuroplast.testing.networks import Scenario

STILL = {
    "connect_none": "there are no synapses",
    "release_release_weight": "only q is learned there", "release_facilitation_release_weight": "only q is learned there",
    "release_recovery_release_weight": "only q is learned there", "release_both_release_weight": "only q is learned there",
}
"""What may stand still, with the reason: beginnings of names of arrays."""


def check_alive(scenario: Scenario) -> None:
    """ContractError for recordings that never vary and plastic weights that stay as they were, on Reference."""
    program, outcome = program_of(scenario), reference(scenario.name)
    still = []
    for recording in program.recordings:
        if program.arrays[recording.array].kind == "constant":
            continue
        values = np.concatenate([v.ravel() for v in outcome.recordings[recording.name].values()]).astype(float)
        if values.size and np.ptp(values) == 0:
            still.append(f"recording {recording.name} is always {values[0]}")
    last = outcome.states[scenario.trials - 1]
    for operation in program.trial_end:
        if isinstance(operation, EndLearn):
            name = operation.learn.target
            if np.array_equal(last[name], program.arrays[name].initial):
                still.append(f"{name} was not learned")
    for name, value in last.items():
        if not np.all(np.isfinite(value)):
            still.append(f"{name} is not finite")
    still = [s for s in still if not any(f" {name}" in f" {s}" for name in STILL)]
    if still:
        raise ContractError("\n  ".join([f"{scenario}: nothing happens", *still]))


__all__ = ["check_alive"]

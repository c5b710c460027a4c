"""The contract for programs of integers: Reference = Compiled = Lava, every state, measure and recording, over networks of many
features at once."""

from __future__ import annotations

from typing import Any

import pytest

from neuroplast.backends.reference import Reference
from neuroplast.backends.targets import target_named
from neuroplast.ir.tasks import task_caller
from neuroplast.quantize import quantize
from neuroplast.testing.contract import Outcome, compare, program_of, run, scenario

FEATURES = ("all_rules", "all_neurons", "all_continuing", "reach_sequence")


def outcome(name: str, target: Any) -> Outcome:
    program = quantize(program_of(scenario(name))).program
    executable = target.prepare(program, task_caller(program))
    try:
        return run(executable, (2,))
    finally:
        executable.close()


@pytest.mark.parametrize("target", ["compiled", "lava"])
@pytest.mark.parametrize("name", FEATURES)
def test_integers_are_the_same_everywhere(name: str, target: str):
    if target == "lava":
        pytest.importorskip("lava.magma", reason="Lava is an extra")
    elif target == "compiled":
        from neuroplast.backends.cpp.build import find_compiler

        if find_compiler() is None:
            pytest.skip("no C++ compiler")
    compare(outcome(name, target_named(target)), outcome(name, Reference()), f"{name} in integers on {target}")

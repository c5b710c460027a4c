"""Programs cut into processes that exchange messages: whole, in order, and never waiting for each other. Needs no Lava."""

from __future__ import annotations

from collections import Counter

import pytest

from neuroplast.backends.lava.partition import SEGMENTS, Do, Partition, Receive, Send, partition
from neuroplast.ir.program import CallTask, Deliver, Learn, Remember
from neuroplast.testing.contract import program_of
from neuroplast.testing.networks import SCENARIOS, Scenario

NAMED = ("all_continuing", "all_rules", "paired_other", "reach_sequence", "python", "delay_heterogeneous")


def play(parts: Partition, segment: str, order: list[str]) -> list[int]:
    """Run the scripts of a segment with blocking receives, parts in the order given; the operations as they were done."""
    at = dict.fromkeys(order, 0)
    flying: Counter[tuple[int, str]] = Counter()
    done: list[int] = []
    moved = True
    while moved:
        moved = False
        for name in order:
            script = parts.parts[name].scripts[segment]
            while at[name] < len(script):
                action = script[at[name]]
                if isinstance(action, Receive):
                    if not flying[action.message.number, name]:
                        break
                    flying[action.message.number, name] -= 1
                elif isinstance(action, Send):
                    flying.update((action.message.number, target) for target in action.message.targets)
                elif isinstance(action, Do):
                    done.append(id(action.operation))
                at[name] += 1
                moved = True
    assert all(at[name] == len(parts.parts[name].scripts[segment]) for name in order), "somebody waits for ever"
    assert not +flying, "a message was not received"
    return done


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name in NAMED], ids=str)
def test_every_operation_is_done_and_nobody_waits_for_ever(scenario: Scenario):
    if scenario.name == "gymnasium":
        pytest.importorskip("gymnasium")
    program = program_of(scenario)
    parts = partition(program)
    operations = {
        "sync": (), "trial_start": program.trial_start, "step": (*program.before, *program.neurons, *program.after),
        "pass_end": program.pass_end, "trial_end": program.trial_end,
    }
    for segment in SEGMENTS:
        for order in (list(parts.parts), list(reversed(parts.parts))):
            done = Counter(play(parts, segment, order))
            assert set(done) == {id(op) for op in operations[segment]}
            assert all(done[id(op)] == 1 for op in operations[segment] if not isinstance(op, Remember))


def test_one_process_for_each_node():
    program = program_of(next(s for s in SCENARIOS if s.name == "rule_order_1"))
    parts = partition(program)
    kinds = Counter(part.kind for part in parts.parts.values())
    projections = {op.projection for op in program.before if isinstance(op, Deliver)}
    assert {name for name, part in parts.parts.items() if part.kind == "population"} == set(program.populations)
    assert {name for name, part in parts.parts.items() if part.kind == "projection"} == projections
    modulators = {op.modulator.removesuffix("_value") for op in program.after if isinstance(op, Learn)}
    assert {name for name, part in parts.parts.items() if part.kind == "modulator"} == modulators and kinds["task"] == 1


def test_weights_and_eligibilities_never_travel():
    """What a projection keeps is its own; populations send spikes, projections send input."""
    program = program_of(next(s for s in SCENARIOS if s.name == "rule_order_1"))
    travelling = {m.array for part in partition(program).parts.values() for a in part.scripts["step"] if isinstance(a, Send)
                  for m in [a.message]}
    assert not {name for name in travelling if name.endswith(("_weight", "_eligibility", "_ring"))}
    assert any(name.endswith("_spikes") for name in travelling) and any(name.endswith("_in") for name in travelling)


def test_a_python_task_gets_what_it_reads():
    program = program_of(next(s for s in SCENARIOS if s.name == "python"))
    task = partition(program).parts["task"]
    called = [k for k, a in enumerate(task.scripts["step"]) if isinstance(a, Do) and isinstance(a.operation, CallTask)]
    received = {a.message.array for a in task.scripts["step"][: called[0]] if isinstance(a, Receive)}
    assert set(program.task.outputs.values()) <= received  # type: ignore[union-attr]

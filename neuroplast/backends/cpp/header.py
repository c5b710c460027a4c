"""What the forms whose loops are in C++ headers have in common: the numbers of a rule, and how its presynaptic factors fall."""

from __future__ import annotations

from dataclasses import dataclass

from neuroplast.backends.cpp.access import uses
from neuroplast.backends.cpp.dense import tag
from neuroplast.backends.cpp.factors import Outer, Side, fill
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import Deliver, Learn, Map, Operation, SpikeTrace, StepProgram

LAST_DIGITS = 1e-4
"""How far powers of one base may fall: as many digits are lost, of sixteen."""


def rule_constants(learn: Learn, names: Names, rank: int, numbers: dict[str, int], functions: dict[str, float]) -> list[str]:
    """A struct with what a rule's header needs to know."""
    s = learn.synapses
    values = {"n_pre": s.n_pre, "n_post": s.n_post, "n": s.n, "rank": rank, "dense": int(s.dense), **numbers}
    return [
        f"struct Rule_{tag(learn, names)} {{", f"enum {{ {', '.join(f'{k} = {v}' for k, v in values.items())} }};",
        *(f"static double {name}() {{ return {number(value)}; }}" for name, value in functions.items()),
    ]


def per_factor(name: str, values: list[float]) -> str:
    """A function of the number of a factor."""
    return f"static double {name}(int k) {{ return {''.join(f'k == {k} ? {number(v)} : ' for k, v in enumerate(values))}0.0; }}"


def fall(program: StepProgram, outer: Outer) -> float:
    """By how much the presynaptic side of an outer product falls in a step without a jump: a, or 0.0 where it has no such law.

    Traces say so (``Array.trace``), powers and products of them too; a number stays as it is. 0.0 is always right: it makes
    every value a jump.
    """
    falls = set()
    for _, factors in outer.pre.terms:
        a = 1.0
        for array, power in factors:
            law = program.arrays[array].trace
            a *= (0.0 if law is None else law.decay) ** power
        falls.add(a)
    return falls.pop() if len(falls) == 1 else 0.0


def is_pulse(program: StepProgram, outer: Outer) -> bool:
    """Whether the presynaptic side is zero but for units whose spike arrives."""
    spiking = {op.arrived for op in program.before if isinstance(op, Deliver) and op.spiking}
    return all(any(array in spiking for array, _ in factors) for _, factors in outer.pre.terms)


def is_whole(program: StepProgram, outer: Outer) -> bool:
    """Whether a presynaptic side neither jumps and falls nor comes with spikes: it is kept as it is."""
    return fall(program, outer) == 0.0 and not is_pulse(program, outer)


def pre_values(names: Names, side: Side, scratch: str, size: int) -> tuple[list[str], str]:
    """Lines that make the values of a side, and the pointer to them: an array of the program where the side is nothing else."""
    array = sole(side)
    if array is not None and names.type(array) == "double":
        return [], names(array)
    return fill(names, side, scratch, size), scratch


def arrivals(deliver: Deliver, names: Names) -> str:
    """The list of presynaptic units whose spike has arrived in this step: a count, then their numbers."""
    return f"arrived_{names(deliver.into)}"


def lists_arrivals(deliver: Deliver) -> bool:
    """Whether a delivery knows them: spikes that take one time to all synapses."""
    return deliver.spiking and deliver.ring is not None and deliver.delays is None


@dataclass(frozen=True)
class OwnTrace:
    """A trace that a rule keeps itself, as a ``Trace`` (traces.h) from lists of arrivals, instead of a Map in every step.

    k: the number of its factor.  law: what it does.  deliver: whose arrivals it follows.
    """

    k: int
    array: str
    law: SpikeTrace
    deliver: Deliver
    variable: str
    size: int

    def declare(self) -> str:
        return f"static Trace<{self.size}> {self.variable};"

    def step(self, names: Names) -> str:
        return f"{self.variable}.step({number(self.law.decay)}, {number(self.law.floor)}, {arrivals(self.deliver, names)});"


def own_traces(program: StepProgram, learn: Learn, outers: tuple[Outer, ...], names: Names) -> dict[int, OwnTrace]:
    """Factor -> its trace, where that is the whole factor and nobody else looks at it."""
    result: dict[int, OwnTrace] = {}
    every = (*program.trial_start, *program.before, *program.neurons, *program.after, *program.pass_end, *program.trial_end)
    for k, outer in enumerate(outers):
        array = sole(outer.pre)
        law = None if array is None else program.arrays[array].trace
        if array is None or law is None:
            continue
        sources = [op for op in program.before if isinstance(op, Deliver) and op.arrived == law.arrived and lists_arrivals(op)]
        others = [op for op in every if op is not learn and array in uses(op)]
        private = len(others) == 1 and others[0] in program.after and only_itself(others[0], array)
        elsewhere = any(r.array == array for r in program.recordings) or sum(array in side_arrays(o) for o in outers) > 1
        if len(sources) == 1 and private and not elsewhere and not program.arrays[array].initial.any():
            result[k] = OwnTrace(k, array, law, sources[0], f"trace_{names(array)}", learn.synapses.n_pre)
    return result


def sole(side: Side) -> str | None:
    """The array that a side is, if it is nothing else."""
    if len(side.terms) == 1 and side.terms[0][0] == 1.0 and len(side.terms[0][1]) == 1 and side.terms[0][1][0][1] == 1:
        return side.terms[0][1][0][0]
    return None


def side_arrays(outer: Outer) -> frozenset[str]:
    """Arrays of the presynaptic side, and of the others of an outer product."""
    sides = (*outer.pre.terms, *outer.post.terms, (1.0, outer.synapse))
    return frozenset(array for _, factors in sides for array, _ in factors)


def only_itself(op: Operation, array: str) -> bool:
    """Whether an operation is a Map in which no other statement reads that array."""
    return isinstance(op, Map) and not any(
        op.bind.get(name) == array for target, expression in op.code if op.bind.get(target) != array for name in expression.names
    )

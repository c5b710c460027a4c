"""What the forms whose loops are in C++ headers have in common: the numbers of a rule, and how its presynaptic factors fall."""

from __future__ import annotations

from neuroplast.backends.cpp.dense import tag
from neuroplast.backends.cpp.factors import Outer, Side, fill
from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import Deliver, Learn, StepProgram


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

    Traces say so (``Array.decay``), powers and products of them too; a number stays as it is. 0.0 is always right: it makes
    every value a jump.
    """
    falls = set()
    for _, factors in outer.pre.terms:
        a = 1.0
        for array, power in factors:
            a *= (program.arrays[array].decay or 0.0) ** power
        falls.add(a)
    return falls.pop() if len(falls) == 1 else 0.0


def is_pulse(program: StepProgram, outer: Outer) -> bool:
    """Whether the presynaptic side is zero but for units whose spike arrives."""
    spiking = {op.arrived for op in program.before if isinstance(op, Deliver) and op.spiking}
    return all(any(array in spiking for array, _ in factors) for _, factors in outer.pre.terms)


def pre_values(names: Names, side: Side, scratch: str, size: int) -> tuple[list[str], str]:
    """Lines that make the values of a side, and the pointer to them: an array of the program where the side is nothing else."""
    if len(side.terms) == 1 and side.terms[0][0] == 1.0:
        factors = side.terms[0][1]
        if len(factors) == 1 and factors[0][1] == 1 and names.type(factors[0][0]) == "double":
            return [], names(factors[0][0])
    return fill(names, side, scratch, size), scratch

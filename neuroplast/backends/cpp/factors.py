"""The drive of an eligibility as outer products: sum over r of pre_r[j] post_r[i] (synapse_r[s]), and the loops that fill them.

The terms of a sum of products that share their presynaptic (or, if these are fewer, their postsynaptic) factors are one outer
product, as in pre * x - 0.1 * pre = pre * (x - 0.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from neuroplast.backends.cpp.names import Names, number
from neuroplast.ir.program import Learn, Product

Factors = tuple[tuple[str, int], ...]
"""(array, power) each; their product."""


@dataclass(frozen=True)
class Side:
    """A sum of terms over the units of one side."""

    terms: tuple[tuple[float, Factors], ...]

    def text(self, names: Names, unit: str) -> str:
        """The value for one unit."""
        parts = []
        for coefficient, factors in self.terms:
            part = [] if coefficient == 1.0 and factors else [number(coefficient)]
            parts.append("*".join([*part, *powers(names, factors, unit)]))
        return " + ".join(parts)


@dataclass(frozen=True)
class Outer:
    """One outer product; with ``synapse``, times these factors of each synapse."""

    pre: Side
    post: Side
    synapse: Factors


def powers(names: Names, factors: Factors, index: str) -> list[str]:
    """Factors written out."""
    return [names.value(array, index) for array, power in factors for _ in range(power)]


def outer_products(learn: Learn, products: tuple[Product, ...]) -> tuple[Outer, ...]:
    """The drive, ``gain`` included, as few outer products."""
    result: list[Outer] = []
    for synapse in dict.fromkeys(p.synapse for p in products):
        terms = [p for p in products if p.synapse == synapse]
        by_pre = {k: tuple((learn.gain * p.coefficient, p.post) for p in terms if p.pre == k) for k in _keys(terms, "pre")}
        by_post = {k: tuple((learn.gain * p.coefficient, p.pre) for p in terms if p.post == k) for k in _keys(terms, "post")}
        if len(by_pre) <= len(by_post):
            result += [Outer(Side(((1.0, key),)), Side(rest), synapse) for key, rest in by_pre.items()]
        else:
            result += [Outer(Side(rest), Side(((1.0, key),)), synapse) for key, rest in by_post.items()]
    return tuple(result)


def _keys(terms: list[Product], side: str) -> list[Factors]:
    return list(dict.fromkeys(getattr(p, side) for p in terms))


def fill(names: Names, side: Side, target: str, size: int) -> list[str]:
    """target[0..size) <- the values of one side."""
    return ["NP_IVDEP", f"for (long k = 0; k < {size}; ++k) {target}[k] = {side.text(names, 'k')};"]

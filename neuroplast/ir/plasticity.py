"""Rules in discrete time: factor values by Maps, then Learn. Counterpart of plasticity.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pint

from neuroplast.errors import DescriptionError
from neuroplast.expressions import Term, expression, sum_of_products
from neuroplast.ir.builder import Builder, Code
from neuroplast.ir.graph import Connection, to_si
from neuroplast.ir.program import EndLearn, Learn, Product, SpikeTrace, Synapses
from neuroplast.modulation import Critic, Dopamine, PairedPass
from neuroplast.plasticity import Deviation, Factor, LowPass, Signal, ThreeFactorRule, Transformed, signal_of
from neuroplast.units import named_unit, registry, si_name

PULSES = ("spikes", "release_score")
"""Signals that are trains of Dirac pulses: kept as 0/1 (or a score) a step, read as that over dt."""


def lower_rule(connection: Connection, synapses: Synapses, b: Builder) -> None:
    """Add the factors, the eligibility and the weight change of a projection's rule."""
    node, rule = connection.node, connection.node.plasticity
    assert rule is not None
    name, eligibility = node.name, rule.eligibility
    used = expression(eligibility.drive).names
    sizes = {"pre": synapses.n_pre, "post": synapses.n_post, "synapse": synapses.n}
    codes = {side: Code(b, f"{name}_{side}", size) for side, size in sizes.items()}
    where: dict[str, tuple[str, str, float]] = {}
    for factor_name, factor in rule.factors.items():
        if factor_name in used:
            side = signal_of(factor).side
            where[factor_name] = (side, *_factor(factor_name, factor, connection, codes[side], b))
    b.learn.extend(code.map() for code in codes.values() if code.statements)
    products, terms = [], sum_of_products(expression(eligibility.drive))
    for term in terms:
        sides: dict[str, list[tuple[str, int]]] = {"pre": [], "post": [], "synapse": []}
        coefficient = term.coefficient
        for factor_name, power in term.powers:
            side, array, scale = where[factor_name]
            sides[side].append((array, power))
            coefficient *= scale**power
        products.append(Product(coefficient, *(tuple(sides[s]) for s in ("pre", "post", "synapse"))))
    tau, n = eligibility.si.tau, synapses.n
    if tau is None and not b.reset and rule.update != "episodic":
        raise DescriptionError(
            f"the eligibility of '{name}' has no tau, so it would grow for ever", where=eligibility.where,
            do="give it a tau, or let the task reset the network at each trial",
        )
    paired = [m.name for m in b.graph.network.modulators if isinstance(m.baseline, PairedPass)]
    if paired and rule.update != "episodic":
        raise DescriptionError(
            f"the modulator '{paired[0]}' compares two whole passes of a trial, so the rule of '{name}' must be episodic",
            where=rule.where, got=f"update='{rule.update}'", do="update='episodic'",
        )
    if rule.update == "episodic":
        _check_episodic(node.name, rule, b)
    if tau:
        b.check_dt(f"the eligibility of '{name}'", tau, eligibility.where)
    unit = _drive_unit(terms, where, rule.factors, b)
    unit = "1" if unit is None else si_name(unit if tau == 0 else unit * registry.second)
    arrays = tuple(
        b.array(f"{name}_eligibility" if k == eligibility.order else f"{name}_eligibility_{k}", np.zeros(n), unit, own=True)
        for k in range(eligibility.order + 1)
    )
    low, high = (
        None if bound is None else float(to_si(bound, connection.dimension if rule.target == "weight" else "1", "bounds", rule.where))
        for bound in rule.bounds
    )
    episodic = rule.update == "episodic"
    learned = f"{name}_weight" if rule.target == "weight" else f"{name}_q"
    start = b.arrays[learned].initial
    outside = int(np.sum((start < (-np.inf if low is None else low)) | (start > (np.inf if high is None else high))))
    if outside:
        b.note(name, "start within the bounds", f"{outside} of {n} outside", "moved to the bound with the first change", node.where)
    learn = Learn(
        name, synapses, learned, arrays,
        b.array(f"{name}_pending", np.zeros(n), reset=False, own=True) if rule.update == "deferred" else None, tuple(products),
        1.0 if tau is None else (0.0 if tau == 0 else float(np.exp(-b.dt / tau))), b.dt / tau if tau else 0.0,
        1.0 if tau == 0 else b.dt, f"{rule.modulator.name}_{'end' if episodic else 'value'}", float(rule.si.rate),
        float(rule.si.rate) * b.dt, rule.update, low, high, rule.bounded, rule.si.max_change,
    )
    b.learn.append(learn)
    b.trial_end.append(EndLearn(learn, closing=b.reset and not episodic))


def _check_episodic(name: str, rule: ThreeFactorRule, b: Builder) -> None:
    """M(end) is the trial's summed reward minus the baseline: what makes M in each step has no part in it."""
    modulator = rule.modulator
    for part, what in ((modulator.dopamine, "dopamine neurons"), (modulator.baseline, "critic")):
        if isinstance(part, (Dopamine, Critic)):
            raise DescriptionError(
                f"the rule of '{name}' is episodic, but the {what} of '{modulator.name}' act in each step", where=rule.where,
                got=f"{type(part).__name__} declared at {part.where}",
                do="update='deferred' (or 'continuous'), or a modulator with RunningMean, PerTrialType or PairedPass",
            )
    for what in ("delay", "tau"):
        if getattr(modulator.si, what) > 0:
            asked, got = f"{getattr(modulator.si, what):g} s", "none: the trial's summed reward is taken at its end"
            b.note(name, f"{what} of modulator '{modulator.name}'", asked, got, rule.where)


def _drive_unit(
    terms: tuple[Term, ...], where: dict[str, tuple[str, str, float]], factors: dict[str, Factor], b: Builder
) -> pint.Unit | None:
    """The unit of a sum of products of factors; None where its terms differ in it, or a factor has none that is known."""
    found: set[pint.Unit] = set()
    for term in terms:
        product = registry.Unit("dimensionless")
        for name, power in term.powers:
            factor = factors[name]
            pulse = isinstance(factor, Signal) and factor.variable in PULSES
            unit = registry.hertz if pulse else named_unit(b.arrays[where[name][1]].unit)
            if unit is None or isinstance(factor, Transformed):
                return None
            product = product * unit**power
        found.add(product)
    return found.pop() if len(found) == 1 else None


def _factor(name: str, factor: Factor, connection: Connection, code: Code, b: Builder) -> tuple[str, float]:
    """(array that holds the factor's value after step 5, scale): writes the statements it needs.

    The names that it makes up begin with an underscore, which those of factors never do.
    """
    signal = signal_of(factor)
    array = _signal_array(connection, signal.side, signal.variable, b)
    unit = b.arrays[array].unit
    pulse = signal.variable in PULSES
    scale = 1.0 / b.dt if pulse else 1.0
    if isinstance(factor, Transformed):
        source = code.use(f"_x_{name}", array)
        text = str(expression(factor.function).substitute({"x": f"{source}*{scale!r}" if pulse else source}))
        code.set(code.state(name, 0.0, reset=True), text)
        return code.bind[name], 1.0
    if isinstance(factor, LowPass):
        b.check_dt(f"the factor '{name}' of '{connection.node.name}'", factor.si.tau, factor.where)
        source, y = code.use(f"_x_{name}", array), code.state(name, 0.0, unit)
        a = float(np.exp(-b.dt / factor.si.tau))
        code.set(y, f"{y}*{a!r} + {source}" if pulse else f"{source} + ({y} - {source})*{a!r}")
        if factor.si.floor > 0:
            if signal.variable != "spikes":
                raise DescriptionError(
                    f"the factor '{name}' of '{connection.node.name}' has a floor, which is for traces of spikes", where=factor.where,
                    got=f"a LowPass of '{signal.variable}'", do="leave floor out",
                )
            code.set(y, f"where({y} < {float(factor.si.floor)!r}, 0.0, {y})")
        if signal.variable == "spikes":
            b.arrays[code.bind[y]] = replace(b.arrays[code.bind[y]], trace=SpikeTrace(array, a, float(factor.si.floor)))
        return code.bind[y], 1.0
    if isinstance(factor, Deviation):
        source, unit = code.use(f"_x_{name}", array), "Hz" if pulse else unit
        value, mean = code.state(name, 0.0, unit), code.state(f"_mean_{name}", 0.0, unit, reset=False)
        text = f"{source}*{scale!r}" if pulse else source
        code.set(value, f"{text} - {mean}")
        code.set(mean, f"{mean} + {float(-np.expm1(-b.dt / factor.si.tau))!r}*{value}")
        return code.bind[value], 1.0
    return array, scale


def _signal_array(connection: Connection, side: str, variable: str, b: Builder) -> str:
    node = connection.node
    if side == "synapse":
        return f"{node.name}_{variable}"
    population = node.pre if side == "pre" else node.post
    if side == "pre" and b.arrays.get(f"{node.name}_arrived") is not None and _carried(population, variable, b):
        return f"{node.name}_arrived"
    return b.signal(population.name, variable)


def _carried(population: Any, variable: str, b: Builder) -> bool:
    """Whether a variable is what the projection carries: then the rule sees it as it arrives."""
    from neuroplast.ir.neurons import output_signal

    return output_signal(population) == variable

"""Neurons in discrete time: each neuron type writes the statements of one step over its population.

Decays are exact; a membrane is integrated in closed form with conductances, currents and noise held over the step. Arrivals
come in accumulators: ``g <- decay g + arrived``. Counterpart of neuroplast/neurons.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import numpy as np

from neuroplast.equations import Equations
from neuroplast.errors import DescriptionError
from neuroplast.expressions import Expression, expression
from neuroplast.ir.builder import Builder, Code
from neuroplast.ir.graph import Connection, generator
from neuroplast.ir.noise import add_population_noise
from neuroplast.ir.program import Draw, Row, SpikeTable
from neuroplast.network import Population
from neuroplast.neurons import (
    LIF,
    TRANSFERS,
    Bernoulli,
    EquationNeuron,
    Neuron,
    Pattern,
    Poisson,
    Rate,
    Readout,
    SpikeSequence,
    carried_signal,
)
from neuroplast.node import Normal, Uniform, numbers
from neuroplast.synapses import Conductance, Current, Delta, Graded
from neuroplast.units import si_name, unit_name


def lower_population(population: Population, b: Builder) -> None:
    """Add a population's arrays and its Map to the workbench."""
    code = Code(b, population.name, population.size)
    incoming = [c for c in b.graph.connections.values() if c.node.post is population]
    _lower(population.neuron, population, incoming, code, b)
    b.codes[population.name] = code


def initial(value: object, population: Population, b: Builder, name: str, dimension: str, default: float) -> np.ndarray:
    """The start of a state variable: drawn, given, or the default."""
    if value is None:
        return np.full(population.size, default)
    if isinstance(value, (Uniform, Normal)):
        rng = generator(b.graph.network.seed, f"{population.name}/{name}")
        return value.draw((population.size,), rng, dimension, f"population '{population.name}': {name}", population.where)
    return np.array(np.broadcast_to(np.asarray(value, float), (population.size,)))


@singledispatch
def _lower(neuron: Neuron, population: Population, incoming: list[Connection], code: Code, b: Builder) -> None:
    raise AssertionError(f"{type(neuron).__name__} has no discrete form")


def _check_dt(population: Population, b: Builder, name: str, tau: object) -> None:
    b.check_dt(f"{name} of population '{population.name}'", tau, population.neuron.where)


def _filtered_inputs(incoming: list[Connection], code: Code, b: Builder) -> dict[type, list[tuple[Connection, str]]]:
    """Write the decay and the arrivals of every projection; (projection, name of its input now) by synapse type."""
    inputs: dict[type, list[tuple[Connection, str]]] = {Conductance: [], Current: [], Delta: [], Graded: []}
    owner = code.owner
    for connection in incoming:
        projection, synapse = connection.node, connection.node.synapse
        arrived = code.use(f"in_{projection.name}", b.array(f"{projection.name}_in", np.zeros(code.size), reset=True))
        if isinstance(synapse, (Conductance, Current)):
            prefix = "g_" if isinstance(synapse, Conductance) else "i_"
            _check_dt(projection.post, b, f"tau of the synapse of '{projection.name}'", synapse.si.tau)
            name = code.state(f"{prefix}{projection.name}", 0.0, unit_name(connection.dimension))
            b.signals[owner, name] = code.bind[name]
            code.set(name, f"{name}*{_decay(code, f'decay_{projection.name}', synapse.si.tau, b)} + {arrived}")
            inputs[type(synapse)].append((connection, name))
        else:
            inputs[type(synapse)].append((connection, arrived))
    return inputs


def _decay(code: Code, name: str, tau: object, b: Builder) -> str:
    with np.errstate(divide="ignore"):  # a tau of zero forgets at once
        return code.number(name, np.exp(-b.dt / np.asarray(tau, float)))


def _unit(parsed: Equations, name: str) -> str:
    """The unit that a variable of equations has in SI."""
    return si_name(parsed.units[name]) if name in parsed.units else "1"


def _sum(terms: list[str]) -> str:
    return " + ".join(terms) if terms else "0.0"


def _signals(b: Builder, code: Code, *names: str) -> None:
    for name in names:
        b.signals[code.owner, name] = code.bind[name]


def _external(population: Population, code: Code, b: Builder) -> list[str]:
    """The input that a dopamine modulator writes, if this population carries one."""
    carried = any(m.dopamine is not None and m.dopamine.population is population for m in b.graph.network.modulators)
    if not carried:
        return []
    name = code.state("external", 0.0)
    _signals(b, code, name)
    return [name]


def _refractory_steps(population: Population, b: Builder, seconds: Any) -> np.ndarray:
    values = np.atleast_1d(np.asarray(seconds, float))
    steps = np.array([b.steps_of(float(s), population.name, "refractory", population.neuron.where) for s in values])
    return np.array(steps[0] if np.ndim(seconds) == 0 else steps, float)


@_lower.register
def _(neuron: LIF, population: Population, incoming: list[Connection], code: Code, b: Builder) -> None:
    si = neuron.si
    _check_dt(population, b, "tau", si.tau)
    inputs = _filtered_inputs(incoming, code, b)
    v = code.state(
        "v",
        initial(si.v_initial, population, b, "v", "voltage", 0.0)
        if si.v_initial is not None
        else np.broadcast_to(np.asarray(si.v_rest, float), (population.size,)),
        "V",
    )
    noise = add_population_noise(population, code, b)
    rest = code.number("v_rest", si.v_rest, "V")
    resistance = code.number("resistance", 1.0 if si.resistance is None else si.resistance)
    leak = code.number("leak", 1.0 if si.leak is None else si.leak)
    drive = [] if si.drive is None else [code.number("drive", initial(si.drive, population, b, "drive", "voltage", 0.0), "V")]
    for _, arrived in inputs[Delta]:
        code.set(v, f"{v} + {arrived}")
    pushes = [rest, *drive, *_external(population, code, b), *([noise] if noise else [])]
    pushes += [f"{name}*{resistance}" if si.resistance is not None else name for _, name in inputs[Current]]
    pushes += [name for _, name in inputs[Graded]]
    tau = code.number("rate", b.dt / np.asarray(si.tau, float))
    if inputs[Conductance]:
        g = [(c, f"{name}/{leak}" if si.leak is not None else name) for c, name in inputs[Conductance]]
        reversals = []
        for connection, text in g:
            synapse = connection.node.synapse
            assert isinstance(synapse, Conductance)
            reversals.append(f"{text}*{code.number(f'reversal_{connection.node.name}', synapse.si.reversal, 'V')}")
        code.set("g_total", f"1.0 + {_sum([text for _, text in g])}")
        code.set("v_inf", f"({_sum(pushes + reversals)})/g_total")
        code.set(v, f"v_inf + ({v} - v_inf)*exp(-{tau}*g_total)")
    else:
        code.set("v_inf", _sum(pushes))
        code.set(v, f"v_inf + ({v} - v_inf)*{_decay(code, 'decay', si.tau, b)}")
    reset, threshold = code.number("v_reset", si.v_reset, "V"), code.number("v_threshold", si.v_threshold, "V")
    spikes = code.state("spikes", 0.0)
    if neuron.adaptation is not None:
        a = code.state("adaptation", 0.0, "V")
        _check_dt(population, b, "tau of the adaptation", neuron.adaptation.si.tau)
        code.set(a, f"{a}*{_decay(code, 'decay_adaptation', neuron.adaptation.si.tau, b)}")
        level = code.state("threshold", np.broadcast_to(np.asarray(si.v_threshold, float), (population.size,)), "V")
        code.set(level, f"{threshold} + {a}")
        threshold = level
        _signals(b, code, "threshold")
    steps = _refractory_steps(population, b, si.refractory)
    if np.any(steps > 0):
        left = code.state("refractory_left", 0.0)
        code.set(v, f"where({left} > 0.5, {reset}, {v})")
        code.set(left, f"maximum({left} - 1.0, 0.0)")
        code.set(spikes, f"where({v} > {threshold}, 1.0, 0.0)")
        code.set(left, f"where({spikes} > 0.5, {code.number('refractory_steps', steps)}, {left})")
    else:
        code.set(spikes, f"where({v} > {threshold}, 1.0, 0.0)")
    code.set(v, f"where({spikes} > 0.5, {reset}, {v})")
    if neuron.adaptation is not None:
        code.set("adaptation", f"adaptation + {spikes}*{code.number('jump', neuron.adaptation.si.jump, 'V')}")
    _signals(b, code, "v", "spikes")


def _unit_input(population: Population, incoming: list[Connection], bias: object, code: Code, b: Builder) -> None:
    """``input`` of a Rate or Bernoulli unit: all synaptic input, bias and what a modulator adds."""
    inputs = _filtered_inputs(incoming, code, b)
    terms = [name for kind in (Current, Delta, Graded) for _, name in inputs[kind]]
    start = initial(bias, population, b, "bias", "1", 0.0)
    if np.any(start):
        terms.append(code.number("bias", start))
    code.state("input", 0.0)
    code.set("input", _sum(terms))
    _signals(b, code, "input")


def _transfer(text: str, x: str) -> str:
    from neuroplast.expressions import expression

    return str(expression(TRANSFERS.get(text, text)).substitute({"x": x}))


@_lower.register
def _(neuron: Rate, population: Population, incoming: list[Connection], code: Code, b: Builder) -> None:
    _check_dt(population, b, "tau", neuron.si.tau)
    _unit_input(population, incoming, neuron.si.bias, code, b)
    noise = add_population_noise(population, code, b)
    start = initial(neuron.si.a_initial, population, b, "activation", "1", 0.0)
    code.state("activation", start)
    total = f"input + {noise}" if noise else "input"
    if np.any(np.asarray(neuron.si.tau) > 0):
        code.set("target", total)
        code.set("activation", f"target + (activation - target)*{_decay(code, 'decay', neuron.si.tau, b)}")
    else:
        code.set("activation", total)
    values: Callable[[np.ndarray], np.ndarray] = lambda x: Expression(_transfer(neuron.transfer, "x"), frozenset({"x"})).numpy({"x": x})
    code.state("rate", np.broadcast_to(values(start), (population.size,)))
    code.set("rate", _transfer(neuron.transfer, "activation"))
    _signals(b, code, "activation", "rate")


@_lower.register
def _(neuron: Bernoulli, population: Population, incoming: list[Connection], code: Code, b: Builder) -> None:
    _unit_input(population, incoming, neuron.si.bias, code, b)
    draw = code.use("uniform", b.array(f"{population.name}_uniform", np.ones(population.size), kind="scratch"))
    b.before.append(Draw(b.arrays[f"{population.name}_uniform"].name, "uniform", f"spikes/{population.name}", probe=True))
    for name in ("probability", "spikes", "score"):
        code.state(name, 0.0)
    code.set("probability", f"clip({_transfer(neuron.transfer, 'input')}, 0.0, 1.0)")
    code.set("spikes", f"where({draw} < probability, 1.0, 0.0)")
    code.set("score", "spikes - probability")
    _signals(b, code, "probability", "spikes", "score")


@_lower.register
def _(neuron: Poisson, population: Population, incoming: list[Connection], code: Code, b: Builder) -> None:
    draw = code.use("uniform", b.array(f"{population.name}_uniform", np.ones(population.size), kind="scratch"))
    probe = population.name in b.graph.noise_sources
    b.before.append(Draw(f"{population.name}_uniform", "uniform", f"spikes/{population.name}", probe=probe))
    spikes, rate = code.state("spikes", 0.0), np.asarray(neuron.si.rate, float)
    external = _external(population, code, b)
    if external:
        chance = f"1.0 - exp(-maximum({code.number('rate', rate, 'Hz')} + external, 0.0)*{b.dt!r})"
    else:
        chance = code.number("chance", -np.expm1(-rate * b.dt))
    code.set(spikes, f"where({draw} < {chance}, 1.0, 0.0)")
    _signals(b, code, "spikes")


@_lower.register
def _(neuron: SpikeSequence, population: Population, incoming: list[Connection], code: Code, b: Builder) -> None:
    step = np.rint(np.asarray(neuron.si.times) / b.dt).astype(int)
    unit = np.asarray(neuron.indices, int)
    if step.size and int(step.max()) >= b.steps:
        late = int(np.argmax(step))
        raise DescriptionError(
            f"population '{population.name}': a spike comes after the end of the trial",
            where=neuron.where,
            got=f"{neuron.si.times[late]:g} s, which is nearest to the start of step {int(step.max())}",
            allowed=f"before {(b.steps - 0.5) * b.dt:g} s ({b.steps} steps of {b.dt:g} s)",
        )
    pairs = np.unique(np.stack([step, unit], 1), axis=0) if step.size else np.zeros((0, 2), int)
    if len(pairs) < step.size:
        b.note(population.name, "spikes in one step", f"{step.size} spikes", f"{len(pairs)} (one a unit and step)", neuron.where)
    offsets = np.searchsorted(pairs[:, 0], np.arange(b.steps + 1)).astype(np.int32)
    spikes = code.state("spikes", 0.0)
    b.array(f"{population.name}_offsets", offsets, kind="constant")
    b.array(f"{population.name}_indices", pairs[:, 1].astype(np.int32), kind="constant")
    b.before.append(SpikeTable(code.bind[spikes], f"{population.name}_offsets", f"{population.name}_indices", b.steps))
    _signals(b, code, "spikes")


@_lower.register
def _(neuron: Pattern, population: Population, incoming: list[Connection], code: Code, b: Builder) -> None:
    given = np.zeros(population.size) if neuron.values is None else numbers(neuron.values, "Pattern.values", neuron.where)
    rate = code.state("rate", given if given.ndim == 1 else given[0])
    if given.ndim == 2:
        table = b.array(f"{population.name}_values", given, kind="constant")
        stride = b.steps_of(neuron.si.interval, population.name, "interval", neuron.where, least=1)
        b.before.append(Row(code.bind[rate], table, len(given), "step", stride))
    _signals(b, code, "rate")


@_lower.register
def _(neuron: Readout, population: Population, incoming: list[Connection], code: Code, b: Builder) -> None:
    _check_dt(population, b, "tau", neuron.si.tau)
    inputs = _filtered_inputs(incoming, code, b)
    if population.noise is not None:
        raise DescriptionError(f"population '{population.name}': a Readout takes no noise", where=population.where)
    m = code.state("m", neuron.si.m_initial, neuron.label)
    decay = np.exp(-b.dt / np.asarray(neuron.si.tau, float))
    steady = [name for kind in (Current, Graded) for _, name in inputs[kind]]
    terms = [f"{m}*{code.number('decay', decay)}", *(name for _, name in inputs[Delta])]
    if steady:
        terms.append(f"({_sum(steady)})*{code.number('gain', 1 - decay)}")
    code.set(m, _sum(terms))
    _signals(b, code, "m")


@_lower.register
def _(neuron: EquationNeuron, population: Population, incoming: list[Connection], code: Code, b: Builder) -> None:
    parsed: Equations = neuron.__dict__["parsed"]
    where, graded = neuron.where, {c.node.synapse.variable for c in incoming if isinstance(c.node.synapse, Graded)}
    names: dict[str, str] = {"dt": repr(b.dt)}
    drawn = lambda name, value: (
        value.draw((population.size,), generator(b.graph.network.seed, f"{population.name}/{name}"), "1", name, where)
        if isinstance(value, (Uniform, Normal))
        else value
    )
    for name, value in parsed.parameters.items():
        value = drawn(name, value)
        if name in graded or name in {t for t, _ in parsed.reset_statements(neuron.reset, where)}:
            names[name] = code.state(name, value, _unit(parsed, name))
            b.signals[population.name, name] = code.bind[name]
        else:
            names[name] = code.number(name, np.broadcast_to(value, (population.size,)) if np.ndim(value) else value)
            if (population.name, name) not in b.signals:
                everywhere = np.array(np.broadcast_to(np.asarray(value, float), (population.size,)))
                bound = code.bind.get(name) or b.array(f"{population.name}_{name}", everywhere, _unit(parsed, name), kind="constant")
                b.signals[population.name, name] = bound
    for name in parsed.differential:
        names[name] = code.state(name, drawn(name, parsed.initial.get(name, 0.0)), _unit(parsed, name))
        b.signals[population.name, name] = code.bind[name]
    inputs = _filtered_inputs(incoming, code, b)
    for variable in sorted(v for v in graded if v):
        code.set(variable, _sum([n for c, n in inputs[Graded] if _variable(c) == variable]))
    for connection, arrived in inputs[Delta]:
        code.set(_variable(connection), f"{_variable(connection)} + {arrived}")
    noise = add_population_noise(population, code, b)
    if noise is None and any("noise" in e.names for e in (*parsed.differential.values(), *parsed.subexpressions.values())):
        raise DescriptionError(
            f"the equations of '{population.name}' use 'noise', but the population has none",
            where=population.where,
            do="Population(..., noise=White(...))",
        )
    if noise:
        names["noise"] = noise
    subs: dict[str, str] = {}
    for name, body in parsed.subexpressions.items():
        subs[name] = str(body.substitute({**names, **subs}))

    def full(body: Expression) -> str:
        return str(body.substitute({**names, **subs}))

    derivative = {name: full(body) for name, body in parsed.differential.items()}
    for name, text in derivative.items():
        if neuron.method == "euler":
            _check_euler(name, text, code, population, b)
        code.set(f"slope_{name}", text if neuron.method == "euler" else _exponential(name, text, b.dt, population))
    steps = _refractory_steps(population, b, neuron.si.refractory) if neuron.threshold is not None else np.zeros(1)
    steps = np.maximum(steps - 1.0, 0.0)  # as Brian2 counts: free again in the step in which the time is over
    refractory = code.state("refractory_left", 0.0) if np.any(steps > 0) else None
    for name in derivative:
        after = f"{name} + {b.dt!r}*slope_{name}" if neuron.method == "euler" else f"slope_{name}"
        code.set(name, f"where({refractory} > 0.5, {name}, {after})" if refractory and name in parsed.held else after)
    for name, text in subs.items():
        b.signals[population.name, name] = code.bind[code.state(f"{name}_", 0.0, _unit(parsed, name))]
        code.set(f"{name}_", text)
    if neuron.threshold is not None:
        spikes = code.state("spikes", 0.0)
        condition = full(parsed.si_expression(neuron.threshold, where))
        if refractory:
            code.set(spikes, f"where({condition}, 1.0, 0.0)*where({refractory} > 0.5, 0.0, 1.0)")
            left = f"maximum({refractory} - 1.0, 0.0)"
            code.set(refractory, f"where({spikes} > 0.5, {code.number('refractory_steps', steps)}, {left})")
        else:
            code.set(spikes, f"where({condition}, 1.0, 0.0)")
        for target, body in parsed.reset_statements(neuron.reset, where):
            code.set(target, f"where({spikes} > 0.5, {full(body)}, {target})")
        _signals(b, code, "spikes")


def _variable(connection: Connection) -> str:
    synapse = connection.node.synapse
    assert isinstance(synapse, (Delta, Graded)) and synapse.variable is not None
    return synapse.variable


def _check_euler(name: str, text: str, code: Code, population: Population, b: Builder) -> None:
    """Forward Euler of dx/dt = B - x/tau overshoots where tau is shorter than a step: looked at where all else has its start.

    Equations that are not linear in x have no one time constant, and are left to their author.
    """
    body = expression(text)
    others = {n: b.arrays[code.bind[n]].initial for n in body.names - {name}}
    with np.errstate(all="ignore"):
        at = [np.asarray(body.numpy({**others, name: np.array([x])}), float) for x in (-1.0, 0.0, 1.0)]
        slope, bend = (at[2] - at[0]) / 2, np.abs(at[2] - 2 * at[1] + at[0])
        falling = (slope < 0) & np.isfinite(slope) & (bend <= 1e-9 * np.abs(slope))
        tau = np.where(falling, -1 / slope, np.inf)
    b.check_dt(
        f"d{name}/dt of population '{population.name}'", tau, population.neuron.where, 1.0,
        "use a smaller dt, or method='exponential_euler'",
    )


def _exponential(name: str, text: str, dt: float, population: Population) -> str:
    """The exact step of dx/dt = A x + B with A and B held; DescriptionError where the equation is not linear in x."""
    body = expression(text)
    at = {k: str(body.substitute({name: repr(k)})) for k in (0.0, 1.0)}
    others = {n: np.array([0.37 + 0.21 * i, -0.41 + 0.13 * i, 3.3 - 0.7 * i]) for i, n in enumerate(sorted(body.names))}
    points = (-7.3, -0.6, 0.0, 0.45, 1.0, 2.7, 41.0)  # enough to find abs(x) and its like
    with np.errstate(all="ignore"):
        f = {x: np.broadcast_to(body.numpy({**others, name: np.array([x])}), (3,)).astype(float) for x in points}
    linear = lambda x: f[0.0] + (f[1.0] - f[0.0]) * x
    wrong = [
        np.abs(f[x] - linear(x)) > 1e-9 * max(np.max(np.abs(f[p]), initial=1e-300, where=np.isfinite(f[p])) for p in points) for x in points
    ]
    if np.any(wrong):
        raise DescriptionError(
            f"d{name}/dt of '{population.name}' is not linear in {name}, so exponential_euler cannot be used",
            where=population.neuron.where,
            do="method='euler'",
        )
    slope = f"(({at[1.0]}) - ({at[0.0]}))"
    safe = f"where({slope} == 0.0, 1.0, {slope})"
    return f"where({slope} == 0.0, {name} + {dt!r}*({at[0.0]}), ({name} + ({at[0.0]})/{safe})*exp({dt!r}*{slope}) - ({at[0.0]})/{safe})"


def output_signal(population: Population) -> str:
    """The signal that projections carry away from a population."""
    signal = carried_signal(population.neuron)
    if signal is None:
        raise DescriptionError(
            f"population '{population.name}' has neither a threshold nor an output",
            where=population.neuron.where,
            do="name the variable that others read: EquationNeuron(..., output='r')",
        )
    return signal


__all__ = ["lower_population", "output_signal"]

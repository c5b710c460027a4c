"""resolve: description -> graph. Connectivity, weights and other initial values are drawn here, once, from (seed, node name);
names, sizes and units that involve more than one node are checked here, before anything runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pint

from neuroplast import units
from neuroplast.equations import Equations
from neuroplast.errors import DescriptionError, NeuroplastError, Source, did_you_mean
from neuroplast.ir.program import stream_key
from neuroplast.modulation import Critic, Dopamine, PairedPass
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import (
    LIF,
    Bernoulli,
    EquationNeuron,
    Neuron,
    Pattern,
    Poisson,
    Readout,
    SpikeSequence,
    carried_signal,
    signals_of,
)
from neuroplast.node import Normal, Uniform, expand
from neuroplast.noise import Frozen, Noise, SynapticNoise
from neuroplast.plasticity import signal_of
from neuroplast.synapses import (
    AllToAll,
    Conductance,
    Connectivity,
    Current,
    Delta,
    FixedProbability,
    Graded,
    OneToOne,
    Pairs,
    Synapse,
)
from neuroplast.tasks.task import Task


@dataclass(frozen=True)
class Connection:
    """A projection with its arrays, sorted by (pre, post). weight (n,) in SI of ``dimension``; delay: seconds, scalar or (n,).

    given: (n,) for pairs that the user listed, the place of each in the list.
    """

    node: Projection
    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    q: np.ndarray | None
    dimension: str | pint.Unit
    given: np.ndarray | None

    @property
    def numbers(self) -> np.ndarray:
        """(n,) how the user counts the synapses: pairs in their order, else the places of a matrix (n_post, n_pre)."""
        return self.given if self.given is not None else self.post.astype(np.int64) * self.node.pre.size + self.pre

    def arranged(self, values: np.ndarray, what: str, where: Source | None) -> np.ndarray:
        """Values in the user's order, shape (..., n) for pairs and (..., n_post, n_pre) else, in the order of the synapses (..., n)."""
        listed = self.given is not None
        shape = (self.n,) if listed else (self.node.post.size, self.node.pre.size)
        if values.shape[-len(shape) :] != shape:
            allowed = f"(..., {', '.join(map(str, shape))}): " + ("in the order of the pairs" if listed else "(post, pre), as weights")
            raise DescriptionError(f"{what} does not fit", where=where, got=f"shape {values.shape}", allowed=allowed)
        return values.reshape(*values.shape[: -len(shape)], -1)[..., self.numbers]

    @property
    def dense(self) -> bool:
        return self.pre.size == self.node.pre.size * self.node.post.size

    @property
    def n(self) -> int:
        return int(self.pre.size)


@dataclass(frozen=True)
class Graph:
    """A network in continuous time, with arrays: what every target is lowered from."""

    network: Network
    populations: dict[str, Population]
    connections: dict[str, Connection]
    task: Task | None

    @property
    def noise_sources(self) -> set[str]:
        """Populations whose spikes are the probe of others."""
        return {
            p.noise.source.name for p in self.populations.values() if isinstance(p.noise, SynapticNoise) and p.noise.source
        }


def generator(seed: int, name: str) -> np.random.Generator:
    """The generator of one node's initial values."""
    return np.random.default_rng(np.random.SeedSequence(list(stream_key(seed, f"initial/{name}"))))


def resolve(network: Network) -> Graph:
    """Check the network as a whole and draw its arrays."""
    populations = {p.name: p for p in network.populations}
    if not populations:
        raise DescriptionError(f"network '{network.name}' has no population", do="add(Population(...))")
    projections = [*network.projections, *(_empiric(p) for p in network.populations if isinstance(p.noise, SynapticNoise))]
    names: dict[str, Any] = {}
    for node in (*network.populations, *projections, *network.modulators, *([network.task] if network.task else [])):
        if node.name in names:
            raise DescriptionError(
                f"the name '{node.name}' is used twice in network '{network.name}'", where=node.where,
                got=f"also declared at {names[node.name].where}",
            )
        names[node.name] = node
    for population in populations.values():
        _check_population(population)
    for projection in projections:
        for side in (projection.pre, projection.post):
            _belongs(side, populations, f"projection '{projection.name}'", projection.where)
    connections = {p.name: _connect(p, network.seed) for p in projections}
    for projection in projections:
        _check_projection(projection, projections)
    _check_modulators(network, populations)
    _check_monitors(network, projections)
    if network.task is not None:
        for field in dataclasses.fields(network.task):
            value = getattr(network.task, field.name)
            for item in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(item, Population):
                    _belongs(item, populations, f"the task '{network.task.name}'", network.task.where)
    return Graph(network, populations, connections, network.task)


def _check_modulators(network: Network, populations: dict[str, Population]) -> None:
    for modulator in network.modulators:
        for part in (modulator.baseline, modulator.dopamine):
            if isinstance(part, (Critic, Dopamine)):
                other = part.features if isinstance(part, Critic) else part.population
                _belongs(other, populations, f"modulator '{modulator.name}'", modulator.where)
    if network.task is None and network.modulators and any(p.plasticity for p in network.projections):
        raise DescriptionError(
            f"network '{network.name}' learns from a modulator but has no task that gives reward",
            where=network.modulators[0].where, do="add a task to the network",
        )
    passes = [m.baseline for m in network.modulators if isinstance(m.baseline, PairedPass)]
    for other in passes:
        if other.noise != passes[0].noise:
            raise DescriptionError(
                "two modulators ask for different first passes of a trial", where=other.where,
                got=f"noise '{other.noise}', and '{passes[0].noise}' at {passes[0].where}",
                allowed="one kind of PairedPass in a network",
            )
    carriers = [m.dopamine.population for m in network.modulators if m.dopamine is not None]
    for modulator in network.modulators:
        if modulator.dopamine is not None and carriers.count(modulator.dopamine.population) > 1:
            raise DescriptionError(
                f"population '{modulator.dopamine.population.name}' carries two modulators", where=modulator.dopamine.where,
                do="give each modulator neurons of its own",
            )


def _check_monitors(network: Network, projections: list[Projection]) -> None:
    read: dict[tuple[str, str], Monitor] = {}
    for monitor in network.monitors:
        _check_monitor(monitor, network, projections)
        first = read.setdefault((monitor.of.name, monitor.variable), monitor)
        if first is not monitor:
            raise DescriptionError(
                f"two monitors record '{monitor.variable}' of '{monitor.of.name}'", where=monitor.where,
                got=f"also declared at {first.where}", do="keep one, which records what both want",
            )


def _belongs(population: Population, known: dict[str, Population], what: str, where: Source | None) -> None:
    if known.get(population.name) is not population:
        raise DescriptionError(
            f"{what} uses population '{population.name}', which is not in the network", where=where,
            got=f"declared at {population.where}", do="network.add(...) it first. " + did_you_mean(population.name, known),
        )


def _empiric(population: Population) -> Projection:
    """The projection that a SynapticNoise stands for."""
    noise = population.noise
    assert isinstance(noise, SynapticNoise) and noise.source is not None and noise.synapse is not None
    if isinstance(noise.synapse, (Graded, Delta)):
        raise DescriptionError(
            f"population '{population.name}': SynapticNoise needs a Conductance or Current synapse", where=noise.where
        )
    projection = Projection(
        noise.source, population, noise.weight, noise.synapse, noise.connectivity or OneToOne(), name=f"{population.name}_noise"
    )
    projection.__dict__["declared"] = noise.where
    return projection


def synaptic_inputs(neuron: Neuron) -> tuple[type[Synapse], ...]:
    """The synapses that a neuron takes."""
    if isinstance(neuron, LIF):
        return (Conductance, Current, Delta, Graded)
    if isinstance(neuron, EquationNeuron):
        return (Delta, Graded)
    if isinstance(neuron, (Pattern, Poisson, SpikeSequence)):
        return ()
    return (Current, Delta, Graded)


def weight_dimension(synapse: Synapse, post: Population, where: Source | None) -> str | pint.Unit:
    """What a weight of this synapse onto this population is measured in."""
    neuron = post.neuron
    allowed = synaptic_inputs(neuron)
    if not isinstance(synapse, allowed):
        raise DescriptionError(
            f"a {type(synapse).__name__} synapse cannot reach the {type(neuron).__name__} neurons of '{post.name}'", where=where,
            allowed=", ".join(a.__name__ for a in allowed) or "no synapses: their output is given",
            do="write the conductance into the equations and use Delta(variable)" if isinstance(neuron, EquationNeuron) else None,
        )
    if isinstance(neuron, EquationNeuron):
        assert isinstance(synapse, (Delta, Graded))
        parsed: Equations = neuron.__dict__["parsed"]
        inputs = parsed.parameters if isinstance(synapse, Graded) else parsed.differential
        if synapse.variable not in inputs:
            raise DescriptionError(
                f"{type(synapse).__name__}.variable '{synapse.variable}' is not a variable of '{post.name}'", where=synapse.where,
                do=did_you_mean(str(synapse.variable), inputs),
            )
        return parsed.units[str(synapse.variable)]
    if isinstance(synapse, Conductance):
        return "conductance" if isinstance(neuron, LIF) and neuron.leak is not None else "1"
    if isinstance(synapse, Current) and isinstance(neuron, LIF):
        return "current" if neuron.resistance is not None else "voltage"
    return "voltage" if isinstance(neuron, LIF) else "1"


def to_si(value: Any, dimension: str | pint.Unit, what: str, where: Source | None) -> np.ndarray:
    """Like units.si, also for the pint units of equation neurons."""
    if isinstance(dimension, str):
        array = units.si(value, dimension, what, where)
    else:
        quantity = value if units.is_quantity(value) else units.registry.Quantity(np.asarray(value, float), "")
        if not quantity.is_compatible_with(dimension):
            raise units.UnitsError(f"{what} has the wrong unit", where=where, got=value, allowed=f"a value in {dimension:~}")
        array = np.asarray(quantity.to_base_units().magnitude, float)
    if not np.all(np.isfinite(array)):
        bad = np.argwhere(~np.isfinite(np.atleast_1d(array)))[0]
        raise DescriptionError(f"{what} holds a value that is not finite", where=where, got=f"at index {tuple(map(int, bad))}")
    return array


def _pairs(connectivity: Connectivity, projection: Projection, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    n_pre, n_post, where = projection.pre.size, projection.post.size, projection.where
    if isinstance(connectivity, Pairs):
        pre, post = np.asarray(connectivity.pre, np.int32), np.asarray(connectivity.post, np.int32)
        for name, index, size in (("pre", pre, n_pre), ("post", post, n_post)):
            if index.size and index.max() >= size:
                raise DescriptionError(
                    f"projection '{projection.name}': Pairs.{name} is out of range", where=where, got=int(index.max()),
                    allowed=f"0 to {size - 1}",
                )
        if np.unique(pre.astype(np.int64) * n_post + post).size < pre.size:
            raise DescriptionError(f"projection '{projection.name}' names a pair twice", where=where)
        return pre, post
    if isinstance(connectivity, OneToOne):
        if n_pre != n_post:
            raise DescriptionError(
                f"projection '{projection.name}' is one-to-one between populations of different size", where=where,
                got=f"{n_pre} and {n_post} units", allowed="equal sizes",
            )
        return np.arange(n_pre, dtype=np.int32), np.arange(n_pre, dtype=np.int32)
    assert isinstance(connectivity, (AllToAll, FixedProbability))
    apart = not connectivity.self_connections and projection.pre is projection.post
    if isinstance(connectivity, AllToAll) and not apart:
        units = np.arange(max(n_pre, n_post), dtype=np.int32)
        return np.repeat(units[:n_pre], n_post), np.tile(units[:n_post], n_pre)
    mask = np.ones((n_pre, n_post), bool) if isinstance(connectivity, AllToAll) else rng.random((n_pre, n_post)) < connectivity.si.p
    if apart:
        np.fill_diagonal(mask, False)
    pre, post = np.nonzero(mask)
    return pre.astype(np.int32), post.astype(np.int32)


def _connect(projection: Projection, seed: int) -> Connection:
    rng = generator(seed, projection.name)
    pre, post = _pairs(projection.connectivity, projection, rng)
    dimension = weight_dimension(projection.synapse, projection.post, projection.where)
    listed = isinstance(projection.connectivity, (Pairs, OneToOne))

    def values(value: Any, kind: str | pint.Unit, name: str) -> np.ndarray:
        what = f"projection '{projection.name}': {name}"
        if isinstance(value, (Uniform, Normal)):
            first, second = (to_si(end, kind, what, projection.where) for end in vars(value).values())
            return value.sample(first, second, (pre.size,), rng, what, projection.where)
        return spread(to_si(value, kind, what, projection.where), what)

    def spread(array: np.ndarray, what: str) -> np.ndarray:
        if array.ndim == 0:
            return np.full(pre.size, float(array))
        if listed:
            return expand(array, (pre.size,), what, projection.where)
        return expand(array, (projection.post.size, projection.pre.size), what, projection.where)[post, pre]

    weight = values(projection.weight, dimension, "weight")
    delay = np.asarray(projection.si.delay)
    if delay.ndim:
        delay = spread(delay, f"projection '{projection.name}': delay")
    q = values(projection.release.q, "1", "release.q") if projection.release is not None else None
    order = np.lexsort((post, pre)) if listed else slice(None)  # the others are in order
    return Connection(
        projection, pre[order], post[order], weight[order], delay[order] if delay.ndim else delay,
        None if q is None else q[order], dimension,
        order if isinstance(order, np.ndarray) else None,
    )


def _check_population(population: Population) -> None:
    neuron, size = population.neuron, population.size
    values = {} if isinstance(neuron, SpikeSequence) else dict(vars(neuron.si))
    if isinstance(neuron, LIF) and neuron.adaptation is not None:
        values |= {f"adaptation.{name}": value for name, value in vars(neuron.adaptation.si).items()}
    if isinstance(neuron, EquationNeuron):
        parsed: Equations = neuron.__dict__["parsed"]
        values |= {**parsed.parameters, **parsed.initial}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            expand(value, (size,), f"population '{population.name}': {type(neuron).__name__}.{name}", neuron.where)
    if isinstance(neuron, SpikeSequence) and np.size(neuron.indices) and int(np.max(neuron.indices)) >= size:
        raise DescriptionError(
            f"population '{population.name}': SpikeSequence.indices is out of range", where=neuron.where,
            got=int(np.max(neuron.indices)), allowed=f"0 to {size - 1}",
        )
    if isinstance(neuron, Pattern) and neuron.values is not None and np.shape(neuron.values)[-1] != size:
        raise DescriptionError(
            f"population '{population.name}': Pattern.values do not fit its size", where=neuron.where,
            got=f"shape {np.shape(neuron.values)}", allowed=f"({size},) or (steps, {size})",
        )
    if isinstance(population.noise, SynapticNoise) and not isinstance(neuron, LIF):
        raise DescriptionError(
            f"population '{population.name}': SynapticNoise perturbs LIF neurons", where=population.noise.where,
            got=type(neuron).__name__, do="use White, OrnsteinUhlenbeck or Impulses",
        )
    if population.noise is not None and isinstance(neuron, (Poisson, SpikeSequence, Pattern, Bernoulli, Readout)):
        kind = "has its own randomness" if isinstance(neuron, (Bernoulli, Poisson)) else "is given"
        raise DescriptionError(
            f"population '{population.name}': the output of a {type(neuron).__name__} {kind} and takes no noise",
            where=population.where,
        )
    if population.noise is not None:
        dimension = noise_dimension(population)
        check_noise_units(population.noise, dimension, f"population '{population.name}'")
        if isinstance(neuron, EquationNeuron):
            unit = units.registry.dimensionless if isinstance(dimension, str) else dimension
            neuron.__dict__["parsed"].check_noise(unit, population.noise.where)


def noise_dimension(population: Population) -> str | pint.Unit:
    """What the noise of a population is measured in; in equations it takes the unit that it is given in, if that fits."""
    if isinstance(population.neuron, EquationNeuron) and population.noise is not None:
        amplitude = [getattr(population.noise, name) for name in population.noise.amplitude_fields]
        return next((value.units for value in amplitude if units.is_quantity(value)), "1")
    return "voltage" if isinstance(population.neuron, LIF) else "1"


def check_noise_units(noise: Noise, dimension: str | pint.Unit, what: str) -> None:
    for name in noise.amplitude_fields:
        to_si(getattr(noise, name), dimension, f"{what}: {type(noise).__name__}.{name}", noise.where)


def _check_projection(projection: Projection, projections: list[Projection]) -> None:
    dimension = weight_dimension(projection.synapse, projection.post, projection.where)
    if projection.noise is not None:
        check_noise_units(projection.noise, dimension, f"projection '{projection.name}'")
        if isinstance(projection.noise, Frozen) and np.ndim(getattr(projection.noise.array, "magnitude", projection.noise.array)) < 2:
            raise DescriptionError(f"projection '{projection.name}': Frozen.array needs (steps, synapses)", where=projection.noise.where)
    rule = projection.plasticity
    if rule is None:
        return
    for bound in rule.bounds:
        if bound is not None and rule.target == "weight":
            to_si(bound, dimension, f"projection '{projection.name}': bounds", rule.where)
    for name, factor in rule.factors.items():
        signal = signal_of(factor)
        known = available_signals(signal.side, projection, projections)
        if signal.variable not in known:
            raise DescriptionError(
                f"the factor '{name}' of '{projection.name}' reads '{signal.variable}' of the {signal.side} side, which has none",
                where=signal.where, do=did_you_mean(signal.variable, known),
            )
        carried = carried_signal(projection.pre.neuron)
        if signal.side == "pre" and signal.variable == carried and np.ndim(projection.si.delay) > 0:
            raise DescriptionError(
                f"the factor '{name}' of '{projection.name}' reads what arrives, but the synapses of one unit have different delays",
                where=projection.where, do="use one delay, or one projection for each delay",
            )


def available_signals(side: str, projection: Projection, projections: list[Projection]) -> set[str]:
    """The names that a rule may read on one side of a projection."""
    if side == "synapse":
        return {"weight"} | ({"noise"} if projection.noise else set()) | ({"release_score", "q"} if projection.release else set())
    return population_signals(projection.pre if side == "pre" else projection.post, projections)


def population_signals(population: Population, projections: list[Projection]) -> set[str]:
    names = set(signals_of(population.neuron)) | ({"noise"} if population.noise else set())
    for other in projections:
        if other.post is population and isinstance(other.synapse, (Conductance, Current)):
            names.add(("g_" if isinstance(other.synapse, Conductance) else "i_") + other.name)
    return names


def _check_monitor(monitor: Monitor, network: Network, projections: list[Projection]) -> None:
    of, name = monitor.of, getattr(monitor.of, "name", repr(monitor.of))
    if isinstance(of, Population):
        _belongs(of, {p.name: p for p in network.populations}, "a monitor", monitor.where)
        known, size = population_signals(of, projections), of.size
    elif isinstance(of, Projection):
        if of not in network.projections:
            raise DescriptionError(f"a monitor reads projection '{name}', which is not in the network", where=monitor.where)
        known, size = available_signals("synapse", of, projections) | ({"eligibility"} if of.plasticity else set()), None
    else:
        if of not in network.modulators:
            raise DescriptionError(f"a monitor reads '{name}', which is not in the network", where=monitor.where)
        known, size = {"value", "reward"}, 1
    if monitor.variable not in known:
        raise DescriptionError(
            f"a monitor reads '{monitor.variable}' of '{name}', which has none", where=monitor.where,
            do=did_you_mean(monitor.variable, known),
        )
    if size is not None and monitor.units is not None:
        outside = [int(k) for k in np.ravel(monitor.units) if not 0 <= k < size]
        if outside:
            raise DescriptionError(f"a monitor reads unit {outside[0]} of '{name}'", where=monitor.where, allowed=f"0 to {size - 1}")


__all__ = ["Connection", "Graph", "NeuroplastError", "generator", "resolve", "to_si"]

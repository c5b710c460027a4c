"""Projections in discrete time: arrivals through the ring of past outputs, stochastic release. Counterpart of synapses.py."""

from __future__ import annotations

import numpy as np

from neuroplast.ir.builder import Builder
from neuroplast.ir.graph import Connection
from neuroplast.ir.neurons import output_signal
from neuroplast.ir.noise import add_weight_noise
from neuroplast.ir.program import Deliver, Draw, ReleaseState, Remember, Synapses
from neuroplast.network import Population
from neuroplast.neurons import Pattern
from neuroplast.units import unit_name


def lower_connection(connection: Connection, b: Builder) -> Synapses:
    """Add a projection's arrays and its Deliver; its rule comes later."""
    node = connection.node
    name, pre = node.name, node.pre
    row_start = np.searchsorted(connection.pre, np.arange(pre.size + 1)).astype(np.int32)
    synapses = Synapses(
        name, pre.size, node.post.size, connection.n,
        b.array(f"{name}_pre", connection.pre.astype(np.int32, copy=False), kind="constant", own=True),
        b.array(f"{name}_post", connection.post.astype(np.int32, copy=False), kind="constant", own=True),
        b.array(f"{name}_row_start", row_start, kind="constant"), connection.dense,
    )
    unit = unit_name(connection.dimension)
    changes = node.plasticity is not None and node.plasticity.target == "weight"
    weight = b.array(f"{name}_weight", connection.weight, unit, kind="state" if changes else "constant", reset=False,
                     where=node.where, own=True)
    delay, delays = _delays(connection, b)
    noise, drawn = add_weight_noise(connection, b, at_spikes=pre.spiking and delays is None)
    arrived = b.array(f"{name}_arrived", np.zeros(pre.size), kind="state") if node.plasticity and delays is None else None
    output = b.signal(pre.name, output_signal(pre))
    now = delays is None and not pre.spiking and delay == _soonest(pre)
    ring = None if now else f"{pre.name}_ring"
    b.deliver.append(
        Deliver(
            name, synapses, weight, noise, f"{name}_in", output, ring, max(ring_depth(pre, b), 1), pre.spiking, delay,
            None if delays is None else b.array(f"{name}_delays", delays.astype(np.int32), kind="constant"), arrived,
            _release(connection, b), drawn,
        )
    )
    return synapses


def _delays(connection: Connection, b: Builder) -> tuple[int, np.ndarray | None]:
    """(steps, None) where all synapses have one delay, else (0, steps of each)."""
    node = connection.node
    values, where = np.unique(connection.delay, return_inverse=True)
    steps = np.array([b.steps_of(float(d), node.name, "delay", node.where, least=0) for d in values])
    steps = np.maximum(steps, _soonest(node.pre))
    if np.unique(steps).size <= 1:
        return int(steps[0]) if steps.size else _soonest(node.pre), None
    return 0, steps[where]


def _soonest(population: Population) -> int:
    """Steps until an output arrives at the earliest: given input acts in the step in which it is given, all else in the next."""
    return 0 if isinstance(population.neuron, Pattern) else 1


def ring_depth(population: Population, b: Builder) -> int:
    """Steps that the ring of a population must hold, for the longest delay of its projections; 0: none is needed."""
    soonest = longest = _soonest(population)
    for connection in b.graph.connections.values():
        if connection.node.pre is population:
            longest = max(longest, round(float(np.max(connection.delay, initial=0.0)) / b.dt))
    if not population.spiking and longest == soonest:
        return 0
    return longest + 1 - soonest


def add_rings(b: Builder) -> None:
    """Remember the output of every population whose projections look back."""
    for name, population in b.graph.populations.items():
        outgoing = [c for c in b.graph.connections.values() if c.node.pre is population]
        depth = ring_depth(population, b)
        if not outgoing or depth == 0:
            continue
        shape = (depth, population.size + 1) if population.spiking else (depth, population.size)
        ring = b.array(f"{name}_ring", np.zeros(shape, np.int32 if population.spiking else float))
        output = b.signal(name, output_signal(population))
        remember = Remember(name, output, ring, depth, population.size, population.spiking)
        if _soonest(population) == 0:
            b.deliver.insert(0, remember)  # this step's value may arrive in this step
        else:
            b.observe.append(remember)


def _release(connection: Connection, b: Builder) -> ReleaseState | None:
    release, name, n = connection.node.release, connection.node.name, connection.n
    if release is None:
        return None
    uniform = b.array(f"{name}_release_uniform", np.zeros(n), kind="scratch")
    b.before.append(Draw(uniform, "uniform", f"release/{name}", probe=True))
    recovery = ready_at = c = None
    if release.si.tau_recovery > 0:
        recovery = b.array(f"{name}_recovery_uniform", np.zeros(n), kind="scratch")
        b.before.append(Draw(recovery, "uniform", f"recovery/{name}", probe=True))
        ready_at = b.array(f"{name}_ready_at", np.zeros(n))
    c_decay = 0.0
    if release.si.facilitation > 0:
        c = b.array(f"{name}_facilitation", np.zeros(n))
        c_decay = float(np.exp(-b.dt / release.si.tau_facilitation))
    learns = connection.node.plasticity is not None and connection.node.plasticity.target == "release"
    q = b.array(f"{name}_q", connection.q, kind="state" if learns else "constant", reset=False)
    return ReleaseState(
        q, uniform, recovery, ready_at, c, float(release.si.facilitation), c_decay, release.si.tau_recovery / b.dt,
        b.array(f"{name}_release_score", np.zeros(n)),
    )


__all__ = ["add_rings", "lower_connection", "ring_depth"]

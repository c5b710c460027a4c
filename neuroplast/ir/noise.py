"""Noises in discrete time. Each keeps its value of this step in an array ``noise`` that rules read. Counterpart of noise.py."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pint

from neuroplast.errors import DescriptionError
from neuroplast.ir.builder import Builder, Code
from neuroplast.ir.graph import Connection, noise_dimension, to_si
from neuroplast.ir.program import PROBE_SCALE, Draw, DrawnAtSpikes, Row
from neuroplast.network import Population
from neuroplast.neurons import LIF, Poisson
from neuroplast.noise import Frozen, Impulses, Noise, OrnsteinUhlenbeck, SynapticNoise, White
from neuroplast.plasticity import signal_of
from neuroplast.synapses import Conductance, Current
from neuroplast.units import unit_name


def add_population_noise(population: Population, code: Code, b: Builder) -> str | None:
    """Write the noise of a population into its Map; the name of its value, None without noise.

    The value of a SynapticNoise acts through its own synapse, so it is a signal but no further input.
    """
    noise = population.noise
    if noise is None:
        return None
    if isinstance(noise, SynapticNoise):
        assert isinstance(population.neuron, LIF)
        value = ("g_" if isinstance(noise.synapse, Conductance) else "i_") + f"{population.name}_noise"
        mean = _stationary_mean(population, noise, b)
        carrier = code.bind[value]  # starts from its mean: a trial does not begin with the noise switched off
        b.arrays[carrier] = dataclasses.replace(b.arrays[carrier], initial=np.full(population.size, mean))
        code.state("noise", 0.0, b.arrays[carrier].unit)
        code.set("noise", f"{value} - {mean!r}")
        b.signals[population.name, "noise"] = code.bind["noise"]
        return None
    once = isinstance(noise, White) and noise.every == "trial"
    code.state("noise", 0.0, unit_name(noise_dimension(population)), reset=False if once else None)
    b.signals[population.name, "noise"] = code.bind["noise"]
    for text in _statements(noise, noise_dimension(population), f"noise/{population.name}", code, b):
        code.set("noise", text)
    return "noise"


def add_weight_noise(connection: Connection, b: Builder, at_spikes: bool) -> tuple[str | None, DrawnAtSpikes | None]:
    """Write the noise of a projection's weights; the array of its value, and how it is drawn if not in every step.

    at_spikes: the projection reads its weights when spikes arrive and at no other time. If nobody else looks at the noise, it is
    drawn then, from the law of the process over the time since the last spike.
    """
    noise = connection.node.noise
    if noise is None:
        return None, None
    code = Code(b, connection.node.name, connection.n)
    if at_spikes and _only_spikes_look(connection, b):
        drawn = _at_spikes(connection, noise, code, b)
        if drawn is not None:
            b.note(connection.node.name, "noise of the weights", "a new value in each step", "drawn when spikes arrive: the same law")
            return drawn.x, drawn
    once = isinstance(noise, White) and noise.every == "trial"
    code.state("noise", 0.0, unit_name(connection.dimension), reset=False if once else None)
    for text in _statements(noise, connection.dimension, f"weight noise/{connection.node.name}", code, b, connection):
        code.set("noise", text)
    if code.statements:
        b.before.append(code.map())
    return code.bind["noise"], None


def _only_spikes_look(connection: Connection, b: Builder) -> bool:
    """Whether neither the projection's rule nor a monitor wants the noise of every step."""
    node = connection.node
    factors = [] if node.plasticity is None else [signal_of(f) for f in node.plasticity.factors.values()]
    watched = any(m.of is node and m.variable == "noise" for m in b.graph.network.monitors)
    return not watched and not any(f.side == "synapse" and f.variable == "noise" for f in factors)


def _at_spikes(connection: Connection, noise: Noise, code: Code, b: Builder) -> DrawnAtSpikes | None:
    """The law of a noise at the times of spikes, where it has one of this form."""
    node, what = connection.node, f"'{connection.node.name}': {type(noise).__name__}"
    decay = 0.0
    if isinstance(noise, OrnsteinUhlenbeck):
        tau = np.asarray(noise.si.tau, float)
        if tau.ndim:
            return None
        decay = float(np.exp(-b.dt / tau))
    elif not isinstance(noise, White) or noise.every != "step":
        return None
    value = _each(to_si(noise.std, connection.dimension, f"{what}.std", noise.where), f"{what}.std", noise, connection)
    code.number("noise_std", value)
    std = code.bind["noise_std"] if "noise_std" in code.bind else float(np.asarray(value, float).flat[0])
    x, seen = code.state("noise", 0.0, unit_name(connection.dimension)), b.array(f"{node.name}_noise_seen", np.full(node.pre.size, -1.0))
    return DrawnAtSpikes(code.bind[x], seen, decay, std, _law(noise) if isinstance(noise, White) else "normal", f"weight noise/{node.name}")


def _fresh(code: Code, b: Builder, name: str, law: str, stream: str, each: str = "step") -> str:
    """An array of fresh random numbers, bound to the code."""
    array = b.array(f"{code.owner}_{name}", np.zeros(code.size), kind="scratch")
    draw = Draw(array, law, stream, probe=True, each=each)
    (b.before if each == "step" else b.trial_start).append(draw)
    return code.use(name, array) if each == "step" else array


def _law(noise: White | Impulses) -> str:
    return "normal" if noise.law == "normal" else "centred"


def _each(value: Any, what: str, noise: Noise, connection: Connection | None) -> Any:
    """A parameter of a noise: a number, or one for each unit, or for each synapse in the user's order."""
    array = np.asarray(value, float)
    return value if array.ndim == 0 or connection is None else connection.arranged(array, what, noise.where)


def _statements(
    noise: Noise, dimension: str | pint.Unit, stream: str, code: Code, b: Builder, connection: Connection | None = None
) -> list[str]:
    """Right-hand sides for the variable ``noise``, in order; draws and trial-start operations are added on the way.

    connection: whose weights are perturbed, None for the units of a population.
    """
    what = f"'{code.owner}': {type(noise).__name__}"
    if isinstance(noise, Frozen):
        array = _each(to_si(noise.array, dimension, f"{what}.array", noise.where), f"{what}.array", noise, connection)
        if array.ndim < 2 or array.shape[-1] != code.size:
            units = f"{code.size}" if connection is None else "as weights are given"
            raise DescriptionError(
                f"{what}.array does not fit", where=noise.where, got=f"shape {np.shape(noise.array)}", allowed=f"(steps, {units})"
            )
        table = b.array(f"{code.owner}_frozen", array, kind="constant")
        trials = array.shape[0] if array.ndim == 3 else 1
        b.before.append(Row(code.bind["noise"], table, array.shape[-2], "step", 1, "wrap", trials))
        if b.graph.network.paired is not None:  # switched off in a first pass, as fresh noise is
            bind = {"noise": code.bind["noise"], "scale": PROBE_SCALE}
            b.before.append(b.scalar_map(code.owner, [("noise", "noise*scale")], bind, code.size))
        return []
    assert isinstance(noise, (White, OrnsteinUhlenbeck, Impulses))
    std_value = _each(to_si(noise.std, dimension, f"{what}.std", noise.where), f"{what}.std", noise, connection)
    std = code.number("noise_std", std_value)
    if isinstance(noise, White):
        if noise.every == "step":
            return [f"{std}*{_fresh(code, b, 'draw', _law(noise), stream)}"]
        fresh = _fresh(code, b, "draw", _law(noise), stream, each="trial")
        bind = {"noise": code.bind["noise"], "draw": fresh, **({"noise_std": code.bind["noise_std"]} if "noise_std" in code.bind else {})}
        b.trial_start.append(b.scalar_map(code.owner, [("noise", f"{std}*draw")], bind, code.size))
        return []
    if isinstance(noise, OrnsteinUhlenbeck):
        a = np.exp(-b.dt / np.asarray(_each(noise.si.tau, f"{what}.tau", noise, connection), float))
        draw = _fresh(code, b, "draw", "normal", stream)
        # each trial, or the run, starts from the stationary law
        start = _fresh(code, b, "start", "normal", f"{stream}/start", each="trial")
        bind = {"noise": code.bind["noise"], "start": start}
        first = "1.0"
        if not b.reset:
            begun = b.array(f"{code.owner}_noise_begun", np.zeros(code.size))
            bind |= {"begun": begun}
            first = "begun"
        if "noise_std" in code.bind:
            bind["noise_std"] = code.bind["noise_std"]
        text = f"{std}*start" if b.reset else f"where({first} > 0.5, noise, {std}*start)"
        b.trial_start.append(b.scalar_map(code.owner, [("noise", text), *([] if b.reset else [("begun", "1.0")])], bind, code.size))
        return [f"{code.number('noise_decay', a)}*noise + {std}*{code.number('noise_gain', np.sqrt(1 - a * a))}*{draw}"]
    rate = np.asarray(_each(noise.si.rate, f"{what}.rate", noise, connection), float)
    chance = code.number("noise_chance", -np.expm1(-rate * b.dt))
    gate = _fresh(code, b, "gate", "uniform", f"{stream}/gate")
    return [f"{std}*{_fresh(code, b, 'draw', _law(noise), stream)}*where({gate} < {chance}, 1.0, 0.0)"]


def _stationary_mean(population: Population, noise: SynapticNoise, b: Builder) -> float:
    """E g = sum of weights x spike probability / (1 - decay), for Poisson sources; checked to be one number for all units."""
    source, synapse, connection = noise.source, noise.synapse, b.graph.connections[f"{population.name}_noise"]
    assert source is not None and isinstance(synapse, (Conductance, Current))
    if noise.mean is not None:
        mean = to_si(noise.mean, connection.dimension, f"population '{population.name}': SynapticNoise.mean", noise.where)
        if mean.ndim:
            raise DescriptionError("SynapticNoise.mean is one number", where=noise.where, got=f"an array of shape {mean.shape}")
        return float(mean)
    if not isinstance(source.neuron, Poisson):
        raise DescriptionError(
            f"population '{population.name}': the mean of SynapticNoise is known for Poisson sources only", where=noise.where,
            do="give mean=, or let the rule read Deviation(Signal('post', 'g_...'), tau)",
        )
    chance = np.broadcast_to(-np.expm1(-np.asarray(source.neuron.si.rate, float) * b.dt), (source.size,))
    drive = np.bincount(connection.post, connection.weight * chance[connection.pre], minlength=population.size)
    mean = drive / (1 - np.exp(-b.dt / np.asarray(synapse.si.tau, float)))
    if np.ptp(mean) > 1e-12 * np.max(np.abs(mean), initial=0.0):
        raise DescriptionError(
            f"population '{population.name}': SynapticNoise has a different mean for different units", where=noise.where,
            do="let the rule read Deviation(Signal('post', 'g_...'), tau) instead",
        )
    return float(mean[0])

"""NIR, the exchange format of neuromorphic tools (10.1038/s41467-024-52259-9): the static part of a network, there and back.

NIR nodes pass signals; a spike is a Dirac pulse. All numbers are in SI units.

    LIF                                          LIF (tau, r = 1, v_leak = v_rest + drive, v_threshold, v_reset)
    projection with Delta                        Linear, weight w tau: the pulse then moves v by w
    projection with Current(tau_s)               Linear, then an LI (tau_s, r = tau_s): a pulse adds w to a current that decays
    all projections of a neuron with one tau_s   Linear, then CubaLIF (tau_syn = w_in = tau_s) in place of LIF
    Readout                                      LI (tau, r = tau), and an Output
    Poisson, SpikeSequence, Pattern              Input
    delay (equal for all targets of a source)    Delay before Linear

What NIR has no words for (noise, refractory periods, rules, release, where v starts) is left out and listed in the notes. What is
read starts from its reset.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neuroplast.errors import DescriptionError, LoweringError
from neuroplast.ir.builder import Builder
from neuroplast.ir.graph import Connection, Graph, resolve
from neuroplast.ir.neurons import initial
from neuroplast.ir.program import Note
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import LIF, Neuron, Pattern, Poisson, Readout, SpikeSequence
from neuroplast.node import Normal, Uniform
from neuroplast.synapses import Current, Delta, Synapse
from neuroplast.units import second, volt

GIVEN = (Poisson, SpikeSequence, Pattern)


def _nir() -> Any:
    try:
        import nir
    except ImportError as error:
        raise LoweringError("the package nir is not installed", do="pip install 'neuroplast[nir]'") from error
    return nir


def to_nir(network: Network, path: Path | str | None = None) -> tuple[Any, tuple[Note, ...]]:
    """(NIR graph, notes on what it leaves out), written to a file if a path is given. LoweringError for what NIR cannot say."""
    export = _Export(resolve(network))
    graph = export.graph()
    if path is not None:
        _nir().write(path, graph)
    return graph, tuple(export.notes)


class _Export:
    def __init__(self, graph: Graph) -> None:
        self.nir, self.source, self.notes = _nir(), graph, list[Note]()
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []

    def graph(self) -> Any:
        for population in self.source.populations.values():
            self.population(population)
        for connection in self.source.connections.values():
            self.projection(connection)
        return self.nir.NIRGraph(self.nodes, self.edges)

    def left_out(self, node: str, what: str, got: str = "left out") -> None:
        self.notes.append(Note(node, what, "in NIR", got))

    def population(self, population: Population) -> None:
        neuron, name, n = population.neuron, population.name, population.size
        full = lambda value: np.array(np.broadcast_to(np.asarray(value, float), (n,)))
        if population.noise is not None:
            self.left_out(name, f"noise ({type(population.noise).__name__})")
        if isinstance(neuron, GIVEN):
            self.nodes[name] = self.nir.Input(input_type=np.array([n]))
            if not isinstance(neuron, Pattern):
                self.left_out(name, f"{type(neuron).__name__} spikes", "an Input")
        elif isinstance(neuron, Readout):
            tau = full(neuron.si.tau)
            self.nodes[name] = self.nir.LI(tau=tau, r=tau.copy(), v_leak=np.zeros(n))
            self.nodes[f"{name}_output"] = self.nir.Output(output_type=np.array([n]))
            self.edges.append((name, f"{name}_output"))
        elif isinstance(neuron, LIF) and neuron.adaptation is None:
            if np.any(np.asarray(neuron.si.refractory) > 0):
                self.left_out(name, "refractory period")
            start = neuron.si.v_initial
            if start is None or isinstance(start, (Uniform, Normal)) or np.any(full(start) != full(neuron.si.v_reset)):
                self.left_out(name, "start of v", "v_reset, where from_nir reads it")
            bench = Builder(self.source, 1.0, 1)  # draws what is random from the seed of the network
            drive = initial(neuron.si.drive, population, bench, "drive", "voltage", 0.0)
            values = {
                "r": full(1.0 if neuron.si.resistance is None else neuron.si.resistance), "v_leak": full(neuron.si.v_rest) + drive,
                "v_threshold": full(neuron.si.v_threshold), "v_reset": full(neuron.si.v_reset),
            }
            tau = self.one_current(population)
            if tau is None:
                self.nodes[name] = self.nir.LIF(tau=full(neuron.si.tau), **values)
            else:
                self.nodes[name] = self.nir.CubaLIF(tau_syn=full(tau), tau_mem=full(neuron.si.tau), w_in=full(tau), **values)
        else:
            raise LoweringError(
                f"NIR has no neuron like the {type(neuron).__name__} '{name}'", where=population.where,
                allowed="LIF without adaptation, Readout, Poisson, SpikeSequence, Pattern",
            )

    def one_current(self, population: Population) -> float | None:
        """The time constant of the synapses of a neuron, if they all are currents with the same one."""
        synapses = [c.node.synapse for c in self.source.connections.values() if c.node.post is population]
        taus = {float(s.si.tau) for s in synapses if isinstance(s, Current)}
        return taus.pop() if len(taus) == 1 and all(isinstance(s, Current) for s in synapses) else None

    def projection(self, connection: Connection) -> None:
        node, name = connection.node, connection.node.name
        for what, part in (("rule", node.plasticity), ("noise of the weights", node.noise), ("stochastic release", node.release)):
            if part is not None:
                self.left_out(name, what)
        weight = np.zeros((node.post.size, node.pre.size))
        np.add.at(weight, (connection.post, connection.pre), connection.weight)
        chain = [node.pre.name]
        delay = np.broadcast_to(connection.delay, (connection.n,))
        if np.any(delay > 0):
            chain.append(self.delay(connection, delay))
        chain.append(name)
        synapse, neuron = node.synapse, node.post.neuron
        if isinstance(synapse, Delta) and isinstance(neuron, LIF):
            weight = weight * np.broadcast_to(np.asarray(neuron.si.tau) / self.nodes[node.post.name].r, (node.post.size,))[:, None]
        elif isinstance(synapse, Current) and not (isinstance(neuron, LIF) and self.one_current(node.post) is not None):
            tau = np.full(node.post.size, float(synapse.si.tau))
            scale = 1.0 / np.asarray(neuron.si.tau) if isinstance(neuron, Readout) else 1.0  # a readout's LI has r = tau
            weight = weight * np.broadcast_to(scale, (node.post.size,))[:, None]
            chain.append(f"{name}_current")
            self.nodes[chain[-1]] = self.nir.LI(tau=tau, r=tau.copy(), v_leak=np.zeros(node.post.size))
        elif not isinstance(synapse, (Delta, Current)):
            raise LoweringError(
                f"NIR has no synapse like the {type(synapse).__name__} of '{name}'", where=node.where, allowed="Current, Delta"
            )
        self.nodes[name] = self.nir.Linear(weight=weight)
        chain.append(node.post.name)
        self.edges += list(itertools.pairwise(chain))

    def delay(self, connection: Connection, delay: np.ndarray) -> str:
        node = connection.node
        each = np.zeros(node.pre.size)
        each[connection.pre] = delay
        if np.any(each[connection.pre] != delay):
            raise LoweringError(
                f"NIR has no delays that differ between the targets of one unit, as those of '{node.name}' do", where=node.where
            )
        self.nodes[f"{node.name}_delay"] = self.nir.Delay(delay=each)
        return f"{node.name}_delay"


def from_nir(graph: Any, name: str = "from_nir", inputs: Mapping[str, Neuron] | None = None, seed: int = 0) -> Network:
    """A network from a NIR graph or file. inputs: neuron of each Input by name; silent SpikeSequences where none is given."""
    if isinstance(graph, (str, Path)):
        graph = _nir().read(graph)
    return _Import(graph, Network(name, seed), dict(inputs or {})).network()


class _Import:
    def __init__(self, graph: Any, network: Network, inputs: dict[str, Neuron]) -> None:
        self.nir, self.nodes, self.made, self.inputs = _nir(), dict(graph.nodes), network, inputs
        self.after: dict[str, list[str]] = {key: [] for key in self.nodes}
        self.before: dict[str, list[str]] = {key: [] for key in self.nodes}
        for source, target in graph.edges:
            self.after[source].append(target)
            self.before[target].append(source)
        self.populations: dict[str, Population] = {}
        self.bias: dict[str, Any] = {}

    def network(self) -> Network:
        unknown = sorted(set(self.inputs) - {key for key, node in self.nodes.items() if isinstance(node, self.nir.Input)})
        if unknown:
            raise DescriptionError(f"the NIR graph has no Input '{unknown[0]}'", allowed=", ".join(map(str, self.nodes)))
        linear = [key for key, node in self.nodes.items() if isinstance(node, (self.nir.Linear, self.nir.Affine))]
        for key in linear:
            if isinstance(self.nodes[key], self.nir.Affine) and np.any(self.nodes[key].bias):
                for target in self.after[key]:
                    self.bias[target] = self.bias.get(target, 0.0) + np.asarray(self.nodes[key].bias)
        for key, node in self.nodes.items():
            neuron = self.neuron(key, node)
            if neuron is not None:
                size = int(np.prod(next(iter(node.output_type.values()))))
                self.populations[key] = self.made.add(Population(key, size, neuron))
        for key in linear:
            self.projection(key)
        return self.made

    def neuron(self, key: str, node: Any) -> Neuron | None:
        nir = self.nir
        if isinstance(node, nir.Input):
            return self.inputs.get(key, SpikeSequence([], [] * second))
        if isinstance(node, (nir.LIF, nir.CubaLIF)):
            tau = node.tau if isinstance(node, nir.LIF) else node.tau_mem
            drive = self.bias.get(key)
            if drive is not None and isinstance(node, nir.CubaLIF):
                drive = drive * node.w_in
            return LIF(
                tau=tau * second, v_rest=node.v_leak * volt, v_threshold=node.v_threshold * volt, v_reset=node.v_reset * volt,
                drive=None if drive is None else drive * node.r * volt, v_initial=node.v_reset * volt,
            )
        if isinstance(node, nir.LI) and not self.filters(key):
            if np.any(node.v_leak):
                raise DescriptionError(f"the NIR node '{key}' leaks to another value than zero", got=node.v_leak)
            return Readout(tau=node.tau * second)
        if isinstance(node, (nir.LI, nir.Linear, nir.Affine, nir.Delay, nir.Output)):
            return None
        raise DescriptionError(
            f"the NIR node '{key}' has no counterpart", got=type(node).__name__,
            allowed="Input, Output, LIF, CubaLIF, LI, Linear, Affine, Delay",
        )

    def filters(self, key: str) -> bool:
        """Whether an LI is the current of a synapse: what follows it are neurons or readouts."""
        return any(isinstance(self.nodes[k], (self.nir.LIF, self.nir.CubaLIF, self.nir.LI)) for k in self.after[key])

    def projection(self, key: str) -> None:
        nir, weight = self.nir, np.asarray(self.nodes[key].weight, float)
        for source in self.before[key]:
            delay = None
            if isinstance(self.nodes[source], nir.Delay):
                delay, source = self.nodes[source].delay, self.before[source][0]
            for target in self.after[key]:
                synapse: Synapse = Delta()
                matrix, node = weight, self.nodes[target]
                if isinstance(node, nir.LI) and self.filters(target):
                    synapse, matrix = self.current(key, node.tau), matrix * (node.r / node.tau)[:, None]
                    (target,) = self.after[target]
                    node = self.nodes[target]
                    if isinstance(node, nir.CubaLIF):
                        raise DescriptionError(f"the input of the NIR node '{target}' is filtered twice", got=f"{key}, then an LI")
                    matrix = matrix * (node.r if isinstance(node, nir.LIF) else node.tau)[:, None]
                elif isinstance(node, nir.CubaLIF):
                    synapse = self.current(key, node.tau_syn)
                    matrix = matrix * (node.w_in / node.tau_syn * node.r)[:, None]
                else:
                    matrix = matrix * (node.r / node.tau)[:, None]
                if source not in self.populations or target not in self.populations:
                    raise DescriptionError(
                        f"the NIR node '{key}' does not connect two populations", got=f"{source} -> {target}",
                        allowed="neurons, inputs and readouts, with a Delay between at most",
                    )
                unit = volt if isinstance(self.populations[target].neuron, LIF) else 1
                every = {} if delay is None else {"delay": np.broadcast_to(delay, matrix.shape) * second}
                self.made.add(Projection(self.populations[source], self.populations[target], matrix * unit, synapse, name=key, **every))

    def current(self, key: str, tau: np.ndarray) -> Current:
        if np.ptp(tau) > 1e-12 * np.max(tau):
            raise DescriptionError(f"the synapses of '{key}' have different time constants for different neurons", got=tau)
        return Current(tau=float(tau.flat[0]) * second)


__all__ = ["from_nir", "to_nir"]

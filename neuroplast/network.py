"""The network: a typed list of nodes, each remembering the user's line."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar, Union

import numpy as np

from neuroplast.errors import DescriptionError, caller, did_you_mean
from neuroplast.modulation import Modulator, PairedPass
from neuroplast.monitors import Monitor
from neuroplast.neurons import Neuron, is_spiking
from neuroplast.node import Node, Number, part, quantity
from neuroplast.noise import Noise, SynapticNoise
from neuroplast.plasticity import ThreeFactorRule
from neuroplast.synapses import AllToAll, Connectivity, Graded, Release, Synapse
from neuroplast.tasks.python import PythonTask
from neuroplast.tasks.task import Task

NOISES = "an object such as White(...) or OrnsteinUhlenbeck(...)"


def _check_name(name: object, node: Node) -> None:
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        raise DescriptionError(
            f"the name of a {type(node).__name__} cannot be used", where=node.where, got=repr(name),
            allowed="letters, digits and underscores, starting with a letter",
        )


@dataclass(frozen=True, eq=False)
class Population(Node):
    """A group of ``size`` neurons of one kind, perhaps perturbed by a noise."""

    name: str
    size: int
    neuron: Neuron
    noise: Noise | None = None

    def check(self) -> None:
        _check_name(self.name, self)
        if isinstance(self.size, bool) or not isinstance(self.size, (int, np.integer)) or self.size < 1:
            raise DescriptionError(
                f"population '{self.name}' is empty or has no whole size", where=self.where, got=repr(self.size),
                allowed="a whole number from 1",
            )
        what = f"population '{self.name}'"
        part(self.neuron, Neuron, f"{what}: neuron is not a neuron", self.where, "an object such as LIF(...) or Rate(...)")
        part(self.noise, Noise, f"{what}: noise is not a noise", self.where, NOISES, optional=True)

    @property
    def spiking(self) -> bool:
        return is_spiking(self.neuron)


@dataclass(frozen=True, eq=False)
class Projection(Node):
    """Synapses from ``pre`` to ``post``.

    weight: scalar, Uniform, Normal, or array (n_post, n_pre) (with Pairs and OneToOne: (n,)), in the unit that the synapse takes.
    delay: scalar or array like weight; a spike arrives at the earliest one step after it was fired.
    name: "<pre>_<post>" by default.
    """

    pre: Population
    post: Population
    weight: Any
    synapse: Synapse
    connectivity: Connectivity = AllToAll()
    delay: Number = quantity("time", default=0.0, zero_free=True, nonnegative=True)
    release: Release | None = None
    noise: Noise | None = None
    plasticity: ThreeFactorRule | None = None
    name: str = ""

    def check(self) -> None:
        for side in ("pre", "post"):
            given = "what network.add(Population(...)) gave"
            part(getattr(self, side), Population, f"Projection.{side} is not a population", self.where, given)
        if not self.name:
            object.__setattr__(self, "name", f"{self.pre.name}_{self.post.name}")
        _check_name(self.name, self)
        what = f"projection '{self.name}'"
        part(self.synapse, Synapse, f"{what}: synapse is not a synapse", self.where, "Conductance, Current, Delta or Graded")
        part(
            self.connectivity, Connectivity, f"{what}: connectivity is not a connectivity", self.where,
            "AllToAll(), OneToOne(), FixedProbability(p) or Pairs(pre, post)",
        )
        part(self.noise, Noise, f"{what}: noise is not a noise", self.where, NOISES, optional=True)
        part(self.release, Release, f"{what}: release is not a release", self.where, "Release(...)", optional=True)
        part(self.plasticity, ThreeFactorRule, f"{what}: plasticity is not a rule", self.where, "ThreeFactorRule(...)", optional=True)
        if isinstance(self.synapse, Graded) == self.pre.spiking:
            kind = "spiking" if self.pre.spiking else "graded"
            raise DescriptionError(
                f"projection '{self.name}': a {type(self.synapse).__name__} synapse cannot carry the {kind} output of "
                f"'{self.pre.name}'", where=self.where,
                allowed="Conductance, Current or Delta from spiking units, Graded from graded ones",
            )
        if isinstance(self.noise, SynapticNoise):
            raise DescriptionError(
                f"projection '{self.name}': SynapticNoise perturbs neurons, not weights", where=self.where,
                do="give it to the population, or use White, OrnsteinUhlenbeck or Impulses here",
            )
        if self.release is not None and isinstance(self.synapse, Graded):
            raise DescriptionError(
                f"projection '{self.name}': release needs spikes", where=self.where, got="a Graded synapse"
            )
        if self.plasticity is not None and self.plasticity.target == "release" and self.release is None:
            raise DescriptionError(
                f"projection '{self.name}': the rule learns release, but there is none", where=self.where,
                do="add release=Release(...)",
            )


AnyNode = Union[Population, Projection, Task, Monitor, Modulator]
N = TypeVar("N", bound=AnyNode)


def _with_own_environment(task: PythonTask) -> PythonTask:
    try:
        environment = copy.deepcopy(task.environment)
    except Exception as problem:  # whatever an object says that cannot be copied
        raise DescriptionError(
            "the environment of the Python task cannot be copied, and each replica needs its own", where=task.where,
            got=f"{type(task.environment).__name__}: {type(problem).__name__}: {problem}",
            do="give it a __deepcopy__ method, or give Simulation a list of networks, each with its own environment",
        ) from problem
    other = dataclasses.replace(task, environment=environment)
    other.__dict__["declared"] = task.where
    return other


class Network:
    """A network by name, with the seed from which all of its random numbers follow (with the name of each node)."""

    def __init__(self, name: str, seed: int = 0) -> None:
        whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
        if not whole or seed < 0:
            raise DescriptionError("Network.seed is no seed", where=caller(), got=repr(seed), allowed="a whole number from 0")
        self.name = part(name, str, "the name of a network is not text", caller(), "text such as 'birdsong'")
        self.seed = int(seed)
        self.nodes: list[AnyNode] = []

    def add(self, node: N) -> N:
        """Add a node and give it back. Modulators come in with the rule that names them; adding one is allowed."""
        if not isinstance(node, (Population, Projection, Task, Monitor, Modulator)):
            raise DescriptionError(
                f"network '{self.name}': this cannot be added", where=caller(), got=repr(node)[:200],
                allowed="Population, Projection, Modulator, a task, or Monitor",
            )
        if node in self.nodes:
            return node
        name = getattr(node, "name", None)
        if name is not None:
            for other in self.nodes:
                if getattr(other, "name", None) == name:
                    raise DescriptionError(
                        f"the name '{name}' is used twice in network '{self.name}'", where=node.where,
                        got=f"also declared at {other.where}", do="give one of them another name=",
                    )
        if isinstance(node, Task) and self.task is not None:
            raise DescriptionError(
                f"network '{self.name}' has a task already", where=node.where, got=f"declared at {self.task.where}"
            )
        self.nodes.append(node)
        return node

    def reseeded(self, seed: int) -> Network:
        """The same description with another seed. A task written in Python is copied with its environment, as it is now."""
        other = Network(self.name, seed)
        other.nodes = [_with_own_environment(node) if isinstance(node, PythonTask) else node for node in self.nodes]
        return other

    def _all(self, kind: type[N]) -> tuple[N, ...]:
        return tuple(n for n in self.nodes if isinstance(n, kind))

    @property
    def populations(self) -> tuple[Population, ...]:
        return self._all(Population)

    @property
    def projections(self) -> tuple[Projection, ...]:
        return self._all(Projection)

    @property
    def monitors(self) -> tuple[Monitor, ...]:
        return self._all(Monitor)

    @property
    def task(self) -> Task | None:
        tasks = self._all(Task)
        return tasks[0] if tasks else None

    @property
    def modulators(self) -> tuple[Modulator, ...]:
        """Those added and those that a rule names, once each, in order."""
        found = list(self._all(Modulator))
        for projection in self.projections:
            rule = projection.plasticity
            if rule is not None and rule.modulator not in found:
                found.append(rule.modulator)
        return tuple(found)

    @property
    def paired(self) -> PairedPass | None:
        """The paired pass that a modulator asks for, if any."""
        return next((m.baseline for m in self.modulators if isinstance(m.baseline, PairedPass)), None)

    def __getitem__(self, name: str) -> AnyNode:
        named = {n.name: n for n in (*self.nodes, *self.modulators) if not isinstance(n, Monitor)}
        if name not in named:
            raise DescriptionError(
                f"network '{self.name}' has no node '{name}'", do=did_you_mean(name, named)
            )
        return named[name]

    def __repr__(self) -> str:
        return f"Network({self.name!r}, seed={self.seed}, {len(self.nodes)} nodes)"

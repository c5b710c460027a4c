"""A step program as processes that exchange messages: which process does which operation, and what is sent when.

There is one part for each population (with its noise), projection (with its release and its rule), modulator and task. Each
operation belongs to one part; a Remember belongs to every projection that reads its ring, which so remembers the spikes that came in.

The program is one list of operations; every part does its own in that order. Where an operation needs an array that another part has
written since, the writer sends it right after writing and the reader receives it right before reading. As all parts keep to the one
order, nobody can wait for somebody who waits for him: the exchange cannot deadlock, and gives what the program gives.

Between two segments of a run (start of a trial, step, end) every reader of an array holds its value, and so does its ``home``, whose
memory is the one that the executable shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from neuroplast.backends.cpp.access import reads, writes
from neuroplast.ir.builder import REWARD, TRIAL_TYPE
from neuroplast.ir.program import (
    CLOCK,
    PROBE_SCALE,
    CallTask,
    ChipLearn,
    DelayLine,
    Deliver,
    Dot,
    Draw,
    EndLearn,
    Learn,
    Map,
    Operation,
    Remember,
    Row,
    SetRow,
    SpikeTable,
    StepProgram,
    Sum,
)

EVERYWHERE = (CLOCK, PROBE_SCALE)
"""Arrays that every part keeps for itself, as all know what is in them."""
TASK = "task"
SEGMENTS = ("sync", "trial_start", "step", "pass_end", "trial_end")
"""``sync``: homes send what they hold, as somebody may have written to it between two trials."""


@dataclass(frozen=True)
class Message:
    """One array, sent by one part to others each time a segment runs."""

    number: int
    array: str
    source: str
    targets: tuple[str, ...]

    @property
    def port(self) -> str:
        return f"m{self.number}_{self.array}"


@dataclass(frozen=True)
class Do:
    operation: Operation


@dataclass(frozen=True)
class Send:
    message: Message


@dataclass(frozen=True)
class Receive:
    message: Message


Action = Do | Send | Receive


@dataclass
class Part:
    """One process. scripts: what it does in each segment.  arrays: those that it holds, its own and copies of others."""

    name: str
    kind: str
    scripts: dict[str, list[Action]] = field(default_factory=lambda: {segment: [] for segment in SEGMENTS})
    arrays: set[str] = field(default_factory=set)


@dataclass
class Partition:
    """parts by name; home: array -> the part whose memory is shown (arrays that nobody writes have none)."""

    parts: dict[str, Part]
    messages: list[Message]
    home: dict[str, str]


class _Draft:
    """The partition while it is made."""

    def __init__(self, program: StepProgram) -> None:
        self.program = program
        self.segments: dict[str, tuple[Operation, ...]] = {
            "trial_start": program.trial_start, "step": (*program.before, *program.neurons, *program.after),
            "pass_end": program.pass_end, "trial_end": program.trial_end,
        }
        self.kinds = _nodes(program, [op for operations in self.segments.values() for op in operations])
        self.rings = _rings(program)
        self.parts: dict[str, Part] = {}
        self.messages: list[Message] = []

    def part(self, name: str) -> Part:
        return self.parts.setdefault(name, Part(name, self.kinds.get(name, TASK)))

    def partition(self) -> Partition:
        work = {
            segment: [(op, self._workers(op), self._needs(op), self._changes(op)) for op in operations]
            for segment, operations in self.segments.items()
        }
        written, home, readers = set[str](), dict[str, str](), dict[str, set[str]]()
        for segment in ("pass_end", "trial_end", "trial_start", "step"):  # who writes in every step is the home before others
            for _, workers, needs, changes in work[segment]:
                for array in changes:
                    written.add(array)
                    home[array] = workers[0]
                for array in needs:
                    readers.setdefault(array, set()).update(workers)
                for worker in workers:
                    self.part(worker).arrays.update(needs | changes)
        for operations in work.values():
            for op, workers, _, _ in operations:
                for worker in workers:
                    self.part(worker).arrays.update(_constants(op))
        if self.program.done is not None and self.program.done in written:
            readers.setdefault(self.program.done, set()).update(self.parts)
            for part in self.parts.values():
                part.arrays.add(self.program.done)
        holders = {array: (readers.get(array, set()) | {home[array]}) for array in sorted(written)}
        for array, everyone in holders.items():
            self._send(self.part(home[array]).scripts["sync"], array, home[array], everyone - {home[array]}, "sync")
        for segment, operations in work.items():
            self._segment(segment, operations, holders)
        return Partition(self.parts, self.messages, home)

    def _segment(
        self, segment: str, operations: list[tuple[Operation, tuple[str, ...], frozenset[str], frozenset[str]]],
        holders: dict[str, set[str]],
    ) -> None:
        """Schedule a segment: each message is put where it was written in the source, and where it is needed in the targets."""
        version = {array: 0 for array in holders}
        holds = {(array, part): 0 for array, everyone in holders.items() for part in everyone}
        last: dict[str, tuple[str, int]] = {}  # array -> who wrote it last, and where in his script
        wanted: dict[tuple[str, str, int], list[tuple[str, int]]] = {}  # (array, source, place) -> (target, place)

        def want(array: str, part: str) -> None:
            if holds.get((array, part)) != version[array]:
                source, place = last[array]
                wanted.setdefault((array, source, place), []).append((part, len(self.part(part).scripts[segment])))
                holds[array, part] = version[array]

        for op, workers, needs, changes in operations:
            for worker in workers:
                for array in sorted(needs & holders.keys()):
                    want(array, worker)
            for worker in workers:
                self.part(worker).scripts[segment].append(Do(op))
            for array in changes:
                version[array] += 1
                last[array] = (workers[0], len(self.part(workers[0]).scripts[segment]))
                for worker in workers:
                    holds[array, worker] = version[array]
        for array, everyone in holders.items():
            for part in sorted(everyone):
                want(array, part)
        self._insert(segment, wanted)

    def _insert(self, segment: str, wanted: dict[tuple[str, str, int], list[tuple[str, int]]]) -> None:
        """Put the messages into the scripts at their places: sends before receives where both come at one place."""
        extra: dict[str, dict[int, list[Action]]] = {}
        for (array, source, place), targets in wanted.items():
            message = self._message(array, source, tuple(name for name, _ in targets))
            extra.setdefault(source, {}).setdefault(place, []).insert(0, Send(message))
            for name, at in targets:
                extra.setdefault(name, {}).setdefault(at, []).append(Receive(message))
        for name, places in extra.items():
            script, whole = self.part(name).scripts[segment], list[Action]()
            for place in range(len(script) + 1):
                whole += [*places.get(place, []), *script[place : place + 1]]
            self.part(name).scripts[segment] = whole

    def _message(self, array: str, source: str, targets: tuple[str, ...]) -> Message:
        message = Message(len(self.messages), array, source, targets)
        self.messages.append(message)
        return message

    def _send(self, script: list[Action], array: str, source: str, targets: set[str], segment: str) -> None:
        if targets:
            message = self._message(array, source, tuple(sorted(targets)))
            script.append(Send(message))
            for target in targets:
                self.part(target).scripts[segment].append(Receive(message))

    def _workers(self, op: Operation) -> tuple[str, ...]:
        if isinstance(op, Remember):
            return tuple(self.rings.get(op.ring, (op.population,)))
        return (_owner(op, self.kinds),)

    def _needs(self, op: Operation) -> frozenset[str]:
        """Arrays whose values must be there before the operation: also those that it changes in part only."""
        if isinstance(op, CallTask):
            return (frozenset(self._binding("outputs")) if op.method == "step" else frozenset()) | self._changes(op)
        needs = reads(op) | (writes(op) if isinstance(op, (SetRow, Remember)) else frozenset())
        if isinstance(op, Deliver) and op.ring is not None:
            needs -= {op.output}  # the ring says it
        return needs - frozenset(EVERYWHERE)

    def _changes(self, op: Operation) -> frozenset[str]:
        if isinstance(op, CallTask):
            done = {self.program.done} if self.program.done else set()
            return frozenset({*self._binding("inputs"), *({TRIAL_TYPE} if op.method == "reset" else {REWARD, *done, *self._counts()})})
        return writes(op) - frozenset(EVERYWHERE)

    def _counts(self) -> Iterable[str]:
        return getattr(self.program.task, "counts", ())

    def _binding(self, what: str) -> Iterable[str]:
        return getattr(self.program.task, what).values()


def partition(program: StepProgram) -> Partition:
    """Cut a program into the processes of its nodes."""
    return _Draft(program).partition()


def _constants(op: Operation) -> frozenset[str]:
    """Arrays that must be at hand though no value of theirs is read, or nobody changes them: those that are bound, of synapses."""
    if isinstance(op, (Map, Sum)):
        return frozenset(op.bind.values()) - frozenset(EVERYWHERE)
    synapses = op.learn.synapses if isinstance(op, EndLearn) else getattr(op, "synapses", None)
    return frozenset() if synapses is None else frozenset({synapses.pre, synapses.post, synapses.row_start})


def _rings(program: StepProgram) -> dict[str, list[str]]:
    """ring -> the projections that read it."""
    rings: dict[str, list[str]] = {}
    for op in program.before:
        if isinstance(op, Deliver) and op.ring is not None:
            rings.setdefault(op.ring, []).append(op.projection)
    return rings


def _nodes(program: StepProgram, operations: list[Operation]) -> dict[str, str]:
    """name -> what it is: population, projection, modulator or task."""
    kinds = {name: "population" for name in program.populations}
    kinds |= {op.projection: "projection" for op in operations if isinstance(op, (Deliver, Learn, ChipLearn))}
    for op in operations:
        if isinstance(op, Map) and _home_of(op.owner, kinds) not in kinds:
            kinds[op.owner] = TASK if op.owner == TASK else "modulator"
    return kinds


def _home_of(owner: str, kinds: dict[str, str]) -> str:
    """The node of a Map: the factors of a rule (``<projection>_pre``, ``_post``, ``_synapse``) belong to its projection."""
    projection, _, side = owner.rpartition("_")
    factors = side in ("pre", "post", "synapse") and kinds.get(projection) == "projection"
    return projection if factors and owner not in kinds else owner


def _owner(op: Operation, kinds: dict[str, str]) -> str:
    if isinstance(op, Map):
        return _home_of(op.owner, kinds)
    if isinstance(op, (Deliver, Learn, ChipLearn)):
        return op.projection
    if isinstance(op, EndLearn):
        return op.learn.projection
    if isinstance(op, CallTask):
        return TASK
    if isinstance(op, SetRow):
        return _node_of(op.table, kinds)
    assert isinstance(op, (Draw, Row, SpikeTable, Sum, Dot, DelayLine))
    return _node_of(op.target, kinds)


def _node_of(array: str, kinds: dict[str, str]) -> str:
    """The node after which an array is named; the task where there is none."""
    named = [name for name in kinds if array.startswith(f"{name}_")]
    return max(named, key=len, default=TASK)


__all__ = ["EVERYWHERE", "SEGMENTS", "Do", "Message", "Part", "Partition", "Receive", "Send", "partition"]

"""The forms of a rule: which loop over its synapses computes what ``Learn`` says, and when that loop may run.

``Learn`` is written for every synapse in every step. Most rules allow less work for the same numbers:

    history       update at the trial's end: a step only keeps the factors; their whole sum is made when the trial ends
    events        order 0, presynaptic traces of spikes: rows are touched when the trace jumps
    pulses        the same with bounds in every step, where each term needs a spike of either side, as in STDP
    active rows   order 0: blocks of steps at once, and no work on rows whose presynaptic factor is zero
    memoryless    no eligibility trace: the weights take the outer product of the last step
    dense         every synapse in every step: always possible

A rule on a chip's learning engine (``ChipLearn``) has one form, of its own (engine.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from neuroplast.backends.cpp.access import uses, writes
from neuroplast.backends.cpp.dense import Dense
from neuroplast.backends.cpp.engine import Engine
from neuroplast.backends.cpp.events import Events, has_events
from neuroplast.backends.cpp.factors import outer_products
from neuroplast.backends.cpp.header import is_whole
from neuroplast.backends.cpp.history import History
from neuroplast.backends.cpp.memoryless import Memoryless
from neuroplast.backends.cpp.names import Names
from neuroplast.backends.cpp.pulses import Pulses, has_pulses
from neuroplast.backends.cpp.rows import ActiveRows
from neuroplast.ir.program import ChipLearn, Deliver, EndLearn, Learn, Note, Operation, Product, StepProgram

HISTORY_BYTES = 1 << 28
"""Most memory that the history of one rule may take."""
SHORT_ROW = 8
"""Rows with fewer synapses are not worth their bookkeeping."""


class Form(Protocol):
    """C++ text of one rule, for each place in the kernel. ``stale``: arrays that are not up to date within a trial.

    maintained: traces that no Map needs to keep.
    """

    got: str
    headers: tuple[str, ...]
    maintained: frozenset[str]

    @property
    def stale(self) -> frozenset[str]: ...

    def declare(self) -> list[str]:
        """At file scope."""
        ...

    def bind(self) -> list[str]:
        """When the arrays are known."""
        ...

    def start(self) -> list[str]:
        """When a pass begins."""
        ...

    def step(self) -> list[str]:
        """In the place of Learn."""
        ...

    def current(self, row: str) -> list[str]:
        """Before the values of a presynaptic unit's synapses are read."""
        ...

    def read(self, array: str, synapse: str) -> str:
        """The value of a stale array at a synapse of that unit, onto unit i."""
        ...

    def flush(self) -> list[str]:
        """All stale arrays up to date."""
        ...

    def finish(self, end: EndLearn) -> list[str]:
        """In the place of EndLearn."""
        ...

    def complete(self) -> list[str]:
        """Arrays that nothing in the kernel needs: as of the end of the last trial."""
        ...


def choose_forms(program: StepProgram, names: Names) -> dict[str, Form]:
    """Projection -> the form of its rule."""
    forms = {op.projection: _choose(program, op, names) for op in (*program.before, *program.after) if isinstance(op, Learn)}
    return forms | {op.projection: Engine(program, op, names) for op in program.after if isinstance(op, ChipLearn)}


def notes(program: StepProgram) -> tuple[Note, ...]:
    """The choices, for the lowering report."""
    forms = choose_forms(program, Names(program))
    return tuple(Note(name, "plasticity form", "every synapse in every step", form.got) for name, form in forms.items())


def late_arrays(forms: Mapping[str, Form]) -> frozenset[str]:
    """Arrays that a trial leaves alone: they are only complete after ``np_complete``, in a kernel with ``complete=False``."""
    return frozenset(array for form in forms.values() if isinstance(form, History) for array in form.learn.eligibility)


def own_delivery(program: StepProgram, learn: Learn) -> Deliver | None:
    """The delivery of the rule's projection, if it reads weights row by row: at spikes only."""
    for op in program.before:
        if isinstance(op, Deliver) and op.projection == learn.projection and op.spiking and op.ring is not None:
            return op
    return None


def _choose(program: StepProgram, learn: Learn, names: Names) -> Form:
    if not learn.products:
        return Dense(learn, names)
    in_step = [op for op in (*program.before, *program.neurons, *program.after) if op is not learn]
    own = own_delivery(program, learn)

    def seen(array: str | None, by: list[Operation]) -> bool:
        return any(array in uses(op) for op in by)

    trace_seen = any(seen(e, in_step) for e in learn.eligibility)
    synaptic = tuple(p for p in learn.products if p.synapse)
    if not synaptic and not trace_seen and _is_for_the_end(program, learn, in_step):
        return History(program, learn, names)
    changed = {"continuous": learn.target, "deferred": learn.pending, "episodic": None}[learn.update]
    others = [op for op in in_step if op is not own]
    events = _release_events(learn, own)
    if (
        len(learn.eligibility) == 1 and not trace_seen and not seen(changed, others)
        and learn.synapses.n >= SHORT_ROW * learn.synapses.n_pre and all(p in events for p in synaptic)
    ):
        if not events and has_events(program, learn):
            return Events(program, learn, names)
        return Pulses(program, learn, names) if not synaptic and has_pulses(program, learn) else ActiveRows(learn, names, events, own)
    if len(learn.eligibility) == 1 and learn.decay == 0.0 and not synaptic and not trace_seen and not _written(program, learn):
        return Memoryless(learn, names, _sole_reader(learn, in_step))
    return Dense(learn, names)


def _sole_reader(learn: Learn, in_step: list[Operation]) -> Deliver | None:
    """The delivery that alone looks at the learnt weights, and at all of them in each step."""
    readers = [op for op in in_step if learn.target in uses(op)]
    op = readers[0] if len(readers) == 1 and learn.update == "continuous" else None
    if not isinstance(op, Deliver) or op.projection != learn.projection or op.spiking or not op.synapses.dense:
        return None
    return op if op.release is None and op.noise is None and op.delays is None else None


def _written(program: StepProgram, learn: Learn) -> bool:
    """Whether something else changes the learnt array within a trial."""
    return any(learn.target in writes(op) for op in (*program.before, *program.neurons, *program.after) if op is not learn)


def _release_events(learn: Learn, own: Deliver | None) -> tuple[Product, ...]:
    """Terms with the score of this projection's release: zero but for synapses at which a spike has just arrived."""
    if own is None or own.release is None or own.delays is not None:
        return ()
    score = (own.release.score, 1)
    return tuple(p for p in learn.products if score in p.synapse)


def _is_for_the_end(program: StepProgram, learn: Learn, in_step: list[Operation]) -> bool:
    """Whether nothing but the change at the trial's end depends on what happens at the synapses within it."""
    kept = [*learn.eligibility, *([learn.pending] if learn.pending else [])]
    ends = [op for op in program.trial_end if isinstance(op, EndLearn) and op.learn.projection == learn.projection]
    elsewhere = [*in_step, *program.trial_start, *program.pass_end, *(op for op in program.trial_end if op not in ends)]
    s, outers = learn.synapses, outer_products(learn, learn.products)
    full = sum(is_whole(program, outer) for outer in outers)
    fresh = all(program.arrays[e].reset and not np.any(program.arrays[e].initial) for e in learn.eligibility)
    once = program.passes == 1 or learn.pending is None or program.arrays[learn.pending].reset
    return (
        learn.update in ("deferred", "episodic") and program.reset and len(ends) == 1 and fresh and once
        and not any(set(kept) & uses(op) for op in elsewhere)
        and not any(r.array in kept and r.stride for r in program.recordings)
        and program.steps * (8 * s.n_pre * full + 8 * s.n_post * len(outers)) <= HISTORY_BYTES
    )

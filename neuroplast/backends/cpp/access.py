"""Which arrays an operation reads and which it writes: what may be kept back or left out depends on it."""

from __future__ import annotations

from functools import singledispatch

from neuroplast.ir.program import (
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
    Sum,
)


def uses(operation: Operation) -> frozenset[str]:
    """All arrays that an operation reads or writes. A Python task sees the outputs it names, which are none of a rule's."""
    return reads(operation) | writes(operation)


def _names(*names: str | None) -> frozenset[str]:
    return frozenset(name for name in names if name is not None)


@singledispatch
def reads(operation: Operation) -> frozenset[str]:
    """Arrays whose values matter to an operation."""
    raise AssertionError(f"no reads for {type(operation).__name__}")


@singledispatch
def writes(operation: Operation) -> frozenset[str]:
    """Arrays that an operation changes."""
    raise AssertionError(f"no writes for {type(operation).__name__}")


@reads.register
def _(operation: Map) -> frozenset[str]:
    return frozenset(
        operation.bind[name] for _, expression in operation.code for name in expression.names if name in operation.bind
    )


@writes.register
def _(operation: Map) -> frozenset[str]:
    return frozenset(operation.bind[target] for target, _ in operation.code if target in operation.bind)


@reads.register
def _(operation: Draw) -> frozenset[str]:
    return _names(PROBE_SCALE if operation.probe else None)


@reads.register
def _(operation: Row) -> frozenset[str]:
    return _names(operation.table, None if operation.by == "step" else operation.by)


@reads.register
def _(operation: SetRow) -> frozenset[str]:
    return _names(operation.source, None if operation.by == "step" else operation.by)


@writes.register
def _(operation: SetRow) -> frozenset[str]:
    return _names(operation.table)


@reads.register
def _(operation: SpikeTable) -> frozenset[str]:
    return _names(operation.offsets, operation.indices)


@reads.register
def _(operation: Sum) -> frozenset[str]:
    return frozenset(operation.bind[name] for name in operation.expression.names)


@reads.register
def _(operation: Dot) -> frozenset[str]:
    return _names(operation.matrix, operation.vector)


@reads.register
def _(operation: DelayLine) -> frozenset[str]:
    return _names(operation.source, operation.ring)


@writes.register
def _(operation: DelayLine) -> frozenset[str]:
    return _names(operation.target, operation.ring if operation.steps else None)


@writes.register(Draw)
@writes.register(Row)
@writes.register(SpikeTable)
@writes.register(Sum)
@writes.register(Dot)
def _(operation: Draw | Row | SpikeTable | Sum | Dot) -> frozenset[str]:
    return _names(operation.target)


@reads.register
def _(operation: Remember) -> frozenset[str]:
    return _names(operation.output)


@writes.register
def _(operation: Remember) -> frozenset[str]:
    return _names(operation.ring)


@reads.register
def _(operation: Deliver) -> frozenset[str]:
    release = operation.release
    kept = () if release is None else (release.q, release.uniform, release.recovery, release.ready_at, release.c)
    drawn = operation.drawn
    made = () if drawn is None else (drawn.seen, PROBE_SCALE, drawn.std if isinstance(drawn.std, str) else None)
    return _names(operation.weight, operation.noise, operation.output, operation.ring, operation.delays, *kept, *made)


@writes.register
def _(operation: Deliver) -> frozenset[str]:
    release = operation.release
    kept = () if release is None else (release.ready_at, release.c, release.score)
    made = () if operation.drawn is None else (operation.drawn.x, operation.drawn.seen)
    return _names(operation.into, operation.arrived, *kept, *made)


@reads.register
def _(operation: Learn) -> frozenset[str]:
    factors = (name for p in operation.products for name, _ in (*p.pre, *p.post, *p.synapse))
    return _names(operation.modulator, operation.target, operation.pending, *operation.eligibility, *factors)


@writes.register
def _(operation: Learn) -> frozenset[str]:
    return _names(operation.target, operation.pending, *operation.eligibility)


@reads.register
def _(operation: EndLearn) -> frozenset[str]:
    learn = operation.learn
    return _names(learn.target, learn.pending, learn.modulator, learn.eligibility[-1])


@writes.register
def _(operation: EndLearn) -> frozenset[str]:
    return _names(operation.learn.target, operation.learn.pending)


@reads.register
def _(operation: ChipLearn) -> frozenset[str]:
    traces = (name for trace in operation.traces for name in (trace.array, trace.arrived, trace.uniform))
    return _names(operation.target, operation.tag, *traces, *(array for _, array in operation.values))


@writes.register
def _(operation: ChipLearn) -> frozenset[str]:
    changed = ([operation.target] if operation.dw else []) + ([operation.tag] if operation.dt else [])
    return _names(*changed, *(trace.array for trace in operation.traces))


@reads.register(CallTask)
@writes.register(CallTask)
def _(operation: CallTask) -> frozenset[str]:
    return frozenset()

"""The Reference target: the step program, executed by NumPy in the plainest way. It is the specification of every other target.

One function an operation, one class for the run. Nothing here is clever; speed is for the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import singledispatchmethod

import numpy as np

from neuroplast.backends.targets import AfterTrial, LoweringReport, TaskCaller
from neuroplast.ir.program import (
    ACCUMULATOR,
    CLOCK,
    PASS,
    PROBE_SCALE,
    STEP,
    TAG_RANGE,
    TICK,
    TRACE_MAX,
    TRIAL,
    TRIAL_DRAW,
    CallTask,
    ChipLearn,
    ChipProduct,
    DelayLine,
    Deliver,
    Dot,
    Draw,
    DrawnAtSpikes,
    EndLearn,
    Learn,
    Map,
    Operation,
    Product,
    Recording,
    Remember,
    Row,
    SetRow,
    SpikeTable,
    StepProgram,
    Sum,
    draw,
    draw_bytes,
    stream_key,
)


class Interpreter:
    """The operations over a dictionary of arrays, each a method."""

    def __init__(self, program: StepProgram, arrays: dict[str, np.ndarray], task: TaskCaller | None) -> None:
        self.program, self.arrays, self.task = program, arrays, task
        self.clock = arrays[CLOCK]

    def run(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            self.do(operation)

    @singledispatchmethod
    def do(self, operation: Operation) -> None:
        raise AssertionError(f"no meaning for {type(operation).__name__}")

    @do.register
    def _(self, op: Map) -> None:
        values = {name: self.arrays[array] for name, array in op.bind.items()}
        for target, expression in op.code:
            result = expression.numpy(values)
            if target in op.bind:
                self.arrays[op.bind[target]][...] = result
            else:
                values[target] = np.asarray(result, dtype=float)

    @do.register
    def _(self, op: Draw) -> None:
        target = self.arrays[op.target]
        target.ravel()[:] = self._numbers(op.law, op.stream, target.size, op.probe, op.each)
        if op.probe and op.law != "uniform":
            target *= self.arrays[PROBE_SCALE][0]

    def _numbers(self, law: str, stream: str, size: int, probe: bool, each: str = "step") -> np.ndarray:
        step = TRIAL_DRAW if each == "trial" else int(self.clock[STEP])
        pass_ = int(self.clock[PASS]) if probe and self.program.pass_noise == "other" else 0
        return draw(law, size, stream_key(self.program.seed, stream), step, int(self.clock[TRIAL]), pass_)

    def _row(self, by: str, stride: int, rows: int, mode: str) -> int:
        at = int(self.clock[STEP]) // stride if by == "step" else int(self.arrays[by][0])
        return at % rows if mode == "wrap" else min(at, rows - 1)

    @do.register
    def _(self, op: Row) -> None:
        row = self._row(op.by, op.stride, op.rows, op.mode) + op.rows * (int(self.clock[TRIAL]) % op.trials)
        self.arrays[op.target][...] = self.arrays[op.table].reshape(op.rows * op.trials, -1)[row]

    @do.register
    def _(self, op: SetRow) -> None:
        row = self._row(op.by, op.stride, op.rows, "hold")
        self.arrays[op.table].reshape(op.rows, -1)[row] = self.arrays[op.source]

    @do.register
    def _(self, op: SpikeTable) -> None:
        self.arrays[op.target][:] = 0.0
        step = int(self.clock[STEP])
        if step < op.steps:
            first, last = self.arrays[op.offsets][step : step + 2]
            self.arrays[op.target][self.arrays[op.indices][first:last]] = 1.0

    @do.register
    def _(self, op: Sum) -> None:
        values = {name: self.arrays[array] for name, array in op.bind.items()}
        self.arrays[op.target][0] = np.sum(np.broadcast_to(op.expression.numpy(values), (op.size,)))

    @do.register
    def _(self, op: Dot) -> None:
        self.arrays[op.target][:] = self.arrays[op.matrix].reshape(op.rows, op.columns) @ self.arrays[op.vector]

    @do.register
    def _(self, op: DelayLine) -> None:
        now = self.arrays[op.source][0]
        if op.steps == 0:
            self.arrays[op.target][0] = now
            return
        ring, slot = self.arrays[op.ring], int(self.clock[TICK]) % op.steps
        self.arrays[op.target][0], ring[slot] = ring[slot], now

    @do.register
    def _(self, op: Remember) -> None:
        ring, slot, output = self.arrays[op.ring], int(self.clock[TICK]) % op.depth, self.arrays[op.output]
        if op.spiking:
            fired = np.flatnonzero(output)
            ring[slot, 0] = fired.size
            ring[slot, 1 : fired.size + 1] = fired
        else:
            ring[slot] = output

    def _output_of(self, op: Deliver, delay: int) -> np.ndarray:
        """The presynaptic output of ``delay`` steps ago; spikes as 0.0 and 1.0."""
        if op.ring is None:
            return self.arrays[op.output]
        row = self.arrays[op.ring][(int(self.clock[TICK]) - delay) % op.depth]
        if not op.spiking:
            return row
        output = np.zeros(op.synapses.n_pre)
        output[row[1 : row[0] + 1]] = 1.0
        return output

    @do.register
    def _(self, op: Deliver) -> None:
        pre, post = self.arrays[op.synapses.pre], self.arrays[op.synapses.post]
        if op.delays is None:
            output = self._output_of(op, op.delay)
            if op.arrived is not None:
                self.arrays[op.arrived][:] = output
            passing = output[pre]
        else:
            passing, delays = np.zeros(op.synapses.n), self.arrays[op.delays]
            for delay in np.unique(delays):
                passing[delays == delay] = self._output_of(op, int(delay))[pre[delays == delay]]
        if op.drawn is not None:
            self._draw_at_spikes(op.drawn, np.flatnonzero(output), pre)
        if op.release is not None:
            passing = self._release(op, passing)
        weight = self.arrays[op.weight] if op.noise is None else self.arrays[op.weight] + self.arrays[op.noise]
        into = self.arrays[op.into]
        into[:] = 0.0
        arriving = np.flatnonzero(passing)  # a weight that became infinite is silent until something arrives
        np.add.at(into, post[arriving], weight[arriving] * passing[arriving])

    def _draw_at_spikes(self, op: DrawnAtSpikes, arrived: np.ndarray, pre: np.ndarray) -> None:
        x, seen, tick = self.arrays[op.x], self.arrays[op.seen], float(self.clock[TICK])
        if not arrived.size:
            return
        left = np.where(seen < 0, 0.0, op.decay ** (tick - seen))[pre]
        std = self.arrays[op.std] if isinstance(op.std, str) else op.std
        xi = self._numbers(op.law, op.stream, x.size, probe=True) * self.arrays[PROBE_SCALE][0]
        x[:] = np.where(np.isin(pre, arrived), left * x + std * np.sqrt(1.0 - left**2) * xi, x)
        seen[arrived] = tick

    def _release(self, op: Deliver, arriving: np.ndarray) -> np.ndarray:
        r = op.release
        assert r is not None
        tick, arrives = float(self.clock[TICK]), arriving > 0
        if r.ready_at is not None:
            arrives = arrives & (self.arrays[r.ready_at] <= tick)
        drive = self.arrays[r.q]
        if r.c is not None:
            self.arrays[r.c] *= r.c_decay
            drive = drive + self.arrays[r.c]
            self.arrays[r.c][arriving > 0] += r.facilitation
        p = 1.0 / (1.0 + np.exp(-drive))
        released = arrives & (self.arrays[r.uniform] < p)
        self.arrays[r.score][:] = np.where(arrives, released - p, 0.0)
        if r.ready_at is not None:
            assert r.recovery is not None
            wait = -r.recovery_steps * np.log(self.arrays[r.recovery])
            self.arrays[r.ready_at][released] = tick + wait[released]
        return released.astype(float)

    def _drive(self, op: Learn, products: tuple[Product, ...]) -> np.ndarray:
        total = np.zeros(op.synapses.n)
        pre, post = self.arrays[op.synapses.pre], self.arrays[op.synapses.post]
        for term in products:
            value = np.full(op.synapses.n, term.coefficient)
            for factors, index in ((term.pre, pre), (term.post, post), (term.synapse, slice(None))):
                for name, power in factors:
                    value = value * self.arrays[name][index] ** power
            total += value
        return total

    @do.register
    def _(self, op: Learn) -> None:
        e = [self.arrays[name] for name in op.eligibility]
        change = op.step_rate * self.arrays[op.modulator][0] * e[-1]
        if op.update == "continuous":
            self.arrays[op.target] += change
            if op.bound_each == "step":
                self._bound(op)
        elif op.update == "deferred":
            assert op.pending is not None
            self.arrays[op.pending] += change
        for k in reversed(range(len(e))):
            e[k][:] = op.decay * sum(op.h**m / math.factorial(m) * e[k - m] for m in range(k + 1))
        e[0] += op.gain * self._drive(op, op.products)

    @do.register
    def _(self, op: EndLearn) -> None:
        learn = op.learn
        target = self.arrays[learn.target]
        if op.closing:
            change = learn.step_rate * self.arrays[learn.modulator][0] * self.arrays[learn.eligibility[-1]]
            if learn.update == "continuous":
                target += change
            else:
                assert learn.pending is not None
                self.arrays[learn.pending] += change
        if learn.update == "deferred":
            assert learn.pending is not None
            target += self.arrays[learn.pending]
            self.arrays[learn.pending][:] = 0.0
        elif learn.update == "episodic":
            change = learn.rate * self.arrays[learn.modulator][0] * self.arrays[learn.eligibility[-1]]
            target += change if learn.max_change is None else np.clip(change, -learn.max_change, learn.max_change)
        self._bound(learn)

    def _bound(self, op: Learn) -> None:
        if op.low is not None or op.high is not None:
            np.clip(self.arrays[op.target], op.low, op.high, out=self.arrays[op.target])

    @do.register
    def _(self, op: ChipLearn) -> None:
        for trace in op.traces:
            x, (fallen, chance) = self.arrays[trace.array], trace.fall()
            at = x.astype(int)
            x[:] = fallen[at]
            if trace.uniform is not None:
                x += self.arrays[trace.uniform] < chance[at]
            x[:] = np.minimum(x + trace.impulse * (self.arrays[trace.arrived] > 0), TRACE_MAX)
        tag, weight = self.arrays[op.tag], self.arrays[op.target]
        values = {"w": np.rint(weight / op.unit).astype(int), "t": tag.astype(int)}
        for variable, array in op.values:
            index = self.arrays[op.synapses.pre if variable[0] == "x" else op.synapses.post]
            value = self.arrays[array].astype(int)
            values[variable] = value[index] if value.size > 1 else np.broadcast_to(value, op.synapses.n)
        if op.dw:
            weight[:] = op.unit * self._learned(op, op.dw, values, "w", (op.low, op.high), op.step, op.round_weights)
        if op.dt:
            tag[:] = self._learned(op, op.dt, values, "t", TAG_RANGE, 1, op.round_tags)

    def _learned(
        self, op: ChipLearn, products: tuple[ChipProduct, ...], values: dict[str, np.ndarray], variable: str, within: tuple[int, int],
        step: int, stream: str | None,
    ) -> np.ndarray:
        """The new whole numbers of "w" or "t"."""
        total = 128 * values[variable]
        for p in products:
            change = p.mantissa * (1 if p.dependency == "u0" else values[p.dependency])
            for factor, offset in p.factors:
                change = change * (values[factor] + offset)
            total = np.clip(total + np.clip((change >> p.shift) << (p.exponent + 7), *ACCUMULATOR), *ACCUMULATOR)
        whole, rest = np.divmod(total, 128 * step)
        if stream is not None:
            at = TRIAL_DRAW if op.each == "trial" else int(self.clock[STEP])
            bits = draw_bytes(total.size, stream_key(self.program.seed, stream), at, int(self.clock[TRIAL]))
            whole = whole + (bits.astype(int) * 128 * step < 256 * rest)
        return np.clip(step * whole, *within)

    @do.register
    def _(self, op: CallTask) -> None:
        assert self.task is not None
        if op.method == "reset" or int(self.clock[STEP]) % op.every == op.every - 1:
            self.task.call(op.method, self.arrays)


def run_trials(
    program: StepProgram, arrays: dict[str, np.ndarray], operations: Interpreter, neurons: Callable[[], None], trials: int,
    recorder: Recorder, after_trial: AfterTrial | None,
) -> int:
    """The loop over trials, passes and steps; gives the number of trials that were run."""
    clock = arrays[CLOCK]
    for done in range(1, trials + 1):
        for pass_ in range(program.passes):
            clock[PASS], clock[STEP] = pass_, 0
            start_pass(program, arrays)
            recorder.start(int(clock[TRIAL]), pass_)
            operations.run(program.trial_start)
            for _ in range(program.steps):
                operations.run(program.before)
                neurons()
                operations.run(program.after)
                recorder.step(arrays)
                clock[STEP] += 1
                clock[TICK] += 1
                if program.done is not None and arrays[program.done][0] != 0.0:
                    break
            operations.run(program.pass_end if pass_ < program.passes - 1 else program.trial_end)
        recorder.end(arrays)
        clock[TRIAL] += 1
        if after_trial is not None and not after_trial(int(clock[TRIAL]) - 1, arrays):
            return done
    return trials


def start_pass(program: StepProgram, arrays: dict[str, np.ndarray]) -> None:
    """Reset what a trial resets, of the arrays that are here, and switch the probes."""
    if program.reset:
        arrays[CLOCK][TICK] = 0
        for name, array in program.arrays.items():
            if array.reset and name in arrays:
                arrays[name][...] = array.initial
    first_of_two = program.passes == 2 and arrays[CLOCK][PASS] == 0
    arrays[PROBE_SCALE][0] = 0.0 if first_of_two and program.pass_noise == "off" else 1.0


class Recorder:
    """Collects what monitors ask for, in trials that are to be recorded: results[name][trial] is an array (samples, size)."""

    def __init__(self, recordings: tuple[Recording, ...], trials: dict[str, set[int]], passes: int) -> None:
        self.recordings, self.trials, self.passes = recordings, trials, passes
        self.results: dict[str, dict[int, np.ndarray]] = {r.name: {} for r in recordings}
        self._open: list[tuple[Recording, list[np.ndarray]]] = []
        self._count = 0

    def start(self, trial: int, pass_: int) -> None:
        self._trial, self._count = trial, 0
        last = pass_ == self.passes - 1
        self._open = [(r, []) for r in self.recordings if last and trial in self.trials[r.name]]

    @staticmethod
    def _sample(recording: Recording, arrays: dict[str, np.ndarray]) -> np.ndarray:
        values = arrays[recording.array].ravel()
        return values.copy() if recording.units is None else values[recording.units]

    def step(self, arrays: dict[str, np.ndarray]) -> None:
        self._count += 1
        for recording, samples in self._open:
            if recording.stride and self._count % recording.stride == 0:
                sample = self._sample(recording, arrays)
                samples.append(sample.astype(np.uint8) if recording.spikes else sample)

    def end(self, arrays: dict[str, np.ndarray]) -> None:
        for recording, samples in self._open:
            rows = samples if recording.stride else [self._sample(recording, arrays)]
            if rows:
                self.results[recording.name][self._trial] = np.stack(rows)


class ReferenceExecutable:
    """A program with its arrays, ready to run."""

    def __init__(self, program: StepProgram, task: TaskCaller | None) -> None:
        self.program = program
        self.arrays = program.fresh_arrays()
        self.report = LoweringReport("reference", program.notes)
        self._operations = Interpreter(program, self.arrays, task)

    def run(self, trials: int, recorder: Recorder, after_trial: AfterTrial | None = None) -> int:
        return run_trials(
            self.program, self.arrays, self._operations, lambda: self._operations.run(self.program.neurons), trials, recorder,
            after_trial,
        )

    def close(self) -> None:
        """Nothing to give back."""


class Reference:
    """The NumPy target: exact, plain, slow."""

    name = "reference"

    def prepare(self, program: StepProgram, task: TaskCaller | None = None) -> ReferenceExecutable:
        return ReferenceExecutable(program, task)

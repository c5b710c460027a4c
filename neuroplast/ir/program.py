"""The step program: a network in discrete time, as arrays and an ordered list of small operations.

It is the one thing that every target executes. The written law of a time step (docs/design.md) is the order of the operations:

    before    1 modulators   3 arrivals into accumulators   4 noise and given values   (a)
    neurons   2 exact decay + arrivals, 5 integrate, spike, reset: one Map a population, over its own arrays and no others
    after     6 plasticity: weight first, then eligibility   7 monitors, then the task sees the output and sets reward and inputs

(a) an arrival adds to a decayed trace: ``g <- decay g + arrived`` is step 2 then step 3.

A run is ``for trial: for pass: reset, trial_start, steps x (before, neurons, after), pass_end or trial_end``. Random numbers are
counter-based (Philox 4x64-10): draw k of stream s in step n of trial t depends on (seed, s, t, n, k) alone, so targets agree to
rounding, and a run that was stopped goes on exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

import numpy as np

from neuroplast.errors import Source
from neuroplast.expressions import Expression

STEP, TRIAL, PASS, TICK = 0, 1, 2, 3
"""Places in the array ``clock`` (int64): step within the trial, trial, pass, steps since the start of the run or pass."""

CLOCK = "clock"
PROBE_SCALE = "probe_scale"
"""(1,) 1.0, and 0.0 in a first pass with noise off: multiplies the draws of probes."""


@dataclass(frozen=True)
class SpikeTrace:
    """y <- decay y + arrived, then 0 where it is below ``floor``: what the statements of a Map do to an array in each step."""

    arrived: str
    decay: float
    floor: float


@dataclass(frozen=True, eq=False)
class Array:
    """One array of the program. reset: a trial starts from ``initial`` again. kind: "state" (changes), "constant", "scratch"
    (means nothing between trials). shape: for readers; targets see it flat, row-major. dims: names of its axes.  trace: its law,
    where it is a trace of spikes."""

    name: str
    initial: np.ndarray
    unit: str = "1"
    kind: str = "state"
    reset: bool = False
    dims: tuple[str, ...] = ()
    where: Source | None = None
    trace: SpikeTrace | None = None


@dataclass(frozen=True)
class Map:
    """for k in range(size): the statements, in order. Arrays of size 1 are broadcast. A target that is not bound is a local.

    bind: name in the code -> name of the array. In ``neurons``, ``owner`` is the population and all arrays have its size.
    """

    owner: str
    size: int
    code: tuple[tuple[str, Expression], ...]
    bind: Mapping[str, str]


@dataclass(frozen=True)
class Draw:
    """target[:] <- fresh random numbers. law: "normal" N(0,1), "uniform" (0,1), "centred" uniform with mean 0 and SD 1.

    probe: its own numbers in each pass, and (normal, centred) multiplied by PROBE_SCALE.  each: "step" or "trial".
    stream: the name from which, with the seed, its key follows.
    """

    target: str
    law: str
    stream: str
    probe: bool
    each: str = "step"


@dataclass(frozen=True)
class Row:
    """target[:] <- table[row]. by: "step" (row = step // stride) or the name of a (1,) array that holds the row.

    mode: what happens past the end: "hold" the last row or "wrap". trials > 1: the table holds one such table a trial, in turn.
    """

    target: str
    table: str
    rows: int
    by: str = "step"
    stride: int = 1
    mode: str = "hold"
    trials: int = 1


@dataclass(frozen=True)
class SetRow:
    """table[row] <- source, the counterpart of Row (by, stride and mode as there)."""

    table: str
    source: str
    rows: int
    by: str = "step"
    stride: int = 1


@dataclass(frozen=True)
class SpikeTable:
    """target[:] <- 1.0 for the units listed for this step, 0.0 else: indices[offsets[step]:offsets[step + 1]]; none past the end."""

    target: str
    offsets: str
    indices: str
    steps: int


@dataclass(frozen=True)
class Sum:
    """target[0] <- sum over k of the expression (bind as in Map)."""

    target: str
    size: int
    expression: Expression
    bind: Mapping[str, str]


@dataclass(frozen=True)
class Dot:
    """target[i] <- sum_j matrix[i, j] vector[j]; matrix has shape (rows, columns)."""

    target: str
    matrix: str
    vector: str
    rows: int
    columns: int


@dataclass(frozen=True)
class DelayLine:
    """target[0] <- source[0] of ``steps`` steps ago (0: now). ring: (steps,) array, used at tick % steps."""

    target: str
    source: str
    ring: str
    steps: int


@dataclass(frozen=True)
class Synapses:
    """Who is connected: synapses sorted by (pre, post). Arrays pre, post (int32, (n,)), row_start (int32, (n_pre + 1,)).

    dense: all pairs, so synapse (j, i) is number j * n_post + i.
    """

    name: str
    n_pre: int
    n_post: int
    n: int
    pre: str
    post: str
    row_start: str
    dense: bool


@dataclass(frozen=True)
class Remember:
    """At the end of a step: put the output of a population into its ring, at slot tick % depth.

    Spiking: ring is int32 (depth, size + 1), a row being the count and then the indices, ascending.
    Graded: ring is float (depth, size).
    """

    population: str
    output: str
    ring: str
    depth: int
    size: int
    spiking: bool


@dataclass(frozen=True)
class ReleaseState:
    """Stochastic release of a projection: arrays (n,) each. uniform, recovery: fresh uniforms; ready_at: tick from which the
    synapse is available again (float); c: facilitation, or None; released: 1.0 where released in this step; score: release
    score in this step (1 - p, -p, or 0 where nothing arrived)."""

    q: str
    uniform: str
    recovery: str | None
    ready_at: str | None
    c: str | None
    facilitation: float
    c_decay: float
    recovery_steps: float
    score: str


@dataclass(frozen=True)
class DrawnAtSpikes:
    """Noise of weights that only spikes read: drawn for all synapses of a unit when its spike arrives, n steps after the last time,

        x <- a^n x + std sqrt(1 - a^2n) xi        (x <- std xi the first time, and always where a = 0),

    which is the law of the process over that time. x: (n,) array.  seen: (n_pre,) tick of the last time, -1 for never.  std: a
    number, or an (n,) array.  law, stream: of xi, which is number s of this step's draw for synapse s, as in Draw with probe.
    """

    x: str
    seen: str
    decay: float
    std: float | str
    law: str
    stream: str


@dataclass(frozen=True)
class Deliver:
    """Arrivals of one projection: into[:] <- 0, then for each synapse whose presynaptic output of ``delay`` steps ago arrives
    now: into[post] += (weight + noise) * output.

    ring, depth, output: of the presynaptic population (Remember). Graded with delay 1 has ring None and reads ``output``:
    last step's rate, or the value given in this step. delays: int32 (n,) array in steps, or None where all have ``delay``.
    arrived: (n_pre,) array set to 1.0 for units whose spike arrives now, 0.0 else; graded: the output that arrives now (None
    where no rule reads it, or where delays differ). With release, an arrival passes only where the synapse releases. drawn: how
    the noise comes about, where no other operation makes it.
    """

    projection: str
    synapses: Synapses
    weight: str
    noise: str | None
    into: str
    output: str
    ring: str | None
    depth: int
    spiking: bool
    delay: int
    delays: str | None
    arrived: str | None
    release: ReleaseState | None
    drawn: DrawnAtSpikes | None = None


@dataclass(frozen=True)
class Product:
    """coefficient * product of array ** power. pre, post, synapse: (array, power) each, of size n_pre, n_post, n."""

    coefficient: float
    pre: tuple[tuple[str, int], ...]
    post: tuple[tuple[str, int], ...]
    synapse: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Learn:
    """The rule of one projection. In each step, over its synapses, with w the target array:

        w += step_rate * M * e_last        (update "continuous"; bounds low, high applied if bound_each == "step")
        dw += step_rate * M * e_last       (update "deferred", dw the array ``pending``)
        e_k <- decay * sum_m (h^m / m!) e_(k-m)    for each of the order + 1 arrays, from the last to the first
        e_0 += gain * sum of products

    and when a trial ends: "deferred" w += dw, dw = 0;  "episodic" w += clip(rate * M * e_last, +-max_change);  then the bounds.
    decay 0: no memory.  step_rate = rate * dt.
    """

    projection: str
    synapses: Synapses
    target: str
    eligibility: tuple[str, ...]
    pending: str | None
    products: tuple[Product, ...]
    decay: float
    h: float
    gain: float
    modulator: str
    rate: float
    step_rate: float
    update: str
    low: float | None
    high: float | None
    bound_each: str
    max_change: float | None


@dataclass(frozen=True)
class EndLearn:
    """The part of a Learn that happens when a trial ends. closing: first the weight change that the next step would have begun
    with (``step_rate * M * e``), where no step follows: the reward of the last step is acted on."""

    learn: Learn
    closing: bool = False


TRACE_MAX = 127
"""Traces of a chip's learning engine have 7 bits."""
TAG_RANGE = (-256, 255)
ACCUMULATOR = (-(2**15) - 1, 2**15 - 1)
"""As Lava has it, with one more on the negative side."""
WIDTHS = {"x0": 1, "x1": 7, "x2": 7, "y0": 1, "y1": 7, "y2": 7, "y3": 7, "w": 9, "t": 9}
"""Bits of what a product of the engine multiplies; weights and tags have a sign."""


@dataclass(frozen=True)
class ChipTrace:
    """Presynaptic trace of a learning engine, with f = exp(-1/tau), tau in steps (0: f = 0, no memory):

        x <- floor(f x) + [uniform < f x - floor(f x)];   x <- min(127, x + impulse) where a spike has arrived

    variable: "x1" or "x2".  array, arrived, uniform: arrays (n_pre,), all whole numbers but the last (None where tau is 0).
    """

    variable: str
    array: str
    arrived: str
    uniform: str | None
    tau: float
    impulse: int

    def fall(self) -> tuple[np.ndarray, np.ndarray]:
        """(floor(f x), f x - floor(f x)) for x from 0 to 127."""
        x = np.arange(TRACE_MAX + 1) * (float(np.exp(-1.0 / self.tau)) if self.tau else 0.0)
        return np.floor(x), x - np.floor(x)


@dataclass(frozen=True)
class ChipProduct:
    """One product of a learning rule: mantissa 2^exponent times its dependency times its factors, in the engine's arithmetic

        P <- dependency * prod (variable + offset) * mantissa;   P <- (P >> shift) 2^(exponent + 7), within ACCUMULATOR

    which is 128 times the change.  dependency: "u0" (always), "x0" (a presynaptic spike), "y0".  factors: (variable, offset),
    variable a key of ``WIDTHS``.  mantissa: -8 to 7, exponent: -7 to 8.  The shift makes room: a product of many bits counts less.
    """

    mantissa: int
    exponent: int
    dependency: str
    factors: tuple[tuple[str, int], ...]

    @property
    def bits(self) -> int:
        return sum(WIDTHS[variable] for variable, _ in self.factors) + 4

    @property
    def shift(self) -> int:
        return max(0, self.bits - 15)

    def __str__(self) -> str:
        """As Lava writes it."""
        factors = [f"({v}{offset:+d})" if offset else v for v, offset in self.factors]
        return "*".join([f"({self.mantissa})", f"2^{self.exponent}", self.dependency, *factors])


@dataclass(frozen=True)
class ChipLearn:
    """One step of a chip's learning engine over the synapses of a projection, all in whole numbers. Weight W = target / unit, tag T:

        traces;   W' <- W + (sum of dw) / 128,   T' <- T + (sum of dt) / 128      from the same W and T; 128 W', 128 T' within ACCUMULATOR
        W <- W' rounded at random to a multiple of ``step``, within low and high;   T <- T' rounded at random, within TAG_RANGE

    Rounding: with q = 128 step and 128 W' = a q + b, up to (a + 1) step where r q < 256 b, r being byte s of this step's
    ``round_weights`` stream for synapse s (T likewise, step 1, ``round_tags``): exact, as b has 8 bits at most. Both may be one stream, as
    in Lava, where one number rounds all. None where nothing is ever between. This is Lava's PyLearningDenseModelBitApproximate with a
    random number for each synapse.

    values: variable of ``WIDTHS`` -> its array, (n_pre,) for x, (n_post,) or (1,) for y.  each: "step", or "trial" (the change when a
    trial ends, which has no traces and leaves the tag).
    """

    projection: str
    synapses: Synapses
    target: str
    unit: float
    tag: str
    values: tuple[tuple[str, str], ...]
    traces: tuple[ChipTrace, ...]
    dw: tuple[ChipProduct, ...]
    dt: tuple[ChipProduct, ...]
    low: int
    high: int
    step: int
    round_weights: str | None
    round_tags: str | None
    each: str = "step"

    def text(self, which: str) -> str:
        """The products of "dw" or "dt" in Lava's learning language."""
        return " + ".join(map(str, getattr(self, which)))


@dataclass(frozen=True)
class CallTask:
    """Call the Python task: method "reset" (trial start) or "step"; every: in steps."""

    method: str
    every: int = 1


Operation = Union[
    Map, Draw, Row, SetRow, SpikeTable, Sum, Dot, DelayLine, Remember, Deliver, Learn, EndLearn, ChipLearn, CallTask
]


@dataclass(frozen=True)
class Recording:
    """What a monitor records: ``array`` (or its ``units``) at the end of every ``stride``-th step, or of the trial (stride 0).

    numbers: what the user calls these units, where it is not their place in the array.
    """

    name: str
    array: str
    stride: int
    units: np.ndarray | None
    trials: object
    spikes: bool
    unit: str
    dims: tuple[str, ...]
    numbers: np.ndarray | None = None


@dataclass(frozen=True)
class Note:
    """One line of the lowering report: a number or feature that is not exactly what was asked, or a choice that was made."""

    node: str
    what: str
    asked: str
    got: str
    where: Source | None = None


@dataclass(frozen=True)
class StepProgram:
    """Everything a target needs. measures: name -> (1,) array logged when a trial ends. done: (1,) array; a value other than 0
    after a step ends the trial early. reset: arrays with reset=True and the rings start anew in each trial (and pass)."""

    name: str
    dt: float
    steps: int
    passes: int
    pass_noise: str
    seed: int
    arrays: dict[str, Array]
    trial_start: tuple[Operation, ...]
    before: tuple[Operation, ...]
    neurons: tuple[Map, ...]
    after: tuple[Operation, ...]
    pass_end: tuple[Operation, ...]
    trial_end: tuple[Operation, ...]
    measures: dict[str, str]
    measure_units: dict[str, str]
    recordings: tuple[Recording, ...]
    done: str | None
    reset: bool
    notes: tuple[Note, ...] = ()
    task: object | None = None
    populations: dict[str, int] = field(default_factory=dict)

    @property
    def calls_python(self) -> bool:
        return any(isinstance(op, CallTask) for op in (*self.trial_start, *self.after))

    def fresh_arrays(self) -> dict[str, np.ndarray]:
        """A new set of arrays in their initial state, C-contiguous."""
        return {name: np.array(a.initial, order="C") for name, a in self.arrays.items()}

    def state_names(self) -> tuple[str, ...]:
        """Arrays that change and mean something between two steps."""
        return tuple(name for name, a in self.arrays.items() if a.kind == "state")

    def lasting_names(self) -> tuple[str, ...]:
        """What a checkpoint between two trials holds: not the eligibilities that the next trial starts anew, which are large."""
        anew = {name for op in self.after if isinstance(op, Learn) for name in op.eligibility if self.arrays[name].reset}
        anew |= {op.tag for op in self.after if isinstance(op, ChipLearn) if self.arrays[op.tag].reset}
        return tuple(name for name in self.state_names() if not (self.reset and name in anew))

    def digest(self) -> str:
        """A name for this program: equal for equal operations, sizes, constants and initial values."""
        h = hashlib.blake2b(digest_size=12)
        for part in (self.dt, self.steps, self.passes, self.pass_noise, self.seed, self.trial_start, self.before, self.neurons,
                     self.after, self.pass_end, self.trial_end, self.measures, self.done, self.reset):
            h.update(repr(part).encode())
        for name, array in self.arrays.items():
            h.update(f"{name}{array.initial.dtype}{array.initial.shape}{array.kind}{array.reset}".encode())
            h.update(np.ascontiguousarray(array.initial).reshape(-1).view(np.uint8).data)
        return h.hexdigest()


def stream_key(seed: int, stream: str) -> tuple[int, int]:
    """The two 64-bit words that key a stream."""
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


TRIAL_DRAW = (1 << 63) - 1
"""Stands for the step in the counter of a draw that is made once a trial."""


def draw(law: str, size: int, key: tuple[int, int], step: int, trial: int, pass_: int) -> np.ndarray:
    """The random numbers of one Draw (before PROBE_SCALE): words of Philox 4x64-10 with counter (block, step, trial, pass).

    Value k is 32 bits: the low half of word k // 2 for even k, the high half for odd k; u = (bits + 1/2) / 2^32. Normal numbers
    come in pairs by Box and Muller: sqrt(-2 ln u_2j) (cos, sin)(2 pi u_2j+1).
    """
    words = np.random.Philox(key=np.array(key, np.uint64), counter=np.array([0, step, trial, pass_], np.uint64)).random_raw(
        (size + 1) // 2
    )
    u = (words.view(np.uint32).astype(float) + 0.5) * 2.0**-32
    if law == "uniform":
        return u[:size]
    if law == "centred":
        return (2.0 * u[:size] - 1.0) * np.sqrt(3.0)
    radius, angle = np.sqrt(-2.0 * np.log(u[0::2])), 2.0 * np.pi * u[1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:size]


def draw_bytes(size: int, key: tuple[int, int], step: int, trial: int) -> np.ndarray:
    """Random bytes, 0 to 255, 64 from each word of Philox (that ``draw`` would use with pass 0): byte k is bits 8 (k % 8) up of number
    k % 64 // 8 + 1 of SplitMix64 started at word k // 64.

    SplitMix64: G. L. Steele, D. Lea, C. H. Flood: Fast splittable pseudorandom number generators, OOPSLA 2014, 10.1145/2660193.2660195.
    It is several times as fast as Philox, and rounding asks for very many bytes.
    """
    words = np.random.Philox(key=np.array(key, np.uint64), counter=np.array([0, step, trial, 0], np.uint64)).random_raw((size + 63) // 64)
    z = words[:, None] + np.arange(1, 9, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).astype("<u8").view(np.uint8).ravel()[:size]

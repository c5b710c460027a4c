"""The song network in Lava: LearningDense with a three-factor rule between processes of our own, in floating point.

The rule, in Loihi's language:  dt = u0*x1*y1 - u0*t*y3 (the eligibility is the tag),  dw = u0*t*y2,  where x1 is the trace of HVC
spikes and RA sends y1 = dt (g_N - mean), y2 = the reward's rate, y3 = the tag's leak in a step. A Dense connection takes one step,
and what it learns from RA in a step meets the trace before that; so RA draws its noise, and knows its reward, a step ahead. Bounds
are applied from outside after a trial. With that: the same numbers as ours without a floor of the trace s.

Stepped in this process by our executor, which is about ten times as fast as Lava's own runtime (a process of the operating system
for each of Lava's, messages through shared memory); results are the same.
"""

# Lava's annotations are loose:
# pyright: reportMissingImports=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportAssignmentType=false, reportOptionalOperand=false, reportOperatorIssue=false
from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.registry import Job
from benchmarks.song import network as song
from neuroplast.backends.lava.compat import require_lava

require_lava()

from lava.magma.core.decorator import implements, requires, tag  # noqa: E402
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule  # noqa: E402
from lava.magma.core.model.py.model import PyLoihiProcessModel  # noqa: E402
from lava.magma.core.model.py.neuron import LearningNeuronModelFloat  # noqa: E402
from lava.magma.core.model.py.ports import PyInPort, PyOutPort  # noqa: E402
from lava.magma.core.model.py.type import LavaPyType  # noqa: E402
from lava.magma.core.process.neuron import LearningNeuronProcess  # noqa: E402
from lava.magma.core.process.ports.ports import InPort, OutPort  # noqa: E402
from lava.magma.core.process.process import AbstractProcess  # noqa: E402
from lava.magma.core.resources import CPU  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402
from lava.proc.dense.models import PyLearningDenseModelFloat  # noqa: E402
from lava.proc.dense.process import LearningDense  # noqa: E402

from neuroplast.backends.lava.inprocess import InProcess  # noqa: E402

LAG = round(song.REWARD_DELAY / song.DT)


def decay(tau: float) -> float:
    return float(np.exp(-song.DT / tau))


class Hvc(AbstractProcess):
    """Sends the spikes of each step of a trial, again and again. spikes: (steps, n) of bool."""

    def __init__(self, spikes: np.ndarray) -> None:
        super().__init__(spikes=spikes)
        self.s_out = OutPort(shape=(spikes.shape[1],))


@implements(proc=Hvc, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class HvcModel(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, bool)

    def run_spk(self) -> None:
        spikes = self.proc_params["spikes"]
        self.s_out.send(spikes[(self.time_step - 1) % len(spikes)])


class Ra(LearningNeuronProcess, AbstractProcess):
    """RA neurons with their noise, the readouts, and the reward. lman: spikes (steps, n) in place of its own."""

    def __init__(self, learning_rule: Any, job: Job, v: np.ndarray, g: np.ndarray, lman: np.ndarray | None) -> None:
        shape = (song.N_RA,)
        super().__init__(shape=shape, learning_rule=learning_rule, steps=job.steps, v=v, g=g, lman=lman)
        self.a_in = InPort(shape=shape)


@implements(proc=Ra, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class RaModel(LearningNeuronModelFloat):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.random, self.target = np.random.default_rng(1), song.target(proc_params["steps"])
        self.v, self.g_e, self.m = proc_params["v"].copy(), np.zeros(song.N_RA), np.zeros(song.N_MOTOR)
        self.g_n = decay(song.TAU_N) * proc_params["g"]
        self.fired, self.rewards = np.zeros(song.N_RA, bool), np.zeros(LAG + 1)
        self.out = song.motor_weights().reshape(song.N_MOTOR, -1)
        self.none = np.zeros(song.N_RA, bool)
        # Lava decays what RA sends once, with a time constant of 65535 steps
        self.sent = float(np.exp(1 / 65535))
        self.leak = np.full(song.N_RA, self.sent * (1 - decay(song.TAU_ELIGIBILITY)))

    def run_spk(self) -> None:
        n = self.time_step - 1
        self.g_e = decay(song.TAU_E) * self.g_e + self.a_in.recv()
        g = 1.0 + self.g_e + self.g_n
        to = (song.REST + (g - 1.0) * song.REVERSAL) / g
        v = to + (self.v - to) * np.exp(-song.DT / song.TAU_M * g)
        heard = (self.out * self.fired.reshape(song.N_MOTOR, -1)).sum(axis=1)
        self.fired = v > song.THRESHOLD
        self.v = np.where(self.fired, song.RESET, v)
        self.m = decay(song.TAU_MOTOR) * self.m + heard
        off = self.m - self.target[n % len(self.target)]
        self.rewards[n % (LAG + 1)] = float(off @ off) < song.REWARD_DISTANCE
        # of the next step
        given = self.proc_params["lman"]
        lman = self.random.random(song.N_RA) < song.LMAN_CHANCE if given is None else given[n]
        self.g_n = decay(song.TAU_N) * self.g_n + song.LMAN_WEIGHT * lman
        reward = self.rewards[(n + 1) % (LAG + 1)]  # that of LAG steps ago
        self.s_out_bap.send(self.none)
        self.s_out_y1.send(self.sent * song.DT * (self.g_n - song.NOISE_MEAN))
        self.s_out_y2.send(np.full(song.N_RA, self.sent * song.ETA / song.TAU_S * song.DT * reward))
        self.s_out_y3.send(self.leak)


class Lava:
    """few: run only so many steps of each trial when it is timed."""

    def __init__(self, few: int | None = None) -> None:
        self.few, self.steps = few, 0

    def prepare(self, job: Job) -> None:
        self.job, data = job, job.arrays()
        self.steps = job.steps if job.given or self.few is None else self.few
        unit, step = song.hvc_spikes(job.steps)
        spikes = np.zeros((job.steps, song.N_HVC), bool)
        spikes[step, unit] = True
        rule = Loihi3FLearningRule(dw="u0*t*y2", dt="u0*x1*y1 - u0*t*y3", x1_impulse=1.0, x1_tau=song.TAU_S / song.DT)
        hvc, ra = Hvc(spikes), Ra(rule, job, data["v"], data["g"], data["lman"].reshape(-1, song.N_RA) if job.given else None)
        self.plastic = LearningDense(weights=data["w"].T.copy(), learning_rule=rule)
        hvc.s_out.connect(self.plastic.s_in)
        self.plastic.a_out.connect(ra.a_in)
        for name in ("bap", "y1", "y2", "y3"):
            getattr(ra, f"s_out_{name}").connect(getattr(self.plastic, f"s_in_{name}"))
        self.network = InProcess({hvc: HvcModel, self.plastic: PyLearningDenseModelFloat, ra: RaModel})
        self.ran = 0

    def run(self, trials: int) -> None:
        """The weights of a trial's last step are there a step earlier, see above."""
        for _ in range(trials):
            self.network.run(self.steps if self.ran else self.steps - 1)
            self.ran += 1
            model = self.network.models[self.plastic]
            np.clip(model.weights, 0.0, song.W_MAX, out=model.weights)

    def outcome(self) -> np.ndarray:
        return np.array(self.network.models[self.plastic].weights.T)

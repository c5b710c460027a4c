"""Lava processes for tests: a chain of Lava's own neurons and synapses, and processes that fail in every way that is known."""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import time
from typing import Any

import numpy as np

from neuroplast.backends.lava.compat import require_lava

require_lava()

from lava.magma.core.decorator import implements, requires  # noqa: E402
from lava.magma.core.model.py.model import PyLoihiProcessModel  # noqa: E402
from lava.magma.core.model.py.ports import PyInPort, PyOutPort  # noqa: E402
from lava.magma.core.model.py.type import LavaPyType  # noqa: E402
from lava.magma.core.process.ports.ports import InPort, OutPort  # noqa: E402
from lava.magma.core.process.process import AbstractProcess  # noqa: E402
from lava.magma.core.process.variable import Var  # noqa: E402
from lava.magma.core.resources import CPU  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402
from lava.proc.dense.process import Dense, LearningDense  # noqa: E402
from lava.proc.io.source import RingBuffer  # noqa: E402
from lava.proc.lif.process import LIF  # noqa: E402


class Faulty(AbstractProcess):
    """Counts steps, and does what ``fault`` says. Ports in and out of one number each."""

    def __init__(self, fault: str = "", at: int = 3) -> None:
        super().__init__(fault=fault, at=at)
        self.a_in, self.s_out = InPort(shape=(1,)), OutPort(shape=(1,))
        self.steps, self.drawn = Var(shape=(1,), init=0), Var(shape=(1,), init=0)


@implements(proc=Faulty, protocol=LoihiProtocol)
@requires(CPU)
class FaultyModel(PyLoihiProcessModel):
    a_in: Any = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: Any = LavaPyType(PyOutPort.VEC_DENSE, float)
    steps: Any = LavaPyType(np.ndarray, float)
    drawn: Any = LavaPyType(np.ndarray, float)

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters)
        self.fault = parameters["fault"]
        if self.fault == "making":
            raise ValueError("boom while it is made")

    def run_spk(self) -> None:
        late = self.time_step >= self.proc_params["at"]
        if self.fault == "raising" and late:
            raise ValueError(f"boom at step {self.time_step}")
        if self.fault == "dying" and late:
            raise SystemExit(7)
        if self.fault == "receiving first":
            self.a_in.recv()
        if self.fault == "sleeping" and late:
            time.sleep(600)
        if self.fault != "silent":
            self.s_out.send(np.ones(1))
        if self.fault != "receiving first":
            self.a_in.recv()
        self.steps[:] += 1
        self.drawn[:] = np.random.rand()


def ring(*faults: str, at: int = 3) -> list[Faulty]:
    """Faulty processes in a ring."""
    processes = [Faulty(fault, at) for fault in faults]
    for k, process in enumerate(processes):
        process.s_out.connect(processes[(k + 1) % len(processes)].a_in)
    return processes


def faulty_models(*faults: str, at: int = 3) -> dict[Any, type]:
    return dict.fromkeys(ring(*faults, at=at), FaultyModel)


def chain(length: int, size: int, precision: str, seed: int = 0) -> list[Any]:
    """Spikes -> Dense -> LIF -> Dense -> LIF ..., recurrent at the end; ``length`` neurons."""
    rng = np.random.default_rng(seed)
    fixed = precision == "fixed"
    source = RingBuffer(data=(rng.random((size, 40)) < 0.3).astype(int))
    processes, spikes = [source], source.s_out

    def weights() -> np.ndarray:
        return np.rint(rng.normal(20, 60, (size, size))) if fixed else rng.normal(0.2, 0.6, (size, size))

    def lif() -> LIF:
        if fixed:
            return LIF(shape=(size,), du=1200, dv=400, vth=60, bias_mant=int(rng.integers(0, 90)), bias_exp=2)
        return LIF(shape=(size,), du=0.3, dv=0.1, vth=1.0, bias_mant=float(rng.uniform(0.0, 0.05)))

    for _ in range(length):
        dense, neurons = Dense(weights=weights()), lif()
        spikes.connect(dense.s_in)
        dense.a_out.connect(neurons.a_in)
        processes += [dense, neurons]
        spikes = neurons.s_out
    back = Dense(weights=-weights())
    spikes.connect(back.s_in)
    back.a_out.connect(processes[2].a_in)
    return [*processes, back]


__all__ = ["LIF", "Dense", "Faulty", "FaultyModel", "LearningDense", "RingBuffer", "chain", "faulty_models", "ring"]

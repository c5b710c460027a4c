"""The Lava process of one node of a network, and its process model: the node's operations, with ports for what comes and goes.

A time step of Lava is a step of the program. Spikes, input and other values travel between processes through ports; what a process
keeps (membranes, weights, eligibilities, the spikes it remembers) is its own.
"""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

from typing import Any

import numpy as np

from neuroplast.backends.lava.compat import require_lava
from neuroplast.backends.lava.errors import LavaError
from neuroplast.backends.lava.memory import ENDED, EPOCH, SAMPLES, Memory
from neuroplast.backends.lava.partition import EVERYWHERE, Do, Message, Part, Partition, Receive, Send
from neuroplast.backends.reference import Interpreter, start_pass
from neuroplast.backends.targets import TaskCaller
from neuroplast.ir.program import CLOCK, PASS, STEP, TICK, Operation, StepProgram

require_lava()

from lava.magma.core.decorator import implements, requires  # noqa: E402
from lava.magma.core.model.py.model import PyLoihiProcessModel  # noqa: E402
from lava.magma.core.model.py.ports import PyInPort, PyOutPort  # noqa: E402
from lava.magma.core.model.py.type import LavaPyType  # noqa: E402
from lava.magma.core.process.ports.ports import InPort, OutPort  # noqa: E402
from lava.magma.core.process.process import AbstractProcess  # noqa: E402
from lava.magma.core.resources import CPU  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402


class NodeProcess(AbstractProcess):
    """One node: a population with its noise, a projection with its release and its rule, a modulator, or the task."""

    def __init__(self, part: Part, work: Work, messages: list[Message]) -> None:
        super().__init__(name=part.name, part=part, work=work)
        add_ports(self, part, work, messages)


def add_ports(process: AbstractProcess, part: Part, work: Work, messages: list[Message]) -> None:
    """A port for each message that a part sends or receives."""
    for message in messages:
        shape = (max(1, work.memory.arrays[message.array].size),)
        if message.source == part.name:
            setattr(process, f"out_{message.port}", OutPort(shape=shape))
        if part.name in message.targets:
            setattr(process, f"in_{message.port}", InPort(shape=shape))


class Work:
    """What the processes of one program have in common."""

    def __init__(self, program: StepProgram, partition: Partition, memory: Memory, task: TaskCaller | None) -> None:
        self.program, self.partition, self.memory, self.task = program, partition, memory, task
        self.leader = next(iter(partition.parts))  # says when a trial has ended

    def copy_of(self, part: Part) -> dict[str, np.ndarray]:
        """The arrays of a part: the shown memory where it is at home or where nobody writes, else a copy."""
        arrays, home = self.memory.arrays, self.partition.home
        own = {n: arrays[n] if home.get(n, part.name) == part.name else arrays[n].copy() for n in part.arrays if n not in EVERYWHERE}
        return own | {name: arrays[name].copy() for name in EVERYWHERE}


class NodeModel(PyLoihiProcessModel):
    """Does the scripts of its part. Subclasses, one a process, have the ports."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters)
        self.part: Part = parameters["part"]
        self.work: Work = parameters["work"]
        self.program = self.work.program
        self.arrays = self.work.copy_of(self.part)
        self.clock = self.arrays[CLOCK]
        self.interpreter = Interpreter(self.program, self.arrays, self.work.task)
        self.epoch, self.running = -1, False
        home = self.work.partition.home
        self.samples = [
            (k, recording) for k, recording in enumerate(self.program.recordings)
            if recording.stride and home.get(recording.array) == self.part.name
        ]

    def _do(self, segment: str) -> None:
        for action in self.part.scripts[segment]:
            if isinstance(action, Do):
                self.operate(action.operation)
            elif isinstance(action, Send):
                values = self.arrays[action.message.array].ravel()
                getattr(self, f"out_{action.message.port}").send(values if values.size else np.zeros(1, values.dtype))
            elif isinstance(action, Receive):
                target = self.arrays[action.message.array]
                values = getattr(self, f"in_{action.message.port}").recv()
                target[...] = values[: target.size].reshape(target.shape)

    def operate(self, operation: Operation) -> None:
        """Do one operation."""
        self.interpreter.do(operation)

    def run_spk(self) -> None:
        control = self.work.memory.control
        if self.epoch != control[EPOCH]:
            self.epoch, self.running = int(control[EPOCH]), False
            self.clock[...] = self.work.memory.arrays[CLOCK]
            self.clock[PASS] = 0
            self._do("sync")
            self._start()
        if not self.running:
            raise LavaError(f"the Lava process '{self.part.name}' is stepped after its trial has ended")
        self._do("step")
        self._record()
        self.clock[STEP] += 1
        self.clock[TICK] += 1
        done = self.program.done is not None and self.arrays[self.program.done][0] != 0.0
        if done or self.clock[STEP] == self.program.steps:
            self._end()

    def _start(self) -> None:
        self.clock[STEP] = 0
        start_pass(self.program, self.arrays)
        self.running = True
        for k, _ in self.samples:
            self.work.memory.control[SAMPLES + 2 * k] = 0
        self._do("trial_start")

    def _end(self) -> None:
        if self.clock[PASS] < self.program.passes - 1:
            self._do("pass_end")
            self.clock[PASS] += 1
            self._start()
            return
        self._do("trial_end")
        self.running = False
        if self.part.name == self.work.leader:
            self.work.memory.arrays[CLOCK][...] = self.clock
            self.work.memory.control[ENDED] = 1

    def _record(self) -> None:
        if self.clock[PASS] < self.program.passes - 1:
            return
        control = self.work.memory.control
        for k, recording in self.samples:
            if self.work.memory.wanted(k) and (self.clock[STEP] + 1) % recording.stride == 0:
                values = self.arrays[recording.array].ravel()
                self.work.memory.recordings[k][control[SAMPLES + 2 * k]] = values if recording.units is None else values[recording.units]
                control[SAMPLES + 2 * k] += 1


def build(work: Work) -> dict[AbstractProcess, type]:
    """The connected processes of a program, and the model of each."""
    from neuroplast.backends.lava.engine import EngineModel, EngineProcess, chip_rules

    messages, rules = work.partition.messages, chip_rules(work.program)
    models: dict[AbstractProcess, type] = {}
    ends: dict[str, AbstractProcess] = {}
    for part in work.partition.parts.values():
        mine = [m for m in messages if m.source == part.name or part.name in m.targets]
        learns = part.name in rules
        process = EngineProcess(part, work, mine, rules[part.name]) if learns else NodeProcess(part, work, mine)
        ends[part.name] = process
        ports: dict[str, Any] = {"implements_process": None, "implements_protocol": None}
        for message in mine:
            dtype = work.memory.arrays[message.array].dtype.type
            if message.source == part.name:
                ports[f"out_{message.port}"] = LavaPyType(PyOutPort.VEC_DENSE, dtype)
            if part.name in message.targets:
                ports[f"in_{message.port}"] = LavaPyType(PyInPort.VEC_DENSE, dtype)
        model = type(f"NodeModel_{part.name}", (EngineModel if learns else NodeModel,), ports)
        models[process] = requires(CPU)(implements(proc=type(process), protocol=LoihiProtocol)(model))
    for message in messages:
        for target in message.targets:
            getattr(ends[message.source], f"out_{message.port}").connect(getattr(ends[target], f"in_{message.port}"))
    return models


__all__ = ["NodeModel", "NodeProcess", "Work", "add_ports", "build"]

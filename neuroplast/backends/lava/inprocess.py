"""The in-process executor: Lava's compiled process models, stepped in this process by greenlets.

The models, their ports and the order of their phases are Lava's own, so results are bit-identical to Lava's runtime, without one
operating system process for each process model and without messages through shared memory. A model that waits for input yields to
the others; where nobody can go on, that is an error and not a hang. What a model raises is raised here, with its traceback.

Phases of a time step (LoihiProtocol): spiking; then management and learning where a model's guards ask for them.
"""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neuroplast.backends.lava.errors import LavaError
from neuroplast.backends.lava.network import Models, compile_network, forget, tidy, whole_steps
from neuroplast.backends.lava.variables import read, write

from greenlet import getcurrent, greenlet  # isort: skip
from lava.magma.compiler.builders.channel_builder import ChannelBuilderMp  # isort: skip
from lava.magma.compiler.builders.py_builder import PyProcessBuilder  # isort: skip
from lava.magma.core.model.py.model import PyLoihiProcessModel  # isort: skip
from lava.magma.core.process.ports.ports import create_port_id  # isort: skip
from lava.magma.core.process.process import AbstractProcess  # isort: skip


class _Channel:
    """Messages on their way from one port to another."""

    __slots__ = ("main", "messages", "name", "types")

    def __init__(self, name: str, dtype: np.dtype, main: Callable[[], greenlet]) -> None:
        self.name, self.types, self.main = name, dtype, main
        self.messages: deque[np.ndarray] = deque()

    def wait(self) -> None:
        while not self.messages:
            self.main().switch(self)


class _Send:
    """The sending end, as Lava's ports use it. The type of a message is that of the sending port, whatever is sent."""

    def __init__(self, name: str, shape: Sequence[int], channel: _Channel) -> None:
        self.name, self.shape, self._channel = name, tuple(shape), channel

    def send(self, data: Any) -> None:
        data = np.asarray(data)
        if data.shape != self.shape:
            raise LavaError(f"the port '{self._channel.name}' sends another shape than it has", got=data.shape, allowed=self.shape)
        self._channel.messages.append(data.astype(self._channel.types))

    def probe(self) -> bool:
        return True

    def start(self) -> None: ...

    def join(self) -> None: ...


class _Receive:
    """The receiving end."""

    def __init__(self, name: str, channel: _Channel) -> None:
        self.name, self._channel = name, channel

    def recv(self) -> np.ndarray:
        self._channel.wait()
        return self._channel.messages.popleft()

    def peek(self) -> np.ndarray:
        self._channel.wait()
        return self._channel.messages[0].copy()

    def probe(self) -> bool:
        return bool(self._channel.messages)

    def start(self) -> None: ...

    def join(self) -> None: ...


class InProcess:
    """Compile and build a network of Lava processes (process -> its model), and run it here."""

    def __init__(self, models: Models) -> None:
        self.processes, self.time_step = dict(models), 0
        self._channels: list[_Channel] = []
        self._main = getcurrent()
        builders: dict[AbstractProcess, PyProcessBuilder] = {}
        with tidy():
            for executable in compile_network(models):
                for process, builder in executable.proc_builders.items():
                    builders[process] = self._checked(process, builder)
                for channel in executable.channel_builders:
                    self._connect(channel, builders)
            self.models: dict[AbstractProcess, PyLoihiProcessModel] = {p: self._build(p, b) for p, b in builders.items()}
        self._names = {id(model): process.name for process, model in self.models.items()}
        self._closed = False

    @staticmethod
    def _checked(process: AbstractProcess, builder: Any) -> PyProcessBuilder:
        if not isinstance(builder, PyProcessBuilder) or not issubclass(builder.proc_model, PyLoihiProcessModel):
            raise LavaError(
                f"the model of the Lava process '{process.name}' cannot be stepped here", got=builder.proc_model.__name__,
                allowed="a PyLoihiProcessModel", do="use Lava's own runtime (Multiprocess)",
            )
        if builder.ref_ports or any(port.port_cls is not None for port in builder.var_ports.values()):
            raise LavaError(
                f"the Lava process '{process.name}' has ports to variables, which the in-process executor does not have",
                do="read variables with get() instead of a Monitor, or use Lava's own runtime (Multiprocess)",
            )
        return builder

    def _connect(self, builder: Any, builders: dict[AbstractProcess, PyProcessBuilder]) -> None:
        if not isinstance(builder, ChannelBuilderMp):
            raise LavaError("a channel to hardware cannot be run here", got=type(builder).__name__)
        source, target = builder.src_port_initializer, builder.dst_port_initializer
        name = f"{builder.src_process.name}.{source.name} -> {builder.dst_process.name}.{target.name}"
        channel = _Channel(name, np.dtype(source.d_type), lambda: self._main)
        self._channels.append(channel)
        receive = _Receive(target.name, channel)
        builders[builder.src_process].set_csp_ports([_Send(source.name, source.shape, channel)])
        builders[builder.dst_process].set_csp_ports([receive])
        builders[builder.dst_process].add_csp_port_mapping(create_port_id(builder.src_process.id, source.name), receive)

    @staticmethod
    def _build(process: AbstractProcess, builder: PyProcessBuilder) -> PyLoihiProcessModel:
        try:
            return builder.build()  # type: ignore[return-value]
        except Exception as error:
            raise LavaError(f"the model of the Lava process '{process.name}' could not be made: {error!r}") from error

    def run(self, steps: int) -> int:
        """Run that many time steps; how many were run (fewer where a model asks for a pause)."""
        if self._closed:
            raise LavaError("this Lava network is closed", do="make a new one")
        steps = whole_steps(steps)
        self._main = getcurrent()
        models, phase = list(self.models.values()), PyLoihiProcessModel.Phase
        for done in range(1, steps + 1):
            self.time_step += 1
            for model in models:
                model.time_step, model.phase = self.time_step, phase.SPK
            self._together([(model, model.run_spk) for model in models])
            if any(model.lrn_guard() for model in models):
                if any(model.lrn_guard() and model.pre_guard() for model in models):
                    self._phase(phase.PRE_MGMT, [(m, m.run_pre_mgmt) for m in models if m.pre_guard()])
                self._phase(phase.LRN, [(m, m.run_lrn) for m in models if m.lrn_guard()])
            if any(model.post_guard() for model in models):
                self._phase(phase.POST_MGMT, [(m, m.run_post_mgmt) for m in models if m.post_guard()])
            if any(model._req_pause or model._req_stop for model in models):
                for model in models:
                    model._req_pause = model._req_stop = False
                return done
        return steps

    def _phase(self, phase: Any, turns: list[tuple[PyLoihiProcessModel, Callable[[], None]]]) -> None:
        for model in self.models.values():
            model.phase = phase
        self._together(turns)

    def _together(self, turns: list[tuple[PyLoihiProcessModel, Callable[[], None]]]) -> None:
        """Each model has its turn, and waits for the others where it needs what they send."""
        waiting: deque[tuple[greenlet, _Channel | None, PyLoihiProcessModel]] = deque(
            (greenlet(turn), None, model) for model, turn in turns
        )
        idle, current = 0, None
        try:
            while waiting:
                current = waiting.popleft()
                turn, channel, model = current
                if channel is not None and not channel.messages:
                    waiting.append(current)
                    idle += 1
                    if idle >= len(waiting):
                        raise self._deadlock(waiting)
                    continue
                idle, answer = 0, turn.switch()
                if not turn.dead:
                    waiting.append((turn, answer, model))
        except BaseException as error:
            stopped = [turn for turn, _, _ in waiting]
            for turn in stopped:
                if turn:
                    turn.throw()
            for channel in self._channels:
                channel.messages.clear()
            if isinstance(error, LavaError) or not isinstance(error, Exception) or current is None:
                raise
            name = self._names[id(current[2])]
            raise LavaError(
                f"the Lava process '{name}' failed in time step {self.time_step}: {type(error).__name__}: {error}"
            ) from error

    def _deadlock(self, waiting: deque[tuple[greenlet, _Channel | None, PyLoihiProcessModel]]) -> LavaError:
        who = "; ".join(f"{self._names[id(m)]} waits for {c.name}" for _, c, m in waiting if c is not None)
        return LavaError(
            f"deadlock in time step {self.time_step}: every Lava process that is left waits for another", got=who,
            do="a process in a loop must send before it receives; a process must send on every port that is connected",
        )

    def get(self, process: AbstractProcess, name: str) -> Any:
        """A copy of a variable of a process."""
        return read(self.models, process, name)

    def set(self, process: AbstractProcess, name: str, value: Any) -> None:
        """Give a variable of a process another value, between two runs."""
        write(self.models, process, name, value)

    def close(self) -> None:
        """Let go of everything. Closing twice does no harm."""
        if not self._closed:
            self._closed = True
            forget(self.processes)
            self._channels.clear()

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


__all__ = ["InProcess"]

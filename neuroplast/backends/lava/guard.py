"""Lava's own multiprocess runtime, made to fail instead of to hang.

One operating system process for each Lava process, as Lava does it, with these differences:

* the processes report what goes wrong, with the traceback, and end with their parent;
* wherever the runtime would wait for ever it watches: a process that failed or died, and a network that makes no progress for
  ``patience`` seconds, is an error that names the processes that wait;
* after an error nothing is left: every process is ended and the shared memory given back.

Nothing of Lava is changed: these are subclasses, used by the executor :class:`~neuroplast.backends.lava.multiprocess.Multiprocess`.
"""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import mmap
import multiprocessing
import signal
import threading
import time
import traceback
from typing import Any

import numpy as np

from neuroplast.backends.lava.compat import require_lava
from neuroplast.backends.lava.errors import LavaError

require_lava()

from lava.magma.compiler.executable import Executable  # noqa: E402
from lava.magma.core.model.py.model import PyLoihiProcessModel  # noqa: E402
from lava.magma.core.process.message_interface_enum import ActorType  # noqa: E402
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing, SystemProcess  # noqa: E402
from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal  # noqa: E402
from lava.magma.runtime.runtime import Runtime  # noqa: E402

LOOK = 0.02
"""Seconds between two looks at processes that could have failed."""
GRACE = 5.0
"""Seconds that a process is given to end by itself, or to say what happened to it."""


class _Actor(SystemProcess):
    """One process of the runtime. ``turns``: (2,) shared counts of spiking phases that it began and ended."""

    def __init__(self, name: str, builder: Any, turns: np.ndarray) -> None:
        super().__init__(name=name, daemon=True)
        self.builder, self.turns = builder, turns
        self.built = self.ended = False

    def run(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its children
        try:
            actor = self.builder.build()
            np.random.seed(np.random.randint(2**31) ^ (self.pid or 0))  # else all would draw the same numbers
            if isinstance(actor, PyLoihiProcessModel):
                actor.run_spk = self._counted(actor.run_spk)
            self._cconn.send(("built", ""))
            actor.start()
            self._cconn.send(("ended", ""))
        except BaseException:
            self._cconn.send(("failed", traceback.format_exc()))

    def _counted(self, run_spk: Any) -> Any:
        def counted() -> None:
            self.turns[0] += 1
            run_spk()
            self.turns[1] += 1

        return counted


class _Infrastructure(MultiProcessing):
    """Lava's message infrastructure with our processes in it."""

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self.names = names
        memory = mmap.mmap(-1, 16 * (len(names) + 64))
        self.turns = np.frombuffer(memory, np.int64).reshape(-1, 2)

    def build_actor(self, target_fn: Any, builder: Any, exception_q: Any = None) -> Any:
        actor = _Actor(self.names.get(id(builder), type(builder).__name__), builder, self.turns[len(self._actors)])
        actor.start()
        self._actors.append(actor)
        return actor

    def stop(self) -> None:
        """End all processes, those that do not do so themselves by force, and give back the shared memory."""
        until = time.monotonic() + GRACE
        for actor in self._actors:
            if not actor._is_done:
                multiprocessing.Process.join(actor, max(0.0, until - time.monotonic()))
                if actor.is_alive():
                    actor.kill()
                    multiprocessing.Process.join(actor, GRACE)
                actor._is_done = True
                actor._cconn.close()
                actor._pconn.close()
                actor.close()
        self._actors.clear()
        if self._smm is not None:
            self._smm.shutdown()
            self._smm = None

    def kill(self) -> None:
        for actor in self._actors:
            if not actor._is_done and actor.is_alive():
                actor.kill()
        self.stop()


class _WatchedPort:
    """A port from a runtime service; receiving looks after the processes while it waits."""

    def __init__(self, port: Any, runtime: GuardedRuntime) -> None:
        self._port, self._runtime = port, runtime

    def recv(self) -> Any:
        arrived = threading.Event()
        self._port.observer = arrived.set
        try:
            self._runtime.watch(self._port.probe, arrived)
        finally:
            self._port.observer = None
        return self._port.recv()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


class GuardedRuntime(Runtime):
    """Lava's runtime over one Executable, started and ready to run."""

    def __init__(self, executable: Executable, patience: float) -> None:
        super().__init__(executable, ActorType.MultiProcessing)
        self.patience = patience
        self.names = {id(builder): process.name for process, builder in executable.proc_builders.items()}
        self.infrastructure: _Infrastructure | None = None
        try:
            self.initialize()
        except BaseException:
            self.kill()
            raise
        self._is_started = True

    def initialize(self, node_cfg_idx: int = 0) -> None:
        self._build_watchdog_manager()
        self.infrastructure = self._messaging_infrastructure = _Infrastructure(self.names)
        self.infrastructure.start()
        self._build_channels()
        self._build_sync_channels()
        self._build_processes()
        self._build_runtime_services()
        self._start_ports()
        self.exception_q = []
        for actor in self.infrastructure.actors:
            self.watch(lambda actor=actor: actor.built, threading.Event())
        self.service_to_runtime = [_WatchedPort(port, self) for port in self.service_to_runtime]
        self._is_initialized = True

    def watch(self, ready: Any, arrived: threading.Event) -> None:
        """Return when ``ready()``; LavaError, with nothing left running, when that cannot come any more."""
        assert self.infrastructure is not None
        seen, since = -1, time.monotonic()
        while not ready():
            self._check()
            count = int(self.infrastructure.turns.sum())
            if count != seen:
                seen, since = count, time.monotonic()
            elif time.monotonic() - since > self.patience:
                raise self._stuck()
            arrived.wait(LOOK)

    def _check(self, grace: float = 0.0) -> None:
        """LavaError where a process failed or died."""
        assert self.infrastructure is not None
        for actor in self.infrastructure.actors:
            while actor._pconn.poll(grace):
                try:
                    kind, text = actor._pconn.recv()
                except EOFError:
                    break
                if kind == "failed":
                    raise self._failed(f"the Lava process '{actor.name}' failed:\n{text}")
                actor.built, actor.ended = True, kind == "ended"
            if not actor.is_alive() and not actor.ended and not actor._pconn.poll():
                raise self._failed(f"the Lava process '{actor.name}' died with exit code {actor.exitcode}")

    def _failed(self, what: str, got: str | None = None, do: str | None = None) -> LavaError:
        self.kill()
        return LavaError(what, got=got, do=do)

    def _stuck(self) -> LavaError:
        assert self.infrastructure is not None
        turns = zip(self.infrastructure.actors, self.infrastructure.turns, strict=False)
        waiting = ", ".join(f"{actor.name} (step {begun})" for actor, (begun, ended) in turns if begun > ended)
        return self._failed(
            f"the Lava network has made no progress for {self.patience:g} s", got=f"waiting: {waiting or 'no process'}",
            do="a process in a loop must send before it receives, and every connected port must be sent on; "
            "if a step may take that long, give a longer patience",
        )

    def _get_resp_for_run(self) -> None:
        if not self._is_running:
            return
        for port in self.service_to_runtime:
            answer = port.recv()
            if enum_equal(answer, MGMT_RESPONSE.REQ_PAUSE):
                self.pause()
                return
            if not enum_equal(answer, MGMT_RESPONSE.DONE):
                until = time.monotonic() + GRACE
                while time.monotonic() < until:
                    self._check(LOOK)
                raise self._failed("a Lava process failed, and did not say how", got=str(answer))
        self._is_running = False

    def stop(self) -> None:
        """End the network in order, or by force where that fails."""
        if not self._is_started:
            return
        try:
            super().stop()
        except BaseException:
            self.kill()
            raise
        self._is_started = False

    def kill(self) -> None:
        """End everything at once."""
        self._is_running = self._is_started = self._is_initialized = False
        for port in self._open_ports:
            port.join()
        self._open_ports.clear()
        if self.infrastructure is not None:
            self.infrastructure.kill()
            self.infrastructure = None


__all__ = ["GuardedRuntime"]

"""The executor that is Lava's own multiprocess runtime, behind the guard: to check the in-process one, or because Lava's is wanted."""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import contextlib
import multiprocessing
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from neuroplast.backends.lava.errors import LavaError
from neuroplast.backends.lava.guard import GuardedRuntime
from neuroplast.backends.lava.network import Models, compile_network, forget, tidy, whole_steps
from neuroplast.backends.lava.variables import check_name, check_settable

from lava.magma.compiler.builders.py_builder import PyProcessBuilder  # isort: skip
from lava.magma.core.process.process import AbstractProcess  # isort: skip
from lava.magma.core.run_conditions import RunSteps  # isort: skip

LONGEST = 2**30
"""Most steps in one command: they are sent as a 32-bit number."""


class Multiprocess:
    """Compile a network of Lava processes (process -> its model), and run it with one operating system process for each.

    patience: seconds without any progress after which the network counts as stuck. It must be longer than the longest step.
    """

    def __init__(self, models: Models, patience: float = 60.0) -> None:
        self.processes, self.time_step = dict(models), 0
        self._runtimes: list[GuardedRuntime] = []
        self._closed = "this Lava network is closed"
        if multiprocessing.get_start_method() != "fork":
            raise LavaError(
                "Lava's own runtime needs processes that are forked", got=multiprocessing.get_start_method(),
                do="multiprocessing.set_start_method('fork'), or use the in-process executor",
            )
        self._builders: dict[AbstractProcess, PyProcessBuilder] = {}
        try:
            with tidy():
                for executable in compile_network(models):
                    runtime = GuardedRuntime(executable, patience)
                    self._runtimes.append(runtime)
                    executable.assign_runtime_to_all_processes(runtime)
                    self._builders.update(executable.proc_builders)
        except BaseException:
            self._kill("this Lava network could not be made")
            raise
        self._closed = ""

    def _kill(self, why: str) -> None:
        self._closed = why
        for runtime in self._runtimes:
            with contextlib.suppress(Exception):
                runtime.kill()
        self._runtimes.clear()
        forget(self.processes)

    def _open(self) -> None:
        if self._closed:
            raise LavaError(self._closed, do="make a new one")

    def run(self, steps: int) -> int:
        """Run that many time steps. After an error, or Ctrl-C, nothing of the network is left."""
        self._open()
        left = whole_steps(steps)
        try:
            while left > 0:
                now = min(left, LONGEST)
                for runtime in self._runtimes:  # networks that are not connected: one after the other is as good
                    runtime.start(RunSteps(now))
                left -= now
                self.time_step += now
        except BaseException as error:
            self._kill(f"this Lava network is closed: it failed ({type(error).__name__})")
            raise
        return steps

    def get(self, process: AbstractProcess, name: str) -> np.ndarray:
        """The value of a variable, about 30 microseconds an element."""
        self._open()
        self._check_kind(process, name, "read")
        value = self._call(process, "get_var", getattr(process.vars, name).id)
        kind = self._builders[process]._get_lava_type(name)
        return np.asarray(value) if issubclass(kind.cls, csr_matrix) else np.asarray(value).astype(kind.d_type)

    def set(self, process: AbstractProcess, name: str, value: Any) -> None:
        """Give a variable (an array) another value."""
        self._open()
        self._check_kind(process, name, "set")
        check_settable(process, self._builders[process].proc_model, name, self.time_step)
        there = getattr(process.vars, name)
        self._call(process, "set_var", there.id, np.array(np.broadcast_to(value, there.shape)))

    def _call(self, process: AbstractProcess, method: str, *arguments: Any) -> Any:
        try:
            return getattr(process.runtime, method)(*arguments)
        except BaseException as error:
            self._kill(f"this Lava network is closed: it failed ({type(error).__name__})")
            raise

    def _check_kind(self, process: AbstractProcess, name: str, what: str) -> None:
        """Lava's runtime hangs, or changes the type of a value, where a variable is no array."""
        check_name(process, name)
        builder = self._builders[process]
        kind, value = builder._get_lava_type(name), builder.vars[name].value
        if issubclass(kind.cls, np.ndarray) or issubclass(kind.cls, csr_matrix) or isinstance(value, str):
            return
        if what == "set" or not isinstance(value, (int, np.int32)):
            raise LavaError(
                f"Lava's own runtime cannot {what} '{name}' of the Lava process '{process.name}'", got=f"a {type(value).__name__}",
                allowed="arrays" if what == "set" else "arrays and whole numbers", do="use the in-process executor",
            )

    def close(self) -> None:
        """End the network. Closing twice does no harm."""
        if self._closed:
            return
        self._closed = "this Lava network is closed"
        try:
            for runtime in self._runtimes:
                runtime.stop()
        finally:
            self._kill(self._closed)

    def __enter__(self) -> Multiprocess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


__all__ = ["Multiprocess"]

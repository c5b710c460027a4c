"""A network of Lava processes with the process model of each: compiled without Lava's search for models, and tidied up after.

Lava finds the models of a process by executing every file in the folder of that process, once for each process and file. Here each
process names its model, so nothing is searched.
"""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from neuroplast.backends.lava.compat import require_lava
from neuroplast.backends.lava.errors import LavaError

require_lava()

from lava.magma.compiler.compiler_graphs import find_processes  # noqa: E402
from lava.magma.compiler.executable import Executable  # noqa: E402
from lava.magma.core.model.py.model import AbstractPyProcessModel  # noqa: E402
from lava.magma.core.process.process import AbstractProcess, ProcessServer  # noqa: E402
from lava.magma.core.run_configs import RunConfig  # noqa: E402

Models = Mapping[AbstractProcess, type[AbstractPyProcessModel]]
_COMPILER_LOG = "lava.magma.compiler.compiler"


class _Named(dict[AbstractProcess, type[AbstractPyProcessModel]]):
    """Contains every process, so that Lava's compiler looks nowhere else; LavaError for a process without a model."""

    def __contains__(self, process: object) -> bool:
        return True

    def __missing__(self, process: AbstractProcess) -> type[AbstractPyProcessModel]:
        raise LavaError(
            f"the Lava process '{process.name}' ({type(process).__name__}) has no process model",
            allowed=", ".join(f"{p.name} ({type(p).__name__})" for p in self), do="name the model of every connected process",
        )


class ModelMap(RunConfig):
    """A run configuration that is nothing but a table: process -> model."""

    def __init__(self, models: Models) -> None:
        super().__init__()
        self.exception_proc_model_map = _Named(models)


def compile_network(models: Models) -> list[Executable]:
    """Lava's own compilation, one Executable for each set of processes that are connected."""
    executables, done = [], set[AbstractProcess]()
    configuration = ModelMap(models)
    with tidy():
        for process in models:
            if process not in done:
                done.update(find_processes(process))
                executables.append(process.compile(configuration))
    return executables


@contextmanager
def tidy() -> Iterator[None]:
    """Take away the log handlers that are added inside: Lava adds one to the root logger for each process, and never removes it."""
    loggers = [logging.getLogger(), logging.getLogger(_COMPILER_LOG)]
    before = [list(logger.handlers) for logger in loggers]
    try:
        yield
    finally:
        for logger, handlers in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers


def forget(models: Models) -> None:
    """Let go of processes: Lava's list of all processes ever made would keep them, and what they hold, for ever."""
    processes = set(models)
    server: Any = ProcessServer()
    server.processes[:] = [process for process in server.processes if process not in processes]
    for process in processes:
        process.runtime = None


def whole_steps(steps: object) -> int:
    """A number of time steps; LavaError for anything else."""
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise LavaError(
            "a number of time steps is a whole number from 0", got=repr(steps),
            do="Lava's RunContinuous is not offered: after a pause its runtime hangs",
        )
    return int(steps)


__all__ = ["ModelMap", "Models", "compile_network", "forget", "tidy", "whole_steps"]

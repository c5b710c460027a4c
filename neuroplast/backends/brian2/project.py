"""Brian2's generated C++ for the neurons of a program. The only file that knows how Brian2's C++ device works inside.

What is relied on, each checked with Brian2 2.9 to 2.11:

* a fresh ``CPPStandaloneDevice`` may be made the current device, so that the user's own standalone project is not touched;
* ``build(compile=False)`` writes the project and leaves the names of its files in ``device.writer``;
* ``device.get_array_name(variable)`` is the C++ name of an array, a plain pointer in namespace ``brian`` that every code object
  reads anew at each call: it may be pointed at other memory;
* ``main()`` allocates the arrays, adds the code objects to the network ``brian::<name>`` and runs it for 0 s;
* ``<network>.run(duration, NULL, 10.0)`` may be called again and ends after the step in which ``Network::_globally_stopped``
  becomes true.
"""

from __future__ import annotations

import gc
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brian2
import numpy as np
from brian2.core.functions import Function
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.devices.device import get_device, reset_device, set_device

from neuroplast.backends.brian2.groups import Population, group_arrays, neuron_group
from neuroplast.errors import LoweringError

NETWORK = "neuroplast_network"
HOOKS_HEADER = "neuroplast_hooks.h"


@dataclass(frozen=True)
class Project:
    """Generated sources by path. pointers: array of the program -> C++ name of Brian2's pointer to it."""

    files: dict[str, str]
    pointers: dict[str, str]


@contextmanager
def preferences(**values: Any) -> Iterator[None]:
    """Brian2's preferences (``core__default_float_dtype`` for ``core.default_float_dtype``), for the length of a block."""
    names = {key: key.replace("__", ".") for key in values}
    before = {name: brian2.prefs[name] for name in names.values()}
    try:
        for key, name in names.items():
            brian2.prefs[name] = values[key]
        yield
    finally:
        for name, value in before.items():
            brian2.prefs[name] = value


@contextmanager
def current_device(device: Any) -> Iterator[None]:
    """Make ``device`` Brian2's current one for the length of a block."""
    if get_device() is device:
        yield
        return
    clock = device.defaultclock
    dt = None if clock is None else clock.dt_
    set_device(device, build_on_run=False)
    try:
        yield
    finally:
        if dt is not None:
            device.defaultclock.dt_ = dt  # set_device had copied the other device's
        reset_device()


_generating = threading.Lock()
"""Brian2 has one current device for all threads."""


def generate(found: tuple[Population, ...], dt: float) -> Project:
    """Let Brian2 write the C++ of the groups, with a call into the kernel before and after the neurons of each step."""
    with _generating:
        return _generate(found, dt)


def _generate(found: tuple[Population, ...], dt: float) -> Project:
    gc.collect()  # names of code objects are unique among the living: the same program must give the same text
    device = CPPStandaloneDevice()
    with (
        tempfile.TemporaryDirectory(prefix="neuroplast_brian2_") as folder,
        preferences(
            core__default_float_dtype=np.float64,
            core__stop_on_keyboard_interrupt=False,  # main() would replace Python's handler of Ctrl-C
            devices__cpp_standalone__openmp_threads=0,  # slower, always
        ),
        current_device(device),
    ):
        device.main_queue.clear()  # holds the step of the user's default clock, which has no part in this
        clock = brian2.Clock(dt=dt * brian2.second, name="neuroplast_clock")
        groups = {p.name: neuron_group(p, clock) for p in found}
        hooks = [_hook("before", "start", clock), _hook("after", "end", clock)]
        network = brian2.Network(*groups.values(), *hooks, name=NETWORK)
        try:
            network.run(0 * brian2.second, namespace={})
        except Exception as error:
            raise refused(error, found, network) from error
        device.build(directory=folder, compile=False, run=False, with_output=False)
        assert not device.static_arrays, "a project without data files was expected"
        writer = device.writer
        assert writer is not None
        files = {name: (Path(folder) / name).read_text() for name in sorted({*writer.source_files, *writer.header_files})}
        for path in sorted((Path(folder) / "brianlib").iterdir()):
            files[f"brianlib/{path.name}"] = path.read_text()
        pointers = {
            array: f"brian::{device.get_array_name(groups[p.name].variables[variable])}"
            for array, (p, variable) in group_arrays(found).items()
        }
    return Project(files, pointers)


def refused(error: Exception, found: tuple[Population, ...], network: brian2.Network) -> LoweringError:
    """Brian2's refusal of a group, with the population's name and line."""
    for group in network.objects:
        group._network = network.id  # else each warns, when it is deleted, that it has never been in a network
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    guilty = next((p for p in found if re.search(rf"'{p.name}(_step|_run)?'", str(error))), None)
    return LoweringError(
        f"Brian2 {brian2.__version__} cannot take the equations of population '{guilty.owner if guilty else '?'}': {cause}",
        where=None if guilty is None else guilty.where, got=None if guilty is None else f"\n{guilty.code}",
        do="use the target compiled or reference",
    )


def _hook(name: str, when: str, clock: brian2.Clock) -> brian2.NeuronGroup:
    """One helper neuron whose only statement calls ``neuroplast_<name>`` of the shim."""
    function = Function(lambda x: x, arg_units=[1], return_unit=1, stateless=False)
    function.implementations.add_implementation("cpp", "", compiler_kwds={"headers": [f'"{HOOKS_HEADER}"']})
    group = brian2.NeuronGroup(
        1, "calls : 1", clock=clock, name=f"neuroplast_hook_{name}", namespace={f"neuroplast_{name}": function}
    )
    group.state_updater.active = False
    group.run_regularly(f"calls = neuroplast_{name}(calls)", clock=clock, when=when, name=f"neuroplast_hook_{name}_step")
    return group



"""discretize: graph -> step program, in the written order of a time step."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroplast.errors import DescriptionError, caller
from neuroplast.ir.builder import REWARD, Builder
from neuroplast.ir.graph import Graph, resolve
from neuroplast.ir.modulation import lower_modulator
from neuroplast.ir.neurons import lower_population
from neuroplast.ir.plasticity import lower_rule
from neuroplast.ir.program import Map, Recording, StepProgram
from neuroplast.ir.synapses import add_rings, lower_connection
from neuroplast.ir.tasks import lower_task
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.node import single
from neuroplast.tasks import OpenLoop


def discretize(network: Network, dt: Any, duration: Any = None) -> StepProgram:
    """The step program of a network. dt: a time. duration: length of the one trial of a network without a task."""
    where = caller()
    step = single(dt, "time", "dt", where)
    if step <= 0:
        raise DescriptionError("dt must be a positive time", where=where, got=dt, allowed="such as 0.1*ms")
    graph = resolve(network)
    task = graph.task or OpenLoop(duration=duration, steps=None if duration is not None else 1, reset=False)
    if task.steps is not None:
        steps = int(task.steps)
    else:
        steps = round(task.si.duration / step)
        if steps < 1:
            raise DescriptionError(
                "the trial is shorter than one step", where=task.where, got=f"duration {task.duration}, dt {dt}"
            )
    b = Builder(graph, step, steps)
    if task.duration is not None and abs(steps * step - task.si.duration) > 1e-9 * task.si.duration:
        b.note(task.name, "duration", f"{task.si.duration:g} s", f"{steps * step:g} s ({steps} steps)", task.where)
    for population in graph.populations.values():
        lower_population(population, b)
    synapses = {name: lower_connection(connection, b) for name, connection in graph.connections.items()}
    b.neurons = [code.map() for code in b.codes.values() if code.statements]
    inputs, b.before = b.before, []
    for modulator in network.modulators:
        lower_modulator(modulator, b)
    for name, connection in graph.connections.items():
        if connection.node.plasticity is not None:
            lower_rule(connection, synapses[name], b)
    add_rings(b)
    lower_task(task, b)
    paired = network.paired
    return StepProgram(
        name=network.name, dt=step, steps=steps, passes=2 if paired else 1, pass_noise=paired.noise if paired else "off",
        seed=network.seed, arrays=b.arrays, trial_start=tuple(b.trial_start), before=(*b.before, *inputs, *b.deliver),
        neurons=tuple(b.neurons), after=(*b.learn, *b.observe), pass_end=tuple(b.pass_end),
        trial_end=(*b.trial_end, *b.baselines), measures=b.measures, measure_units=b.measure_units,
        recordings=_recordings(network.monitors, b), done=b.done, reset=b.reset, notes=tuple(b.notes),
        task=b.task, populations={name: p.size for name, p in graph.populations.items()},
    )


def _recordings(monitors: tuple[Monitor, ...], b: Builder) -> tuple[Recording, ...]:
    found: dict[str, Monitor] = {}
    recordings = []
    for monitor in monitors:
        recording = _recording(monitor, b)
        if recording.name in found:
            raise DescriptionError(
                f"two monitors record '{recording.name}'", where=monitor.where, got=f"also declared at {found[recording.name].where}",
                do="keep one of them, with all the trials and units that are wanted",
            )
        found[recording.name] = monitor
        recordings.append(recording)
    return tuple(recordings)


def _recording(monitor: Monitor, b: Builder) -> Recording:
    of, variable = monitor.of, monitor.variable
    name = f"{of.name}_{variable}"
    if isinstance(of, Population):
        array, dim = b.signal(of.name, variable), of.name
    elif isinstance(of, Projection):
        array, dim = f"{name}", f"{of.name}_synapse"
    else:
        array, dim = (REWARD if variable == "reward" else name), "one"
    if array not in b.arrays:
        raise DescriptionError(f"'{name}' is not kept by this network and cannot be recorded", where=monitor.where)
    if monitor.every == "trial":
        stride = 0
    elif monitor.every is None:
        stride = 1
    else:
        stride = b.steps_of(float(monitor.si.interval), name, "every", monitor.where, least=1)
    if stride > b.steps:
        raise DescriptionError(
            f"a monitor of '{variable}' of '{of.name}' never looks: a trial is shorter than its interval", where=monitor.where,
            got=f"every={monitor.every}, a trial of {b.steps * b.dt:g} s", do="every='trial', or a shorter time",
        )
    if variable == "spikes" and stride != 1:
        raise DescriptionError(
            f"a monitor of the spikes of '{of.name}' that looks only now and then misses most of them", where=monitor.where,
            got=f"every={monitor.every}", do="record every step, or a Readout that counts them: Projection(..., Delta())",
        )
    known = b.graph.connections[of.name].numbers if isinstance(of, Projection) else np.arange(b.arrays[array].initial.size)
    numbers, units = known, None
    if monitor.units is not None:
        numbers = np.asarray(monitor.units, np.int64)
        missing = numbers[~np.isin(numbers, known)]
        if missing.size:
            highest = int(known.max(initial=-1))
            allowed = f"0 to {highest}" + ("" if highest + 1 == known.size else ", where there is a synapse")
            raise DescriptionError(f"a monitor reads number {int(missing[0])} of '{name}'", where=monitor.where, allowed=allowed)
        order = np.argsort(known)
        units = order[np.searchsorted(known, numbers, sorter=order)].astype(np.int64)
    return Recording(
        name, array, stride, units, monitor.trials if stride else "all", variable == "spikes", b.arrays[array].unit, ("time", dim),
        numbers if isinstance(of, Projection) else None,
    )


__all__ = ["Graph", "Map", "discretize"]

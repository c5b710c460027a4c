"""Modulators in discrete time. Counterpart of modulation.py.

In a step (phase 1), from the reward r that the task set after the last one: delay, minus the baseline, low-pass, and, with
dopamine neurons, through their firing. At a trial's end, for episodic rules: the trial's summed reward minus the baseline.
"""

from __future__ import annotations

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.expressions import expression
from neuroplast.ir.builder import REWARD, TOTAL, TRIAL_TYPE, Builder
from neuroplast.ir.neurons import output_signal
from neuroplast.ir.program import DelayLine, Row, SetRow, Sum
from neuroplast.modulation import Critic, Dopamine, Modulator, PairedPass, PerTrialType, RunningMean
from neuroplast.neurons import LIF, Bernoulli, Poisson
from neuroplast.noise import SynapticNoise
from neuroplast.synapses import Release
from neuroplast.tasks import TrackTarget
from neuroplast.units import si

TRIAL_TYPES = 64
"""Most trial types that a per-type baseline keeps apart."""


def lower_modulator(modulator: Modulator, b: Builder) -> None:
    """Add the operations that compute ``<name>_value`` in each step and ``<name>_end`` when a trial ends."""
    name, baseline, begun = modulator.name, modulator.baseline, len(b.before)
    reward, error, value, end = (
        b.array(f"{name}_{part}", np.zeros(1), reset=None if part != "end" else False) for part in ("reward", "error", "value", "end")
    )
    steps = b.steps_of(modulator.si.delay, name, "delay", modulator.where)
    ring = b.array(f"{name}_delay", np.zeros(max(steps, 1)))
    b.before.append(DelayLine(reward, REWARD, ring, steps))
    bind = {"r": reward, "error": error, "total": TOTAL, "end": end}
    gain = repr(float(modulator.si.gain))
    step_error, end_error = "r", "total"
    after_learning = []
    b.check_dt(f"tau of modulator '{name}'", modulator.si.tau, modulator.where)
    if isinstance(baseline, (RunningMean, PerTrialType)):
        bind["mean"] = b.array(f"{name}_mean", np.zeros(1), reset=False)
        bind["steps"] = b.array(f"{name}_steps", np.zeros(1), reset=False)  # of this trial: tasks may end it early
        b.trial_start.append(b.scalar_map(name, [("steps", "0.0")], {"steps": bind["steps"]}))
        b.before.insert(begun, b.scalar_map(name, [("steps", "steps + 1.0")], {"steps": bind["steps"]}))
        begun += 1  # the closing of a trial, below, is no step
        bind["given"] = _given(name, steps, b)
    if isinstance(baseline, RunningMean) and baseline.si.tau is not None:
        k = float(-np.expm1(-b.dt / baseline.si.tau))
        b.before.append(b.scalar_map(name, [("error", "given*(r - mean)"), ("mean", f"mean + {k!r}*error")], bind))
        step_error = ""
        end_error = "total - mean*steps"
    elif isinstance(baseline, (RunningMean, PerTrialType)):
        bind["seen"] = b.array(f"{name}_seen", np.zeros(1), reset=False)
        bind["length"] = b.array(f"{name}_length", np.ones(1), reset=False)
        k = 1.0 / float(baseline.si.trials)
        # the first trial (of a type) only sets the means: there was nothing to expect
        step_error, end_error = "where(seen > 0.5, given*(r - mean/maximum(length, 1.0)), 0.0)", "where(seen > 0.5, total - mean, 0.0)"
        towards = lambda what, now: (what, f"where(seen > 0.5, {what} + {k!r}*({now} - {what}), {now})")
        after_learning.append(b.scalar_map(name, [towards("mean", "total"), towards("length", "steps"), ("seen", "1.0")], bind))
        if isinstance(baseline, PerTrialType):
            for what in ("mean", "length", "seen"):
                table = b.array(f"{name}_{what}_by_type", np.zeros(TRIAL_TYPES), reset=False)
                read = Row(bind[what], table, TRIAL_TYPES, TRIAL_TYPE)
                b.before.append(read)
                if not b.reset:  # else it is among what is done again, below
                    b.trial_end.append(read)
                after_learning.append(SetRow(table, bind[what], TRIAL_TYPES, TRIAL_TYPE))
    elif isinstance(baseline, PairedPass):
        _check_paired(modulator, baseline, b)
        bind["paired"] = b.array(f"{name}_paired", np.zeros(1), reset=False)
        b.pass_end.append(b.scalar_map(name, [("paired", "total")], bind))
        end_error = "total - paired"
    elif isinstance(baseline, Critic):
        step_error = ""
        _critic(modulator, baseline, reward, error, b)
    if step_error:
        b.before.append(b.scalar_map(name, [("error", step_error)], bind))
    if modulator.dopamine is not None:
        filtered = _dopamine(modulator, modulator.dopamine, error, b)
    else:
        filtered = "error"
    bind |= {"value": value}
    if modulator.dopamine is not None:
        bind["level"] = f"{name}_level"
    text = f"{gain}*({filtered})"
    if modulator.si.tau > 0:
        a = float(np.exp(-b.dt / modulator.si.tau))
        text = f"{text} + (value - {text})*{a!r}"
    b.before.append(b.scalar_map(name, [("value", text)], bind))
    if b.reset and not isinstance(baseline, PairedPass):
        # no step follows the last one: its reward is taken when the trial ends, and rules make one more change (EndLearn)
        b.trial_end.extend(b.before[begun:])
        if steps:
            asked = f"{steps * b.dt:g} s"
            b.note(name, "rewards of the end of a trial", f"acted on {asked} later", "lost: the trial is over", modulator.where)
    b.trial_end.append(b.scalar_map(name, [("end", f"{gain}*({end_error})")], bind))
    b.baselines.extend(after_learning)


def _given(name: str, delay: int, b: Builder) -> str:
    """The array that is 1 in steps to which a reward has come, 0 at the start of trials that begin anew."""
    given = b.array(f"{name}_given", np.ones(1), reset=False)
    if b.reset:
        table = b.array(f"{name}_given_table", np.r_[np.zeros(delay + 1), 1.0], kind="constant")
        b.before.append(Row(given, table, delay + 2))
    return given


def _check_paired(modulator: Modulator, baseline: PairedPass, b: Builder) -> None:
    if not b.reset:
        raise DescriptionError(
            f"the modulator '{modulator.name}' runs each trial twice, so trials must start anew", where=baseline.where,
            do="give the task reset=True",
        )
    if isinstance(b.graph.task, TrackTarget) and b.graph.task.reward == "binary" and b.graph.task.threshold is None:
        raise DescriptionError(
            f"the modulator '{modulator.name}' compares two passes of a trial, but the task's bar moves in each of them",
            where=baseline.where, got="TrackTarget with a threshold that is a running mean",
            do="TrackTarget(..., threshold=a number), or reward='error'",
        )
    if baseline.noise == "off":
        for population in b.graph.populations.values():
            if isinstance(population.noise, SynapticNoise):
                raise DescriptionError(
                    f"the noise of '{population.name}' comes from spikes and cannot be switched off for a first pass",
                    where=baseline.where, do="PairedPass(noise='other')",
                )
            if isinstance(population.neuron, Bernoulli):
                raise DescriptionError(
                    f"the chance in the units of '{population.name}' cannot be switched off for a first pass", where=baseline.where,
                    got="Bernoulli units", do="PairedPass(noise='other')",
                )
        for connection in b.graph.connections.values():
            if isinstance(connection.node.release, Release):
                raise DescriptionError(
                    f"the release of '{connection.node.name}' cannot be switched off for a first pass", where=baseline.where,
                    do="PairedPass(noise='other')",
                )


def _critic(modulator: Modulator, critic: Critic, reward: str, error: str, b: Builder) -> None:
    name, features = modulator.name, critic.features
    b.check_dt(f"tau of the critic of '{name}'", critic.si.tau, critic.where)
    n, output = features.size, b.signal(features.name, output_signal(features))
    a = float(np.exp(-b.dt / critic.si.tau))
    bind = {
        "x": output, "phi": b.array(f"{name}_phi", np.zeros(n)), "trace": b.array(f"{name}_trace", np.zeros(n)),
        "c": b.array(f"{name}_critic", np.zeros(n), reset=False), "error": error,
    }
    scalar = {
        "V": b.array(f"{name}_prediction", np.zeros(1)), "V_last": b.array(f"{name}_last_prediction", np.zeros(1)),
        "r": reward, "error": error,
    }
    update = f"x + (phi - x)*{a!r}" if not features.spiking else f"phi*{a!r} + x*{1 / critic.si.tau!r}"
    gamma, lambda_ = float(critic.si.discount), float(critic.si.trace)
    b.before += [
        b.scalar_map(name, [("trace", f"{gamma * lambda_!r}*trace + phi"), ("phi", update)], bind, n),
        Sum(scalar["V"], n, expression("c*phi"), {"c": bind["c"], "phi": bind["phi"]}),
        b.scalar_map(name, [("error", f"r + {gamma!r}*V - V_last")], scalar),
        b.scalar_map(name, [("c", f"c + {float(critic.si.rate)!r}*error*trace")], bind, n),
        Sum(scalar["V_last"], n, expression("c*phi"), {"c": bind["c"], "phi": bind["phi"]}),
    ]


def _dopamine(modulator: Modulator, dopamine: Dopamine, error: str, b: Builder) -> str:
    name, population = modulator.name, dopamine.population
    if not isinstance(population.neuron, (Poisson, LIF)):
        raise DescriptionError(
            f"the dopamine population '{population.name}' of '{name}' must be Poisson or LIF", where=dopamine.where,
            got=type(population.neuron).__name__,
        )
    b.check_dt(f"tau of the dopamine of '{name}'", dopamine.si.tau, dopamine.where)
    dimension = "rate" if isinstance(population.neuron, Poisson) else "voltage"
    gain = float(si(dopamine.gain, dimension, f"Dopamine.gain of '{name}'", dopamine.where))
    if dopamine.slope is None and dimension != "rate":
        raise DescriptionError(f"Dopamine of '{name}' needs a slope for LIF neurons", where=dopamine.where, do="slope=10*Hz")
    slope = gain if dopamine.slope is None else float(dopamine.si.slope)
    if not np.isfinite(gain) or not np.isfinite(slope) or slope == 0:
        raise DescriptionError(
            f"Dopamine of '{name}': gain and slope must be finite, the slope not zero", where=dopamine.where,
            got=f"gain {dopamine.gain}, slope {slope} Hz",
        )
    level, external = b.array(f"{name}_level", np.full(1, float(dopamine.si.tonic))), f"{population.name}_external"
    total = b.array(f"{name}_spike_count", np.zeros(1))
    b.before.append(
        b.scalar_map(name, [("external", f"{gain!r}*error")], {"external": external, "error": error}, population.size)
    )
    a = float(np.exp(-b.dt / dopamine.si.tau))
    b.observe += [
        Sum(total, population.size, expression("s"), {"s": b.signal(population.name, "spikes")}),
        b.scalar_map(name, [("level", f"level*{a!r} + {(1 - a) / (population.size * b.dt)!r}*total")], {"level": level, "total": total}),
    ]
    return f"(level - {float(dopamine.si.tonic)!r})/{slope!r}"

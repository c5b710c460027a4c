"""The benchmark network ``distal-reward``: 1000 Izhikevich neurons, 100 000 plastic synapses, reward-modulated STDP.

Izhikevich (2007), 10.1093/cercor/bhl152, with his neurons (800 excitatory, 200 inhibitory), noise, delay (1 ms) and rule,

    dc/dt = -c/1 s + 0.1 x_pre (post spikes) - 0.15 y_post (pre spikes),     dw/dt = (0.002 + d) c,   0 <= w <= 4,

but 125 synapses from each excitatory neuron, onto any neuron, and of weight 0.8 (his: 100 of weight 1), so that 100 000 are
plastic; forward Euler in steps of 1 ms, where he takes two of half a millisecond for v; and dopamine comes once a second
(d jumps by 0.5 and decays in 0.2 s) whatever the network does, so that all simulators get the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.registry import Job

if TYPE_CHECKING:
    from neuroplast import Network
    from neuroplast.ir.program import StepProgram

DT = 1e-3
N_E, N_I, OUT_E, OUT_I = 800, 200, 125, 100
N = N_E + N_I
W_FIRST, W_I, W_MAX = 0.8, -1.0, 4.0
NOISE = 13.0
"""The input is uniform on [-NOISE/2, NOISE/2] in each step."""
TAU_STDP, TAU_C, TAU_D = 20e-3, 1.0, 0.2
A_PLUS, A_MINUS = 0.1, 0.15
FLOOR, JUMP = 0.002, 0.5
TRACE_FLOOR = 1e-3
"""Traces of spikes below it count as zero."""
V_FIRST, PEAK, RESET = -65.0, 30.0, -65.0
REWARD_STEP = 500
"""Step of each second in which dopamine is given."""


def neurons() -> dict[str, np.ndarray]:
    """Parameters a and d of each neuron, (N,)."""
    excitatory = np.arange(N) < N_E
    return {"a": np.where(excitatory, 0.02, 0.1), "d": np.where(excitatory, 8.0, 2.0)}


def pairs() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(pre, post) of the plastic synapses, sorted; (pre, post) of the inhibitory ones, onto excitatory neurons."""
    rng = np.random.default_rng(1)
    out = [np.sort(rng.choice(np.delete(np.arange(N), j), OUT_E, replace=False)) for j in range(N_E)]
    inhibit = [np.sort(rng.choice(N_E, OUT_I, replace=False)) for _ in range(N_I)]
    return np.repeat(np.arange(N_E), OUT_E), np.concatenate(out), np.repeat(np.arange(N_I), OUT_I), np.concatenate(inhibit)


def dopamine_input(steps: int) -> np.ndarray:
    """(steps,) what the modulator is given, minus the reward: the floor, and pulses that make d jump by JUMP."""
    given = np.full(steps, FLOOR)
    given[REWARD_STEP::1000] += JUMP / (1 - np.exp(-DT / TAU_D))
    return given


def distal(steps: int = 1000) -> Network:
    """The network. As reward does not depend on the network, the task tracks a readout that hears nothing."""
    from neuroplast import (
        Delta,
        Eligibility,
        EquationNeuron,
        LowPass,
        Modulator,
        Network,
        Pairs,
        Population,
        Projection,
        Readout,
        Signal,
        ThreeFactorRule,
        TrackTarget,
        White,
    )
    from neuroplast.units import second

    network, values = Network("distal_reward", seed=1), neurons()
    pre, post, inhibiting, inhibited = pairs()

    def izhikevich(part: slice) -> EquationNeuron:
        a, d = values["a"][part], values["d"][part]
        return EquationNeuron(
            """
            dv/dt = (0.04*v*v + 5*v + 140 - u + I + noise)/ms : 1
            du/dt = a*(0.2*v - u)/ms : 1
            dI/dt = -I/ms : 1
            a : 1
            d : 1
            """,
            threshold="v >= 30", reset="v = -65; u += d", parameters={"a": float(a[0]), "d": float(d[0])},
            initial={"v": V_FIRST, "u": 0.2 * V_FIRST},
        )

    noise = White(NOISE / np.sqrt(12), law="uniform")
    excitatory = network.add(Population("E", N_E, izhikevich(slice(0, N_E)), noise=noise))
    inhibitory = network.add(Population("I", N_I, izhikevich(slice(N_E, N)), noise=noise))
    silent = network.add(Population("silent", 1, Readout(tau=1 * second)))
    modulator = Modulator("dopamine", tau=TAU_D * second, gain=-1.0)
    for target, chosen, shift in ((excitatory, post < N_E, 0), (inhibitory, post >= N_E, N_E)):
        rule = ThreeFactorRule(
            factors={
                "x": LowPass(Signal("pre", "spikes"), TAU_STDP * second, floor=TRACE_FLOOR),
                "y": LowPass(Signal("post", "spikes"), TAU_STDP * second, floor=TRACE_FLOOR),
                "sent": Signal("pre", "spikes"), "fired": Signal("post", "spikes"),
            },
            eligibility=Eligibility(f"{A_PLUS}*x*fired - {A_MINUS}*y*sent", tau=TAU_C * second),
            modulator=modulator, rate=1.0, bounds=(0.0, W_MAX),
        )
        where = Pairs(pre[chosen], post[chosen] - shift)
        network.add(Projection(excitatory, target, np.full(chosen.sum(), W_FIRST), Delta("I"), where, plasticity=rule))
    weights = np.full(inhibiting.size, W_I)
    network.add(Projection(inhibitory, excitatory, weights, Delta("I"), Pairs(inhibiting, inhibited)))
    network.add(
        TrackTarget(
            readout=silent, target=np.sqrt(dopamine_input(steps))[:, None], interval=DT * second, steps=steps, reward="error", reset=False
        )
    )
    return network


def program(steps: int = 1000) -> StepProgram:
    """The step program of the network."""
    from neuroplast.ir.discretize import discretize
    from neuroplast.units import second

    return discretize(distal(steps), DT * second)


def outcome(job: Job, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The plastic weights in the order of ``pairs``."""
    _, post, _, _ = pairs()
    found = np.empty(post.size)
    found[post < N_E], found[post >= N_E] = arrays["E_E_weight"], arrays["E_I_weight"]
    return found


def shared_arrays(steps: int, trials: int) -> dict[str, np.ndarray]:
    """First weights; the input noise (trials, steps, N) that the Reference draws."""
    from benchmarks.drawn import drawn

    made = program(steps)
    noise = np.concatenate([drawn(made, f"{name}_draw", steps, trials) for name in "EI"], axis=2) * NOISE / np.sqrt(12)
    return {"w": np.full(N_E * OUT_E, W_FIRST), "noise": noise}


def native(job: Job) -> tuple[list[np.ndarray], list[np.ndarray], Any]:
    """For distal_reward.cpp."""
    _, post, _, inhibited = pairs()
    constants = np.array(
        [
            np.exp(-DT / TAU_STDP), np.exp(-DT / TAU_C), np.exp(-DT / TAU_D), A_PLUS, A_MINUS, W_MAX, W_I, NOISE, TRACE_FLOOR, DT,
            W_FIRST,
        ]
    )
    values, data = neurons(), job.arrays()
    return [constants, post, inhibited, dopamine_input(job.steps), values["a"], values["d"]], [data["noise"]], (N_E * OUT_E,)

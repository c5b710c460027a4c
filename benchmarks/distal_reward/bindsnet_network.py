"""The network with distal reward in BindsNET: Izhikevich neurons of our own, its MSTDPET rule with the reward of each step.

BindsNET keeps a matrix of all pairs, their eligibilities too: 800 x 1000 numbers for our 100 000 synapses; those that do not
exist are bounded by zero. Axonal delays: a layer that repeats the excitatory spikes one step later. Single precision, as
BindsNET's (but for the comparison with the Reference: in single precision a chaotic network's spikes soon differ); no floor of
traces. Otherwise the same network and the same order of events.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  # lives in an environment of its own

from benchmarks.distal_reward import network as distal
from benchmarks.registry import Job


def _without_torchvision_kernels() -> None:
    """BindsNET imports torchvision, which refuses to be imported where it was built for another torch (one with CUDA) unless these
    two operators are declared. Nothing here uses it."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
    KEPT.append(library)


KEPT: list[Any] = []
_without_torchvision_kernels()

from bindsnet.learning import MSTDPET  # noqa: E402  # pyright: ignore[reportMissingImports]
from bindsnet.network import Network  # noqa: E402  # pyright: ignore[reportMissingImports]
from bindsnet.network.nodes import Nodes  # noqa: E402  # pyright: ignore[reportMissingImports]
from bindsnet.network.topology import Connection  # noqa: E402  # pyright: ignore[reportMissingImports]


def _in_double() -> None:
    """Make BindsNET, which asks for single precision by name, compute in double precision."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float, torch.float32 = torch.Tensor.double, torch.float64


class Izhikevich(Nodes):
    """Forward Euler in one step, spike and reset at its end, uniform noise: BindsNET's own takes two half steps and has inputs
    between its units. given: noise (steps, n) in place of its own."""

    def __init__(self, a: float, d: float, n: int, given: Any = None) -> None:
        super().__init__(n=n)
        self.a, self.d, self.given, self.now = a, d, given, 0
        self.v = torch.full((1, n), distal.V_FIRST)
        self.u = 0.2 * self.v

    def forward(self, x: Any) -> None:
        if self.given is None:
            x = x + distal.NOISE * (torch.rand(1, self.n) - 0.5)
        else:
            x = x + self.given[self.now]
            self.now += 1
        v, u = self.v, self.u
        moved, followed = v + (0.04 * v * v + 5 * v + 140 - u + x), u + self.a * (0.2 * v - u)
        self.s = moved >= distal.PEAK
        self.v = torch.where(self.s, torch.tensor(distal.RESET), moved)
        self.u = torch.where(self.s, followed + self.d, followed)

    def reset_state_variables(self) -> None:
        raise RuntimeError("nothing is reset: a trial goes on where the last one ended")


class Arrived(Nodes):
    """The spikes of another layer, a step later."""

    def __init__(self, of: Nodes) -> None:
        super().__init__(n=of.n)
        self.__dict__["of"] = of  # not as a part of this layer

    def forward(self, x: Any) -> None:
        self.s = self.of.s

    def reset_state_variables(self) -> None:
        raise RuntimeError("nothing is reset: a trial goes on where the last one ended")


class BindsNet:
    """few: run only so many steps of each trial when it is timed."""

    def __init__(self, few: int | None = None) -> None:
        self.few, self.steps = few, 0

    def prepare(self, job: Job) -> None:
        torch.set_grad_enabled(False)
        torch.set_num_threads(1)
        if job.given:
            _in_double()
        self.steps = job.steps if job.given or self.few is None else self.few
        self.dopamine, self.M, self.given_reward = distal.dopamine_input(job.steps), 0.0, 0.0
        values = distal.neurons()
        noise = torch.tensor(job.arrays()["noise"].reshape(-1, 1, distal.N)) if job.given else None
        layers = [
            Izhikevich(float(values["a"][part.start]), float(values["d"][part.start]), part.stop - part.start,
                       None if noise is None else noise[..., part])
            for part in (slice(0, distal.N_E), slice(distal.N_E, distal.N))
        ]
        self.network = network = Network(dt=distal.DT * 1e3)
        arrived = Arrived(layers[0])
        for name, layer in (("arrived", arrived), ("E", layers[0]), ("I", layers[1])):  # in this order in each step
            network.add_layer(layer, name)
        pre, post, inhibiting, inhibited = distal.pairs()
        there = torch.zeros(distal.N_E, distal.N)
        there[pre, post] = 1.0
        self.pre, self.post, self.plastic = pre, post, []
        tau = distal.TAU_C * 1e3
        for name, layer, part in (("E", layers[0], slice(0, distal.N_E)), ("I", layers[1], slice(distal.N_E, distal.N))):
            connection = Connection(
                arrived, layer, w=distal.W_FIRST * there[:, part], wmin=0.0, wmax=distal.W_MAX * there[:, part], w_dtype=there.dtype,
                update_rule=MSTDPET, nu=(distal.DT * tau, 0.0), tc_plus=distal.TAU_STDP * 1e3, tc_minus=distal.TAU_STDP * 1e3,
                tc_e_trace=tau,
            )
            network.add_connection(connection, "arrived", name)
            self.plastic.append(connection)
        inhibition = torch.zeros(distal.N_I, distal.N_E)
        inhibition[inhibiting, inhibited] = distal.W_I
        network.add_connection(Connection(layers[1], layers[0], w=inhibition, w_dtype=inhibition.dtype), "I", "E")

    def run(self, trials: int) -> None:
        keep = float(np.exp(-distal.DT / distal.TAU_D))
        for _ in range(trials):
            for n in range(self.steps):
                self.M = self.given_reward + (self.M - self.given_reward) * keep
                self.network.run(
                    {}, time=int(self.network.dt), one_step=True, reward=self.M, a_plus=distal.A_PLUS, a_minus=-distal.A_MINUS
                )
                self.given_reward = float(self.dopamine[n])

    def outcome(self) -> np.ndarray:
        weights = torch.cat([connection.w for connection in self.plastic], dim=1).numpy()
        return weights[self.pre, self.post].astype(float)

"""A projection that learns on the chip's engine, as Lava's LearningDense: the rule in Lava's language, executed by Lava's own code.

What Lava's fixed-point model has and a chip has not is put right here, and nothing else is changed:

* one random number for all synapses and one for all traces: each has its own, from the program's stream;
* weights of both signs learn on a grid of 1: they have 8 bits, so their grid is 2; tags down to -257: down to -256;
* traces of the third factor lose one now and then (they decay with a time constant of 65535 steps): they are what was sent.

The engine sees spikes when they arrive. LearningDense would see them a step before, when they are sent.
"""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from neuroplast.backends.lava.compat import require_lava
from neuroplast.backends.lava.partition import Message, Part
from neuroplast.backends.lava.parts import NodeModel, Work, add_ports
from neuroplast.ir.program import STEP, TAG_RANGE, TRIAL, TRIAL_DRAW, ChipLearn, Operation, StepProgram, draw_bytes, stream_key

require_lava()

from lava.magma.core.learning.constants import GradedSpikeCfg  # noqa: E402
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule  # noqa: E402
from lava.magma.core.learning.utils import stochastic_round  # noqa: E402
from lava.proc.dense.models import PyLearningDenseModelBitApproximate  # noqa: E402
from lava.proc.dense.process import LearningDense  # noqa: E402
from lava.utils.weightutils import SignMode  # noqa: E402

LASTING = 1e18
"""A time constant with which nothing decays."""


@dataclass(frozen=True)
class Rule:
    """The operations of one rule, and what Lava is told of it. after: of every step;  end: of a trial's end, where there is one."""

    after: ChipLearn
    end: ChipLearn | None

    @property
    def spikes(self) -> str | None:
        """The array of presynaptic spikes that arrive, where the rule sees spikes."""
        return next((t.arrived for t in self.after.traces), dict(self.after.values).get("x0"))

    @property
    def graded(self) -> str | None:
        """The array that overwrites x1 in every step."""
        traces = {t.variable for t in self.after.traces}
        return dict(self.after.values).get("x1") if "x1" not in traces else None

    def lava(self) -> Loihi3FLearningRule:
        """As Lava writes it."""
        traces: dict[str, float] = {}
        for trace in self.after.traces:
            traces |= {f"{trace.variable}_impulse": trace.impulse, f"{trace.variable}_tau": trace.tau}
        if self.graded is not None:
            traces["x1_tau"] = LASTING
        changing = self.after if self.after.dw or self.end is None else self.end
        rule = Loihi3FLearningRule(dw=changing.text("dw") or None, dt=self.after.text("dt") or None, rng_seed=0, **traces)
        rule.y1_tau = rule.y2_tau = rule.y3_tau = LASTING
        return rule


def chip_rules(program: StepProgram) -> dict[str, Rule]:
    """Projection -> its rule, of those on the chip's engine."""
    ends = {op.projection: op for op in program.trial_end if isinstance(op, ChipLearn)}
    return {op.projection: Rule(op, ends.get(op.projection)) for op in program.after if isinstance(op, ChipLearn)}


class EngineProcess(LearningDense):
    """LearningDense with the ports of a projection's messages. Pairs without a synapse have one that nobody reads."""

    def __init__(self, part: Part, work: Work, messages: list[Message], rule: Rule) -> None:
        s = rule.after.synapses
        mode = "MIXED" if rule.after.low < 0 < rule.after.high else ("EXCITATORY" if rule.after.high > 0 else "INHIBITORY")
        graded = GradedSpikeCfg.OVERWRITE if rule.graded is not None else GradedSpikeCfg.USE_REGULAR_IMPULSE
        super().__init__(
            weights=np.zeros((s.n_post, s.n_pre), int), learning_rule=rule.lava(), graded_spike_cfg=graded, sign_mode=SignMode[mode],
            name=part.name, part=part, work=work, rule=rule,
        )
        add_ports(self, part, work, messages)


class EngineModel(NodeModel, PyLearningDenseModelBitApproximate):
    """Does the scripts of its part; its rule by what Lava's model does in its learning phase."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters)
        self.rule: Rule = parameters["rule"]
        self.appliers = dict(self._learning_rule_appliers)
        self.bytes: dict[str, np.ndarray] = {}

    def lrn_guard(self) -> bool:
        """Learning has its place in the order of the step, and no phase of its own."""
        return False

    def operate(self, operation: Operation) -> None:
        if isinstance(operation, ChipLearn):
            self._learn(operation)
        else:
            super().operate(operation)

    def _learn(self, op: ChipLearn) -> None:
        arrays, s = self.arrays, op.synapses
        at = arrays[s.post], arrays[s.pre]
        for name, values in (("weights", np.rint(arrays[op.target] / op.unit)), ("tag_1", arrays[op.tag])):
            getattr(self, name)[at] = values.astype(int)
        self._learning_rule_appliers = {
            name: applier for name, applier in self.appliers.items() if {"weights": op.dw, "tag_1": op.dt}[name]
        }
        self.bytes = {"weights": self._bytes(op, op.round_weights, at), "tag_1": self._bytes(op, op.round_tags, at)}
        values = dict(op.values)
        for y in ("y1", "y2", "y3"):
            if y in values:
                getattr(self, y)[...] = arrays[values[y]].astype(int)
        if op.each == "trial":
            self._apply_learning_rules(np.stack([self._x_traces] * 2), np.stack([self._y_traces] * 2))
        else:
            self._step(op)
        arrays[op.target][...] = op.unit * self.weights[at]
        arrays[op.tag][...] = self.tag_1[at]

    def _step(self, op: ChipLearn) -> None:
        """What Lava's model does in a step, but for the messages: spikes, then its learning phase."""
        arrays, spikes, graded = self.arrays, self.rule.spikes, self.rule.graded
        for trace in op.traces:
            setattr(self, trace.variable, arrays[trace.array].astype(int))
        if graded is not None:
            self._process_pre_spikes(2 * arrays[graded].astype(int))
        elif spikes is not None:
            self._process_pre_spikes((arrays[spikes] > 0).astype(int))
        fired = dict(op.values).get("y0")
        self._process_post_spikes(np.zeros(len(self.y0), bool) if fired is None else arrays[fired] > 0)
        uniform = [arrays[t.uniform] for t in op.traces if t.uniform is not None]
        self._x_random = SimpleNamespace(random_trace_decay=np.array(uniform) if uniform else 1.0, random_impulse_addition=0)
        self._y_random = SimpleNamespace(random_trace_decay=1.0, random_impulse_addition=0)
        self.run_lrn()
        for trace in op.traces:
            arrays[trace.array][...] = getattr(self, trace.variable)

    def _bytes(self, op: ChipLearn, stream: str | None, at: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The random byte of each synapse, (n_post, n_pre)."""
        found = np.zeros(self._shape)
        if stream is not None:
            step = TRIAL_DRAW if op.each == "trial" else int(self.clock[STEP])
            found[at] = draw_bytes(op.synapses.n, stream_key(self.program.seed, stream), step, int(self.clock[TRIAL]))
        return found

    def _update_synaptic_variable_random(self) -> None:
        """Random numbers are counted, not drawn in turn."""

    def _stochastic_round_synaptic_variable(self, syn_var_name: str, syn_var_values: np.ndarray, random: float) -> np.ndarray:
        """As Lava's, with a number for each synapse, and weights on their grid."""
        unit = 128 * (self.rule.after.step if syn_var_name == "weights" else 1)
        exact = syn_var_values / unit
        whole = np.floor(exact)
        return stochastic_round(whole, self.bytes[syn_var_name] / 256.0, exact - whole) * unit

    def _saturate_synaptic_variable(self, syn_var_name: str, syn_var_val: np.ndarray) -> np.ndarray:
        limits = (self.rule.after.low, self.rule.after.high) if syn_var_name == "weights" else TAG_RANGE
        return np.clip(syn_var_val, *limits)


__all__ = ["EngineModel", "EngineProcess", "Rule", "chip_rules"]

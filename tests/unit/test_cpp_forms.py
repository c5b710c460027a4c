"""The forms of a rule against Reference: which loop over synapses is chosen, and that it computes the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.programs import POST_ONLY, RANK_TWO, SIMPLE, STDP, STEPS, WITH_WEIGHT, Both, code, moved, network

from neuroplast.backends.cpp import build
from neuroplast.ir.program import (
    Array,
    Map,
    Product,
)

pytestmark = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler")


EVENTS, ACTIVE, HISTORY = "at jumps of presynaptic factors", "active presynaptic", "the whole change"
PULSES, MEMORYLESS, DENSE = "at spikes of either side", "the outer product", "every synapse"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "no bounds": (EVENTS, {}),
    "bounds each trial": (EVENTS, {"low": 0.05, "high": 0.25, "bound_each": "trial"}),
    "bounds each step": (ACTIVE, {"low": 0.05, "high": 0.25}),
    "bounds that are far apart": (ACTIVE, {"low": 0.0, "high": 5.0}),
    "bounds that are met often": (ACTIVE, {"low": 0.1, "high": 0.12, "rate": 0.2}),
    "one bound": (ACTIVE, {"low": 0.1}),
    "other bound": (ACTIVE, {"high": 0.2}),
    "rank two": (EVENTS, {"products": RANK_TWO}),
    "rank two with bounds": (ACTIVE, {"products": RANK_TWO, "low": 0.05, "high": 0.25}),
    "a postsynaptic term": (EVENTS, {"products": POST_ONLY}),
    "a plain integral": (EVENTS, {"decay": 1.0}),
    "no trace": (ACTIVE, {"decay": 0.0}),
    "no trace with bounds": (ACTIVE, {"decay": 0.0, "low": 0.05, "high": 0.25}),
    "rare": (EVENTS, {"drive": 0.2}),
    "rare with bounds": (ACTIVE, {"drive": 0.2, "low": 0.05, "high": 0.25}),
    "rare with bounds far apart": (ACTIVE, {"drive": 0.2, "low": 0.05, "high": 2.0, "decay": 0.99}),
    "rare with bounds met often": (ACTIVE, {"drive": 0.2, "low": 0.1, "high": 0.2, "decay": 0.99, "rate": 0.1}),
    "mostly idle with bounds": (ACTIVE, {"drive": 0.16, "low": 0.05, "high": 0.25, "decay": 0.97, "rate": 0.004, "steps": 800}),
    "rare, deferred": (HISTORY, {"drive": 0.2, "update": "deferred"}),
    "endless": (EVENTS, {"drive": 0.2, "endless": True}),
    "endless with rank two": (EVENTS, {"drive": 0.2, "endless": True, "products": RANK_TWO, "low": 0.0, "bound_each": "trial"}),
    "endless with bounds": (ACTIVE, {"drive": 0.2, "endless": True, "low": 0.05, "high": 0.25}),
    "endless, deferred": (HISTORY, {"drive": 0.2, "endless": True, "update": "deferred"}),
    "endless, deferred without reset": (EVENTS, {"drive": 0.2, "endless": True, "update": "deferred", "reset": False}),
    "weight noise": (EVENTS, {"noise": True}),
    "delays": (EVENTS, {"delays": True}),
    "deferred without reset": (EVENTS, {"update": "deferred", "reset": False, "low": 0.0, "high": 0.25}),
    "episodic without reset": (EVENTS, {"update": "episodic", "reset": False, "max_change": 0.02}),
    "deferred": (HISTORY, {"update": "deferred", "low": 0.0, "high": 0.3}),
    "deferred with rank two": (HISTORY, {"update": "deferred", "products": RANK_TWO}),
    "deferred without trace": (HISTORY, {"update": "deferred", "decay": 0.0}),
    "deferred of order 1": (HISTORY, {"update": "deferred", "order": 1}),
    "deferred of order 3": (HISTORY, {"update": "deferred", "order": 3}),
    "episodic": (HISTORY, {"update": "episodic"}),
    "episodic and limited": (HISTORY, {"update": "episodic", "max_change": 0.02, "order": 2, "low": 0.0, "high": 0.3}),
    "episodic graded": (HISTORY, {"update": "episodic", "graded": True}),
    "without a law": (ACTIVE, {"lawful": False}),
    "without a law, rank two": (ACTIVE, {"lawful": False, "products": RANK_TWO, "endless": True}),
    "deferred without a law": (HISTORY, {"update": "deferred", "lawful": False, "products": RANK_TWO}),
    "long trials": (EVENTS, {"drive": 0.2, "endless": True, "steps": 1500, "rate": 0.001, "decay": 0.99}),
    "long trials, deferred": (HISTORY, {"drive": 0.2, "endless": True, "steps": 1500, "update": "deferred", "rate": 0.001}),
    "a trace that falls more slowly than memory": (EVENTS, {"drive": 0.2, "endless": True, "decay": 0.4, "steps": 600}),
    "pairs of spikes": (PULSES, {"products": STDP, "low": 0.05, "high": 0.25}),
    "pairs of spikes, one bound, long": (PULSES, {"products": STDP, "low": 0.0, "decay": 0.99, "steps": 1200, "rate": 0.002, "drive": 0.2}),
    "pairs of spikes, bounds met often": (PULSES, {"products": STDP, "low": 0.1, "high": 0.15, "decay": 0.99, "rate": 0.05}),
    "pairs of spikes that add up": (PULSES, {"products": STDP, "low": 0.05, "high": 0.25, "decay": 1.0, "rate": 0.001}),
    "pairs of spikes without bounds": (EVENTS, {"products": STDP}),
    "graded without trace": (MEMORYLESS, {"graded": True, "decay": 0.0}),
    "graded without trace, with bounds": (
        MEMORYLESS, {"graded": True, "decay": 0.0, "low": 0.05, "high": 0.25, "products": RANK_TWO},
    ),
    "graded": (DENSE, {"graded": True}),
    "graded with bounds": (DENSE, {"graded": True, "low": 0.05, "high": 0.25}),
    "graded with delays": (DENSE, {"graded": True, "delays": True}),
    "graded with weight noise": (DENSE, {"graded": True, "noise": True}),
    "graded of order 2": (DENSE, {"graded": True, "order": 2, "bound_each": "trial", "low": 0.0}),
    "order 2": (DENSE, {"order": 2}),
    "weights in the drive": (DENSE, {"products": WITH_WEIGHT, "low": 0.05, "high": 0.25}),
    "deferred with weights in the drive": (DENSE, {"products": WITH_WEIGHT, "update": "deferred"}),
    "episodic with weights in the drive": (DENSE, {"products": WITH_WEIGHT, "update": "episodic", "order": 1}),
}


SPARSE = (
    "no bounds", "pairs of spikes", "without a law", "rank two", "rank two with bounds", "mostly idle with bounds", "endless with rank two",
    "delays",
    "deferred without reset", "deferred of order 1", "episodic and limited", "graded without trace, with bounds",
    "graded of order 2", "graded with delays",
    "weights in the drive",
)
"""Cases that are also run where not all pairs are connected: one or two for each loop over synapses."""


@pytest.mark.parametrize(("case", "dense"), [*((case, True) for case in CASES), *((case, False) for case in SPARSE)])
def test_each_form(case: str, dense: bool) -> None:
    """Three trials, then one more after the state was written to."""
    form, options = CASES[case]
    record = (("pre output", 1), ("u", 3), ("w", 0), ("M", 1))
    both = Both(network(dense=dense, record=record, **options)).run(2)
    assert both.form().startswith(form)
    for executable in (both.reference, both.compiled):
        executable.arrays["w"] *= 0.9
    both.run(1)
    both.check()
    moved(both)


@pytest.mark.parametrize("options", [
    {"record": (("w", 1), ("e0", 7))}, {"record": (("w", 5),), "low": 0.05, "high": 0.25},
    {"record": (("e0", 1),), "reset": False},
    {"record": (("e0", 2), ("w", 3)), "graded": True, "decay": 0.0},
    {"record": (("e0", 0), ("e1", 0), ("pending", 0)), "update": "deferred", "order": 1},
    {"record": (("e0", 4), ("pending", 2)), "update": "deferred"}, {"record": (("e0", 10),), "update": "episodic"},
], ids=str)
def test_what_is_recorded_is_up_to_date(options: dict[str, Any]) -> None:
    both = Both(network(**options)).run(3)
    both.check()
    moved(both)


@pytest.mark.parametrize("options", [
    {"dense": False}, {"recovery": True}, {"recovery": True, "delays": True}, {"noise": True, "recovery": True, "dense": False},
    {"recovery": True, "delays": True, "dense": False}, {"low": -1.0, "high": 1.0},
    {"products": (Product(0.7, (), (), (("score", 1),)),), "decay": 1.0},
    {"products": (Product(0.7, (), (), (("score", 1),)), *SIMPLE), "target": "w", "low": 0.0, "high": 0.3},
    {"products": (Product(0.7, (("trace", 1),), (("u", 1),), (("score", 2),)),), "update": "deferred"},
], ids=str)
def test_stochastic_release(options: dict[str, Any]) -> None:
    values: dict[str, Any] = {"products": (Product(0.7, (), (), (("score", 1),)),), "target": "q", "rate": 0.2} | options
    both = Both(network(release=True, record=(("score", 1), ("in", 1)), **values)).run(3)
    both.check()
    squared = values["products"][0].synapse == (("score", 2),)
    assert both.form().startswith(DENSE if options.get("delays") or squared else ACTIVE)


@pytest.mark.parametrize("noise", ["off", "other", "same"])
@pytest.mark.parametrize("update", ["episodic", "continuous"])
def test_two_passes(noise: str, update: str) -> None:
    made = network(update=update, passes=2, pass_noise=noise, record=(("u", 1), ("M", 0)))
    end = Map("task", 1, code(("first", "total")), {"first": "first", "total": "total"})
    made.arrays["first"] = Array("first", np.zeros(1))
    both = Both(replace(made, pass_end=(end,))).run(3)
    both.check()
    moved(both)


def test_a_trial_that_ends_early() -> None:
    made = network(record=(("u", 1), ("w", 10)))
    made.arrays["done"] = Array("done", np.zeros(1), reset=True)
    over = Map("task", 1, code(("done", "total > 1.5")), {"done": "done", "total": "total"})
    both = Both(replace(made, after=(*made.after, over), done="done")).run(3)
    lengths = {len(values) for values in both.recorders[0].results["u/1"].values()}
    assert min(lengths) < STEPS
    both.check()



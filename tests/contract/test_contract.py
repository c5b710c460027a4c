"""The contract suite on every installed target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from neuroplast.backends.reference import Reference
from neuroplast.backends.targets import known_targets
from neuroplast.testing.contract import check, check_statistics
from neuroplast.testing.liveliness import check_alive
from neuroplast.testing.networks import SCENARIOS, Scenario

COMBINED = tuple(s for s in SCENARIOS if s.combined)
"""Each feature in one of a few networks. One alone: ``neuroplast.testing.contract.check(target, scenario)``."""
STATEMENTS = tuple(s for s in SCENARIOS if s.name == "all_statements")


def _runtime(codegen: str) -> Callable[[], Any]:
    return lambda: _load("brian2-runtime")(codegen)


def _load(name: str) -> Any:
    """A target's class; the test is skipped, and says so, where its module cannot be imported yet."""
    try:
        return known_targets()[name].load()
    except ImportError as error:
        pytest.skip(f"target {name} is installed but cannot be imported: {error}")


def _lava() -> Any:
    pytest.importorskip("lava.magma", reason="Lava is an extra")
    return _load("lava")()


RUNS: dict[str, tuple[Callable[[], Any], tuple[Scenario, ...]]] = {
    # how the target is made, and what it runs. Cython's part of Brian2 is the neurons: the rest is the kernel of the others
    "reference": (Reference, COMBINED),
    "compiled": (lambda: _load("compiled")(), COMBINED),
    "brian2-runtime-numpy": (_runtime("numpy"), COMBINED),
    "brian2-runtime-cython": (_runtime("cython"), STATEMENTS),
    "brian2-library": (lambda: _load("brian2-library")(), COMBINED),
    "brian2-standalone": (lambda: _load("brian2-standalone")(), COMBINED),
    "lava": (lambda: _lava(), COMBINED),
}
ALIASES = {"brian2", "brian2-runtime", "loihi2"}
"""Entry points that stand for runs above (``brian2`` is one of the others, whichever the machine allows), or need a chip."""


def test_every_installed_target_is_tested():
    assert set(known_targets()) - ALIASES <= set(RUNS)


@pytest.mark.parametrize(
    ("target", "scenario"), [(name, s) for name, (_, scenarios) in RUNS.items() for s in dict.fromkeys(scenarios)], ids=str
)
def test_same_as_reference(target: str, scenario: Scenario):
    if scenario.name == "gymnasium":
        pytest.importorskip("gymnasium")
    refusal = check(RUNS[target][0](), scenario, resumed=scenario.combined)
    if refusal:
        pytest.skip(refusal)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_scenario_shows_something(scenario: Scenario):
    """A comparison of two silent networks would prove nothing."""
    if scenario.name == "gymnasium":
        pytest.importorskip("gymnasium")
    check_alive(scenario)


@pytest.mark.parametrize(("target", "units", "steps"), [("reference", 240, 400), ("compiled", 600, 1000)])
def test_statistics_of_noise(target: str, units: int, steps: int):
    found = check_statistics(RUNS[target][0](), units, steps)
    worst = max(found, key=lambda s: s.away)
    print(f"{len(found)} statistics on {target}; furthest away: {worst}")

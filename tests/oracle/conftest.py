"""What the oracles share: running a network and giving back what its monitors recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from neuroplast.backends.reference import Recorder, Reference
from neuroplast.ir.discretize import discretize
from neuroplast.network import Network

Play = Callable[..., dict[str, np.ndarray]]


@pytest.fixture
def play() -> Play:
    """play(network, dt, trials=1) -> recording name -> (trials, samples, units), on Reference."""

    def run(network: Network, dt: Any, trials: int = 1) -> dict[str, np.ndarray]:
        program = discretize(network, dt)
        recorder = Recorder(program.recordings, {r.name: set(range(trials)) for r in program.recordings}, program.passes)
        Reference().prepare(program).run(trials, recorder)
        return {name: np.stack([kept[k] for k in range(trials)]) for name, kept in recorder.results.items()}

    return run


@pytest.fixture(scope="session")
def fast() -> Any:
    """The target for runs of many thousand trials; Reference where there is no compiler, with a note."""
    try:
        from neuroplast.backends.compiled import Compiled
        from neuroplast.backends.cpp.build import find_compiler
    except ImportError as error:
        pytest.skip(f"the compiled target cannot be imported: {error}")
    if find_compiler() is None:
        pytest.skip("no C++ compiler: Reference would need hours")
    return Compiled()

"""neuroplast: networks that learn by noise-driven three-factor plasticity.

Describe a network once (:class:`Network`, :class:`Population`, :class:`Projection`, ...), then run it with
:class:`Simulation` on any target: Reference, Brian2, Compiled, and later Lava.
"""

from typing import TYPE_CHECKING, Any

from neuroplast import without_dask  # noqa: F401  # isort: skip  # before anything imports pint
from neuroplast.errors import DescriptionError, LoweringError, NeuroplastError, ResultError, TaskError, UnitsError
from neuroplast.modulation import Critic, Dopamine, Modulator, PairedPass, PerTrialType, RunningMean
from neuroplast.monitors import Monitor
from neuroplast.network import Network, Population, Projection
from neuroplast.neurons import (
    LIF,
    AdaptiveThreshold,
    Bernoulli,
    EquationNeuron,
    Pattern,
    Poisson,
    Rate,
    Readout,
    SpikeSequence,
)
from neuroplast.node import Normal, Uniform
from neuroplast.noise import Frozen, Impulses, OrnsteinUhlenbeck, SynapticNoise, White
from neuroplast.plasticity import Deviation, Eligibility, LowPass, Signal, ThreeFactorRule, Transformed
from neuroplast.synapses import AllToAll, Conductance, Current, Delta, FixedProbability, Graded, OneToOne, Pairs, Release
from neuroplast.tasks import OpenLoop, PythonTask, Reach, Regression, TrackTarget, gymnasium_task

if TYPE_CHECKING:
    from neuroplast.simulation import Simulation

__version__ = "0.1.0"

__all__ = [
    "LIF", "AdaptiveThreshold", "AllToAll", "Bernoulli", "Conductance", "Critic", "Current", "Delta", "DescriptionError",
    "Deviation", "Dopamine", "Eligibility", "EquationNeuron", "FixedProbability", "Frozen", "Graded", "Impulses", "LowPass",
    "LoweringError", "Modulator", "Monitor", "Network", "NeuroplastError", "Normal", "OneToOne", "OpenLoop",
    "OrnsteinUhlenbeck", "PairedPass", "Pairs", "Pattern", "PerTrialType", "Poisson", "Population", "Projection", "PythonTask",
    "Rate", "Reach", "Readout", "Regression", "Release", "ResultError", "RunningMean", "Signal", "Simulation",
    "SpikeSequence", "SynapticNoise", "TaskError", "ThreeFactorRule", "TrackTarget", "Transformed", "Uniform", "UnitsError",
    "White", "gymnasium_task",
]


def __getattr__(name: str) -> Any:
    """Simulation is loaded when it is first used: describing a network needs neither xarray nor a backend."""
    if name == "Simulation":
        from neuroplast.simulation import Simulation

        return Simulation
    raise AttributeError(f"module 'neuroplast' has no attribute '{name}'")

"""What can go wrong with Lava, as errors that say so."""

from __future__ import annotations

from neuroplast.errors import LoweringError, NeuroplastError


class LavaError(NeuroplastError):
    """A Lava network that failed, stands still, or is asked for what Lava cannot do."""


class LavaNotAvailable(LoweringError):
    """Lava is not installed, or is another version than the one this program knows."""


__all__ = ["LavaError", "LavaNotAvailable"]

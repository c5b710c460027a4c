"""Lava (lava-nc 0.10.0): networks of Lava processes, run here or by Lava's own runtime. Importing this imports nothing of Lava."""

from neuroplast.backends.lava.target import Lava

__all__ = ["Lava"]

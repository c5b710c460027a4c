"""The usual ways to run a case's network: on our targets, in Brian2 by hand, in C++ by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.registry import Implementation

STEPS_ONLY = "NumPy, the specification; few steps only"
LIBRARY = "our default Brian2 target: its C++ as a shared library"


@dataclass(frozen=True)
class Ways:
    """What the implementations of one network share.

    network: its module.  tolerance: of the comparison with the Reference.  options: of the network, such as its size.
    """

    network: str
    tolerance: float = 1e-9
    options: Mapping[str, Any] = field(default_factory=dict)

    def ours(
        self, name: str, target: str, remark: str = "", quick: bool = False, checked: bool = True, **options: Any
    ) -> Implementation:
        """On one of our targets; options: further ones of the network, and ``few``."""
        settings = {"target": target, "network": self.network, **self.options, **options}
        return Implementation(
            name, "benchmarks.targets:OnTarget", "ours", remark, settings, quick, checked=checked, tolerance=self.tolerance
        )

    def reference(self, few: int, quick: bool = False) -> Implementation:
        """The specification, timed for a few steps of each trial."""
        return self.ours("reference", "reference", STEPS_ONLY, quick, few=few)

    def library(self, quick: bool = False, **options: Any) -> Implementation:
        """Our default Brian2 target."""
        return self.ours("brian2-target", "brian2-library", LIBRARY, quick, **options)

    def brian2(
        self, name: str, device: str, form: str, remark: str, quick: bool = False, tolerance: float | None = None,
        against: Mapping[str, Any] | None = None, **options: Any,
    ) -> Implementation:
        """By hand. device: Cython or Standalone.  form: "module:name" of what makes the network.  options: of the runner."""
        return Implementation(
            name, f"benchmarks.on_brian2:{device}", "brian2", remark, {"form": form, **options}, quick,
            tolerance=tolerance or self.tolerance, against=against or {},
        )

    def cpp(
        self, name: str, source: str, remark: str, quick: bool = False, tolerance: float | None = None, **options: Any
    ) -> Implementation:
        """By hand. source: beside the network's module.  options: of the runner (form, flags)."""
        settings = {"network": self.network, "source": source, **self.options, **options}
        return Implementation(name, "benchmarks.native:Native", "limit", remark, settings, quick, tolerance=tolerance or self.tolerance)

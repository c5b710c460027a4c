"""What values a model's parameter may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroplast.errors import DescriptionError
from neuroplast.overrides import value_text
from neuroplast.units import is_quantity


@dataclass(frozen=True)
class Allowed:
    """least <= value <= most (a quantity, or a number in the parameter's own unit), > least if ``open``; or one of ``choices``."""

    least: Any = None
    most: Any = None
    open: bool = False
    choices: tuple[Any, ...] = ()

    def check(self, name: str, value: Any) -> None:
        """DescriptionError where the value, or an item of a list, is not allowed."""
        if not (value in self.choices if self.choices else self._holds(value)):
            raise DescriptionError(f"the parameter '{name}' is out of range", got=value_text(value), allowed=str(self))

    def _holds(self, value: Any) -> bool:
        numbers = np.asarray(value.magnitude if is_quantity(value) else value, dtype=float)
        least, most = (_in_unit_of(value, bound) for bound in (self.least, self.most))
        low = True if least is None else numbers > least if self.open else numbers >= least
        return bool(np.all(low) and np.all(True if most is None else numbers <= most) and np.all(np.isfinite(numbers)))

    def __str__(self) -> str:
        if self.choices:
            return " or ".join(value_text(choice) for choice in self.choices)
        low = "" if self.least is None else f"{'more than' if self.open else 'at least'} {value_text(self.least)}"
        return ", ".join(part for part in (low, "" if self.most is None else f"at most {value_text(self.most)}") if part)


def _in_unit_of(value: Any, bound: Any) -> Any:
    return bound.to(value.units).magnitude if is_quantity(bound) else bound


def at_least(least: Any, most: Any = None) -> Allowed:
    return Allowed(least, most)


def above(least: Any, most: Any = None) -> Allowed:
    return Allowed(least, most, open=True)


def one_of(*choices: Any) -> Allowed:
    return Allowed(choices=choices)

"""Certificate: the best that is known of a problem, and what is proven of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwgym._arrays import Ints

__all__ = ["Certificate"]


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """The best solution known, and how far it can be from the best there is.

    Attributes:
        assignment: Its genes (steps, axes).
        objective: Its objective, as ``Problem.evaluate`` gives it.
        lower_bound: No feasible solution has a lower objective (up to rounding, 1e-12 relative).
        method: How it was found and proven.
        seconds: What that took.
        relaxation: A bound that is easier to come by, for comparison; by default the lower bound.
    """

    assignment: Ints = field(repr=False)
    objective: float
    lower_bound: float
    method: str
    seconds: float = 0.0
    relaxation: float | None = None

    def __post_init__(self) -> None:
        if not self.lower_bound <= self.objective:
            raise ValueError(
                f"the lower bound {self.lower_bound!r} exceeds the objective {self.objective!r}"
            )
        if self.relaxation is None:
            object.__setattr__(self, "relaxation", self.lower_bound)

    @property
    def gap(self) -> float:
        """``objective / lower_bound - 1``; 0 if the solution is proven optimal."""
        if self.objective == self.lower_bound:
            return 0.0
        return self.objective / self.lower_bound - 1 if self.lower_bound else float(np.inf)

    @property
    def exact(self) -> bool:
        """Whether the solution is proven optimal."""
        return self.gap == 0

    @property
    def yardstick(self) -> float:
        """What objectives are measured against: the optimum, or the bound if it is not known."""
        return self.objective if self.exact else self.lower_bound

    @property
    def name(self) -> str:
        """What the distance from the yardstick is called: ``regret``, or ``gap``."""
        return "regret" if self.exact else "gap"

    def above(self, objective: Any) -> Any:
        """Regret ``objective / optimum - 1``, or the gap to the lower bound, of numbers or arrays.

        Never below 0: rounding does not beat an optimum. Infinite where there is no solution.
        """
        given = np.asarray(objective, np.float64)
        if self.yardstick == 0:
            over = np.where(given > 0, np.inf, 0.0)
        else:
            over = np.maximum(given / self.yardstick - 1, 0.0)
        return over if over.ndim else float(over)

    def __repr__(self) -> str:
        return (
            f"Certificate(objective={self.objective!r}, lower_bound={self.lower_bound!r}, "
            f"gap={self.gap:.6g}, method={self.method!r}, seconds={self.seconds:.3g})"
        )

"""What all solvers share: what they ask of tables, and how far sums may be off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgym._arrays import Bools, Floats

__all__ = ["ROUNDING", "check_tables", "in_order"]

ROUNDING = 1e-12  # relative: sums of the same numbers in another order differ by less


def check_tables(allowed: Bools, **tables: Floats) -> None:
    """See that tables fit together.

    Args:
        allowed: (steps, choices).
        tables: By name, of the same shape, finite and >= 0 where allowed.

    Raises:
        ValueError: If not, or if there is no step, or one that allows no choice.
    """
    if allowed.ndim != 2 or not len(allowed):
        raise ValueError(f"allowed must have shape (steps, choices), got {allowed.shape}")
    for step in np.flatnonzero(~allowed.any(axis=1)):
        raise ValueError(f"step {step} allows no choice")
    for name, table in tables.items():
        if table.shape != allowed.shape:
            raise ValueError(f"{name} must have shape {allowed.shape}, got {table.shape}")
        wrong = table[allowed & ~((table >= 0) & np.isfinite(table))]
        if len(wrong):
            raise ValueError(f"{name} must be finite and >= 0 where allowed, got {wrong[0]}")


def in_order(values: Sequence[float]) -> float:
    """Their sum, added one by one, as totals are; Python's own ``sum`` differs by version."""
    return float(np.cumsum(values)[-1])

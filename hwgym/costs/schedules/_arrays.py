"""What both simulators ask of their arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Floats, Ints

__all__ = ["indices", "numbers"]


def numbers(name: str, values: ArrayLike, *, zero: bool = False) -> Floats:
    """Finite numbers above 0, or from 0 on.

    Raises:
        ValueError: If they are not.
    """
    array = np.asarray(values, np.float64)
    wrong = array[~(np.isfinite(array) & (array >= 0 if zero else array > 0))]
    if wrong.size:
        least = "0 or more" if zero else "above 0"
        raise ValueError(f"{name} must be finite and {least}, got {wrong[0]}")
    return array


def indices(name: str, values: ArrayLike, below: int) -> Ints:
    """Whole numbers from 0 to ``below`` - 1, their last axis of any length.

    Raises:
        ValueError: If they are not.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or not array.ndim:
        raise ValueError(f"{name} must be an array of whole numbers, got {array.dtype}")
    if array.size and (array.min() < 0 or array.max() >= below):
        wrong = array[(array < 0) | (array >= below)][0]
        raise ValueError(f"{name} must be 0 to {below - 1}, got {wrong}")
    return array.astype(np.int64, copy=False)

"""The array types that signatures name, and rows told apart by a number; defined once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Bools", "Floats", "Ints", "Observations", "rows_by"]

Array: TypeAlias = NDArray[Any]
Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Observations: TypeAlias = NDArray[np.float32]


def rows_by(numbers: Ints) -> Iterator[tuple[int, Ints]]:
    """The numbers that there are among (N,), the least first, each with its rows in order."""
    if not len(numbers):
        return
    if (numbers == numbers[0]).all():  # as it often is
        yield int(numbers[0]), np.arange(len(numbers))
        return
    order = np.argsort(numbers, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        yield int(numbers[rows[0]]), rows

"""Nests: points to be analysed, each a layer and a mapping of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym._names import nearest

__all__ = ["DIMS", "INPUT", "LEVELS", "OUTPUT", "TENSORS", "WEIGHT", "Hold", "Nests"]

DIMS = ("B", "G", "K", "C", "P", "Q", "R", "S")
"""Batch, groups, filters and channels per group, output rows and columns, filter rows and
columns."""

WEIGHT, INPUT, OUTPUT = TENSORS = ("weight", "input", "output")
LEVELS = ("l2", "l1", "registers")

MOST_MACS = 2**53
"""Up to here counts are exact as floats, too, and no product of counts overflows."""


@dataclass(frozen=True)
class Hold:
    """Which tensors each level holds; what it does not hold passes it by.

    Attributes:
        l2: In the shared buffer. What is not there moves between DRAM and the array.
        l1: In each PE's own buffer. What is not there must be in registers.
        registers: One element for each MAC. What is not there is read in L1 for every MAC.

    Raises:
        ValueError: If a tensor is unknown, or neither in L1 nor in registers.
    """

    l2: tuple[str, ...] = TENSORS
    l1: tuple[str, ...] = TENSORS
    registers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for level in LEVELS:
            given = getattr(self, level)
            names = (given,) if isinstance(given, str) else tuple(given)
            for name in names:
                if name not in TENSORS:
                    raise ValueError(f"{level}: {nearest('tensor', name, TENSORS)}")
            object.__setattr__(self, level, tuple(t for t in TENSORS if t in names))
        for name in TENSORS:
            if name not in self.l1 and name not in self.registers:
                raise ValueError(
                    f"{name} must be held in L1 or in registers, for a MAC to reach it"
                )


@dataclass(frozen=True, eq=False)
class Nests:
    """N loop nests, arrays (N, 8) in the order of ``DIMS``; what is equal for all points may be
    (8,) or (1, 8).

    A dimension is cut into L2 tiles of ``tile * spread * steps`` (the last one what is left); an L2
    tile into ``steps`` steps of the array; a step into the ``tile`` that each of ``spread`` PEs
    gets. What lies beyond the extent does not exist.

    Attributes:
        extent: The layer's sizes.
        tile: Temporal tile inside a PE.
        spread: PEs side by side.
        steps: Steps of the array inside an L2 tile.
        dram_order, l2_order: Position of each dimension's loop over L2 tiles, and over steps; 0 is
            outermost.
        l1_order: Position of its loop inside a PE, which matters to registers only; by default as
            ``DIMS`` has them.
        stride, dilation: (N, 2), of rows and columns.

    Raises:
        ValueError: If a size is not a positive integer, an order is no permutation of 0..7, or a
            layer has more than 2^53 MACs.
    """

    extent: Ints
    tile: Ints
    spread: Ints
    steps: Ints
    dram_order: Ints
    l2_order: Ints
    l1_order: Ints = field(default_factory=lambda: np.arange(len(DIMS)))
    stride: Ints = field(default_factory=lambda: np.ones(2, np.int64))
    dilation: Ints = field(default_factory=lambda: np.ones(2, np.int64))

    def __post_init__(self) -> None:
        rows = {}
        for f in fields(self):
            width = 2 if f.name in ("stride", "dilation") else len(DIMS)
            rows[f.name] = _rows(f.name, getattr(self, f.name), width)
            if f.name.endswith("_order"):
                _check_order(f.name, rows[f.name])
            else:
                _check_sizes(f.name, rows[f.name])
        try:
            (count,) = np.broadcast_shapes(*(r.shape[:1] for r in rows.values()))
        except ValueError:
            counts = ", ".join(f"{name} {len(r)}" for name, r in rows.items() if len(r) != 1)
            raise ValueError(f"arrays are of different numbers of points: {counts}") from None
        if not count:
            raise ValueError("there are no points")
        for name, r in rows.items():
            object.__setattr__(self, name, np.broadcast_to(r, (count, r.shape[1])))
        macs = np.prod(rows["extent"].astype(np.float64), axis=1)
        if macs.max() > MOST_MACS:
            raise ValueError(
                f"a layer has {macs.max():.3g} MACs; up to 2**53 = {MOST_MACS:.3g} can be counted "
                "exactly"
            )

    def __len__(self) -> int:
        return len(self.extent)

    def __getitem__(self, points: Any) -> Nests:
        """Those of some points: a slice, a mask or indices."""
        return self._of({f.name: getattr(self, f.name)[points] for f in fields(self)})

    def chunks(self, size: int) -> Iterator[tuple[slice, Nests]]:
        """Slices of at most ``size`` points, and these."""
        for start in range(0, len(self), size):
            points = slice(start, min(start + size, len(self)))
            yield points, self[points]

    @classmethod
    def joined(cls, nests: Iterable[Nests]) -> Nests:
        """Several, one after the other."""
        parts = list(nests)
        return cls._of(
            {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )

    @classmethod
    def trusted(cls, *arrays: Ints) -> Nests:
        """Of all attributes in their order, whose entries are known to be what they must be."""
        rows = [np.atleast_2d(array) for array in arrays]
        count = max(map(len, rows))
        names = (f.name for f in fields(cls))
        every = zip(names, rows, strict=True)
        return cls._of({n: np.broadcast_to(r, (count, r.shape[1])) for n, r in every})

    @classmethod
    def _of(cls, rows: dict[str, Ints]) -> Nests:
        """Of arrays (N, width) that have been checked."""
        made = cls.__new__(cls)
        for name, array in rows.items():
            object.__setattr__(made, name, array)
        return made

    def __repr__(self) -> str:
        return f"<Nests: {len(self):,} points>"


def _rows(name: str, given: ArrayLike, width: int) -> Ints:
    array = np.asarray(given)
    if array.ndim not in (1, 2) or array.shape[-1] != width:
        raise ValueError(f"{name} must have shape (N, {width}), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, got {array.dtype}")
    return np.atleast_2d(array).astype(np.int64, copy=False)


def _check_sizes(name: str, rows: Ints) -> None:
    if rows.size and rows.min() < 1:
        raise ValueError(f"{name} must be at least 1, got {rows.min()}")
    if rows.size and rows.max() >= 2**31:
        raise ValueError(f"{name} must be below 2**31, got {rows.max()}")


def _check_order(name: str, rows: Ints) -> None:
    inside = (rows >= 0) & (rows < len(DIMS))
    seen = np.bitwise_or.reduce(1 << np.where(inside, rows, 0), axis=1)
    wrong = np.flatnonzero((seen != (1 << len(DIMS)) - 1) | ~inside.all(axis=1))
    if wrong.size:
        raise ValueError(
            f"{name} must be the position of each of {', '.join(DIMS)}, 0 to 7, each once; got "
            f"{rows[wrong[0]].tolist()}"
        )

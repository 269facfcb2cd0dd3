"""MAESTRO's data-centric directives, with symbolic sizes.

``SpatialMap(size, offset, dim)`` gives each unit of a level ``size`` indices of ``dim``, the next
unit ``offset`` further on; ``TemporalMap`` does the same over time; ``Cluster(size)`` starts the
next level, inside groups of ``size`` units. Source: Kwon et al., MICRO 2019, section 3.

A size is an integer or a name: a layer dimension (``"R"`` is the layer's filter rows) or one of
the parameters ``"tile_k"`` (filters that one PE's buffer holds), ``"cluster_size"`` and
``"num_pes"``.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgym._names import nearest

__all__ = [
    "LARGEST_SIZE",
    "LAYER_DIMS",
    "OUTPUT_DIMS",
    "PARAMETERS",
    "Cluster",
    "Directive",
    "Size",
    "SpatialMap",
    "TemporalMap",
]

Size = int | str

LARGEST_SIZE = 2**31 - 1
"""Of a layer, a directive, an array: what the reference reads its sizes into."""

LAYER_DIMS = ("K", "C", "Y", "X", "R", "S")
OUTPUT_DIMS = ("Y'", "X'")
PARAMETERS = ("tile_k", "cluster_size", "num_pes")


def _check_size(what: str, size: Size) -> None:
    if isinstance(size, str):
        if size not in LAYER_DIMS + PARAMETERS:
            raise ValueError(f"{what}: {nearest('size', size, LAYER_DIMS + PARAMETERS)}")
    elif isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_SIZE:
        raise ValueError(
            f"{what} must be a positive integer of at most {LARGEST_SIZE} or a name, got {size!r}"
        )


@dataclass(frozen=True, slots=True)
class _Map:
    size: Size
    offset: Size
    dim: str

    def __post_init__(self) -> None:
        what = type(self).__name__
        if self.dim not in LAYER_DIMS + OUTPUT_DIMS:
            raise ValueError(f"{what}: {nearest('dimension', self.dim, LAYER_DIMS + OUTPUT_DIMS)}")
        _check_size(f"{what} size", self.size)
        _check_size(f"{what} offset", self.offset)

    def __str__(self) -> str:
        return f"{type(self).__name__}({_text(self.size)}, {_text(self.offset)}) {self.dim}"


class SpatialMap(_Map):
    """Spread ``dim`` over the units of a level: ``size`` indices each, ``offset`` apart."""

    __slots__ = ()


class TemporalMap(_Map):
    """Walk ``dim`` over time: ``size`` indices at once, advancing by ``offset``."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Start the next level inside groups of ``size`` units."""

    size: Size

    def __post_init__(self) -> None:
        _check_size("Cluster size", self.size)

    def __str__(self) -> str:
        return f"Cluster({_text(self.size)}, P)"


Directive = SpatialMap | TemporalMap | Cluster


def _text(size: Size) -> str:
    return f"Sz({size})" if size in LAYER_DIMS else str(size)

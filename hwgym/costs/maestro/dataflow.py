"""Dataflows as data: MAESTRO's data-centric directives with symbolic sizes.

A dataflow is a list of directives, outermost first. ``SpatialMap(size, offset, dim)`` gives each
unit of the level ``size`` indices of ``dim``, the next unit ``offset`` further on;
``TemporalMap`` does the same over time; ``Cluster(size)`` starts the next level, inside groups of
``size`` units. Source: Kwon et al., MICRO 2019, section 3 (directives).

A size is an integer or a name: a layer dimension (``"R"`` is the layer's filter rows) or one of
the mapping parameters ``"tile_k"`` (filters that one PE's buffer holds), ``"cluster_size"`` and
``"num_pes"``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from hwgym._files import write_text
from hwgym._names import nearest

__all__ = [
    "CONFUCIUX_EYERISS",
    "DATAFLOWS",
    "DEPTHWISE",
    "EYERISS",
    "NVDLA",
    "SHIDIANNAO",
    "Cluster",
    "Dataflow",
    "Directive",
    "Size",
    "SpatialMap",
    "TemporalMap",
    "dataflow",
]

Size = int | str

LAYER_DIMS = ("K", "C", "Y", "X", "R", "S")
OUTPUT_DIMS = ("Y'", "X'")
PARAMETERS = ("tile_k", "cluster_size", "num_pes")
_FILTER_OF = {"Y'": "R", "X'": "S"}


def _check_size(what: str, size: Size) -> None:
    if isinstance(size, str):
        if size not in LAYER_DIMS + PARAMETERS:
            raise ValueError(f"{what}: {nearest('size', size, LAYER_DIMS + PARAMETERS)}")
    elif isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"{what} must be a positive integer or a name, got {size!r}")


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


def _split(directives: tuple[Directive, ...]) -> Iterator[tuple[SpatialMap | TemporalMap, ...]]:
    level: list[SpatialMap | TemporalMap] = []
    for directive in directives:
        if isinstance(directive, Cluster):
            yield tuple(level)
            level = []
        else:
            level.append(directive)
    yield tuple(level)


def _check(name: str, directives: tuple[Directive, ...], *, depthwise: bool) -> None:
    for number, level in enumerate(_split(directives)):
        where = f"dataflow {name!r}, level {number}"
        dims = [m.dim for m in level]
        spatial = sum(isinstance(m, SpatialMap) for m in level)
        if not 1 <= spatial <= 2:
            raise ValueError(f"{where}: one or two spatial maps are allowed, found {spatial}")
        if repeated := {d for d in dims if dims.count(d) > 1}:
            raise ValueError(f"{where}: mapped more than once: {', '.join(sorted(repeated))}")
        for output, filter_ in _FILTER_OF.items():
            if output in dims and output[0] in dims:
                raise ValueError(f"{where}: {output} and {output[0]} exclude each other")
            if output in dims and filter_ not in dims:
                raise ValueError(f"{where}: {output} needs {filter_} mapped in the same level")
        if depthwise and "K" in dims:
            raise ValueError(f"{where}: a depthwise mapping has no K; map C instead")


@dataclass(frozen=True)
class Dataflow:
    """A mapping style.

    Attributes:
        name: How registry, tables and errors call it.
        directives: Outermost first. Each level needs one or two spatial maps.
        depthwise: The mapping that depthwise layers get under this dataflow; by default the one
            that ConfuciuX uses whatever the dataflow (its ``dpt.m``).

    Raises:
        ValueError: If a level has no spatial map or more than two, maps a dimension twice, mixes
            ``Y`` with ``Y'``, or maps ``Y'`` without ``R`` (``X'`` without ``S``) beside it.
    """

    name: str
    directives: tuple[Directive, ...]
    depthwise: tuple[Directive, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "directives", tuple(self.directives))
        object.__setattr__(self, "depthwise", tuple(self.depthwise) or DEPTHWISE)
        _check(self.name, self.directives, depthwise=False)
        _check(f"{self.name} (depthwise)", self.depthwise, depthwise=True)

    def levels(
        self, *, depthwise: bool = False
    ) -> tuple[tuple[SpatialMap | TemporalMap, ...], ...]:
        """The maps of each level, outermost level first."""
        return tuple(_split(self.depthwise if depthwise else self.directives))

    def cluster_sizes(self, *, depthwise: bool = False) -> tuple[Size, ...]:
        """The sizes of the ``Cluster`` directives, outermost first."""
        directives = self.depthwise if depthwise else self.directives
        return tuple(d.size for d in directives if isinstance(d, Cluster))

    def __str__(self) -> str:
        return "\n".join(str(d) for d in self.directives)

    def to_toml(self, path: str | os.PathLike[str]) -> None:
        """Write the file that :func:`hwgym.costs.maestro.read_dataflow` reads back as an equal dataflow.

        The file appears whole or not at all.
        """
        from hwgym.costs.maestro.dataflow_file import dataflow_text

        write_text(path, dataflow_text(self))


# In MAESTRO's distribution and in ConfuciuX this is the mapping of every depthwise layer.
DEPTHWISE: tuple[Directive, ...] = (
    SpatialMap("tile_k", "tile_k", "C"),
    TemporalMap("R", 1, "Y"),
    TemporalMap("S", 1, "X"),
    TemporalMap("R", "R", "R"),
    TemporalMap("S", "S", "S"),
)

NVDLA = Dataflow(
    "NVDLA",
    (
        SpatialMap("tile_k", "tile_k", "K"),
        TemporalMap("cluster_size", "cluster_size", "C"),
        TemporalMap("R", "R", "R"),
        TemporalMap("S", "S", "S"),
        TemporalMap("R", 1, "Y"),
        TemporalMap("S", 1, "X"),
        Cluster("cluster_size"),
        SpatialMap(1, 1, "C"),
        TemporalMap("R", 1, "Y"),
        TemporalMap("S", 1, "X"),
        TemporalMap("R", "R", "R"),
        TemporalMap("S", "S", "S"),
    ),
)
"""Weight-stationary, parallel over filters and channels; ConfuciuX's ``dla``."""

EYERISS = Dataflow(
    "Eyeriss",
    (
        SpatialMap(1, 1, "Y'"),
        TemporalMap(1, 1, "X'"),
        TemporalMap(1, 1, "C"),
        TemporalMap("tile_k", "tile_k", "K"),
        TemporalMap("R", "R", "R"),
        TemporalMap("S", "S", "S"),
        Cluster("R"),
        SpatialMap(1, 1, "Y"),
        SpatialMap(1, 1, "R"),
        TemporalMap("S", "S", "S"),
    ),
)
"""Row-stationary (MAESTRO's ``rs``): a cluster's PEs hold the diagonal of input and filter rows."""

CONFUCIUX_EYERISS = Dataflow(
    "ConfuciuX-Eyeriss",
    (
        TemporalMap(1, 1, "C"),
        TemporalMap("tile_k", "tile_k", "K"),
        SpatialMap("cluster_size", "cluster_size", "Y'"),
        TemporalMap("S", "S", "X'"),
        TemporalMap("R", "R", "R"),
        TemporalMap("S", "S", "S"),
        Cluster("cluster_size"),
        TemporalMap(1, 1, "C"),
        SpatialMap(1, 1, "Y'"),
        SpatialMap(1, 1, "X'"),
        TemporalMap("R", "R", "R"),
        TemporalMap("S", "S", "S"),
    ),
)
"""ConfuciuX's own Eyeriss (``eye``): two output dimensions share one row of PEs, so beyond one PE
it mostly runs in fewer cycles than any hardware could. Only the released problem uses it."""

SHIDIANNAO = Dataflow(
    "ShiDianNao",
    (
        TemporalMap("tile_k", "tile_k", "K"),
        SpatialMap("R", "R", "Y'"),
        TemporalMap("cluster_size", "cluster_size", "X'"),
        TemporalMap(1, 1, "C"),
        TemporalMap("R", "R", "R"),
        TemporalMap("S", "S", "S"),
        Cluster("cluster_size"),
        TemporalMap(1, 1, "C"),
        TemporalMap(1, 1, "Y'"),
        SpatialMap(1, 1, "X'"),
        TemporalMap("R", "R", "R"),
        TemporalMap("S", "S", "S"),
    ),
)
"""Output-stationary, parallel over output columns; ConfuciuX's ``shi``."""

DATAFLOWS: dict[str, Dataflow] = {
    d.name: d for d in (NVDLA, EYERISS, SHIDIANNAO, CONFUCIUX_EYERISS)
}


def dataflow(given: str | Dataflow) -> Dataflow:
    """The dataflow of that name or in that file; a :class:`Dataflow` is handed back as it is.

    Args:
        given: A key of :data:`DATAFLOWS`, or the path of a ``.m`` or ``.toml`` file, which
            :func:`hwgym.costs.maestro.read_dataflow` reads.

    Raises:
        ValueError: If the name is unknown; the message gives the nearest one. As that function
            does, for a file.
        OSError: If the file cannot be read.
    """
    if isinstance(given, Dataflow):
        return given
    if given in DATAFLOWS:
        return DATAFLOWS[given]
    from hwgym.costs.maestro.dataflow_file import MAPPING_FILES, read_dataflow

    if isinstance(given, str) and given.endswith(MAPPING_FILES):
        return read_dataflow(given)
    raise ValueError(nearest("dataflow", given, DATAFLOWS))

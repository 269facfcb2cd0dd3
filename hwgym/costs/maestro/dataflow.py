"""Dataflows as data: a list of directives, outermost first, with sizes left open.

:mod:`hwgym.costs.maestro.directives` says what a directive and a size is. A dataflow is a template:
layer, PE count and tile make it a mapping.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hwgym._files import write_text
from hwgym._names import nearest
from hwgym.costs.maestro.dataflow_file import (
    DATAFLOW_FILES,
    dataflow_text,
    dataflow_values,
    file_and_layer,
    table_values,
)
from hwgym.costs.maestro.directives import Cluster, Directive, Size, SpatialMap, TemporalMap

__all__ = [
    "CLUSTERED",
    "CLUSTER_SIZES",
    "CONFUCIUX_EYERISS",
    "DATAFLOWS",
    "DEPTHWISE",
    "EYERISS",
    "NVDLA",
    "SHIDIANNAO",
    "Dataflow",
    "dataflow",
    "read_dataflow",
]

_FILTER_OF = {"Y'": "R", "X'": "S"}


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
            raise ValueError(f"{where}: a depthwise dataflow has no K; map C instead")


@dataclass(frozen=True)
class Dataflow:
    """A template of loop nests: what is spread and what is walked, with sizes left open.

    Attributes:
        name: How registry, tables and errors call it.
        directives: Outermost first. Each level needs one or two spatial maps.
        depthwise: The directives that depthwise layers get under this dataflow; by default those
            that ConfuciuX uses whatever the dataflow (its ``dpt.m``).
        about: What it keeps and what runs in parallel, in a line.

    Raises:
        ValueError: If a level has no spatial map or more than two, maps a dimension twice, mixes
            ``Y`` with ``Y'``, or maps ``Y'`` without ``R`` (``X'`` without ``S``) beside it.
    """

    name: str
    directives: tuple[Directive, ...]
    depthwise: tuple[Directive, ...] = field(default=(), repr=False)
    about: str = field(default="", repr=False, compare=False)

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

    def with_cluster_size(self, size: int) -> Dataflow:
        """The same with a number for ``cluster_size``, named after both."""

        def value(given: Size) -> Size:
            return size if given == "cluster_size" else given

        def fixed(d: Directive) -> Directive:
            if isinstance(d, Cluster):
                return Cluster(value(d.size))
            return type(d)(value(d.size), value(d.offset), d.dim)

        return replace(
            self,
            name=f"{self.name}:{size}",
            directives=tuple(map(fixed, self.directives)),
            depthwise=tuple(map(fixed, self.depthwise)),
        )

    def __str__(self) -> str:
        return "\n".join(str(d) for d in self.directives)

    def to_dict(self) -> dict[str, Any]:
        """What :func:`dataflow` takes as an equal dataflow: name and directives, as text."""
        return {
            "name": self.name,
            "directives": [str(each) for each in self.directives],
            "depthwise": [str(each) for each in self.depthwise],
        }

    def to_toml(self, path: str | os.PathLike[str]) -> None:
        """Write the file that :func:`read_dataflow` reads back as an equal dataflow.

        The file appears whole or not at all.
        """
        write_text(path, dataflow_text(self.name, self.directives, self.depthwise))


# In MAESTRO's distribution and in ConfuciuX every depthwise layer is mapped by this.
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
    about="weight-stationary; parallel over input channels only, in one cluster of all PEs",
)
"""ConfuciuX's ``dla``. With ``cluster_size`` at ``num_pes`` there is one cluster, and filters come
one tile after the other: of a layer of three channels, three PEs do all the work."""

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
    about="row-stationary; parallel over output rows, and filter rows in clusters of as many PEs",
)
"""MAESTRO's ``rs``: a cluster's PEs hold the diagonal of input and filter rows."""

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
    about="ConfuciuX's own Eyeriss; only in the released problem",
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
    about="output-stationary; parallel over output columns only, in one cluster of all PEs",
)
"""ConfuciuX's ``shi``. As for NVDLA, there is one cluster: rows come one after the other."""

DATAFLOWS: dict[str, Dataflow] = {
    d.name: d for d in (NVDLA, EYERISS, SHIDIANNAO, CONFUCIUX_EYERISS)
}

CLUSTER_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""From these a design space chooses for each layer, under a dataflow of :data:`CLUSTERED`."""

CLUSTERED: dict[str, Dataflow] = {
    d.name: d
    for d in (
        Dataflow(
            "NVDLA-CxK",
            NVDLA.directives,
            about="NVDLA in clusters: parallel over input channels in each, and filters across",
        ),
        Dataflow(
            "ShiDianNao-YxX",
            SHIDIANNAO.directives,
            about="ShiDianNao in clusters: parallel over output columns in each, and rows across",
        ),
    )
}
"""Dataflows whose clusters are smaller than the array: ``NVDLA-CxK:16`` has clusters of 16 PEs. As
many as fit into the PEs work; what is left over is idle. Their depthwise layers, which have no
clusters, cost what they do under any other."""


def read_dataflow(
    path: str | os.PathLike[str], *, name: str | None = None, layer: str | None = None
) -> Dataflow:
    """Read a dataflow from a MAESTRO mapping file or from TOML.

    TOML has a table ``[dataflow]`` with ``directives``, optionally ``depthwise`` (each a string of
    directives, or a list of strings) and ``name``. Of a mapping file with layers, those of type
    DSCONV say how depthwise layers are mapped, if all agree, and the others the rest.

    Args:
        path: A file that ends in ``.m`` or ``.toml``.
        name: What to call the dataflow; by default TOML's ``name``, or the file's stem, with the
            layer if one is given.
        layer: Whose dataflow to take from a mapping file in which layers differ.

    Raises:
        OSError: If the file cannot be read.
        ValueError: Naming file and line: if it cannot be parsed, a directive is not one or says
            what this model has not (several samples, say), the dataflow is not one that
            :class:`Dataflow` takes, or layers differ and ``layer`` does not say which to take.
    """
    found, directives, depthwise = dataflow_values(path, layer)
    try:
        return Dataflow(name or found, directives, depthwise)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def dataflow(given: str | Dataflow | Mapping[str, Any]) -> Dataflow:
    """The dataflow of that name or in that file; a :class:`Dataflow` is handed back as it is.

    Args:
        given: A key of :data:`DATAFLOWS`; one of :data:`CLUSTERED` with a cluster size, as
            ``NVDLA-CxK:16``; the path of a ``.m`` or ``.toml`` file, which :func:`read_dataflow`
            reads, for a mapping file perhaps with a layer, ``net.m:CONV1``; or what
            :meth:`Dataflow.to_dict` gives.

    Raises:
        ValueError: If the name is unknown; the message gives the nearest one. If the cluster size
            is missing or not a positive integer. As that function does, for a file.
        OSError: If the file cannot be read.
    """
    if isinstance(given, Dataflow):
        return given
    if isinstance(given, Mapping):
        return Dataflow(*table_values("dataflow", given))
    if given in DATAFLOWS:
        return DATAFLOWS[given]
    if isinstance(given, str):
        path, layer = file_and_layer(given)
        if path.endswith(DATAFLOW_FILES):
            return read_dataflow(path, layer=layer)
        name, _, size = given.partition(":")
        if name in CLUSTERED:
            return CLUSTERED[name].with_cluster_size(_cluster_size(name, size))
    sized = (f"{name}:{CLUSTER_SIZES[4]}" for name in CLUSTERED)
    raise ValueError(nearest("dataflow", given, (*DATAFLOWS, *sized)))


def _cluster_size(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        offered = ", ".join(map(str, CLUSTER_SIZES))
        raise ValueError(
            f"{name} is followed by a cluster size, as in {name}:16, got {text or 'none'!r}; "
            f"by its bare name a design space chooses among {offered} for each layer"
        )
    return int(text)

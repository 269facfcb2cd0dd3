"""Mappings from files: MAESTRO's mapping files, and decisions as TOML or JSON.

Decisions look like this; dimensions are K, C, Y and X, of the output::

    cluster = 4                      # PEs of a cluster

    [outer]                          # over the array
    parallel = "C"                   # spread over the clusters
    order = ["Y", "K", "C", "X"]     # outermost loop first
    tile = {K = 16, C = 1, Y = 4, X = 28}    # what a cluster holds at a time

    [inner]                          # in a cluster
    parallel = "X"                   # spread over its PEs
    order = ["K", "C", "Y", "X"]
    tile = {K = 2, C = 1, Y = 4, X = 7}      # what a PE holds

Depthwise layers have no K, which may be left out. In JSON the same stands at the top or under
``mapping``, as ``hwgym map --json`` prints it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwgym._files import read_toml
from hwgym._names import nearest
from hwgym.costs.maestro import (
    MAPPED,
    Dataflow,
    Directive,
    Mappings,
    SpatialMap,
    file_and_layer,
)
from hwgym.costs.maestro.dataflow_file import layer_directives
from hwgym.workloads import Layer

__all__ = [
    "MAPPING_FILES",
    "mapping_of",
    "mapping_toml",
    "mapping_values",
    "of_directives",
    "read_mapping",
]

MAPPING_FILES = (".m", ".toml", ".json")
"""The endings of the files that hold a mapping."""

_LEVELS = ("outer", "inner")


def read_mapping(path: str | os.PathLike[str], layer: Layer) -> Mappings:
    """The mapping of a file, of a layer; ``net.m:CONV1`` is one layer's of a MAESTRO file.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds no mapping of this form; the message names the file.
    """
    given, name = file_and_layer(os.fspath(path))
    source = Path(given)
    if source.suffix not in MAPPING_FILES:
        raise ValueError(f"{source}: a mapping's file must end in {', '.join(MAPPING_FILES)}")
    if source.suffix == ".m":
        return of_directives(source.name, layer_directives(source, name), layer)
    if source.suffix == ".toml":
        values: Any = read_toml(source)
    else:
        try:
            values = json.loads(source.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error
    if isinstance(values, Mapping) and isinstance(values.get("mapping"), Mapping):
        values = values["mapping"]
    return mapping_of(values, layer, str(source))


def of_directives(name: str, directives: Sequence[Directive], layer: Layer) -> Mappings:
    """The mapping of a layer that MAESTRO's directives say.

    Raises:
        ValueError: As :meth:`hwgym.costs.maestro.Mappings.of`; ``name`` is what it calls them.
    """
    given = tuple(directives)
    if not layer.shape[-1]:
        return Mappings.of(Dataflow(name, given), layer)
    return Mappings.of(Dataflow(name, (SpatialMap(1, 1, "K"),), given), layer)


def mapping_values(mapping: Mappings, layer: Layer) -> dict[str, Any]:
    """The decisions of a single mapping, JSON values; :func:`mapping_of` reads them back."""
    skipped = bool(layer.shape[-1])  # of depthwise layers K is no decision
    found: dict[str, Any] = {"cluster": int(mapping.cluster[0])}
    for level, name in enumerate(_LEVELS):
        found[name] = {
            "parallel": MAPPED[mapping.parallel[0, level]],
            "order": [MAPPED[d] for d in mapping.orders[0, level] if not (skipped and d == 0)],
            "tile": dict(
                list(zip(MAPPED, mapping.tiles[0, level].tolist(), strict=True))[skipped:]
            ),
        }
    return found


def mapping_toml(mapping: Mappings, layer: Layer) -> str:
    """A single mapping as the TOML that :func:`read_mapping` reads back."""
    values = mapping_values(mapping, layer)
    lines = [f"cluster = {values['cluster']}"]
    for name in _LEVELS:
        given = values[name]
        order = ", ".join(f'"{dim}"' for dim in given["order"])
        tile = ", ".join(f"{dim} = {size}" for dim, size in given["tile"].items())
        lines += ["", f"[{name}]", f'parallel = "{given["parallel"]}"']
        lines += [f"order = [{order}]", f"tile = {{{tile}}}"]
    return "\n".join((*lines, ""))


def mapping_of(values: Any, layer: Layer, where: str = "mapping") -> Mappings:
    """The mapping of decisions, as a file or :func:`mapping_values` has them.

    Args:
        values: A mapping with ``cluster``, ``outer`` and ``inner``.
        layer: Whose it is.
        where: How errors begin.

    Raises:
        ValueError: If something is missing, unknown or no positive integer.
    """
    depthwise = bool(layer.shape[-1])
    dims = MAPPED[depthwise:]
    table = _table(where, values, ("cluster", *_LEVELS))
    cluster = _size(f"{where}: cluster", table["cluster"])
    parallel, tiles = np.zeros((1, 2), np.int64), np.ones((1, 2, 4), np.int64)
    orders = np.zeros((1, 2, 4), np.int64)
    for level, name in enumerate(_LEVELS):
        here = f"{where}: [{name}]"
        given = _table(here, table[name], ("parallel", "order", "tile"))
        parallel[0, level] = _dimension(f"{here} parallel", given["parallel"], dims)
        order = given["order"]
        names = order.replace("'", "").split() if isinstance(order, str) else order
        if isinstance(names, list) and len(names) == 1 and isinstance(names[0], str):
            names = list(names[0])  # "YKCX"
        if not isinstance(names, list):
            raise ValueError(f"{here} order must be a list of {', '.join(dims)}, got {order!r}")
        found = [_dimension(f"{here} order", each, dims) for each in names]
        found = [0] * (depthwise and 0 not in found) + found
        if sorted(found) != [0, 1, 2, 3]:
            raise ValueError(f"{here} order must have each of {', '.join(dims)} once, got {order}")
        orders[0, level] = found
        tile = given["tile"]
        if not isinstance(tile, Mapping):
            raise ValueError(f"{here} tile must be a table of sizes, got {tile!r}")
        sizes = {_dimension(f"{here} tile", key, MAPPED): size for key, size in tile.items()}
        for dim in range(int(depthwise), 4):
            if dim not in sizes:
                raise ValueError(f"{here} tile: {MAPPED[dim]} is missing")
            tiles[0, level, dim] = _size(f"{here} tile: {MAPPED[dim]}", sizes[dim])
    return Mappings(np.array([cluster]), parallel, tiles, orders)


def _table(where: str, given: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} must be a table with {', '.join(keys)}")
    for key in given:
        if key not in keys:
            raise ValueError(f"{where}: {nearest('key', key, keys)}")
    if missing := [key for key in keys if key not in given]:
        raise ValueError(f"{where}: {', '.join(missing)} missing; needed are {', '.join(keys)}")
    return given


def _dimension(where: str, given: Any, dims: str) -> int:
    name = given.removesuffix("'") if isinstance(given, str) else given
    if name not in tuple(dims):
        raise ValueError(f"{where}: {nearest('dimension', given, dims)}")
    return MAPPED.index(name)


def _size(where: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ValueError(f"{where} must be a positive integer, got {given!r}")
    return given

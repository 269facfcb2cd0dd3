"""A workload from what a command line or a keyword argument can say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from hwgym._names import nearest
from hwgym.workloads.imported import Imported, import_onnx
from hwgym.workloads.layer import Layer
from hwgym.workloads.network import Workload
from hwgym.workloads.onnx_reader import checked_sizes
from hwgym.workloads.released import released_models, released_workload
from hwgym.workloads.zoo import models, workload

__all__ = ["load_workload"]


def load_workload(
    spec: str | os.PathLike[str] | Workload | Mapping[str, Any],
    *,
    released: bool = False,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
) -> Workload:
    """Give the workload that ``spec`` means.

    Args:
        spec: The name of a model of the zoo, the path of a ``.csv`` file (``Workload.from_csv``) or
            of an ``.onnx`` file (``Workload.from_onnx``); a workload, handed back as it is, or what
            ``dataclasses.asdict`` makes of one, such as an environment's specification holds.
        released: Look names up among ConfuciuX's released tables instead of the zoo.
        batch, dims: As ``Workload.from_onnx`` takes them, ``dims`` as ``{"tokens": 128, "x[2]":
            224}``; for ONNX only.

    Raises:
        ValueError: If it is none of these, or the file does not hold a workload.
        OSError: If the file cannot be read.
        ImportError: If a package is missing that reads the file.
    """
    if isinstance(spec, Mapping):
        spec = _from_fields(spec)
    if not isinstance(spec, str | os.PathLike | Workload):
        raise ValueError(
            f"a workload, the name of one, or a .csv or .onnx file is needed, got {spec!r}"
        )
    path = None if isinstance(spec, Workload) else Path(spec)
    if path is not None and path.suffix.lower() == ".onnx":
        stat = path.stat()
        batch, sizes = checked_sizes(path, batch, dims)
        key = tuple(sorted(sizes.items()))
        found = _from_onnx(str(path.absolute()), stat.st_mtime_ns, stat.st_size, batch, key)
        return found.warned().workload
    if batch is not None or dims:
        raise ValueError(f"batch and dims are for ONNX files, not for {spec!r}")
    if isinstance(spec, Workload):
        return spec
    if path is not None and path.suffix.lower() == ".csv":
        return Workload.from_csv(path)
    kind, names = ("released model", released_models()) if released else ("model", models())
    if spec not in names:
        raise ValueError(f"{nearest(kind, spec, names)}; or give a .csv or .onnx file")
    return released_workload(str(spec)) if released else workload(str(spec))


def _from_fields(given: Mapping[str, Any]) -> Workload:
    if set(given) != {"name", "layers"}:
        raise ValueError(f"a workload has name and layers, got {', '.join(map(str, given))}")
    allowed = [field.name for field in fields(Layer)]
    layers = []
    for each in given["layers"]:
        for name in each:
            if name not in allowed:
                raise ValueError(f"{given['name']}: {nearest('field of a layer', name, allowed)}")
        try:
            layers.append(Layer(**each))
        except TypeError as error:  # one is missing; Python says which
            raise ValueError(f"{given['name']}: {error}") from error
    return Workload(given["name"], tuple(layers))


@lru_cache(maxsize=32)
def _from_onnx(
    path: str, _modified: int, _size: int, batch: int | None, dims: tuple[tuple[str, int], ...]
) -> Imported:
    """Environments made side by side read a file once; a changed file is read again."""
    return import_onnx(path, batch=batch, dims=dict(dims))

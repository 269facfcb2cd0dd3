"""A workload from what a command line or a keyword argument can say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from hwgym._names import nearest
from hwgym.workloads.imported import Imported, import_onnx
from hwgym.workloads.network import Workload
from hwgym.workloads.released import released_models, released_workload
from hwgym.workloads.zoo import models, workload

__all__ = ["load_workload"]


def load_workload(
    spec: str | os.PathLike[str] | Workload,
    *,
    released: bool = False,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
) -> Workload:
    """Give the workload that ``spec`` means.

    Args:
        spec: The name of a model of the zoo, the path of a ``.csv`` file (``Workload.from_csv``) or
            of an ``.onnx`` file (``Workload.from_onnx``), or a workload, handed back as it is.
        released: Look names up among ConfuciuX's released tables instead of the zoo.
        batch, dims: As ``Workload.from_onnx`` takes them; for ONNX only.

    Raises:
        ValueError: If it is none of these, or the file does not hold a workload.
        OSError: If the file cannot be read.
        ImportError: If a package is missing that reads the file.
    """
    if not isinstance(spec, str | os.PathLike | Workload):
        raise ValueError(
            f"a workload, the name of one, or a .csv or .onnx file is needed, got {spec!r}"
        )
    path = None if isinstance(spec, Workload) else Path(spec)
    if path is not None and path.suffix.lower() == ".onnx":
        stat = path.stat()
        key = tuple(sorted((dims or {}).items()))
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


@lru_cache(maxsize=32)
def _from_onnx(
    path: str, _modified: int, _size: int, batch: int | None, dims: tuple[tuple[str, int], ...]
) -> Imported:
    """Environments made side by side read a file once; a changed file is read again."""
    return import_onnx(path, batch=batch, dims=dict(dims))

"""Workload: the layers of a network, in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from hwgym._arrays import Ints
from hwgym._extras import naming
from hwgym._files import write_text
from hwgym.workloads.csv_file import csv_text, read_csv
from hwgym.workloads.layer import FIELDS, Layer
from hwgym.workloads.onnx_reader import read_onnx
from hwgym.workloads.operators import Found, warn_of
from hwgym.workloads.torch_reader import read_torch

if TYPE_CHECKING:
    import onnx
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]
    import torch

__all__ = ["Workload"]


@dataclass(frozen=True, repr=False)
class Workload(Sequence[Layer]):
    """An ordered, named list of layers.

    Raises:
        ValueError: an empty name, no layers, or something that is not a ``Layer``.
    """

    name: str
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"workload name must be a non-empty string, got {self.name!r}")
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError(f"workload {self.name!r} has no layers; it needs at least one")
        strangers = [each for each in self.layers if not isinstance(each, Layer)]
        if strangers:
            raise ValueError(
                f"workload {self.name!r}: every layer must be a Layer, got {strangers[0]!r}"
            )

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Layer, ...]: ...
    def __getitem__(self, index: int | slice) -> Layer | tuple[Layer, ...]:
        return self.layers[index]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __repr__(self) -> str:
        return f"<Workload {self.name!r}: {len(self)} layers, {self.macs / 1e9:.3g} GMACs>"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        """Filter elements of all layers, counted as ``Layer.weights`` does."""
        return sum(layer.weights for layer in self.layers)

    def unique(self) -> tuple[tuple[Layer, ...], Ints]:
        """Find the layers that differ in MAESTRO's cost.

        Returns:
            The first layer of each distinct (shape, repeat), in order, and for every layer the
            index of its own among them, an int64 array of shape (layers,).
        """
        first: dict[tuple[object, ...], int] = {}
        distinct: list[Layer] = []
        index = np.empty(len(self), dtype=np.int64)
        for position, layer in enumerate(self.layers):
            key = (layer.shape, layer.repeat)
            if key not in first:
                first[key] = len(distinct)
                distinct.append(layer)
            index[position] = first[key]
        return tuple(distinct), index

    def to_frame(self) -> pd.DataFrame:
        """Give the layers as a pandas frame, one row a layer, one column a field of ``Layer``."""
        # Only this method needs pandas, which takes longer to import than the rest of the package.
        with naming():
            import pandas as pd

        return pd.DataFrame([astuple(layer) for layer in self.layers], columns=list(FIELDS))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the layers to a CSV file with one column a field of ``Layer``.

        The file appears whole or not at all.
        """
        write_text(path, csv_text(self.layers))

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str], name: str | None = None) -> Workload:
        """Read a workload from a CSV file, in whichever of three forms its columns show.

        - ``kind,K,C,OY,OX,R,S``: what ``to_csv`` writes; all other fields of ``Layer`` are
          optional.
        - ``K,C,Y,X,R,S,T``: ConfuciuX's, input sizes with stride ignored, T 1 for CONV, 2 for
          DSCONV.
        - ``M,N,K``: matrix products; ``repeat`` is optional.

        A ``name`` column is optional in all of them; without it the layers are layer1, layer2, ...
        Columns may come in any order, names may recur, and empty lines are skipped.

        Args:
            path: the file, UTF-8.
            name: of the workload; the file's stem by default.

        Raises:
            ValueError: naming file, row (the line in the file) and column: a missing, unknown or
                repeated column, a row of the wrong length, a value that is not a positive integer,
                a layer that ``Layer`` rejects, a file without rows.
            OSError: the file cannot be read.
        """
        source = Path(path)
        layers = read_csv(source)
        return cls(source.stem if name is None else name, tuple(layers))

    @classmethod
    def from_onnx(
        cls,
        model: str | os.PathLike[str] | onnx.ModelProto,
        *,
        name: str | None = None,
        batch: int | None = None,
        dims: Mapping[str, int] | None = None,
    ) -> Workload:
        """Read a workload from an ONNX model.

        The arguments, and what is raised, are those of ``hwgym.workloads.import_onnx``, which also
        tells the parameters and lists what could not be mapped; here that is a warning.
        """
        return cls._of(read_onnx(model, name=name, batch=batch, dims=dims))

    @classmethod
    def from_torch(
        cls, module: torch.nn.Module, example_input: Any, *, name: str | None = None
    ) -> Workload:
        """Make the workload of a PyTorch module by running it once on an example.

        The arguments, and what is raised, are those of ``hwgym.workloads.import_torch``, which also
        tells the parameters and lists what could not be mapped; here that is a warning.
        """
        return cls._of(read_torch(module, example_input, name=name))

    @classmethod
    def _of(cls, found: Found) -> Workload:
        warn_of(found.name, found.skipped, stacklevel=4)
        return cls(found.name, found.layers)

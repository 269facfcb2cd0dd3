"""Networks of other frameworks, with what could not be taken over."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwgym.workloads.network import Workload
from hwgym.workloads.onnx_reader import read_onnx
from hwgym.workloads.operators import (
    Found,
    SkippedOperator,
    grouped,
    grouped_notes,
    warn_of,
)
from hwgym.workloads.torch_reader import read_torch

if TYPE_CHECKING:
    import onnx
    import torch

__all__ = ["Imported", "import_onnx", "import_torch"]


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported network: the layers that could be mapped, and what could not.

    Attributes:
        workload: The layers, in order of execution.
        skipped: Operators that compute and are not in the workload.
        parameters: Learnt numbers of the whole network, each counted once: also those of skipped
            operators, normalisations and embeddings, which ``Workload.weights`` does not have.
        notes: What was taken for granted, as that the rows of a mixture of experts are split
            evenly; equal notes of several operators are one.
    """

    workload: Workload
    skipped: tuple[SkippedOperator, ...]
    parameters: int
    notes: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the workload and of those skipped operators whose are known."""
        return self.workload.macs + sum(each.macs or 0 for each in self.skipped)

    @property
    def complete(self) -> bool:
        """Whether every operator that computes is in the workload."""
        return not self.skipped

    def warned(self) -> Imported:
        """Itself, after a warning to the caller's caller if anything was skipped."""
        warn_of(self.workload.name, self.skipped, stacklevel=4)
        return self

    def __str__(self) -> str:
        count = len(self.workload)
        lines = [
            f"{self.workload.name}: {count} layer{'s' * (count > 1)}, {self.workload.macs:,} MACs, "
            f"{self.parameters:,} parameters"
        ]
        if self.skipped:
            lines.append(f"Not in the workload ({len(self.skipped)}):")
            lines += (textwrap.indent(line, "  ") for line in grouped(self.skipped))
        if self.notes:
            lines.append("Taken for granted:")
            lines += (textwrap.indent(line, "  ") for line in self.notes)
        return "\n".join(lines)


def import_onnx(
    model: str | os.PathLike[str] | onnx.ModelProto,
    *,
    name: str | None = None,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
) -> Imported:
    """Import an ONNX model. Only shapes are read: weights may lie in another file or be missing.

    How operators become layers is told in ``hwgym.workloads.operators``.

    Args:
        model: A file, or a model in memory, which is left as it is.
        name: Of the workload; by default the file's stem, or the graph's name.
        batch: The size of the inputs' free first dimension.
        dims: Sizes of free dimensions, by their names in the model or by input and axis, as
            ``{"x[2]": 224}``. One that the model has as 0 or less is free, too.

    Raises:
        ImportError: If the package onnx is not installed.
        OSError: If the file cannot be read.
        ValueError: If it is not an ONNX model, a dimension is left free, ``batch`` or ``dims``
            names what is not free, or nothing could be mapped.
    """
    return _imported(read_onnx(model, name=name, batch=batch, dims=dims))


def import_torch(
    module: torch.nn.Module, example_input: Any, *, name: str | None = None
) -> Imported:
    """Import a PyTorch module by running it once.

    The run is without gradients and in evaluation mode; afterwards the module is as it was. How
    operators become layers is told in ``hwgym.workloads.operators``. A matrix that one call of a
    module multiplies by several times, as an LSTM does, is one layer with ``repeat``.

    Args:
        module: Any module; on the ``meta`` device it needs neither memory nor time.
        example_input: What to call it with: a tensor, a tuple of positional arguments, or a mapping
            of keyword arguments. It fixes batch and sequence lengths.
        name: Of the workload; the module's class by default.

    Raises:
        ImportError: If torch is not installed.
        ValueError: If ``module`` is not a module, or nothing in it could be mapped.
        Exception: What the module raises on the example.
    """
    return _imported(read_torch(module, example_input, name=name))


def _imported(found: Found) -> Imported:
    workload = Workload(found.name, found.layers)
    notes = tuple(grouped_notes(found.notes))
    return Imported(workload, found.skipped, found.parameters, notes)

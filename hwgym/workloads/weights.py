"""Weights of ONNX models, one layer at a time: the numbers that importing leaves alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._arrays import Array
from hwgym.workloads.layer import Layer
from hwgym.workloads.onnx_reader import GROWING, Traced, fold_node, trace_onnx

if TYPE_CHECKING:
    import onnx

__all__ = ["weights_of"]


def weights_of(
    model: str | os.PathLike[str] | onnx.ModelProto,
    *,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
) -> Iterator[tuple[Layer, Array | None]]:
    """Give each layer that :func:`~hwgym.workloads.import_onnx` makes of a model, and its weights.

    Weights are float32 (output channels, weights of one), all groups' of a grouped convolution;
    those of a gate are channels of a recurrent product. Integers come with scale and zero point
    applied. They are None where both matrices are computed from the inputs, as in attention, or
    where their numbers cannot be told. No more than one operator's are in memory, beside what the
    file itself holds.

    Args:
        model, batch, dims: As :func:`~hwgym.workloads.import_onnx` takes them.

    Raises:
        ImportError: If the package onnx is not installed.
        OSError: If the file, or one that its weights lie in, cannot be read.
        ValueError: If it is not an ONNX model, its sizes are left open, or weights are damaged.
    """
    traced = trace_onnx(model, batch=batch, dims=dims)
    tensors = _Tensors(model, traced)
    layers, sources, at = traced.found.layers, traced.sources, 0
    while at < len(layers):
        end = next((i for i in range(at, len(layers)) if sources[i] is not sources[at]), None)
        made = layers[at:end]
        yield from zip(made, _weights(tensors, sources[at], len(made)), strict=True)
        at += len(made)


class _Tensors:
    """The constant tensors of a model, by name."""

    def __init__(self, model: str | os.PathLike[str] | onnx.ModelProto, traced: Traced) -> None:
        import onnx

        self._where, self._folder = "the model", ""
        given = model
        if not isinstance(given, onnx.ModelProto):
            self._where, self._folder = os.fspath(given), str(Path(given).parent)
            given = onnx.load(self._where, load_external_data=False)
        self._model, self._constants = traced.model, traced.constants
        self._makers = {name: node for node in traced.model.graph.node for name in node.output}
        # Those of the model as it was come last: tracing leaves out the numbers of large ones.
        every = (*traced.model.graph.initializer, *given.graph.initializer)
        self._initial = {tensor.name: tensor for tensor in every}

    def is_constant(self, name: str) -> bool:
        return name in self._constants

    def get(self, name: str) -> Array | None:
        """A tensor, float32 where it holds fractions; None where its numbers cannot be told."""
        if name not in self._constants:
            return None
        found = self._read(name) if name in self._initial else self._computed(name)
        return found if found is None or found.dtype.kind in "iub" else found.astype(np.float32)

    def _read(self, name: str) -> Array:
        import onnx

        tensor = onnx.TensorProto()
        tensor.CopyFrom(self._initial[name])
        try:
            return onnx.numpy_helper.to_array(tensor, self._folder)
        except Exception as error:  # of a damaged or missing file onnx raises many types
            place = {entry.key: entry.value for entry in tensor.external_data}.get("location")
            path = Path(self._folder, place or "")
            if place and not path.exists():
                raise FileNotFoundError(
                    2, f"is not there; {self._where} keeps the weights {name!r} in it", str(path)
                ) from error
            raise ValueError(
                f"{self._where}: the weights {name!r} cannot be read: {error}"
            ) from error

    def _computed(self, name: str) -> Array | None:
        """What the model itself makes of constants, as a transposed matrix."""
        node = self._makers[name]
        given = {each: self.get(each) for each in node.input if each}
        if any(value is None for value in given.values()) or node.op_type in GROWING:
            return None
        result = fold_node(self._model, node, given)
        return None if result is None else np.asarray(result[list(node.output).index(name)])


def _weights(tensors: _Tensors, node: onnx.NodeProto, layers: int) -> list[Array | None]:
    """The weights of each of the layers of an operator."""
    import onnx

    settings = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    at = _place(tensors, node)
    if at is None or (whole := tensors.get(node.input[at])) is None:
        return [None] * layers
    quantised = _QUANTISED.get(node.op_type, {}).get(at)
    if quantised is None and whole.dtype.kind in "iub":
        return [None] * layers
    if node.op_type in ("LSTM", "GRU", "RNN"):
        own = tensors.get(node.input[2])
        return [
            None if each is None else each[direction]
            for direction in range(layers // 2)
            for each in (whole, own)
        ]
    if node.op_type == "ConvTranspose":
        grouped = whole.reshape(settings.get("group", 1), -1, *whole.shape[1:])
        channels = [np.arange(size) for size in grouped.shape[:3]]
        return [
            _rows(grouped[np.ix_(*channels, *taps)], (0, 2))
            for taps in _phases(whole.shape[2:], settings)
        ]
    rows = _rows(whole, _CHANNELS[node.op_type](node, settings, at, whole.ndim))
    return [rows if quantised is None else _unquantised(tensors, node, rows, *quantised)] * layers


def _place(tensors: _Tensors, node: onnx.NodeProto) -> int | None:
    """Which input of an operator is its weights: the second matrix, if both are constant."""
    left, right = _OPERANDS.get(node.op_type, (None, None))
    if right is not None and tensors.is_constant(node.input[right]):
        return right
    return left if left is not None and tensors.is_constant(node.input[left]) else None


def _rows(weights: Array, channels: tuple[int, ...]) -> Array:
    """(channels, weights of one) of an array whose axes ``channels`` count channels."""
    front = np.moveaxis(weights, channels, range(len(channels)))
    count = int(np.prod([weights.shape[axis] for axis in channels]))
    found: Array = np.ascontiguousarray(front.reshape(count, -1), np.float32)
    return found


def _unquantised(
    tensors: _Tensors, node: onnx.NodeProto, rows: Array, scale: int | None, zero: int
) -> Array | None:
    """Rows of integers as what they stand for; None where that cannot be told."""
    for place, apply in ((zero, np.subtract), (scale, np.multiply)):
        if place is None or place >= len(node.input) or not node.input[place]:
            continue
        by = tensors.get(node.input[place])
        if by is None or by.size not in (1, len(rows)):
            return None
        rows = apply(rows, by.reshape(-1, 1).astype(np.float32))
    return rows


def _phases(kernel: tuple[int, ...], settings: Mapping[str, Any]) -> Iterator[tuple[Array, ...]]:
    """Which taps along each axis the layers of a transposed convolution have, in the order of
    :func:`hwgym.workloads.operators.transposed_convolution`."""
    strides = settings.get("strides") or [1] * len(kernel)
    dilations = settings.get("dilations") or [1] * len(kernel)
    axes = []
    for length, stride, dilation in zip(kernel, strides, dilations, strict=True):
        phase = np.arange(length) * dilation % stride
        taps = np.bincount(phase)[phase]  # of each tap, how many its phase has
        axes.append([np.flatnonzero(taps == many) for many in sorted({*taps}, reverse=True)])
    yield from product(*axes)


def _of_gemm(
    _node: onnx.NodeProto, settings: Mapping[str, Any], at: int, _axes: int
) -> tuple[int, ...]:
    transposed = bool(settings.get("transB" if at else "transA", 0))
    return (int(bool(at) != transposed),)


def _of_product(
    node: onnx.NodeProto, _settings: Mapping[str, Any], at: int, axes: int
) -> tuple[int, ...]:
    summed = axes - 1 if at == _OPERANDS[node.op_type][0] else max(axes - 2, 0)
    return tuple(axis for axis in range(axes) if axis != summed)


def _of_einsum(
    _node: onnx.NodeProto, settings: Mapping[str, Any], at: int, axes: int
) -> tuple[int, ...]:
    terms, arrow, output = settings["equation"].decode().replace(" ", "").partition("->")
    before, dots, after = terms.split(",")[at].partition("...")
    hidden = "." * (axes - len(before) - len(after)) if dots else ""
    if not arrow:  # what is there once is kept, and what "..." stands for
        output = "." + "".join(label for label in terms if terms.count(label) == 1)
    labels = before + hidden + after
    return tuple(axis for axis, label in enumerate(labels) if label in output)


_OPERANDS: dict[str, tuple[int | None, int]] = {
    "Conv": (None, 1),
    "ConvInteger": (None, 1),
    "ConvTranspose": (None, 1),
    "Einsum": (0, 1),
    "GRU": (None, 1),
    "Gemm": (0, 1),
    "LSTM": (None, 1),
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearConv": (None, 3),
    "QLinearMatMul": (0, 3),
    "RNN": (None, 1),
}
"""Which inputs of an operator can be its weights, as the first and as the second matrix."""

_QUANTISED: dict[str, dict[int, tuple[int | None, int]]] = {
    "ConvInteger": {1: (None, 3)},
    "MatMulInteger": {0: (None, 2), 1: (None, 3)},
    "QLinearConv": {3: (4, 5)},
    "QLinearMatMul": {0: (1, 2), 3: (4, 5)},
}
"""Of weights that are integers, which inputs are their scale and zero point."""


def _first(*_: Any) -> tuple[int, ...]:
    return (0,)


_CHANNELS: dict[str, Callable[[Any, Mapping[str, Any], int, int], tuple[int, ...]]] = {
    "Conv": _first,
    "ConvInteger": _first,
    "Einsum": _of_einsum,
    "Gemm": _of_gemm,
    "MatMul": _of_product,
    "MatMulInteger": _of_product,
    "QLinearConv": _first,
    "QLinearMatMul": _of_product,
}
"""Which axes of an operator's weights count output channels."""

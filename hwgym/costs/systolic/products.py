"""Layers as matrix products, which is all that a systolic array sees of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field, fields

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.hardware import integers
from hwgym.workloads import Layer

__all__ = ["LARGEST_COUNT", "LARGEST_SIZE", "Products"]

LARGEST_SIZE = 2**31 - 1
LARGEST_COUNT = 2**62


@dataclass(frozen=True)
class Products:
    """Matrix products as integer arrays that broadcast with each other.

    A convolution is the product of a matrix (pixels, depth), a row for every output pixel with
    the inputs under its filter, by a matrix (depth, filters).

    Attributes:
        pixels: Output pixels of one product; rows of a GEMM.
        depth: What is added up: channels x filter rows x filter columns.
        filters: Output channels; columns of a GEMM.
        inputs: Distinct input elements of one product; by default ``pixels * depth``, a matrix
            without repetition. Fewer where filters overlap.
        times: Products of this shape, one after the other.
        names: Of layers, one an entry, for errors to tell.

    Raises:
        ValueError: If a size is not an integer, below 1 or beyond 32 bits; if inputs are more than
            ``pixels * depth``.
    """

    pixels: ArrayLike
    depth: ArrayLike
    filters: ArrayLike
    inputs: ArrayLike | None = None
    times: ArrayLike = 1
    _: KW_ONLY
    names: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("pixels", "depth", "filters", "times"):
            size = integers(f"product {name}", getattr(self, name), 1, LARGEST_SIZE)
            object.__setattr__(self, name, size)
        most = np.asarray(self.pixels) * np.asarray(self.depth)
        inputs = most if self.inputs is None else integers("product inputs", self.inputs)
        if np.any(inputs > most):
            raise ValueError("product inputs must be at most pixels x depth: the matrix holds them")
        object.__setattr__(self, "inputs", inputs)

    @classmethod
    def of(cls, layers: Iterable[Layer] | Layer) -> Products:
        """The products of layers: scalars for one, else 1-D arrays.

        A depthwise layer is one product of one filter for each channel. ``repeat`` multiplies.

        Raises:
            ValueError: If there is no layer, or one has more than 2**31 - 1 of something.
        """
        if isinstance(layers, Layer):
            return cls.of([layers]).reshape()
        if isinstance(layers, str):
            raise ValueError(
                f"layers are needed, not a name: hwgym.workload({layers!r}) gives them"
            )
        given = tuple(layers)
        if not given:
            raise ValueError("no layers given")
        rows = [_product(layer) for layer in given]
        for layer, (pixels, depth, filters, _, times) in zip(given, rows, strict=True):
            sizes = {"pixels": pixels, "depth": depth, "filters": filters, "products": times}
            for name, size in sizes.items():
                if size > LARGEST_SIZE:
                    raise ValueError(
                        f"layer {layer.name!r}: {name} must be at most {LARGEST_SIZE}, got {size}"
                    )
        columns = (np.array(column, np.int64) for column in zip(*rows, strict=True))
        return cls(*columns, names=tuple(layer.name for layer in given))

    def reshape(self, *shape: int) -> Products:
        """Every field broadcast together, then reshaped (to broadcast against arrays)."""
        arrays = np.broadcast_arrays(*self.arrays().values())
        return Products(*(a.reshape(shape) for a in arrays), names=self.names)

    def arrays(self) -> dict[str, Ints]:
        """The sizes by name."""
        return {
            f.name: np.asarray(getattr(self, f.name)) for f in fields(self) if f.name != "names"
        }

    @property
    def macs(self) -> Ints:
        """Multiply-accumulates of all products.

        Raises:
            ValueError: If they are beyond 2**62.
        """
        v = self.arrays()
        factors = (v["pixels"], v["depth"], v["filters"], v["times"])
        most = math.prod(each.astype(np.float64) for each in factors)
        if np.any(most > LARGEST_COUNT):
            raise ValueError(
                f"a layer of {np.max(most):.3g} multiply-accumulates: they are counted up to "
                f"2**62 = {LARGEST_COUNT:.3g}"
            )
        macs: Ints = math.prod(factors[1:], start=factors[0])
        return macs


def _product(layer: Layer) -> tuple[int, int, int, int, int]:
    channels, times = (1, layer.C * layer.repeat) if layer.is_depthwise else (layer.C, layer.repeat)
    inputs = channels * math.prod(
        _distinct(outputs, taps, stride, dilation)
        for outputs, taps, stride, dilation in zip(
            (layer.OY, layer.OX), (layer.R, layer.S), layer.strides, layer.dilations, strict=True
        )
    )
    return layer.OY * layer.OX, channels * layer.R * layer.S, layer.K, inputs, times


def _distinct(outputs: int, taps: int, stride: int, dilation: int) -> int:
    # How many values stride * p + dilation * r takes. (p, r) and (p + d, r - s), s and d without
    # common divisor, give the same one; counted is the first of each such chain.
    common = math.gcd(stride, dilation)
    stride, dilation = stride // common, dilation // common
    return outputs * taps - max(0, outputs - dilation) * max(0, taps - stride)

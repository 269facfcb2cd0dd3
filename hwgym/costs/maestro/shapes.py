"""Layer shapes as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Ints
from hwgym.costs.maestro.directives import LARGEST_SIZE
from hwgym.costs.maestro.limits import LIMIT
from hwgym.hardware import integers
from hwgym.workloads import Layer

__all__ = ["Shapes"]


@dataclass(frozen=True)
class Shapes:
    """Layer shapes as integer arrays that broadcast with each other.

    Attributes:
        K, C: Output and input channels (depthwise layers: K is 1, C the channels).
        Y, X: *Input* rows and columns.
        R, S: Filter rows and columns.
        stride: Along both axes.
        depthwise: Booleans.
        names: Of layers, by ``Layer.shape``, for errors to tell.

    Raises:
        ValueError: If a size is not an integer, below 1 or beyond 32 bits, or a filter is larger
            than its input.
    """

    K: ArrayLike
    C: ArrayLike
    Y: ArrayLike
    X: ArrayLike
    R: ArrayLike
    S: ArrayLike
    stride: ArrayLike = 1
    depthwise: ArrayLike = False
    _: KW_ONLY
    names: Mapping[tuple[Any, ...], str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in (*"KCYXRS", "stride"):
            size = integers(f"layer {name}", getattr(self, name), 1, LARGEST_SIZE)
            object.__setattr__(self, name, size)
        object.__setattr__(self, "depthwise", np.asarray(self.depthwise, dtype=bool))
        for image, filter_ in (("Y", "R"), ("X", "S")):
            if np.any(np.asarray(getattr(self, filter_)) > np.asarray(getattr(self, image))):
                raise ValueError(f"layer {filter_} is larger than {image}: filter exceeds input")
        if np.any(np.asarray(self.depthwise) & (np.asarray(self.K) != 1)):
            raise ValueError("depthwise layers have K = 1; put their channels in C")

    @classmethod
    def of(cls, layers: Iterable[Layer] | Layer) -> Shapes:
        """The shapes of layers: scalars for one, else 1-D arrays. ``repeat`` is not looked at."""
        if isinstance(layers, Layer):
            one = cls.of([layers])
            return one.reshape()
        if isinstance(layers, str):
            raise ValueError(
                f"layers are needed, not a name: hwgym.workload({layers!r}) gives them"
            )
        names: dict[tuple[Any, ...], str] = {}
        columns = []
        for layer in layers:
            columns.append(layer.shape)
            names.setdefault(layer.shape, layer.name)
            for name, size in zip("KCYXRS", layer.shape, strict=False):
                if size > LARGEST_SIZE:
                    raise ValueError(
                        f"layer {layer.name!r}: {name} must be at most {LARGEST_SIZE}, got {size}"
                    )
        if not columns:
            raise ValueError("no layers given")
        k, c, y, x, r, s, depthwise = map(np.array, zip(*columns, strict=True))
        return cls(k, c, y, x, r, s, depthwise=depthwise, names=names)

    def reshape(self, *shape: int) -> Shapes:
        """Every field broadcast together, then reshaped (to broadcast against PEs and tiles)."""
        arrays = np.broadcast_arrays(*self.arrays().values())
        return Shapes(*(a.reshape(shape) for a in arrays), names=self.names)

    def arrays(self) -> dict[str, Array]:
        """The sizes, the stride and whether a layer is depthwise, by name."""
        return {
            f.name: np.asarray(getattr(self, f.name)) for f in fields(self) if f.name != "names"
        }

    @property
    def macs(self) -> Ints:
        """The multiply-accumulates that the layers really need.

        Raises:
            ValueError: If they are beyond :data:`hwgym.costs.maestro.limits.LIMIT`.
        """
        v = self.arrays()
        rows = (v["Y"] - v["R"]) // v["stride"] + 1
        columns = (v["X"] - v["S"]) // v["stride"] + 1
        factors = (v["K"], v["C"], rows, columns, v["R"], v["S"])
        most = math.prod(each.astype(np.float64) for each in factors)
        if np.any(most > LIMIT):
            raise ValueError(
                f"a layer of {np.max(most):.3g} multiply-accumulates: they are counted up to "
                f"2**62 = {LIMIT:.3g}"
            )
        macs: Ints = math.prod(factors[1:], start=factors[0])
        return macs

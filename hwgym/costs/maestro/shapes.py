"""Layer shapes as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
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

    Raises:
        ValueError: If a size is not an integer or below 1, or a filter is larger than its input.
    """

    K: ArrayLike
    C: ArrayLike
    Y: ArrayLike
    X: ArrayLike
    R: ArrayLike
    S: ArrayLike
    stride: ArrayLike = 1
    depthwise: ArrayLike = False

    def __post_init__(self) -> None:
        for name in "KCYXRS":
            object.__setattr__(self, name, integers(f"layer {name}", getattr(self, name)))
        object.__setattr__(self, "stride", integers("layer stride", self.stride))
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
            return cls(*layers.shape[:6], depthwise=layers.shape[6])
        if isinstance(layers, str):
            raise ValueError(
                f"layers are needed, not a name: hwgym.workload({layers!r}) gives them"
            )
        columns = [layer.shape for layer in layers]
        if not columns:
            raise ValueError("no layers given")
        k, c, y, x, r, s, depthwise = map(np.array, zip(*columns, strict=True))
        return cls(k, c, y, x, r, s, depthwise=depthwise)

    def reshape(self, *shape: int) -> Shapes:
        """Every field broadcast together, then reshaped (to broadcast against PEs and tiles)."""
        arrays = np.broadcast_arrays(*(np.asarray(getattr(self, f.name)) for f in fields(self)))
        return Shapes(*(a.reshape(*shape) for a in arrays))

    @property
    def macs(self) -> Ints:
        """The multiply-accumulates that the layers really need."""
        v = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        rows = (v["Y"] - v["R"]) // v["stride"] + 1
        columns = (v["X"] - v["S"]) // v["stride"] + 1
        macs: Ints = v["K"] * v["C"] * rows * columns * v["R"] * v["S"]
        return macs

"""LayerDesign: a design space whose parts are the layers of a network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, astuple
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym.core.design import Design
from hwgym.workloads import LAYER_KINDS, Layer, Workload

__all__ = ["LayerDesign"]

_SIZES = ("K", "C", "OY", "OX", "R", "S", "stride", "dilation", "repeat")


class LayerDesign(Design):
    """A design space whose parts are the layers of a network.

    Attributes:
        workload: The network.
    """

    part: ClassVar[str] = "layer"

    workload: Workload

    # --- what a family says ---------------------------------------------------------------------

    @abstractmethod
    def given(self, action: int) -> dict[str, Any]:
        """What an action gives a layer, by name, JSON values; ``pes`` are among them."""

    @property
    def lanes(self) -> int:
        """Multiply-accumulates that a PE does in a cycle."""
        return 1

    def told(self) -> Mapping[str, Array]:
        """Further tables (layers, actions), by the name under which a layer's row shows them."""
        return {}

    def least_period(self, actions: Ints) -> float:
        """Cycles that must lie between one input of a stream and the next, because of what all
        partitions of a pipeline share; ``actions`` (layers,)."""
        return 0.0

    # --- what the network says ------------------------------------------------------------------

    @property
    def title(self) -> str:
        return self.workload.name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.workload)

    @property
    def features(self) -> Floats:
        """(layers, 10) in [0, 1]: K, C, OY, OX, R, S, stride, dilation and repeat on a log scale,
        relative to the network's greatest, and the kind."""
        layers = self.workload
        given = [[getattr(layer, name) for name in _SIZES] for layer in layers]
        sizes = np.log2(1.0 + np.array(given, dtype=np.float64))
        kinds = [LAYER_KINDS.index(layer.kind) / (len(LAYER_KINDS) - 1) for layer in layers]
        features: Floats = np.column_stack([sizes / sizes.max(axis=0), kinds])
        return features

    @property
    def alike(self) -> Ints:
        place: dict[Any, int] = {}
        numbers = [place.setdefault(shape_of(layer), len(place)) for layer in self.workload]
        return np.array(numbers, np.int64)

    @property
    def work(self) -> Floats:
        """(layers,) multiply-accumulates."""
        return np.array([layer.macs for layer in self.workload], np.float64)

    @property
    def key(self) -> dict[str, Any]:
        return {
            "workload": self.workload.name,
            "layers": [list(shape_of(layer)) for layer in self.workload],
        }

    @property
    def description(self) -> dict[str, Any]:
        return {"workload": asdict(self.workload)}


def shape_of(layer: Layer) -> tuple[Any, ...]:
    """All of a layer but its name."""
    return astuple(layer)[1:]

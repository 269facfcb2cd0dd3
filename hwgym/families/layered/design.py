"""LayerDesign: a design space whose parts are the layers of a network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym.core.design import Design
from hwgym.hardware import integers
from hwgym.workloads import LAYER_KINDS, Layer, Workload

__all__ = ["MOST_CYCLES", "LayerDesign", "alike_of", "check_total", "increasing", "size_features"]

MOST_CYCLES = 2**53
"""Up to here floats are exact, so that sums of cycles are, and the optimum is one to the cycle."""

_SHAPE = attrgetter(*(field.name for field in fields(Layer) if field.name != "name"))
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

    @property
    def dram_cycles(self) -> tuple[Floats, Floats] | None:
        """(layers, actions) each: for how many cycles a layer's reads of DRAM take all of its
        bandwidth, and its writes; None if the cost model knows no DRAM."""
        return None

    def least_period(self, actions: Ints) -> float:
        """Cycles between one input of a stream and the next because all partitions of a pipeline
        share DRAM, of what layers get (layers,)."""
        at = np.arange(len(actions)), actions
        busy = [float(np.add.accumulate(each[at])[-1]) for each in self.dram_cycles or ()]
        return max(busy, default=0.0)

    # --- what the network says ------------------------------------------------------------------

    @property
    def title(self) -> str:
        return self.workload.name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.workload)

    @property
    def features(self) -> Floats:
        return size_features(self.workload)

    @property
    def alike(self) -> Ints:
        return alike_of(self.workload)

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


def size_features(layers: Iterable[Layer]) -> Floats:
    """(layers, 10) in [0, 1]: K, C, OY, OX, R, S, stride, dilation and repeat on a log scale,
    relative to the greatest of them, and the kind."""
    given = [[getattr(layer, name) for name in _SIZES] for layer in layers]
    sizes = np.log2(1.0 + np.array(given, dtype=np.float64))
    kinds = [LAYER_KINDS.index(layer.kind) / (len(LAYER_KINDS) - 1) for layer in layers]
    features: Floats = np.column_stack([sizes / sizes.max(axis=0), kinds])
    return features


def alike_of(layers: Iterable[Layer]) -> Ints:
    """(layers,): equal numbers mark layers of the same shape."""
    place: dict[Any, int] = {}
    return np.array([place.setdefault(shape_of(layer), len(place)) for layer in layers], np.int64)


def shape_of(layer: Layer) -> tuple[Any, ...]:
    """All of a layer but its name."""
    shape: tuple[Any, ...] = _SHAPE(layer)
    return shape


def increasing(what: str, given: Sequence[int]) -> tuple[int, ...]:
    """Levels to choose from, as plain numbers.

    Raises:
        ValueError: If they are not increasing positive integers, one at least.
    """
    levels = integers(what, given)
    if levels.ndim != 1 or not levels.size:
        raise ValueError(f"{what} must be a list of at least one level, got {given!r}")
    if np.any(np.diff(levels) <= 0):
        raise ValueError(f"{what} must increase, got {given!r}")
    return tuple(levels.tolist())


def check_total(workload: Workload, cycles: Sequence[int], levels: str) -> None:
    """See that cycles can be added up exactly.

    Args:
        workload: The network.
        cycles: The most that each layer takes, all its repeats together.
        levels: Of what fewer are taken where levels start higher.

    Raises:
        ValueError: If they are too many, with the layer that takes most.
    """
    if sum(cycles) > MOST_CYCLES:
        i = cycles.index(max(cycles))
        raise ValueError(
            f"workload {workload.name!r} is too large to be counted exactly: its layers may take "
            f"{sum(cycles):.3g} cycles in all with the slowest choices, of which layer "
            f"{workload[i].name!r} {cycles[i]:.3g} (run {workload[i].repeat} times); up to 2**53 = "
            f"{MOST_CYCLES:.3g} is allowed, and {levels} that start higher take fewer"
        )

"""The decisions that make the mappings of a network whose layers share some of them.

First what all layers share: the size of a cluster, or both orders of the loops, or the hardware;
then, layer by layer, the decisions of :mod:`hwgym.families.mapping.space` that are left. Layers of
the same shape get the same mapping. What is shared leaves every layer a mapping, and what is left
of a layer is masked as that layer's by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Floats, Ints
from hwgym.core.space import Axis, Space
from hwgym.costs.maestro import Mappings
from hwgym.families.mapping.hardware import MappingHardware
from hwgym.families.mapping.space import (
    CLUSTER,
    DECISIONS,
    DIMS,
    INNER_ORDER,
    INNER_TILES,
    OUTER_ORDER,
    SMALLEST,
    MappingSpace,
    cluster_sizes,
    divisors,
)
from hwgym.workloads import Layer, Workload

__all__ = [
    "COUPLINGS",
    "HARDWARE_STEPS",
    "Coupling",
    "LayerSpace",
    "Levels",
    "NetworkSpace",
    "area_of",
    "distinct_layers",
]

Coupling = Literal["cluster", "order", "hardware"]

COUPLINGS: dict[str, tuple[int, ...]] = {
    "cluster": (CLUSTER,),
    "order": (OUTER_ORDER, INNER_ORDER),
    "hardware": (),
}
"""The decisions of a mapping that all layers share."""

HARDWARE_STEPS = ("PEs", "L1 bytes", "L2 bytes")
"""What is decided first where the hardware is."""

ORDERS = np.array(list(permutations(range(4))))


@dataclass(frozen=True)
class Levels:
    """What hardware there is to choose from, ascending.

    Attributes:
        pes: PEs of the array.
        l1_bytes: Of each PE's own buffer.
        l2_bytes: Of the buffer that all share.
    """

    pes: tuple[int, ...] = tuple(
        sorted([2**n for n in range(4, 13)] + [3 * 2**n for n in range(3, 11)])
    )
    l1_bytes: tuple[int, ...] = tuple(2**n for n in range(6, 14))
    l2_bytes: tuple[int, ...] = tuple(2**n for n in range(14, 23))

    @property
    def all(self) -> tuple[tuple[int, ...], ...]:
        """Of the three steps."""
        return self.pes, self.l1_bytes, self.l2_bytes


def distinct_layers(workload: Workload) -> tuple[Layer, ...]:
    """The layers whose mappings can differ, by first appearance: each shape once, at stride 1, with
    how often it is run as ``repeat``."""
    found: dict[tuple[object, ...], Layer] = {}
    for layer in workload:
        known = found.get(layer.shape)
        runs = layer.repeat + (known.repeat if known else 0)
        found[layer.shape] = replace(known or layer, repeat=runs)
    return tuple(found.values())


@dataclass(frozen=True)
class LayerSpace(MappingSpace):
    """The mappings of a layer, with clusters that are not its own choice.

    Attributes:
        given: PEs of a cluster, by choice.
    """

    given: tuple[int, ...] = ()

    @cached_property
    def clusters(self) -> Ints:
        return np.array(self.given)

    @property
    def starts(self) -> Bools:
        """(clusters,) which of them leave it a mapping."""
        return np.asarray(self._starts.any(axis=1))

    @property
    def least_bytes(self) -> tuple[int, int]:
        """L1 and L2 that its smallest mapping takes: one cluster of all PEs, whatever there are."""
        tiles = list(self._ends(range(4)).T)
        l2 = self.l2_bytes(np.array(1), self.parallels[:1], tiles)
        return int(self.l1_bytes(SMALLEST)), int(l2.min())


@dataclass(frozen=True)
class NetworkSpace:
    """The mappings of a network's layers.

    Attributes:
        layers: Those that differ, with how often each is run.
        hardware: What they run on; where hardware is chosen, its network.
        coupling: What they share.
        levels: Of the hardware, where it is chosen.
        area: um^2 that it may take then.
        fixed: Whether costs are those of the reference with its defects mended.
        width: Choices of the action space; by default as many as the widest decision has.
    """

    layers: tuple[Layer, ...]
    hardware: MappingHardware
    coupling: Coupling = "cluster"
    levels: Levels = Levels()
    area: float = np.inf
    fixed: bool = False
    width: int | None = None
    _made: dict[tuple[int, ...], LayerSpace] = field(
        default_factory=dict, repr=False, compare=False
    )

    # --- the steps ------------------------------------------------------------------------------

    @property
    def chooses_hardware(self) -> bool:
        """Whether PEs and buffers are among the decisions."""
        return self.coupling == "hardware"

    @property
    def shared(self) -> tuple[str, ...]:
        """What is decided for all layers."""
        if self.chooses_hardware:
            return HARDWARE_STEPS
        return tuple(DECISIONS[d] for d in COUPLINGS[self.coupling])

    @cached_property
    def own(self) -> tuple[int, ...]:
        """The decisions of a mapping that each layer has for itself."""
        return tuple(d for d in range(len(DECISIONS)) if d not in COUPLINGS[self.coupling])

    @property
    def names(self) -> tuple[str, ...]:
        """Of the steps."""
        own = [f"{layer.name}: {DECISIONS[d]}" for layer in self.layers for d in self.own]
        return (*self.shared, *own)

    def place(self, step: int) -> tuple[int, int]:
        """The layer that a step is about, and which decision of it; -1 and which of the shared ones
        where it is about all."""
        if step < len(self.shared):
            return -1, step
        layer, which = divmod(step - len(self.shared), len(self.own))
        return layer, self.own[which]

    @cached_property
    def clusters(self) -> tuple[int, ...]:
        """PEs of a cluster that all layers share, by choice."""
        sizes = [size for i in range(len(self.layers)) for size in self._sizes(i)]
        return tuple(cluster_sizes(sizes, self.hardware.num_pes))

    def _sizes(self, layer: int) -> list[int]:
        sizes: list[int] = MappingSpace(self.layers[layer], self.hardware).sizes.tolist()
        return sizes

    def _clusters_of(self, layer: int) -> tuple[int, ...]:
        """PEs of a cluster of a layer, by choice, on any of the hardware."""
        if self.coupling == "cluster":
            return self.clusters
        if not self.chooses_hardware:
            return tuple(cluster_sizes(self._sizes(layer), self.hardware.num_pes))
        found = {d for number in (*self.levels.pes, *self._sizes(layer)) for d in divisors(number)}
        return tuple(sorted(d for d in found if d <= self.levels.pes[-1]))

    @cached_property
    def _clusters(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self._clusters_of(i) for i in range(len(self.layers)))

    @cached_property
    def space(self) -> Space:
        """A step a decision, each of one axis."""
        orders = tuple(" ".join(DIMS[d] for d in order) for order in ORDERS.tolist())
        steps: list[Axis]
        if self.coupling == "cluster":
            steps = [Axis("cluster", self.clusters)]
        elif self.coupling == "order":
            steps = [Axis("order", orders, "categorical")] * 2
        else:
            steps = [Axis(n, c) for n, c in zip(HARDWARE_STEPS, self.levels.all, strict=True)]
        for layer in range(len(self.layers)):
            axes = self.widest(layer).space.own
            steps += [axes[d][0] for d in self.own]
        return Space.of_steps([[axis] for axis in steps], width=self.width)

    # --- hardware -------------------------------------------------------------------------------

    @cached_property
    def areas(self) -> Floats:
        """(PEs, L1, L2) um^2 of the array that each choice makes: of each PE a multiply-accumulate
        unit and its buffer, and the shared buffer, by MAESTRO's constants."""
        pes, l1, l2 = np.meshgrid(*self.levels.all, indexing="ij")
        return area_of(pes, l1, l2, self.hardware)

    @cached_property
    def least_bytes(self) -> tuple[int, int]:
        """L1 and L2 without which some layer has no mapping."""
        each = [self.widest(i).least_bytes for i in range(len(self.layers))]
        return max(l1 for l1, _ in each), max(l2 for _, l2 in each)

    @cached_property
    def buildable(self) -> Bools:
        """(PEs, L1, L2) which of the hardware is within the area and leaves each layer a mapping: a
        single cluster of all PEs, with what buffers must hold at least."""
        l1, l2 = self.least_bytes
        enough = (np.array(self.levels.l1_bytes) >= l1)[:, None]
        found: Bools = (self.areas <= self.area) & (enough & (np.array(self.levels.l2_bytes) >= l2))
        return found

    def built(self, genes: Ints) -> tuple[Ints, Ints, Ints]:
        """(N,) PEs, L1 and L2 of genes, each of them one that its step has."""
        if not self.chooses_hardware:
            given = self.hardware
            ones = np.ones(len(genes), np.int64)
            return given.num_pes * ones, given.l1_bytes * ones, given.l2_bytes * ones
        chosen = genes[:, :3, 0]
        pes, l1, l2 = (np.array(c)[chosen[:, i]] for i, c in enumerate(self.levels.all))
        return pes, l1, l2

    def on(self, layer: int, pes: int, l1: int, l2: int) -> LayerSpace:
        """A layer's mappings on some hardware. Choices are the same on all, but for clusters of
        more PEs than there are, which are the last ones."""
        key = (layer, pes, l1, l2)
        if key not in self._made:
            given = tuple(c for c in self._clusters[layer] if c <= pes)
            hardware = replace(self.hardware, num_pes=pes, l1_bytes=l1, l2_bytes=l2)
            self._made[key] = LayerSpace(
                self.layers[layer], hardware, fixed=self.fixed, given=given
            )
        return self._made[key]

    def hardware_at(self, place: Sequence[int]) -> tuple[int, int, int]:
        """PEs, L1 and L2 of choices."""
        pes, l1, l2 = (c[i] for c, i in zip(self.levels.all, place, strict=True))
        return pes, l1, l2

    def narrowed(self, layer: int, cluster: int) -> LayerSpace:
        """A layer's mappings with clusters of so many PEs."""
        return replace(self.widest(layer), given=(cluster,))

    def widest(self, layer: int) -> LayerSpace:
        """A layer's mappings on all hardware that can be chosen: the most of each."""
        if self.chooses_hardware:
            pes, l1, l2 = (choices[-1] for choices in self.levels.all)
        else:
            pes, l1, l2 = self.hardware.num_pes, self.hardware.l1_bytes, self.hardware.l2_bytes
        return self.on(layer, pes, l1, l2)

    # --- genes and mappings ---------------------------------------------------------------------

    @cached_property
    def _order_of(self) -> tuple[Ints, ...]:
        """The choice of a layer that each of the shared orders comes to: depthwise layers have no
        K."""
        found = []
        for layer in range(len(self.layers)):
            space = self.widest(layer)
            places = {tuple(order): i for i, order in enumerate(space.orders.tolist())}
            first = (0,) if space.depthwise else ()
            chosen = [
                places[first + tuple(d for d in order if d or not first)]
                for order in ORDERS.tolist()
            ]
            found.append(np.array(chosen))
        return tuple(found)

    def layer_genes(self, genes: Ints, layer: int) -> Ints:
        """The genes (N, 13, 1) of a layer's mapping, of a network's (N, steps, 1); -1 where nothing
        is chosen, or nothing that there is."""
        found = np.full((len(genes), len(DECISIONS), 1), -1)
        first = len(self.shared) + layer * len(self.own)
        found[:, list(self.own)] = genes[:, first : first + len(self.own)]
        if self.coupling == "cluster":
            found[:, CLUSTER] = genes[:, 0]
        elif self.coupling == "order":
            for i, decision in enumerate(COUPLINGS["order"]):
                chosen = genes[:, i]
                inside = (chosen >= 0) & (chosen < len(ORDERS))
                order = self._order_of[layer][np.where(inside, chosen, 0)]
                found[:, decision] = np.where(inside, order, -1)
        return found

    def mappings(self, genes: Ints, layer: int) -> Mappings:
        """The mappings of a layer, of genes whose every choice is one that its step has."""
        return self.widest(layer).mappings(self.layer_genes(genes, layer))

    def genes(self, shared: Sequence[int], each: Sequence[Ints]) -> Ints:
        """(1, steps, 1) of the shared choices and of every layer's genes (13, 1)."""
        own = [genes[list(self.own), 0] for genes in each]
        return np.concatenate([np.array(shared, np.int64), *own])[None, :, None]

    # --- masks ----------------------------------------------------------------------------------

    def allowed(self, genes: Ints, step: int) -> Bools:
        """(N, choices of the action space): which choices of a step can still lead to valid
        mappings of all layers, within the area; of genes (N, steps, 1) those before the step are
        looked at.

        Where none can any more, all that the step has are allowed.
        """
        size = int(self.space.sizes[step, 0])
        layer, decision = self.place(step)
        if layer < 0:
            found = self._shared_allowed(genes, decision)
        else:
            found = np.zeros((len(genes), size), bool)
            for rows, space in self.by_hardware(genes, layer, decision):
                some = space.allowed(self.layer_genes(genes[rows], layer), decision)
                wide = min(size, some.shape[1])
                found[rows, :wide] = some[:, :wide]
        mask = np.zeros((len(genes), self.space.shape[0]), bool)
        mask[:, :size] = found
        mask[~mask.any(axis=1), :size] = True
        return mask

    def by_hardware(
        self, genes: Ints, layer: int, decision: int = INNER_TILES
    ) -> list[tuple[Ints, LayerSpace]]:
        """Rows of genes with the same hardware, and a layer's mappings on it. (What is decided
        before the inner tiles does not depend on how much L1 there is, if there is enough.)"""
        if not self.chooses_hardware:
            return [(np.arange(len(genes)), self.widest(layer))]
        last = [len(choices) - 1 for choices in self.levels.all]
        chosen = np.clip(genes[:, :3, 0], 0, last)
        if decision < INNER_TILES:
            chosen[:, 1] = last[1]
        kinds, which = np.unique(chosen, axis=0, return_inverse=True)
        found = []
        for i, kind in enumerate(kinds.tolist()):
            pes, l1, l2 = (c[k] for c, k in zip(self.levels.all, kind, strict=True))
            found.append((np.flatnonzero(which.ravel() == i), self.on(layer, pes, l1, l2)))
        return found

    def _shared_allowed(self, genes: Ints, which: int) -> Bools:
        if self.chooses_hardware:
            last_axis = np.moveaxis(self.buildable, which, -1)
            table = np.asarray(last_axis.any(axis=tuple(range(which, 2))))
            last = [len(choices) - 1 for choices in self.levels.all]
            before = np.clip(genes[:, :which, 0], 0, last[:which])
            return np.broadcast_to(table[tuple(before.T)], (len(genes), table.shape[-1]))
        return np.broadcast_to(self.starts, (len(genes), len(self.starts)))

    @cached_property
    def starts(self) -> Bools:
        """(choices,) of the first shared decision: every layer has a mapping with it."""
        if self.chooses_hardware:
            return np.asarray(self.buildable.any(axis=(1, 2)))
        each = [self.widest(layer).starts for layer in range(len(self.layers))]
        if self.coupling == "order":  # which never matters
            return np.full(len(ORDERS), all(some.any() for some in each))
        return np.asarray(np.logical_and.reduce(each))


def area_of(
    pes: ArrayLike, l1_bytes: ArrayLike, l2_bytes: ArrayLike, hardware: MappingHardware
) -> Floats:
    """um^2 of arrays: PEs with their buffers, and the buffer that they share, in whole units of
    MAESTRO's constants; buses and arbiters are left out."""
    tech = hardware.interconnect.tech
    l1 = -(-np.asarray(l1_bytes) // tech.l1_unit_bytes) * tech.l1_area_um2
    l2 = -(-np.asarray(l2_bytes) // tech.l2_unit_bytes) * tech.l2_area_um2
    return np.asarray(np.asarray(pes) * (tech.mac_area_um2 + l1) + l2)

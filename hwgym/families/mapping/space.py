"""The decisions that make a mapping of a layer, and which can still lead to one that fits.

Thirteen decisions, in this order: how many PEs make a cluster; the dimension spread over clusters,
and that spread over a cluster's PEs; the order of the loops over the array; how much a cluster
holds of filters, channels, output rows and output columns; how much of that a PE holds; the order
of the loops in a cluster. Filters are held whole.

The masks are closed forms of what MAESTRO's analysis comes to (``hwgym.costs.maestro``): L1 of the
PE's tile, L2 of the first iteration, and where it leaves traffic out. L1 and L2 grow with every
tile but that of the dimension spread over clusters; of those that leave nothing out, the least is
at one end or the other. So a mapping can be completed if it can be with every open tile at 1 or at
the whole dimension, which is what is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product
from typing import Literal

import numpy as np

from hwgym._arrays import Array, Bools, Ints
from hwgym.core.problem import draw_allowed
from hwgym.core.space import Axis, Space
from hwgym.costs.maestro import Mappings
from hwgym.costs.maestro.mappings import extents
from hwgym.families.mapping.hardware import MappingHardware
from hwgym.workloads import Layer

__all__ = ["DECISIONS", "DIMS", "MappingSpace", "TileChoice", "cluster_sizes", "divisors"]

DIMS = ("K", "C", "Y'", "X'")
"""Filters, channels, output rows and output columns, as MAESTRO writes them."""

TileChoice = Literal["divisors", "any"]

CLUSTER, OUTER_PARALLEL, INNER_PARALLEL, OUTER_ORDER = range(4)
OUTER_TILES, INNER_TILES, INNER_ORDER = 4, 8, 12

DECISIONS = (
    "cluster",
    "outer parallel",
    "inner parallel",
    "outer order",
    *(f"outer {dim}" for dim in DIMS),
    *(f"inner {dim}" for dim in DIMS),
    "inner order",
)
"""The names of the steps."""

SMALLEST = tuple(np.array(1) for _ in DIMS)
"""The least tiles."""


def divisors(number: int) -> list[int]:
    """All of them, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return small + [number // d for d in reversed(small) if d * d != number]


def cluster_sizes(sizes: Sequence[int], num_pes: int) -> list[int]:
    """Clusters that leave no PEs idle needlessly, and those that divide a dimension, ascending."""
    found = {num_pes // count for count in range(1, num_pes + 1)}
    for size in sizes:
        found |= {d for d in divisors(size) if d <= num_pes}
    return sorted(found)


@dataclass(frozen=True)
class MappingSpace:
    """The mappings of a layer on given hardware.

    Attributes:
        layer: To be mapped.
        hardware: What it runs on.
        tiles: ``divisors``: outer tiles divide the dimension, inner ones the outer; ``any``: outer
            tiles up to the dimension, inner ones up to the outer.
        fixed: Whether costs are those of the reference with its defects mended, where all data is
            moved whatever the mapping.
        width: Choices of the action space; by default as many as the widest decision has.
    """

    layer: Layer
    hardware: MappingHardware
    tiles: TileChoice = "divisors"
    fixed: bool = False
    width: int | None = None

    # --- what can be chosen ---------------------------------------------------------------------

    @cached_property
    def sizes(self) -> Ints:
        """(4,) of the dimensions."""
        return np.array(extents(self.layer))

    @property
    def depthwise(self) -> bool:
        """Whether there is no K to spread and to order."""
        return self.layer.is_depthwise

    @cached_property
    def clusters(self) -> Ints:
        """PEs of a cluster, by choice."""
        return np.array(cluster_sizes(self.sizes.tolist(), self.hardware.num_pes))

    @cached_property
    def parallels(self) -> Ints:
        """The dimensions that can be spread, by choice."""
        return np.arange(1 if self.depthwise else 0, 4)

    @cached_property
    def orders(self) -> Ints:
        """(choices, 4) dimensions, outermost first; of depthwise layers K first, which means
        nothing."""
        orders = permutations(self.parallels.tolist())
        first = (0,) if self.depthwise else ()
        return np.array([first + order for order in orders])

    @cached_property
    def tile_choices(self) -> tuple[Ints, ...]:
        """The tiles of each dimension, by choice."""
        if self.tiles == "any":
            return tuple(np.arange(1, size + 1) for size in self.sizes.tolist())
        return tuple(np.array(divisors(size)) for size in self.sizes.tolist())

    @cached_property
    def space(self) -> Space:
        """A step a decision, each of one axis."""
        dims = tuple(DIMS[d] for d in self.parallels)
        orders = tuple(" ".join(DIMS[d] for d in order if d in self.parallels)
                       for order in self.orders.tolist())  # fmt: skip
        tiles = [Axis("tile", tuple(found.tolist())) for found in self.tile_choices]
        cluster = Axis("cluster", tuple(self.clusters.tolist()))
        parallel = Axis("parallel", dims, "categorical")
        order = Axis("order", orders, "categorical")
        steps = [cluster, parallel, parallel, order, *tiles, *tiles, order]
        return Space.of_steps([[axis] for axis in steps], width=self.width)

    # --- genes and mappings ---------------------------------------------------------------------

    def mappings(self, genes: Ints) -> Mappings:
        """The mappings of genes (N, 13, 1), each of them one that its step has."""
        chosen = genes[..., 0]
        tiles = [
            [choices[chosen[:, first + d]] for d, choices in enumerate(self.tile_choices)]
            for first in (OUTER_TILES, INNER_TILES)
        ]
        return Mappings(
            self.clusters[chosen[:, CLUSTER]],
            self.parallels[chosen[:, OUTER_PARALLEL : INNER_PARALLEL + 1]],
            np.array(tiles).transpose(2, 0, 1),
            self.orders[chosen[:, [OUTER_ORDER, INNER_ORDER]]],
        )

    def genes(self, mappings: Mappings) -> Ints:
        """The genes (N, 13, 1) of mappings.

        Raises:
            ValueError: If one is not of this space; the message says what of it.
        """
        genes = np.empty((len(mappings), len(DECISIONS), 1), np.int64)
        codes = _codes(self.orders[:, -len(self.parallels) :])
        orders = mappings.orders
        if self.depthwise:  # wherever K stands
            orders = orders[orders != 0].reshape(*orders.shape[:2], 3)
        columns: dict[int, tuple[Ints, Ints]] = {
            CLUSTER: (self.clusters, mappings.cluster),
            OUTER_PARALLEL: (self.parallels, mappings.parallel[:, 0]),
            INNER_PARALLEL: (self.parallels, mappings.parallel[:, 1]),
            OUTER_ORDER: (codes, _codes(orders[:, 0])),
            INNER_ORDER: (codes, _codes(orders[:, 1])),
        }
        for d, choices in enumerate(self.tile_choices):
            columns[OUTER_TILES + d] = choices, mappings.tiles[:, 0, d]
            columns[INNER_TILES + d] = choices, mappings.tiles[:, 1, d]
        for step, (choices, values) in columns.items():
            index = np.minimum(np.searchsorted(choices, values), len(choices) - 1)
            if (wrong := np.flatnonzero(choices[index] != values)).size:
                value = int(values[wrong[0]])
                raise ValueError(
                    f"mapping {wrong[0]} is not of this space: {DECISIONS[step]} may not be {value}"
                )
            genes[:, step, 0] = index
        return genes

    # --- what fits ------------------------------------------------------------------------------

    @property
    def filters(self) -> tuple[int, int]:
        """Rows and columns of a filter."""
        return self.layer.R, self.layer.S

    def l1_bytes(self, tiles: Sequence[Array]) -> Ints:
        """What a PE buffers for tiles of K, C, Y' and X', which broadcast.

        Twice each: double-buffered. Of results as many as of input rows and columns are counted.
        """
        r, s = self.filters
        k, c, y, x = tiles
        rows, columns = y + r - 1, x + s - 1
        if self.depthwise:
            return np.asarray(2 * (2 * c * rows * columns + c * r * s))
        return np.asarray(2 * (c * rows * columns + k * c * r * s + k * rows * columns))

    def l2_bytes(self, units: Array, spread: Array, tiles: Sequence[Array]) -> Ints:
        """What the array buffers for its first iteration.

        Args:
            units: Clusters.
            spread: The dimension spread over them.
            tiles: Of K, C, Y' and X', which a cluster holds; all arguments broadcast.
        """
        r, s = self.filters
        held, made = [], []  # inputs or filters, and results, along each dimension
        for d, (tile, size) in enumerate(zip(tiles, self.sizes.tolist(), strict=True)):
            chunks = -(-size // tile)
            busy = np.where(spread == d, np.minimum(chunks, units), 1)
            whole = np.minimum(busy * tile, size)
            halo = (r - 1) if d == 2 else (s - 1) if d == 3 else 0
            held.append(whole + busy * halo)
            if d == self._results and not self.fixed:  # the last of them counts as nothing
                whole = whole - np.where((busy > 1) & (chunks < units), tile, 0)
            made.append(whole)
        if self.depthwise:
            inputs, weights = held[1] * held[2] * held[3], held[1] * (r * s)
            results = made[1] * made[2] * made[3]
        else:
            inputs, weights = held[1] * held[2] * held[3], held[0] * held[1] * (r * s)
            results = made[0] * made[2] * made[3]
        return np.asarray(2 * (inputs + weights + results))

    @property
    def _results(self) -> int:
        """The dimension that tells results apart, of K and C."""
        return 1 if self.depthwise else 0

    def needed(self, genes: Ints) -> tuple[Ints, Ints]:
        """(N,) bytes of L1 and of L2 that the decisions made so far take, with the open tiles at 1
        or whole, whichever takes less; genes (N, 13, 1), -1 where none is made."""
        made, chosen = genes[..., 0] >= 0, self._known(genes)
        ends = self._ends(range(4))
        outer, inner = [], []
        for d, choices in enumerate(self.tile_choices):
            known = choices[chosen[:, OUTER_TILES + d]]
            outer.append(np.where(made[:, [OUTER_TILES + d]], known[:, None], ends[:, d]))
            inner.append(np.where(made[:, INNER_TILES + d], choices[chosen[:, INNER_TILES + d]], 1))
        units = self.hardware.num_pes // self.clusters[chosen[:, CLUSTER]]
        units = np.where(made[:, OUTER_PARALLEL], units, 1)
        spread = self.parallels[chosen[:, OUTER_PARALLEL]]
        l2 = self.l2_bytes(units[:, None], spread[:, None], outer).min(axis=1)
        return self.l1_bytes(inner), l2

    def forgets(self, units: Array, spread: Array, tiles: Sequence[Array]) -> Bools:
        """Where MAESTRO leaves traffic out: the spread dimension makes more than one tile, and
        fewer than there are clusters, and what is new to the last of them counts as nothing. Takes
        what :meth:`l2_bytes` does. Nowhere, if that is mended."""
        sizes = self.sizes.tolist()
        chunks = np.choose(spread, [-(-n // tile) for n, tile in zip(sizes, tiles, strict=True)])
        return np.asarray((chunks > 1) & (chunks < units) & (not self.fixed))

    def keeps(self, mappings: Mappings) -> Bools:
        """(N,) the inner tiles go into the outer ones as :attr:`tiles` asks, and no traffic is
        forgotten."""
        outer, inner = mappings.tiles[:, 0], mappings.tiles[:, 1]
        nested = inner <= outer if self.tiles == "any" else outer % inner == 0
        units = mappings.spread(self.hardware.num_pes)
        forgets = self.forgets(units, mappings.parallel[:, 0], list(outer.T))
        return np.asarray(nested.all(axis=1) & ~forgets)

    # --- masks ----------------------------------------------------------------------------------

    def allowed(self, genes: Ints, step: int) -> Bools:
        """(N, choices of the action space): which choices of a step can still lead to a valid
        mapping, after genes (N, 13, 1), of which those before the step are looked at.

        Where none can any more, all that the step has are allowed.
        """
        chosen = self._known(genes)
        mask = np.zeros((len(genes), self.space.shape[0]), bool)
        size = int(self.space.sizes[step, 0])
        mask[:, :size] = self._allowed(chosen, step)
        mask[~mask.any(axis=1), :size] = True
        return mask

    def _known(self, genes: Ints) -> Ints:
        """(N, 13) the choices, each one that its step has, whatever was given."""
        return np.clip(genes[..., 0], 0, self.space.sizes[:, 0] - 1)

    def _allowed(self, chosen: Ints, step: int) -> Bools:
        if step == CLUSTER:
            found = np.asarray(self._starts.any(axis=1))
            return np.broadcast_to(found, (len(chosen), len(found)))
        if step == OUTER_PARALLEL:
            return self._starts[chosen[:, CLUSTER]]
        if OUTER_TILES <= step < INNER_TILES:
            return self._outer_allowed(chosen, step - OUTER_TILES)
        if INNER_TILES <= step < INNER_ORDER:
            return self._inner_allowed(chosen, step - INNER_TILES)
        return np.ones((len(chosen), int(self.space.sizes[step, 0])), bool)

    def _ends(self, dims: Sequence[int]) -> Ints:
        """(combinations, dims) of the least and the greatest tile of each."""
        ends = [sorted({1, int(self.sizes[d])}) for d in dims]
        return np.array(list(product(*ends)), np.int64)

    @cached_property
    def _starts(self) -> Bools:
        """(clusters, spread dimensions): some tiles make it valid."""
        units = self.hardware.num_pes // self.clusters[:, None, None]
        spread, tiles = self.parallels[:, None], list(self._ends(range(4)).T)
        fits = self.l2_bytes(units, spread, tiles) <= self.hardware.l2_bytes
        possible = fits & ~self.forgets(units, spread, tiles)
        fits_pe = self.l1_bytes(SMALLEST) <= self.hardware.l1_bytes
        return np.asarray(possible.any(axis=2) & fits_pe)

    def _outer_allowed(self, chosen: Ints, dim: int) -> Bools:
        before = [CLUSTER, OUTER_PARALLEL, *range(OUTER_TILES, OUTER_TILES + dim)]
        counts = tuple(self.space.sizes[before, 0].tolist())
        code = np.ravel_multi_index(tuple(chosen[:, before].T), counts)
        _, first, same = np.unique(code, return_index=True, return_inverse=True)
        return self._outer_of(chosen[first], dim)[same]

    def _outer_of(self, chosen: Ints, dim: int) -> Bools:
        """(rows, choices) of an outer tile: with the tiles still open at one end or the other it
        fits, and no traffic is forgotten."""
        units = self.hardware.num_pes // self.clusters[chosen[:, CLUSTER]]
        spread = self.parallels[chosen[:, OUTER_PARALLEL]]
        ends = self._ends(range(dim + 1, 4))
        tiles: list[Array] = []
        for d, choices in enumerate(self.tile_choices):
            if d < dim:
                tiles.append(choices[chosen[:, OUTER_TILES + d]][:, None, None])
            elif d == dim:
                tiles.append(choices[:, None])
            else:
                tiles.append(ends[:, d - dim - 1])
        given = units[:, None, None], spread[:, None, None], tiles
        possible = (self.l2_bytes(*given) <= self.hardware.l2_bytes) & ~self.forgets(*given)
        return np.asarray(possible.any(axis=2))

    def _inner_allowed(self, chosen: Ints, dim: int) -> Bools:
        tiles: list[Array] = []
        for d, choices in enumerate(self.tile_choices):
            if d < dim:
                tiles.append(choices[chosen[:, INNER_TILES + d]][:, None])
            else:
                tiles.append(choices if d == dim else SMALLEST[d])
        inner = self.tile_choices[dim]
        outer = inner[chosen[:, OUTER_TILES + dim]][:, None]
        nested = inner <= outer if self.tiles == "any" else outer % inner == 0
        return nested & (self.l1_bytes(tiles) <= self.hardware.l1_bytes)

    @property
    def possible(self) -> bool:
        """Whether any mapping is valid."""
        return bool(self._starts.any())

    def draw_masked(self, rng: np.random.Generator, count: int) -> Ints:
        """Random genes (count, 13, 1) of valid mappings, each decision among those allowed."""
        return draw_allowed(self.space, self.allowed, rng, count)


def _codes(orders: Ints) -> Ints:
    """A number for each order (..., n), ascending in the order of permutations."""
    digits = 4 ** np.arange(orders.shape[-1] - 1, -1, -1)
    return np.asarray((orders * digits).sum(axis=-1))

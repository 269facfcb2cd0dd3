"""What agents for mapping search share: what is known of a mapping without paying for it.

Layer and hardware are part of the statement, so two things of every mapping are known for nothing:
how many steps its busiest processing element takes, and about how much data moves between the
shared buffer and the clusters. The first is a lower bound of the latency; the second ranks mappings
by energy. What a mapping really costs only a sample tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.core import Statement
from hwgym.costs.maestro import Mappings

__all__ = [
    "CLUSTER",
    "DECISIONS",
    "INNER_TILES",
    "ORDERS",
    "OUTER",
    "OUTER_TILES",
    "PARALLEL",
    "Decisions",
    "MappingView",
    "NestView",
    "decisions",
]

DECISIONS = 13
CLUSTER, PARALLEL, ORDERS = 0, (1, 2), (3, 12)
OUTER_TILES, INNER_TILES = (4, 5, 6, 7), (8, 9, 10, 11)
OUTER = (0, 1, 3, *OUTER_TILES)
"""The decisions that say what clusters get from the shared buffer, and when."""

_CHARGE = 10.0
_LEVELS = (" over rows", " over columns", " in L2", " in a PE")
_DIMS = ("K", "C", "Y'", "X'")
_C, _Y, _X = 1, 2, 3


class Decisions:
    """The decisions of a mapping problem, as an agent reads them from the statement.

    Genes are (N, decisions) here, one column a decision.

    Attributes:
        sizes: (decisions,) how many choices each has.
        ordered: (decisions,) neighbouring choices are alike.
        tiles: (dimensions, levels) the decisions that size a dimension, the outermost first.
        orders: The decisions that order loops.
        spread: The decisions that say what runs side by side, of the outer level and of the inner.
        outer: The decisions that, as far as is known, say alone what moves and when.
        loops: (orders, n) the loops of each order, outermost first.
    """

    tiles: Ints
    orders: tuple[int, ...]
    spread: tuple[tuple[int, ...], tuple[int, ...]]
    outer: tuple[int, ...]

    def __init__(self, statement: Statement) -> None:
        space = statement.space
        self.statement = statement
        self.sizes, self.ordered = space.sizes[:, 0], space.ordered_at[:, 0]

    def _read_orders(self, loops: Ints) -> None:
        self.loops = loops
        self._order_of = {tuple(row): choice for choice, row in enumerate(loops.tolist())}

    def order_of(self, loops: Ints) -> Ints:
        """(N,) the choice that an order (N, n) is."""
        return np.array([self._order_of[tuple(row)] for row in loops.tolist()], np.int64)

    # --- two levels of what runs side by side, or one --------------------------------------------

    def has_two(self, row: Ints) -> bool:
        """Whether something runs side by side at the inner level, too."""
        raise NotImplementedError

    def drop_level(self, row: Ints) -> None:
        """Nothing runs side by side at the inner level."""
        raise NotImplementedError

    def add_level(self, row: Ints, rng: np.random.Generator) -> None:
        """Something new runs side by side at the inner level."""
        raise NotImplementedError

    def draw_step(self, row: Ints, step: int, rng: np.random.Generator) -> None:
        """Draw a decision anew, and what goes with it."""
        row[step] = rng.integers(self.sizes[step])

    # --- valid ones ------------------------------------------------------------------------------

    def repair(self, genes: Ints, rng: np.random.Generator) -> Ints:
        """Valid genes: in the order of decisions, each that is not allowed is replaced."""
        return self.statement.repair(genes[..., None], rng)[..., 0]

    def draw(self, rng: np.random.Generator, count: int) -> Ints:
        """Random valid genes."""
        return self.statement.draw(rng, count)[..., 0]

    # --- what is known for nothing; by default nothing is ----------------------------------------

    knows = False
    """Whether the estimate tells anything."""

    def estimate(self, genes: Ints) -> Floats:
        """(N,) about the objective, in a unit of its own."""
        return np.ones(len(genes))

    def charge(self, genes: Ints) -> Floats:
        """(N,) what to multiply the objective with where a limit is exceeded, at least: 1 where it
        may not be."""
        return np.ones(len(genes))


class MappingView(Decisions):
    """A problem of one layer's mapping, as an agent for it reads the statement.

    Genes are (N, 13) here, one column a decision.

    Attributes:
        values: What choices stand for, a decision an array: (n,) numbers, or (n, 4) orders.
        whole: (4,) extents of K, C, Y' and X'.
        filters: Rows and columns of a filter.
        depthwise: The layer has no K.
        num_pes, l2_bytes, bandwidth: Of the hardware; elements a cycle.
        compulsory: Elements of inputs and weights.

    Raises:
        ValueError: If it is another problem.
    """

    def __init__(self, statement: Statement, agent: str) -> None:
        key, space = statement.key, statement.space
        if key.get("family") != "mapping" or space.num_steps != DECISIONS:
            raise ValueError(
                f"{agent} searches mappings of a layer on MAESTRO's array (HWMap), which "
                f"{statement.title} is not; agents that see totals work on any problem"
            )
        super().__init__(statement)
        k, c, rows, columns, r, s = (key["layer"][name] for name in "KCYXRS")
        self.whole, self.filters = np.array([k, c, rows - r + 1, columns - s + 1]), (r, s)
        self.depthwise = bool(key["layer"]["depthwise"])
        self.compulsory = c * rows * columns + k * c * r * s
        hardware = key["hardware"]
        self.num_pes, self.l2_bytes = hardware["num_pes"], hardware["l2_bytes"]
        self.bandwidth = hardware["noc_bandwidth"]
        self.values = [_values(space.axes_of(step)[0].labels, step) for step in range(DECISIONS)]
        self.tiles = np.array([OUTER_TILES, INNER_TILES]).T
        self.orders, self.spread, self.outer = ORDERS, ((PARALLEL[0],), (PARALLEL[1],)), OUTER
        self._read_orders(self.values[ORDERS[0]][:, 1 if self.depthwise else 0 :])

    # --- what genes stand for --------------------------------------------------------------------

    def mappings(self, genes: Ints) -> Mappings:
        """The mappings that genes (N, 13) stand for."""
        value = [values[genes[:, step]] for step, values in enumerate(self.values)]
        tiles = np.stack(value[OUTER_TILES[0] : INNER_TILES[-1] + 1], axis=1)
        return Mappings(
            value[CLUSTER],
            np.stack([value[step] for step in PARALLEL], axis=1),
            tiles.reshape(-1, 2, 4),
            np.stack([value[step] for step in ORDERS], axis=1),
        )

    def choice_of(self, step: int, values: Ints) -> Ints:
        """(N,) the choice of a cluster size, tile or dimension: the last that is not greater."""
        found: Ints = np.searchsorted(self.values[step], values, side="right") - 1
        return np.maximum(found, 0)

    # --- levels ----------------------------------------------------------------------------------

    def has_two(self, row: Ints) -> bool:
        return bool(self.values[CLUSTER][row[CLUSTER]] > 1)

    def drop_level(self, row: Ints) -> None:
        """Clusters become single elements, each a cluster of its own."""
        row[CLUSTER] = 0

    def add_level(self, row: Ints, rng: np.random.Generator) -> None:
        """Clusters of one element become larger ones, whose elements hold one of everything."""
        row[ORDERS[1]] = rng.integers(self.sizes[ORDERS[1]])
        row[list(INNER_TILES)] = 0
        self.draw_step(row, PARALLEL[1], rng)

    def draw_step(self, row: Ints, step: int, rng: np.random.Generator) -> None:
        """Draw a decision anew: with the inner spread dimension a cluster size, no more than there
        is of it; an inner tile no larger than the outer one."""
        super().draw_step(row, step, rng)
        if step == PARALLEL[1]:
            outer = OUTER_TILES[self.values[step][row[step]]]
            step = CLUSTER
        elif step in INNER_TILES:
            outer = OUTER_TILES[INNER_TILES.index(step)]
        else:
            return
        most = self.values[outer][row[outer]]
        row[step] = rng.integers(self.choice_of(step, most) + 1)

    # --- what is known for nothing ---------------------------------------------------------------

    knows = True

    def steps(self, m: Mappings) -> Floats:
        """(N,) multiply-accumulates, one after the other, of the busiest processing element."""
        r, s = self.filters
        units = self.num_pes // m.cluster
        total = np.full(len(m), float(r * s))
        for dim, whole in enumerate(self.whole):
            tile, piece = m.tiles[:, 0, dim], m.tiles[:, 1, dim]
            across = np.where(m.parallel[:, 0] == dim, units, 1)
            inside = np.where(m.parallel[:, 1] == dim, m.cluster, 1)
            rounds, rest = np.divmod(whole, tile * across)
            last = np.minimum(rest, tile)
            total *= rounds * _own(tile, piece, inside) + _own(last, piece, inside)
        return total

    def elements(self, tiles: Ints) -> Ints:
        """(N,) elements of inputs, weights and outputs that tiles (N, 4) come to."""
        k, c, y, x = tiles.T
        r, s = self.filters
        inputs, made = c * (y + r - 1) * (x + s - 1), c if self.depthwise else k
        total: Ints = inputs + k * c * r * s + made * y * x
        return total

    def movement(self, m: Mappings) -> Floats:
        """(N, 3) inputs, weights and outputs that move between shared buffer and clusters, about.

        Distinct elements of what all clusters hold at a time: a loop over one of a tensor's
        dimensions brings all of it anew if another such loop runs inside, else what two tiles do
        not share; as MAESTRO has it, other loops bring nothing, and partial sums leave with each
        tile. Exact where as many clusters are at work in every round, and no edges of rows or
        columns lie between them. (Ferrante, Sarkar and Thrash, LCPC 1991; Chatarasi et al., ACM
        TACO 19(1), 2021.)
        """
        r, s = self.filters
        tiles, orders = m.tiles[:, 0], m.orders[:, 0]
        wide = np.arange(4) == m.parallel[:, [0]]
        across = np.where(wide, (self.num_pes // m.cluster)[:, None], 1)
        parts = -(-self.whole // tiles)
        count = -(-parts // across)
        looped = np.take_along_axis(count, orders, 1)
        passes = np.cumprod(looped, axis=1) // looped  # how often each loop is started
        moved = np.empty((len(m), 3))
        for tensor, dims in enumerate(((_C, _Y, _X), (_C,) if self.depthwise else (0, _C))):
            has = np.isin(np.arange(4), dims)
            edge = np.array([0, 0, r - 1, s - 1]) if tensor == 0 else np.zeros(4, int)
            held = np.where(has, parts / count * (self.whole / parts + edge), 1.0)
            fresh = np.minimum(tiles * np.where(wide, across, 1) / (tiles + edge), 1.0) * has
            fresh = np.take_along_axis(fresh, orders, 1)
            again = has[orders] & (looped > 1)
            share = np.ones(len(m))
            for place in range(4):
                whole = again[:, place] & again[:, place + 1 :].any(axis=1)
                new = np.where(whole, 1.0, fresh[:, place])
                share += (looped[:, place] - 1) * passes[:, place] * new
            moved[:, tensor] = share * held.prod(axis=1) * (r * s if tensor else 1)
        channels = self.whole[_C] if self.depthwise else self.whole[0] * count[:, _C]
        moved[:, 2] = channels * self.whole[_Y] * self.whole[_X]
        return moved

    def estimate(self, genes: Ints) -> Floats:
        """(N,) about the objective, in a unit of its own, from steps and movement."""
        m = self.mappings(genes)
        moved = self.movement(m).sum(axis=1)
        cycles = np.maximum(self.steps(m), moved / self.bandwidth)
        energy = moved + self.compulsory
        value: Floats = {"latency": cycles, "energy": energy}.get(
            self.statement.objective.name, cycles * energy
        )
        return value

    def charge(self, genes: Ints) -> Floats:
        statement = self.statement
        if statement.constraint is None or statement.constraint.name != "latency":
            return super().charge(genes)
        over: Floats = np.maximum(self.steps(self.mappings(genes)) / statement.limit - 1, 0)
        return 1 + _CHARGE * over


class NestView(Decisions):
    """A problem of a layer's loop nest (``HWMap`` of version 1), of which nothing is free.

    Each dimension is sized four times: how many rows and columns of the array share it, how much of
    it the shared buffer holds, and how much an element.
    """

    def __init__(self, statement: Statement) -> None:
        super().__init__(statement)
        names = statement.names
        levels = [
            [step for step, name in enumerate(names) if name.endswith(level)] for level in _LEVELS
        ]
        self.tiles = np.array(levels).T
        self.orders = tuple(step for step, name in enumerate(names) if name.endswith(" order"))
        self.spread = tuple(levels[0]), tuple(levels[1])
        self.outer = tuple(range(len(names)))
        labels = statement.space.axes_of(self.orders[0])[0].labels
        self._read_orders(np.array([[ord(dim) for dim in label] for label in labels]))

    def has_two(self, row: Ints) -> bool:
        return bool(row[list(self.spread[1])].any())

    def drop_level(self, row: Ints) -> None:
        """Every row is one element wide."""
        row[list(self.spread[1])] = 0

    def add_level(self, row: Ints, rng: np.random.Generator) -> None:
        """Some dimension is shared among the columns."""
        self.draw_step(row, int(rng.choice(self.spread[1])), rng)


def decisions(statement: Statement, agent: str) -> Decisions:
    """What an agent for mappings, of either version of ``HWMap``, reads.

    Raises:
        ValueError: If it is another problem.
    """
    if statement.key.get("family") == "mapping_loopnest":
        return NestView(statement)
    return MappingView(statement, agent)


def _values(labels: Sequence[Any], step: int) -> Ints:
    """What the choices of a decision stand for, by their labels."""
    if step in PARALLEL:
        return np.array([_DIMS.index(label) for label in labels])
    if step in ORDERS:
        orders = [[_DIMS.index(dim) for dim in label.split()] for label in labels]
        return np.array([[0] * (4 - len(order)) + order for order in orders])  # K means nothing
    return np.array(labels)


def _own(length: Ints, piece: Ints, pes: Ints) -> Ints:
    """How much of a dimension's length the first of some processing elements does, by pieces."""
    rounds, rest = np.divmod(length, piece * pes)
    own: Ints = rounds * piece + np.minimum(rest, piece)
    return own

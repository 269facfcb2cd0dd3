"""Cells: a pool's counts as episodes look them up, and what follows from them for each machine."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints, rows_by
from hwgym.families.assignment.multi.grammar import DEPTHS
from hwgym.families.assignment.multi.pool import Prices
from hwgym.families.assignment.multi.splits import CONSTRAINTS, OBJECTIVES, Recipes, Source

__all__ = ["CELL", "ENERGY", "LATENCY", "Cells"]

LATENCY, ENERGY, EDP = range(len(OBJECTIVES))

AT_ONCE = 64
"""Problems whose uniform solutions are looked at together: their tables stay near the cache."""


BLOCKS = 256
"""Blocks whose tables are made together, for the same reason."""


class _Columns(NamedTuple):
    """Where a cell's numbers stand; before them the cycles, by bandwidth."""

    macs: int = 3
    l1_accesses: int = 4
    l2_accesses: int = 5
    l1_units: int = 6
    l2_units: int = 7
    size: int = 8


CELL = _Columns()


class Cells:
    """What is looked up of a source's problems, whichever they are.

    Attributes:
        source: Whose they are.
        numbers: (cells, 8) those of a cell side by side, in one line of the cache: cycles by
            bandwidth, then those of :data:`CELL`. Of cycles c there is -1 - c where the choice is
            not valid; L2 units are minus infinity where there is no answer, which takes nothing.
        cycles: (bandwidths, blocks, actions) of all repeats, NaN where a choice is not valid; and
            the counts (blocks, actions), of which those of MACs and L1 units are NaN there.
        takes: (constraints, machines, blocks, 2): the least and the most that a valid choice takes.
        costs: (objectives, machines, bandwidths, blocks, 2): the least and the most that one costs.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        pool = source.pool
        counts = pool.counts
        if len(pool.bandwidths) > CELL.macs:
            raise ValueError(f"a pool has at most {CELL.macs} bandwidths")
        valid = counts.valid
        numbers = np.zeros((*valid.shape, CELL.size))
        for i, cycles in enumerate(counts.latency):
            numbers[..., i] = np.where(valid, cycles, -1 - cycles)
        numbers[..., CELL.macs] = counts.macs
        numbers[..., CELL.l1_accesses] = counts.l1_accesses
        numbers[..., CELL.l2_accesses] = counts.l2_accesses
        numbers[..., CELL.l1_units] = pool.l1_units
        numbers[..., CELL.l2_units] = np.where(counts.mappable, pool.l2_units, -np.inf)
        self.numbers = numbers.reshape(-1, CELL.size)
        self.repeat = pool.repeat.astype(np.float64)
        self._every = np.tile(self.repeat, len(source.styles))[:, None]  # of each block
        self.cycles = np.where(valid, counts.latency, np.nan) * self._every
        self.macs = np.where(valid, counts.macs, np.nan)
        self.l1_accesses = counts.l1_accesses.astype(np.float64)
        self.l2_accesses = counts.l2_accesses.astype(np.float64)
        self.l1_units = np.where(valid, pool.l1_units, np.nan)
        self.l2_units = pool.l2_units
        self.pes = pool.pes.astype(np.float64)
        machines, blocks = len(source.machines), len(valid)
        self.takes = np.zeros((len(CONSTRAINTS), machines, blocks, 2))
        self.costs = np.zeros((len(OBJECTIVES), machines, len(pool.bandwidths), blocks, 2))
        self._known: Bools = np.zeros(machines, bool)

    # --- tables -----------------------------------------------------------------------------------

    def cost(
        self, blocks: Ints | slice, objective: int, bandwidth: Ints | int, prices: Prices
    ) -> Floats:
        """(n, actions) of an objective; NaN where invalid."""
        if objective == LATENCY:
            cycles: Floats = self.cycles[bandwidth, blocks]
            return cycles
        energy = self._energy(blocks, prices)
        return energy if objective == ENERGY else energy * self.cycles[bandwidth, blocks]

    def _energy(self, blocks: Ints | slice, prices: Prices) -> Floats:
        energy: Floats = prices.l1_macs * self.l1_accesses[blocks]
        energy += self.macs[blocks]
        energy += prices.l2_macs * self.l2_accesses[blocks]
        energy *= prices.mac_nj
        energy *= self._every[blocks]
        return energy

    def usage(self, blocks: Ints | slice, prices: Prices) -> Floats:
        """(n, actions) of a constraint; NaN where invalid."""
        usage: Floats = self.l1_units[blocks] * prices.l1
        usage += prices.pe
        usage *= self.pes
        usage += prices.l2 * self.l2_units[blocks]
        return usage

    # --- machines ---------------------------------------------------------------------------------

    def know(self, machines: Ints) -> None:
        """Fill :attr:`takes` and :attr:`costs` for machines."""
        new = np.unique(machines[~self._known[machines]])
        for start in range(0, len(self._every) if len(new) else 0, BLOCKS):
            part = slice(start, start + BLOCKS)
            cycles = self.cycles[:, part]
            self.costs[LATENCY, new, :, part] = _range(cycles)
            for machine in new:
                for i, prices in enumerate(self.source.prices):
                    own = Prices(*(value[machine] for value in prices))
                    self.takes[i, machine, part] = _range(self.usage(part, own))
                energy = self._energy(part, own)  # area and power are another matter
                self.costs[ENERGY, machine, :, part] = _range(energy)
                for bandwidth in range(len(cycles)):
                    edp = energy * cycles[bandwidth]
                    self.costs[EDP, machine, bandwidth, part] = _range(edp)
        self._known[new] = True

    # --- uniform solutions ------------------------------------------------------------------------

    def uniform(self, recipes: Recipes, prices: Prices, steps: Ints, limit: Floats) -> Floats:
        """(n,): the best objective of a solution that gives every layer the same; infinite where
        none is feasible.

        Args:
            recipes: Of problems.
            prices: That apply to each, (n,).
            steps: (n,) layers.
            limit: (n,) that a solution may take.
        """
        units, count = self._units, len(self._units.layers) + 1
        own = (recipes.style * count)[:, None]
        at = recipes.pieces, recipes.depths
        first, other, times = units.first[at] + own, units.other[at] + own, units.times[at]
        best = np.empty(len(steps))
        for objective, asked in rows_by(recipes.objective):
            for start in range(0, len(asked), AT_ONCE):
                those = asked[start : start + AT_ONCE]
                p = Prices(*(value[those][:, None] for value in prices))
                some = times[those].any(axis=0)
                each = first[those], other[those][:, some], times[those][:, some]
                l1_units, l2_units = _joined(self._sram, *each)
                usage = l1_units * p.l1
                usage += p.pe * steps[those][:, None]
                usage *= self.pes
                usage += p.l2 * l2_units
                if objective != ENERGY:
                    span = (recipes.bandwidth[those] * len(self._sram))[:, None]
                    each = each[0] + span, each[1] + span, each[2]
                if objective == LATENCY:
                    [cost] = _joined(self._cycles, *each)
                else:
                    table = self._accesses if objective == ENERGY else self._accesses_by_cycles
                    macs, l1, l2 = _joined(table, *each)
                    l1 *= p.l1_macs
                    l1 += macs
                    l2 *= p.l2_macs
                    l1 += l2
                    l1 *= p.mac_nj
                    cost = l1
                within = usage <= limit[those][:, None]
                best[those] = np.where(within, cost, np.inf).min(axis=1)
        return best

    # What units come to under the same choice for all their layers, repeats and all; NaN where a
    # layer's is not valid. (styles x units, columns, actions) each, those that depend on it by
    # bandwidth; made when an objective asks for them.

    @cached_property
    def _units(self) -> _Units:
        return _Units.of(self.source)

    @cached_property
    def _sram(self) -> Array:
        """Units of L1 and of L2: hundreds, which single precision holds."""
        return self._summed([self.l1_units], [self.l2_units]).astype(np.float32)

    @cached_property
    def _cycles(self) -> Floats:
        """All bandwidths', one after the other."""
        return self._summed(self.cycles)

    @cached_property
    def _accesses(self) -> Floats:
        """MACs, and accesses of L1 and L2."""
        return self._summed(*([count * self._every] for count in self._counts))

    @cached_property
    def _accesses_by_cycles(self) -> Floats:
        """The same, each layer's times its cycles; all bandwidths', one after the other."""
        return self._summed(
            *([count * self._every * cycles for cycles in self.cycles] for count in self._counts)
        )

    @property
    def _counts(self) -> tuple[Floats, Floats, Floats]:
        return self.macs, self.l1_accesses, self.l2_accesses

    def _summed(self, *columns: Iterable[Floats]) -> Floats:
        """Of columns of tables (blocks, actions), what units come to, one table after the other."""
        layers = self._units.layers
        rows, starts = np.concatenate(layers), np.cumsum([0, *map(len, layers[:-1])])
        found = []
        for tables in columns:
            parts = []
            for table in tables:
                for blocks in np.split(table, len(self.source.styles)):
                    parts.append(np.add.reduceat(blocks[rows], starts))
                    parts.append(np.zeros((1, blocks.shape[1])))  # of no unit
            found.append(np.concatenate(parts))
        return np.stack(found, axis=1)


class _Units(NamedTuple):
    """Stages as multiples of units, which are layers one after the other: what a stage has at a
    depth is one unit, and some times another.

    Attributes:
        layers: The pool's rows of each unit.
        first: (stages + 1, depths) the one; ``len(layers)`` for none.
        other, times: (stages + 1, depths) the other, and how often.
    """

    layers: list[Ints]
    first: Ints
    other: Ints
    times: Ints

    @classmethod
    def of(cls, source: Source) -> _Units:
        """Those of the stages of a source."""
        parts = source.parts
        known: dict[tuple[int, ...], int] = {}
        first, other = np.full((2, *parts.lengths.shape), -1)
        times = np.zeros_like(first)
        for stage, kind in enumerate(parts.stages):
            lengths = parts.lengths[stage].tolist()
            start = int(parts.starts[stage])
            row = parts.row[start : start + lengths[-1]].tolist()
            further = [row[a:b] for a, b in pairwise(lengths[1:]) if b > a]
            alike = bool(further) and all(block == further[0] for block in further)
            least = DEPTHS[kind][source.made.deep][0] if kind in DEPTHS else 0
            for depth, length in enumerate(lengths):
                if 0 < depth < least or not length:
                    continue
                if alike and depth > 1:
                    other[stage, depth] = known.setdefault(tuple(further[0]), len(known))
                    times[stage, depth] = depth - 1
                    length = lengths[1]
                first[stage, depth] = known.setdefault(tuple(row[:length]), len(known))
        first[first < 0] = other[other < 0] = len(known)
        return cls([np.array(unit) for unit in known], first, other, times)


def _range(table: Floats) -> Floats:
    """(..., 2): the least and the greatest along the last axis that are not NaN."""
    return np.stack([np.fmin.reduce(table, axis=-1), np.fmax.reduce(table, axis=-1)], axis=-1)


def _joined(table: Array, first: Ints, other: Ints, times: Ints) -> Array:
    """(columns, n, actions): the sums of rows of a table (n, pieces), and of others so many
    times."""
    total: Array = table.take(first[:, 0], axis=0)
    for rows in first.T[1:]:
        total += table.take(rows, axis=0)
    for rows, count in zip(other.T, times.T, strict=True):
        more: Array = table.take(rows, axis=0)
        more *= count[:, None, None].astype(table.dtype)
        total += more
    return total.swapaxes(0, 1)

"""Cells: a pool's counts as episodes look them up, and what follows from them for each machine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.families.assignment.multi.pool import Prices
from hwgym.families.assignment.multi.splits import CONSTRAINTS, OBJECTIVES, Recipes, Source

__all__ = ["CELL", "ENERGY", "LATENCY", "Cells"]

LATENCY, ENERGY, EDP = range(len(OBJECTIVES))

AT_ONCE = 64
"""Problems whose uniform solutions are looked at together: their tables stay near the cache."""


class _Columns(NamedTuple):
    """Where a cell's numbers stand; before them the cycles, by bandwidth."""

    macs: int = 3
    l1_accesses: int = 4
    l2_accesses: int = 5
    l1_units: int = 6
    l2_units: int = 7
    size: int = 8


CELL = _Columns()


class _Sums(NamedTuple):
    """What stages at their depths come to under the same choice for all their layers; NaN where a
    layer's is not valid. Cycles and energy are those of all repeats.

    Attributes:
        latency: (bandwidths x styles x stages x depths, actions) cycles.
        energy: (3, styles x stages x depths, actions) MACs, L1 and L2 accesses.
        edp: (3, bandwidths x ..., actions) these, each layer's times its cycles.
        l1_units, l2_units: (styles x stages x depths, actions) of SRAM.
    """

    latency: Floats
    energy: Floats
    edp: Floats
    l1_units: Floats
    l2_units: Floats


class Cells:
    """What is looked up of a source's problems, whichever they are.

    Attributes:
        source: Whose they are.
        numbers: (cells x 8,) those of a cell side by side, in one line of the cache: cycles by
            bandwidth, then those of :data:`CELL`. Cycles and MACs are infinite where the choice is
            not valid, L2 units minus infinity where there is no answer, which takes nothing.
        latency: (bandwidths, blocks, actions), and the others (blocks, actions): NaN where a choice
            is not valid, all of them or those that make results so.
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
            numbers[..., i] = np.where(valid, cycles, np.inf)
        numbers[..., CELL.macs] = np.where(valid, counts.macs, np.inf)
        numbers[..., CELL.l1_accesses] = counts.l1_accesses
        numbers[..., CELL.l2_accesses] = counts.l2_accesses
        numbers[..., CELL.l1_units] = pool.l1_units
        numbers[..., CELL.l2_units] = np.where(counts.mappable, pool.l2_units, -np.inf)
        self.numbers = numbers.ravel()
        self.latency = np.where(valid, counts.latency, np.nan)
        self.macs = np.where(valid, counts.macs, np.nan)
        self.l1_accesses = counts.l1_accesses.astype(np.float64)
        self.l2_accesses = counts.l2_accesses.astype(np.float64)
        self.l1_units = np.where(valid, pool.l1_units, np.nan)
        self.l2_units = pool.l2_units
        self.pes = pool.pes.astype(np.float64)
        self.repeat = pool.repeat.astype(np.float64)
        machines, blocks = len(source.machines), len(valid)
        self.takes = np.zeros((len(CONSTRAINTS), machines, blocks, 2))
        self.costs = np.zeros((len(OBJECTIVES), machines, len(pool.bandwidths), blocks, 2))
        self._known: Bools = np.zeros(machines, bool)
        self._sums: _Sums | None = None

    # --- tables -------------------------------------------------------------------------------------

    def cost(
        self, blocks: Ints | slice, objective: int, bandwidth: Ints | int, prices: Prices
    ) -> Floats:
        """(n, actions) of an objective; NaN where invalid."""
        repeat = self._repeats(blocks)
        if objective == LATENCY:
            cycles: Floats = self.latency[bandwidth, blocks] * repeat
            return cycles
        energy: Floats = prices.mac_nj * (
            self.macs[blocks]
            + prices.l1_macs * self.l1_accesses[blocks]
            + prices.l2_macs * self.l2_accesses[blocks]
        )
        energy *= repeat
        return energy if objective == ENERGY else energy * (self.latency[bandwidth, blocks] * repeat)

    def usage(self, blocks: Ints | slice, prices: Prices) -> Floats:
        """(n, actions) of a constraint; NaN where invalid."""
        usage: Floats = self.l1_units[blocks] * prices.l1
        usage += prices.pe
        usage *= self.pes
        usage += prices.l2 * self.l2_units[blocks]
        return usage

    def _repeats(self, blocks: Ints | slice) -> Floats:
        every = np.tile(self.repeat, len(self.l1_units) // len(self.repeat))
        return every[blocks][:, None]

    # --- machines -----------------------------------------------------------------------------------

    def know(self, machines: Ints) -> None:
        """Fill :attr:`takes` and :attr:`costs` for machines."""
        for machine in np.unique(machines[~self._known[machines]]):
            every = slice(None)
            for i, prices in enumerate(self.source.prices):
                own = Prices(*(value[machine] for value in prices))
                self.takes[i, machine] = _range(self.usage(every, own))
            for bandwidth in range(len(self.latency)):
                for objective in range(len(OBJECTIVES)):
                    cost = self.cost(every, objective, bandwidth, own)
                    self.costs[objective, machine, bandwidth] = _range(cost)
            self._known[machine] = True

    # --- uniform solutions --------------------------------------------------------------------------

    def uniform(self, recipes: Recipes, prices: Prices, steps: Ints, limit: Floats) -> Floats:
        """(n,): the best objective of a solution that gives every layer the same; infinite where
        none is feasible.

        Args:
            recipes: Of problems.
            prices: That apply to each, (n,).
            steps: (n,) layers.
            limit: (n,) that a solution may take.
        """
        if self._sums is None:
            self._sums = _sums(self)
        sums = self._sums
        lengths = self.source.parts.lengths
        spans = recipes.pieces * lengths.shape[1] + recipes.depths
        spans[recipes.pieces < 0] = lengths.size - 1
        spans += (recipes.style * lengths.size)[:, None]
        best = np.empty(len(steps))
        for objective in range(len(OBJECTIVES)):
            asked = np.flatnonzero(recipes.objective == objective)
            for start in range(0, len(asked), AT_ONCE):
                those = asked[start : start + AT_ONCE]
                each = spans[those]
                p = Prices(*(value[those][:, None] for value in prices))
                usage = _joined(sums.l1_units, each)
                usage *= p.l1
                usage += p.pe * steps[those][:, None]
                usage *= self.pes
                usage += p.l2 * _joined(sums.l2_units, each)
                if objective != ENERGY:
                    each = each + (recipes.bandwidth[those] * len(sums.l1_units))[:, None]
                if objective == LATENCY:
                    cost = _joined(sums.latency, each)
                else:
                    tables = sums.energy if objective == ENERGY else sums.edp
                    macs, l1, l2 = (_joined(table, each) for table in tables)
                    cost = p.mac_nj * (macs + p.l1_macs * l1 + p.l2_macs * l2)
                cost[~(usage <= limit[those][:, None])] = np.inf
                best[those] = cost.min(axis=1)
        return best


def _range(table: Floats) -> Floats:
    """(n, 2): the least and the greatest of each row that are not NaN."""
    return np.stack([np.fmin.reduce(table, axis=1), np.fmax.reduce(table, axis=1)], axis=1)


def _joined(table: Floats, rows: Ints) -> Floats:
    """(n, actions): the sums of a table's rows (n, pieces)."""
    total: Floats = table.take(rows[:, 0], axis=0)
    for column in rows.T[1:]:
        total += table.take(column, axis=0)
    return total


def _sums(cells: Cells) -> _Sums:
    """Of every stage at every depth; the last is of none."""
    source, parts = cells.source, cells.source.parts
    rows = len(source.pool.layers)
    stages, depths = parts.lengths.shape
    bandwidths, actions = len(cells.latency), cells.l1_units.shape[1]
    shape = (len(source.styles) * stages * depths, actions)
    sums = _Sums(
        np.zeros((bandwidths, *shape)),
        np.zeros((3, *shape)),
        np.zeros((3, bandwidths, *shape)),
        np.zeros(shape),
        np.zeros(shape),
    )
    ends = [*parts.starts[1:-1].tolist(), len(parts.row)]
    for style in range(len(source.styles)):
        for stage, (start, end) in enumerate(zip(parts.starts.tolist(), ends, strict=False)):
            row = parts.row[start:end]
            blocks = style * rows + row
            repeat = cells.repeat[row][:, None]
            latency = cells.latency[:, blocks] * repeat
            energy = np.stack(
                [c[blocks] * repeat for c in (cells.macs, cells.l1_accesses, cells.l2_accesses)]
            )
            at = (style * stages + stage) * depths + np.arange(depths)
            lengths = parts.lengths[stage]
            for into, values in (
                (sums.latency, latency),
                (sums.energy, energy),
                (sums.edp, latency * energy[:, None]),
                (sums.l1_units, cells.l1_units[blocks]),
                (sums.l2_units, cells.l2_units[blocks]),
            ):
                summed = np.cumsum(values, axis=-2)
                first = lengths == 0
                into[..., at, :] = summed[..., np.maximum(lengths, 1) - 1, :]
                into[..., at[first], :] = 0.0
    return sums._replace(
        latency=sums.latency.reshape(-1, actions), edp=sums.edp.reshape(3, -1, actions)
    )

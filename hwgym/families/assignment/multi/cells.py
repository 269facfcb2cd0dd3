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
            numbers[..., i] = np.where(valid, cycles, np.inf)
        numbers[..., CELL.macs] = np.where(valid, counts.macs, np.inf)
        numbers[..., CELL.l1_accesses] = counts.l1_accesses
        numbers[..., CELL.l2_accesses] = counts.l2_accesses
        numbers[..., CELL.l1_units] = pool.l1_units
        numbers[..., CELL.l2_units] = np.where(counts.mappable, pool.l2_units, -np.inf)
        self.numbers = numbers.ravel()
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
        self._sums: _Sums | None = None

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
    """(..., 2): the least and the greatest along the last axis that are not NaN."""
    return np.stack([np.fmin.reduce(table, axis=-1), np.fmax.reduce(table, axis=-1)], axis=-1)


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
    bandwidths, actions = len(cells.cycles), cells.l1_units.shape[1]
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
            latency = cells.cycles[:, blocks]
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

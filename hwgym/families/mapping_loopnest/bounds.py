"""What is proven of a mapping problem: branch and bound over what costs depend on.

What a mapping costs depends on over how many PEs each dimension is spread (not on which of them are
rows), on its tile in a PE, its L2 tile, and the two orders. The search branches in this order.

**Orders.** A tensor that depends on the dimension of the innermost loop that moves is read in full
at every step. At most one tensor does not depend on it (K: inputs; P, Q: weights; C, R, S: outputs;
G: none), and that one is served best where all loops that it does not depend on are innermost.
Inputs keep a halo only where they move along a single dimension: that of the innermost loop or,
where that is K, of the one around it. So a few orders of a level are no worse than any other: one
for each dimension to be innermost and, around K, one for each to be next.

**Bounds.** Given PEs and tiles, that says how often each tensor is read: exactly, but for halos,
which are taken as kept along the whole of one dimension. The cost model says what such counts cost,
and no cost falls when a count grows. Before L2 tiles are known, the tensor that stays is read once,
and DRAM gives what the best L2 tiles need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.costs.loopnest import DIMS, TENSORS, Traffic, analyse, l1_capacity, l2_capacity
from hwgym.costs.loopnest.traffic import AXES, RELEVANT
from hwgym.families.mapping_loopnest.accelerator import HOLD
from hwgym.families.mapping_loopnest.costs import MappingCosts
from hwgym.families.mapping_loopnest.space import Chosen, divisors

__all__ = ["EFFORT", "Search"]

EFFORT = 20_000_000
"""So many tilings are bounded one by one before a search gives up."""
CHUNK = 1 << 16

WEIGHT, INPUT, OUTPUT = TENSORS
B, G, K, C, P, Q, R, S = range(len(DIMS))
ALL = tuple(range(len(DIMS)))
FREE = {tensor: [d for d in ALL if d not in RELEVANT[tensor]] for tensor in TENSORS}
"""The dimensions that a tensor does not depend on."""


class Counts(NamedTuple):
    """How often the array reads, arrays (N,): L2, what PEs are filled with, what MACs write."""

    weight: Array
    input: Array
    output: Array
    weight_fill: Array
    input_fill: Array
    sums: Array


@dataclass(frozen=True, eq=False)
class Outer:
    """L2 tiles with an order of the DRAM loops, rows of which each counts exactly.

    Attributes:
        tile: (N, 8) L2 tiles.
        order: (N, 8) positions of the DRAM loops.
        weight, input, output: (N,) read in DRAM, written to it.
        partial_bytes, whole_bytes: (N,) that L2 must have where sums are unfinished, and finished.
        key: (N,) ascending: what is added to the objective's least.
    """

    tile: Ints
    order: Ints
    weight: Ints
    input: Ints
    output: Ints
    partial_bytes: Ints
    whole_bytes: Ints
    key: Floats


class Search:
    """Branch and bound.

    Args:
        costs: Of the mappings that are searched.
        effort: Tilings that are bounded one by one, at most.

    Attributes:
        best: The least objective found.
        looked_at: Tilings bounded one by one so far.
    """

    def __init__(self, costs: MappingCosts, effort: int = EFFORT) -> None:
        self.costs, self.effort = costs, effort
        self.mappings = costs.mappings
        self.target = self.mappings.accelerator
        self.machine = self.target.machine
        self.extent, self.stride, self.dilation = self.mappings.sizes
        self.objective = costs.objective
        self.macs = int(self.extent.prod())
        self.outputs = int(self.extent[list(RELEVANT[OUTPUT])].prod())
        self.weights = int(self.extent[list(RELEVANT[WEIGHT])].prod())
        whole = self.extent[None]
        self.inputs = int(self._input(whole)[0])
        self.best, self.looked_at = np.inf, 0
        self.found: tuple[Ints, ...] = ()

    # --- sizes ------------------------------------------------------------------------------------

    def _rows(self, axis: int, p: Ints, r: Ints) -> Ints:
        """Distinct input rows (or columns) of so many output's and filter's."""
        stride, dilation = int(self.stride[axis]), int(self.dilation[axis])
        common = int(np.gcd(stride, dilation))
        less = np.maximum(p - dilation // common, 0) * np.maximum(r - stride // common, 0)
        rows: Ints = p * r - less
        return rows

    def _input(self, tile: Ints) -> Ints:
        """Elements of input tiles (N, 8)."""
        count = tile[:, B] * tile[:, G] * tile[:, C]
        for axis, (p, r) in enumerate(AXES):
            count = count * self._rows(axis, tile[:, p], tile[:, r])
        return count

    # --- orders -----------------------------------------------------------------------------------

    @cached_property
    def orders(self) -> dict[str, Ints]:
        """By the tensor that stays, (n, 8) positions of loops; '' where none does."""
        dims = list(self.mappings.dims)
        slides = [
            d for axis in AXES for d in axis
            if self.extent[axis[0]] > 1 and self.extent[axis[1]] > 1 and d in dims
        ]  # fmt: skip
        found: dict[str, list[list[int]]] = {name: [] for name in (*TENSORS, "")}
        for tensor in TENSORS:
            free = [d for d in dims if d in FREE[tensor]]
            if not free:
                continue
            others = [d for d in dims if d not in free]
            # Of an input that stays the loop around may keep a halo, of others the innermost.
            choice = (others if tensor == INPUT else free) or free
            last = [d for d in choice if d in slides] + [d for d in choice if d not in slides][:1]
            for d in last:
                if tensor == INPUT:
                    loops = [*(x for x in others if x != d), *(x for x in others if x == d), *free]
                else:
                    loops = [*others, *(x for x in free if x != d), d]
                found[tensor].append(loops)
        if not any(found.values()):
            found[""].append(dims)
        return {
            tensor: np.array([_positions(loops) for loops in several]).reshape(-1, len(DIMS))
            for tensor, several in found.items()
        }

    # --- L2 tiles ---------------------------------------------------------------------------------

    @cached_property
    def outer(self) -> Outer:
        """Every L2 tile that may fit, with every order of the DRAM loops that may be best."""
        mappings = self.mappings
        tile = _product([divisors(int(n)) for n in self.extent])
        ones = np.ones_like(tile)
        summed = np.array([d in (C, R, S) for d in ALL])
        any_order = np.arange(len(DIMS))
        needs = []
        for inside in (ones, np.where(summed, tile, 1)):
            nests = mappings.tiled(ones, tile, inside, any_order, any_order)
            needs.append(l2_capacity(nests, self.machine, hold=HOLD))
        fits = needs[1] <= self.target.l2_bytes
        tile, partial, whole = tile[fits], needs[0][fits], needs[1][fits]
        moves = self.extent > tile
        orders = np.concatenate([o for o in self.orders.values() if len(o)])
        rows, columns = [], []
        for pattern in np.unique(moves, axis=0):
            same = np.flatnonzero((moves == pattern).all(axis=1))
            kept: dict[tuple[int, ...], int] = {}
            for i, order in enumerate(orders):
                kept.setdefault(tuple(d for d in np.argsort(order) if pattern[d]), i)
            for i in kept.values():
                rows.append(same)
                columns.append(np.full(len(same), i))
        row, column = np.concatenate(rows), np.concatenate(columns)
        tile, order = tile[row], orders[column]
        counts = analyse(
            mappings.tiled(np.ones_like(tile), tile, tile, order, any_order), hold=HOLD
        )
        weight, input_ = counts.weight_dram_read, counts.input_dram_read
        output = counts.output_dram_write
        key = self._outer_key(tile, weight, input_, output)
        by = np.argsort(key, kind="stable")
        return Outer(
            tile[by], order[by], weight[by], input_[by], output[by], partial[row][by],
            whole[row][by], key[by],
        )  # fmt: skip

    def _outer_key(self, tile: Ints, weight: Ints, input_: Ints, output: Ints) -> Floats:
        if self.objective == "latency":
            fill, end = self._ends(tile)
            return np.ceil(fill / self.machine.dram_bandwidth) + np.ceil(
                end / self.machine.dram_bandwidth
            )
        m, prices = self.machine, self._prices
        read = prices["dram"] + prices["l2_write"]
        again = 2 * prices["dram"] + prices["l2_write"] + prices["l2_read"]
        excess: Floats = (
            (weight - self.weights) * (m.weight_bits / 8) * read
            + (input_ - self.inputs) * (m.input_bits / 8) * read
            + (output - self.outputs) * (m.partial_bits / 8) * again
        )
        return excess

    def _ends(self, tile: Ints) -> tuple[Floats, Floats]:
        """Bytes of the first tile's operands, and of the last one's outputs."""
        m = self.machine
        weights = tile[:, list(RELEVANT[WEIGHT])].prod(axis=1)
        fill = weights * (m.weight_bits / 8) + self._input(tile) * (m.input_bits / 8)
        end = tile[:, list(RELEVANT[OUTPUT])].prod(axis=1) * (m.output_bits / 8)
        return fill, end

    @cached_property
    def _prices(self) -> dict[str, float]:
        """Energy of a byte, nJ."""
        silicon, target = self.machine.process, self.target
        l1, l2 = np.array(target.l1_bytes), np.array(target.l2_bytes)
        return {
            "dram": self.machine.dram_pj_per_byte * 1e-3,
            "l2_read": float(silicon.sram_read_pj_per_byte(l2)) * 1e-3,
            "l2_write": float(silicon.sram_write_pj_per_byte(l2)) * 1e-3,
            "l1_read": float(silicon.sram_read_pj_per_byte(l1)) * 1e-3,
            "l1_write": float(silicon.sram_write_pj_per_byte(l1)) * 1e-3,
        }

    # --- PEs and tiles inside them ----------------------------------------------------------------

    @cached_property
    def _pairs(self) -> list[Ints]:
        """Of each dimension, (n, 2): PEs side by side, tile in a PE."""
        found = []
        for size in self.extent.tolist():
            several = divisors(size)
            found.append(
                np.array(
                    [
                        (s, t)
                        for s in several
                        if s <= self.target.pes
                        for t in several
                        if size % (s * t) == 0
                    ]
                )
            )
        return found

    @cached_property
    def _arrangements(self) -> Bools:
        """By a number of PEs: whether rows times columns make it."""
        rows, columns = (np.arange(1, n + 1) for n in (self.target.rows, self.target.columns))
        found = np.zeros(self.target.pes + 1, bool)
        found[np.outer(rows, columns)] = True
        return found

    def combinations(self) -> Iterator[tuple[Ints, Ints]]:
        """PEs side by side and tiles in a PE, (N, 8) each, that array and L1 can hold, some at a
        time; dimension after dimension, so that what is too large already is left alone."""
        ones = np.ones((1, len(DIMS)), np.int64)
        waiting = [(0, ones, ones)]
        while waiting:
            done, spread, tile = waiting.pop()
            if done == len(self.mappings.dims):
                yield spread, tile
                continue
            dim = self.mappings.dims[done]
            pairs, count = self._pairs[dim], len(spread)
            spread, tile = (np.repeat(each, len(pairs), axis=0) for each in (spread, tile))
            spread[:, dim], tile[:, dim] = np.tile(pairs, (count, 1)).T
            done += 1
            holds = self._holds(spread, tile, complete=done == len(self.mappings.dims))
            spread, tile = spread[holds], tile[holds]
            size = CHUNK // 16
            pieces = [slice(i, i + size) for i in range(0, len(spread), size)]
            waiting += [(done, spread[piece], tile[piece]) for piece in pieces]

    def _holds(self, spread: Ints, tile: Ints, complete: bool) -> Bools:
        """(N,): array and L1 hold it, or, of what is not complete, may hold what comes of it."""
        pes = spread.prod(axis=1)
        holds: Bools = pes <= self.target.pes
        there = np.flatnonzero(holds)
        any_order = np.arange(len(DIMS))
        spread, tile = spread[there], tile[there]
        if not complete:  # each tensor might be whole, and so held once
            m = self.machine
            operands, _ = self._ends(tile)
            sums = tile[:, list(RELEVANT[OUTPUT])].prod(axis=1) * (m.partial_bits / 8)
            holds[there] = operands + sums <= self.target.l1_bytes
        elif len(there):
            nests = self.mappings.tiled(spread, spread * tile, tile, any_order, any_order)
            needs = l1_capacity(nests, self.machine, hold=HOLD)
            holds[there] = self._arrangements[pes[there]] & (needs <= self.target.l1_bytes)
        return holds

    def bounded(self) -> tuple[Ints, Ints, Floats]:
        """The combinations that may be better than the best found on the way, by what nothing made
        of them falls below: PEs, tiles, and that."""
        kept = []
        for spread, tile in self.combinations():
            latency = self._latency(spread, tile)
            fast = latency * {"latency": 1, "energy": 0, "edp": self._least_energy}[self.objective]
            near = np.flatnonzero(fast < self.best)
            spread, tile = spread[near], tile[near]
            bound = self._bound(spread, tile, latency[near])
            near = np.flatnonzero(bound < self.best)
            if len(near):
                kept.append((spread[near], tile[near], bound[near]))
                first = near[bound[near].argmin()]
                self._tilings(spread[[first]], tile[[first]])
        spread, tile, bound = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        by = np.argsort(bound, kind="stable")
        by = by[bound[by] < self.best]
        return spread[by], tile[by], bound[by]

    def _bound(self, spread: Ints, tile: Ints, latency: Floats) -> Floats:
        """(N,): what nothing with these PEs and tiles falls below, given its latency."""
        if self.objective == "latency":
            return latency
        spent = self._energy(spread, tile) + self.outer.key[0]
        bound: Floats = spent if self.objective == "energy" else spent * latency
        return bound

    def _latency(self, spread: Ints, tile: Ints) -> Floats:
        """(N,): cycles that nothing with these PEs and tiles falls below."""
        least = self.macs // spread.prod(axis=1) + self._array_ends(spread, tile)
        if self.objective == "latency":
            least = least + self.outer.key[0]
        else:
            step, end = self._ends(spread * tile)
            least = least + _cycles(step, self.machine.dram_bandwidth)
            least = least + _cycles(end, self.machine.dram_bandwidth)
        longest: Floats = np.maximum(least, self._dram_cycles)
        return longest

    def _array_ends(self, spread: Ints, tile: Ints) -> Floats:
        """(N,): cycles of the first step's operands out of L2, and of the last one's outputs."""
        step, end = self._ends(spread * tile)
        bandwidth = self.machine.l2_bandwidth
        return _cycles(step, bandwidth) + _cycles(end, bandwidth)

    @cached_property
    def _dram_cycles(self) -> float:
        """Cycles in which DRAM can read, or write, the least that it must."""
        m, outer = self.machine, self.outer
        read = outer.weight * (m.weight_bits / 8) + outer.input * (m.input_bits / 8)
        read = read + (outer.output - self.outputs) * (m.partial_bits / 8)
        longest: float = max(read.min(), self.outputs * m.output_bits / 8) / m.dram_bandwidth
        return longest

    def _energy(self, spread: Ints, tile: Ints) -> Floats:
        """(N,): nJ that nothing with these PEs and tiles falls below, DRAM giving all once."""
        least = np.full(len(spread), np.inf)
        for _, valid, counts in self._counts(spread, tile):
            least = np.minimum(least, np.where(valid, self._array_energy(counts), np.inf))
        return least + self._fixed_energy

    def _array_energy(self, c: Counts) -> Floats:
        """Energy, nJ, of what L2 and L1 move that :attr:`_fixed_energy` leaves out."""
        m, prices = self.machine, self._prices
        again = (c.output - self.outputs) * (m.partial_bits / 8)
        moved = again + c.sums * (m.partial_bits / 8)
        read = c.weight * (m.weight_bits / 8) + c.input * (m.input_bits / 8) + again
        filled = c.weight_fill * (m.weight_bits / 8) + c.input_fill * (m.input_bits / 8)
        return (
            read * prices["l2_read"]
            + again * prices["l2_write"]
            + moved * prices["l1_read"]
            + (filled + moved) * prices["l1_write"]
        )

    @cached_property
    def _fixed_energy(self) -> float:
        """Energy, nJ, of MACs and their operands, and of DRAM and L2 where all goes by once."""
        m, prices = self.machine, self._prices
        weight, input_ = m.weight_bits / 8, m.input_bits / 8
        outputs = self.outputs * m.output_bits / 8
        operands = self.weights * weight + self.inputs * input_
        return (
            self.macs * (m.mac_pj * 1e-3 + (weight + input_) * prices["l1_read"])
            + (operands + outputs) * (prices["dram"] + prices["l2_write"])
            + outputs * prices["l2_read"]
        )

    @cached_property
    def _least_energy(self) -> float:
        """Energy, nJ, of a machine whose buffers hold everything: all moves once."""
        each = np.array([self.weights, self.inputs, self.outputs])
        return self._fixed_energy + float(self._array_energy(Counts(*each, *each)))

    @property
    def simple_bound(self) -> float:
        """What nothing falls below: all PEs compute, or DRAM moves everything once; and buffers
        hold everything."""
        m = self.machine
        operands = self.weights * m.weight_bits / 8 + self.inputs * m.input_bits / 8
        moved = max(operands, self.outputs * m.output_bits / 8) / m.dram_bandwidth
        latency = np.ceil(max(self.macs / self.target.pes, moved))
        return float(self.costs.joined(latency, np.array(self._least_energy)))

    # --- counts -----------------------------------------------------------------------------------

    def _counts(
        self,
        spread: Ints,
        tile: Ints,
        l2: Ints | None = None,
        dram: tuple[Ints, Ints, Ints] | None = None,
    ) -> Iterator[tuple[str, Bools, Counts]]:
        """By the tensor that stays ('' where none can): where it can, and how often the array then
        reads each at least; exactly so of weights and outputs, and without halos of inputs.

        Args:
            spread, tile: (N, 8) PEs side by side, and tiles inside them.
            l2: (N, 8) L2 tiles; if they are not known, what stays is read once.
            dram: (N,) how often DRAM gives weights and inputs, and takes outputs.
        """
        steps = self.extent // (spread * tile)
        inside = steps if l2 is None else l2 // (spread * tile)
        around = np.ones_like(steps) if l2 is None else self.extent // l2
        moves = inside > 1
        sizes = {WEIGHT: self.weights, OUTPUT: self.outputs}
        free = {t: [d for d in FREE[t] if self.extent[d] > 1] for t in TENSORS}
        times = {t: steps[:, free[t]].prod(axis=1) for t in TENSORS}
        passes = {t: around[:, free[t]].prod(axis=1) for t in TENSORS}
        shares = {t: spread[:, free[t]].prod(axis=1) for t in TENSORS}
        moved = {t: _any(moves[:, list(RELEVANT[t])]) for t in TENSORS}
        can = {t: _any(moves[:, free[t]]) for t in TENSORS}
        still = ~_any(moves)
        several = tile[:, list(RELEVANT[OUTPUT])].prod(axis=1) > 1
        each = self.macs // tile[:, [C, R, S]].prod(axis=1)
        given = dict(zip(TENSORS, dram, strict=True)) if dram is not None else {}
        can[""] = ~_any(np.stack(list(can.values()), axis=1))
        for stays, valid in can.items():
            if not valid.any():
                continue
            read = {}
            for t, size in sizes.items():
                count = size * times[t]
                if l2 is None:
                    count = np.full_like(count, size) if t == stays else count
                elif t == stays:
                    count = np.where(moved[t], size * passes[t], given[t])
                elif not stays:
                    count = np.where(still, given[t], count)
                read[t] = count
            if stays == INPUT:
                inputs, filled = self._input_reads(spread, tile, steps, (P, Q, R, S))
                inputs, filled = inputs * passes[INPUT], filled * passes[INPUT]
                once = ~moved[INPUT] if l2 is not None else np.ones(len(steps), bool)
            else:
                inner = [d for d in FREE[stays] if d in (P, Q, R, S)] if stays else []
                inputs, filled = self._input_reads(spread, tile, steps, inner)
                inputs, filled = inputs * times[INPUT], filled * times[INPUT]
                once = still if not stays and l2 is not None else np.zeros(len(steps), bool)
            least = given[INPUT] if given else self.inputs
            inputs = np.where(once, least, inputs)
            filled = np.where(once, least, filled) * shares[INPUT]
            sums = np.where(several, each, read[OUTPUT] * shares[OUTPUT])
            yield (
                stays,
                valid,
                Counts(
                    read[WEIGHT], inputs, read[OUTPUT], read[WEIGHT] * shares[WEIGHT], filled, sums
                ),
            )

    def _input_reads(
        self, spread: Ints, tile: Ints, steps: Ints, inner: Sequence[int]
    ) -> tuple[Ints, Ints]:
        """(N,): elements of the inputs that the array reads in one pass, and that PEs of one filter
        are filled with, at least: where a loop over one of ``inner`` is the innermost."""
        base = int(self.extent[[B, G, C]].prod())
        span = spread * tile
        reads, fills, kept = [], [], []
        for axis, (p, r) in enumerate(AXES):
            times = steps[:, p] * steps[:, r]
            read = times * self._rows(axis, span[:, p], span[:, r])
            fill = times * spread[:, p] * spread[:, r] * self._rows(axis, tile[:, p], tile[:, r])
            alone = (spread[:, p] == 1) & (spread[:, r] == 1)
            least = read
            whole = np.full_like(read, self.extent[p]), np.full_like(read, self.extent[r])
            if p in inner:
                least = np.minimum(least, steps[:, r] * self._rows(axis, whole[0], tile[:, r]))
            if r in inner:
                least = np.minimum(least, steps[:, p] * self._rows(axis, tile[:, p], whole[1]))
            reads.append(read)
            fills.append(fill)
            kept.append(np.where(alone, least, read))
        shared = [np.where(k < r, k, f) for k, r, f in zip(kept, reads, fills, strict=True)]
        return (
            base * np.minimum(kept[0] * reads[1], reads[0] * kept[1]),
            base * np.minimum(shared[0] * fills[1], fills[0] * shared[1]),
        )

    # --- the search -------------------------------------------------------------------------------

    def run(self) -> float:
        """Search until all is bounded, or the effort is spent; returns the lower bound."""
        spread, tile, bound = self.bounded()
        at, batch = 0, 1
        while at < len(bound) and bound[at] < self.best:
            if self.looked_at > self.effort:
                return min(float(bound[at]), self.best)
            part = slice(at, at + batch)
            near = bound[part] < self.best
            self._tilings(spread[part][near], tile[part][near])
            at, batch = at + batch, min(2 * batch, 64)
        return self.best

    def _tilings(self, spread: Ints, tile: Ints) -> None:
        """Every L2 tile of some PEs and tiles that can be better than the best so far."""
        latency = self._latency(spread, tile)
        if self.objective == "latency":
            limit = self.best - self.macs // spread.prod(axis=1) - self._array_ends(spread, tile)
        else:
            most = self.best / latency if self.objective == "edp" else self.best
            limit = most - self._energy(spread, tile)
        outer, span = self.outer, spread * tile
        again = _any((self.extent > span)[:, [C, R, S]])
        ends = np.searchsorted(outer.key, limit * (1 + 1e-12), side="right")
        rows, columns = [], []
        for i, end in enumerate(ends.tolist()):
            needs = outer.partial_bytes if again[i] else outer.whole_bytes
            fits = needs[:end] <= self.target.l2_bytes
            for d in np.flatnonzero(span[i] > 1):
                fits &= outer.tile[:end, d] % span[i, d] == 0
            found = np.flatnonzero(fits)
            rows.append(np.full(len(found), i))
            columns.append(found)
        row, column = np.concatenate(rows), np.concatenate(columns)
        for start in range(0, len(row), CHUNK):
            part = slice(start, start + CHUNK)
            self._orders(spread[row[part]], tile[row[part]], column[part])

    def _orders(self, spread: Ints, tile: Ints, column: Ints) -> None:
        """The orders of some tilings that can be better than the best so far."""
        outer, costs = self.outer, self.costs
        l2, dram_order = outer.tile[column], outer.order[column]
        dram = outer.weight[column], outer.input[column], outer.output[column]
        self.looked_at += len(column)
        bounds, stays = [], []
        for tensor, valid, counts in self._counts(spread, tile, l2, dram):
            there = np.flatnonzero(valid)
            nests = self.mappings.tiled(spread, l2, tile, dram_order, dram_order)[there]
            traffic = self._traffic(spread[there], Counts(*(c[there] for c in counts)),
                                    tuple(c[there] for c in dram))  # fmt: skip
            bound = costs.of(costs.profile(nests, traffic))
            better = bound < self.best
            bounds.append(np.stack([bound[better], there[better]]))
            stays += [tensor] * int(better.sum())
        found = np.concatenate(bounds, axis=1)
        by = np.argsort(found[0], kind="stable")
        names = np.array(stays, dtype=object)[by]
        bound, row = found[0][by], found[1][by].astype(np.int64)
        for start in range(0, len(row), 256):
            part = np.flatnonzero(bound[start : start + 256] < self.best) + start
            if not len(part):
                break
            pairs = [(r, o) for i in part for r in [row[i]] for o in self._of(names[i])]
            at = np.array([r for r, _ in pairs])
            order = np.array([o for _, o in pairs])
            nests = self.mappings.tiled(spread[at], l2[at], tile[at], dram_order[at], order)
            objective = costs.of(costs.profile(nests))
            least = int(objective.argmin())
            if objective[least] < self.best:
                self.best = float(objective[least])
                chosen = at[least]
                self.found = (
                    spread[chosen], l2[chosen], tile[chosen], dram_order[chosen], order[least]
                )  # fmt: skip

    def _of(self, stays: str) -> Ints:
        """Orders in which a tensor stays; where none can, any order will do."""
        if len(self.orders[stays]):
            return self.orders[stays]
        return np.concatenate([o for o in self.orders.values() if len(o)])[:1]

    def _traffic(self, spread: Ints, c: Counts, dram: tuple[Ints, ...]) -> Traffic:
        """All counts of the model, of those that say everything."""
        weight, input_, output = dram
        macs = np.full(len(spread), self.macs)
        again, back = output - self.outputs, c.output - self.outputs
        drain = c.output * spread[:, [C, R, S]].prod(axis=1)
        return Traffic(
            macs=macs, cycles=macs // spread.prod(axis=1),
            weight_dram_read=weight, weight_l2_fill=weight, weight_l2_read=c.weight,
            weight_l1_fill=c.weight_fill, weight_l1_read=macs,
            input_dram_read=input_, input_l2_fill=input_, input_l2_read=c.input,
            input_l1_fill=c.input_fill, input_l1_read=macs,
            output_dram_write=output, output_dram_read=again,
            output_l2_drain=output, output_l2_fill=again,
            output_l2_write=c.output, output_l2_read=back,
            output_l1_drain=drain, output_l1_fill=back,
            output_l1_write=c.sums, output_l1_read=c.sums - (drain - back),
        )  # fmt: skip

    @property
    def genes(self) -> Ints:
        """(steps,): the best mapping found."""
        spread, l2, tile, *orders = self.found
        rows = _rows_of(spread, self.target.rows, self.target.columns)
        sizes = np.stack([rows, spread // rows, l2, tile])[:, None]
        chosen = Chosen(sizes, np.stack(orders)[:, None])
        genes: Ints = self.mappings.genes(chosen)[0]
        return genes


def _rows_of(spread: Ints, most_rows: int, most_columns: int) -> Ints:
    """(8,): of PEs side by side, how many are over rows; the rest fits the columns."""
    pes = int(spread.prod())
    rows = next(r for r in range(1, most_rows + 1) if pes % r == 0 and pes // r <= most_columns)
    found = np.ones_like(spread)
    for i, size in enumerate(spread.tolist()):
        found[i] = np.gcd(size, rows)
        rows //= int(found[i])
    return found


def _any(each: Bools) -> Bools:
    """(N,): of (N, n), whether any is."""
    found: Bools = np.logical_or.reduce(each, axis=1)
    return found


def _cycles(byte_count: Floats, bandwidth: float) -> Floats:
    cycles: Floats = np.ceil(byte_count / bandwidth)
    return cycles


def _positions(loops: list[int]) -> list[int]:
    rest = [d for d in ALL if d not in loops]
    order = [*loops, *rest]
    return [order.index(d) for d in ALL]


def _product(values: list[Ints]) -> Ints:
    """(N, 8): every combination."""
    grids = np.meshgrid(*values, indexing="ij")
    return np.stack([grid.reshape(-1) for grid in grids], axis=1)

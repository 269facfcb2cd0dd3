"""Traffic: every access of a nest, counted as a walk through its loops would.

Elements are moved when a tensor's tile moves. The steps of a nest are those to which one of its
loops advances, all inside it beginning anew. So what moves is all steps' elements, less those of
steps to which a loop advances that the tensor does not depend on while none of its own begins anew,
less what a tile has in common with the one before where it moved to the next along one dimension.
All of these are products over dimensions (:mod:`hwgym.costs.loopnest.steps`): no step is
enumerated. Rows of the input depend on P and R together, but the number of distinct ones is the
difference of two products, so that the same holds of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from hwgym._arrays import Array, Bools, Ints
from hwgym.costs.columns import Columns
from hwgym.costs.loopnest.nests import DIMS, INPUT, OUTPUT, WEIGHT, Hold, Nests
from hwgym.costs.loopnest.steps import Dimension, Sums, Weight

__all__ = ["CHUNK", "Traffic", "analyse"]

CHUNK = 1 << 13  # points analysed at once: their arrays stay near the cache

_ONE = np.ones((), np.int64)
B, G, K, C, P, Q, R, S = range(len(DIMS))
RELEVANT = {WEIGHT: (G, K, C, R, S), INPUT: (B, G, C, P, Q, R, S), OUTPUT: (B, G, K, P, Q)}
AXES = ((P, R), (Q, S))
"""Rows and columns: the output's dimension and the filter's."""


@dataclass(frozen=True, repr=False)
class Traffic(Columns):
    """What nests compute and move, int64 arrays (N,), in elements.

    Attributes:
        macs: Multiply-accumulates.
        cycles: In which the array computes, one MAC a PE and cycle, PEs in lock step.
        weight_dram_read, weight_l2_fill, weight_l2_read, weight_l1_fill, weight_l1_read: Read in
            DRAM; written into L2; read in L2, once for all PEs that want the same; written into
            L1s; read in L1s.
        input_dram_read, input_l2_fill, input_l2_read, input_l1_fill, input_l1_read: Likewise.
        output_dram_write, output_dram_read: Written to DRAM, and read back where it was not
            finished.
        output_l2_drain, output_l2_fill: The same, at L2: read there, written there.
        output_l2_write, output_l2_read: Written into L2 from the array, sums over PEs reduced on
            the way, and read back.
        output_l1_drain, output_l1_fill: The same, at L1s: read in every PE that has a share of the
            sum, written in one.
        output_l1_write, output_l1_read: Written and read in L1s by MACs or registers.
    """

    macs: Ints
    cycles: Ints
    weight_dram_read: Ints
    weight_l2_fill: Ints
    weight_l2_read: Ints
    weight_l1_fill: Ints
    weight_l1_read: Ints
    input_dram_read: Ints
    input_l2_fill: Ints
    input_l2_read: Ints
    input_l1_fill: Ints
    input_l1_read: Ints
    output_dram_write: Ints
    output_dram_read: Ints
    output_l2_drain: Ints
    output_l2_fill: Ints
    output_l2_write: Ints
    output_l2_read: Ints
    output_l1_drain: Ints
    output_l1_fill: Ints
    output_l1_write: Ints
    output_l1_read: Ints

    def __len__(self) -> int:
        return len(self.macs)

    def __repr__(self) -> str:
        return f"<Traffic of {len(self):,} nests: {', '.join(f.name for f in fields(self))}>"


def analyse(
    nests: Nests,
    *,
    hold: Hold | None = None,
    halo: bool = True,
    forward: bool = False,
    reduce: bool = False,
    boxes: bool = False,
) -> Traffic:
    """Count every access of every nest.

    A tensor is fetched when its tile moves along one of its dimensions. Identical elements for
    several PEs are read once; each PE that gets one writes it. An output tile that leaves is
    written up, and read back when it returns. The documentation has the conventions in full.

    Args:
        nests: The points.
        hold: Which tensors each level holds; by default L2 and L1 hold all, registers none.
        halo: An input tile that moved along one dimension, to the next tile there, keeps what it
            has in common with the one before. PEs do so along rows only where neither P nor R is
            spread over PEs, along columns likewise.
        forward: Where they are spread, neighbours pass on what the array held before: it is not
            read in L2 again, only written.
        reduce: Products for one output that several PEs make in a cycle are added up in that cycle,
            by a tree or a chain of neighbours, and one PE's L1 holds the sum; else every PE holds
            its own share until the tile leaves.
        boxes: Count input tiles as bounding boxes, as NVIDIA's Timeloop does, instead of the
            distinct elements that are used. Registers, if there are any, count elements.

    Raises:
        ValueError: If outputs are to be reduced in the cycle and held in registers, too.
    """
    hold = hold or Hold()
    if reduce and OUTPUT in hold.registers:
        raise ValueError("outputs that are reduced in the cycle cannot be held in registers, too")
    out: dict[str, Array] = {}
    for points, chunk in nests.chunks(CHUNK):
        for name, values in _Analysis(chunk, hold, halo, forward, reduce, boxes).counts().items():
            if name not in out:
                out[name] = np.empty(len(nests), np.int64)
            out[name][points] = values
    return Traffic(**out)


class _Analysis:
    """One chunk of points, dimension by dimension."""

    def __init__(
        self, nests: Nests, hold: Hold, halo: bool, forward: bool, reduce: bool, boxes: bool
    ) -> None:
        self.hold, self.halo, self.forward = hold, halo, forward
        self.reduce, self.boxes = reduce, boxes
        columns = [_columns(a) for a in (nests.extent, nests.tile, nests.spread, nests.steps)]
        self.dims = [Dimension(*(c[d] for c in columns)) for d in range(len(DIMS))]
        orders = nests.dram_order, nests.l2_order, nests.l1_order
        self.orders = [_columns(order) for order in orders]
        self.stride, self.dilation = _columns(nests.stride), _columns(nests.dilation)
        self._outside: dict[tuple[int, int, int], Bools] = {}
        self._moving: dict[bool, Sequence[int]] = {}
        # A distinct row or column stands for chains of (p, r), (p + ahead, r - behind), ...
        common = [np.gcd(s, d) for s, d in zip(self.stride, self.dilation, strict=True)]
        self.ahead = [d // g for d, g in zip(self.dilation, common, strict=True)]
        self.behind = [s // g for s, g in zip(self.stride, common, strict=True)]

    def counts(self) -> dict[str, Ints]:
        """Everything, by name."""
        macs = _product(d.extent for d in self.dims)
        out = {"macs": macs, "cycles": _product(d.cycles for d in self.dims)}
        for tensor in (WEIGHT, INPUT):
            out |= self._brought(tensor, macs)
        return out | self._outputs(macs)

    def _brought(self, tensor: str, macs: Ints) -> dict[str, Ints]:
        """Counts of a tensor that is read only."""
        hold, none = self.hold, np.zeros_like(macs)
        if tensor in hold.l1:
            read, fill = self._array(tensor)
            used = self._registers(tensor)[1] if tensor in hold.registers else macs
        else:
            (read, _), fill, used = self._registers(tensor), none, none
        if tensor in hold.l2:
            dram, l2 = self._tiles(tensor), read
        else:
            dram, l2 = read, none
        return {
            f"{tensor}_dram_read": dram,
            f"{tensor}_l2_fill": dram if tensor in hold.l2 else none,
            f"{tensor}_l2_read": l2,
            f"{tensor}_l1_fill": fill,
            f"{tensor}_l1_read": used,
        }

    def _outputs(self, macs: Ints) -> dict[str, Ints]:
        hold, none = self.hold, np.zeros_like(macs)
        outputs = _product(self.dims[d].extent for d in RELEVANT[OUTPUT])
        drain = fill = write = again = none
        if OUTPUT in hold.l1:
            up, drain = self._array(OUTPUT)
            fill = up - outputs
            if self.reduce:
                drain, write = up, self._reduced()
            elif OUTPUT in hold.registers:
                write = self._registers(OUTPUT)[1]
            else:
                write = macs
            again = write - (drain - fill)
        else:
            up, _ = self._registers(OUTPUT)
        in_l2 = OUTPUT in hold.l2
        dram = self._tiles(OUTPUT) if in_l2 else up
        return {
            "output_dram_write": dram,
            "output_dram_read": dram - outputs,
            "output_l2_drain": dram if in_l2 else none,
            "output_l2_fill": dram - outputs if in_l2 else none,
            "output_l2_write": up if in_l2 else none,
            "output_l2_read": up - outputs if in_l2 else none,
            "output_l1_drain": drain,
            "output_l1_fill": fill,
            "output_l1_write": write,
            "output_l1_read": again,
        }

    def _reduced(self) -> Ints:
        """Sums that the array makes, cycle by cycle."""
        relevant = RELEVANT[OUTPUT]
        return _product(d.extent if i in relevant else d.cycles for i, d in self._each())

    # --- levels: what moves into one, as (read above, written into all) ---------------------------

    def _tiles(self, tensor: str) -> Ints:
        """Into L2."""
        sums = [d.of_tiles(_size if i in RELEVANT[tensor] else _one) for i, d in self._each()]
        if tensor != INPUT:
            return self._moved(tensor, 1, sums)
        axes = [self._axis(axis, Dimension.of_tiles, _as_it_is) for axis in range(2)]
        overlaps = [self._overlaps(a, Dimension.of_tiles, _as_it_is, _l2_tile) for a in range(2)]
        return self._moved_input(1, sums, axes, overlaps, [True, True])

    def _array(self, tensor: str) -> tuple[Ints, Ints]:
        """Into L1s."""
        relevant = RELEVANT[tensor]
        union = [d.of_steps(_size if i in relevant else _one) for i, d in self._each()]
        every = list(union)
        for i, d in self._each():
            if i not in relevant and d.spreads:
                every[i] = d.of_steps(d.pes)
        alone = all(each is one for each, one in zip(every, union, strict=True))
        if tensor != INPUT:
            read = self._moved(tensor, 2, union)
            return read, read if alone else self._moved(tensor, 2, every)
        fixed = [
            (self.dims[out].spread == 1) & (self.dims[filter_].spread == 1) for out, filter_ in AXES
        ]
        kept: list[Bools | bool] = [True if f.all() else f for f in fixed]
        axes = [self._axis(axis, Dimension.of_steps, _as_it_is) for axis in range(2)]
        over = [self._overlaps(a, Dimension.of_steps, _as_it_is, _span) for a in range(2)]
        read = self._moved_input(2, union, axes, over, [True, True] if self.forward else kept)
        if alone and all(f is True for f in kept):
            return read, read
        axes = [
            axes[a] if kept[a] is True else self._axis(a, Dimension.of_steps, Dimension.over_pes)
            for a in range(2)
        ]
        over = [
            over[a]
            if kept[a] is True
            else self._overlaps(a, Dimension.of_steps, Dimension.over_pes, _span)
            for a in range(2)
        ]
        return read, self._moved_input(2, every, axes, over, kept)

    def _registers(self, tensor: str) -> tuple[Ints, Ints]:
        """Into registers."""
        relevant = RELEVANT[tensor]
        every = [d.of_elements(d.pes, d.span, d.last) for d in self.dims]
        alone = [d.of_elements(_one, d.tile, d.lock_step) for d in self.dims]
        union = [
            e if i in relevant else a for i, (e, a) in enumerate(zip(every, alone, strict=True))
        ]
        fill = self._moved(tensor, 3, every)
        if tensor != INPUT:
            return self._moved(tensor, 3, union), fill
        return self._moved_input(3, union, [self._register_axis(a) for a in range(2)]), fill

    # --- rows and columns of the input ----------------------------------------------------------

    def _axis(self, axis: int, of: _Of, pes: _Pes) -> _Pairs:
        """How many rows (or columns): products of a sum over the output's dimension and one over
        the filter's, to be added up with their signs."""
        out, filter_ = (self.dims[d] for d in AXES[axis])
        stride, dilation = self.stride[axis], self.dilation[axis]

        def pair(a: Weight, b: Weight, sign: int = 1) -> tuple[int, Sums, Sums]:
            return sign, of(out, pes(out, a)), of(filter_, pes(filter_, b))

        if self.boxes:  # stride (p - 1) + dilation (r - 1) + 1
            return [
                pair(lambda p: stride * (p - 1) + 1, _one),
                pair(_one, lambda r: dilation * (r - 1)),
            ]
        ahead, behind = self.ahead[axis], self.behind[axis]
        return [pair(_size, _size), pair(_beyond(ahead), _beyond(behind), -1)]

    def _overlaps(
        self, axis: int, of: _Of, pes: _Pes, full: Callable[[Dimension], Ints]
    ) -> tuple[tuple[Sums, Sums], tuple[Sums, Sums]]:
        """What a tile has in common with the one before along the output's dimension, and along the
        filter's: the sums over both dimensions whose product it is."""
        out, filter_ = (self.dims[d] for d in AXES[axis])
        ahead, behind = self.ahead[axis], self.behind[axis]
        stride, dilation = self.stride[axis], self.dilation[axis]

        def shared(before: Ints, gap: Ints) -> Weight:
            """Chains that lead from a tile of ``before`` into the next."""
            return lambda n: _over(before + n, gap) - _over(before, gap) - _over(n, gap)

        if self.boxes:
            along = of(out, _one), of(filter_, lambda r: _over(dilation * (r - 1) + 1, stride))
            across = of(out, lambda p: _over(stride * (p - 1) + 1, dilation)), of(filter_, _one)
            return along, across
        # Only PEs that have the whole axis keep anything, so that sizes are those of the step.
        along = of(out, shared(full(out), ahead)), of(filter_, _beyond(behind))
        across = of(out, _beyond(ahead)), of(filter_, shared(full(filter_), behind))
        return along, across

    def _register_axis(self, axis: int) -> _Pairs:
        """How many rows (or columns) PEs use at once, each one of its own tile."""
        out, filter_ = (self.dims[d] for d in AXES[axis])
        apart = self.stride[axis] * out.tile, self.dilation[axis] * filter_.tile
        common = np.gcd(*apart)
        gaps = apart[1] // common, apart[0] // common
        sums = [d.of_elements(d.pes, d.span, d.last) for d in (out, filter_)]
        less = []
        for d, gap in zip((out, filter_), gaps, strict=True):
            whole, rest = np.divmod(d.last, d.tile)
            less.append(
                d.of_elements(
                    _pes_beyond(d, gap),
                    d.tile * _over(d.spread, gap),
                    rest * _over(whole + 1, gap) + (d.tile - rest) * _over(whole, gap),
                )
            )
        return [(1, sums[0], sums[1]), (-1, less[0], less[1])]

    # --- sums over the nest -----------------------------------------------------------------------

    def _moved(self, tensor: str, levels: int, sums: Sequence[Sums]) -> Ints:
        """What moves of a weight or an output, through the loops of the outermost levels."""
        relevant = RELEVANT[tensor]
        total = _product(s.over[levels] for s in sums)
        for level in range(levels):
            for d in self._movers(levels):
                if d in relevant:
                    continue
                unmoved = sums[d].advancing(level)
                for i, s in enumerate(sums):
                    if i != d:
                        unmoved = unmoved * self._unmoved(i, d, level, s, i in relevant)
                total = total - unmoved
        return total

    def _moved_input(
        self,
        levels: int,
        sums: Sequence[Sums],
        axes: Sequence[_Pairs],
        overlaps: Sequence[tuple[tuple[Sums, Sums], tuple[Sums, Sums]]] = (),
        kept: Sequence[Bools | bool] = (),
    ) -> Ints:
        """What moves of the input. Sums of P, Q, R and S are those of ``axes``."""
        total = _product(sums[d].over[levels] for d in (B, G, K, C))
        for pairs in axes:
            total = total * _added((n, a.over[levels], b.over[levels]) for n, a, b in pairs)
        movers = self._movers(levels)
        for level in range(levels):
            for d in movers:
                if d == K:
                    unmoved = sums[K].advancing(level)
                    for i in (B, G, C):
                        unmoved = unmoved * self._unmoved(i, K, level, sums[i], True)
                    for (out, filter_), pairs in zip(AXES, axes, strict=True):
                        unmoved = unmoved * self._still_axis(out, filter_, K, level, pairs)
                    total = total - unmoved
                elif d in (P, Q, R, S) and self.halo and overlaps:
                    axis = 0 if d in AXES[0] else 1
                    total = total - self._shared(d, axis, level, sums, axes, overlaps, kept)
        return total

    def _shared(
        self,
        d: int,
        axis: int,
        level: int,
        sums: Sequence[Sums],
        axes: Sequence[_Pairs],
        overlaps: Sequence[tuple[tuple[Sums, Sums], tuple[Sums, Sums]]],
        kept: Sequence[Bools | bool],
    ) -> Ints:
        """What tiles have in common with those before, where a loop of d advances."""
        out, filter_ = AXES[axis]
        along = overlaps[axis][0 if d == out else 1]
        shared = along[0 if d == out else 1].advancing(level)
        if kept[axis] is not True:
            shared = np.where(kept[axis], shared, 0)
        other = filter_ if d == out else out
        shared = shared * self._unmoved(other, d, level, along[1 if d == out else 0], True)
        for i in (B, G, C):
            shared = shared * self._unmoved(i, d, level, sums[i], True)
        shared = shared * self._unmoved(K, d, level, sums[K], False)
        across = 1 - axis
        return shared * self._still_axis(*AXES[across], d, level, axes[across])

    def _still_axis(self, out: int, filter_: int, d: int, level: int, pairs: _Pairs) -> Ints:
        return _added(
            (n, self._unmoved(out, d, level, a, True), self._unmoved(filter_, d, level, b, True))
            for n, a, b in pairs
        )

    def _unmoved(self, i: int, d: int, level: int, sums: Sums, relevant: bool) -> Ints:
        """The sum over dimension i where the loop of d at a level advances; of a relevant one only
        where it does not move then."""
        by = sums.still if relevant else sums.over
        if i not in self._movers(len(by) - 1):
            return by[level]
        return np.where(self._is_outside(i, d, level), by[level + 1], by[level])

    def _is_outside(self, i: int, d: int, level: int) -> Bools:
        key = (i, d, level)
        if key not in self._outside:
            order = self.orders[level]
            self._outside[key] = order[i] < order[d]
        return self._outside[key]

    def _movers(self, levels: int) -> Sequence[int]:
        """Dimensions that move through the loops of the outermost levels, in any of the nests."""
        inside = levels == 3
        if inside not in self._moving:
            self._moving[inside] = [
                i for i, d in self._each() if d.moves or (inside and bool((d.lock_step > 1).any()))
            ]
        return self._moving[inside]

    def _each(self) -> Iterable[tuple[int, Dimension]]:
        return enumerate(self.dims)


def _columns(rows: Ints) -> list[Ints]:
    """Of (N, M) the M columns (N,), or (1,) where all points have the same, which most have of most
    dimensions."""
    same = (rows == rows[:1]).all(axis=0)
    return [rows[:1, i] if one else np.ascontiguousarray(rows[:, i]) for i, one in enumerate(same)]


_Pairs = Sequence[tuple[int, Sums, Sums]]
_Of = Callable[[Dimension, Weight], Sums]
_Pes = Callable[[Dimension, Weight], Weight]


def _size(size: Ints) -> Ints:
    return size


def _one(size: Ints) -> Array:
    return _ONE


def _as_it_is(_: Dimension, weight: Weight) -> Weight:
    return weight


def _span(dimension: Dimension) -> Ints:
    return dimension.span


def _l2_tile(dimension: Dimension) -> Ints:
    return dimension.l2_tile


def _over(size: Ints, gap: Ints) -> Ints:
    """By how much a size exceeds a gap."""
    beyond: Ints = np.maximum(size - gap, 0)
    return beyond


def _beyond(gap: Ints) -> Weight:
    return lambda size: _over(size, gap)


def _pes_beyond(dimension: Dimension, gap: Ints) -> Weight:
    return lambda size: _over(dimension.pes(size), gap)


def _product(factors: Iterable[Ints]) -> Ints:
    result: Ints | int = 1
    for factor in factors:
        result = result * factor
    return np.asarray(result)


def _added(terms: Iterable[tuple[int, Ints, Ints]]) -> Ints:
    result: Ints | int = 0
    for sign, a, b in terms:
        result = result + a * b if sign > 0 else result - a * b
    return np.asarray(result)

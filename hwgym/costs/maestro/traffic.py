"""What the cases of a block move and compute: elements brought in and sent up, and MACs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgym._arrays import Bools, Ints
from hwgym.costs.maestro.arithmetic import product
from hwgym.costs.maestro.states import INIT, Block, Grid

__all__ = ["brought_in", "sent_up"]


def brought_in(block: Block, tensor: str) -> tuple[Ints, Bools | None]:
    """Elements of an input tensor that each case brings in, and where the reference gives up.

    It depends on the innermost map that is not at its first iteration: that one changes, and
    everything further in starts anew.
    """
    coupled = block.coupled[tensor]
    spatial = [i for i in coupled if block.maps[i].spatial]
    outer = [i for i in coupled if i not in spatial]
    volume = np.zeros(block.shape, np.int64)
    gives_up = None

    start: Grid = tuple((INIT,) for _ in block.grid)
    first = product((block.first_held(i, block.maps[i]) for i in outer), block.one)
    if spatial:
        first = first * _over_units(block, spatial, start, *_first_volumes(block, spatial))
    volume[(slice(0, 1),) * len(block.grid)] = first

    mapped = product((block.maps[i].mapped for i in spatial), block.one)
    mapped_edge = product((block.maps[i].mapped_edge for i in spatial), block.one)
    for changing in coupled:
        if len(block.grid[changing]) == 1:
            continue
        m = block.maps[changing]
        # What is further in starts anew unless the tensor has nothing to go through there.
        restarts = block.no
        for i in coupled:
            if i > changing:
                restarts = restarts | ~block.states[i].init_whole
        grid = (*block.grid[:changing], block.grid[changing][1:], *start[changing + 1 :])
        where = (
            *[slice(None)] * changing,
            slice(1, None),
            *[slice(0, 1)] * (len(grid) - 1 - changing),
        )
        value = block.one
        for i in outer:
            held = block.first_held(i, block.maps[i])
            if i == changing:
                held = np.where(restarts, m.mapped, np.maximum(m.fresh, 1))
                stuck = ~restarts & (m.fresh == 0)
                if stuck.any():
                    gives_up = np.zeros(block.shape, bool) if gives_up is None else gives_up
                    gives_up[where] = stuck
            value = value * held
        if spatial:
            rest, rest_clipped = block.one, block.one
            for i in spatial:
                n = block.maps[i]
                fresh, fresh_edge = n.fresh, n.fresh_edge
                if i == changing:
                    fresh = np.where(restarts, n.mapped, fresh)
                    fresh_edge = np.where(restarts, n.mapped_edge, fresh_edge)
                elif i < changing:
                    fresh, fresh_edge = n.mapped, n.mapped_edge
                rest, rest_clipped = rest * fresh, rest_clipped * fresh_edge
            value = value * _over_units(
                block, spatial, grid, mapped, mapped_edge, rest, rest_clipped
            )
        volume[where] = value
    return volume, gives_up


def _first_volumes(block: Block, spatial: list[int]) -> tuple[Ints, Ints, Ints, Ints]:
    """Spatial factors of the very first case, where no unit holds anything yet: of the first
    unit, that unit clipped, one of the others, that other clipped."""
    volumes = [block.one] * 4
    for i in spatial:
        m = block.maps[i]
        clipped = block.first_held(i, m)
        first = np.where(block.single_edge, clipped, m.mapped)
        factors = (first, clipped, m.mapped, clipped)
        volumes = [v * f for v, f in zip(volumes, factors, strict=True)]
    return volumes[0], volumes[1], volumes[2], volumes[3]


def _over_units(
    block: Block,
    spatial: list[int],
    grid: Grid,
    first: Ints,
    first_clipped: Ints,
    rest: Ints,
    rest_clipped: Ints,
    *,
    last: int | None = None,
    first_counts: bool = False,
) -> Ints:
    """Add a quantity up over the units of a level.

    Away from the edge all units work. At the edge, ``edge_units`` do; the last of them may be
    clipped. ``first_counts``: every full unit counts as the first does (work, not traffic).
    """
    units, busy = block.level.units, block.level.edge_units
    full = first if first_counts else rest
    everywhere = units * first if first_counts else first + (units - 1) * rest
    edge = block.any_at_edge(spatial, grid)
    if not edge.any():
        return everywhere
    clipped = block.clipped(spatial[-1] if last is None else last, grid)
    at_edge = np.where(block.single_edge & clipped, first_clipped, first)
    others = np.maximum(busy - clipped - 1, 0) * full + clipped * rest_clipped
    at_edge = at_edge + np.where(block.many_edge, others, 0)
    return np.where(edge, at_edge, everywhere)


def sent_up(block: Block) -> tuple[Ints, Ints, Ints]:
    """What each case produces: outputs sent up, multiply-accumulates over all units, and those
    of the busiest unit."""
    coupled = block.coupled["output"]
    outputs, others = block.one, block.one
    for i, m in enumerate(block.maps):
        if m.spatial:
            continue
        if i in coupled:
            m = block.seen[i]
        held = block.along(i, (block.first_held(i, m), m.mapped, m.mapped_edge), block.grid)
        if i in coupled:
            outputs = outputs * held
        else:
            others = others * held

    of_output = [i for i in block.spatial if i in coupled]
    # The reference takes the last spatial map as it comes in the output's dimensions.
    of_output.sort(key=coupled.index)
    not_output = [i for i in block.spatial if i not in coupled]

    sent = outputs
    if of_output:
        sent = outputs * _over_units(block, of_output, block.grid, *_unit_outputs(block, of_output))

    first, first_clipped, _, rest_clipped = _unit_outputs(block, of_output, not_output, work=True)
    psums = outputs * others
    macs = psums * _over_units(
        block,
        block.spatial,
        block.grid,
        first,
        first_clipped,
        first,
        rest_clipped,
        last=block.spatial[-1],
        first_counts=True,
    )
    busiest = first
    if of_output:
        edge = block.any_at_edge(of_output, block.grid)
        clipped = block.clipped(of_output[-1], block.grid)
        busiest = np.where(edge & block.single_edge & clipped, first_clipped, first)
    return sent, macs, psums * busiest


def _unit_outputs(
    block: Block, of_output: list[int], not_output: Sequence[int] = (), *, work: bool = False
) -> tuple[Ints, Ints, Ints, Ints]:
    """Spatial factors of what a unit produces: the first unit, that unit clipped, one of the
    others, that other clipped. ``work`` counts multiply-accumulates, not outputs."""
    volumes = [block.one] * 4
    for i in (*of_output, *not_output):
        m = block.seen[i] if i in of_output else block.maps[i]
        edge = block.states[i].init_edge
        shared = m.fresh_edge if i in of_output and not work else m.mapped_edge
        # With one unit busy the reference counts input rows (columns), not output ones.
        alone = block.maps[i].mapped_edge
        by_position = (
            (m.mapped, m.mapped, np.where(block.single_edge, alone, m.mapped)),
            (np.where(edge, m.mapped_edge, m.mapped), m.mapped, alone),
            (m.fresh, m.fresh, m.fresh),
            (np.where(edge, shared, m.fresh), m.fresh, m.fresh_edge),
        )
        volumes = [
            v * block.along(i, f, block.grid) for v, f in zip(volumes, by_position, strict=True)
        ]
    return volumes[0], volumes[1], volumes[2], volumes[3]

"""Good schedules of chains on the best of many partitions, and how soon any could end; numpy alone.

A list schedule sends, again and again, the layer and sub-accelerator that score least: when it can
start there, plus what speaks against it. That is how much more it takes of what is scarce there
than elsewhere, by the weights of the bound, less its chain's urgency: what is left of it, and some
cycles more for one chain than for another. Without the latter, equal networks go in step and want
the same sub-accelerator at the same time. Which chains go first, and how much each of these counts,
is found by chance: the best are changed a little, over and over.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.bounds.schedules import ascended_bound, ascended_bounds
from hwgym.families.hetero.space import Partition

__all__ = [
    "NEVER",
    "Found",
    "closed_bounds",
    "good_schedule",
    "latency_of",
    "list_schedules",
    "partition_bounds",
]

NEVER = 1e18
"""Cycles on what is not built: a number, so that nothing is multiplied with infinity."""

TOGETHER = 128
"""Partitions that are bounded at once."""
DESIGNS, ROWS, ROUNDS, KEPT = 24, 192, 24, 24
"""Of the search: partitions, schedules at once, rounds, and how many of the best are changed."""


class Found(NamedTuple):
    """A schedule.

    Attributes:
        design: Which partition.
        chain: (layers,), by decision: the chain whose next layer is sent.
        core: (layers,), where to.
        makespan: Cycles.
    """

    design: int
    chain: Ints
    core: Ints
    makespan: float


def latency_of(table: Floats, designs: Partition) -> Floats:
    """Cycles (N, subs, layers) on the sub-accelerators of partitions (N, subs), of a table (kinds,
    parts, parts or 1, layers); :data:`NEVER` on those that are not built."""
    takes = table[designs.kind, designs.pes - 1, designs.bandwidth - 1]
    found: Floats = np.where((designs.pes > 0)[..., None], takes, NEVER)
    return found


def closed_bounds(table: Floats, lengths: Ints, designs: Partition) -> Floats:
    """Cycles (N,) that no schedule on a partition is under, in closed form: the longest chain, each
    layer where it is fastest; all layers, each where it adds least, if sub-accelerators count by
    their parts of the PEs, or all alike."""
    kinds = _Alike.of(table, lengths)
    takes = latency_of(table[..., kinds.layer], designs)
    found: Floats = np.add.reduceat(takes.min(axis=1), kinds.starts, axis=1).max(axis=1)
    built = designs.pes > 0
    for weights in (designs.pes / designs.pes.sum(axis=1, keepdims=True),
                    built / built.sum(axis=1, keepdims=True)):  # fmt: skip
        adds = (takes * np.where(built, weights, 1.0)[..., None]).min(axis=1)
        found = np.maximum(found, adds @ kinds.times)
    return found


def partition_bounds(table: Floats, lengths: Ints, designs: Partition) -> Floats:
    """Cycles (N,) that no schedule on a partition is under. The least is near what a linear
    programme gives; others may be further from it, but are no less than the least."""
    found = closed_bounds(table, lengths, designs)
    order = np.argsort(found, kind="stable")
    least = np.inf
    for some in np.split(order, range(TOGETHER, len(order), TOGETHER)):
        if found[some[0]] >= least:
            break
        takes = latency_of(table, Partition(*(each[some] for each in designs)))
        takes[takes == NEVER] = np.inf
        better = ascended_bounds(takes.transpose(0, 2, 1), lengths=lengths)
        found[some] = np.maximum(found[some], better)
        least = min(least, float(found[some].min()))
    return found


class _Alike(NamedTuple):
    """The layers of one chain of each that are alike.

    Attributes:
        layer: (different,), layers.
        starts: (different chains,), where each begins among these.
        times: (different,), how often a layer is there.
    """

    layer: Ints
    starts: Ints
    times: Ints

    @classmethod
    def of(cls, table: Floats, lengths: Ints) -> _Alike:
        ends = np.cumsum(lengths)
        counts: dict[bytes, int] = {}
        parts: dict[bytes, Ints] = {}
        for start, end in zip(ends - lengths, ends, strict=True):
            key = table[..., start:end].tobytes()
            counts[key] = counts.get(key, 0) + 1
            parts.setdefault(key, np.arange(start, end))
        sizes = np.array([len(each) for each in parts.values()])
        times = np.repeat(list(counts.values()), sizes)
        return cls(np.concatenate(list(parts.values())), np.cumsum(sizes) - sizes, times)


def list_schedules(takes: Floats, against: Floats, lengths: Ints) -> tuple[Ints, Ints, Floats]:
    """Schedules of N lists of rules: at each decision the layer and sub-accelerator of which the
    cycle in which it can start plus what is against it is least; of equal ones the first.

    Args:
        takes: (N, subs, layers), cycles; :data:`NEVER` on what is not built.
        against: (N, subs, layers), cycles.
        lengths: (chains,), how many layers each has.

    Returns:
        Chain and core by decision, (N, layers), and the makespan (N,).
    """
    count, subs, layers = takes.shape
    chains, ends = len(lengths), np.cumsum(lengths)
    first = ends - lengths
    against = np.where(takes < NEVER, against, NEVER)
    # A row a layer and one more, of chains that are done, as (N x (layers + 1), subs).
    over = np.full((count, subs, 1), NEVER)
    cycles, adds = (
        np.concatenate([each, over], axis=2).transpose(0, 2, 1).reshape(-1, subs)
        for each in (takes, against)
    )
    row = np.arange(count)
    base = row * (layers + 1)
    at = np.tile(first, (count, 1)).reshape(-1)
    against_next = adds[base[:, None] + first].reshape(-1, subs)
    ready, free = np.zeros(count * chains), np.zeros(count * subs)
    score = np.empty((count, chains, subs))
    chain, core = (np.empty((layers, count), np.int64) for _ in range(2))
    for decision in range(layers):
        np.maximum(free.reshape(-1, 1, subs), ready.reshape(-1, chains, 1), out=score)
        score += against_next.reshape(-1, chains, subs)
        of, on = np.divmod(score.reshape(count, -1).argmin(axis=1), subs)
        chain[decision], core[decision] = of, on
        one, where = row * chains + of, row * subs + on
        layer = at[one]
        end = np.maximum(free[where], ready[one]) + cycles[base + layer, on]
        free[where] = ready[one] = end
        at[one] = layer + 1
        against_next[one] = adds[base + np.where(layer + 1 < ends[of], layer + 1, layers)]
    return chain.T, core.T, ready.reshape(count, chains).max(axis=1)


def good_schedule(table: Floats, lengths: Ints, designs: Partition, bounds: Floats) -> Found:
    """A schedule on one of the partitions whose bounds are least."""
    rng = np.random.default_rng(0)
    chosen = np.argsort(bounds, kind="stable")[:DESIGNS]
    takes = latency_of(table, Partition(*(each[chosen] for each in designs)))
    scarce = np.stack([_scarce(each, lengths) for each in takes])
    left = _left(takes.min(axis=1), lengths)
    unit = float(bounds[chosen[0]])

    # A rule: a partition, logarithms of what scarcity and urgency count, the chains' head starts.
    rules = np.column_stack(
        [
            np.arange(ROWS) % len(chosen),
            rng.uniform(math.log(0.5), math.log(8.0), ROWS),
            rng.uniform(math.log(0.003), math.log(0.1), ROWS),
            rng.random((ROWS, len(lengths)))
            * np.exp(rng.uniform(math.log(0.02), math.log(0.6), ROWS))[:, None],
        ]
    )
    pool, worth = rules[:0], np.zeros(0)
    best: Found | None = None
    for _ in range(ROUNDS):
        design = rules[:, 0].astype(np.int64)
        cost, urgency, ahead = np.exp(rules[:, 1]), np.exp(rules[:, 2]), rules[:, 3:]
        urgent = left[design] + np.repeat(ahead, lengths, axis=1) * unit
        against = cost[:, None, None] * scarce[design] - (urgency[:, None] * urgent)[:, None]
        chain, core, makespan = list_schedules(takes[design], against, lengths)
        least = int(makespan.argmin())
        if best is None or makespan[least] < best.makespan:
            which = int(chosen[design[least]])
            best = Found(which, chain[least], core[least], float(makespan[least]))

        worth, pool = np.concatenate([worth, makespan]), np.concatenate([pool, rules])
        kept = np.argsort(worth, kind="stable")[:KEPT]
        worth, pool = worth[kept], pool[kept]
        rules = pool[rng.integers(len(pool), size=ROWS)]
        rules[:, 1:3] += rng.normal(0.0, 0.3, (ROWS, 2))
        ahead = rules[:, 3:]
        some = rng.random(ahead.shape) < 0.25
        rules[:, 3:] += some * rng.normal(size=ahead.shape) * ahead.std(axis=1, keepdims=True)
    assert best is not None  # there are rounds
    return best


def _scarce(takes: Floats, lengths: Ints) -> Floats:
    """(subs, layers): by how much more a layer adds to the bound than where it adds least."""
    built = takes[:, 0] < NEVER
    bound = ascended_bound(takes[built].T, lengths=lengths)
    weights = np.ones(len(takes))
    weights[built] = bound.cores
    adds = takes * (weights[:, None] + np.repeat(bound.chains, lengths))
    more: Floats = adds - adds.min(axis=0)
    return more


def _left(fastest: Floats, lengths: Ints) -> Floats:
    """(N, layers): cycles of each layer and all that follow it in its chain."""
    left = np.empty_like(fastest)
    ends = np.cumsum(lengths)
    for start, end in zip(ends - lengths, ends, strict=True):
        left[:, start:end] = fastest[:, start:end][:, ::-1].cumsum(axis=1)[:, ::-1]
    return left

"""Good schedules of chains on the best of many partitions, and how soon any could end; numpy alone.

A list schedule sends, again and again, the layer and sub-accelerator that score least: when it can
start there, plus what speaks against it. That is how much more it takes of what is scarce there
than elsewhere, by the weights of the bound, less its chain's urgency: what is left of it, and some
cycles more for one chain than for another. Without the latter, equal networks go in step and want
the same sub-accelerator at the same time. Which chains go first, and how much each of these counts,
is found by chance: the best are changed a little, over and over. Partitions compete, and so do
schedules that are made from the end on: there the short layers, which are last, are placed first.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.bounds.schedules import ascended_bound, ascended_bounds
from hwgym.costs.schedules import chains
from hwgym.families.hetero.space import Partition

__all__ = [
    "NEVER",
    "Found",
    "closed_bounds",
    "cycles_left",
    "good_schedule",
    "latency_of",
    "list_schedules",
    "partition_bounds",
]

NEVER = 1e18
"""Cycles on what is not built: a number, so that nothing is multiplied with infinity."""

TOGETHER = 128
"""Partitions that are bounded at once."""
ROWS = 192
"""Schedules of the search that are made at once."""


class _Phase(NamedTuple):
    """Of the search: how many cases are left, how many rules of each are changed, and how often."""

    cases: int
    kept: int
    rounds: int


COMPETE = (_Phase(24, 6, 4), _Phase(12, 12, 8), _Phase(6, 24, 14), _Phase(3, 24, 34))


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
    parts, parts or 1, layers); ``NEVER`` on those that are not built."""
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
        takes: (N, subs, layers), cycles; 1e18 (``NEVER``) on what is not built.
        against: (N, subs, layers), cycles.
        lengths: (chains,), how many layers each has.

    Returns:
        Chain and core by decision, (N, layers), and the makespan (N,).
    """
    count, subs, layers = takes.shape
    many, ends = len(lengths), np.cumsum(lengths)
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
    ready, free = np.zeros(count * many), np.zeros(count * subs)
    score = np.empty((count, many, subs))
    chain, core = (np.empty((layers, count), np.int64) for _ in range(2))
    for decision in range(layers):
        np.maximum(free.reshape(-1, 1, subs), ready.reshape(-1, many, 1), out=score)
        score += against_next.reshape(-1, many, subs)
        of, on = np.divmod(score.reshape(count, -1).argmin(axis=1), subs)
        chain[decision], core[decision] = of, on
        one, where = row * many + of, row * subs + on
        layer = at[one]
        end = np.maximum(free[where], ready[one]) + cycles[base + layer, on]
        free[where] = ready[one] = end
        at[one] = layer + 1
        against_next[one] = adds[base + np.where(layer + 1 < ends[of], layer + 1, layers)]
    return chain.T, core.T, ready.reshape(count, many).max(axis=1)


def good_schedule(table: Floats, lengths: Ints, designs: Partition, bounds: Floats) -> Found:
    """A schedule on one of the partitions whose bounds are least, or on one sub-accelerator."""
    rng = np.random.default_rng(0)
    chosen = np.argsort(bounds, kind="stable")[: COMPETE[0].cases // 2]
    alone = np.flatnonzero((designs.pes > 0).sum(axis=1) == 1)
    if len(alone):
        chosen = np.union1d(chosen, alone[bounds[alone].argmin()])
    forward = latency_of(table, Partition(*(each[chosen] for each in designs)))
    scarce = np.stack([_scarce(each, lengths) for each in forward])
    back = _backwards(lengths)
    takes, scarce = (np.concatenate([each, each[..., back]]) for each in (forward, scarce))
    left = cycles_left(takes.min(axis=1), lengths)
    unit = float(bounds.min())

    rules = _Rules.drawn(rng, np.arange(ROWS) % len(takes), forward.shape[1], len(lengths))
    pool, worth = rules, np.full(ROWS, np.inf)
    best, least = (0, np.zeros(0, np.int64), np.zeros(0, np.int64)), np.inf
    for cases, kept, rounds in COMPETE:
        for _ in range(rounds):
            against = rules.against(takes, scarce, left, lengths, unit)
            chain, core, makespan = list_schedules(takes[rules.case], against, lengths)
            first = int(makespan.argmin())
            if makespan[first] < least:
                least = float(makespan[first])
                best = int(rules.case[first]), chain[first], core[first]
            worth, pool = np.concatenate([worth, makespan]), pool.joined(rules)
            at = _best_of_each(pool.case, worth, cases, kept)
            worth, pool = worth[at], pool.taken(at)
            # As many of each case that is left.
            names = np.unique(pool.case)
            wanted = names[np.arange(ROWS) % len(names), None]
            parents = np.where(pool.case == wanted, rng.random((ROWS, len(worth))), -1.0)
            rules = pool.taken(parents.argmax(axis=1)).changed(rng)

    case, chain, core = best
    design = case % len(chosen)
    if case >= len(chosen):
        chain, core = _turned(takes[case].T, lengths, chain, core)
    makespan = chains(forward[design].T, lengths, chain, core).makespan
    return Found(int(chosen[design]), chain, core, float(makespan))


class _Rules(NamedTuple):
    """Rules of list schedules, arrays (N, ...).

    Attributes:
        case: Of which partition, and whether from the end on.
        counts: (N, 3) logarithms of what scarcity and urgency count, and what a layer's own cycles
            do.
        subs: (N, subs) logarithms of how scarce each sub-accelerator is, beside the bound's
            weights.
        chains: (N, chains) of what scarcity counts for each chain.
        ahead: (N, chains) head starts, in bounds.
    """

    case: Ints
    counts: Floats
    subs: Floats
    chains: Floats
    ahead: Floats

    @classmethod
    def drawn(cls, rng: np.random.Generator, case: Ints, subs: int, chains: int) -> _Rules:
        count = len(case)
        counts = [
            rng.uniform(math.log(0.5), math.log(8.0), count),
            rng.uniform(math.log(0.003), math.log(0.1), count),
            rng.random(count),
        ]
        far = np.exp(rng.uniform(math.log(0.02), math.log(0.6), (count, 1)))
        return cls(
            case,
            np.stack(counts, axis=1),
            np.zeros((count, subs)),
            np.zeros((count, chains)),
            rng.random((count, chains)) * far,
        )

    def changed(self, rng: np.random.Generator) -> _Rules:
        shape = self.ahead.shape
        some = rng.random((2, *shape)) < 0.25
        spread = self.ahead.std(axis=1, keepdims=True)
        counts = self.counts + rng.normal(size=self.counts.shape) * (0.3, 0.3, 0.1)
        counts[:, 2] = np.abs(counts[:, 2])
        return _Rules(
            self.case,
            counts,
            self.subs + rng.normal(0.0, 0.2, self.subs.shape),
            self.chains + some[0] * rng.normal(0.0, 0.4, shape),
            self.ahead + some[1] * rng.normal(size=shape) * spread,
        )

    def joined(self, others: _Rules) -> _Rules:
        return _Rules(*(np.concatenate(pair) for pair in zip(self, others, strict=True)))

    def taken(self, rows: Ints) -> _Rules:
        fields: Any = [each[rows] for each in self]
        return _Rules(*fields)

    def against(
        self, takes: Floats, scarce: Floats, left: Floats, lengths: Ints, unit: float
    ) -> Floats:
        """(N, subs, layers), of arrays of all cases; unit is in cycles."""
        cost, urgency = np.exp(self.counts[:, :2]).T[..., None]
        urgent = left[self.case] + np.repeat(self.ahead, lengths, axis=1) * unit
        found = scarce[self.case] * np.exp(self.subs)[..., None]
        found *= (cost * np.exp(np.repeat(self.chains, lengths, axis=1)))[:, None]
        found += self.counts[:, 2, None, None] * takes[self.case]
        found -= (urgency * urgent)[:, None]
        return found


def _best_of_each(case: Ints, worth: Floats, cases: int, kept: int) -> Ints:
    """Which to keep: so many of each case, of so many cases whose best are best."""
    order = np.argsort(worth, kind="stable")
    seen: dict[int, int] = {}
    found = []
    for at in order.tolist():
        before = seen.get(int(case[at]), 0)
        if before == 0 and len(seen) == cases:
            continue
        seen[int(case[at])] = before + 1
        if before < kept:
            found.append(at)
    return np.array(found)


def _turned(takes: Floats, lengths: Ints, chain: Ints, core: Ints) -> tuple[Ints, Ints]:
    """A plan, by decision, that takes no longer than one of the same layers, cycles (layers,
    cores), with each chain the other way round."""
    run = chains(takes, lengths, chain, core)
    back = _backwards(lengths)
    order = np.argsort(-run.end[back], kind="stable")  # what ends last starts first
    return np.repeat(np.arange(len(lengths)), lengths)[order], run.core[back][order]


def _backwards(lengths: Ints) -> Ints:
    """(layers,): those of each chain, its last first."""
    ends = np.cumsum(lengths)
    return np.concatenate([np.arange(end)[-n:][::-1] for end, n in zip(ends, lengths, strict=True)])


def _scarce(takes: Floats, lengths: Ints) -> Floats:
    """(subs, layers): by how much more a layer adds to the bound than where it adds least."""
    built = takes[:, 0] < NEVER
    bound = ascended_bound(takes[built].T, lengths=lengths)
    weights = np.ones(len(takes))
    weights[built] = bound.cores
    adds = takes * (weights[:, None] + np.repeat(bound.chains, lengths))
    more: Floats = adds - adds.min(axis=0)
    return more


def cycles_left(fastest: Floats, lengths: Ints) -> Floats:
    """(N, layers): cycles of each layer and all that follow it in its chain."""
    left = np.empty_like(fastest)
    ends = np.cumsum(lengths)
    for start, end in zip(ends - lengths, ends, strict=True):
        left[:, start:end] = fastest[:, start:end][:, ::-1].cumsum(axis=1)[:, ::-1]
    return left

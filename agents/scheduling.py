"""What agents for schedules share: what a statement says of jobs and cores, and list schedulers.

What each job takes on each core is part of the statement, so planning with it is free. How soon all
jobs end if they run together is not: every complete schedule whose makespan an agent looks at is a
sample. So a list scheduler, which knows what it has placed so far, pays one when it is done.

Of ``HWGroup`` a plan is a core and a priority for each job. Of ``HWHetero`` it is one of the
designs (partitions into sub-accelerators) and then, by decision, a chain and a sub-accelerator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NoReturn

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.bounds.schedules import WeightedBound, ascended_bound
from hwgym.core import Evaluator, Sees, Statement
from hwgym.families.group.orders import slots_of
from hwgym.families.group.scheduling import placed
from hwgym.families.hetero.scheduling import (
    NEVER,
    closed_bounds,
    cycles_left,
    latency_of,
    list_schedules,
)
from hwgym.families.hetero.space import HeteroSpace, Partition

__all__ = [
    "BandwidthAware",
    "CriticalPath",
    "EarliestFinish",
    "GroupView",
    "HeteroView",
    "even_order",
    "priced_cores",
    "prices",
    "scarce",
    "schedule_view",
]

_URGENCY = 0.03
"""Cycles by which a layer may start later for each that its chain still takes."""
_FIRST = 1e6
"""The same, where all that counts is how long it takes."""
_SHARP = 10.0
"""How fast prices rise, for each time that a whole schedule is placed too much."""
_LEAST_PRICE = 1e-3


class GroupView:
    """A group of jobs, as an agent for it reads the statement.

    Attributes:
        latency: (jobs, cores) cycles alone; infinite where a job cannot run.
        wanted: (jobs, cores) the share of the bandwidth that a job wants while it runs alone.
        moves: (jobs, cores) cycles in which the whole bandwidth moves a job's data.
        stall: (jobs, cores) cycles that these are more than it takes alone: all cores stall.
        windowed: Decisions are slots of a window, which priorities are translated to: the lowest
            in the window is sent.
        priorities: Classes; the lowest runs first, of equal ones the job that comes first.

    Raises:
        ValueError: If it is another problem.
    """

    def __init__(self, statement: Statement, agent: str) -> None:
        if statement.key.get("family") != "group":
            _refuse(statement, agent, "cores and an order for the jobs of a group (HWGroup)")
        self.statement, known = statement, statement.known
        self.latency, self.traffic = known["latency"], known["traffic"]
        self.bandwidth = float(known["bandwidth"])
        self.can = np.isfinite(self.latency)
        moves = np.where(self.can, self.traffic, 0.0) / self.bandwidth
        self.moves, self.wanted = moves, moves / self.latency
        self.stall = np.where(self.can, np.maximum(moves - self.latency, 0.0), 0.0)
        self.windowed = statement.space.axes[0].name == "slot"
        self.priorities = len(self.latency) if self.windowed else statement.space.axes[1].size

    @property
    def shape(self) -> tuple[int, int]:
        """Jobs, cores."""
        jobs, cores = self.latency.shape
        return jobs, cores

    @cached_property
    def bound(self) -> WeightedBound:
        """Of the makespan, with the weights of what is scarce."""
        return ascended_bound(self.latency, self.traffic, self.bandwidth)

    @cached_property
    def adds(self) -> Floats:
        """(jobs, cores) what each job adds to the bound there; infinite where it cannot run."""
        weights, through = self.bound.cores, self.bound.transfer
        total = weights.sum() + through or 1.0
        adds = self.latency * weights + self.stall * weights.sum() + self.moves * through
        found: Floats = np.where(self.can, adds, np.inf) / total
        return found

    def draw_core(self, job: Ints, rng: np.random.Generator) -> Ints:
        """For each of some jobs a random core that it can run on."""
        rank = np.where(self.can[job], rng.random((*np.shape(job), self.shape[1])), -1.0)
        core: Ints = rank.argmax(axis=-1)
        return core

    def classes(self, core: Ints, order: Floats) -> Ints:
        """(N, jobs) priorities that keep, on each core, the order of numbers (N, jobs), as far as
        there are classes: one each, or equally many jobs in each."""
        priority = np.empty(core.shape, np.int64)
        for row in range(len(core)):
            for which in range(self.shape[1]):
                mine = np.flatnonzero(core[row] == which)
                ranked = mine[np.argsort(order[row, mine], kind="stable")]
                parts = max(len(mine), self.priorities)
                priority[row, ranked] = np.arange(len(mine)) * self.priorities // parts
        return priority

    def genes(self, core: Ints, priority: Ints) -> Ints:
        """Genes (N, jobs, 2) of plans (N, jobs)."""
        if not self.windowed:
            return np.stack([core, priority], axis=-1)
        found = np.empty((*core.shape, 2), np.int64)
        for genes, cores, ranks in zip(found, core, priority, strict=True):
            genes[:, 0], sent = slots_of(ranks)
            genes[:, 1] = cores[sent]
        return found


class HeteroView:
    """Networks on sub-accelerators that are still to be built, as an agent for it reads the
    statement.

    Attributes:
        space: What genes mean.
        designs: Every valid partition once, (designs, sub-accelerators).
        table: (kinds, parts, parts or 1, layers) cycles.
        lengths: (chains,) layers.
        owner: (layers,) the chain of each.

    Raises:
        ValueError: If it is another problem.
    """

    def __init__(self, statement: Statement, agent: str) -> None:
        if statement.key.get("family") != "hetero":
            _refuse(
                statement, agent, "sub-accelerators and schedules for several networks (HWHetero)"
            )
        self.statement, known = statement, statement.known
        self.space = HeteroSpace.told(known)
        self.designs, self.table = self.space.designs, known["latency"]
        self.lengths = np.asarray(known["lengths"])
        self.owner = np.repeat(np.arange(len(self.lengths)), self.lengths)

    def takes(self, design: Ints) -> Floats:
        """(N, subs, layers) cycles on the sub-accelerators of designs; a very great number on
        those that are not built."""
        return latency_of(self.table, Partition(*(each[design] for each in self.designs)))

    def left(self, takes: Floats) -> Floats:
        """(N, layers) cycles of each layer and of all that follow it in its chain, each where it
        is fastest."""
        return cycles_left(takes.min(axis=1), self.lengths)

    @cached_property
    def promising(self) -> Ints:
        """Designs, the least closed-form bound first."""
        bounds = closed_bounds(self.table, self.lengths, self.designs)
        return np.argsort(bounds, kind="stable")

    def genes(self, design: Ints, chain: Ints, core: Ints) -> Ints:
        """Genes (N, steps, 2) of designs (N,) and plans (N, layers)."""
        kind, pes, bandwidth = (each[design] for each in self.designs)
        return self.space.genes_of(kind, pes, bandwidth, chain, core)


def schedule_view(statement: Statement, agent: str) -> GroupView | HeteroView:
    """What an agent for schedules, of either family, reads.

    Raises:
        ValueError: If it is another problem.
    """
    family = statement.key.get("family")
    if family == "hetero":
        return HeteroView(statement, agent)
    if family != "group":
        _refuse(statement, agent, "schedules (HWGroup, HWHetero)")
    return GroupView(statement, agent)


def _refuse(statement: Statement, agent: str, what: str) -> NoReturn:
    raise ValueError(
        f"{agent} searches {what}, which {statement.title} is not; agents that see totals work on "
        "any problem"
    )


def prices(takes: Floats, lengths: Ints) -> Floats:
    """(subs,) what a cycle of each sub-accelerator of a design counts in its bound, as a share of
    what one of the dearest does; 1 of one that is not built."""
    built = takes[:, 0] < NEVER
    weights = ascended_bound(takes[built].T, lengths=lengths).cores
    found = np.ones(len(takes))
    if weights.max() > 0:  # else chains decide, and time on none is scarce
        found[built] = np.maximum(weights / weights.max(), _LEAST_PRICE)
    return found


def scarce(takes: Floats, price: Floats) -> Floats:
    """(..., subs, layers): cycles at their prices (..., subs) by which a layer takes more than
    where it takes least."""
    adds = takes * price[..., None]
    found: Floats = adds - adds.min(axis=-2, keepdims=True)
    return found


# --- list schedulers ------------------------------------------------------------------------------


@dataclass
class _ListScheduler:
    """One schedule of a group; of networks one of each design, the most promising closed-form
    bound first."""

    sees: ClassVar[Sees] = "totals"
    deterministic: ClassVar[bool] = True
    name: ClassVar[str]

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Buy what it lists.

        Raises:
            ValueError: If the problem has no jobs to be scheduled.
        """
        view = schedule_view(evaluator.statement, self.name)
        if isinstance(view, GroupView):
            core, order = self._group(view)
            evaluator.evaluate(view.genes(core[None], view.classes(core[None], order[None])))
            return
        for some in _batches(view.promising):
            takes = view.takes(some)
            chain, core, _ = list_schedules(takes, self._against(view, takes), view.lengths)
            evaluator.evaluate(view.genes(some, chain, core))

    def _group(self, view: GroupView) -> tuple[Ints, Floats]:
        """Of each job the core, and a number: on a core the least runs first."""
        raise NotImplementedError

    def _against(self, view: HeteroView, takes: Floats) -> Floats:
        """(N, subs, layers) what counts beside the cycle in which a layer can start there."""
        raise NotImplementedError


def _batches(designs: Ints, size: int = 64) -> Iterator[Ints]:
    for first in range(0, len(designs), size):
        yield designs[first : first + size]


@dataclass
class EarliestFinish(_ListScheduler):
    """List scheduling: of all next jobs and cores the pair that ends soonest.

    Blind to a bandwidth that cores share. Of a group, whose jobs are all next, the longest job goes
    first.
    """

    name: ClassVar[str] = "earliest-finish"

    def _group(self, view: GroupView) -> tuple[Ints, Floats]:
        length = view.latency.min(axis=1)
        return placed(view.latency, length), -length

    def _against(self, view: HeteroView, takes: Floats) -> Floats:
        return takes


@dataclass
class CriticalPath(_ListScheduler):
    """List scheduling: the job with the longest path to the end first, where it ends soonest.

    (Topcuoglu, Hariri and Wu, IEEE TPDS 13, 2002, without insertion into gaps.) Blind to a
    bandwidth that cores share; a job of a group is a path of its own, as long as it takes on
    average.
    """

    name: ClassVar[str] = "critical-path"

    def _group(self, view: GroupView) -> tuple[Ints, Floats]:
        length = np.where(view.can, view.latency, 0.0).sum(axis=1) / view.can.sum(axis=1)
        return placed(view.latency, length), -length

    def _against(self, view: HeteroView, takes: Floats) -> Floats:
        against: Floats = takes - _FIRST * view.left(takes)[:, None]
        return against


@dataclass
class BandwidthAware(_ListScheduler):
    """List scheduling at the prices of what is scarce: of bandwidth, and of each core's time.

    The prices are the weights of the bound on the makespan. Of a group, jobs go where they cost
    least; then whenever a core is free, it takes that of its jobs with which what all cores want
    comes nearest to the bandwidth. Of networks, whose sub-accelerators have their own parts of the
    bandwidth, a layer waits for the right one as long as the wrong one would cost more.
    """

    name: ClassVar[str] = "bandwidth-aware"

    def _group(self, view: GroupView) -> tuple[Ints, Floats]:
        core = priced_cores(view, np.argsort(-view.adds.min(axis=1), kind="stable"), _SHARP)
        return core, even_order(view, core)

    def _against(self, view: HeteroView, takes: Floats) -> Floats:
        price = np.stack([prices(each, view.lengths) for each in takes])
        against: Floats = scarce(takes, price) - _URGENCY * view.left(takes)[:, None]
        return against


def priced_cores(view: GroupView, order: Ints, sharp: float) -> Ints:
    """(jobs,) cores: one job after the other goes where it costs least at the prices of the bound,
    which rise where more was placed than should have been by then, and fall where less was.

    Args:
        view: Of the problem.
        order: (jobs,) which comes first.
        sharp: How fast they rise.
    """
    bound = view.bound
    floor = 0.01 * max(bound.cores.max(), bound.transfer)
    weights = np.append(np.maximum(bound.cores, floor), max(bound.transfer, floor))
    weights /= weights.sum()
    cores = view.shape[1]
    load, placed, core = np.zeros(cores + 1), 0.0, np.zeros(view.shape[0], np.int64)
    for job in order:
        placed += float(view.adds[job].min())
        # What would be placed on all of them (chosen, cores and bandwidth).
        after = load + np.column_stack(
            [
                np.diag(np.where(view.can[job], view.latency[job], 0.0)) + view.stall[job][:, None],
                view.moves[job],
            ]
        )
        after[~view.can[job]] = NEVER
        over = sharp * (after - placed) / bound.value
        most = over.max(axis=1)
        height = most + np.log((weights * np.exp(over - most[:, None])).sum(axis=1))
        chosen = core[job] = int(height.argmin())
        load = after[chosen]
    return core


def even_order(view: GroupView, core: Ints) -> Floats:
    """(jobs,) places: whenever a core is free, it takes that of its jobs with which what all cores
    want is nearest to what they want on average from then on."""
    jobs = np.arange(view.shape[0])
    rate, takes = view.wanted[jobs, core], view.latency[jobs, core]
    waiting = [np.flatnonzero(core == which).tolist() for which in range(view.shape[1])]
    until, running = np.zeros(view.shape[1]), np.zeros(view.shape[1])
    place, left = np.zeros(view.shape[0]), float((rate * takes).sum())
    end = float(np.bincount(core, takes).max())
    for number in range(view.shape[0]):
        which = int(np.where([bool(each) for each in waiting], until, np.inf).argmin())
        now = until[which]
        others = float(running[until > now].sum())
        mine = np.array(waiting[which])
        wish = min(left / (end - now), 1.0) - others if now < end else 0.0
        job = int(mine[np.abs(rate[mine] - wish).argmin()])
        waiting[which].remove(job)
        place[job], running[which] = number, rate[job]
        until[which] = now + takes[job]
        left -= float(rate[job] * takes[job])
    return place

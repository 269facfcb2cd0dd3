"""Local search of schedules, of jobs that share a bandwidth and of networks on sub-accelerators.

Of a group (``HWGroup``) the search is annealing: it begins with list schedules at several prices
of traffic, and moves jobs from the core that is done last, exchanges jobs of two cores, and
exchanges or changes priorities.

Of networks (``HWHetero``) single decisions are too small a change: what is good later depends on
all that came before. So the search changes the rules of a list scheduler, whose schedules it buys:
what it costs to use a sub-accelerator that another layer needs more, how urgent a chain is, which
chains go first, and, last, what is to be said against single layers on single sub-accelerators.
Designs compete: those whose bounds are least begin with as many samples, and half of them are
dropped every so often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.core import Evaluator, Sees
from hwgym.families.hetero.scheduling import NEVER, list_schedules, partition_bounds

from .common import positive, shares
from .scheduling import (
    GroupView,
    HeteroView,
    even_order,
    priced_cores,
    prices,
    scarce,
    schedule_view,
)

__all__ = ["LocalSchedule"]

_ONE_CORE = 0.7
"""Share of the exchanges of priorities that are those of two jobs of one core."""
_LAYERS = 3
"""Single layers that are changed at once."""


@dataclass
class LocalSchedule:
    """Local search of schedules: of groups from list schedules, of networks on a scheduler's
    rules."""

    starts: float = 0.02
    """Share of the samples for list schedules of a group to begin with."""
    chains: int = 8
    """Chains of the annealing of a group, side by side."""
    hot: float = 0.005
    """First temperature, as a share of the best makespan that list schedules have."""
    cold: float = 1e-4
    """Last temperature; it falls geometrically."""
    designs: int = 16
    """Partitions of networks into sub-accelerators that compete."""
    compete: float = 0.5
    """Share of the samples until one of them is left."""
    batch: int = 64
    """Schedules of networks bought at a time."""
    kept: int = 12
    """Of a design, so many of the best rules are changed."""
    single: float = 0.3
    """Share of the changes that concern single layers, once one design is left."""

    sees: ClassVar[Sees] = "totals"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "chains": (2, 8, 16),
        "hot": (0.002, 0.005, 0.02),
        "cold": (3e-5, 1e-4, 3e-4),
        "designs": (8, 16, 32),
        "compete": (0.3, 0.5, 0.7),
        "batch": (32, 64),
        "kept": (6, 12, 24),
        "single": (0.0, 0.3, 0.6),
    }

    def __post_init__(self) -> None:
        positive(self, "chains", "designs", "batch", "kept")
        shares(self, "starts", "compete", "single")
        if not 0 < self.cold <= self.hot:
            raise ValueError(f"wanted 0 < cold <= hot, got cold={self.cold!r}, hot={self.hot!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Search until the budget is spent.

        Raises:
            ValueError: If the problem has no jobs to be scheduled.
        """
        view, rng = (
            schedule_view(evaluator.statement, "schedule-local"),
            np.random.default_rng(seed),
        )
        if isinstance(view, GroupView):
            self._anneal(evaluator, view, rng)
        else:
            self._compete(evaluator, view, rng)

    # --- groups ---------------------------------------------------------------------------------

    def _anneal(self, evaluator: Evaluator, view: GroupView, rng: np.random.Generator) -> None:
        core, priority = _starts(view, max(int(self.starts * evaluator.samples), 1), rng)
        worth = evaluator.evaluate(view.genes(core, priority)).objective
        best = np.resize(worth.argsort(kind="stable"), self.chains)
        core, priority, worth = core[best], priority[best], worth[best]
        unit, begun, span = worth[0], evaluator.spent, max(evaluator.remaining, 1)
        while True:
            share = (evaluator.spent - begun) / span
            temperature = unit * self.hot * (self.cold / self.hot) ** share
            core_, priority_ = _changed(view, core, priority, rng)
            new = evaluator.evaluate(view.genes(core_, priority_)).objective
            n = len(new)
            taken = np.flatnonzero(new <= worth[:n] - temperature * np.log1p(-rng.random(n)))
            core[taken], priority[taken], worth[taken] = core_[taken], priority_[taken], new[taken]

    # --- networks -------------------------------------------------------------------------------

    def _compete(self, evaluator: Evaluator, view: HeteroView, rng: np.random.Generator) -> None:
        bounds = partition_bounds(view.table, view.lengths, view.designs)
        order = np.argsort(bounds, kind="stable")[: self.designs]
        known = [_Rules(view, int(design), self.kept) for design in order]
        rounds = max(int(np.ceil(np.log2(len(known)))), 1)
        for _ in range(rounds):
            span = self.compete * evaluator.samples / rounds / len(known)
            for rules in known:
                rules.buy(evaluator, int(span), self.batch, 0.0, rng)
            known.sort(key=lambda rules: rules.best)
            known = known[: max(len(known) // 2, 1)]
        known[0].buy(evaluator, evaluator.remaining, self.batch, self.single, rng)


def _starts(view: GroupView, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """List schedules (count, jobs) at several prices of traffic."""
    core, order = [], []
    first = view.adds.min(axis=1)
    for number in range(count):
        blur = np.exp(0.5 * rng.normal(size=len(first)) * (number > 0))
        sharp = 10.0 * np.exp(rng.normal() * (number > 0))
        core.append(priced_cores(view, np.argsort(-first * blur, kind="stable"), sharp))
        order.append(even_order(view, core[-1]))
    return np.array(core), view.classes(np.array(core), np.array(order))


def _changed(
    view: GroupView, core: Ints, priority: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Plans (N, jobs) with one change each: a job goes to another core, jobs of two cores or the
    priorities of two change places, or a priority is another."""
    count, rows = len(core), np.arange(len(core))
    core, priority = core.copy(), priority.copy()
    # The longer a job takes or is moved, the oftener it is meant.
    weight = np.sqrt(np.where(view.can, view.latency + view.moves, 0.0).mean(axis=1))
    weight = weight / weight.sum() + 1 / len(weight)
    one, two = rng.choice(len(weight), size=(2, count), p=weight / weight.sum())
    move = rng.integers(4, size=count)
    # Most of those that exchange priorities run on one core.
    rank = np.where(core == core[rows, one][:, None], rng.random(core.shape), -1.0)
    rank[rows, one] = -0.5  # itself, if there is no other
    two = np.where((move == 3) & (rng.random(count) < _ONE_CORE), rank.argmax(axis=1), two)
    at = rows[move == 0]
    core[at, one[at]] = view.draw_core(one[at], rng)
    at = rows[(move <= 1)]
    priority[at, one[at]] = rng.integers(view.priorities, size=len(at))
    fits = view.can[one, core[rows, two]] & view.can[two, core[rows, one]]
    at = rows[(move == 2) & fits]
    core[at, one[at]], core[at, two[at]] = core[at, two[at]], core[at, one[at]]
    at = rows[move >= 2]
    priority[at, one[at]], priority[at, two[at]] = priority[at, two[at]], priority[at, one[at]]
    return core, priority


class _Rules:
    """The best rules known of a list scheduler on one design, and the buying of their schedules.

    A rule is a row of numbers: of each network the logarithms of what scarcity and urgency count;
    the logarithm of how far chains are apart; of each sub-accelerator that of its price, beside
    the bound's; of each chain its place, sorted within equal networks; and what is said against
    each layer on each sub-accelerator.
    """

    def __init__(self, view: HeteroView, design: int, kept: int) -> None:
        self.view, self.design, self.kept = view, design, kept
        self.takes = view.takes(np.array([design]))
        self.left = view.left(self.takes)[0]
        self.price = prices(self.takes[0], view.lengths)
        self.built = np.flatnonzero(self.takes[0, :, 0] < NEVER)
        ends = np.cumsum(view.lengths)
        pairs = zip(view.lengths, ends, strict=True)
        own = [view.table[..., end - n : end].tobytes() for n, end in pairs]
        networks = list(dict.fromkeys(own))
        self.network = np.array([networks.index(each) for each in own])
        self.unit = float(self.takes[0].min(axis=0).mean())
        subs = len(self.price)
        self.sizes = [len(networks), len(networks), 1, subs, len(own)]
        self.reach = np.repeat([1.0, 1.0, 1.0, 0.4, 1.0], self.sizes)
        self.rules = np.zeros((0, sum(self.sizes)))
        self.against = np.zeros((0, subs, len(view.owner)))
        self.worth = np.zeros(0)

    @property
    def best(self) -> float:
        """The least makespan."""
        return float(self.worth.min(initial=np.inf))

    def buy(
        self,
        evaluator: Evaluator,
        samples: int,
        batch: int,
        single: float,
        rng: np.random.Generator,
    ) -> None:
        """Buy so many schedules of rules that are drawn, and then of such as change the best.

        Raises:
            BudgetSpent: If no sample is left.
        """
        while samples > 0:
            count = min(batch, samples)
            samples -= count
            rules, against = self._drawn(count, single, rng)
            takes = np.repeat(self.takes, count, axis=0)
            chain, core, _ = list_schedules(takes, self._read(rules, against), self.view.lengths)
            genes = self.view.genes(np.full(count, self.design), chain, core)
            worth = evaluator.evaluate(genes).objective
            n = len(worth)
            worth = np.concatenate([self.worth, worth])
            rules = np.concatenate([self.rules, rules[:n]])
            against = np.concatenate([self.against, against[:n]])
            _, kept = np.unique(worth, return_index=True)  # of equal ones only one
            kept = kept[: self.kept]
            self.rules, self.against, self.worth = rules[kept], against[kept], worth[kept]

    def _read(self, rules: Floats, against: Floats) -> Floats:
        """(N, subs, layers) what is to be said against a layer there, in cycles."""
        of = self.network[self.view.owner]
        scarcity, urgency, apart, price, place = np.split(rules, np.cumsum(self.sizes)[:-1], 1)
        cost = scarce(self.takes, self.price * np.exp(price)) * np.exp(scarcity)[:, None, of]
        urgent = np.exp(urgency - 3.0)[:, of] * self.left
        places = (self.unit * np.exp(apart) * place)[:, self.view.owner]
        found: Floats = cost + (places - urgent)[:, None] + self.unit * against
        return found

    def _drawn(self, count: int, single: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Rules (count, numbers) and what they say of single layers (count, subs, layers)."""
        rows, subs, layers = np.arange(count), *self.against.shape[1:]
        shape = count, len(self.reach)
        if not len(self.worth):
            rules = rng.normal(size=shape) * self.reach
            return self._sorted(rules), np.zeros((count, subs, layers))
        # Of two drawn at random, the better one comes first.
        parent = rng.integers(len(self.worth), size=(2, count)).min(axis=0)
        other = rng.integers(len(self.worth), size=count)
        rules, against = self.rules[parent], self.against[parent]
        alone = rng.random(count) < single
        mixed = (rng.random(shape) < 0.3) & ~alone[:, None]
        rules = np.where(mixed, self.rules[other], rules)
        far = np.exp(rng.normal(size=(count, 1)) - 1.0) * self.reach
        moved = (rng.random(shape) < 0.3) & ~alone[:, None]
        rules = self._sorted(rules + moved * far * rng.normal(size=shape))
        for _ in range(_LAYERS):
            layer, sub = rng.integers(layers, size=count), rng.choice(self.built, size=count)
            strength = rng.normal(size=count) * np.exp(rng.normal(size=count))
            against[rows[alone], sub[alone], layer[alone]] += strength[alone]
        return rules, against

    def _sorted(self, rules: Floats) -> Floats:
        """Equal networks go in their order: which of them is first makes no difference."""
        place = rules[:, -len(self.network) :]
        for network in range(self.sizes[0]):
            chains = self.network == network
            place[:, chains] = np.sort(place[:, chains], axis=1)
        return rules

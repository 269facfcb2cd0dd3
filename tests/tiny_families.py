"""Two tiny families: one separable, one neither separable nor enumerable.

They show what a family has to say, and that all of the suite works on it; ``contract.py`` and
``test_families.py`` use them.
"""

from functools import cache
from itertools import permutations, product

import numpy as np

from hwgym.core import (
    METRICS,
    Axis,
    Certificate,
    Environment,
    Family,
    Id,
    Metric,
    Problem,
    Scores,
    Space,
    Statement,
    TableProblem,
    Tables,
    TableWalk,
    VectorEnvironment,
    View,
    Walk,
    register_family,
)

# --- separable: pack bags, each with an item of some size and colour, within a weight -------------


class Bags(TableProblem):
    """One item a bag; larger ones are worth more and weigh more, and colours matter a little."""

    def __init__(self, bags, seed):
        self.bags, self.seed = bags, seed
        rng = np.random.default_rng(seed)
        self.usage_table = np.cumsum(rng.uniform(1, 3, (bags, 12)), axis=1)
        self.cost_table = 40 / self.usage_table + rng.uniform(0, 1, (bags, 12))

    @property
    def statement(self):
        return Statement(
            key={"family": "bags", "version": 0, "bags": self.bags, "seed": self.seed},
            title=f"{self.bags} bags, seed {self.seed}",
            space=Space(self.bags, (Axis("size", (1, 2, 3, 4)), Axis("colour", tuple("rgb")))),
            objective=Metric("cost", "EUR", "cost"),
            metrics=(METRICS["area"],),
            constraint=Metric("weight", "kg", "weight"),
            limit=self.usage_table.min(axis=1).sum() * 3,
            features=np.linspace(0, 1, 2 * self.bags).reshape(self.bags, 2),
            scale=float(self.cost_table.max(axis=1).sum()),
        )

    def make_tables(self):
        valid = np.ones(self.cost_table.shape, bool)
        valid[0, -1] = False
        return Tables(self.cost_table, self.usage_table, valid, {"area": self.usage_table**2})

    @classmethod
    @cache
    def of(cls, bags=3, seed=0):
        return cls(bags, seed)


# --- neither: visit some of six places, each with a gear and a lamp of a thousand settings --------


class Tour(Problem):
    """The way back and forth depends on the order; each place may be visited once."""

    PLACES, SETTINGS = 6, 1000

    def __init__(self, places, seed):
        self.places, self.seed = places, seed
        self.points = np.random.default_rng(seed).uniform(0, 100, (self.PLACES, 2))

    @property
    def statement(self):
        settings = tuple(range(self.SETTINGS))
        axes = (
            Axis("place", tuple(range(self.PLACES)), "categorical"),
            Axis("gear", settings),
            Axis("lamp", settings, "priority"),
        )
        return Statement(
            key={"family": "tour", "version": 0, "places": self.places, "seed": self.seed},
            title=f"a tour of {self.places} places, seed {self.seed}",
            space=Space(self.places, axes),
            objective=Metric("way", "km", "way", "whole"),
            scale=150.0 * self.places,
        )

    def score(self, genes):
        order = genes[..., 0]
        apart = np.diff(np.sort(order, axis=1), axis=1) > 0
        valid = apart.all(axis=1) & (order >= 0).all(axis=1)
        at = self.points[np.maximum(order, 0)]
        way = np.linalg.norm(np.diff(at, axis=1), axis=2).sum(axis=1)
        # The best gear at each place depends on the gear before: nothing is separable.
        ideal = (genes[:, :-1, 1] * 7 + 3) % self.SETTINGS
        way = way + np.abs(genes[:, 1:, 1] - ideal).sum(axis=1) / 100
        objective = np.where(valid, way, np.inf)
        return Scores(objective, np.zeros(len(genes)), valid, valid)

    def certify(self):
        orders = np.array(list(permutations(range(self.PLACES), self.places)))
        genes = np.zeros((len(orders), self.places, 3), np.int64)
        genes[..., 0] = orders
        for step in range(1, self.places):
            genes[:, step, 1] = (genes[:, step - 1, 1] * 7 + 3) % self.SETTINGS
        objective = self.score(genes).objective
        best = int(objective.argmin())
        way = float(objective[best])
        return Certificate(genes[best], way, way, "all orders, the gears to match")

    @classmethod
    @cache
    def of(cls, places=4, seed=0):
        return cls(places, seed)


class TourWalk(Walk):
    """A place may be visited once."""

    def _seen(self, state):
        seen = np.zeros((len(state.step), int(self.shape[0])), bool)
        for row, genes in enumerate(state.genes[..., 0]):
            seen[row, genes[genes >= 0]] = True
        return seen

    def allowed(self, state):
        free = ~self._seen(state)
        free[~free.any(axis=1)] = True
        return [free, *(np.ones((len(free), n), bool) for n in self.shape[1:])]

    def broken(self, state):
        return self._seen(state).sum(axis=1) < state.step


# --- the families ---------------------------------------------------------------------------------


def bag_ids():
    for bags, seed in product((3, 4), (0, 1)):
        yield Id(f"Bags-{bags}-{seed}-v0", {"bags": bags, "seed": seed})


def tour_ids():
    for places in (4, 5):
        yield Id(f"Tour-{places}-v0", {"places": places})


BAGS = Family(
    "bags", 0, Bags.of, TableWalk.of, bag_ids, View(),
    "tiny_families:BagsEnv", "tiny_families:BagsVectorEnv",
)  # fmt: skip
TOUR = Family(
    "tour", 0, Tour.of, TourWalk.of, tour_ids, View(),
    "tiny_families:TourEnv", "tiny_families:TourVectorEnv",
)  # fmt: skip


class BagsEnv(Environment):
    family = BAGS


class BagsVectorEnv(VectorEnvironment):
    scalar = BagsEnv


class TourEnv(Environment):
    family = TOUR


class TourVectorEnv(VectorEnvironment):
    scalar = TourEnv


register_family(BAGS)
register_family(TOUR)

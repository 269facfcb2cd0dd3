"""DesignProblem: any design space under a budget, here one of rooms that get windows and doors."""

import itertools
import math

import numpy as np
import pytest

from hwgym.core import (
    METRICS,
    Axis,
    Deployment,
    Design,
    DesignProblem,
    InfeasibleError,
    SharedProblem,
    SharedWalk,
)
from hwgym.core.design import CONSTRAINTS, OBJECTIVES, PLATFORMS

WINDOWS, DOORS = (1, 2, 4), (1, 3)


class House(Design):
    """Rooms get windows and doors; a room of no size takes no door."""

    part = "room"
    title, styles = "house", "brick"
    axes = (Axis("windows", WINDOWS), Axis("doors", DOORS))
    once = 1  # windows of one kind are bought for the whole house

    def __init__(self, rooms):
        self.rooms = rooms
        rng = np.random.default_rng(len(rooms))
        self.tables = {
            name: rng.integers(1, 50, (len(rooms), 6)).astype(dtype)
            for name, dtype in (("latency", np.int64), ("energy", float), ("area", float))
        }
        self.valid = np.ones((len(rooms), 6), bool)
        self.valid[0, 3] = False

    def table(self, metric):
        t = self.tables
        if metric.name in ("latency", "throughput"):
            return t["latency"]
        return t["latency"] * t["energy"] if metric.name == "edp" else t.get(
            metric.name, t["area"] * 2
        )  # fmt: skip

    @property
    def names(self):
        return tuple(self.rooms)

    @property
    def features(self):
        return np.linspace(0, 1, 2 * len(self.rooms)).reshape(-1, 2)

    @property
    def alike(self):
        return np.arange(len(self.rooms))

    @property
    def work(self):
        return np.arange(1.0, len(self.rooms) + 1)

    @property
    def key(self):
        return {"rooms": list(self.rooms)}

    @property
    def description(self):
        return {"rooms": list(self.rooms)}


class HouseProblem(DesignProblem):
    identity = {"family": "house", "version": 2, "cost_model": {"name": "guess", "version": "1"}}  # noqa: RUF012


class Cottage(HouseProblem):
    objectives = ("latency", "energy")


class SharedHouse(SharedProblem):
    identity = HouseProblem.identity


HOUSE = House(("hall", "kitchen", "attic"))
SETTINGS = [
    (objective, constraint, deployment)
    for objective in OBJECTIVES
    for constraint in CONSTRAINTS
    for deployment in ("LP", "LS")
    if (objective, deployment) != ("throughput", "LS")
]


def posed(objective="latency", constraint="area", platform=None, ratio=None, budget=None,
          deployment="LP", design=HOUSE, kind=HouseProblem):  # fmt: skip
    return kind.posed(design, objective, constraint, platform, ratio, budget, deployment)


def worth(choices, objective, constraint, deployment):
    """Objective, use and validity of a choice a room, by plain loops."""
    rooms = list(enumerate(choices))
    costs = [float(HOUSE.table(METRICS[objective])[room, c]) for room, c in rooms]
    uses = [float(HOUSE.table(METRICS[constraint])[room, c]) for room, c in rooms]
    return (
        max(costs) if objective == "throughput" else sum(costs),
        max(uses) if deployment == "LS" else sum(uses),
        all(HOUSE.valid[room, c] for room, c in rooms),
    )


@pytest.mark.parametrize(("objective", "constraint", "deployment"), SETTINGS)
def test_the_optimum_is_that_of_all_solutions(objective, constraint, deployment):
    problem = posed(objective, constraint, ratio=0.3, deployment=deployment)
    steps = 1 if deployment == "LS" else 3
    assert problem.num_steps == steps
    uses, best = [], math.inf
    for choices in itertools.product(range(6), repeat=steps):
        cost, used, valid = worth(choices * (4 - steps), objective, constraint, deployment)
        scores = problem.evaluate(problem.space.decode(np.array(choices)))
        assert scores.used[0] == used
        assert scores.valid[0] == valid
        assert scores.objective[0] == (cost if valid else math.inf)
        if valid:
            uses.append(used)
            best = min(best, cost if used <= problem.budget else math.inf)
    assert problem.budget_range == (min(uses), max(uses))
    assert problem.budget == min(uses) + (max(uses) - min(uses)) * 0.3
    assert problem.optimum().objective == best


def test_a_problem_says_what_its_design_says():
    problem = posed(platform="cloud", constraint="power")
    statement = problem.statement
    asked = {"objective": "latency", "constraint": "power", "deployment": "LP"}
    asked["budget"] = problem.budget
    assert statement.key == {
        **HouseProblem.identity,
        "rooms": ["hall", "kitchen", "attic"],
        **asked,
    }
    assert problem.description == {"rooms": ["hall", "kitchen", "attic"], **asked}
    assert statement.title == "house, brick: latency under power (cloud, LP)"
    assert [m.name for m in statement.metrics] == ["latency", "energy", "area", "power"]
    assert statement.space.axes == HOUSE.axes
    assert statement.names == ("hall", "kitchen", "attic")
    np.testing.assert_array_equal(statement.features, HOUSE.features)
    np.testing.assert_array_equal(statement.work, [1, 2, 3])
    assert repr(problem).startswith("<HouseProblem house brick latency power<=")
    assert posed(ratio=0.25).statement.title.endswith("(0.25 of the range, LP)")
    assert posed(budget=300).statement.title.endswith("(given budget, LP)")


def test_one_configuration_for_all_is_one_step():
    statement = posed(deployment="LS", platform="unlimited").statement
    assert statement.names == ("all rooms",)
    assert statement.work.tolist() == [6]
    assert statement.alike.tolist() == [0]
    np.testing.assert_array_equal(statement.features, HOUSE.features.mean(axis=0, keepdims=True))


def test_equal_arguments_share_a_problem():
    assert posed() is posed(platform="iot")
    assert posed() is not posed(platform="cloud")
    assert posed(deployment=Deployment.LS) is posed(deployment="LS")
    assert posed() is not posed(kind=Cottage)
    assert PLATFORMS[posed().platform] == 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "energie"}, "unknown objective 'energie'; did you mean 'energy'"),
        ({"objective": "edp", "kind": Cottage}, "unknown objective 'edp'.*latency"),
        ({"objective": METRICS["area"]}, "unknown objective 'area'"),
        ({"constraint": "latency"}, "unknown constraint 'latency'"),
        ({"deployment": "lp"}, "unknown deployment 'lp'; did you mean 'LP'"),
        ({"objective": "throughput", "deployment": "LS"}, "room pipeline.*all rooms.*'latency'"),
        ({"platform": "iot", "ratio": 0.1}, "give one of platform, ratio and budget"),
        ({"platform": "IoT"}, "unknown platform 'IoT'; did you mean 'iot'"),
        ({"ratio": 2}, r"ratio must lie in \[0, 1\], got 2"),
        ({"budget": True}, "budget must be a number >= 0, got True"),
    ],
)
def test_errors_name_what_is_wrong(settings, message):
    with pytest.raises(ValueError, match=message):
        posed(**settings)


def test_what_cannot_be_built_is_said_in_the_words_of_the_design():
    with pytest.raises(InfeasibleError, match=r"no assignment fits the area budget of 1 um\^2: the "
                       r"least that any valid assignment of house takes is \d+ um\^2"):  # fmt: skip
        posed(budget=1)
    house = House(("hall", "cellar"))
    house.valid[1] = False
    where = r"under brick with windows \(1, 2, 4\) and doors \(1, 3\)"
    with pytest.raises(ValueError, match=f"house: room 'cellar' has no valid design point {where}"):
        posed(design=house)
    house.valid = np.eye(2, 6, dtype=bool)
    with pytest.raises(
        ValueError, match=f"house: no configuration is valid for every room {where}"
    ):
        posed(design=house, deployment="LS")


# --- one array for all ----------------------------------------------------------------------------


def shared(design=HOUSE, **settings):
    return posed(**{"deployment": "shared", "kind": SharedHouse, "design": design, **settings})


def every(problem):
    """All solutions, as action numbers; and what each room really gets: the first one's windows."""
    for numbers in itertools.product(range(6), repeat=problem.num_steps):
        yield numbers, [numbers[0] // 2 * 2 + n % 2 for n in numbers]


@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("ratio", [0.0, 0.4, 1.0])
def test_the_optimum_of_a_shared_array_is_that_of_all_solutions(objective, constraint, ratio):
    problem = shared(objective=objective, constraint=constraint, ratio=ratio)
    assert problem.deployment is Deployment.SHARED
    uses, best, unlimited = [], math.inf, (math.inf, math.inf)
    for numbers, given in every(problem):
        cost, used, valid = worth(given, objective, constraint, "LS")
        genes = problem.space.decode(np.array(numbers))
        scores = problem.evaluate(genes)
        assert problem.choices(genes[None])[0].tolist() == given
        assert (scores.used[0], scores.valid[0]) == (used, valid)
        assert scores.objective[0] == (cost if valid else math.inf)
        assert scores.feasible[0] == (valid and used <= problem.limit)
        if valid:
            uses.append(used)
            best = min(best, cost if used <= problem.limit else math.inf)
            unlimited = min(unlimited, (cost, used))
    least, greatest = problem.budget_range
    assert (least, greatest) == (min(uses), max(uses))
    assert problem.budget == pytest.approx(least + (greatest - least) * ratio)
    assert problem.optimum().objective == best
    assert problem.binds == (unlimited[1] > problem.limit)
    assert problem.statement.scale >= best
    assert not problem.separable
    assert problem.statement.objective.join == "whole"
    assert problem.best_uniform() >= best


def test_masks_of_a_shared_array_allow_exactly_what_can_still_fit():
    problem = shared(ratio=0.5)
    walk = SharedWalk.of([problem])
    feasible = [n for n, _ in every(problem)
                if problem.evaluate(problem.space.decode(np.array(n))).feasible[0]]  # fmt: skip
    state = walk.begin(np.zeros(1, np.int64))
    assert 0 < len({n[0] for n in feasible}) < 6
    for steps in range(3):
        begun = [int(problem.space.encode(g)) for g in state.genes[0, :steps]]
        # The windows of a later step mean nothing; only those that count are shown.
        same = {n[steps] for n in feasible if list(n[:steps]) == begun}
        if steps:
            same = {n for n in same if n // 2 == begun[0] // 2}
        assert set(np.flatnonzero(walk.masks(state, "discrete")[0])) == same
        grid = walk.masks(state, "discrete")[0].reshape(3, 2)
        both = np.concatenate([grid.any(axis=1), grid.any(axis=0)])
        np.testing.assert_array_equal(walk.masks(state, "multi_discrete")[0], both)
        for choice in range(6):
            _, outcome = walk.step(state, np.array([choice]))
            ends_well = any(list(n[: steps + 1]) == [*begun, choice] for n in feasible)
            assert outcome.failed[0] != ends_well
            assert outcome.finished[0] == (steps == 2 and ends_well)
        state, _ = walk.step(state, np.array([min(same)]))


def test_what_is_observed_of_a_shared_array_is_what_counts():
    problem = shared(platform="unlimited")
    walk = SharedWalk.of([problem])
    state = walk.begin(np.zeros(2, np.int64))
    assert walk.observe(state).shape == (2, walk.observation_size)
    state, _ = walk.step(state, np.array([2, 2]))
    state, _ = walk.step(state, np.array([1, 3]))  # other windows, the same door
    seen = walk.observe(state, room=1)
    np.testing.assert_array_equal(seen[0], seen[1])
    used = problem.evaluate(problem.space.decode(np.array([[2, 1, 0]])))
    first_two = max(HOUSE.tables["area"][0, 2], HOUSE.tables["area"][1, 3])
    assert used.used[0] >= first_two
    assert seen[0, -2] == pytest.approx((1 - first_two / problem.limit) * 2 - 1)
    assert seen[0, 2:4].tolist() == pytest.approx([2 * 2 / 3 - 1, 1.0])


def test_what_cannot_be_shared_is_said():
    with pytest.raises(ValueError, match=r"unknown deployment 'LP' \(available: shared\)"):
        shared(deployment="LP")
    with pytest.raises(ValueError, match=r"unknown deployment 'shared' \(available: LP, LS\)"):
        posed(deployment="shared")
    with pytest.raises(ValueError, match="throughput is the period of a room pipeline"):
        shared(objective="throughput")
    with pytest.raises(InfeasibleError, match="no assignment fits"):
        shared(budget=0)
    house = House(("hall", "cellar"))
    house.valid = np.array([[True] * 4 + [False] * 2, [False] * 4 + [True] * 2])
    with pytest.raises(ValueError, match="house: no array runs every room under brick with wind"):
        shared(design=house)
    house.once = 0
    with pytest.raises(ValueError, match=r"nothing to choose on a shared array; .* LS is"):
        shared(design=house)

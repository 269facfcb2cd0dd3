"""DesignProblem: any design space under a budget, here one of rooms that get windows and doors."""

import itertools
import math

import numpy as np
import pytest

from hwgym.core import METRICS, Axis, Deployment, Design, DesignProblem, InfeasibleError
from hwgym.core.design import CONSTRAINTS, OBJECTIVES, PLATFORMS

WINDOWS, DOORS = (1, 2, 4), (1, 3)


class House(Design):
    """Rooms get windows and doors; a room of no size takes no door."""

    part = "room"
    title, styles = "house", "brick"
    axes = (Axis("windows", WINDOWS), Axis("doors", DOORS))

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

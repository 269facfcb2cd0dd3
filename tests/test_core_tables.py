"""Problems given by their tables: scores, limits and certificates against plain loops."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_families import Bags

from hwgym.core import InfeasibleError, Metric, TableProblem, Tables
from hwgym.core.metric import thousands

MAXIMUM = Metric("longest", "s", "longest", "maximum")


class Given(TableProblem):
    """Of tables that are given."""

    def __init__(self, cost, usage, valid, limit, join="add", constraint=True):
        self.given = [np.array(table, float) for table in (cost, usage)]
        self.usable = np.array(valid, bool)
        self.settings = limit, join, constraint

    @property
    def statement(self):
        limit, join, constraint = self.settings
        steps, actions = self.usable.shape
        space = dataclasses.replace(
            Bags.of(steps).space,
            axes=(dataclasses.replace(Bags.of(2).space.axes[0], labels=tuple(range(actions))),),
        )
        return dataclasses.replace(
            Bags.of(steps).statement,
            space=space,
            limit=limit if constraint else np.inf,
            constraint=Metric("weight", "kg", "weight") if constraint else None,
            objective=MAXIMUM if join == "maximum" else Metric("cost", "EUR", "cost"),
            metrics=(),
        )

    def make_tables(self):
        cost, usage = self.given
        return Tables(cost, usage, self.usable)


def by_loop(problem, numbers):
    """(objective, used, valid) of one solution, a step at a time."""
    maximum = problem.settings[1] == "maximum"
    objective = used = 0.0
    valid = True
    for step, number in enumerate(numbers):
        if number < 0:
            valid = False
            continue
        cost = problem.given[0][step, number]
        objective = max(objective, cost) if maximum else objective + cost
        used += problem.given[1][step, number]
        valid &= bool(problem.usable[step, number])
    return (objective if valid else np.inf), used, valid


tables = st.integers(1, 3).flatmap(
    lambda steps: st.integers(1, 4).flatmap(
        lambda actions: st.tuples(
            *(
                st.lists(
                    st.lists(st.integers(0, 9), min_size=actions, max_size=actions),
                    min_size=steps,
                    max_size=steps,
                )
                for _ in range(2)
            ),
            st.lists(
                st.lists(st.booleans(), min_size=actions, max_size=actions).map(
                    lambda row: row if any(row) else [True, *row[1:]]
                ),
                min_size=steps,
                max_size=steps,
            ),
            st.integers(0, 25),
            st.sampled_from(["add", "maximum"]),
        )
    )
)


@given(tables)
def test_everything_about_small_tables(drawn):
    problem = Given(*drawn)
    steps, actions = problem.usable.shape
    numbers = np.array(list(itertools.product(range(-1, actions), repeat=steps)))
    scores = problem.evaluate_actions(numbers)
    by_genes = problem.evaluate(numbers[..., None])
    for i, row in enumerate(numbers):
        objective, used, valid = by_loop(problem, row)
        assert scores.objective[i] == by_genes.objective[i] == objective
        assert scores.valid[i] == valid
        assert scores.feasible[i] == (valid and used <= problem.limit)
    cost, usage = (np.where(problem.usable, t, np.inf) for t in problem.given)
    assert problem.best_cost.tolist() == cost.min(axis=1).tolist()
    assert problem.worst_cost.tolist() == np.where(np.isfinite(cost), cost, -1).max(axis=1).tolist()
    assert problem.least_used.tolist() == usage.min(axis=1).tolist()
    after = [float(problem.least_used[i:].sum()) for i in range(steps + 1)]
    assert problem.least_used_after.tolist() == after
    cheapest = np.where(cost == cost.min(axis=1, keepdims=True), usage, np.inf).min(axis=1).sum()
    assert problem.binds == (cheapest > problem.limit)
    if after[0] > problem.limit:
        with pytest.raises(InfeasibleError, match="is too much"):
            problem.certificate()
        assert not scores.feasible.any()
        return
    best = problem.optimum()
    assert best.objective == scores.best
    assert best.relaxation <= best.objective
    assert best.seconds > 0
    assert problem.best_uniform() == problem.evaluate(problem.space.uniform()).best


def test_a_step_without_a_valid_choice_is_named():
    problem = Given([[1, 1], [1, 1]], [[1, 1], [1, 1]], [[1, 1], [0, 0]], 9)
    with pytest.raises(ValueError, match="step 2 has no valid choice"):
        problem.certificate()


def test_without_a_constraint_nothing_is_used():
    problem = Given([[1, 2]], [[0, 0]], [[1, 1]], 9, constraint=False)
    assert problem.evaluate([[0]]).used.tolist() == [0.0]
    assert problem.limit == np.inf
    assert problem.optimum().objective == 1
    assert not problem.binds


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((1, 2), int), r"actions must have shape \(N, 3\), got \(1, 2\)"),
        (np.zeros(3, int), r"got \(3,\)"),
        (np.full((1, 3), 12), r"action numbers must lie in 0\.\.11, or be -1"),
        (np.full((1, 3), -2), "or be -1"),
    ],
)
def test_evaluate_actions_refuses(actions, message):
    with pytest.raises(ValueError, match=message):
        Bags.of(3).evaluate_actions(actions)


def test_many_solutions_are_scored_as_few_are():
    """In batches, the last of which is shorter; each sum step by step, in order."""
    bags = Bags.of(4)
    numbers = np.random.default_rng(0).integers(-1, 12, (1301, 4))
    scores = bags.evaluate_actions(numbers)
    assert len(scores) == 1301
    for rows in (slice(0, 3), slice(510, 515), slice(1022, 1027), slice(1299, 1301)):
        few = bags.evaluate_actions(numbers[rows])
        for name in ("objective", "used", "valid", "feasible"):
            np.testing.assert_array_equal(getattr(few, name), getattr(scores, name)[rows])
    one = numbers[(numbers >= 0).all(axis=1)][0]
    total = 0.0
    for step, number in enumerate(one):
        total += bags.tables.metrics["area"][step, number]
    assert bags.evaluate_actions(one[None])["area"][0] == total


@pytest.mark.parametrize(
    "name", ["cost", "usage", "valid", "least_used", "best_cost", "worst_cost"]
)
def test_what_is_shared_is_read_only(name):
    assert not getattr(Bags.of(3), name).flags.writeable
    assert not Bags.of(3).tables.metrics["area"].flags.writeable


def test_another_method_finds_the_same():
    pytest.importorskip("scipy")
    bags = Bags.of(4)
    assert bags.certify("milp").objective == pytest.approx(bags.optimum().objective, rel=1e-9)


@pytest.mark.parametrize(
    ("number", "text"),
    [(3, "3"), (1234567.0, "1,234,567"), (0.1234567, "0.123457"), (123456.7, "123,457"),
     (99999.5, "99,999.5"), (-250000.25, "-250,000"), (np.inf, "inf"), (np.nan, "nan")],
)  # fmt: skip
def test_numbers_for_people(number, text):
    assert thousands(number) == text

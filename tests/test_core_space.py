"""Spaces, metrics, statements, scores and certificates: what problems are made of."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_families import Bags, Tour

from hwgym.core import METRICS, Axis, Certificate, Metric, Scores, Space, Statement, find_metric
from hwgym.core.actions import ACTION_MODES, action_modes, actions_of, choices_of
from hwgym.core.space import ENUMERABLE

SMALL = Space(3, (Axis("size", (1, 2, 3, 4)), Axis("colour", tuple("rgb"), "categorical")))
LARGE = Space(2, (Axis("a", tuple(range(300))), Axis("b", tuple(range(300)), "priority")))


# --- spaces ---------------------------------------------------------------------------------------


def test_what_a_space_says():
    assert (SMALL.shape, SMALL.joint, SMALL.num_actions) == ((4, 3), 12, 12)
    assert SMALL.ordered.tolist() == [True, False]
    assert LARGE.ordered.tolist() == [True, True]
    assert (LARGE.shape, LARGE.joint) == ((300, 300), None)
    assert SMALL.describe([3, 1]) == (4, "g")
    with pytest.raises(ValueError, match=r"300 x 300 joint choices, more than the 65,536"):
        _ = LARGE.num_actions


@pytest.mark.parametrize(("last", "joint"), [(256, ENUMERABLE), (257, None)])
def test_where_enumerating_ends(last, joint):
    assert Space(1, (Axis("a", (0,) * 256), Axis("b", (0,) * last))).joint == joint


def test_a_step_of_many_axes_is_named_by_its_first():
    many = Space(1, tuple(Axis(str(i), (0, 1)) for i in range(20)))
    with pytest.raises(ValueError, match=r"a step has 2 x 2 x 2 x 2 x \.\.\. joint"):
        many.encode(np.zeros((1, 20), int))


@pytest.mark.parametrize(("steps", "axes"), [(0, (Axis("a", (1,)),)), (2, ())])
def test_a_space_needs_something_to_choose(steps, axes):
    with pytest.raises(ValueError, match="at least one step and one axis"):
        Space(steps, axes)


def test_an_axis_needs_a_choice():
    with pytest.raises(ValueError, match="axis 'size' has no choices"):
        Axis("size", ())


def test_numbers_count_through_the_axes_the_last_fastest():
    every = list(itertools.product(range(4), range(3)))
    assert SMALL.decode(np.arange(12)).tolist() == [list(each) for each in every]
    assert SMALL.encode(np.array(every)).tolist() == list(range(12))
    assert SMALL.encode(np.array([[1, 2], [-1, -1], [0, -1]])).tolist() == [5, -1, -1]
    assert SMALL.decode([[3, -1]]).tolist() == [[[1, 0], [-1, -1]]]
    assert SMALL.encode(np.zeros((2, 0, 2), np.int8)).shape == (2, 0)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_genes_of_any_integer(dtype):
    genes = np.array([[3, 2], [0, 1]], dtype)
    assert SMALL.encode(genes).tolist() == [11, 1]
    assert SMALL.encode(genes).dtype == np.int64
    assert SMALL.check(np.array([[3, 2], [0, 1], [0, 0]], dtype)).dtype == np.int64


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ([[0.0, 1.0]], r"genes must be integers of shape \(\.\.\., 2\), got float64"),
        ([[True, False]], "got bool"),
        ([0, 1, 2], r"of shape \(3,\)"),
        (3, r"of shape \(\)"),
        ([[4, 0]], r"genes must lie in 0\.\.\[3, 2\], or be -1"),
        ([[0, 3]], "or be -1"),
        ([[0, -2]], "or be -1"),
    ],
)
def test_encode_refuses(genes, message):
    with pytest.raises(ValueError, match=message):
        SMALL.encode(np.array(genes))


@pytest.mark.parametrize("numbers", [12, -2, [0, 12]])
def test_decode_refuses(numbers):
    with pytest.raises(ValueError, match=r"action numbers must lie in 0\.\.11, or be -1"):
        SMALL.decode(numbers)


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (np.zeros((2, 2), int), r"shape \(N, 3, 2\) or \(3, 2\), got \(2, 2\)"),
        (np.zeros((1, 3, 3), int), r"got \(1, 3, 3\)"),
        (np.zeros((1, 1, 3, 2), int), r"got \(1, 1, 3, 2\)"),
        (np.zeros(2, int), r"got \(2,\)"),
        (np.zeros((3, 2)), "must be integers, got float64"),
        (np.full((3, 2), -2), r"must lie in 0\.\.\[3, 2\], or be -1"),
        (np.full((3, 2), 3), r"must lie in 0\.\.\[3, 2\]"),
    ],
)
def test_check_refuses(genes, message):
    with pytest.raises(ValueError, match=message):
        SMALL.check(genes)


def test_check_takes_one_or_many_or_none():
    assert SMALL.check(np.full((3, 2), -1)).shape == (1, 3, 2)
    assert SMALL.check([[[0, 0]] * 3] * 4).shape == (4, 3, 2)
    assert SMALL.check(np.zeros((0, 3, 2), int)).shape == (0, 3, 2)


@pytest.mark.parametrize("space", [SMALL, LARGE])
def test_every_choice_is_drawn(space):
    drawn = space.draw(np.random.default_rng(0), 3000)
    assert drawn.shape == (3000, space.num_steps, 2)
    for axis, size in enumerate(space.shape):
        counts = np.bincount(drawn[..., axis].ravel(), minlength=size)
        assert len(counts) == size
        assert counts.min() > 0
        assert counts.max() < 3 * drawn[..., axis].size / size
    again = space.draw(np.random.default_rng(0), 3000)
    np.testing.assert_array_equal(drawn, again)


def test_uniform_solutions():
    uniform = SMALL.uniform()
    assert uniform.shape == (12, 3, 2)
    assert (uniform == uniform[:, :1]).all()
    assert SMALL.encode(uniform[:, 0]).tolist() == list(range(12))
    with pytest.raises(ValueError, match="joint choices"):
        LARGE.uniform()


@pytest.mark.parametrize("space", [SMALL, LARGE])
def test_what_walkers_hold_stands_for_the_genes_and_is_a_copy(space):
    genes = space.draw(np.random.default_rng(0), 5)
    for check in (True, False):
        packed = space.pack(genes, check=check)
        np.testing.assert_array_equal(space.unpack(packed), genes)
        assert not np.shares_memory(packed, genes)


# --- steps that differ ----------------------------------------------------------------------------

STEPS = Space.of_steps(
    [
        [Axis("size", (1, 2, 4, 8, 16))],
        [Axis("colour", tuple("rgb"), "categorical")],
        [Axis("only", ("this",))],
    ]
)


def test_steps_may_differ():
    assert (STEPS.num_steps, STEPS.shape, STEPS.num_actions) == (3, (5,), 5)
    assert STEPS.sizes.tolist() == [[5], [3], [1]]
    assert STEPS.ordered_at.tolist() == [[True], [False], [True]]
    assert STEPS.ordered.tolist() == [False]
    assert [axes[0].name for axes in map(STEPS.axes_of, range(3))] == ["size", "colour", "only"]
    assert STEPS.describe([2], 0) == (4,)
    assert STEPS.describe([2], 1) == ("b",)
    assert STEPS.describe([2], 2) == STEPS.describe([-1], 2) == (None,)


def test_where_steps_are_alike_sizes_are_those_of_the_axes():
    assert SMALL.sizes.tolist() == [[4, 3]] * 3
    assert SMALL.ordered_at.tolist() == [[True, False]] * 3
    assert SMALL.axes_of(2) is SMALL.axes


def test_only_choices_of_its_step_are_drawn_and_all_are():
    drawn = STEPS.draw(np.random.default_rng(0), 500)
    assert drawn.shape == (500, 3, 1)
    assert [sorted(set(drawn[:, step, 0].tolist())) for step in range(3)] == [
        [0, 1, 2, 3, 4],
        [0, 1, 2],
        [0],
    ]
    assert STEPS.within(drawn).all()


def test_an_index_beyond_its_step_is_legal_and_told_apart():
    genes = np.array([[[4], [2], [0]], [[4], [3], [0]], [[0], [0], [-1]]])
    np.testing.assert_array_equal(STEPS.check(genes), genes)
    assert STEPS.within(genes).tolist() == [True, False, False]
    assert STEPS.unpack(STEPS.pack(genes)).tolist() == genes.tolist()
    with pytest.raises(ValueError, match="genes must lie in"):
        STEPS.check(genes + 1)


def test_uniform_solutions_go_through_every_range():
    uniform = STEPS.uniform()
    assert uniform[..., 0].tolist() == [[0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 1, 0], [4, 2, 0]]


def test_a_space_is_as_wide_as_is_asked():
    steps = [[Axis("a", (1, 2))], [Axis("b", (1, 2, 3))]]
    assert Space.of_steps(steps, width=7).shape == (7,)
    assert Space.of_steps(steps, width=7).sizes.tolist() == [[2], [3]]
    with pytest.raises(ValueError, match="width must be at least 3, got 2"):
        Space.of_steps(steps, width=2)
    with pytest.raises(ValueError, match="axes are of 1 steps; the space has 2"):
        Space(2, (Axis("a", (1, 2)),), ((Axis("a", (1, 2)),),))
    with pytest.raises(ValueError, match="step 1 has 2 choices of 'a', more than the 1 of 'b'"):
        Space(1, (Axis("b", (1,)),), ((Axis("a", (1, 2)),),))
    with pytest.raises(ValueError, match="every step has as many axes: step 1 has 2, the space 1"):
        Space(1, (Axis("b", (1,)),), ((Axis("a", (1,)), Axis("a", (1,))),))


# --- actions --------------------------------------------------------------------------------------


def test_action_modes():
    assert action_modes(SMALL) == ACTION_MODES
    assert action_modes(LARGE) == ("multi_discrete", "continuous")


@given(st.data(), st.sampled_from(ACTION_MODES), st.sampled_from([SMALL, LARGE]))
def test_actions_stand_for_the_choices_they_are_made_of(data, mode, space):
    if mode not in action_modes(space):
        return
    genes = np.array(
        data.draw(
            st.lists(
                st.tuples(*(st.integers(0, n - 1) for n in space.shape)), min_size=1, max_size=6
            )
        )
    )
    actions = actions_of(space, mode, genes)
    np.testing.assert_array_equal(space.unpack(choices_of(space, mode, actions)), genes)


def test_continuous_actions_are_clipped():
    actions = np.array([[-5.0, 5.0], [1.0, -1.0], [np.inf, -np.inf]])
    found = SMALL.unpack(choices_of(SMALL, "continuous", actions))
    assert found.tolist() == [[0, 2], [3, 0], [3, 0]]


# --- metrics --------------------------------------------------------------------------------------


def test_metrics_are_one_table():
    assert {name: m.name for name, m in METRICS.items()} == {name: name for name in METRICS}
    assert {m.name: (m.unit, m.join) for m in METRICS.values()} == {
        "latency": ("cycles", "add"),
        "energy": ("nJ", "add"),
        "edp": ("nJ x cycles", "add"),
        "throughput": ("cycles", "maximum"),
        "area": ("um^2", "add"),
        "power": ("mW", "add"),
        "makespan": ("cycles", "whole"),
        "errors": ("wrong answers", "whole"),
        "noise": ("", "add"),
    }
    assert METRICS["area"].column == "area_um2"
    assert Metric("x", "m", "X").column == "x"
    with pytest.raises(TypeError):
        METRICS["more"] = METRICS["area"]


def test_how_metrics_are_shown():
    area, latency = METRICS["area"], METRICS["latency"]
    assert (area.axis, latency.axis) == ("area (mm²)", "latency (cycles)")
    assert (area.text(8_416_000.0), latency.text(190_338.0)) == ("8.416 mm²", "190,338 cycles")
    assert area.shown([2e6, 0]).tolist() == [2.0, 0.0]
    assert latency.shown(3).tolist() == 3.0
    bare = Metric("x", "", "X")
    assert (bare.axis, bare.text(2.0), bare.shown_scale) == ("X", "2", 1.0)


def test_how_metrics_join():
    assert METRICS["latency"].ufunc is np.add
    assert METRICS["throughput"].ufunc is np.maximum
    assert [METRICS[n].adds_up for n in ("latency", "throughput")] == [True, False]
    whole = Metric("way", "km", "way", "whole")
    assert not whole.adds_up
    with pytest.raises(ValueError, match="way has no parts"):
        _ = whole.ufunc


def test_an_unknown_metric_names_the_nearest():
    assert find_metric("area") is METRICS["area"]
    with pytest.raises(ValueError, match="unknown metric 'areas'; did you mean 'area'"):
        find_metric("areas")
    with pytest.raises(ValueError, match="unknown constraint 'energy'"):
        find_metric("energy", "constraint", ("area", "power"))


# --- statements and scores ------------------------------------------------------------------------


def test_what_a_statement_does_not_say_is_made_up():
    statement = Statement({"family": "x"}, "x", SMALL, METRICS["latency"])
    assert statement.features.shape == (3, 0)
    assert statement.alike.tolist() == [0, 1, 2]
    assert statement.work.tolist() == [1.0] * 3
    assert statement.names == ("step 1", "step 2", "step 3")
    assert statement.limit == np.inf
    assert [g.tolist() for g in statement.groups] == [[0], [1], [2]]
    alike = Statement({}, "x", SMALL, METRICS["latency"], alike=np.array([7, 2, 7]))
    assert [g.tolist() for g in alike.groups] == [[1], [0, 2]]
    limited = Statement({}, "x", SMALL, METRICS["latency"], limit=np.float64(3))
    assert type(limited.limit) is float


def test_a_statement_may_draw_and_repair_by_itself():
    ones, twos = (np.full((4, 3, 2), number) for number in (1, 2))
    own = {"draws": lambda rng, count: ones[:count], "repairs": lambda genes, rng: twos}
    statement = Statement({}, "x", SMALL, METRICS["latency"], allowed=None, **own)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(statement.draw(rng, 2), ones[:2])
    assert statement.repair(ones, rng) is twos


@pytest.mark.parametrize("field", ["features", "alike", "work", "names"])
def test_a_statement_is_of_all_steps(field):
    value = {"features": np.zeros((2, 1)), "names": ("a", "b")}.get(field, np.zeros(2))
    with pytest.raises(ValueError, match=f"{field} are of 2 steps; the problem has 3"):
        Statement({}, "x", SMALL, METRICS["latency"], **{field: value})


def test_by_how_much_the_limit_is_exceeded():
    bags = Bags.of(3)
    scores = bags.evaluate(bags.space.draw(np.random.default_rng(0), 200))
    excess = bags.statement.excess(scores)
    over = scores.used / bags.limit - 1
    np.testing.assert_array_equal(excess[scores.feasible], 0.0)
    assert (excess[~scores.valid] == np.inf).all()
    beyond = scores.valid & ~scores.feasible
    assert beyond.any()
    np.testing.assert_array_equal(excess[beyond], over[beyond])
    tour = Tour.of(4)  # there is no limit
    scores = tour.evaluate(tour.space.draw(np.random.default_rng(0), 50))
    np.testing.assert_array_equal(
        tour.statement.excess(scores), np.where(scores.valid, 0.0, np.inf)
    )


def test_scores_are_taken_and_joined():
    bags = Bags.of(3)
    genes = bags.space.draw(np.random.default_rng(0), 30)
    scores = bags.evaluate(genes)
    odd, even = scores.take(np.arange(1, 30, 2)), scores.take(slice(0, None, 2))
    joined = Scores.join([odd, even])
    order = np.r_[1:30:2, 0:30:2]
    for name in ("objective", "used", "valid", "feasible"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(scores, name)[order])
    np.testing.assert_array_equal(joined["area"], scores["area"][order])
    assert len(joined) == 30
    assert joined.best == scores.best == scores.objective[scores.feasible].min()
    assert scores.take(np.zeros(0, int)).best == np.inf
    assert Scores.join([bags.evaluate(genes[:0])] * 2).best == np.inf
    with pytest.raises(KeyError, match="no metric 'power'; there are area"):
        scores["power"]


# --- certificates ---------------------------------------------------------------------------------


def test_a_certificate_of_an_optimum():
    found = Certificate(np.zeros((1, 1), int), 8.0, 8.0, "m")
    assert (found.exact, found.gap, found.name, found.yardstick) == (True, 0.0, "regret", 8.0)
    assert found.relaxation == 8.0
    assert found.above(10.0) == 0.25
    assert type(found.above(10.0)) is float


def test_a_certificate_of_a_bound():
    found = Certificate(np.zeros((1, 1), int), 8.0, 4.0, "m", relaxation=3.0)
    assert (found.exact, found.gap, found.name, found.yardstick) == (False, 1.0, "gap", 4.0)
    assert found.relaxation == 3.0
    np.testing.assert_array_equal(found.above(np.array([3.0, 4.0, 8.0, np.inf])), [0, 0, 1, np.inf])


def test_an_optimum_of_nothing():
    found = Certificate(np.zeros((1, 1), int), 0.0, 0.0, "m")
    assert (found.exact, found.gap, found.yardstick) == (True, 0.0, 0.0)
    assert found.above(0.0) == 0.0
    assert found.above(1e-9) == np.inf
    np.testing.assert_array_equal(found.above(np.array([0.0, 2.0, np.inf])), [0, np.inf, np.inf])
    bound = Certificate(np.zeros((1, 1), int), 2.0, 0.0, "m")
    assert (bound.exact, bound.gap, bound.name) == (False, np.inf, "gap")


def test_what_a_certificate_says_of_itself():
    found = Certificate(np.zeros((1, 1), int), 8.0, 4.0, "m", seconds=0.25)
    assert repr(found) == (
        "Certificate(objective=8.0, lower_bound=4.0, gap=1, method='m', seconds=0.25)"
    )


def test_a_bound_does_not_exceed_what_it_bounds():
    with pytest.raises(ValueError, match=r"the lower bound 9\.0 exceeds the objective 8\.0"):
        Certificate(np.zeros((1, 1), int), 8.0, 9.0, "m")
    with pytest.raises(ValueError, match="exceeds"):
        Certificate(np.zeros((1, 1), int), 8.0, float("nan"), "m")


def test_a_solution_that_is_not_what_it_claims_is_noticed():
    class Lying(Tour):
        def certify(self):
            true = super().certify()
            return Certificate(true.assignment, true.objective / 2, true.objective / 2, "a guess")

    class Wrong(Tour):
        def certify(self):
            return Certificate(np.zeros((4, 3), int), np.inf, np.inf, "a guess")

    for cls in (Lying, Wrong):
        with pytest.raises(RuntimeError, match="a guess: the solution found is not what it claims"):
            cls(4, 0).certificate()


def test_where_only_a_bound_is_known():
    class Bounded(Tour):
        def certify(self):
            true = super().certify()
            return Certificate(true.assignment, true.objective, true.objective / 2, "half")

    problem = Bounded(4, 0)
    assert problem.certificate() is problem.certificate()
    assert not problem.certificate().assignment.flags.writeable
    assert problem.regret(problem.certificate().objective) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"no optimum is proven of <Bounded .*a gap of 100\.00%"):
        problem.optimum()

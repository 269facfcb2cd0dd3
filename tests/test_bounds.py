"""Bounds over plain tables against brute force, down to the last bit of rounding."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwgym.bounds import knapsack, milp, pareto
from hwgym.bounds.bottleneck import least_greatest
from hwgym.bounds.optimum import cheapest_choice

ROUNDING = 1e-12
MORE = settings(max_examples=150)
UNITS = [1.0, 0.1, 1 / 3]  # sums of tenths and thirds depend on their order

# --- tables and the oracle ------------------------------------------------------------------------


@st.composite
def tables(draw, number=2, steps=(1, 4), choices=(1, 6), tops=(3, 30, 10**6), giants=(0, 0, 10**7)):
    """``number`` tables (steps, choices) of multiples of a unit, 0 among them, and what is allowed;
    one step may dwarf the others, and the more a choice uses the less may it cost."""
    shape = draw(st.integers(*steps)), draw(st.integers(*choices))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    numbers = []
    for _ in range(number):
        table = rng.integers(0, draw(st.sampled_from(tops)), shape)
        table = table * draw(st.sampled_from(UNITS))
        table[0] += draw(st.sampled_from(giants))
        numbers.append(table)
    if draw(st.booleans()):
        numbers = [np.sort(numbers[0]), *(np.sort(table)[:, ::-1] for table in numbers[1:])]
    allowed = rng.random(shape) < draw(st.sampled_from([0.5, 1.0]))
    allowed[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = True
    for table in numbers:
        table[~allowed] = draw(st.sampled_from([0.0, np.inf, np.nan]))
    return *numbers, allowed


def every(allowed):
    """All choices (N, steps) of what is allowed."""
    return np.array(list(itertools.product(*(np.flatnonzero(row) for row in allowed))))


def total(table, actions, join=np.add):
    """(N,): joined step by step, in order."""
    return join.accumulate(table[np.arange(len(table)), actions], axis=1)[:, -1]


def limits(usage, allowed):
    """Limits: what some choice uses, exactly or with slack; or any; or none."""
    used = np.unique(total(usage, every(allowed)))
    some = st.integers(0, len(used) - 1).map(lambda i: float(used[i]))
    return st.one_of(
        some, some.map(lambda u: u * (1 + 1e-9)), st.floats(used[0], used[-1]), st.just(np.inf)
    )


# --- the optimum ----------------------------------------------------------------------------------


@pytest.mark.parametrize("join", ["add", "maximum"])
@MORE
@given(st.data())
def test_the_cheapest_choice_is_the_best_of_all(join, data):
    cost, usage, allowed = data.draw(tables())
    limit = data.draw(limits(usage, allowed))
    found = cheapest_choice(cost, usage, allowed, limit, join=join)
    joined = np.maximum if join == "maximum" else np.add
    actions = every(allowed)
    used, costs = total(usage, actions), total(cost, actions, joined)
    assert allowed[np.arange(len(cost)), found.actions].all()
    assert total(usage, found.actions[None])[0] <= limit
    assert found.bound == total(cost, found.actions[None], joined)[0]
    # What is within the limit by rounding alone may be missed.
    clearly = used <= limit * (1 - ROUNDING)
    assert found.bound <= costs[clearly].min(initial=np.inf) * (1 + ROUNDING)
    if join == "maximum" or len(cost) == 1:
        assert found.bound == found.relaxation == costs[used <= limit].min()


@MORE
@given(st.data())
def test_the_relaxation_is_the_best_price(data):
    """Against every price at which a step is of two minds; it bounds, and its choice fits."""
    cost, usage, allowed = data.draw(tables())
    limit = data.draw(limits(usage, allowed))
    relaxed = knapsack.relax(knapsack.fronts_of(cost, usage, allowed), limit)
    actions = every(allowed)
    used, costs = total(usage, actions), total(cost, actions)
    assert total(usage, relaxed.actions[None])[0] <= limit
    assert relaxed.cost == total(cost, relaxed.actions[None])[0]
    assert allowed[np.arange(len(cost)), relaxed.actions].all()

    cheap = np.where(allowed, cost, np.inf)
    all_best = np.where(cheap == cheap.min(axis=1, keepdims=True), usage, np.inf).min(axis=1)
    fits = np.add.accumulate(all_best)[-1] <= limit
    assert (relaxed.price == 0) == fits
    if fits:
        assert relaxed.bound == relaxed.cost == cheap.min(axis=1).cumsum()[-1]
        return
    scale = np.abs(costs).max() + relaxed.price * limit
    assert relaxed.bound <= costs[used <= limit].min() + ROUNDING * scale
    prices = [0.0]
    for c, u, ok in zip(cost, usage, allowed, strict=True):
        for a, b in itertools.permutations(np.flatnonzero(ok), 2):
            if u[a] < u[b] and c[a] > c[b]:
                prices.append((c[a] - c[b]) / (u[b] - u[a]))
    bounds = [(costs + price * used).min() - price * limit for price in prices]
    assert relaxed.bound == pytest.approx(max(bounds), rel=1e-9, abs=1e-12 * scale)
    if not np.isclose(used, limit, rtol=1e-9).any():  # the upgrades that fit are all taken
        spread = np.where(allowed, cost, -np.inf).max(axis=1) - cheap.min(axis=1)
        assert relaxed.cost <= relaxed.bound + spread.max() + ROUNDING * scale


@given(st.data())
def test_fronts_are_what_no_other_choice_beats(data):
    cost, usage, allowed = data.draw(tables())
    fronts = knapsack.fronts_of(cost, usage, allowed)
    assert knapsack.least_usage(fronts) == np.where(allowed, usage, np.inf).min(axis=1).cumsum()[-1]
    for front, c, u, ok in zip(fronts, cost, usage, allowed, strict=True):
        points = {(u[a], c[a]) for a in np.flatnonzero(ok)}
        kept = {p for p in points if not any(q[0] <= p[0] and q[1] <= p[1] for q in points - {p})}
        assert list(zip(front.usage, front.cost, strict=True)) == sorted(kept)
        assert ok[front.actions].all()
        np.testing.assert_array_equal(u[front.actions], front.usage)
        np.testing.assert_array_equal(c[front.actions], front.cost)


@pytest.mark.parametrize("seed", range(10))
def test_the_hull_is_what_no_chord_undercuts(seed):
    rng = np.random.default_rng(seed)
    usage = np.cumsum(rng.integers(1, 5, 12)).astype(float)
    drops = np.sort(rng.integers(1, 200, 12))[::-1] * rng.choice([1, 3], 12)
    cost = 10_000.0 - np.cumsum(drops)
    [front] = knapsack.fronts_of(cost[None], usage[None], usage[None] > 0)

    def under(i, k, j):
        share = (usage[k] - usage[i]) / (usage[j] - usage[i])
        return cost[i] + (cost[j] - cost[i]) * share <= cost[k] * (1 + ROUNDING)

    chords = list(itertools.combinations(range(12), 3))
    wanted = set(range(12)) - {k for i, k, j in chords if under(i, k, j)}
    assert 2 < len(wanted) < 12
    assert knapsack._hull(front).tolist() == sorted(wanted)


@given(st.data())
def test_the_least_greatest_cost(data):
    cost, usage, allowed = data.draw(tables())
    limit = data.draw(limits(usage, allowed))
    actions, bound = least_greatest(cost, usage, allowed, limit)
    choices = every(allowed)
    within = choices[total(usage, choices) <= limit]
    assert bound == total(cost, within, np.maximum).min()
    assert total(cost, actions[None], np.maximum)[0] == bound
    # Of the choices under that bound, it takes the least.
    under = choices[total(cost, choices, np.maximum) <= bound]
    assert total(usage, actions[None])[0] == total(usage, under).min() <= limit


@given(st.data())
def test_highs_finds_what_enumeration_finds(data):
    pytest.importorskip("scipy")
    # Small numbers: HiGHS's tolerance is 1e-6.
    cost, usage, allowed = data.draw(tables(steps=(2, 4), tops=(3, 30), giants=(0,)))
    limit = data.draw(limits(usage, allowed))
    highs = cheapest_choice(cost, usage, allowed, limit, method="milp")
    exact = cheapest_choice(cost, usage, allowed, limit)
    assert total(usage, highs.actions[None])[0] <= limit * (1 + 1e-6) + 1e-6
    assert total(cost, highs.actions[None])[0] <= exact.bound * (1 + 1e-5) + 1e-5
    assert highs.bound == highs.relaxation == exact.relaxation
    assert highs.method == "HiGHS, bounded by Lagrangian relaxation"


def test_highs_where_nothing_may_be_used():
    pytest.importorskip("scipy")
    cost, usage = np.array([[1.0, 5.0], [7.0, 2.0]]), np.array([[0.1, 0.0], [0.0, 0.2]])
    with np.errstate(all="raise"):
        found = cheapest_choice(cost, usage, usage >= 0, 0.0, method="milp")
    assert found.actions.tolist() == [1, 0]


def test_highs_says_so_if_it_fails():
    pytest.importorskip("scipy")
    fronts = knapsack.fronts_of(np.ones((2, 1)), np.ones((2, 1)), np.ones((2, 1), bool))
    with pytest.raises(RuntimeError, match="HiGHS failed"):
        milp.cheapest(fronts, 1.0, knapsack.Relaxation(0.0, 2.0, np.zeros(2, np.int64), 2.0))


# Sums whose order decides: without slack each of these loses its optimum, or all there is.
HAIRS = {
    "the bound of the optimum is an ulp above its cost": (
        [[0.2, 0.9], [0.6, 0.8]],
        [[0.6, 0.2], [0.4, 0.8]],
        0.8,
    ),
    "the bound of part of it is": (
        [[2.5, 1.8], [5.0, 3.7], [5.3, 3.3]],
        [[0.5, 0.6], [1.0, 0.3], [0.5, 0.8]],
        8.8,
    ),
    "it is off by the rounding of price times limit, which dwarfs the costs": (
        [[10000.7, 10000.6, 10000.5], [0.2, 0.9, 0.2]],
        [[0.3, 0.1, 0.6], [0.3, 0.4, 0.8]],
        10000.7,
    ),
    "added up in another order, all exceed the limit": (
        [[0.3, 0.3], [0.1, 0.1], [0.2, 0.1], [0.2, 0.2]],
        [[0.3, 0.1], [0.3, 0.3], [0.2, 0.3], [0.3, 0.1]],
        0.7,
    ),
    "the relaxation's choice exceeds the limit by an ulp": (
        [[0.2, 0.3], [0.2, 0.2], [0.2, 0.1]],
        [[0.3, 0.1], [0.2, 0.2], [0.1, 0.2]],
        0.6,
    ),
    "the upgrades end below a limit that all of them exceed": (
        [[10000000.9, 10000000.2], [0.7, 0.9]],
        [[0.1, 0.7], [0.8, 0.3]],
        10000001.799999999,
    ),
}


@pytest.mark.parametrize(("usage", "cost", "limit"), HAIRS.values(), ids=HAIRS)
def test_rounding_discards_no_optimum(usage, cost, limit):
    usage, cost = np.array(usage), np.array(cost)
    allowed = np.ones(usage.shape, bool)
    found = cheapest_choice(cost, usage, allowed, limit)
    actions = every(allowed)
    within = total(usage, actions) <= limit
    assert total(usage, found.actions[None])[0] <= limit
    assert found.bound == pytest.approx(total(cost, actions[within]).min(), rel=ROUNDING)
    assert 0 < found.relaxation <= found.bound * (1 + ROUNDING)
    relaxed = knapsack.relax(knapsack.fronts_of(cost, usage, allowed), limit)
    assert total(usage, relaxed.actions[None])[0] <= limit


@pytest.mark.parametrize("join", ["add", "maximum"])
@pytest.mark.parametrize("limit", [4.0, 3.5, np.inf])
def test_whoever_accepts_has_the_last_word(join, limit):
    """Two steps; the best choice, or the one that the relaxation yields, is not accepted."""
    cost, usage = np.array([[5.0, 2.0], [6.0, 1.0]]), np.array([[1.0, 2.0], [1.0, 2.0]])
    asked = []

    def accept(actions):
        asked.append(actions)
        return bool(total(usage, actions[None])[0] < 3)

    found = cheapest_choice(cost, usage, usage > 0, limit, join=join, accept=accept)
    assert found.actions.tolist() == [0, 0]
    assert "best choice fits" not in found.method
    assert len(asked) > 1
    with pytest.raises(ValueError, match="nothing within"):
        cheapest_choice(cost, usage, usage > 0, limit, join=join, accept=lambda _: False)


def test_what_is_best_and_fits_is_asked_for_once():
    asked = []

    def accept(actions):
        return not asked.append(actions.tolist())

    cheapest_choice(ONES, ONES, ONES > 0, 2.0, accept=accept)
    assert asked == [[0, 0]]


def test_the_relaxation_goes_on_after_what_does_not_fit():
    """Gains of 9, 8, 7 and 1 a unit; 6 units of room: the third does not fit, the last does."""
    usage = np.array([[0.0, 3.0], [0.0, 2.0], [0.0, 2.0], [0.0, 1.0]])
    cost = np.array([[27.0, 0.0], [16.0, 0.0], [14.0, 0.0], [1.0, 0.0]])
    relaxed = knapsack.relax(knapsack.fronts_of(cost, usage, usage >= 0), 6.5)
    assert relaxed.actions.tolist() == [1, 1, 0, 1]
    assert relaxed.cost == 14
    assert relaxed.price == 7
    assert relaxed.bound == 1 + 14 - 1.5 * 7
    # On a step's way up nothing is skipped: its second upgrade would fit, its first does not.
    usage, cost = np.array([[0.0, 3.0, 4.0], [0.0, 1.0, 2.0]]), np.array([[9.0, 3, 2], [9.0, 4, 3]])
    relaxed = knapsack.relax(knapsack.fronts_of(cost, usage, usage >= 0), 3.5)
    assert relaxed.actions.tolist() == [0, 2]


def test_what_cannot_be_in_a_better_one_is_not_looked_at(monkeypatch):
    rng = np.random.default_rng(1)
    cost, usage = rng.integers(1, 10**6, (2, 30, 12)).astype(float)
    fronts, limit = knapsack.fronts_of(cost, usage, cost > 0), usage.min(axis=1).sum() * 1.5
    relaxed = knapsack.relax(fronts, limit)
    looked_at, undominated = [], knapsack._undominated

    def counted(used, costs):
        looked_at.append(len(used))
        return undominated(used, costs)

    monkeypatch.setattr(knapsack, "_undominated", counted)
    actions = knapsack.cheapest(
        fronts, limit, relaxed, lambda a: bool(total(usage, a[None])[0] <= limit)
    )
    assert relaxed.bound <= total(cost, actions[None])[0] < relaxed.cost
    assert sum(looked_at) < 180  # 162; without either bound or the room left, 193 and more


def test_of_a_single_step_the_cheapest_that_is_accepted():
    cost, usage = np.array([[3.0, 1.0, 2.0, 2.0]]), np.array([[1.0, 9.0, 2.0, 2.0]])
    allowed = np.array([[True, True, True, False]])
    assert cheapest_choice(cost, usage, allowed, 2).actions == [2]
    assert cheapest_choice(cost, usage, allowed, 9).actions == [1]
    assert cheapest_choice(cost, usage, allowed, 9, accept=lambda a: a[0] != 1).actions == [2]
    with pytest.raises(ValueError, match=r"nothing within 0\.5: the least usage is 1"):
        cheapest_choice(cost, usage, allowed, 0.5)


def test_ties_go_to_the_first():
    same = np.ones((3, 4))
    for join in ("add", "maximum"):
        assert cheapest_choice(same, same, same > 0, 3, join=join).actions.tolist() == [0, 0, 0]
    assert cheapest_choice(same[:1], same[:1], same[:1] > 0, 3).actions.tolist() == [0]


@pytest.mark.parametrize("steps", [1, 3])
def test_the_value_is_asked_for(steps):
    table = np.arange(1.0, 1 + 2 * steps).reshape(steps, 2)
    for limit in (table.sum(), table[:, 0].sum()):
        asked = []

        def value(actions, asked=asked):
            asked.append(actions.tolist())
            return 123.0

        found = cheapest_choice(table, table, table > 0, limit, value=value)
        assert found.bound == 123
        assert asked == [found.actions.tolist()] == [[0] * steps]


def test_it_says_how():
    cost, usage = np.array([[5.0, 2.0], [6.0, 1.0]]), np.array([[1.0, 2.0], [1.0, 2.0]])

    def how(limit, rows=2, **settings):
        return cheapest_choice(
            cost[:rows], usage[:rows], usage[:rows] > 0, limit, **settings
        ).method

    assert how(4) == "exact: every step's best choice fits the budget"
    assert how(3) == "exact: undominated partial assignments, Lagrangian bounds"
    assert how(3, 1) == "enumeration of all configurations"
    assert how(3, 1, join="maximum") == "bisection over the occurring costs"


ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"join": "ad"}, "unknown join 'ad'; did you mean 'add'"),
        ({"method": "exac"}, "unknown method 'exac'; did you mean 'exact'"),
        ({"limit": 1.5}, r"nothing within 1\.5: the least usage is 2"),
        ({"cost": np.ones((2, 2))}, r"cost must have shape \(2, 3\), got \(2, 2\)"),
        ({"usage": np.ones(3)}, r"usage must have shape \(2, 3\), got \(3,\)"),
        ({"cost": -ONES}, r"cost must be finite and >= 0 where allowed, got -1\.0"),
        ({"usage": ONES * np.nan}, "usage must be finite and >= 0 where allowed, got nan"),
        ({"usage": ONES * np.inf}, "usage must be finite and >= 0 where allowed, got inf"),
        ({"allowed": np.array([[True] * 3, [False] * 3])}, "step 1 allows no choice"),
    ],
)
def test_mistakes_are_explained(changes, message):
    given = {"cost": ONES, "usage": ONES, "allowed": ONES > 0, "limit": 2.0} | changes
    with pytest.raises(ValueError, match=message):
        cheapest_choice(**given)
    if "limit" not in changes and "method" not in changes:
        with pytest.raises(ValueError, match=message):
            cheapest_choice(**{"join": "maximum", **given})
    if changes.keys() <= {"limit"}:
        with pytest.raises(ValueError, match=message):
            least_greatest(**given)
        with pytest.raises(ValueError, match=message):
            pareto.front(ONES, [ONES], [np.add], ONES > 0, given["limit"])


def test_the_least_usage_is_named():
    usage = np.array([[3.0, 1.0], [2.0, 5.0], [4.0, 9.0]])
    message = r"nothing within 6\.5: the least usage is 7"
    for join in ("add", "maximum"):
        with pytest.raises(ValueError, match=message):
            cheapest_choice(usage, usage, usage > 0, 6.5, join=join)
    with pytest.raises(ValueError, match=message):
        pareto.front(usage, [usage], [np.add], usage > 0, 6.5)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (1, 2, 3)])
def test_tables_have_steps_and_choices(shape):
    table = np.ones(shape)
    with pytest.raises(ValueError, match="must have shape"):
        least_greatest(table, table, table > 0, 1.0)


def test_a_single_step_is_checked_too():
    with pytest.raises(ValueError, match="usage must be finite"):
        cheapest_choice(ONES[:1], -ONES[:1], ONES[:1] > 0, 2.0)


# --- fronts ---------------------------------------------------------------------------------------


def beaten(points):
    """Which points another beats: no worse in all columns, up to rounding, and better in one."""
    no_worse = np.all(points[:, None] <= points * (1 + 1e-11), axis=-1)
    better = np.any(points[:, None] < points * (1 - 1e-11), axis=-1)
    return (no_worse & better).any(axis=0)


def close(points, others):
    """(N, M): which are the same up to rounding."""
    return np.isclose(points[:, None], others, rtol=1e-11, atol=0).all(axis=-1)


@st.composite
def fronts(draw):
    number = draw(st.integers(1, 2))
    usage, *costs, allowed = draw(tables(number + 1))
    joins = [draw(st.sampled_from([np.add, np.maximum])) for _ in costs]
    return usage, costs, joins, allowed, draw(limits(usage, allowed))


def points_of(usage, costs, joins, actions):
    """(N, 1 + costs)."""
    columns = [total(usage, actions)]
    columns += [total(cost, actions, join) for cost, join in zip(costs, joins, strict=True)]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("block", [2_000_000, 3])
@given(fronts())
def test_the_front_is_that_of_all_choices(block, problem):
    usage, costs, joins, allowed, limit = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pareto, "_BLOCK", block)  # 3: as where there are too many to hold
        found = points_of(usage, costs, joins, pareto.front(*problem))
    points = points_of(usage, costs, joins, every(allowed))
    points = points[points[:, 0] <= limit * (1 + ROUNDING)]
    same = close(found, points[~beaten(points)])
    assert same.any(axis=0).all()
    assert same.any(axis=1).all()
    assert close(found, found).sum() == len(found)  # none twice


@pytest.mark.parametrize("block", [2_000_000, 3])
@pytest.mark.parametrize("cells", [2**22, 0])
@given(fronts(), st.sampled_from([1e-3, 0.05, 0.5, 3.0]))
def test_a_thinned_front_keeps_its_promise(cells, block, problem, epsilon):
    usage, costs, joins, allowed, limit = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pareto, "_CELLS", cells)  # 0: as where a grid is too fine to hold
        patch.setattr(pareto, "_BLOCK", block)
        patch.setattr(pareto, "FEW", 1)  # or lists as short as these stay whole
        found = points_of(usage, costs, joins, pareto.front(*problem, epsilon=epsilon))
    points = points_of(usage, costs, joins, every(allowed))
    points = points[points[:, 0] <= limit]
    factor = np.array([1.0, *(1 + epsilon for _ in costs)]) * (1 + 1e-11)
    for point in points:
        assert np.all(found <= point * factor, axis=1).any()
    assert (found[:, 0] <= limit * (1 + ROUNDING)).all()


def random_front(seed=0, steps=6, choices=12):
    rng = np.random.default_rng(seed)
    usage, first, second = rng.integers(1, 10**6, (3, steps, choices)).astype(float)
    return usage, [first, second], [np.add, np.add], usage > 0, float(usage.mean() * steps)


def test_a_tolerance_shortens_the_list():
    problem = random_front()
    lengths = [len(pareto.front(*problem, epsilon=e)) for e in (0, 0.01, 0.1, 0.5)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < lengths[0] / 10


def test_too_many_says_what_to_do(monkeypatch):
    monkeypatch.setattr(pareto, "TOO_MANY", 100)
    with pytest.raises(
        ValueError, match=r"of 6 steps have .* more than 100: give a tolerance above 0,"
    ):
        pareto.front(*random_front())
    assert len(pareto.front(*random_front(), epsilon=1.0)) <= 100


def test_the_list_may_be_just_so_long(monkeypatch):
    usage, costs, joins, allowed, _ = random_front(steps=2)
    length = len(pareto.front(usage, costs, joins, allowed, np.inf))
    monkeypatch.setattr(pareto, "TOO_MANY", length)
    assert len(pareto.front(usage, costs, joins, allowed, np.inf)) == length
    monkeypatch.setattr(pareto, "TOO_MANY", length - 1)
    with pytest.raises(ValueError, match=f"2 of 2 steps have {length} undominated"):
        pareto.front(usage, costs, joins, allowed, np.inf)


def test_what_cannot_be_completed_is_not_kept(monkeypatch):
    usage, costs, joins, allowed, _ = random_front()
    monkeypatch.setattr(pareto, "TOO_MANY", 1)
    [actions] = pareto.front(usage, costs, joins, allowed, usage.min(axis=1).sum())
    np.testing.assert_array_equal(actions, usage.argmin(axis=1))


@pytest.mark.parametrize("epsilon", [0, 0.1])
def test_progress_is_told(epsilon):
    told = []
    pareto.front(*random_front(), epsilon=epsilon, progress=lambda *at: told.append(at))
    assert told == [(done, 6) for done in range(2, 7)]


def test_many_choices_keep_their_numbers():
    cost = np.arange(300.0, 0, -1)[None].repeat(2, axis=0)
    actions = pareto.front(cost[:, ::-1], [cost], [np.add], cost > 0, np.inf)
    assert actions.max() == 299
    assert actions.dtype == np.int64


@pytest.mark.parametrize("columns", [2, 3])
@given(st.data())
def test_undominated_points(columns, data):
    count = data.draw(st.integers(1, 30))
    top = data.draw(st.sampled_from([1, 5, 100]))
    points = data.draw(arrays(np.int64, (count, columns), elements=st.integers(0, top))) * 0.1
    keep = pareto.undominated(*points.T)
    wanted = np.unique(points[~beaten(points)], axis=0)
    np.testing.assert_array_equal(np.unique(points[keep], axis=0), wanted)
    assert len(keep) == len(wanted)


@pytest.mark.parametrize("columns", [2, 3])
@given(st.data())
def test_the_least_of_every_cell_that_no_other_beats(columns, data):
    """Of a grid held as an array as of one that is sorted."""
    count, ratio = data.draw(st.integers(1, 30)), data.draw(st.sampled_from([1.01, 1.3, 4.0]))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    points = rng.integers(0, 100, (count, columns)).astype(float)
    with np.errstate(divide="ignore"):
        cells = np.floor(np.log(points[:, 1:]) / np.log(ratio))
    cells = np.where(points[:, 1:] == 0, -1e9, cells)
    in_cells = np.column_stack((points[:, 0], cells - cells.min() + 1))
    wanted = np.unique(in_cells[~beaten(in_cells)], axis=0)
    for held in (2**22, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pareto, "_CELLS", held)
            kept = in_cells[pareto.undominated(*points.T, ratio=ratio)]
        np.testing.assert_array_equal(kept[np.lexsort(kept.T[::-1])], wanted)


def test_points_that_differ_by_rounding_are_one():
    hair = 1 + 1e-14
    points = np.array([[1, 2 * hair, 3], [hair, 2, 3 * hair], [2, 1, 3], [2 * hair, 1, 3]])
    for columns, scale in itertools.product((2, 3), (1e-6, 1, 1e6)):
        assert len(pareto.undominated(*points.T[:columns] * scale)) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"costs": [ONES] * 3, "joins": [np.add] * 3}, "one or two costs .* got 3 and 3"),
        ({"costs": [], "joins": []}, "one or two costs"),
        ({"joins": [np.add] * 2}, "each with its join, got 1 and 2"),
        ({"epsilon": -0.1}, r"epsilon must be a number >= 0, got -0\.1"),
        ({"epsilon": np.nan}, "epsilon must be a number >= 0, got nan"),
        ({"epsilon": np.inf}, "epsilon must be a number >= 0, got inf"),
        ({"usage": -ONES}, "usage must be finite and >= 0"),
        ({"costs": [-ONES]}, "cost 0 must be finite and >= 0"),
        ({"limit": 1.9}, r"nothing within 1\.9: the least usage is 2"),
    ],
)
def test_a_fronts_mistakes_are_explained(changes, message):
    given = {"usage": ONES, "costs": [ONES], "joins": [np.add], "allowed": ONES > 0, "limit": 2.0}
    assert len(pareto.front(**given)) == 1
    with pytest.raises(ValueError, match=message):
        pareto.front(**given | changes)


def test_a_hair_in_the_second_of_three_columns_saves_no_point():
    """The first point beats the second but for a rounding: one of them is enough."""
    points = np.array([[1.0, 2.0, 3.0], [1.0, 2.0 * (1 - 1e-14), 4.0]])
    assert pareto.undominated(*points.T).tolist() == [0]

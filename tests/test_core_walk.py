"""Walks over banks of problems, samplers, and the episode kernel."""

import dataclasses
import math

import numpy as np
import pytest
from conftest import assert_same
from contract import Sync
from gymnasium.vector import AutoresetMode
from tiny_families import Bags, BagsEnv, BagsVectorEnv, Tour, TourEnv, TourVectorEnv, TourWalk

from hwgym.core import Axis, Drawn, Fixed, Metric, Sampler, Space, TableWalk, Walk
from hwgym.core.episode import Episode, EpisodeKernel, chosen, summarise, summary_names
from hwgym.core.rewards import make_reward
from hwgym.core.sampler import as_sampler

# --- banks ----------------------------------------------------------------------------------------


def other(**changes):
    """Bags, with something else in the statement."""

    class Other(Bags):
        @property
        def statement(self):
            return dataclasses.replace(super().statement, **changes)

    return Other(3, 0)


TWO = (Axis("size", (1, 2, 3, 4)), Axis("colour", tuple("rg")))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"space": Space(3, TWO)}, r"axes: \(4, 3\) of '3 bags, seed 0', \(4, 2\) of"),
        ({"features": np.zeros((3, 1))}, "features: 2 of '3 bags, seed 0', 1 of"),
        ({"metrics": ()}, r"metrics: \['area'\] of '3 bags, seed 0', \[\] of"),
        ({"objective": Metric("m", "", "m", "maximum")}, "join of the objective: add .* maximum"),
    ],
)
@pytest.mark.parametrize("walk", [TableWalk, Walk])
def test_problems_of_a_bank_are_alike(walk, changes, what):
    with pytest.raises(ValueError, match=f"problems of a bank must have the same {what}"):
        walk.of([Bags.of(3), other(**changes)])


@pytest.mark.parametrize("walk", [TableWalk, Walk])
def test_a_bank_is_not_empty(walk):
    with pytest.raises(ValueError, match="a bank needs at least one problem"):
        walk.of([])


def test_equal_banks_share_their_walk():
    assert TableWalk.of([Bags.of(3)]) is TableWalk.of((Bags.of(3),))
    assert TableWalk.of([Bags.of(3), Bags.of(4)]) is not TableWalk.of([Bags.of(4), Bags.of(3)])


# --- samplers -------------------------------------------------------------------------------------


def test_what_makes_a_sampler():
    one, two = Bags.of(3), Bags.of(4)
    fixed = as_sampler(one)
    assert isinstance(fixed, Fixed)
    assert (list(fixed.problems), fixed.random, fixed.draw(None)) == ([one], False, 0)
    for given in ([one, two], (one, two)):
        drawn = as_sampler(given)
        assert isinstance(drawn, Drawn)
        assert (list(drawn.problems), drawn.random) == ([one, two], True)
    assert as_sampler(drawn) is drawn
    assert isinstance(drawn, Sampler)
    draws = [drawn.draw(np.random.default_rng(i)) for i in range(50)]
    assert 10 < sum(draws) < 40
    with pytest.raises(ValueError, match="a bank needs at least one problem"):
        Drawn([])
    for wrong in ([], "Bags-3-0-v0", 3, [one, "x"], None):
        with pytest.raises(ValueError, match="a problem, several, or a sampler is needed, got"):
            as_sampler(wrong)


class Mostly:
    """A sampler of one's own: the second problem, nine times out of ten."""

    random = True

    def __init__(self, problems):
        self.problems = problems

    def draw(self, rng):
        return int(rng.random() < 0.9)


@pytest.mark.parametrize("autoreset", list(AutoresetMode), ids=lambda m: m.name)
def test_a_sampler_of_ones_own(autoreset):
    sampler = Mostly([Bags.of(2), Bags.of(5)])
    vector = BagsVectorEnv(problem=sampler, num_envs=30, autoreset_mode=autoreset)
    sync = Sync([lambda: BagsEnv(problem=sampler)] * 30, autoreset)
    assert vector.sampler is sampler
    assert_same(vector.reset(seed=3), sync.reset(seed=3))
    vector.action_space.seed(0)
    drawn = [vector.which]
    for _ in range(12):
        actions = vector.action_space.sample()
        result = vector.step(actions)
        assert_same(result, sync.step(actions))
        if autoreset is AutoresetMode.DISABLED and result[2].any():
            options = {"reset_mask": result[2]}
            assert_same(vector.reset(options=options), sync.reset(options=options))
        drawn.append(vector.which)
        assert [p.num_steps for p in sync.get_attr("problem")] == [(2, 5)[i] for i in vector.which]
    assert 0.75 < np.mean(drawn) < 0.98


def test_seeds_of_single_environments():
    vector = BagsVectorEnv(problem=[Bags.of(2), Bags.of(5)], num_envs=6)
    sync = Sync([lambda: BagsEnv(problem=[Bags.of(2), Bags.of(5)])] * 6, AutoresetMode.SAME_STEP)
    seeds = [5, 1, 9, 1, 5, 0]
    assert_same(vector.reset(seed=seeds), sync.reset(seed=seeds))
    assert vector.which[0] == vector.which[4]
    assert vector.which[1] == vector.which[3]
    # From now on each draws on; who is given a seed again begins anew.
    for seed in (None, [None, 4, None, 2, None, 3], [1, None, None, None, None, None]):
        assert_same(vector.reset(seed=seed), sync.reset(seed=seed))
        np.testing.assert_array_equal(
            vector.which, [p.num_steps == 5 for p in sync.get_attr("problem")]
        )


def test_seeds_of_those_of_a_mask_only():
    def make():
        return BagsVectorEnv(
            problem=[Bags.of(2), Bags.of(5)], num_envs=8, autoreset_mode="Disabled"
        )

    masked, whole = make(), make()
    for env in (masked, whole):
        env.reset(seed=0)
    mask = np.arange(8) < 4
    masked.reset(seed=[7] * 8, options={"reset_mask": mask})
    draws = []
    for env in (masked, whole):
        env.reset()
        draws.append(env.which[~mask].tolist())
    assert draws[0] == draws[1]  # the others' generators were left alone


def test_instances_of_those_of_a_mask_only():
    vector = TourVectorEnv(
        problem=[Tour.of(2), Tour.of(4), Tour.of(6)], num_envs=3, autoreset_mode="Disabled"
    )
    vector.reset(options={"instance": np.int64(2)})
    assert vector.which.tolist() == [2, 2, 2]
    vector.reset(options={"instance": 0, "reset_mask": np.array([False, True, False])})
    assert vector.which.tolist() == [2, 0, 2]
    assert vector.num_steps == 6
    assert vector.genes.shape == (3, 6, 3)


@pytest.mark.parametrize("instance", [2, -1, True, 1.0, "0", None])
def test_an_instance_that_there_is_not(instance):
    env = BagsEnv(problem=[Bags.of(2), Bags.of(5)])
    with pytest.raises(ValueError, match=r"options\['instance'\] must be one of 0\.\.1, got"):
        env.reset(options={"instance": instance})


def test_one_problem_is_instance_0():
    env = BagsEnv(problem=Bags.of(2))
    env.reset(options={"instance": 0})
    with pytest.raises(ValueError, match=r"0\.\.0"):
        env.reset(options={"instance": 1})
    assert env.reset(options={"something": "else"})[0] in env.observation_space


# --- a walk of any kind ---------------------------------------------------------------------------


def test_observations_of_a_walk_by_hand():
    class Marked(Tour):
        @property
        def statement(self):
            features = np.linspace(0, 1, 2 * self.places).reshape(self.places, 2)
            return dataclasses.replace(super().statement, features=features)

    problems = [Marked(2, 0), Marked(4, 0)]
    env = TourEnv(problem=problems)
    for which, problem in enumerate(problems):
        observation, _ = env.reset(options={"instance": which})
        genes = [[i, 10 * i, 999 - i] for i in range(problem.places)]
        previous = [0, 0, 0]
        for step in range(problem.places + 1):
            features = [0, 0]
            if step < problem.places:
                features = problem.statement.features[step]
            shares = np.array(previous) / [6, 1000, 1000]
            expected = [*features, *shares, step / problem.places, 0]  # the reward comes last
            np.testing.assert_allclose(observation, 2 * np.array(expected) - 1, atol=1e-6)
            assert observation.dtype == np.float32
            if step < problem.places:
                previous = [g + 1 for g in genes[step]]
                observation, _, done, _, info = env.step(np.array(genes[step]))
        assert done
        assert info["is_success"]
        assert info["objective"] == problem.evaluate(np.array(genes)).objective[0]


def test_a_walk_that_knows_no_more_ends_with_its_last_step():
    class Plain(TourEnv):
        family = dataclasses.replace(TourEnv.family, dynamics=Walk.of)

    env = Plain(problem=Tour.of(4))
    _, info = env.reset()
    assert [m.all() for m in info["action_mask"]] == [True] * 3
    assert env.action_masks().shape == (2006,)
    for step in range(4):
        _, reward, done, _, info = env.step(np.array([0, 0, 0]))  # the same place, again and again
        assert done == (step == 3)
    assert reward == -10.0
    assert info["is_success"] is False
    assert info["regret"] == np.inf
    assert info["objective"] == np.inf


def test_an_episode_that_cannot_become_a_solution_breaks_off():
    env = TourEnv(problem=Tour.of(4), reward="relative")
    env.reset()
    env.step(np.array([2, 5, 5]))
    mask = env.action_masks()
    assert np.flatnonzero(~mask).tolist() == [2]
    _, reward, done, _, info = env.step(np.array([2, 1, 1]))
    assert (reward, done, info["is_success"]) == (-1.0, True, False)
    assert info["assignment"].tolist() == [[2, 5, 5], [2, 1, 1], [-1] * 3, [-1] * 3]
    assert env.genes.tolist() == info["assignment"].tolist()


def test_masks_of_a_walk_over_joint_choices():
    """Where a step can be enumerated, the axes' masks go together."""

    class Doors(TourWalk):
        def allowed(self, state):
            rows = len(state.step)
            return [
                np.tile([True, False, True, True], (rows, 1)),
                np.tile([True, True, False], (rows, 1)),
            ]

    walk = Doors([Bags.of(3)])
    state = walk.begin(np.zeros(2, int))
    joint = walk.masks(state, "discrete").reshape(2, 4, 3)
    np.testing.assert_array_equal(joint[0], np.outer([1, 0, 1, 1], [1, 1, 0]).astype(bool))
    assert walk.masks(state, "multi_discrete").astype(int).tolist() == [[1, 0, 1, 1, 1, 1, 0]] * 2
    free = Walk([Bags.of(3)])
    assert free.masks(state, "discrete").shape == (2, 12)
    assert free.masks(state, "multi_discrete").shape == (2, 7)


def test_a_walk_is_as_good_as_the_tables():
    """The walk over problems of any kind, on a problem of tables: the same episodes, but that it
    learns at the end what the other sees at once."""
    problem = Bags.of(3)
    reward = make_reward("terminal", [problem])
    general, tables = Episode(Walk([problem]), reward), Episode(TableWalk([problem]), reward)
    rng = np.random.default_rng(0)
    ends = set()
    for numbers in problem.space.encode(problem.space.draw(rng, 60)):
        for episode in (general, tables):
            episode.reset()
            for number in numbers:
                result = episode.step(int(number))
                if episode.over:
                    break
        ends.add(result)
        assert general.earned == tables.earned
    assert len(ends) == 5


# --- a walk over tables ---------------------------------------------------------------------------


def test_every_cell_of_a_bank_is_its_problems():
    problems = [Bags.of(3), Bags.of(2, seed=5), Bags.of(4)]
    walk = TableWalk.of(problems)
    row = 0
    for problem in problems:
        size = problem.num_steps * 12
        cells = slice(12 * row, 12 * row + size)
        cost = np.where(problem.valid, problem.cost, np.inf)
        np.testing.assert_array_equal(walk.cost[cells], cost.ravel())
        np.testing.assert_array_equal(walk.usage[cells], problem.usage.ravel())
        np.testing.assert_array_equal(walk.invalid[cells], ~problem.valid.ravel())
        after = walk.least_after[row : row + problem.num_steps + 1]
        needed = np.where(problem.valid, problem.usage, np.inf).min(axis=1)
        assert after.tolist() == pytest.approx([needed[i:].sum() for i in range(len(after))])
        row += problem.num_steps + 1


def test_a_mask_where_all_is_lost_is_the_choice_that_needs_least():
    problem = Bags.of(3)
    walk = TableWalk.of([problem])
    episode = walk.episode(make_reward(None, [problem]))
    kernel = EpisodeKernel(walk, make_reward(None, [problem]), np.zeros(1, np.int64))
    episode.reset()
    for _ in range(2):
        heavy = int(np.where(problem.valid, problem.usage, -1)[len(episode.choices)].argmax())
        episode.step(heavy)
        kernel.step(np.array([heavy]))
    assert episode._used + problem.least_used[2] > problem.limit
    least = int(np.where(problem.valid[2], problem.usage[2], np.inf).argmin())
    for mode in ("discrete", "multi_discrete"):
        mask = episode.mask(mode)
        np.testing.assert_array_equal(kernel.masks(mode)[0], mask)
        if mode == "discrete":
            assert np.flatnonzero(mask).tolist() == [least]
        else:
            size, colour = problem.space.decode(least)
            assert np.flatnonzero(mask).tolist() == [size, 4 + colour]


# --- the kernel -----------------------------------------------------------------------------------


def test_what_was_chosen_is_found_in_the_history():
    idle = -1
    history = [np.array(row) for row in ([7, 0], [8, idle], [9, idle], [4, 1], [5, 2])]
    found = chosen(history, np.array([3, 2]), 4, None)
    assert found.tolist() == [[9, 4, 5, -1], [1, 2, -1, -1]]
    over = [np.array(row) for row in ([1, 0], [2, 1], [idle, 2])]
    assert chosen(over, np.array([2, 3]), 3, None).tolist() == [[1, 2, -1], [0, 1, 2]]
    assert chosen([], np.array([0]), 2, None).tolist() == [[-1, -1]]
    assert chosen([], np.array([0]), 1, 2).tolist() == [[[-1, -1]]]
    genes = [np.array([[1, 2]]), np.array([[3, 4]])]
    assert chosen(genes, np.array([1]), 2, 2).tolist() == [[[3, 4], [-1, -1]]]


@pytest.mark.parametrize("kind", [Bags, Tour])
def test_the_kernel_says_what_each_episode_has(kind):
    """Over a bank, with resets of some: its genes, what they earned, and what was over."""
    problems = [kind.of(2), kind.of(4), kind.of(3)]
    walk = (TableWalk if kind is Bags else TourWalk).of(problems)
    reward = make_reward("relative", problems)
    rng = np.random.default_rng(0)
    which = rng.integers(3, size=6)
    kernel = EpisodeKernel(walk, reward, which)
    own = [[] for _ in range(6)]
    earned, over = np.zeros(6), np.zeros(6, bool)
    space = problems[0].space
    for _ in range(60):
        genes = rng.integers(0, (4, 3) if kind is Bags else (6, 1000, 1000), (6, len(space.axes)))
        result = kernel.step(space.pack(genes))
        for i in range(6):
            if over[i]:
                assert not result.failed[i]
                assert not result.finished[i]
                assert result.reward[i] == 0.0
                continue
            own[i].append(genes[i].tolist())
            earned[i] += result.reward[i]
            over[i] = result.failed[i] or result.finished[i]
            full = np.full((problems[which[i]].num_steps, len(space.axes)), -1)
            full[: len(own[i])] = own[i]
            np.testing.assert_array_equal(kernel.genes[i, : len(full)], full)
            assert (kernel.genes[i, len(full) :] == -1).all()
            if result.finished[i]:
                assert problems[which[i]].evaluate(full).feasible[0]
        np.testing.assert_array_equal(kernel.over, over)
        np.testing.assert_array_equal(kernel.earned, earned)
        where = rng.random(6) < 0.15
        again = rng.integers(3, size=6)
        if where.any():
            kernel.reset(where, again)
            which = np.where(where, again, which)
            for i in np.flatnonzero(where):
                own[i], earned[i], over[i] = [], 0.0, False
        np.testing.assert_array_equal(kernel.which, which)
    kernel.reset()
    assert (kernel.genes == -1).all()
    assert not kernel.over.any()
    np.testing.assert_array_equal(kernel.which, which)


def test_the_kernels_arrays_are_replaced_not_written_to():
    problems = [Bags.of(3), Bags.of(2)]
    kernel = EpisodeKernel(TableWalk.of(problems), make_reward(None, problems), np.array([0, 1, 0]))
    kept = []
    for step in range(6):
        now = (
            *(f for f in kernel.state if f is not None),
            kernel.earned,
            kernel.over,
            kernel.which,
        )
        kept.append((now, [array.copy() for array in now]))
        kernel.step(np.array([0, 11, 3]))
        if step == 2:
            kernel.reset(np.array([True, False, True]), np.array([1, 0, 1]))
    for now, then in kept:
        for a, b in zip(now, then, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_is_said_of_the_end_can_do_without_the_optimum():
    problem = Bags.of(3)
    walk = TableWalk.of([problem])
    names = summary_names(walk, certificate=False)
    assert names == ("objective", "area", "budget_used", "is_success", "assignment")
    assert summary_names(walk) == (*names[:4], "regret", "assignment")
    assert summary_names(TourWalk.of([Tour.of(4)])) == (
        "objective", "is_success", "regret", "assignment",
    )  # fmt: skip
    genes = problem.space.draw(np.random.default_rng(0), 20)
    scores = problem.evaluate(genes)
    for certificate in (True, False):
        found = summarise(walk, np.zeros(20, int), genes, scores.feasible, certificate=certificate)
        assert ("regret" in found) == certificate
        np.testing.assert_array_equal(found["budget_used"], scores.used / problem.limit)
        np.testing.assert_array_equal(found["area"], scores["area"])


def test_of_a_bank_each_row_is_its_own_problems():
    problems = [Bags.of(3), Bags.of(2), Bags.of(3, seed=1)]
    walk = TableWalk.of(problems)
    rng = np.random.default_rng(0)
    which = rng.integers(3, size=40)
    genes = rng.integers(0, (4, 3), (40, 3, 2))
    genes[which == 1, 2] = -1
    success = np.array(
        [
            p.evaluate(g[: p.num_steps]).feasible[0]
            for p, g in zip(np.array(problems)[which], genes, strict=True)
        ]
    )
    found = summarise(walk, which, genes, success)
    assert success.any()
    assert not success.all()
    for i in range(40):
        problem = problems[which[i]]
        scores = problem.evaluate(genes[i, : problem.num_steps])
        assert found["area"][i] == scores["area"][0]
        assert found["is_success"][i] == success[i]
        expected = problem.regret(scores.objective[0]) if success[i] else math.inf
        assert found["regret"][i] == expected
        np.testing.assert_array_equal(found["assignment"][i], genes[i])


# --- masks of the statement -----------------------------------------------------------------------


class Told(Tour):
    """A tour whose statement says which places are free."""

    @property
    def statement(self):
        return dataclasses.replace(super().statement, allowed=self.allowed)

    def allowed(self, genes, step):
        masks = np.ones((len(genes), self.PLACES + 2 * self.SETTINGS), bool)
        for row, seen in enumerate(genes[:, :step, 0]):
            masks[row, seen] = False
        return masks


def test_a_walk_masks_as_the_statement_says():
    bank = [Told(4, 0), Told(6, 0), Told(2, 1)]
    walk, other = Walk.of(bank), TourWalk.of(bank)
    state = walk.begin(np.array([0, 1, 2, 1]))
    rng = np.random.default_rng(0)
    for _ in range(6):
        masks = walk.masks(state, "multi_discrete")
        going = state.step < walk.num_steps[state.which]
        np.testing.assert_array_equal(masks[going], other.masks(state, "multi_discrete")[going])
        places = [rng.choice(np.flatnonzero(mask[: Tour.PLACES])) for mask in masks]
        choices = np.zeros((4, 3), int)
        choices[:, 0] = places
        state, _ = walk.step(state, choices)


def test_a_statement_draws_what_it_allows():
    problem = Told(6, 0)
    genes = problem.statement.draw(np.random.default_rng(0), 200)
    assert problem.evaluate(genes).valid.all()
    assert len(np.unique(genes[..., 0], axis=0)) > 100
    assert genes[..., 1:].max() > 900
    np.testing.assert_array_equal(genes, problem.statement.draw(np.random.default_rng(0), 200))
    assert not problem.evaluate(
        Tour(6, 0).statement.draw(np.random.default_rng(0), 200)
    ).valid.all()


def test_a_statement_repairs_what_it_does_not_allow():
    statement = Told(6, 0).statement
    rng = np.random.default_rng(0)
    broken = Tour(6, 0).statement.draw(rng, 200)
    repaired = statement.repair(broken, rng)
    assert Told(6, 0).evaluate(repaired).valid.all()
    np.testing.assert_array_equal(repaired[..., 1:], broken[..., 1:])
    fine = Told(6, 0).evaluate(broken).valid
    np.testing.assert_array_equal(repaired[fine], broken[fine])
    plain = Tour(6, 0).statement
    assert plain.repair(broken, rng) is broken

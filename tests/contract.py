"""The contract: what holds of every family, checked on one.

A family's author writes in ``test_families.py``::

    class TestMine(Contract):
        family = FAMILY
        small = {"size": 3}                           # of which all solutions can be listed
        bank = ({"size": 3}, {"size": 5}, {"size": 4})  # of different lengths

and runs ``pytest tests/test_families.py -k Mine``. ``small`` and each of ``bank`` are what
``family.make`` takes. Everything else follows from the family; what is known only of some of them
is said with the attributes below. For more problems of the same family, there is
:class:`ContractOfProblems`, which asks nothing of its ids again.
"""

import copy
import itertools
import json
import math
import warnings
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from conftest import assert_same
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from hwgym.core import (
    REWARDS,
    BudgetSpent,
    Environment,
    EpisodeLog,
    Evaluator,
    Problem,
    Scores,
    TableProblem,
    TableWalk,
    VectorEnvironment,
    Withheld,
    action_modes,
    describe_agents,
    families,
    problem_of,
    read_episodes,
    read_solutions,
    registered_ids,
    solve,
)
from hwgym.core.log import key_of
from hwgym.core.rewards import make_reward
from hwgym.core.search import search

N = 4
MOST = 200_000
"""So many solutions are listed; of more, some are drawn."""


# --- stepping a vector environment and scalar ones together ---------------------------------------


class Sync(SyncVectorEnv):
    """Gymnasium's, with a place for vector rewards."""

    def __init__(self, makers, autoreset_mode):
        super().__init__(makers, autoreset_mode=autoreset_mode)
        space = getattr(self.envs[0].unwrapped, "reward_space", None)
        if space is not None:
            self._rewards = np.zeros((self.num_envs, *space.shape))


def arrays(value):
    """Every array in a nested result."""
    if isinstance(value, dict):
        for each in value.values():
            yield from arrays(each)
    elif isinstance(value, tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        for each in value:
            yield from arrays(each)
    elif isinstance(value, np.ndarray):
        yield value


def allowed(rng, envs):
    """A random action that the masks allow, for every environment of a vector one."""
    masks = envs.action_masks()
    if envs.action_mode == "discrete":
        return np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
    parts = np.split(masks, np.cumsum(envs.single_action_space.nvec)[:-1], axis=1)
    return np.array(
        [[rng.choice(np.flatnonzero(m)) for m in row] for row in zip(*parts, strict=True)]
    )


def lock_step(vector, sync, steps=40, seed=7, options=None):
    """Step both, comparing everything; returns how many episodes succeeded and failed."""
    assert vector.metadata == sync.metadata
    for name in ("observation_space", "action_space"):
        assert getattr(vector, name) == getattr(sync, name)
        assert getattr(vector, f"single_{name}") == getattr(sync, f"single_{name}")
    half = max(steps // 2, 20)
    rng = np.random.default_rng(3)
    vector.action_space.seed(4)
    a, b = (envs.reset(seed=seed, options=options) for envs in (vector, sync))
    assert_same(a, b)
    before, succeeded, ended = [], 0, 0
    for step in range(steps):
        actions = vector.action_space.sample()
        # Episodes of only allowed choices reach their end; of random ones, most break off.
        if vector.action_mode != "continuous" and step % half < 0.7 * half:
            actions = allowed(rng, vector)
        elif vector.action_mode == "continuous" and step % half < 0.7 * half:
            actions[:, 0] = -1.0
        a, b = vector.step(actions), sync.step(actions)
        assert_same(a, b)
        if vector.action_mode != "continuous":
            assert_same(vector.action_masks(), np.stack(sync.call("action_masks")))
        now = list(arrays(a))
        assert not any(np.shares_memory(x, y) for x in now for y in before)
        before = now
        final = a[4].get("final_info", a[4])
        succeeded += final["is_success"].sum() if "is_success" in final else 0
        ended += a[2].sum()
        if vector.metadata["autoreset_mode"] is AutoresetMode.DISABLED and a[2].any():
            mask = a[2] | (rng.random(vector.num_envs) < 0.2)
            a, b = (envs.reset(options={"reset_mask": mask}) for envs in (vector, sync))
            assert_same(a, b)
    vector.close()
    sync.close()
    return int(succeeded), int(ended - succeeded)


# --- agents and problems that tell ----------------------------------------------------------------


class Climber:
    """A totals agent: random solutions, then changes of the best; it knows the statement only."""

    sees = "totals"

    def search(self, evaluator, seed):
        rng = np.random.default_rng(seed)
        space = evaluator.statement.space
        self.best = None
        evaluator.evaluate(space.draw(rng, 8))
        while True:
            base = space.draw(rng, 1)[0] if evaluator.best is None else evaluator.best
            batch = np.repeat(base[None], 4, axis=0)
            at = rng.integers(space.num_steps, size=4), rng.integers(len(space.axes), size=4)
            batch[(np.arange(4), *at)] = rng.integers(np.array(space.shape)[at[1]])
            other = rng.permutation(space.num_steps)[:2]
            batch[0, other] = batch[0, other[::-1]]
            evaluator.evaluate(batch)


def corrupted(problem, paid):
    """The same problem, but of solutions that are not in ``paid`` everything it says is rubbish."""
    known = {genes.tobytes() for genes in paid}
    rng = np.random.default_rng(1)

    class Corrupted(type(problem)):
        def score(self, genes):
            true = problem.score(genes)
            lost = np.array([row.tobytes() not in known for row in genes], bool)
            return Scores(
                np.where(lost, rng.uniform(0, 1, len(genes)), true.objective),
                np.where(lost, 0.0, true.used),
                true.valid | lost,
                true.feasible | lost,
                {n: np.where(lost, -1.0, v) for n, v in true.metrics.items()},
            )

        def part(self, genes):
            raise AssertionError("nobody has paid for parts")

        def certify(self):
            raise AssertionError("nobody has paid for a certificate")

        def make_tables(self):
            raise AssertionError("nobody has paid for tables")

    other = copy.copy(problem)
    object.__setattr__(other, "__class__", Corrupted)
    # What the original has made already.
    for name in ("_tables", "_columns", "_certificate", "_best_uniform"):
        other.__dict__.pop(name, None)
    other.__dict__["statement"] = problem.statement
    return other


def rewards_of(problem):
    """Every reward that a problem can have: names, and a list of metrics."""
    found = []
    for name in REWARDS:
        try:
            make_reward(name, [problem])
        except ValueError:
            continue
        found.append(name)
    if isinstance(problem, TableProblem):
        found.append([m for m in problem.statement.metrics if m.adds_up][:3])
    return [each for each in found if each]


def partial(problem, genes, steps):
    """The first steps of a solution."""
    return np.where(np.arange(problem.num_steps)[:, None] < steps, genes, -1)


class ContractOfProblems:
    """What holds of problems of a family: for those of one that has kept the whole contract with
    others already."""

    family: ClassVar = None
    small: ClassVar[dict] = {}
    bank: ClassVar[tuple] = ()
    lengths: ClassVar = 3
    """Of how many lengths the bank is; 1 where all problems of a family have as many steps."""
    steps: ClassVar = 40
    """So many are taken where environments are compared; episodes of more than a third are not
    masked to their end."""
    drawn: ClassVar = 5_000
    """Random solutions that the certificate is compared with where there are too many for all."""
    exact_masks: ClassVar = None
    """Masked episodes always end feasibly: in every action mode (True), or in ``"discrete"`` only;
    by default the latter is asked where the walk is a ``TableWalk``."""

    # --- what the checks work on ------------------------------------------------------------------

    @pytest.fixture
    def problem(self):
        return self.family.make(**self.small)

    @pytest.fixture
    def problems(self):
        return [self.family.make(**described) for described in self.bank]

    @pytest.fixture
    def scalar(self):
        return load_env_creator(self.family.entry_point)

    @pytest.fixture
    def vector(self):
        return load_env_creator(self.family.vector_entry_point)

    @pytest.fixture(scope="class")
    @classmethod
    def looked_at(cls):
        """Scores of all solutions there are, if they are few, and whether they are all."""
        problem = cls.family.make(**cls.small)
        genes, complete = cls.solutions(problem)
        return problem.evaluate(genes), complete

    @classmethod
    def solutions(cls, problem):
        """Solutions (N, steps, axes): all there are, if they are few, and whether they are all."""
        space = problem.space
        if math.prod(space.shape) ** space.num_steps <= MOST:
            choices = list(itertools.product(*map(range, space.shape)))
            every = list(itertools.product(choices, repeat=space.num_steps))
            return np.array(every), True
        rng = np.random.default_rng(0)
        best = problem.certificate().assignment
        found = [space.draw(rng, cls.drawn), best[None]]
        for step, axis in np.ndindex(*best.shape):  # all that differ from the best by one choice
            near = np.repeat(best[None], space.shape[axis], axis=0)
            near[:, step, axis] = np.arange(space.shape[axis])
            found.append(near)
        for a, b in itertools.combinations(range(space.num_steps), 2):  # or by an exchange
            near = best[None].copy()
            near[:, [a, b]] = near[:, [b, a]]
            found.append(near)
        return np.concatenate(found), False

    # --- the family -------------------------------------------------------------------------------

    def test_the_family_is_registered(self, problem, scalar, vector):
        assert self.family in families()
        assert problem.statement.key["family"] == self.family.name
        assert problem.statement.key["version"] == self.family.version
        assert issubclass(scalar, Environment)
        assert scalar.family is self.family
        assert issubclass(vector, VectorEnvironment)
        assert vector.scalar is scalar
        assert isinstance(problem, Problem)

    def test_equal_arguments_make_the_same_key_and_problems_of_a_bank_differ(self, problems):
        assert len(problems) >= 3, "give a bank of three problems or more"
        assert len({p.num_steps for p in problems}) >= self.lengths, f"of {self.lengths} lengths"
        again = [self.family.make(**described) for described in self.bank]
        for one, other in zip(problems, again, strict=True):
            assert one.statement.key == other.statement.key
        assert len({json.dumps(key_of(p.statement)) for p in problems}) == len(problems)

    def test_the_statement_fits_its_space(self, problems):
        for problem in problems:
            statement = problem.statement
            steps = problem.num_steps
            assert statement.features.shape[0] == len(statement.alike) == steps
            assert len(statement.work) == len(statement.names) == steps
            assert statement.features.min(initial=0) >= 0
            assert statement.features.max(initial=1) <= 1
            assert np.isfinite(statement.scale)
            assert statement.scale > 0
            assert np.sort(np.concatenate(statement.groups)).tolist() == list(range(steps))
            assert (statement.constraint is None) == (not np.isfinite(statement.limit))
            scores = problem.evaluate(problem.space.draw(np.random.default_rng(0), 3))
            assert set(scores.metrics) == {m.name for m in statement.metrics}

    # --- solutions --------------------------------------------------------------------------------

    def test_scores_of_many_are_those_of_each(self, problem):
        genes = problem.space.draw(np.random.default_rng(0), 20)
        genes[3, -1:] = -1
        genes[4] = -1
        scores, parts = problem.evaluate(genes), problem.parts(genes)
        assert not scores.valid[[3, 4]].any()
        assert (scores.objective[~scores.valid] == np.inf).all()
        assert not (scores.feasible & ~scores.valid).any()
        assert (parts is not None) == problem.separable
        for i, row in enumerate(genes):
            one = problem.evaluate(row)
            assert one.objective[0] == scores.objective[i]
            assert one.used[0] == scores.used[i]
            assert one.feasible[0] == scores.feasible[i]
            for name in one.metrics:
                assert one[name][0] == scores[name][i]
            if parts is not None and scores.valid[i]:
                join = problem.statement.objective.ufunc
                assert join.reduce(parts.cost[i]) == pytest.approx(scores.objective[i], rel=1e-12)
                assert parts.used[i].sum() == pytest.approx(scores.used[i], rel=1e-12)
                assert parts.valid[i].all()
        assert len(problem.evaluate(genes[:0])) == 0

    def test_genes_that_are_none_are_refused(self, problem):
        good = problem.space.draw(np.random.default_rng(0), 2)
        bad = [
            good[:, :-1],
            good[..., :-1],
            good.astype(float),
            good + np.array(problem.space.shape),
        ]
        for genes in [*bad, good - good - 2]:
            with pytest.raises(ValueError, match="genes must"):
                problem.evaluate(genes)

    def test_the_certificate_is_at_most_what_brute_force_finds(self, problem, looked_at):
        scores, complete = looked_at
        found = problem.certificate()
        own = problem.evaluate(found.assignment)
        assert own.feasible[0]
        assert own.objective[0] == found.objective
        assert scores.feasible.any()
        assert (scores.objective[scores.feasible] >= found.lower_bound * (1 - 1e-12)).all()
        if complete and found.exact:
            assert found.objective == pytest.approx(scores.best, rel=1e-12)
        assert found.gap >= 0
        if found.exact:
            assert problem.optimum() is found
            assert found.name == "regret"
        else:
            assert found.name == "gap"
            with pytest.raises(ValueError, match="no optimum is proven"):
                problem.optimum()

    def test_regret_is_never_negative(self, problem, looked_at):
        scores, _ = looked_at
        best = problem.certificate()
        above = best.above(np.where(scores.feasible, scores.objective, np.inf))
        assert (above >= 0).all()
        assert (above[~scores.feasible] == np.inf).all()
        assert problem.regret(best.yardstick) == 0
        assert problem.regret(np.nextafter(best.yardstick, -np.inf)) == 0
        assert problem.regret(best.yardstick * 2) == pytest.approx(1)
        assert problem.best_uniform() >= best.lower_bound * (1 - 1e-12)

    # --- environments -----------------------------------------------------------------------------

    def test_both_checkers(self, scalar, problem, problems):
        sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
        for given in (problem, problems):
            for mode in action_modes(problem.space):
                env = scalar(problem=given, action_mode=mode)
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    gymnasium_check_env(env, skip_render_check=True)
                    sb3.check_env(env, warn=True, skip_render_check=True)

    def test_rendering(self, scalar, vector, problem, problems):
        many = vector(problem=problems, num_envs=2, render_mode="ansi")
        many.reset(seed=0)
        for _ in range(4):
            assert [type(text) for text in many.render()] == [str, str]
            many.step(many.action_space.sample())
        for mode, kind in (("ansi", str), ("rgb_array", np.ndarray)):
            env = scalar(problem=problem, render_mode=mode)
            env.reset(seed=0)
            env.action_space.seed(0)
            done = False
            while not done:
                assert isinstance(env.render(), kind)
                done = env.step(env.action_space.sample())[2]
            assert isinstance(env.render(), kind)
            env.close()

    def test_action_modes_are_those_the_space_allows(self, scalar, problem):
        modes = action_modes(problem.space)
        assert ("discrete" in modes) == (problem.space.joint is not None)
        for mode in {"discrete", "multi_discrete", "continuous"} - set(modes):
            with pytest.raises(ValueError, match="give the choice on each axis"):
                scalar(problem=problem, action_mode=mode)

    def test_unknown_arguments_are_type_errors(self, scalar, vector):
        for cls in (scalar, vector):
            with pytest.raises(TypeError, match="got an unexpected keyword argument 'frameskip'"):
                cls(**self.small, frameskip=4)

    def test_a_problem_and_what_describes_one_is_too_much(self, scalar, problem):
        if self.small:
            with pytest.raises(ValueError, match="not both: got problem and"):
                scalar(problem=problem, **self.small)

    def test_same_seed_and_actions_same_everything(self, scalar, problems):
        env = scalar(problem=problems)
        actions = [env.action_space.sample() for _ in range(100)]
        runs = []
        for _ in range(2):
            run, done = [env.reset(seed=5)], False
            for action in actions:
                run.append(env.reset() if done else env.step(action))
                done = len(run[-1]) == 5 and run[-1][2]
            runs.append(run)
        assert_same(*runs)

    def test_what_is_returned_is_the_callers(self, scalar, vector, problems):
        """Whoever writes to an array of the results, or of the actions, changes nothing."""
        reward = rewards_of(problems[0])[-1]
        for make in (
            lambda: scalar(problem=problems, reward=reward),
            lambda: vector(problem=problems, reward=reward, num_envs=3),
        ):
            spoiled, kept = make(), make()
            kept.action_space.seed(2)
            results = [spoiled.reset(seed=1), kept.reset(seed=1)]
            for _ in range(30):
                assert_same(*results)
                for array in arrays(results[0]):
                    array[...] = 1
                over = len(results[1]) == 5 and results[1][2] is True
                if over:
                    results = [spoiled.reset(), kept.reset()]
                    continue
                action = kept.action_space.sample()
                own = np.array(action)
                results = [spoiled.step(own), kept.step(action)]
                own[...] = 0

    def test_masked_episodes_end_well(self, scalar, problems):
        """Where masks are exact; else they leave a choice, at least."""
        dynamics = self.family.dynamics(problems)
        exact = isinstance(dynamics, TableWalk) if self.exact_masks is None else self.exact_masks
        for mode in set(action_modes(problems[0].space)) - {"continuous"}:
            env = scalar(problem=problems, action_mode=mode)
            rng = np.random.default_rng(2)
            for episode in range(15):
                observation, info = env.reset(seed=episode)
                done = False
                while not done:
                    mask = info["action_mask"]
                    parts = (mask,) if mode == "discrete" else mask
                    assert all(part.any() and part.dtype == np.int8 for part in parts)
                    flat = env.action_masks()
                    assert flat.dtype == bool
                    np.testing.assert_array_equal(flat, np.concatenate(parts).astype(bool))
                    assert observation in env.observation_space
                    chosen = [int(rng.choice(np.flatnonzero(part))) for part in parts]
                    action = chosen[0] if mode == "discrete" else np.array(chosen)
                    observation, _, done, _, info = env.step(action)
                assert observation in env.observation_space
                # In several dimensions a mask says which levels go with some others, not with all.
                if exact and (mode == "discrete" or self.exact_masks is True):
                    assert info["is_success"] is True
                assert info["regret"] >= 0
                genes = info["assignment"][: env.num_steps]
                np.testing.assert_array_equal(genes, env.genes)
                scores = env.problem.evaluate(genes)
                assert info["is_success"] == scores.feasible[0]
                if info["is_success"]:
                    assert info["objective"] == scores.objective[0]
                    assert info["regret"] == env.problem.regret(info["objective"])

    def test_playing_the_best_known_solution(self, scalar, problems):
        env = scalar(problem=problems, action_mode="multi_discrete")
        for which, problem in enumerate(problems):
            best = problem.certificate()
            env.reset(options={"instance": which})
            assert env.problem is problem
            *_, (_, _, terminated, truncated, info) = [env.step(a) for a in best.assignment]
            assert terminated
            assert not truncated
            assert info["is_success"] is True
            assert info["objective"] == best.objective
            assert info["regret"] == best.gap

    @pytest.mark.parametrize("autoreset", list(AutoresetMode), ids=lambda m: m.name)
    def test_vector_equals_scalar(self, scalar, vector, problem, autoreset):
        succeeded = failed = 0
        for mode in action_modes(problem.space):
            counts = self._compare(
                scalar, vector, problem, autoreset, steps=self.steps, action_mode=mode
            )
            succeeded, failed = succeeded + counts[0], failed + counts[1]
        assert succeeded
        assert failed

    def test_every_reward(self, scalar, vector, problem, problems):
        rewards = rewards_of(problem)
        assert "relative" in rewards
        for reward in rewards:
            for given in (problem, problems):
                self._compare(
                    scalar, vector, given, AutoresetMode.NEXT_STEP, steps=20, reward=reward
                )

    @pytest.mark.parametrize("autoreset", list(AutoresetMode), ids=lambda m: m.name)
    def test_a_bank_of_several(self, scalar, vector, problems, autoreset):
        for mode in action_modes(problems[0].space):
            self._compare(scalar, vector, problems, autoreset, seed=11, action_mode=mode)
        if autoreset is AutoresetMode.NEXT_STEP:  # how episodes are begun when asked is one thing
            self._compare(scalar, vector, problems, autoreset, seed=[3, 8, 3, 5])
            self._compare(scalar, vector, problems, autoreset, options={"instance": 1})

    def _compare(self, scalar, vector, given, autoreset, *, steps=40, seed=7, options=None, **kw):
        return lock_step(
            vector(problem=given, num_envs=N, autoreset_mode=autoreset.value, **kw),
            Sync([lambda: scalar(problem=given, **kw)] * N, autoreset),
            steps,
            seed,
            options,
        )

    def test_in_a_bank_each_problem_is_as_it_is_alone(self, scalar, problems):
        for reward in rewards_of(problems[0]):
            for mode in action_modes(problems[0].space):
                many = scalar(problem=problems, reward=reward, action_mode=mode)
                many.action_space.seed(1)
                for which, problem in enumerate(problems):
                    one = scalar(problem=problem, reward=reward, action_mode=mode)
                    for _ in range(4):
                        results = [one.reset(), many.reset(options={"instance": which})]
                        done = False
                        while True:
                            info = results[1][-1]  # as long as the longest of the bank
                            assert (info["assignment"][problem.num_steps :] == -1).all()
                            info["assignment"] = info["assignment"][: problem.num_steps]
                            assert_same(*results)
                            if done:
                                break
                            mask = results[0][-1].get("action_mask")
                            action = many.action_space.sample(mask)
                            results = [one.step(action), many.step(action)]
                            done = results[0][2]

    def test_a_bank_is_drawn_from(self, vector, problems):
        envs = vector(problem=problems, num_envs=60)
        envs.reset(seed=0)
        first = envs.which
        assert set(first.tolist()) == set(range(len(problems)))
        envs.reset(options={"instance": len(problems) - 1})
        assert set(envs.which.tolist()) == {len(problems) - 1}
        envs.reset(seed=0)
        np.testing.assert_array_equal(envs.which, first)
        for instance in (len(problems), -1, True, 1.0):
            with pytest.raises(ValueError, match="instance"):
                envs.reset(options={"instance": instance})

    @pytest.mark.parametrize("autoreset", ["SameStep", "NextStep"])
    def test_infos_read_later_are_the_same(self, vector, problems, autoreset):
        kwargs = {"problem": problems, "num_envs": N, "autoreset_mode": autoreset}
        at_once, late = vector(**kwargs), vector(**kwargs)
        rng = np.random.default_rng(1)
        at_once.action_space.seed(1)
        read, unread = [dict(at_once.reset(seed=1)[1])], [late.reset(seed=1)[1]]
        for _ in range(40):
            actions = allowed(rng, at_once) if rng.random() < 0.8 else at_once.action_space.sample()
            read.append(copy.deepcopy(dict(at_once.step(actions)[4])))
            result = late.step(actions)
            unread.append(result[4])
            actions[:] = 0  # what was given or returned may be used otherwise
            for array in result[:4]:
                array[:] = 0
        assert_same(read, unread)
        assert sum("final_info" in info or "objective" in info for info in read) > 5

    # --- agents -----------------------------------------------------------------------------------

    def test_the_evaluator_sells_samples_and_no_more(self, problem):
        evaluator = Evaluator(problem, 10)
        genes = problem.space.draw(np.random.default_rng(0), 12)
        assert len(evaluator.evaluate(genes[:6])) == 6
        scores = evaluator.evaluate(genes[6:])
        assert len(scores) == 4
        assert scores.parts is None
        assert (evaluator.spent, evaluator.remaining) == (10, 0)
        with pytest.raises(BudgetSpent):
            evaluator.evaluate(genes[:1])
        assert evaluator.spent == 10
        expected = problem.evaluate(genes[:10])
        np.testing.assert_array_equal(scores.objective, expected.objective[6:])
        np.testing.assert_array_equal(
            evaluator.history,
            np.minimum.accumulate(np.where(expected.feasible, expected.objective, np.inf)),
        )
        with pytest.raises(ValueError, match="sees totals has no environment"):
            evaluator.environment()

    def test_behind_the_veil_there_is_the_statement(self, problem, scalar, vector):
        seen = []

        class Peeking:
            sees = "layers"

            def search(self, evaluator, seed):
                genes = evaluator.statement.space.draw(np.random.default_rng(0), 1)
                doors = [
                    lambda: evaluator.problem,
                    problem.optimum,
                    problem.certificate,
                    lambda: problem.regret(1.0),
                    lambda: problem.evaluate(genes),
                    lambda: problem.parts(genes),
                    lambda: scalar(problem=problem),
                    lambda: vector(problem=problem, num_envs=2),
                ]
                if isinstance(problem, TableProblem):
                    doors += [lambda: problem.tables, lambda: problem.cost, problem.best_uniform]
                for door in doors:
                    with pytest.raises(Withheld):
                        door()
                    seen.append(door)
                assert evaluator.statement is problem.statement or (
                    evaluator.statement.key == problem.statement.key
                )
                scores = evaluator.evaluate(genes)
                assert (scores.parts is not None) == problem.separable

        result = solve(Peeking(), problem, samples=5)
        assert len(seen) >= 8
        assert result.samples == 1
        assert problem.certificate().objective > 0  # lifted again

    def test_what_nobody_paid_for_changes_nothing(self, problem, tmp_path):
        """Every installed agent that sees totals, and one of our own, on a problem that lies."""
        totals = [
            each["agent"]
            for each in describe_agents()
            if each.get("sees") == "totals" and "missing" not in each
        ]
        for agent in [*totals, Climber()]:
            name = agent if isinstance(agent, str) else "climber"
            try:
                before = solve(agent, problem, samples=30, seed=3, log=tmp_path / name)
            except ValueError as error:
                if "agents that see totals work on any problem" not in str(error):
                    raise
                continue  # one for other families
            paid, _, _ = read_solutions(tmp_path / name, problem.statement)
            lying = corrupted(problem, paid)
            assert lying.score(problem.space.draw(np.random.default_rng(9), 50)).feasible.any()
            evaluator = Evaluator(lying, 30)
            chosen = load_agent(agent)
            search(chosen, evaluator, 3)
            np.testing.assert_array_equal(evaluator.history, before.history)
            assert evaluator.spent == before.samples
            if before.assignment is not None:
                np.testing.assert_array_equal(evaluator.best, before.assignment)

    def test_a_log_is_read_back_as_it_was_written(self, problem, tmp_path):
        genes = problem.space.draw(np.random.default_rng(0), 30)
        genes[5, -1] = -1
        result = solve(Climber(), problem, samples=40, log=tmp_path / "run")
        with EpisodeLog(tmp_path / "own", problem, batch=7) as log:
            log.add(genes)
        found, scores, left_out = read_solutions(tmp_path / "own", problem.statement)
        assert left_out == 1
        kept = np.delete(genes, 5, axis=0)
        np.testing.assert_array_equal(found, kept)
        expected, parts = problem.evaluate(kept), problem.parts(kept)
        np.testing.assert_array_equal(scores.feasible, expected.feasible)
        np.testing.assert_array_equal(scores.used, expected.used)
        known = scores.valid
        assert (expected.valid[known]).all()
        np.testing.assert_array_equal(scores.objective[known], expected.objective[known])
        for name in expected.metrics:
            np.testing.assert_array_equal(scores[name], expected[name])
        assert (scores.parts is not None) == problem.separable
        if parts is not None:
            np.testing.assert_array_equal(scores.valid, expected.valid)
            np.testing.assert_array_equal(scores.objective, expected.objective)
            for name in ("cost", "used", "valid"):
                np.testing.assert_array_equal(getattr(scores.parts, name), getattr(parts, name))
            for name, values in parts.metrics.items():
                np.testing.assert_array_equal(scores.parts.metrics[name], values)
        again, scores, _ = read_solutions(tmp_path / "run", problem.statement)
        assert len(again) == len(read_episodes(tmp_path / "run")) == result.samples
        assert scores.best == result.objective
        if result.assignment is not None:
            assert (again == result.assignment).all(axis=(1, 2)).any()

    # --- the view ---------------------------------------------------------------------------------

    def test_the_view_shows_empty_partial_and_full_solutions(self, problems):
        view = self.family.view
        for problem in problems:
            best = problem.certificate().assignment
            assert view.title(problem)
            facts = view.facts(problem)
            assert facts
            assert all(isinstance(k, str) and isinstance(v, str) for k, v in facts.items())
            assert json.loads(json.dumps(view.describe(problem), allow_nan=False))
            for steps in (0, 1, problem.num_steps - 1, problem.num_steps):
                genes = partial(problem, best, steps)
                text = view.text(problem, genes)
                assert len(text.splitlines()) > len(problem.statement.names)
                assert view.summary(problem, genes) in text
                view.figure(problem, genes)
                try:
                    rows = view.rows(problem, genes)
                except ValueError as error:  # a family may say so of what is not all there
                    assert "not complete" in str(error)  # noqa: PT017
                    assert steps < problem.num_steps
                    continue
                assert len(rows) == len(view.rows(problem, best))
                for column in view.columns(problem):
                    assert column.heading
                    assert all(isinstance(column.cell(row), str) for row in rows)
            found = view.describe_solution(problem, best)
            assert json.loads(json.dumps(found, allow_nan=False)) == found
            assert found["objective"] == problem.certificate().objective
            assert found["feasible"] is True
            assert found["assignment"] == best.tolist()
            assert len(found[view.rows_name]) == len(view.rows(problem, best))
            shown = view.solution_facts(problem, found)
            assert all(isinstance(v, str) for v in shown.values())


class Contract(ContractOfProblems):
    """What holds of every family: of its problems, and of its ids; see the module's docstring."""

    def test_ids_survive_json_and_make_the_same_problem(self):
        entries = list(self.family.ids())
        assert entries
        assert {e.env_id for e in entries} == set(registered_ids(self.family))
        for entry in entries:
            spec = gym.spec(entry.env_id)
            assert EnvSpec.from_json(spec.to_json()) == spec
            assert json.loads(spec.to_json())["kwargs"] == dict(entry.kwargs)
        posed = [e for e in entries if e.ranked or e.kwargs]
        for entry in posed[:: max(1, len(posed) // 4)]:
            made = gym.make(entry.env_id, disable_env_checker=True)
            again = gym.make(EnvSpec.from_json(made.spec.to_json()), disable_env_checker=True)
            key = key_of(made.unwrapped.problem.statement)
            assert key_of(again.unwrapped.problem.statement) == key
            if made.unwrapped.sampler.random:
                with pytest.raises(ValueError, match="poses many problems"):
                    problem_of(entry.env_id)
            else:
                assert key_of(problem_of(entry.env_id).statement) == key

    def test_ids_of_one_key_pose_one_problem(self):
        posed = {}
        for entry in self.family.ids():
            if entry.ranked:
                problem = problem_of(entry.env_id)
                key = dict(problem.statement.key)
                text = json.dumps(key, sort_keys=True, allow_nan=False)
                assert json.loads(text) == json.loads(json.dumps(key))
                other = posed.setdefault(text, problem)
                assert other is problem or (
                    other.statement.limit == problem.statement.limit
                    and other.certificate().objective == problem.certificate().objective
                ), entry.env_id

    def test_labels_of_ids_are_distinct(self):
        ids = registered_ids(self.family)
        assert len({self.family.view.label(i) for i in ids}) == len(ids)


def load_agent(agent):
    from hwgym.core import find_agent

    return find_agent(agent)() if isinstance(agent, str) else agent

"""Rewards: what they need, what they pay, and vectors of several metrics."""

import dataclasses
import math

import gymnasium as gym
import numpy as np
import pytest
from tiny_families import Bags, BagsEnv, Tour, TourEnv

from hwgym import AssignmentProblem, frontier
from hwgym.bounds.optimum import cheapest_choice
from hwgym.core import METRICS, REWARDS, Axis, Evaluator, Space, Tables, problem_of
from hwgym.core.rewards import default_reward, make_reward
from hwgym.families.assignment import HWAssignEnv

ID = "mo-HWAssign-AlexNet-NVDLA-v0"
NAMES = ("latency", "energy", "area")
LEVELS = {"pe_levels": (1, 4, 9, 32), "tile_levels": (1, 2, 7)}


def play(env, seed, masked=True):
    """An episode of random choices: rewards, the last info."""
    env.action_space.seed(seed)
    _, info = env.reset()
    rewards, done = [], False
    while not done:
        action = env.action_space.sample(info["action_mask"] if masked else None)
        _, reward, done, _, info = env.step(action)
        rewards.append(reward)
    return rewards, info


# --- what they need -------------------------------------------------------------------------------


def test_needs():
    assert {name: cls.needs for name, cls in REWARDS.items()} == {
        "capped": "parts",
        "shaped": "parts",
        "confuciux": "parts",
        "terminal": "certificate",
        "relative": None,
    }


@pytest.mark.parametrize(
    ("problem", "with_certificate", "without"),
    [
        (Bags.of(3), "capped", "capped"),
        (Tour.of(4), "terminal", "relative"),
        (AssignmentProblem.of("NCF", objective="throughput"), "terminal", "relative"),
    ],
)
def test_the_default_suits_the_problem_and_what_may_be_known(problem, with_certificate, without):
    assert default_reward(problem) == with_certificate
    assert default_reward(problem, certificate=False) == without
    assert isinstance(make_reward(None, [problem]), REWARDS[with_certificate])
    assert isinstance(make_reward(None, [problem], certificate=False), REWARDS[without])


@pytest.mark.parametrize(
    ("problem", "reward", "message"),
    [
        (Tour.of(4), "shaped", "'shaped' needs an objective that adds up over steps, which way"),
        (Tour.of(4), "confuciux", "use 'terminal' or 'relative'"),
        (Tour.of(4), (METRICS["latency"],), r"metrics that add up over steps, got \['latency'\]"),
        (Bags.of(3), (), "metrics that add up over steps, got none"),
        (Bags.of(3), (METRICS["latency"],), r"got \['latency'\]"),
        (Bags.of(3), "shapes", "unknown reward 'shapes'; did you mean 'shaped'"),
    ],
)
def test_a_reward_that_cannot_be_had_says_why(problem, reward, message):
    with pytest.raises(ValueError, match=message):
        make_reward(reward, [problem])


def test_one_that_tells_the_optimum_may_be_forbidden():
    for problem, instead in ((Bags.of(3), "capped"), (Tour.of(4), "relative")):
        with pytest.raises(ValueError, match=f"tells the optimum, .*; use '{instead}'"):
            make_reward("terminal", [problem], certificate=False)


@pytest.mark.parametrize("reward", [3, {"latency": 1}, np.array([1.0])])
def test_what_is_no_reward_is_refused(reward):
    with pytest.raises(ValueError, match="reward must be a name, or a list of metrics, got"):
        BagsEnv(reward=reward)


# --- what they pay --------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", ["terminal", "relative"])
@pytest.mark.parametrize("make", [BagsEnv, TourEnv])
def test_rewards_at_the_end_only(make, reward):
    env = make(reward=reward)
    problem = env.problem
    best, scale = problem.optimum().objective, problem.statement.scale
    # The worst that a feasible episode may get, or ten times the optimum where nothing says so.
    worst = problem.worst_cost.sum() / best if make is BagsEnv else 10.0
    ended = set()
    for seed in range(20):
        rewards, info = play(env, seed, masked=seed % 2 == 0)
        assert rewards[:-1] == [0.0] * (len(rewards) - 1)
        assert all(type(r) is float for r in rewards)
        ended.add(info["is_success"])
        if reward == "terminal":
            expected = -(1 + info["regret"]) if info["is_success"] else -worst
        else:
            expected = math.log2(scale / info["objective"]) if info["is_success"] else -1.0
        assert rewards[-1] == pytest.approx(expected, rel=1e-12)
    assert ended == {True, False}


def test_the_relative_reward_of_nothing_is_finite():
    reward = make_reward("relative", [Bags.of(3)])
    assert np.isfinite(reward.finished(np.array([0.0]), 0)).all()


def test_shaped_where_all_choices_cost_the_same():
    class Flat(Bags):
        def make_tables(self):
            tables = super().make_tables()
            return type(tables)(np.ones((3, 12)), tables.usage, tables.valid, tables.metrics)

    env = BagsEnv(problem=Flat(3, 0), reward="shaped", action_mode="discrete")
    rewards, info = play(env, 0)
    assert info["is_success"]
    assert rewards == [0.0] * 3


# --- capped costs ---------------------------------------------------------------------------------


class Steep(Bags):
    """Three choices a step, the worst of them absurd; the last step is dear whatever is chosen."""

    COSTS = np.array([[1.0, 2.0, 1000.0], [2.0, 3.0, 500.0], [100.0, 150.0, 9000.0]])

    @property
    def statement(self):
        space = Space(3, (Axis("size", (1, 2, 3)),))
        return dataclasses.replace(super().statement, space=space, limit=6.0)

    def make_tables(self):
        usage = np.tile([3.0, 2.0, 1.0], (3, 1))
        return Tables(self.COSTS, usage, np.ones((3, 3), bool), {})


def test_capped_costs_by_hand():
    """The best uniform solution, 2 2 2, costs 155: 51.67 a step, so the caps are 206.67, 206.67 and
    four times 100."""
    problem = Steep(3, 0)
    typical = 4 * 155 / 3
    worst = np.array([typical, typical, 400.0])
    expected = (worst[:, None] - np.minimum(Steep.COSTS, worst[:, None])) / (
        worst - [1, 2, 100]
    ).sum()
    table = make_reward("capped", [problem]).table
    np.testing.assert_allclose(table[:9].reshape(3, 3), expected, rtol=1e-12)
    assert expected[2, 0] > expected[2, 1] > expected[2, 2] == 0  # a dear step still tells


def test_where_no_uniform_solution_fits_an_equal_share_is_typical():
    class Tight(Steep):
        def make_tables(self):
            usage = np.array([[1.5, 1.2, 1.0], [1.9, 2.0, 3.0], [9.0, 4.0, 3.0]])
            return Tables(self.COSTS, usage, np.ones((3, 3), bool), {})

    problem = Tight(3, 0)
    assert problem.best_uniform() == np.inf
    # Of 2 a step the first two steps take their best, the last its least: 9003, so 12004 is a cap.
    table = make_reward("capped", [problem]).table[:9].reshape(3, 3)
    span = 999 + 498 + 8900
    np.testing.assert_allclose(table[0] * span, [999, 998, 0], rtol=1e-9)


@pytest.mark.parametrize("make", [BagsEnv, HWAssignEnv])
def test_no_failure_returns_more_than_any_success(make):
    env = make(problem=Bags.of(6)) if make is BagsEnv else make(workload="AlexNet", platform="iotx")
    returns = {True: [], False: []}
    for seed in range(60):
        rewards, info = play(env, seed, masked=seed % 2 == 0)
        returns[info["is_success"]].append(sum(rewards))
        assert all(0 <= reward <= 1 for reward in rewards[:-1])
        if not info["is_success"]:
            assert rewards[-1] == -1.0
    assert max(returns[False]) <= 0 <= min(returns[True]) < max(returns[True]) <= 1


@pytest.mark.parametrize("reward", ["capped", "shaped", "confuciux", ["latency", "energy"]])
def test_what_a_step_pays_follows_from_what_is_observed(reward):
    """Two ways to the same observation: equal choices pay the same, also where they fail."""
    levels = {"pe_levels": (1, 8, 64), "tile_levels": (1,)}
    env = HWAssignEnv(workload="AlexNet", platform="iotx", reward=reward, **levels)
    env.action_space.seed(0)
    seen, again = {}, 0
    for seed in range(300):
        observation, info = env.reset()
        done = False
        while not done:
            action = env.action_space.sample(info["action_mask"] if seed % 2 else None)
            key = (observation.tobytes(), action)
            observation, paid, done, _, info = env.step(action)
            again += key in seen
            np.testing.assert_allclose(paid, seen.setdefault(key, paid), rtol=1e-6)
    assert again > 300


def test_the_optimum_of_capped_costs_is_the_optimum():
    """So it is in 696 of the 698 ranked tasks."""
    for env_id in ("HWAssign-MobileNetV2-NVDLA-v0", "HWAssign-ResNet50-Eyeriss-v0",
                   "HWAssign-GoogLeNet-MIX-v0", "ConfuciuX-VGG16-ShiDianNao-IoT-v0"):  # fmt: skip
        problem = problem_of(env_id)
        steps = (problem.num_steps, problem.num_actions)
        table = make_reward("capped", [problem]).table[: np.prod(steps)].reshape(steps)
        found = cheapest_choice(1 - table, problem.usage, problem.valid, problem.limit)
        assert problem.evaluate_actions(found.actions[None]).objective[0] == pytest.approx(
            problem.optimum().objective, rel=1e-12
        )


# --- vectors --------------------------------------------------------------------------------------


def test_the_return_is_minus_the_metrics_to_the_last_bit():
    env = gym.make(ID)
    space = env.unwrapped.reward_space
    assert (space.shape, space.dtype) == ((3,), np.float64)
    for seed in range(20):
        rewards, info = play(env, seed)
        total = np.zeros(3)
        for reward in rewards:
            assert reward in space
            total = total + reward
        assert info["is_success"]  # without a limit every valid choice ends well
        np.testing.assert_array_equal(total, [-info[name] for name in NAMES])
        parts = env.unwrapped.problem.parts(info["assignment"])
        expected = -np.stack([parts.metrics[name][0] for name in NAMES], axis=1)
        np.testing.assert_array_equal(np.array(rewards), expected)


def test_an_array_of_rewards_is_nobody_elses():
    env = gym.make(ID)
    env.reset()
    first = env.step(39)[1]
    kept = first.copy()
    first[:] = 0
    env.reset()
    np.testing.assert_array_equal(env.step(39)[1], kept)


def test_any_metrics_in_any_order():
    problem = AssignmentProblem.of("NCF", "MIX")
    for names in (["power", "latency"], ["energy"], list(NAMES)[::-1]):
        env = HWAssignEnv(problem=problem, reward=names, action_mode="discrete")
        rewards, info = play(env, 0)
        np.testing.assert_array_equal(np.sum(rewards, axis=0), [-info[name] for name in names])
    mixed = HWAssignEnv(problem=problem, reward=[METRICS["power"], "latency"])
    assert mixed.reward_space.shape == (2,)
    with pytest.raises(ValueError, match="unknown metric 'watts'"):
        HWAssignEnv(problem=problem, reward=["watts"])
    with pytest.raises(ValueError, match=r"metrics that add up over steps, got \['throughput'\]"):
        HWAssignEnv(problem=problem, reward=["throughput"])


def test_a_failed_episode_returns_what_no_feasible_one_falls_below(every_assignment):
    problem = Bags.of(3)
    env = BagsEnv(problem=problem, reward=["area"], action_mode="discrete")
    worst = np.where(problem.valid, problem.tables.metrics["area"], -np.inf).max(axis=1).sum()
    lowest, failures = np.inf, 0
    for actions in every_assignment(problem)[::7]:
        env.reset()
        total = np.zeros(1)
        for action in actions:
            _, reward, done, _, info = env.step(int(action))
            total = total + reward
            if done:
                break
        if info["is_success"]:
            lowest = min(lowest, total[0])
        else:
            failures += 1
            assert total[0] == pytest.approx(-worst, rel=1e-12)
    assert failures > 50
    assert lowest >= -worst


def test_a_vector_environment_has_rows_of_rewards():
    vector = gym.make_vec(ID, 4)
    assert vector.unwrapped.reward_space.shape == (3,)
    vector.reset()
    result = vector.step(vector.action_space.sample())
    assert result[1].shape == (4, 3)
    assert result[1].dtype == np.float64


def test_logged_returns_of_a_vector_are_left_out():
    """An agent's environment may pay vectors; an account is of numbers."""
    paid = []
    problem = AssignmentProblem.of("NCF")
    evaluator = Evaluator(problem, 4, sees="layers")
    env = evaluator.environment(
        2, reward=["latency", "area"], on_paid=lambda *each: paid.append(each)
    )
    env.reset()
    env.action_space.seed(0)
    for _ in range(problem.num_steps):
        env.step(env.action_space.sample())
    assert paid
    assert all(returns is None for _, _, returns in paid)


# --- the front ------------------------------------------------------------------------------------


def undominated(values):
    """Of points (N, n), distinct ones that no other beats, up to rounding."""
    _, first = np.unique((values / values.max(axis=0)).round(12), axis=0, return_index=True)
    distinct = values[first]
    kept = [
        row
        for row in distinct
        if not (
            (distinct <= row * (1 + 1e-11)).all(axis=1) & (distinct < row * (1 - 1e-11)).any(axis=1)
        ).any()
    ]
    return np.array(sorted(map(tuple, kept)))


@pytest.mark.parametrize("names", [NAMES, ("area", "latency"), ("energy", "area", "latency")])
@pytest.mark.parametrize("ratio", [1.0, 0.3])
def test_the_front_is_that_of_all_assignments(three_kinds, every_assignment, names, ratio):
    problem = AssignmentProblem.of(three_kinds, ratio=ratio, **LEVELS)
    env = HWAssignEnv(problem=problem, reward=list(names))
    front = env.pareto_front()
    scores = problem.evaluate_actions(every_assignment(problem))
    values = np.stack([scores[name] for name in names], axis=1)[scores.feasible]
    expected = undominated(values)
    assert len(front) == len(expected) > 5
    assert all(point.shape == (len(names),) and point.dtype == np.float64 for point in front)
    found = np.array(sorted(map(tuple, -np.array(front))))
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    assert (np.diff([point[0] for point in front]) <= 0).all()


def test_a_point_of_the_front_can_be_played():
    env = HWAssignEnv(
        workload="NCF",
        dataflow="NVDLA",
        platform="unlimited",
        reward=list(NAMES),
        action_mode="multi_discrete",
    )
    front = env.pareto_front()
    found = frontier(env.problem, NAMES)
    assert len(front) == len(found) == 220
    for point in range(0, len(front), 20):
        env.reset()
        total = sum(env.step(genes)[1] for genes in found.assignment(point))
        np.testing.assert_array_equal(total, front[point])


def test_a_front_with_a_tolerance():
    env = gym.make("mo-HWAssign-NCF-MIX-v0").unwrapped
    exact, near = np.array(env.pareto_front()), np.array(env.pareto_front(epsilon=0.05))
    assert 3 <= len(near) < len(exact) == 561
    for point in exact:  # all are negative: costs
        assert (near >= point * 1.05).all(axis=1).any()


def test_what_has_no_front_says_so():
    env = HWAssignEnv(workload="NCF", reward=list(NAMES))
    with pytest.raises(ValueError, match=r"gamma must be 1, got 0\.9"):
        env.pareto_front(0.9)
    with pytest.raises(ValueError, match="a front needs a vector reward"):
        HWAssignEnv(workload="NCF").pareto_front()
    with pytest.raises(ValueError, match="two or three objectives"):
        HWAssignEnv(workload="NCF", reward=["area"]).pareto_front()
    with pytest.raises(ValueError, match="at most two objectives beside the constraint"):
        HWAssignEnv(workload="NCF", reward=["latency", "energy", "power"]).pareto_front()


def test_a_bank_has_the_front_of_the_current_problem():
    problems = [AssignmentProblem.of(name, platform="unlimited") for name in ("NCF", "AlexNet")]
    env = HWAssignEnv(problem=problems[:1] * 2, reward=["latency", "area"])
    alone = HWAssignEnv(problem=problems[0], reward=["latency", "area"])
    np.testing.assert_array_equal(env.pareto_front(), alone.pareto_front())
    both = HWAssignEnv(problem=problems, reward=["latency", "area"])
    fronts = []
    for instance in (0, 1):
        both.reset(options={"instance": instance})
        fronts.append(both.pareto_front())
    np.testing.assert_array_equal(fronts[0], alone.pareto_front())
    assert len(fronts[0]) != len(fronts[1])

"""HWAssignEnv: observations, actions, rewards and masks against hand computations."""

import itertools
import math

import gymnasium as gym
import numpy as np
import pytest
from conftest import assert_same

from hwgym import AssignmentProblem, Hardware
from hwgym.core import ACTION_MODES, REWARDS
from hwgym.families.assignment import HWAssignEnv

OWN = "HWAssign-v0"
DESCRIBED = {  # what has no id of its own goes by keyword
    "GNMT": {"workload": "GNMT", "dataflow": "ShiDianNao", "platform": "iot"},
    "LS": {"workload": "ResNet18", "dataflow": "MIX", "deployment": "LS"},
}
SUCCEEDING = (
    "HWAssign-MobileNetV2-NVDLA-v0",
    "HWAssign-SqueezeNet-MIX-Energy-Power-IoTx-v0",
    "HWAssign-VGG16-Eyeriss-Latency-Power-Cloud-v0",
    "GNMT",
    "LS",
    "ConfuciuX-AlexNet-Eyeriss-IoTx-v0",
    "ConfuciuX-MnasNet-NVDLA-IoT-v0",
)


def make(workload, dataflow="NVDLA", **kwargs):
    return HWAssignEnv(workload=workload, dataflow=dataflow, **kwargs)


def registered(env_id, **kwargs):
    if env_id in DESCRIBED:
        return gym.make(OWN, **DESCRIBED[env_id], **kwargs)
    return gym.make(env_id, **kwargs)


def masked_episode(env, rng):
    """Actions, rewards and the last info of an episode of random allowed (discrete) actions."""
    _, info = env.reset()
    actions, rewards, terminated = [], [], False
    while not terminated:
        actions.append(int(rng.choice(np.flatnonzero(env.action_masks()))))
        _, reward, terminated, _, info = env.step(actions[-1])
        rewards.append(reward)
    return actions, rewards, info


# --- observations ---------------------------------------------------------------------------------


def expected_observation(env, step, previous, used, earned):
    """From the words of the class's page. ``previous``: level indices, or None."""
    problem = env.problem
    layers = problem.design.workload
    sizes = [[layer.K, layer.C, layer.Y, layer.X, layer.R, layer.S] for layer in layers]
    if step < len(layers):
        greatest = [max(column) for column in zip(*sizes, strict=True)]
        shown = [
            math.log2(1 + x) / math.log2(1 + m)
            for x, m in zip(sizes[step], greatest, strict=True)
        ]  # fmt: skip
        shown.append({"CONV": 0.0, "DSCONV": 0.5, "GEMM": 1.0}[layers[step].kind])
    else:
        shown = [0.0] * 7
    shape = problem.space.shape
    before = [0.0] * len(shape)
    if previous is not None:
        before = [(level + 1) / levels for level, levels in zip(previous, shape, strict=True)]
    left = max(0.0, 1 - used / problem.budget)
    entries = [*shown, *before, step / len(layers), left, earned]
    return np.array([2 * x - 1 for x in entries])


@pytest.mark.parametrize("dataflow", ["NVDLA", "MIX"])
def test_observations_by_hand(three_kinds, dataflow):
    env = make(three_kinds, dataflow, ratio=0.5, action_mode="multi_discrete")
    assert env.observation_space.shape == (12 if dataflow == "NVDLA" else 13,)
    choices = [[5, 3, 2], [0, 11, 0], [4, 4, 1]]
    observation, _ = env.reset()
    previous, used, earned = None, 0.0, 0.0
    for step, choice in enumerate([*choices, None]):
        expected = expected_observation(env, step, previous, used, max(earned, 0.0))
        assert observation.dtype == np.float32
        assert observation in env.observation_space
        np.testing.assert_allclose(observation, expected, atol=1e-6)
        if choice is not None:
            previous = choice[: len(env.problem.space.shape)]
            used += env.problem.usage[step, env.problem.space.encode(previous)]
            observation, reward, *_ = env.step(np.array(previous))
            earned += reward
    np.testing.assert_array_equal(observation[:7], -1)  # no layer is left


def test_one_configuration_sees_the_mean_layer(three_kinds):
    env = make(three_kinds, deployment="LS", action_mode="multi_discrete")
    observation, _ = env.reset()
    layered = make(three_kinds, ratio=1.0, action_mode="multi_discrete")
    seen = [layered.reset()[0][:7]]
    seen += [layered.step([0, 0])[0][:7] for _ in range(2)]
    np.testing.assert_allclose(observation[:7], np.mean(seen, axis=0), atol=1e-6)
    np.testing.assert_array_equal(observation[7:], [-1, -1, -1, 1, -1])
    after, _, terminated, _, _ = env.step([1, 1])
    assert terminated
    np.testing.assert_array_equal(after[:7], -1)


@pytest.mark.parametrize("env_id", SUCCEEDING)
def test_observations_stay_in_bounds_whatever_is_chosen(env_id):
    env = registered(env_id, action_mode="discrete").unwrapped
    env.action_space.seed(3)
    for _ in range(20):
        observation, _ = env.reset()
        terminated = False
        while not terminated:
            assert observation in env.observation_space
            observation, _, terminated, _, _ = env.step(env.action_space.sample())
        assert observation in env.observation_space


# --- actions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataflow", ["NVDLA", "MIX"])
def test_action_spaces(three_kinds, dataflow):
    shape = (12, 12) if dataflow == "NVDLA" else (12, 12, 3)
    spaces = {
        mode: make(three_kinds, dataflow, action_mode=mode).action_space for mode in ACTION_MODES
    }
    assert spaces == {
        "multi_discrete": gym.spaces.MultiDiscrete(shape),
        "discrete": gym.spaces.Discrete(math.prod(shape)),
        "continuous": gym.spaces.Box(-1.0, 1.0, (len(shape),), np.float32),
    }
    assert make(three_kinds).action_space == gym.spaces.Discrete(144)


@pytest.mark.parametrize("dataflow", ["NVDLA", "MIX"])
def test_the_three_modes_play_the_same_episodes(dataflow):
    envs = {mode: make("AlexNet", dataflow, action_mode=mode) for mode in ACTION_MODES}
    problem = envs["discrete"].problem
    rng = np.random.default_rng(4)
    successes = 0
    for _ in range(6):
        actions, _, _ = masked_episode(envs["discrete"], rng)
        actions[rng.integers(len(actions))] = int(rng.integers(problem.num_actions))
        starts = [env.reset()[0] for env in envs.values()]
        for other in starts[1:]:
            assert_same(starts[0], other)
        for action in actions:
            levels = problem.space.decode(action)
            middle = (2 * levels + 1) / np.array(problem.space.shape) - 1
            given = {
                "multi_discrete": levels,
                "discrete": action,
                "continuous": middle.astype(np.float32),
            }
            results = [list(env.step(given[mode])) for mode, env in envs.items()]
            for result in results:
                result[4] = {k: v for k, v in result[4].items() if k != "action_mask"}
            assert_same(results[0], results[1])
            assert_same(results[0], results[2])
            if results[0][2]:
                successes += results[0][4]["is_success"]
                break
    assert successes > 0


@pytest.mark.parametrize("entry", [0, 1, 2])
def test_continuous_actions_cut_the_range_into_equal_parts(three_kinds, entry):
    def level_of(value):
        env = make(three_kinds, "MIX", action_mode="continuous", ratio=1.0)
        env.reset()
        action = np.zeros(3, np.float32)
        action[entry] = value
        env.step(action)
        return env.genes[0, entry]

    levels = (12, 12, 3)[entry]
    assert level_of(-1.0) == 0
    assert level_of(1.0) == levels - 1
    for k in range(1, levels):
        boundary = -1 + 2 * k / levels
        assert level_of(boundary - 1e-6) == k - 1
        assert level_of(boundary + 1e-6) == k


@pytest.mark.parametrize(
    ("mode", "action"),
    [
        ("multi_discrete", [0.0, 1.0]),
        ("multi_discrete", [0, 12]),
        ("multi_discrete", [-1, 0]),
        ("multi_discrete", [1]),
        ("multi_discrete", [1, 2, 3]),
        ("multi_discrete", [[1, 2], [3, 4]]),
        ("multi_discrete", 1),
        ("discrete", 1.0),
        ("discrete", np.float64(3)),
        ("discrete", 144),
        ("discrete", -1),
        ("discrete", True),
        ("discrete", []),
        ("discrete", [1, 2]),
        ("discrete", None),
        ("continuous", [math.nan, 0.0]),
        ("continuous", [0.0]),
        ("continuous", [0.0, 0.0, 0.0]),
        ("continuous", 0.5),
        ("continuous", ["a", "b"]),
    ],
)
def test_what_is_not_an_action_is_refused_and_changes_nothing(three_kinds, mode, action):
    env, untouched = (make(three_kinds, action_mode=mode, ratio=1.0) for _ in range(2))
    env.reset()
    untouched.reset()
    with pytest.raises(ValueError):
        env.step(action if action is None or np.isscalar(action) else np.array(action))
    good = {"multi_discrete": [1, 1], "discrete": 13, "continuous": [0.1, 0.1]}[mode]
    assert_same(env.step(np.array(good)), untouched.step(np.array(good)))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_integers_of_any_width_are_actions(three_kinds, dtype):
    pairs = {"multi_discrete": np.array([3, 5], dtype), "discrete": dtype(41)}
    for mode, action in pairs.items():
        env = make(three_kinds, action_mode=mode, ratio=1.0)
        env.reset()
        env.step(action)
        assert env.problem.space.encode(env.genes[0]) == 41


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_step_needs_a_running_episode(wrapped):
    env = gym.make(OWN, workload="NCF", deployment="LS", disable_env_checker=True)
    env = env if wrapped else env.unwrapped
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    env.reset()
    assert env.step(0)[2]
    if not wrapped:
        with pytest.raises(gym.error.ResetNeeded, match="reset"):
            env.step(0)
    env.reset()
    assert env.step(0)[2]


def test_the_same_actions_give_the_same_everything():
    runs = []
    for seed in (7, 7, 8):
        env = gym.make("HWAssign-SqueezeNet-MIX-v0", action_mode="discrete").unwrapped
        run = [env.reset(seed=seed)]
        rng = np.random.default_rng(5)
        terminated = False
        while not terminated:
            action = int(rng.choice(np.flatnonzero(env.action_masks())))
            run.append(env.step(action))
            terminated = run[-1][2]
        runs.append(run)
    assert_same(runs[0], runs[1])
    assert_same(runs[0], runs[2])  # there is nothing to seed


# --- how episodes end -----------------------------------------------------------------------------


def test_info_at_the_end(three_kinds):
    env = make(
        three_kinds, "MIX", ratio=0.6, constraint="power", objective="edp",
        action_mode="multi_discrete",
    )  # fmt: skip
    env.reset()
    levels = [[2, 3, 0], [3, 4, 1], [1, 5, 2]]
    info = [env.step(np.array(each))[4] for each in levels][-1]
    scores = env.evaluate(levels)
    assert info["is_success"] is True
    assert info["objective"] == scores.objective[0]
    assert info["latency"] == scores["latency"][0]
    assert info["energy"] == scores["energy"][0]
    assert info["area"] == scores["area"][0]
    assert info["power"] == scores["power"][0]
    assert info["budget_used"] == pytest.approx(scores["power"][0] / env.problem.budget)
    assert info["regret"] == scores.objective[0] / env.optimum().objective - 1
    assert info["regret"] > 0
    np.testing.assert_array_equal(info["assignment"], levels)
    assert all(type(info[k]) is float for k in ("objective", "latency", "regret", "budget_used"))


@pytest.mark.parametrize("mode", ACTION_MODES)
def test_every_info_says_what_there_is_so_far(three_kinds, mode):
    env = make(three_kinds, "MIX", ratio=0.6, constraint="power", action_mode=mode)
    env.action_space.seed(4)
    ended = set()
    for _ in range(30):
        infos, terminated = [env.reset()[1]], False
        while not terminated:
            _, _, terminated, _, info = env.step(env.action_space.sample())
            infos.append(info)
        assert len({tuple(sorted(info)) for info in infos}) == 1
        assert {type(info) for info in infos} == {dict}  # which jax takes apart, and no subclass
        ended.add(infos[-1]["is_success"])
        for done, info in enumerate(infos):
            taken = infos[-1]["assignment"][:done]
            np.testing.assert_array_equal(info["assignment"][:done], taken)
            assert (info["assignment"][done:] == -1).all()
            parts = env.problem.parts(info["assignment"]).metrics
            for name in ("latency", "energy", "area", "power"):
                assert type(info[name]) is float
                assert info[name] == sum(parts[name][0, :done], 0.0)  # in order
            assert info["objective"] in (info["latency"], math.inf)  # what cannot be built
            assert info["budget_used"] == info["power"] / env.problem.limit
            if done < len(infos) - 1:
                assert (info["is_success"], info["regret"]) == (False, math.inf)
    assert ended == {True, False}


@pytest.mark.parametrize(
    ("workload", "dataflow", "action", "cause"),
    [("VGG16", "Eyeriss", [0, 0], "invalid"), ("NCF", "NVDLA", [11, 11], "budget")],
)
def test_a_failed_episode_ends_at_once(workload, dataflow, action, cause):
    env = make(workload, dataflow, platform="iotx", action_mode="multi_discrete")
    env.reset()
    if cause == "invalid":  # one PE for three filter rows
        assert not env.problem.valid[0, 0]
        assert env.problem.usage[0, 0] < env.problem.budget
    terminated, taken = False, 0
    while not terminated:
        _, _, terminated, truncated, info = env.step(np.array(action))
        taken += 1
    assert taken < env.problem.num_steps or cause == "budget"
    assert not truncated
    assert info["is_success"] is False
    assert info["regret"] == math.inf
    np.testing.assert_array_equal(info["assignment"][:taken], [action] * taken)
    np.testing.assert_array_equal(info["assignment"][taken:], -1)
    assert (info["budget_used"] > 1) == (cause == "budget")


# --- rewards --------------------------------------------------------------------------------------

ADDING_UP = [
    ("AlexNet", "NVDLA", {}),
    ("SqueezeNet", "MIX", {"objective": "edp", "constraint": "power"}),
    ("AlexNet", "Eyeriss", {"released": True, "objective": "energy"}),
    ("NCF", "MIX", {"deployment": "LS"}),
]


@pytest.mark.parametrize(("workload", "dataflow", "settings"), ADDING_UP)
def test_shaped_return_is_linear_in_the_objective(workload, dataflow, settings):
    env = make(workload, dataflow, action_mode="discrete", reward="shaped", **settings)
    table = np.where(env.problem.valid, env.problem.cost, np.nan)
    worst, best = np.nanmax(table, axis=1).sum(), np.nanmin(table, axis=1).sum()
    rng = np.random.default_rng(6)
    for _ in range(5):
        _, rewards, info = masked_episode(env, rng)
        assert info["is_success"]
        assert all(type(reward) is float for reward in rewards)
        assert sum(rewards) == pytest.approx((worst - info["objective"]) / (worst - best), abs=1e-9)
        assert 0 <= sum(rewards) <= 1


@pytest.mark.parametrize("reward", ["capped", "shaped"])
def test_the_shaped_return_reaches_one(reward):
    env = make("AlexNet", platform="unlimited", reward=reward, action_mode="multi_discrete")
    env.reset()
    assert sum(env.step(levels)[1] for levels in env.optimum().assignment) == pytest.approx(1)


@pytest.mark.parametrize(("workload", "dataflow", "settings"), ADDING_UP)
@pytest.mark.parametrize(("reward", "expected"), [("shaped", -1.0), ("confuciux", 0.0)])
def test_return_of_a_failed_episode(workload, dataflow, settings, reward, expected):
    env = make(workload, dataflow, action_mode="discrete", reward=reward, **settings)
    rng = np.random.default_rng(7)
    scale = 1.0 if reward == "shaped" else float(env.problem.worst_cost.sum())
    failures = 0
    for good in range(env.problem.num_steps):
        env.reset()
        rewards, used = [], 0.0
        for step in range(good):
            action = int(rng.choice(np.flatnonzero(env.action_masks())))
            used += env.problem.usage[step, action]
            rewards.append(env.step(action)[1])
        too_much = used + env.problem.usage[good] > env.problem.limit
        bad = np.flatnonzero(~env.problem.valid[good] | too_much)
        if len(bad):
            _, last, terminated, _, info = env.step(int(rng.choice(bad)))
            assert terminated
            assert not info["is_success"]
            assert sum(rewards) + last == pytest.approx(expected, abs=1e-12 * scale)
            failures += 1
    assert failures


def test_confuciux_reward_is_performance_above_the_worst():
    env = make("AlexNet", action_mode="discrete", reward="confuciux")
    table = env.problem.cost
    worst = table[env.problem.valid].max()
    actions, rewards, _ = masked_episode(env, np.random.default_rng(8))
    expected = [worst - table[step, action] for step, action in enumerate(actions)]
    assert rewards == pytest.approx(expected)


@pytest.mark.parametrize("objective", ["latency", "throughput"])
def test_terminal_reward(objective):
    env = make("AlexNet", objective=objective, action_mode="discrete", reward="terminal")
    total = max if objective == "throughput" else sum
    table = np.where(env.problem.valid, env.problem.cost, -np.inf)
    _, rewards, info = masked_episode(env, np.random.default_rng(9))
    assert rewards[:-1] == [0.0] * (len(rewards) - 1)
    assert rewards[-1] == pytest.approx(-(1 + info["regret"]))
    env.reset()
    for action in env.problem.space.encode(env.optimum().assignment):
        last = env.step(action)
    assert last[1] == -1.0
    env.reset()
    terminated = False
    while not terminated:
        _, reward, terminated, _, info = env.step(env.problem.num_actions - 1)
    assert not info["is_success"]
    assert reward == pytest.approx(-total(table.max(axis=1)) / env.optimum().objective)


@pytest.mark.parametrize("objective", ["latency", "throughput"])
def test_relative_reward_knows_the_statement_only(objective):
    """How often the objective was halved, from that of the worst choices."""
    env = make("AlexNet", objective=objective, action_mode="discrete", reward="relative")
    total = max if objective == "throughput" else sum
    worst = total(np.where(env.problem.valid, env.problem.cost, -np.inf).max(axis=1))
    assert env.problem.statement.scale == pytest.approx(worst, rel=1e-15)
    for seed in range(5):
        _, rewards, info = masked_episode(env, np.random.default_rng(seed))
        assert rewards[:-1] == [0.0] * (len(rewards) - 1)
        assert rewards[-1] == pytest.approx(math.log2(worst / info["objective"]))
        assert type(rewards[-1]) is float
    env.reset()
    terminated = False
    while not terminated:
        _, reward, terminated, _, info = env.step(env.problem.num_actions - 1)
    assert not info["is_success"]
    assert reward == -1.0


def test_throughput_takes_rewards_at_the_end_only():
    modes = {"objective": "throughput", "action_mode": "multi_discrete"}
    for env in (make("NCF", **modes), make("NCF", reward="terminal", **modes)):
        env.reset()
        rewards = [env.step(levels)[1] for levels in env.optimum().assignment]
        assert rewards == [0.0] * (len(rewards) - 1) + [-1.0]
    for reward in set(REWARDS) - {"terminal", "relative"}:
        with pytest.raises(ValueError, match=f"{reward}.*throughput.*terminal"):
            make("NCF", objective="throughput", reward=reward)


# --- masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["discrete", "multi_discrete"])
@pytest.mark.parametrize(
    ("dataflow", "ratio", "objective"),
    [("NVDLA", 0.3, "latency"), ("MIX", 0.1, "energy"), ("Eyeriss", 0.6, "throughput")],
)
def test_masks_allow_exactly_what_can_end_well(
    three_kinds, every_assignment, dataflow, ratio, objective, mode
):
    """At every reachable prefix an action is allowed if and only if some completion is feasible."""
    env = make(
        three_kinds, dataflow, ratio=ratio, objective=objective, action_mode=mode,
        pe_levels=(2, 8, 24), tile_levels=(1, 4),
    )  # fmt: skip
    problem = env.problem
    assignments = every_assignment(problem)
    feasible = assignments[problem.evaluate_actions(assignments).feasible]
    assert 0 < len(feasible) < len(assignments)
    shape = problem.space.shape
    for length in range(problem.num_steps):
        for prefix in {tuple(row) for row in feasible[:, :length].tolist()}:
            _, info = env.reset()
            for action in prefix:
                given = action if mode == "discrete" else problem.space.decode(action)
                _, _, _, _, info = env.step(given)
            follows = feasible[(feasible[:, :length] == prefix).all(axis=1), length]
            if mode == "discrete":
                expected = np.isin(np.arange(problem.num_actions), follows)
                np.testing.assert_array_equal(info["action_mask"], expected)
            else:
                levels = problem.space.decode(follows)
                parts = [np.isin(np.arange(n), levels[:, i]) for i, n in enumerate(shape)]
                expected = np.concatenate(parts)
                for part, mask in zip(parts, info["action_mask"], strict=True):
                    np.testing.assert_array_equal(mask, part)
            assert env.action_masks().dtype == bool
            np.testing.assert_array_equal(env.action_masks(), expected)


@pytest.mark.parametrize("constraint", ["area", "power"])
def test_masks_allow_what_meets_the_budget_exactly(constraint):
    """Every action on the way to an assignment that takes the whole budget, to the last bit."""
    loose = AssignmentProblem.of("GoogLeNet", "MIX", constraint=constraint)
    rng = np.random.default_rng(12)
    for _ in range(5):
        actions = [int(rng.choice(np.flatnonzero(row))) for row in loose.valid]
        used = [float(loose.usage[step, action]) for step, action in enumerate(actions)]
        for budget in (sum(used), math.fsum(used)):
            problem = AssignmentProblem(loose.design, constraint=constraint, budget=budget)
            env = HWAssignEnv(problem=problem, action_mode="discrete")
            env.reset()
            for action in actions:
                assert env.action_masks()[action]
                *_, info = env.step(action)
            assert info["is_success"]


@pytest.mark.parametrize("env_id", SUCCEEDING)
def test_masked_play_always_succeeds(env_id):
    env = registered(env_id, action_mode="discrete").unwrapped
    rng = np.random.default_rng(10)
    for _ in range(10):
        assert masked_episode(env, rng)[2]["is_success"]


@pytest.mark.parametrize("mode", ["discrete", "multi_discrete"])
@pytest.mark.parametrize("env_id", SUCCEEDING)
def test_the_mask_in_info_is_what_sample_takes(env_id, mode):
    env = registered(env_id, action_mode=mode).unwrapped
    env.action_space.seed(11)
    for _ in range(5):
        _, info = env.reset()
        terminated = False
        while not terminated:
            masks = info["action_mask"]
            for mask in (masks,) if mode == "discrete" else masks:
                assert mask.dtype == np.int8
                assert mask.any()
            action = env.action_space.sample(masks)
            flat = env.action_masks()
            if mode == "discrete":
                assert flat[action]
            else:
                starts = np.cumsum([0, *env.problem.space.shape[:-1]])
                assert flat[starts + action].all()
            _, _, terminated, _, info = env.step(action)
        assert all(mask.any() for mask in np.atleast_2d(env.action_masks()))


@pytest.mark.parametrize("mode", ["discrete", "multi_discrete"])
def test_a_mask_never_forbids_everything(mode):
    """Also after a failure, and where the way taken cannot end well any more."""
    env = make("AlexNet", action_mode=mode, ratio=0.001)
    for seed in range(30):
        env.action_space.seed(seed)
        _, info = env.reset()
        terminated = False
        while not terminated:
            _, _, terminated, _, info = env.step(env.action_space.sample())
            masks = info["action_mask"]
            assert all(mask.any() for mask in ((masks,) if mode == "discrete" else masks))


def test_masks_and_observations_are_copies():
    env = make("AlexNet", action_mode="discrete")
    observation, info = env.reset()
    kept = (env.action_masks(), info["action_mask"].copy(), observation.copy())
    for array in (env.action_masks(), info["action_mask"], observation):
        array[...] = 0
    np.testing.assert_array_equal(env.action_masks(), kept[0])
    results = [env.step(0) for _ in range(2)]
    for (a, *_, a_info), (b, *_, b_info) in itertools.pairwise(results):
        assert not np.shares_memory(a, b)
        assert not np.shares_memory(a_info["action_mask"], b_info["action_mask"])
    fresh, fresh_info = env.reset()
    assert_same([fresh, fresh_info["action_mask"]], [kept[2], kept[1]])


def test_continuous_actions_have_no_masks():
    env = make("NCF", action_mode="continuous")
    assert "action_mask" not in env.reset()[1]
    assert "action_mask" not in env.step(env.action_space.sample())[4]
    with pytest.raises(ValueError, match="discrete"):
        env.action_masks()


# --- arguments ------------------------------------------------------------------------------------


def test_a_problem_may_be_given():
    problem = AssignmentProblem.of("NCF", "MIX", objective="energy")
    env = HWAssignEnv(problem=problem)
    assert env.problem is problem
    assert env.optimum() is problem.optimum()


@pytest.mark.parametrize(
    ("description", "named"),
    [
        ({"workload": "MobileNetV2"}, "workload"),
        ({"dataflow": "NVDLA"}, "dataflow"),
        ({"platform": "iot", "objective": "energy"}, "platform, objective"),
        ({"frameskip": 4}, "frameskip"),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_a_problem_and_what_describes_one_is_too_much(description, named, many):
    problem = AssignmentProblem.of("NCF")
    given = [problem, AssignmentProblem.of("AlexNet")] if many else problem
    with pytest.raises(ValueError, match=f"not both: got problem and {named}$"):
        HWAssignEnv(problem=given, **description)


@pytest.mark.parametrize("given", [3, [], "MobileNetV2", [AssignmentProblem, 3]])
def test_what_is_no_problem_is_refused(given):
    with pytest.raises(ValueError, match="a problem, several, or a sampler is needed, got"):
        HWAssignEnv(problem=given)


@pytest.mark.parametrize("make_one", [HWAssignEnv, lambda **kw: gym.make("HWAssign-v0", **kw)])
def test_unknown_arguments_are_refused_in_pythons_own_words(make_one):
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'frameskip'"):
        make_one(workload="NCF", frameskip=4)
    with pytest.raises(TypeError, match=r"argument 'workloda'.*did you mean 'workload'"):
        make_one(workloda="NCF")


def test_ones_own_environment_needs_a_workload(three_kinds):
    with pytest.raises(TypeError, match="HWAssignEnv needs workload"):
        gym.make("HWAssign-v0")
    with pytest.raises(TypeError, match="HWAssignEnv needs workload"):
        gym.make("HWAssign-v0", dataflow="MIX")
    env = gym.make("HWAssign-v0", workload=three_kinds, dataflow="MIX", ratio=0.5)
    assert env.unwrapped.problem is AssignmentProblem.of(three_kinds, "MIX", ratio=0.5)
    given = gym.make("HWAssign-v0", problem=env.unwrapped.problem)
    assert given.unwrapped.problem is env.unwrapped.problem


@pytest.mark.parametrize("released", [False, True])
def test_hardware_may_be_a_dict(released):
    technology = "maestro-2021" if released else "maestro-2019"
    given = make("AlexNet", hardware={"simd_lanes": 2}, released=released)
    expected = Hardware(simd_lanes=2, technology=technology)
    assert given.problem is AssignmentProblem.of("AlexNet", hardware=expected, released=released)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action_mode": "discreet"}, "unknown action mode 'discreet'; did you mean 'discrete'"),
        ({"reward": "shape"}, "unknown reward 'shape'; did you mean 'shaped'"),
        ({"render_mode": "rgb"}, "unknown render mode 'rgb'"),
        ({"render_mode": "rgb_arrays"}, "did you mean 'rgb_array'"),
        ({"hardware": {"noc_bandwith": 1}}, "hardware field.*did you mean 'noc_bandwidth'"),
        ({"hardware": {"technology": "maestro-2020"}}, "technology.*did you mean 'maestro-20"),
        ({"hardware": {"noc_bandwidth": 0}}, "noc_bandwidth must be at least 1"),
        ({"workload": "ResNet-50"}, "did you mean 'ResNet50'"),
        ({"workload": "MobileNetV3", "released": True}, "did you mean 'MobileNetV2'"),
        ({"dataflow": "MIXED"}, "unknown dataflow 'MIXED'; did you mean 'MIX'"),
        ({"platform": "clouds"}, "did you mean 'cloud'"),
        ({"deployment": "LSP"}, "did you mean 'L"),
    ],
)
def test_errors_name_the_nearest(arguments, message):
    with pytest.raises(ValueError, match=message):
        HWAssignEnv(**{"workload": "MobileNetV2"} | arguments)


def test_hardware_from_a_file(tmp_path):
    path = tmp_path / "chip.toml"
    Hardware(noc_bandwidth=16, technology="maestro-2019").to_toml(path)
    env = gym.make("HWAssign-AlexNet-NVDLA-v0", hardware=str(path))
    assert env.unwrapped.problem.design.hardware.noc_bandwidth == 16
    by_dict = gym.make("HWAssign-AlexNet-NVDLA-v0", hardware={"noc_bandwidth": 16})
    assert by_dict.unwrapped.problem is env.unwrapped.problem
    with pytest.raises(FileNotFoundError):
        gym.make("HWAssign-AlexNet-NVDLA-v0", hardware=str(tmp_path / "none.toml"))

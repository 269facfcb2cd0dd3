"""HWAssignVectorEnv against SyncVectorEnv over scalar environments, in lock-step."""

import ast
import copy
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from conftest import assert_same
from contract import Sync, allowed, lock_step
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import hwgym  # noqa: F401 (registers the environments)
from hwgym import AssignmentProblem
from hwgym.core import ACTION_MODES
from hwgym.core.episode import EpisodeKernel
from hwgym.core.infos import LazyDict
from hwgym.core.rewards import make_reward
from hwgym.core.table_walk import TableWalk
from hwgym.core.vector import DRAWN
from hwgym.families.assignment import HWAssignEnv, HWAssignVectorEnv

N = 5
MODES = tuple(AutoresetMode)
LEVELS = {"pe_levels": (1, 4, 16, 64), "tile_levels": (1, 2, 5)}


@pytest.fixture(scope="module")
def problems(three_kinds):
    of = AssignmentProblem.of
    return {
        "LP": of(three_kinds, "NVDLA", ratio=0.3),
        "MIX": of(three_kinds, "MIX", objective="energy", constraint="power", **LEVELS),
        "LS": of(three_kinds, "MIX", platform="cloud", deployment="LS", **LEVELS),
        "released": of("AlexNet", "Eyeriss", platform="iotx", released=True),
        "throughput": of(three_kinds, "ShiDianNao", objective="throughput", ratio=0.3),
    }


def in_lock_step(problem, autoreset, steps=40, **kwargs):
    """Step both, comparing everything; returns how many episodes succeeded and failed."""
    return lock_step(
        HWAssignVectorEnv(problem=problem, num_envs=N, autoreset_mode=autoreset.value, **kwargs),
        Sync([lambda: HWAssignEnv(problem=problem, **kwargs)] * N, autoreset),
        steps,
    )


@pytest.mark.parametrize("autoreset", MODES, ids=lambda m: m.name)
@pytest.mark.parametrize("action_mode", ACTION_MODES)
@pytest.mark.parametrize("which", ["LP", "MIX", "LS", "released", "throughput"])
def test_equals_sync_vector_env(problems, which, action_mode, autoreset):
    succeeded, failed = in_lock_step(problems[which], autoreset, action_mode=action_mode)
    assert succeeded
    assert failed


@pytest.mark.parametrize(
    "reward",
    ["capped", "shaped", "confuciux", "terminal", "relative", ("latency", "energy", "area")],
)
@pytest.mark.parametrize("which", ["LP", "MIX", "LS", "released"])
def test_equals_sync_vector_env_with_every_reward(problems, which, reward):
    in_lock_step(problems[which], AutoresetMode.SAME_STEP, steps=20, reward=reward)


def test_equals_sync_vector_env_on_a_registered_id():
    kwargs = {"action_mode": "discrete"}
    vector = gym.make_vec("HWAssign-MobileNetV2-NVDLA-v0", 2, **kwargs)
    sync = SyncVectorEnv(
        [lambda: gym.make("HWAssign-MobileNetV2-NVDLA-v0", disable_env_checker=True, **kwargs)] * 2
    )
    rng = np.random.default_rng(0)
    assert_same(vector.reset(), sync.reset())
    for _ in range(60):
        actions = allowed(rng, vector.unwrapped)
        assert_same(vector.step(actions), sync.step(actions))


@pytest.mark.parametrize("autoreset", ["SameStep", "NextStep"])
def test_what_an_info_says_does_not_depend_on_when_it_is_read(problems, autoreset):
    """Infos are computed when they are read: here some forty steps later."""
    kwargs = {"problem": problems["LP"], "num_envs": N, "autoreset_mode": autoreset}
    at_once, late = HWAssignVectorEnv(**kwargs), HWAssignVectorEnv(**kwargs)
    rng = np.random.default_rng(1)
    read, unread = [dict(at_once.reset()[1])], [late.reset()[1]]
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


class TestLazyDict:
    @pytest.fixture
    def calls(self):
        return []

    @pytest.fixture
    def lazy(self, calls):
        lazy = LazyDict(plain=1)
        lazy.later(("a", "b"), lambda: calls.append(1) or {"a": 2, "b": [3]})
        return lazy

    def test_knows_its_keys_without_computing(self, lazy, calls):
        assert "a" in lazy
        assert "c" not in lazy
        assert len(lazy) == 3
        assert list(lazy) == list(lazy.keys()) == ["plain", "a", "b"]
        assert lazy["plain"] == lazy.get("plain") == 1
        assert isinstance(lazy, dict)
        assert not calls

    @pytest.mark.parametrize(
        "read",
        [
            lambda d: d,
            dict,
            lambda d: {**d},
            lambda d: d.copy(),
            copy.copy,
            copy.deepcopy,
            lambda d: pickle.loads(pickle.dumps(d)),
            lambda d: d | {},
            lambda d: {} | d,
            lambda d: dict(d.items()),
            lambda d: dict(zip(d, d.values(), strict=True)),
            lambda d: {k: d[k] for k in d},
            lambda d: {k: d.get(k) for k in d},
            lambda d: {k: d.setdefault(k, 9) for k in d},
            lambda d: {k: d.pop(k) for k in list(d)},
            lambda d: dict([d.popitem() for _ in range(3)][::-1]),
            lambda d: ast.literal_eval(repr(d)),
            lambda d: json.loads(json.dumps(dict(d))),
        ],
    )
    def test_whatever_reads_it_gets_values_computed_once(self, lazy, calls, read):
        assert read(lazy) == {"plain": 1, "a": 2, "b": [3]}
        assert len(calls) == 1

    def test_compares_and_changes_like_a_dict(self, lazy):
        assert lazy != {"plain": 1}
        lazy["a"] = 5
        lazy.update(b=6)
        del lazy["plain"]
        assert lazy == {"a": 5, "b": 6}
        assert lazy.get("plain") is None
        assert lazy.pop("plain", 7) == 7
        with pytest.raises(KeyError, match="plain"):
            lazy["plain"]
        with pytest.raises(KeyError):
            lazy.pop("plain")
        with pytest.raises(TypeError):
            hash(lazy)


def test_the_kernel_leaves_episodes_that_are_over_as_they_are(problems):
    problem = problems["released"]
    walk = TableWalk.of([problem])
    kernel = EpisodeKernel(walk, make_reward(None, [problem]), np.zeros(3, np.int64))
    most = problem.num_actions - 1
    kernel.step(np.array([0, most, 0]))
    while not kernel.over.any():
        kernel.step(np.array([0, most, 0]))
    before = kernel.genes[1].copy(), kernel.state.used[1], kernel.observe()[1]
    assert kernel.over.tolist() == [False, True, False]
    while not kernel.over.all():
        result = kernel.step(np.array([0, 7, 1]))
        assert result.reward[1] == 0.0
        assert not result.failed[1]
    assert_same((kernel.genes[1], kernel.state.used[1], kernel.observe()[1]), before)
    numbers = problem.space.encode(kernel.genes)
    assert (numbers[0] == 0).all()
    assert np.unique(numbers[2]).tolist() == [0, 1]


# --- how it is made -------------------------------------------------------------------------------


def test_make_vec_takes_it_by_default():
    own = {"workload": "AlexNet", "deployment": "LS"}
    vector = gym.make_vec("HWAssign-v0", num_envs=3, autoreset_mode="NextStep", **own)
    assert isinstance(vector.unwrapped, HWAssignVectorEnv)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert vector.problem is AssignmentProblem.of(**own)
    assert vector.optimum() is vector.problem.optimum()
    assert json.loads(vector.spec.to_json())["kwargs"]["autoreset_mode"] == "NextStep"
    again = gym.make_vec(gym.envs.registration.EnvSpec.from_json(vector.spec.to_json()))
    assert again.num_envs == 3
    assert again.problem is vector.problem


def test_the_default_is_gymnasiums_and_the_class_stays_as_it_is():
    vector = HWAssignVectorEnv(workload="NCF", num_envs=2)
    sync = SyncVectorEnv([lambda: HWAssignEnv(workload="NCF")])
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert sync.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert "autoreset_mode" not in HWAssignEnv.metadata


def test_evaluate_scores_whole_assignments(problems):
    vector = HWAssignVectorEnv(problem=problems["LP"], num_envs=2)
    assert vector.evaluate(problems["LP"].space.uniform()).feasible.any()


@pytest.mark.parametrize("num_envs", [0, -1, 1.5, True, "2"])
def test_num_envs_must_be_positive(num_envs):
    with pytest.raises(ValueError, match="num_envs must be a positive integer"):
        HWAssignVectorEnv(workload="NCF", num_envs=num_envs)


def test_other_arguments_are_the_scalar_environments(problems):
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'frameskip'"):
        HWAssignVectorEnv(workload="NCF", frameskip=4)
    with pytest.raises(TypeError, match="needs workload"):
        gym.make_vec("HWAssign-v0", num_envs=2)
    with pytest.raises(ValueError, match="not both: got problem and workload"):
        HWAssignVectorEnv(problem=problems["LP"], workload="NCF")


def test_unknown_autoreset_mode_names_the_nearest():
    with pytest.raises(ValueError, match="SameStep"):
        HWAssignVectorEnv(workload="NCF", autoreset_mode="SameSteps")


# --- resets ---------------------------------------------------------------------------------------


@pytest.fixture
def vector(problems):
    return HWAssignVectorEnv(problem=problems["LP"], num_envs=3)


def test_takes_a_seed_an_environment(vector):
    first = vector.reset(seed=[1, None, 3])
    assert_same(first, vector.reset(seed=5))
    assert vector.np_random_seed == 5
    with pytest.raises(ValueError, match="one seed or 3"):
        vector.reset(seed=[1, 2])


@pytest.mark.parametrize(
    ("mask", "error"),
    [
        ([True, False, False], TypeError),
        (np.array([1, 0, 0]), TypeError),
        (np.array([True]), ValueError),
        (np.zeros(3, bool), ValueError),
    ],
)
def test_reset_mask_is_checked(vector, mask, error):
    with pytest.raises(error, match="reset_mask"):
        vector.reset(options={"reset_mask": mask})


def test_options_are_left_as_they_were(vector):
    options = {"reset_mask": np.ones(3, bool)}
    vector.reset(options=options)
    assert "reset_mask" in options


@pytest.mark.parametrize("mode", MODES, ids=lambda m: m.name)
def test_step_before_reset(problems, mode):
    vector = HWAssignVectorEnv(problem=problems["LP"], num_envs=3, autoreset_mode=mode)
    with pytest.raises(gym.error.ResetNeeded):
        vector.step(vector.action_space.sample())
    vector.reset(options={"reset_mask": np.array([True, False, True])})
    with pytest.raises(gym.error.ResetNeeded):
        vector.step(vector.action_space.sample())


def test_disabled_wants_a_reset_of_what_is_over(problems):
    vector = HWAssignVectorEnv(problem=problems["LS"], num_envs=2, autoreset_mode="Disabled")
    vector.reset()
    vector.step(vector.action_space.sample())
    with pytest.raises(gym.error.ResetNeeded, match=r"\[0, 1\] are over"):
        vector.step(vector.action_space.sample())
    vector.reset(options={"reset_mask": np.array([True, True])})
    vector.step(vector.action_space.sample())


# --- actions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "actions", [[[0, 0]], [[0, 0]] * 4, [[0, 0], [0, 0], [0, 99]], [[0, 0], [-1, 0], [0, 0]], 3]
)
def test_wrong_actions(problems, actions):
    kwargs = {"num_envs": N, "action_mode": "multi_discrete"}
    vector = HWAssignVectorEnv(problem=problems["LP"], **kwargs)
    vector.reset()
    with pytest.raises(ValueError, match=r"actions|an action's entries lie in 0\.\.\[11, 11\]"):
        vector.step(np.array(actions))


def test_next_step_does_not_look_at_actions_of_episodes_that_begin(problems):
    vector = HWAssignVectorEnv(problem=problems["LS"], num_envs=2, autoreset_mode="NextStep")
    vector.reset()
    vector.step(vector.action_space.sample())
    _, rewards, terminated, _, _ = vector.step(np.full((2, 3), 99))
    assert not rewards.any()
    assert not terminated.any()


def test_no_masks_of_continuous_actions(problems):
    vector = HWAssignVectorEnv(problem=problems["LP"], num_envs=2, action_mode="continuous")
    with pytest.raises(ValueError, match="discrete"):
        vector.action_masks()


# --- drawing --------------------------------------------------------------------------------------


def test_renders_every_environment(problems):
    text = HWAssignVectorEnv(problem=problems["LP"], num_envs=2, render_mode="ansi")
    text.reset()
    assert [type(each) for each in text.render()] == [str, str]
    image = HWAssignVectorEnv(problem=problems["LP"], num_envs=2, render_mode="rgb_array")
    image.reset()
    assert [each.ndim for each in image.render()] == [3, 3]
    image.close()
    human = HWAssignVectorEnv(problem=problems["LS"], num_envs=1, render_mode="human")
    human.reset()
    human.step(human.action_space.sample())
    human.close()


def test_render_without_a_mode_warns(vector):
    with pytest.warns(UserWarning, match="render_mode"):
        assert vector.render() is None


def test_what_is_drawn_ahead_is_what_would_be_drawn():
    problems = [AssignmentProblem.of("AlexNet", ratio=0.1 + 0.05 * i) for i in range(7)]
    env = HWAssignVectorEnv(problem=problems, num_envs=3)
    one, other = (np.random.default_rng(5) for _ in range(2))
    expected = [env.sampler.draw(one) for _ in range(3 * DRAWN)]
    assert env.sampler.draws(other, 3 * DRAWN).tolist() == expected

    seen = []
    env.reset(seed=[5, 6, 5])
    for i in range(3 * DRAWN):  # and a seed again on the way
        seen.append(env.which.tolist())
        env.reset(seed=[None, 5, None] if i == 20 else None)
    assert [row[0] for row in seen] == [row[2] for row in seen] == expected
    assert [row[1] for row in seen[21:]] == expected[:-21]


def test_a_sampler_that_looks_at_what_others_drew_is_asked_one_by_one():
    class InTurn:
        random = True

        def __init__(self, problems):
            self.problems, self.drawn = problems, 0

        def draw(self, rng):
            self.drawn += 1
            return (self.drawn - 1) % len(self.problems)

    problems = [AssignmentProblem.of("AlexNet", ratio=0.1 + 0.05 * i) for i in range(7)]
    env = HWAssignVectorEnv(problem=InTurn(problems), num_envs=4)
    env.reset(seed=0)
    assert env.which.tolist() == [0, 1, 2, 3]
    env.reset(options={"reset_mask": np.array([False, True, False, True])})
    assert env.which.tolist() == [0, 4, 2, 5]

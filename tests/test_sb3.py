"""The adapter to stable-baselines3, the agents behind it, and the script to copy."""

import dataclasses
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import tiny_families  # noqa: F401 (registers them)
import yaml
from conftest import assert_same

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.callbacks import MaskableEvalCallback
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from hwgym import AssignmentProblem
from hwgym.core import ACTION_MODES, Evaluator, Withheld, problem_of, search, solve
from hwgym.core.actions import actions_of
from hwgym.families.assignment import HWAssignEnv, HWAssignVectorEnv
from hwgym_agents import sb3, train_sb3
from hwgym_agents.vec_env import SuiteVecEnv

N = 4
TINY = {"policy_kwargs": {"net_arch": [8]}}
ON_POLICY = {**TINY, "n_steps": 4}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The networks are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def problem(three_kinds):
    return AssignmentProblem.of(three_kinds, "NVDLA", ratio=0.3)


def adapted(num_envs=N, **kwargs):
    return SuiteVecEnv(HWAssignVectorEnv(num_envs=num_envs, autoreset_mode="SameStep", **kwargs))


# --- the adapter ----------------------------------------------------------------------------------


@pytest.mark.parametrize("deployment", ["LP", "LS"])
@pytest.mark.parametrize("action_mode", ACTION_MODES)
def test_equals_dummy_vec_env(three_kinds, action_mode, deployment):
    kwargs = {
        "problem": AssignmentProblem.of(three_kinds, "MIX", ratio=0.3, deployment=deployment),
        "action_mode": action_mode,
    }
    ours = adapted(**kwargs)
    dummy = DummyVecEnv([lambda: HWAssignEnv(**kwargs)] * N)
    assert ours.observation_space == dummy.observation_space
    assert ours.action_space == dummy.action_space
    ours.action_space.seed(1)
    ours.seed(5)
    dummy.seed(5)
    assert_same(ours.reset(), dummy.reset())
    assert_same(ours.reset_infos, dummy.reset_infos)
    ended = 0
    for step in range(30):
        actions = np.array([ours.action_space.sample() for _ in range(N)])
        if step % 3:
            actions = np.full_like(actions, -1 if action_mode == "continuous" else 0)
        results = ours.step(actions), dummy.step(actions)
        assert_same(*results)
        assert_same(ours.reset_infos, dummy.reset_infos)
        ended += results[0][2].sum()
        if action_mode != "continuous":
            assert_same(get_action_masks(ours), get_action_masks(dummy))
    assert ended
    ours.close()


def test_attributes_and_methods(problem):
    env = adapted(problem=problem)
    assert env.get_attr("problem", [0, 2]) == [problem] * 2
    assert env.get_attr("action_space") == [HWAssignEnv(problem=problem).action_space] * N
    assert env.has_attr("action_masks")
    assert not env.has_attr("action_mask")
    with pytest.raises(AttributeError):
        env.get_attr("nothing")
    env.set_attr("label", 3)
    assert env.get_attr("label", 1) == [3]
    with pytest.raises(ValueError, match="share their attributes"):
        env.set_attr("label", 4, indices=1)
    assert is_masking_supported(env)
    env.reset()
    assert [len(mask) for mask in env.env_method("action_masks", indices=[1, 3])] == [144, 144]
    assert env.env_method("optimum", indices=0) == [problem.optimum()]
    assert env.env_method("certificate") == [problem.certificate()] * N
    assert len(env.env_method("evaluate", problem.space.uniform()[:2])) == N
    with pytest.raises(AttributeError, match="there are action_masks"):
        env.env_method("nothing")
    assert env.env_is_wrapped(Monitor) == [False] * N
    assert env.render_mode is None
    assert env.seed(3) == [3, 4, 5, 6]


def test_images(problem):
    env = adapted(2, problem=problem, render_mode="rgb_array")
    env.reset()
    assert env.render().ndim == 3
    assert len(env.get_images()) == 2
    assert env.env_method("render", indices=1)[0].ndim == 3
    env.close()


def test_takes_an_id():
    env = SuiteVecEnv("HWAssign-AlexNet-NVDLA-v0", 3, action_mode="discrete")
    assert env.num_envs == 3
    assert env.spec.id == "HWAssign-AlexNet-NVDLA-v0"
    assert SuiteVecEnv("Tour-4-v0").num_envs == 16
    with pytest.raises(gym.error.NameNotFound):
        SuiteVecEnv("HWAssign-Nothing-v0")


@pytest.mark.parametrize("env_id", ["Bags-4-0-v0", "Tour-4-v0"])
def test_adapts_any_family(env_id):
    ours = SuiteVecEnv(env_id, 2)
    dummy = DummyVecEnv([lambda: gym.make(env_id).unwrapped] * 2)
    assert_same(ours.reset(), dummy.reset())
    ours.action_space.seed(1)
    for _ in range(20):
        actions = np.array([ours.action_space.sample() for _ in range(2)])
        assert_same(ours.step(actions), dummy.step(actions))


def test_takes_a_vector_environment_as_it_is(problem):
    envs = HWAssignVectorEnv(problem=problem, num_envs=N, autoreset_mode="SameStep")
    assert SuiteVecEnv(envs).envs is envs
    assert SuiteVecEnv(envs, N).num_envs == N
    with pytest.raises(ValueError, match="give no arguments beside it"):
        SuiteVecEnv(envs, N + 1)
    with pytest.raises(ValueError, match="give no arguments beside it"):
        SuiteVecEnv(envs, action_mode="discrete")
    with pytest.raises(ValueError, match="autoreset_mode 'SameStep', got 'NextStep'"):
        SuiteVecEnv(HWAssignVectorEnv(problem=problem))
    with pytest.raises(ValueError, match="an id or a vector environment of hwgym"):
        SuiteVecEnv(HWAssignEnv(problem=problem))
    with pytest.raises(ValueError, match="numbers, not vectors"):
        SuiteVecEnv("mo-HWAssign-AlexNet-NVDLA-v0")


def test_maskable_ppo_trains_evaluates_saves_and_loads(problem, tmp_path):
    def make():
        return VecMonitor(adapted(problem=problem, action_mode="discrete"))

    env = VecNormalize(make(), gamma=1.0)
    model = MaskablePPO(
        "MlpPolicy", env, n_steps=6, batch_size=12, n_epochs=1, device="cpu", seed=0
    )
    check = MaskableEvalCallback(
        VecNormalize(make(), gamma=1.0, training=False, norm_reward=False),
        n_eval_episodes=8,
        eval_freq=6,
        best_model_save_path=str(tmp_path),
        verbose=0,
    )
    model.learn(48, callback=check)
    assert check.last_mean_reward > 0  # masked episodes are feasible
    assert model.ep_info_buffer[0]["l"] == problem.num_steps
    assert np.mean(model.ep_success_buffer) == 1.0
    model.save(tmp_path / "model")
    env.save(str(tmp_path / "normalize.pkl"))
    again = MaskablePPO.load(tmp_path / "model", device="cpu")
    again.set_env(VecNormalize.load(str(tmp_path / "normalize.pkl"), make()))
    observations = again.env.reset()
    masks = get_action_masks(again.env)
    a, _ = model.predict(observations, action_masks=masks, deterministic=True)
    b, _ = again.predict(observations, action_masks=masks, deterministic=True)
    np.testing.assert_array_equal(a, b)
    again.learn(24)


def test_ppo_with_eval_callback(problem):
    def make():
        return VecMonitor(adapted(problem=problem))

    model = PPO("MlpPolicy", make(), n_steps=6, batch_size=12, n_epochs=1, device="cpu", seed=0)
    check = EvalCallback(make(), n_eval_episodes=4, eval_freq=6, verbose=0)
    model.learn(24, callback=check)
    assert check.last_mean_reward >= -1
    mean, _ = evaluate_policy(model, make(), n_eval_episodes=4)
    assert -1 <= mean <= 1


# --- the agents -----------------------------------------------------------------------------------

AGENTS = {
    sb3.PPO: ON_POLICY,
    sb3.A2C: ON_POLICY,
    sb3.MaskablePPO: ON_POLICY,
    sb3.RecurrentPPO: {"policy_kwargs": {"net_arch": [8], "lstm_hidden_size": 8}, "n_steps": 4},
    sb3.TRPO: ON_POLICY,
    sb3.DQN: {**TINY, "learning_starts": 20},
    sb3.QRDQN: {**TINY, "learning_starts": 20},
    sb3.SAC: {**TINY, "learning_starts": 20},
    sb3.TD3: {**TINY, "learning_starts": 20},
    sb3.DDPG: {**TINY, "learning_starts": 20},
}


def account(problem):
    return Evaluator(problem, 100, sees="layers")


def test_every_algorithm_has_an_agent():
    assert {agent().algorithm for agent in AGENTS} == set(sb3.ALGORITHMS)
    assert all(agent.sees == "layers" for agent in AGENTS)


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.__name__)
def test_agents_spend_their_budget_exactly(problem, agent):
    result = solve(agent(hyperparameters=AGENTS[agent], num_envs=3), problem, samples=40, seed=1)
    assert result.samples == 40
    assert not result.timed_out
    if agent is sb3.MaskablePPO:
        assert np.isfinite(result.history).all()


def test_equal_seeds_give_equal_results(problem):
    agent = sb3.MaskablePPO(hyperparameters=ON_POLICY)
    a, b, c = (solve(agent, problem, samples=50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.history, b.history)
    assert not np.array_equal(a.history, c.history)


@pytest.mark.parametrize("env_id", ["Bags-4-0-v0", "Tour-4-v0"])
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.__name__)
def test_any_family(agent, env_id):
    searcher = agent(hyperparameters=AGENTS[agent], num_envs=3)
    if env_id.startswith("Tour") and agent in (sb3.DQN, sb3.QRDQN):
        with pytest.raises(ValueError, match="more than the 65,536 that can be numbered"):
            solve(searcher, env_id, samples=31)
        return
    result = solve(searcher, env_id, samples=31, seed=1)
    assert result.samples == 31
    if agent is sb3.MaskablePPO:  # Bags' choices are masked jointly, Tour's on each axis
        assert np.isfinite(result.history).all()


@pytest.mark.parametrize("normalize", [False, True])
def test_samples_are_the_episodes_in_the_order_in_which_they_end(problem, normalize, monkeypatch):
    evaluator = Evaluator(problem, 30, sees="layers")
    asked, returns = [], []
    charge = Evaluator._charge

    def record(self, genes, returned):
        asked.extend(genes)
        returns.extend(returned)
        return charge(self, genes, returned)

    monkeypatch.setattr(Evaluator, "_charge", record)
    settings = {**ON_POLICY, "normalize": normalize}
    search(sb3.PPO(hyperparameters=settings, num_envs=3), evaluator, seed=0)
    assert evaluator.spent == len(asked) == 30
    # Played again one by one, each breaks off where it did and returns what it did.
    env = HWAssignEnv(problem=problem, action_mode="discrete")
    for genes, returned in zip(asked, returns, strict=True):
        env.reset()
        total, ended = 0.0, False
        for action in actions_of(problem.space, "discrete", genes):
            assert ended == (action < 0)
            if not ended:
                _, reward, ended, _, _ = env.step(int(action))
                total += reward
        assert ended
        assert returned == pytest.approx(total, abs=1e-6)
    assert any(genes[-1, 0] < 0 for genes in asked)


def test_no_budget_no_training(problem):
    evaluator = Evaluator(problem, 1, sees="layers")
    evaluator.evaluate(np.zeros((1, problem.num_steps, 2), np.int64))
    search(sb3.PPO(), evaluator, seed=0)
    assert evaluator.spent == 1


def test_training_sees_no_optimum_and_no_problem(problem):
    """What is built for training is the evaluator's, behind the veil."""
    caught = {}

    class Curious(sb3.PPO):
        def build(self, evaluator, seed):
            env, model = super().build(evaluator, seed)
            for name in ("problem", "sampler"):
                with pytest.raises(Withheld):
                    env.get_attr(name)
            for name in ("optimum", "certificate"):
                with pytest.raises(Withheld):
                    env.env_method(name)
            caught["asked"] = True
            return env, model

    solve(Curious(hyperparameters=ON_POLICY), problem, samples=10)
    assert caught


def test_what_no_episode_tried_makes_no_difference(problem):
    """But for the best and the worst choice of a step, by which rewards are scaled."""
    agent = sb3.PPO(hyperparameters=ON_POLICY, num_envs=3)
    evaluator = Evaluator(problem, 30, sees="layers")
    tried = np.zeros(problem.cost.shape, bool)
    charge = evaluator._charge

    def record(genes, returned):
        numbers = problem.space.encode(genes)
        rows, steps = np.nonzero(numbers >= 0)
        tried[steps, numbers[rows, steps]] = True
        return charge(genes, returned)

    evaluator._charge = record
    search(agent, evaluator, seed=0)
    worst, best = problem.worst_cost[:, None], problem.best_cost[:, None]
    free = ~tried & problem.valid & (problem.cost < worst) & (problem.cost > best)
    assert 0.1 < free.mean() < 0.9
    design = problem.design
    middle = ((worst + best) / 2).astype(design.latency_cycles.dtype)
    other = AssignmentProblem(
        dataclasses.replace(
            design,
            latency_cycles=np.where(free, middle, design.latency_cycles),
            area_um2=np.where(tried, design.area_um2, 2 * design.area_um2 + 1),
        ),
        budget=problem.budget,
    )
    assert (other.cost != problem.cost).any()
    np.testing.assert_array_equal(
        solve(agent, other, samples=30, seed=0).history, evaluator.history
    )


def test_saves_the_model(problem, tmp_path):
    agent = sb3.MaskablePPO(hyperparameters=ON_POLICY, save=str(tmp_path / "model"))
    solve(agent, problem, samples=20)
    assert MaskablePPO.load(tmp_path / "model", device="cpu").gamma == 1.0


def test_saves_the_model_when_the_time_is_up(problem, tmp_path):
    agent = sb3.MaskablePPO(hyperparameters=ON_POLICY, save=str(tmp_path / "model"))
    assert solve(agent, problem, samples=10**6, time_limit=0.5).timed_out
    assert (tmp_path / "model.zip").exists()


def test_rollouts_are_whole_episodes_and_batches_divide_them(problem):
    settings = {**TINY, "n_steps": 7, "batch_size": 20}
    agent = sb3.PPO(hyperparameters=settings, num_envs=4)
    env, model = agent.build(account(problem), seed=0)
    assert model.n_steps == 9  # of three steps each
    assert model.batch_size == 18
    env.close()


@pytest.mark.parametrize("algorithm", sb3.ALGORITHMS)
def test_hyperparameters_fit_the_longest_and_the_shortest_episode(algorithm):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one_step = AssignmentProblem.of("MobileNetV2", deployment="LS")
        for problem in (problem_of("HWAssign-MobileNetV2-NVDLA-v0"), one_step):
            env, model = sb3.SB3Agent(algorithm).build(account(problem), seed=0)
            assert model.gamma == sb3.hyperparameters(algorithm)["gamma"]
            env.close()


def test_hyperparameters_may_be_yaml():
    agent = sb3.PPO(hyperparameters="{learning_rate: 0.25, n_steps: 104}")
    assert agent.hyperparameters == {"learning_rate": 0.25, "n_steps": 104}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithm": "sb3-ppoo"}, "did you mean 'sb3-ppo'"),
        ({"hyperparameters": "7"}, "must be a dict"),
        ({"num_envs": 0}, "at least 1"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        sb3.SB3Agent(**settings)


@pytest.mark.parametrize(
    ("agent", "changed", "message"),
    [
        (sb3.PPO, {"learning_rate": "cos_0.1"}, "learning_rate must be"),
        (sb3.PPO, {"learning_rate": "lin_x"}, "learning_rate must be"),
        (sb3.TD3, {"noise_type": "pink"}, "noise_type must be"),
    ],
)
def test_wrong_hyperparameters(problem, agent, changed, message):
    with pytest.raises(ValueError, match=message):
        agent(hyperparameters=changed).build(account(problem), seed=0)


def test_settings_are_left_as_they_were(problem):
    settings = {"policy_kwargs": {"net_arch": [8]}}
    sb3.PPO(hyperparameters=settings).build(account(problem), seed=0)
    assert settings == {"policy_kwargs": {"net_arch": [8]}}
    assert sb3.hyperparameters("sb3-ppo")["policy_kwargs"] == {"net_arch": [64, 64]}


def test_every_algorithm_has_a_file_as_rl_zoo3_reads_it():
    files = list(Path(sb3.__file__).with_name("hyperparameters").iterdir())
    assert {file.name for file in files} == {f"{name}.yml" for name in sb3.ALGORITHMS}
    for file in files:
        sections = yaml.safe_load(file.read_text())
        assert {"n_timesteps", "policy", "n_envs", "gamma"} <= set(sections["default"])
        assert not set(sections) - {"default"} - set(gym.registry)  # ids, and nothing nested


# --- the script -----------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["maskable-ppo", "dqn"])
def test_the_script(algo, capsys, tmp_path):
    env_id = "HWAssign-AlexNet-NVDLA-v0"
    train_sb3.main(
        ["--env", env_id, "--algo", algo, "--timesteps", "600", "--out", str(tmp_path / "model")]
    )
    printed = capsys.readouterr().out
    assert "regret of the trained policy" in printed
    episodes = int(printed.partition("best of ")[2].partition(" episodes")[0].replace(",", ""))
    assert 100 < episodes < 600  # of at least 600 steps; none takes more than five
    assert (tmp_path / "model.zip").exists()

"""Our own PPO: on one problem, on any family, on any vector environment."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import tiny_families  # noqa: F401 (registers them)

pytest.importorskip("torch")

import torch

import hwgym
from hwgym.core import read_episodes, solve
from hwgym_agents.ppo import PPO, Episodes, advantages, play


@pytest.fixture(scope="module")
def small():
    return hwgym.AssignmentProblem.of("AlexNet", "NVDLA")


def test_leads_near_the_optimum(small, tmp_path):
    result = solve(PPO(num_envs=16), small, samples=1000, log=tmp_path / "log")
    assert result.samples == 1000
    assert result.regret < 0.03
    assert read_episodes(tmp_path / "log")["feasible"].all()


@pytest.mark.parametrize("samples", [1, 49, 60])
def test_the_budget_is_spent_exactly(samples, small, tmp_path):
    result = solve(PPO(), small, samples=samples, log=tmp_path / "log")
    assert result.samples == samples
    rows = read_episodes(tmp_path / "log")
    assert rows["sample"].tolist() == list(range(samples))
    assert (rows["genes"].map(len) == small.num_steps).all()


def test_nothing_but_rewards_is_learned_from(small):
    first = solve(PPO(num_envs=16), small, samples=100)
    doubled = replace(small.design, latency_cycles=2 * small.design.latency_cycles)
    other = hwgym.AssignmentProblem(doubled, budget=small.budget)
    second = solve(PPO(num_envs=16), other, samples=100)
    np.testing.assert_array_equal(second.history, 2 * first.history)
    np.testing.assert_array_equal(second.assignment, first.assignment)


@pytest.mark.parametrize("env_id", ["Bags-4-1-v0", "Tour-4-v0"])
def test_serves_any_family(env_id):
    """Tour's objective is one of whole solutions, and its steps' choices cannot be enumerated."""
    agent = PPO(num_envs=16)
    first, second, other = (solve(agent, env_id, samples=200, seed=s) for s in (1, 1, 2))
    assert first.samples == 200
    assert np.isfinite(first.objective)
    np.testing.assert_array_equal(first.history, second.history)
    assert not np.array_equal(first.history, other.history)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_learns_on_any_vector_environment(mode):
    envs = gym.make_vec("Bags-4-0-v0", 16, action_mode="discrete", autoreset_mode=mode)
    agent, rng = PPO(num_envs=16), np.random.default_rng(0)
    untrained, policy = (agent.learn(envs.unwrapped, n, seed=0) for n in (0, 800))
    before, after = (play(envs.unwrapped, p, rng, 16) for p in (untrained, policy))
    assert after.rewards.sum(axis=0).mean() > before.rewards.sum(axis=0).mean()
    continuous = gym.make_vec("Bags-4-0-v0", 2, action_mode="continuous")
    with pytest.raises(ValueError, match="a policy draws discrete actions"):
        agent.learn(continuous.unwrapped, 2, seed=0)


def test_only_what_masks_allow_is_drawn(small):
    env = gym.make_vec("HWAssign-AlexNet-NVDLA-v0", 8, action_mode="multi_discrete").unwrapped
    policy = PPO().learn(env, 0, seed=0)
    episodes = play(env, policy, np.random.default_rng(0), 8)
    assert episodes.actions.shape == (5, 8, 2)
    columns = episodes.actions + policy.offsets.numpy()
    assert np.take_along_axis(episodes.masks, columns, axis=-1).all()
    log_probs = policy(
        torch.from_numpy(episodes.observations),
        torch.from_numpy(episodes.masks),
        torch.arange(5)[:, None].expand(5, 8),
    )
    again = policy.taken(log_probs, torch.from_numpy(episodes.actions))
    np.testing.assert_allclose(again.detach().numpy(), episodes.log_probs, rtol=1e-5)


def test_advantages_of_two_steps_by_hand():
    """Nothing is observed, so what is expected is the mean of every step; the second episode broke
    off after its first step."""
    rewards = np.array([[1.0, 0.0, 2.0], [4.0, 0.0, 0.0]])
    alive = np.array([[True, True, True], [True, False, True]])
    nothing = np.zeros((2, 3, 1), np.float32)
    masks, actions = np.ones((2, 3, 2), bool), np.zeros((2, 3, 1), np.int64)
    episodes = Episodes(nothing, masks, actions, np.zeros((2, 3)), rewards, alive)
    means = (5 + 0 + 2) / 3, (4 + 0) / 2

    def standard(values):
        counted = values[alive]
        return ((values - counted.mean()) / counted.std())[alive]

    whole = np.array([[5.0, 0.0, 2.0], [4.0, 0.0, 0.0]]) - np.array(means)[:, None]
    np.testing.assert_allclose(advantages(episodes, 1.0)[alive], standard(whole))
    ahead = np.array([[1 + means[1], 0.0, 2 + means[1]], [4.0, 0.0, 0.0]])
    np.testing.assert_allclose(
        advantages(episodes, 0.0)[alive], standard(ahead - np.array(means)[:, None])
    )


@pytest.mark.parametrize("name", ["num_envs", "hidden", "epochs", "minibatches"])
def test_settings_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, got 0"):
        PPO(**{name: 0})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0.0"),
        ({"bias_learning_rate": -1.0}, "bias_learning_rate must be positive"),
        ({"clip": float("nan")}, "clip must be positive, got nan"),
        ({"entropy": -0.1}, "entropy must not be negative, got -0.1"),
        ({"gae_lambda": 1.5}, r"gae_lambda must lie in \[0, 1\]"),
    ],
)
def test_settings_that_are_no_counts_are_checked_too(settings, message):
    with pytest.raises(ValueError, match=message):
        PPO(**settings)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_learns_on_a_gpu(small):
    assert solve(PPO(num_envs=16, device="cuda"), small, samples=64).samples == 64

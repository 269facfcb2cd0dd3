"""Other people's RL libraries: the scripts that need no more than what the tests have, and what
Gymnasium's own vector wrappers make of the suite's vector environment.

``make clients`` runs the scripts of all clients.
"""

import runpy
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeAwareObservation
from gymnasium.wrappers import vector as wrappers

import hwgym  # noqa: F401 (registers the environments)

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "examples" / "clients"
ENV_ID = "HWAssign-VGG16-NVDLA-v0"


@pytest.mark.parametrize(
    ("script", "needs"),
    [
        ("gymnasium_vector", "gymnasium"),
        ("sb3_ppo", "stable_baselines3"),
        ("sb3_masked", "sb3_contrib"),
        ("time_aware", "stable_baselines3"),
    ],
)
def test_trains(script, needs, monkeypatch, capsys):
    pytest.importorskip(needs)
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(SCRIPTS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the networks are too small to share
    try:
        runpy.run_path(str(SCRIPTS / f"{script}.py"))
    finally:
        torch.set_num_threads(threads)
    assert "regret" in capsys.readouterr().out


def test_the_docs_name_every_script():
    page = (ROOT / "docs" / "howto" / "clients.md").read_text(encoding="utf-8")
    files = {file.name for file in SCRIPTS.iterdir() if file.suffix in (".py", ".sh")}
    assert {name for name in files - {"rollout.py"} if f"`{name}`" not in page} == set()


def played(mode, wrapper):
    """Sixty steps of three environments, wrapped: observations, rewards and ends."""
    envs = wrapper(gym.make_vec(ENV_ID, 3, vectorization_mode=mode))
    envs.action_space.seed(0)
    steps = [envs.reset(seed=0)[:1]]
    for _ in range(60):
        observations, rewards, terminated, truncated, _ = envs.step(envs.action_space.sample())
        steps.append((observations.copy(), rewards.copy(), terminated.copy(), truncated.copy()))
    envs.close()
    assert sum(step[2].sum() for step in steps[1:]) > 10
    return steps


@pytest.mark.parametrize(
    "wrapper",
    [
        wrappers.FlattenObservation,
        wrappers.NormalizeObservation,
        wrappers.NormalizeReward,
        wrappers.RecordEpisodeStatistics,
        wrappers.DictInfoToList,
    ],
)
def test_vector_wrappers_see_what_they_see_over_scalar_environments(wrapper):
    for ours, sync in zip(
        played("vector_entry_point", wrapper), played("sync", wrapper), strict=True
    ):
        for a, b in zip(ours, sync, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_limit_of_one_step_more_truncates_no_finished_episode():
    with pytest.raises(ValueError, match="max_episode_steps"):
        TimeAwareObservation(gym.make(ENV_ID))
    steps = gym.make(ENV_ID).unwrapped.num_steps
    env = TimeAwareObservation(gym.make(ENV_ID, max_episode_steps=steps + 1))
    observation, info = env.reset(seed=0)
    terminated = False
    while not terminated:
        action = int(info["action_mask"].argmax())
        observation, _, terminated, truncated, info = env.step(action)
        assert not truncated
    assert observation[-1] == steps
    assert info["is_success"]

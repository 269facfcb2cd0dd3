"""Gymnasium alone: a loop over the suite's vector environment, through three of its wrappers."""

import gymnasium as gym
import numpy as np
from gymnasium.wrappers.vector import (
    FlattenObservation,
    NormalizeObservation,
    RecordEpisodeStatistics,
)

import hwgym  # noqa: F401 (registers the environments)

envs = gym.make_vec("HWAssign-MobileNetV2-NVDLA-v0", num_envs=64)
envs = RecordEpisodeStatistics(NormalizeObservation(FlattenObservation(envs)))

rng = np.random.default_rng(0)
observations, infos = envs.reset(seed=0)
episodes, best = 0, np.inf
for _ in range(200):
    masks = infos["action_mask"]
    actions = (masks * rng.random(masks.shape)).argmax(axis=1)
    observations, rewards, terminated, truncated, infos = envs.step(actions)
    if terminated.any():  # the next step begins another episode, whatever the action
        lengths = infos["episode"]["l"][terminated]
        episodes += len(lengths)
        best = min(best, infos["regret"][terminated].min())
        assert (lengths == 52).all()
        assert infos["is_success"][terminated].all()
envs.close()
print(f"Gymnasium make_vec: {episodes} masked episodes, all within budget, best regret {best:.1%}")
assert episodes == 3 * 64

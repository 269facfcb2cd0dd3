"""Minari: collect a dataset with its DataCollector, infos and all, and read it again."""

import os
import tempfile

import gymnasium as gym
import numpy as np

import hwgym  # noqa: F401 (registers the environments)

ENV_ID = "HWAssign-AlexNet-NVDLA-v0"

os.environ["MINARI_DATASETS_PATH"] = tempfile.mkdtemp()
import minari  # noqa: E402 (the folder is named before)

rng = np.random.default_rng(0)
env = minari.DataCollector(gym.make(ENV_ID), record_infos=True)
for seed in range(200):
    _, info = env.reset(seed=seed)
    terminated = False
    while not terminated:
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        _, _, terminated, _, info = env.step(action)
env.create_dataset("hwgym/alexnet/random-v0", eval_env=ENV_ID)

dataset = minari.load_dataset("hwgym/alexnet/random-v0")
regrets = [episode.infos["regret"][-1] for episode in dataset.iterate_episodes()]
remade = dataset.recover_environment()
print(
    f"Minari: {dataset.total_episodes} episodes, {dataset.total_steps} steps, "
    f"the best with regret {min(regrets):.1%}"
)
assert dataset.total_steps == 5 * 200
assert remade.action_space == env.action_space

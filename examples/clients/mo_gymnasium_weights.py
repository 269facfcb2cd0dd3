"""MO-Gymnasium: a vector reward, made a number by its wrapper, and PPO for three weightings."""

import mo_gymnasium as mo_gym
import numpy as np
from mo_gymnasium.wrappers import LinearReward
from stable_baselines3 import PPO

import hwgym  # noqa: F401 (registers the environments)

ENV_ID = "mo-HWAssign-AlexNet-NVDLA-v0"

front = np.array(mo_gym.make(ENV_ID).unwrapped.pareto_front(epsilon=0.05))
scale = -np.median(front, axis=0)  # cycles, nJ and µm² are of different sizes
for weights in ([1, 0, 0], [0, 1, 0], [1, 1, 1]):
    env = LinearReward(mo_gym.make(ENV_ID), weight=weights / scale)
    model = PPO("MlpPolicy", env, 2e-3, n_steps=512, gamma=1.0, seed=0, device="cpu")
    model.learn(5120)
    observation, _ = env.reset(seed=0)
    found, terminated = np.zeros(3), False
    while not terminated:
        action, _ = model.predict(observation, deterministic=True)
        observation, _, terminated, _, info = env.step(action)
        found += info["vector_reward"]
    best = (front @ (weights / scale)).max()
    above = found @ (weights / scale) / best - 1
    print(f"MO-Gymnasium LinearReward, PPO: weights {weights}: {above:.1%} above the front")
    assert above < 0.5

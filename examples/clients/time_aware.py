"""TimeAwareObservation: the wrapper that shows an agent how late it is, and what it asks for.

It needs a limit of steps. Ids have none, for a keyword may bring a longer network, which the limit
would cut off. One more than the episode's own steps, and no finished episode is called truncated.
"""

import gymnasium as gym
import rollout
from gymnasium.wrappers import TimeAwareObservation
from stable_baselines3 import PPO

import hwgym  # noqa: F401 (registers the environments)

ENV_ID = "HWAssign-AlexNet-NVDLA-v0"

steps = gym.make(ENV_ID).unwrapped.num_steps
env = TimeAwareObservation(gym.make(ENV_ID, max_episode_steps=steps + 1))
model = PPO("MlpPolicy", env, 2e-3, n_steps=512, batch_size=128, gamma=1.0, seed=0, device="cpu")
model.learn(5_120)
rollout.check("TimeAwareObservation, PPO", lambda obs, mask: model.predict(obs)[0], env)

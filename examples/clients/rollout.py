"""What a trained policy finds, whichever client trained it."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym

import hwgym  # noqa: F401 (registers the environments)


def check(client: str, act: Callable[[Any, Any], Any], env: str | gym.Env) -> None:
    """Play twenty episodes, print what came out, and fail unless it is better than chance.

    On HWAssign-AlexNet-NVDLA-v0, 43 % of random episodes end within budget.

    Args:
        client: What it is called.
        act: The action for an observation and the mask of what can still end within budget.
        env: An id or an environment.
    """
    env = gym.make(env) if isinstance(env, str) else env
    regrets = []
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        terminated = truncated = False
        while not (terminated or truncated):
            action = act(observation, info.get("action_mask"))
            observation, _, terminated, truncated, info = env.step(action)
        if info["is_success"]:
            regrets.append(info["regret"])
    env.close()
    best = min(regrets, default=float("inf"))
    print(f"{client}: {len(regrets)} of 20 episodes within budget, the best with regret {best:.1%}")
    assert len(regrets) >= 15, "the policy has not learnt to stay within budget"
    assert best < 0.5, "the policy has found no good assignment"

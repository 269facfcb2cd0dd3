"""REINFORCE (Williams, Machine Learning 8, 1992): a policy learns from the returns of its episodes.

It learns from the rewards of the episodes that it sampled and from nothing else: it remembers no
choice's cost, charges no price, and uses every episode once, for one gradient step. What it is
shown is what every environment shows: observations and masks. The policy is a perceptron with a
bias for every step (:class:`.ppo.Policy`), and

- *Baseline.* A choice is compared across the episodes of a batch: with the mean return from its
  step on, corrected by one linear function of what was observed, above all the budget left, fitted
  to the batch's own returns.
- *Horizon.* What comes long after a choice tells little of it and much of the others, so returns
  are mixed over horizons by lambda; 1 is Williams's own.
- *Entropy.* The bonus is large at first, so that no step settles early, and fades to nothing.

One setting serves all problems. What remembers every choice's cost and charges a price is
:mod:`.reinforce_priced`, which has ConfuciuX's own setting as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from hwgym.core import Evaluator, Sees

from .common import above_zero, not_negative, positive, shares
from .ppo import Policy, advantages, descend, device_of, environment_of, play

__all__ = ["Reinforce"]


@dataclass
class Reinforce:
    """REINFORCE from returns alone, with masks and a baseline across episodes."""

    batch: int = 16
    """Episodes per update."""
    hidden: int = 128
    """Width of the policy's two layers."""
    learning_rate: float = 2e-3
    """Of the network (Adam)."""
    bias_learning_rate: float = 0.06
    """Of the steps' biases (Adam)."""
    gae_lambda: float = 0.5
    """Weight of longer horizons in what a choice is credited with. 1 where the objective is one of
    whole solutions: all of the reward comes at the end."""
    entropy: float = 0.5
    """Weight of the entropy bonus at the start; it fades to 0 with the samples left."""
    masks: bool = True
    """Sample only what can still end feasibly. Without, a failed episode counts as a sample too."""
    reward: str | None = None
    """Of the environment; by default its own (``capped``, where costs add up), or ``relative``
    where that would tell the optimum."""
    device: str = "cpu"
    """``cpu``, ``cuda``, or ``auto``."""

    sees: ClassVar[Sees] = "layers"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "batch": (8, 16, 32),
        "hidden": (64, 128),
        "learning_rate": (1e-3, 2e-3, 5e-3),
        "bias_learning_rate": (0.03, 0.06, 0.1),
        "gae_lambda": (0.3, 0.5, 0.8, 1.0),
        "entropy": (0.2, 0.5, 1.0),
    }

    def __post_init__(self) -> None:
        positive(self, "batch", "hidden")
        shares(self, "gae_lambda")
        above_zero(self, "learning_rate", "bias_learning_rate")
        not_negative(self, "entropy")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Train until the budget is spent."""
        statement, device = evaluator.statement, device_of(self.device)
        env = environment_of(evaluator, self.batch, self.reward)
        gae_lambda = 1.0 if statement.objective.join == "whole" else self.gae_lambda
        rng = np.random.default_rng(seed)
        policy = Policy(env, self.hidden, seed).to(device)
        optimizer = policy.optimizer(self.learning_rate, self.bias_learning_rate)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the tensors are too small to share
        try:
            while evaluator.remaining:
                left = 1 - evaluator.spent / evaluator.samples
                count = min(self.batch, evaluator.remaining)
                episodes = play(env, policy, rng, count, masked=self.masks)
                gained = advantages(episodes, gae_lambda)
                observations, masks, actions, index, credit = episodes.taken(device, gained)
                log_probs = policy(observations, masks, index)
                gain = (credit.float() * policy.taken(log_probs, actions)).mean()
                entropy = -(log_probs.exp() * log_probs).sum(-1).mean()
                loss = -gain - self.entropy * left * entropy
                descend(policy, optimizer, loss)
        finally:
            torch.set_num_threads(threads)

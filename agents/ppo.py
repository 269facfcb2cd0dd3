"""PPO, in one file: clipped proximal policy optimisation with masks, on the vector environments.

The method is that of Schulman et al. (arXiv:1707.06347), with masked choices (Huang and Ontanon,
FLAIRS 2022). It learns from the rewards of the episodes that it sampled and from what environments
show anyway, observations and masks; it remembers no choice's cost and asks for no table. What makes
it quick here:

- *Whole episodes.* An update plays one episode in each of many environments, together.
- *No critic to train.* What an episode will still earn is fitted to the batch's own returns: a mean
  for every step, and one linear function of the observation, by ridge regression. It knows of the
  budget left and of nothing that a network would take thousands of episodes to learn. Advantages
  are mixed over horizons by lambda (Schulman et al., arXiv:1506.02438), a short one.
- *Step bias.* The logits have a bias of their own for every step, with a learning rate of its own.
- *Entropy.* The bonus is large at first and fades to nothing with the budget.

One setting serves all problems. A step's choices are drawn jointly or, where they are too many to
be enumerated, on each axis. :meth:`PPO.learn` trains on any vector environment of the suite::

    envs = gym.make_vec("HWAssign-MobileNetV2-NVDLA-v0", 32)
    policy = PPO(device="cuda").learn(envs, episodes=5000, seed=0)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from torch import Tensor, nn

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.core import Evaluator, SearchEnvironment, Sees, VectorEnvironment

from .common import above_zero, not_negative, positive, shares

__all__ = ["PPO", "Episodes", "Policy", "advantages", "device_of", "play"]


class Policy(nn.Module):
    """A multi-layer perceptron from observations to logits, with a bias for every step.

    Args:
        env: Whose observations and actions it takes.
        hidden: Width of its two layers.
        seed: Of its weights.

    Raises:
        ValueError: If actions are continuous.
    """

    offsets: Tensor

    def __init__(self, env: VectorEnvironment, hidden: int, seed: int) -> None:
        super().__init__()
        actions = env.single_action_space
        if isinstance(actions, Discrete):
            self.sizes = [int(actions.n)]
        elif isinstance(actions, MultiDiscrete):
            self.sizes = [int(n) for n in actions.nvec]
        else:
            raise ValueError(f"a policy draws discrete actions; the environment takes {actions}")
        [inputs] = env.single_observation_space.shape or (0,)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = nn.Sequential(
                nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh()
            )
        self.head = nn.Linear(hidden, sum(self.sizes))
        self.step_bias = nn.Parameter(torch.zeros(env.num_steps, sum(self.sizes)))
        for weights in self.head.parameters():  # begin uniform
            nn.init.zeros_(weights)
        self.register_buffer("offsets", torch.tensor([0, *np.cumsum(self.sizes[:-1])]).long())

    def forward(self, observations: Tensor, masks: Tensor, steps: Tensor) -> Tensor:
        """Log-probabilities (N, entries) of the entries of flat masks (N, entries)."""
        logits = self.head(self.body(observations)) + nn.functional.embedding(steps, self.step_bias)
        logits = logits.masked_fill(~masks, -1e9)
        axes = [torch.log_softmax(axis, -1) for axis in torch.split(logits, self.sizes, -1)]
        return axes[0] if len(axes) == 1 else torch.cat(axes, -1)

    def taken(self, log_probs: Tensor, actions: Tensor) -> Tensor:
        """(N,): of the actions (N, axes) that were taken."""
        return log_probs.gather(-1, actions + self.offsets).sum(-1)

    def draw(self, log_probs: Tensor, rng: np.random.Generator) -> Ints:
        """Actions (N, axes)."""
        axes = []
        for axis in torch.split(log_probs, self.sizes, -1):
            up_to = np.cumsum(np.exp(axis.cpu().numpy().astype(np.float64)), axis=-1)
            at = rng.random((len(up_to), 1)) * up_to[:, -1:]
            axes.append((up_to > at).argmax(axis=-1))
        return np.stack(axes, axis=-1)

    def optimizer(self, learning_rate: float, bias_learning_rate: float) -> torch.optim.Adam:
        """Adam, with a learning rate of its own for the steps' biases."""
        network = [*self.body.parameters(), *self.head.parameters()]
        groups = [
            {"params": network, "lr": learning_rate},
            {"params": [self.step_bias], "lr": bias_learning_rate},
        ]
        return torch.optim.Adam(groups, eps=1e-5, fused=True)


class Episodes(NamedTuple):
    """One episode of each of N environments, T steps long or, where it failed, shorter."""

    observations: Floats
    """(T, N, ...)."""
    masks: Bools
    """(T, N, entries)."""
    actions: Ints
    """(T, N, axes)."""
    log_probs: Floats
    """(T, N): of the actions, when they were taken."""
    rewards: Floats
    """(T, N): 0 after the end."""
    alive: Bools
    """(T, N): the step was taken."""

    def taken(self, device: torch.device, *more: Array) -> list[Tensor]:
        """Observations, masks, actions, step numbers and more (T, N, ...), (n, ...) each, of the
        steps that were taken."""
        alive = self.alive
        steps = np.broadcast_to(np.arange(len(alive))[:, None], alive.shape)
        each = (self.observations, self.masks, self.actions, steps, *more)
        return [torch.from_numpy(values[alive]).to(device) for values in each]


@torch.no_grad()
def play(
    env: VectorEnvironment,
    policy: Policy,
    rng: np.random.Generator,
    count: int,
    *,
    masked: bool = True,
) -> Episodes:
    """Play one episode in each of the first environments; what the others do is not looked at.

    Args:
        env: Whose episodes begin anew.
        policy: That draws the choices.
        rng: To draw with.
        count: How many of its environments.
        masked: Draw only what the masks allow.

    Raises:
        BudgetSpent: If it is an evaluator's, and no sample is left.
    """
    device = policy.step_bias.device
    discrete = isinstance(env.single_action_space, Discrete)
    observations, _ = env.reset()
    alive = np.arange(env.num_envs) < count
    steps: list[tuple[Array, ...]] = []
    while alive.any():
        masks = env.action_masks()
        if not masked:
            masks = np.ones_like(masks)
        seen, allowed = torch.from_numpy(observations), torch.from_numpy(masks)
        log_probs = policy(
            seen.to(device), allowed.to(device), torch.tensor(len(steps), device=device)
        )
        actions = policy.draw(log_probs, rng)
        taken = policy.taken(log_probs, torch.from_numpy(actions).to(device)).cpu().numpy()
        after, rewards, ended, _, _ = env.step(actions[:, 0] if discrete else actions)
        steps.append((observations, masks, actions, taken, np.where(alive, rewards, 0.0), alive))
        observations, alive = after, alive & ~ended
    return Episodes(*(np.stack(each)[:, :count] for each in zip(*steps, strict=True)))


def advantages(episodes: Episodes, gae_lambda: float) -> Floats:
    """(T, N): how much better each choice turned out than what was expected, in deviations.

    What is expected is fitted to the returns of these episodes: a mean for every step, and one
    linear function of how an observation differs from those of the others at that step.

    Args:
        episodes: A batch.
        gae_lambda: 1 compares with all that came after a choice, 0 with what its next step expects.
    """
    rewards, alive = episodes.rewards, episodes.alive
    to_go = np.cumsum(rewards[::-1], axis=0)[::-1]
    count = np.maximum(alive.sum(axis=1), 1)
    mean = (to_go * alive).sum(axis=1) / count
    seen = episodes.observations.astype(np.float64)
    centred = seen - ((seen * alive[..., None]).sum(axis=1) / count[:, None])[:, None]
    inputs, targets = centred[alive], (to_go - mean[:, None])[alive]
    ridge = np.eye(inputs.shape[1])
    weights = np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ targets)
    expected = np.where(alive, mean[:, None] + centred @ weights, 0.0)
    after = np.vstack([expected[1:], np.zeros_like(expected[:1])])
    surprise = rewards + after - expected
    gained = np.zeros_like(surprise)
    ahead = np.zeros(surprise.shape[1])
    for step in reversed(range(len(surprise))):
        ahead = gained[step] = surprise[step] + gae_lambda * ahead
    spread = gained[alive].std()
    standard: Floats = (gained - gained[alive].mean()) / (spread or 1.0)
    return standard


@dataclass
class PPO:
    """Clipped PPO with masks, whose critic is fitted to every batch; our own, in one file."""

    num_envs: int = 48
    """Episodes an update."""
    hidden: int = 64
    """Width of the policy's two layers."""
    epochs: int = 4
    """Times that an update goes through its episodes."""
    minibatches: int = 4
    """Gradient steps each time."""
    learning_rate: float = 2e-3
    """Of the network (Adam)."""
    bias_learning_rate: float = 0.03
    """Of the steps' biases (Adam)."""
    clip: float = 0.2
    """How far a probability's ratio to what it was may go, and still count."""
    gae_lambda: float = 0.5
    """Weight of longer horizons in the advantages. 1 where the objective is one of whole solutions:
    all of the reward comes at the end."""
    entropy: float = 0.2
    """Weight of the entropy bonus at the start; it fades to 0 with the episodes left."""
    reward: str | None = None
    """Of the environment; by default its own (``capped``, where costs add up), or ``relative``
    where that would tell the optimum."""
    device: str = "cpu"
    """``cpu``, ``cuda``, or ``auto``."""

    sees: ClassVar[Sees] = "layers"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "num_envs": (32, 48, 64),
        "hidden": (64, 128),
        "epochs": (2, 4, 8),
        "learning_rate": (1e-3, 2e-3, 5e-3),
        "bias_learning_rate": (0.01, 0.03, 0.1),
        "gae_lambda": (0.3, 0.5, 0.8),
        "entropy": (0.1, 0.2, 0.5),
    }

    def __post_init__(self) -> None:
        positive(self, "num_envs", "hidden", "epochs", "minibatches")
        shares(self, "gae_lambda")
        above_zero(self, "learning_rate", "bias_learning_rate", "clip")
        not_negative(self, "entropy")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Train until the budget is spent."""
        env = environment_of(evaluator, self.num_envs, self.reward)
        whole = evaluator.statement.objective.join == "whole"
        self.learn(env, evaluator.remaining, seed, gae_lambda=1.0 if whole else self.gae_lambda)

    def learn(
        self,
        env: VectorEnvironment,
        episodes: int,
        seed: int,
        *,
        gae_lambda: float | None = None,
    ) -> Policy:
        """Train on a vector environment of the suite; the policy.

        Args:
            env: With actions that can be drawn, ``discrete`` or ``multi_discrete``, that begins
                episodes by itself (autoreset not disabled).
            episodes: How many to play. Each environment plays one an update.
            seed: Of everything that is drawn.
            gae_lambda: Instead of the setting's.

        Raises:
            ValueError: If actions are continuous.
        """
        device = device_of(self.device)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the tensors are too small to share
        rng = np.random.default_rng(seed)
        policy = Policy(env, self.hidden, seed).to(device)
        optimizer = policy.optimizer(self.learning_rate, self.bias_learning_rate)
        env.reset(seed=seed)
        try:
            for played in range(0, episodes, env.num_envs):
                batch = play(env, policy, rng, min(env.num_envs, episodes - played))
                gained = advantages(batch, self.gae_lambda if gae_lambda is None else gae_lambda)
                self._update(policy, optimizer, batch, gained, rng, 1 - played / episodes)
        finally:
            torch.set_num_threads(threads)
        return policy

    def _update(
        self,
        policy: Policy,
        optimizer: torch.optim.Adam,
        batch: Episodes,
        gained: Floats,
        rng: np.random.Generator,
        left: float,
    ) -> None:
        """Learn from a batch of episodes, with that share of all episodes left."""
        device = policy.step_bias.device
        observations, masks, actions, index, before, advantage = batch.taken(
            device, batch.log_probs, gained
        )
        advantage = advantage.float()
        count = len(index)
        for _ in range(self.epochs):
            order = torch.from_numpy(rng.permutation(count)).to(device)
            for rows in order.chunk(self.minibatches):
                log_probs = policy(observations[rows], masks[rows], index[rows])
                ratio = (policy.taken(log_probs, actions[rows]) - before[rows]).exp()
                clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
                gain = torch.min(ratio * advantage[rows], clipped * advantage[rows]).mean()
                entropy = -(log_probs.exp() * log_probs).sum(-1).mean()
                loss = -gain - self.entropy * left * entropy
                descend(policy, optimizer, loss)


def environment_of(evaluator: Evaluator, count: int, reward: str | None) -> SearchEnvironment:
    """Environments that play one episode each, with joint choices where these can be numbered."""
    return evaluator.environment(
        count,
        action_mode="discrete" if evaluator.space.joint is not None else "multi_discrete",
        reward=reward,
        once=True,
    )


def descend(policy: Policy, optimizer: torch.optim.Adam, loss: Tensor) -> None:
    """One gradient step, of length 1 at most."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()


def device_of(name: str) -> torch.device:
    """The device of that name; ``auto`` is ``cuda`` where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)

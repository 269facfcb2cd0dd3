"""HAQ's agent: DDPG that walks the layers, and an action wall that keeps the limit.

HAQ (Wang, Liu, Lin, Lin, Han: Hardware-Aware Automated Quantization with Mixed Precision, CVPR
2019) has DDPG choose the bits of each layer's weights, then those of its activations. What it sees
of a layer are ten numbers; what it does is a number in [0, 1], cut into as many equal parts as
there are widths. Where a whole network exceeds the limit, bits are taken away until it does not,
and what is left is evaluated. The reward is a tenth of what that gains on the network at most bits,
in points of accuracy.

As HAQ has them: observations, actions, reward, the wall, layers of 300 units, rates of 1e-4 and
1e-3, a discount of 1, noise of a normal distribution cut off at the ends, of deviation 0.5, that
fades by 1 % an episode, 20 episodes of chance to begin with, batches of 64 from the last 128
episodes, targets that follow by 1 %. Not as there: the algorithm is stable-baselines3's; rewards
stand at an episode's end, not at each of its steps, which a discount of 1 makes up for; no moving
average of rewards is taken off; and nothing is trained after quantising, as nothing is in HWQuant.
Where noise stands for accuracy, decibels of signal to noise stand for points.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box
from stable_baselines3 import DDPG

from hwgym._arrays import Array, Floats, Ints
from hwgym.core import BudgetSpent, Evaluator, Sees, Statement

from .common import above_zero, positive, shares
from .precision import known_usage, of_precision, quality

__all__ = ["HAQ", "Layers", "action_wall", "layer_features", "truncated_normal"]

REWARD = 0.1
"""Of a point of accuracy."""
SEEN = 10
"""Entries of an observation."""
RATES = 1e-4, 1e-3
"""Of what acts and of what judges."""
LEAST_NOISE = 1e-6


def layer_features(statement: Statement) -> Floats:
    """(layers, 8) in [0, 1], each from the least to the greatest of the network: depthwise, input
    and output channels, stride, rows of the kernel, weights, rows of the input, number.

    Of a matrix product the kernel is 1 and the stride 0, as HAQ has it. Rows of the input are those
    of the output times the stride.
    """
    told = []
    strides = _strides(statement)
    for place, (layer, stride) in enumerate(zip(statement.key["layers"], strides, strict=True)):
        k, c, padded, _, r, s, depthwise, kind, repeat = layer
        weights = k * c * r * s * repeat
        out, step = (c if depthwise else k), (0 if kind == "GEMM" else stride)
        rows = (padded - r + 1) * max(step, 1)
        told.append([bool(depthwise), c, out, step, r, weights, rows, place])
    sizes = np.array(told, np.float64)
    least, most = sizes.min(axis=0), sizes.max(axis=0)
    features: Floats = (sizes - least) / np.where(most > least, most - least, 1.0)
    return features


def _strides(statement: Statement) -> Ints:
    """(layers,): from the statement's features, where strides are log2(1 + stride) by that of the
    greatest; the least is taken to be 1."""
    shares = statement.features[:, 6]
    strides: Ints = np.round(2.0 ** (shares / shares.min()) - 1.0).astype(np.int64)
    return strides


def action_wall(bits: Ints, usage: Floats, limit: float) -> Ints:
    """Take bits away until a network is within its limit: from the last layer to the first, of
    each the activations' by one step, then the weights', round after round.

    Args:
        bits: (layers, 2) indices of widths, of weights and of activations.
        usage: (layers, weight bits, activation bits).
        limit: On the sum of usage.

    Returns:
        (layers, 2). The least there is, if that exceeds the limit, too.
    """
    bits, layers = bits.copy(), np.arange(len(bits))

    def over() -> bool:
        return bool(np.add.accumulate(usage[layers, bits[:, 0], bits[:, 1]])[-1] > limit)

    while over() and bits.any():
        for layer in reversed(layers):
            for axis in (1, 0):
                if bits[layer, axis] and over():
                    bits[layer, axis] -= 1
    return bits


@dataclass
class HAQ:
    """HAQ: DDPG chooses bits layer by layer, an action wall keeps the limit."""

    warmup: int = 20
    """Episodes of chance before it learns."""
    episodes: int = 128
    """That are remembered."""
    batch: int = 64
    """Of what is learnt from at once."""
    deviation: float = 0.5
    """Of the noise of actions, as they lie in [0, 1]."""
    fades: float = 0.99
    """What an episode leaves of it."""
    hidden: int = 300
    """Units of each of two layers."""

    sees: ClassVar[Sees] = "totals"

    def __post_init__(self) -> None:
        positive(self, "warmup", "episodes", "batch", "hidden")
        above_zero(self, "deviation")
        shares(self, "fades")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Evaluate the network at most bits, then play until the budget is spent.

        Raises:
            ValueError: If it is no problem of bits per layer.
        """
        of_precision(evaluator.statement, "haq")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the networks are too small to share
        try:
            env = Layers(evaluator)
            model = _DDPG(
                "MlpPolicy",
                env,
                length=env.length,
                deviation=self.deviation,
                fades=self.fades,
                learning_starts=self.warmup * env.length,
                buffer_size=self.episodes * env.length,
                batch_size=self.batch,
                tau=0.01,
                gamma=1.0,
                train_freq=(1, "episode"),
                gradient_steps=-1,  # as many as the episode had
                policy_kwargs={"net_arch": [self.hidden, self.hidden]},
                seed=seed,
                device="cpu",
            )
            with suppress(BudgetSpent):
                model.learn(max(evaluator.remaining, 1) * env.length)
        finally:
            torch.set_num_threads(threads)


class Layers(gym.Env[Array, Array]):
    """An episode is a network: two actions a layer, and its evaluation at the end, a sample.

    Args:
        evaluator: Where networks are evaluated; the first is the one at most bits.

    Attributes:
        length: Steps of an episode.
        best: What the network at most bits is worth (:func:`~hwgym_agents.precision.quality`).
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator, statement = evaluator, evaluator.statement
        shape = (statement.space.num_steps, *statement.space.shape)
        self.usage = known_usage(statement, "haq").reshape(shape)
        self.features, self.length = layer_features(statement), 2 * shape[0]
        self.widths = np.array(statement.space.shape)
        self.observation_space = Box(0.0, 1.0, (SEEN,), np.float32)
        self.action_space = Box(0.0, 1.0, (1,), np.float32)
        self.bits = np.repeat(self.widths[None] - 1, shape[0], axis=0)
        self.best = self._worth()
        self.place, self.previous = 0, 0.0

    def reset(
        self, *, seed: int | None = None, options: Any = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin a network."""
        super().reset(seed=seed)
        self.place, self.previous = 0, 0.0
        return self._seen(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Give a layer's weights their bits, or its activations; evaluate it after the last."""
        self.previous = float(np.clip(action[0], 0.0, 1.0))
        layer, axis = divmod(self.place, 2)
        width = int(self.widths[axis])
        self.bits[layer, axis] = min(int(self.previous * width), width - 1)
        self.place += 1
        if self.place < self.length:
            return self._seen(), 0.0, False, False, {}
        self.bits = action_wall(self.bits, self.usage, self.evaluator.statement.limit)
        reward = REWARD * (self._worth() - self.best)
        return self._seen(), reward, True, False, {}

    def _worth(self) -> float:
        scores = self.evaluator.evaluate(self.bits[None].copy())
        return float(quality(self.evaluator.statement, scores.objective)[0])

    def _seen(self) -> Array:
        layer, axis = divmod(min(self.place, self.length - 1), 2)
        return np.array([*self.features[layer], self.previous, axis], np.float32)


class _DDPG(DDPG):
    """Stable-baselines3's, with HAQ's noise, and a rate each for what acts and what judges.

    Args:
        length: Steps of an episode.
        deviation, fades: Of the noise, and what an episode leaves of it.
    """

    def __init__(
        self, *args: Any, length: int, deviation: float, fades: float, **more: Any
    ) -> None:
        self.length, self.deviation, self.fades = length, deviation, fades
        self.random = np.random.default_rng(more["seed"])
        super().__init__(*args, **more)

    def _setup_model(self) -> None:
        super()._setup_model()
        for net, rate in zip((self.actor, self.critic), RATES, strict=True):
            for group in net.optimizer.param_groups:
                group["lr"] = rate

    def _update_learning_rate(self, optimizers: Any) -> None:
        """Rates stay as they are."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Array, Any]:
        """Actions in [0, 1]; unless they are to be certain, from a normal distribution about them
        that is cut off at 0 and 1."""
        actions, state = super().predict(observation, state, episode_start, deterministic)
        if deterministic:
            return actions, state
        learnt = max(self.num_timesteps - self.learning_starts, 0) // self.length
        deviation = max(self.deviation * self.fades**learnt, LEAST_NOISE)
        return truncated_normal(actions, deviation, self.random).astype(np.float32), state


def truncated_normal(means: Array, deviation: float, rng: np.random.Generator) -> Floats:
    """Numbers in [0, 1] about means (...), each from a normal distribution cut off there."""
    drawn = np.empty(np.shape(means))
    for at, mean in np.ndenumerate(means):
        about = NormalDist(float(mean), deviation)
        share = rng.uniform(about.cdf(0.0), about.cdf(1.0))
        drawn[at] = about.inv_cdf(share) if 0.0 < share < 1.0 else mean
    clipped: Floats = np.clip(drawn, 0.0, 1.0)
    return clipped

"""REINFORCE with memory and a price: a policy that learns from what every choice was seen to cost.

The policy and its updates are those of ConfuciuX (Kao, Jeong and Krishna, MICRO 2020, section 4),
which trains an LSTM with a head per decision by REINFORCE (Williams, Machine Learning 8, 1992). But
it does not learn from returns: it sees what each layer cost and took in the samples it paid for,
remembers it for every choice, and charges each choice a price for the budget it takes. An agent
that learns from the returns of its episodes and nothing else is :mod:`.reinforce`.

- *Masks.* Only choices after which the episode can still end within budget are sampled, so every
  sample is feasible. The masks are the environment's, and whoever plays it sees them; they tell
  something of what choices take that were never paid for. Nothing else does: costs and usage come
  from the samples alone.
- *Price.* What an early layer takes, all later ones miss. Instead of waiting for that to show in
  noisy later rewards, each choice is charged for the budget it takes, ``cost + price x usage``, at
  the least price at which the best choices seen so far fit the budget (Lagrangian relaxation over
  what was sampled; Everett, Operations Research 11(3), 1963).
- *Memory.* A layer's cost under a choice never changes, so what was seen once is known. The
  policy's expected charge over all choices seen replaces the sampled one: the same gradient without
  the variance (all-action policy gradient, Sutton et al., NIPS 1999), and a batch can be used more
  than once.
- *Annealing.* The policy is pulled towards uniform by an entropy bonus that fades, and the episodes
  of a batch are sampled at temperatures from 1 down, so some explore and some exploit.
- *Curiosity.* Now and then a step tries a choice that its layer was never seen with.
- *Pace.* Episodes that explore get the budget step by step, so that late layers have some left to
  try. What a choice takes that was never seen is guessed from those that were.
- *Layer bias.* The heads have a bias of their own for every layer.

Where the objective is known of whole solutions only, as of mappings, no choice has a price: then
each is credited with the return, against the batch's mean, and nothing else is remembered.

``ConfuciuX`` is the setting of ConfuciuX's released code instead: one episode at a
time, neither masks nor memory nor price, rewards standardised inside the episode, so that whether
the whole of it was good is invisible. Every choice is a field, so each can be
switched off alone; ``benchmarks/agents.py`` says what each brings.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._files import replacing
from hwgym.core import BudgetSpent, Evaluator, Scores, SearchEnvironment, Sees, Space, Statement

from .common import separable
from .ppo import device_of
from .tables import SeenTables


class Policy(nn.Module):
    """Observations in, logits out: one head for the first axis, one for the rest given that.

    Of hardware assignment: one for PEs, one for buffers (and dataflows, under MIX) jointly, which
    sees the PE choice through a bias per PE level, so that a buffer can suit the PEs it goes with.
    """

    def __init__(self, space: Space, inputs: int, args: PricedReinforce) -> None:
        super().__init__()
        self.first = space.shape[0]
        self.rest = space.num_actions // self.first
        self.recurrent = args.policy == "lstm"
        self.encoder = nn.Sequential(nn.Linear(inputs, args.hidden), nn.ReLU())
        self.body: nn.Module = (
            nn.LSTM(args.hidden, args.hidden)
            if self.recurrent
            else nn.Sequential(nn.Linear(args.hidden, args.hidden), nn.ReLU())
        )
        self.first_head = nn.Linear(args.hidden, self.first)
        self.rest_head = nn.Linear(args.hidden, self.rest)
        self.rest_given_first = nn.Parameter(torch.zeros(self.first, self.rest))
        steps, learns = (space.num_steps, True) if args.layer_bias else (1, False)
        self.first_bias = nn.Parameter(torch.zeros(steps, self.first), requires_grad=learns)
        self.rest_bias = nn.Parameter(
            torch.zeros(steps, self.first, self.rest), requires_grad=learns
        )
        for head in (self.first_head, self.rest_head):  # begin uniform
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(
        self,
        observations: Tensor,
        masks: Tensor,
        steps: Tensor,
        state: Any = None,
        sharpen: Any = 1,
    ) -> tuple[Tensor, Any]:
        """Log-probabilities (T, N, actions) of masked choices for steps (T,), and the new state."""
        hidden = self.encoder(observations)
        if self.recurrent:
            hidden, state = self.body(hidden, state)
        else:
            hidden = self.body(hidden)
        index = steps if len(self.first_bias) > 1 else torch.zeros_like(steps)
        first = self.first_head(hidden) + self.first_bias[index][:, None]
        rest = self.rest_head(hidden)[..., None, :] + self.rest_given_first
        rest = rest + self.rest_bias[index][:, None]
        allowed = masks.reshape(*masks.shape[:-1], self.first, self.rest)
        first = (first * sharpen).masked_fill(~allowed.any(-1), -torch.inf)
        # Rows that are not allowed at all would be all -inf, and their softmax NaN.
        rest = (rest * _expand(sharpen)).masked_fill(~allowed, -1e9)
        joint = torch.log_softmax(first, -1)[..., None] + torch.log_softmax(rest, -1)
        return joint.flatten(-2).masked_fill(~masks, -torch.inf), state


def _expand(sharpen: Any) -> Any:
    return sharpen[..., None] if isinstance(sharpen, Tensor) else sharpen


@dataclass
class PricedReinforce:
    """REINFORCE that remembers what every choice cost and charges a price for the budget."""

    policy: Literal["lstm", "mlp"] = "lstm"
    """Recurrent, or the multi-layer perceptron of the paper's ablation."""
    hidden: int = 128
    """Width of the policy."""
    batch: int = 32
    """Episodes per update."""
    epochs: int = 4
    """Gradient steps per update; more than one needs ``memory``."""
    learning_rate: float = 5e-3
    """Of the network (Adam)."""
    bias_learning_rate: float = 0.1
    """Of the layers' biases (Adam)."""
    masks: bool = True
    """Sample only what can still end feasibly. Without, a failed episode counts as a sample too."""
    credit: Literal["price", "return"] = "price"
    """Charge each choice for the budget it takes, or wait for the rewards to go, as is done where
    the objective is known of whole solutions only."""
    memory: bool = True
    """Learn from every choice ever seen; without, from those sampled, against the batch's mean."""
    layer_bias: bool = True
    """A bias of its own for every layer."""
    entropy: float = 0.3
    """Weight of the entropy bonus at the start."""
    anneal: float = 4.0
    """The bonus fades as (1 - spent / budget) to this power."""
    coldest: float = 16.0
    """Logits of the last episode of a batch are multiplied by this, of the first by 1."""
    tilt: float = 0.03
    """By how much, relatively, the price differs from layer to layer (one standard deviation)."""
    curiosity: float = 0.1
    """Share of steps at which a choice not yet seen is tried, if there is one."""
    pace: float = 1.0
    """How far hot episodes are kept from spending early what late layers should try with, too."""
    gamma: float = 1.0
    """Discount, for ``credit="return"``."""
    within_episode: bool = False
    """Standardise rewards inside each episode, as the paper's code does, not across episodes."""
    reward: str | None = None
    """Of the environment; by default ``shaped`` for ``credit="return"`` where costs are separable,
    else ``relative``, whose scale tells nothing of what was not paid for."""
    device: str = "cpu"
    """``cpu``, ``cuda``, or ``auto``."""
    checkpoint: str | None = None
    """File to save to every ``checkpoint_every`` updates; a run that finds it continues it."""
    checkpoint_every: int = 20
    """Updates between checkpoints."""
    csv: str | None = None
    """File for a line an update: samples, best, mean, budget used, price, entropy."""
    tensorboard: str | None = None
    """Folder for the same as TensorBoard scalars."""

    sees: ClassVar[Sees] = "layers"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "policy": ("lstm", "mlp"),
        "batch": (16, 32, 64),
        "epochs": (2, 4, 8),
        "learning_rate": (2e-3, 5e-3, 1e-2),
        "bias_learning_rate": (0.03, 0.1, 0.3),
        "entropy": (0.1, 0.3, 1.0),
        "curiosity": (0.03, 0.1, 0.3),
    }

    def __post_init__(self) -> None:
        if self.epochs > 1 and not self.memory:
            raise ValueError("epochs > 1 needs memory=True: samples are used once")
        if self.memory and self.credit != "price":
            raise ValueError("memory=True needs credit='price': returns are not known per choice")
        for name in ("hidden", "batch", "epochs", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Train until the budget is spent.

        Raises:
            ValueError: If a step's choices cannot be enumerated.
        """
        run = _Run(self._suiting(evaluator.statement), evaluator, seed)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the tensors are too small to share
        try:
            with _Metrics(self) as metrics:
                while evaluator.remaining:
                    figures = run.update()
                    metrics.write(evaluator.spent, figures)
                    if self.checkpoint and run.updates % self.checkpoint_every == 0:
                        run.save(self.checkpoint)
        finally:
            torch.set_num_threads(threads)
        if self.checkpoint:
            run.save(self.checkpoint)
        raise BudgetSpent

    def _suiting(self, statement: Statement) -> PricedReinforce:
        """The same; with credit by return where the objective is one of whole solutions."""
        if statement.objective.join != "whole" or statement.space.joint is None:
            return self
        reward = self.reward or "relative"
        return replace(self, credit="return", memory=False, epochs=1, reward=reward)


@dataclass
class ConfuciuX(PricedReinforce):
    """ConfuciuX's REINFORCE as its released code has it, as far as it goes on this environment"""

    batch: int = 1
    epochs: int = 1
    learning_rate: float = 1e-3
    masks: bool = False
    credit: Literal["price", "return"] = "return"
    memory: bool = False
    layer_bias: bool = False
    entropy: float = 0.0
    coldest: float = 1.0
    curiosity: float = 0.0
    gamma: float = 0.9
    within_episode: bool = True
    reward: str | None = "confuciux"


class _Run:
    """One training run: everything that a checkpoint holds."""

    def __init__(self, args: PricedReinforce, evaluator: Evaluator, seed: int) -> None:
        self.args, self.evaluator = args, evaluator
        self.statement, self.space = evaluator.statement, evaluator.space
        if args.credit == "price":
            separable(self.statement, "reinforce-priced with credit='price'")
        self.device = device_of(args.device)
        torch.set_flush_denormal(True)
        # One generator on the CPU draws everything, so that devices differ only by rounding.
        self.generator = torch.Generator().manual_seed(seed)
        self.paid: list[tuple[Ints, Scores]] = []
        self.env = self._environment(args.batch)
        [inputs] = self.env.single_observation_space.shape or (0,)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = Policy(self.space, inputs, args)
        self.policy.to(self.device)
        biases = [self.policy.first_bias, self.policy.rest_bias]
        network = [w for w in self.policy.parameters() if all(w is not b for b in biases)]
        groups: list[dict[str, Any]] = [{"params": network, "lr": args.learning_rate}]
        if args.layer_bias:
            groups.append({"params": biases, "lr": args.bias_learning_rate})
        self.optimizer = torch.optim.Adam(groups)
        self.tables = SeenTables(self.statement)
        self.price = 0.0
        num_steps = self.space.num_steps
        # Layers of the same shape would all change their choice at the same price, and over- or
        # undershoot the budget together; prices that differ a little from layer to layer part them.
        draw = torch.randn(num_steps, 1, generator=self.generator).numpy().astype(np.float64)
        self.tilt = np.clip(1 + args.tilt * draw, 0.5, 1.5)
        self.updates = 0
        self._index = np.arange(num_steps)
        self.steps = torch.arange(num_steps, device=self.device)
        if args.checkpoint and Path(args.checkpoint).exists():
            self.load(args.checkpoint)

    def _environment(self, count: int) -> SearchEnvironment:
        """Environments that play one episode each."""
        return self.evaluator.environment(
            count,
            action_mode="discrete",
            reward=self.args.reward or ("shaped" if self.args.credit == "return" else "relative"),
            on_paid=lambda genes, scores, returns: self.paid.append((genes, scores)),
            once=True,
        )

    # --- one update -----------------------------------------------------------------------------

    def update(self) -> dict[str, float]:
        """Sample a batch of episodes, learn from it; metrics of both."""
        args, limit = self.args, self.statement.limit
        count = min(args.batch, self.evaluator.remaining)
        if count != self.env.num_envs:
            self.env = self._environment(count)
        self.paid.clear()
        observations, masks, rewards, actions = self._sample()
        for genes, each in self.paid:
            if each.parts is not None:
                self.tables.note(genes, each.parts)
        scores = Scores.join([each for _, each in self.paid])
        done = actions >= 0
        if args.credit == "price":
            self._set_price()
        entropy = 0.0
        target = self._charges() if args.memory else self._advantages(actions, rewards, done)
        # Fades with the budget spent before this update, so that it can be done again after one.
        weight = args.entropy * (1 - (self.evaluator.spent - count) / self.evaluator.samples)
        weight = args.entropy * (weight / args.entropy) ** args.anneal if args.entropy else 0.0
        taken = torch.from_numpy(np.maximum(actions, 0)).to(self.device)[..., None]
        alive = torch.from_numpy(done).to(self.device)
        for _ in range(args.epochs):
            log_probs, _ = self.policy(observations, masks, self.steps[: len(actions)])
            probs = log_probs.exp()
            spread = -(probs * log_probs.masked_fill(~masks, 0.0)).sum(-1)
            if args.memory:
                loss = (probs * target[: len(actions)]).sum(-1)
            else:
                loss = -target * log_probs.gather(-1, taken)[..., 0].masked_fill(~alive, 0.0)
            total = ((loss - weight * spread) * alive).sum() / alive.sum()
            self.optimizer.zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
            self.optimizer.step()
            entropy = float(((spread * alive).sum() / alive.sum()).detach())
        self.updates += 1
        feasible = scores.feasible
        return {
            "best": self.evaluator.best_objective,
            "mean": float(scores.objective[feasible].mean()) if feasible.any() else np.inf,
            "feasible": float(feasible.mean()),
            "budget_used": float((scores.used / limit).mean()),
            "price": self.price,
            "entropy": entropy,
        }

    @torch.no_grad()
    def _sample(self) -> tuple[Tensor, Tensor, Floats, Ints]:
        """Play a batch of episodes, as far as the longest goes: observations (T, N, ...), masks
        (T, N, A), rewards and actions (T, N); 0 and -1 where an episode had broken off."""
        env, count = self.env, self.env.num_envs
        # Cold first: episode i's logits are multiplied by a power that falls to 1.
        share = torch.linspace(1, 0, count)[:, None] if count > 1 else torch.zeros(1, 1)
        sharpen = (self.args.coldest**share).to(self.device)
        hot = 1 - share[:, 0]
        pace = self._pace(hot.numpy().astype(np.float64))
        used = np.zeros(count)
        alive = np.ones(count, bool)
        observations, masks = [], []
        rewards, actions = [], []
        state = None
        seen, _ = env.reset()
        for step in range(self.space.num_steps):
            allowed = np.ones((count, self.space.num_actions), bool)
            if self.args.masks:
                allowed = env.action_masks()
            if pace is not None:
                takes, until = pace
                within = allowed & (used[:, None] + takes[step] <= until[step][:, None])
                allowed = np.where(within.any(axis=1, keepdims=True), within, allowed)
            mask = torch.from_numpy(allowed).to(self.device)
            observations.append(torch.from_numpy(seen).to(self.device))
            masks.append(mask)
            log_probs, state = self.policy(
                observations[-1][None], mask[None], self.steps[step : step + 1], state, sharpen
            )
            probs = self._curious(log_probs[0].exp().cpu(), mask.cpu(), step, hot)
            chosen = torch.multinomial(probs, 1, generator=self.generator)[:, 0].numpy()
            seen, reward, ended, _, _ = env.step(chosen)
            rewards.append(np.where(alive, reward, 0.0))
            actions.append(np.where(alive, chosen, -1))
            if pace is not None:
                used = used + takes[step, chosen]
            alive = alive & ~ended
            if not alive.any():
                break
        return torch.stack(observations), torch.stack(masks), np.array(rewards), np.array(actions)

    def _pace(self, hot: Floats) -> tuple[Floats, Floats] | None:
        """(T, A) what each choice takes, as far as is known; (T, N) what may be used up to each
        step: hot episodes get the budget step by step. None while too little is known."""
        tables, limit = self.tables, self.statement.limit
        least = np.where(tables.valid, tables.usage, np.inf).min(axis=1)
        paced = self.args.masks and self.args.pace
        if not paced or not np.isfinite([*least, limit]).all():
            return None
        least = np.cumsum(least)
        released = np.arange(1, len(least) + 1)[:, None] / len(least)
        share = 1 - self.args.pace * hot * (1 - released)
        return tables.guess(), least[:, None] + max(limit - least[-1], 0.0) * share

    def _curious(self, probs: Tensor, mask: Tensor, step: int, hot: Tensor) -> Tensor:
        """Now and then, more in hot episodes, draw among the allowed choices not yet seen."""
        if not self.args.curiosity:
            return probs
        fresh = mask & torch.from_numpy(~self.tables.seen[step])
        draw = torch.rand(len(hot), generator=self.generator) < 2 * self.args.curiosity * hot
        tries = (draw & fresh.any(-1))[:, None]
        return torch.where(tries, fresh.to(probs.dtype), probs)

    # --- what is learned from -------------------------------------------------------------------

    def _set_price(self) -> None:
        """The least price at which every step's best choice, of those seen, fits the limit."""
        known, limit = self.tables.valid, self.statement.limit
        if not known.any(axis=1).all():
            return  # an episode without masks broke off before the last layers were ever reached
        usage = np.where(known, self.tables.usage, np.inf)
        if usage.min(axis=1).sum() > limit:
            return
        cost = self.tables.summable()

        def used(price: float) -> float:
            charge = cost + price * self.tilt * np.where(known, usage, 0.0)
            return float(usage[self._index, charge.argmin(axis=1)].sum())

        low, high = 0.0, float(cost[known].max()) / limit
        if used(low) <= limit:
            self.price = 0.0
            return
        while used(high) > limit:
            low, high = high, 4 * high
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (low, middle) if used(middle) <= limit else (middle, high)
        self.price = high

    def _charged(self) -> Floats:
        """(T, A): what is charged for each choice; nan where it was not seen or is not valid."""
        known = self.tables.valid
        taken = np.where(known, self.tables.usage, 0.0)
        charge: Floats = self.tables.summable() + self.price * self.tilt * taken
        return np.where(known, charge, np.nan)

    def _charges(self) -> Tensor:
        """(T, 1, A): each known choice's cost plus price x usage, 0 for a step's best, 1 for its
        mean; unknown ones count as the mean, invalid ones as three times that."""
        charge = self._charged()
        known = np.isfinite(charge)
        some = known.any(axis=1, keepdims=True)
        count = np.maximum(known.sum(axis=1, keepdims=True), 1)
        low = np.where(known, charge, np.inf).min(axis=1, keepdims=True)
        low = np.where(some, low, 0.0)
        mean = np.where(known, charge, 0.0).sum(axis=1, keepdims=True) / count
        scale = np.where(mean > low, mean - low, 1.0)
        # Far above the mean, how far no longer matters; unbounded, it would drown the rest.
        charge = np.minimum(np.where(known, (charge - low) / scale, 1.0), 3.0)
        charge[self.tables.seen & ~self.tables.valid] = 3.0
        return torch.from_numpy(charge[:, None].astype(np.float32)).to(self.device)

    def _advantages(self, actions: Ints, rewards: Floats, done: Bools) -> Tensor:
        """(T, N): how much better each sampled choice was than the batch's at that step."""
        args = self.args
        if args.credit == "price":
            index = self._index[: len(actions), None]
            charge = self._charged()
            worst = np.where(np.isfinite(charge), charge, 0.0).max(axis=1, keepdims=True)
            charge = np.where(self.tables.seen & ~self.tables.valid, 3 * worst, charge)
            gain = np.where(done, -charge[index, np.maximum(actions, 0)], 0.0)
        else:
            if args.within_episode:
                rewards = _standardise(rewards, done, axis=0)
            gain = np.zeros_like(rewards)
            after = np.zeros(rewards.shape[1])
            for step in reversed(range(len(rewards))):
                after = gain[step] = rewards[step] + args.gamma * after
        advantage = _standardise(gain, done, axis=0 if args.within_episode else 1)
        return torch.from_numpy(advantage.astype(np.float32)).to(self.device)

    # --- checkpoints ----------------------------------------------------------------------------

    def save(self, path: str) -> None:
        """Write everything that the rest of the run depends on; whole or not at all."""
        state = {
            "args": asdict(self.args),
            "title": self.statement.title,
            "problem": json.dumps(dict(self.statement.key)),
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "tables": {name: torch.from_numpy(table) for name, table in self._tables().items()},
            "price": self.price,
            "updates": self.updates,
            "evaluator": self.evaluator.state(),
        }
        with replacing(path) as partial:
            torch.save(state, partial)

    def load(self, path: str) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: If it is of another problem, or of other settings.
        """
        state = torch.load(path, map_location=self.device, weights_only=False)
        if state["problem"] != json.dumps(dict(self.statement.key)):
            raise ValueError(
                f"{path} is a checkpoint of {state['title']}, not {self.statement.title}"
            )
        for name, value in asdict(self.args).items():
            if name not in _MAY_CHANGE and state["args"].get(name) != value:
                raise ValueError(
                    f"{path} was made with {name}={state['args'].get(name)!r}, not {value!r}"
                )
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        for name, table in self._tables().items():
            table[:] = state["tables"][name].cpu().numpy()
        self.price, self.updates = state["price"], state["updates"]
        self.evaluator.restore(state["evaluator"])

    def _tables(self) -> dict[str, Array]:
        return {name: getattr(self.tables, name) for name in ("seen", "cost", "usage", "valid")}


_MAY_CHANGE = ("device", "checkpoint", "checkpoint_every", "csv", "tensorboard")


def _standardise(values: Floats, alive: Bools, axis: int) -> Floats:
    """Mean 0 and deviation 1 along an axis, over the entries that count; the others 0."""
    count = np.maximum(alive.sum(axis=axis, keepdims=True), 1)
    centred = np.where(
        alive, values - np.where(alive, values, 0).sum(axis, keepdims=True) / count, 0
    )
    deviation = np.sqrt((centred**2).sum(axis=axis, keepdims=True) / count)
    out: Floats = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    return out


class _Metrics:
    """Writes the metrics of each update where the settings say."""

    def __init__(self, args: PricedReinforce) -> None:
        self.args = args
        self._board: Any = None

    def __enter__(self) -> _Metrics:
        if self.args.tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ImportError("tensorboard=... needs: pip install tensorboard") from error
            self._board = SummaryWriter(self.args.tensorboard)
        return self

    def write(self, samples: int, metrics: dict[str, float]) -> None:
        if self.args.csv:
            path = Path(self.args.csv)
            fresh = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.writer(file)
                if fresh:
                    writer.writerow(["samples", *metrics])
                writer.writerow([samples, *metrics.values()])
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, samples)

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

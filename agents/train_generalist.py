"""Train the generalist on ``HWAssignMulti-Train``, by imitation or from returns.

    python -m hwgym_agents.train_generalist imitation --out agents/checkpoints/generalist.npz
    python -m hwgym_agents.train_generalist returns --out agents/checkpoints/generalist-returns.npz

Networks are drawn from Train; Val is looked at as it goes; Test, Zoo and OOD are not.

- *Imitation.* Of each network that is drawn, some problems are solved: an objective, a constraint
  and a budget say at which price the budget is used up, and at a price, each choice of each layer
  is behind the best by so much. The policy is to prefer them so, at several temperatures. Prices
  are those of states on the way, too: of any budget that may be left.
- *Returns.* Of each network that is drawn, episodes of one problem are played by the policy as it
  is, with the masks. Of an episode it is seen what each step's choice cost and took. A step's
  return is the logarithm of its cost and its price, that by which the policy reckons what it took;
  what the policy expects of the step is the baseline, entropy keeps it from settling early. What
  choices cost that were not taken stays unseen, and so do optima.
"""

from __future__ import annotations

import json
import math
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._files import replacing
from hwgym.core import Evaluator
from hwgym.families.assignment.design_space import PE_LEVELS, TILE_LEVELS
from hwgym.families.assignment.multi import SPLITS, binding
from hwgym.families.assignment.multi.pool import prices_of
from hwgym.families.assignment.multi.problem import MultiProblem, instances
from hwgym.families.assignment.multi.splits import CONSTRAINTS, Narrow, Source
from hwgym.hardware import Hardware, Technology

from .assignment_features import Known
from .generalist import FEATURES, HEADS, OBJECTIVES, Inputs, Network, Play, inputs_of, worths
from .train_options import DeviceOption, Regrets, out_option, versions

HIDDEN = 128
BATCH = 8
"""Networks of a step."""
MIXES_EVERY = 4
"""One in so many batches is of problems whose layers choose among dataflows."""
LEARNING_RATE, WARM = 2e-3, 100
AVERAGED = 0.998
"""Weight of what went before in the average of weights that is kept."""

PROBLEMS = 3
"""Solved of each network (imitation)."""
SHARES = (0.005, 0.7)
"""Of the budget's range, log-uniform: those of Train, and what may be left on the way."""
SHARPNESS = (10.0, 60.0, 400.0)
"""At which preferences are imitated: one part in so many worse is e times as unlikely."""
COMPARED = 48
"""Choices of a dataflow among which they are, drawn anew for every batch: neighbours are alike."""

EPISODES = 32
"""Of each problem (returns)."""
PLAYED = (8.0, 150.0)
"""Sharpness at which episodes are played, at the beginning and at the end."""
PRICES = np.concatenate([[0.0], np.geomspace(1e-4, 1e4, 65)])
"""Tried, in parts of what the network costs at its best by what the budget is."""

SCALED = 64
"""Networks whose features say on what scales they lie."""

WATCHED = 48
"""Problems of Val that are looked at."""
LOOKS = 12
"""How often."""


class Way(str, Enum):
    """How to train."""

    imitation = "imitation"
    returns = "returns"


class Drawn(NamedTuple):
    """A network on a machine: of its distinct layers, (layers, choices) each.

    Attributes:
        at: Rows of the batch.
        steps: (steps,) which of its distinct layers each step is.
        technology: Of the machine.
        latency, energy: What choices cost.
        area, power: What they take.
        works: Whether they can be built.
        objective, constraint, share: Of the problem that the number stands for.
    """

    at: slice
    steps: Ints
    technology: Technology
    latency: Floats
    energy: Floats
    area: Floats
    power: Floats
    works: Bools
    objective: str
    constraint: str
    share: float

    def cost(self, objective: str) -> Floats:
        """Of an objective."""
        if objective == "edp":
            return self.latency * self.energy
        return self.latency if objective == "latency" else self.energy

    def usage(self, constraint: str) -> Floats:
        """Of a constraint."""
        return self.area if constraint == "area" else self.power

    def among(self, actions: Ints) -> Drawn:
        """The same with some of the choices only."""
        names = ("latency", "energy", "area", "power", "works")
        return self._replace(**{name: getattr(self, name)[:, actions] for name in names})

    def budget(self, constraint: str, share: float) -> float:
        """So much of the range, as HWAssign has it."""
        usage = self.usage(constraint)
        least = np.where(self.works, usage, np.inf).min(axis=1)[self.steps].sum()
        most = np.where(self.works, usage, -np.inf).max(axis=1)[self.steps].sum()
        return float(least + (most - least) * share)


def draw(
    source: Source, numbers: Ints, choices: Ints | None = None
) -> tuple[list[Inputs], list[Drawn]]:
    """Networks of a split: what the policy is asked of them under each of the dataflows that their
    layers choose from, one network after the other, and what is behind it.

    Args:
        source: Of the split.
        numbers: (n,) of its problems.
        choices: Of a dataflow, about which the policy is asked; by default all.
    """
    recipes = source.recipes(numbers)
    rows, lengths = source.rows(recipes)
    pool = source.pool
    pes = np.repeat(np.array(PE_LEVELS), len(TILE_LEVELS))
    tiles = np.tile(np.array(TILE_LEVELS), len(PE_LEVELS))
    if choices is not None:
        pes, tiles = pes[choices], tiles[choices]
    each, drawn, first = [], [], 0
    for i, own in enumerate(np.split(rows, np.cumsum(lengths)[:-1])):
        distinct, steps = np.unique(own, return_inverse=True)
        blocks = recipes.style[i] * len(pool.layers) + distinct
        technology = source.technology(int(recipes.machine[i]))
        area, power = prices_of(technology)
        bandwidth = int(recipes.bandwidth[i])
        drawn.append(
            Drawn(
                slice(first, first + len(distinct)),
                steps,
                technology,
                pool.latency(blocks, bandwidth).astype(np.float64),
                pool.energy(blocks, area),
                pool.usage(blocks, area),
                pool.usage(blocks, power),
                pool.counts.valid[blocks],
                OBJECTIVES[recipes.objective[i]],
                CONSTRAINTS[recipes.constraint[i]],
                float(recipes.share[i]),
            )
        )
        each.append((distinct, int(recipes.style[i]), pool.bandwidths[bandwidth]))
        first += len(distinct)
    asked = []
    for which in range(len(source.styles[0])):
        parts: list[Inputs | None] = [None] * len(each)
        for style in {style for _, style, _ in each}:
            those = [i for i, (_, own, _) in enumerate(each) if own == style]
            layers = [pool.layers[row] for i in those for row in each[i][0]]
            bandwidths = np.concatenate([[each[i][2]] * len(each[i][0]) for i in those])
            known = Known((), source.styles[style], pes, tiles, Hardware())
            found = inputs_of(layers, known, which, bandwidths[:, None])
            ends = np.cumsum([len(each[i][0]) for i in those])[:-1]
            for i, *columns in zip(those, *(np.split(c, ends) for c in found), strict=True):
                parts[i] = Inputs(*columns)
        asked.append(Inputs(*(np.concatenate(c) for c in zip(*filter(None, parts), strict=True))))
    return asked, drawn


def energy_of(technology: Technology) -> tuple[float, float, float]:
    """As :func:`~hwgym_agents.generalist.worths` takes it."""
    return technology.mac_energy_nj, technology.l1_energy_macs, technology.l2_energy_macs


class Thinker(nn.Module):
    """:class:`~hwgym_agents.generalist.Network`, as it learns.

    Args:
        columns, mean, scale: Features that are used, and how they are made comparable.
    """

    columns: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, columns: Ints, mean: Floats, scale: Floats, hidden: int) -> None:
        super().__init__()
        self.register_buffer("columns", torch.as_tensor(columns))
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))
        self.first = nn.Linear(len(columns), hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, len(HEADS))
        self.around = nn.Linear(len(columns), len(HEADS), bias=False)
        for layer in (self.last, self.around):  # it begins with an ideal machine
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(n, choices, heads) of features (n, choices, all)."""
        x = (features[..., self.columns] - self.mean) * self.scale
        hidden = torch.relu(self.second(torch.relu(self.first(x))))
        said: Tensor = self.last(hidden) + self.around(x)
        return said

    def arrays(self) -> dict[str, Array]:
        """What :class:`~hwgym_agents.generalist.Network` takes."""
        weights = {
            "columns": self.columns,
            "mean": self.mean,
            "scale": self.scale,
            "w1": self.first.weight.T,
            "b1": self.first.bias,
            "w2": self.second.weight.T,
            "b2": self.second.bias,
            "w3": self.last.weight.T,
            "b3": self.last.bias,
            "around": self.around.weight.T,
        }
        return {n: w.detach().cpu().numpy().copy() for n, w in weights.items()}


class Asked(NamedTuple):
    """Inputs of all dataflows, as tensors."""

    expected: Tensor
    macs: Tensor
    repeat: Tensor


class Trainer:
    """Learns from batches of networks; everything that it is can be written down and taken up.

    Args:
        way: How.
        seed: Of weights and draws.
        device: Where torch reckons.
        hidden: Width of the network.
        networks: So many of Train's, each again and again; None for as many as there are.
    """

    def __init__(
        self,
        way: Way,
        seed: int,
        device: str,
        hidden: int = HIDDEN,
        networks: int | None = None,
    ) -> None:
        self.way, self.seed, self.device = way, seed, torch.device(device)
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.single = instances("train", Narrow(networks=networks)).source
        self.mixed = instances("train", Narrow(dataflow="MIX", networks=networks)).source
        self.net = Thinker(*self._scales(), hidden).to(self.device)
        self.kept = {n: p.detach().clone() for n, p in self.net.named_parameters()}
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=LEARNING_RATE)
        self.updates, self.spent, self.networks, self.seconds = 0, 0, 0, 0.0

    def _scales(self) -> tuple[Ints, Floats, Floats]:
        """Of the features of some networks."""
        asked, _ = draw(self.single, self._numbers(SCALED))
        features = asked[0].features.reshape(-1, len(FEATURES)).astype(np.float64)
        mean, spread = features.mean(axis=0), features.std(axis=0)
        columns = np.flatnonzero(spread > 1e-4)
        return columns, mean[columns], 1 / np.maximum(spread[columns], 0.1)

    def _numbers(self, count: int) -> Ints:
        return self.rng.integers(SPLITS["train"].problems, size=count)

    def step(self, progress: float) -> None:
        """Learn from one batch; ``progress`` from 0 to 1 sets learning rate and exploration."""
        began = time.process_time()
        mix = (self.updates + 1) % MIXES_EVERY == 0
        source = self.mixed if mix else self.single
        numbers = self._numbers(BATCH)
        choices = np.sort(self.rng.permutation(len(PE_LEVELS) * len(TILE_LEVELS))[:COMPARED])
        if self.way is Way.returns:  # whatever the budget, it can be played
            choices = np.union1d(choices, _least(source, numbers))
        actions = np.arange(source.pool.num_actions)
        joint = actions.reshape(-1, len(source.styles[0]))[choices].ravel()
        asked, drawn = draw(source, numbers, choices)
        features = self._tensor(np.stack([a.features for a in asked], axis=2))
        said = self.net(features.flatten(1, 2))
        join = Asked(
            self._tensor(np.stack([a.expected for a in asked], axis=2)).flatten(1, 2),
            self._tensor(asked[0].macs),
            self._tensor(asked[0].repeat),
        )
        works = np.concatenate([d.works[:, joint] for d in drawn])
        if self.way is Way.imitation:
            loss = self._imitate(said, join, drawn, joint)
            known: Bools = np.ones_like(works)
        else:
            loss, known = self._played(said, join, drawn, joint, progress)
        sure = nn.functional.binary_cross_entropy_with_logits(
            said[..., -1], self._tensor(works), self._tensor(known), reduction="sum"
        )
        loss = loss + 0.1 * sure / max(int(known.sum()), 1)
        for group in self.optimizer.param_groups:
            warm = min((self.updates + 1) / WARM, 1.0)
            group["lr"] = LEARNING_RATE * warm * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-6
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        share = min(AVERAGED, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            for name, weight in self.net.named_parameters():
                self.kept[name].lerp_(weight, 1 - share)
        self.updates += 1
        self.networks += len(drawn)
        self.seconds += time.process_time() - began

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self.device)

    def _part(self, said: Tensor, join: Asked, of: Drawn) -> tuple[Tensor, Asked]:
        return said[of.at], Asked(*(t[of.at] for t in join))

    # --- imitation ----------------------------------------------------------------------------

    def _imitate(self, said: Tensor, join: Asked, drawn: list[Drawn], joint: Ints) -> Tensor:
        """How far preferences among some choices are from those of the optima, on average over
        layers."""
        targets, thoughts, works, weights = [], [], [], []
        for each in drawn:
            own, asked = self._part(said, join, each)
            usages = {c: self._tensor(each.usage(c)[:, joint]) for c in CONSTRAINTS}
            costs = {o: worths(own, asked, energy_of(each.technology), o, torch.exp2)
                     for o in OBJECTIVES}  # fmt: skip
            pairs = [(o, c) for o in OBJECTIVES for c in CONSTRAINTS]
            for which in self.rng.choice(len(pairs), PROBLEMS, replace=False):
                objective, constraint = pairs[which]
                cost, usage = each.cost(objective), each.usage(constraint)
                share = math.exp(self.rng.uniform(*np.log(SHARES)))
                price = _price(each, cost, usage, each.budget(constraint, share), self.rng)
                charged = np.where(each.works, cost + price * usage, np.inf)
                best = charged.min(axis=1, keepdims=True)
                counts = np.bincount(each.steps)
                part = best[:, 0] * counts / (best[:, 0] * counts).sum()
                targets.append(np.minimum(np.log(charged[:, joint] / best), 60.0))
                thoughts.append(torch.log(costs[objective] + price * usages[constraint]))
                works.append(each.works[:, joint])
                weights.append(0.5 + 0.5 * len(counts) * part)
                self.spent += 1
        target = self._tensor(np.concatenate(targets))
        mask = ~torch.as_tensor(np.concatenate(works), device=self.device)
        thought = torch.cat(thoughts)
        weight = self._tensor(np.concatenate(weights))
        loss = thought.new_zeros(())
        for sharp in SHARPNESS:
            wanted = torch.softmax((-sharp * target), dim=-1)
            given = torch.log_softmax((-sharp * thought).masked_fill(mask, -1e9), dim=-1)
            behind = -(wanted * given).sum(-1) + (wanted * torch.log(wanted + 1e-30)).sum(-1)
            loss = loss + (weight * behind).mean() / sharp
        return loss

    # --- returns ------------------------------------------------------------------------------

    def _played(
        self, said: Tensor, join: Asked, drawn: list[Drawn], joint: Ints, progress: float
    ) -> tuple[Tensor, Bools]:
        """Play episodes that choose among some; the loss whose gradient is the policy's, and of
        which choices it was seen whether they work."""
        sharp = math.exp(np.interp(progress, (0, 1), np.log(PLAYED)))
        loss = said.new_zeros(())
        known = np.zeros(said.shape[:2], bool)
        count = 0
        for whole in drawn:
            budget = whole.budget(whole.constraint, whole.share)
            each = whole.among(joint)
            own, asked = self._part(said, join, each)
            technology = energy_of(each.technology)
            thought = worths(own, asked, technology, each.objective, torch.exp2)
            sure = own[..., -1].detach().cpu().numpy() > 0
            usage = each.usage(each.constraint)
            played = thought.detach().cpu().numpy().astype(np.float64)
            game = _play(each, budget, played, sure, sharp, self.rng)
            known[each.at][each.steps] |= game.known
            rows = each.steps[game.step]
            taken = self._tensor(game.taken).long()
            price = self._tensor(game.price)[:, None]
            charged = torch.log(thought[rows] + price * self._tensor(usage)[rows])
            mask = torch.as_tensor(~game.allowed, device=self.device)
            log_pi = torch.log_softmax((-sharp * charged).masked_fill(mask, -1e9), dim=-1)
            chosen = log_pi.gather(1, taken[:, None])[:, 0]
            with torch.no_grad():
                pi = log_pi.exp()
                expected = (pi * (charged + log_pi / sharp)).sum(-1)
                paid = torch.log(self._tensor(game.cost + game.price * game.took))
                behind = (paid + chosen / sharp - expected).reshape(-1, EPISODES)
                behind = (behind - behind.mean(dim=1, keepdim=True)).flatten()
            loss = loss + (behind * chosen).sum()
            count += len(game.step)
            self.spent += EPISODES
        return loss / count, known

    # --- what is kept -------------------------------------------------------------------------

    def network(self) -> Network:
        """The policy, of averaged weights."""
        own = {n: p.detach().clone() for n, p in self.net.named_parameters()}
        self.net.load_state_dict(self.kept, strict=False)
        arrays = self.net.arrays()
        self.net.load_state_dict(own, strict=False)
        return Network(arrays)

    def state(self) -> dict[str, Any]:
        """Everything."""
        return {
            "net": self.net.state_dict(),
            "kept": self.kept,
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.bit_generator.state,
            "counts": (self.updates, self.spent, self.networks, self.seconds),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.net.load_state_dict(state["net"])
        self.kept = state["kept"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = state["rng"]
        self.updates, self.spent, self.networks, self.seconds = state["counts"]


def _prices(cost: Floats, works: Bools, steps: Ints, budget: float) -> Floats:
    """Of a unit of the budget."""
    least = float(np.where(works, cost, np.inf).min(axis=1)[steps].sum())
    prices: Floats = PRICES * (least / budget)
    return prices


def _price(
    each: Drawn, cost: Floats, usage: Floats, budget: float, rng: np.random.Generator
) -> float:
    """What a unit of the budget is worth where the cheapest choices use it up: anything between two
    prices that were tried; the least of these where the budget does not bind."""
    prices = _prices(cost, each.works, each.steps, budget)
    charged = np.where(each.works, cost, np.inf) + prices[:, None, None] * usage
    best = charged.argmin(axis=2)
    taken = np.take_along_axis(usage, best.T, axis=1).T[:, each.steps].sum(axis=1)
    over = np.flatnonzero(taken > budget)
    if not len(over):
        return float(prices[1])
    low, high = prices[[over[-1], min(over[-1] + 1, len(prices) - 1)]].clip(prices[1])
    return float(low * (high / low) ** rng.random())


def _least(source: Source, numbers: Ints) -> Ints:
    """Those choices of a dataflow that take least of something for some layer of problems (n,)."""
    recipes = source.recipes(numbers)
    rows, lengths = source.rows(recipes)
    blocks = np.repeat(recipes.style, lengths) * len(source.pool.layers) + rows
    found = []
    for prices in zip(
        *(prices_of(source.technology(int(m))) for m in recipes.machine), strict=True
    ):
        for own, at in zip(prices, np.split(blocks, np.cumsum(lengths)[:-1]), strict=True):
            usage = np.where(source.pool.counts.valid[at], source.pool.usage(at, own), np.inf)
            found.append(usage.argmin(axis=1))
    return np.unique(np.concatenate(found)) // len(source.styles[0])


class Game(NamedTuple):
    """Episodes of a problem, step by step: (steps x episodes,) each.

    Attributes:
        step: Which.
        taken, cost, took: The choice, what it cost and what it took of the budget.
        price: By which the policy charged what choices take.
        allowed: (steps x episodes, choices) the masks.
        known: (steps, choices) of which it was seen whether they work.
    """

    step: Ints
    taken: Ints
    cost: Floats
    took: Floats
    price: Floats
    allowed: Bools
    known: Bools


def _play(
    each: Drawn,
    budget: float,
    thought: Floats,
    sure: Bools,
    sharp: float,
    rng: np.random.Generator,
) -> Game:
    """Play a problem by what is thought of its choices."""
    cost, usage, steps = each.cost(each.objective), each.usage(each.constraint), each.steps
    sure = sure | ~sure.any(axis=1, keepdims=True)
    prices = _prices(thought, sure, steps, budget)
    planned = np.where(sure, thought, np.inf)[:, None] + prices[:, None] * usage[:, None]
    ahead = np.cumsum(planned.min(axis=2)[steps][::-1], axis=0)[::-1]
    ahead = np.vstack([ahead, np.zeros(len(prices))])
    least = np.where(each.works, usage, np.inf).min(axis=1)[steps]
    after = np.append(np.cumsum(least[::-1])[::-1], 0.0)
    left = np.full(EPISODES, budget)
    games, known = [], np.zeros((len(steps), usage.shape[1]), bool)
    slack = budget * 1e-12
    for step, row in enumerate(steps):
        room = left - after[step + 1] + slack
        fits = usage[row] <= room[:, None]
        allowed = fits & each.works[row]
        known[step] = fits.any(axis=0)
        price = prices[(ahead[step] - prices * left[:, None]).argmax(axis=1)]
        charged = thought[row] + price[:, None] * usage[row]
        # The first of several clocks that ring at these rates is one drawn in their proportion.
        charged = np.where(allowed, charged, np.inf)
        charged /= charged.min(axis=1, keepdims=True)
        with np.errstate(over="ignore"):  # what is that much worse rings never
            taken = (rng.standard_exponential(charged.shape) * charged**sharp).argmin(axis=1)
        took = usage[row, taken]
        left = left - took
        games.append((np.full(EPISODES, step), taken, cost[row, taken], took, price, allowed))
    which, taken, paid, took, price, allowed = map(np.concatenate, zip(*games, strict=True))
    return Game(which, taken, paid, took, price, allowed, known)


# --- how good it is -------------------------------------------------------------------------------


def regrets(network: Network, problems: list[MultiProblem]) -> Floats:
    """(n,) of a policy's first assignments."""
    found = []
    for problem in problems:
        evaluator = Evaluator(problem, 1, sees="layers")
        Play(network, evaluator).episode(0.0, np.random.default_rng(0))
        found.append(problem.optimum().above(evaluator.best_objective))
    return np.array(found)


# --- the command ----------------------------------------------------------------------------------

DEFAULT_BUDGET = {Way.imitation: 48_000, Way.returns: 400_000}
"""Those of the checkpoints that are shipped."""
UNITS = {Way.imitation: "optima", Way.returns: "episodes"}
"""What a budget counts."""


def write(trainer: Trainer, path: Path, *, command: str = "", val: Regrets | None = None) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        trainer: What has learnt.
        path: An .npz.
        command: That makes it again, if one does.
        val: What its first assignments on Val are worth.
    """
    made = {
        "command": command,
        "way": trainer.way.value,
        "seed": trainer.seed,
        "spent": trainer.spent,
        "unit": UNITS[trainer.way],
        "networks": trainer.networks,
        "updates": trainer.updates,
        "cpu_seconds": round(trainer.seconds, 1),
        "val": None if val is None else list(val),
        "versions": versions(),
    }
    arrays: dict[str, Any] = {
        **trainer.network().arrays,
        "features": np.array(FEATURES),
        "made": np.array(json.dumps(made)),
    }
    with replacing(path) as partial, partial.open("xb") as file:
        np.savez_compressed(file, **arrays)


def train(
    way: Annotated[Way, typer.Argument(help="What it learns from.")],
    out: Annotated[Path, out_option()],
    budget: Annotated[
        int | None,
        typer.Option(
            min=1, help="Optima to imitate, or episodes to play. By default 48,000 and 400,000."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and draws.")] = 0,
    hours: Annotated[
        float | None, typer.Option(min=0, help="Stop after so long, whatever is left.")
    ] = None,
    device: DeviceOption = "cpu",
    hidden: Annotated[int, typer.Option(min=1, help="Width of the network.")] = HIDDEN,
    networks: Annotated[
        int | None,
        typer.Option(min=1, help="Train on so many networks, again and again; by default endless."),
    ] = None,
    watched: Annotated[int, typer.Option(min=1, help="Problems of Val to look at.")] = WATCHED,
) -> None:
    """Train the generalist on HWAssignMulti-Train.

    Beside the checkpoint stands FILE.pt, from which the same command goes on
    after it was interrupted. Quantiles of the regret (10, 50, 90 %, worst)
    are those of first assignments on problems of Val whose budgets bind.

    Example: [bold]python -m hwgym_agents.train_generalist imitation --out mine.npz[/]
    """
    console = Console()
    if device == "cpu":
        torch.set_num_threads(1)  # it shares its machine
    budget = budget or DEFAULT_BUDGET[way]
    unit = UNITS[way]
    command = f"python -m hwgym_agents.train_generalist {way.value} --budget {budget} --seed {seed}"
    if hidden != HIDDEN:
        command += f" --hidden {hidden}"
    if networks is not None:
        command += f" --networks {networks}"
    resumed, state = out.with_suffix(".pt"), None
    if resumed.exists():
        state = torch.load(resumed, map_location=device, weights_only=True)
        if state["command"] != command:
            raise typer.BadParameter(f"{resumed} is of another command: {state['command']}")
    trainer = Trainer(way, seed, device, hidden, networks)
    if state is not None:
        trainer.restore(state)
        console.print(f"goes on at {trainer.spent:,} of {budget:,} {unit}")
    val = binding("val", watched)
    began = time.monotonic()
    columns = TextColumn("{task.description}"), BarColumn(24), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(unit, total=budget, completed=trainer.spent)
        looks = math.floor(LOOKS * trainer.spent / budget) if trainer.spent else -1
        while True:
            over = trainer.spent >= budget
            if hours is not None and time.monotonic() - began > 3600 * hours:
                over = True
            if over or math.floor(LOOKS * trainer.spent / budget) > looks:
                looks = math.floor(LOOKS * trainer.spent / budget)
                found = Regrets.of(regrets(trainer.network(), val))
                console.print(
                    f"{trainer.spent:>9,} {unit} of {trainer.networks:,} networks, "
                    f"{trainer.seconds:,.0f} CPU s; Val: {found}"
                )
                write(trainer, out, command=command, val=found)
                with replacing(resumed) as partial:
                    torch.save({**trainer.state(), "command": command}, partial)
            if over:
                break
            trainer.step(min(trainer.spent / budget, 1.0))
            progress.update(task, completed=trainer.spent)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    app = typer.Typer(rich_markup_mode="rich", add_completion=False)
    app.command()(train)
    app(args=sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    main()

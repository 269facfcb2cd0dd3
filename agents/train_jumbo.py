"""Make what ``jumbo`` begins with: logs of other networks, and a network trained on them.

.. code-block:: sh

    python -m hwgym_agents.train_jumbo logs LOGS
    python -m hwgym_agents.train_jumbo train LOGS --out jumbo.npz

The logs are of problems of ``HWAssignMulti-Train``, by simulated annealing and at random; any
episode logs of HWAssign or HWAssignMulti do as well. Of these logs only totals are read: latency,
energy, area and power of whole assignments, and which could not be built.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from rich.progress import track
from torch import nn

from hwgym._arrays import Array
from hwgym.core import read_solutions, solve
from hwgym.core.log.spec import make_environment
from hwgym.families.assignment.multi.problem import instances
from hwgym.families.assignment.multi.splits import Narrow

from .jumbo import HEADS, choice_features, heads_of
from .train_options import out_option

app = typer.Typer(
    add_completion=False,
    help="Make what jumbo begins with: logs of other networks, and a network trained on them.",
)


@app.command()
def logs(
    folder: Annotated[Path, typer.Argument(help="Where the logs go, a folder a problem.")],
    problems: Annotated[int, typer.Option(min=1, help="The first so many of Train.")] = 200,
    annealing: Annotated[int, typer.Option(min=1, help="Samples a problem by annealing.")] = 200,
    random: Annotated[int, typer.Option(min=1, help="Samples a problem at random.")] = 100,
) -> None:
    """Make logs of problems of HWAssignMulti-Train."""
    for number in track(range(problems), "logs"):
        where = folder / f"{number:04d}"
        if where.exists():
            continue
        problem = instances("train", Narrow())[number]
        half = folder / f"{number:04d}.tmp"  # so that a run that is killed can be run again
        shutil.rmtree(half, ignore_errors=True)
        solve("annealing", problem, samples=annealing, seed=number, log=half / "annealing")
        solve("random", problem, samples=random, seed=number, log=half / "random")
        half.rename(where)


class Task(NamedTuple):
    """What the logs of a problem tell.

    Attributes:
        features: (kinds of layers, choices, n), and ``base`` (kinds, choices, heads).
        kind: (steps,) of which kind each is.
        numbers: (N, steps) choices of all samples.
        valid: (N,) which of them could be built.
        totals: (N, heads) logs of totals; 0 where not valid.
    """

    features: torch.Tensor
    base: torch.Tensor
    kind: torch.Tensor
    numbers: torch.Tensor
    valid: torch.Tensor
    totals: torch.Tensor


def task_of(paths: Sequence[str | os.PathLike[str]]) -> Task:
    """What the logs of one problem tell.

    Raises:
        LogError: If one cannot be read, or they are of several problems.
        ValueError: If the network cannot be told what its layers are.
    """
    statement = make_environment(paths[0]).unwrapped.problem.statement
    heads_of(statement)
    genes, scores, _ = read_solutions(paths, statement)
    _, first, kind = np.unique(statement.alike, return_index=True, return_inverse=True)
    features, base = choice_features(statement.known, first)
    totals = np.stack([np.where(scores.valid, scores[name], 1.0) for name in HEADS], axis=1)

    def tensor(values: Array) -> torch.Tensor:
        kept = np.ascontiguousarray(values)
        return torch.from_numpy(kept.astype(np.float32) if kept.dtype == np.float64 else kept)

    return Task(
        tensor(features),
        tensor(base),
        tensor(kind),
        tensor(statement.space.encode(genes)),
        tensor(scores.valid),
        tensor(np.log(totals)),
    )


class Network(nn.Module):
    """Two hidden layers, and for each choice of a layer what :data:`HEADS` are, and whether it can
    be built."""

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor, hidden: int) -> None:
        super().__init__()
        self.mean, self.scale = mean, scale
        self.hidden = nn.ModuleList([nn.Linear(len(mean), hidden), nn.Linear(hidden, hidden)])
        self.heads = nn.Linear(hidden, len(HEADS) + 1)
        with torch.no_grad():
            self.heads.weight *= 0.1
            self.heads.bias[-1] += 3.0  # most choices can be built

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        units = (features - self.mean) / self.scale
        for layer in self.hidden:
            units = nn.functional.silu(layer(units))
        found: torch.Tensor = self.heads(units)
        return found

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        arrays: dict[str, Any] = {"mean": self.mean.numpy(), "scale": self.scale.numpy()}
        for number, layer in enumerate([*self.hidden, self.heads], start=1):
            arrays[f"w{number}"] = layer.weight.detach().numpy().T
            arrays[f"b{number}"] = layer.bias.detach().numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(path.name + ".tmp.npz")
        np.savez_compressed(half, **arrays)
        half.replace(path)


def loss_of(net: Network, task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the logs of totals are off: a loss, and the mean absolute error of each head."""
    said = net(task.features)
    chosen = said[task.kind, task.numbers]
    each = chosen[..., : len(HEADS)] + task.base[task.kind, task.numbers]
    error = (torch.logsumexp(each, dim=1) - task.totals)[task.valid]
    chance = nn.functional.logsigmoid(chosen[..., -1]).sum(dim=1)
    fails = torch.log(-torch.expm1(torch.clamp(chance, max=-1e-5)))
    loss = -torch.where(task.valid, chance, fails).mean() * 0.1
    if len(error):
        loss = loss + nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.1)
        return loss, error.detach().abs().mean(dim=0)
    return loss, torch.full((len(HEADS),), torch.nan)


def fit(
    tasks: Sequence[Task], *, epochs: int, hidden: int, batch: int, rate: float, seed: int
) -> Network:
    """Train a network on totals."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows = torch.cat([task.features.reshape(-1, task.features.shape[2])[::7] for task in tasks])
    scale = rows.std(dim=0)
    net = Network(rows.mean(dim=0), torch.where(scale > 1e-4, scale, 1.0), hidden)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-4)
    total = epochs * -(-len(tasks) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=total)
    for epoch in track(range(epochs), "epochs"):
        order = rng.permutation(len(tasks))
        errors = []
        for start in range(0, len(order), batch):
            some = [loss_of(net, tasks[i]) for i in order[start : start + batch]]
            optimizer.zero_grad()
            torch.autograd.backward(torch.stack([loss for loss, _ in some]).mean())
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            errors += [error for _, error in some]
        if epoch % 10 == 9:
            typer.echo(f"epoch {epoch + 1}: {_said(errors)}")
    return net


def _said(errors: Sequence[torch.Tensor]) -> str:
    means = torch.stack(list(errors)).nanmean(dim=0)
    return "totals off by " + ", ".join(f"{m:.2%} {n}" for m, n in zip(means, HEADS, strict=True))


@app.command()
def train(
    folder: Annotated[Path, typer.Argument(help="The logs, a folder a problem.")],
    out: Annotated[Path, out_option()] = Path("jumbo.npz"),
    epochs: Annotated[int, typer.Option(min=1, help="Times through the logs.")] = 120,
    hidden: Annotated[int, typer.Option(min=1, help="Units of a hidden layer.")] = 64,
    batch: Annotated[int, typer.Option(min=1, help="Problems a step.")] = 4,
    rate: Annotated[float, typer.Option(help="Greatest learning rate.")] = 5e-3,
    aside: Annotated[float, typer.Option(min=0, max=0.9, help="Share kept aside to test.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the weights and the order.")] = 0,
) -> None:
    """Train the network on logs, and write the checkpoint."""
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is no folder; `logs` makes one")
    places = sorted(path for path in folder.iterdir() if path.is_dir() and path.suffix != ".tmp")
    if int(len(places) * (1 - aside)) < 1:
        raise typer.BadParameter(
            f"{folder} has logs of {len(places)} problems, of which --aside {aside:g} leaves none"
        )
    tasks = [task_of(sorted(place.iterdir())) for place in track(places, "reading")]
    kept = int(len(tasks) * (1 - aside))
    net = fit(tasks[:kept], epochs=epochs, hidden=hidden, batch=batch, rate=rate, seed=seed)
    typer.echo(f"{sum(len(task.valid) for task in tasks[:kept])} samples of {kept} problems")
    if tasks[kept:]:
        with torch.no_grad():
            typer.echo("kept aside: " + _said([loss_of(net, t)[1] for t in tasks[kept:]]))
    net.save(out)


if __name__ == "__main__":
    app()

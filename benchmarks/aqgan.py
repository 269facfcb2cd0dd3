"""AQGAN's claim on real accuracies: train once, then one draw a target, within 3.5 points of it.

    python -m benchmarks.aqgan                     # the table of what was measured
    python -m benchmarks.aqgan --write             # measure, and write aqgan.json

A generator is trained on random configurations and what they answer on one half of the test images,
``search``; targets are accuracies from 30 % to the best on that half, 2.5 points apart. What a draw
achieves is told on the other half, which nothing was chosen on. Beside it stands what the same
samples give without a generator: the one of them that is nearest to the target, and the
configuration whose additive fit is. The nearest of all configurations says what the two halves'
difference leaves to nobody.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from hwgym._arrays import Floats, Ints
from hwgym._files import write_text
from hwgym.core import problem_of
from hwgym.families.quant import AccuracyProblem
from hwgym.families.quant.problem import TABULATED
from hwgym_agents.additive import fit_additive
from hwgym_agents.aqgan import Generator, Training

FILE = Path(__file__).with_suffix(".json")
LIMITED = "HWQuant-{}-Energy-60-v0"
LIMITS = ("none", "60 % of the energy")
LOGGED = (100, 300, 1_000)
SEEDS = 3
STEPS = 1_000
"""Of a generator's training."""
DRAWS = 64
"""Of which the regressor takes one, where it is let."""
LEAST, APART = 30.0, 2.5
"""Of targets, in percent."""
CLAIM = 3.5
"""Points that AQGAN's draws are within."""
RIDGE = 1.0

GENERATOR = "generator, one draw"
ALONE = "generator without a regressor, one draw"
BEST = f"generator, {DRAWS} draws of which the regressor takes one"
NEAREST = "nearest logged sample"
ADDITIVE = "nearest by an additive fit"
WAYS = (GENERATOR, ALONE, BEST, NEAREST, ADDITIVE)


@dataclass(frozen=True)
class Found:
    """What was achieved on a network.

    Attributes:
        network: Its name.
        limit: One of :data:`LIMITS`.
        targets: Accuracies asked for, in percent.
        tries: Random configurations until one is within 3.5 points of each, on average; both on
            the images that are searched on.
        floor: By how much the nearest of all configurations on these misses each on the others.
        misses: By way and number of logged samples, of each seed, by how much each target was
            missed on the images held back: points.
    """

    network: str
    limit: str
    targets: list[float]
    tries: list[float]
    floor: list[float]
    misses: Mapping[str, Mapping[str, list[list[float]]]]


class Posed:
    """A network, which configurations of it are allowed, and what all of them answer.

    Attributes:
        accuracy: (2, configurations) in percent, on the images searched on and on those held back.
        allowed: (configurations,).
    """

    def __init__(self, network: str, limit: str) -> None:
        problem = problem_of(LIMITED.format(network))
        assert isinstance(problem, AccuracyProblem)
        self.space = problem.space
        self.statement = problem.statement if limit != LIMITS[0] else None
        every = np.arange(self.space.num_actions**self.space.num_steps)
        table = problem.table
        self.accuracy = 100 * np.stack([table.accuracy(every, half) for half in ("search", "held")])
        usage = problem.widths.budget.usage.reshape(self.space.num_steps, -1)
        used = _every(usage)
        self.allowed = used <= problem.statement.limit if self.statement else used >= 0

    @property
    def targets(self) -> Floats:
        """Accuracies to ask for."""
        return np.arange(LEAST, self.accuracy[0, self.allowed].max() + 1e-9, APART)

    def number(self, genes: Ints) -> Ints:
        """Of configurations (n, layers, 2)."""
        numbers: Ints = self.space.encode(genes) @ self._radix
        return numbers

    @property
    def _radix(self) -> Ints:
        return self.space.num_actions ** np.arange(self.space.num_steps)[::-1]

    def log(self, rng: np.random.Generator, count: int) -> Ints:
        """Random configurations that are allowed."""
        return self.statement.draw(rng, count) if self.statement else self.space.draw(rng, count)

    def mended(self, genes: Ints, rng: np.random.Generator) -> Ints:
        """Configurations that are allowed."""
        return self.statement.repair(genes, rng) if self.statement else genes

    def achieved(self, log: Ints, seed: int, steps: int) -> Iterator[tuple[str, Ints]]:
        """What each way proposes for the targets: numbers of configurations."""
        numbers, targets = self.number(log), self.targets
        rng, told = np.random.default_rng(seed), self.accuracy[0, self.number(log)]
        for way, how in ((GENERATOR, Training()), (ALONE, Training(regressor=0.0))):
            made = Generator(self.space, 1, seed, how)
            made.train(log, told[:, None], steps)
            yield way, self.number(self.mended(made.draw(targets[:, None]), rng))
            if way == GENERATOR:
                drawn = self.mended(made.draw(np.repeat(targets, DRAWS)[:, None]), rng)
                off = np.abs(made.tell(drawn).reshape(-1, DRAWS) - targets[:, None])
                yield BEST, self.number(drawn).reshape(-1, DRAWS)[_rows(off), off.argmin(axis=1)]
        yield NEAREST, numbers[np.abs(told - targets[:, None]).argmin(axis=1)]
        middle = told.mean()
        adds = fit_additive(
            self.space.encode(log), told - middle, self.space.num_actions, ridge=RIDGE
        )
        fitted = np.where(self.allowed, middle + _every(adds), np.inf)
        yield ADDITIVE, np.array([np.abs(fitted - target).argmin() for target in targets])


def _rows(of: Floats) -> Ints:
    return np.arange(len(of))


def _every(table: Floats) -> Floats:
    """(configurations,): sums of a table (layers, choices), the first layer slowest."""
    total = np.zeros(1)
    for row in table:
        total = (total[:, None] + row).ravel()
    return total


def measure(
    network: str,
    limit: str,
    *,
    logged: Sequence[int] = LOGGED,
    seeds: int = SEEDS,
    steps: int = STEPS,
) -> Found:
    """Train on logs of so many samples, and draw; on one thread."""
    torch.set_num_threads(1)
    posed = Posed(network, limit)
    targets, (search, held) = posed.targets, posed.accuracy
    misses: dict[str, dict[str, list[list[float]]]] = {way: {} for way in WAYS}
    for samples in logged:
        for seed in range(seeds):
            log = posed.log(np.random.default_rng(seed), samples)
            for way, numbers in posed.achieved(log, seed, steps):
                off = np.round(held[numbers] - targets, 2).tolist()
                misses[way].setdefault(str(samples), []).append(off)
    some = search[posed.allowed]
    near = [float(np.mean(np.abs(some - target) <= CLAIM)) for target in targets]
    nearest = [np.abs(np.where(posed.allowed, search, np.inf) - t).argmin() for t in targets]
    return Found(
        network,
        limit,
        targets.tolist(),
        [round(1 / share, 1) for share in near],
        np.round(held[nearest] - targets, 2).tolist(),
        misses,
    )


# --- the record -----------------------------------------------------------------------------------


def load() -> list[Found]:
    """What was measured."""
    return [Found(**row) for row in json.loads(FILE.read_text(encoding="utf-8"))]


def save(found: Iterable[Found]) -> None:
    """Write :data:`FILE`."""
    lines = ",\n".join(json.dumps(asdict(each)) for each in found)
    write_text(FILE, f"[\n{lines}\n]\n")


def columns(found: Sequence[Found]) -> list[str]:
    """Heads of the table."""
    heads = (
        each.network + (f", {each.limit}" if each.limit != LIMITS[0] else "") for each in found
    )
    return ["", "logged", *heads]


def rows(found: Sequence[Found]) -> Iterator[list[str]]:
    """Of the table: how far from the target, in points, and the share within 3.5."""
    for way in WAYS:
        for samples in found[0].misses[way]:
            cells = [_cell(each.misses[way][samples]) for each in found]
            yield [way, f"{int(samples):,}", *cells]
    yield ["nearest of all, on the images searched on", "", *(_cell(e.floor) for e in found)]
    tries = [f"{np.median(e.tries):,.0f} ({max(e.tries):,.0f})" for e in found]
    yield ["random configurations until one is within 3.5 points", "", *tries]


def _cell(misses: object) -> str:
    off = np.abs(np.array(misses, np.float64)).ravel()
    most = np.quantile(off, 0.9, method="higher")
    within = np.mean(off <= CLAIM)
    return f"{off.mean():.1f} / {most:.1f} / {off.max():.1f}, {100 * within:.0f} %"


def markdown() -> str:
    """The record as a table."""
    found = load()
    heads = columns(found)
    whole = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows(found)]
    return "".join("| " + " | ".join(line) + " |\n" for line in whole)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="measure, and write aqgan.json")
    given = parser.parse_args(arguments)
    if given.write:
        asked = [(network, limit) for network in TABULATED for limit in LIMITS]
        every = track(asked, "networks", console=Console(stderr=True), transient=True)
        save([measure(network, limit) for network, limit in every])
    found = load()
    title = "points from the target: mean / 90 % quantile / worst, share within 3.5"
    table = Table(*columns(found), title=title)
    for row in rows(found):
        table.add_row(*row)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()

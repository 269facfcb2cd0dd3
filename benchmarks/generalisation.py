"""How far what was learnt on a few networks carries: regret on those and on others.

    python -m benchmarks.generalisation            # a table
    python -m benchmarks.generalisation --write    # generalisation.json, and a picture in docs/

The generalist is trained by imitation with the same number of optima on 1, 10, 100, 1,000 and
endless networks of ``HWAssignMulti-Train``, and asked about networks that it trained on, under
other budgets and on other machines, and about ``HWAssignMulti-Test``; the first assignment counts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from hwgym._arrays import Floats
from hwgym._files import write_text
from hwgym.families.assignment.multi import binding
from hwgym_agents.train_generalist import Trainer, Way, regrets

HERE = Path(__file__).parent
FILE = HERE / "generalisation.json"
PICTURE = HERE.parent / "docs" / "generalisation.png"
NETWORKS: tuple[int | None, ...] = (1, 10, 100, 1_000, None)
"""Trained on; None for endless."""
OPTIMA, PROBLEMS = 9_000, 100
QUANTILES = (0.5, 0.9)


@dataclass(frozen=True)
class Gap:
    """What a training on so many networks is worth.

    Attributes:
        networks: None for endless.
        seed: Of the training.
        train, test: Median and 90 % quantile of the regret, on networks of the training and on
            others.
    """

    networks: int | None
    seed: int
    train: tuple[float, float]
    test: tuple[float, float]


def measure(networks: int | None, seed: int, optima: int = OPTIMA, problems: int = PROBLEMS) -> Gap:
    """Train on so many networks, and ask."""
    trainer = Trainer(Way.imitation, seed, "cpu", networks=networks)
    while trainer.spent < optima:
        trainer.step(trainer.spent / optima)
    asked = (
        list(binding("train", problems, networks=networks)),
        list(binding("test", problems)),
    )
    train, test = (_quantiles(regrets(trainer.network(), each)) for each in asked)
    return Gap(networks, seed, train, test)


def _quantiles(found: Floats) -> tuple[float, float]:
    median, most = np.quantile(found, QUANTILES).tolist()
    return median, most


def all_gaps(seeds: int) -> Iterator[Gap]:
    """Every number of networks, so many trainings each."""
    for networks in NETWORKS:
        for seed in range(seeds):
            yield measure(networks, seed)


def draw(gaps: Sequence[Gap]) -> None:
    """The documentation's picture: the 90 % quantile of each training, and their median."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from hwgym.plotting import save_figure
    from hwgym.plotting.style import BLUE, ORANGE, STYLE

    places = {networks: i for i, networks in enumerate(NETWORKS)}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.8), layout="constrained")
        axis = figure.subplots()
        for name, what, colour, marker in (
            ("networks never seen (Test)", "test", ORANGE, "o"),
            ("networks of the training, other budgets and machines", "train", BLUE, "s"),
        ):
            by = {n: [getattr(g, what)[1] for g in gaps if g.networks == n] for n in NETWORKS}
            axis.plot(
                [places[n] for n in NETWORKS],
                [100 * np.median(by[n]) for n in NETWORKS],
                color=colour,
                marker=marker,
                label=name,
            )
            for n, values in by.items():
                axis.plot(
                    [places[n]] * len(values), [100 * v for v in values], ".", color=colour,
                    alpha=0.4,
                )  # fmt: skip
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axis.set_xticks(range(len(NETWORKS)), [f"{n:,}" if n else "endless" for n in NETWORKS])
        axis.set_xlabel("networks in training")
        axis.set_ylabel("90 % quantile of the regret")
        axis.legend(frameon=False)
        save_figure(figure, PICTURE)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each")
    parser.add_argument("--write", action="store_true", help="write figures and picture")
    parser.add_argument("--redraw", action="store_true", help="draw what was measured before")
    given = parser.parse_args(arguments)
    if given.redraw:
        gaps = [Gap(**row) for row in json.loads(FILE.read_text(encoding="utf-8"))]
    else:
        total = len(NETWORKS) * given.seeds
        gaps = list(track(all_gaps(given.seeds), "training", total=total))
    table = Table("networks", "training", "train: median", "90 %", "test: median", "90 %")
    for gap in gaps:
        name = f"{gap.networks:,}" if gap.networks else "endless"
        table.add_row(name, str(gap.seed), *(f"{v:.3%}" for v in (*gap.train, *gap.test)))
    Console().print(table)
    if given.write:
        write_text(FILE, json.dumps([asdict(gap) for gap in gaps], indent=1) + "\n")
    if given.write or given.redraw:
        draw(gaps)


if __name__ == "__main__":
    main()

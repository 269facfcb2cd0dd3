"""A schedule in one picture: which sub-accelerator runs which network when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgym._arrays import Ints
from hwgym.families.hetero.problem import HeteroProblem
from hwgym.families.scheduled.gantt import Gantt, draw_gantt
from hwgym.plotting.style import BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_schedule"]

HUES = (BLUE, ORANGE, GREEN, SKY, VERMILLION, GREY)
"""Of networks; instances of one are shades."""


def draw_schedule(figure: Figure, posed: HeteroProblem, genes: Ints, title: str) -> None:
    """Draw a valid solution, genes (steps, 2): a bar a layer, a row a sub-accelerator, a colour a
    network and a shade an instance of it, in cycles; with the lower bound."""
    import numpy as np

    schedule, built = posed.schedule(genes[None]), posed.built(genes)
    best, makespan = posed.certificate(), float(schedule.makespan[0])
    row = {sub["number"] - 1: place for place, sub in enumerate(built)}
    shades = _shades([network.name for network in posed.instances])
    rows = [
        f"{sub['kind']}\n{sub['pes']:,} PEs"
        + ("" if sub["bandwidth"] is None else f"\n{sub['bandwidth']:,} el./cycle")
        + f"\n{sub['busy']:.0%} busy"
        for sub in built
    ]
    chart = Gantt(
        core=np.array([row[core] for core in schedule.core[0].tolist()]),
        start=schedule.start[0],
        end=schedule.end[0],
        colours=[shades[chain] for chain in np.repeat(np.arange(len(shades)), posed.lengths)],
        rows=rows,
        legend=list(zip(posed.instance_names, shades, strict=True)),
        bound=best.lower_bound,
    )
    heading = (
        f"{posed.statement.objective.text(makespan)}, "
        f"{makespan / best.lower_bound - 1:.1%} above the lower bound"
    )
    draw_gantt(figure, chart, heading, title)


def _shades(names: list[str]) -> list[tuple[float, float, float]]:
    """A colour an instance: networks differ in hue, its instances in lightness."""
    from matplotlib.colors import to_rgb

    different = list(dict.fromkeys(names))
    seen = dict.fromkeys(different, 0)
    shades = []
    for name in names:
        count, number = names.count(name), seen[name]
        seen[name] += 1
        light = 0.65 * number / max(count - 1, 1)
        hue = to_rgb(HUES[different.index(name) % len(HUES)])
        shades.append(tuple(part + (1 - part) * light for part in hue))
    return shades  # type: ignore[return-value]

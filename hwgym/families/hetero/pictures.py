"""A schedule in one picture: which sub-accelerator runs which network when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._arrays import Ints
from hwgym.families.hetero.problem import HeteroProblem
from hwgym.families.scheduled.gantt import Gantt, draw_gantt
from hwgym.plotting.style import BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_schedule"]

HUES = (BLUE, ORANGE, GREEN, SKY, VERMILLION, GREY)
"""Of networks; instances of one are shades."""


def draw_schedule(figure: Figure, posed: HeteroProblem, genes: Ints, sent: int, title: str) -> None:
    """Draw a valid solution, genes (steps, 2), or the layers that were sent first: a bar a layer, a
    row a sub-accelerator, a colour a network and a shade an instance of it, in cycles; with the
    lower bound."""
    schedule, built = posed.schedule(genes[None]), posed.built(genes)
    chain = posed.decisions.plan_of(genes[None])[0][0]
    shown = np.argsort(chain, kind="stable") < sent
    core, start, end = (each[0][shown] for each in (schedule.core, schedule.start, schedule.end))
    until = float(end.max())
    # While an episode goes on, nobody waits for the best schedule known.
    bound = posed.bounds.min() if sent < len(chain) else posed.certificate().lower_bound
    busy = np.bincount(core, weights=end - start, minlength=posed.subs) / until
    row = {sub["number"] - 1: place for place, sub in enumerate(built)}
    shades = _shades([network.name for network in posed.instances])
    of = np.repeat(np.arange(len(shades)), posed.lengths)[shown]
    chart = Gantt(
        core=np.array([row[each] for each in core.tolist()]),
        start=start,
        end=end,
        colours=[shades[each] for each in of],
        rows=[_row(sub, busy[sub["number"] - 1]) for sub in built],
        legend=list(zip(posed.instance_names, shades, strict=True)),
        bound=float(bound),
    )
    makespan = posed.statement.objective.text(until)
    if sent < len(chain):
        heading = f"{sent:,} of {len(chain):,} layers sent, the last ends after {makespan}"
    else:
        heading = f"{makespan}, {until / bound - 1:.1%} above the lower bound"
    draw_gantt(figure, chart, heading, title)


def _row(sub: Mapping[str, Any], busy: float) -> str:
    lines = [sub["kind"], f"{sub['pes']:,} PEs"]
    if sub["bandwidth"] is not None:
        lines.append(f"{sub['bandwidth']:,} a cycle")
    return "\n".join([*lines, f"{busy:.0%} busy"])


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

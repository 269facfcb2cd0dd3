"""Regret against samples, from plain arrays: of single runs, and of many seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Floats
from hwgym._extras import naming
from hwgym.plotting.style import LINES, STYLE, entitle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curves_figure"]

FLOOR = 1e-4  # of the logarithmic axis: below it, the optimum
MANY = 6  # lines whose names have room among the curves
DASHES = ("-", "--", "-.", ":")


def curves_figure(
    curves: Mapping[str, Sequence[ArrayLike]],
    *,
    title: str,
    marks: Mapping[str, float] | None = None,
    interval: float = 0.5,
    what: str = "regret: above the proven optimum",
) -> Figure:
    """Draw regrets against samples, for each name the median over its seeds with a band.

    Args:
        curves: By name, for each seed the least regret after each sample, infinite while there is
            none. A shorter one goes on with its last value.
        title: Above it.
        marks: Regrets to compare with, by name, as horizontal lines.
        interval: The share of the seeds that the band holds, the middle ones.
        what: The vertical axis.

    Raises:
        ValueError: If a name has no curve or an empty one, or the interval is not within 0 to 1.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    if not 0 <= interval <= 1:
        raise ValueError(f"interval must lie in 0..1, got {interval!r}")
    with naming():
        import matplotlib as mpl
        from matplotlib.ticker import MaxNLocator

    from hwgym.plotting.picture import Picture

    with mpl.rc_context(STYLE):
        figure = Picture(8.0, 4.8)
        axis = figure.subplots()
        seeds, most = 0, 1
        nothing = []
        for i, (name, runs) in enumerate(curves.items()):
            regret = np.maximum(_together(name, runs), FLOOR)
            most = max(most, regret.shape[1])
            if not np.isfinite(regret).any():
                nothing.append(name)
                continue
            seeds = max(seeds, len(regret))
            colour, style = _look(i)
            samples = np.arange(1, regret.shape[1] + 1)
            middle = np.quantile(regret, 0.5, axis=0, method="inverted_cdf")
            if len(regret) > 1:
                edges = (0.5 - interval / 2, 0.5 + interval / 2)
                low, high = np.quantile(regret, edges, axis=0, method="inverted_cdf")
                axis.fill_between(
                    samples, low, _finite(high), color=colour, alpha=0.18, linewidth=0
                )
                name = f"{name} ({len(regret)} seeds)"
            single = np.count_nonzero(np.isfinite(middle)) == 1  # a line would have no length
            axis.plot(
                samples, middle, linestyle=style, color=colour, label=name, linewidth=1.8,
                marker="o" if single else "",
            )  # fmt: skip
        for name, over in (marks or {}).items():
            axis.axhline(max(over, FLOOR), color="black", linewidth=1, label=f"{name} ({over:.0%})")
        _regret_axis(axis, what)
        axis.set_xlim(0, 1.02 * most)
        axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        if nothing:
            axis.set_xlabel(f"{axis.get_xlabel()}\nnothing feasible found: {', '.join(nothing)}")
        lines = len(axis.get_lines())
        if lines:
            # Many would cover the curves.
            place: dict[str, Any] = (
                {"loc": "upper left", "bbox_to_anchor": (1, 1)} if lines > MANY else {}
            )
            band = f"median; band: middle {interval:.0%} of seeds" if seeds > 1 else None
            axis.legend(frameon=False, title=band, **place)
        entitle(figure, title)
    return figure


def _look(line: int) -> tuple[str, str]:
    """Colour and dashes, another pair for each of the first 24 lines."""
    colour, dashes = LINES[line % len(LINES)]
    again = line // len(LINES)
    return colour, DASHES[(DASHES.index(dashes) + again) % len(DASHES)]


def _together(name: str, runs: Sequence[ArrayLike]) -> Floats:
    """(seeds, samples), shorter runs going on with their last value."""
    given = [np.asarray(run, dtype=np.float64) for run in runs]
    if not given or not all(len(run) for run in given):
        raise ValueError(f"{name}: no samples to draw")
    most = max(map(len, given))
    return np.stack([np.append(run, np.full(most - len(run), run[-1])) for run in given])


def _finite(values: Floats) -> Floats:
    """Where nothing feasible was found yet, the band reaches out of the picture."""
    return np.where(np.isfinite(values), values, 1e12)


def _regret_axis(axis: Any, what: str) -> None:
    axis.set_yscale("log")
    tops = [np.asarray(line.get_ydata(), float) for line in axis.get_lines()]
    finite = np.concatenate([t[np.isfinite(t)] for t in tops] or [np.zeros(0)])
    axis.set_ylim(FLOOR * 0.8, max(2 * finite.max(initial=FLOOR), 1e-2))
    powers = range(-4, int(np.floor(np.log10(axis.get_ylim()[1]))) + 1)
    powers = powers[:: 1 + len(powers) // 10]
    axis.set_yticks([10.0**power for power in powers], [_percent(power) for power in powers])
    axis.minorticks_off()
    axis.set_xlabel("samples (complete solutions evaluated)")
    axis.set_ylabel(what)


def _percent(power: int) -> str:
    if power == -4:
        return "0.01 % or less"
    return f"{100 * 10.0**power:,g} %" if power < 4 else f"$10^{{{power + 2}}}$ %"

"""Pictures of an architect's answer: layers under their roofs, and where the energy goes.

Both draw what ``hwgym optimize --model loopnest --json`` prints, so a file of it will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._arrays import Floats
from hwgym._extras import naming
from hwgym.plotting.style import (
    COLOURS,
    GREY,
    ORANGE,
    STYLE,
    apart,
    entitle,
    hatches,
    name_ticks,
    number_axis,
    room,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["energy_figure", "roofline_figure"]

BOUNDS = {"compute": ("o", COLOURS[0]), "L2": ("^", COLOURS[2]), "DRAM": ("s", ORANGE)}
"""Marker and colour of what bounds a layer."""
LEVELS = {"mac": GREY, "l1": COLOURS[0], "l2": COLOURS[2], "dram": ORANGE}


def roofline_figure(answer: Mapping[str, Any], title: str | None = None) -> Figure:
    """Draw each layer's rate against its intensity, under the roofs of PEs and of the DRAM.

    Intensity is MACs per byte of the busier of DRAM's two directions, each of which has its
    bandwidth. A dot's area is the layer's share of the cycles.

    Args:
        answer: As ``hwgym optimize --model loopnest --json`` prints it.
        title: Instead of its own.

    Raises:
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        import matplotlib as mpl
        from matplotlib.lines import Line2D

    from hwgym.plotting.picture import Picture

    rows, machine = answer["optimum"]["layers"], answer["machine"]
    tops = 2 * machine["clock_ghz"] * 1e-3  # of one MAC a cycle
    dots: dict[tuple[float, float, str], list[Mapping[str, Any]]] = {}
    for row in rows:  # those of alike layers lie on each other
        busy = max(row["dram_read_moved_bytes"], row["dram_write_moved_bytes"], 1)
        at = row["macs"] / busy, row["macs"] / row["latency_cycles"] * tops
        dots.setdefault((*at, row["bound"].split()[0]), []).append(row)
    intensity, rate = (np.array([dot[i] for dot in dots]) for i in range(2))
    bound = [dot[2] for dot in dots]
    names = [
        shorten(of[0]["layer"]) + f" and {len(of) - 1} alike" * (len(of) > 1)
        for of in dots.values()
    ]
    cycles = np.array([sum(row["latency_cycles"] for row in of) for of in dots.values()])
    arrays = sorted({row["pes"] for row in rows})
    bandwidth = machine["dram_bandwidth"] * tops
    share = cycles / cycles.sum()
    with mpl.rc_context({**STYLE, "axes.grid.axis": "both"}):
        figure = Picture(8.0, 5.0)
        axis = figure.subplots()
        knee = arrays[-1] * tops / bandwidth
        left = min(intensity.min(), knee) / 2
        right = max(intensity.max(), knee) * 2
        x = np.geomspace(left, right, 400)
        for pes in arrays:
            axis.plot(x, np.minimum(pes * tops, x * bandwidth), color=GREY, linewidth=0.9, zorder=1)
        low = min(rate.min(), arrays[0] * tops) / 2
        high = arrays[-1] * tops * 1.5
        for pes in apart(arrays, (high / low) ** 0.05):
            axis.annotate(
                f" {pes:,} PE{'s' * (pes > 1)}", (right, pes * tops), va="center", fontsize=8,
                color="#555555", annotation_clip=False,
            )  # fmt: skip
        for what, (marker, colour) in BOUNDS.items():
            mine = np.array([b == what for b in bound])
            if mine.any():
                axis.scatter(
                    intensity[mine], rate[mine], s=14 + 400 * share[mine],
                    color=colour, marker=marker, alpha=0.75, edgecolors="white", linewidths=0.7,
                    zorder=3,
                )  # fmt: skip
        _name_some(axis, names, intensity, rate, share, (left, right, low, high))
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlim(left, right)
        axis.set_ylim(low, high)
        number_axis(axis.xaxis, [left, right])
        number_axis(axis.yaxis, [low, high])
        axis.set_xlabel(
            "MACs per byte that DRAM reads, or writes, whichever is more\n"
            "(a dot's area: the layer's share of the cycles)"
        )
        axis.set_ylabel("TOPS (two operations a MAC)")
        keys = [
            Line2D([], [], color=colour, marker=marker, linestyle="", label=f"bound by {what}")
            for what, (marker, colour) in BOUNDS.items()
            if what in bound
        ]
        keys.append(Line2D([], [], color=GREY, linewidth=0.9, label="peak of PEs and DRAM"))
        axis.legend(handles=keys, frameon=False, ncols=4, loc="lower right", bbox_to_anchor=(1, 1))
        entitle(figure, title or f"Roofline: {_what(answer)}")
    return figure


def _name_some(
    axis: Any,
    names: Sequence[str],
    x: Floats,
    y: Floats,
    weight: Floats,
    limits: tuple[float, float, float, float],
) -> None:
    """Write the names of the greatest dots that leave each other's names room."""
    left, right, low, high = np.log(limits)
    across, up = (np.log(x) - left) / (right - left), (np.log(y) - low) / (high - low)
    named: list[int] = []
    for i in np.argsort(-weight):
        if all(abs(across[i] - across[j]) > 0.3 or abs(up[i] - up[j]) > 0.07 for j in named):
            named.append(int(i))
    for i in named[:4]:
        inwards = 1 if across[i] < 0.5 else -1
        axis.annotate(
            names[i], (x[i], y[i]), xytext=(8 * inwards, -13), textcoords="offset points",
            ha="left" if inwards > 0 else "right", fontsize=8, zorder=2,
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
        )  # fmt: skip


def energy_figure(answer: Mapping[str, Any], title: str | None = None) -> Figure:
    """Draw where the energy of an inference goes: per layer and in all, MACs, L1, L2 and DRAM.

    Args:
        answer: As ``hwgym optimize --model loopnest --json`` prints it.
        title: Instead of its own.

    Raises:
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        import matplotlib as mpl

    from hwgym.plotting.picture import Picture

    rows, total = answer["optimum"]["layers"], answer["optimum"]["energy_by_level"]
    whole = sum(total.values())
    with mpl.rc_context(STYLE):
        figure = Picture(9.6, 4.8)
        axis, sum_ = figure.subplots(1, 2, width_ratios=[6, 1])
        bottom, below = np.zeros(len(rows)), 0.0
        looks = zip(LEVELS.items(), hatches(len(rows)), hatches(1), strict=True)
        for (level, colour), hatch, sum_hatch in looks:
            spent = np.array([row[f"{level}_nj"] for row in rows]) * 1e-3
            look = {"color": colour, "edgecolor": "white", "linewidth": 0}
            part = 100 * total[f"{level}_nj"] / whole
            axis.bar(
                np.arange(len(rows)), spent, 0.8, bottom=bottom, hatch=hatch,
                label=f"{_level(level)} ({part:.0f} %)", **look,
            )  # fmt: skip
            bottom = bottom + spent
            sum_.bar([0], [part], 0.6, bottom=[below], hatch=sum_hatch, **look)
            if part > 4:
                sum_.annotate(
                    f"{part:.0f} %", (0, below + part / 2), ha="center", va="center",
                    bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
                )  # fmt: skip
            below += part
        axis.set_ylabel("energy (µJ)")
        axis.set_ylim(0, bottom.max() * 1.08)
        number_axis(axis.yaxis, [0.0, *bottom])
        name_ticks(axis, [row["layer"] for row in rows], "layer")
        _part_networks(axis, [row["network"] for row in rows])
        room(axis, len(rows))
        axis.legend(
            frameon=False, ncols=4, loc="lower right", bbox_to_anchor=(1, 1), columnspacing=1.2,
            handlelength=1.5,
        )  # fmt: skip
        sum_.set_ylim(0, 101)
        sum_.set_xlim(-0.5, 0.5)
        sum_.set_xticks([0], ["all layers"])
        sum_.set_ylabel(f"% of {whole * 1e-6:.4g} mJ an inference")
        entitle(figure, title or f"Where the energy goes: {_what(answer)}")
    return figure


def _part_networks(axis: Any, names: Sequence[str]) -> None:
    """Lines between the layers of networks, and their names, where there are several."""
    starts = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    if len(starts) < 2:
        return
    for start in starts:
        axis.axvline(start - 0.5, color="#555555", linewidth=0.8, linestyle=":")
        axis.annotate(
            f" {shorten(names[start])}", (start - 0.5, 1), xycoords=("data", "axes fraction"),
            va="top", fontsize=8, color="#555555",
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
        )  # fmt: skip


def _level(name: str) -> str:
    return {"mac": "MACs", "l1": "L1", "l2": "L2", "dram": "DRAM"}[name]


def _what(answer: Mapping[str, Any]) -> str:
    names = [row["network"] for row in answer["optimum"]["networks"]]
    return f"{', '.join(names)}; {' or '.join(answer['templates'])}, {answer['deployment']}"

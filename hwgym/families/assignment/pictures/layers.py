"""What the cost model says: where the budget goes, rooflines, design spaces of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Floats, Ints
from hwgym._extras import naming
from hwgym._names import nearest
from hwgym.costs.maestro import Costs, evaluate
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.families.assignment.reports import layer_rows
from hwgym.plotting.style import (
    BLUE,
    COLOURS,
    GREY,
    HATCHES,
    MAP,
    ORANGE,
    SKY,
    STYLE,
    VERMILLION,
    apart,
    entitle,
    hatches,
    name_ticks,
    number_axis,
    room,
    shorten,
    wide,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["budget_figure", "design_space_figure", "roofline_figure"]

MARKERS = "os^D"


def _costs(problem: AssignmentProblem, rows: list[dict[str, Any]]) -> list[Costs]:
    """What the cost model says of every layer at its design point."""
    design = problem.design
    styles = {d.name: d for d in design.dataflows}
    return [
        evaluate(layer, styles[row["dataflow"]], row["pes"], row["tile"], design.hardware)
        for layer, row in zip(design.workload, rows, strict=True)
    ]


def budget_figure(
    problem: AssignmentProblem, assignment: ArrayLike, title: str | None = None
) -> Figure:
    """Draw where the budget goes: per layer, arithmetic, PEs' buffers, shared buffer (and NoC).

    Raises:
        ValueError: If the assignment does not fit the problem.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        import matplotlib as mpl

    from hwgym.plotting.picture import Picture

    rows = layer_rows(problem, assignment)
    parts = _parts(problem, rows)
    # Under LS there is one array, as its most demanding layer needs it.
    names = problem.statement.names
    total = float(sum(values.sum() for values in parts.values()))
    constraint = problem.constraint
    colours = (BLUE, ORANGE, SKY, GREY)
    with mpl.rc_context(STYLE):
        figure = Picture(9.6, 4.8)
        axis, pie = figure.subplots(1, 2, width_ratios=[5, 1])
        bottom = np.zeros(len(names))
        share = 0.0
        looks = zip(parts.items(), colours, hatches(len(names)), HATCHES, strict=False)
        for (name, values), colour, hatch, pie_hatch in looks:
            if not values.any():
                continue
            look = {"color": colour, "edgecolor": "white", "linewidth": 0}
            shown = constraint.shown(values)
            part = 100 * float(values.sum()) / (problem.budget or total)
            label = f"{name} ({f'{part:.1f}' if part >= 0.1 else '< 0.1'} %)"
            axis.bar(
                np.arange(len(names)), shown, 0.8, bottom=bottom, label=label, hatch=hatch, **look
            )
            bottom = bottom + shown
            pie.bar([0], [part], 0.6, bottom=[share], hatch=pie_hatch, **look)
            if part > 4:
                pie.annotate(
                    f"{part:.0f} %", (0, share + part / 2), ha="center", va="center",
                    bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
                )  # fmt: skip
            share += part
        axis.set_ylabel(constraint.axis)
        number_axis(axis.yaxis, [0.0, *bottom])
        axis.set_ylim(0, None)
        name_ticks(axis, names, "layer")
        room(axis, len(names))
        axis.legend(
            frameon=False, ncols=4, loc="lower right", bbox_to_anchor=(1, 1), columnspacing=1.2,
            handlelength=1.5,
        )  # fmt: skip
        pie.axhline(100, color=VERMILLION, linestyle="--", linewidth=1.2)
        pie.set_ylim(0, max(105, share * 1.03))
        pie.set_xlim(-0.5, 0.5)
        pie.set_xticks([0], ["all layers"])
        pie.set_ylabel(f"% of the {constraint.label} budget (dashed)")
        entitle(figure, title or f"Where the budget goes: {problem.statement.title}")
    return figure


def _parts(problem: AssignmentProblem, rows: list[dict[str, Any]]) -> dict[str, Floats]:
    """Per step, what arithmetic and buffers take of the constraint."""
    tech = problem.design.hardware.tech
    costs = _costs(problem, rows)
    # What a unit of each kind takes; the model says what all of a layer's take of power.
    units = (tech.mac_power_mw, tech.l1_power_mw, tech.l2_power_mw)
    areas = (tech.mac_area_um2, tech.l1_area_um2, tech.l2_area_um2)
    takes = {"area": areas, "power": units}[problem.constraint.name]
    power = {
        "arithmetic": np.array([float(c.pe_power) for c in costs]),
        "PEs' buffers": np.array([float(c.l1_power) for c in costs]),
        "shared buffers": np.array([float(c.l2_power) for c in costs]),
    }
    parts = {
        name: values * (taken / unit)
        for (name, values), unit, taken in zip(power.items(), units, takes, strict=True)
    }
    whole = np.array([row[problem.constraint.column] for row in rows])
    if problem.deployment.shared:
        most = [int(whole.argmax())]
        whole = whole[most]
        parts = {name: values[most] for name, values in parts.items()}
    if problem.design.accounting.interconnect:
        known = np.sum(list(parts.values()), axis=0)
        parts["interconnect"] = np.maximum(whole - known, 0.0)
    return parts


def roofline_figure(
    problem: AssignmentProblem, assignment: ArrayLike, title: str | None = None
) -> Figure:
    """Draw each layer's rate against its arithmetic intensity, under the roofs of its PEs.

    Intensity is MACs per element moved between the shared buffer and the PEs; the roofs are the PE
    counts that occur, and the interconnect's bandwidth where it is low enough to show. A dot's area
    is the layer's share of the objective.

    Raises:
        ValueError: If the assignment does not fit the problem.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        import matplotlib as mpl
        from matplotlib.lines import Line2D

    from hwgym.plotting.picture import Picture

    rows = layer_rows(problem, assignment)
    costs = _costs(problem, rows)
    hardware = problem.design.hardware
    lanes, bandwidth = int(np.asarray(hardware.simd_lanes)), int(np.asarray(hardware.noc_bandwidth))
    moved = [int(c.input_l2_read + c.weight_l2_read + c.output_l2_write) for c in costs]
    macs = [int(c.num_macs) for c in costs]
    intensity = np.array([n / max(m, 1) for n, m in zip(macs, moved, strict=True)])
    rate = np.array([int(c.true_macs) / max(int(c.runtime_cycles), 1) for c in costs])
    styles = [d.name for d in problem.design.dataflows]
    share = np.array([row["cost_share"] for row in rows])
    with mpl.rc_context({**STYLE, "axes.grid.axis": "both"}):
        figure = Picture(8.0, 5.0)
        axis = figure.subplots()
        left, right = intensity.min() / 2.4, intensity.max() * 2.4  # logarithmic in any case
        x = np.geomspace(left, right, 200)
        used = sorted({row["pes"] for row in rows})
        for pes in used:
            roof = np.minimum(pes * lanes, x * bandwidth)
            axis.plot(x, roof, color=GREY, linewidth=0.8, zorder=1)
        least = min(rate.min(), used[0] * lanes) / 1.5
        # Layers that the released tables cost too low stand above their roofs, and are shown.
        most = max(rate.max(), used[-1] * lanes) * 1.5
        for pes in apart(used, (most / least) ** 0.05):
            axis.annotate(
                f" {pes} PE{'s' if pes > 1 else ''}", (right, min(pes * lanes, right * bandwidth)),
                va="center", fontsize=8, color="#555555", annotation_clip=False,
            )  # fmt: skip
        keys = []
        for i, style in enumerate(styles):
            mine = np.array([row["dataflow"] == style for row in rows])
            if not mine.any():
                continue
            keys.append(
                Line2D([], [], color=COLOURS[i % 4], marker=MARKERS[i % 4], linestyle="",
                       label=style)
            )  # fmt: skip
            axis.scatter(
                intensity[mine], rate[mine], s=16 + 160 * share[mine] / share.max(),
                color=COLOURS[i % 4], marker=MARKERS[i % 4], alpha=0.75,
                edgecolors="white", linewidths=0.8, zorder=3,
            )  # fmt: skip
        for i in _apart(np.log(intensity), np.log(rate), np.argsort(-share))[:4]:
            inwards = 1 if intensity[i] ** 2 < left * right else -1
            axis.annotate(
                shorten(rows[i]["layer"]), (intensity[i], rate[i]), xytext=(6 * inwards, 8),
                textcoords="offset points", ha="left" if inwards > 0 else "right", fontsize=8,
                bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
                zorder=2,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log", base=2)
        axis.set_xlim(left, right)
        axis.set_ylim(least, most)
        number_axis(axis.xaxis, [left, right])
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_xlabel(
            "MACs per element moved between shared buffer and PEs\n"
            f"(a dot's area: the layer's share of {problem.objective.label})"
        )
        axis.set_ylabel("MACs per cycle")
        keys.append(Line2D([], [], color=GREY, linewidth=0.8, label="peak of the PEs given"))
        axis.legend(handles=keys, frameon=False, ncols=4, loc="lower right", bbox_to_anchor=(1, 1))
        entitle(figure, title or f"Roofline: {problem.statement.title}")
    return figure


def _apart(x: Floats, y: Floats, order: Ints) -> list[int]:
    """Those of the points, in that order, that are not close to an earlier one."""
    wide, high = np.ptp(x) or 1.0, np.ptp(y) or 1.0
    kept: list[int] = []
    for i in order:
        near = [np.hypot((x[i] - x[j]) / wide, (y[i] - y[j]) / high) for j in kept]
        if not near or min(near) > 0.2:
            kept.append(int(i))
    return kept


def design_space_figure(
    problem: AssignmentProblem,
    layer: str | int,
    assignment: ArrayLike | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a layer's design space: cost and budget over PEs and buffer, a row a dataflow.

    Invalid points are hatched, a cross marks what an assignment gives the layer.

    Args:
        problem: Whose design space it is.
        layer: Its name, or its index.
        assignment: To be marked; by default the optimum.
        title: Instead of its own.

    Raises:
        ValueError: If there is no such layer, or the assignment does not fit.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        import matplotlib as mpl

    from hwgym.plotting.picture import Picture

    design, space = problem.design, problem.space
    index = _index(problem, layer)
    given = problem.optimum().assignment if assignment is None else assignment
    chosen = space.check(given)[0][0 if problem.deployment.shared else index]
    valid = design.valid[index].reshape(*space.shape[:2], -1)
    styles = design.dataflows
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Picture(10.0, 1.2 + 3.1 * len(styles))
        axes = figure.subplots(len(styles), 2, squeeze=False)
        for column, metric in enumerate((problem.objective, problem.constraint)):
            values = metric.shown(design.table(metric)[index]).reshape(*space.shape[:2], -1)
            values = np.where(valid, values, np.nan)
            for row, style in enumerate(styles):
                mine = len(styles) == 1 or chosen[2] == row
                _heat_map(
                    figure, axes[row, column], problem, values[..., row],
                    values[~np.isnan(values)], metric.axis, tuple(chosen[:2]) if mine else None,
                )  # fmt: skip
                axes[row, column].set_title(style.name, loc="left")
        for axis in axes[-1]:
            axis.set_xlabel("PEs")
        for axis in axes[:, 0]:
            axis.set_ylabel("filters per PE")
        layers = design.workload
        known = f"cross: {'the optimum' if assignment is None else 'assigned'}"
        if not valid.all():
            known += "; hatched: invalid"
        entitle(figure, title or f"{layers.name}, {layers[index].name}: design space; {known}")
    return figure


def _index(problem: AssignmentProblem, layer: str | int) -> int:
    layers = problem.design.workload
    names = [each.name for each in layers]
    if isinstance(layer, str):
        if layer not in names:
            raise ValueError(nearest(f"layer of {layers.name}", layer, names))
        return names.index(layer)
    if not 0 <= layer < len(names):
        raise ValueError(f"layers are numbered 0..{len(names) - 1}, got {layer}")
    return layer


def _heat_map(
    figure: Figure,
    axis: Any,
    problem: AssignmentProblem,
    values: Floats,
    all_values: Floats,
    label: str,
    chosen: tuple[int, ...] | None,
) -> None:
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.patches import Rectangle

    grid = values.T  # tiles up, PEs to the right
    look = {"origin": "lower", "aspect": "auto", "cmap": f"{MAP}_r"}
    if len(all_values):
        scale = LogNorm if wide(all_values) else Normalize
        norm = scale(all_values.min(), all_values.max())
        image = axis.imshow(grid, norm=norm, **look)
        bar = figure.colorbar(image, ax=axis, pad=0.02, label=label)
        number_axis(bar.ax.yaxis, all_values)
    else:  # nothing is valid: no colour means anything
        axis.imshow(grid, **look)
    for tile, pe in np.argwhere(np.isnan(grid)):
        axis.add_patch(
            Rectangle((pe - 0.5, tile - 0.5), 1, 1, fill=False, hatch="////", ec=GREY, lw=0)
        )
    if chosen is not None:
        for width, colour in ((4.5, "white"), (2.2, VERMILLION)):
            axis.plot(chosen[0], chosen[1], "x", color=colour, markersize=10, markeredgewidth=width)
    design = problem.design
    few = max(1, len(design.pe_levels) // 12)
    axis.set_xticks(range(0, len(design.pe_levels), few), design.pe_levels[::few])
    step = max(1, len(design.tile_levels) // 6)
    axis.set_yticks(range(0, len(design.tile_levels), step), design.tile_levels[::step])

"""``hwgym quantise``: how many bits each layer of one's own network should get."""

from __future__ import annotations

import json as json_
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from hwgym._arrays import Ints
from hwgym._files import write_text
from hwgym._names import nearest
from hwgym.cli.options import (
    BatchOption,
    DimsOption,
    JsonOption,
    OutOption,
    WorkloadArgument,
    load_workload,
    parse_dims,
    parse_levels,
    problem_option,
)
from hwgym.cli.output import (
    Failure,
    console,
    facts,
    folder,
    print_json,
    steps_of,
    table,
    working,
)
from hwgym.core.problem import InfeasibleError
from hwgym.core.view import Column, brief
from hwgym.costs.precision import BITS, COST_MODELS, UNITS
from hwgym.families.assignment.reports import to_csv
from hwgym.families.quant.measured import Measured, measure
from hwgym.families.quant.problem import CONSTRAINTS, NoiseProblem, quant_problem
from hwgym.families.quant.view import VIEW
from hwgym.workloads.weights import weights_of

BUDGET = "60%energy"
SHARES = range(5, 101, 5)
"""Percent, of a sweep."""
PROXY = (
    "a proxy, not accuracy, which only running the network tells: noise that quantisation adds to "
    "each layer, by the power of its signal, summed over the layers"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(quantise)


def quantise(
    network: WorkloadArgument,
    budget: Annotated[
        str,
        problem_option(
            "--budget",
            "-b",
            metavar="60%energy",
            help=f"A share of what the network costs at 8 bits, and of what: "
            f"{', '.join(CONSTRAINTS)}.",
        ),
    ] = BUDGET,
    bits: Annotated[
        str,
        problem_option(
            "--bits",
            metavar="NUMBERS",
            help="To choose from, as 2,4,8 or 2-8; shares are of the most of them.",
        ),
    ] = f"{BITS[0]}-{BITS[-1]}",
    model: Annotated[
        str,
        problem_option("--model", metavar="NAME", help=f"Cost model: {' or '.join(COST_MODELS)}."),
    ] = COST_MODELS[0],
    unit: Annotated[
        str,
        problem_option(
            "--unit",
            metavar="NAME",
            help="; ".join(f"{name}: {about}" for name, about in UNITS.items()) + ".",
        ),
    ] = "fusion",
    pes: Annotated[
        int, problem_option("--pes", metavar="N", help="Units of the array: 16, 64, 256, ...")
    ] = 256,
    batch: BatchOption = None,
    dims: DimsOption = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="The least noise at every share of 5%, too.")
    ] = False,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """How many bits each layer's weights and activations should get, within a share of what the
    network costs at 8 bits, for the least quantisation noise; proven.

    Noise is a proxy, not accuracy. That of weights is measured where the network is an .onnx file
    that holds them; else, and of activations, b bits have 4^-b.

    Example: [bold]hwgym quantise net.onnx --budget 60%energy --out result[/]

    Example: [bold]hwgym quantise MobileNetV2 --budget 40%latency --model loopnest --sweep[/]
    """  # fmt: skip
    share, constraint = parse_share(budget)
    for what, given, allowed in (("cost model", model, COST_MODELS), ("unit", unit, UNITS)):
        if given not in allowed:
            raise ValueError(f"--{what.split()[-1]}: {nearest(what, given, allowed)}")
    widths = parse_levels("--bits", bits, BITS)
    if not set(widths) <= set(BITS):
        raise ValueError(f"--bits must be from {BITS[0]} to {BITS[-1]}, got {bits!r}")
    layers = load_workload(network, batch=batch, dims=dims)
    if out is not None:
        folder(out)  # before the work
    asked: dict[str, Any] = {"model": model, "unit": unit, "pes": pes, "bits": widths}
    try:
        with working("Pricing layers"):
            problem = quant_problem(layers, constraint, share=share, **asked)
    except InfeasibleError as error:
        raise Failure(str(error)) from error
    assert isinstance(problem, NoiseProblem)  # a network of layers poses no other
    measured = None
    if network.lower().endswith(".onnx"):
        with steps_of("Measuring weights", len(layers)) as moved:
            found = weights_of(network, batch=batch, dims=parse_dims(dims))
            measured = measure(found, widths, lambda done: moved(done, len(layers)))
        problem = replace(problem, weight_noise=measured.noise)
    with working("Solving"):
        report = _report(problem, measured)
        if sweep:
            report["sweep"] = _sweep(problem)
    files = [] if out is None else _write(out, problem, report)
    if json:
        print_json(report)
    else:
        _print(problem, report, files)


def parse_share(text: str) -> tuple[float, str]:
    """A share of 0 to 1 and what it is of: of ``60%energy``, ``60% energy`` or ``0.6energy``.

    Raises:
        ValueError: If it is none of these.
    """
    wanted = "as 60%energy, 40%latency or 0.3area"
    found = re.fullmatch(r"([0-9.]*)\s*(%?)\s*(?:of\s+)?([^\s0-9.%]*)", text.strip())
    if found is None or found[1].count(".") > 1 or not found[1].strip("."):
        raise ValueError(f"--budget wants a share {wanted}; got {text!r}")
    number, percent, name = float(found[1]), found[2], found[3].lower()
    if name not in CONSTRAINTS:
        if not name:
            raise ValueError(f"--budget {text!r} does not say of what; it wants a share {wanted}")
        raise ValueError(f"--budget: {nearest('cost', found[3], CONSTRAINTS)}")
    share = number / 100 if percent else number
    if not 0 < share <= 1:
        hint = f"; did you mean {number:g}%{name}?" if 1 < share <= 100 and not percent else ""
        raise ValueError(f"--budget: a share must be above 0% and at most 100%, got {text!r}{hint}")
    return share, name


# --- what is found --------------------------------------------------------------------------------


def _report(problem: NoiseProblem, measured: Measured | None) -> dict[str, Any]:
    best, widths = problem.optimum(), problem.widths
    found = VIEW.describe_solution(problem, best.assignment)
    total = found[widths.constraint.column]
    for row in found["layers"]:
        row["of_network"] = row[widths.constraint.column] / total
        row["noise"] = row.pop("cost")
    uniform = _uniform(problem)
    return {
        "problem": VIEW.describe(problem),
        "proxy": PROXY,
        "weights_measured": measured is not None and len(measured.without) < problem.num_steps,
        "without_weights": [] if measured is None else list(measured.without),
        "optimum": {
            **found,
            "sqnr_db": _decibels(best.objective),
            "lower_bound": best.lower_bound,
            "gap": best.gap,
            "method": best.method,
            "seconds": best.seconds,
        },
        "most_bits": _alike(problem, widths.bits[-1], widths.bits[-1]),
        "best_uniform": None if uniform is None else _alike(problem, *uniform),
    }


def _uniform(problem: NoiseProblem) -> tuple[int, int] | None:
    """Of the pairs of widths that fit if all layers have them, the one of the least noise."""
    bits, layers = problem.widths.bits, problem.num_steps
    pairs = np.indices((len(bits), len(bits))).reshape(2, -1).T
    scores = problem.evaluate(np.repeat(pairs[:, None], layers, axis=1))
    objective = np.where(scores.feasible, scores.objective, np.inf)
    at = int(objective.argmin())
    if not np.isfinite(objective[at]):
        return None
    return bits[pairs[at, 0]], bits[pairs[at, 1]]


def _alike(problem: NoiseProblem, weights: int, activations: int) -> dict[str, Any]:
    """What the network costs if all layers have these widths."""
    bits = problem.widths.bits
    pair: Ints = np.array([bits.index(weights), bits.index(activations)])
    scores = problem.evaluate(np.tile(pair, (1, problem.num_steps, 1)))
    objective = float(scores.objective[0])
    return {
        "weight_bits": weights,
        "activation_bits": activations,
        "objective": objective,
        "sqnr_db": _decibels(objective),
        **{m.column: float(scores[m.name][0]) for m in problem.statement.metrics},
    }


def _sweep(problem: NoiseProblem) -> list[dict[str, Any]]:
    """The optimum at every share that any widths reach."""
    rows = []
    for percent in SHARES:
        try:
            within = replace(problem, widths=replace(problem.widths, share=percent / 100))
        except InfeasibleError:
            continue
        best, uniform = within.optimum(), _uniform(within)
        mean = np.array(problem.widths.bits)[best.assignment].mean(axis=0)
        rows.append(
            {
                "share": percent / 100,
                "objective": best.objective,
                "sqnr_db": _decibels(best.objective),
                "weight_bits": float(mean[0]),
                "activation_bits": float(mean[1]),
                "uniform": None if uniform is None else _alike(within, *uniform)["objective"],
            }
        )
    return rows


def _decibels(noise: float) -> float:
    """Signal to quantisation noise."""
    return -10 * math.log10(noise)


# --- as people read it ----------------------------------------------------------------------------


def _print(problem: NoiseProblem, report: dict[str, Any], files: Sequence[Path]) -> None:
    out, found = console(), report["optimum"]
    asked = VIEW.facts(problem) | {
        "to minimise": "quantisation noise",
        "noise": _noise_text(report),
    }
    out.print(facts(asked))
    out.print()
    columns = _columns(problem)
    out.print(
        table(
            [column.heading for column in columns],
            [[column.cell(row) for column in columns] for row in found["layers"]],
            left=[column.heading for column in columns if column.text],
            spare=[column.heading for column in columns if column.wide],
        )
    )
    shown = {
        "proven optimum": f"noise {_noise(found)}  ({found['method']})",
        "best uniform": _uniform_text(report),
    }
    most = report["most_bits"]
    for metric in problem.statement.metrics:
        now, then = found[metric.column], most[metric.column]
        limited = f", {problem.widths.share:.4g} allowed" * (metric == problem.widths.constraint)
        shown[metric.label] = (
            f"{metric.text(now)}, {now / then:.1%} of {metric.text(then)} at "
            f"{most['weight_bits']} bits{limited}"
        )
    if files:
        shown["written"] = ", ".join(map(str, files))
    out.print(facts(shown))
    if "sweep" in report:
        out.print()
        out.print(_sweep_table(problem, report["sweep"]))


def _columns(problem: NoiseProblem) -> list[Column]:
    """The family's, and what a layer takes of the network's whole."""
    others = [
        column._replace(heading=column.heading.replace(" bits", "\nbits"))
        for column in VIEW.columns(problem)[:-1]
    ]
    return [
        *others,
        Column("of the\nnetwork", lambda row: f"{row['of_network']:.1%}", wide=True),
        Column("noise", lambda row: f"{row['noise']:.3g}"),
    ]


def _noise_text(report: dict[str, Any]) -> str:
    without = report["without_weights"]
    if not report["weights_measured"]:
        how = "no weights are known, so b bits have 4^-b in every layer"
    else:
        how = "weights' is measured on the file's own, that of b bits of activations is 4^-b"
        if without:
            few = ", ".join(without[:3]) + f" and {len(without) - 3} more" * (len(without) > 3)
            how += f"; no weights are known of {few}: 4^-b on both sides"
    return f"{PROXY}\n{how}"


def _noise(row: dict[str, Any]) -> str:
    return f"{row['objective']:.4g}, signal to noise {row['sqnr_db']:.1f} dB"


def _uniform_text(report: dict[str, Any]) -> str:
    uniform, best = report["best_uniform"], report["optimum"]
    if uniform is None:
        return "none fits the budget"
    less = uniform["sqnr_db"] - best["sqnr_db"]
    return (
        f"noise {_noise(uniform)}: {uniform['weight_bits']} bits of weights, "
        f"{uniform['activation_bits']} of activations; {abs(less):.1f} dB below the optimum"
    )


def _sweep_table(problem: NoiseProblem, rows: Sequence[dict[str, Any]]) -> Any:
    return table(
        ["share", "noise", "dB", "weight bits", "activation bits", "uniform"],
        [
            [
                f"{row['share']:.0%}",
                f"{row['objective']:.3g}",
                f"{row['sqnr_db']:.1f}",
                f"{row['weight_bits']:.2f}",
                f"{row['activation_bits']:.2f}",
                "-" if row["uniform"] is None else brief(row["uniform"], ".3g"),
            ]
            for row in rows
        ],
        title=f"The least noise at each share of the {problem.widths.constraint.label}, its mean "
        "bits, and the least noise with the same bits everywhere",
    )


def _write(out: Path, problem: NoiseProblem, report: dict[str, Any]) -> list[Path]:
    from hwgym.plotting import save_figure
    from hwgym.plotting.fronts import front_figure

    found = report["optimum"]
    written = [
        save_figure(VIEW.figure(problem, found["assignment"]), out / "bits.png"),
        write_text(out / "bits.csv", to_csv(found["layers"])),
        write_text(out / "result.json", json_.dumps(report, indent=2) + "\n"),
    ]
    if "sweep" in report:
        limited = problem.widths.constraint.label
        points = np.array([(100 * row["share"], row["objective"]) for row in report["sweep"]])
        figure = front_figure(
            points,
            [f"{limited}, % of {problem.widths.bits[-1]} bits", "quantisation noise (a proxy)"],
            title=f"{problem.widths.workload.name}: noise and {limited}",
        )
        written += [
            save_figure(figure, out / "sweep.png"),
            write_text(out / "sweep.csv", to_csv(report["sweep"])),
        ]
    return written

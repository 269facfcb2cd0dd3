"""The architect's commands: ``--model loopnest`` of ``hwgym optimize`` and ``hwgym cost``."""

from __future__ import annotations

import json as json_
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgym._files import write_text
from hwgym._names import nearest
from hwgym.cli.loopnest_options import (
    load_network,
    make_machine,
    parse_bytes,
    parse_mix,
    parse_pes,
    parse_templates,
)
from hwgym.cli.options import least_text, parse_budget
from hwgym.cli.output import Failure, console, facts, folder, print_json, steps_of, table, working
from hwgym.core.design import CONSTRAINTS, PLATFORMS
from hwgym.core.metric import METRICS
from hwgym.core.problem import InfeasibleError
from hwgym.core.view import brief
from hwgym.families.assignment.reports import to_csv
from hwgym.families.layered.pipeline import PERIOD
from hwgym.families.loopnest import architect, report
from hwgym.workloads import Workload

__all__ = ["DEPLOYMENT", "Asked", "budget_amount", "optimize_loopnest", "price_asked"]

BUDGET, DEPLOYMENT = "cloud", "shared"
LEVELS = ("mac", "l1", "l2", "dram")
NONE_SUITS = {
    "LS": "no array holds tiles of all layers under one template",
    "shared": "no array holds tiles of all layers",
}
BY_LEVEL = "MAC L1 L2 DRAM %"
FIXED = {"shapes": "--pes", "l1_bytes": "--l1", "l2_bytes": "--l2"}

DEPLOYMENTS = {
    "LP": "LP: each layer has an array of its own, and inputs go through them as through a "
    "pipeline; latency is that of one input",
    "LS": "LS: one array, with one template, runs all layers one after the other",
    "shared": "shared: one array runs all layers one after the other, each with its best template",
}


# --- hwgym optimize -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What ``hwgym optimize --model loopnest`` was told, as texts."""

    networks: Sequence[str]
    mix: str | None
    dataflow: str
    objective: str
    constraint: str
    budget: str | None
    deployment: str | None
    hardware: Path | None
    clock: str | None
    pes: str | None
    l1: str | None
    l2: str | None
    dram: str | None
    batch: int | None
    dims: Sequence[str] | None


def price_asked(
    asked: Asked, templates: Sequence[str], out: Path | None
) -> tuple[architect.Costs, architect.Given]:
    """What the networks asked for cost on all arrays, and what is given; ``out`` is made.

    Raises:
        ValueError: If something asked for is wrong.
        Failure: If a layer fits no buffer.
    """
    deployment = asked.deployment or DEPLOYMENT
    for what, name, allowed in (
        ("objective", asked.objective, architect.OBJECTIVES),
        ("constraint", asked.constraint, CONSTRAINTS),
        ("deployment", deployment, architect.DEPLOYMENTS),
    ):
        if name not in allowed:
            raise ValueError(f"--{what}: {nearest(what, name, allowed)}")
    networks, weights = _networks(asked)
    given = architect.Given(
        None if asked.pes is None else parse_pes(asked.pes),
        None if asked.l1 is None else parse_bytes("--l1", asked.l1),
        None if asked.l2 is None else parse_bytes("--l2", asked.l2),
    )
    machine = make_machine(asked.hardware, asked.clock, asked.dram)
    if len(networks) > 1 and deployment == "LP":
        raise ValueError(
            "--deployment LP: a pipeline is of one network's layers; several share an array: LS "
            "or shared"
        )
    if out is not None:
        folder(out)  # before the work
    steps = sum(map(len, networks)) * len(templates)
    with steps_of("Mapping layers", steps) as moved:
        costs = architect.price(
            networks,
            templates,
            machine,
            asked.objective,
            weights=weights,
            given=given,
            progress=moved,
        )
    if why := architect.unfit(costs):
        raise Failure(why)
    return costs, given


def optimize_loopnest(asked: Asked, out: Path | None, json: bool) -> None:
    """Solve, print, and write where ``out`` says.

    Raises:
        ValueError: If something asked for is wrong.
        Failure: If nothing fits.
    """
    deployment, budget = asked.deployment or DEPLOYMENT, asked.budget or BUDGET
    limit = parse_budget(budget, asked.constraint) if asked.constraint in CONSTRAINTS else {}
    costs, given = price_asked(asked, parse_templates(asked.dataflow), out)
    several = len(costs.networks) > 1
    amount, range_ = budget_amount(costs, deployment, asked.constraint, limit)
    with working("Solving"):
        both = {}
        for name in architect.DEPLOYMENTS[several:]:
            both[name] = _solved(costs, name, asked.constraint, amount)
        best = both[deployment]
        if isinstance(best, str):
            raise Failure(_too_little(costs, deployment, asked.constraint, budget, amount, given))
        rows = report.layer_rows(costs, best)
        found: dict[str, dict[str, Any]] = {
            name: {"objective": None, "why": each}
            if isinstance(each, str)
            else report.describe(costs, each, asked.constraint, amount)
            for name, each in both.items()
        }
    for name, row in found.items():
        if row["objective"] is None:
            least = architect.budget_range(costs, name, asked.constraint)[0]
            row["least"] = least if least < float("inf") else None
    answer = {
        "model": "loopnest",
        **report.settings(costs),
        "objective": asked.objective,
        "objective_unit": METRICS[asked.objective].unit,
        "constraint": asked.constraint,
        "constraint_unit": METRICS[asked.constraint].unit,
        "deployment": deployment,
        "platform": limit.get("platform"),
        "ratio": PLATFORMS.get(limit.get("platform", ""), limit.get("ratio")),
        "budget": amount,
        "budget_range": list(range_),
        "optimum": {**found[deployment], "energy_by_level": _levels(costs, rows), "layers": rows},
        "deployments": found,
    }
    files = [] if out is None else _write(out, answer)
    if json:
        print_json(answer)
    else:
        _print(costs, answer, files)


def _networks(asked: Asked) -> tuple[list[Workload], list[float]]:
    if asked.mix is not None:
        if asked.networks:
            raise ValueError("give the networks either one by one or with --mix, not both")
        weights = parse_mix(asked.mix)
    else:
        weights = dict.fromkeys(asked.networks, 1.0)
        if len(weights) < len(asked.networks):
            [twice, *_] = [n for n, count in Counter(asked.networks).items() if count > 1]
            raise ValueError(
                f"{twice} is given twice; --mix NAME=WEIGHT,... says how much it counts"
            )
        if not weights:
            raise ValueError("missing argument 'MODEL|FILE': one or several networks, or --mix")
    files = [name for name in weights if name.lower().endswith(".onnx")] or list(weights)
    networks = [
        load_network(name, asked.batch, asked.dims) if name in files else load_network(name)
        for name in weights
    ]
    names = Counter(network.name for network in networks)
    for name, count in names.items():
        if count > 1:
            raise ValueError(f"{count} of the networks are called {name}")
    return networks, list(weights.values())


def budget_amount(
    costs: architect.Costs, deployment: str, constraint: str, limit: dict[str, Any]
) -> tuple[float, tuple[float, float]]:
    """A budget in the constraint's unit, and the range that shares are of.

    Raises:
        Failure: If no array suits all layers.
    """
    least, most = architect.budget_range(costs, deployment, constraint)
    if least == float("inf"):
        raise Failure(f"{deployment}: {NONE_SUITS[deployment]}")
    if "budget" in limit:
        return limit["budget"], (least, most)
    share = limit["ratio"] if "ratio" in limit else PLATFORMS[limit["platform"]]
    return least + (most - least) * share, (least, most)


def _solved(
    costs: architect.Costs, deployment: str, constraint: str, budget: float
) -> architect.Choice | str:
    try:
        return architect.optimum(costs, deployment, constraint, budget)
    except InfeasibleError:
        return f"nothing fits the {constraint} budget"


def _too_little(
    costs: architect.Costs,
    deployment: str,
    constraint: str,
    budget: str,
    amount: float,
    given: architect.Given,
) -> str:
    """Why nothing fits the budget, and what else must give for it to do so."""
    least = architect.within(costs, deployment, constraint, given)
    whole = least.pop("given")
    said = (
        f"budget {budget.strip()}: the least that all layers fit in is "
        f"{least_text(whole, budget, constraint)} ({deployment})"
    )
    if enough := {FIXED[name]: each for name, each in least.items() if each <= amount}:
        said += "; without " + ", or without ".join(
            f"{option} it would be {least_text(each, budget, constraint)}"
            for option, each in enough.items()
        )
    elif least:
        said += f"; leaving {' or '.join(FIXED[name] for name in least)} open would not do"
    return said


def _levels(costs: architect.Costs, rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Energy of each level, nJ, of one inference."""
    weight = {n.name: w for n, w in zip(costs.networks, costs.weights, strict=True)}
    return {
        f"{level}_nj": sum(weight[row["network"]] * row[f"{level}_nj"] for row in rows)
        / sum(costs.weights)
        for level in LEVELS
    }


# --- as people read it ----------------------------------------------------------------------------


def _print(costs: architect.Costs, answer: dict[str, Any], files: Sequence[Path]) -> None:
    best, out = answer["optimum"], console()
    out.print(facts(_asked_facts(costs, answer)))
    out.print()
    out.print(_layer_table(answer))
    shown = _total_facts(costs, answer)
    if files:
        shown["written"] = ", ".join(map(str, files))
    out.print(facts(shown))
    out.print()
    if len(costs.networks) > 1:
        out.print(_network_table(best["networks"]))
    out.print(_deployment_table(answer))
    out.print(facts(_remarks(costs, answer)))


def _asked_facts(costs: architect.Costs, answer: dict[str, Any]) -> dict[str, str]:
    machine, several = costs.machine, len(costs.networks) > 1
    bits = sorted({machine.weight_bits, machine.input_bits})
    metric = METRICS[answer["objective"]]
    built = [a for a, given in zip(costs.arrays, costs.as_given, strict=True) if given]
    shapes = list(dict.fromkeys(f"{a.rows}x{a.columns}" for a in built))
    l1, l2 = (_sizes(answer[f"{level}_bytes"]) for level in ("l1", "l2"))
    shown: dict[str, str] = {}
    for network, weight in zip(costs.networks, costs.weights, strict=True):
        large = network.macs >= 1e7
        macs = f"{network.macs / 1e9:.3g} GMACs" if large else f"{network.macs:,} MACs"
        says = f"{network.name}, {len(network)} layer{'s' * (len(network) > 1)}, {macs}"
        if several:
            says += f", weight {weight:g}"
        shown["networks" if several else "network"] = "\n".join(
            filter(None, [shown.get("networks", ""), says])
        )
    shown["machine"] = (
        f"{machine.clock_ghz:g} GHz; DRAM {machine.dram}, {_bandwidth(machine.dram_bandwidth)} "
        f"({machine.dram_bandwidth * machine.clock_ghz:.4g} GB/s), L2 "
        f"{_bandwidth(machine.l2_bandwidth)}, reads and writes each; "
        f"{' and '.join(map(str, bits))}-bit operands; {machine.process.name}"
    )
    shown["to choose from"] = (
        f"PEs: {_some(shapes)}; L1: {l1}; L2: {l2}; template: {' or '.join(answer['templates'])}"
    )
    shown["deployment"] = DEPLOYMENTS[answer["deployment"]]
    what = metric.about or metric.label
    if answer["objective"] == "throughput":
        what = PERIOD.about if answer["deployment"] == "LP" else "the latency, one array's period"
    shown["to minimise"] = f"{what} ({metric.unit})" + ", the weighted sum" * several
    limited = METRICS[answer["constraint"]]
    least, most = (limited.text(value) for value in answer["budget_range"])
    text = limited.text(answer["budget"])
    if answer["ratio"] is None:
        text += f" (given; the range is {least} to {most})"
    else:
        platform = f"{answer['platform']}: " if answer["platform"] else ""
        text += f" ({platform}{answer['ratio']:.4g} of the range {least} to {most})"
    shown[f"{answer['constraint']} budget"] = text
    shown["costs"] = (
        "loopnest: MACs, L1, L2 and DRAM; no interconnect, control or leakage; the best mapping of "
        "each template's lattice"
    )
    return shown


def _digits(number: float) -> str:
    """Four of them, or the whole number where it has more."""
    return f"{number:,.0f}" if number >= 1e4 else f"{number:,.4g}"


def _sizes(sizes: Sequence[int]) -> str:
    return _some([architect.bytes_text(size) for size in sizes])


def _some(texts: Sequence[str]) -> str:
    """A few, or the first and the last."""
    if len(texts) <= 3:
        return ", ".join(texts)
    return f"{texts[0]} to {texts[-1]} ({len(texts)})"


def _bandwidth(bytes_per_cycle: float) -> str:
    return f"{bytes_per_cycle:.4g} B/cycle"


def _short(row: dict[str, Any]) -> str:
    return str(row["bound"]).split()[0]


def _by_level(row: dict[str, Any]) -> str:
    """Each level's part of a layer's energy, in percent."""
    parts = (100 * row[f"{level}_nj"] / row["energy_nj"] for level in LEVELS)
    return "{:3.0f}{:3.0f}{:3.0f}{:5.0f}  ".format(*parts)


def _alike(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that differ in the layer's name and mapping only, as one: how ``many``, with their
    ``share`` of the objective together."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(value for name, value in row.items() if name not in ("layer", "share"))
        if key in found:
            found[key]["many"] += 1
            found[key]["share"] += row["share"]
        else:
            found[key] = {**row, "many": 1}
    return list(found.values())


def _layer_table(answer: dict[str, Any]) -> Any:
    every, best = answer["optimum"]["layers"], answer["optimum"]
    rows = _alike(every)
    columns: dict[str, Callable[[dict[str, Any]], str]] = {}
    if len(best["networks"]) > 1:
        columns["network"] = lambda row: row["network"]
    columns["layer"] = lambda row: row["layer"]
    if len(rows) < len(every):
        columns["n"] = lambda row: str(row["many"])
    if answer["deployment"] == "LP":
        columns["array"] = lambda row: f"{row['rows']}x{row['columns']}"
        columns["L1"] = lambda row: architect.bytes_text(row["l1_bytes"])
        columns["L2"] = lambda row: architect.bytes_text(row["l2_bytes"])
    if len(answer["templates"]) > 1 and answer["deployment"] != "LS":
        columns["template"] = lambda row: row["template"]
    columns["cycles"] = lambda row: brief(row["latency_cycles"], ",.0f")
    share = "latency" if answer["objective"] == "throughput" else answer["objective"]
    columns[share] = lambda row: f"{row['share']:.1%}"
    columns["utilised"] = lambda row: f"{row['utilization']:.1%}"
    columns["bound"] = _short
    columns["µJ"] = lambda row: brief(row["energy_nj"] * 1e-3, ",.1f")
    columns[BY_LEVEL] = _by_level
    caption = f"n: layers alike; cycles and µJ are of one of them, {share} is of all\n"
    return table(
        list(columns),
        [[cell(row) for cell in columns.values()] for row in rows],
        left=["network", "layer", "template", "bound"],
        spare=[BY_LEVEL, share, "µJ"],
        caption=caption if "n" in columns else None,
    )


def _total_facts(costs: architect.Costs, answer: dict[str, Any]) -> dict[str, str]:
    best, metric = answer["optimum"], METRICS[answer["objective"]]
    limited = METRICS[answer["constraint"]]
    clock = f"at {costs.machine.clock_ghz:g} GHz"
    value = f"{metric.text(best['objective'])}  ({best['method']})"
    shown = {"proven optimum": value}
    if best["lower_bound"] < best["objective"]:
        bound = metric.text(best["lower_bound"])
        shown = {"best known": value, "proven bound": f"{bound}: none is below"}
    if "array" in best:
        array = architect.Array(**best["array"])
        shown["array"] = f"{array.pes:,} PE{'s' * (array.pes > 1)}: {array}"
        if answer["deployment"] == "LS" and len(answer["templates"]) > 1:
            shown["array"] += f", {best['templates'][0]}"
    many = " on average" if len(costs.networks) > 1 else ""
    shown["latency"] = (
        f"{_digits(best['latency_ms'])} ms ({best['latency_cycles']:,.0f} cycles {clock}){many}"
    )
    shown["stream"] = f"{_digits(best['frames_per_s'])} frames/s"
    if answer["deployment"] == "LP":
        shown["stream"] = (
            f"at most {_digits(best['frames_per_s'])} frames/s: the period is at least "
            f"{_digits(best['period_ms'])} ms, {_period_text(best)}"
        )
    total = sum(best["energy_by_level"].values())
    parts = ", ".join(
        f"{name.removesuffix('_nj').upper()} {spent / total:.0%}"
        for name, spent in best["energy_by_level"].items()
    )
    shown["energy"] = f"{best['energy_mj']:.4g} mJ per inference{many}: {parts}"
    shown["power"] = f"{best['power_w']:.4g} W at that rate"
    shown["arithmetic"] = (
        f"{best['tops']:.4g} of {best['peak_tops']:.4g} TOPS, {best['tops_per_w']:.4g} TOPS/W "
        "(two operations a MAC)"
    )
    shown["area"] = f"{best['area_mm2']:.4g} mm²"
    shown["budget used"] = f"{best['budget_used']:.2%} ({limited.text(best['used'])}"
    if answer["constraint"] == "power":
        lp = answer["deployment"] == "LP"
        shown["budget used"] += (
            ", all layers at once" if lp else ", while the layer runs that takes most"
        )
    shown["budget used"] += ")"
    shown["bound by"] = _bounds_text(best["layers"])
    return shown


def _period_text(row: dict[str, Any]) -> str:
    if row["period_bound"] == "DRAM":
        return "what the DRAM needs for all layers' bytes"
    return f"that of the slowest, {row['period_bound']}"


def _bounds_text(rows: Sequence[dict[str, Any]]) -> str:
    """How many layers each bound has, and how much of the time they take."""
    count: Counter[str] = Counter()
    cycles: Counter[str] = Counter()
    for row in rows:
        count[_short(row)] += 1
        cycles[_short(row)] += row["latency_cycles"]
    total = sum(cycles.values())
    return ", ".join(
        f"{what}: {count[what]} layer{'s' * (count[what] > 1)}, {taken / total:.0%} of the cycles"
        for what, taken in cycles.most_common()
    )


def _network_table(rows: Sequence[dict[str, Any]]) -> Any:
    return table(
        ["network", "weight", "cycles", "ms", "frames/s", "mJ", "share"],
        [
            [
                row["network"],
                f"{row['weight']:g}",
                brief(row["latency_cycles"], ",.0f"),
                _digits(row["latency_ms"]),
                _digits(1e3 / row["latency_ms"]),
                f"{row['energy_mj']:.4g}",
                f"{row['share']:.1%}",
            ]
            for row in rows
        ],
        title="One inference of each network, and its share of the weighted sum",
        left=["network"],
    )


def _deployment_table(answer: dict[str, Any]) -> Any:
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "PEs": lambda row: f"{row['pes']:,}",
        "ms": lambda row: _digits(row["latency_ms"]),
        "period": lambda row: _digits(row["period_ms"]),
        "frames/s": lambda row: _digits(row["frames_per_s"]),
        "utilised": lambda row: f"{row['utilization']:.1%}",
        "stream": lambda row: f"{row['utilization_pipelined']:.1%}",
        "mJ": lambda row: f"{row['energy_mj']:.4g}",
        "W": lambda row: f"{row['power_w']:.3g}",
        "TOPS": lambda row: f"{row['tops']:.3g}",
        "TOPS/W": lambda row: f"{row['tops_per_w']:.3g}",
        "mm²": lambda row: f"{row['area_mm2']:.4g}",
    }
    found = answer["deployments"]
    limited = METRICS[answer["constraint"]]
    return table(
        ["optimum", *columns],
        [
            [name, *("-" if row["objective"] is None else cell(row) for cell in columns.values())]
            for name, row in found.items()
        ],
        title=f"All deployments within {limited.text(answer['budget'])}: ms for one input, ms from "
        "input to input of a stream (period), and PEs utilised in either (utilised, stream)",
        left=["optimum"],
        spare=["TOPS", "TOPS/W", "W", "frames/s"],
    )


def _remarks(costs: architect.Costs, answer: dict[str, Any]) -> dict[str, str]:
    said: dict[str, str] = {}
    found = answer["deployments"]
    unit = {"area": "1mm2", "power": "1mW"}[answer["constraint"]]
    for name, row in found.items():
        if row["objective"] is None:
            said[name] = (
                f"nothing fits: it takes at least "
                f"{least_text(row['least'], unit, answer['constraint'])}"
                if row["least"] is not None
                else NONE_SUITS[name]
            )
    if "LP" in found and found["LP"]["objective"] is not None:
        said["LP's period"] = (
            f"at least {_digits(found['LP']['period_ms'])} ms, {_period_text(found['LP'])}"
        )
    ranked = {n: row for n, row in reversed(found.items()) if row["objective"] is not None}
    for what, column in (("one input", "latency_cycles"), ("a stream", "period_cycles")):
        fast, slow = (most(ranked, key=lambda n: ranked[n][column]) for most in (min, max))
        times = ranked[slow][column] / ranked[fast][column]
        if times >= 1.0005:
            said[what] = f"{fast} is {times:.4g} times as fast as {slow}"
    if "LP" in ranked and answer["objective"] != "throughput":
        said["a stream"] = said.get("a stream", "all alike") + (
            "; --objective throughput makes LP's period the shortest"
        )
    if "LP" not in found:
        said["LP"] = "is a pipeline of one network's layers; several networks share an array"
    if len(costs.templates) == 1:
        said["LS, shared"] = "alike, as there is one template; MIX has several to choose from"
    built = [a for a, given in zip(costs.arrays, costs.as_given, strict=True) if given]
    largest = max(built, key=lambda a: (a.pes, a.l1_bytes, a.l2_bytes))
    taken = found.get("shared", {}).get("array")
    if taken is not None and architect.Array(**taken).pes == largest.pes and costs.as_given.all():
        said["shared"] = "has the most PEs that there are to choose from; more: --pes 64x64,128x128"
    return said


def _write(out: Path, answer: dict[str, Any]) -> list[Path]:
    from hwgym.families.loopnest import pictures
    from hwgym.plotting import save_figure

    return [
        save_figure(pictures.roofline_figure(answer), out / "roofline.png"),
        save_figure(pictures.energy_figure(answer), out / "energy.png"),
        write_text(out / "layers.csv", to_csv(answer["optimum"]["layers"])),
        write_text(out / "answer.json", json_.dumps(answer, indent=2) + "\n"),
    ]

"""``hwgym schedule``: which sub-accelerators several networks run on best, and what runs when."""

from __future__ import annotations

import csv
import io
import json as json_
import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from hwgym._arrays import Ints
from hwgym._files import write_text
from hwgym._names import nearest
from hwgym.cli.gantt import gantt
from hwgym.cli.loopnest_options import (
    LOOPNEST,
    load_network,
    only,
    parse_bandwidth,
    parse_clock,
)
from hwgym.cli.options import BatchOption, DimsOption, JsonOption, OutOption, problem_option
from hwgym.cli.output import Failure, console, facts, folder, print_json, table, working
from hwgym.cli.train import (
    INTERRUPTED,
    AgentOption,
    LogOption,
    ResumeOption,
    SamplesOption,
    SeedOption,
    SetOption,
    check_search,
    load_agent,
    parse_settings,
    searched,
)
from hwgym.core.certificate import Certificate
from hwgym.core.evaluator import Evaluator
from hwgym.core.problem import InfeasibleError
from hwgym.costs.maestro import KINDS
from hwgym.families.hetero import HeteroProblem, hetero_problem
from hwgym.families.hetero.problem import MOST_LAYERS
from hwgym.families.hetero.view import VIEW
from hwgym.workloads import MIXES, Mix, Workload, models

AGENT = "schedule-local"
MODEL = "loopnest"
MAESTRO = "MAESTRO (--model maestro)"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schedule")(schedule)


def schedule(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK[:COUNT]...",
            help="Models (`hwgym list models`), .csv or .onnx files, each with how often it runs, "
            f"once by default; or one mix: {', '.join(MIXES)}.",
        ),
    ],
    pes: Annotated[int, problem_option("--pes", metavar="N", help="PEs in all.")] = 1024,
    subs: Annotated[
        int, problem_option("--subs", metavar="N", help="Sub-accelerators at most, 1 to 4.")
    ] = 3,
    kinds: Annotated[
        str, problem_option("--kinds", metavar="NAMES", help="Of which they can be.")
    ] = ",".join(KINDS),
    parts: Annotated[
        int,
        problem_option(
            "--parts", metavar="N", help="Into which PEs and bandwidth are cut, 2 to 16."
        ),
    ] = 8,
    model: Annotated[
        str,
        problem_option(
            "--model",
            metavar="NAME",
            help="Cost model: loopnest, buffers that hold, DRAM, the best mapping of each layer; "
            "or maestro.",
        ),
    ] = MODEL,
    dram: Annotated[
        str | None,
        typer.Option(
            "--dram",
            metavar="16GB/s",
            rich_help_panel=LOOPNEST,
            help="DRAM's bandwidth in all, reads and writes each: GB/s (10^9 B) or B/cycle; by "
            "default not limited.",
        ),
    ] = None,
    noc: Annotated[
        int | None,
        typer.Option(
            "--noc",
            metavar="N",
            rich_help_panel=MAESTRO,
            help="Elements a cycle between the global buffer and all sub-accelerators; by default "
            "not limited.",
        ),
    ] = None,
    clock: Annotated[
        str, problem_option("--clock", metavar="1GHz", help="For ms and GB/s; GHz or MHz.")
    ] = "1GHz",
    batch: BatchOption = None,
    dims: DimsOption = None,
    agent: AgentOption = AGENT,
    samples: SamplesOption = 3000,
    seed: SeedOption = 0,
    settings: SetOption = None,
    log: LogOption = None,
    resume: ResumeOption = False,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The best way that is found to divide an accelerator into sub-accelerators and to run several
    networks on them, so that all end soonest, and how far from the best it can be; with --out as
    files, too.

    Example: [bold]hwgym schedule ResNet50:1 MobileNetV2:6 --pes 1024 --dram 16GB/s[/]

    Example: [bold]hwgym schedule Mobile --pes 4096 --out result[/]
    """
    ghz = parse_clock(clock)
    bandwidth = _bandwidth(model, dram, noc, ghz)
    mix = _mix(networks, batch, dims)
    check_search(samples, seed, log, resume)
    chosen = parse_settings(agent, load_agent(agent), settings or ())
    if out is not None:
        folder(out)  # before the work
    with working("Finding what each layer takes where"):
        problem = _problem(mix, pes, subs, kinds, parts, bandwidth, model)
    start = time.perf_counter()
    evaluator, interrupted = searched(agent, problem, problem, samples, seed, chosen, log, resume)
    seconds = time.perf_counter() - start
    with working("Proving"):
        proven = problem.certificate()
    genes, found_by = _best(problem, evaluator, proven)
    report = _report(problem, genes, proven, ghz)
    report["found_by"] = found_by
    found = evaluator.best_objective
    report["search"] = {
        "agent": agent,
        "samples": evaluator.spent,
        "seed": seed,
        "value": _whole(found) if math.isfinite(found) else None,
        "above": proven.above(found) if math.isfinite(found) else None,
        "seconds": seconds,
        "interrupted": interrupted,
        "log": None if log is None else str(log),
    }
    if out is not None:
        report["files"] = [str(each) for each in _write(out, problem, genes, report, evaluator)]
    if json:
        print_json(report)
    else:
        _print(problem, genes, report, proven)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


# --- what is asked --------------------------------------------------------------------------------


def _mix(given: Sequence[str], batch: int | None, dims: Sequence[str] | None) -> Mix:
    """The mix of texts ``NETWORK:COUNT``, or of that name.

    Raises:
        ValueError: If a network is unknown or there twice, a count is wrong, or there are too many
            layers.
        OSError: If a file cannot be read.
    """
    mixes = {name.casefold(): name for name in MIXES}
    if len(given) == 1 and given[0].casefold() in mixes:
        if batch is not None or dims:
            raise ValueError("--batch and --dims are for .onnx files")
        return MIXES[mixes[given[0].casefold()]]
    for spec in given:
        if _split(spec)[0].casefold() in mixes:
            raise ValueError(
                f"{_split(spec)[0]} is a mix, which stands alone, without a count; got "
                f"{' '.join(given)}"
            )
    onnx = [spec for spec in given if _split(spec)[0].lower().endswith(".onnx")]
    pairs: list[tuple[Workload, int]] = []
    for spec in given:
        name, text = _split(spec)
        sized = spec in onnx or not onnx  # without one, who reads them says so
        network = _network(name, batch if sized else None, dims if sized else None)
        if not re.fullmatch(r"[0-9]+", text) or int(text) < 1:
            raise ValueError(f"the count of {name} must be a positive integer, got {text}")
        pairs.append((network, int(text)))
    for name, count in Counter(network.name for network, _ in pairs).items():
        if count > 1:
            raise ValueError(
                f"{count} of the networks are called {name}; one that runs several times is given "
                f"once, {name}:{count}"
            )
    layers = sum(len(network) * count for network, count in pairs)
    if layers > MOST_LAYERS:
        raise ValueError(f"a mix may have {MOST_LAYERS:,} layers, these have {layers:,}")
    instances = sum(count for _, count in pairs)
    name = pairs[0][0].name if instances == 1 else f"{instances:,} networks"
    return Mix(name, tuple(pairs))


def _split(spec: str) -> tuple[str, str]:
    """What names a network, and how often it runs; a colon may be part of a path."""
    name, colon, text = spec.rpartition(":")
    if colon and name and re.fullmatch(r"[-+]?[0-9]+", text):
        return name, text
    return spec, "1"


def _network(name: str, batch: int | None, dims: Sequence[str] | None) -> Workload:
    known = {each.casefold() for each in models()}
    before, colon, text = name.rpartition(":")
    if colon and before.casefold() in known:
        raise ValueError(f"the count of {before} must be a positive integer, got {text!r}")
    if name.casefold() not in known and Path(name).suffix.lower() not in (".csv", ".onnx"):
        raise ValueError(
            f"{nearest('network', name, [*models(), *MIXES])}; or give a .csv or .onnx file"
        )
    return load_network(name, batch, dims)


def _bandwidth(model: str, dram: str | None, noc: int | None, ghz: float) -> int | None:
    """In all, elements a cycle.

    Raises:
        ValueError: If it is not the model's own, or wrong.
    """
    only(model, {"--noc": noc} if model == "loopnest" else {"--dram": dram})
    if dram is None:
        return noc
    per_cycle = round(parse_bandwidth(dram, ghz), 9)  # 16GB/s at 1.6GHz is 10
    if not per_cycle.is_integer():
        raise ValueError(
            f"--dram is divided in whole bytes a cycle; {dram} at {ghz:g} GHz are {per_cycle:g}: "
            f"take {max(int(per_cycle), 1)}B/cycle or {int(per_cycle) + 1}B/cycle"
        )
    return int(per_cycle)


def _problem(
    mix: Mix, pes: int, subs: int, kinds: str, parts: int, bandwidth: int | None, model: str
) -> HeteroProblem:
    """The problem that the options name.

    Raises:
        ValueError: If something is wrong.
        Failure: If nothing can be built that runs all layers.
    """
    chosen = [each.strip() for each in kinds.split(",")]
    for kind in chosen:
        if kind not in KINDS:
            raise ValueError(f"--kinds: {nearest('kind of sub-accelerator', kind, KINDS)}")
    try:
        return hetero_problem(
            mix,
            pes,
            bandwidth=bandwidth,
            parts=parts,
            subs=subs,
            kinds=tuple(chosen),
            model=model,
        )
    except InfeasibleError as error:
        raise Failure(str(error)) from error


# --- what is found --------------------------------------------------------------------------------


def _best(problem: HeteroProblem, evaluator: Evaluator, proven: Certificate) -> tuple[Ints, str]:
    """The best schedule (steps, 2) of the search, the proof, and one accelerator alone, and which
    of them it is."""
    known = [(evaluator.best_objective, evaluator.best, "search")]
    known.append((proven.objective, proven.assignment, "proof"))
    alone = _singles(problem)
    kind = int(np.argmin(alone))
    known.append((alone[kind], _single(problem, kind), "one accelerator"))
    _, genes, found_by = min(known, key=lambda each: each[0])
    assert genes is not None  # it is, where the objective is finite
    return genes, found_by


def _singles(problem: HeteroProblem) -> list[float]:
    """Cycles of all layers, one after the other, on one accelerator of each kind that has all PEs
    and all bandwidth; infinite where it cannot run them."""
    table = problem.statement.known["latency"]
    return [float(cycles) for cycles in table[:, -1, -1].sum(axis=-1)]


def _single(problem: HeteroProblem, kind: int) -> Ints:
    """Genes (steps, 2) of one accelerator of a kind that runs one network after the other."""
    of = problem.decisions
    first = np.zeros(of.subs, np.int64)
    first[0] = 1
    chain = np.repeat(np.arange(len(problem.lengths)), problem.lengths)
    everything = first * of.parts
    bandwidth = everything if of.limited else first
    genes = of.genes_of(first * kind, everything, bandwidth, chain, np.zeros_like(chain))
    return np.asarray(genes[0])


def _report(problem: HeteroProblem, genes: Ints, proven: Certificate, ghz: float) -> dict[str, Any]:
    """JSON values."""
    found = problem.schedule(genes[None])
    makespan = float(found.makespan[0])
    singles = _singles(problem)
    least = min(singles)
    counts = Counter(network.name for network in problem.instances)
    return {
        "mix": problem.mix.name,
        "networks": [{"network": name, "count": count} for name, count in counts.items()],
        "model": problem.model,
        "pes": problem.pes,
        "bandwidth": problem.bandwidth,
        "parts": problem.num_parts,
        "subs": problem.subs,
        "kinds": list(problem.kinds),
        "clock_ghz": ghz,
        "makespan_cycles": _whole(makespan),
        "makespan_ms": _ms(makespan, ghz),
        "optimum": _whole(proven.objective) if proven.exact else None,
        "lower_bound": proven.lower_bound,
        "gap": proven.above(makespan),
        "method": proven.method,
        "single": {
            "kind": problem.kinds[singles.index(least)] if math.isfinite(least) else None,
            "cycles": {
                kind: _whole(cycles) if math.isfinite(cycles) else None
                for kind, cycles in zip(problem.kinds, singles, strict=True)
            },
            "sooner": 1 - makespan / least if math.isfinite(least) else None,
        },
        "sub_accelerators": problem.built(genes),
        "instances": _instances(problem, genes),
        "schedule": _rows(problem, genes),
    }


def _whole(cycles: float) -> float:
    """As an integer where it is one."""
    return int(cycles) if float(cycles).is_integer() else float(cycles)


def _ms(cycles: float, ghz: float) -> float:
    return cycles / (ghz * 1e6)


def _instances(problem: HeteroProblem, genes: Ints) -> list[dict[str, Any]]:
    """Of each network that runs when it ends, and how long it would take at least if it had the
    sub-accelerators to itself: its layers one after the other, each where it is fastest."""
    partition = problem.decisions.partition_of(genes[None])
    fastest, ends = problem.fastest(partition)[0], np.cumsum(problem.lengths)
    end = problem.schedule(genes[None]).end[0]
    return [
        {
            "instance": name,
            "network": network.name,
            "layers": len(network),
            "end_cycles": _whole(end[last - 1]),
            "alone_cycles": _whole(fastest[last - len(network) : last].sum()),
        }
        for name, network, last in zip(
            problem.instance_names, problem.instances, ends.tolist(), strict=True
        )
    ]


def _rows(problem: HeteroProblem, genes: Ints) -> list[dict[str, Any]]:
    """Of each layer where it runs, and when."""
    found = problem.schedule(genes[None])
    layers = [
        (name, network.name, layer.name)
        for name, network in zip(problem.instance_names, problem.instances, strict=True)
        for layer in network
    ]
    return [
        {
            "network": network,
            "instance": instance,
            "layer": layer,
            "sub_accelerator": int(found.core[0, i]) + 1,
            "start_cycles": _whole(found.start[0, i]),
            "end_cycles": _whole(found.end[0, i]),
        }
        for i, (instance, network, layer) in enumerate(layers)
    ]


def _write(
    out: Path, problem: HeteroProblem, genes: Ints, report: dict[str, Any], evaluator: Evaluator
) -> list[Path]:
    from hwgym.core.curves import learning_curves
    from hwgym.plotting import save_figure

    text = io.StringIO()
    rows = csv.DictWriter(text, list(report["schedule"][0]), lineterminator="\n")
    rows.writeheader()
    for row in report["schedule"]:
        rows.writerow(row)
    written = [
        write_text(out / "schedule.csv", text.getvalue()),
        save_figure(VIEW.figure(problem, genes), out / "gantt.png"),
    ]
    if evaluator.best is not None:
        curve = learning_curves(problem, {report["search"]["agent"]: evaluator.history})
        written.append(save_figure(curve, out / "learning_curve.png"))
    return [*written, write_text(out / "schedule.json", json_.dumps(report, indent=2) + "\n")]


# --- printing -------------------------------------------------------------------------------------


def _print(
    problem: HeteroProblem, genes: Ints, report: dict[str, Any], proven: Certificate
) -> None:
    shown, unit = VIEW.facts(problem), "elements a cycle"
    limited = problem.bandwidth is not None
    if problem.bandwidth is not None and problem.model == "loopnest":
        unit, ghz = "bytes a cycle", report["clock_ghz"]
        shown["bandwidth"] = (
            f"{problem.bandwidth * ghz:g} GB/s of DRAM, {problem.bandwidth:,} {unit} at {ghz:g} GHz"
        )
    console().print(facts(shown))
    console().print()
    columns = ["#", "kind", "PEs", *["bandwidth"] * limited, "layers", "busy"]
    console().print(
        table(
            columns,
            [
                [
                    sub["number"], sub["kind"], f"{sub['pes']:,}",
                    *[f"{sub['bandwidth']:,}" for _ in range(limited)],
                    f"{sub['layers']:,}", f"{sub['busy']:.1%}",
                ]
                for sub in report["sub_accelerators"]
            ],
            left=["kind"],
            title="Sub-accelerators" + (f", bandwidth in {unit}" if limited else ""),
        )
    )  # fmt: skip
    console().print(_gantt(problem, genes, report))
    console().print()
    _print_instances(report)
    console().print(facts(_facts(problem, report, proven)))


def _gantt(problem: HeteroProblem, genes: Ints, report: dict[str, Any]) -> Any:
    found, built = problem.schedule(genes[None]), report["sub_accelerators"]
    row = {sub["number"] - 1: place for place, sub in enumerate(built)}
    names = [each["network"] for each in report["networks"]]
    kind = [names.index(network.name) for network in problem.instances]
    return gantt(
        [f"{sub['number']} {sub['kind']}" for sub in built],
        np.array([row[core] for core in found.core[0].tolist()]),
        found.start[0],
        found.end[0],
        np.repeat(kind, problem.lengths),
        names,
        report["lower_bound"],
        console().width,
    )


def _print_instances(report: dict[str, Any]) -> None:
    makespan = report["makespan_cycles"]
    rows = [
        [
            each["instance"], each["layers"], f"{each['end_cycles']:,.0f}",
            f"{each['end_cycles'] / makespan:.1%}", f"{each['alone_cycles']:,.0f}",
        ]
        for each in report["instances"]
    ]  # fmt: skip
    console().print(
        table(
            ["network", "layers", "ends at", "%", "alone"],
            rows,
            left=["network"],
            title="Networks: cycles until each ends, and if it had all of this to itself",
        )
    )


def _facts(
    problem: HeteroProblem, report: dict[str, Any], proven: Certificate
) -> dict[str, object]:
    text, makespan = problem.statement.objective.text, report["makespan_cycles"]
    gap = report["gap"]
    shown: dict[str, object] = {
        "best schedule": f"{text(makespan)}, {_ms_text(report['makespan_ms'])} at "
        f"{report['clock_ghz']:g} GHz"
    }
    if proven.exact:
        above = "it is this" if gap == 0 else f"regret {gap:.2%}"
        shown["proven optimum"] = f"{text(proven.objective)}; {above}"
    else:
        shown["lower bound"] = f"{text(proven.lower_bound)}; gap at most {gap:.2%}"
    single = report["single"]
    if single["kind"] is None:
        shown["one accelerator"] = "no accelerator of one kind runs all layers"
    else:
        least = single["cycles"][single["kind"]]
        ends = f"this ends {single['sooner']:.1%} sooner" if single["sooner"] else "it is this"
        shown["one accelerator"] = f"{single['kind']}, {problem.pes:,} PEs: {text(least)}; {ends}"
    search = report["search"]
    found = "no schedule" if search["value"] is None else text(search["value"])
    found += f" after {search['samples']:,} samples, seed {search['seed']}"
    if search["above"]:
        found += f", {proven.name} {search['above']:.2%}"
    shown[search["agent"]] = found
    if report["found_by"] != "search":
        shown["shown"] = {
            "proof": "the schedule that the proof found",
            "one accelerator": "one accelerator alone",
        }[report["found_by"]] + ", which is better"
    if search["log"] is not None:
        shown["log"] = search["log"]
    if "files" in report:
        shown["written"] = ", ".join(report["files"])
    if search["interrupted"]:
        shown["interrupted"] = "what was found until then"
    return shown


def _ms_text(ms: float) -> str:
    return f"{ms:,.0f} ms" if ms >= 1000 else f"{ms:.4g} ms"

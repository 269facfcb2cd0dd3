"""``hwgym map``: how a layer runs best on given hardware, or what is wrong with a mapping."""

from __future__ import annotations

import json as json_
import math
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hwgym._files import read_toml, write_text
from hwgym._names import nearest
from hwgym.cli.cost import FORMS, parse_layer
from hwgym.cli.loopnest_options import parse_bytes
from hwgym.cli.options import JsonOption, OutOption, problem_option
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
from hwgym.core.view import brief
from hwgym.costs.maestro import Mappings
from hwgym.families.mapping import (
    HARDWARE,
    MappingHardware,
    MappingProblem,
    find_layer,
    mapping_hardware,
    mapping_problem,
)
from hwgym.families.mapping.bounds import least_cycles
from hwgym.families.mapping.mapping_files import mapping_toml, mapping_values, read_mapping
from hwgym.families.mapping.problem import OBJECTIVES, TILES
from hwgym.families.mapping.report import Explanation, explain, wait_text
from hwgym.families.mapping.timeloop_files import VERSIONS, timeloop_file
from hwgym.families.mapping.view import VIEW
from hwgym.workloads import Layer

AGENT = "map-local"
FIELDS = {"num_pes": "--pes", "l1_bytes": "--l1", "l2_bytes": "--l2", "noc_bandwidth": "--noc"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("map")(map_layer)


def map_layer(
    layer: Annotated[
        str,
        problem_option(
            "--layer",
            metavar="MODEL:LAYER|FILE|SIZES",
            help="ResNet50:20, by number or name; a .toml file; or conv:K=64,C=32,OY=56,OX=56,"
            "R=3,S=3, dsconv:C=32,..., gemm:M=128,N=768,K=768.",
        ),
    ],
    hardware: Annotated[
        str,
        problem_option(
            "--hardware",
            metavar="NAME|FILE",
            help=f"{', '.join(HARDWARE)}, or a .toml file with a table [hardware] of num_pes, "
            "l1_bytes, l2_bytes, noc_bandwidth.",
        ),
    ] = "edge",
    pes: Annotated[
        int | None, problem_option("--pes", metavar="N", help="In place of the hardware's PEs.")
    ] = None,
    l1: Annotated[
        str | None, problem_option("--l1", metavar="512B", help="In place of each PE's buffer.")
    ] = None,
    l2: Annotated[
        str | None, problem_option("--l2", metavar="108KB", help="In place of the shared buffer.")
    ] = None,
    noc: Annotated[
        int | None,
        problem_option(
            "--noc", metavar="N", help="In place of the network's elements a cycle, at each level."
        ),
    ] = None,
    objective: Annotated[
        str,
        problem_option(
            "--objective", "-o", metavar="NAME", help=f"Minimised: {', '.join(OBJECTIVES)}."
        ),
    ] = "edp",
    latency_cap: Annotated[
        str | None,
        problem_option(
            "--latency-cap",
            metavar="CYCLES|1.1x",
            help="Cycles that it may take, or a multiple of the proven least that any may.",
        ),
    ] = None,
    tiles: Annotated[
        str,
        problem_option(
            "--tiles",
            metavar="divisors|any",
            help="Tiles that divide, or any, costed with MAESTRO's defects mended.",
        ),
    ] = "divisors",
    explained: Annotated[
        Path | None,
        typer.Option(
            "--explain",
            metavar="FILE",
            help="Search nothing: say which limit this mapping breaks, and what bounds it. A .m "
            "file of MAESTRO, or decisions as .toml or .json.",
        ),
    ] = None,
    agent: AgentOption = AGENT,
    samples: SamplesOption = 15_000,
    seed: SeedOption = 0,
    settings: SetOption = None,
    log: LogOption = None,
    resume: ResumeOption = False,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The best mapping of a layer on given hardware that is found, and how far from the best it can
    be; with --out as files for MAESTRO and Timeloop, too.

    Example: [bold]hwgym map --layer ResNet50:20 --hardware edge --objective edp --out result[/]

    Example: [bold]hwgym map --layer ResNet50:20 --explain mine.m[/]
    """
    problem = _problem(layer, hardware, (pes, l1, l2, noc), objective, latency_cap, tiles)
    if explained is not None:
        _explain(problem, explained, out, json)
        return
    check_search(samples, seed, log, resume)
    chosen = parse_settings(agent, load_agent(agent), settings or ())
    if out is not None:
        folder(out)  # before the work
    start = time.perf_counter()
    evaluator, interrupted = searched(agent, problem, problem, samples, seed, chosen, log, resume)
    seconds = time.perf_counter() - start
    with working("Proving"):
        proven = _certificate(problem)
    report = _report(problem, evaluator, proven)
    report["search"] |= {
        "agent": agent, "seed": seed, "seconds": seconds, "interrupted": interrupted,
        "log": None if log is None else str(log),
    }  # fmt: skip
    told = _told(problem, report.pop("mappings"))
    report |= _files_of(problem, told)
    if out is not None:
        report["files"] = [str(each) for each in _write(out, problem, told, report, evaluator)]
    if json:
        print_json(report)
    else:
        _print_found(problem, told, report, proven)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


# --- what is asked --------------------------------------------------------------------------------


def _problem(
    layer: str,
    hardware: str,
    fields: tuple[int | None, str | None, str | None, int | None],
    objective: str,
    latency_cap: str | None,
    tiles: str,
) -> MappingProblem:
    """The problem that the options name.

    Raises:
        ValueError: If something is wrong.
        Failure: If no mapping fits.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"--objective: {nearest('objective', objective, OBJECTIVES)}")
    if tiles not in TILES:
        raise ValueError(f"--tiles: {nearest('choice of tiles', tiles, TILES)}")
    cap: dict[str, Any] = {}
    if latency_cap is not None:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(x?)", latency_cap.strip().replace(",", ""))
        if found is None or (not found[2] and not found[1].isdecimal()) or float(found[1]) <= 0:
            raise ValueError(f"--latency-cap wants cycles, or 1.1x; got {latency_cap!r}")
        cap = {"latency_ratio": float(found[1])} if found[2] else {"latency_cap": int(found[1])}
    try:
        return mapping_problem(
            find_mapped_layer(layer),
            _hardware(hardware, *fields),
            objective=objective,
            tiles=tiles,
            **cap,
        )
    except InfeasibleError as error:
        raise Failure(str(error)) from error


def find_mapped_layer(spec: str) -> Layer:
    """The layer of ``MODEL:LAYER``, of a .toml file, or of sizes such as ``conv:K=64,...``.

    Raises:
        ValueError: If there is none.
    """
    form, _, sizes = spec.partition(":")
    if form in FORMS:
        return parse_layer(form, sizes, ())
    return find_layer(spec)


def _hardware(
    given: str, pes: int | None, l1: str | None, l2: str | None, noc: int | None
) -> MappingHardware:
    if given.endswith(".toml"):
        read = read_toml(given)
        if set(read) != {"hardware"} or not isinstance(read["hardware"], dict):
            raise ValueError(f"{given}: a table [hardware] is wanted, and nothing else")
        try:
            found = mapping_hardware(read["hardware"])
        except ValueError as error:
            raise ValueError(f"{given}: {error}") from error
    elif given in HARDWARE:
        found = HARDWARE[given]
    else:
        raise ValueError(f"--hardware: {nearest('hardware', given, HARDWARE)}; or a .toml file")
    changed: dict[str, int] = {}
    for name, value in (("num_pes", pes), ("noc_bandwidth", noc)):
        if value is not None:
            if value < 1:
                raise ValueError(f"{FIELDS[name]} must be a positive integer, got {value}")
            changed[name] = value
    for name, text in (("l1_bytes", l1), ("l2_bytes", l2)):
        if text is not None:
            sizes = parse_bytes(FIELDS[name], text)
            if len(sizes) > 1:
                raise ValueError(f"{FIELDS[name]}: one size is needed, got {len(sizes)}")
            changed[name] = sizes[0]
    return replace(found, **changed)


# --- a search -------------------------------------------------------------------------------------


def _certificate(problem: MappingProblem) -> Certificate:
    """What is proven.

    Raises:
        Failure: If no mapping fits.
    """
    try:
        return problem.certificate()
    except InfeasibleError as error:
        raise Failure(str(error)) from error


def _report(problem: MappingProblem, evaluator: Evaluator, proven: Certificate) -> dict[str, Any]:
    """JSON values, and under ``mappings`` the best mapping known."""
    found = evaluator.best_objective
    by_proof = proven.objective < found
    genes = proven.assignment if by_proof else evaluator.best
    assert genes is not None  # it is, where the objective is finite
    value = min(found, proven.objective)
    [mapping] = [problem.mappings.mappings(problem.space.check(genes))]
    return {
        **_asked(problem),
        "objective": problem.objective.name,
        "value": value,
        "found_by": "proof" if by_proof else "search",
        **_standing(proven, value),
        "search": {
            "samples": evaluator.spent,
            "value": found if math.isfinite(found) else None,
            "above": proven.above(found) if math.isfinite(found) else None,
        },
        "mappings": mapping,
    }


def _asked(problem: MappingProblem) -> dict[str, Any]:
    layer = problem.layer
    return {
        "layer": {n: getattr(layer, n) for n in layer.__dataclass_fields__},
        "hardware": {"name": problem.hardware.name, **problem.hardware.to_dict()},
        "tiles": problem.mappings.tiles,
        "model": "fixed" if problem.mappings.fixed else "released",
        "latency_cap": problem.latency_cap,
        "latency_bound": least_cycles(problem.mappings),
    }


def _standing(proven: Certificate, value: float) -> dict[str, Any]:
    """What is proven, and how far above it a value may be."""
    return {
        "optimum": proven.objective if proven.exact else None,
        "lower_bound": proven.lower_bound,
        proven.name: proven.above(value),
        "method": proven.method,
    }


def _told(problem: MappingProblem, mapping: Mappings) -> Explanation:
    return explain(
        problem.layer,
        mapping,
        problem.hardware,
        latency_cap=problem.latency_cap,
        fixed=problem.mappings.fixed,
    )


def _files_of(problem: MappingProblem, told: Explanation) -> dict[str, Any]:
    """A mapping as data and in the notations of others."""
    layer, mapping, array = problem.layer, told.mapping, problem.hardware
    timeloop: dict[str, Any] = {"same": None, "notes": ["a cluster is larger than the array"]}
    if int(mapping.cluster[0]) <= array.num_pes:
        made = timeloop_file(
            layer, mapping, array.num_pes, array.l1_bytes, array.l2_bytes, array.interconnect
        )
        timeloop = {"same": made.same, "notes": list(made.notes)}
    return {
        "mapping": mapping_values(mapping, layer),
        "maestro": mapping.text(0, layer),
        "timeloop": timeloop,
        "explanation": told.to_dict(),
    }


def _write(
    out: Path,
    problem: MappingProblem,
    told: Explanation,
    report: dict[str, Any],
    evaluator: Evaluator | None = None,
) -> list[Path]:
    from hwgym.core.curves import learning_curves
    from hwgym.families.mapping.pictures import mapping_figure
    from hwgym.plotting import save_figure

    layer, array = problem.layer, problem.hardware
    written = [
        write_text(out / "mapping.m", report["maestro"]),
        write_text(out / "mapping.toml", mapping_toml(told.mapping, layer)),
    ]
    if report["timeloop"]["same"] is not None:
        for version in VERSIONS:
            made = timeloop_file(
                layer, told.mapping, array.num_pes, array.l1_bytes, array.l2_bytes,
                array.interconnect, version=version,
            )  # fmt: skip
            written.append(write_text(out / f"timeloop-v{version}.yaml", made.text))
    if told.time:
        written.append(save_figure(mapping_figure(told), out / "mapping.png"))
    if evaluator is not None and evaluator.best is not None:
        curve = learning_curves(problem, {report["search"]["agent"]: evaluator.history})
        written.append(save_figure(curve, out / "learning_curve.png"))
    return [*written, write_text(out / "mapping.json", json_.dumps(report, indent=2) + "\n")]


# --- a mapping of one's own -----------------------------------------------------------------------


def _explain(problem: MappingProblem, source: Path, out: Path | None, json: bool) -> None:
    mapping = read_mapping(source, problem.layer)
    if out is not None:
        folder(out)
    told = _told(problem, mapping)
    value = _value(problem, told) if told.valid else None
    report: dict[str, Any] = {
        **_asked(problem),
        "source": str(source),
        "objective": problem.objective.name,
        "value": value,
        **_files_of(problem, told),
    }
    if value is not None and (problem.mappings.tiles == "any" or mapping.divides(problem.layer)[0]):
        with working("Proving"):
            report |= _standing(_certificate(problem), value)
    if out is not None:
        report["files"] = [str(each) for each in _write(out, problem, told, report)]
    if json:
        print_json(report)
    else:
        _print_explained(problem, told, report)


def _value(problem: MappingProblem, told: Explanation) -> float:
    costs = told.fixed if problem.mappings.fixed else told.costs
    names = {"latency": "runtime_cycles", "energy": "energy_nj", "edp": "edp"}
    return costs[names[problem.objective.name]]


# --- printing -------------------------------------------------------------------------------------


def _print_found(
    problem: MappingProblem, told: Explanation, report: dict[str, Any], proven: Certificate
) -> None:
    console().print(facts(VIEW.facts(problem)))
    _print_nest(told)
    _print_causes(told)
    text = problem.objective.text
    shown: dict[str, object] = {"best mapping": text(report["value"])}
    shown |= _standing_facts(problem, report)
    shown |= _told_facts(told)
    search = report["search"]
    found = "no mapping" if search["value"] is None else text(search["value"])
    found += f" after {search['samples']:,} samples, seed {search['seed']}"
    if search["above"]:
        found += f", {proven.name} {search['above']:.3%}"
    shown[search["agent"]] = found
    if report["found_by"] == "proof" and search["above"]:
        shown["shown"] = "the mapping that the proof found, which is better"
    shown |= _written_facts(report)
    if search["interrupted"]:
        shown["interrupted"] = "what was found until then"
    console().print(facts(shown))
    _print_tables(told)


def _print_explained(problem: MappingProblem, told: Explanation, report: dict[str, Any]) -> None:
    console().print(facts(VIEW.facts(problem)))
    console().print()
    rows = [
        [check.name, Text("yes") if check.holds else Text("no", style="bold red"), check.text]
        for check in told.checks
    ]
    console().print(
        table(["check", "holds", "what it comes to"], rows, left=["check", "holds"],
              wrap=["what it comes to"],
              title="What a mapping must keep to, of MAESTRO "
              + ("with its defects mended" if told.model == "fixed" else "as released"))
    )  # fmt: skip
    _print_nest(told)
    _print_causes(told)
    failed = ", ".join(check.name for check in told.failed)
    shown: dict[str, object] = {
        "verdict": "a machine can do it, and it fits" if told.valid else f"fails: {failed}"
    }
    if report["value"] is not None:
        shown["objective"] = problem.objective.text(report["value"])
        if "lower_bound" in report:
            shown |= _standing_facts(problem, report)
    shown |= _told_facts(told)
    console().print(facts(shown | _written_facts(report)))
    _print_tables(told)


def _print_causes(told: Explanation) -> None:
    for cause in told.causes:
        console().print(Text.assemble(("note: ", "yellow"), cause))


def _standing_facts(problem: MappingProblem, report: dict[str, Any]) -> dict[str, object]:
    text = problem.objective.text
    if report["optimum"] is not None:
        above = "it is this" if report["regret"] == 0 else f"regret {report['regret']:.3%}"
        return {"proven optimum": f"{text(report['optimum'])}; {above} ({report['method']})"}
    return {
        "proven bound": f"{text(report['lower_bound'])}; gap at most {report['gap']:.3%} "
        f"({report['method']})"
    }


def _told_facts(told: Explanation) -> dict[str, object]:
    fixed = told.model == "fixed"
    costs, other = (told.fixed, told.costs) if fixed else (told.costs, told.fixed)
    if not told.time:
        return {"bound by": told.bound}
    hardware = told.hardware
    busiest = max(told.time, key=lambda part: part.cycles)
    whole = sum(part.cycles for part in told.time)
    same = other["runtime_cycles"] == costs["runtime_cycles"]
    same = same and other["energy_nj"] == costs["energy_nj"]
    beside = f"{_cycles(other)}, {other['energy_nj']:,.6g} nJ, EDP {brief(other['edp'], '.6g')}"
    return {
        "latency": _cycles(costs),
        "energy": f"{costs['energy_nj']:,.6g} nJ, of L2 accesses, which is all that MAESTRO counts",
        "EDP": f"{brief(costs['edp'], ',.6g')} nJ x cycles",
        "utilised": f"{costs['utilization']:.2%} of {hardware.num_pes:,} PEs; its steps spread "
        f"over them to {costs['spread_utilization']:.2%}",
        "bound by": f"{told.bound} ({busiest.cycles / whole:.1%} of the cycles)",
        "L1": _used(told.used["l1"], hardware.l1_bytes),
        "L2": _used(told.used["l2"], hardware.l2_bytes),
        "as released" if fixed else "defects mended": "the same" if same else beside,
    }


def _cycles(costs: dict[str, float]) -> str:
    return f"{int(costs['runtime_cycles']):,} cycles"


def _used(used: int, limit: int) -> str:
    return f"{used:,} of {limit:,} B ({used / limit:.1%})"


def _written_facts(report: dict[str, Any]) -> dict[str, object]:
    if "files" not in report:
        return {}
    shown: dict[str, object] = {"written": ", ".join(report["files"])}
    if report["timeloop"]["same"] is False:
        shown["timeloop"] = "another nest: " + report["timeloop"]["notes"][0]
    return shown


def _print_nest(told: Explanation) -> None:
    rows = []
    depth, level = 0, ""
    for loop in told.loops:
        if loop.idle:
            continue  # what is whole is no loop
        shown = "" if loop.level == level else loop.level
        level = loop.level
        rows.append([shown, "  " * depth + loop.text, f"{loop.rounds:,}", loop.edge])
        depth += 1
    sizes = " x ".join(f"{name} {size:,}" for name, size in told.holds[1].items())
    filters = f"R {told.layer.R} x S {told.layer.S}"
    rows.append(["PE", "  " * depth + f"{sizes} x {filters}", f"{told.steps:,}", ""])
    console().print()
    console().print(
        table(
            ["level", "loop nest", "rounds", "at the edge"],
            rows,
            left=["level", "loop nest", "at the edge"],
            title="What is not looped over is whole; rounds of a PE are its multiply-accumulates",
        )
    )


def _print_tables(told: Explanation) -> None:
    if not told.time:
        return
    whole = sum(part.cycles for part in told.time)
    console().print()
    console().print(
        table(
            ["cycles", "%", "of"],
            [
                [f"{part.cycles:,}", f"{part.cycles / whole:.1%}", wait_text(part)]
                for part in told.time
                if part.cycles
            ],
            left=["of"],
            title="Where the cycles go" + (
                ", as MAESTRO counts them as released" if told.model == "fixed" else ""),
        )
    )  # fmt: skip
    energy = sum(tensor.energy_nj for tensor in told.tensors)
    console().print(
        table(
            ["tensor", "elements", "moved", "times", "nJ", "%"],
            [
                [
                    tensor.name, f"{tensor.elements:,}", f"{tensor.moved:,}",
                    f"{tensor.times:.3g}", f"{tensor.energy_nj:,.1f}",
                    f"{tensor.energy_nj / energy:.1%}",
                ]
                for tensor in told.tensors
            ],
            left=["tensor"],
            title="Between L2 and the array: elements read, of outputs written, and their energy",
        )
    )  # fmt: skip

"""``hwgym list``, ``show`` and ``cost``: what there is, and what the cost model says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import typer

import hwgym
from hwgym._names import nearest
from hwgym.agent import agent_names, describe_agents
from hwgym.cli.options import (
    BatchOption,
    DataflowOption,
    HardwareOption,
    JsonOption,
    ReleasedOption,
    environment_ids,
    load_dataflow,
    load_workload,
    problem_of_id,
)
from hwgym.cli.output import (
    Failure,
    amount,
    budget_text,
    console,
    facts,
    facts_with_units,
    objective_text,
    print_json,
    table,
    thousands,
    working,
)
from hwgym.costs.maestro import (
    CONFUCIUX_EYERISS,
    DATAFLOW_FILES,
    DATAFLOWS,
    TECHNOLOGIES,
    Hardware,
    evaluate,
)
from hwgym.costs.maestro.columns import COLUMNS
from hwgym.envs_registry import environments
from hwgym.families.assignment.accounting import ACCOUNTINGS, COMPLETE, MAESTRO
from hwgym.families.assignment.design_space import MIX
from hwgym.families.assignment.problem import PLATFORMS, AssignmentProblem
from hwgym.families.assignment.reports import (
    best_uniform,
    describe_assignment,
    describe_problem,
    describe_workload,
)
from hwgym.workloads import Layer, Workload, models, released_models, workload

PARTS = 12  # layers shown of a long table unless --all
NARROW = 100  # terminals below this width get fewer columns


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_)
    app.command()(show)
    app.command()(cost)


# --- list -----------------------------------------------------------------------------------------


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(help="environments, models, dataflows, agents, technologies, platforms."),
    ] = None,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]...", help="Only what contains all these.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List what there is; with words, only what contains them all.

    Example: [bold]hwgym list environments ResNet50 MIX[/]
    """
    if kind is None:
        _overview(json)
        return
    if kind not in KINDS:
        raise ValueError(nearest("kind", kind, KINDS))
    with working(f"Looking for {kind}"):
        entries = KINDS[kind]()
    wanted = [word.casefold() for word in words or ()]
    chosen = [e for e in entries if all(w in _text_of(e) for w in wanted)]
    if json:
        print_json(chosen)
    elif not chosen:
        console().print(f"none of {len(entries):,} {kind} contains {' and '.join(words or ())}")
    elif len(chosen[0]) == 1:
        for entry in chosen:
            console().print(next(iter(entry.values())), markup=False)
    else:
        columns = list(chosen[0])
        rows = [[_cell(entry.get(c)) for c in columns] for entry in chosen]
        numbers = {c for c in columns if isinstance(chosen[0][c], int | float)}
        texts = [c for c in columns if c not in numbers]
        console().print(table(columns, rows, left=texts, wrap=[c for c in texts if c == "about"]))
    if not chosen:
        raise typer.Exit(1)


def _text_of(entry: dict[str, Any]) -> str:
    return " ".join(_cell(value) for value in entry.values()).casefold()


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{k}={v}" for k, v in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _environments() -> list[dict[str, Any]]:
    return [{"id": env_id} for env_id in environment_ids()]


def _models() -> list[dict[str, Any]]:
    released = set(released_models())
    columns = ("model", "layers", "kinds", "GMACs", "released")
    rows: list[dict[str, Any]] = []
    for name in (*models(), *(n for n in released_models() if n not in models())):
        if name not in models():
            rows.append(dict.fromkeys(columns) | {"model": name, "released": "only"})
            continue
        layers = workload(name)
        kinds = sorted({layer.kind for layer in layers})
        rows.append(
            {
                "model": name,
                "layers": len(layers),
                "kinds": ", ".join(kinds),
                "GMACs": float(f"{layers.macs / 1e9:.3g}"),
                "released": "too" if name in released else "",
            }
        )
    return rows


def _dataflows() -> list[dict[str, Any]]:
    about = {
        "NVDLA": "weight-stationary: parallel over filters and channels",
        "Eyeriss": "row-stationary: parallel over output and filter rows",
        "ShiDianNao": "output-stationary: parallel over output rows and columns",
        CONFUCIUX_EYERISS.name: "ConfuciuX's own Eyeriss; only in the released problem",
    }
    rows = [{"dataflow": name, "about": about.get(name, "")} for name in DATAFLOWS]
    return [*rows, {"dataflow": "MIX", "about": f"any of {', '.join(MIX)}, chosen for each layer"}]


def _technologies() -> list[dict[str, Any]]:
    default = {each.technology.name: name for name, each in ACCOUNTINGS.items()}
    used = {"complete": "HWAssign environments", "maestro": "ConfuciuX environments"}
    return [
        {
            "technology": name,
            "MAC (um^2)": tech.mac_area_um2,
            "MAC (pJ)": tech.mac_energy_nj * 1e3,
            "L1 (um^2/B)": tech.l1_area_um2 / tech.l1_unit_bytes,
            "L2 (um^2/B)": tech.l2_area_um2 / tech.l2_unit_bytes,
            "used by": used.get(default.get(name, ""), ""),
        }
        for name, tech in TECHNOLOGIES.items()
    ]


def _platforms() -> list[dict[str, Any]]:
    return [{"platform": name, "share of the range": share} for name, share in PLATFORMS.items()]


def _agents() -> list[dict[str, Any]]:
    return [
        {
            "agent": a["agent"],
            "sees": a.get("sees", ""),
            "about": a.get("about") or f"not available: {a['missing']}",
        }
        for a in describe_agents()
    ]


KINDS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "environments": _environments,
    "models": _models,
    "dataflows": _dataflows,
    "agents": _agents,
    "technologies": _technologies,
    "platforms": _platforms,
}


def _overview(json: bool) -> None:
    ids = environment_ids()
    found = {
        "environments": ids,
        "models": list(models()),
        "dataflows": [*DATAFLOWS, "MIX"],
        "agents": list(agent_names()),
        "technologies": list(TECHNOLOGIES),
        "platforms": list(PLATFORMS),
    }
    if json:
        print_json(found)
        return
    shown = {kind: ", ".join(names) for kind, names in found.items()}
    shown["environments"] = f"{len(ids):,}, such as {ids[0]}, {ids[-1]}"
    console().print(facts(shown))
    console().print(
        "\n[dim]hwgym list KIND [WORDS] lists one of them; hwgym show NAME explains.[/]"
    )


# --- show -----------------------------------------------------------------------------------------


def show(
    name: Annotated[
        str, typer.Argument(help="An environment, model, file, dataflow, agent or technology.")
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="All layers, however many there are.")
    ] = False,
    batch: BatchOption = None,
    json: JsonOption = False,
) -> None:
    """Explain one thing: an environment with its optimum, a model's layers, an agent's settings.

    Example: [bold]hwgym show HWAssign-MobileNetV2-NVDLA-v0[/]
    """
    if name in DATAFLOWS or name == "MIX" or name.endswith(DATAFLOW_FILES):
        _show_dataflow(name, json)
    elif name in TECHNOLOGIES:
        _show_technology(name, json)
    elif name in agent_names():
        _show_agent(name, json)
    elif name.endswith(FILES) or name in models():
        _show_workload(load_workload(name, batch=batch), everything, json)
    elif name in released_models():
        _show_workload(load_workload(name, released=True), everything, json)
    else:
        names = [*models(), *DATAFLOWS, *agent_names(), *TECHNOLOGIES]
        if "-v" not in name and not name.startswith(("HWAssign", "ConfuciuX-")):
            raise ValueError(nearest("name", name, names) + " or the id of an environment")
        _show_environment(name, everything, json)


def _show_environment(env_id: str, everything: bool, json: bool) -> None:
    problem = problem_of_id(env_id)
    with working("Solving"):
        best = problem.optimum()
    found = describe_assignment(problem, best.assignment)
    uniform = best_uniform(problem)
    if json:
        print_json(
            {
                "id": env_id,
                "kwargs": dict(environments())[env_id],
                "problem": describe_problem(problem),
                "optimum": {
                    **found,
                    "lower_bound": best.lower_bound,
                    "gap": best.gap,
                    "method": best.method,
                },
                "best_uniform": uniform if np.isfinite(uniform) else None,
            }
        )
        return
    out = console()
    out.print(facts(problem_facts(problem), env_id))
    out.print()
    out.print(assignment_table(problem, found, None if everything else PARTS))
    out.print(facts(optimum_facts(problem, found, best.method, uniform)))


def problem_facts(problem: AssignmentProblem) -> dict[str, object]:
    """What is asked."""
    space = problem.space
    styles = " or ".join(d.name for d in space.dataflows)
    released = space.accounting == MAESTRO
    one, several = problem.deployment == "LS", len(space.workload) > 1
    return {
        "network": f"{space.workload.name}, {len(space.workload)} layer{'s' * several}, "
        f"{space.workload.macs / 1e9:.3g} GMACs"
        + (" (ConfuciuX's released table)" if released else ""),
        "each layer gets": f"PEs: {_levels(space.pe_levels)}; filters per PE: "
        f"{_levels(space.tile_levels)}; dataflow: {styles}"
        + (" (all layers the same)" if one else ""),
        "to minimise": {
            "latency": "latency (cycles)",
            "energy": "energy (nJ)",
            "edp": "the sum of the layers' energy x latency (nJ x cycles)",
            "throughput": "the slowest layer's latency, the pipeline's period (cycles)",
        }[problem.objective],
        f"{problem.constraint} budget": budget_text(problem),
        "costs": f"{space.hardware.tech.name}, "
        + ("as MAESTRO prints them" if released else "PEs and buffers, all accesses and MACs"),
    }


def _levels(levels: Sequence[int]) -> str:
    if len(levels) > 2 and levels[-1] - levels[0] == len(levels) - 1:
        return f"{levels[0]} to {levels[-1]}"
    return ", ".join(map(str, levels))


def optimum_facts(
    problem: AssignmentProblem, found: dict[str, Any], method: str, uniform: float
) -> dict[str, object]:
    """What the optimum is worth."""
    best = found["objective"]
    shown: dict[str, object] = {
        "proven optimum": f"{objective_text(problem, best)}  ({method})",
        "with it": ", ".join(
            (
                f"latency {amount(found['latency_cycles'], 'cycles')}",
                f"energy {amount(round(found['energy_nj']), 'nJ')}",
                f"area {amount(found['area_um2'], 'um^2')}",
                f"power {amount(found['power_mw'], 'mW')}",
            )
        ),
        "budget used": f"{found['budget_used']:.2%}",
    }
    if np.isfinite(uniform):
        shown["best uniform"] = (
            f"{objective_text(problem, uniform)}, {uniform / best - 1:.1%} above the optimum"
        )
    else:
        shown["best uniform"] = "none fits the budget"
    return shown


def assignment_table(
    problem: AssignmentProblem, found: dict[str, Any], most: int | None = None
) -> Any:
    """A row a layer: what it gets and costs."""
    mixed = len(problem.space.dataflows) > 1
    rows = found["layers"]
    caption = None
    if most is not None and len(rows) > most + 3:
        caption = f"and {len(rows) - most} more layers: --all shows them"
        rows = rows[:most]
    columns: dict[str, Callable[[dict[str, Any]], object]] = {
        "layer": lambda row: row["layer"],
        "PEs": lambda row: row["pes"],
        "filters": lambda row: row["tile"],
        "dataflow": lambda row: row["dataflow"],
        "cycles": lambda row: f"{row['latency_cycles']:,}",
        "nJ": lambda row: f"{row['energy_nj']:,.0f}",
        "mm²": lambda row: f"{row['area_um2'] / 1e6:.4f}",
        "mW": lambda row: f"{row['power_mw']:,.4g}",
        problem.objective: lambda row: f"{row['cost_share']:.1%}",
        "budget": lambda row: f"{row['usage_share']:.1%}",
    }
    if not mixed:
        del columns["dataflow"]
    if console().width < NARROW:  # what was not asked for goes first
        del columns["nJ" if problem.objective != "energy" else "cycles"]
        del columns["mW" if problem.constraint == "area" else "mm²"]
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    return table(list(columns), cells, left=("layer", "dataflow"), caption=caption)


def _show_workload(layers: Workload, everything: bool, json: bool) -> None:
    found = describe_workload(layers)
    if json:
        print_json(found)
        return
    rows = found["layers"]
    caption = None
    if not everything and len(rows) > PARTS + 3:
        caption, rows = f"and {len(rows) - PARTS} more layers: --all shows them", rows[:PARTS]
    columns = list(rows[0])
    several = "s" * (len(layers) > 1)
    total = f"{len(layers)} layer{several}, {layers.macs:,} MACs, {layers.weights:,} weights"
    console().print(
        table(
            columns,
            [[f"{v:,}" if isinstance(v, int) else v for v in row.values()] for row in rows],
            title=f"{layers.name}: {total}",
            left=("layer", "kind"),
            caption=caption,
        )
    )
    if layers.name in models():
        some = [
            i for i, k in environments() if k["workload"] == layers.name and "released" not in k
        ]
        console().print(f"[dim]{len(some)} environments: hwgym list environments {layers.name}[/]")


def _show_dataflow(name: str, json: bool) -> None:
    if name == "MIX":
        found: dict[str, Any] = {"dataflow": name, "any of": list(MIX)}
    else:
        loaded = load_dataflow(name)
        style = DATAFLOWS[loaded] if isinstance(loaded, str) else loaded
        found = {
            "dataflow": style.name,
            "directives": str(style).splitlines(),
            "depthwise": [str(d) for d in style.depthwise],
        }
    if json:
        print_json(found)
        return
    about = {row["dataflow"]: row["about"] for row in _dataflows()}
    console().print(f"[bold]{found['dataflow']}[/]: {about.get(name, name)}")
    if name == "MIX":
        return
    out = console()
    out.print(facts({"directives": "\n".join(found["directives"])}))
    out.print(facts({"depthwise ": "\n".join(found["depthwise"])}))


def _show_technology(name: str, json: bool) -> None:
    tech = TECHNOLOGIES[name]
    found = {n: getattr(tech, n) for n in tech.__dataclass_fields__}
    if json:
        print_json(found)
    else:
        console().print(facts(found))


def _show_agent(name: str, json: bool) -> None:
    with working(f"Loading {name}"):
        [found] = describe_agents([name])
    if "missing" in found:
        raise Failure(f"{name} is not available: {found['missing']}")
    if json:
        print_json(found)
        return
    console().print(facts({"agent": name, "about": found["about"], "sees": found["sees"]}))
    rows = [
        (key, "None" if value is None else value, found["settings_about"].get(key, ""))
        for key, value in found["settings"].items()
    ]
    if rows:
        console().print()
        console().print(
            table(("setting", "default", "about"), rows, left=["setting"], wrap=["about"])
        )
    console().print(f"[dim]hwgym train {name} ENVIRONMENT --set setting=value[/]")


# --- cost -----------------------------------------------------------------------------------------


def cost(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|FILE|LAYER",
            help="A model or file, with the layer's name or number next; or a layer: "
            "conv:K=64,C=32,OY=56,OX=56,R=3,S=3, dsconv:C=32,... or gemm:M=128,N=768,K=768.",
        ),
    ],
    layer: Annotated[
        str | None, typer.Argument(help="The layer's name, or its number from 1.")
    ] = None,
    pes: Annotated[int, typer.Option("--pes", "-p", help="Processing elements.")] = 16,
    tile: Annotated[int, typer.Option("--tile", "-t", help="Filters held per PE.")] = 4,
    dataflow: DataflowOption = "NVDLA",
    released: ReleasedOption = False,
    technology: Annotated[
        str | None, typer.Option(metavar="NAME", help="Constants (`hwgym list technologies`).")
    ] = None,
    hardware: HardwareOption = None,
    batch: BatchOption = None,
    json: JsonOption = False,
) -> None:
    """Every statistic of one layer at one design point, with its unit and meaning.

    Example: [bold]hwgym cost VGG16 stage1.conv1 --pes 64 --tile 4 --dataflow Eyeriss[/]
    """
    one = _layer(model, layer, released, batch)
    style = load_dataflow(dataflow)
    if style == "MIX":
        raise ValueError("--dataflow: one design point has one dataflow; MIX is for assignments")
    if released and style == "Eyeriss":
        style = CONFUCIUX_EYERISS.name
    for what, number in (("--pes", pes), ("--tile", tile)):
        if number < 1:
            raise ValueError(f"{what} must be a positive integer, got {number}")
    default = (MAESTRO if released else COMPLETE).technology
    if hardware is not None and technology is not None:
        raise ValueError("give --technology or --hardware, not both: the file has a technology")
    array = Hardware(technology=technology or default.name)
    if hardware is not None:
        array = Hardware.from_toml(hardware)
    costs = evaluate(one, style, pes, tile, array)
    name_of_style = style if isinstance(style, str) else style.name
    values = {name: _plain(array) for name, array in costs.as_dict().items()}
    if json:
        print_json(
            {
                "layer": {n: getattr(one, n) for n in one.__dataclass_fields__},
                "dataflow": name_of_style,
                "pes": pes,
                "tile": tile,
                "technology": array.tech.name,
                "valid": bool(costs.valid),
                "statistics": {
                    name: {"value": values[name], "unit": s.unit, "about": s.about}
                    for name, s in COLUMNS.items()
                },
            }
        )
        return
    shape = "x".join(str(getattr(one, n)) for n in ("K", "C", "OY", "OX", "R", "S"))
    console().print(
        f"[bold]{one.name}[/]: {one.kind} K,C,OY,OX,R,S = {shape}, under {name_of_style} with "
        f"{pes} PEs and {tile} filters per PE ({array.tech.name})"
    )
    if one.repeat > 1:
        console().print(
            f"This is one run; the layer runs {one.repeat} times, so in a problem latency and "
            f"energy are {one.repeat} times these."
        )
    if not costs.valid:
        console().print(f"[bold red]invalid[/]: {_why_invalid(costs)}", soft_wrap=True)
    for group in dict.fromkeys(s.group for s in COLUMNS.values()):
        rows = [
            (name, _number(values[name]), s.unit.replace("um^2", "µm²"), s.about)
            for name, s in COLUMNS.items()
            if s.group == group
        ]
        console().print(f"\n[bold]{group}[/]")
        console().print(facts_with_units(rows))


def _plain(array: Any) -> Any:
    value = array.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, bool) else thousands(value)


def _why_invalid(costs: hwgym.Costs) -> str:
    if not costs.mappable:
        return "the array cannot hold the mapping (too few PEs for one cluster)"
    if costs.num_macs < costs.true_macs:
        return (
            f"the mapping performs {int(costs.num_macs):,} of the {int(costs.true_macs):,} MACs "
            "that the layer needs"
        )
    peak = int(costs.num_pes * costs.vector_width)
    if costs.runtime_cycles * peak < costs.true_macs:
        return (
            f"{int(costs.runtime_cycles):,} cycles are fewer than {peak} PEs need for "
            f"{int(costs.true_macs):,} MACs"
        )
    return "its energy is not positive"


FILES = (".csv", ".onnx")
FORMS = {
    "conv": (("K", "C", "OY", "OX", "R", "S"), ("repeat",)),
    "dsconv": (("C", "OY", "OX", "R", "S"), ("repeat",)),
    "gemm": (("M", "N", "K"), ("repeat",)),
}


def _layer(model: str, layer: str | None, released: bool, batch: int | None) -> Layer:
    form, colon, sizes = model.partition(":")
    if colon and not model.endswith(FILES):
        if layer is not None:
            raise ValueError(f"{model!r} is a layer already; {layer!r} is one too many")
        return _parse_layer(form, sizes)
    layers = load_workload(model, released=released, batch=batch)
    names = [each.name for each in layers]
    if layer is None:
        raise ValueError(
            f"which of the {len(layers)} layers of {layers.name}? Give a name or a number, such "
            f"as {names[0]} or 1"
        )
    if re.fullmatch(r"[0-9]+", layer):
        if not 1 <= int(layer) <= len(layers):
            raise ValueError(f"{layers.name} has layers 1 to {len(layers)}, got {layer}")
        return layers[int(layer) - 1]
    if layer not in names:
        raise ValueError(nearest(f"layer of {layers.name}", layer, names))
    return layers[names.index(layer)]


def _parse_layer(form: str, sizes: str) -> Layer:
    if form not in FORMS:
        raise ValueError(nearest("kind of layer", form, FORMS))
    needed, optional = FORMS[form]
    given: dict[str, int] = {}
    for part in filter(None, sizes.split(",")):
        name, equals, number = part.partition("=")
        if name not in needed + optional:
            raise ValueError(f"{form}: {nearest('size', name, needed + optional)}")
        if not equals or not re.fullmatch(r"[0-9]+", number):
            raise ValueError(f"{form}: {name} must be a positive integer, got {number!r}")
        if name in given:
            raise ValueError(f"{form}: {name} is given twice")
        given[name] = int(number)
    if missing := [n for n in needed if n not in given]:
        raise ValueError(f"{form}: {', '.join(missing)} missing; needed are {', '.join(needed)}")
    if form == "gemm":
        return Layer.gemm("gemm", **given)
    return Layer(form, form.upper(), **{"K": 1, **given})

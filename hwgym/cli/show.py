"""``hwgym show``: one thing explained."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import Parameter, signature
from typing import Annotated, Any

import numpy as np
import typer

from hwgym._names import nearest
from hwgym.cli.names import dataflows, model_names
from hwgym.cli.options import (
    FILES,
    BatchOption,
    DimsOption,
    JsonOption,
    is_dataflow,
    load_dataflow,
    load_workload,
    problem_of_id,
)
from hwgym.cli.output import Failure, console, facts, print_json, table, working
from hwgym.core.agents import agent_names, describe_agents
from hwgym.core.certificate import Certificate
from hwgym.core.family import ENVIRONMENT_ARGUMENTS, UnknownId, family_of, kwargs_of, registered_ids
from hwgym.core.problem import Problem
from hwgym.core.view import Row, View, brief
from hwgym.costs.maestro import CLUSTERED, DATAFLOWS
from hwgym.families.assignment.design_space import MIXES
from hwgym.families.assignment.reports import describe_workload
from hwgym.hardware import TECHNOLOGIES
from hwgym.workloads import Workload, models

PARTS = 12  # rows shown of a long table unless --all
ELEMENTS = "filter\nelements"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(show)


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="An environment, model, file, dataflow, agent or technology."
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="All layers, however many there are.")
    ] = False,
    batch: BatchOption = None,
    dims: DimsOption = None,
    json: JsonOption = False,
) -> None:
    """Explain one thing: an environment with its optimum, a model's layers, an agent's settings.

    Example: [bold]hwgym show HWAssign-MobileNetV2-NVDLA-v0[/]
    """
    if is_dataflow(name):
        _show_dataflow(name, json)
    elif name in TECHNOLOGIES:
        _show_technology(name, json)
    elif name in agent_names():
        _show_agent(name, json)
    elif name.endswith(FILES) or name in models():
        _show_workload(load_workload(name, batch=batch, dims=dims), everything, json)
    elif name in model_names():
        _show_workload(load_workload(name, released=True), everything, json)
    else:
        names = [*models(), *DATAFLOWS, *MIXES, *agent_names(), *TECHNOLOGIES]
        kinds = {env_id.partition("-")[0] for env_id in registered_ids()}
        if "-v" not in name and name.partition("-")[0] not in kinds:
            raise ValueError(nearest("name", name, names) + " or the id of an environment")
        _show_environment(name, everything, json)


# --- an environment -------------------------------------------------------------------------------


def _show_environment(env_id: str, everything: bool, json: bool) -> None:
    try:
        problem = problem_of_id(env_id)
    except UnknownId:
        raise
    except ValueError as error:
        _show_arguments(env_id, str(error), json)
        return
    view, kwargs = family_of(env_id).view, kwargs_of(env_id)
    with working("Solving"):
        best = problem.certificate()
    found = view.describe_solution(problem, best.assignment)
    if json:
        uniform = problem.best_uniform()
        print_json(
            {
                "id": env_id,
                "kwargs": kwargs,
                "problem": view.describe(problem),
                "optimum" if best.exact else "best_known": {
                    **found,
                    "lower_bound": best.lower_bound,
                    "gap": best.gap,
                    "method": best.method,
                },
                "best_uniform": uniform if np.isfinite(uniform) else None,
            }
        )
        return
    asked = {k: str(kwargs[k]) for k in ENVIRONMENT_ARGUMENTS if k in kwargs}
    if isinstance(kwargs.get("reward"), list | tuple):
        first = problem.statement.objective.label
        asked["reward"] = (
            f"a vector of {', '.join(kwargs['reward'])}; below is the optimum of {first} alone"
        )
    out = console()
    out.print(facts(view.facts(problem) | asked, env_id))
    out.print()
    out.print(solution_table(view, problem, found, None if everything else PARTS))
    out.print(facts(certificate_facts(view, problem, found, best)))


def _show_arguments(env_id: str, why: str, json: bool) -> None:
    """An environment that poses no problem until it is told more."""
    family, kwargs = family_of(env_id), kwargs_of(env_id)
    taken = [
        p
        for p in signature(family.make).parameters.values()
        if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) and p.name not in kwargs
    ]
    needs = [p.name for p in taken if p.default is Parameter.empty]
    takes = {p.name: p.default for p in taken if p.default is not Parameter.empty}
    if json:
        print_json({"id": env_id, "kwargs": kwargs, "why": why, "needs": needs, "takes": takes})
        return
    shown = {
        "family": family.name,
        "problem": why,
        "give": ", ".join(f"{name}=..." for name in needs),
        "may be given": ", ".join(f"{name}={value!r}" for name, value in takes.items()),
    }
    console().print(facts({k: v for k, v in shown.items() if v}, env_id))
    given = "".join(f", {name}=..." for name in needs)
    console().print(f'[dim]gymnasium.make("{env_id}"{given})[/]')


def certificate_facts(
    view: View, problem: Problem, found: Row, best: Certificate
) -> dict[str, str]:
    """What is proven, what the best solution is worth, and the best uniform one beside it."""
    metric = problem.statement.objective
    value = f"{metric.text(best.objective)}  ({best.method})"
    if best.exact:
        shown = {"proven optimum": value}
    else:
        shown = {
            "best known": value,
            "proven bound": f"{metric.text(best.lower_bound)}, a gap of {best.gap:.2%}",
        }
    shown |= view.solution_facts(problem, found)
    if problem.space.joint is not None and not problem.space.own:
        uniform = problem.best_uniform()
        shown["best uniform"] = "none fits the budget"
        if np.isfinite(uniform):
            yardstick = "optimum" if best.exact else "bound"
            over = f"{best.above(uniform):.1%} above the {yardstick}"
            shown["best uniform"] = f"{metric.text(uniform)}, {over}"
    return shown


def solution_table(view: View, problem: Problem, found: Row, most: int | None = None) -> Any:
    """A row a step of a solution, as :meth:`View.describe_solution` has it."""
    columns = view.columns(problem)
    rows, caption = _beginning(found[view.rows_name], view.rows_name, most)
    return table(
        [column.heading for column in columns],
        [[column.cell(row) for column in columns] for row in rows],
        left=[column.heading for column in columns if column.text],
        spare=[column.heading for column in columns if column.wide],
        caption=caption,
    )


def _beginning(
    rows: Sequence[Row], what: str, most: int | None
) -> tuple[Sequence[Row], str | None]:
    """The first rows of many, and what to say of the rest."""
    if most is None or len(rows) <= most + 3:
        return rows, None
    return rows[:most], f"and {len(rows) - most} more {what}: --all shows them"


# --- other things ---------------------------------------------------------------------------------


def _show_workload(layers: Workload, everything: bool, json: bool) -> None:
    found = describe_workload(layers)
    if json:
        print_json(found)
        return
    rows, caption = _beginning(found["layers"], "layers", None if everything else PARTS)
    several = "s" * (len(layers) > 1)
    total = (
        f"{len(layers)} layer{several}, {layers.macs:,} MACs, {layers.weights:,} filter elements"
    )
    ones = [n for n in rows[0] if all(row[n] == 1 for row in found["layers"])]
    columns = [n for n in rows[0] if n not in ones]
    console().print(
        table(
            [ELEMENTS if name == "filter_elements" else name for name in columns],
            [[v if isinstance(v := row[n], str) else brief(v) for n in columns] for row in rows],
            title=f"{layers.name}: {total}",
            left=("layer", "kind"),
            caption=caption,
        )
    )
    if ones:
        console().print(f"[dim]1 in all layers: {', '.join(ones)}[/]")
    if any(layer.repeat > 1 for layer in layers):
        console().print(
            "[dim]Filter elements are no parameters: what a layer reads again in each of its "
            "repeats counts every time, and of a product of activations the second matrix.[/]"
        )
    of_it = [i for i in registered_ids() if layers.name.casefold() in i.casefold()]
    if of_it and layers.name in models():
        console().print(f"[dim]{len(of_it)} environments: hwgym list environments {layers.name}[/]")


def _show_dataflow(name: str, json: bool) -> None:
    loaded = load_dataflow(name)
    style = (DATAFLOWS | CLUSTERED).get(loaded) if isinstance(loaded, str) else loaded
    about = {row["dataflow"]: row["about"] for row in dataflows()}
    found: dict[str, Any] = {"dataflow": name if style is None else style.name}
    found["about"] = about.get(name) or (style.about if style is not None else "") or name
    if name in MIXES:
        found["any of"] = list(MIXES[name])
    if style is not None:
        found["directives"] = str(style).splitlines()
        found["depthwise"] = [str(d) for d in style.depthwise]
    if json:
        print_json(found)
        return
    out = console()
    out.print(facts({"dataflow  ": found["dataflow"], "about": found["about"]}))
    for what in ("directives", "depthwise "):
        if what.strip() in found:
            out.print(facts({what: "\n".join(found[what.strip()])}))


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

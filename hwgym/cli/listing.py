"""``hwgym list``: what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from hwgym._names import nearest
from hwgym.cli.names import dataflow_names, dataflows, model_names, platforms, technologies
from hwgym.cli.options import JsonOption
from hwgym.cli.output import console, facts, print_json, table, working
from hwgym.core.agents import agent_names, describe_agents
from hwgym.core.family import registered_ids
from hwgym.workloads import models, released_models, workload


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_)


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="environments, models, dataflows, agents, technologies, platforms.",
        ),
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
    return [{"id": env_id} for env_id in registered_ids()]


def _models() -> list[dict[str, Any]]:
    released = set(released_models())
    columns = ("model", "layers", "kinds", "GMACs", "released")
    rows: list[dict[str, Any]] = []
    for name in model_names():
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
    "dataflows": dataflows,
    "agents": _agents,
    "technologies": technologies,
    "platforms": platforms,
}


def _overview(json: bool) -> None:
    ids = registered_ids()
    found = {
        "environments": list(ids),
        "models": list(models()),
        "dataflows": list(dataflow_names()),
        "agents": list(agent_names()),
        "technologies": [row["technology"] for row in technologies()],
        "platforms": [row["platform"] for row in platforms()],
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

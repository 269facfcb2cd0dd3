"""What the documentation says about ids, optima, agents and speed, asked of the package itself.

Written to ``_generated/`` when a build begins; pages include it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

import hwgym
from benchmarks import report
from benchmarks.speed import speed_markdown
from hwgym.agent import describe_agents
from hwgym.costs.maestro import DATAFLOWS, TECHNOLOGIES
from hwgym.costs.maestro.columns import COLUMNS
from hwgym.envs import ACTION_MODES, HWAssignEnv
from hwgym.envs_registry import CONSTRAINTS, OBJECTIVES, PLATFORMS, environments
from hwgym.leaderboard import SUITES
from hwgym.leaderboard.board import load
from hwgym.leaderboard.report import markdown
from hwgym.leaderboard.submission import submission_files

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parents[1]
SPEEDS = HERE.parent / "benchmarks" / "speed.json"
SUBMISSIONS = HERE.parent / "leaderboard" / "lite"


@dataclass(frozen=True)
class Entry:
    """An id, what its specification says, and the proven optimum."""

    env_id: str
    kwargs: Mapping[str, Any]
    problem: hwgym.AssignmentProblem

    @property
    def optimum(self) -> float:
        return self.problem.optimum().objective

    @property
    def best_uniform(self) -> float:
        """The best objective of an assignment that gives all layers the same choice."""
        scores = self.problem.evaluate(self.problem.uniform())
        return float(scores.objective[scores.feasible].min(initial=float("inf")))


@cache
def entries() -> tuple[Entry, ...]:
    """Every registered id."""
    return tuple(
        Entry(env_id, kwargs, hwgym.AssignmentProblem.of(**kwargs))
        for env_id, kwargs in environments()
    )


# --- families -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """Ids that share a page.

    Attributes:
        example: The one that speaks for all.
        belongs: Which ids do.
        speeds: Names of the family in the benchmark's table.
    """

    example: str
    belongs: Callable[[Entry], bool]
    speeds: tuple[str, ...]


def _is(prefix: str, *, mix: bool | None = None) -> Callable[[Entry], bool]:
    def belongs(entry: Entry) -> bool:
        right = mix is None or (entry.kwargs["dataflow"] == "MIX") == mix
        return entry.env_id.startswith(prefix) and right

    return belongs


FAMILIES = {
    "hwassign": Family(
        "HWAssign-MobileNetV2-NVDLA-v0",
        _is("HWAssign-", mix=False),
        ("HWAssign-{model}-{dataflow}",),
    ),
    "hwassign-mix": Family(
        "HWAssign-MobileNetV2-MIX-v0", _is("HWAssign-", mix=True), ("HWAssign-{model}-MIX",)
    ),
    "hwassign-ls": Family(
        "HWAssignLS-MobileNetV2-NVDLA-v0",
        _is("HWAssignLS-"),
        ("HWAssignLS-{model}-{dataflow}", "HWAssignLS-{model}-MIX"),
    ),
    "confuciux": Family(
        "ConfuciuX-MobileNetV2-NVDLA-IoT-v0", _is("ConfuciuX-"), ("ConfuciuX-{model}-{dataflow}",)
    ),
}


def table(header: Sequence[str], rows: Sequence[Sequence[object]], right: int = 99) -> str:
    """A Markdown table; columns from ``right`` on are aligned right."""
    rules = ["---:" if i >= right else "---" for i in range(len(header))]
    lines = [header, rules, *[[str(cell) for cell in row] for row in rows]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def glance(family: Family) -> str:
    """Spaces of the example, and how many ids there are."""
    ids = [e for e in entries() if family.belongs(e)]
    modes = []
    for mode in ACTION_MODES:
        env = gym.make(family.example, action_mode=mode)
        modes.append((mode, env.action_space))
    (example,) = (e for e in ids if e.env_id == family.example)
    layers = [len(e.problem.space.workload) for e in ids]
    steps = sorted({e.problem.num_steps for e in ids})
    rows = [
        ("Ids", f"{len(ids)}, for example `{family.example}`"),
        ("Import", f'`gym.make("hwgym:{family.example}")`'),
        *((f"Action space, `{mode}`", f"`{space}`") for mode, space in modes),
        ("Observation space", f"`Box(-1.0, 1.0, {env.observation_space.shape}, float32)`"),
        ("Networks", f"{len({e.kwargs['workload'] for e in ids})}, of {min(layers)} to "
                     f"{max(layers)} layers"),
        ("Steps of an episode", steps[0] if len(steps) == 1 else f"{steps[0]} to {steps[-1]}, "
                                "one a layer"),
        ("Choices of a step", example.problem.num_actions),
    ]  # fmt: skip
    return table(("", ""), rows)


def speed(family: Family | None = None) -> str:
    """Steps a second beside CartPole's, if they have been measured."""
    rows = []
    if SPEEDS.is_file():
        rows = [row for row in report.all_rows(report.load(SPEEDS)) if row.part == "speed"]
    if family is not None:
        rows = [row for row in rows if row.name in family.speeds]
    if not rows:
        return "Not measured on this copy: `python -m benchmarks --only speed` does it.\n"
    text = speed_markdown(rows)
    if family is None:
        return text
    # A family's page has its figures side by side with how they are stepped: a row for each.
    header, _, *lines = [[c.strip() for c in line[2:-2].split(" | ")] for line in text.splitlines()]
    columns = list(zip(header, *lines, strict=True))[1:]
    return table(("steps per second", *(line[0] for line in lines)), columns, right=1)


def optima(family: Family) -> str:
    """The proven optima, a table for each kind of id and a column for each platform."""
    chosen = [e for e in entries() if family.belongs(e)]
    out = []
    for title, pattern, columns in _layouts(chosen):
        groups: dict[tuple[str, str], dict[str, Entry]] = {}
        for entry in chosen:
            for column in columns:
                key = (entry.kwargs["workload"], entry.kwargs["dataflow"])
                if entry.env_id == pattern.format(model=key[0], dataflow=key[1], platform=column):
                    groups.setdefault(key, {})[column] = entry
        rows = [(*key, *(f"{row[c].optimum:,.0f}" for c in columns)) for key, row in groups.items()]
        shown = pattern.format(model="{Model}", dataflow="{Dataflow}", platform="{Platform}")
        out.append(f"### {title}\n\n`{shown}`\n")
        out.append(table(("Model", "Dataflow", *columns), rows, right=2))
    return "\n".join(out)


def _layouts(chosen: Sequence[Entry]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Title, pattern of the ids, and columns of each table."""
    first = chosen[0].env_id.partition("-")[0]
    platforms = tuple(PLATFORMS)
    if first == "HWAssignLS":
        yield (
            "Cycles, least latency under an area budget",
            "HWAssignLS-{model}-{dataflow}-v0",
            ("IoT",),
        )
    elif first == "ConfuciuX":
        pattern = "ConfuciuX-{model}-{dataflow}-{platform}-v0"
        yield "Cycles, least latency under an area budget", pattern, platforms
    else:
        units = {"Latency": "Cycles, least latency", "Energy": "nJ, least energy"}
        for o in OBJECTIVES:
            for c in CONSTRAINTS:
                an = "an" if c == "Area" else "a"
                pattern = f"HWAssign-{{model}}-{{dataflow}}-{o}-{c}-{{platform}}-v0"
                yield f"{units[o]} under {an} {c.lower()} budget", pattern, platforms


def optima_csv() -> str:
    """Every id with its problem, its optimum and the best uniform assignment."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ("env_id", "workload", "dataflow", "layers", "objective", "constraint", "platform",
         "deployment", "released", "budget", "budget_unit", "optimum", "optimum_unit",
         "best_uniform")
    )  # fmt: skip
    for entry in entries():
        p = entry.problem
        unit = "nJ" if p.objective == "energy" else "cycles"
        writer.writerow(
            (entry.env_id, entry.kwargs["workload"], entry.kwargs["dataflow"],
             len(p.space.workload), p.objective, p.constraint, p.platform, p.deployment,
             entry.kwargs.get("released", False), repr(p.budget), p.unit, repr(entry.optimum),
             unit, repr(entry.best_uniform))
        )  # fmt: skip
    return out.getvalue()


def reference() -> str:
    """The environment's docstring, which is the reference of all families."""
    return cleandoc(HWAssignEnv.__doc__ or "") + "\n"


# --- the rest -----------------------------------------------------------------------------------


def agents() -> str:
    """Every agent with what it sees."""
    rows = [
        (f"[`{a['agent']}`](#{_anchor(a)})", a["sees"], _code(a["about"]))
        for a in describe_agents()
        if "about" in a
    ]
    return table(("agent", "sees", "what"), rows)


def settings() -> str:
    """The settings of every agent; those that share theirs share a table."""
    shared: dict[str, list[dict[str, Any]]] = {}
    for agent in describe_agents():
        if "about" in agent:
            alike = json.dumps(agent["settings_about"]) if agent["settings"] else agent["agent"]
            shared.setdefault(alike, []).append(agent)
    out = []
    for group in shared.values():
        out += [f"({_anchor(agent)})=" for agent in group]
        out.append("### " + ", ".join(f"`{agent['agent']}`" for agent in group) + "\n")
        for agent in group:
            out.append(f"- `{agent['agent']}`: {_code(agent['about'])}. Sees {agent['sees']}.")
        about = group[0]["settings_about"]
        rows = [
            (f"`{name}`", _default(name, value, group), _code(about[name]))
            for name, value in group[0]["settings"].items()
        ]
        out.append("\n" + (table(("setting", "default", "what"), rows) if rows else ""))
    return "\n".join(out)


def _default(name: str, value: object, group: Sequence[Mapping[str, Any]]) -> str:
    if len({repr(a["settings"][name]) for a in group}) > 1:
        return "its name"
    if hasattr(value, "__dataclass_fields__"):
        return f"`{type(value).__name__}()`"
    return f"`{value!r}`"


def _anchor(agent: Mapping[str, Any]) -> str:
    return f"agent-{agent['agent']}"


def _code(text: str) -> str:
    """Docstrings quote code as reStructuredText does."""
    return text.replace("``", "`")


def statistics() -> str:
    """Every column of the cost model."""
    rows = [(f"`{name}`", s.unit.replace("^2", "²"), s.about) for name, s in COLUMNS.items()]
    return table(("column", "unit", "what"), rows)


def technologies() -> str:
    """The presets side by side."""
    presets = list(TECHNOLOGIES.values())
    names = [f.name for f in fields(presets[0]) if f.name != "name"]
    rows = [(f"`{n}`", *(f"{getattr(t, n):g}" for t in presets)) for n in names]
    return table(("constant", *(f"`{t.name}`" for t in presets)), rows, right=1)


def dataflows() -> str:
    """The directives of the dataflows with a name."""
    out = []
    for flow in DATAFLOWS.values():
        out.append(f"### {flow.name}\n\n```text\n{flow}\n```\n")
    depthwise = "\n".join(str(d) for d in hwgym.costs.maestro.DEPTHWISE)
    out.append(f"### Depthwise layers, under any of them\n\n```text\n{depthwise}\n```\n")
    return "\n".join(out)


def models() -> str:
    """The networks with their size."""
    rows = []
    for name in hwgym.models():
        network = hwgym.workload(name)
        distinct = len(network.unique()[0])
        rows.append((name, len(network), distinct, f"{network.macs / 1e6:,.0f}"))
    return table(("model", "layers", "distinct shapes", "million MACs"), rows, right=1)


def suites() -> str:
    """The leaderboard's suites."""
    rows = [
        (f"`{s.name}`", len(s.tasks), f"{max(t.samples for t in s.tasks):,}",
         f"{s.time_limit:g} s", s.about)
        for s in SUITES.values()
    ]  # fmt: skip
    return table(("suite", "tasks", "samples", "time limit", "what"), rows)


def results() -> str:
    """The ranking of the repository's submissions, costed anew."""
    if not SUBMISSIONS.is_dir() or not submission_files(SUBMISSIONS):
        return "No submissions on this copy.\n"
    return markdown(load([SUBMISSIONS]))


def parts() -> dict[str, str]:
    """All files with their text."""
    made = {
        "agents.part.md": agents(),
        "settings.part.md": settings(),
        "statistics.part.md": statistics(),
        "technologies.part.md": technologies(),
        "dataflows.part.md": dataflows(),
        "models.part.md": models(),
        "suites.part.md": suites(),
        "results.part.md": results(),
        "speed.part.md": speed(),
        "environment.part.md": reference(),
        "optima.csv": optima_csv(),
    }
    for name, family in FAMILIES.items():
        made[f"{name}.glance.part.md"] = glance(family)
        made[f"{name}.optima.part.md"] = optima(family)
        made[f"{name}.speed.part.md"] = speed(family)
    return made


def write(_app: Sphinx) -> None:
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    for name, text in parts().items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

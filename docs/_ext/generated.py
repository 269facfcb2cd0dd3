"""What the documentation says about ids, optima, agents and speed, asked of the package itself.

Written to ``_generated/`` when a build begins; pages include it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from inspect import cleandoc, getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

import hwgym
from benchmarks import aqgan, claim, dcp, gamma, hetero, quant_proxy, report
from benchmarks.optima import ACCURACIES, recorded
from benchmarks.optima import FILE as OPTIMA
from benchmarks.speed import speed_markdown
from hwgym.core import ACTION_MODES, METRICS, describe_agents, family_of, problem_of
from hwgym.core.family import kwargs_of, registered_ids
from hwgym.core.problem import most_steps
from hwgym.core.view import brief
from hwgym.costs.maestro import CLUSTERED, DATAFLOWS, KINDS, TECHNOLOGIES
from hwgym.costs.maestro.columns import COLUMNS
from hwgym.families import FAMILIES
from hwgym.families.assignment.ids import PLATFORMS
from hwgym.families.quant.problem import TABULATED
from hwgym.hardware import DRAM_PJ_PER_BIT, SILICON, macros
from hwgym.leaderboard import SUITES
from hwgym.workloads import MIXES

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parents[1]
SPEEDS = HERE.parent / "benchmarks" / "speed.json"


# --- ids ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """Ids that share a page.

    Attributes:
        example: The one that speaks for all.
        about: What they pose, in a line.
        belongs: Whether an id does, given its keyword arguments.
        speeds: Names of the group in the benchmark's table.
    """

    example: str
    about: str
    belongs: Callable[[str, Mapping[str, Any]], bool]
    speeds: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """All of them."""
        own = [env_id for family in FAMILIES for env_id in registered_ids(family)]
        return [env_id for env_id in own if self.belongs(env_id, kwargs_of(env_id))]


def _of(family: str, env_id: str, kwargs: Mapping[str, Any]) -> bool:
    return family_of(env_id).name == family and bool(kwargs)


def _scalar(env_id: str, kwargs: Mapping[str, Any]) -> bool:
    scalar = "reward" not in kwargs and not kwargs.get("released")
    return _of("assignment", env_id, kwargs) and scalar


GROUPS = {
    "hwassign": Group(
        "HWAssign-MobileNetV2-NVDLA-v0",
        "a partition for each layer; one dataflow for all layers",
        lambda i, kwargs: _scalar(i, kwargs) and kwargs["dataflow"] != "MIX",
        ("HWAssign-{model}-{dataflow}",),
    ),
    "hwassign-mix": Group(
        "HWAssign-MobileNetV2-MIX-v0",
        "the same, and the agent chooses the dataflow of each layer, too",
        lambda i, kwargs: _scalar(i, kwargs) and kwargs["dataflow"] == "MIX",
        ("HWAssign-{model}-MIX",),
    ),
    "confuciux": Group(
        "ConfuciuX-MobileNetV2-NVDLA-IoT-v0",
        "the problem as ConfuciuX's released code poses it",
        lambda _, kwargs: kwargs.get("released", False),
        ("ConfuciuX-{model}-{dataflow}",),
    ),
    "mo": Group(
        "mo-HWAssign-MobileNetV2-NVDLA-v0",
        "no budget, and a vector of latency, energy and area as reward",
        lambda _, kwargs: "reward" in kwargs,
        ("mo-HWAssign-{model}-{dataflow}",),
    ),
    "loopnest": Group(
        "HWAssign-MobileNetV2-NVDLA-v1",
        "an array, its buffers and a template for each layer, by a cost model to trust",
        lambda i, kwargs: _of("loopnest", i, kwargs),
        ("HWAssign-{model}-{template}",),
    ),
    "systolic": Group(
        "HWAssign-MobileNetV2-SystolicWS-v0",
        "a systolic array and SRAM for each layer, with SCALE-Sim's cycles and DRAM",
        lambda i, kwargs: _of("systolic", i, kwargs),
        ("HWAssign-{model}-Systolic{dataflow}",),
    ),
    "multi": Group(
        "HWAssignMulti-Val-v0",
        "each episode another network, budget and machine, none of them seen before",
        lambda i, kwargs: _of("assignment_multi", i, kwargs),
    ),
    "mapping": Group(
        "HWMap-GAMMA-ResNet50-20-Edge-EDP-v0",
        "a layer's mapping, decision by decision, on MAESTRO: GAMMA's search",
        lambda i, kwargs: _of("mapping", i, kwargs),
        ("HWMap-{layer}-v0",),
    ),
    "mapping-loopnest": Group(
        "HWMap-BERT-4-Edge-EDP-v1",
        "a layer's mapping, decision by decision, by a cost model to trust",
        lambda i, kwargs: _of("mapping_loopnest", i, kwargs),
        ("HWMap-{layer}-v1",),
    ),
    "mapping-network": Group(
        "HWMapNet-MobileNetV2-Edge-Cluster-EDP-v0",
        "the mappings of a network's layers, which share cluster, loop orders or hardware",
        lambda i, kwargs: _of("mapping_network", i, kwargs),
        ("HWMapNet-{model}",),
    ),
    "group": Group(
        "HWGroup-Vision-S2-v0",
        "a core and a priority for each of 100 jobs that share a bandwidth: MAGMA's search",
        lambda i, kwargs: _of("group", i, kwargs),
        ("HWGroup-{mix}",),
    ),
    "hetero": Group(
        "HWHetero-Mobile-1024-v0",
        "sub-accelerators of several kinds, and which layer each runs when: Herald's search",
        lambda i, kwargs: _of("hetero", i, kwargs),
        ("HWHetero-{mix}",),
    ),
    "precision": Group(
        "HWQuant-MNIST5k-Energy-60-v0",
        "bits of each layer's weights and activations, with real accuracy: HAQ's search",
        lambda i, kwargs: _of("quant", i, kwargs) and kwargs["workload"] in TABULATED,
        ("HWQuant-Digits",),
    ),
    "precision-proxy": Group(
        "HWQuant-MobileNetV2-Energy-60-v0",
        "the same of the zoo's networks, with a proxy of accuracy",
        lambda i, kwargs: _of("quant", i, kwargs) and kwargs["workload"] not in TABULATED,
        ("HWQuant-{model}",),
    ),
    "own": Group(
        "HWAssign-v0",
        "your own network, accelerator, budget; one configuration for all layers; several problems",
        lambda _, kwargs: not kwargs,
        ("HWAssign-v0, LS", "HWAssign-v0, LS, MIX"),
    ),
}


def table(header: Sequence[str], rows: Sequence[Sequence[object]], right: int = 99) -> str:
    """A Markdown table; columns from ``right`` on are aligned right."""
    rules = ["---:" if i >= right else "---" for i in range(len(header))]
    lines = [header, rules, *[[str(cell) for cell in row] for row in rows]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


OVER = {"workload": "Networks", "layer": "Layers", "mix": "Mixes"}
"""The argument that says what problems are of, and what those are called."""


def groups() -> str:
    """A row a group."""
    rows = [(f"{{doc}}`{name}`", len(group.ids), group.about) for name, group in GROUPS.items()]
    return table(("page", "ids", "problem"), rows)


def glance(group: Group) -> str:
    """Spaces of the example, and how many ids there are."""
    modes = []
    for mode in ACTION_MODES:
        env = gym.make(group.example, action_mode=mode)
        modes.append((mode, env.action_space))
    ids = group.ids
    spaces = [
        ("Ids", f"{len(ids)}, for example `{group.example}`"),
        ("Import", f'`gym.make("hwgym:{group.example}")`'),
        *((f"Action space, `{mode}`", f"`{space}`") for mode, space in modes),
        ("Observation space", f"`Box(-1.0, 1.0, {env.observation_space.shape}, float32)`"),
    ]
    bank = env.unwrapped.sampler
    if bank.random:
        rows = [
            *spaces,
            ("Problems", f"{len(bank.problems):,}, one an episode"),
            ("Steps of an episode", f"one a layer, {most_steps(bank.problems)} at most"),
            ("Choices of a step", bank.problems[0].space.num_actions),
        ]
        return table(("", ""), rows)
    steps = sorted({_steps(env_id) for env_id in ids})
    posed = [kwargs_of(env_id) for env_id in ids]
    given = next(name for name in OVER if all(name in asked for asked in posed))
    over = {str(asked[given]) for asked in posed}
    each = "decision" if problem_of(group.example).space.own else "layer"
    if given == "mix" and each == "layer":
        each = "job"
    between = f"{len(over)}, of " + " to ".join(map(str, sorted({steps[0], steps[-1]})))
    rows = [
        *spaces,
        (OVER[given], f"{between} {each}s"),
        ("Steps of an episode", f"one a {each}"),
        ("Choices of a step", problem_of(group.example).space.num_actions),
    ]
    if hasattr(env.unwrapped, "reward_space"):
        rows.append(("Reward space", f"`{env.unwrapped.reward_space}`"))
    return table(("", ""), rows)


def _steps(env_id: str) -> int:
    """Those of an episode; variants that are not ranked have no row."""
    row = recorded().get(env_id)
    return int(row["steps"]) if row else problem_of(env_id).num_steps


def speed(group: Group | None = None) -> str:
    """Steps a second beside CartPole's, if they have been measured."""
    wanted = group.speeds if group else [name for g in GROUPS.values() for name in g.speeds]
    rows = []
    if SPEEDS.is_file():
        measured = report.all_rows(report.load(SPEEDS))
        rows = [row for row in measured if row.part == "speed" and row.name in wanted]
    if not rows:
        return "Not measured on this copy: `python -m benchmarks --only speed` does it.\n"
    text = speed_markdown(rows)
    if group is None:
        return text
    # A group's page has its figures side by side with how they are stepped: a row for each.
    header, _, *lines = [[c.strip() for c in line[2:-2].split(" | ")] for line in text.splitlines()]
    columns = list(zip(header, *lines, strict=True))[1:]
    return table(("steps per second", *(line[0] for line in lines)), columns, right=1)


def _rows(group: Group) -> Iterator[tuple[str, Mapping[str, str]]]:
    """What is recorded of a group's ids."""
    for env_id, row in recorded().items():
        if group.belongs(env_id, kwargs_of(env_id)):
            yield env_id, row


def optima(group: Group) -> str:
    """The proven optima, a table for each objective and constraint, a column for each platform."""
    tables: dict[str, dict[tuple[str, str], dict[str, str]]] = {}
    titles = {}
    for env_id, told in _rows(group):
        if "{Platform}" not in (pattern := _pattern(env_id)):
            continue  # short for one that has all in its id
        asked = kwargs_of(env_id)
        objective, constraint = METRICS[told["objective"]], METRICS[told["constraint"]]
        an = "an" if constraint.label[0] in "aeiou" else "a"
        titles[pattern] = (
            f"Least {objective.label} ({objective.unit}) under {an} {constraint.label} budget"
        )
        row = tables.setdefault(pattern, {}).setdefault((asked["workload"], _style(asked)), {})
        row[asked["platform"]] = f"{float(told['best']):,.0f}"
    out = []
    for pattern, rows in tables.items():
        lines = [(*key, *(found.get(p, "-") for p in PLATFORMS.values()))
                 for key, found in rows.items()]  # fmt: skip
        out.append(f"### {titles[pattern]}\n\n`{pattern}`\n")
        out.append(table(("Model", "Dataflow", *PLATFORMS), lines, right=2))
    out.append(
        "A dash: no id, because the budget does not bind or the best uniform assignment is within "
        "1 % of the optimum.\n"
    )
    return "\n".join(out)


def mapping_optima(group: Group) -> str:
    """What is proven of ids whose solutions have no table, a row each."""
    rows, units = [], {}
    for env_id, told in _rows(group):
        metrics = [metric for metric in METRICS.values() if f"best_{metric.column}" in told]
        units = {metric.name: metric.shown_unit for metric in metrics}
        shown = [brief(float(m.shown(float(told[f"best_{m.column}"])))) for m in metrics]
        best, lower_bound = float(told["best"]), float(told["lower_bound"])
        gap = best / lower_bound - 1
        proven = f"at most {gap:.2%} above the optimum" if gap else "proven"
        rows.append((f"`{env_id}`", brief(best), *shown, proven,
                     f"{best / float(told['relaxation']):.3f}"))  # fmt: skip
    header = ("id", "best", *units.values(), "proof", "over the simplest bound")
    return table(header, rows, right=1)


def precision_optima(group: Group) -> str:
    """Optima of ids whose objective tells of accuracy, and the best uniform bits, a row each."""
    rows = []
    for env_id, told in _rows(group):
        best, uniform = float(told["best"]), float(told["best_uniform"])
        if told["objective"] == "errors":
            both = [float(told[f"best_{each}"]) for each in ACCURACIES]
            right = [f"{share:.1%}".replace("%", " %") for share in both]
            rows.append((f"`{env_id}`", brief(best, ",.2f"), *right, brief(uniform, ",.2f")))
        else:
            decibel = f"{-10 * math.log10(best):.1f}"
            rows.append((f"`{env_id}`", f"{best:.4g}", decibel, f"{uniform:.4g}"))
    header = ("id", "errors", "right, searched on", "right, held back", "errors of uniform bits")
    if rows and len(rows[0]) == 4:
        header = ("id", "noise", "signal to noise (dB)", "noise of uniform bits")
    return table(header, rows, right=1)


def _style(kwargs: Mapping[str, Any]) -> str:
    """The dataflow of an id, or its template."""
    style: str = kwargs["dataflow"] if "dataflow" in kwargs else kwargs["template"]
    return style


def _pattern(env_id: str) -> str:
    """An id with braces in place of what a table's rows and columns say."""
    kwargs = kwargs_of(env_id)
    parts = env_id.split("-")
    named = {kwargs["workload"]: "{Model}", _style(kwargs): "{Dataflow}"}
    named |= dict.fromkeys(PLATFORMS, "{Platform}")
    return "-".join([parts[0], *(named.get(part, part) for part in parts[1:])])


def reference(group: Group) -> str:
    """The docstring of a group's environments, which is their reference."""
    env = gym.make(group.example)
    return cleandoc(getdoc(type(env.unwrapped)) or "") + "\n"


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


def columns() -> str:
    """Every column of the cost model."""
    rows = [(f"`{name}`", s.unit.replace("^2", "²"), s.about) for name, s in COLUMNS.items()]
    return table(("column", "unit", "what"), rows)


def technologies() -> str:
    """The presets side by side."""
    presets = list(TECHNOLOGIES.values())
    names = [f.name for f in fields(presets[0]) if f.name != "name"]
    rows = [(f"`{n}`", *(f"{getattr(t, n):g}" for t in presets)) for n in names]
    return table(("constant", *(f"`{t.name}`" for t in presets)), rows, right=1)


HOROWITZ = "Horowitz, ISSCC 2014"
ALADDIN = "Aladdin's table of 40 nm in Accelergy's library, times (45/40)²"
STILLMAKER = "45 nm: CACTI 7; 28 nm: Stillmaker and Baas 2017"
SILICON_ROWS = {
    "multiply_pj": ("8-bit by 8-bit multiplication, pJ", HOROWITZ),
    "add_pj": ("32-bit addition, pJ", HOROWITZ),
    "multiply_area_um2": ("8-bit by 8-bit multiplier, µm²", ALADDIN),
    "add_area_um2": ("32-bit adder, µm²", ALADDIN),
    "sram_energy_factor": ("energies of memories, times 45 nm", STILLMAKER),
    "sram_area_factor": ("areas of memories, times 45 nm", STILLMAKER),
}
"""What a constant is, and where its value for 45 nm is from."""


def silicon() -> str:
    """The presets of silicon side by side, with their sources; then DRAM."""
    presets = SILICON.values()
    rows = [
        (f"`{name}`", what, *(f"{getattr(each, name):.4g}" for each in presets), source)
        for name, (what, source) in SILICON_ROWS.items()
    ]
    rows += [
        (
            f"`{kind}`",
            "DRAM, pJ per bit",
            *[f"{pj:g}" for _ in presets],
            "Accelergy's CACTI plug-in",
        )
        for kind, pj in DRAM_PJ_PER_BIT.items()
    ]
    return table(("constant", "what", *(f"`{each}`" for each in SILICON), "source"), rows)


def memories() -> str:
    """What a byte and a whole memory take by size."""
    made = {macro.bytes: macro for macro in macros()}
    rows = []
    for size in sorted({1, 4, 16, 64, 256, 2**13, 2**15, 2**22, *made}):
        name = f"{size} B" if size < 2**10 else f"{size >> 10} KiB"
        word = f"{made[size].word_bytes} B" if size in made else "computed"
        costs = [
            (
                each.sram_read_pj_per_byte(size),
                each.sram_write_pj_per_byte(size),
                each.sram_area_um2(size),
            )
            for each in SILICON.values()
        ]
        leakage = f"{made[size].leakage_mw * 1e3:.2g}" if size in made else ""
        numbers = [f"{read:.4g} / {write:.4g}" for read, write, _ in costs]
        areas = [f"{area:,.4g}" if area < 1e4 else f"{area:,.0f}" for *_, area in costs]
        rows.append((name, word, *numbers, *areas, leakage))
    header = (
        "size",
        "CACTI's word",
        *(f"read / write, pJ per byte, `{each}`" for each in SILICON),
        *(f"area, µm², `{each}`" for each in SILICON),
        "leakage, µW, 45 nm",
    )
    return table(header, rows, right=2)


def dataflows() -> str:
    """The directives of the dataflows with a name."""
    out = []
    for flow in (*DATAFLOWS.values(), *CLUSTERED.values()):
        about = f"{flow.about[0].upper()}{flow.about[1:]}."
        out.append(f"### {flow.name}\n\n{about}\n\n```text\n{flow}\n```\n")
    depthwise = "\n".join(str(d) for d in hwgym.costs.maestro.DEPTHWISE)
    out.append(f"### Depthwise layers, under any of them\n\n```text\n{depthwise}\n```\n")
    return "\n".join(out)


def kinds() -> str:
    """The directives of the kinds of sub-accelerators."""
    out = []
    for flow in KINDS.values():
        about = f"{flow.about[0].upper()}{flow.about[1:]}. Below, depthwise layers."
        depthwise = "\n".join(map(str, flow.depthwise))
        out.append(f"### {flow.name}\n\n{about}\n\n```text\n{flow}\n\n{depthwise}\n```\n")
    return "\n".join(out)


def models() -> str:
    """The networks with their size."""
    rows = []
    for name in hwgym.models():
        network = hwgym.workload(name)
        distinct = len(network.unique()[0])
        rows.append((name, len(network), distinct, f"{network.macs / 1e6:,.0f}"))
    return table(("model", "layers", "distinct shapes", "million MACs"), rows, right=1)


def mixes() -> str:
    """The mixes of networks with their size."""
    rows = []
    for each in MIXES.values():
        networks = each.instances()
        macs = [network.macs for network in networks]
        foreign = [f"{ours} for {theirs}" for ours, theirs in each.stand_ins.items()]
        foreign += [f"no {theirs}" for theirs in each.missing]
        rows.append((
            each.name,
            str(each),
            each.about,
            "; ".join(foreign),
            sum(map(len, networks)),
            f"{sum(macs) / 1e6:,.0f}",
            f"{max(macs) / sum(macs):.0%}",
        ))  # fmt: skip
    header = ("mix", "networks", "after", "in place of others", "layers", "million MACs", "longest")
    return table(header, rows, right=4)


def suites() -> str:
    """The leaderboard's suites."""
    rows = [
        (f"`{s.name}`", len(s.tasks), f"{max(t.samples for t in s.tasks):,}",
         f"{s.time_limit:g} s", s.about)
        for s in SUITES.values()
    ]  # fmt: skip
    return table(("suite", "tasks", "samples", "time limit", "what"), rows)


def parts() -> dict[str, str]:
    """All files with their text."""
    made = {
        "agents.part.md": agents(),
        "settings.part.md": settings(),
        "columns.part.md": columns(),
        "technologies.part.md": technologies(),
        "silicon.part.md": silicon(),
        "memories.part.md": memories(),
        "dataflows.part.md": dataflows(),
        "kinds.part.md": kinds(),
        "models.part.md": models(),
        "mixes.part.md": mixes(),
        "suites.part.md": suites(),
        "speed.part.md": speed(),
        "groups.part.md": groups(),
        "gamma-counts.part.md": gamma.counts_markdown(),
        "gamma-layers.part.md": gamma.layers_markdown(),
        "gamma-winners.part.md": gamma.winners_markdown(),
        "aqgan.part.md": aqgan.markdown(),
        "claim.part.md": claim.markdown(),
        "dcp.part.md": dcp.markdown(),
        "heterogeneous.part.md": hetero.markdown(),
        "heterogeneous-energy.part.md": hetero.energy_markdown(),
        "optima.csv": OPTIMA.read_text(encoding="utf-8"),
    }
    for name in quant_proxy.TABLES:
        made[f"precision-{name}.part.md"] = quant_proxy.markdown(name)
    for name, group in GROUPS.items():
        if group.speeds:
            made[f"{name}.speed.part.md"] = speed(group)
        if not kwargs_of(group.example):
            continue  # it poses no problem of its own
        made[f"{name}.glance.part.md"] = glance(group)
        made[f"{name}.reference.part.md"] = reference(group)
        if group.example in recorded():
            example = problem_of(group.example)
            told = optima
            if example.statement.key["family"] == "quant":
                told = precision_optima
            elif example.space.own:
                told = mapping_optima
            made[f"{name}.optima.part.md"] = told(group)
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

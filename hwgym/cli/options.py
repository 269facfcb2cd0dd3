"""What several commands take, and the problem that it makes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from hwgym import workloads
from hwgym._names import nearest
from hwgym.cli.names import dataflow_names
from hwgym.cli.output import Failure
from hwgym.core.family import UnknownId, family_named, problem_of, registered_ids
from hwgym.core.problem import InfeasibleError, Problem
from hwgym.core.view import View
from hwgym.costs.maestro import (
    CLUSTERED,
    DATAFLOW_FILES,
    Dataflow,
    dataflow,
    file_and_layer,
)
from hwgym.families.assignment.design_space import PE_LEVELS, TILE_LEVELS
from hwgym.families.assignment.problem import (
    CONSTRAINTS,
    OBJECTIVES,
    PLATFORMS,
    AssignmentProblem,
)
from hwgym.families.assignment.reports import UNLIMITED
from hwgym.hardware import Hardware
from hwgym.workloads import Workload
from hwgym.workloads.onnx_reader import FreeDimensions

FILES = (".csv", ".onnx")
"""How the name of a file of layers ends."""

MODEL = "A model's name (`hwgym list models`), a .csv file of layers or an .onnx file."
LEVELS = "as 1,2,4,8 or 8-256 or 8-256:8, in steps of 8"


def problem_option(*names: str, **settings: Any) -> Any:
    """An option that says what is to be solved; help has these together."""
    return typer.Option(*names, rich_help_panel="Problem", **settings)


WorkloadArgument = Annotated[str, typer.Argument(metavar="MODEL|FILE", help=MODEL)]
DataflowOption = Annotated[
    str,
    problem_option(
        "--dataflow",
        "-d",
        metavar="NAME|FILE",
        help="One of `hwgym list dataflows`; MIX: any of some, per layer; or a .m or .toml file, "
        "of a .m file with several FILE:LAYER.",
    ),
]
ObjectiveOption = Annotated[
    str,
    problem_option(
        "--objective", "-o", metavar="NAME", help=f"Minimised: {', '.join(OBJECTIVES)}."
    ),
]
ConstraintOption = Annotated[
    str,
    problem_option("--constraint", "-c", metavar="NAME", help="What is limited: area or power."),
]
BudgetOption = Annotated[
    str,
    problem_option(
        "--budget",
        "-b",
        metavar="BUDGET",
        help="A platform (cloud, iot, iotx, unlimited), a share of the range (0.1 or 10%), "
        "or an amount (12.5mm2, 250mW).",
    ),
]
DeploymentOption = Annotated[
    str,
    problem_option(
        "--deployment",
        metavar="LP|LS",
        help="LP: a partition for each layer; LS: one array runs them all.",
    ),
]
EitherDeploymentOption = Annotated[
    str | None,
    problem_option(
        "--deployment",
        metavar="LP|LS|shared",
        help="LP: a partition for each layer; LS: one array runs them all; shared, of loop "
        "nests: so, each layer with its best template. By default LP, of loop nests shared.",
    ),
]
"""Of commands that take either cost model."""
ReleasedOption = Annotated[
    bool, problem_option("--released", help="The problem as ConfuciuX's released code poses it.")
]
FineOption = Annotated[
    bool, problem_option("--fine", help="Any PE count from the least level to the greatest.")
]
PELevelsOption = Annotated[
    str | None,
    problem_option(
        "--pe-levels",
        metavar="NUMBERS",
        help=f"PE counts to choose from, {LEVELS}; by default {len(PE_LEVELS)} from "
        f"{PE_LEVELS[0]} to {PE_LEVELS[-1]}.",
    ),
]
TileLevelsOption = Annotated[
    str | None,
    problem_option(
        "--tile-levels",
        metavar="NUMBERS",
        help=f"Filters per PE to choose from; by default {TILE_LEVELS[0]}-{TILE_LEVELS[-1]}.",
    ),
]
HardwareOption = Annotated[
    Path | None,
    problem_option("--hardware", metavar="FILE", help="An accelerator of your own, a .toml file."),
]
BatchOption = Annotated[
    int | None,
    problem_option("--batch", metavar="N", help="Batch size, where an .onnx file leaves it open."),
]
DimsOption = Annotated[
    list[str] | None,
    problem_option(
        "--dims",
        metavar="NAME=N",
        help="Size of a dimension that an .onnx file leaves open; may be repeated.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value, nothing else.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="Write pictures and files there.")
]

MOST_LEVELS = 4096
UNITS = {
    "um2": ("area", 1.0),
    "mm2": ("area", 1e6),
    "cm2": ("area", 1e8),
    "uW": ("power", 1e-3),
    "mW": ("power", 1.0),
    "W": ("power", 1e3),
}
"""What a unit measures, and what one of it is in the cost model's. A prefix is as it is written:
MW are no mW."""
SPELLINGS = {spelling: unit for unit in UNITS for spelling in (unit, unit.lower())}


def parse_budget(text: str, constraint: str) -> dict[str, Any]:
    """A budget as :meth:`AssignmentProblem.of` takes it: platform, ratio or budget.

    Raises:
        ValueError: If it is none of these, or the unit is not the constraint's.
    """
    given = text.strip()
    if given in PLATFORMS:
        return {"platform": given}
    amount = _amount(given)
    if amount is None:
        allowed = nearest("platform", text, PLATFORMS)
        raise ValueError(
            f"--budget: {allowed}, nor a share (0.1 or 10%) or an amount (12.5mm2, 250mW)"
        )
    value, typed = amount
    unit = _plain(typed)
    if unit in ("", "%"):
        share = value / 100 if unit else value
        if 0 <= share <= 1:
            return {"ratio": share}
        needed = " or ".join(unit for unit, (what, _) in UNITS.items() if what == constraint)
        raise ValueError(
            f"--budget: a share must lie in 0..1 (0%..100%), got {text!r}; "
            f"an amount of {constraint} needs its unit, {needed}"
        )
    if unit not in SPELLINGS:
        raise ValueError(f"--budget: {nearest('unit', typed, UNITS)}")
    what, factor = UNITS[SPELLINGS[unit]]
    if what != constraint:
        raise ValueError(
            f"--budget: {text!r} is an amount of {what}, but the constraint is {constraint} "
            f"(--constraint {what})"
        )
    return {"budget": value * factor}


def _amount(text: str) -> tuple[float, str] | None:
    """A number and the unit behind it, as typed; None if it is something else."""
    found = re.fullmatch(r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([^\s0-9.]\S*)?", text.strip())
    try:
        return (float(found[1]), found[2] or "") if found else None
    except ValueError:  # of several points
        return None


def _plain(unit: str) -> str:
    return unit.replace("²", "2").replace("^", "").replace("µ", "u")


def parse_levels(option: str, text: str | None, default: Sequence[int]) -> tuple[int, ...]:
    """The numbers of ``1,2,4``, ``8-256`` or ``8-256:8``, or a list of these.

    Raises:
        ValueError: If it is none, or they do not increase.
    """
    if text is None:
        return tuple(default)
    levels: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?", part.strip())
        if found is None:
            raise ValueError(f"{option} wants numbers, {LEVELS}; got {text!r}")
        first = int(found[1])
        last, step = int(found[2] or first), int(found[3] or 1)
        if first < 1 or step < 1:
            raise ValueError(f"{option}: numbers must be at least 1, got {part.strip()!r}")
        if last - first > MOST_LEVELS * step:
            raise ValueError(f"{option}: at most {MOST_LEVELS:,} numbers, got {part.strip()!r}")
        if last < first or (levels and levels[-1] >= first):
            raise ValueError(f"{option}: numbers must increase, got {text!r}")
        levels += range(first, last + 1, step)
    return tuple(levels)


def parse_dims(given: Sequence[str] | None) -> dict[str, int]:
    """Sizes by name of ``NAME=N`` texts.

    Raises:
        ValueError: If a text is something else, or a name is given twice.
    """
    dims: dict[str, int] = {}
    for text in given or ():
        name, equals, number = text.rpartition("=")
        if not equals or not name or not re.fullmatch(r"0*[1-9][0-9]*", number):
            raise ValueError(f"--dims wants NAME=N, N a positive integer; got {text!r}")
        if name in dims:
            raise ValueError(f"--dims: {name} is given twice")
        dims[name] = int(number)
    return dims


def load_workload(
    spec: str,
    *,
    released: bool = False,
    batch: int | None = None,
    dims: Sequence[str] | None = None,
) -> Workload:
    """The workload of a model's name or a file; ``dims`` are texts ``NAME=N``.

    Raises:
        ValueError: If there is no such model, or the file's contents are wrong.
        OSError: If the file cannot be read.
    """
    if spec in registered_ids():
        raise ValueError(
            f"{spec!r} is an environment, which `hwgym show` and `hwgym train` take; here a "
            "model's name or a file is needed"
        )
    try:
        return workloads.load_workload(spec, released=released, batch=batch, dims=parse_dims(dims))
    except FreeDimensions as error:
        wanted = " ".join(f"--dims {shlex.quote(name)}=N" for name in error.names)
        batched = " or --batch N" if error.batch else ""
        raise ValueError(f"{error.where}; give {wanted}{batched}") from error


def is_dataflow(spec: str) -> bool:
    """Whether it names a dataflow, with or without a cluster size, or its file, with or without a
    layer."""
    path, _ = file_and_layer(spec)
    known = spec.partition(":")[0] in CLUSTERED or spec in dataflow_names()
    return known or path.endswith(DATAFLOW_FILES)


def load_dataflow(spec: str) -> str | Dataflow:
    """The dataflow of a file, or of a name with a cluster size; any other name as it is, since its
    meaning is the problem's.

    Raises:
        ValueError: If there is none of that name, or the file's contents are wrong.
        OSError: If the file cannot be read.
    """
    if spec in dataflow_names():
        return spec
    if is_dataflow(spec):
        return dataflow(spec)
    known = nearest("dataflow", spec, dataflow_names())
    raise ValueError(f"--dataflow: {known}; or give a {' or '.join(DATAFLOW_FILES)} file")


def make_problem(
    model: str | Workload,
    style: str,
    objective: str,
    constraint: str,
    budget: str,
    *,
    deployment: str = "LP",
    released: bool = False,
    hardware: Path | None = None,
    pe_levels: str | None = None,
    tile_levels: str | None = None,
    batch: int | None = None,
    dims: Sequence[str] | None = None,
) -> AssignmentProblem:
    """The problem that the options name.

    Raises:
        ValueError: If a name or a number is wrong.
        Failure: If no assignment fits the budget.
    """
    for what, given, allowed in (
        ("objective", objective, OBJECTIVES),
        ("constraint", constraint, CONSTRAINTS),
        ("deployment", deployment, [d.value for d in AssignmentProblem.deployments]),
    ):
        if given not in allowed:
            raise ValueError(f"--{what}: {nearest(what, given, allowed)}")
    limit = parse_budget(budget, constraint)
    layers = model
    if isinstance(layers, str):
        layers = load_workload(layers, released=released, batch=batch, dims=dims)
    asked: dict[str, Any] = {
        "workload": layers,
        "dataflow": load_dataflow(style),
        "objective": objective,
        "constraint": constraint,
        "deployment": deployment,
        "released": released,
        "hardware": None if hardware is None else Hardware.from_toml(hardware),
        "pe_levels": parse_levels("--pe-levels", pe_levels, PE_LEVELS),
        "tile_levels": parse_levels("--tile-levels", tile_levels, TILE_LEVELS),
    }
    try:
        return AssignmentProblem.of(**asked, **limit)
    except InfeasibleError as error:
        whole = AssignmentProblem.of(**asked, budget=UNLIMITED)
        least = least_text(float(whole.least_used.sum()), budget, constraint)
        raise Failure(
            f"no assignment fits the {constraint} budget {budget.strip()}: the least that any of "
            f"{layers.name} takes is {least}"
        ) from error


def least_text(least: float, budget: str, constraint: str) -> str:
    """An amount of the constraint in the unit that a budget was typed in, or else people are shown;
    six digits, rounded up, so that it is enough."""
    typed = _plain((_amount(budget) or (0.0, ""))[1])
    unit = SPELLINGS.get(typed, {"area": "mm2", "power": "mW"}[constraint])
    number = Decimal(least) / Decimal(UNITS[unit][1])
    digits = Decimal(1).scaleb(number.adjusted() - 5)
    return f"{number.quantize(digits, ROUND_CEILING).normalize():f} {unit}"


def finer(problem: AssignmentProblem) -> AssignmentProblem:
    """The same problem with any PE count between the least level and the greatest; the budget stays
    that of the coarse levels."""
    levels = problem.design.pe_levels
    return problem.with_levels(range(levels[0], levels[-1] + 1), problem.design.tile_levels)


def problem_of_id(env_id: str) -> Problem:
    """The problem of an environment id, of any family.

    Raises:
        UnknownId: If there is none; the message gives the nearest.
        ValueError: If the id poses no problem of its own, or many.
    """
    try:
        return problem_of(env_id)
    except UnknownId as error:
        count = len(registered_ids())
        raise UnknownId(f"{error} (`hwgym list environments` has all {count:,})") from error


def view_of(problem: Problem) -> View:
    """How the problem's family shows it."""
    return family_named(problem.statement.key["family"]).view

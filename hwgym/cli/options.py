"""What several commands take, and the problem that it makes."""

from __future__ import annotations

import re
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
from hwgym.costs.maestro import DATAFLOW_FILES, Dataflow, read_dataflow
from hwgym.families.assignment.design_space import FINE_PE_LEVELS
from hwgym.families.assignment.problem import (
    CONSTRAINTS,
    OBJECTIVES,
    PLATFORMS,
    AssignmentProblem,
    Deployment,
)
from hwgym.hardware import Hardware
from hwgym.workloads import Workload

FILES = (".csv", ".onnx")
"""How the name of a file of layers ends."""

MODEL = "A model's name (`hwgym list models`), a .csv file of layers or an .onnx file."
WorkloadArgument = Annotated[str, typer.Argument(metavar="MODEL|FILE", help=MODEL)]
DataflowOption = Annotated[
    str,
    typer.Option(
        "--dataflow",
        "-d",
        metavar="NAME|FILE",
        help="NVDLA, Eyeriss, ShiDianNao; MIX: any, per layer; or a .m or .toml file.",
    ),
]
ObjectiveOption = Annotated[
    str,
    typer.Option(
        "--objective", "-o", metavar="NAME", help=f"What is minimised: {', '.join(OBJECTIVES)}."
    ),
]
ConstraintOption = Annotated[
    str, typer.Option("--constraint", "-c", metavar="NAME", help="What is limited: area or power.")
]
BudgetOption = Annotated[
    str,
    typer.Option(
        "--budget",
        "-b",
        metavar="BUDGET",
        help="A platform (cloud, iot, iotx, unlimited), a share of the range (0.1 or 10%), "
        "or an amount (12.5mm2, 250mW).",
    ),
]
DeploymentOption = Annotated[
    str,
    typer.Option(
        metavar="LP|LS", help="LP: a partition for each layer; LS: one configuration runs them all."
    ),
]
ReleasedOption = Annotated[
    bool, typer.Option("--released", help="The problem as ConfuciuX's released code poses it.")
]
FineOption = Annotated[bool, typer.Option("--fine", help="Any PE count from 1 to 128, not 12.")]
HardwareOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="An accelerator of your own, a .toml file."),
]
BatchOption = Annotated[
    int | None, typer.Option(metavar="N", help="Batch size, where an .onnx file leaves it open.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value, nothing else.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="Write pictures and files there.")
]

UNITS = {
    "um2": ("area", 1.0),
    "mm2": ("area", 1e6),
    "cm2": ("area", 1e8),
    "uW": ("power", 1e-3),
    "mW": ("power", 1.0),
    "W": ("power", 1e3),
}


def parse_budget(text: str, constraint: str) -> dict[str, Any]:
    """A budget as :meth:`AssignmentProblem.of` takes it: platform, ratio or budget.

    Raises:
        ValueError: If it is none of these, or the unit is not the constraint's.
    """
    given = text.strip()
    if given in PLATFORMS:
        return {"platform": given}
    number = re.fullmatch(r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([^\s0-9.]\S*)?", given)
    try:
        value = float(number[1]) if number else None
    except ValueError:
        value = None
    if number is None or value is None:
        allowed = nearest("platform", text, PLATFORMS)
        raise ValueError(
            f"--budget: {allowed}, nor a share (0.1 or 10%) or an amount (12.5mm2, 250mW)"
        )
    unit = (number[2] or "").replace("²", "2").replace("^", "").replace("µ", "u")
    if unit in ("", "%"):
        share = value / 100 if unit else value
        if 0 <= share <= 1:
            return {"ratio": share}
        needed = " or ".join(unit for unit, (what, _) in UNITS.items() if what == constraint)
        raise ValueError(
            f"--budget: a share must lie in 0..1 (0%..100%), got {text!r}; "
            f"an amount of {constraint} needs its unit, {needed}"
        )
    folded = {name.casefold(): name for name in UNITS}
    if unit.casefold() not in folded:
        raise ValueError(f"--budget: {nearest('unit', number[2], UNITS)}")
    what, factor = UNITS[folded[unit.casefold()]]
    if what != constraint:
        raise ValueError(
            f"--budget: {text!r} is an amount of {what}, but the constraint is {constraint} "
            f"(--constraint {what})"
        )
    return {"budget": value * factor}


def load_workload(spec: str, *, released: bool = False, batch: int | None = None) -> Workload:
    """The workload of a model's name or a file.

    Raises:
        ValueError: If there is no such model, or the file's contents are wrong.
        OSError: If the file cannot be read.
    """
    if spec in registered_ids():
        raise ValueError(
            f"{spec!r} is an environment, which `hwgym show` and `hwgym train` take; here a "
            "model's name or a file is needed"
        )
    return workloads.load_workload(spec, released=released, batch=batch)


def load_dataflow(spec: str) -> str | Dataflow:
    """The dataflow of a file; a name as it is, since its meaning is the problem's.

    Raises:
        ValueError: If there is none of that name, or the file's contents are wrong.
        OSError: If the file cannot be read.
    """
    if spec in dataflow_names():
        return spec
    if spec.endswith(DATAFLOW_FILES):
        return read_dataflow(spec)
    known = nearest("dataflow", spec, dataflow_names())
    raise ValueError(f"--dataflow: {known}; or give a {' or '.join(DATAFLOW_FILES)} file")


def make_problem(
    model: str | Workload,
    dataflow: str,
    objective: str,
    constraint: str,
    budget: str,
    *,
    deployment: str = "LP",
    released: bool = False,
    hardware: Path | None = None,
    batch: int | None = None,
) -> AssignmentProblem:
    """The problem that the options name.

    Raises:
        ValueError: If a name or a number is wrong.
        Failure: If no assignment fits the budget.
    """
    for what, given, allowed in (
        ("objective", objective, OBJECTIVES),
        ("constraint", constraint, CONSTRAINTS),
        ("deployment", deployment, [d.value for d in Deployment]),
    ):
        if given not in allowed:
            raise ValueError(f"--{what}: {nearest(what, given, allowed)}")
    limit = parse_budget(budget, constraint)
    layers = model
    if isinstance(layers, str):
        layers = load_workload(layers, released=released, batch=batch)
    try:
        return AssignmentProblem.of(
            layers,
            load_dataflow(dataflow),
            objective=objective,
            constraint=constraint,
            deployment=deployment,
            released=released,
            hardware=None if hardware is None else Hardware.from_toml(hardware),
            **limit,
        )
    except InfeasibleError as error:
        raise Failure(str(error)) from error


def finer(problem: AssignmentProblem) -> AssignmentProblem:
    """The same problem with any PE count; the budget stays that of the coarse levels."""
    return problem.with_levels(FINE_PE_LEVELS, problem.design.tile_levels)


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

"""``hwgym cost``: what the cost model says of one layer at one design point."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from hwgym._names import nearest
from hwgym.cli.loopnest_cost import cost_loopnest
from hwgym.cli.loopnest_options import (
    ClockOption,
    DRAMOption,
    L1Option,
    L2Option,
    ModelOption,
    loopnest_option,
    only,
)
from hwgym.cli.options import (
    FILES,
    BatchOption,
    DataflowOption,
    DimsOption,
    HardwareOption,
    JsonOption,
    ReleasedOption,
    load_dataflow,
    load_workload,
)
from hwgym.cli.output import console, facts_with_units, print_json
from hwgym.core.view import brief
from hwgym.costs.maestro import CONFUCIUX_EYERISS, Costs, evaluate
from hwgym.costs.maestro.columns import COLUMNS
from hwgym.families.assignment.accounting import COMPLETE, MAESTRO
from hwgym.families.assignment.design_space import MIXES
from hwgym.hardware import Hardware
from hwgym.workloads import Layer, input_size


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(cost)


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
        str | None,
        typer.Argument(metavar="[LAYER]", help="The layer's name, or its number from 1."),
    ] = None,
    pes: Annotated[
        str | None,
        typer.Option(
            "--pes",
            "-p",
            metavar="N|8x16",
            help="Processing elements, by default 16; of loop nests rows x columns, 8x16.",
        ),
    ] = None,
    tile: Annotated[
        int | None, typer.Option("--tile", "-t", help="Filters held per PE, by default 4.")
    ] = None,
    dataflow: DataflowOption = "NVDLA",
    cost_model: ModelOption = "maestro",
    released: ReleasedOption = False,
    technology: Annotated[
        str | None, typer.Option(metavar="NAME", help="Constants (`hwgym list technologies`).")
    ] = None,
    hardware: HardwareOption = None,
    l1: L1Option = None,
    l2: L2Option = None,
    clock: ClockOption = None,
    dram: DRAMOption = None,
    objective: Annotated[
        str | None,
        loopnest_option(
            "--objective",
            "-o",
            metavar="NAME",
            help="What the mapping is best in: latency, energy or edp.",
        ),
    ] = None,
    batch: BatchOption = None,
    dims: DimsOption = None,
    json: JsonOption = False,
) -> None:
    """Every statistic of one layer at one design point, with its unit and meaning.

    Example: [bold]hwgym cost VGG16 stage1.conv1 --pes 64 --tile 4 --dataflow Eyeriss[/]

    Example: [bold]hwgym cost VGG16 2 --model loopnest --pes 8x16 --l1 512B --l2 128KB[/]
    """
    if cost_model != "maestro":
        only(cost_model, {"--tile": tile, "--released": released, "--technology": technology})
        one = _layer(model, layer, released, batch, dims, (*STRIDED, "repeat"))
        cost_loopnest(one, dataflow, pes, l1, l2, hardware, clock, dram, objective, json)
        return
    of_loopnest = {"--l1": l1, "--l2": l2, "--clock": clock, "--dram": dram}
    only(cost_model, {**of_loopnest, "--objective": objective})
    one = _layer(model, layer, released, batch, dims, ("repeat",))
    _cost_maestro(
        one, dataflow, _count("--pes", pes, 16), _count("--tile", tile, 4), released, technology,
        hardware, json,
    )  # fmt: skip


def _count(option: str, given: str | int | None, default: int) -> int:
    if given is None:
        return default
    if not re.fullmatch(r"0*[1-9][0-9]*", str(given)):
        raise ValueError(f"{option} must be a positive integer, got {given}")
    return int(given)


def _cost_maestro(
    one: Layer,
    dataflow: str,
    pes: int,
    tile: int,
    released: bool,
    technology: str | None,
    hardware: Path | None,
    json: bool,
) -> None:
    style = load_dataflow(dataflow)
    if isinstance(style, str) and style in MIXES:
        raise ValueError(
            f"--dataflow: one design point has one dataflow; {style} is any of "
            f"{', '.join(MIXES[style])}"
        )
    if released and style == "Eyeriss":
        style = CONFUCIUX_EYERISS.name
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
                "columns": {
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
    return str(value) if isinstance(value, bool) else brief(value)


def _why_invalid(costs: Costs) -> str:
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


FORMS = {
    "conv": ("K", "C", "OY", "OX", "R", "S"),
    "dsconv": ("C", "OY", "OX", "R", "S"),
    "gemm": ("M", "N", "K"),
}
STRIDED = ("stride", "dilation")
"""What a convolution may have for a model that knows it."""


def _layer(
    model: str,
    layer: str | None,
    released: bool,
    batch: int | None,
    dims: list[str] | None,
    optional: tuple[str, ...],
) -> Layer:
    form, colon, sizes = model.partition(":")
    if colon and not model.endswith(FILES):
        if layer is not None:
            raise ValueError(f"{model!r} is a layer already; {layer!r} is one too many")
        return parse_layer(form, sizes, optional)
    layers = load_workload(model, released=released, batch=batch, dims=dims)
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


def parse_layer(form: str, sizes: str, optional: tuple[str, ...]) -> Layer:
    """The layer of a form (:data:`FORMS`) and its sizes, ``K=64,C=32``.

    Raises:
        ValueError: If there is no such form, or a size is unknown, wrong or missing.
    """
    if form not in FORMS:
        raise ValueError(nearest("kind of layer", form, FORMS))
    needed = FORMS[form]
    if form == "gemm":
        optional = tuple(name for name in optional if name not in STRIDED)
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
    made = Layer(form, form.upper(), **{"K": 1, **given})
    rows, columns = input_size(made)
    if made.stride > max(rows, columns):
        raise ValueError(
            f"{form}: stride {made.stride} is larger than the input, {rows} x {columns}"
        )
    return made

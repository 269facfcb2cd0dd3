"""``hwgym cost --model loopnest``: where time and energy of one layer on one array go."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from hwgym._names import nearest
from hwgym.cli.loopnest_options import make_machine, parse_bytes, parse_pes, parse_templates
from hwgym.cli.output import Failure, console, facts, print_json, table
from hwgym.core.view import brief
from hwgym.costs.loopnest import BOUNDS, Detail, array_area_um2, detail, template
from hwgym.costs.loopnest.lattice import OBJECTIVES
from hwgym.families.loopnest.architect import Array, bytes_text, too_small
from hwgym.hardware import Machine
from hwgym.workloads import Layer

__all__ = ["cost_loopnest"]

PES, L1, L2 = "8x16", "512B", "128KB"
WHERE = {"mac": "multiply-accumulates", "l1": "L1", "l2": "L2", "dram": "DRAM"}


def cost_loopnest(
    layer: Layer,
    dataflow: str,
    pes: str | None,
    l1: str | None,
    l2: str | None,
    hardware: Path | None,
    clock: str | None,
    dram: str | None,
    objective: str | None,
    json: bool,
) -> None:
    """Print it; arguments are the command's, as texts.

    Raises:
        ValueError: If one is wrong.
        Failure: If no mapping fits.
    """
    objective = objective or "latency"
    if objective not in OBJECTIVES:
        raise ValueError(f"--objective: {nearest('objective', objective, OBJECTIVES)}")
    [style, *more] = parse_templates(dataflow)
    if more:
        raise ValueError(f"--dataflow: one design point has one template; {dataflow} is any of "
                         f"{', '.join([style, *more])}")  # fmt: skip
    shapes = parse_pes(pes or PES)
    sizes = [parse_bytes(*given) for given in (("--l1", l1 or L1), ("--l2", l2 or L2))]
    if len(shapes) > 1:
        some = ", ".join(f"{rows}x{columns}" for rows, columns in shapes[:3])
        raise ValueError(f"--pes: one array is needed, rows x columns; {pes} may be {some}, ...")
    for option, each in zip(("--l1", "--l2"), sizes, strict=True):
        if len(each) > 1:
            raise ValueError(f"{option}: one size is needed, got {len(each)}")
    machine = make_machine(hardware, clock, dram)
    array = Array(*shapes[0], sizes[0][0], sizes[1][0])
    try:
        found = detail(layer, style, shapes[0], array.l1_bytes, array.l2_bytes, machine, objective)
    except ValueError as error:  # all else that can be wrong is looked at above
        raise Failure(too_small(layer, [template(style)], [array], machine)) from error
    area = float(array_area_um2(machine, array.pes, array.l1_bytes, array.l2_bytes))
    if json:
        print_json(
            {
                "model": "loopnest",
                "layer": {n: getattr(layer, n) for n in layer.__dataclass_fields__},
                "template": style,
                "array": array._asdict(),
                "area_um2": area,
                "machine": asdict(machine),
                "objective": objective,
                **asdict(found),
            }
        )
        return
    _print(layer, style, array, area, machine, objective, found)


def _print(
    layer: Layer,
    style: str,
    array: Array,
    area: float,
    machine: Machine,
    objective: str,
    found: Detail,
) -> None:
    shape = "x".join(str(getattr(layer, n)) for n in ("K", "C", "OY", "OX", "R", "S"))
    out = console()
    out.print(
        f"[bold]{layer.name}[/]: {layer.kind} K,C,OY,OX,R,S = {shape}, under {style} on "
        f"{array} ({machine.process.name}, {machine.clock_ghz:g} GHz)"
    )
    if layer.repeat > 1:
        out.print(f"This is one run of {layer.repeat}.")
    spent = sum(found.energy_nj.values())
    needed = found.needed_bytes
    out.print()
    out.print(
        facts(
            {
                "mapping": "\n".join(found.mapping.split("; ")),
                "best in": objective,
                "latency": f"{found.latency_cycles:,} cycles, "
                f"{found.latency_cycles / machine.clock_ghz * 1e-6:.4g} ms",
                "bound by": found.bound,
                "utilised": f"{found.utilization:.2%} of {array.pes:,} PEs (MACs / cycles / PEs)",
                "energy": f"{spent * 1e-3:,.4g} µJ",
                "power": f"{found.power_mw:,.4g} mW",
                "area": f"{area * 1e-6:.4g} mm²",
                "needs": f"{needed['l1']:,} of {bytes_text(array.l1_bytes)} L1, "
                f"{needed['l2']:,} of {bytes_text(array.l2_bytes)} L2",
            }
        )
    )
    out.print()
    out.print(
        table(
            ["cycles", "of", ""],
            [[f"{cycles:,}", name, _mark(name, found)] for name, cycles in found.cycles.items()],
            left=["of", ""],
            title="The latency is the longest of what goes on at the same time, the first load and "
            "the last store",
        )
    )
    out.print(
        table(
            ["level", "nJ", "%", "bytes"],
            [
                [
                    WHERE[level],
                    brief(energy, ",.1f"),
                    f"{100 * energy / spent:.1f}",
                    brief(found.moved_bytes[level], ",.0f") if level in found.moved_bytes else "",
                ]
                for level, energy in found.energy_nj.items()
            ],
            left=["level"],
            title="Energy by level, and bytes read and written there",
        )
    )


def _mark(name: str, found: Detail) -> str:
    if name not in BOUNDS:
        return "beside these"
    return "the longest" if name == found.bound else ""

"""What the commands take for loop nests (``--model loopnest``), and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hwgym._files import read_toml
from hwgym._names import nearest
from hwgym.cli.options import load_workload
from hwgym.costs.loopnest import TEMPLATES
from hwgym.families.loopnest.architect import arrays_of
from hwgym.hardware import Machine
from hwgym.workloads import Workload, models

MODELS = ("maestro", "loopnest")
MIX = "MIX"
MOST_PES = 1 << 20
LOOPNEST = "Loop nests (--model loopnest)"

SIZES = {"B": 1, "KB": 1 << 10, "KIB": 1 << 10, "MB": 1 << 20, "MIB": 1 << 20}
CLOCKS = {"GHz": 1.0, "MHz": 1e-3}
BANDWIDTHS = ("GB/s", "B/cycle")


def loopnest_option(*names: str, **settings: Any) -> Any:
    """An option of this model alone; help has these together."""
    return typer.Option(*names, rich_help_panel=LOOPNEST, **settings)


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        rich_help_panel="Problem",
        help="Cost model: maestro; loopnest: buffers that hold, DRAM, the best mapping of each "
        "layer.",
    ),
]
ClockOption = Annotated[
    str | None,
    loopnest_option("--clock", metavar="1GHz", help="In place of the machine's; GHz or MHz."),
]
PEsOption = Annotated[
    str | None,
    loopnest_option(
        "--pes",
        metavar="1024|32x32",
        help="Fixes the array: a number of PEs of any shape, or rows x columns; several with "
        "commas.",
    ),
]
L1Option = Annotated[
    str | None,
    loopnest_option("--l1", metavar="512B", help="Fixes each PE's buffer: B, KB (of 1,024 B), MB."),
]
L2Option = Annotated[
    str | None, loopnest_option("--l2", metavar="512KB", help="Fixes the buffer that PEs share.")
]
DRAMOption = Annotated[
    str | None,
    loopnest_option(
        "--dram",
        metavar="16GB/s",
        help="DRAM's bandwidth in place of the machine's, reads and writes each: GB/s (10^9 B) or "
        "B/cycle.",
    ),
]
MixOption = Annotated[
    str | None,
    loopnest_option(
        "--mix",
        metavar="NAME=WEIGHT,...",
        help="Several networks on one array, by how often each runs: ResNet50=3,BERT=1.",
    ),
]


def only(model: str, given: Mapping[str, object]) -> None:
    """See that no option is given that ``model`` does not have.

    Args:
        model: The cost model asked for.
        given: By an option's name its value, nothing or False where it was left out; all of these
            belong to the other model.

    Raises:
        ValueError: If there is no such model, or such an option is given.
    """
    if model not in MODELS:
        raise ValueError(f"--model: {nearest('cost model', model, MODELS)}")
    other = MODELS[1 - MODELS.index(model)]
    for option, value in given.items():
        if value is not None and value is not False:
            raise ValueError(
                f"{option} belongs to --model {other}; it means nothing to --model {model}"
            )


# --- what is given --------------------------------------------------------------------------------


def parse_bytes(option: str, text: str) -> tuple[int, ...]:
    """The sizes of ``512B`` or ``64KB,0.5MB``, increasing.

    Raises:
        ValueError: If one is no positive whole number of bytes.
    """
    sizes = set()
    for part in text.split(","):
        number, unit = _amount(option, part, SIZES, "512B, 128KB or 1MB")
        size = number * SIZES[unit]
        if size < 1 or size != int(size):
            raise ValueError(f"{option} must be a whole number of bytes, at least 1; got {part!r}")
        if size > 1 << 40:
            raise ValueError(f"{option} must be at most {1 << 20:,} MB; got {part!r}")
        sizes.add(int(size))
    return tuple(sorted(sizes))


def parse_clock(text: str) -> float:
    """GHz of ``1GHz`` or ``800MHz``.

    Raises:
        ValueError: If it is not above 0.
    """
    number, unit = _amount("--clock", text, {u.upper(): u for u in CLOCKS}, "1GHz or 800MHz")
    if number <= 0:
        raise ValueError(f"--clock must be above 0, got {text!r}")
    return number * {"GHZ": 1.0, "MHZ": 1e-3}[unit]


def parse_bandwidth(text: str, clock_ghz: float) -> float:
    """Bytes per cycle of ``16GB/s`` or ``16B/cycle``.

    Raises:
        ValueError: If it is not above 0.
    """
    units = {u.upper(): u for u in BANDWIDTHS}
    number, unit = _amount("--dram", text, units, "16GB/s or 16B/cycle")
    if number <= 0:
        raise ValueError(f"--dram: the bandwidth must be above 0, got {text!r}")
    return number / clock_ghz if unit == "GB/S" else number


def _amount(option: str, text: str, units: dict[str, Any], such_as: str) -> tuple[float, str]:
    found = re.fullmatch(r"([-+]?[0-9]+(?:\.[0-9]+)?|[-+]?\.[0-9]+)\s*([a-zA-Z/]*)", text.strip())
    if found is None or not found[2]:
        raise ValueError(f"{option} wants a number and its unit, {such_as}; got {text!r}")
    if found[2].upper() not in units:
        raise ValueError(f"{option} wants {such_as}; unknown unit {found[2]!r} in {text!r}")
    return float(found[1]), found[2].upper()


def parse_pes(text: str) -> tuple[tuple[int, int], ...]:
    """The arrays of ``1024`` (of any shape), ``32x32`` (rows x columns), or of several.

    Raises:
        ValueError: If there is no such array.
    """
    shapes: list[tuple[int, int]] = []
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]+)(?:\s*[xX]\s*([0-9]+))?", part.strip())
        if found is None:
            raise ValueError(
                f"--pes wants a number of PEs, 1024, or rows x columns, 32x32; got {part!r}"
            )
        rows, columns = int(found[1]), int(found[2] or 1)
        if rows < 1 or columns < 1:
            raise ValueError(
                f"--pes: an array has at least one row and one column of PEs; got {part!r}"
            )
        if rows * columns > MOST_PES:
            raise ValueError(f"--pes: an array has at most {MOST_PES:,} PEs; got {part!r}")
        shapes += [(rows, columns)] if found[2] else arrays_of(rows)
    return tuple(sorted(set(shapes)))


def parse_templates(text: str) -> tuple[str, ...]:
    """The templates of a name, or all for ``MIX``.

    Raises:
        ValueError: If there is none of that name.
    """
    if text == MIX:
        return tuple(TEMPLATES)
    if text not in TEMPLATES:
        raise ValueError(f"--dataflow: {nearest('template', text, [*TEMPLATES, MIX])}")
    return (text,)


def make_machine(hardware: Path | None, clock: str | None, dram: str | None) -> Machine:
    """The machine of a file, with another clock or bandwidth. What the file gives in bytes per
    second stays so under another clock.

    Raises:
        ValueError: If the file or a number is wrong.
        OSError: If the file cannot be read.
    """
    machine = Machine() if hardware is None else Machine.from_toml(hardware)
    if clock is not None:
        ghz, changed = parse_clock(clock), {}
        table = {} if hardware is None else read_toml(hardware).get("machine", {})
        for level in ("dram", "l2"):
            if f"{level}_gb_per_s" in table:
                name = f"{level}_bandwidth"
                changed[name] = getattr(machine, name) * machine.clock_ghz / ghz
        machine = replace(machine, clock_ghz=ghz, **changed)
    if dram is not None:
        machine = replace(machine, dram_bandwidth=parse_bandwidth(dram, machine.clock_ghz))
    return machine


def parse_mix(text: str) -> dict[str, float]:
    """Weights by what names a network.

    Raises:
        ValueError: If a part is not NAME=WEIGHT, a weight not positive, or a network there twice.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.strip().rpartition("=")
        if not equals or not name:
            raise ValueError(f"--mix wants NAME=WEIGHT,NAME=WEIGHT; got {part.strip()!r}")
        try:
            weight = float(number)
        except ValueError:
            raise ValueError(
                f"--mix: the weight of {name} must be a number; got {number!r}"
            ) from None
        if not 0 < weight < float("inf"):
            raise ValueError(f"--mix: the weight of {name} must be above 0; got {number!r}")
        if name in weights:
            raise ValueError(f"--mix: {name} is given twice")
        weights[name] = weight
    return weights


def load_network(
    spec: str, batch: int | None = None, dims: Sequence[str] | None = None
) -> Workload:
    """Names are taken in any case."""
    named = {name.casefold(): name for name in models()}
    return load_workload(named.get(spec.casefold(), spec), batch=batch, dims=dims)

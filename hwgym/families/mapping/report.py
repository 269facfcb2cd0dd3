"""What a mapping comes to: its loops, what it spends, which limit fails and what bounds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hwgym.costs.maestro import MappingCosts, Mappings, evaluate_mappings, extents
from hwgym.costs.maestro.waits import Wait, time_split
from hwgym.families.mapping.hardware import MappingHardware
from hwgym.hardware import Hardware
from hwgym.workloads import Layer

__all__ = ["DIMENSIONS", "Check", "Explanation", "Loop", "Tensor", "explain", "loops_of"]

DIMENSIONS = ("K", "C", "Y'", "X'")
"""How people are told of the dimensions that a mapping tiles."""
LEVELS = ("array", "cluster")
UNITS = ("clusters", "PEs")
TENSORS = ("input", "weight", "output")


@dataclass(frozen=True)
class Loop:
    """A loop over one dimension, of the array's level or a cluster's.

    Attributes:
        level: ``array`` or ``cluster``.
        dimension: K, C, Y' or X'.
        extent: What is walked: the dimension, or a cluster's tile of it.
        tile: What is held at a time; of a spread dimension by each unit. It may be asked to be more
            than there is.
        tiles: How many these are.
        units: Clusters or PEs that have one each at the same time; 1 if it is not spread.
        available: Of how many, if it is spread; else 1.
        rounds: How often.
        last_tile: Size of the last tile.
        last_units: Units that have one in the last round.
        spread: Whether it is spread over units.
    """

    level: str
    dimension: str
    extent: int
    tile: int
    tiles: int
    units: int
    available: int
    rounds: int
    last_tile: int
    last_units: int
    spread: bool

    @property
    def idle(self) -> bool:
        """Whether it does nothing: one tile, the whole, and one unit to have it."""
        return self.tiles == 1 and self.available == 1 and self.tile == self.extent

    @property
    def text(self) -> str:
        """As a line of a loop nest."""
        if not self.spread:
            return f"for {self.dimension} in {self.extent:,} by {self.tile:,}"
        over = f"{self.available:,} {UNITS[LEVELS.index(self.level)]}"
        over = over.removesuffix("s" * (self.available == 1))
        if self.units < self.available:
            over = f"{self.units:,} of {over}"
        return f"spread {self.dimension} over {over}, {self.tile:,} of {self.extent:,} each"

    @property
    def edge(self) -> str:
        """What is different at its end; nothing where it divides."""
        parts = []
        if self.last_units != self.units and self.rounds > 1:
            parts.append(f"{self.last_units:,} of {self.units:,} busy")
        if self.last_tile != self.tile:
            parts.append(f"{self.last_tile:,} of {self.tile:,} left")
        return ", ".join(parts)


@dataclass(frozen=True)
class Check:
    """Something that a mapping must keep to.

    Attributes:
        name: Of a limit (``PEs``, ``L1``, ``L2``, ``latency``), or of what every honest cost keeps
            to (``work``, ``peak``, ``steps``, ``reads``, ``writes``).
        holds: Whether it does.
        value, limit: What it has, and what is allowed: at most of limits, at least of the others.
        unit: Of both.
        text: In words.
    """

    name: str
    holds: bool
    value: float
    limit: float
    unit: str
    text: str


@dataclass(frozen=True)
class Tensor:
    """What moves between the shared buffer and the array.

    Attributes:
        name: input, weight or output.
        elements: How many there are.
        moved: Reads of the shared buffer, of outputs writes.
        times: The second over the first.
        energy_nj: Of its L2 accesses.
    """

    name: str
    elements: int
    moved: int
    times: float
    energy_nj: float


@dataclass(frozen=True)
class Explanation:
    """What there is to say of one mapping of a layer on an array.

    Attributes:
        layer: The layer.
        mapping: A single one.
        hardware: What it runs on.
        checks: All of them, those of limits first.
        loops: Outermost first, the array's four and a cluster's four.
        holds: By dimension what a cluster and a PE hold at a time.
        steps: Multiply-accumulates of a PE with one tile.
        time: Where the cycles go; they add up to the runtime.
        bound: What most of them are.
        tensors: Traffic of the shared buffer.
        costs: Of MAESTRO as released, by name.
        fixed: The same with its defects mended.
        model: Which of the two the checks are of, ``released`` or ``fixed``; the time is always
            that of the released one.
        causes: Which defects of MAESTRO the mapping meets, in words.
        used: Bytes of L1 and L2 that are needed.
    """

    layer: Layer
    mapping: Mappings
    hardware: MappingHardware
    checks: tuple[Check, ...]
    loops: tuple[Loop, ...]
    holds: tuple[dict[str, int], dict[str, int]]
    steps: int
    time: tuple[Wait, ...]
    bound: str
    tensors: tuple[Tensor, ...]
    costs: dict[str, float]
    fixed: dict[str, float]
    model: str
    causes: tuple[str, ...]
    used: dict[str, int]

    @property
    def valid(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not."""
        return tuple(check for check in self.checks if not check.holds)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "valid": self.valid,
            "model": self.model,
            "causes": list(self.causes),
            "checks": [asdict(check) for check in self.checks],
            "costs": self.costs,
            "fixed": self.fixed,
            "used": self.used,
            "loops": [asdict(loop) for loop in self.loops],
            "holds": dict(zip(("cluster", "pe"), self.holds, strict=True)),
            "steps": self.steps,
            "bound": self.bound,
            "time": [{"what": wait_text(part), **asdict(part)} for part in self.time],
            "tensors": [asdict(tensor) for tensor in self.tensors],
        }


def explain(
    layer: Layer,
    mapping: Mappings,
    hardware: MappingHardware,
    *,
    latency_cap: float | None = None,
    fixed: bool = False,
) -> Explanation:
    """Say what a mapping is, which limits fail and by how much, and what bounds it.

    Args:
        layer: Its shape.
        mapping: A single one.
        hardware: What it runs on.
        latency_cap: Cycles that it may take at most.
        fixed: Check what MAESTRO says with its defects mended, not as released.

    Raises:
        ValueError: If it is not one mapping.
    """
    if len(mapping) != 1:
        raise ValueError(f"one mapping is needed, got {len(mapping)}")
    pes, rest = hardware.num_pes, hardware.interconnect
    found = evaluate_mappings(layer, mapping, pes, rest)
    mended = evaluate_mappings(layer, mapping, pes, rest, fixed=True)
    checked = mended if fixed else found
    fits = bool(found.mappable[0])
    time = time_split(layer, mapping.dataflow(0, layer), pes, rest) if fits else ()
    loops = loops_of(layer, mapping, pes)
    held = mapping.tiles[0].tolist()
    r, s, depthwise = layer.shape[4:7]
    cluster_holds, pe_holds = (
        {
            name: size
            for name, size in zip(DIMENSIONS, sizes, strict=True)
            if not (depthwise and name == "K")
        }
        for sizes in held
    )
    return Explanation(
        layer=layer,
        mapping=mapping,
        hardware=hardware,
        checks=_checks(checked, mapping, hardware, latency_cap),
        loops=loops,
        holds=(cluster_holds, pe_holds),
        steps=int(np.prod(held[1])) * r * s,
        time=time,
        bound=wait_text(max(time, key=lambda part: part.cycles)) if time else "nothing runs",
        tensors=_tensors(checked, rest) if fits else (),
        costs=_costs(found),
        fixed=_costs(mended),
        model="fixed" if fixed else "released",
        causes=_causes(loops, pes // int(mapping.cluster[0])),
        used={"l1": int(checked.l1_bytes[0]), "l2": int(checked.l2_bytes[0])},
    )


def loops_of(layer: Layer, mapping: Mappings, num_pes: int) -> tuple[Loop, ...]:
    """The loops of a single mapping, outermost first; a depthwise layer has none over K."""
    [cluster] = mapping.cluster.tolist()
    units = (num_pes // cluster, cluster)
    whole = np.array(extents(layer))
    found = []
    for level, name in enumerate(LEVELS):
        tiles = mapping.tiles[0, level]
        for dim in mapping.orders[0, level].tolist():
            if layer.shape[-1] and dim == 0:
                continue
            extent, tile = int(whole[dim]), int(tiles[dim])
            spread = int(mapping.parallel[0, level]) == dim
            count = -(-extent // tile)
            side = max(min(units[level], count), 1) if spread else 1
            rounds = -(-count // side)
            found.append(
                Loop(
                    level=name,
                    dimension=DIMENSIONS[dim],
                    extent=extent,
                    tile=tile,
                    tiles=count,
                    units=side,
                    available=units[level] if spread else 1,
                    rounds=rounds,
                    last_tile=extent - (count - 1) * tile,
                    last_units=count - (rounds - 1) * side,
                    spread=spread,
                )
            )
        whole = np.minimum(tiles, whole)
    return tuple(found)


# --- checks ---------------------------------------------------------------------------------------


def _checks(
    found: MappingCosts,
    mapping: Mappings,
    hardware: MappingHardware,
    latency_cap: float | None,
) -> tuple[Check, ...]:
    [cluster] = mapping.cluster.tolist()
    checks = [_at_most("PEs", cluster, hardware.num_pes, "PEs", "a cluster needs")]
    if not checks[0].holds:
        return tuple(checks)

    def of(name: str) -> int:
        return int(getattr(found, name)[0])

    if not found.mappable[0]:
        text = "MAESTRO stops with an error or divides by zero: a loop brings nothing in"
        return (*checks, Check("work", False, 0, of("true_macs"), "MACs", text))
    for name, limit, needs in (
        ("L1", hardware.l1_bytes, "a PE's tile, twice, needs"),
        ("L2", hardware.l2_bytes, "the first round, twice, needs"),
    ):
        checks.append(_at_most(name, of(f"{name.lower()}_bytes"), limit, "bytes", needs))
    runtime, lanes = of("runtime_cycles"), max(of("vector_width"), 1)
    if latency_cap is not None:
        checks.append(_at_most("latency", runtime, latency_cap, "cycles", "it takes"))
    own = -(-of("own_steps") // lanes)
    peak = -(-of("true_macs") // (hardware.num_pes * lanes))
    checks += [
        _at_least("work", of("num_macs"), of("true_macs"), "MACs", "it does", "the layer has"),
        _at_least("peak", runtime, peak, "cycles", "it takes", "all PEs together need"),
        _at_least("steps", runtime, own, "cycles", "it takes", "its busiest PE computes for"),
        *(
            _at_least(
                f"{tensor}s",
                of(f"{tensor}_l2_{way}"),
                of(f"compulsory_{tensor}s"),
                "elements",
                f"L2 {way}s of {tensor}s",
                "there are",
            )
            for tensor, way in (("input", "read"), ("weight", "read"), ("output", "write"))
        ),
        _forgotten(found),
    ]
    return tuple(checks)


def _forgotten(found: MappingCosts) -> Check:
    """Whether MAESTRO counts the traffic of all clusters."""
    forgets = bool(found.forgets[0])
    text = "every cluster's traffic counts"
    if forgets:
        text = (
            "the dimension spread over the clusters fits into fewer of them exactly: what is new "
            "to the last counts as nothing"
        )
    return Check("traffic", not forgets, int(forgets), 0, "clusters", text)


def _at_most(name: str, value: float, limit: float, unit: str, what: str) -> Check:
    text = f"{what} {value:,} of {limit:,} {unit}"
    if value > limit:
        text += f": {value - limit:,} too many, {_times(value, limit)} of what there is"
    return Check(name, value <= limit, value, limit, unit, text)


def _at_least(name: str, value: int, limit: int, unit: str, what: str, needs: str) -> Check:
    text = f"{what} {value:,} {unit}, {needs} {limit:,}"
    if value < limit:
        text += f": {limit - value:,} too few, {value / limit:.2%}"
    return Check(name, value >= limit, value, limit, unit, text)


def _times(value: float, limit: float) -> str:
    return f"{value / limit:.3g} times" if limit else "none"


def _causes(loops: Sequence[Loop], clusters: int) -> tuple[str, ...]:
    """The defects of :mod:`hwgym.costs.maestro.mapped` that can show: *A* and *B*."""
    found = []
    uneven = [
        f"{loop.dimension} by {loop.tile:,} of {loop.extent:,} ({loop.level})"
        for loop in loops
        if loop.last_tile != loop.tile
    ]
    if uneven:
        found.append(
            "tiles that do not divide: MAESTRO counts less work or time at their edges (defect A): "
            + ", ".join(uneven)
        )
    for loop in loops:
        whole = loop.rounds == 1 and loop.last_tile == loop.tile
        if loop.level == "array" and loop.spread and whole and 1 < loop.tiles < clusters:
            found.append(
                f"{loop.dimension} makes {loop.tiles:,} tiles for {clusters:,} clusters: MAESTRO "
                "counts no traffic for the last of them (defect B)"
            )
    return tuple(found)


# --- costs ----------------------------------------------------------------------------------------


def _costs(found: MappingCosts) -> dict[str, float]:
    """The numbers that people ask for; zeros where nothing runs."""
    values: Mapping[str, Any] = {
        name: getattr(found, name)[0].item()
        for name in (
            "runtime_cycles",
            "energy_nj",
            "num_macs",
            "true_macs",
            "own_steps",
            "l1_bytes",
            "l2_bytes",
            "input_l2_read",
            "weight_l2_read",
            "output_l2_write",
        )
    }
    runtime = values["runtime_cycles"]
    rate = runtime * int(found.num_pes[0]) * max(int(found.vector_width[0]), 1)
    busy = values["own_steps"] * int(found.num_pes[0])
    return {
        **values,
        "edp": runtime * values["energy_nj"],
        "utilization": values["true_macs"] / rate if rate > 0 else 0.0,
        "spread_utilization": values["true_macs"] / busy if busy > 0 else 0.0,
    }


def _tensors(found: MappingCosts, hardware: Hardware) -> tuple[Tensor, ...]:
    each = hardware.tech.l2_energy_macs * hardware.tech.mac_energy_nj
    rows = []
    for name in TENSORS:
        written = int(getattr(found, f"{name}_l2_write")[0])
        if name == "output":
            elements, moved, accesses = int(found.compulsory_outputs[0]), written, written
        else:
            elements = int(getattr(found, f"num_{name}_pixels")[0])
            moved = int(getattr(found, f"{name}_l2_read")[0])
            accesses = moved + written
        rows.append(Tensor(name, elements, moved, moved / elements, accesses * each))
    return tuple(rows)


_WAITS = {
    "steps": "PEs compute",
    "first": "{level}: the first load, beside which nothing goes on",
    "in": "{level}: waiting for inputs and weights",
    "out": "{level}: waiting for outputs to leave",
    "offchip": "{level}: waiting for the memory behind L2",
}


def wait_text(part: Wait) -> str:
    """What these cycles are, in words."""
    return _WAITS[part.kind].format(level=LEVELS[part.level])

"""The problems of mapping a whole network, whose layers share some decisions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from numbers import Real
from typing import Any, ClassVar, cast

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym._names import nearest
from hwgym.core.certificate import Certificate
from hwgym.core.metric import METRICS, Metric, find_metric
from hwgym.core.problem import InfeasibleError, Problem, Scores, Statement
from hwgym.costs.maestro import Mappings, Shapes, mapping_totals
from hwgym.families.mapped import POOR, whole_metrics
from hwgym.families.mapping.hardware import MappingHardware, mapping_hardware
from hwgym.families.mapping.network.bounds import certify, simple_bound
from hwgym.families.mapping.network.space import (
    COUPLINGS,
    Coupling,
    Levels,
    NetworkSpace,
    area_of,
    distinct_layers,
)
from hwgym.families.mapping.problem import COST_MODEL, KINDS, SIZES
from hwgym.families.mapping.space import DECISIONS
from hwgym.hardware import integers
from hwgym.workloads import Workload, load_workload

__all__ = ["OBJECTIVES", "NetworkProblem", "network_problem"]

NAME, VERSION = "mapping_network", 0
AT_ONCE = 1 << 15
"""Mappings costed together."""

_WHOLE = whole_metrics(
    latency="latency of all layers, one after the other",
    energy="energy of all layers",
    edp="energy x latency, each of all layers",
)
OBJECTIVES = tuple(_WHOLE)
"""What can be minimised. ``edp`` is the network's energy x the network's latency, as a battery and
a user have them; where each layer has a share of its own, ``METRICS["edp"]`` is the sum of the
layers' products, which is less and adds up."""


@dataclass(frozen=True, eq=False, repr=False)
class NetworkProblem(Problem):
    """How should the layers of a network run, which share a decision or the hardware?

    Attributes:
        workload: The network.
        network: Its layers, and the mappings there are.
        objective: ``edp`` (energy x latency, of the network), ``latency`` or ``energy``.

    Raises:
        InfeasibleError: If no shared choice leaves every layer a mapping.
    """

    suits: ClassVar[str] = "relative"

    workload: Workload
    network: NetworkSpace
    objective: Metric

    def __post_init__(self) -> None:
        network = self.network
        _ = network.space  # which says if it is not wide enough
        if network.starts.any():
            return
        shared = " and ".join(network.shared)
        if network.chooses_hardware:
            l1, l2 = network.least_bytes
            raise InfeasibleError(
                f"no {shared} within {network.area:,.0f} um^2 map {self.workload.name}: its layers "
                f"need {l1:,} B of L1 and {l2:,} B of L2 at least"
            )
        raise InfeasibleError(
            f"no {shared} leaves every layer of {self.workload.name} a mapping on "
            f"{network.hardware.title}"
        )

    @property
    def hardware(self) -> MappingHardware:
        """What it runs on; where hardware is chosen, its network."""
        return self.network.hardware

    @cached_property
    def statement(self) -> Statement:
        network, hardware = self.network, self.hardware
        on: dict[str, Any] = hardware.to_dict()
        if network.chooses_hardware:
            names = list(on)[:3]
            on |= {n: list(c) for n, c in zip(names, network.levels.all, strict=True)}
            where = f"hardware chosen within {network.area:,.0f} um^2"
        else:
            where = f"{hardware.name or hardware.title}, one {' and '.join(network.shared)}"
        layers = [
            {**dict(zip(SIZES, each.shape, strict=False)), "depthwise": each.is_depthwise,
             "repeat": each.repeat}
            for each in network.layers
        ]  # fmt: skip
        return Statement(
            key={
                "family": NAME,
                "version": VERSION,
                "cost_model": COST_MODEL,
                "layers": layers,
                "hardware": on,
                "coupling": network.coupling,
                "area": network.area if network.chooses_hardware else None,
                "objective": self.objective.name,
                "fixed": network.fixed,
                "width": network.space.shape[0],
            },
            title=f"{self.workload.name} on {where}, {self.objective.label}",
            space=network.space,
            objective=self.objective,
            metrics=(METRICS["latency"], METRICS["energy"], METRICS["area"]),
            constraint=METRICS["area"] if network.chooses_hardware else None,
            limit=network.area if network.chooses_hardware else np.inf,
            features=self._features,
            work=self._work,
            names=network.names,
            scale=POOR * self._most_pes * simple_bound(network, self.objective.name),
            allowed=network.allowed,
        )

    @property
    def _features(self) -> Floats:
        """(steps, 28): the layer and how often it is run, zeros where the step is about all; the
        hardware, zeros where it is chosen; the decision."""
        network, room = self.network, self.hardware.to_dict()
        if network.chooses_hardware:
            room = {name: 0 if name != "noc_bandwidth" else n for name, n in room.items()}
        on = [np.log2(1 + number) / 41 for number in room.values()]
        rows = np.zeros((len(network.names), 8 + len(on) + 3 + len(DECISIONS)))
        for step, row in enumerate(rows):
            layer, decision = network.place(step)
            if layer >= 0:
                each = network.layers[layer]
                sizes = [*network.widest(layer).sizes.tolist(), each.R, each.S]
                row[:6] = np.log2(1 + np.array(sizes)) / 32
                row[6], row[7] = KINDS[each.kind], np.log2(1 + each.repeat) / 32
                at = 3 + decision
            else:
                at = decision if network.chooses_hardware else 3 + self._shared[decision]
            row[8 : 8 + len(on)] = on
            row[8 + len(on) + at] = 1.0
        return rows

    @property
    def _most_pes(self) -> int:
        network = self.network
        return network.levels.pes[-1] if network.chooses_hardware else self.hardware.num_pes

    @property
    def _shared(self) -> tuple[int, ...]:
        return COUPLINGS[self.network.coupling]

    @property
    def _work(self) -> Floats:
        """(steps,) multiply-accumulates of the step's layer; of all where it is about all."""
        macs = [float(layer.macs) for layer in self.network.layers]
        places = [self.network.place(step)[0] for step in range(len(self.network.names))]
        return np.array([sum(macs) if layer < 0 else macs[layer] for layer in places])

    # --- solutions ------------------------------------------------------------------------------

    def layer_costs(self, genes: Ints) -> dict[str, Array]:
        """What every layer's mapping takes when it is run once, (layers, N) each: ``latency``,
        ``energy``, ``l1_bytes``, ``l2_bytes``, and whether it is ``valid``; of genes (N, steps, 1)
        whose every choice is one that its step has.

        Raises:
            Withheld: While an agent searches.
        """
        self.evaluate(genes[:0])  # says so
        return self._layer_costs(genes)

    def _layer_costs(self, genes: Ints) -> dict[str, Any]:
        network, count = self.network, len(self.network.layers)
        columns = ("latency", "energy", "l1_bytes", "l2_bytes", "valid")
        kinds = (np.int64, np.float64, np.int64, np.int64, np.bool_)
        out: dict[str, Any] = {
            name: np.zeros((count, len(genes)), kind)
            for name, kind in zip(columns, kinds, strict=True)
        }
        for start in range(0, len(genes), max(AT_ONCE // count, 1)):
            some = slice(start, start + max(AT_ONCE // count, 1))
            rows = genes[some]
            pes, l1, l2 = (np.tile(each, count) for each in network.built(rows))
            each = [network.mappings(rows, layer) for layer in range(count)]
            sound = np.zeros((count, len(rows)), bool)
            for layer, mappings in enumerate(each):
                for at, space in network.by_hardware(rows, layer):
                    sound[layer, at] = space.keeps(mappings.take(at))
            shapes = Shapes.of([layer for layer in network.layers for _ in rows])
            found = mapping_totals(
                shapes, Mappings.join(each), pes, self.hardware.interconnect, fixed=network.fixed
            )
            valid = found.valid & sound.ravel()
            valid &= (found.l1_bytes <= l1) & (found.l2_bytes <= l2)
            values = (found.runtime_cycles, found.energy_nj, found.l1_bytes, found.l2_bytes, valid)
            for name, value in zip(columns, values, strict=True):
                out[name][:, some] = value.reshape(count, -1)
        return out

    def score(self, genes: Ints) -> Scores:
        """A solution is valid if every layer's mapping is, on the hardware that was chosen."""
        network = self.network
        valid = network.space.within(genes)
        latency, energy, area = np.zeros((3, len(genes)))
        there = np.flatnonzero(valid)
        if len(there):
            found = self._layer_costs(genes[there])
            runs = np.array([[float(layer.repeat)] for layer in network.layers])
            # Layer by layer: how many solutions are asked for changes nothing.
            latency[there] = np.add.accumulate(found["latency"] * runs)[-1]
            energy[there] = np.add.accumulate(found["energy"] * runs)[-1]
            valid[there] = found["valid"].all(axis=0)
            area[there] = area_of(*network.built(genes[there]), self.hardware)
        worth = {"latency": latency, "energy": energy, "edp": latency * energy}
        return Scores(
            np.where(valid, worth[self.objective.name], np.inf),
            area if network.chooses_hardware else np.zeros(len(genes)),
            valid,
            valid & (area <= network.area),
            {"latency": latency, "energy": energy, "area": area},
        )

    def certify(self) -> Certificate:
        return certify(self.network, self.objective.name, self.score)

    @property
    def description(self) -> Mapping[str, Any]:
        network = self.network
        chosen = network.chooses_hardware
        names = ("pe_levels", "l1_levels", "l2_levels")
        levels = zip(names, map(list, network.levels.all), strict=True)
        return {
            "workload": asdict(self.workload),
            "hardware": self.hardware.name or self.hardware.to_dict(),
            "coupling": network.coupling,
            "objective": self.objective.name,
            "fixed": network.fixed,
            "width": network.width,
            **({"area": network.area, **dict(levels)} if chosen else {}),
        }


@lru_cache(maxsize=64)
def _problem(workload: Workload, network: NetworkSpace, objective: str) -> NetworkProblem:
    return NetworkProblem(workload, network, _WHOLE[objective])


def network_problem(
    workload: str | os.PathLike[str] | Workload | Mapping[str, Any] = "MobileNetV2",
    hardware: str | MappingHardware | Mapping[str, Any] = "edge",
    *,
    coupling: str = "cluster",
    objective: str | Metric = "edp",
    area: float | None = None,
    pe_levels: Sequence[int] | None = None,
    l1_levels: Sequence[int] | None = None,
    l2_levels: Sequence[int] | None = None,
    fixed: bool = False,
    width: int | None = None,
) -> NetworkProblem:
    """A problem from names, shared: equal arguments give the same object and certificate.

    Args:
        workload: What :func:`hwgym.workloads.load_workload` takes: a model's name, a file, a
            workload. Every layer is at stride 1.
        hardware: As :func:`~hwgym.families.mapping.mapping_problem` takes it. Where hardware is
            chosen, that whose area and network there are.
        coupling: What all layers share: ``cluster`` (how many PEs make one), ``order`` (the loops'
            orders) or ``hardware`` (PEs and buffers, which are chosen).
        objective: ``edp`` (the network's energy in nJ x its latency in cycles), ``latency`` or
            ``energy``.
        area: um^2 that PEs and buffers may take, where they are chosen; by default that of
            ``hardware``.
        pe_levels, l1_levels, l2_levels: What there is to choose from, bytes of buffers.
        fixed: Whether MAESTRO's defects are mended.
        width: Choices of every step, where problems of a bank must have as many; by default those
            of the step that has most.

    Raises:
        ValueError: If a name or a number is wrong, or something is given of hardware to choose
            where none is chosen.
        InfeasibleError: If no shared choice leaves every layer a mapping (a ValueError, too).
        OSError: If a file cannot be read.
    """
    name = objective.name if isinstance(objective, Metric) else objective
    find_metric(name, "objective", OBJECTIVES)
    if coupling not in COUPLINGS:
        raise ValueError(nearest("coupling", coupling, COUPLINGS))
    on = mapping_hardware(hardware)
    given = {"pe_levels": pe_levels, "l1_levels": l1_levels, "l2_levels": l2_levels}
    if coupling != "hardware":
        for what, value in {"area": area, **given}.items():
            if value is not None:
                raise ValueError(f"{what} is of hardware to choose: coupling='hardware'")
        levels, area = Levels(), np.inf
    else:
        levels = Levels(*_levels(given))
        if area is None:
            area = float(area_of(on.num_pes, on.l1_bytes, on.l2_bytes, on))
        number = isinstance(area, Real) and not isinstance(area, bool)
        if not number or not 0 < area < np.inf:
            raise ValueError(f"area must be a positive number of um^2, got {area!r}")
        on = replace(on, **{n: c[-1] for n, c in zip(on.to_dict(), levels.all, strict=False)})
    found = load_workload(workload)
    network = NetworkSpace(
        distinct_layers(found),
        on,
        cast(Coupling, coupling),
        levels,
        float(area),
        bool(fixed),
        width,
    )
    return _problem(found, network, name)


def _levels(given: Mapping[str, Sequence[int] | None]) -> Iterator[tuple[int, ...]]:
    for (what, some), default in zip(given.items(), Levels().all, strict=True):
        if some is None:
            yield default
            continue
        levels = integers(what, some)
        if levels.ndim != 1 or not levels.size or (np.diff(levels) <= 0).any():
            raise ValueError(f"{what} must be increasing positive integers, got {some!r}")
        yield tuple(levels.tolist())

"""The problems of mapping search: how should a layer run on given hardware?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym._names import nearest
from hwgym.core.certificate import Certificate
from hwgym.core.metric import METRICS, Metric, find_metric
from hwgym.core.problem import InfeasibleError, Problem, Scores, Statement
from hwgym.core.veil import check_lifted
from hwgym.costs.maestro import MappingCosts, Mappings, evaluate_mappings, mapping_totals
from hwgym.families.mapped import POOR, find_layer, whole_metrics
from hwgym.families.mapping.bounds import certify, compulsory_elements, least_cycles
from hwgym.families.mapping.hardware import MappingHardware, mapping_hardware
from hwgym.families.mapping.space import DECISIONS, SMALLEST, MappingSpace, TileChoice
from hwgym.hardware import Hardware
from hwgym.workloads import Layer

__all__ = ["OBJECTIVES", "TILES", "MappingProblem", "mapping_problem"]

NAME, VERSION = "mapping", 0
COST_MODEL = {"name": "maestro", "version": 1}
TILES = ("divisors", "any")
KINDS = {"CONV": 0.0, "DSCONV": 0.5, "GEMM": 1.0}

_WHOLE = whole_metrics(latency="", energy="", edp="energy x latency")
OBJECTIVES = tuple(_WHOLE)
"""What can be minimised."""


@dataclass(frozen=True, eq=False, repr=False)
class MappingProblem(Problem):
    """How should a layer run on given hardware, for the least of an objective?

    Attributes:
        mappings: The layer, the hardware, and the mappings there are.
        objective: ``edp`` (energy x latency), ``latency`` or ``energy``.
        latency_cap: Cycles that a feasible mapping may take; None if any.

    Raises:
        InfeasibleError: If no mapping fits the buffers.
    """

    suits: ClassVar[str] = "relative"

    mappings: MappingSpace
    objective: Metric
    latency_cap: int | None = None

    def __post_init__(self) -> None:
        _ = self.mappings.space  # which says if it is not wide enough
        if not self.mappings.possible:
            layer, hardware = self.mappings.layer, self.mappings.hardware
            needs = int(self.mappings.l1_bytes(SMALLEST))
            raise InfeasibleError(
                f"no mapping of {layer.name} fits {hardware.title}: its {layer.R}x{layer.S} "
                f"filters take {needs:,} B of L1 at least"
                + ("" if needs > hardware.l1_bytes else ", and more of L2 than there is")
            )

    @property
    def layer(self) -> Layer:
        """To be mapped."""
        return self.mappings.layer

    @property
    def hardware(self) -> MappingHardware:
        """What it runs on."""
        return self.mappings.hardware

    @cached_property
    def statement(self) -> Statement:
        mappings, layer, hardware = self.mappings, self.layer, self.hardware
        cap = self.latency_cap
        under = "" if cap is None else f" in {cap:,} cycles"
        tiles = "" if mappings.tiles == "divisors" else ", any tiles"
        return Statement(
            key={
                "family": NAME,
                "version": VERSION,
                "cost_model": COST_MODEL,
                "layer": {**dict(zip(SIZES, layer.shape, strict=False)),
                          "depthwise": layer.is_depthwise},
                "hardware": hardware.to_dict(),
                "objective": self.objective.name,
                "latency_cap": cap,
                "tiles": mappings.tiles,
                "fixed": mappings.fixed,
                "width": mappings.space.shape[0],
            },
            title=f"{layer.name} on {hardware.name or hardware.title}, "
            f"{self.objective.label}{under}{tiles}",
            space=mappings.space,
            objective=self.objective,
            metrics=(METRICS["latency"], METRICS["energy"]),
            constraint=None if cap is None else METRICS["latency"],
            limit=np.inf if cap is None else cap,
            features=self._features,
            names=DECISIONS,
            scale=POOR * self.hardware.num_pes * self._bound,
            allowed=mappings.allowed,
        )  # fmt: skip

    @property
    def _features(self) -> Floats:
        """(13, 24): the layer, the decision, the hardware."""
        layer, hardware = self.layer, self.hardware
        sizes = [*self.mappings.sizes.tolist(), layer.R, layer.S]
        about = [np.log2(1 + size) / 32 for size in sizes] + [KINDS[layer.kind]]
        room = [np.log2(1 + size) / 41 for size in hardware.to_dict().values()]
        same = np.tile(np.array(about + room), (len(DECISIONS), 1))
        return np.hstack([same, np.eye(len(DECISIONS))])

    @property
    def _bound(self) -> float:
        """No mapping's objective is less: cycles of the PEs and the network, energy of moving
        everything once."""
        tech = self.hardware.interconnect.tech
        latency = float(least_cycles(self.mappings))
        energy = compulsory_elements(self.mappings) * tech.l2_energy_macs * tech.mac_energy_nj
        return {"latency": latency, "energy": energy, "edp": latency * energy}[self.objective.name]

    # --- solutions ------------------------------------------------------------------------------

    def costs(self, genes: Ints) -> MappingCosts:
        """All that the cost model says of mappings, genes (N, 13, 1) each of which its step has.

        Raises:
            ValueError: As ``evaluate``.
            Withheld: While an agent searches.
        """
        checked = self.space.check(genes)
        check_lifted("an evaluation past the evaluator")
        return evaluate_mappings(*self._asked(checked), fixed=self.mappings.fixed)

    def _asked(self, genes: Ints) -> tuple[Layer, Mappings, int, Hardware]:
        hardware = self.hardware
        mappings = self.mappings.mappings(genes)
        return self.layer, mappings, hardware.num_pes, hardware.interconnect

    def score(self, genes: Ints) -> Scores:
        """A mapping is valid if its inner tiles go into the outer ones, L1 and L2 hold it, and
        MAESTRO's count of its cycles and accesses can be true: it takes no less than its busiest
        PE needs, leaves no traffic out, and moves all data."""
        space, hardware = self.mappings, self.hardware
        valid = space.space.within(genes)
        if valid.any():
            valid[valid] = space.keeps(space.mappings(genes[valid]))
        latency, energy = np.zeros(len(genes)), np.zeros(len(genes))
        if valid.any():
            there = np.flatnonzero(valid)
            found = mapping_totals(*self._asked(genes[there]), fixed=space.fixed)
            latency[there], energy[there] = found.runtime_cycles, found.energy_nj
            fits = (found.l1_bytes <= hardware.l1_bytes) & (found.l2_bytes <= hardware.l2_bytes)
            valid[there] = found.valid & fits
        worth = {"latency": latency, "energy": energy, "edp": latency * energy}
        within = True if self.latency_cap is None else latency <= self.latency_cap
        return Scores(
            np.where(valid, worth[self.objective.name], np.inf),
            np.zeros(len(genes)) if self.latency_cap is None else latency,
            valid,
            valid & within,
            {"latency": latency, "energy": energy},
        )

    def certify(self) -> Certificate:
        cap = np.inf if self.latency_cap is None else float(self.latency_cap)
        return certify(
            self.mappings,
            self.objective.name,
            cap,
            lambda genes: float(self.score(genes).objective[0]),
        )

    @property
    def description(self) -> Mapping[str, Any]:
        return {
            "layer": asdict(self.layer),
            "hardware": self.hardware.name or self.hardware.to_dict(),
            "objective": self.objective.name,
            "latency_cap": self.latency_cap,
            "tiles": self.mappings.tiles,
            "fixed": self.mappings.fixed,
            "width": self.mappings.width,
        }


SIZES = ("K", "C", "Y", "X", "R", "S")


@lru_cache(maxsize=256)
def _problem(
    layer: Layer,
    hardware: MappingHardware,
    objective: str,
    latency_cap: int | None,
    latency_ratio: float | None,
    tiles: TileChoice,
    fixed: bool,
    width: int | None,
) -> MappingProblem:
    mappings = MappingSpace(layer, hardware, tiles, fixed, width)
    if latency_ratio is not None:
        latency_cap = int(latency_ratio * least_cycles(mappings))
    return MappingProblem(mappings, _WHOLE[objective], latency_cap)


def mapping_problem(
    layer: str | os.PathLike[str] | Layer | Mapping[str, Any],
    hardware: str | MappingHardware | Mapping[str, Any] = "edge",
    *,
    objective: str | Metric = "edp",
    latency_cap: int | None = None,
    latency_ratio: float | None = None,
    tiles: str = "divisors",
    fixed: bool | None = None,
    width: int | None = None,
) -> MappingProblem:
    """A problem from names, shared: equal arguments give the same object and certificate.

    Args:
        layer: As :func:`~hwgym.families.mapped.find_layer` takes it: ``ResNet50:20`` is the
            20th of that model. One run of it is mapped, whatever its ``repeat``, at stride 1.
        hardware: A key of :data:`~hwgym.families.mapping.hardware.HARDWARE`, or a mapping with
            ``num_pes``, ``l1_bytes``, ``l2_bytes`` and perhaps ``noc_bandwidth`` (elements a
            cycle).
        objective: ``edp`` (nJ x cycles), ``latency`` (cycles) or ``energy`` (nJ, MAESTRO's: L2
            accesses).
        latency_cap: Cycles that a mapping may take; or instead of it
        latency_ratio: The same, as a multiple of what
            ``hwgym.families.mapping.bounds.least_cycles`` says.
        tiles: ``divisors`` or ``any``.
        fixed: Whether MAESTRO's defects are mended; by default where tiles are ``any``, which
            need it.
        width: Choices of every step, where problems of a bank must have as many; by default those
            of the step that has most.

    Raises:
        ValueError: If a name or a number is wrong.
        InfeasibleError: If no mapping fits the buffers (a ValueError, too).
        OSError: If a file cannot be read.
    """
    name = objective.name if isinstance(objective, Metric) else objective
    find_metric(name, "objective", OBJECTIVES)
    if tiles not in TILES:
        raise ValueError(nearest("choice of tiles", tiles, TILES))
    if tiles == "any" and fixed is False:
        raise ValueError("tiles='any' needs fixed=True: MAESTRO's count of them may not be true")
    if latency_cap is not None and latency_ratio is not None:
        raise ValueError("give latency_cap or latency_ratio, not both")
    whole = isinstance(latency_cap, int) and not isinstance(latency_cap, bool)
    if latency_cap is not None and not (whole and latency_cap > 0):
        raise ValueError(f"latency_cap must be a positive number of cycles, got {latency_cap!r}")
    if latency_ratio is not None and not 1 <= latency_ratio < np.inf:
        raise ValueError(f"latency_ratio must be at least 1, got {latency_ratio!r}")
    return _problem(
        find_layer(layer),
        mapping_hardware(hardware),
        name,
        latency_cap,
        None if latency_ratio is None else float(latency_ratio),
        "any" if tiles == "any" else "divisors",
        tiles == "any" if fixed is None else bool(fixed),
        width,
    )

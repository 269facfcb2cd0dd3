"""The problems of mapping: which loop nest should run a layer on an accelerator?"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.core.certificate import Certificate
from hwgym.core.metric import METRICS, Metric, find_metric
from hwgym.core.problem import Problem, Scores, Statement
from hwgym.costs.loopnest import DIMS
from hwgym.families.mapped import POOR, find_layer, whole_metrics
from hwgym.families.mapping_loopnest.accelerator import Accelerator, accelerator
from hwgym.families.mapping_loopnest.bounds import Search
from hwgym.families.mapping_loopnest.costs import MappingCosts
from hwgym.families.mapping_loopnest.space import LEVELS, ORDERS, MappingSpace
from hwgym.workloads import Layer
from hwgym.workloads.layer import FIELDS

__all__ = ["OBJECTIVES", "MappingProblem", "mapping_problem"]

NAME, VERSION = "mapping_loopnest", 1
COST_MODEL = {"name": "loopnest", "version": 1}
KINDS = (*LEVELS, *(f"{level} order" for level in ORDERS))

_WHOLE = whole_metrics(edp="energy x latency", latency="", energy="")
OBJECTIVES = tuple(_WHOLE)
"""What can be minimised."""


@dataclass(frozen=True, eq=False, repr=False)
class MappingProblem(Problem):
    """Which loop nest should run a layer on an accelerator?

    Attributes:
        mappings: The layer, the accelerator and all mappings.
        objective: ``edp`` (energy x latency), ``latency`` or ``energy``.
        width: Choices of every step, as ``MappingSpace.space`` takes it.
    """

    suits: ClassVar[str] = "relative"

    mappings: MappingSpace
    objective: Metric
    width: int | None = None

    @property
    def layer(self) -> Layer:
        """To be mapped."""
        return self.mappings.layer

    @property
    def hardware(self) -> Accelerator:
        """What it runs on."""
        return self.mappings.accelerator

    @cached_property
    def statement(self) -> Statement:
        layer, hardware, space = self.layer, self.hardware, self.mappings.space(self.width)
        shape = {name: getattr(layer, name) for name in FIELDS if name not in ("name", "repeat")}
        return Statement(
            key={
                "family": NAME,
                "version": VERSION,
                "cost_model": COST_MODEL,
                "layer": shape,
                "hardware": hardware.to_dict(),
                "objective": self.objective.name,
                "width": space.shape[0],
            },
            title=f"{layer.name} on {hardware.name or hardware.title}, {self.objective.label}",
            space=space,
            objective=self.objective,
            metrics=(METRICS["latency"], METRICS["energy"]),
            features=self._features,
            names=tuple(decision.name for decision in self.mappings.decisions),
            scale=POOR * self.hardware.rows * self.hardware.columns * self.simple_bound,
            allowed=self._allowed,
        )

    @cached_property
    def simple_bound(self) -> float:
        """No mapping's objective is less: all PEs compute or DRAM moves everything once; buffers
        hold everything."""
        return Search(self.costs).simple_bound

    @property
    def _features(self) -> Floats:
        """(steps, 26): what is chosen, of which dimension; the layer; the accelerator."""
        hardware = self.hardware
        sizes = [hardware.rows, hardware.columns, hardware.l1_bytes, hardware.l2_bytes]
        fixed = np.log2(1 + np.array([*self.mappings.extent.tolist(), *sizes])) / 32
        decisions = self.mappings.decisions
        kinds = [KINDS.index(d.what if d.dim >= 0 else d.name) for d in decisions]
        dims = [[d.dim == dim for dim in range(len(DIMS))] for d in decisions]
        same = np.tile(fixed, (len(decisions), 1))
        return np.hstack([np.eye(len(KINDS))[kinds], np.array(dims, np.float64), same])

    def _allowed(self, genes: Ints, step: int) -> Bools:
        """(N, width): the choices of a step after which some mapping fits, given genes (N, steps,
        1) before it."""
        own = self.mappings.allowed(genes[:, :step, 0], step)
        masks = np.zeros((len(genes), self.space.shape[0]), bool)
        masks[:, : own.shape[1]] = own
        return masks

    # --- solutions --------------------------------------------------------------------------------

    @cached_property
    def costs(self) -> MappingCosts:
        """Of loop nests."""
        return MappingCosts(self.mappings, self.objective.name)

    def score(self, genes: Ints) -> Scores:
        valid = self.space.within(genes)
        chosen = self.mappings.chosen(genes[..., 0])
        valid &= self.mappings.divides(np.maximum(chosen.sizes, 1))
        latency, spent = np.zeros(len(genes)), np.zeros(len(genes))
        if valid.any():
            there = np.flatnonzero(valid)
            nests = self.mappings.nests(chosen.sizes[:, there], chosen.orders[:, there])
            profile = self.costs.profile(nests)
            valid[there] = self.costs.fits(profile)
            latency[there], spent[there] = self.costs.both(profile)
        metrics = {"latency": np.where(valid, latency, 0.0), "energy": np.where(valid, spent, 0.0)}
        objective = np.where(valid, self.costs.joined(latency, spent), np.inf)
        return Scores(objective, np.zeros(len(genes)), valid, valid, metrics)

    def certify(self) -> Certificate:
        started = time.perf_counter()
        search = Search(self.costs)
        lower_bound = search.run()
        genes = search.genes[:, None]
        objective = float(self.score(genes[None]).objective[0])
        proven = lower_bound >= search.best
        stopped = "" if proven else f", stopped after {search.looked_at:,} tilings"
        return Certificate(
            genes,
            objective,
            objective if proven else min(lower_bound, objective),
            f"branch and bound{stopped}",
            time.perf_counter() - started,
            min(self.simple_bound, objective),  # where they meet, but for rounding
        )

    @property
    def description(self) -> Mapping[str, Any]:
        return {
            "layer": asdict(self.layer),
            "hardware": self.hardware.name or self.hardware.to_dict(),
            "objective": self.objective.name,
            "width": self.width,
        }


@lru_cache(maxsize=256)
def _problem(
    layer: Layer, hardware: Accelerator, objective: str, width: int | None
) -> MappingProblem:
    return MappingProblem(MappingSpace(layer, hardware), _WHOLE[objective], width)


def mapping_problem(
    layer: str | os.PathLike[str] | Layer | Mapping[str, Any],
    hardware: str | Accelerator | Mapping[str, Any] = "edge",
    *,
    objective: str | Metric = "edp",
    width: int | None = None,
) -> MappingProblem:
    """A problem from names, shared: equal arguments give the same object and certificate.

    Args:
        layer: As :func:`~hwgym.families.mapped.find_layer` takes it: ``ResNet50:20`` is the 20th of
            that model. One run of it is mapped, whatever its ``repeat``.
        hardware: A key of :data:`~hwgym.families.mapping_loopnest.ACCELERATORS`, or a mapping with
            ``rows``, ``columns``, ``l1_bytes``, ``l2_bytes`` and perhaps ``machine``.
        objective: ``edp`` (nJ x cycles), ``latency`` (cycles) or ``energy`` (nJ).
        width: Choices of every step, where problems of a bank must have as many; by default those
            of the step that has most.

    Raises:
        ValueError: If a name or a number is wrong.
        OSError: If a file cannot be read.
    """
    name = objective.name if isinstance(objective, Metric) else objective
    find_metric(name, "objective", OBJECTIVES)
    return _problem(find_layer(layer), accelerator(hardware), name, width)

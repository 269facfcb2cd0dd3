"""Cores, and what a job takes on each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats
from hwgym._names import nearest
from hwgym.costs.loopnest import LATENCY_SLACK, kind_costs
from hwgym.costs.maestro import KINDS, evaluate
from hwgym.workloads import Layer

__all__ = ["COST_MODELS", "MOST_PES", "Core", "JobCosts", "core_of", "job_costs"]

COST_MODELS = ("maestro", "magma", "loopnest")
"""Where costs of jobs come from."""

MOST_PES = 2**16


class Core(NamedTuple):
    """A sub-accelerator.

    Attributes:
        kind: A key of :data:`~hwgym.costs.maestro.KINDS`.
        num_pes: PEs.
    """

    kind: str
    num_pes: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.num_pes}"


def core_of(given: str | Core) -> Core:
    """The core that is given as its kind and PEs, such as ``nv:2048``.

    Raises:
        ValueError: If it is not, or the kind is unknown, when the message gives the nearest.
    """
    kind, _, pes = str(given).partition(":")
    if kind not in KINDS:
        raise ValueError(nearest("kind of core", kind, KINDS))
    if not (pes.isascii() and pes.isdigit() and 1 <= int(pes) <= MOST_PES):
        raise ValueError(
            f"a core is given as its kind and 1 to {MOST_PES:,} PEs, such as {kind}:2048; "
            f"got {given!r}"
        )
    return Core(kind, int(pes))


class JobCosts(NamedTuple):
    """What jobs take on cores, arrays (jobs, cores).

    Attributes:
        latency: Cycles of a job that runs alone; 1 where it cannot run.
        traffic: Elements that it moves between DRAM and the core. 0 where it cannot run.
        possible: Whether it can run.
    """

    latency: Floats
    traffic: Floats
    possible: Bools


def job_costs(layers: Sequence[Layer], cores: Sequence[Core], model: str = "maestro") -> JobCosts:
    """What jobs take on cores, one run of each layer.

    Under ``maestro`` a job's traffic is all that its mapping writes to L2, and it can run where the
    mapping can be built, does all of the layer's work, and no sooner than its PEs can. ``magma`` is
    the same, but the traffic is what the release of MAGMA takes for it (``src/cost_model_env.py``):
    half of the L2 that the mapping needs, cycles / (cycles - 1) times. That is one tile of each
    tensor, once, whatever comes after it. Under ``loopnest`` it is what the mapping reads from DRAM
    and writes there. Of the mappings whose latency without a limit of DRAM is within 1 % of the
    least, that of least traffic is taken; it may leave eighths of the PEs idle.

    Args:
        layers: A job each.
        cores: Equal ones are asked for once.
        model: One of :data:`COST_MODELS`.

    Raises:
        ValueError: If the model is unknown.
    """
    if model not in COST_MODELS:
        raise ValueError(nearest("cost model", model, COST_MODELS))
    costs = {"maestro": _by_maestro, "magma": _by_magma, "loopnest": _by_loopnest}[model]
    different = list(dict.fromkeys(cores))
    column = [different.index(core) for core in cores]
    found = [costs(layers, core) for core in different]
    return JobCosts(*(np.stack(each, axis=1)[:, column] for each in zip(*found, strict=True)))


def _by_maestro(layers: Sequence[Layer], core: Core) -> JobCosts:
    """Arrays (jobs,)."""
    found = evaluate(layers, KINDS[core.kind], core.num_pes, 1)
    written = found.input_l2_write + found.weight_l2_write + found.output_l2_write
    return _where(found.valid, found.runtime_cycles, written)


def _by_magma(layers: Sequence[Layer], core: Core) -> JobCosts:
    """Arrays (jobs,)."""
    found = evaluate(layers, KINDS[core.kind], core.num_pes, 1)
    cycles = found.runtime_cycles
    return _where(found.valid, cycles, found.l2_bytes / 2 * cycles / np.maximum(cycles - 1, 1))


def _by_loopnest(layers: Sequence[Layer], core: Core) -> JobCosts:
    """Arrays (jobs,)."""
    parts = sorted({max(core.num_pes * eighths // 8, 1) for eighths in range(1, 9)})
    found = kind_costs(layers, core.kind, parts, [math.inf], slack=LATENCY_SLACK)
    cycles, traffic = found.cycles[-1, 0], found.traffic[-1, 0]
    return _where(np.isfinite(cycles), cycles, traffic)


def _where(possible: Bools, latency: Array, traffic: Array) -> JobCosts:
    return JobCosts(
        np.where(possible, latency, 1.0), np.where(possible, traffic, 0.0), np.array(possible)
    )

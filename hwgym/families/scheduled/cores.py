"""Cores, and what a job takes on each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats
from hwgym._names import nearest
from hwgym.costs.maestro import KINDS, evaluate
from hwgym.workloads import Layer

__all__ = ["MOST_PES", "Core", "JobCosts", "core_of", "job_costs"]

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
        traffic: Elements that it moves between DRAM and the core: all that its mapping writes to
            L2. 0 where it cannot run.
        possible: The mapping can be built, does all of the layer's work, and no sooner than its
            PEs can.
    """

    latency: Floats
    traffic: Floats
    possible: Bools


def job_costs(layers: Sequence[Layer], cores: Sequence[Core]) -> JobCosts:
    """What jobs take on cores, one run of each layer: MAESTRO's numbers of each kind."""
    different = list(dict.fromkeys(cores))
    column = [different.index(core) for core in cores]
    shape = (len(layers), len(different))
    latency, traffic, possible = np.ones(shape), np.zeros(shape), np.zeros(shape, bool)
    for i, core in enumerate(different):
        found = evaluate(layers, KINDS[core.kind], core.num_pes, 1)
        ok = possible[:, i] = found.valid
        latency[ok, i] = found.runtime_cycles[ok]
        written = found.input_l2_write + found.weight_l2_write + found.output_l2_write
        traffic[ok, i] = written[ok]
    return JobCosts(latency[:, column], traffic[:, column], possible[:, column])

"""What is proven of mapping problems: optima by enumeration, else a lower bound.

Mappings whose tiles divide are enumerated (:mod:`hwgym.families.mapping.enumeration`), which takes
seconds. With any tiles there are too many: the best of those that divide is then set against what
no mapping falls below.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil

import numpy as np

from hwgym._arrays import Ints
from hwgym.bounds.movement import Operand, least_movement
from hwgym.core.certificate import Certificate
from hwgym.core.problem import InfeasibleError
from hwgym.families.mapping.enumeration import Search, elements_of, interconnect
from hwgym.families.mapping.space import MappingSpace

__all__ = ["certify", "compulsory_elements", "least_cycles", "least_elements"]


def certify(
    space: MappingSpace, objective: str, cap: float, worth: Callable[[Ints], float]
) -> Certificate:
    """The best mapping known, and what is proven of it.

    Args:
        space: All mappings.
        objective: ``edp``, ``latency`` or ``energy``.
        cap: Cycles that a mapping may take; infinite if any.
        worth: The objective of genes (1, 13, 1), as the problem gives it.

    Raises:
        InfeasibleError: If no mapping is within the cap.
    """
    start = time.perf_counter()
    search = Search(space)
    found = search.best(objective, cap)
    if found is None:
        fastest = search.best("latency")
        known = "" if fastest is None else f"; the fastest found takes {fastest.cycles:,}"
        raise InfeasibleError(
            f"no mapping of {space.layer.name} in {cap:,.0f} cycles was found{known}"
        )
    genes = space.genes(found.mapping)
    value = worth(genes)
    cycles = least_cycles(space)

    def below(elements: int) -> float:
        """The bound that elements and cycles make, in the objective's unit."""
        least = {"latency": cycles, "energy": elements, "edp": elements * cycles}[objective]
        return value if least >= found.value else min(value, value / found.value * least)

    simple = below(compulsory_elements(space))
    if space.tiles == "any":
        method = "tiles that divide, enumerated; against steps of PEs and data movement"
        lower = below(least_elements(space))
    elif found.proven:
        method, lower = "enumeration of the level over the array", value
    else:
        method = "enumeration of the level over the array, not to its end"
        lower = max(below(least_elements(space)), value / found.value * found.lower_bound)
    return Certificate(genes[0], value, lower, method, time.perf_counter() - start, simple)


def least_cycles(space: MappingSpace) -> int:
    """Cycles that no mapping falls below.

    The busiest PE's multiply-accumulates under the best cluster and spread dimensions, and the
    first ingress of either level; what the network takes to bring inputs and weights in; and what
    it takes to send results up, but for those of the first iteration: these cost nothing, are no
    more than the shared buffer holds, and have to be computed before.
    """
    noc = interconnect(space)
    clusters, dims = space.clusters, space.parallels.tolist()
    units = space.hardware.num_pes // clusters
    # A dimension by how it is shared: over neither, PEs of a cluster, clusters, both.
    ways = np.stack([np.ones_like(clusters), clusters, units, units * clusters])
    sizes = -(-space.sizes[:, None, None] // ways)
    steps = []
    for outer in dims:
        for inner in dims:
            total = np.full(len(clusters), space.layer.R * space.layer.S)
            for d, size in enumerate(sizes):
                total = total * size[2 * (d == outer) + (d == inner)]
            steps.append(total)
    inputs, weights, outputs = elements_of(space)
    computed = ceil(int(np.min(steps)) / int(noc.lanes)) + 2 * int(noc.latency)
    bandwidth, rate = int(noc.bandwidth), space.hardware.num_pes * int(noc.lanes)
    each = space.layer.R * space.layer.S * (1 if space.depthwise else int(space.sizes[1]))
    held = min(outputs, space.hardware.l2_bytes // 2)
    if each * bandwidth > rate:  # to compute them takes longer than to send them
        held = 0
    sent = ceil(((outputs - held) * rate + held * each * bandwidth) / (bandwidth * rate))
    return max(computed, ceil((inputs + weights) / bandwidth), sent)


def least_elements(space: MappingSpace) -> int:
    """Elements of MAESTRO's energy that no mapping falls below, if no traffic is left out: what has
    to move, and again for want of room in the shared buffer."""
    inputs, weights, _ = elements_of(space)
    r, s = space.filters
    depthwise = space.depthwise
    moved = least_movement(
        space.sizes.tolist(),
        [
            Operand([1, 2, 3], {2: r - 1, 3: s - 1}),
            Operand([1] if depthwise else [0, 1], each=r * s),
        ],
        Operand([1, 2, 3] if depthwise else [0, 2, 3]),
        space.hardware.l2_bytes / 2,
    )
    return max(inputs + weights + ceil(moved * (1 - 1e-9)), compulsory_elements(space))


def compulsory_elements(space: MappingSpace) -> int:
    """The same with room for all: inputs and weights in and out of the buffer, and the results."""
    inputs, weights, outputs = elements_of(space)
    return 2 * (inputs + weights) + outputs

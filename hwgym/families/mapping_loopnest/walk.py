"""The walk of mappings: what an episode sees of what it has chosen so far."""

from __future__ import annotations

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.core.walk import Walk, WalkState
from hwgym.costs.loopnest import DIMS
from hwgym.families.mapping_loopnest.problem import MappingProblem
from hwgym.families.mapping_loopnest.space import LEVELS, ORDERS

__all__ = ["MappingWalk"]

SLOTS = (len(LEVELS) + len(ORDERS)) * len(DIMS)


class MappingWalk(Walk):
    """An observation has, each mapped from [0, 1] to [-1, 1]: the features of the step to be taken
    (zeros when none is left); of each dimension what it was given of rows, columns, L2 tile and
    tile in a PE, log2(1 + size) / log2(1 + extent), then the places of its loop in both orders,
    (position + 1) / 8, 0 where nothing is chosen yet and of dimensions that are not asked for; the
    shares of L1 and of L2 left if all that is open is as small as it can be; and steps done /
    steps. Every episode goes on to its end; masks keep to what can still fit."""

    @property
    def seen_size(self) -> int:
        return SLOTS + 2

    def seen(self, state: WalkState) -> Floats:
        about = np.zeros((len(state.step), self.seen_size))
        for problem, rows in self.posed(state):
            about[rows] = _about(problem, state.genes[rows, : problem.num_steps, 0])
        return about


def _about(problem: MappingProblem, genes: Ints) -> Floats:
    """(N, SLOTS + 2): what was chosen, and what it leaves of the buffers."""
    mappings, hardware = problem.mappings, problem.hardware
    chosen = mappings.chosen(genes)
    asked = np.zeros(len(DIMS))
    asked[list(mappings.dims)] = 1
    sizes = asked * np.log2(1 + chosen.sizes) / np.log2(1 + mappings.extent)
    taken = chosen.orders.any(axis=2, keepdims=True)
    orders = asked * taken * (chosen.orders + 1) / len(DIMS)
    l1, l2 = mappings.needed(chosen)
    left = [1 - l1 / hardware.l1_bytes, 1 - l2 / hardware.l2_bytes]
    slots = np.concatenate([sizes, orders]).transpose(1, 0, 2).reshape(len(genes), SLOTS)
    return np.hstack([slots, np.maximum(np.stack(left, axis=1), 0.0)])

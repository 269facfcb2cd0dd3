"""The walk of mapping search: an episode makes one mapping, decision by decision."""

from __future__ import annotations

import numpy as np

from hwgym._arrays import Floats
from hwgym.core.walk import Walk, WalkState
from hwgym.families.mapping.space import DECISIONS

__all__ = ["MappingWalk"]


class MappingWalk(Walk):
    """An observation has, each mapped from [0, 1] to [-1, 1]: the features of the step to be taken
    (zeros when none is left); what was chosen at each of the thirteen, (index + 1) / size, 0 where
    nothing is yet; the shares of L1 and of L2 that what was chosen leaves at most; and steps done /
    steps. Every episode goes on to its end; masks keep to what can still become valid."""

    @property
    def seen_size(self) -> int:
        return len(DECISIONS) + 2

    def seen(self, state: WalkState) -> Floats:
        about = np.zeros((len(state.step), self.seen_size))
        for problem, rows in self.posed(state):
            genes = state.genes[rows]
            shares = (genes[..., 0] + 1) / problem.space.sizes[:, 0]
            about[rows, :-2] = np.minimum(shares, 1.0)
            l1, l2 = problem.mappings.needed(genes)
            about[rows, -2] = np.maximum(1 - l1 / problem.hardware.l1_bytes, 0.0)
            about[rows, -1] = np.maximum(1 - l2 / problem.hardware.l2_bytes, 0.0)
        return about

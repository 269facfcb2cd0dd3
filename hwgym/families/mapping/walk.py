"""The walk of mapping search: an episode makes one mapping, decision by decision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgym._arrays import Observations
from hwgym.core.problem import Problem
from hwgym.core.walk import Walk, WalkState
from hwgym.families.mapping.problem import MappingProblem
from hwgym.families.mapping.space import DECISIONS

__all__ = ["MappingWalk"]


class MappingWalk(Walk):
    """An observation has, each mapped from [0, 1] to [-1, 1]: the features of the step to be taken
    (zeros when none is left); what was chosen at each of the thirteen, (index + 1) / size, 0 where
    nothing is yet; the shares of L1 and of L2 that what was chosen leaves at most; and steps done /
    steps. Every episode goes on to its end; masks keep to what can still become valid."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.observation_size = self._features.shape[2] + len(DECISIONS) + 3

    def observe(self, state: WalkState, room: int = 0) -> Observations:
        count = len(state.step)
        about = np.zeros((count, len(DECISIONS) + 2))
        for which in np.unique(state.which):
            problem = self.problems[which]
            assert isinstance(problem, MappingProblem)  # the family makes no other
            rows = np.flatnonzero(state.which == which)
            genes = state.genes[rows]
            shares = (genes[..., 0] + 1) / problem.space.sizes[:, 0]
            about[rows, :-2] = np.minimum(shares, 1.0)
            l1, l2 = problem.mappings.needed(genes)
            about[rows, -2] = np.maximum(1 - l1 / problem.hardware.l1_bytes, 0.0)
            about[rows, -1] = np.maximum(1 - l2 / problem.hardware.l2_bytes, 0.0)
        features = self._features[state.which, state.step]
        progress = (state.step / len(DECISIONS))[:, None]
        parts = np.concatenate([features, about, progress, np.zeros((count, room))], axis=1)
        return (parts * 2.0 - 1.0).astype(np.float32)

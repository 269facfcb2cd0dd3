"""The walk of mappings: what an episode sees of what it has chosen so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgym._arrays import Floats, Ints, Observations
from hwgym.core.problem import Problem
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

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self._shown = []
        for problem in problems:
            assert isinstance(problem, MappingProblem)  # the family makes no other
            self._shown.append([_shown(problem, step) for step in range(problem.num_steps)])
        width = problems[0].statement.features.shape[1]
        self.observation_size = width + SLOTS + 3

    def observe(self, state: WalkState, room: int = 0) -> Observations:
        count = len(state.step)
        about = np.zeros((count, SLOTS + 2))
        for which in np.unique(state.which):
            rows = np.flatnonzero(state.which == which)
            for step, (places, values) in enumerate(self._shown[which]):
                genes = state.genes[rows, step, 0]
                there = (genes >= 0) & (genes < len(values))
                about[np.ix_(rows[there], places)] = values[genes[there]]
            problem = self.problems[which]
            assert isinstance(problem, MappingProblem)
            needs = problem.mappings.needed(state.genes[rows, : problem.num_steps, 0])
            sizes = problem.hardware.l1_bytes, problem.hardware.l2_bytes
            for i, (bytes_, size) in enumerate(zip(needs, sizes, strict=True)):
                about[rows, SLOTS + i] = np.maximum(1 - bytes_ / size, 0.0)
        features = self._features[state.which, state.step]
        progress = (state.step / self.num_steps[state.which])[:, None]
        parts = np.concatenate([features, about, progress, np.zeros((count, room))], axis=1)
        return (parts * 2.0 - 1.0).astype(np.float32)


def _shown(problem: MappingProblem, step: int) -> tuple[Ints, Floats]:
    """Where a step's choice is seen, and (choices, places) how."""
    mappings, decision = problem.mappings, problem.mappings.decisions[step]
    if decision.dim < 0:
        at = len(LEVELS) + ORDERS.index(decision.what)
        dims = np.array(mappings.dims)
        return at * len(DIMS) + dims, (decision.values[:, dims] + 1) / len(DIMS)
    at = LEVELS.index(decision.what)
    share = np.log2(1 + decision.values) / np.log2(1 + mappings.extent[decision.dim])
    return np.array([at * len(DIMS) + decision.dim]), share[:, None]

"""The walk of network mapping: what is shared, then layer by layer, decision by decision."""

from __future__ import annotations

import numpy as np

from hwgym._arrays import Floats, rows_by
from hwgym.core.walk import Walk, WalkState
from hwgym.families.mapping.network.problem import NetworkProblem
from hwgym.families.mapping.space import DECISIONS

__all__ = ["NetworkWalk"]

SHARED = 3
"""Choices of what is shared that observations have room for."""


class NetworkWalk(Walk):
    """An observation has, each mapped from [0, 1] to [-1, 1]: the features of the step to be taken
    (zeros when none is left); what was chosen for all layers, (index + 1) / size, 0 where nothing
    is yet; what was chosen of the step's layer, at each of the thirteen decisions; the shares of L1
    and of L2 that this leaves at most; and steps done / steps. Every episode goes on to its end;
    masks keep to what can still become valid."""

    @property
    def seen_size(self) -> int:
        return SHARED + len(DECISIONS) + 2

    def seen(self, state: WalkState) -> Floats:
        about = np.zeros((len(state.step), self.seen_size))
        most = state.genes.shape[1] + 1
        for place, rows in rows_by(state.which * most + state.step):
            which, step = divmod(place, most)
            problem = self.problems[which]
            assert isinstance(problem, NetworkProblem)  # the family makes no other
            network = problem.network
            genes = state.genes[rows, : problem.num_steps]
            shared = len(network.shared)
            shares = (genes[:, :shared, 0] + 1) / problem.space.sizes[:shared, 0]
            about[rows, :shared] = np.minimum(shares, 1.0)
            layer = network.place(step)[0] if step < problem.num_steps else -1
            if layer < 0:
                continue
            own = network.layer_genes(genes, layer)
            sizes = network.widest(layer).space.sizes[:, 0]
            about[rows, SHARED:-2] = np.minimum((own[..., 0] + 1) / sizes, 1.0)
            for some, space in network.by_hardware(genes, layer):
                l1, l2 = space.needed(own[some])
                about[rows[some], -2] = np.maximum(1 - l1 / space.hardware.l1_bytes, 0.0)
                about[rows[some], -1] = np.maximum(1 - l2 / space.hardware.l2_bytes, 0.0)
        return about

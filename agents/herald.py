"""Herald: heterogeneous sub-accelerators by enumeration, each with one schedule by rules.

Herald (Kwon et al., HPCA 2021) goes through the ways to divide PEs and bandwidth among
sub-accelerators. On each it sends layers, network by network or one of each in turn, to the
sub-accelerator that they prefer, unless that one has too much to do already: then to the next.
Last it fills idle times: where a sub-accelerator would wait for a layer that is not ready, one that
was to come later goes first.

Herald prefers by energy-delay product; energy is about the same everywhere, so here by cycles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.core import Evaluator, Sees
from hwgym.families.hetero.scheduling import NEVER

from .common import positive
from .scheduling import HeteroView

__all__ = ["Herald"]

_ORDERS = ("breadth", "depth")


@dataclass
class Herald:
    """Herald's heuristic (Kwon et al., HPCA 2021): all partitions, balanced greedy, idle times
    filled."""

    balance: float = 1.0
    """A sub-accelerator gets no more layers once its load is this many times the average over all,
    unless it is the least."""
    order: str = "breadth"
    """``breadth``: a layer of each network in turn; ``depth``: one network after the other."""
    lookahead: int = 8
    """Layers of a sub-accelerator's queue among which one is sought that is ready."""

    sees: ClassVar[Sees] = "totals"
    deterministic: ClassVar[bool] = True
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "balance": (1.0, 1.01, 1.02, 1.05, 1.2),
        "order": _ORDERS,
        "lookahead": (1, 8, 32),
    }

    def __post_init__(self) -> None:
        positive(self, "lookahead")
        if self.order not in _ORDERS:
            raise ValueError(f"order must be one of {', '.join(_ORDERS)}, got {self.order!r}")
        if not self.balance >= 1 or math.isinf(self.balance):
            raise ValueError(f"balance must be 1 or more, got {self.balance!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Buy a schedule of each partition, the most promising closed-form bound first.

        Raises:
            ValueError: If the problem has no sub-accelerators to be chosen.
        """
        view = HeteroView(evaluator.statement, "herald")
        for design in view.promising:
            takes = view.takes(np.array([design]))[0].T
            core = self._assigned(view, takes)
            chain, on = self._filled(view, takes, core)
            evaluator.evaluate(view.genes(np.array([design]), chain[None], on[None]))

    def _listed(self, view: HeteroView) -> Ints:
        """Layers in the order in which they are assigned."""
        depth = np.concatenate([np.arange(n) for n in view.lengths])
        keys = (view.owner, depth) if self.order == "breadth" else (depth, view.owner)
        return np.lexsort(keys)

    def _assigned(self, view: HeteroView, takes: Floats) -> Ints:
        """(layers,) the sub-accelerator of each."""
        built = takes[0] < NEVER
        load, core = np.where(built, 0.0, np.inf), np.zeros(len(takes), np.int64)
        preferred = np.argsort(takes, axis=1, kind="stable")
        for layer in self._listed(view):
            after = load + takes[layer]
            full = after > self.balance * (load[built].sum() + takes[layer].min()) / built.sum()
            full[~built] = True
            free = [sub for sub in preferred[layer] if not full[sub]]
            core[layer] = free[0] if free else int(np.argmin(after))
            load[core[layer]] += takes[layer, core[layer]]
        return core

    def _filled(self, view: HeteroView, takes: Floats, core: Ints) -> tuple[Ints, Ints]:
        """Chain and sub-accelerator by decision: each sub-accelerator takes its layers in order,
        but while that layer is not ready, the first of those behind it that is."""
        first = np.cumsum(view.lengths) - view.lengths
        upcoming, ready = first.tolist(), [0.0] * len(first)
        cycles = takes[np.arange(len(core)), core].tolist()
        owner, free = view.owner.tolist(), [0.0] * takes.shape[1]
        queues = [[j for j in self._listed(view) if core[j] == sub] for sub in range(len(free))]
        chain, on = [], []
        while any(queues):
            # Of each queue the layer that can start first; of these, that which starts first.
            offers = []
            for sub, queue in enumerate(queues):
                for place, layer in enumerate(queue[: self.lookahead]):
                    if upcoming[owner[layer]] == layer:
                        begin = max(free[sub], ready[owner[layer]])
                        offers.append((begin, place, sub))
            if not offers:  # the next layers of all are too far behind
                sub, place = next(
                    (sub, place)
                    for sub, queue in enumerate(queues)
                    for place, layer in enumerate(queue)
                    if upcoming[owner[layer]] == layer
                )
                begin = max(free[sub], ready[owner[queues[sub][place]]])
            else:
                begin, place, sub = min(offers)
            layer = queues[sub].pop(place)
            of = owner[layer]
            free[sub] = ready[of] = begin + cycles[layer]
            upcoming[of] += 1
            chain.append(of)
            on.append(sub)
        return np.array(chain), np.array(on)

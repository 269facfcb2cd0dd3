"""HWAssignMultiEnv and HWAssignMultiVectorEnv: the environments of the family; the docstring is its
page."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwgym._arrays import Bools, Ints
from hwgym.core.env import Environment
from hwgym.core.problem import Unlisted
from hwgym.core.vector import VectorEnvironment
from hwgym.families.assignment.multi.dealt_walk import DealtEpisode, DealtWalk
from hwgym.families.assignment.multi.family import FAMILY
from hwgym.families.assignment.multi.problem import SplitSampler

__all__ = ["HWAssignMultiEnv", "HWAssignMultiVectorEnv"]


class HWAssignMultiEnv(Environment):
    """## Description

    `HWAssign`, each episode with another network, dataflow, objective, constraint, budget and
    machine. The exact solver needs a problem's whole cost table; an agent that has trained on other
    problems may decide without it. That is what this measures.

    | split | problems | networks |
    | --- | --- | --- |
    | `train` | 2^40 | 13 to 57 layers from six grammars: plain, bottleneck, inverted residual, dense, grouped, transformer |
    | `val`, `test` | 1,000 each | the same grammars |
    | `zoo` | 1,020 | the 17 published ones, 60 times each |
    | `ood` | 1,000 | deeper: 61 to 113 layers |

    No layer of a split has the shape of a layer of another. `val` and `test` have the same
    resolutions and the same widths as `train`, but no width at a resolution at which another split
    has it; `zoo` and `ood` have resolutions of their own. A problem has one of the dataflows NVDLA,
    Eyeriss and ShiDianNao; latency, energy or energy-delay product; area or power; a share of 0.03
    to 0.5 of the budget's range, log-uniform; a network on chip of 16, 64 or as good as infinitely
    many elements a cycle; and MAESTRO's technology with MAC units, L1 and L2 each scaled by 1/2 to
    2 in area, power and energy. In `ood` it has NVDLA in clusters of 16 or ShiDianNao in clusters
    of 16; a share of 0.01 to 0.03; 8, 32 or 1,024 elements; and factors of 2.5 to 4, or one over
    it.

    Equal numbers are equal problems, in every process: `reset(options={"instance": n})` begins with
    problem n of the split, `env.unwrapped.problem` is that of the present episode, an
    `AssignmentProblem`, and its `optimum()` is proven when it is asked for.

    ## Action Space

    As `HWAssign`: `discrete` (144; 432 with `dataflow="MIX"`), `multi_discrete`, `continuous`. Masks
    allow exactly the choices after which the episode can still end feasibly.

    ## Observation Space

    A `Box(-1, 1)` of absolute units on fixed log scales: the same layer reads the same in every
    network. Each entry is mapped from [0, 1] by 2x - 1. In this order:

    | entries | what |
    | --- | --- |
    | 44 | the next four layers, that to be assigned first, of each: 1 (0 where there is none); log2 of K / 16, C / 16, OY / 12, OX / 12, R / 4, S / 4, repeats / 12, MACs / 48; depthwise; matrix product |
    | 10 | the layers left: log2(1 + how many) / 8, share, log2 of their MACs / 48, the greatest and the mean of each layer's, mean log2 of K, C and OY, shares of depthwise layers and of products |
    | 5 | objective and constraint, one-hot |
    | 20 | the dataflow: how many there are to choose from / 8; of K, C, Y, X, R, S each whether it is spread over the array, where it stands among the loops, and whether it is spread in clusters; log2 of the clusters' size / 8 |
    | 15 | technology, log10; interconnect and lanes, log2 |
    | 2 | log10 of the budget, and of the budget a layer |
    | 2 (3) | previous action, (level index + 1) / levels; 0 at the start |
    | 2 | share of the budget left; log10 of what is left a remaining layer |
    | 1 | the return so far, of 0 to 1 |

    There are no costs in it: what choices cost shows in rewards only, and those are paid for.

    ## Reward

    `capped`, as in `HWAssign`: (worst - cost) / sum of (worst - best) over layers, where no cost of
    a layer counts for more than 4 times its own least, or the mean of the best uniform assignment,
    whichever is more; -1 on top of what was earned when the budget breaks or a point is invalid.
    With a problem of one's own, or several, the other rewards of `HWAssign`, too.

    ## Starting State

    Nothing assigned, the whole budget left, of a problem that is drawn from the split; equal seeds
    draw equal problems. About one budget in seven does not bind (`problem.binds`), in `ood` none.

    ## Episode End

    Terminates after the last layer, when the budget is exceeded, or when an invalid design point is
    chosen. Never truncates.

    ## Information

    As `HWAssign`. `regret` is told where problems are given, or with `regret=True`: to prove an
    optimum takes some 10 ms an episode.

    ## Arguments

    `split` and, fixed instead of drawn: `instance`, `dataflow` (a name, several, or `MIX`),
    `objective`, `constraint`, `network` (a grammar's name; in `zoo` a network's), `networks` (so
    many networks, each again and again with other budgets and machines), `hardware` (`default`:
    MAESTRO's technology, and a network on chip that does not constrain). Or `workload` and what
    else describes a problem of `HWAssign`. `action_mode`, `reward`, `render_mode`, `regret`. Or
    `problem`: a `MultiProblem`, a list of them, or a sampler.

    The layers of a split are costed when it is first used, which takes seconds (`train`: 15 to 20
    for its three dataflows), and kept in the cache folder (`HWGYM_CACHE`), 1 to 10 MB a split.
    `train` then takes up to 0.6 GB of memory, the others 0.2.

    ## Version History

    v0: first version.
    """

    family = FAMILY

    def __init__(self, *, regret: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        if isinstance(self._sampler.problems, Unlisted):
            self.tells_regret = self.tells_regret and regret
        if isinstance(self._sampler, SplitSampler) and isinstance(self._episode, DealtEpisode):
            self._episode.coming = self._coming

    def _coming(self, count: int) -> Ints:
        """The numbers of the problems that will be drawn next, if nothing comes in between."""
        assert isinstance(self._sampler, SplitSampler)
        return self._sampler.ahead(self.np_random, count)


class HWAssignMultiVectorEnv(VectorEnvironment):
    """N environments :class:`HWAssignMultiEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = HWAssignMultiEnv

    def _begin(self, where: Bools | None, instance: int | None = None) -> None:
        if isinstance(self._dynamics, DealtWalk) and not self._dynamics.keeps:
            self._dynamics.coming = self._coming
        super()._begin(where, instance)

    def _coming(self, count: int) -> Ints:
        """What environments will draw next: each one's, where there are more than that, of those
        that will draw soonest."""
        assert isinstance(self._dynamics, DealtWalk)
        drawn, kernel = self._drawn.shape[1], self._kernel
        known = np.flatnonzero(self._used < drawn)
        if len(known) > count:
            # Those that are over begin now, and take longest.
            left = self._dynamics.left(kernel.state) + kernel.over * self.num_steps
            known = known[np.argpartition(left[known], count)[:count]]
        at = self._used[known, None] + np.arange(-(-count // max(len(known), 1)))
        coming: Ints = self._drawn[known[:, None], np.minimum(at, drawn - 1)][at < drawn]
        return coming

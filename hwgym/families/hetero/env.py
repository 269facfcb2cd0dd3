"""HeteroEnv and HeteroVectorEnv: the environments of the family; the docstring is its page."""

from __future__ import annotations

from hwgym.core.env import Environment
from hwgym.core.vector import VectorEnvironment
from hwgym.families.hetero.family import FAMILY

__all__ = ["HeteroEnv", "HeteroVectorEnv"]


class HeteroEnv(Environment):
    """## Description

    Several networks are to run at the same time on an accelerator that is yet to be built: its PEs, and
    perhaps its bandwidth, are divided among up to three sub-accelerators, each of a kind of its own. An
    episode first makes that partition, one decision a step; then, step by step, it sends the next layer of
    some network to some sub-accelerator. Layers of one network follow one another. A layer starts as soon as
    its sub-accelerator has done what was sent there before, and the layer before it in its network has ended.
    The goal is that the last network ends soonest. It is the problem of Herald (Kwon et al., HPCA 2021).

    A kind is a dataflow with clusters of one size, and a depthwise mapping of its own
    (`hwgym.costs.maestro.KINDS`): which is fastest depends on the layer. Partition and schedule do not
    separate: the partition with the least bound is not the one with the best schedule. No optimum is known
    of a large problem, so `certificate()` has a good schedule and a lower bound.

    ## Action Space

    Each step chooses on two axes; the sizes of the axes are those of the step with most choices.

    | step | choice | core |
    | --- | --- | --- |
    | kind of a sub-accelerator | `nv`, `ykp`, `yxp` | 0 |
    | its PEs | 0 to 8 parts; 0: it is not built | 0 |
    | its bandwidth, where that is limited | 0 to 8 parts; 0 only if it is not built | 0 |
    | a layer | the network whose next layer is sent | where to |

    The first three come for each sub-accelerator but the last, of which only the kind is chosen: it gets
    what is left. All parts are used, and the first is built.

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `discrete` (default) | `Discrete(width x 3)` | choice x 3 + core |
    | `multi_discrete` | `MultiDiscrete([width, 3])` | the choice on each axis |
    | `continuous` | `Box(-1, 1, (2,))` | each cut into equal parts |

    `action_masks()` (and `info["action_mask"]`) allows exactly the choices after which the episode can still
    end well; any other ends it.

    ## Observation Space

    `Box(-1, 1, (n,), float32)`. Each entry is mapped from [0, 1] by 2x - 1. W is the width of the action
    space, S the most sub-accelerators there can be. Times x, in cycles, are x / (x + a bound on the makespan
    in closed form); those of single layers x / (x + such a bound x S / layers).

    | entries | what |
    | --- | --- |
    | 3 | 1 if this step decides a kind; PEs; bandwidth |
    | 1 | of which sub-accelerator, number / S; 0 when a layer is sent |
    | 5 S | of each sub-accelerator 1 at its kind (three entries), its share of the PEs, of the bandwidth; 0 while they are open |
    | 2 | PEs and bandwidth that are left for others |
    | W x S | of each network, its next layer's cycles on each sub-accelerator; 1 where that is not built, or not known yet; 0 when no layer is left |
    | W | of each network, layers left / layers |
    | W | when its next layer can start, as far as the network goes |
    | W | its critical path: all layers that are left, each where it is fastest |
    | S | until when each sub-accelerator is busy |
    | S | the cycles in which it runs layers |
    | 1 | a bound: no solution that goes on from here ends sooner |
    | 1 | steps done / steps |
    | 1 | the return so far, of 0 to the most there is to earn |

    The first four are zeros (-1) when no step is left.

    ## Reward

    At the end: `relative` (default), how often the makespan was halved from what all layers take one after
    the other, each on the slowest there could be, so 0 or more, and -1 if the episode broke off; or
    `terminal`, -objective / lower bound, and that of the same poor makespan on failure. A schedule has no
    parts, so there are no other.

    ## Starting State

    Nothing is chosen. There is no randomness, unless several problems are given: then each reset draws one
    of them, or takes the one that `options={"instance": i}` names.

    ## Episode End

    Terminates after the last layer, or after a choice from which no valid solution can follow. Never
    truncates.

    ## Information

    As in every family: `action_mask`, `objective` (cycles), `is_success`, `regret` (here the gap to the lower
    bound) and `assignment`. The objective is infinite until the end.

    ## Arguments

    `mix` (a name such as `Mobile`, a `Mix`, or how often each network runs, `{"ResNet50": 1, "UNet": 2}`),
    `pes` (1,024), `bandwidth` (elements a cycle of all sub-accelerators; `None` for no limit), `model` (where
    cycles come from: `maestro`, whose bandwidth is that between the global buffer and the sub-accelerators, or
    `loopnest`, whose is DRAM's), `parts` (8), `subs` (3), `kinds`, `width` (choices of the action space, for
    banks of problems), `action_mode`, `reward`, `render_mode`. Instead of all that describe a problem:
    `problem`, or a list of them of equal width and most sub-accelerators, or a sampler.

    ## References

    Kwon, Lai, Pellauer, Krishna, Chen, Chandra: Heterogeneous Dataflow Accelerators for Multi-DNN Workloads.
    HPCA 2021.

    ## Version History

    v0: first version. v1: the same by the cost model on loop nests.
    """

    family = FAMILY


class HeteroVectorEnv(VectorEnvironment):
    """N environments :class:`HeteroEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = HeteroEnv

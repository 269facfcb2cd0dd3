"""LoopnestEnv and LoopnestVectorEnv: the environments of the family; the docstring is its page."""

from __future__ import annotations

from hwgym.core.env import Environment
from hwgym.core.vector import VectorEnvironment
from hwgym.families.loopnest.family import FAMILY

__all__ = ["LoopnestEnv", "LoopnestVectorEnv"]


class LoopnestEnv(Environment):
    """## Description

    Each layer of a network gets an array of processing elements (PEs) of its own: how many rows and
    columns, how many bytes of buffer for each PE (L1), and how many for all of them (L2). All layers
    share one budget, of area or of power. The goal is the least latency, energy, energy-delay product or
    pipeline period. What a layer costs on an array is what its best mapping costs, of a template's lattice:
    every access is counted as a walk through the loops would, buffers really hold what they must, and DRAM
    is part of it. The optimum over that lattice is proven: `env.unwrapped.optimum()`.

    It is `HWAssign-v0` on a cost model that an architect can trust: MAESTRO under ConfuciuX's mapping
    files parallelises channels only, knows no DRAM and enforces no buffer size.

    With deployment `shared` one array runs all layers, one after the other: the first step chooses it, and
    every step the template of its layer. At later steps the array's axes have no effect.

    ## Action Space

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `discrete` (default) | `Discrete(384)` | the joint product of array (2x4, 4x4, 4x8, 8x8, 8x16, 16x16, 16x32, 32x32 PEs), L1 bytes of a PE (32, 64, ..., 1024) and L2 bytes (4, 8, ..., 512 KiB), the last fastest |
    | `multi_discrete` | `MultiDiscrete([8, 6, 8])` | array; L1; L2 |
    | `continuous` | `Box(-1, 1, (3,))` | each axis cut into as many equal parts as there are levels |

    With `MIX` there are 1,536 joint choices, and a fourth axis chooses the template (NVDLA, Eyeriss,
    ShiDianNao, TPU). Every action of the space may be taken. `action_masks()` (and `info["action_mask"]`)
    allows exactly those after which the episode can still end feasibly; under `multi_discrete` a level is
    allowed if some choice of the others goes with it.

    ## Observation Space

    `Box(-1, 1, (16,), float32)`, 17 with `MIX`. Each entry is mapped from [0, 1] by 2x - 1.

    | index | what |
    | --- | --- |
    | 0-8 | K, C, OY, OX, R, S, stride, dilation and repeat of the layer *to be assigned*: log2(1 + size) over that of the network's greatest; zeros when none is left, the mean over layers under LS |
    | 9 | its kind: CONV 0, DSCONV 0.5, GEMM 1 |
    | 10, 11, 12 (13) | previous action, (level index + 1) / levels: array, L1, L2 (template); 0 at the start |
    | last but two | layers assigned / layers |
    | last but one | share of the budget left |
    | last | the return so far, of 0 to the most there is to earn (0 with rewards that come at the end); with a vector reward one entry a metric |

    ## Reward

    Those of all families, `capped` by default: (worst - cost) / sum of (worst - best) over layers, where no
    cost of a layer counts for more than its cap, and -1 when the budget breaks or a point is invalid. The
    period of a pipeline and a shared array do not add up over layers, so there `terminal` (the default) and
    `relative` apply.

    ## Starting State

    Nothing assigned, the whole budget left. There is no randomness, unless several problems are given: then
    each reset draws one of them, or takes the one that `options={"instance": i}` names.

    ## Episode End

    Terminates after the last layer, when the budget is exceeded, or when an invalid point is chosen: one
    whose buffers hold no tile of any mapping. Never truncates.

    ## Information

    As in every family: `action_mask`, `objective`, `latency` (cycles), `energy` (nJ), `area` (um^2), `power`
    (mW), `budget_used`, `is_success`, `regret` and `assignment`.

    ## Arguments

    `workload` (a model's name, a `Workload`, a CSV or ONNX file), `template` (`NVDLA`, `Eyeriss`,
    `ShiDianNao`, `TPU`, `MIX` or a list), `objective` (`latency`, `energy`, `edp`, `throughput`), `constraint`
    (`area`, `power`), `platform` or `ratio` or `budget`, `deployment` (`LP`: a partition a layer; `LS`: one
    array and one template for all, an episode of one step; `shared`, with several templates), `shapes` (rows
    and columns), `l1_levels`, `l2_levels` (bytes), `machine` (a `Machine`, a dict of its fields, or a TOML
    file), `action_mode`, `reward`, `render_mode`. Instead of all that describe a problem: `problem`, or a list
    of them with equal axes, or a sampler.

    `throughput` is the period from one input of a stream to the next: the slowest layer's latency, or what
    the DRAM reads or the DRAM writes of all layers take together, since all partitions share one DRAM.

    The tables of a network are computed once, which takes seconds a template, and kept on disk
    (`HWGYM_CACHE`).

    ## References

    Kao, Jeong, Krishna: ConfuciuX: Autonomous Hardware Resource Assignment for DNN Accelerators
    using Reinforcement Learning. MICRO 2020, arXiv:2009.02010.

    ## Version History

    v1: first version on loop nests; v0 is on MAESTRO.
    """

    family = FAMILY


class LoopnestVectorEnv(VectorEnvironment):
    """N environments :class:`LoopnestEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = LoopnestEnv

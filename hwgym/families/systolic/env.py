"""SystolicEnv and SystolicVectorEnv: the environments of the family; the docstring is its page."""

from __future__ import annotations

from hwgym.core.env import Environment
from hwgym.core.vector import VectorEnvironment
from hwgym.families.systolic.family import FAMILY

__all__ = ["SystolicEnv", "SystolicVectorEnv"]


class SystolicEnv(Environment):
    """## Description

    Each layer of a network gets a systolic array of its own: how many rows and columns, and how much
    SRAM for inputs, filters and results. All layers share one budget, of area or of power. The goal is
    the least latency, energy, energy-delay product or pipeline period. The cost model is SCALE-Sim's
    closed form (Samajdar et al., ISPASS 2020), equal to its runs, with stalls on DRAM and SRAM that are
    sound; energy and area are those of cited constants. The optimum is proven: `env.unwrapped.optimum()`.

    A layer is a matrix product on the array. Weights stay in it (`SystolicWS`), results
    (`SystolicOS`) or inputs (`SystolicIS`); with `SystolicMIX` a fourth dimension chooses for every layer.
    Wide arrays idle on layers that are narrow, depthwise ones above all, and small SRAMs make DRAM give
    the same data again and again.

    ## Action Space

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `discrete` (default) | `Discrete(490)` | the joint product of rows (2, 4, 8, 16, 32, 64, 128), columns (the same) and bytes of each of the three SRAMs (1, 2, 4, ..., 512 KiB), the last fastest |
    | `multi_discrete` | `MultiDiscrete([7, 7, 10])` | rows; columns; SRAM |
    | `continuous` | `Box(-1, 1, (3,))` | each axis cut into as many equal parts as there are levels |

    With `SystolicMIX` there are 1,470 joint choices, and a fourth axis of 3. Every action of the space may
    be taken. `action_masks()` (and `info["action_mask"]`) allows exactly those after which the episode can
    still end feasibly; under `multi_discrete` a level is allowed if some choice of the others goes with it.

    ## Observation Space

    `Box(-1, 1, (16,), float32)`, 17 with `SystolicMIX`. Each entry is mapped from [0, 1] by 2x - 1.

    | index | what |
    | --- | --- |
    | 0-8 | K, C, OY, OX, R, S, stride, dilation and repeat of the layer *to be assigned*: log2(1 + size) over that of the network's greatest; zeros when none is left, the mean over layers under LS |
    | 9 | its kind: CONV 0, DSCONV 0.5, GEMM 1 |
    | 10, 11, 12 (13) | previous action, (level index + 1) / levels: rows, columns, SRAM (dataflow); 0 at the start |
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
    whose SRAMs cannot hold twice what the array takes at once. Never truncates.

    ## Information

    As in every family: `action_mask`, `objective`, `latency` (cycles), `energy` (nJ), `area` (um^2), `power`
    (mW), `budget_used`, `is_success`, `regret` and `assignment`.

    ## Arguments

    `workload` (a model's name, a `Workload`, a CSV or ONNX file), `dataflow` (`SystolicWS`, `SystolicOS`,
    `SystolicIS`, `SystolicMIX` or a list), `objective` (`latency`, `energy`, `edp`, `throughput`), `constraint`
    (`area`, `power`), `platform` or `ratio` or `budget`, `deployment` (`LP`: a partition a layer; `LS`: one
    configuration for all, an episode of one step; `shared`, with several dataflows: the array is chosen at the
    first step, and each layer's dataflow on it), `row_levels`, `column_levels`, `sram_levels` (bytes of each of
    three), `machine` (a `Machine`, a dict of its fields, or a TOML file), `action_mode`, `reward`,
    `render_mode`. Instead of all that describe a problem: `problem`, or a list of them with equal axes, or a
    sampler.

    `throughput` is the period from one input of a stream to the next: the slowest layer's latency, or what
    the DRAM reads or the DRAM writes of all layers take together, since all partitions share one DRAM.

    ## References

    Samajdar, Joseph, Zhu, Whatmough, Mattina, Krishna: A Systematic Methodology for Characterizing
    Scalability of DNN Accelerators using SCALE-Sim. ISPASS 2020.

    ## Version History

    v0: first version.
    """

    family = FAMILY


class SystolicVectorEnv(VectorEnvironment):
    """N environments :class:`SystolicEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = SystolicEnv

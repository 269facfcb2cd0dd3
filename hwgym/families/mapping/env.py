"""MappingEnv and MappingVectorEnv: the environments of the family; the docstring is its page."""

from __future__ import annotations

from hwgym.core.env import Environment
from hwgym.core.vector import VectorEnvironment
from hwgym.families.mapping.family import FAMILY

__all__ = ["MappingEnv", "MappingVectorEnv"]


class MappingEnv(Environment):
    """## Description

    A layer is to run on given hardware: PEs, a buffer in each (L1), one that all share (L2), a network
    between them. An episode makes its mapping: how PEs are put into clusters, which dimension is spread
    over clusters and which over the PEs of one, how much of each a cluster and a PE hold at a time, and
    in which order the loops run. The goal is the least energy-delay product, latency, or energy within a
    latency. This is the search of GAMMA (Kao and Krishna, ICCAD 2020), on the cost model that it uses,
    MAESTRO, bit for bit.

    MAESTRO's count is not always true: most winners of the released GAMMA leave multiply-accumulates out,
    or take fewer cycles than the array's peak allows. Here such a mapping is not valid, nor is one whose
    traffic is left out, as where a dimension makes several tiles but fewer than there are clusters. Masks
    allow exactly what can still be completed: a masked episode always ends in a mapping that fits both
    buffers, takes at least the cycles that its busiest PE computes, and moves all data.

    ## Action Space

    | step | decision | choices |
    | --- | --- | --- |
    | 0 | PEs of a cluster | PEs / 1, / 2, / 3, ...; and the divisors of K, C, Y' and X' |
    | 1, 2 | the dimension spread over clusters; over the PEs of one | K, C, Y', X' |
    | 3 | the order of the loops over the array | 24 permutations of these, outermost first |
    | 4 to 7 | how much of K, C, Y' and X' a cluster holds | the divisors of the dimension |
    | 8 to 11 | how much of that a PE holds | the divisors of the dimension, which must divide the cluster's |
    | 12 | the order of the loops in a cluster | 24 permutations |

    K are filters, C channels, Y' and X' rows and columns of the *output*; filters' rows and columns are
    held whole. Of depthwise layers K is 1, is not spread, and orders are the 6 of the others. With
    `tiles="any"` a cluster may hold any number up to the dimension, and a PE any up to the cluster's.

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `discrete` (default) | `Discrete(n)` | the index of the choice, in ascending order; n is that of the step with most |
    | `multi_discrete` | `MultiDiscrete([n])` | the same |
    | `continuous` | `Box(-1, 1, (1,))` | cut into n equal parts |

    Every action may be taken at every step; an index that the step does not have makes the mapping
    invalid. `action_masks()` (and `info["action_mask"]`) allows the choices after which some mapping is
    still valid.

    ## Observation Space

    `Box(-1, 1, (41,), float32)`. Each entry is mapped from [0, 1] by 2x - 1.

    | index | what |
    | --- | --- |
    | 0-5 | K, C, Y', X', R and S of the layer: log2(1 + size) / 32 |
    | 6 | its kind: CONV 0, DSCONV 0.5, GEMM 1 |
    | 7-10 | PEs, bytes of L1 and of L2, elements that the network takes a cycle: log2(1 + number) / 41 |
    | 11-23 | the decision to be taken, one of 13; zeros, with all above, when none is left |
    | 24-36 | what was chosen at each step, (index + 1) / choices; 0 where nothing is yet |
    | 37, 38 | the shares of L1 and of L2 that what was chosen leaves free at most |
    | 39 | decisions taken / 13 |
    | 40 | the return so far, of 0 to the most there is to earn |

    ## Reward

    At the end: `relative` (default), how often the objective was halved from a thousand times the
    simplest bound of a single PE, so 15 to 22 for the best, and -1 if the mapping is not valid or takes
    too long; or `terminal`, -objective / optimum, or / lower bound where no optimum is proven, and that
    of the same poor objective on failure. A mapping has no parts, so there are no other.

    ## Starting State

    Nothing decided. There is no randomness, unless several problems are given: then each reset draws one
    of them, or takes the one that `options={"instance": i}` names.

    ## Episode End

    Terminates after 13 decisions. Never truncates.

    ## Information

    As in every family: `action_mask`, `objective`, `latency` (cycles), `energy` (nJ), `budget_used` (under
    a cap, the share of it), `is_success`, `regret` and `assignment`. The numbers are 0 until the end.

    ## Arguments

    `layer` (`ResNet50:20`, the 20th of a model; `released/ResNet50:20` of GAMMA's tables; a `Layer`, a dict of
    its fields, a TOML file), `hardware` (`edge`, `1024`, `cloud`, or a dict with `num_pes`, `l1_bytes`,
    `l2_bytes`, `noc_bandwidth`), `objective` (`edp`, `latency`, `energy`), `latency_cap` (cycles) or
    `latency_ratio` (in bounds of latency), `tiles` (`divisors`, `any`), `fixed` (MAESTRO's two defects mended;
    always so for `any` tiles), `width` (choices of every step, for banks of problems), `action_mode`, `reward`,
    `render_mode`. Instead of all that describe a problem: `problem`, or a list of them of equal width, or a
    sampler.

    | `hardware` | PEs | L1 | L2 | network |
    | --- | --- | --- | --- | --- |
    | `edge` | 168 | 512 B | 108,000 B | no limit (GAMMA's script) |
    | `1024` | 1,024 | 1 KiB | 512 KiB | 16 elements a cycle |
    | `cloud` | 4,096 | 8 KiB | 2 MiB | 128 elements a cycle |

    A layer runs once, whatever its `repeat`, and at stride 1, as MAESTRO has it. Energy is MAESTRO's, of
    accesses to L2 alone.

    ## References

    Kao, Krishna: GAMMA: Automating the HW Mapping of DNN Models on Accelerators via Genetic Algorithm. ICCAD
    2020. Kwon, Chatarasi, Pellauer, Parashar, Sarkar, Krishna: Understanding Reuse, Performance, and Hardware
    Cost of DNN Dataflow. MICRO 2019.

    ## Version History

    v0: first version.
    """

    family = FAMILY


class MappingVectorEnv(VectorEnvironment):
    """N environments :class:`MappingEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = MappingEnv

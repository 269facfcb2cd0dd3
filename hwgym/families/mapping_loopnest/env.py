"""LoopnestMappingEnv and LoopnestMappingVectorEnv: the environments of the family; the docstring of
the first is its page."""

from __future__ import annotations

from hwgym.core.env import Environment
from hwgym.core.vector import VectorEnvironment
from hwgym.families.mapping_loopnest.family import FAMILY

__all__ = ["LoopnestMappingEnv", "LoopnestMappingVectorEnv"]


class LoopnestMappingEnv(Environment):
    """## Description

    A layer is to run on a given accelerator: rows and columns of PEs with a buffer each (L1), a buffer that
    all share (L2), and DRAM. An episode makes its mapping: which dimensions are spread over rows and over
    columns, and how far; how much of each is in L2, and in a PE, at a time; and the order of the loops over
    L2 tiles and over steps of the array. The goal is the least energy-delay product, latency or energy. The
    cost model counts every access as a walk through the loops would, buffers really hold what they must, and
    DRAM is part of it. The optimum of every task here is proven: `env.unwrapped.optimum()`.

    It is the problem of `HWMap-v0` on a cost model that has nothing to mend: filters' rows and columns are
    tiled, too, dimensions may share rows and columns, and strides and DRAM count.

    ## Action Space

    Of each dimension of more than one element (K filters, C channels, P and Q rows and columns of the output,
    R and S of the filter; G channels of depthwise layers), one decision a step:

    | steps | decision | choices |
    | --- | --- | --- |
    | first | how many rows of PEs it is spread over | its divisors, up to the rows |
    | then | how many columns | its divisors, up to the columns |
    | then | its L2 tile | its divisors; multiples of the PEs it is spread over |
    | then | its tile in a PE | its divisors; those of what an L2 tile has for each PE |
    | last but one, last | order of the loops over L2 tiles; over steps of the array | permutations, outermost first |

    A 3x3 convolution takes 26 decisions, a depthwise one 22, a pointwise one 18, a matrix product 14. The
    loops inside a PE are fixed, those that add to one output innermost, into an accumulator.

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `discrete` (default) | `Discrete(n)` | the index of the choice, in ascending order; n is that of the step with most |
    | `multi_discrete` | `MultiDiscrete([n])` | the same |
    | `continuous` | `Box(-1, 1, (1,))` | cut into n equal parts |

    Every action may be taken at every step; an index that the step does not have, or sizes that do not divide
    or fit, make the mapping invalid. `action_masks()` (and `info["action_mask"]`) allows exactly the choices
    after which some mapping still fits.

    ## Observation Space

    `Box(-1, 1, (78,), float32)`. Each entry is mapped from [0, 1] by 2x - 1.

    | index | what |
    | --- | --- |
    | 0-5 | the decision to be taken: rows, columns, L2, PE, DRAM order, L2 order; zeros, with all up to 25, when none is left |
    | 6-13 | of which dimension: B, G, K, C, P, Q, R, S; zeros of an order |
    | 14-21 | the layer's sizes, likewise: log2(1 + size) / 32 |
    | 22-25 | rows, columns, bytes of L1 and of L2: log2(1 + number) / 32 |
    | 26-57 | what each dimension was given of rows, columns, L2 and PE, eight each: log2(1 + size) / log2(1 + extent); 0 where nothing is yet |
    | 58-73 | the place of each dimension's loop in the two orders, (position + 1) / 8, likewise |
    | 74, 75 | the shares of L1 and of L2 that are left if all that is open is as small as it can be |
    | 76 | decisions taken / decisions |
    | 77 | the return so far, of 0 to the most there is to earn |

    ## Reward

    At the end: `relative` (default), how often the objective was halved from a thousand times the simplest
    bound of a single PE, and -1 if the mapping is not valid; or `terminal`, -objective / optimum (or lower
    bound, where no optimum is proven), and that of the same poor objective on failure. A mapping has no parts,
    so there are no other.

    ## Starting State

    Nothing decided. There is no randomness, unless several problems are given: then each reset draws one
    of them, or takes the one that `options={"instance": i}` names.

    ## Episode End

    Terminates after the last decision. Never truncates.

    ## Information

    As in every family: `action_mask`, `objective`, `latency` (cycles), `energy` (nJ), `is_success`, `regret` and
    `assignment`. The numbers are 0 until the end.

    ## Arguments

    `layer` (`ResNet50:20`, the 20th of a model; `released/ResNet50:20` of GAMMA's tables; a `Layer`, a dict of
    its fields, a TOML file), `hardware` (`edge`, `cloud`, or a dict with `rows`, `columns`, `l1_bytes`,
    `l2_bytes` and perhaps `machine`), `objective` (`edp`, `latency`, `energy`), `width` (choices of every step,
    for banks of problems), `action_mode`, `reward`, `render_mode`. Instead of all that describe a problem:
    `problem`, or a list of them of equal width, or a sampler.

    | `hardware` | PEs | L1 | L2 | bytes a cycle of L2 | of DRAM |
    | --- | --- | --- | --- | --- | --- |
    | `edge` | 12x14 | 512 B | 108,000 B | 32 | 16 (LPDDR4) |
    | `cloud` | 64x64 | 8 KiB | 2 MiB | 128 | 64 (HBM2) |

    A layer runs once, whatever its `repeat`. L1 must hold two elements of each tensor, and L2 two for each PE.

    ## References

    Kao, Krishna: GAMMA: Automating the HW Mapping of DNN Models on Accelerators via Genetic Algorithm. ICCAD
    2020. Parashar, Raina, Shao, Chen, Ying, Mukkara, Venkatesan, Khailany, Keckler, Emer: Timeloop: A Systematic
    Approach to DNN Accelerator Evaluation. ISPASS 2019.

    ## Version History

    v1: first version on loop nests; v0 is on MAESTRO.
    """

    family = FAMILY


class LoopnestMappingVectorEnv(VectorEnvironment):
    """N environments :class:`LoopnestMappingEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = LoopnestMappingEnv

"""NetworkEnv and NetworkVectorEnv: the environments of the family; the docstring is its page."""

from __future__ import annotations

from hwgym.core.env import Environment
from hwgym.core.vector import VectorEnvironment
from hwgym.families.mapping.network.family import FAMILY

__all__ = ["NetworkEnv", "NetworkVectorEnv"]


class NetworkEnv(Environment):
    """## Description

    All layers of a network are to run on one array, one after the other. Each gets a mapping of its own, as
    in `HWMap`, but for what they share, without which a network would be so many problems that have nothing
    to do with each other:

    | `coupling` | what is decided once, for all layers |
    | --- | --- |
    | `cluster` | how many PEs make a cluster, as in GAMMA's fixed cluster (Kao and Krishna, ICCAD 2020) |
    | `order` | the order of the loops over the array, and of those in a cluster |
    | `hardware` | PEs, L1 and L2, within an area: DiGamma's problem (Kao et al., DATE 2022) |

    The goal is the network's least energy-delay product, latency or energy, on MAESTRO.

    ## Action Space

    First what is shared, a step each:

    | `coupling` | step | choices |
    | --- | --- | --- |
    | `cluster` | PEs of a cluster | PEs / 1, / 2, / 3, ...; and the divisors of K, C, Y' and X' of all layers |
    | `order` | the order of the loops over the array; in a cluster | 24 permutations of K, C, Y', X' |
    | `hardware` | PEs; bytes of L1; bytes of L2 | `pe_levels`, `l1_levels`, `l2_levels` |

    Then, for each layer that differs, what is left of the 13 decisions of `HWMap`, in their order. Layers of
    the same shape get the same mapping: it is decided once, and counts as often as they are run. Where
    hardware is chosen, a cluster has a divisor of one of `pe_levels`, or of K, C, Y' or X'. Depthwise layers
    run a shared order without its K.

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `discrete` (default) | `Discrete(n)` | the index of the choice, in ascending order; n is that of the step with most |
    | `multi_discrete` | `MultiDiscrete([n])` | the same |
    | `continuous` | `Box(-1, 1, (1,))` | cut into n equal parts |

    Every action may be taken at every step; an index that the step does not have makes the solution
    invalid. `action_masks()` (and `info["action_mask"]`) allows the choices after which every layer still has
    a valid mapping, on hardware within the area: a masked episode always ends feasibly.

    ## Observation Space

    `Box(-1, 1, (48,), float32)`. Each entry is mapped from [0, 1] by 2x - 1.

    | index | what |
    | --- | --- |
    | 0-5 | K, C, Y', X', R and S of the step's layer: log2(1 + size) / 32; zeros where the step is about all |
    | 6, 7 | its kind: CONV 0, DSCONV 0.5, GEMM 1; how often it is run: log2(1 + times) / 32 |
    | 8-11 | PEs, bytes of L1 and of L2 (zeros where they are chosen), elements that the network takes a cycle: log2(1 + number) / 41 |
    | 12-27 | what is to be decided: PEs, L1, L2, or one of the 13; zeros, with all above, when nothing is left |
    | 28-30 | what was chosen for all layers, (index + 1) / choices; 0 where nothing is yet |
    | 31-43 | the same of the 13 decisions of the step's layer |
    | 44, 45 | the shares of L1 and of L2 that the layer's decisions leave free at most |
    | 46 | decisions taken / all |
    | 47 | the return so far, of 0 to the most there is to earn |

    ## Reward

    At the end: `relative` (default), how often the objective was halved from a thousand times the
    simplest bound of a single PE, and -1 if a mapping is not valid or the area is exceeded; or
    `terminal`, -objective / optimum, or / lower bound where no optimum is proven, and that of the same
    poor objective on failure.

    ## Starting State

    Nothing decided. There is no randomness, unless several problems are given: then each reset draws one
    of them, or takes the one that `options={"instance": i}` names.

    ## Episode End

    Terminates when all is decided. Never truncates.

    ## Information

    As in every family: `action_mask`, `objective`, `latency` (cycles), `energy` (nJ), `budget_used` (where
    hardware is chosen, the share of the area), `is_success`, `regret` and `assignment`. The numbers are 0
    until the end.

    ## Arguments

    `workload` (a model's name, a `.csv` or `.onnx` file, a `Workload`), `hardware` (`edge`, `1024`, `cloud`, or a
    dict, as `HWMap` takes it), `coupling` (`cluster`, `order`, `hardware`), `objective` (`edp`, `latency`,
    `energy`), `fixed` (MAESTRO's two defects mended), `width` (choices of every step, for banks of problems),
    `action_mode`, `reward`, `render_mode`. Where hardware is chosen also `area` (um^2; by default that of
    `hardware`, whose network is kept) and `pe_levels`, `l1_levels`, `l2_levels`. Instead of all that
    describe a problem: `problem`, or a list of them of equal width, or a sampler.

    `edp` is the network's energy x the network's latency, what a battery and a user have of a whole network.
    It is no sum: a layer's share depends on all others. (`HWAssign`'s `edp` is the sum of the layers' own
    products, which is less, and adds up.) Area is MAESTRO's: of each PE a multiply-accumulate unit and its L1,
    and L2; buses and arbiters are left out. Every layer is at stride 1, as MAESTRO has it.

    ## References

    Kao, Krishna: GAMMA: Automating the HW Mapping of DNN Models on Accelerators via Genetic Algorithm. ICCAD
    2020. Kao, Pellauer, Parashar, Krishna: DiGamma: Domain-aware Genetic Algorithm for HW-Mapping
    Co-optimization for DNN Accelerators. DATE 2022.

    ## Version History

    v0: first version.
    """

    family = FAMILY


class NetworkVectorEnv(VectorEnvironment):
    """N environments :class:`NetworkEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = NetworkEnv

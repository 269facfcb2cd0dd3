"""QuantEnv and QuantVectorEnv: the environments of the family; the docstring is its page."""

from __future__ import annotations

from hwgym.core.env import Environment
from hwgym.core.vector import VectorEnvironment
from hwgym.families.quant.family import FAMILY

__all__ = ["QuantEnv", "QuantVectorEnv"]


class QuantEnv(Environment):
    """## Description

    Each layer of a network gets so many bits for its weights and so many for its activations, its input.
    Fewer bits take less energy, fewer cycles and less area, and cost accuracy, of which as much as possible
    is to be left within a share of what the network costs at 8 bits. What bits cost is known to everybody
    (`problem.statement.known`); what they do to accuracy is what there is to find out. This is the problem of
    HAQ (Wang et al., CVPR 2019) and AQGAN.

    Accuracy comes from one of two places:

    - **Real, tabulated** (`Digits`, `MNIST5k`): small networks of six layers, quantised in exact integers with 2, 4
      or 8 bits, nothing fine-tuned. All 531,441 of their configurations have been run on all test images. The
      objective is the wrong answers on one half of these; between equals the loss L decides, as the fraction
      L / (1 + L). The other half is for reporting: `problem.accuracy(genes)`, which no agent may ask.
      Accuracy is not separable: what a layer's bits cost depends on those of the others.
    - **A proxy** (any other network): the sum over layers of the noise that b bits add, as a share of the
      signal, 4^-b for weights and for activations, or what was measured of the weights. It says nothing of
      right answers, and a knapsack solves it.

    The optimum is proven: by enumeration, or as a knapsack.

    ## Action Space

    | axis | choices |
    | --- | --- |
    | weight bits | 2, 4, 8; by proxy 2 to 8, of `HAQ-MobileNetV2` 1 to 8 |
    | activation bits | the same |

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `discrete` (default) | `Discrete(9)`, `Discrete(49)`, `Discrete(64)` | index of weight bits x widths + index of activation bits |
    | `multi_discrete` | `MultiDiscrete([3, 3])`, ... | the index on each axis |
    | `continuous` | `Box(-1, 1, (2,))` | each axis cut into as many equal parts as there are widths |

    Every action may be taken. `action_masks()` (and `info["action_mask"]`) allows exactly those after which the
    episode can still end within the limit; under `multi_discrete` a width is allowed if some other goes with it.

    ## Observation Space

    `Box(-1, 1, (16,), float32)`. Each entry is mapped from [0, 1] by 2x - 1.

    | index | what |
    | --- | --- |
    | 0-8 | K, C, OY, OX, R, S, stride, dilation and repeat of the layer *to be assigned*: log2(1 + size) over that of the network's greatest; zeros when none is left |
    | 9 | its kind: CONV 0, DSCONV 0.5, GEMM 1 |
    | 10 | what it takes of the limit at most bits, relative to the layer that takes most |
    | 11, 12 | previous choice, (index + 1) / widths: weights, activations; 0 at the start |
    | 13 | share of the limit left (by proxy: layers assigned / layers) |
    | 14 | layers assigned / layers (by proxy: share of the limit left) |
    | 15 | the return so far, of 0 to the most there is to earn |

    ## Reward

    Real: at the end, `terminal` (default), -errors / optimum, and that of no right answer on failure; or
    `relative`, how often the errors were halved from there. By proxy those of all families, `capped` by default.

    ## Starting State

    Nothing assigned, the whole limit left. There is no randomness, unless several problems are given: then
    each reset draws one of them, or takes the one that `options={"instance": i}` names.

    ## Episode End

    Terminates after the last layer, or as soon as the limit cannot be kept any more (by proxy: when it
    breaks). Never truncates.

    ## Information

    As in every family: `action_mask`, `objective` (errors, or noise), `latency` (cycles), `energy` (nJ), `area`
    (um^2), `budget_used`, `is_success`, `regret` and `assignment`.

    ## Arguments

    `workload` (`Digits`, `MNIST5k`, `HAQ-MobileNetV2`; or a model's name, a `Workload`, a CSV or ONNX file, with
    the proxy), `constraint` (`energy`, `latency`, `area`), `share` (of what it is at 8 bits; 0.6), `model`
    (`maestro`, `loopnest`), `unit` (`fusion`: 3 bits count as 4 and 5 to 7 as 8; `serial`: each bit saves time),
    `pes` (64; by proxy 256), `bits` (by proxy; 2 to 8) and `weight_noise` (layers x widths, measured),
    `action_mode`, `reward`, `render_mode`. Instead of all that describe a problem: `problem`, or a list of them
    of equal axes, or a sampler.

    Latency and energy are those of one array that runs the layers one after the other; area is that of a
    pipeline whose layers have units and memories of their own, of just their bits.

    ## References

    Wang, Liu, Lin, Lin, Han: HAQ: Hardware-Aware Automated Quantization with Mixed Precision. CVPR 2019.
    Sharma et al.: Bit Fusion: Bit-Level Dynamically Composable Architecture for Accelerating Deep Neural
    Network. ISCA 2018. Lin, Talathi, Annapureddy: Fixed Point Quantization of Deep Convolutional Networks.
    ICML 2016.

    ## Version History

    v1: on loop nests. v0: first version.
    """

    family = FAMILY


class QuantVectorEnv(VectorEnvironment):
    """N environments :class:`QuantEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = QuantEnv

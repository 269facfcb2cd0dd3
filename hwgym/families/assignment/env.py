"""HWAssignEnv and HWAssignVectorEnv: the environments of the family; the docstring is its page."""

from __future__ import annotations

from hwgym._arrays import Floats
from hwgym.core.env import Environment
from hwgym.core.rewards import VectorReward
from hwgym.core.vector import VectorEnvironment
from hwgym.families.assignment.family import FAMILY
from hwgym.families.assignment.frontier import frontier
from hwgym.families.assignment.problem import AssignmentProblem

__all__ = ["HWAssignEnv", "HWAssignVectorEnv"]


class HWAssignEnv(Environment):
    """## Description

    A DNN accelerator gives each layer of a network its own partition of processing elements (PEs)
    and buffers. The environment walks the layers in order; at each, the agent decides how many PEs
    the layer gets and how many filters a PE's buffer holds. All layers share one budget, of area or
    of power. The goal is the least latency, energy, energy-delay product or pipeline period.
    It is the problem of ConfuciuX (Kao, Jeong and Krishna, MICRO 2020), with MAESTRO (Kwon et al.,
    MICRO 2019) as its cost model. Its optimum is proven: `env.unwrapped.optimum()`.

    With deployment `LS` one configuration runs all layers, one after the other: an episode is a
    single step, a contextual bandit whose answer is known, and a first test for an agent.

    ## Action Space

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `discrete` (default) | `Discrete(144)` | the joint product of PE level (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128) and filters per PE (1..12), the latter fastest |
    | `multi_discrete` | `MultiDiscrete([12, 12])` | PE level; filters per PE |
    | `continuous` | `Box(-1, 1, (2,))` | each axis cut into as many equal parts as there are levels |

    For tools that take an id and no arguments, `HWAssign-{Model}-{Dataflow}-MultiDiscrete-v0` and
    `-Continuous-v0` are `HWAssign-{Model}-{Dataflow}-v0` with the other actions.

    With dataflow `MIX` a third dimension chooses the dataflow (NVDLA, Eyeriss, ShiDianNao). Every
    action of the space may be taken. `action_masks()` (and `info["action_mask"]`) allows exactly
    those after which the episode can still end feasibly; under `multi_discrete` it does so per
    dimension: a level is allowed if some choice of the others goes with it.

    ## Observation Space

    `Box(-1, 1, (12,), float32)`, 13 with `MIX`. Each entry is mapped from [0, 1] by 2x - 1.

    | index | what |
    | --- | --- |
    | 0-5 | K, C, Y, X, R, S of the layer *to be assigned*: log2(1 + size) over that of the workload's greatest; zeros when none is left, the mean over layers under LS |
    | 6 | its kind: CONV 0, DSCONV 0.5, GEMM 1 |
    | 7, 8 (9) | previous action, (level index + 1) / levels: PE, buffer (dataflow); 0 at the start |
    | last but two | layers assigned / layers |
    | last but one | share of the budget left |
    | last | the return so far, of 0 to the most there is to earn (0 with rewards that come at the end); with a vector reward one entry a metric, of 0 to the worst |

    So what a step pays follows from what is observed and chosen.

    ## Reward

    | `reward` | at each step | when the budget breaks or a point is invalid |
    | --- | --- | --- |
    | `capped` (default) | (worst - cost) / sum of (worst - best) over layers, where no cost of a layer counts for more than 4 times its own least, or the mean of the best uniform assignment, whichever is more. A feasible return lies in [0, 1] | -1, on top of what was earned: no failure returns more than any success |
    | `shaped` | (worst - cost) / sum of (worst - best) over layers, so a feasible return lies in [0, 1] and is linear in the objective | what makes the return exactly -1 |
    | `confuciux` | the paper's P - P_min | minus the rewards so far |
    | `terminal` | 0; at the end -objective / optimum | the same of the worst valid choices |
    | `relative` | 0; at the end log2(scale / objective), where the worst valid choice for every layer has the objective `scale` | -1 |
    | a list of metrics | minus what the choice adds to each of `latency`, `energy`, `area`, `power` that is listed, as a vector; `env.unwrapped.reward_space` is its space | what makes the return that of the worst valid choices |

    Without the cap an absurd choice, such as a single PE for a large layer, costs a thousand times
    what a good one does, and the difference between good and very good vanishes beside it. Of the 698
    ranked tasks the optimum of the capped costs is the optimum in 696; in the other two giving up a
    layer, which counts no more than its cap, frees budget for the others. What counts is always the
    objective itself.

    `terminal` tells the optimum; `capped`, `shaped` and `confuciux` something of the best and worst
    choices; `relative` tells the objective and nothing else. Objective `throughput` does not add up over layers, so only
    `terminal` (its default) and `relative` apply.

    ## Starting State

    Nothing assigned, the whole budget left. There is no randomness, and the seed changes nothing,
    unless several problems are given: then each reset draws one of them, or takes the one that
    `options={"instance": i}` names.

    ## Episode End

    Terminates after the last layer, when the budget is exceeded, or when an invalid design point is
    chosen (one that cannot do the layer's work on that many PEs). Never truncates.

    ## Information

    Every info, that of `reset` too, has the same keys: `action_mask` (int8; a tuple of arrays under
    `multi_discrete`; absent under `continuous`); `objective`, `latency` (cycles), `energy` (nJ),
    `area` (um^2) and `power` (mW) of what is assigned so far; `budget_used` (share); `is_success`;
    `regret` (objective / optimum - 1, never below 0; infinite until the episode has ended well); and
    `assignment`, the episode's genes: level indices, one row a layer, -1 where none is assigned yet
    (and beyond the end, where a bank has longer problems). A vector environment computes what is read.

    ## Arguments

    `workload` (a model's name, a `Workload`, a CSV or ONNX file), `dataflow` (also a mapping file), `objective`, `constraint`,
    `platform` or `ratio` or `budget`, `deployment` (`LP`: a partition a layer; `LS`: one
    configuration for all, an episode of one step), `released` (ConfuciuX's problem as its code poses
    it), `pe_levels`, `tile_levels`, `hardware` (a `Hardware`, a dict of its fields, or a TOML file),
    `accounting` (which of the cost model's columns count: `complete`, or `maestro` as it prints them;
    or an `Accounting`), `action_mode`, `reward`, `render_mode`. Instead of all that describe a
    problem: `problem`, an `AssignmentProblem`, a list of them with equal axes, or a sampler. Both at
    once is an error. `reset(options={"instance": i})` begins with problem i of the list.

    ## References

    Kao, Jeong, Krishna: ConfuciuX: Autonomous Hardware Resource Assignment for DNN Accelerators
    using Reinforcement Learning. MICRO 2020, arXiv:2009.02010. Kwon, Chatarasi, Pellauer, Parashar,
    Sarkar, Krishna: Understanding Reuse, Performance, and Hardware Cost of DNN Dataflows: A
    Data-Centric Approach. MICRO 2019, arXiv:1805.02566.

    ## Version History

    v0: first version. Before 0.3.0 actions were `multi_discrete` and
    the reward `shaped` by default, the return so far was not observed, and infos told the totals at
    the end only.
    """

    family = FAMILY

    def pareto_front(self, gamma: float = 1.0, *, epsilon: float = 0.0) -> list[Floats]:
        """The returns of the Pareto-optimal assignments, under a vector reward: what
        MO-Gymnasium's users know by this name.

        Args:
            gamma: 1; layers have no order that a discount could mean something for.
            epsilon: 0 for the exact front, which takes seconds for ten layers and may take very
                long for fifty; else a tolerance, as
                :func:`~hwgym.families.assignment.frontier.frontier` has it.

        Returns:
            Arrays (metrics,), minus each metric in the order of the reward's, by decreasing first.

        Raises:
            ValueError: If the reward is a number, gamma is not 1, or the exact front has too many
                partial assignments to be computed; then ``epsilon`` helps.
        """
        if not isinstance(self._reward, VectorReward):
            raise ValueError(
                "a front needs a vector reward, such as reward=['latency', 'energy', 'area']"
            )
        if gamma != 1:
            raise ValueError(f"returns are not discounted here: gamma must be 1, got {gamma!r}")
        names = [metric.name for metric in self._reward.metrics]
        problem = self.problem
        assert isinstance(problem, AssignmentProblem)  # the family makes no other
        return list(-frontier(problem, names, epsilon=epsilon).values)


class HWAssignVectorEnv(VectorEnvironment):
    """N environments :class:`HWAssignEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = HWAssignEnv

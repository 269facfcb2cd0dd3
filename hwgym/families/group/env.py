"""GroupEnv and GroupVectorEnv: the environments of the family; the docstring is its page."""

from __future__ import annotations

from hwgym.core.env import Environment
from hwgym.core.vector import VectorEnvironment
from hwgym.families.group.family import FAMILY

__all__ = ["GroupEnv", "GroupVectorEnv"]


class GroupEnv(Environment):
    """## Description

    Many jobs, layers drawn from several networks, are to run on several cores of different kind and size
    that share one bandwidth to DRAM. None waits for another. An episode says of each job on which core it
    runs, and when. Jobs that together want more than the bandwidth are all slowed alike. The goal is that
    the last job ends soonest. This is the problem of MAGMA (Kao and Krishna, HPCA 2022), and its simulator,
    to rounding; but a job moves all that its mapping writes to L2, not only its tiles.

    Nothing here is separable: what a job takes depends on what runs at the same time. No optimum is known
    of most large groups, so `certificate()` has a good schedule and a lower bound.

    ## Action Space

    With `decisions="priority"` a step gives the next job, in the order in which they stand, a core and a
    class of priority. A core runs its jobs one after the other, the lowest class first, and of equal ones
    the job that comes first.

    | axis | choices |
    | --- | --- |
    | core | one of the cores |
    | priority | 0, which runs first, to 15 |

    With `decisions="window"` a step sends one of the first ten jobs that still wait to a core. A core runs
    its jobs in the order sent.

    | axis | choices |
    | --- | --- |
    | slot | 0, the first that waits, to 9; fewer once fewer wait |
    | core | one of the cores |

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `discrete` (default) | `Discrete(cores x 16)`, `Discrete(10 x cores)` | core x 16 + priority; slot x cores + core |
    | `multi_discrete` | `MultiDiscrete([cores, 16])`, `MultiDiscrete([10, cores])` | the choice on each axis |
    | `continuous` | `Box(-1, 1, (2,))` | each cut into equal parts |

    Every action may be taken at every step; a core that is not there (`width`), or on which the job cannot
    run, and a slot that is empty, make the schedule invalid. `action_masks()` (and `info["action_mask"]`)
    allows all others.

    ## Observation Space

    `Box(-1, 1, (5 + 3 x cores,), float32)`. Each entry is mapped from [0, 1] by 2x - 1; C is the number of
    cores. Times x, in cycles, are x / (x + a bound on the makespan in closed form).

    | index | what |
    | --- | --- |
    | 0 | the job's kind: CONV 0, DSCONV 0.5, GEMM 1 |
    | 1 to C | its cycles on each core, x / (x + bound / jobs); 1 where it cannot run |
    | C + 1 to 2C | what it wants of the bandwidth there, as a share w of it: w / (w + 1) |
    | 2C + 1 to 3C | the time of what each core has so far, as if alone |
    | 3C + 1 | the time in which all that is to be moved so far can be |
    | 3C + 2 | the greatest of these: no schedule that goes on from here ends sooner |
    | 3C + 3 | jobs given / jobs |
    | 3C + 4 | the return so far, of 0 to the most there is to earn |

    The first 2C + 1 are zeros (-1) when no job is left. With `decisions="window"` they are there ten times,
    for the jobs of the window one after the other, and zeros where no more wait.

    ## Reward

    At the end: `relative` (default), how often the makespan was halved from what all jobs take one after the
    other, each on its slowest core, so 0 or more, and -1 if the schedule is not valid; or `terminal`,
    -objective / lower bound, and that of the same poor makespan on failure. A schedule has no parts, so
    there are no other.

    ## Starting State

    No job is given. There is no randomness, unless several problems are given: then each reset draws one
    of them, or takes the one that `options={"instance": i}` names.

    ## Episode End

    Terminates after the last job. Never truncates.

    ## Information

    As in every family: `action_mask`, `objective` (cycles), `is_success`, `regret` (the gap to the lower
    bound, where no optimum is proven) and `assignment`. The numbers are 0 until the end.

    ## Arguments

    `mix` (a name such as `Vision`, a `Mix`, or a `Workload` whose layers are the jobs), `cores` (`S1` to `S6`,
    or such as `["nv:2048", "yxp:1024"]`, kinds and PEs), `bandwidth` (elements a cycle; `None`: no limit),
    `jobs` (how many are drawn; 100) and `seed` (0), `decisions`, `priorities` (classes; 16), `width` (cores of
    the action space, for banks of problems), `model` (below), `action_mode`, `reward`, `render_mode`. Instead
    of all that describe a problem: `problem`, or a list of them of equal decisions, width and priorities, or
    a sampler.

    | `cores` | |
    | --- | --- |
    | `S1` | 4 of `nv`, 2,048 PEs |
    | `S2` | 3 of `nv` and 1 of `yxp`, 2,048 PEs |
    | `S3` | 8 of `nv`, 8,192 PEs |
    | `S4` | 7 of `nv` and 1 of `yxp`, 8,192 PEs |
    | `S5` | 3 of `nv` and 1 of `yxp` with 8,192 PEs, as many with 4,096 |
    | `S6` | 7 of `nv` and 1 of `yxp` with 8,192 PEs, as many with 4,096 |

    | `model` | cycles | what a job moves |
    | --- | --- | --- |
    | `maestro` (default) | MAESTRO's | all that its mapping writes to L2 |
    | `magma` | MAESTRO's | half of the L2 that its mapping needs: one tile of each tensor, once |
    | `loopnest` | of loop nests | what its mapping reads from DRAM and writes there |

    ## References

    Kao, Krishna: MAGMA: An Optimization Framework for Mapping Multiple DNNs on Multiple Accelerator Cores.
    HPCA 2022.

    ## Version History

    v1: on loop nests. v0: first version.
    """

    family = FAMILY


class GroupVectorEnv(VectorEnvironment):
    """N environments :class:`GroupEnv` as one; see
    :class:`hwgym.core.vector.VectorEnvironment`."""

    scalar = GroupEnv

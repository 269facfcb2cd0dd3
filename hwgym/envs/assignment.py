"""HWAssignEnv: the Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from hwgym._names import nearest
from hwgym.costs.maestro import Dataflow, Hardware
from hwgym.envs.kernel import Episode
from hwgym.envs.rewards import make_reward
from hwgym.families.assignment.optimum import Certificate
from hwgym.families.assignment.problem import AssignmentProblem, Scores
from hwgym.workloads import Workload

__all__ = ["ACTION_MODES", "HWAssignEnv"]

ACTION_MODES = ("multi_discrete", "discrete", "continuous")
DESCRIPTION = (
    "objective",
    "constraint",
    "platform",
    "ratio",
    "budget",
    "deployment",
    "released",
    "pe_levels",
    "tile_levels",
    "hardware",
)
"""What else describes a problem: the keyword arguments of ``AssignmentProblem.of``."""

Observation = NDArray[np.float32]
Action = Any


class HWAssignEnv(gym.Env[Observation, Action]):
    """
    ## Description

    A DNN accelerator gives each layer of a network its own partition of processing elements (PEs)
    and buffers. The environment walks the layers in order; at each, the agent decides how many PEs
    the layer gets and how many filters a PE's buffer holds. All layers share one budget, of area or
    of power. The goal is the least latency, energy, energy-delay product or pipeline period.
    It is the problem of ConfuciuX (Kao, Jeong and Krishna, MICRO 2020), with MAESTRO (Kwon et al.,
    MICRO 2019) as its cost model. Its optimum is known: `env.unwrapped.optimum()`.

    ## Action Space

    | `action_mode` | space | meaning |
    | --- | --- | --- |
    | `multi_discrete` (default) | `MultiDiscrete([12, 12])` | PE level of 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128; filters per PE 1..12 |
    | `discrete` | `Discrete(144)` | the joint product, buffer level fastest |
    | `continuous` | `Box(-1, 1, (2,))` | each axis cut into as many equal parts as there are levels |

    With dataflow `MIX` a third dimension chooses the dataflow (NVDLA, Eyeriss, ShiDianNao). Every
    action of the space may be taken. `action_masks()` (and `info["action_mask"]`) allows exactly
    those after which the episode can still end feasibly; under `multi_discrete` it does so per
    dimension: a level is allowed if some choice of the others goes with it.

    ## Observation Space

    `Box(-1, 1, (11,), float32)`, 12 with `MIX`. Each entry is mapped from [0, 1] by 2x - 1.

    | index | what |
    | --- | --- |
    | 0-5 | K, C, Y, X, R, S of the layer *to be assigned*: log2(1 + size) over that of the workload's greatest; zeros when none is left, the mean over layers under LS |
    | 6 | its kind: CONV 0, DSCONV 0.5, GEMM 1 |
    | 7, 8 (9) | previous action, (level index + 1) / levels: PE, buffer (dataflow); 0 at the start |
    | next to last | layers assigned / layers |
    | last | share of the budget left |

    ## Reward

    | `reward` | at each step | when the budget breaks or a point is invalid |
    | --- | --- | --- |
    | `shaped` (default) | (worst - cost) / sum of (worst - best) over layers, so a feasible return lies in [0, 1] and is linear in the objective | what makes the return exactly -1 |
    | `confuciux` | the paper's P - P_min | minus the rewards so far |
    | `terminal` | 0; at the end -objective / optimum | the same of the worst valid choices |

    Objective `throughput` does not add up over layers, so only `terminal` (its default) applies.

    ## Starting State

    Nothing assigned, the whole budget left. There is no randomness: the seed changes nothing.

    ## Episode End

    Terminates after the last layer, when the budget is exceeded, or when an invalid design point is
    chosen (one that cannot do the layer's work on that many PEs). Never truncates.

    ## Information

    Always `action_mask` (int8; a tuple of arrays under `multi_discrete`; absent under `continuous`).
    At the end also `objective`, `latency` (cycles), `energy` (nJ), `area` (um^2), `power` (mW) of
    what was assigned, `budget_used` (share), `is_success`, `regret` (objective / optimum - 1;
    infinite for a failed episode) and `assignment` (level indices, one row a layer; -1 where none).

    ## Arguments

    `workload` (a model's name, a `Workload`, a CSV or ONNX file), `dataflow` (also a mapping file), `objective`, `constraint`,
    `platform` or `ratio` or `budget`, `deployment` (`LP`: a partition a layer; `LS`: one
    configuration for all, an episode of one step), `released` (ConfuciuX's problem as its code poses
    it), `pe_levels`, `tile_levels`, `hardware` (a `Hardware`, a dict of its fields, or a TOML file),
    `action_mode`, `reward`, `render_mode`; or `problem`, an `AssignmentProblem`, instead of all that
    describe one.

    ## References

    Kao, Jeong, Krishna: ConfuciuX: Autonomous Hardware Resource Assignment for DNN Accelerators
    using Reinforcement Learning. MICRO 2020, arXiv:2009.02010. Kwon, Chatarasi, Pellauer, Parashar,
    Sarkar, Krishna: Understanding Reuse, Performance, and Hardware Cost of DNN Dataflows: A
    Data-Centric Approach. MICRO 2019, arXiv:1805.02566.

    ## Version History

    v0: first version.
    """

    metadata = {  # noqa: RUF012 (the base class declares it so)
        "render_modes": ["ansi", "rgb_array", "human"],
        "render_fps": 4,
    }

    def __init__(
        self,
        workload: Workload | str = "MobileNetV2",
        dataflow: str | Dataflow | Sequence[str | Dataflow] = "NVDLA",
        *,
        problem: AssignmentProblem | None = None,
        action_mode: str = "multi_discrete",
        reward: str | None = None,
        render_mode: str | None = None,
        **description: Any,
    ) -> None:
        if action_mode not in ACTION_MODES:
            raise ValueError(nearest("action mode", action_mode, ACTION_MODES))
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(nearest("render mode", render_mode, self.metadata["render_modes"]))
        for name in description:
            if name not in DESCRIPTION:
                allowed = ("problem", "action_mode", "reward", "render_mode", *DESCRIPTION)
                raise TypeError(nearest("argument", name, allowed))
        if problem is None:
            hardware = _hardware(
                description.pop("hardware", None), released=description.get("released", False)
            )
            problem = AssignmentProblem.of(workload, dataflow, hardware=hardware, **description)
        elif description or (workload, dataflow) != ("MobileNetV2", "NVDLA"):
            raise ValueError("give a problem, or what describes one, not both")
        elif not isinstance(problem, AssignmentProblem):
            raise ValueError(f"problem must be an AssignmentProblem, got {problem!r}")
        self.problem = problem
        self.action_mode, self.render_mode = action_mode, render_mode
        self._episode = Episode(problem, make_reward(reward, problem))
        self._over = True
        size = self._episode.tables.observation_size
        self.observation_space = spaces.Box(-1.0, 1.0, (size,), np.float32)
        self.action_space = action_space(problem, action_mode)
        self._ends = tuple(np.cumsum(problem.space.shape).tolist())  # of each axis in a flat mask
        self._viewer: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a new episode; see gymnasium.Env.reset. No option is known."""
        super().reset(seed=seed)
        self._episode.reset()
        self._over = False
        if self.render_mode == "human":
            self.render()
        return self._episode.observe(), self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Assign the next layer.

        Raises:
            ValueError: If the action is not one of the action space. Continuous actions beyond
                [-1, 1] are clipped; NaN is an error.
            gymnasium.error.ResetNeeded: If the episode is over.
        """
        if self._over:
            raise gym.error.ResetNeeded("the episode is over: call reset() before step()")
        reward, failed, finished = self._episode.step(self._action_number(action))
        self._over = failed or finished
        info = self._info()
        if self._over:
            info |= self._final_info(success=finished)
        if self.render_mode == "human":
            self.render()
        return self._episode.observe(), reward, self._over, False, info

    def action_masks(self) -> NDArray[np.bool_]:
        """The allowed actions, flat, as sb3-contrib's MaskablePPO takes them.

        Raises:
            ValueError: In action mode ``continuous``, which has no masks.
        """
        if self.action_mode == "continuous":
            raise ValueError("action masks exist for 'discrete' and 'multi_discrete' actions only")
        return self._episode.mask(self.action_mode)

    def optimum(self) -> Certificate:
        """The proven optimum of this problem."""
        return self.problem.optimum()

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score whole assignments, level indices (N, layers, 2), without stepping through them."""
        return self.problem.evaluate(assignments)

    def render(self) -> Any:
        """The state of the episode: text (ansi), an image (rgb_array), or a window (human)."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: ansi, rgb_array or human")
            return None
        from hwgym import plotting

        chosen = self._chosen()[0]

        if self.render_mode == "ansi":
            return plotting.assignment_text(self.problem, chosen)
        if self._viewer is None:
            self._viewer = plotting.AssignmentViewer(
                self.problem, window=self.render_mode == "human"
            )
        return self._viewer.draw(chosen)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None

    def _action_number(self, action: Action) -> int:
        # What agents give, first; anything else is looked at with care.
        if self.action_mode == "discrete":
            is_number = isinstance(action, int | np.integer) and not isinstance(action, bool)
            if is_number and 0 <= action < self.problem.num_actions:
                return int(action)
        elif isinstance(action, np.ndarray) and action.shape == (len(self._ends),):
            number = self._joint_number(action)
            if number is not None:
                return number
        numbers = action_numbers(self.problem, self.action_mode, action)
        if numbers.shape != (1,):
            raise ValueError(f"step takes one action, got {action!r}")
        return int(numbers[0])

    def _joint_number(self, action: NDArray[Any]) -> int | None:
        """Of a level, or a share in [-1, 1], for each axis; None if it is not that."""
        continuous = self.action_mode == "continuous"
        if action.dtype.kind not in ("f" if continuous else "iu"):
            return None
        number = 0
        for level, count in zip(action.tolist(), self.problem.space.shape, strict=True):
            if continuous:
                if level != level:  # NaN
                    return None
                level = min(int((min(max(level, -1.0), 1.0) + 1.0) / 2.0 * count), count - 1)
            if not 0 <= level < count:
                return None
            number = number * count + level
        return number

    def _chosen(self) -> NDArray[np.int64]:
        """(1, steps): the action numbers so far; -1 where nothing is yet."""
        actions = self._episode.actions
        return np.array([actions + [-1] * (self.problem.num_steps - len(actions))])

    def _info(self) -> dict[str, Any]:
        if self.action_mode == "continuous":
            return {}
        mask = self._episode.mask(self.action_mode).view(np.int8)
        if self.action_mode == "discrete":
            return {"action_mask": mask}
        ends = self._ends
        return {"action_mask": tuple(mask[a:b] for a, b in zip((0, *ends), ends, strict=False))}

    def _final_info(self, *, success: bool) -> dict[str, Any]:
        values = self._episode.tables.summary(self._chosen(), np.array([success]))
        return {n: v[0].item() if v.ndim == 1 else v[0] for n, v in values.items()}


def action_space(problem: AssignmentProblem, mode: str) -> spaces.Space[Any]:
    """The action space of a problem in one of :data:`ACTION_MODES`."""
    shape = problem.space.shape
    if mode == "discrete":
        return spaces.Discrete(problem.num_actions)
    if mode == "multi_discrete":
        return spaces.MultiDiscrete(np.array(shape))
    return spaces.Box(-1.0, 1.0, (len(shape),), np.float32)


def action_numbers(problem: AssignmentProblem, mode: str, actions: Action) -> NDArray[np.int64]:
    """Action numbers (N,) of a batch of actions of :func:`action_space`, or of a single one.

    Raises:
        ValueError: If one is not in the space. Continuous ones beyond [-1, 1] are clipped, NaN is
            not a number.
    """
    given = np.asarray(actions)
    shape = problem.space.shape
    if mode == "discrete":
        if given.dtype.kind not in "iu" or given.size == 0:
            raise ValueError(f"a discrete action is an integer, got {actions!r}")
        numbers = given.reshape(-1).astype(np.int64)
        if numbers.min() < 0 or numbers.max() >= problem.num_actions:
            raise ValueError(
                f"a discrete action lies in 0..{problem.num_actions - 1}, got {actions!r}"
            )
        return numbers
    if given.shape[-1:] != (len(shape),):
        raise ValueError(f"an action has {len(shape)} entries, got {actions!r}")
    given = given.reshape(-1, len(shape))
    if mode == "continuous":
        if given.dtype.kind not in "fiu" or np.isnan(given).any():
            raise ValueError(f"a continuous action is made of numbers, got {actions!r}")
        share = (np.clip(given, -1.0, 1.0).astype(np.float64) + 1.0) / 2.0
        given = np.minimum((share * shape).astype(np.int64), np.array(shape) - 1)
    return problem.space.encode(given)


def _hardware(
    given: Hardware | dict[str, Any] | str | None, *, released: bool
) -> Hardware | str | None:
    if not isinstance(given, dict):
        return given
    allowed = (*Hardware.numbers(), "technology")
    for name in given:
        if name not in allowed:
            raise ValueError(nearest("hardware field", name, allowed))
    default = {"technology": "maestro-2021" if released else "maestro-2019"}
    return Hardware(**(default | given))

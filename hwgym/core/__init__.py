"""The core: what every family of problems has in common. It knows no family.

- a problem: :class:`Problem` with its :class:`Statement`, :class:`Scores`, :class:`Parts` and
  :class:`Certificate`; :class:`TableProblem` for those whose costs are separable;
  :class:`DesignProblem` and :class:`SharedProblem` for a :class:`Design` under a budget;
  :class:`Metric`, :class:`Space`, :class:`Axis`
- episodes: :class:`Dynamics` (:class:`TableWalk`, :class:`Walk`), rewards, samplers,
  :class:`Environment`, :class:`VectorEnvironment`
- agents: :class:`Evaluator`, :func:`solve`, :func:`find_agent`; episode logs
- :class:`Family`, which ties it together
"""

from hwgym.core.actions import ACTION_MODES, action_modes
from hwgym.core.agents import Agent, agent_names, describe_agents, find_agent
from hwgym.core.certificate import Certificate
from hwgym.core.design import BudgetedProblem, Deployment, Design, DesignProblem
from hwgym.core.dynamics import Dynamics, Outcome
from hwgym.core.env import Environment
from hwgym.core.evaluator import BudgetSpent, Evaluator, SearchEnvironment, Sees, Stage
from hwgym.core.family import (
    Family,
    Id,
    UnknownId,
    families,
    family_of,
    problem_of,
    ranked_ids,
    register_family,
    registered_ids,
    split_id,
)
from hwgym.core.log import (
    EpisodeLog,
    LogError,
    log_episodes,
    read_episodes,
    read_settings,
    read_solutions,
    to_minari,
)
from hwgym.core.metric import METRICS, Metric, find_metric
from hwgym.core.problem import InfeasibleError, Parts, Problem, Scores, Statement, Unlisted
from hwgym.core.rewards import REWARDS, Reward
from hwgym.core.sampler import Drawn, Fixed, Sampler
from hwgym.core.search import Result, as_problem, search, solve
from hwgym.core.shared import SharedProblem, SharedWalk
from hwgym.core.space import Axis, Space
from hwgym.core.table_walk import TableWalk
from hwgym.core.tables import TableProblem, Tables
from hwgym.core.vector import VectorEnvironment
from hwgym.core.veil import Withheld
from hwgym.core.view import Column, View
from hwgym.core.walk import Walk

__all__ = [
    "ACTION_MODES",
    "METRICS",
    "REWARDS",
    "Agent",
    "Axis",
    "BudgetSpent",
    "BudgetedProblem",
    "Certificate",
    "Column",
    "Deployment",
    "Design",
    "DesignProblem",
    "Drawn",
    "Dynamics",
    "Environment",
    "EpisodeLog",
    "Evaluator",
    "Family",
    "Fixed",
    "Id",
    "InfeasibleError",
    "LogError",
    "Metric",
    "Outcome",
    "Parts",
    "Problem",
    "Result",
    "Reward",
    "Sampler",
    "Scores",
    "SearchEnvironment",
    "Sees",
    "SharedProblem",
    "SharedWalk",
    "Space",
    "Stage",
    "Statement",
    "TableProblem",
    "TableWalk",
    "Tables",
    "UnknownId",
    "Unlisted",
    "VectorEnvironment",
    "View",
    "Walk",
    "Withheld",
    "action_modes",
    "agent_names",
    "as_problem",
    "describe_agents",
    "families",
    "family_of",
    "find_agent",
    "find_metric",
    "log_episodes",
    "problem_of",
    "ranked_ids",
    "read_episodes",
    "read_settings",
    "read_solutions",
    "register_family",
    "registered_ids",
    "search",
    "solve",
    "split_id",
    "to_minari",
]

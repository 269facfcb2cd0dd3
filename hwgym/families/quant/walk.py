"""How episodes walk the problems of the family: layer by layer, masked by what a limit leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgym._arrays import Bools, Floats, rows_by
from hwgym.core.dynamics import Dynamics
from hwgym.core.problem import Problem
from hwgym.core.table_walk import TableWalk
from hwgym.core.tables import TableProblem
from hwgym.core.walk import Walk, WalkState
from hwgym.families.quant.problem import AccuracyProblem

__all__ = ["AccuracyWalk", "dynamics"]


class AccuracyWalk(Walk):
    """Walks problems whose accuracy is known of whole networks only.

    What bits cost is known, so masks allow exactly those after which an episode can still end
    within its limit, and one that cannot has failed. Observed are the previous choice and the share
    of the limit that is left.
    """

    problems: tuple[AccuracyProblem, ...]

    @property
    def seen_size(self) -> int:
        return len(self.shape) + 1

    def seen(self, state: WalkState) -> Floats:
        left = np.ones(len(state.step))
        for problem, rows in self.posed(state):
            budget = problem.widths.budget
            left[rows] = budget.left(state.genes[rows]) / budget.limit
        return np.column_stack([super().seen(state), np.clip(left, 0.0, 1.0)])

    def broken(self, state: WalkState) -> Bools:
        failed = np.zeros(len(state.step), bool)
        for problem, rows in self.posed(state):
            budget, genes = problem.widths.budget, state.genes[rows]
            after = np.minimum(state.step[rows], len(budget.usage))  # of one that is over: any
            failed[rows] = budget.left(genes) < budget.least_after[after]
        return failed

    def masks(self, state: WalkState, mode: str) -> Bools:
        joint = np.ones((len(state.step), int(self.shape.prod())), bool)
        for problem, rows in self.posed(state):
            budget = problem.widths.budget
            left = budget.left(state.genes[rows])
            for step, here in rows_by(state.step[rows]):
                if step < len(budget.usage):
                    joint[rows[here]] = budget.fits(left[here], step).reshape(len(here), -1)
        return joint if mode == "discrete" else self.levels(joint)


def dynamics(problems: Sequence[Problem]) -> Dynamics:
    """How episodes walk problems of one kind.

    Raises:
        ValueError: If the problems cannot be stepped together.
        Withheld: While an agent searches.
    """
    proxies = [isinstance(problem, TableProblem) for problem in problems]
    if any(proxies) and not all(proxies):
        raise ValueError("problems of a bank must all have tabulated accuracy, or all the proxy")
    return (TableWalk if any(proxies) else AccuracyWalk).of(problems)  # type: ignore[arg-type]

"""LayerView: what to say and show of problems over the layers of a network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import ArrayLike

from hwgym.core.design import BudgetedProblem, Deployment
from hwgym.core.metric import Metric
from hwgym.core.problem import Problem
from hwgym.core.view import Column, Row, View, brief
from hwgym.families.layered.reports import (
    describe_assignment,
    describe_problem,
    design_of,
    layer_rows,
)

__all__ = ["LayerView", "bytes_text", "cell", "levels_text", "period_text"]

FORMATS = {"latency": ",.0f", "energy": ",.0f", "area": ",.4f", "power": ",.4g"}
"""How a layer's share of each metric is written, in the unit that is shown."""

DEPLOYMENTS = {
    Deployment.LP: "LP, layer-pipelined: each layer has a partition of its own; latency is that "
    "of one input, which goes through them one after the other",
    Deployment.LS: "LS, layer-sequential: one array, configured once, runs all layers",
    Deployment.SHARED: "shared: one array runs all layers, one after the other, and is set anew "
    "for each",
}


class LayerView(View):
    """Layers and what they get, and where the budget comes from.

    Attributes:
        kinds: The classes of the family's problems, that of tables first.
    """

    rows_name = "layers"
    kinds: tuple[type[BudgetedProblem], ...]

    # --- what a family says ---------------------------------------------------------------------

    @abstractmethod
    def gets(self, problem: BudgetedProblem) -> str:
        """What each layer gets, with the levels."""

    @abstractmethod
    def costs(self, problem: BudgetedProblem) -> str:
        """Where the costs come from."""

    @abstractmethod
    def given(self, problem: BudgetedProblem) -> Sequence[Column]:
        """The columns that show what a layer gets."""

    def network(self, problem: BudgetedProblem) -> str:
        """The network, with its size."""
        layers = design_of(problem).workload
        count = f"{len(layers)} layer{'s' * (len(layers) > 1)}"
        return f"{layers.name}, {count}, {layers.macs / 1e9:.3g} GMACs"

    # --- a problem ------------------------------------------------------------------------------

    def asked(self, problem: Problem) -> BudgetedProblem:
        """The problem, if it is one of the family's.

        Raises:
            ValueError: If it is not.
        """
        if not isinstance(problem, self.kinds):
            names = " or ".join(kind.__name__ for kind in self.kinds)
            article = "an" if names[0] in "AEIOU" else "a"
            raise ValueError(f"{article} {names} is needed, got {problem!r}")
        return problem

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWAssign-").removesuffix("-v0")

    def describe(self, problem: Problem) -> dict[str, Any]:
        return describe_problem(self.asked(problem))

    def facts(self, problem: Problem) -> dict[str, str]:
        asked = self.asked(problem)
        return {
            "network": self.network(asked),
            "each layer gets": self.gets(asked),
            "deployment": DEPLOYMENTS[asked.deployment],
            "to minimise": self.metric_text(asked.statement.objective),
            f"{asked.constraint.name} budget": self._budget(asked),
            "costs": self.costs(asked),
        }

    def budget(self, problem: Problem) -> float:
        return self.asked(problem).budget or 0.0

    def _budget(self, problem: BudgetedProblem) -> str:
        """The budget, where it comes from, and between what it lies."""
        constraint = problem.constraint
        least, greatest = problem.budget_range
        text = constraint.text(self.budget(problem))
        if problem.ratio is not None:
            platform = f"{problem.platform}: " if problem.platform else ""
            text += f" ({platform}{problem.ratio:.4g} of the range "
        else:
            text += " (given; the range is "
        return text + f"{constraint.text(least)} to {constraint.text(greatest)})"

    # --- an assignment --------------------------------------------------------------------------

    def rows(self, problem: Problem, genes: ArrayLike) -> list[dict[str, Any]]:
        return layer_rows(self.asked(problem), genes)

    def columns(self, problem: Problem) -> Sequence[Column]:
        asked = self.asked(problem)
        costs = asked.statement.metrics[:2], asked.statement.metrics[2:]
        columns = [Column("layer", cell("layer"), text=True), *self.given(asked)]
        for group, wanted in zip(costs, (asked.objective, asked.constraint), strict=True):
            kept = wanted if wanted in group else group[0]  # what was not asked for goes first
            columns += [
                Column(m.shown_unit, _number(m, FORMATS[m.name]), wide=m != kept) for m in group
            ]
        return [
            *columns,
            Column(asked.objective.name, cell("cost_share", ".1%"), wide=True),
            Column("budget", cell("usage_share", ".1%")),
            Column("utilised", cell("utilization", ".1%")),
        ]

    def describe_solution(self, problem: Problem, genes: ArrayLike) -> dict[str, Any]:
        return describe_assignment(self.asked(problem), genes)

    def solution_facts(self, problem: Problem, found: Row) -> dict[str, str]:
        share, pes = found["utilization"], found["pes"]
        used = f"{share:.2%} of what {pes:,} PEs could do (MACs / cycles / PEs)"
        if not self.asked(problem).deployment.shared:
            used += (
                f"; {found['utilization_pipelined']:.2%} where a new input comes every "
                f"{found['period_cycles']:,.0f} cycles, {self.period(found)}"
            )
        return super().solution_facts(problem, found) | {"utilised": used}

    def period(self, found: Row) -> str:
        """Where a pipeline's period comes from; ``found`` is :meth:`describe_solution`'s."""
        return "the slowest layer's latency"


def cell(key: str, form: str = "") -> Callable[[Row], str]:
    """What a column shows of a row: the entry of that key, as ``format`` writes it."""
    return lambda row: "-" if row[key] is None else format(row[key], form)


def _number(metric: Metric, form: str) -> Callable[[Row], str]:
    def shown(row: Row) -> str:
        value = row[metric.column]
        return "-" if value is None else brief(float(metric.shown(value)), form)

    return shown


def levels_text(levels: Sequence[int]) -> str:
    """``1 to 12``, ``8 to 256 in steps of 8``, or all of them."""
    first, step = levels[0], levels[-1] - levels[-2] if len(levels) > 1 else 1
    if len(levels) > 2 and tuple(levels) == tuple(range(first, levels[-1] + 1, step)):
        return f"{first} to {levels[-1]}" + (f" in steps of {step}" if step > 1 else "")
    return ", ".join(map(str, levels))


def bytes_text(size: float) -> str:
    """``96 B``, ``4 KiB``, ``1.5 MiB``."""
    for unit, scale in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= scale:
            return f"{size / scale:g} {unit}"
    return f"{size:g} B"


def period_text(found: Row) -> str:
    """Where a pipeline's period comes from that shares DRAM; ``found`` is
    :func:`~hwgym.families.layered.reports.describe_assignment`'s."""
    slowest = max(row["latency_cycles"] for row in found["layers"])
    if found["period_cycles"] > slowest:
        return f"what all DRAM reads or writes take (the slowest layer: {slowest:,.0f})"
    return "the slowest layer's latency"

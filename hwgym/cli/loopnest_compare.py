"""``hwgym compare --model loopnest``: the optima of templates and budgets side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwgym.cli.loopnest import DEPLOYMENT, Asked, budget_amount, price_asked
from hwgym.cli.loopnest_options import MIX, parse_templates
from hwgym.cli.options import parse_budget
from hwgym.cli.output import working
from hwgym.core.design import CONSTRAINTS
from hwgym.core.problem import InfeasibleError
from hwgym.costs.loopnest import TEMPLATES
from hwgym.families.loopnest import architect, report

__all__ = ["compare_loopnest"]


def compare_loopnest(
    asked: Asked, dataflows: Sequence[str], budgets: Sequence[str], out: Path | None
) -> tuple[str, list[dict[str, Any]]]:
    """The networks' names, and a row a template, or several to choose from, and budget. A share is
    of the range of all of them together, so that a column has one budget.

    Raises:
        ValueError: If something asked for is wrong.
        Failure: If a layer fits no buffer.
    """
    styles = {name: parse_templates(name) for name in dataflows or (*TEMPLATES, MIX)}
    limits = {
        text: parse_budget(text, asked.constraint) if asked.constraint in CONSTRAINTS else {}
        for text in budgets
    }
    every = list(dict.fromkeys(name for some in styles.values() for name in some))
    costs, _ = price_asked(asked, every, out)
    deployment = asked.deployment or DEPLOYMENT
    rows: list[dict[str, Any]] = []
    with working("Solving"):
        amounts = {
            text: budget_amount(costs, deployment, asked.constraint, limit)[0]
            for text, limit in limits.items()
        }
        for name, some in styles.items():
            mine = costs.under(some)
            for text, amount in amounts.items():
                row = {"dataflow": name, "name": text, "budget_value": amount, "objective": None}
                try:
                    best = architect.optimum(mine, deployment, asked.constraint, amount)
                except InfeasibleError:
                    row["why"] = f"nothing fits the {asked.constraint} budget"
                else:
                    row |= report.describe(mine, best, asked.constraint, amount)
                rows.append(row)
    for text in limits:
        column = [row for row in rows if row["name"] == text]
        found = [row["objective"] for row in column if row["objective"] is not None]
        for row in column:
            row["over_best"] = row["objective"] and row["objective"] / min(found) - 1
    return ", ".join(network.name for network in costs.networks), rows

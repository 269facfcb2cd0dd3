"""What to say and show of network mappings: what is shared, decisions, what each layer takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.metric import thousands
from hwgym.core.problem import Problem
from hwgym.core.view import Column, Row, View
from hwgym.families.mapping.network.problem import NetworkProblem
from hwgym.families.mapping.space import DECISIONS

__all__ = ["VIEW", "NetworkView"]


class NetworkView(View):
    """Mappings of a network's layers."""

    rows_name = "layers"

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWMapNet-").removesuffix("-v0")

    def facts(self, problem: Problem) -> dict[str, str]:
        posed = _posed(problem)
        network, statement = posed.network, posed.statement
        chosen = float(np.log10(problem.space.sizes.astype(float)).sum())
        runs = sum(layer.repeat for layer in network.layers)
        hardware = network.hardware.title
        if network.chooses_hardware:
            hardware = "; ".join(
                f"{name} {choices[0]:,} to {choices[-1]:,}"
                for name, choices in zip(network.shared, network.levels.all, strict=True)
            )
        shown = {
            "problem": self.title(problem),
            "layers": f"{runs} runs of {len(network.layers)} shapes, each with a mapping",
            "all share": ", ".join(network.shared),
            "hardware": hardware,
            "a solution": f"{problem.num_steps} decisions, 10^{chosen:.0f} in all",
            "to minimise": self.metric_text(posed.objective),
            "costs": "MAESTRO" + ("'s, its defects mended" if network.fixed else ""),
        }
        if statement.constraint is not None:
            shown["area limit"] = statement.constraint.text(statement.limit)
        return shown

    def rows(self, problem: Problem, genes: ArrayLike) -> list[dict[str, Any]]:
        """A row a layer: how often it is run, its decisions, and what its mapping takes in all runs
        once all is decided.

        Raises:
            ValueError: If the solution does not fit the problem.
        """
        posed, checked = _posed(problem), problem.space.check(genes)
        network = posed.network
        costs = posed.layer_costs(checked) if problem.space.within(checked)[0] else {}
        rows = []
        for i, layer in enumerate(network.layers):
            [own], axes = network.layer_genes(checked, i), network.widest(i).space.own
            row: dict[str, Any] = {"layer": layer.name, "runs": layer.repeat}
            for name, (gene,), (axis,) in zip(DECISIONS, own.tolist(), axes, strict=True):
                row[name] = axis.labels[gene] if 0 <= gene < axis.size else None
            for name in ("latency", "energy") if costs else ():
                row[name] = float(costs[name][i, 0]) * layer.repeat
            for name in ("l1_bytes", "l2_bytes", "valid") if costs else ():
                row[name] = costs[name][i, 0].item()
            rows.append(row)
        return rows

    def columns(self, problem: Problem) -> Sequence[Column]:
        def cell(key: str) -> Any:
            def text(row: Row) -> str:
                value = row.get(key)
                if value is None:
                    return "-"
                return value if isinstance(value, str) else thousands(value)

            return text

        words = ("outer parallel", "inner parallel", "outer order", "inner order")
        decisions = [Column(name, cell(name), name in words, wide=True) for name in DECISIONS]
        return [
            Column("layer", cell("layer"), text=True),
            Column("runs", cell("runs")),
            *decisions,
            Column("cycles", cell("latency")),
            Column("nJ", cell("energy")),
        ]

    def text(self, problem: Problem, genes: Ints) -> str:
        """The decisions taken, and the table of layers."""
        [checked] = problem.space.check(genes)
        lines = [self.title(problem), *self.choices(problem, checked)]
        if problem.space.within(checked):
            for row in self.rows(problem, checked):
                lines.append(
                    f"{row['runs']} x {row['layer']}: {row['latency']:,.0f} cycles, "
                    f"{row['energy']:,.6g} nJ" + ("" if row["valid"] else ", invalid")
                )
        lines.append(self.summary(problem, genes))
        return "\n".join(lines)


def _posed(problem: Problem) -> NetworkProblem:
    assert isinstance(problem, NetworkProblem)  # the family makes no other
    return problem


VIEW = NetworkView()

"""ConfuciuX's two stages on one budget: a policy, then the genetic refiner on its episodes.

Both see what each layer cost and took. The first stage is :mod:`.reinforce_priced`, the second
:mod:`.ga_refiner`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hwgym.core import BudgetSpent, Evaluator, Sees

from .common import separable
from .ga_refiner import GARefiner
from .reinforce_priced import PricedReinforce


@dataclass
class ReinforceThenGA:
    """REINFORCE, then the genetic refiner on its episodes, within one budget."""

    first_share: float = 0.6
    """Share of the samples for the first stage."""
    first: PricedReinforce = field(default_factory=PricedReinforce)
    """The first stage: with memory and price."""
    second: GARefiner = field(default_factory=GARefiner)
    """The second stage; it starts from the episodes of the first, not from logs."""

    sees: ClassVar[Sees] = "layers"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {"first_share": (0.2, 0.4, 0.6, 0.8, 0.9)}

    def __post_init__(self) -> None:
        if not 0 < self.first_share < 1:
            raise ValueError(f"first_share must lie between 0 and 1, got {self.first_share!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Spend a part of the budget on each stage.

        Raises:
            ValueError: If costs are not separable, which the second stage needs.
        """
        separable(evaluator.statement, "reinforce-ga")
        stage = evaluator.part(max(1, round(self.first_share * evaluator.samples)))
        with suppress(BudgetSpent):
            self.first.search(stage, seed)
        stage.close()
        self.second.refine(evaluator, zip(stage.evaluated, stage.scored, strict=True), seed)

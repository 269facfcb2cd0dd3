"""What mappings cost: the cost model on one accelerator, for one objective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwgym._arrays import Bools, Floats
from hwgym.costs.loopnest import Nests, Profile, Traffic, energy, profile
from hwgym.families.mapping_loopnest.accelerator import HOLD
from hwgym.families.mapping_loopnest.space import MappingSpace

__all__ = ["MappingCosts"]


@dataclass(frozen=True)
class MappingCosts:
    """What mappings of a layer cost on an accelerator.

    Attributes:
        mappings: The layer, the accelerator and all mappings.
        objective: ``edp`` (energy x latency), ``latency`` or ``energy``.
    """

    mappings: MappingSpace
    objective: str

    def profile(self, nests: Nests, traffic: Traffic | None = None) -> Profile:
        """What nests take, by the cost model, whose traffic may be given."""
        return profile(nests, self.mappings.accelerator.machine, hold=HOLD, traffic=traffic)

    def fits(self, p: Profile) -> Bools:
        """(N,): both buffers hold what they must."""
        accelerator = self.mappings.accelerator
        fits: Bools = (p.l1_bytes <= accelerator.l1_bytes) & (p.l2_bytes <= accelerator.l2_bytes)
        return fits

    def both(self, p: Profile) -> tuple[Floats, Floats]:
        """Latency in cycles and energy in nJ, (N,) each."""
        a = self.mappings.accelerator
        return (
            p.latency_cycles.astype(np.float64),
            energy(p, a.machine, a.l1_bytes, a.l2_bytes).total,
        )

    def joined(self, latency: Floats, spent: Floats) -> Floats:
        """The objective of latencies and energies."""
        found = {"latency": latency, "energy": spent, "edp": latency * spent}
        return found[self.objective]

    def of(self, p: Profile) -> Floats:
        """(N,) the objective, whether nests fit or not."""
        return self.joined(*self.both(p))

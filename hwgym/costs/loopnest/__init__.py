"""A sound cost model: loop nests whose every count equals a walk through their loops."""

from hwgym.costs.loopnest.nests import DIMS, Hold, Nests
from hwgym.costs.loopnest.traffic import Traffic, analyse

__all__ = ["DIMS", "Hold", "Nests", "Traffic", "analyse"]

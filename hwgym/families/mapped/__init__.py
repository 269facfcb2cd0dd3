"""No family: what those share that map a layer."""

from hwgym.families.mapped.layers import find_layer
from hwgym.families.mapped.objectives import POOR, whole_metrics

__all__ = ["POOR", "find_layer", "whole_metrics"]

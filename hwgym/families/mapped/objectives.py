"""What mappings are judged by: metrics of wholes, and what a poor one is."""

from __future__ import annotations

from dataclasses import replace

from hwgym.core.metric import METRICS, Metric

__all__ = ["POOR", "whole_metrics"]

POOR = 1000.0
"""How far above the bound of a single PE the scale of rewards is: of 2,000 random mappings of each
of six problems none was above it."""


def whole_metrics(**about: str) -> dict[str, Metric]:
    """Metrics by name, with what they are: a mapping's costs are not those of its decisions."""
    return {n: replace(METRICS[n], join="whole", about=text) for n, text in about.items()}

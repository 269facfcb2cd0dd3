"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWMap-{Model}-{number}-{Hardware}-{Objective}-v1`` | that layer of the model |
| ``HWMap-v1`` | one's own: ``layer=...`` and whatever else describes it |

Hardware is Edge or Cloud; the objective EDP, Energy or Latency, where the best of 500 random
mappings that fit is more than 5 % above the optimum.
"""

from __future__ import annotations

from collections.abc import Iterator

from hwgym.core.family import Id

__all__ = ["LAYERS", "ids"]

LAYERS: dict[str, tuple[str, ...]] = {
    "ResNet50:1": ("Edge-EDP",),
    "ResNet50:12": ("Edge-EDP", "Edge-Energy"),
    "ResNet50:20": ("Edge-EDP", "Edge-Energy", "Cloud-EDP"),
    "ResNet50:46": ("Cloud-EDP", "Cloud-Latency"),
    "MobileNetV2:2": ("Edge-EDP",),
    "MobileNetV2:22": ("Edge-EDP", "Cloud-Energy"),
    "MobileNetV2:35": ("Edge-EDP",),
    "BERT:1": ("Edge-EDP", "Edge-Energy", "Cloud-EDP"),
    "BERT:4": ("Edge-EDP",),
}
"""Layers that differ: a stem, 3x3, 1x1, depthwise, matrix products; and what is asked of each."""


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    for layer, asked in LAYERS.items():
        for each in asked:
            hardware, objective = each.split("-")
            yield Id(
                f"HWMap-{layer.replace(':', '-')}-{each}-v1",
                {"layer": layer, "hardware": hardware.lower(), "objective": objective.lower()},
            )
    yield Id("HWMap-v1", {}, ranked=False)

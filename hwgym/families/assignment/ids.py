"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWAssign-{Model}-{Dataflow}-v0`` | latency under an area budget, platform iot |
| ``HWAssign-{Model}-{Dataflow}-{Objective}-{Constraint}-{Platform}-v0`` | the rest |
| ``ConfuciuX-{Model}-{Dataflow}-{Platform}-v0`` | ConfuciuX's problem as released |
| ``HWAssign-{Model}-{Dataflow}-{MultiDiscrete,Continuous}-v0`` | the first, with other actions |
| ``mo-HWAssign-{Model}-{Dataflow}-v0`` | no budget; a vector reward of latency, energy and area |
| ``HWAssign-v0`` | one's own: ``workload=...`` and whatever else describes it |

An id is left out if it says nothing (:func:`~hwgym.families.layered.ids.says_something`); by
keyword its problem can be had all the same. Which ones these are is written down in ``silent.txt``,
so that nothing needs to be solved to register the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hwgym.core.family import Id
from hwgym.families.layered import ids as layered
from hwgym.families.layered.ids import (
    CONSTRAINTS,
    MODELS,
    OBJECTIVES,
    PLATFORMS,
    Style,
    design_ids,
    says_something,
)

__all__ = [
    "CONSTRAINTS",
    "DATAFLOWS",
    "MODELS",
    "OBJECTIVES",
    "PLATFORMS",
    "RELEASED_DATAFLOWS",
    "RELEASED_MODELS",
    "all_ids",
    "ids",
    "says_something",
    "silent_ids",
]

DATAFLOWS = ("NVDLA", "Eyeriss", "ShiDianNao", "MIX")
ACTIONS = {"MultiDiscrete": "multi_discrete", "Continuous": "continuous"}

RELEASED_MODELS = (
    "AlexNet", "DenseNet", "GoogLeNet", "MnasNet", "MobileNetV2", "ResNet18", "ResNet50",
    "ResNeXt50", "ShuffleNetV2", "SqueezeNet", "VGG16", "WideResNet50",
)  # fmt: skip
RELEASED_DATAFLOWS = ("NVDLA", "Eyeriss", "ShiDianNao")


def silent_ids() -> frozenset[str]:
    """Ids that are left out, because they say nothing."""
    return layered.silent_ids(__package__)


def all_ids() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every id that poses one problem with a scalar objective, also those that say nothing."""
    yield from design_ids([Style(name, {"dataflow": name}) for name in DATAFLOWS], version=0)
    for model in RELEASED_MODELS:
        for dataflow in RELEASED_DATAFLOWS:
            for p, platform in PLATFORMS.items():
                yield (
                    f"ConfuciuX-{model}-{dataflow}-{p}-v0",
                    {
                        "workload": model,
                        "dataflow": dataflow,
                        "platform": platform,
                        "released": True,
                    },
                )


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    silent = silent_ids()
    for env_id, kwargs in all_ids():
        if env_id not in silent:
            yield Id(env_id, kwargs)
    for model in MODELS:
        for dataflow in DATAFLOWS:
            base = f"HWAssign-{model}-{dataflow}"
            described = {"workload": model, "dataflow": dataflow, "platform": "iot"}
            for name, mode in ACTIONS.items() if f"{base}-v0" not in silent else ():
                yield Id(f"{base}-{name}-v0", {**described, "action_mode": mode}, ranked=False)
            yield Id(
                f"mo-HWAssign-{model}-{dataflow}-v0",
                {
                    "workload": model,
                    "dataflow": dataflow,
                    "platform": "unlimited",
                    "reward": ["latency", "energy", "area"],
                },
                ranked=False,
            )
    yield Id("HWAssign-v0", {}, ranked=False)

"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWAssign-{Model}-{Dataflow}-v0`` | latency under an area budget, platform iot |
| ``HWAssign-{Model}-{Dataflow}-{Objective}-{Constraint}-{Platform}-v0`` | the rest |
| ``ConfuciuX-{Model}-{Dataflow}-{Platform}-v0`` | ConfuciuX's problem as released |
| ``HWAssign-{Model}-{Dataflow}-{MultiDiscrete,Continuous}-v0`` | the first, with other actions |
| ``mo-HWAssign-{Model}-{Dataflow}-v0`` | no budget; a vector reward of latency, energy and area |
| ``HWAssign-v0`` | one's own: ``workload=...`` and whatever else describes it |

An id is left out if it says nothing (:func:`says_something`); by keyword its problem can be had all
the same. Which ones these are is written down in ``silent.txt``, so that nothing needs to be solved
to register the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from hwgym.core.family import Id
from hwgym.core.tables import TableProblem

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

MODELS = (
    "MobileNetV2", "MnasNet", "ResNet18", "ResNet50", "VGG16", "AlexNet", "GoogLeNet", "SqueezeNet",
    "ShuffleNetV2", "DenseNet121", "ResNeXt50", "WideResNet50",  # convolutions
    "Transformer", "BERT", "GNMT", "NCF", "ViT",  # matrix products
)  # fmt: skip
DATAFLOWS = ("NVDLA", "Eyeriss", "ShiDianNao", "MIX")
OBJECTIVES = {"Latency": "latency", "Energy": "energy"}
CONSTRAINTS = {"Area": "area", "Power": "power"}
ACTIONS = {"MultiDiscrete": "multi_discrete", "Continuous": "continuous"}
PLATFORMS = {"Cloud": "cloud", "IoT": "iot", "IoTx": "iotx"}

RELEASED_MODELS = (
    "AlexNet", "DenseNet", "GoogLeNet", "MnasNet", "MobileNetV2", "ResNet18", "ResNet50",
    "ResNeXt50", "ShuffleNetV2", "SqueezeNet", "VGG16", "WideResNet50",
)  # fmt: skip
RELEASED_DATAFLOWS = ("NVDLA", "Eyeriss", "ShiDianNao")

LEAST_ADVANTAGE = 1.01
"""By this factor the best uniform assignment must be worse than the optimum."""


def says_something(problem: TableProblem) -> bool:
    """Whether there is anything to learn: the budget binds, and the best uniform assignment is more
    than 1 % above the optimum."""
    best = problem.certificate().objective
    return problem.binds and problem.best_uniform() >= LEAST_ADVANTAGE * best


@cache
def silent_ids() -> frozenset[str]:
    """Ids that are left out, because they say nothing."""
    text = files(__package__).joinpath("silent.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.split() if line)


def all_ids() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every id that poses one problem with a scalar objective, also those that say nothing."""
    for model in MODELS:
        for dataflow in DATAFLOWS:
            base = {"workload": model, "dataflow": dataflow}
            yield f"HWAssign-{model}-{dataflow}-v0", {**base, "platform": "iot"}
            for o, objective in OBJECTIVES.items():
                for c, constraint in CONSTRAINTS.items():
                    for p, platform in PLATFORMS.items():
                        yield (
                            f"HWAssign-{model}-{dataflow}-{o}-{c}-{p}-v0",
                            {
                                **base,
                                "objective": objective,
                                "constraint": constraint,
                                "platform": platform,
                            },
                        )
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

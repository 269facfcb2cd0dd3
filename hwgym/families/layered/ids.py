"""Ids of design spaces over networks: the pattern, and those that say nothing.

| id | problem |
| --- | --- |
| ``HWAssign-{Model}-{Style}-v{version}`` | latency under an area budget, platform iot |
| ``HWAssign-{Model}-{Style}-{Objective}-{Constraint}-{Platform}-v{version}`` | the rest |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from hwgym.core.design import BudgetedProblem

__all__ = [
    "CONSTRAINTS",
    "LEAST_ADVANTAGE",
    "MODELS",
    "OBJECTIVES",
    "PLATFORMS",
    "Style",
    "design_ids",
    "says_something",
    "silent_ids",
]

MODELS = (
    "MobileNetV2", "MnasNet", "ResNet18", "ResNet50", "VGG16", "AlexNet", "GoogLeNet", "SqueezeNet",
    "ShuffleNetV2", "DenseNet121", "ResNeXt50", "WideResNet50",  # convolutions
    "Transformer", "BERT", "GNMT", "NCF", "ViT",  # matrix products
)  # fmt: skip
OBJECTIVES = {"Latency": "latency", "Energy": "energy"}
CONSTRAINTS = {"Area": "area", "Power": "power"}
PLATFORMS = {"Cloud": "cloud", "IoT": "iot", "IoTx": "iotx"}

LEAST_ADVANTAGE = 1.01
"""By this factor the best uniform assignment must be worse than the optimum."""


class Style(NamedTuple):
    """One of the ways of running a network that ids tell apart.

    Attributes:
        name: As the id has it.
        kwargs: Of the environment.
        siblings: Whether there are ids of other objectives, constraints and platforms, too.
    """

    name: str
    kwargs: Mapping[str, Any]
    siblings: bool = True


def design_ids(
    styles: Sequence[Style], version: int, models: Sequence[str] = MODELS
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every id that poses one problem with a scalar objective, also those that say nothing, with
    the keyword arguments of its environment."""
    for model in models:
        for style in styles:
            base = {"workload": model, **style.kwargs}
            start = f"HWAssign-{model}-{style.name}"
            yield f"{start}-v{version}", {**base, "platform": "iot"}
            for o, objective in OBJECTIVES.items() if style.siblings else ():
                for c, constraint in CONSTRAINTS.items():
                    for p, platform in PLATFORMS.items():
                        yield (
                            f"{start}-{o}-{c}-{p}-v{version}",
                            {
                                **base,
                                "objective": objective,
                                "constraint": constraint,
                                "platform": platform,
                            },
                        )


def says_something(problem: BudgetedProblem) -> bool:
    """Whether there is anything to learn: the budget binds, and the best uniform assignment is more
    than 1 % above the optimum."""
    best = problem.certificate().objective
    return problem.binds and problem.best_uniform() >= LEAST_ADVANTAGE * best


@cache
def silent_ids(package: str) -> frozenset[str]:
    """Ids of a family that are left out, because they say nothing: its ``silent.txt``."""
    text = files(package).joinpath("silent.txt").read_text(encoding="utf-8")
    return frozenset(text.split())

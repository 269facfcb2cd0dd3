"""Suites: which tasks agents are compared on, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import gymnasium as gym

from hwgym._names import nearest
from hwgym.envs_registry import ENTRY_POINT

__all__ = ["SUITES", "Suite", "Task", "find_suite"]

SAMPLES = 5000
MODELS = ("MobileNetV2", "ResNet50", "MnasNet", "VGG16")
DATAFLOWS = ("NVDLA", "Eyeriss", "ShiDianNao")


@dataclass(frozen=True)
class Task:
    """An environment and how many samples an agent gets on it.

    Attributes:
        env_id: A registered environment of hwgym.
        samples: Complete assignments that may be evaluated.
    """

    env_id: str
    samples: int = SAMPLES

    @property
    def label(self) -> str:
        """The id without what all of them have in common."""
        return self.env_id.removeprefix("HWAssign-").removesuffix("-v0")


@dataclass(frozen=True)
class Suite:
    """Tasks that belong together.

    Attributes:
        name: What it is called on the command line.
        about: What it is for.
        time_limit: Wall seconds that a run gets unless the command says otherwise.
        make: Gives the tasks.
    """

    name: str
    about: str
    time_limit: float
    make: Callable[[], tuple[Task, ...]]

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """In the order in which tables show them."""
        return self.make()


def _smoke() -> tuple[Task, ...]:
    names = ("AlexNet-NVDLA", "SqueezeNet-ShiDianNao-Energy-Power-IoT", "NCF-MIX")
    return tuple(Task(f"HWAssign-{name}-v0", 300) for name in names)


def _lite() -> tuple[Task, ...]:
    return tuple(Task(f"HWAssign-{m}-{d}-v0") for m in MODELS for d in DATAFLOWS)


def _standard() -> tuple[Task, ...]:
    # Latency under an area budget at iot has the short id.
    variants = ("", "-Latency-Area-IoTx", "-Energy-Area-IoT", "-Energy-Area-IoTx")
    return tuple(
        Task(f"HWAssign-{m}-{d}{v}-v0") for v in variants for m in MODELS for d in DATAFLOWS
    )


def _full() -> tuple[Task, ...]:
    return tuple(
        Task(env_id)
        for env_id, spec in gym.registry.items()
        if str(spec.entry_point) == ENTRY_POINT
    )


SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "smoke", "three small tasks with 300 samples, for a first look and for CI", 30, _smoke
        ),
        Suite("lite", "four networks under three dataflows, least latency at iot", 120, _lite),
        Suite("standard", "those at iot and iotx, for latency and for energy", 120, _standard),
        Suite("full", "every registered environment", 120, _full),
    )
}


def find_suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        ValueError: If there is none; the message gives the nearest name.
    """
    if name not in SUITES:
        raise ValueError(nearest("suite", name, SUITES))
    return SUITES[name]

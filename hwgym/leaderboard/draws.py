"""Draws of settings: how much an agent's rank owes to its tuning.

An agent's class may declare a small space of settings worth trying::

    search_space: ClassVar[Mapping[str, Sequence[object]]] = {
        "learning_rate": (1e-3, 3e-3, 1e-2),
        "hyperparameters.gamma": (0.9, 0.99),   # a key of a setting that is a dict
    }

Draw 0 is the agent with its defaults; every further draw takes one value of each. (Krishnan et al.,
"ArchGym", ISCA 2023, show that the ranking of search agents for hardware often is that of how
lucky their settings were.)
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from hwgym.core import find_agent

__all__ = ["draw_settings"]


def draw_settings(agent: str, draw: int) -> dict[str, Any] | None:
    """An agent's settings in a draw; the same whenever and wherever they are asked for.

    Returns:
        What differs from the defaults; None if the agent declares no space to draw from.
    """
    if draw == 0:
        return {}
    space = getattr(find_agent(agent), "search_space", None)
    if not space:
        return None
    rng = np.random.default_rng([zlib.crc32(agent.encode()), draw])
    settings: dict[str, Any] = {}
    for name in sorted(space):
        value = space[name][int(rng.integers(len(space[name])))]
        where, _, key = name.partition(".")
        if key:
            settings.setdefault(where, {})[key] = value
        else:
            settings[where] = value
    return settings

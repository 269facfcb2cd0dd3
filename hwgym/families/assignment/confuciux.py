"""What ConfuciuX's released code reached on its own problem, measured by running it.

Kao, Jeong and Krishna, "ConfuciuX" (MICRO 2020); the authors' code, run on two shared cores. In its
second stage one generation of 20 evaluations counts as one sample.
"""

from __future__ import annotations

from hwgym.core.view import Reference, References

__all__ = ["CONFUCIUX"]

CONFUCIUX = References(
    title="ConfuciuX's released code on its own problem",
    about=(
        "What the published code of ConfuciuX (MICRO 2020) reached on the problem as that code "
        "poses it, by its own sample counts."
    ),
    env_id="ConfuciuX-MobileNetV2-NVDLA-IoT-v0",
    unit="million cycles",
    scale=1e6,
    results=(
        Reference("its REINFORCE, first run", "5,000 episodes", 47.9e6, 19),
        Reference("its REINFORCE, second run", "5,000 episodes", 45.2e6, 25),
        Reference("its REINFORCE, third run", "2,000 episodes", 41.2e6),
        Reference("the third run refined by its GA", "and 20,000 evaluations", 34.7e6),
        Reference("best uniform assignment", "144", 44.3e6),
    ),
)

"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWQuant-{Network}-{Constraint}-{Share}-v0`` | the fewest wrong answers of Digits or MNIST5k, within a share (%) of its energy, latency or area at 8 bits |
| ``HWQuant-{Model}-{Constraint}-{Share}-v0`` | the least quantisation noise, a proxy, of a network of the zoo |
| ``HWQuant-{...}-v1`` | the same on loop nests |
| ``HAQ-MobileNetV2-Cloud-v0`` | the noise proxy, within 60 % of the cycles that HAQ published |
| ``HWQuant-v0`` | one's own: ``workload=...``, ``constraint=...`` and ``share=...`` |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hwgym.core.family import Id
from hwgym.families.layered.ids import MODELS
from hwgym.families.quant.problem import HAQ, TABULATED

__all__ = ["PROXY_SHARES", "SHARES", "ids"]

CONSTRAINTS = {"Energy": "energy", "Latency": "latency", "Area": "area"}
SHARES = {
    "maestro": {"Energy": (50, 60, 70), "Latency": (25, 30, 40), "Area": (30, 40, 50)},
    "loopnest": {"Energy": (50, 60, 70), "Latency": (30, 40, 50)},
}
"""Percent, where accuracy is tabulated, by cost model; area is the same under both."""
PROXY_SHARES = {"Energy": (60,), "Latency": (50,), "Area": (40,)}
"""Likewise where it is a proxy."""


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    every: list[tuple[Iterable[str], str, Mapping[str, Sequence[int]]]]
    every = [(TABULATED, model, shares) for model, shares in SHARES.items()]
    every.append((MODELS, "maestro", PROXY_SHARES))
    for networks, model, shares in every:
        for network in networks:
            for name, constraint in CONSTRAINTS.items():
                for share in shares.get(name, ()):
                    asked = {
                        "workload": network,
                        "constraint": constraint,
                        "share": share / 100,
                        "model": model,
                    }
                    version = list(SHARES).index(model)
                    yield Id(f"HWQuant-{network}-{name}-{share}-v{version}", asked)
    yield Id("HAQ-MobileNetV2-Cloud-v0", {"workload": HAQ, "share": 0.6})
    yield Id("HWQuant-v0", {}, ranked=False)

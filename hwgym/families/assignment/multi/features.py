"""What is observed: in absolute units, on fixed log scales; a layer reads the same anywhere.

The entries of an observation, in order:

- the next :data:`AHEAD` layers, of each those of :func:`layer_features`; zeros beyond the last
- the layers that remain, that to be assigned among them: :data:`REMAINING`
- the problem: :data:`CONTEXT`
- the previous choice, (index + 1) / levels on each axis, and what is left: :data:`LEFT`
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgym._arrays import Array, Floats, Ints, Observations
from hwgym.core.space import Space
from hwgym.costs.maestro import Cluster, Dataflow, Hardware, SpatialMap, Technology
from hwgym.workloads import Layer

__all__ = [
    "AHEAD",
    "CONSTRAINTS",
    "CONTEXT",
    "LEFT",
    "OBJECTIVES",
    "REMAINING",
    "SIZE",
    "LayerRows",
    "choices_shown",
    "context_features",
    "layer_features",
    "left_features",
    "ranges",
    "shown",
    "style_features",
    "technology_features",
]

OBJECTIVES = ("latency", "energy", "edp")
CONSTRAINTS = ("area", "power")

AHEAD = 4
"""Layers that are observed at a time, that to be assigned and those after it."""

LAYER = ("present", "K", "C", "OY", "OX", "R", "S", "repeat", "macs", "depthwise", "product")
"""What is observed of a layer."""

_SCALES = {"K": 16, "C": 16, "OY": 12, "OX": 12, "R": 4, "S": 4, "repeat": 12, "macs": 48}
"""Powers of two at which an entry is 1."""

UNIT = 1 << 20
"""Features are added up in parts of one."""

REMAINING = (
    "log2(1 + layers left) / 8",
    "share of the layers left",
    "log2 of MACs left / 48",
    "greatest log2 of a layer's MACs / 48",
    "mean of its log2 / 48",
    "mean log2(K) / 16",
    "mean log2(C) / 16",
    "mean log2(OY) / 12",
    "share of depthwise layers",
    "share of matrix products",
)

_SUMMED = [LAYER.index(n) for n in ("macs", "K", "C", "OY", "depthwise", "product")]

_DIMS = "KCYXRS"
_TECHNOLOGY = (
    ("mac_area_um2", 0, 8),
    ("l1_area_um2", 0, 8),
    ("l2_area_um2", 0, 8),
    ("mac_power_mw", -4, 4),
    ("l1_power_mw", -4, 4),
    ("l2_power_mw", -4, 4),
    ("mac_energy_nj", -6, 2),
    ("l1_energy_macs", -3, 5),
    ("l2_energy_macs", -3, 5),
    ("l1_unit_bytes", 0, 8),
    ("l2_unit_bytes", 0, 8),
)
"""A technology's constants, and the powers of ten at which an entry is 0 and 1."""

_HARDWARE = (
    ("noc_bandwidth", 32), ("simd_lanes", 8), ("noc_hops", 8), ("noc_hop_latency", 8)
)  # fmt: skip

CONTEXT = (
    *(f"objective is {name}" for name in OBJECTIVES),
    *(f"constraint is {name}" for name in CONSTRAINTS),
    "dataflows / 8",
    *(f"{dim} {what}" for dim in _DIMS for what in ("spatial", "place", "spatial in clusters")),
    "log2 of the cluster size / 8; 0 where it is the array",
    *(f"log10({name}), {low} to {high}" for name, low, high in _TECHNOLOGY),
    *(f"log2(1 + {name}) / {most}" for name, most in _HARDWARE),
    "log10 of the budget, -4 to 12",
    "log10 of it a layer, -4 to 12",
)

_BUDGETS = (-4, 12)
"""The powers of ten at which a budget's entry is 0 and 1."""

LEFT = ("share of the budget left", "log10 of it for each layer left, -4 to 12")

SIZE = AHEAD * len(LAYER) + len(REMAINING) + len(CONTEXT) + len(LEFT)
"""Entries, without those of the previous choice."""


_TO_LOG10 = np.float32(1 / np.log(10))


def layer_features(layers: Sequence[Layer]) -> Floats:
    """(layers, n) in [0, 1]."""
    columns = [np.ones(len(layers))]
    for name, most in _SCALES.items():
        values = np.array([getattr(layer, name) for layer in layers], np.float64)
        columns.append(np.log2(values) / most)
    columns.append(np.array([float(layer.is_depthwise) for layer in layers]))
    columns.append(np.array([float(layer.kind == "GEMM") for layer in layers]))
    found: Floats = np.minimum(np.stack(columns, axis=1), 1.0)
    return found


def style_features(style: Sequence[Dataflow]) -> Floats:
    """(n,) in [0, 1]: dataflows by their directives; of several, their mean."""
    each = np.mean([_dataflow_features(dataflow) for dataflow in style], axis=0)
    return np.concatenate([[min(len(style) / 8, 1.0)], each])


def _dataflow_features(dataflow: Dataflow) -> Floats:
    levels = dataflow.levels()
    outer, inner = levels[0], levels[-1] if len(levels) > 1 else ()
    found = []
    for dim in _DIMS:
        place, spatial = 0.0, 0.0
        for i, each in enumerate(outer):
            if each.dim[0] == dim:
                place, spatial = (i + 1) / 8, float(isinstance(each, SpatialMap))
        inside = any(isinstance(m, SpatialMap) and m.dim[0] == dim for m in inner)
        found += [spatial, min(place, 1.0), float(inside)]
    sizes = [d.size for d in dataflow.directives if isinstance(d, Cluster)]
    fixed = [size for size in sizes if isinstance(size, int)]
    found.append(min(np.log2(fixed[0]) / 8, 1.0) if fixed else 0.0)
    return np.array(found)


def technology_features(values: dict[str, Floats]) -> Floats:
    """(N, n) in [0, 1], of a technology's constants by name, (N,) each."""
    columns = [_log(values[name], low, high) for name, low, high in _TECHNOLOGY]
    return np.stack(columns, axis=1)


def constants(technology: Technology) -> dict[str, Floats]:
    """A technology's constants by name, (1,) each."""
    return {n: np.array([getattr(technology, n)], np.float64) for n, *_ in _TECHNOLOGY}


def hardware_features(hardware: Hardware) -> Floats:
    """(n,) in [0, 1]: interconnect and lanes."""
    numbers = hardware.arrays()
    found = [np.log2(1.0 + float(numbers[name])) / most for name, most in _HARDWARE]
    features: Floats = np.minimum(np.array(found), 1.0)
    return features


def context_features(
    objective: Ints,
    constraint: Ints,
    style: Floats,
    technology: Floats,
    hardware: Floats,
    limit: Floats,
    steps: Ints,
) -> Floats:
    """(N, n) in [0, 1], of N problems.

    Args:
        objective, constraint: (N,) indices.
        style, technology, hardware: (N, ...) features.
        limit: (N,) the budget.
        steps: (N,) layers.
    """
    return np.concatenate(
        [
            np.eye(len(OBJECTIVES))[objective],
            np.eye(len(CONSTRAINTS))[constraint],
            style,
            technology,
            hardware,
            _log(limit, *_BUDGETS)[:, None],
            _log(limit / steps, *_BUDGETS)[:, None],
        ],
        axis=1,
    )


def left_features(used: Floats, limit: Floats | float, remaining: Ints) -> Observations:
    """(N, n) float32 in [-1, 1]: what is left of budgets (N,) for so many layers."""
    left = np.maximum(limit - used, 0.0)
    low, high = _BUDGETS
    # Columns first: side by side in memory they are worked on in half the time.
    found = np.empty((len(LEFT), len(left)), np.float32)
    found[0] = left / limit
    left /= np.maximum(remaining, 1)
    # The natural logarithm of single precision takes a fifth of the time that log10 does.
    each = np.log(np.maximum(left, 10.0**low, dtype=np.float32))
    found[1] = (each * _TO_LOG10 - low) / (high - low)
    np.minimum(found, 1.0, out=found)
    found *= 2.0
    found -= 1.0
    return found.T


def choices_shown(space: Space) -> Observations:
    """(actions + 1, axes): what is shown of the previous choice; last, of none."""
    levels = space.decode(range(space.num_actions)) + 1.0
    return shown(np.vstack([levels, np.zeros(levels.shape[1])]) / np.array(space.shape))


class LayerRows:
    """What is observed of networks of some layers, step by step.

    Attributes:
        shown: (layers + 1, entries) float32 in [-1, 1]; the last is of no layer.

    Args:
        layers: Of which networks are made.
        features: Of each, as :func:`layer_features` gives them.
    """

    def __init__(self, layers: Sequence[Layer], features: Floats | None = None) -> None:
        known = layer_features(layers) if features is None else features
        self.shown = shown(np.vstack([known, np.zeros(known.shape[1])]))
        # In whole numbers, sums are the same in whatever company they are made.
        summed = np.rint(known[:, _SUMMED] * UNIT).astype(np.int64)
        macs = np.array([layer.macs for layer in layers], np.int64)
        self._summed = np.vstack([summed.T, macs])

    def remaining(self, rows: Ints, lengths: Ints) -> Observations:
        """(layers of all, :data:`REMAINING`) float32 in [-1, 1].

        Args:
            rows: (layers of all,) which layers, one problem after the other.
            lengths: (N,) layers of each.
        """
        ends = np.cumsum(lengths)
        each = np.repeat(np.arange(len(lengths)), lengths)
        left = ends[each] - np.arange(len(rows))
        own = self._summed.take(rows, axis=1)
        summed = np.cumsum(own, axis=1)
        summed = summed[:, ends - 1].take(each, axis=1) - summed + own
        # Maxima from the last on: those of earlier problems exceed all of later ones.
        ahead = (len(lengths) - each) * (2 * UNIT)
        greatest = np.maximum.accumulate((own[0] + ahead)[::-1])[::-1] - ahead
        found = np.empty((len(REMAINING), len(rows)), np.float32)
        found[0] = np.log2(1.0 + left) / 8
        found[1] = left / lengths[each]
        found[2] = np.log2(summed[-1]) / _SCALES["macs"]
        found[3] = greatest / UNIT
        found[4:] = summed[:-1] / (left * float(UNIT))
        np.minimum(found, 1.0, out=found)
        found *= 2.0
        found -= 1.0
        return np.ascontiguousarray(found.T)


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The numbers of several ranges, one after the other."""
    ends = np.cumsum(lengths)
    found: Ints = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
    return found


def shown(features: Array) -> Observations:
    """Features in [0, 1] as observations have them: float32 in [-1, 1]."""
    found: Observations = (np.minimum(features, 1.0) * 2.0 - 1.0).astype(np.float32)
    return found


def _log(values: Floats, low: float, high: float) -> Floats:
    """Where a value lies between two powers of ten, from 0 to 1."""
    found: Floats = np.minimum((np.log10(np.maximum(values, 10.0**low)) - low) / (high - low), 1.0)
    return found

"""Kinds of sub-accelerators: dataflows in which no size is open.

A kind is hardware: its clusters are as they are built, whatever layer it runs. As many as fit into
the PEs work, what is left over is idle. Under each kind a depthwise layer is mapped by the same
rule: its channels, of which each has one filter, take the place of the filters. What the other
layers do with a channel for each filter has no use then: in ``nv``, whose PEs add up over input
channels, one PE of a cluster works.

Sizes and order of loops are those with which every layer of the zoo is valid
(:attr:`~hwgym.costs.maestro.Costs.valid`) on every eighth of 1,024, 4,096 and 16,384 PEs. So a
cluster of ``yxp`` gets whole rows and folds them itself: of tiles of 16 columns, MAESTRO loses all
work where the input has 16 columns too. Nor is a tile of filters left open: where one does not
divide them evenly over the clusters, it loses work as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hwgym.costs.maestro.dataflow import Dataflow
from hwgym.costs.maestro.directives import Cluster, SpatialMap, TemporalMap

__all__ = ["KINDS"]

_FILTER = (TemporalMap("R", "R", "R"), TemporalMap("S", "S", "S"))
_IMAGE = (TemporalMap("R", 1, "Y"), TemporalMap("S", 1, "X"))
_OUTPUT = (TemporalMap(1, 1, "Y'"), TemporalMap(1, 1, "X'"))

_NV_CLUSTER = (Cluster(64), SpatialMap(1, 1, "C"), *_IMAGE, *_FILTER)
_YXP_CLUSTER = (
    Cluster(16),
    SpatialMap(1, 1, "X'"),
    TemporalMap(1, 1, "C"),
    TemporalMap(1, 1, "Y'"),
    *_FILTER,
)

KINDS: Mapping[str, Dataflow] = MappingProxyType(
    {
        each.name: each
        for each in (
            Dataflow(
                "nv",
                (SpatialMap(1, 1, "K"), *_FILTER, *_IMAGE, *_NV_CLUSTER),
                (SpatialMap(1, 1, "C"), *_FILTER, *_IMAGE, *_NV_CLUSTER),
                about="NVDLA style: filters across clusters of 64, input channels in each",
            ),
            Dataflow(
                "ykp",
                (
                    TemporalMap(16, 16, "K"),
                    SpatialMap(1, 1, "Y'"),
                    TemporalMap(1, 1, "X'"),
                    TemporalMap(1, 1, "C"),
                    *_FILTER,
                    Cluster(16),
                    SpatialMap(1, 1, "K"),
                    *_OUTPUT,
                    *_FILTER,
                ),
                (
                    TemporalMap(16, 16, "C"),
                    SpatialMap(1, 1, "Y'"),
                    TemporalMap(1, 1, "X'"),
                    *_FILTER,
                    Cluster(16),
                    SpatialMap(1, 1, "C"),
                    *_OUTPUT,
                    *_FILTER,
                ),
                about="output rows across clusters of 16, filters in each",
            ),
            Dataflow(
                "yxp",
                (
                    TemporalMap(1, 1, "K"),
                    SpatialMap(1, 1, "Y'"),
                    TemporalMap(1, 1, "C"),
                    *_FILTER,
                    *_YXP_CLUSTER,
                ),
                (TemporalMap(1, 1, "C"), SpatialMap(1, 1, "Y'"), *_FILTER, *_YXP_CLUSTER),
                about="ShiDianNao style: output rows across clusters of 16, columns in each",
            ),
        )
    }
)
"""``nv``, ``ykp`` and ``yxp``, named after what is parallel, as MAESTRO's mappings are."""

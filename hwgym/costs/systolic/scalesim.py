"""What SCALE-Sim prints of a layer that is described as it wants it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.costs.systolic.dataflow import SystolicDataflow, systolic_dataflow
from hwgym.costs.systolic.model import evaluate
from hwgym.costs.systolic.products import LARGEST_SIZE, Products
from hwgym.hardware import integers

__all__ = ["ScaleSim", "scalesim"]


@dataclass(frozen=True)
class ScaleSim:
    """SCALE-Sim 3.0.0's report in bandwidth mode CALC, as arrays, under its columns' names.

    Attributes:
        total_cycles: The index of the last cycle, counted from 0.
        sram_ifmap_reads, sram_filter_reads: Elements.
        sram_ofmap_writes: Elements; where outputs stay, R + C too many for each fold.
    """

    total_cycles: Ints
    sram_ifmap_reads: Ints
    sram_filter_reads: Ints
    sram_ofmap_writes: Ints


def scalesim(
    ifmap_h: ArrayLike,
    ifmap_w: ArrayLike,
    filter_h: ArrayLike,
    filter_w: ArrayLike,
    channels: ArrayLike,
    filters: ArrayLike,
    stride: ArrayLike,
    array_rows: ArrayLike,
    array_cols: ArrayLike,
    dataflow: str | SystolicDataflow,
) -> ScaleSim:
    """What SCALE-Sim prints of layers by their input's size; all arguments but the last broadcast.

    Output sizes are rounded up as it does, ``ceil((H - R + stride) / stride)``, so that a filter
    may lie partly beyond the input. :func:`evaluate` has none of its peculiarities.

    Raises:
        ValueError: If an argument is not a positive integer or an unknown name, or a filter is
            larger than its input.
    """
    given = {
        "ifmap_h": ifmap_h,
        "ifmap_w": ifmap_w,
        "filter_h": filter_h,
        "filter_w": filter_w,
        "channels": channels,
        "filters": filters,
        "stride": stride,
    }
    v = {name: integers(name, each, 1, LARGEST_SIZE) for name, each in given.items()}
    sides = []
    for side in "hw":
        image, filter_ = v[f"ifmap_{side}"], v[f"filter_{side}"]
        if np.any(filter_ > image):
            raise ValueError(f"filter_{side} is larger than ifmap_{side}: filter exceeds input")
        sides.append(-(-(image - filter_ + v["stride"]) // v["stride"]))
    depth = v["channels"] * v["filter_h"] * v["filter_w"]
    style = systolic_dataflow(dataflow)
    costs = evaluate(
        Products(sides[0] * sides[1], depth, v["filters"]), array_rows, array_cols, style
    )
    extra = costs.folds * (costs.rows + costs.columns) if style.stationary == "ofmap" else 0
    return ScaleSim(
        costs.cycles - 1,
        costs.sram_ifmap_reads,
        costs.sram_filter_reads,
        costs.sram_ofmap_writes + extra,
    )

"""Systolic arrays: SCALE-Sim's closed form, and stalls on DRAM and SRAM of our own.

From the bottom up:

- ``products``: layers as matrix products.
- ``dataflow``: which dimensions of a product lie on the array, and which one streams.
- ``folds``: a product cut to the size of the array, what each cut moves, and when.
- ``model``: layers in, costs out.
- ``prices``: energy, area and power of that; tables over arrays and SRAMs.
- ``scalesim``: the same counts as SCALE-Sim prints them.
"""

from hwgym.costs.systolic.dataflow import (
    DATAFLOWS,
    SYSTOLIC_IS,
    SYSTOLIC_OS,
    SYSTOLIC_WS,
    SystolicDataflow,
    systolic_dataflow,
)
from hwgym.costs.systolic.model import Costs, Memory, evaluate
from hwgym.costs.systolic.prices import Prices, Table, price, table
from hwgym.costs.systolic.products import Products
from hwgym.costs.systolic.scalesim import ScaleSim, scalesim

__all__ = [
    "DATAFLOWS",
    "SYSTOLIC_IS",
    "SYSTOLIC_OS",
    "SYSTOLIC_WS",
    "Costs",
    "Memory",
    "Prices",
    "Products",
    "ScaleSim",
    "SystolicDataflow",
    "Table",
    "evaluate",
    "price",
    "scalesim",
    "systolic_dataflow",
    "table",
]

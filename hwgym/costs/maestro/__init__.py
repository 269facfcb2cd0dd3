"""MAESTRO's cost model in vectorised numpy, bit for bit.

From the bottom up:

- ``directives``, ``dataflow``, ``dataflow_file``, ``kinds``: dataflows as data.
- ``arithmetic``: how the reference divides and adds up.
- ``levels``: a dataflow's directives resolved for every layer, PE count and tile.
- ``states``: what a level's iterations go through, and the cases that these make.
- ``traffic``: what a case moves and computes.
- ``cases``: the cases of a level added up.
- ``analysis``: level by level, from the array down to the PEs.
- ``printed``: what the reference prints of that; ``columns``: what it means.
- ``shapes``, ``model``: layers in, costs out.
"""

from hwgym.costs.maestro.dataflow import (
    CLUSTER_SIZES,
    CLUSTERED,
    CONFUCIUX_EYERISS,
    DATAFLOWS,
    DEPTHWISE,
    EYERISS,
    NVDLA,
    SHIDIANNAO,
    Dataflow,
    dataflow,
    read_dataflow,
)
from hwgym.costs.maestro.dataflow_file import DATAFLOW_FILES, file_and_layer
from hwgym.costs.maestro.directives import Cluster, Directive, SpatialMap, TemporalMap
from hwgym.costs.maestro.kinds import KINDS
from hwgym.costs.maestro.mapped import (
    MappingCosts,
    MappingTotals,
    OuterCosts,
    evaluate_each,
    evaluate_mappings,
    mapping_totals,
    outer_costs,
)
from hwgym.costs.maestro.mappings import MAPPED, Mappings, extents
from hwgym.costs.maestro.model import Costs, evaluate, evaluate_chunks
from hwgym.costs.maestro.shapes import Shapes
from hwgym.hardware import (
    MAESTRO_2019,
    MAESTRO_2021,
    TECHNOLOGIES,
    Hardware,
    Technology,
    technology,
)

__all__ = [
    "CLUSTERED",
    "CLUSTER_SIZES",
    "CONFUCIUX_EYERISS",
    "DATAFLOWS",
    "DATAFLOW_FILES",
    "DEPTHWISE",
    "EYERISS",
    "KINDS",
    "MAESTRO_2019",
    "MAESTRO_2021",
    "MAPPED",
    "NVDLA",
    "SHIDIANNAO",
    "TECHNOLOGIES",
    "Cluster",
    "Costs",
    "Dataflow",
    "Directive",
    "Hardware",
    "MappingCosts",
    "MappingTotals",
    "Mappings",
    "OuterCosts",
    "Shapes",
    "SpatialMap",
    "Technology",
    "TemporalMap",
    "dataflow",
    "evaluate",
    "evaluate_chunks",
    "evaluate_each",
    "evaluate_mappings",
    "extents",
    "file_and_layer",
    "mapping_totals",
    "outer_costs",
    "read_dataflow",
    "technology",
]

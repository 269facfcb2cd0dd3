"""MAESTRO's cost model in vectorised numpy: dataflows as data, every column of its answer as an array."""

from hwgym.costs.maestro.dataflow import (
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
from hwgym.costs.maestro.dataflow_file import DATAFLOW_FILES
from hwgym.costs.maestro.directives import Cluster, Directive, SpatialMap, TemporalMap
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
    "CONFUCIUX_EYERISS",
    "DATAFLOWS",
    "DATAFLOW_FILES",
    "DEPTHWISE",
    "EYERISS",
    "MAESTRO_2019",
    "MAESTRO_2021",
    "NVDLA",
    "SHIDIANNAO",
    "TECHNOLOGIES",
    "Cluster",
    "Costs",
    "Dataflow",
    "Directive",
    "Hardware",
    "Shapes",
    "SpatialMap",
    "Technology",
    "TemporalMap",
    "dataflow",
    "evaluate",
    "evaluate_chunks",
    "read_dataflow",
    "technology",
]

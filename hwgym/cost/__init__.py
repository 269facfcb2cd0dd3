"""MAESTRO's cost model in vectorised numpy: dataflows as data, every statistic as an array."""

from hwgym.cost.dataflow import (
    CONFUCIUX_EYERISS,
    DATAFLOWS,
    DEPTHWISE,
    EYERISS,
    NVDLA,
    SHIDIANNAO,
    Cluster,
    Dataflow,
    Directive,
    SpatialMap,
    TemporalMap,
    dataflow,
)
from hwgym.cost.hardware import (
    MAESTRO_2019,
    MAESTRO_2021,
    TECHNOLOGIES,
    Hardware,
    Technology,
    technology,
)
from hwgym.cost.mapping_file import MAPPING_FILES, read_dataflow
from hwgym.cost.model import Costs, Shapes, evaluate, evaluate_chunks

__all__ = [
    "CONFUCIUX_EYERISS",
    "DATAFLOWS",
    "DEPTHWISE",
    "EYERISS",
    "MAESTRO_2019",
    "MAESTRO_2021",
    "MAPPING_FILES",
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

"""A sound cost model: loop nests whose every count equals a walk through their loops.

From the bottom up:

- ``nests``: a layer and a mapping of it, as arrays over many of them.
- ``steps``: what one dimension goes through, summed up; ``traffic``: every access.
- ``model``: capacity, time, energy and area on a machine.
- ``templates``: families of mappings as data; ``lattice``: their mappings, and the best of them for
  every size of buffers.
- ``tables``: that for every layer, array and pair of sizes, kept on disk.
"""

from hwgym.costs.loopnest.lattice import Best, Choices, best, lattice
from hwgym.costs.loopnest.model import (
    BOUNDS,
    Energy,
    Profile,
    array_area_um2,
    capacity,
    energy,
    profile,
)
from hwgym.costs.loopnest.nests import DIMS, TENSORS, Hold, Nests
from hwgym.costs.loopnest.tables import (
    CHOICES,
    L1_BYTES,
    L2_BYTES,
    SHAPES,
    Detail,
    Tables,
    cache_folder,
    detail,
    layer_key,
    tabulate,
)
from hwgym.costs.loopnest.templates import (
    EYERISS,
    NVDLA,
    SHIDIANNAO,
    TEMPLATES,
    TPU,
    Template,
    template,
)
from hwgym.costs.loopnest.traffic import Traffic, analyse

__all__ = [
    "BOUNDS",
    "CHOICES",
    "DIMS",
    "EYERISS",
    "L1_BYTES",
    "L2_BYTES",
    "NVDLA",
    "SHAPES",
    "SHIDIANNAO",
    "TEMPLATES",
    "TENSORS",
    "TPU",
    "Best",
    "Choices",
    "Detail",
    "Energy",
    "Hold",
    "Nests",
    "Profile",
    "Tables",
    "Template",
    "Traffic",
    "analyse",
    "array_area_um2",
    "best",
    "cache_folder",
    "capacity",
    "detail",
    "energy",
    "lattice",
    "layer_key",
    "profile",
    "tabulate",
    "template",
]

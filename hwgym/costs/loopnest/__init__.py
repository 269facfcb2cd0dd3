"""A sound cost model: loop nests whose every count equals a walk through their loops.

From the bottom up:

- ``nests``: a layer and a mapping of it, as arrays over many of them.
- ``steps``: what one dimension goes through, summed up; ``traffic``: every access.
- ``model``: capacity, time, energy and area on a machine.
- ``templates``: families of mappings as data; ``lattice``: their mappings, and the best of them for
  every size of buffers.
- ``tables``: that for every layer, array and pair of sizes, kept on disk by
  :mod:`hwgym.costs.cache`.
- ``kinds``: sub-accelerators with nothing open but their PEs and their bandwidth.
"""

from hwgym.costs.loopnest.kinds import KINDS, Kind, KindCosts, kind_costs
from hwgym.costs.loopnest.lattice import LATENCY_SLACK, Best, Choices, best, lattice
from hwgym.costs.loopnest.model import (
    BOUNDS,
    Energy,
    Moves,
    Profile,
    array_area_um2,
    capacity,
    energy,
    l1_capacity,
    l2_capacity,
    moves,
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
    "KINDS",
    "L1_BYTES",
    "L2_BYTES",
    "LATENCY_SLACK",
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
    "Kind",
    "KindCosts",
    "Moves",
    "Nests",
    "Profile",
    "Tables",
    "Template",
    "Traffic",
    "analyse",
    "array_area_um2",
    "best",
    "capacity",
    "detail",
    "energy",
    "kind_costs",
    "l1_capacity",
    "l2_capacity",
    "lattice",
    "layer_key",
    "moves",
    "profile",
    "tabulate",
    "template",
]

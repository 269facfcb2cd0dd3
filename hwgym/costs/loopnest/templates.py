"""Templates: what is spread over the array and what stays where, with sizes left open, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hwgym._names import nearest
from hwgym.costs.loopnest.nests import DIMS, INPUT, OUTPUT, WEIGHT, Hold
from hwgym.hardware.presets import chosen, made

__all__ = ["EYERISS", "NVDLA", "SHIDIANNAO", "TEMPLATES", "TPU", "Template", "template"]

WEIGHTS_STAY = "BGKCRSPQ", "BGCKRSPQ"
OUTPUTS_STAY = ("BGKPQCRS",)
L2_ORDERS = ("BGKCRSPQ", "BGKPQCRS", "BGCPQRSK")
"""Of the DRAM loops, outermost first: weights, outputs or inputs stay in L2."""


@dataclass(frozen=True)
class Template:
    """A family of mappings.

    Attributes:
        name: How tables and errors call it.
        about: What it spreads and holds, in a line.
        rows, columns: The dimensions that are spread over the array's rows and columns: each gets
            what it can use of what those before it leave.
        whole: Dimensions that lie inside a PE, whole.
        free: Dimensions whose tile inside a PE is free.
        orders: Of the loops over steps of the array, outermost first; any may be taken.
        l1_order: Of the loops inside a PE, which registers depend on.
        hold: Which tensors each level holds.
        forward: Neighbours pass inputs on.
        reduce: Products for one output are added up in the cycle.

    ``dataclasses.asdict`` gives what JSON can hold and :func:`template` takes back.

    Raises:
        ValueError: If a dimension is unknown, or an order is not one of all dimensions.
    """

    name: str
    about: str = field(repr=False, compare=False)
    rows: str
    columns: str
    whole: str
    free: str
    orders: tuple[str, ...]
    l1_order: str = "BGKCRSPQ"
    hold: Hold = field(default_factory=Hold)
    forward: bool = False
    reduce: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "orders", tuple(self.orders))
        if isinstance(self.hold, Mapping):
            object.__setattr__(self, "hold", made(Hold, "hold", self.hold))
        for name in ("rows", "columns", "whole", "free"):
            for dimension in getattr(self, name):
                if dimension not in DIMS:
                    what = f"dimension in {name}"
                    raise ValueError(f"template {self.name!r}: {nearest(what, dimension, DIMS)}")
        for order in (*self.orders, self.l1_order):
            if sorted(order) != sorted(DIMS):
                raise ValueError(
                    f"template {self.name!r}: an order has each of {''.join(DIMS)} once, "
                    f"got {order!r}"
                )


NVDLA = Template(
    "NVDLA",
    "channels x filters; weights stay in the PEs, an adder tree sums over channels",
    rows="C",
    columns="KG",
    whole="RS",
    free="KCQ",
    orders=WEIGHTS_STAY,
    hold=Hold(registers=(WEIGHT,)),
    reduce=True,
)
EYERISS = Template(
    "Eyeriss",
    "filter rows x output rows, and filters in replicas; weights or outputs stay in the PEs",
    rows="RKG",
    columns="PKG",
    whole="S",
    free="KCQ",
    orders=WEIGHTS_STAY + OUTPUTS_STAY,
)
SHIDIANNAO = Template(
    "ShiDianNao",
    "output rows x output columns, and filters in replicas; outputs stay in the PEs, neighbours "
    "pass inputs on",
    rows="PKG",
    columns="QKG",
    whole="S",
    free="K",
    orders=OUTPUTS_STAY,
    l1_order="BGKPQCRS",
    hold=Hold(registers=(OUTPUT,)),
    forward=True,
)
TPU = Template(
    "TPU",
    "channels and filter positions x filters; one weight a PE, inputs stream through, sums are "
    "kept in accumulators",
    rows="SRC",
    columns="K",
    whole="",
    free="PQ",
    orders=WEIGHTS_STAY[:1] + OUTPUTS_STAY,
    hold=Hold(l1=(OUTPUT,), registers=(WEIGHT, INPUT)),
    forward=True,
    reduce=True,
)
TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {t.name: t for t in (NVDLA, EYERISS, SHIDIANNAO, TPU)}
)
"""Those that have a name."""


def template(given: str | Template | Mapping[str, Any]) -> Template:
    """The template of that name, or of these fields; a :class:`Template` is handed back as it is.

    Raises:
        ValueError: If the name is unknown, with the nearest one; or if a field is unknown, is
            missing or is not what it should be.
    """
    return chosen(Template, "template", TEMPLATES, given)

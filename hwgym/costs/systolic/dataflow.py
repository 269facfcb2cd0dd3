"""Which two dimensions of a product lie on a systolic array, and which one streams through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hwgym._names import nearest

__all__ = [
    "DATAFLOWS",
    "OPERANDS",
    "SYSTOLIC_IS",
    "SYSTOLIC_OS",
    "SYSTOLIC_WS",
    "SystolicDataflow",
    "systolic_dataflow",
]

OPERANDS = {
    "ifmap": ("pixels", "depth"),
    "filter": ("depth", "filters"),
    "ofmap": ("pixels", "filters"),
}
"""The dimensions of each operand of a product."""


@dataclass(frozen=True)
class SystolicDataflow:
    """A way to run a product (pixels, depth) by (depth, filters) on a systolic array.

    Attributes:
        name: How calls and tables name it.
        short: SCALE-Sim's name.
        rows, columns: The dimensions that lie along the array's rows and columns.
        stream: The dimension that passes through, an element a cycle.
    """

    name: str
    short: str
    rows: str
    columns: str
    stream: str

    @property
    def stationary(self) -> str:
        """The operand that stays in the array during a fold: ``ifmap``, ``filter``, ``ofmap``."""
        return next(name for name, dims in OPERANDS.items() if self.stream not in dims)

    def moves(self, operand: str) -> str:
        """From which fold to the next an operand's part is another one.

        ``rows``: along the array's rows only; ``columns``: along its columns only; ``both``.
        """
        if operand == self.stationary:
            return "both"
        return "rows" if self.rows in OPERANDS[operand] else "columns"

    def __str__(self) -> str:
        return self.name


SYSTOLIC_WS = SystolicDataflow("SystolicWS", "ws", "depth", "filters", "pixels")
"""Filters stay: depth along rows, filters along columns, pixels stream (as on a TPU)."""

SYSTOLIC_OS = SystolicDataflow("SystolicOS", "os", "pixels", "filters", "depth")
"""Outputs stay: pixels along rows, filters along columns, what is added up streams."""

SYSTOLIC_IS = SystolicDataflow("SystolicIS", "is", "depth", "pixels", "filters")
"""Inputs stay: depth along rows, pixels along columns, filters stream."""

DATAFLOWS: Mapping[str, SystolicDataflow] = MappingProxyType(
    {each.name: each for each in (SYSTOLIC_WS, SYSTOLIC_OS, SYSTOLIC_IS)}
)
"""The dataflows by name."""


def systolic_dataflow(given: str | SystolicDataflow) -> SystolicDataflow:
    """The dataflow of that name; a :class:`SystolicDataflow` is handed back as it is.

    Raises:
        ValueError: If the name is unknown; the message gives the nearest one.
    """
    if isinstance(given, SystolicDataflow):
        return given
    if not isinstance(given, str) or given not in DATAFLOWS:
        raise ValueError(nearest("systolic dataflow", given, DATAFLOWS))
    return DATAFLOWS[given]

"""Accelerators: what stays fixed while a layer is mapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from hwgym.costs.loopnest import Hold
from hwgym.hardware import Machine, integers, machine
from hwgym.hardware.presets import chosen

__all__ = ["ACCELERATORS", "HOLD", "INSIDE", "Accelerator", "accelerator"]

HOLD = Hold(registers=("output",))
"""Each MAC has an accumulator: a sum is in L1 only while another output is worked on."""
INSIDE = "BGKPQCRS"
"""The loops inside a PE, outermost first: those that add to the same output are innermost."""


@dataclass(frozen=True)
class Accelerator:
    """An array of PEs with its buffers, and what feeds them.

    Attributes:
        rows, columns: Of PEs.
        l1_bytes: Of each PE's buffer.
        l2_bytes: Of the shared one.
        machine: Clock, bandwidths, widths and silicon: a :class:`~hwgym.hardware.Machine`, a
            mapping of its fields, or a TOML file.

    Raises:
        ValueError: If a size is not a positive integer; if L1 cannot hold two elements of each
            tensor, or L2 two for each PE, without which not every array could be fed.
    """

    rows: int
    columns: int
    l1_bytes: int
    l2_bytes: int
    machine: Machine = field(default_factory=Machine)

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "l1_bytes", "l2_bytes"):
            size = integers(f"accelerator {name}", getattr(self, name), 1, 2**31 - 1)
            if size.ndim:
                raise ValueError(f"accelerator {name} must be one number, got {size!r}")
            object.__setattr__(self, name, int(size))
        made = machine(self.machine)
        object.__setattr__(self, "machine", made)
        pair = 2 * (made.weight_bits + made.input_bits + max(made.output_bits, made.partial_bits))
        for name, each, count in (("l1_bytes", "", 1), ("l2_bytes", " for each PE", self.pes)):
            least = -(-pair * count // 8)
            if getattr(self, name) < least:
                raise ValueError(
                    f"accelerator {name} must hold two elements of each tensor{each}, "
                    f"{least:,} bytes, got {getattr(self, name):,}"
                )

    @property
    def pes(self) -> int:
        """PEs of the array."""
        return self.rows * self.columns

    @property
    def name(self) -> str | None:
        """That of the preset it is, if it is one."""
        return next((name for name, preset in ACCELERATORS.items() if preset == self), None)

    @property
    def title(self) -> str:
        """For people, in a few words."""
        return (
            f"{self.rows}x{self.columns} PEs, L1 {self.l1_bytes:,} B, L2 {self.l2_bytes:,} B, "
            f"L2 {self.machine.l2_bandwidth:g} and {self.machine.dram} "
            f"{self.machine.dram_bandwidth:g} bytes a cycle"
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``accelerator`` takes as an equal one, JSON values."""
        return asdict(self)


ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType(
    {
        "edge": Accelerator(12, 14, 512, 108_000),
        "cloud": Accelerator(
            64, 64, 8 * 1024, 2 * 1024 * 1024,
            Machine(dram_bandwidth=64.0, l2_bandwidth=128.0, dram="HBM2"),
        ),
    }
)  # fmt: skip
"""``edge`` has Eyeriss's array and the buffers of GAMMA's script, ``cloud`` XRBench's buffers."""


def accelerator(given: Accelerator | str | Mapping[str, Any]) -> Accelerator:
    """The accelerator of that name, or of these fields; one that is made already as it is.

    Raises:
        ValueError: If the name is unknown, with the nearest one; or as :class:`Accelerator`.
    """
    return chosen(Accelerator, "accelerator", ACCELERATORS, given)

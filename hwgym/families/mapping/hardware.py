"""The hardware of a mapping problem: an array, its buffers and its network, and three presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hwgym._names import nearest
from hwgym.hardware import Hardware, integers

__all__ = ["HARDWARE", "MappingHardware", "mapping_hardware"]

UNLIMITED = 81_920_000
"""Elements a cycle: GAMMA's flag (``run_gamma.sh``), more than any layer moves."""
LARGEST = {"num_pes": 2**16, "l1_bytes": 2**40, "l2_bytes": 2**40, "noc_bandwidth": 2**40}


@dataclass(frozen=True)
class MappingHardware:
    """What a mapping runs on.

    Attributes:
        num_pes: PEs.
        l1_bytes: Of each PE's own buffer.
        l2_bytes: Of the buffer that all share.
        noc_bandwidth: Elements a cycle, on each level's network.

    Raises:
        ValueError: If one is not a positive integer, or there are more than 65,536 PEs.
    """

    num_pes: int
    l1_bytes: int
    l2_bytes: int
    noc_bandwidth: int = UNLIMITED

    def __post_init__(self) -> None:
        for name, most in LARGEST.items():
            value = integers(f"hardware {name}", getattr(self, name), 1, most)
            if value.ndim:
                raise ValueError(f"hardware {name} must be one number, got {value!r}")
            object.__setattr__(self, name, int(value))

    @property
    def name(self) -> str | None:
        """That of the preset it is, if it is one."""
        return next((name for name, preset in HARDWARE.items() if preset == self), None)

    @property
    def title(self) -> str:
        """For people, in a few words."""
        noc = "" if self.noc_bandwidth >= UNLIMITED else f", NoC {self.noc_bandwidth:,}"
        return f"{self.num_pes:,} PEs, L1 {self.l1_bytes:,} B, L2 {self.l2_bytes:,} B{noc}"

    def to_dict(self) -> dict[str, int]:
        """What ``mapping_hardware`` takes as equal hardware."""
        return asdict(self)

    @property
    def interconnect(self) -> Hardware:
        """As MAESTRO's model takes it, with its present constants."""
        return Hardware(noc_bandwidth=self.noc_bandwidth)


HARDWARE: dict[str, MappingHardware] = {
    "edge": MappingHardware(168, 512, 108_000),
    "1024": MappingHardware(1024, 1024, 512 * 1024, 16),
    "cloud": MappingHardware(4096, 8 * 1024, 2 * 1024 * 1024, 128),
}
"""``edge`` is GAMMA's script (Kao and Krishna, ICCAD 2020), ``cloud`` has XRBench's buffers."""


def mapping_hardware(given: str | MappingHardware | Mapping[str, Any]) -> MappingHardware:
    """The hardware of that name, or of a mapping of its fields.

    Raises:
        ValueError: If the name or a field is unknown, when the message gives the nearest; if a
            field is missing or not allowed.
    """
    if isinstance(given, MappingHardware):
        return given
    if isinstance(given, Mapping):
        names = [f.name for f in fields(MappingHardware)]
        for name in given:
            if name not in names:
                raise ValueError(nearest("hardware field", name, names))
        if missing := [name for name in names[:3] if name not in given]:
            raise ValueError(f"hardware needs {', '.join(missing)}, got {dict(given)!r}")
        return MappingHardware(**given)
    if given not in HARDWARE:
        raise ValueError(nearest("hardware", given, HARDWARE))
    return HARDWARE[given]

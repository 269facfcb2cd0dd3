"""What is fixed: the array and its interconnect, technologies, accelerator files.

:class:`Hardware` has the array's numbers and a :class:`Technology`, which has what a unit of each
part takes in area, power and energy, each with its unit and its source. Both are read from and
written to a TOML file.
"""

from hwgym.hardware.array import Hardware, integers, read_hardware
from hwgym.hardware.technology import (
    MAESTRO_2019,
    MAESTRO_2021,
    TECHNOLOGIES,
    Technology,
    technology,
)

__all__ = [
    "MAESTRO_2019",
    "MAESTRO_2021",
    "TECHNOLOGIES",
    "Hardware",
    "Technology",
    "integers",
    "read_hardware",
    "technology",
]

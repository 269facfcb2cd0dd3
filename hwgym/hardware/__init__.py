"""What is fixed: the array and its interconnect, technologies, machines, their files.

:class:`Hardware` has the array's numbers and a :class:`Technology`, which has what a unit of each
part takes in area, power and energy, each with its unit and its source. :class:`Machine` has what
is fixed of a loop-nest machine and a :class:`Silicon`, whose memories cost by their size. Each is
read from and written to a TOML file.
"""

from hwgym.hardware.array import Hardware, integers, read_hardware
from hwgym.hardware.machine import Machine, machine
from hwgym.hardware.silicon import (
    DRAM_PJ_PER_BIT,
    SILICON,
    SILICON_28NM,
    SILICON_45NM,
    Macro,
    Silicon,
    macros,
    silicon,
)
from hwgym.hardware.technology import (
    MAESTRO_2019,
    MAESTRO_2021,
    TECHNOLOGIES,
    Technology,
    technology,
)

__all__ = [
    "DRAM_PJ_PER_BIT",
    "MAESTRO_2019",
    "MAESTRO_2021",
    "SILICON",
    "SILICON_28NM",
    "SILICON_45NM",
    "TECHNOLOGIES",
    "Hardware",
    "Machine",
    "Macro",
    "Silicon",
    "Technology",
    "integers",
    "machine",
    "macros",
    "read_hardware",
    "silicon",
    "technology",
]

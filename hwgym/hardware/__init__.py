"""What is fixed: the array, its interconnect, technologies, accelerator files."""

from hwgym.hardware.array import (
    MAESTRO_2019,
    MAESTRO_2021,
    TECHNOLOGIES,
    Hardware,
    Technology,
    technology,
)

__all__ = ["MAESTRO_2019", "MAESTRO_2021", "TECHNOLOGIES", "Hardware", "Technology", "technology"]

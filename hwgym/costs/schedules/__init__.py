"""What schedules take: many jobs on several cores, N schedules at a time.

- ``fluid``: independent jobs on cores that share one bandwidth.
- ``chains``: layers of several networks, each network's in order, on cores that share nothing.

They know numbers only: what a job takes on a core is another cost model's business.
"""

from hwgym.costs.schedules.chains import ChainSchedule, chains
from hwgym.costs.schedules.fluid import FluidSchedule, fluid

__all__ = ["ChainSchedule", "FluidSchedule", "chains", "fluid"]

"""Cost models: what layers cost under a dataflow on a hardware.

Each is a package of its own with an ``evaluate`` whose arguments broadcast and whose answer is a
struct of arrays. They know layers and hardware and nothing of the problems that are made of them.

- :mod:`hwgym.costs.maestro`: MAESTRO's analytical model, bit for bit, its defects included.
- :mod:`hwgym.costs.loopnest`: loop nests, equal to a walk through their loops, with capacities and
  DRAM; templates and their best mappings.
- :mod:`hwgym.costs.systolic`: systolic arrays, SCALE-Sim's closed form and stalls of our own.

Of what they say:

- :mod:`hwgym.costs.schedules`: what many jobs take on several cores.
- :mod:`hwgym.costs.precision`: what layers of few bits take.
"""

from hwgym.costs import loopnest, maestro, precision, schedules, systolic

__all__ = ["loopnest", "maestro", "precision", "schedules", "systolic"]

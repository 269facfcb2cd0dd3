"""The families of problems, each in a folder of its own.

A family's folder says how its problems are made (``problem``), how episodes walk them
(``dynamics``, where none of the core's will do), which ids it has (``ids``), what to say and show
of it (``view``) and what its environment is (``env``, whose docstring is its page). It may import
workloads, hardware, costs, bounds and the core, never another family or what is above. For that it
gets: scalar and vector environment, masks, three action modes, rewards, regret or gap, every agent
that sees totals, episode log, leaderboard, command line, documentation page and the contract test.
"""

from hwgym.core.family import Family
from hwgym.families.assignment import FAMILY as ASSIGNMENT
from hwgym.families.assignment.multi import FAMILY as ASSIGNMENT_MULTI
from hwgym.families.group import FAMILY as GROUP
from hwgym.families.hetero import FAMILY as HETERO
from hwgym.families.loopnest import FAMILY as LOOPNEST
from hwgym.families.mapping import FAMILY as MAPPING
from hwgym.families.mapping.network import FAMILY as MAPPING_NETWORK
from hwgym.families.mapping_loopnest import FAMILY as MAPPING_LOOPNEST
from hwgym.families.quant import FAMILY as QUANT
from hwgym.families.systolic import FAMILY as SYSTOLIC

__all__ = ["FAMILIES"]

FAMILIES: tuple[Family, ...] = (
    ASSIGNMENT,
    ASSIGNMENT_MULTI,
    GROUP,
    HETERO,
    LOOPNEST,
    MAPPING,
    MAPPING_LOOPNEST,
    MAPPING_NETWORK,
    QUANT,
    SYSTOLIC,
)
"""Every family of this suite; a new one is a line here."""

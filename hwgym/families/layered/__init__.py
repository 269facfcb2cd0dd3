"""What families share that give each layer of a network its hardware.

It is no family. ``design`` says of any such design space what its network says; ``pipeline`` is the
problem of a period under which partitions share DRAM, and ``kinds`` says which class poses what;
``reports`` are what a solution gives each layer and what that costs, ``view`` shows it, and ``ids``
makes the ids that differ in network, style, objective, constraint and platform, and leaves out
those that say nothing.
"""

from hwgym.families.layered.design import LayerDesign
from hwgym.families.layered.ids import Style, design_ids, says_something, silent_ids
from hwgym.families.layered.kinds import Kinds, dynamics
from hwgym.families.layered.pipeline import PipelineProblem
from hwgym.families.layered.reports import (
    deployments,
    describe_assignment,
    describe_problem,
    layer_rows,
)
from hwgym.families.layered.view import LayerView

__all__ = [
    "Kinds",
    "LayerDesign",
    "LayerView",
    "PipelineProblem",
    "Style",
    "deployments",
    "describe_assignment",
    "describe_problem",
    "design_ids",
    "dynamics",
    "layer_rows",
    "says_something",
    "silent_ids",
]

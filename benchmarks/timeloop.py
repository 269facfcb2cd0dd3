"""Ask a ``timeloop-model`` of one's own build for the counts of loop nests."""

from __future__ import annotations

import math
import os
import re
import subprocess
import time
from pathlib import Path

import numpy as np

from benchmarks.program import Program
from hwgym.costs.loopnest import DIMS, Nests

__all__ = ["COUNTS", "EXACT", "Timeloop"]

COUNTS = {
    "weight_dram_read": ("DRAM", "Weights", "reads"),
    "input_dram_read": ("DRAM", "Inputs", "reads"),
    "output_dram_write": ("DRAM", "Outputs", "updates"),
    "output_dram_read": ("DRAM", "Outputs", "reads"),
    "weight_l2_read": ("GB", "Weights", "reads"),
    "input_l2_read": ("GB", "Inputs", "reads"),
    "output_l2_write": ("GB", "Outputs", "updates"),
    "output_l2_read": ("GB", "Outputs", "reads"),
    "weight_l1_fill": ("RF", "Weights", "fills"),
    "input_l1_fill": ("RF", "Inputs", "fills"),
}
"""Ours, and where Timeloop prints the same."""

EXACT = {
    f"TIMELOOP_{name}": "1"
    for name in (
        "DISABLE_LINK_TRANSFERS",
        "DISABLE_TEMPORAL_EXTRAPOLATION",
        "DISABLE_SPATIAL_EXTRAPOLATION",
        "RUN_LAST_ITERATION",
    )
}
"""The settings under which its counts can be held against ours: nothing is extrapolated."""

PROBLEM = """problem:
  version: 0.4
  shape:
    name: layer
    dimensions: [{dimensions}]
    coefficients:
      - {{name: stride0, default: 1}}
      - {{name: stride1, default: 1}}
      - {{name: dilation0, default: 1}}
      - {{name: dilation1, default: 1}}
    data_spaces:
      - {{name: Weights, projection: [[[G]], [[K]], [[C]], [[R]], [[S]]]}}
      - name: Inputs
        projection:
          [[[B]], [[G]], [[C]], [[P, stride0], [R, dilation0]], [[Q, stride1], [S, dilation1]]]
      - {{name: Outputs, projection: [[[B]], [[G]], [[K]], [[P]], [[Q]]], read_write: True}}
  instance: {{{instance}}}
architecture:
  version: 0.3
  subtree:
    - name: system
      local:
        - name: DRAM
          class: DRAM
          attributes: {{type: LPDDR4, width: 64, block_size: 8, word_bits: 8}}
      subtree:
        - name: chip
          attributes: {{technology: 40nm}}
          local:
            - name: GB
              class: SRAM
              attributes: {{depth: 100000000, width: 8, block_size: 1, word_bits: 8}}
          subtree:
            - name: PE[0..{last}]
              local:
                - name: RF
                  class: regfile
                  attributes: {{depth: 100000000, width: 8, block_size: 1, word_bits: 8, meshX: {pes}}}
                - name: MAC
                  class: intmac
                  attributes: {{datawidth: 8, meshX: {pes}}}
mapping:
"""  # noqa: E501 - a file of another program


class Timeloop(Program):
    """Runs the program, a process a point, in a folder that goes with the context.

    Attributes:
        seconds: What its processes took since the object was made, from start to end.

    Raises:
        ValueError: If there is no such program.
    """

    def run(self, nest: Nests, *, exact: bool = True) -> dict[str, int]:
        """Cycles, MACs and the counts of :data:`COUNTS` of one point.

        Args:
            nest: A single one.
            exact: Nothing extrapolated (:data:`EXACT`); else as Timeloop comes, which is faster.

        Raises:
            RuntimeError: If it does not answer.
        """
        folder = Path(self.folder.name)
        (folder / "in.yaml").write_text(input_text(nest))
        answer = folder / "timeloop-model.stats.txt"
        answer.unlink(missing_ok=True)
        start = time.perf_counter()
        done = subprocess.run(
            [str(self.binary), "in.yaml"],
            cwd=folder,
            env={**os.environ, **(EXACT if exact else {})},
            capture_output=True,
            text=True,
            check=False,
        )
        self.seconds += time.perf_counter() - start
        if not answer.exists():
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            raise RuntimeError(f"{self.binary.name} did not answer: {said[0]}")
        return answer_values(answer.read_text())


def input_text(nest: Nests) -> str:
    """A point as Timeloop's input: problem, architecture and mapping in one file."""
    (extent,), (tile,), (spread,), (steps,) = nest.extent, nest.tile, nest.spread, nest.steps
    sizes = dict(zip(DIMS, extent, strict=True))
    for axis in range(2):
        sizes[f"stride{axis}"] = nest.stride[0, axis]
        sizes[f"dilation{axis}"] = nest.dilation[0, axis]
    pes = math.prod(int(n) for n in spread)
    out = PROBLEM.format(
        dimensions=", ".join(DIMS),
        instance=", ".join(f"{name}: {size}" for name, size in sizes.items()),
        last=pes - 1,
        pes=pes,
    )
    # From the inside out: each loop's bound, and its bound in the last round of all around it.
    rest, factors = extent.astype(np.int64), []
    for size in (tile, spread, steps, None):
        rounds = -(-rest // (rest if size is None else size))
        bound = rest if size is None else size
        factors.append((bound, rest - (rounds - 1) * bound))
        rest = rounds
    any_order = np.arange(len(DIMS))
    loops = [
        ("DRAM", "temporal", factors[3], nest.dram_order[0]),
        ("GB", "temporal", factors[2], nest.l2_order[0]),
        ("GB", "spatial", factors[1], any_order),
        ("RF", "temporal", factors[0], nest.l1_order[0]),
    ]
    for target, kind, (bounds, last), order in loops:
        if kind == "spatial" and pes == 1:  # it refuses an empty one
            continue
        text = " ".join(
            f"{d}{b}" if b == end else f"{d}{b},{end}"
            for d, b, end in zip(DIMS, bounds, last, strict=True)
        )
        inner_first = "".join(DIMS[i] for i in np.argsort(-order))
        out += f"  - target: {target}\n    type: {kind}\n    factors: {text}\n"
        out += f"    permutation: {inner_first}\n" + ("    split: 8\n" * (kind == "spatial"))
    for target in ("DRAM", "GB", "RF"):
        out += f"  - target: {target}\n    type: bypass\n"
        out += "    keep: [Weights, Inputs, Outputs]\n    bypass: []\n"
    return out


def answer_values(text: str) -> dict[str, int]:
    """What :meth:`Timeloop.run` returns, from Timeloop's statistics."""

    def first(pattern: str, where: str) -> float:
        found = re.search(pattern, where, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"Timeloop's statistics have no {pattern!r}")
        return float(found[1])

    out = {
        "cycles": int(first(r"^Cycles: (\d+)", text)),
        "macs": int(first(r"^ *Computes(?: \(total\) *:| =) (\d+)", text)),
    }
    levels = {
        name[1]: block
        for block in re.split(r"\nLevel \d+\n", text)
        if (name := re.search(r"=== (\w+) ===", block))
    }
    for ours, (level, tensor, what) in COUNTS.items():
        part = re.search(rf"\n    {tensor}:\n(.*?)(?=\n    \w+:\n|\Z)", levels[level], re.DOTALL)
        if part is None:
            raise RuntimeError(f"Timeloop's statistics say nothing of {tensor} in {level}")
        each = first(rf"Scalar {what} \(per-instance\) *: (\d+)", part[1])
        units = 1.0
        if level == "RF":
            units = first(r"Utilized instances \(max\) *: (\d+)", part[1])
        out[ours] = round(each * units)
    return out

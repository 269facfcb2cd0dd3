"""A mapping in Timeloop's notation: problem, architecture and mapping in one file.

Timeloop's input (https://timeloop.csail.mit.edu) names buffers and gives each its loops. MAESTRO's
two levels become four: DRAM walks the tiles of the array, a shared buffer (GB) hands each cluster
its part, a cluster's buffer (CB) walks the tiles of its PEs, and a PE's (RF) holds one of them.
MAESTRO has that cluster's buffer too, without a name, a size or an energy.

Where the two notations differ, :attr:`TimeloopFile.notes` says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwgym.costs.maestro import Mappings, extents
from hwgym.hardware import Hardware
from hwgym.workloads import Layer

__all__ = ["VERSIONS", "TimeloopFile", "timeloop_file"]

VERSIONS = (3, 4)
"""Of Timeloop. The third writes its words with hyphens; the fourth warns of them."""

_DIMS = ("G", "K", "C", "P", "Q", "R", "S")
_NAMED = ("filters (K)", "channels (C)", "output rows (Y')", "output columns (X')")
_HYPHENS = ("data_spaces", "read_write", "block_size", "word_bits")
UNLIMITED = 1 << 30  # entries of a buffer that limits nothing

ALWAYS = (
    "MAESTRO's buffers hold everything twice, so GB and RF have half of the bytes given",
    "CB is a cluster's buffer, which MAESTRO has without a size; what it costs is Timeloop's alone",
    "MAESTRO counts an output that leaves the array once a visit and never reads it back; Timeloop "
    "reads partial sums",
    "cycles: MAESTRO takes the longest of loading, computing and storing in every iteration, "
    "Timeloop the longest over all of the layer, and no hops of the network",
    "energies are those of Timeloop's tables, or of Accelergy; MAESTRO's are L2 accesses",
)
"""What Timeloop does not express as MAESTRO does, whatever the mapping."""


EARLY = (
    "loops over {} end early in their last round; Timeloop takes that, and is not exact there: its "
    "count of computes may be off, and where several loops do so its cycles, too"
)


@dataclass(frozen=True)
class TimeloopFile:
    """A Timeloop input file.

    Attributes:
        text: YAML, for ``timeloop-model``.
        notes: Where it is another mapping than MAESTRO's, or is costed by other rules.
        same: Whether the loops are the very same.
    """

    text: str
    notes: tuple[str, ...]
    same: bool


def timeloop_file(
    layer: Layer,
    mapping: Mappings,
    num_pes: int,
    l1_bytes: int | None = None,
    l2_bytes: int | None = None,
    hardware: Hardware | None = None,
    *,
    version: int = VERSIONS[-1],
) -> TimeloopFile:
    """A mapping as Timeloop's input, problem and architecture with it.

    Args:
        layer: Its shape; the stride is 1, as in MAESTRO's costs.
        mapping: A single one.
        num_pes: PEs of the array.
        l1_bytes, l2_bytes: Of a PE's buffer and the shared one; None limits nothing.
        hardware: Its bandwidths; by default ConfuciuX's flags.
        version: Of Timeloop, 3 or 4.

    Raises:
        ValueError: If there is no such version, not one mapping, or a cluster is larger than the
            array.
    """
    if version not in VERSIONS:
        raise ValueError(f"Timeloop's version must be 3 or 4, got {version!r}")
    if len(mapping) != 1:
        raise ValueError(f"one mapping is needed, got {len(mapping)}")
    [cluster] = mapping.cluster.tolist()
    if cluster > num_pes:
        raise ValueError(f"a cluster of {cluster} PEs does not fit an array of {num_pes}")
    units = (num_pes // cluster, cluster)
    loops, changed = _loops(layer, mapping, units)
    hardware = hardware or Hardware()
    text = _problem(layer) + _architecture(units, l1_bytes, l2_bytes, hardware) + _mapping(loops)
    if version == 3:
        for word in _HYPHENS:
            text = text.replace(word, word.replace("_", "-"))
    early = sorted(
        {d for level in loops for d, (bound, last) in level.bounds.items() if bound != last}
    )
    some = [EARLY.format(", ".join(early))] if early else []
    notes = (*changed, *some, *ALWAYS)
    head = [f"# {layer.name}, for timeloop-model of version {version}."]
    head += [f"# - {note}." for note in notes]
    return TimeloopFile("\n".join(head) + "\n" + text, notes, not changed)


# --- loops ----------------------------------------------------------------------------------------

_Bounds = dict[str, tuple[int, int]]  # of each dimension: full, and in the last round of all


@dataclass(frozen=True)
class _Loops:
    """The loops of one level, ``order`` innermost first."""

    target: str
    spatial: bool
    bounds: _Bounds
    order: tuple[str, ...]


def _loops(
    layer: Layer, mapping: Mappings, units: tuple[int, int]
) -> tuple[list[_Loops], tuple[str, ...]]:
    """From DRAM to RF, and what could not be kept as it is."""
    depthwise = bool(layer.shape[-1])
    names = ("K", "G" if depthwise else "C", "P", "Q")
    levels: list[_Bounds] = [dict.fromkeys(_DIMS, (1, 1)) for _ in range(5)]
    for name, size in zip("RS", layer.shape[4:6], strict=True):
        levels[0][name] = (size, size)
    changed: list[str] = []
    for dim, whole in enumerate(extents(layer)):
        sizes, said = _sizes(mapping, dim, whole, units)
        changed += said
        rest = whole
        for bounds, size in zip(levels, (*sizes, 0), strict=True):  # 0: all that is left
            # A bound, and what is left for it in the last round of all loops around it.
            bound = size or rest
            rounds = -(-rest // bound)
            bounds[names[dim]] = bound, rest - (rounds - 1) * bound
            rest = rounds
    others = tuple(d for d in _DIMS if d not in names)
    orders = [(*(names[d] for d in reversed(order)), *others) for order in mapping.orders[0]]
    pe, across_pes, cluster, across, outer = levels
    return [
        _Loops("DRAM", False, outer, orders[0]),
        _Loops("GB", False, dict.fromkeys(_DIMS, (1, 1)), orders[0]),
        _Loops("GB", True, across, _DIMS),
        _Loops("CB", False, cluster, orders[1]),
        _Loops("CB", True, across_pes, _DIMS),
        _Loops("RF", False, pe, (*"SRQPCKG",)),
    ], tuple(changed)


def _sizes(
    mapping: Mappings, dim: int, whole: int, units: tuple[int, int]
) -> tuple[tuple[int, int, int, int], list[str]]:
    """Of one dimension: a PE's tile, PEs side by side, steps of a cluster, clusters side by side.

    Timeloop's loops may end early only in the last round of everything around them: inside a
    cluster that walks several tiles they must divide.
    """
    held, tile = (min(int(t), whole) for t in mapping.tiles[0, :, dim])
    tile = min(tile, held)
    several, said = held < whole, []
    if several and held % tile:
        less = _divisor(held, tile)
        said.append(
            f"a PE holds {less} of {_NAMED[dim]}, not {tile}, which does not divide a cluster's "
            f"{held}"
        )
        tile = less
    count = -(-held // tile)
    spread = [int(mapping.parallel[0, level]) == dim for level in range(2)]
    pes = min(units[1], count) if spread[1] else 1
    if several and count % pes:
        even = -(-count // -(-count // pes))  # as many in every round
        less = even if count % even == 0 else _divisor(count, pes)
        rounds = -(-count // pes), count // less
        slower = "" if rounds[0] == rounds[1] else f", in {rounds[1]} rounds, not {rounds[0]}"
        said.append(
            f"a cluster's {count} tiles of {_NAMED[dim]} go to {less} PEs at a time, not to "
            f"{pes}, which do not divide them{slower}"
        )
        pes = less
    steps = -(-count // pes)
    clusters = min(units[0], -(-whole // held)) if spread[0] else 1
    return (tile, pes, steps, clusters), said


def _divisor(number: int, most: int) -> int:
    """The greatest divisor that is at most ``most``."""
    candidates = np.arange(1, most + 1)
    return int(candidates[number % candidates == 0][-1])


# --- text -----------------------------------------------------------------------------------------

_PROBLEM = """problem:
  version: 0.4
  shape:
    name: layer
    dimensions: [{dims}]
    data_spaces:
      - {{name: Weights, projection: [[[G]], [[K]], [[C]], [[R]], [[S]]]}}
      - {{name: Inputs, projection: [[[G]], [[C]], [[P], [R]], [[Q], [S]]]}}
      - {{name: Outputs, projection: [[[G]], [[K]], [[P]], [[Q]]], read_write: true}}
  instance: {{{instance}}}
"""

_ARCHITECTURE = """architecture:
  version: 0.3
  subtree:
    - name: system
      local:
        - name: DRAM
          class: DRAM
          attributes: {{type: LPDDR4, width: 64, block_size: 8, word_bits: 8, {dram}}}
      subtree:
        - name: chip
          attributes: {{technology: 40nm}}
          local:
            - name: GB
              class: SRAM
              attributes: {{depth: {gb}, width: 8, block_size: 1, word_bits: 8, {noc}}}
          subtree:
            - name: cluster[0..{last_cluster}]
              local:
                - name: CB
                  class: regfile
                  attributes:
                    {{depth: {cb}, width: 8, block_size: 1, word_bits: 8, meshX: {clusters}, {noc}}}
              subtree:
                - name: PE[0..{last_pe}]
                  local:
                    - name: RF
                      class: regfile
                      attributes:
                        {{depth: {rf}, width: 8, block_size: 1, word_bits: 8, meshX: {pes}}}
                    - name: MAC
                      class: intmac
                      attributes: {{datawidth: 8, meshX: {pes}}}
"""


def _problem(layer: Layer) -> str:
    k, c, rows, columns = extents(layer)
    r, s, depthwise = layer.shape[4:7]
    sizes = (c, 1, 1) if depthwise else (1, k, c)
    instance = zip(_DIMS, (*sizes, rows, columns, r, s), strict=True)
    return _PROBLEM.format(
        dims=", ".join(_DIMS), instance=", ".join(f"{d}: {size}" for d, size in instance)
    )


def _architecture(
    units: tuple[int, int], l1_bytes: int | None, l2_bytes: int | None, hardware: Hardware
) -> str:
    clusters, pes = units
    gb, rf = (UNLIMITED if size is None else size // 2 for size in (l2_bytes, l1_bytes))

    def both(words: object) -> str:
        return f"read_bandwidth: {words}, write_bandwidth: {words}"

    return _ARCHITECTURE.format(
        gb=gb,
        rf=rf,
        cb=UNLIMITED,
        clusters=clusters,
        pes=clusters * pes,
        last_cluster=clusters - 1,
        last_pe=pes - 1,
        noc=both(hardware.noc_bandwidth),
        dram=both(hardware.offchip_bandwidth),
    )


def _mapping(loops: list[_Loops]) -> str:
    lines = ["mapping:"]
    for level in loops:
        if level.spatial and all(bound == 1 for bound, _ in level.bounds.values()):
            continue  # Timeloop refuses an empty one
        factors = " ".join(
            f"{d}{bound}" if bound == last else f"{d}{bound},{last}"
            for d, (bound, last) in level.bounds.items()
        )
        lines += [
            f"  - target: {level.target}",
            f"    type: {'spatial' if level.spatial else 'temporal'}",
            f"    factors: {factors}",
            f"    permutation: {''.join(level.order)}",
        ]
        if level.spatial:
            lines.append(f"    split: {len(_DIMS)}")
    for target in ("DRAM", "GB", "CB", "RF"):
        lines += [
            f"  - target: {target}",
            "    type: bypass",
            "    keep: [Weights, Inputs, Outputs]",
            "    bypass: []",
        ]
    return "\n".join((*lines, ""))

"""What mappings cost: every row a mapping of its own, exactly as MAESTRO would say."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Floats, Ints
from hwgym.costs.columns import Columns
from hwgym.costs.maestro.mappings import Mappings, extents
from hwgym.costs.maestro.model import Costs, evaluate
from hwgym.hardware import Hardware, integers
from hwgym.workloads import Layer

__all__ = ["MappingCosts", "OuterCosts", "evaluate_mappings", "outer_costs"]


@dataclass(frozen=True, repr=False)
class MappingCosts(Costs):
    """What mappings cost, (N,) each."""

    own_steps: Ints
    num_output_pixels: Ints

    @property
    def honest(self) -> Bools:
        return self.runtime_cycles * np.maximum(self.vector_width, 1) >= self.own_steps

    @property
    def moves_all(self) -> Bools:
        reads = self.input_l2_read + self.weight_l2_read
        return (reads >= self.num_input_pixels + self.num_weight_pixels) & (
            self.output_l2_write >= self.num_output_pixels
        )

    @property
    def valid(self) -> Bools:
        return super().valid & self.honest & self.moves_all


def own_steps(m: Mappings, num_pes: Ints, layer: Layer) -> Ints:
    """(N,) multiply-accumulates of the busiest PE."""
    whole = np.array(extents(layer))
    units = np.stack([np.maximum(num_pes // m.cluster, 1), m.cluster])
    r, s = layer.shape[4:6]
    steps = np.full(len(m), r * s, np.int64)
    for d in range(4):
        outer, inner = m.tiles[:, 0, d], m.tiles[:, 1, d]
        clusters = np.where(m.parallel[:, 0] == d, units[0], 1)
        pes = np.where(m.parallel[:, 1] == d, units[1], 1)
        chunks = -(-whole[d] // outer)
        turns = -(-chunks // clusters)
        last = whole[d] - (chunks - 1) * outer
        alone = (chunks - 1) % clusters == 0  # the last chunk is a turn of its own
        full, rest = _share(outer, inner, pes), _share(last, inner, pes)
        steps *= np.where(alone, (turns - 1) * full + rest, turns * full)
    return steps


def _share(extent: Ints, tile: Ints, pes: Ints) -> Ints:
    tile = np.minimum(tile, extent)
    chunks = -(-extent // tile)
    turns = -(-chunks // pes)
    last = extent - (chunks - 1) * tile
    return np.where((chunks - 1) % pes == 0, (turns - 1) * tile + last, turns * tile)


def evaluate_mappings(
    layers: Layer,
    mappings: Mappings,
    num_pes: ArrayLike,
    hardware: Hardware | None = None,
    *,
    fixed: bool = False,
) -> MappingCosts:
    if fixed:
        raise NotImplementedError
    pes = np.broadcast_to(integers("num_pes", num_pes), len(mappings))
    found = [
        evaluate(layers, mappings.dataflow(i, layers), int(pes[i]), 1, hardware)
        for i in range(len(mappings))
    ]
    columns = {f.name: np.array([getattr(c, f.name) for c in found]) for f in fields(Costs)}
    k, c, y, x, r, s, depthwise = layers.shape
    outputs = (c if depthwise else k) * (y - r + 1) * (x - s + 1)
    return MappingCosts(
        **columns,
        own_steps=own_steps(mappings, pes, layers),
        num_output_pixels=np.full(len(mappings), outputs),
    )


@dataclass(frozen=True, repr=False)
class OuterCosts(Columns):
    """What the level over the array alone says, (N,) each."""

    energy_nj: Floats
    l2_bytes: Ints
    input_l2_read: Ints
    weight_l2_read: Ints
    output_l2_write: Ints
    moves_all: Bools
    ingress_cycles: Ints
    egress_cycles: Ints


def outer_costs(
    layers: Layer,
    units: ArrayLike,
    parallel: ArrayLike,
    tiles: ArrayLike,
    orders: ArrayLike,
    hardware: Hardware | None = None,
    *,
    fixed: bool = False,
) -> OuterCosts:
    t, o, p = np.asarray(tiles), np.asarray(orders), np.asarray(parallel)
    m = Mappings(
        np.ones(len(p), np.int64),
        np.stack([p, p], 1),
        np.stack([t, t], 1),
        np.stack([o, o], 1),
    )
    c = evaluate_mappings(layers, m, units, hardware, fixed=fixed)
    zero = np.zeros(len(p), np.int64)
    return OuterCosts(
        c.energy_nj,
        c.l2_bytes,
        c.input_l2_read,
        c.weight_l2_read,
        c.output_l2_write,
        c.moves_all,
        zero,
        zero,
    )

"""What layers take whose weights and activations have fewer than 8 bits.

One array runs the layers one after the other, or a pipeline gives each an array of its own. The
array's units are those of Bit Fusion (Sharma et al., ISCA 2018), which do one product of 8 x 8
bits a cycle or several of fewer: :func:`lanes` says how many, for bit-serial units as well (Loom,
Sharify et al., DAC 2018). Latency and energy come from one of two cost models:

- ``maestro``: lanes are ``simd_lanes``. What an access costs is a matter of bits: of a weight or an
  input its share of 8, of a sum in a PE its share of what it has at 8 bits. A finished output costs
  what it does.
- ``loopnest``: each layer, for each pair of widths, has the fastest mapping of NVDLA's template
  there is, or runs as a wider pair does where that is faster; buffers, bandwidths and energies
  count bits.

A sum of n products of w by a bits has w + a + log2(n) bits. A unit takes 0.560 pJ a cycle (Bit
Fusion's synthesis, 45 nm), whatever it multiplies, shared by its lanes. Area is that of a pipeline
with its weights on the chip (FINN, Umuroglu et al., FPGA 2017): units that can do a layer's
products and no wider ones, in number by the layer's work, a memory for its weights and one for the
rows of its input that a filter spans, 45 nm both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Floats
from hwgym._names import nearest
from hwgym.costs.loopnest.lattice import LATENCY_SLACK, Choices, lattice
from hwgym.costs.loopnest.model import energy, profile
from hwgym.costs.loopnest.templates import NVDLA
from hwgym.costs.maestro import CLUSTERED, evaluate
from hwgym.hardware import MAESTRO_2019, SILICON_45NM, Hardware, Machine
from hwgym.workloads import Layer

__all__ = [
    "BITS",
    "COST_MODELS",
    "CYCLE_PJ",
    "MULTIPLIER_UM2",
    "UNITS",
    "PrecisionCosts",
    "lanes",
    "multiplier_um2",
    "precision_costs",
]

BITS = (2, 3, 4, 5, 6, 7, 8)
"""Widths that can be priced."""

COST_MODELS = ("maestro", "loopnest")

CYCLE_PJ = 0.560
"""Of a fusible 8-bit unit in a cycle, whatever it multiplies; Bit Fusion's synthesis, 45 nm."""

MULTIPLIER_UM2: Mapping[int, float] = MappingProxyType({2: 124.9, 4: 282.2, 8: 687.6})
"""Area of a unit that multiplies two numbers of so many bits and nothing wider; likewise."""

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "fusion": "bricks of 2 x 2 bits, fused: 3 bits count as 4, and 5 to 7 as 8",
        "serial": "both operands bit by bit: every bit saves time",
    }
)
"""What arrays are made of."""

_TILE_K = 4
"""Filters that a PE's buffer holds, under MAESTRO."""
_CHOICES = Choices((256, 512), (16384, 65536))
"""Bytes of buffers that the mappings of loop nests fill; installed are the larger ones."""
_DYADIC = 2.0**20
"""Energies and areas are whole multiples of this power's inverse, so that sums of them are exact
in any order."""


class PrecisionCosts(NamedTuple):
    """What layers take, arrays (layers, weight bits, activation bits), of all repeats of a layer.

    Attributes:
        latency: Cycles.
        energy: nJ.
        area: um^2, of a layer's own array in a pipeline, with all weights that it runs through
            (``Layer.weights``, which counts a matrix of a recurrent layer at each of its steps).
    """

    latency: Floats
    energy: Floats
    area: Floats


def lanes(weight_bits: int, activation_bits: int, unit: str = "fusion") -> int:
    """Products that an 8-bit unit does in a cycle.

    Args:
        weight_bits, activation_bits: 2 to 8.
        unit: A key of :data:`UNITS`. ``fusion``: floor(8 / w) x floor(8 / a); ``serial``:
            floor(64 / (w x a)).

    Raises:
        ValueError: If widths or unit are none of these.
    """
    for name, given in (("weight_bits", weight_bits), ("activation_bits", activation_bits)):
        if given not in BITS:
            raise ValueError(f"{name} must be 2 to 8, got {given!r}")
    if unit not in UNITS:
        raise ValueError(nearest("unit", unit, UNITS))
    if unit == "serial":
        return 64 // (weight_bits * activation_bits)
    return (8 // weight_bits) * (8 // activation_bits)


def multiplier_um2(weight_bits: int, activation_bits: int) -> float:
    """Area of a unit that multiplies so many bits by so many, in um^2.

    Widths between those that were synthesised count as the next one; of two widths it is the
    geometric mean, as a multiplier's cells are a product.
    """
    sides = [
        next(area for width, area in MULTIPLIER_UM2.items() if width >= given)
        for given in (weight_bits, activation_bits)
    ]
    return math.sqrt(sides[0] * sides[1])


def precision_costs(
    layers: Sequence[Layer],
    bits: Sequence[int] = (2, 4, 8),
    *,
    model: str = "maestro",
    unit: str = "fusion",
    pes: int = 64,
) -> PrecisionCosts:
    """What layers take with weights and activations of each width.

    Args:
        layers: A workload's; equal ones are costed once.
        bits: Widths of weights, and of activations (a layer's input), increasing, 2 to 8.
        model: ``maestro`` (dataflow NVDLA-CxK, unlimited interconnect, constants of 2019) or
            ``loopnest`` (template NVDLA, the default machine).
        unit: A key of :data:`UNITS`; area is always that of units that cannot be fused.
        pes: Of the array, the square of a power of two; the pipeline's arrays have as many units
            together.

    Raises:
        ValueError: If an argument is none of these.
    """
    widths = tuple(int(b) for b in bits)
    if not widths or any(b not in BITS for b in widths) or sorted(set(widths)) != list(widths):
        raise ValueError(f"bits must be increasing numbers from 2 to 8, got {bits!r}")
    if model not in COST_MODELS:
        raise ValueError(nearest("cost model", model, COST_MODELS))
    if unit not in UNITS:
        raise ValueError(nearest("unit", unit, UNITS))
    side = math.isqrt(max(int(pes), 0))
    if side * side != pes or side < 1 or side & (side - 1):
        raise ValueError(f"pes must be the square of a power of two (16, 64, 256), got {pes!r}")
    each = _maestro if model == "maestro" else _loopnest
    latency, spent = each(tuple(layers), widths, unit, side)
    area = _pipeline_um2(layers, widths, pes)
    return PrecisionCosts(latency, _exact(spent), _exact(area))


def _exact(values: Floats) -> Floats:
    rounded: Floats = np.round(values * _DYADIC) / _DYADIC
    return rounded


def _sum_bits(layer: Layer, weight_bits: int, activation_bits: int) -> int:
    """Of a sum that is not finished, and fits every sum of the layer."""
    products = layer.R * layer.S * (1 if layer.is_depthwise else layer.C)
    return weight_bits + activation_bits + math.ceil(math.log2(products))


def _maestro(
    layers: tuple[Layer, ...], bits: tuple[int, ...], unit: str, side: int
) -> tuple[Floats, Floats]:
    tech, count = MAESTRO_2019, np.array([[lanes(w, a, unit) for a in bits] for w in bits])
    repeat = np.array([layer.repeat for layer in layers], np.float64)[:, None, None]
    c = evaluate(
        [layer for layer in layers for _ in range(count.size)],
        CLUSTERED["NVDLA-CxK"],
        side * side,
        _TILE_K,
        Hardware(simd_lanes=np.tile(count.ravel(), len(layers)), technology=tech),
        cluster_size=side,
    )
    share = np.array(bits) / 8
    sums = np.array([[[_sum_bits(x, w, a) for a in bits] for w in bits] for x in layers])
    at_8 = np.array([_sum_bits(layer, 8, 8) for layer in layers])[:, None]
    full = np.ones((len(layers), count.size))
    width = {
        "weight_l1": np.broadcast_to(share[:, None], count.shape).ravel(),
        "input_l1": np.broadcast_to(share[None, :], count.shape).ravel(),
        "output_l1": sums.reshape(len(layers), -1) / at_8,
        "output_l2": full,
    }
    width |= {f"{tensor}_l2": width[f"{tensor}_l1"] for tensor in ("weight", "input")}
    price = {"l1": tech.l1_energy_macs, "l2": tech.l2_energy_macs}
    macs = np.array([layer.macs // layer.repeat for layer in layers], np.float64)
    spent = macs[:, None] * (CYCLE_PJ * 1e-3) / count.ravel()
    for place, of_8 in width.items():
        accesses = getattr(c, f"{place}_read") + getattr(c, f"{place}_write")
        spent = spent + accesses.reshape(spent.shape) * (
            of_8 * price[place[-2:]] * tech.mac_energy_nj
        )
    shape = len(layers), *count.shape
    cycles = c.runtime_cycles.reshape(shape).astype(np.float64)
    return cycles * repeat, spent.reshape(shape) * repeat


def _loopnest(
    layers: tuple[Layer, ...], bits: tuple[int, ...], unit: str, side: int
) -> tuple[Floats, Floats]:
    shape = len(layers), len(bits), len(bits)
    cycles, spent = np.empty(shape), np.empty(shape)
    for i, layer in enumerate(layers):
        for j, w in enumerate(bits):
            for k, a in enumerate(bits):
                once = _fastest(replace(layer, name="layer", repeat=1), w, a, unit, side)
                cycles[i, j, k], spent[i, j, k] = (each * layer.repeat for each in once)
    return _no_slower_than_wider(cycles, spent)


def _no_slower_than_wider(cycles: Floats, spent: Floats) -> tuple[Floats, Floats]:
    """What runs with more bits runs with fewer: of equals the one of least energy is taken."""
    cycles, spent = cycles.copy(), spent.copy()
    last = cycles.shape[1] - 1
    for j in range(last, -1, -1):
        for k in range(last, -1, -1):
            for wider in ((j + 1, k), (j, k + 1)):
                if max(wider) > last:
                    continue
                there, nj = cycles[:, wider[0], wider[1]], spent[:, wider[0], wider[1]]
                here = cycles[:, j, k]
                better = (there < here) | ((there == here) & (nj < spent[:, j, k]))
                cycles[better, j, k], spent[better, j, k] = there[better], nj[better]
    return cycles, spent


@lru_cache(maxsize=65536)
def _fastest(
    layer: Layer, weight_bits: int, activation_bits: int, unit: str, side: int
) -> tuple[float, float]:
    """Cycles and nJ of the fastest mapping; of those as good as that, the one of least energy."""
    partial = _sum_bits(layer, weight_bits, activation_bits)
    machine = Machine(
        weight_bits=weight_bits, input_bits=activation_bits, partial_bits=max(partial, 8)
    )
    nests = lattice(layer, NVDLA, side, side, _CHOICES, machine)
    p = profile(nests, machine, hold=NVDLA.hold, forward=NVDLA.forward, reduce=NVDLA.reduce)
    l1, l2 = (sizes[-1] for sizes in _CHOICES)
    fits = np.flatnonzero((p.l1_bytes <= l1) & (p.l2_bytes <= l2))
    if not len(fits):
        raise ValueError(f"no mapping of a layer {layer.shape} fits buffers of {l1} and {l2} bytes")
    p, many = p[fits], lanes(weight_bits, activation_bits, unit)
    parts = p.parts.copy()
    parts[:, 0] = -(-parts[:, 0] // many)
    cycles = p.first_load + parts.max(axis=1) + p.last_store
    each = energy(p, machine, l1, l2)
    nj = p.macs * (CYCLE_PJ * 1e-3 / many) + each.l1 + each.l2 + each.dram
    near = cycles <= cycles.min() * (1 + LATENCY_SLACK)
    at = int(np.where(near, nj, np.inf).argmin())
    return float(cycles[at]), float(nj[at])


def _pipeline_um2(layers: Sequence[Layer], bits: tuple[int, ...], pes: int) -> Floats:
    macs = np.array([layer.macs for layer in layers], np.float64)
    units = np.ceil(pes * macs / macs.sum())
    each = np.array([[multiplier_um2(w, a) for a in bits] for w in bits])
    share = np.array(bits) / 8
    weights = np.array([layer.weights for layer in layers])[:, None] * share
    rows = np.array([_spanned(layer) for layer in layers])[:, None] * share
    memory = SILICON_45NM.sram_area_um2
    area: Floats = units[:, None, None] * each
    return area + memory(np.ceil(weights))[:, :, None] + memory(np.ceil(rows))[:, None, :]


def _spanned(layer: Layer) -> int:
    """Elements of the input rows that a filter spans; of a matrix product, of a row."""
    if layer.kind == "GEMM":
        return layer.C
    columns = layer.column_stride * (layer.OX - 1) + layer.column_dilation * (layer.S - 1) + 1
    return layer.C * (layer.dilation * (layer.R - 1) + 1) * columns

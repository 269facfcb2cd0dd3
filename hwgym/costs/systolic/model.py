"""``evaluate``: what layers cost on systolic arrays, as arrays that broadcast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Floats, Ints
from hwgym.costs.columns import Columns
from hwgym.costs.systolic.dataflow import OPERANDS, SystolicDataflow, systolic_dataflow
from hwgym.costs.systolic.folds import Folds, Operand, Traffic, latency
from hwgym.costs.systolic.products import LARGEST_COUNT, LARGEST_SIZE, Products
from hwgym.hardware import Machine, integers
from hwgym.workloads import Layer

__all__ = ["Costs", "Memory", "evaluate"]

UNLIMITED = LARGEST_COUNT // 8  # bytes: no layer that is accepted needs more
BITS = {"ifmap": "input_bits", "filter": "weight_bits", "ofmap": "output_bits"}
WIDTHS = (*BITS.values(), "partial_bits")


@dataclass(frozen=True)
class Memory:
    """What feeds the array: an SRAM for each operand, and DRAM behind them.

    Each SRAM is double-buffered: half of it serves the array, the other half DRAM.

    Attributes:
        ifmap_bytes: SRAM of the inputs; None: as large as need be.
        filter_bytes, ofmap_bytes: Those of filters and results; None: as ``ifmap_bytes``.
        bandwidth: Bytes a cycle that DRAM gives, to inputs and filters together, and as many that
            it takes meanwhile; may be infinite.
        input_bits, weight_bits, output_bits: An element; of results, a finished one.
        partial_bits: An unfinished result: there are some in SRAM where results are not added up
            inside the array (all but SystolicOS), and depth is more than the array has rows.

    Numbers may be arrays that broadcast with the arguments of :func:`evaluate`.

    Raises:
        ValueError: If a size is not an integer or below 1, a width above 64, or a bandwidth not
            above 0.
    """

    ifmap_bytes: ArrayLike | None = None
    filter_bytes: ArrayLike | None = None
    ofmap_bytes: ArrayLike | None = None
    bandwidth: ArrayLike = np.inf
    input_bits: ArrayLike = 8
    weight_bits: ArrayLike = 8
    output_bits: ArrayLike = 8
    partial_bits: ArrayLike = 32

    @classmethod
    def of(
        cls,
        machine: Machine,
        ifmap_bytes: ArrayLike | None = None,
        filter_bytes: ArrayLike | None = None,
        ofmap_bytes: ArrayLike | None = None,
    ) -> Memory:
        """These SRAMs, with a machine's DRAM bandwidth and widths."""
        return cls(
            ifmap_bytes,
            filter_bytes,
            ofmap_bytes,
            machine.dram_bandwidth,
            machine.input_bits,
            machine.weight_bits,
            machine.output_bits,
            machine.partial_bits,
        )

    def __post_init__(self) -> None:
        first = UNLIMITED if self.ifmap_bytes is None else self.ifmap_bytes
        for name in OPERANDS:
            given = getattr(self, f"{name}_bytes")
            size = integers(f"SRAM {name}_bytes", first if given is None else given, 1, UNLIMITED)
            object.__setattr__(self, f"{name}_bytes", size)
        for name in WIDTHS:
            object.__setattr__(self, name, integers(name, getattr(self, name), 1, 64))
        bandwidth = np.asarray(self.bandwidth)
        if bandwidth.dtype.kind not in "iuf":
            raise ValueError(f"DRAM bandwidth must be numbers, got {self.bandwidth!r}")
        bandwidth = bandwidth.astype(np.float64)
        if not np.all(bandwidth > 0):
            worst = bandwidth[~(bandwidth > 0)].flat[0]
            raise ValueError(f"DRAM bandwidth must be above 0 bytes a cycle, got {worst:g}")
        object.__setattr__(self, "bandwidth", bandwidth)

    def arrays(self) -> dict[str, Any]:
        """The numbers by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, repr=False)
class Costs(Columns):
    """What layers cost, all their products together, as arrays of the query's broadcast shape.

    Attributes:
        cycles: Latency, waiting for DRAM included.
        compute_cycles: The same where nothing is waited for: SCALE-Sim's closed form.
        folds: How often the array is filled anew.
        macs: Multiply-accumulates.
        mapped_pes: PEs that a fold uses, averaged over folds.
        utilisation: ``macs / (rows * columns * cycles)``.
        sram_ifmap_reads, sram_filter_reads: Elements that enter the array.
        sram_ofmap_writes, sram_ofmap_reads: Elements that leave it, and unfinished ones that are
            read again to be added to.
        dram_ifmap_bytes, dram_filter_bytes: Read from DRAM.
        dram_ofmap_bytes, dram_psum_bytes: Written to DRAM, unfinished results included; those
            unfinished results read back.
        rows, columns: Of the array.
        ifmap_bytes, filter_bytes, ofmap_bytes: SRAM sizes.
        input_bits, weight_bits, output_bits, partial_bits: Of one element.
        valid: Where every SRAM holds twice what the array takes at once: the operand that stays, a
            row or a column of elements of those that pass. Only tables have invalid points;
            :func:`evaluate` raises.
    """

    cycles: Ints
    compute_cycles: Ints
    folds: Ints
    macs: Ints
    mapped_pes: Floats
    utilisation: Floats
    sram_ifmap_reads: Ints
    sram_filter_reads: Ints
    sram_ofmap_writes: Ints
    sram_ofmap_reads: Ints
    dram_ifmap_bytes: Ints
    dram_filter_bytes: Ints
    dram_ofmap_bytes: Ints
    dram_psum_bytes: Ints
    rows: Ints
    columns: Ints
    ifmap_bytes: Ints
    filter_bytes: Ints
    ofmap_bytes: Ints
    input_bits: Ints
    weight_bits: Ints
    output_bits: Ints
    partial_bits: Ints
    valid: Bools

    @property
    def shape(self) -> tuple[int, ...]:
        """The broadcast shape of the query."""
        return self.cycles.shape

    @property
    def stall_cycles(self) -> Ints:
        """Cycles that the array waits for DRAM, the first fill and the last drain included."""
        return self.cycles - self.compute_cycles

    @property
    def dram_bytes(self) -> Ints:
        """All that DRAM gives and takes."""
        came = self.dram_ifmap_bytes + self.dram_filter_bytes + self.dram_psum_bytes
        return came + self.dram_ofmap_bytes

    def __repr__(self) -> str:
        return f"<Costs of {self.shape}: {', '.join(f.name for f in fields(self)[:6])}, ...>"


def evaluate(
    layers: Products | Iterable[Layer] | Layer,
    rows: ArrayLike,
    columns: ArrayLike,
    dataflow: str | SystolicDataflow,
    memory: Memory | None = None,
) -> Costs:
    """Cost of layers on systolic arrays.

    A fold takes ``L + R + C + T - 2`` cycles on R rows and C columns, T the extent that streams and
    L = R, or 0 where outputs stay (Samajdar et al., *A systematic methodology for characterizing
    scalability of DNN accelerators using SCALE-Sim*, ISPASS 2020; as SCALE-Sim 3.0.0 counts). With
    a :class:`Memory` it takes at least as long as DRAM does to give what the next fold needs and to
    take what the last one left; ``docs/explain/systolic.md`` has the rules.

    All arguments broadcast: for every layer on every array, pass
    ``Products.of(layers).reshape(-1, 1, 1)``, rows of shape (R, 1) and columns of shape (C,).

    Args:
        layers: A :class:`Products`, a layer, or layers (a workload), which become a 1-D array.
        rows, columns: Of the array.
        dataflow: A :class:`SystolicDataflow` or its name.
        memory: SRAMs and DRAM bandwidth; by default nothing is waited for, and every element comes
            from DRAM once.

    Returns:
        Arrays of the broadcast shape; ``repeat`` and the channels of depthwise layers are in them.

    Raises:
        ValueError: If an argument is not a positive integer of 32 bits or an unknown name; if an
            SRAM is too small for a fold, with what it takes; if a layer's counts may be beyond
            2**62.
    """
    style = systolic_dataflow(dataflow)
    return costs_of(layers, rows, columns, style, memory or Memory(), may_be_invalid=False)


def costs_of(
    layers: Products | Iterable[Layer] | Layer,
    rows: ArrayLike,
    columns: ArrayLike,
    dataflow: SystolicDataflow,
    memory: Memory,
    *,
    may_be_invalid: bool,
) -> Costs:
    """:func:`evaluate`, where SRAMs that are too small may be no error but invalid points."""
    products = layers if isinstance(layers, Products) else Products.of(layers)
    sizes = products.arrays()
    array = {
        "rows": integers("array rows", rows, 1, LARGEST_SIZE),
        "columns": integers("array columns", columns, 1, LARGEST_SIZE),
    }
    given = {**sizes, **array, **memory.arrays()}
    shape = np.broadcast_shapes(*(np.shape(each) for each in given.values()))
    if 0 in shape:
        raise ValueError("the query is empty")
    macs, times = products.macs, sizes["times"]
    folds = Folds.of(sizes, array["rows"], array["columns"], dataflow)
    _check_counts(products, folds, memory, shape)

    needed, operands = _operands(sizes, folds, dataflow, memory)
    fits = {name: needed[name] <= getattr(memory, f"{name}_bytes") for name in OPERANDS}
    if not may_be_invalid:
        for name in OPERANDS:
            if not fits[name].all():
                _too_small(name, products, array, dataflow, memory, needed[name], shape)
    ifmap, filter_, ofmap = (operands[name] for name in OPERANDS)
    input_bits, weight_bits, output_bits, partial_bits = (
        np.asarray(getattr(memory, width)) for width in WIDTHS
    )
    bandwidth = np.asarray(memory.bandwidth)
    row_folds, column_folds = folds.row_folds, folds.column_folds
    count = row_folds * column_folds
    compute = times * count * folds.cycles
    cycles = compute
    if not np.isinf(bandwidth).all():
        traffic = Traffic(
            ifmap,
            filter_,
            ofmap,
            input_bits,
            weight_bits,
            output_bits,
            partial_bits,
            bandwidth,
        )
        cycles = latency(traffic, times)
    pixels, depth, filters = sizes["pixels"], sizes["depth"], sizes["filters"]
    again = {"rows": column_folds, "columns": row_folds, "both": np.ones_like(count)}
    array_inputs = times * pixels * depth * again[ifmap.moves]
    array_weights = times * depth * filters * again[filter_.moves]
    results = times * pixels * filters
    unfinished = results * (again[ofmap.moves] - 1)
    spilled = np.where(ofmap.kept, 0, unfinished) * partial_bits
    dram_bits = {
        "dram_ifmap_bytes": np.where(ifmap.kept, times * sizes["inputs"], array_inputs)
        * input_bits,
        "dram_filter_bytes": np.where(filter_.kept, times * depth * filters, array_weights)
        * weight_bits,
        "dram_ofmap_bytes": results * output_bits + spilled,
        "dram_psum_bytes": spilled,
    }
    out = {
        "cycles": cycles,
        "compute_cycles": compute,
        "folds": times * count,
        "macs": macs,
        "mapped_pes": folds.row_extent * folds.column_extent / count,
        "utilisation": macs / (array["rows"].astype(np.float64) * array["columns"] * cycles),
        "sram_ifmap_reads": array_inputs,
        "sram_filter_reads": array_weights,
        "sram_ofmap_writes": results + unfinished,
        "sram_ofmap_reads": unfinished,
        **{name: -(-bits // 8) for name, bits in dram_bits.items()},
        **array,
        **{name: value for name, value in memory.arrays().items() if name != "bandwidth"},
        "valid": fits["ifmap"] & fits["filter"] & fits["ofmap"],
    }
    return Costs(**{name: np.array(np.broadcast_to(each, shape)) for name, each in out.items()})


def _operands(
    sizes: dict[str, Ints], folds: Folds, dataflow: SystolicDataflow, memory: Memory
) -> tuple[dict[str, Ints], dict[str, Operand]]:
    """What each operand's SRAM must have at least, in bytes, and what each moves."""
    needed, operands = {}, {}
    rows, columns = folds.widest
    inputs = sizes["inputs"]
    for name, dims in OPERANDS.items():
        moves = dataflow.moves(name)
        width = np.asarray(getattr(memory, BITS[name]))
        if name == "ofmap" and moves != "both":
            width = np.where(folds.row_folds > 1, np.asarray(memory.partial_bits), width)
        half = np.asarray(getattr(memory, f"{name}_bytes")) * 8 // (2 * width)
        at_once, part = {
            "rows": (rows, rows * folds.stream),
            "columns": (columns, columns * folds.stream),
            "both": (rows * columns, rows * columns),
        }[moves]
        if name == "ifmap":
            whole, at_once = inputs, np.minimum(at_once, inputs)
        else:
            first, second = dims
            whole = sizes[first] * sizes[second]
        kept = np.asarray((part if moves == "columns" else whole) <= half)
        ahead = np.asarray(kept | (part <= half))
        needed[name] = np.asarray(-(-2 * width * at_once // 8))
        operands[name] = Operand(folds, moves, kept, ahead, inputs if name == "ifmap" else None)
    return needed, operands


def _too_small(
    operand: str,
    products: Products,
    array: dict[str, Ints],
    dataflow: SystolicDataflow,
    memory: Memory,
    needed: Ints,
    shape: tuple[int, ...],
) -> None:
    size = np.asarray(getattr(memory, f"{operand}_bytes"))
    lacking = np.broadcast_to(needed - size, shape)
    point = np.unravel_index(int(lacking.argmax()), shape)
    at = {name: int(np.broadcast_to(each, shape)[point]) for name, each in array.items()}
    least, has = (int(np.broadcast_to(each, shape)[point]) for each in (needed, size))
    raise ValueError(
        f"{_name(products, shape, point)}: {operand}_bytes must be at least {least} for a fold "
        f"under {dataflow} on {at['rows']} x {at['columns']} (double-buffered), got {has}"
    )


def _check_counts(products: Products, folds: Folds, memory: Memory, shape: tuple[int, ...]) -> None:
    v = {name: each.astype(np.float64) for name, each in products.arrays().items()}
    row_folds, column_folds = folds.row_folds.astype(np.float64), folds.column_folds
    cycles = v["times"] * row_folds * column_folds * folds.cycles
    widths = [np.asarray(getattr(memory, width)) for width in WIDTHS]
    bits = np.max(np.broadcast_arrays(*widths), axis=0)
    again = np.maximum(row_folds, column_folds)
    elements = sum(v[first] * v[second] for first, second in OPERANDS.values())
    moved = 2 * v["times"] * bits * elements * again  # twice: what is unfinished comes back
    shares = v["inputs"] * np.maximum(*folds.widest)
    greatest = np.maximum(
        np.maximum(moved, shares), cycles + moved / (8 * np.asarray(memory.bandwidth))
    )
    greatest = np.broadcast_to(greatest, shape)
    if greatest.max() > LARGEST_COUNT:
        point = np.unravel_index(int(greatest.argmax()), shape)
        raise ValueError(
            f"{_name(products, shape, point)} is too large to be costed exactly: its counts may "
            f"reach {greatest[point]:.3g}; up to 2**62 = {LARGEST_COUNT:.3g} is allowed"
        )


def _name(products: Products, shape: tuple[int, ...], point: tuple[Any, ...]) -> str:
    if not products.names:
        return "a product"
    own = np.broadcast_shapes(*(each.shape for each in products.arrays().values()))
    index = np.arange(len(products.names)).reshape(own)
    return f"layer {products.names[int(np.broadcast_to(index, shape)[point])]!r}"

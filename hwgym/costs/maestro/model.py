"""``evaluate``: what every design point costs, as arrays that broadcast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.costs.columns import Columns
from hwgym.costs.maestro.analysis import analyse
from hwgym.costs.maestro.arithmetic import distinct
from hwgym.costs.maestro.dataflow import Dataflow, dataflow
from hwgym.costs.maestro.directives import LARGEST_SIZE
from hwgym.costs.maestro.levels import Interconnect, build_levels
from hwgym.costs.maestro.limits import LIMIT, greatest_count
from hwgym.costs.maestro.printed import printed
from hwgym.costs.maestro.shapes import Shapes
from hwgym.hardware import Hardware, Technology, integers
from hwgym.workloads import Layer

__all__ = ["Costs", "evaluate", "evaluate_chunks"]

CHUNK = 1 << 15  # design points analysed at once: bounds memory, and keeps arrays near the cache


class Answered:
    """Which answers of the model can be true; for classes with these columns."""

    mappable: Bools
    num_pes: Ints
    vector_width: Ints
    num_macs: Ints
    true_macs: Ints
    runtime_cycles: Ints
    energy_nj: Floats

    @property
    def valid(self) -> Bools:
        """Where the design point does all of the layer's work within the array's peak rate.

        The mapping can be built, performs at least the layer's MACs, takes at least as long as its
        PEs and lanes need for them, and has a positive runtime and energy.
        """
        lanes = np.maximum(self.vector_width, 1)  # 0 where it is not mappable
        valid: Bools = (
            self.mappable
            & (self.num_macs >= self.true_macs)
            & (self.runtime_cycles >= -(-self.true_macs // self.num_pes // lanes))
            & (self.runtime_cycles > 0)
            & (self.energy_nj > 0)
        )
        return valid


@dataclass(frozen=True, repr=False)
class Costs(Answered, Columns):
    """What a query costs, as arrays of its broadcast shape.

    The fields are named after MAESTRO's CSV columns and hold what it prints, defects included (see
    the documentation's list); the last block is ours. ``{tensor}`` is input, weight or output;
    buffers hold one byte an element; L1 is a PE's own buffer, L2 the shared one.

    Attributes:
        num_pes: PEs.
        runtime_cycles: Latency.
        energy_nj: MAESTRO's energy: L2 accesses only for a mapping of two levels (L1 too for one),
            without MACs and without L2 output reads.
        throughput_macs_per_cycle, throughput_per_energy: MACs per cycle; that per nJ, in 1e9.
        area_um2, power_mw: PEs, buffers, bus and arbiter.
        noc_bw_req, peak_bw_req, avg_bw_req, offchip_bw_req: Elements per cycle.
        vector_width: SIMD lanes.
        l1_bytes, l2_bytes: Buffer a PE needs; shared buffer needed. Double-buffered.
        multicast_weight, multicast_input: 1, or NaN where nothing is read.
        num_input_pixels, num_weight_pixels: Elements of the two input tensors.
        ops_per_joule: MACs per joule.
        num_macs: MACs that the mapping performs; see ``true_macs``.
        pe_power, l1_power, l2_power, noc_power: Parts of ``power_mw``.
        {tensor}_l1_read, {tensor}_l1_write, {tensor}_l2_read, {tensor}_l2_write: Accesses.
        {tensor}_reuse: L1 reads per L1 write.
        ingress_delay_*, egress_delay_*, compute_delay_*: Least, greatest, average cycles of a case.
        avg_utilized_pes: PEs busy, averaged over iterations.
        arithmetic_intensity: MACs per element brought in, of the last case.

        mappable: False where the reference has no answer, because the array cannot hold one cluster
            of the mapping or because the analysis divides by zero; all else is 0 there.
        true_macs: MACs that the layer needs.
        array_area_um2, array_power_mw: PEs and buffers without bus and arbiter:
            PEs x (MACs + L1) + L2.
        total_energy_nj: MAC energy x (MACs + all L1 and all L2 accesses in MAC energies).
    """

    num_pes: Ints
    runtime_cycles: Ints
    energy_nj: Floats
    throughput_macs_per_cycle: Floats
    throughput_per_energy: Floats
    area_um2: Floats
    power_mw: Floats
    noc_bw_req: Ints
    avg_bw_req: Floats
    peak_bw_req: Ints
    vector_width: Ints
    offchip_bw_req: Ints
    l2_bytes: Ints
    l1_bytes: Ints
    multicast_weight: Floats
    multicast_input: Floats
    num_input_pixels: Ints
    num_weight_pixels: Ints
    ops_per_joule: Floats
    num_macs: Ints
    pe_power: Floats
    l1_power: Floats
    l2_power: Floats
    noc_power: Floats
    input_l1_read: Ints
    input_l1_write: Ints
    input_l2_read: Ints
    input_l2_write: Ints
    input_reuse: Floats
    weight_l1_read: Ints
    weight_l1_write: Ints
    weight_l2_read: Ints
    weight_l2_write: Ints
    weight_reuse: Floats
    output_l1_read: Ints
    output_l1_write: Ints
    output_l2_read: Ints
    output_l2_write: Ints
    output_reuse: Floats
    ingress_delay_min: Ints
    ingress_delay_max: Ints
    ingress_delay_avg: Ints
    egress_delay_min: Ints
    egress_delay_max: Ints
    egress_delay_avg: Ints
    compute_delay_min: Ints
    compute_delay_max: Ints
    compute_delay_avg: Ints
    avg_utilized_pes: Floats
    arithmetic_intensity: Floats
    mappable: Bools
    true_macs: Ints
    array_area_um2: Floats
    array_power_mw: Floats
    total_energy_nj: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        """The broadcast shape of the query."""
        return self.runtime_cycles.shape

    def __repr__(self) -> str:
        return f"<Costs of {self.shape}: {', '.join(f.name for f in fields(self)[:6])}, ...>"


def evaluate(
    layers: Shapes | Iterable[Layer] | Layer,
    dataflow: str | Dataflow,
    num_pes: ArrayLike,
    tile_k: ArrayLike,
    hardware: Hardware | None = None,
    *,
    cluster_size: ArrayLike | None = None,
) -> Costs:
    """Cost of layers under a dataflow, exactly as MAESTRO (commit 4eb08d1) computes it.

    All arguments broadcast: for every layer with every PE count and tile, pass
    ``Shapes.of(layers).reshape(-1, 1, 1)``, PEs of shape (P, 1) and tiles of shape (T,). Memory is
    bounded by the result: points are analysed in chunks.

    Args:
        layers: A :class:`Shapes`, a layer, or layers (a workload), which become a 1-D array.
        dataflow: A :class:`Dataflow` or its name. Depthwise layers get its depthwise directives.
        num_pes: PEs of the partition.
        tile_k: Filters that a PE's buffer holds (channels, for depthwise layers).
        hardware: Interconnect, lanes and technology; its numbers may be arrays too. By default
            ConfuciuX's flags with MAESTRO's present constants (``maestro-2021``); the assignment
            problems take those of the paper's time (``maestro-2019``).
        cluster_size: PEs per cluster, for dataflows that leave it open; by default ``num_pes``.

    Returns:
        Arrays of the broadcast shape. int64 throughout, so large layers that overflow the
        reference's 32-bit counters come out right.

    Raises:
        ValueError: If an argument is not a positive integer of 32 bits or an unknown name, or if a
            layer's counts may be beyond :data:`hwgym.costs.maestro.limits.LIMIT`; it is named.
    """
    query = _Query.of(layers, dataflow, num_pes, tile_k, hardware, cluster_size)
    out: dict[str, Array] = {}
    for points, answer, which in query.chunks():
        for name, values in answer.items():
            if name not in out:
                out[name] = np.empty(query.size, values.dtype)
            values.take(which, out=out[name][points], mode="clip")
    return Costs(**{n: a.reshape(query.shape) for n, a in out.items()})


def evaluate_chunks(
    layers: Shapes | Iterable[Layer] | Layer,
    dataflow: str | Dataflow,
    num_pes: ArrayLike,
    tile_k: ArrayLike,
    hardware: Hardware | None = None,
    *,
    cluster_size: ArrayLike | None = None,
) -> Iterator[tuple[slice, Costs]]:
    """:func:`evaluate` piece by piece, for queries whose whole result is more than memory holds.

    Takes and raises what it does. Yields slices of the points, counted in C order over the
    broadcast shape, with their costs as 1-D arrays::

        for points, costs in evaluate_chunks(layers, "NVDLA", pes, tiles):
            latency[points] = costs.runtime_cycles
    """
    query = _Query.of(layers, dataflow, num_pes, tile_k, hardware, cluster_size)
    for points, answer, which in query.chunks():
        yield points, Costs(**{name: values[which] for name, values in answer.items()})


@dataclass(frozen=True)
class _Query:
    """Arguments of :func:`evaluate`, checked: integer columns that broadcast."""

    columns: dict[str, Array]
    names: Mapping[tuple[Any, ...], str]
    style: Dataflow
    tech: Technology
    shape: tuple[int, ...]
    size: int

    @classmethod
    def of(
        cls,
        layers: Shapes | Iterable[Layer] | Layer,
        style: str | Dataflow,
        num_pes: ArrayLike,
        tile_k: ArrayLike,
        hardware: Hardware | None,
        cluster_size: ArrayLike | None,
    ) -> _Query:
        hardware = hardware or Hardware()
        shapes = layers if isinstance(layers, Shapes) else Shapes.of(layers)
        columns = shapes.arrays()
        given = {"num_pes": num_pes, "tile_k": tile_k, "cluster_size": cluster_size}
        for name, value in given.items():
            value = num_pes if value is None else value
            columns[name] = integers(name, value, 1, LARGEST_SIZE)
        columns |= hardware.arrays()
        shape = np.broadcast_shapes(*(c.shape for c in columns.values()))
        size = int(np.prod(shape))
        if not size:
            raise ValueError("the query is empty")
        return cls(columns, shapes.names, dataflow(style), hardware.tech, shape, size)

    def chunks(self) -> Iterator[tuple[slice, dict[str, Array], Ints]]:
        """Slices of the points, the costs of those among them that differ, and which of these
        each point has."""
        shape = self.shape or (1,)
        for start in range(0, self.size, CHUNK):
            points = slice(start, min(start + CHUNK, self.size))
            index = np.unravel_index(np.arange(points.start, points.stop), shape)
            # What is the same for all points stays one number: it divides faster.
            chunk = {
                n: c.reshape(()) if c.size == 1 else np.broadcast_to(c, shape)[index]
                for n, c in self.columns.items()
            }
            depthwise = np.broadcast_to(chunk.pop("depthwise"), len(index[0]))
            parts, which, analysed = [], np.empty(len(depthwise), np.int64), 0
            for is_depthwise in (False, True):
                rows = np.flatnonzero(depthwise == is_depthwise)
                if not len(rows):
                    continue
                query = {n: c if c.ndim == 0 else c[rows] for n, c in chunk.items()}
                first, kind = distinct([np.broadcast_to(c, len(rows)) for c in query.values()])
                query = {n: c if c.ndim == 0 else c[first] for n, c in query.items()}
                parts.append(self._evaluate(query, len(first), depthwise=is_depthwise))
                which[rows] = kind + analysed
                analysed += len(first)
            yield points, {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}, which

    def _evaluate(
        self, columns: dict[str, Ints], rows: int, *, depthwise: bool
    ) -> dict[str, Array]:
        """All costs of ``rows`` points; a column is (rows,) or one number for all."""
        q = {n: np.broadcast_to(c, rows) for n, c in columns.items()}
        dims = {d: q[d] for d in "KCYXRS"}
        parameters = {n: q[n] for n in ("num_pes", "tile_k", "cluster_size")}
        levels, too_small = build_levels(
            self.style.levels(depthwise=depthwise),
            self.style.cluster_sizes(depthwise=depthwise),
            dims,
            q["stride"],
            parameters,
            depthwise=depthwise,
        )
        noc = Interconnect.of(columns)
        self._check_counts(greatest_count(levels, dims, noc), q, depthwise=depthwise)
        total = analyse(levels, dims, noc, depthwise=depthwise)
        mappable = ~(too_small | total.aborted)
        with np.errstate(divide="ignore", invalid="ignore"):
            out = printed(q, total, self.tech, depthwise=depthwise)
        true_macs = Shapes(q["K"], q["C"], q["Y"], q["X"], q["R"], q["S"], q["stride"]).macs
        for values in out.values():
            values[~mappable] = 0
        return out | {"mappable": mappable, "true_macs": true_macs, "num_pes": q["num_pes"]}

    def _check_counts(self, greatest: Floats, q: Mapping[str, Ints], *, depthwise: bool) -> None:
        row = int(greatest.argmax())
        if greatest[row] <= LIMIT:
            return
        point = {name: int(values[row]) for name, values in q.items()}
        sizes = tuple(point[d] for d in "KCYXRS")
        name = self.names.get((*sizes, depthwise))
        who = "a layer" if name is None else f"layer {name!r}"
        shown = ", ".join(f"{d}={size}" for d, size in zip("KCYXRS", sizes, strict=True))
        raise ValueError(
            f"{who} ({shown}) is too large to be costed exactly: with {point['num_pes']} PEs and "
            f"{point['tile_k']} filters per PE under {self.style.name} its counts may reach "
            f"{greatest[row]:.3g}; up to 2**62 = {LIMIT:.3g} is allowed"
        )

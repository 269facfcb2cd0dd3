"""What mappings cost: every row a mapping of its own, exactly as MAESTRO would say it.

MAESTRO as released counts some mappings wrong, and a search finds them:

- *A*. Below the array a level's edges are sized on the unclipped tile. Where a cluster gets a
  clipped one, work is left out, or done in fewer steps than it takes. In the last iteration over
  the units, one with a clipped tile is forgotten beside full ones. Neither happens where the PEs'
  tiles divide the clusters', and those the dimension.
- *B*. Where the dimension spread over the clusters makes exactly as many tiles as one iteration
  takes, and fewer than there are clusters, what is new to the last of them counts as nothing.
- *C*. Where the last iteration over the units has work for one only, it is counted by rows
  (columns) of input, not of output: more multiply-accumulates than there are, and more cycles.

``fixed=True`` mends them: every mapping then performs exactly the layer's multiply-accumulates.
Without, :attr:`MappingCosts.valid` tells the mappings that *A* and *B* make impossible; *C* makes
none look better than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.costs.columns import Columns
from hwgym.costs.maestro.cases import Totals
from hwgym.costs.maestro.dataflow import Dataflow
from hwgym.costs.maestro.levels import TENSORS, Interconnect, Level, Map, build_levels
from hwgym.costs.maestro.limits import LIMIT, greatest_count
from hwgym.costs.maestro.mappings import MAPPED, Mappings
from hwgym.costs.maestro.model import Answered, Costs, evaluate
from hwgym.costs.maestro.printed import printed, printed_energy
from hwgym.costs.maestro.rowwise import DIMS, Nest, analyse, outermost
from hwgym.costs.maestro.shapes import Shapes
from hwgym.hardware import Hardware, Technology, integers
from hwgym.workloads import Layer

__all__ = [
    "MappingCosts",
    "MappingTotals",
    "OuterCosts",
    "evaluate_each",
    "evaluate_mappings",
    "mapping_totals",
    "outer_costs",
]

CHUNK = 1 << 14
"""Mappings analysed at once: bounds memory."""


class _Possible(Answered):
    """Which of MAESTRO's answers a machine could give; for classes with these columns."""

    own_steps: Ints
    input_l2_read: Ints
    weight_l2_read: Ints
    output_l2_write: Ints
    compulsory_inputs: Ints
    compulsory_weights: Ints
    compulsory_outputs: Ints
    forgets: Bools

    @property
    def complete(self) -> Bools:
        """(N,) no multiply-accumulate is left out."""
        done: Bools = self.num_macs >= self.true_macs
        return done

    @property
    def honest(self) -> Bools:
        """(N,) it takes at least as long as its busiest PE needs for its own steps."""
        lanes = np.maximum(self.vector_width, 1)
        long: Bools = self.runtime_cycles >= -(-self.own_steps // lanes)
        return long

    @property
    def moves_all(self) -> Bools:
        """(N,) no unit's traffic counts as nothing, and each tensor's is at least the tensor."""
        return (
            ~self.forgets
            & (self.input_l2_read >= self.compulsory_inputs)
            & (self.weight_l2_read >= self.compulsory_weights)
            & (self.output_l2_write >= self.compulsory_outputs)
        )

    @property
    def valid(self) -> Bools:
        """(N,) where a machine could do it: all of these, within the array's peak rate."""
        return super().valid & self.honest & self.moves_all


@dataclass(frozen=True, repr=False)
class MappingCosts(_Possible, Costs):
    """What mappings cost: MAESTRO's statistics (:class:`~hwgym.costs.maestro.Costs`), and what says
    whether a machine could do it. Buffer sizes are what is needed; nothing limits them here.

    Attributes:
        own_steps: Multiply-accumulates of the busiest PE.
        compulsory_inputs, compulsory_weights, compulsory_outputs: Elements of the tensors.
        forgets: The last cluster's traffic counts as nothing (*B*); never where that is fixed.
    """

    own_steps: Ints
    compulsory_inputs: Ints
    compulsory_weights: Ints
    compulsory_outputs: Ints
    forgets: Bools


@dataclass(frozen=True, repr=False)
class MappingTotals(_Possible, Columns):
    """What a search needs of :class:`MappingCosts`, sooner: the same numbers.

    Attributes:
        runtime_cycles, energy_nj: As MAESTRO prints them: L2 accesses only.
        l1_bytes, l2_bytes: Buffers needed, double-buffered.
    """

    runtime_cycles: Ints
    energy_nj: Floats
    l1_bytes: Ints
    l2_bytes: Ints
    num_macs: Ints
    input_l2_read: Ints
    weight_l2_read: Ints
    output_l2_write: Ints
    num_pes: Ints
    vector_width: Ints
    mappable: Bools
    true_macs: Ints
    own_steps: Ints
    compulsory_inputs: Ints
    compulsory_weights: Ints
    compulsory_outputs: Ints
    forgets: Bools


@dataclass(frozen=True, repr=False)
class OuterCosts(Columns):
    """What the level over the array says by itself, (N,) each.

    Attributes:
        energy_nj: All of the mapping's energy as MAESTRO prints it.
        l2_bytes: Buffer needed.
        input_l2_read, weight_l2_read, output_l2_write: Elements.
        ingress_cycles, egress_cycles: Of bringing in and sending up, added up over all iterations:
            each at most the runtime, whatever the clusters do.
        moves_all: No cluster's traffic counts as nothing, and each tensor's is at least the tensor.
    """

    energy_nj: Floats
    l2_bytes: Ints
    input_l2_read: Ints
    weight_l2_read: Ints
    output_l2_write: Ints
    ingress_cycles: Ints
    egress_cycles: Ints
    moves_all: Bools


# --- a mapping a row ------------------------------------------------------------------------------


def evaluate_mappings(
    layers: Shapes | Iterable[Layer] | Layer,
    mappings: Mappings,
    num_pes: ArrayLike,
    hardware: Hardware | None = None,
    *,
    fixed: bool = False,
) -> MappingCosts:
    """Cost of N mappings, exactly as MAESTRO (commit 4eb08d1) computes each.

    Args:
        layers: One layer for all, or one a mapping.
        mappings: See there.
        num_pes: PEs of the array, for all or (N,).
        hardware: Interconnect, lanes, technology; its numbers may be arrays (N,). By default as for
            :func:`~hwgym.costs.maestro.evaluate`.
        fixed: Mend the defects that the module describes.

    Returns:
        Arrays (N,). Where a cluster is larger than the array, ``mappable`` is False and all is 0.

    Raises:
        ValueError: If shapes do not agree, a depthwise layer's K is spread, or counts may be beyond
            :data:`~hwgym.costs.maestro.limits.LIMIT`.
    """
    query = _Query.of(layers, num_pes, hardware, len(mappings))
    out: dict[str, Array] = {}
    for rows, q, depthwise in query.parts():
        some = mappings.take(rows)
        total, mappable, odd = _analysed(q, some, depthwise, fixed, statistics=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = printed(q, total, query.tech, depthwise=depthwise)
        found |= _judged(q, some, depthwise, fixed) | {"mappable": mappable}
        query.ask_again(found, rows, some, odd & mappable)
        _place(out, found, rows, len(mappings), found["mappable"])
    return MappingCosts(**out)


def mapping_totals(
    layers: Shapes | Iterable[Layer] | Layer,
    mappings: Mappings,
    num_pes: ArrayLike,
    hardware: Hardware | None = None,
    *,
    fixed: bool = False,
) -> MappingTotals:
    """The statistics that a search needs; takes and raises what :func:`evaluate_mappings` does."""
    query = _Query.of(layers, num_pes, hardware, len(mappings))
    out: dict[str, Array] = {}
    for rows, q, depthwise in query.parts():
        some = mappings.take(rows)
        total, mappable, odd = _analysed(q, some, depthwise, fixed, statistics=False)
        found: dict[str, Any] = _judged(q, some, depthwise, fixed) | {
            "runtime_cycles": total.runtime,
            "energy_nj": _energy(
                q, total.l2_read, total.l2_write_output, query.tech, depthwise=depthwise
            ),
            "l1_bytes": total.l1_bytes,
            "l2_bytes": sum(total.l2_request.values()),
            "num_macs": total.macs,
            "input_l2_read": total.l2_read["input"],
            "weight_l2_read": total.l2_read["weight"],
            "output_l2_write": total.l2_write_output,
            "vector_width": q["simd_lanes"].copy(),
            "mappable": mappable,
        }
        query.ask_again(found, rows, some, odd & mappable)
        _place(out, found, rows, len(mappings), found["mappable"])
    return MappingTotals(**out)


def outer_costs(
    layers: Shapes | Iterable[Layer] | Layer,
    units: ArrayLike,
    parallel: ArrayLike,
    tiles: ArrayLike,
    orders: ArrayLike,
    hardware: Hardware | None = None,
    *,
    fixed: bool = False,
) -> OuterCosts:
    """What the level over the array says, of N mappings whose clusters are left open.

    Args:
        layers: One layer for all, or one a row.
        units: (N,) or one: clusters of the array.
        parallel: (N,) the dimension spread over them, an index of
            :data:`~hwgym.costs.maestro.mappings.MAPPED`.
        tiles: (N, 4) what a cluster holds.
        orders: (N, 4) loops, outermost first.
        hardware: As :func:`evaluate_mappings`.
        fixed: As there.
    """
    parallel = np.asarray(parallel, np.int64)
    once = np.ones(len(parallel), np.int64)
    pair = [np.stack([np.asarray(a)] * 2, axis=1) for a in (parallel, tiles, orders)]
    mappings = Mappings(once, *pair)
    query = _Query.of(layers, units, hardware, len(mappings))
    out: dict[str, Array] = {}
    for rows, q, depthwise in query.parts():
        levels, dims, noc, mappable = _nests(q, mappings.take(rows), depthwise, fixed)
        found = outermost(levels[0], dims, noc, depthwise=depthwise)
        sizes = _tensor_sizes(q, depthwise)
        columns: dict[str, Any] = {
            "energy_nj": _energy(q, found.read, found.written, query.tech, depthwise=depthwise),
            "l2_bytes": 2 * sum(found.first.values()),
            "input_l2_read": found.read["input"],
            "weight_l2_read": found.read["weight"],
            "output_l2_write": found.written,
            "ingress_cycles": found.ingress_cycles,
            "egress_cycles": found.egress_cycles,
            "moves_all": ~_forgets(q, mappings.take(rows), fixed)
            & (found.read["input"] >= sizes["input"])
            & (found.read["weight"] >= sizes["weight"])
            & (found.written >= sizes["output"]),
        }
        _place(out, columns, rows, len(mappings), mappable)
    return OuterCosts(**out)


# --- a dataflow a row -----------------------------------------------------------------------------


def evaluate_each(
    layers: Shapes | Iterable[Layer] | Layer,
    dataflows: Sequence[Dataflow],
    num_pes: ArrayLike,
    hardware: Hardware | None = None,
) -> Costs:
    """Cost of N dataflows whose sizes are numbers, one a row, of any number of levels.

    The same numbers as :func:`~hwgym.costs.maestro.evaluate` gives one after the other, which it
    asks itself where a level spreads two dimensions, or a case computes nothing.

    Raises:
        ValueError: As that function, or if shapes do not agree.
    """
    query = _Query.of(layers, num_pes, hardware, len(dataflows))
    out: dict[str, Array] = {}
    for rows, q, depthwise in query.parts():
        kinds: dict[int, list[int]] = {}
        built = {}
        for i, row in enumerate(rows.tolist()):
            one = {name: column[i : i + 1] for name, column in q.items()}
            levels, too_small = build_levels(
                dataflows[row].levels(depthwise=depthwise),
                dataflows[row].cluster_sizes(depthwise=depthwise),
                {d: one[d] for d in DIMS},
                one["stride"],
                {
                    "num_pes": one["num_pes"],
                    "tile_k": np.ones(1, np.int64),
                    "cluster_size": one["num_pes"],
                },
                depthwise=depthwise,
            )
            built[i] = levels
            plain = all(sum(m.spatial for m in level.maps) == 1 for level in levels)
            kinds.setdefault(len(levels) if plain and not too_small[0] else 0, []).append(i)
        slow = kinds.pop(0, [])
        for depth, some in kinds.items():
            part = {name: column[some] for name, column in q.items()}
            nests = [_stacked([built[i][level] for i in some]) for level in range(depth)]
            noc = _noc(part)
            _check_counts(nests, part, noc)
            dims = np.stack([part[d] for d in DIMS])
            total, irregular = analyse(nests, dims, noc, depthwise=depthwise)
            with np.errstate(divide="ignore", invalid="ignore"):
                found = printed(part, total, query.tech, depthwise=depthwise)
            found |= {
                "mappable": ~irregular,
                "true_macs": _macs(part),
                "num_pes": part["num_pes"],
            }
            _place(out, found, rows[some], len(dataflows), ~irregular)
            slow += [i for i, odd in zip(some, irregular.tolist(), strict=True) if odd]
        for i in slow:
            alone = query.alone(int(rows[i]), dataflows[rows[i]])
            found = {f.name: np.asarray(getattr(alone, f.name))[None] for f in fields(Costs)}
            _place(out, found, rows[i : i + 1], len(dataflows), np.ones(1, bool))
    return Costs(**out)


def _stacked(levels: Sequence[Level]) -> Nest:
    """Levels of one row each, as one of many."""
    rows = len(levels)
    size, offset, rank = (np.ones((6, rows), np.int64) for _ in range(3))
    extent = np.ones((6, rows), np.int64)
    spread = np.zeros(rows, np.int64)
    for i, level in enumerate(levels):
        for place, m in enumerate(level.maps):
            j = DIMS.index(m.dim)
            size[j, i], offset[j, i], rank[j, i] = m.size[0], m.offset[0], place
            extent[j, i] = level.dims[m.dim][0]
            if m.spatial:
                spread[i] = j
        if len(level.maps) < 6:  # of depthwise layers; no loop is over it
            rank[0, i] = 6
    units = np.array([level.units[0] for level in levels])
    return Nest.of(size[4:], size, offset, rank, spread, units, extent)


# --- what all share -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Query:
    """Layers, PEs and hardware of N rows, checked: columns (N,)."""

    columns: dict[str, Ints]
    depthwise: Bools
    hardware: Hardware
    rows: int

    @classmethod
    def of(
        cls,
        layers: Shapes | Iterable[Layer] | Layer,
        num_pes: ArrayLike,
        hardware: Hardware | None,
        rows: int,
    ) -> _Query:
        if not rows:
            raise ValueError("the query is empty")
        hardware = hardware or Hardware()
        shapes = layers if isinstance(layers, Shapes) else Shapes.of(layers)
        columns = shapes.arrays() | {"num_pes": integers("num_pes", num_pes)} | hardware.arrays()
        for name, column in columns.items():
            if column.shape not in ((), (1,), (rows,)):
                raise ValueError(
                    f"{name}: {rows} mappings need one value or {rows}, got shape {column.shape}"
                )
        columns = {n: np.broadcast_to(c, (rows,)) for n, c in columns.items()}
        return cls(columns, columns.pop("depthwise"), hardware, rows)

    @property
    def tech(self) -> Technology:
        return self.hardware.tech

    def parts(self) -> Iterator[tuple[Ints, dict[str, Ints], bool]]:
        """Rows of one kind of layer, not too many at a time."""
        for depthwise in (False, True):
            rows = np.flatnonzero(self.depthwise == depthwise)
            for start in range(0, len(rows), CHUNK):
                some = rows[start : start + CHUNK]
                yield some, {n: c[some] for n, c in self.columns.items()}, depthwise

    def alone(self, row: int, dataflow: Dataflow) -> Costs:
        """One row by the analysis of dataflows."""
        q = {n: int(c[row]) for n, c in self.columns.items()}
        given: dict[str, Any] = {n: q[n] for n in self.hardware.arrays()}
        return evaluate(
            _shapes(q, depthwise=bool(self.depthwise[row])),
            dataflow,
            q["num_pes"],
            1,
            replace(self.hardware, **given),
        )

    def ask_again(self, found: dict[str, Any], rows: Ints, mappings: Mappings, odd: Bools) -> None:
        """Overwrite the answers that do not hold."""
        for i in np.flatnonzero(odd).tolist():
            row = int(rows[i])
            filters = [int(self.columns[f][row]) for f in "RS"]
            dataflow = mappings._dataflow(i, filters, bool(self.depthwise[row]))
            alone = self.alone(row, dataflow)
            for f in fields(Costs):
                if f.name in found:
                    found[f.name][i] = getattr(alone, f.name)


def _noc(q: dict[str, Ints]) -> Interconnect:
    def plain(values: Ints) -> Ints:
        """One number where all are the same: it divides faster."""
        return values[0].reshape(()) if (values == values[0]).all() else values

    names = ("noc_bandwidth", "noc_hops", "noc_hop_latency", "simd_lanes", "offchip_bandwidth")
    return Interconnect.of({name: plain(q[name]) for name in names})


def _nests(
    q: dict[str, Ints], mappings: Mappings, depthwise: bool, fixed: bool
) -> tuple[list[Nest], Ints, Interconnect, Bools]:
    """The levels of mappings, resolved; where the array is too small for one cluster they mean
    nothing."""
    if depthwise and (mappings.parallel == 0).any():
        raise ValueError("a depthwise layer has no filters (K) to spread: C, Y or X are allowed")
    if (q["stride"] != 1).any():
        raise ValueError("mappings are of layers at stride 1, as Layer.shape gives them")
    dims, filters = np.stack([q[d] for d in MAPPED]), np.stack([q["R"], q["S"]])
    rows = np.arange(len(mappings))
    mappable = q["num_pes"] >= mappings.cluster
    units = (np.maximum(q["num_pes"] // mappings.cluster, 1), mappings.cluster)
    levels, extent = [], dims
    for number in range(2):
        offset = mappings.tiles[:, number].T.copy()
        size = offset.copy()
        size[2:] += filters - 1
        rank = np.empty_like(size)
        rank[mappings.orders[:, number].T, rows] = np.arange(4)[:, None]
        levels.append(
            Nest.of(
                filters,
                size,
                offset,
                rank,
                mappings.parallel[:, number],
                units[number],
                extent,
                fixed=fixed,
            )
        )
        extent = np.minimum(size, extent)
    return levels, dims, _noc(q), mappable


def _analysed(
    q: dict[str, Ints], mappings: Mappings, depthwise: bool, fixed: bool, *, statistics: bool
) -> tuple[Totals, Bools, Bools]:
    levels, dims, noc, mappable = _nests(q, mappings, depthwise, fixed)
    _check_counts(levels, q, noc)
    total, irregular = analyse(
        levels, dims, noc, depthwise=depthwise, fixed=fixed, statistics=statistics
    )
    return total, mappable, irregular


def _forgets(q: dict[str, Ints], m: Mappings, fixed: bool) -> Bools:
    """(N,) the dimension spread over the clusters makes exactly as many tiles as one turn takes,
    and leaves clusters idle: what is new to the last of the busy ones counts as nothing."""
    rows = np.arange(len(m))
    spread = m.parallel[:, 0]
    tile, extent = m.tiles[rows, 0, spread], np.stack(_extents(q))[spread, rows]
    tiles = extent // tile
    forgets: Bools = (extent % tile == 0) & (tiles > 1) & (tiles < q["num_pes"] // m.cluster)
    return forgets & (not fixed)


def _extents(q: dict[str, Ints]) -> tuple[Ints, Ints, Ints, Ints]:
    return q["K"], q["C"], q["Y"] - q["R"] + 1, q["X"] - q["S"] + 1


def _judged(
    q: dict[str, Ints], mappings: Mappings, depthwise: bool, fixed: bool
) -> dict[str, Array]:
    sizes = _tensor_sizes(q, depthwise)
    return {
        "own_steps": _own_steps(q, mappings),
        "compulsory_inputs": sizes["input"],
        "compulsory_weights": sizes["weight"],
        "compulsory_outputs": sizes["output"],
        "forgets": _forgets(q, mappings, fixed),
        "true_macs": _macs(q),
        "num_pes": q["num_pes"],
    }


def _own_steps(q: dict[str, Ints], m: Mappings) -> Ints:
    """(N,) multiply-accumulates of the busiest PE: along each dimension how many indices pass
    through the first PE of the first cluster, which always has the largest tile of all."""
    clusters = np.maximum(q["num_pes"] // m.cluster, 1)
    steps = q["R"] * q["S"]
    for d, extent in enumerate(_extents(q)):
        outer, inner = m.tiles[:, 0, d], m.tiles[:, 1, d]
        pes = np.where(m.parallel[:, 1] == d, m.cluster, 1)
        units = np.where(m.parallel[:, 0] == d, clusters, 1)
        tiles = -(-extent // outer)
        turns = -(-tiles // units)
        last = extent - (tiles - 1) * outer
        alone = (tiles - 1) % units == 0  # the last tile is a turn of its own
        full, rest = _share(outer, inner, pes), _share(last, inner, pes)
        steps = steps * np.where(alone, (turns - 1) * full + rest, turns * full)
    return steps


def _share(extent: Ints, tile: Ints, pes: Ints) -> Ints:
    """Indices of a tile that pass through the first PE."""
    tile = np.minimum(tile, extent)
    tiles = -(-extent // tile)
    turns = -(-tiles // pes)
    last = extent - (tiles - 1) * tile
    return np.where((tiles - 1) % pes == 0, (turns - 1) * tile + last, turns * tile)


def _macs(q: dict[str, Ints]) -> Ints:
    return _shapes(q).macs


def _shapes(q: Mapping[str, Any], *, depthwise: bool = False) -> Shapes:
    k, c, y, x, r, s = (q[d] for d in DIMS)
    return Shapes(k, c, y, x, r, s, q["stride"], depthwise)


def _tensor_sizes(q: dict[str, Ints], depthwise: bool) -> dict[str, Ints]:
    """Elements of each tensor; of the output, as many as it really has."""
    lengths = {d: q[d] for d in DIMS}
    sizes = {}
    for tensor, dims in TENSORS[depthwise].items():
        if tensor == "output":
            lengths |= {"Y": q["Y"] - q["R"] + 1, "X": q["X"] - q["S"] + 1}
        sizes[tensor] = np.prod([lengths[d] for d in dims], axis=0)
    return sizes


def _energy(
    q: dict[str, Ints], read: dict[str, Ints], written: Ints, tech: Technology, *, depthwise: bool
) -> Floats:
    sizes = _tensor_sizes(q, depthwise)
    return printed_energy(
        [read["input"], sizes["input"], read["weight"], sizes["weight"], written], tech
    )


def _place(
    out: dict[str, Array], found: dict[str, Any], rows: Ints, total: int, mappable: Bools
) -> None:
    for name, values in found.items():
        if name not in out:
            out[name] = np.zeros(total, values.dtype)
        keep = mappable | (name in ("num_pes", "true_macs", "own_steps"))
        keep = keep | name.startswith("compulsory")
        out[name][rows] = np.where(keep, values, np.zeros(1, values.dtype))


def _check_counts(nests: Sequence[Nest], q: dict[str, Ints], noc: Interconnect) -> None:
    """See that no count leaves 64 bits.

    Raises:
        ValueError: If one might.
    """
    levels = []
    for n in nests:
        maps = [
            Map(d, False, n.size[j], n.offset[j], n.edge[j], n.fresh[j], n.fresh_edge[j])
            for j, d in enumerate(DIMS[: len(n.size)])
        ]
        maps += [Map(d, False, *[n.filters[j]] * 5) for j, d in enumerate(DIMS[len(n.size) :])]
        levels.append(Level(tuple(maps), {}, {}, n.units, n.edge_units))
    greatest = greatest_count(levels, {d: q[d] for d in DIMS}, noc)
    row = int(greatest.argmax())
    if greatest[row] > LIMIT:
        shown = ", ".join(f"{d}={q[d][row]}" for d in DIMS)
        raise ValueError(
            f"a layer ({shown}) is too large to be costed exactly under mapping {row}: its counts "
            f"may reach {greatest[row]:.3g}; up to 2**62 = {LIMIT:.3g} is allowed"
        )

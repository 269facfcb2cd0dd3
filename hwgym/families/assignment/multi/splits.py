"""Splits: which problems there are, each told by its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym._names import nearest
from hwgym.costs.maestro import MAESTRO_2019, Hardware, Technology, dataflow
from hwgym.families.assignment.design_space import MIX
from hwgym.families.assignment.multi.features import CONSTRAINTS, OBJECTIVES
from hwgym.families.assignment.multi.grammar import DEPTHS, KINDS, LEVELS, SPLIT_CELLS, stages
from hwgym.families.assignment.multi.pool import LayerPool, Prices, Style, pool_of, prices_of
from hwgym.families.layered.ids import MODELS
from hwgym.workloads import Layer, Workload, workload

__all__ = ["CONSTRAINTS", "HARDWARE", "OBJECTIVES", "SPLITS", "Narrow", "Recipes", "Source"]

HARDWARE = ("drawn", "default")
MACHINES = 64
"""Technologies of a split."""

UNCONSTRAINED = int(Hardware().arrays()["noc_bandwidth"])


class Split(NamedTuple):
    """What a split draws.

    Attributes:
        problems: How many.
        salt: Of its draws.
        machine_salt: Of the draws of its machines.
        dataflows: Of which a problem has one.
        bandwidths: Of the network on chip, of which a problem has one; the last is the default's.
        shares: Least and greatest share of the range that a budget grants; log-uniform.
        scales: Of machines: least and greatest factor, or one over it, on MAC units, L1 and L2,
            each by itself: on area, power and energy alike; log-uniform.
        deep: Whether its networks are deep ones.
        ladders: Of each of its cells.
    """

    problems: int
    salt: int
    machine_salt: int
    dataflows: tuple[str, ...] = MIX
    bandwidths: tuple[int, ...] = (16, 64, UNCONSTRAINED)
    shares: tuple[float, float] = (0.03, 0.5)
    scales: tuple[float, float] = (1.0, 2.0)
    deep: bool = False
    ladders: int = 1


SPLITS: Mapping[str, Split] = MappingProxyType(
    {
        "train": Split(2**40, 1, 65, ladders=5),
        "val": Split(1_000, 2, 66),
        "test": Split(1_000, 3, 66),
        "zoo": Split(60 * len(MODELS), 4, 66),
        "ood": Split(
            1_000,
            5,
            67,
            ("NVDLA-CxK:16", "ShiDianNao-YxX:16"),
            (8, 32, 1024),
            (0.01, 0.03),
            (2.5, 4.0),
            deep=True,
        ),
    }
)
"""``train`` is as good as endless; its machines are those of no other split. ``zoo`` has each
published network 60 times. ``ood`` has what no other has: deep networks, tight budgets, other
dataflows, bandwidths and technologies."""


@dataclass(frozen=True)
class Narrow:
    """What is fixed instead of drawn.

    Attributes:
        dataflow: A name, several to draw from, or ``MIX``; None for the split's.
        objective, constraint: By name; None for any.
        network: A kind of :data:`~hwgym.families.assignment.multi.grammar.KINDS`, or in ``zoo`` the
            name of a network; None for any.
        networks: So many networks, each again and again with other dataflows, budgets and hardware;
            None for as many as there are problems.
        hardware: ``default`` for MAESTRO's technology and a network on chip that does not
            constrain; ``drawn``.
    """

    dataflow: str | tuple[str, ...] | None = None
    objective: str | None = None
    constraint: str | None = None
    network: str | None = None
    networks: int | None = None
    hardware: str = "drawn"

    def given(self) -> dict[str, Any]:
        """Keyword arguments, JSON values, of what is not at its default."""
        default = Narrow()
        asked = {n: v for n, v in vars(self).items() if v != getattr(default, n)}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in asked.items()}


class Recipes(NamedTuple):
    """What n problems are made of: integer arrays (n,), but for shares.

    Attributes:
        pieces: (n, pieces) stages of the networks; -1 for none.
        depths: (n, pieces) blocks of each.
        style, bandwidth: Indices of the pool's.
        machine: Index of the source's.
        objective, constraint: Indices.
        share: (n,) of the range.
    """

    pieces: Ints
    depths: Ints
    style: Ints
    bandwidth: Ints
    machine: Ints
    objective: Ints
    constraint: Ints
    share: Floats

    def some(self, which: Ints) -> Recipes:
        """Those of some problems."""
        return Recipes(**{name: value[which] for name, value in self._asdict().items()})


def draw(salt: int, numbers: Ints, count: int) -> Floats:
    """(n, count) in [0, 1): the draws of each number, the same everywhere and at any time
    (Steele, Lea and Flood's SplitMix64, OOPSLA 2014, of a counter)."""
    with np.errstate(over="ignore"):
        counter = np.arange(count, dtype=np.uint64) + np.uint64(salt << 56)
        z = numbers.astype(np.uint64)[:, None] * np.uint64(256) + counter
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    found: Floats = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


def _pick(u: Floats, count: Array | int) -> Ints:
    """Which of so many a draw means."""
    return np.asarray(u * count).astype(np.int64)


_CONTEXT, _NETWORK = 6, 2 + 2 * LEVELS


@dataclass(frozen=True, eq=False)
class Source:
    """The problems of a split, as far as numbers go.

    Attributes:
        split: A key of :data:`SPLITS`.
        narrow: What is fixed.

    Raises:
        ValueError: If a name is unknown; the message gives the nearest.
    """

    split: str
    narrow: Narrow = Narrow()

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(nearest("split", self.split, SPLITS))
        n = self.narrow
        kinds = MODELS if self.split == "zoo" else KINDS
        for what, given, allowed in (
            ("objective", n.objective, OBJECTIVES),
            ("constraint", n.constraint, CONSTRAINTS),
            ("network", n.network, kinds),
            ("hardware", n.hardware, HARDWARE),
        ):
            if given is not None and given not in allowed:
                raise ValueError(nearest(what, given, allowed))
        if n.networks is not None and not (
            isinstance(n.networks, int) and n.networks > 0 and not isinstance(n.networks, bool)
        ):
            raise ValueError(f"networks must be a positive integer, got {n.networks!r}")
        if self.split == "zoo" and n.network is not None and n.networks is not None:
            raise ValueError("in zoo give either network, a single one, or networks, how many")
        _ = self.styles

    @property
    def made(self) -> Split:
        """What the split draws."""
        return SPLITS[self.split]

    @cached_property
    def styles(self) -> tuple[Style, ...]:
        """What a problem's choices may be, of which each has one."""
        given = self.narrow.dataflow
        if given == "MIX":
            return (tuple(dataflow(name) for name in MIX),)
        names = (given,) if isinstance(given, str) else given or self.made.dataflows
        return tuple((dataflow(name),) for name in names)

    @cached_property
    def parts(self) -> _Parts:
        """What its networks are made of."""
        return _parts(self.split)

    @cached_property
    def pool(self) -> LayerPool:
        """Its layers; costed when they are asked for."""
        return pool_of(self.parts.layers, self.styles, self.made.bandwidths)

    @cached_property
    def machines(self) -> Floats:
        """(machines, 3) factors on MAC units, L1 and L2."""
        if self.narrow.hardware == "default":
            return np.ones((1, 3))
        u = draw(self.made.machine_salt, np.arange(MACHINES), 3)
        # A factor, or one over it, with equal chance; of 1 to 2 that is one from 1/2 to 2.
        size = _between(np.abs(2 * u - 1), *np.log2(self.made.scales))
        return np.exp2(np.where(u < 0.5, -size, size))

    @cached_property
    def prices(self) -> tuple[Prices, Prices]:
        """Of area and of power, arrays (machines,) each: those of :meth:`technology`."""
        each = [prices_of(self.technology(i)) for i in range(len(self.machines))]
        area, power = (
            Prices(*map(np.array, zip(*of, strict=True))) for of in zip(*each, strict=True)
        )
        return area, power

    # --- what a number means ----------------------------------------------------------------------

    def recipes(self, numbers: Ints) -> Recipes:
        """What problems (n,) are made of."""
        made, narrow = self.made, self.narrow
        u = draw(made.salt, numbers, _CONTEXT)
        pieces, depths = self._networks(numbers)
        bandwidth = _pick(u[:, 0], len(made.bandwidths))
        if narrow.hardware == "default":
            bandwidth = np.full_like(bandwidth, len(made.bandwidths) - 1)
        return Recipes(
            pieces,
            depths,
            _pick(u[:, 1], len(self.styles)),
            bandwidth,
            _pick(u[:, 2], len(self.machines)),
            _fixed(_pick(u[:, 3], len(OBJECTIVES)), narrow.objective, OBJECTIVES),
            _fixed(_pick(u[:, 4], len(CONSTRAINTS)), narrow.constraint, CONSTRAINTS),
            np.exp(_between(u[:, 5], *np.log(made.shares))),
        )

    def _networks(self, numbers: Ints) -> tuple[Ints, Ints]:
        """(n, pieces) each: the stages and their depths."""
        narrow = self.narrow
        if self.split == "zoo":
            which = numbers % len(MODELS)
            if narrow.networks is not None:
                which = which % narrow.networks
            if narrow.network is not None:
                which = np.full_like(which, MODELS.index(narrow.network))
            return which[:, None], np.zeros((len(numbers), 1), np.int64)
        if narrow.networks is not None:
            # Which of them has nothing to do with what else is drawn.
            numbers = _pick(draw(self.made.salt + 32, numbers, 1)[:, 0], narrow.networks)
        u = draw(self.made.salt + 16, numbers, _NETWORK)
        parts = self.parts
        cell = _pick(u[:, 0], len(parts.menu))
        kind = _fixed(_pick(u[:, 1], len(KINDS)), narrow.network, KINDS)
        variants = np.ones((len(numbers), LEVELS + 2))
        variants[:, 1:-1] = parts.variants[kind]
        u_variant = np.zeros_like(variants)
        u_variant[:, 1:-1] = u[:, 2 : 2 + LEVELS]
        pieces = parts.menu[
            cell[:, None], kind[:, None], np.arange(LEVELS + 2), _pick(u_variant, variants)
        ]
        least, most = np.array([DEPTHS[k][self.made.deep] for k in KINDS])[kind].T
        depths = np.zeros_like(pieces)
        depths[:, 1:-1] = least[:, None] + _pick(u[:, 2 + LEVELS :], (most - least + 1)[:, None])
        return pieces, depths

    def rows(self, recipes: Recipes) -> tuple[Ints, Ints]:
        """The pool's rows of all layers of networks, one network after the other, and how many
        layers each has (n,)."""
        at, lengths = self._places(recipes)
        return self.parts.row[at], lengths

    def _places(self, recipes: Recipes) -> tuple[Ints, Ints]:
        parts = self.parts
        lengths = parts.lengths[recipes.pieces, recipes.depths]
        each = lengths.ravel()
        begin = parts.starts[recipes.pieces].ravel()
        ends = np.cumsum(each)
        at = np.arange(ends[-1]) + np.repeat(begin - (ends - each), each)
        return at, lengths.sum(axis=1)

    def workload(self, number: int, recipes: Recipes) -> Workload:
        """The network of a single recipe."""
        if self.split == "zoo":
            return workload(MODELS[int(recipes.pieces[0, 0])])
        at, _ = self._places(recipes)
        parts = self.parts
        first = parts.stages[int(recipes.pieces[0, 1])]
        return Workload(f"{self.split}-{number}-{first}", tuple(parts.flat[i] for i in at))

    def technology(self, machine: int) -> Technology:
        """That of a machine."""
        if (self.machines[machine] == 1).all():
            return MAESTRO_2019
        mac, l1, l2 = self.machines[machine].tolist()
        t = MAESTRO_2019
        return replace(
            t,
            name=f"{t.name} scaled by {mac:.3g}, {l1:.3g}, {l2:.3g}",
            mac_area_um2=t.mac_area_um2 * mac,
            mac_power_mw=t.mac_power_mw * mac,
            mac_energy_nj=t.mac_energy_nj * mac,
            l1_area_um2=t.l1_area_um2 * l1,
            l1_power_mw=t.l1_power_mw * l1,
            l1_energy_macs=t.l1_energy_macs * l1,
            l2_area_um2=t.l2_area_um2 * l2,
            l2_power_mw=t.l2_power_mw * l2,
            l2_energy_macs=t.l2_energy_macs * l2,
        )


def _between(u: Floats, low: float, high: float) -> Floats:
    found: Floats = low + (high - low) * u
    return found


def _fixed(drawn: Ints, name: str | None, names: Sequence[str]) -> Ints:
    return drawn if name is None else np.full_like(drawn, names.index(name))


class _Parts(NamedTuple):
    """The stages of a split's networks, one after the other.

    Attributes:
        layers: Of the pool.
        flat: The layers of all stages, at their deepest.
        row: (flat layers,) the pool's row of each.
        starts: (stages + 1,) where each begins in it; the last stands for no stage.
        lengths: (stages + 1, depths) layers at each depth.
        stages: Their kinds.
        menu: (ladders of all cells, kinds, levels + 2, variants) stages; -1 for none.
        variants: (kinds, levels) how many there are.
    """

    layers: tuple[Layer, ...]
    flat: tuple[Layer, ...]
    row: Ints
    starts: Ints
    lengths: Ints
    stages: tuple[str, ...]
    menu: Ints
    variants: Ints


@lru_cache(maxsize=len(SPLITS))
def _parts(split: str) -> _Parts:
    written: list[tuple[str, tuple[Layer, ...], tuple[int, ...]]] = []
    menus: list[dict[tuple[int, int], list[int]]] = []
    if split == "zoo":
        for name in MODELS:
            layers = tuple(workload(name))
            written.append((name, layers, (len(layers),)))
    ladders = product(SPLIT_CELLS.get(split, ()), range(SPLITS[split].ladders))
    for cell, ladder in ladders:
        menu: dict[tuple[int, int], list[int]] = {}
        for stage in stages(cell, ladder, deep=SPLITS[split].deep):
            place = menu.setdefault((KINDS.index(stage.kind), stage.level), [])
            place.append(len(written))
            written.append((stage.kind, stage.layers, stage.lengths))
        menus.append(menu)
    flat = tuple(layer for _, layers, _ in written for layer in layers)
    first: dict[object, Layer] = {}
    for layer in flat:
        first.setdefault((layer.shape, layer.repeat), layer)
    place_of = {key: i for i, key in enumerate(first)}
    row = np.array([place_of[layer.shape, layer.repeat] for layer in flat], np.int64)
    counts = np.array([len(layers) for _, layers, _ in written])
    deepest = max(len(lengths) for *_, lengths in written)
    lengths = np.zeros((len(written) + 1, deepest), np.int64)
    for i, (*_, each) in enumerate(written):
        lengths[i] = [*each, *[each[-1]] * (deepest - len(each))]
    most = max((len(v) for menu in menus for v in menu.values()), default=1)
    table = np.full((len(menus), len(KINDS), LEVELS + 2, most), -1, np.int64)
    variants = np.ones((len(KINDS), LEVELS), np.int64)
    for c, menu in enumerate(menus):
        for (kind, level), those in menu.items():
            table[c, kind, level, : len(those)] = those
            if 0 < level <= LEVELS:
                variants[kind, level - 1] = len(those)
    return _Parts(
        tuple(first.values()),
        flat,
        row,
        np.append(np.cumsum(counts) - counts, 0),
        lengths,
        tuple(kind for kind, *_ in written),
        table,
        variants,
    )

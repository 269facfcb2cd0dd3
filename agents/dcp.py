"""DCP: a mapping as a code that the gradients of a learnt predictor update.

After DCP (Xu et al., "DCP: Learning Accelerator Dataflow for Neural Network via Propagation", arXiv
2410.06553): what a mapping is stands in a code, a vector of numbers that can be changed a little; a
network predicts latency and energy of a code, of whichever layer and hardware; and for a layer that
it has never seen, the code goes down the gradient that is propagated back through the network. What
comes out is rounded to a mapping.

Here the code has 25 numbers: log2 of cluster size and tiles, how much each dimension is what is
spread, and how late its loop stands. The network sees features of it (``Codes.features``) and
tells how many times what cannot be avoided latency and energy are. The code is rounded decision by
decision, to the nearest choice after which a valid mapping can still follow, with the rest updated
in between. Many codes go down together, and the predictor ranks what they end as.

The first sample is chosen without having seen a cost. Later ones correct the network's last layer,
and codes also go down from the best that was bought; ``correct=False`` is DCP's own, where samples
teach nothing. Searching takes numpy alone; ``python -m hwgym_agents.train_dcp`` makes a checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.core import Evaluator, Scores, Sees, Statement
from hwgym.costs.maestro import Hardware

from .common import Perceptron, above_zero, best_first, digest, not_negative, positive
from .mappings import (
    CLUSTER,
    DECISIONS,
    INNER_TILES,
    ORDERS,
    OUTER_TILES,
    PARALLEL,
    MappingView,
)

__all__ = [
    "CHECKPOINT",
    "CODE",
    "DCP",
    "FEATURES",
    "TARGETS",
    "Codes",
    "Network",
    "Wanted",
    "descend",
    "load",
]

CHECKPOINT = Path(__file__).with_name("checkpoints") / "dcp.npz"
"""The one that is shipped."""

TARGETS = ("latency", "energy")
"""What a network tells: log2 of each over what :attr:`Codes.least` says."""

CODE = 25
"""Numbers of a code."""
_SIZE = 0
_OUTER, _INNER = slice(1, 5), slice(5, 9)
_SPREAD, _WITHIN = slice(9, 13), slice(13, 17)
_LOOPS, _LOOPS_WITHIN = slice(17, 21), slice(21, 25)
_OF_DECISION: tuple[slice, ...] = (
    slice(_SIZE, 1), _SPREAD, _WITHIN, _LOOPS, *(slice(i, i + 1) for i in range(1, 9)),
    _LOOPS_WITHIN,
)  # fmt: skip
"""The numbers of each decision."""

_K, _C, _Y, _X = range(4)
_ONE, _OTHER = np.array(list(combinations(range(4), 2))).T
_ABOUT = 11
_PARTS = (_ABOUT, 1, 1, *(4,) * 8, 2, 2, 6, 6, 4, 4, 1, 1)
FEATURES = sum(_PARTS)
"""Of a code."""
_WIDEST = 2.0**13
"""Elements a cycle; more is as good as no limit."""
_TINY = 1e-6


class _Level(NamedTuple):
    """One of the two levels of a mapping, in log2; arrays (N, 4), a dimension a column, but for
    ``units`` (N, 1).

    Attributes:
        tile: What is held of a dimension.
        times: How many tiles there are.
        spread: How much the dimension is the one that is spread.
        units: Clusters, or PEs of one.
        few: Fewer tiles than units.
        most: The tiles that units hold side by side if the dimension is spread.
        edge: By how much rounds are more than tiles over units, for being whole.
        halo: Rows and columns that a tile of inputs has beside its own, over these.
        turn: Whether the loop turns, from 0 to 1.
        late: How late one loop stands behind another, by pairs (N, 6), -1 to 1.
    """

    tile: Floats
    times: Floats
    spread: Floats
    units: Floats
    few: Bools
    most: Floats
    edge: Floats
    halo: Floats
    turn: Floats
    late: Floats

    @property
    def beside(self) -> Floats:
        """Tiles side by side."""
        return self.spread * self.most

    @property
    def rounds(self) -> Floats:
        """One after the other."""
        rounds: Floats = self.times - self.beside + self.spread * self.edge
        return rounds

    @property
    def widened(self) -> Floats:
        """Rows and columns of inputs, over those of outputs."""
        return np.log2(1 + self.halo)

    @property
    def order(self) -> Floats:
        """(N, 6) which of two loops is the outer one, where both turn."""
        order: Floats = self.late * self.turn[:, _ONE] * self.turn[:, _OTHER]
        return order


class _Gradient:
    """Gradients with respect to a level's numbers, as they are gathered."""

    def __init__(self, level: _Level) -> None:
        self.level = level
        shape = level.tile.shape
        self.tile, self.count, self.beside, self.widened, self.spread, self.loops = (
            np.zeros(shape) for _ in range(6)
        )
        self.units: Floats = np.zeros(len(level.tile))

    def settle(self, rounds: Floats, order: Floats) -> None:
        """Carry all on to tiles, counts, what is spread, units and loops."""
        level = self.level
        self.count += rounds
        self.beside -= rounds
        self.spread += rounds * level.edge + self.beside * level.most
        most = self.beside * level.spread
        self.count += most * level.few
        self.units += (most * ~level.few).sum(axis=1)
        self.tile -= self.widened * level.halo / (1 + level.halo)
        late = order * level.turn[:, _ONE] * level.turn[:, _OTHER] * (np.abs(level.late) < 1)
        for pair, (one, other) in enumerate(zip(_ONE, _OTHER, strict=True)):
            self.loops[:, other] += late[:, pair]
            self.loops[:, one] -= late[:, pair]
            for this, that in ((one, other), (other, one)):
                turns = order[:, pair] * level.late[:, pair] * level.turn[:, that]
                self.count[:, this] += turns * (level.times[:, this] < 1)


class Features:
    """What a network sees of codes, and the way back.

    Attributes:
        values: (N, :data:`FEATURES`).
        over: (N, 2) log2 of what is needed of L1 and of L2 over what there is.
    """

    def __init__(self, codes: Codes, outer: _Level, inner: _Level) -> None:
        self.codes, self.outer, self.inner = codes, outer, inner
        l1, self._share1 = codes.room(inner, np.zeros_like(inner.tile), padded=True)
        l2, self._share2 = codes.room(outer, outer.beside, padded=False)
        self.over: Floats = np.stack([l1, l2], axis=1) - codes.room_there
        rows = len(l1)
        self.values: Floats = np.concatenate(
            [
                np.tile(codes.about, (rows, 1)),
                inner.units, outer.units,
                outer.tile, inner.tile, outer.times, inner.times,
                outer.rounds, inner.rounds, outer.beside, inner.beside,
                outer.widened[:, _Y:], inner.widened[:, _Y:],
                outer.order, inner.order, outer.spread, inner.spread,
                self.over,
            ],
            axis=1,
        )  # fmt: skip

    def backward(self, gradient: Floats, over: Floats) -> Floats:
        """(N, :data:`CODE`) the gradient with respect to codes of something of which those with
        respect to values and to ``over`` are given."""
        out, in_ = _Gradient(self.outer), _Gradient(self.inner)
        columns = np.split(gradient, np.cumsum(_PARTS)[:-1], axis=1)
        _, cluster, units, *by_dim = columns[:11]
        wide_out, wide_in, order_out, order_in, out.spread, in_.spread, *more = columns[11:]
        (tile_out, tile_in, count_out, count_in, rounds_out, rounds_in, side_out, side_in) = by_dim
        for level, tile, count, beside, wide in (
            (out, tile_out, count_out, side_out, wide_out),
            (in_, tile_in, count_in, side_in, wide_in),
        ):
            level.spread = level.spread.copy()  # it is added to, and a view of what was given
            level.tile += tile
            level.count += count
            level.beside += beside
            level.widened[:, _Y:] += wide
        out.units += units[:, 0]
        in_.units += cluster[:, 0]
        over = over + np.concatenate(more, axis=1)
        self.codes.room_backward(in_, self._share1 * over[:, [0]], padded=True, beside=False)
        self.codes.room_backward(out, self._share2 * over[:, [1]], padded=False, beside=True)
        out.settle(rounds_out, order_out)
        in_.settle(rounds_in, order_in)
        code = np.zeros((len(gradient), CODE))
        code[:, _SIZE] = in_.units - out.units
        code[:, _OUTER] = out.tile - out.count + in_.count
        code[:, _INNER] = in_.tile - in_.count
        code[:, _SPREAD], code[:, _WITHIN] = out.spread, in_.spread
        code[:, _LOOPS], code[:, _LOOPS_WITHIN] = out.loops, in_.loops
        return code


class Codes:
    """Codes of the mappings of a layer on hardware.

    Attributes:
        view: The problem.
        about: (11,) what a network sees of layer and hardware, log2 but for one.
        least: (2,) log2 of a roofline's cycles, and of the nJ of moving everything once.
        room_there: (2,) log2 of the bytes of L1 and L2.
    """

    def __init__(self, view: MappingView) -> None:
        self.view = view
        hardware = view.statement.key["hardware"]
        r, s = view.filters
        self.size = np.log2(view.whole)
        self._halo = np.array([0.0, 0.0, r - 1, s - 1])
        self._weights = float(np.log2(r * s))
        self._results = _C if view.depthwise else _K
        self.room_there = np.log2([hardware["l1_bytes"], hardware["l2_bytes"]])
        self._pes = float(np.log2(view.num_pes))
        bandwidth = float(np.log2(min(view.bandwidth, _WIDEST)))
        self.about = np.array(
            [*self.size, *np.log2(view.filters), view.depthwise, self._pes, *self.room_there,
             bandwidth],
        )  # fmt: skip
        k, c, y, x = view.whole.tolist()
        made = (c if view.depthwise else k) * y * x
        macs = made * r * s * (1 if view.depthwise else c)
        cycles = max(macs / view.num_pes, view.compulsory / view.bandwidth)
        tech = Hardware().tech
        moved = (2 * view.compulsory + made) * tech.l2_energy_macs * tech.mac_energy_nj
        self.least = np.log2([max(cycles, 1.0), moved])

    @cached_property
    def _logs(self) -> dict[int, Floats]:
        """log2 of what choices stand for, where these are numbers."""
        ordered = (CLUSTER, *OUTER_TILES, *INNER_TILES)
        return {step: np.log2(self.view.values[step]) for step in ordered}

    def encode(self, genes: Ints) -> Floats:
        """(N, :data:`CODE`) of genes (N, 13)."""
        m = self.view.mappings(genes)
        rows = np.arange(len(genes))
        code = np.zeros((len(genes), CODE))
        code[:, _SIZE] = np.log2(m.cluster)
        code[:, _OUTER], code[:, _INNER] = np.log2(m.tiles[:, 0]), np.log2(m.tiles[:, 1])
        code[rows, _SPREAD.start + m.parallel[:, 0]] = 1.0
        code[rows, _WITHIN.start + m.parallel[:, 1]] = 1.0
        for loops, order in ((_LOOPS, m.orders[:, 0]), (_LOOPS_WITHIN, m.orders[:, 1])):
            code[:, loops] = order.argsort(axis=1) - 1.5
        return code

    def decode(self, code: Floats) -> Ints:
        """Genes (N, 13), each decision the nearest to the code; which may not be valid."""
        genes = np.empty((len(code), DECISIONS), np.int64)
        for step, logs in self._logs.items():
            middles = (logs[1:] + logs[:-1]) / 2
            genes[:, step] = np.searchsorted(middles, code[:, _OF_DECISION[step].start])
        first = 1 if self.view.depthwise else 0
        for step in PARALLEL:
            genes[:, step] = code[:, _OF_DECISION[step]][:, first:].argmax(axis=1)
        for step in ORDERS:
            late = code[:, _OF_DECISION[step]][:, first:]
            genes[:, step] = self.view.order_of(late.argsort(axis=1, kind="stable") + first)
        return genes

    def clip(self, code: Floats) -> Floats:
        """Codes of which no number is beyond what there is."""
        code = code.copy()
        code[:, _SIZE] = np.clip(code[:, _SIZE], 0.0, self._pes)
        code[:, _OUTER] = np.clip(code[:, _OUTER], 0.0, self.size)
        code[:, _INNER] = np.clip(code[:, _INNER], 0.0, code[:, _OUTER])
        for part in (_SPREAD, _WITHIN):
            share = np.clip(code[:, part], 0.0, 1.0)
            if self.view.depthwise:
                share[:, _K] = 0.0
            total = share.sum(axis=1, keepdims=True)
            code[:, part] = np.where(total > _TINY, share / np.maximum(total, _TINY), 0.25)
        for part in (_LOOPS, _LOOPS_WITHIN):
            code[:, part] = np.clip(code[:, part], -2.0, 2.0)
        return code

    def features(self, code: Floats, edges: tuple[Floats, ...] | None = None) -> Features:
        """What a network sees of codes.

        Args:
            code: (N, :data:`CODE`).
            edges: What whole numbers take away and add (:meth:`edges`), which the gradient takes
                to be fixed; by default those of the codes.
        """
        floor, outer_edge, inner_edge = self.edges(code) if edges is None else edges
        size = code[:, [_SIZE]]
        units = self._pes - size + floor
        outer = self._level(
            code[:, _OUTER], self.size, code[:, _SPREAD], units, outer_edge, code[:, _LOOPS]
        )
        inner = self._level(
            code[:, _INNER], code[:, _OUTER], code[:, _WITHIN], size, inner_edge,
            code[:, _LOOPS_WITHIN],
        )  # fmt: skip
        return Features(self, outer, inner)

    def _level(
        self, tile: Floats, whole: Floats, spread: Floats, units: Floats, edge: Floats, late: Floats
    ) -> _Level:
        count = whole - tile
        return _Level(
            tile,
            count,
            spread,
            units,
            count < units,
            np.minimum(count, units),
            edge,
            self._halo * np.exp2(-tile),
            np.minimum(count, 1.0),
            np.clip(late[:, _OTHER] - late[:, _ONE], -1.0, 1.0),
        )

    def edges(self, code: Floats) -> tuple[Floats, Floats, Floats]:
        """What whole numbers make of codes: log2 of whole clusters over PEs by a cluster's (N, 1);
        of whole rounds over tiles by units, over the array and in a cluster (N, 4)."""
        size = code[:, [_SIZE]]
        units = np.log2(np.maximum(np.floor(np.exp2(self._pes - size) + _TINY), 1.0))
        return (
            units - (self._pes - size),
            _ceiling(self.size - code[:, _OUTER] - units),
            _ceiling(code[:, _OUTER] - code[:, _INNER] - size),
        )

    # --- what buffers hold ----------------------------------------------------------------------

    def _tensors(self, padded: bool) -> tuple[tuple[Sequence[int], bool], ...]:
        """Dimensions of inputs, weights and results, and whether halos count."""
        weights = (_C,) if self.view.depthwise else (_K, _C)
        return ((_C, _Y, _X), True), (weights, False), ((self._results, _Y, _X), padded)

    def room(self, level: _Level, beside: Floats, *, padded: bool) -> tuple[Floats, Floats]:
        """(N,) log2 of the bytes that a buffer holds, each twice, and the shares (N, 3) of inputs,
        weights and results.

        Args:
            level: Whose tiles.
            beside: (N, 4) how many of them.
            padded: As many results are counted as there are rows and columns of inputs.
        """
        each, wide = level.tile + beside, level.widened
        logs = []
        for dims, halo in self._tensors(padded):
            held = each[:, list(dims)].sum(axis=1)
            if halo:
                held = held + wide[:, _Y] + wide[:, _X]
            logs.append(held)
        logs[1] = logs[1] + self._weights
        log = np.stack(logs, axis=1)
        top = log.max(axis=1, keepdims=True)
        share = np.exp2(log - top)
        total = share.sum(axis=1, keepdims=True)
        return 1 + (top + np.log2(total))[:, 0], share / total

    def room_backward(
        self, gradient: _Gradient, shares: Floats, *, padded: bool, beside: bool
    ) -> None:
        """Carry gradients with respect to the three logarithms (N, 3) on to a level."""
        for (dims, halo), share in zip(self._tensors(padded), shares.T, strict=True):
            for dim in dims:
                gradient.tile[:, dim] += share
                if beside:
                    gradient.beside[:, dim] += share
            if halo:
                gradient.widened[:, _Y:] += share[:, None]


def _ceiling(log: Floats) -> Floats:
    """log2 of how much larger the next whole number is, of what is above 1."""
    log = np.maximum(log, 0.0)
    more: Floats = np.log2(np.ceil(np.exp2(log) - _TINY)) - log
    return more


class Network(Perceptron):
    """A multi-layer perceptron with sigmoid-weighted linear units."""

    agent, inputs, outputs = "dcp", FEATURES, len(TARGETS)

    def hidden(self, values: Floats) -> tuple[Array, list[Array]]:
        """What the last layer sees (n, m) of features (n, :data:`FEATURES`); and what
        :meth:`backward` needs."""
        shown, kept = values.astype(np.float32), []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            before = shown @ weight
            before += bias
            gate = 1 / (1 + np.exp(-before))
            shown = before * gate
            gate += shown * (1 - gate)  # the unit's derivative
            kept.append(gate)
        return shown, kept

    def backward(self, gradient: Array, kept: Sequence[Array]) -> Floats:
        """(n, :data:`FEATURES`) the gradient with respect to features, of that (n, m) with respect
        to what the last layer sees."""
        gradient = gradient.astype(np.float32)
        for weight, gate in zip(self.weights[-2::-1], kept[::-1], strict=True):
            gradient = (gradient * gate) @ weight.T
        return gradient.astype(np.float64)

    def last(self, shown: Array) -> Floats:
        """(n, 2) :data:`TARGETS`, of what the last layer sees."""
        return (shown @ self.weights[-1] + self.biases[-1]).astype(np.float64)

    def __call__(self, values: Floats) -> Floats:
        """(n, 2) :data:`TARGETS` of features (n, :data:`FEATURES`)."""
        return self.last(self.hidden(values)[0])


def load(path: str | os.PathLike[str] | None = None) -> Network:
    """The network of a checkpoint, by default of the one that is shipped; read once.

    Raises:
        ValueError, OSError: As :meth:`Network.load`.
    """
    return Network.load(path or CHECKPOINT)


@dataclass(frozen=True)
class Wanted:
    """What codes go down for, in log2.

    Attributes:
        weights: (2,) of latency and energy.
        cap: Of latency; infinite if there is none.
        room: What exceeding a buffer costs, by log2 of how far.
        late: The same of exceeding the cap.
    """

    weights: Floats
    cap: float = np.inf
    room: float = 4.0
    late: float = 6.0

    @classmethod
    def of(cls, statement: Statement, margin: float = 0.0) -> Wanted:
        """What a problem asks for.

        Args:
            statement: Of the problem.
            margin: How far below its limit latency is to stay, as a share.

        Raises:
            ValueError: If it is no objective of mappings, or another limit than one of latency.
        """
        known = {"latency": (1.0, 0.0), "energy": (0.0, 1.0), "edp": (1.0, 1.0)}
        name, constraint = statement.objective.name, statement.constraint
        if name not in known or (constraint is not None and constraint.name != "latency"):
            within = "" if constraint is None else f" within a limit of {constraint.name}"
            raise ValueError(
                f"dcp minimises {', '.join(known)}, if need be within a limit of latency; "
                f"{statement.title} asks for {name}{within}"
            )
        cap = float(np.log2(statement.limit / (1 + margin)))
        return cls(np.array(known[name]), cap)

    def worth(self, told: Floats) -> Floats:
        """(N,) of latency and energy (N, 2)."""
        late = np.maximum(told[:, 0] - self.cap, 0.0)
        worth: Floats = told @ self.weights + self.late * late
        return worth

    def gradient(self, told: Floats) -> Floats:
        """(N, 2) its gradient."""
        gradient = np.tile(self.weights, (len(told), 1))
        gradient[:, 0] += self.late * (told[:, 0] > self.cap)
        return gradient


@dataclass(frozen=True, eq=False)
class Guess:
    """A predictor with its last layer as it is now.

    Attributes:
        network: As it was trained.
        more: (m + 1, 2) what is added to its last layer, the bias last.
    """

    network: Network
    more: Floats

    @classmethod
    def plain(cls, network: Network) -> Guess:
        """With nothing added."""
        return cls(network, np.zeros((len(network.weights[-1]) + 1, len(TARGETS))))

    @cached_property
    def last(self) -> tuple[Array, Array]:
        """Weights and biases of the last layer."""
        weight, bias = self.network.weights[-1], self.network.biases[-1]
        return weight + self.more[:-1].astype(np.float32), bias + self.more[-1].astype(np.float32)

    def tell(self, shown: Array, codes: Codes) -> Floats:
        """(N, 2) log2 of cycles and of nJ, of what the last layer sees."""
        weight, bias = self.last
        return (shown @ weight + bias).astype(np.float64) + codes.least

    def backward(self, gradient: Floats, kept: Sequence[Array]) -> Floats:
        """(N, :data:`FEATURES`) the gradient with respect to features, of that with respect to
        what it tells."""
        return self.network.backward(gradient.astype(np.float32) @ self.last[0].T, kept)


# --- codes go down --------------------------------------------------------------------------------

STAGES = ((0, 24), (3, 12), (4, 10), (6, 8), (8, 8), (10, 6), (DECISIONS, 0))
"""So many decisions are made, and so many updates follow on the others, until the next are."""
_SPREADING = 0.5
_FAST, _SLOW, _LEAST = 0.8, 0.95, 1e-3


def descend(
    guess: Guess, codes: Codes, code: Floats, wanted: Wanted, updates: int, rate: float, made: int
) -> Floats:
    """Codes (N, :data:`CODE`) after updates down the gradient.

    Steps are those of Adam (Kingma and Ba, ICLR 2015), so as far in every direction.

    Args:
        guess: The predictor.
        codes: Of the problem.
        code: (N, :data:`CODE`) where they begin.
        wanted: What for.
        updates: How many.
        rate: How far, in factors of two.
        made: Decisions that stay as they are.
    """
    rates = np.full(CODE, rate)
    rates[_SPREAD.start :] *= _SPREADING  # these numbers go from 0 to 1, or are ranks
    for part in _OF_DECISION[:made]:
        rates[part] = 0.0
    mean, square = np.zeros_like(code), np.zeros_like(code)
    for turn in range(1, updates + 1):
        seen = codes.features(code)
        shown, kept = guess.network.hidden(seen.values)
        gradient = guess.backward(wanted.gradient(guess.tell(shown, codes)), kept)
        full: Floats = wanted.room * (seen.over > 0).astype(np.float64)
        down = seen.backward(gradient, full)
        mean = _FAST * mean + (1 - _FAST) * down
        square = _SLOW * square + (1 - _SLOW) * down**2
        far = mean / (1 - _FAST**turn) / (np.sqrt(square / (1 - _SLOW**turn)) + _LEAST)
        code = codes.clip(code - rates * far)
    return code


def propose(
    guess: Guess,
    codes: Codes,
    code: Floats,
    wanted: Wanted,
    rate: float,
    rng: np.random.Generator,
) -> Ints:
    """Valid genes (n, 13) that codes (N, :data:`CODE`) come to, after each stage and in the end.

    A stage updates, rounds all to a valid mapping, and holds as many decisions to it as the next
    stage has made.
    """
    view, found = codes.view, []
    for (made, updates), (following, _) in pairwise(STAGES):
        code = descend(guess, codes, code, wanted, updates, rate, made)
        genes = view.repair(codes.decode(code), rng)
        found.append(genes)
        rounded = codes.encode(genes)
        for part in _OF_DECISION[:following]:
            code[:, part] = rounded[:, part]
        code = codes.clip(code)
    return np.concatenate(found)


def begin(
    guess: Guess, codes: Codes, wanted: Wanted, draws: int, rng: np.random.Generator, keep: int
) -> Ints:
    """Of random valid mappings, genes of the most promising, best first."""
    genes = codes.view.draw(rng, draws)
    shown, _ = guess.network.hidden(codes.features(codes.encode(genes)).values)
    order = wanted.worth(guess.tell(shown, codes)).argsort(kind="stable")
    return genes[order[:keep]]


_POOL = 20_000
"""Of mappings that were thought of, so many are remembered."""
_TRIES = 20
"""So often it thinks again where nothing new came of it; then it ends."""
_JITTER = np.array([0.5] * _SPREAD.start + [0.2] * 8 + [0.7] * 8)
"""How far from what was bought codes begin anew."""


class _Pool:
    """What was thought of, and what was bought.

    Attributes:
        genes, shown: Thought of and not bought: (n, 13), and what the last layer sees of them.
        bought: (n, 13), best first.
    """

    def __init__(self, evaluator: Evaluator, codes: Codes, network: Network) -> None:
        self.evaluator, self.codes, self.network = evaluator, codes, network
        self.genes = np.zeros((0, DECISIONS), np.int64)
        self.shown: Array = np.zeros((0, len(network.weights[-1])), np.float32)
        self.bought = self.genes
        self._scores: Scores | None = None
        self._met: set[bytes] = set()
        self._told: list[tuple[Array, Floats]] = []  # of what was bought

    def think(self, genes: Ints) -> int:
        """Take in mappings that do not look like any before; how many."""
        values = self.codes.features(self.codes.encode(genes)).values
        new = []
        for row, like in enumerate(values.round(6) + 0.0):
            key = like.tobytes()
            if key not in self._met:
                self._met.add(key)
                new.append(row)
        shown, _ = self.network.hidden(values[new])
        self.genes = np.concatenate([self.genes, genes[new]])[-_POOL:]
        self.shown = np.concatenate([self.shown, shown])[-_POOL:]
        return len(new)

    def buy(self, guess: Guess, wanted: Wanted, count: int) -> None:
        """Buy those that promise most.

        Raises:
            BudgetSpent: If no sample is left.
        """
        worth = wanted.worth(guess.tell(self.shown, self.codes))
        order = worth.argsort(kind="stable")
        chosen, rest = order[:count], np.sort(order[count:])
        genes, shown = self.genes[chosen], self.shown[chosen]
        self.genes, self.shown = self.genes[rest], self.shown[rest]
        scores = self.evaluator.evaluate(genes[..., None])
        known = [scores[name] for name in TARGETS]
        valid = scores.valid
        costs = np.log2(np.where(valid, known, 1.0)).T - self.codes.least
        self._told.append((shown[: len(scores)][valid], costs[valid]))
        bought = np.concatenate([self.bought, genes[: len(scores)]])
        every = Scores.join([self._scores, scores]) if self._scores else scores
        best = best_first(self.evaluator.statement, every)
        self.bought, self._scores = bought[best], every.take(best)

    def corrected(self, doubt: float) -> Guess:
        """The predictor with its last layer regressed on what it was told wrong (ridge regression,
        so many samples' worth towards what was learnt)."""
        plain = Guess.plain(self.network)
        shown = np.concatenate([each for each, _ in self._told])
        if not len(shown):
            return plain
        off = np.concatenate([each for _, each in self._told]) - self.network.last(shown)
        known = np.hstack([shown, np.ones((len(shown), 1))]).astype(np.float64)
        gram = known.T @ known
        gram[np.diag_indices(len(gram))] += doubt * np.trace(gram) / len(known)
        more: Floats = np.linalg.solve(gram, known.T @ off).astype(np.float64)
        return Guess(self.network, more)


@dataclass
class DCP:
    """Updates codes of mappings down the gradients of a trained predictor, and corrects it."""

    checkpoint: str | None = None
    """File that ``train_dcp`` wrote; by default the one that is shipped."""
    correct: bool = True
    """Whether what was bought corrects the predictor, and is where codes begin anew; else samples
    teach nothing, as with DCP itself."""
    draws: int = 4000
    """Random valid mappings of which the most promising are the first codes."""
    starts: int = 512
    """Codes that go down before the first sample."""
    more: int = 96
    """Codes that go down before each later batch."""
    updates: bool = True
    """Whether codes are updated at all; else the predictor ranks random mappings, so that one sees
    what the gradients are worth."""
    rate: float = 0.15
    """How far an update goes, in factors of two."""
    batch: int = 10
    """Samples bought at a time after the first; a tenth of those spent if that is more."""
    margin: float = 0.01
    """By what share latency is to stay below its limit."""
    doubt: float = 0.1
    """Samples' worth of trust in what the predictor learnt before."""

    sees: ClassVar[Sees] = "totals"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the checkpoint."""
        return digest(Path(self.checkpoint or CHECKPOINT))

    def __post_init__(self) -> None:
        positive(self, "draws", "starts", "more", "batch")
        not_negative(self, "margin")
        above_zero(self, "rate", "doubt")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Send codes down, round them, buy what promises most, until the budget is spent.

        Raises:
            ValueError: If it is not a mapping problem, or the checkpoint is none.
        """
        statement, rng = evaluator.statement, np.random.default_rng(seed)
        codes = Codes(MappingView(statement, "dcp"))
        network = load(self.checkpoint)
        guess, wanted = Guess.plain(network), Wanted.of(statement, self.margin)
        pool = _Pool(evaluator, codes, network)
        first = begin(guess, codes, wanted, self.draws, rng, self.starts)
        pool.think(self._down(guess, codes, codes.encode(first), wanted, rng))
        pool.buy(guess, wanted, 1)
        idle = 0
        while idle < _TRIES:
            code = np.zeros((0, CODE))
            if self.correct:
                guess = pool.corrected(self.doubt)
                best = pool.bought[: max(self.more // 8, 1)]
                near = np.resize(codes.encode(best), (self.more // 2, CODE))
                code = codes.clip(near + rng.normal(size=near.shape) * _JITTER)
            fresh = self.more - len(code)
            first = begin(guess, codes, wanted, 8 * fresh, rng, fresh)
            code = np.concatenate([code, codes.encode(first)])
            new = pool.think(self._down(guess, codes, code, wanted, rng))
            if not len(pool.genes):  # hardly any are left
                new = pool.think(codes.view.draw(rng, self.draws))
            idle = 0 if new else idle + 1
            if len(pool.genes):
                pool.buy(guess, wanted, max(self.batch, evaluator.spent // 10))

    def _down(
        self, guess: Guess, codes: Codes, code: Floats, wanted: Wanted, rng: np.random.Generator
    ) -> Ints:
        """Valid genes that codes come to."""
        if not self.updates:
            return codes.view.repair(codes.decode(code), rng)
        return propose(guess, codes, code, wanted, self.rate, rng)

"""Generalist: a policy for networks, budgets and machines that it has never seen.

It goes through a network layer by layer. A small network with the same weights for every layer,
dataflow, machine and choice says what it thinks of each choice of each layer; what the rest of the
budget is worth to the layers that remain, it finds by looking ahead through what it thinks of
theirs. So the price of a budget is a function of all that remains, as attention over it would
be, and the policy acts as a Lagrangian would (Everett, Operations Research 11(3), 1963), without
having seen a cost of the problem.

- *Choices* are told by features of layer, dataflow (its directives), machine and choice
  (:mod:`.assignment_features`): how many tiles and rounds each dimension makes, what tiles hold,
  what loops move. No output belongs to a choice, so any levels, any dataflow and any mix can be
  asked.
- *Worth* of a choice is put together from five numbers that the network gives: cycles, MACs,
  accesses to both buffers, and whether it works at all. They are inner quantities: nobody shows
  the network what they should be, and it learns them from what follows when they are added up by
  technology and objective and the cheapest is taken. What a choice takes of the budget follows
  from its tiles.
- *Lookahead*: the least that the layers after this one would cost, for any budget left, by
  dynamic programming over these worths.

It was trained (:mod:`.train_generalist`) on ``HWAssignMulti-Train``, in one of two ways:

- ``generalist``: by imitating optima, as one imitates an expert who says of each choice how much it
  falls behind (Ross and Bagnell, arXiv 1406.5979).
- ``generalist-returns``: by policy gradient, from what the episodes it played were paid for their
  steps, and nothing else (Williams, Machine Learning 8, 1992; Ziebart, CMU-ML-10-110, 2010, for
  the entropy).

The first assignment is its best guess, made step by step with the environment's masks, from which
it also learns what works where a layer comes again. After it, it corrects its worths by what it has
paid for, and plays again; where that proposes nothing new, it plays by worths drawn around them, of
a spread that rises. Searching needs numpy only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.core import BudgetSpent, Evaluator, Scores, Sees, Statement
from hwgym.costs.maestro import Technology
from hwgym.workloads import Layer

from .assignment_features import NAMES, Known, features_of, known_of, place_features, warn_unlike
from .common import above_zero, checkpoint_arrays, digest, positive

__all__ = [
    "CHECKPOINTS",
    "FEATURES",
    "HEADS",
    "OBJECTIVES",
    "Generalist",
    "GeneralistFromReturns",
    "Inputs",
    "Lookahead",
    "Network",
    "Play",
    "inputs_of",
    "worths",
]

FOLDER = Path(__file__).parent / "checkpoints"
CHECKPOINTS = ("generalist", "generalist-returns")
"""Those that are shipped."""

OBJECTIVES = ("latency", "energy", "edp")
HEADS = ("cycles", "macs", "l1_accesses", "l2_accesses", "works")
"""What the network says of a choice: log2 of the first four over what :class:`Inputs` expects, and
how sure it is that the choice works (log odds)."""

_L1_ACCESSES = 2.0
"""log2 of the accesses of a MAC to its PE's buffer, about: two operands, a sum read and written."""

_FITS = tuple(
    (NAMES.index(f"{what} {dim} in the array"), NAMES.index(f"units of the {level}"))
    for what, level in (("size of a tile", "cluster"), ("tiles", "array"))
    for dim in "KCYX"
)
"""Numbers whose equality tells: a tile as wide as a cluster, as many tiles as units."""

FEATURES = (*NAMES, *(f"{NAMES[a]} is {NAMES[b]}" for a, b in _FITS))

BINS = 1024
"""Steps of the budget in which the lookahead reckons."""


_PRIOR = 0.3
"""Weight of what is thought beside what was seen, of choices as near as can be."""


class Inputs(NamedTuple):
    """What the network is asked about: n layers, each with its choices.

    Attributes:
        features: (n, choices, ``len(FEATURES)``) float32.
        expected: (n, choices, 4) log2 of what the first four of :data:`HEADS` would be of an ideal
            machine, per MAC but for the cycles.
        macs: (n, 1) of one run.
        repeat: (n, 1) runs.
        pes, l1_units, l2_units: (n, choices) that a choice builds: PEs, units of the buffer of
            each, units of the shared one.
    """

    features: Array
    expected: Floats
    macs: Floats
    repeat: Floats
    pes: Floats
    l1_units: Floats
    l2_units: Floats


def inputs_of(
    layers: list[Layer], known: Known, which: int, bandwidth: Ints | None = None
) -> Inputs:
    """What the network is asked about layers under one of the dataflows of a problem.

    Args:
        layers: Any, at least one.
        known: What the problem's statement tells.
        which: Number of the dataflow.
        bandwidth: (n, 1) of the interconnect, instead of the machine's.
    """
    found = features_of(
        layers, known.dataflows[which], known.hardware, known.pes, known.tiles, bandwidth
    )
    technology, values = known.hardware.tech, found.values
    expected = np.stack(
        [
            found.cycles,
            np.zeros_like(found.cycles),
            np.full_like(found.cycles, _L1_ACCESSES),
            found.l2_words - found.macs,
        ],
        axis=-1,
    )
    fits = np.stack([np.abs(values[..., a] - values[..., b]) < 1e-5 for a, b in _FITS], axis=-1)
    return Inputs(
        np.concatenate([values, fits.astype(np.float32)], axis=-1),
        expected,
        np.exp2(found.macs[:, :1]),
        np.array([[float(layer.repeat)] for layer in layers]),
        np.broadcast_to(known.pes.astype(np.float64), found.cycles.shape),
        _units(found.l1_bytes, technology.l1_unit_bytes),
        _units(found.l2_bytes, technology.l2_unit_bytes),
    )


def _units(log2_bytes: Floats, unit: float) -> Floats:
    """Of a buffer that is doubled, so that one half is filled while the other is used; whatever the
    last bits of its logarithm are."""
    units: Floats = np.ceil(2 * np.exp2(log2_bytes) / unit * (1 - 1e-9))
    return units


def usage_of(inputs: Inputs, technology: Technology, constraint: str) -> Floats:
    """(n, choices): what choices take of the budget, by the size of what they build."""
    unit = {"area": "area_um2", "power": "power_mw"}[constraint]
    mac, l1, l2 = (getattr(technology, f"{part}_{unit}") for part in ("mac", "l1", "l2"))
    usage: Floats = inputs.pes * (mac + l1 * inputs.l1_units) + l2 * inputs.l2_units
    return usage


def worths(said: Any, inputs: Any, energy: tuple[Any, Any, Any], objective: str, exp2: Any) -> Any:
    """(n, choices): what choices add to the objective, by what the network says of them.

    Args:
        said: (n, choices, heads), arrays or tensors, as are those of ``inputs``.
        inputs: Of which ``expected``, ``macs`` and ``repeat`` count.
        energy: nJ of a MAC; MACs that an access to the small and to the large buffer is worth.
        objective: One of :data:`OBJECTIVES`.
        exp2: Of the kind of arrays these are.
    """
    cycles, macs, l1, l2 = (exp2(inputs.expected[..., i] + said[..., i]) for i in range(4))
    latency = cycles * inputs.repeat
    if objective == "latency":
        return latency
    mac_nj, l1_macs, l2_macs = energy
    spent = mac_nj * (macs + l1_macs * l1 + l2_macs * l2) * inputs.macs * inputs.repeat
    return spent if objective == "energy" else spent * latency


def single(values: Floats) -> Floats:
    """In single precision, where the last bits of double precision, which differ from machine to
    machine, decide nothing."""
    return values.astype(np.float32).astype(np.float64)


class Network:
    """Two hidden layers, and a linear path around them.

    Args:
        arrays: By name: ``mean`` and ``scale`` of the features, and ``columns``, those that are
            used; ``around``, ``w1``, ``b1``, ``w2``, ``b2``, ``w3``, ``b3``.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = {n: np.asarray(a) for n, a in arrays.items()}
        self._double = {n: a.astype(np.float64) for n, a in self.arrays.items() if n != "columns"}

    def __call__(self, features: Array) -> Floats:
        """(n, choices, heads) of features (n, choices, all)."""
        a = self._double
        x = (features[..., self.arrays["columns"]] - a["mean"]) * a["scale"]
        hidden = np.maximum(x @ a["w1"] + a["b1"], 0)
        hidden = np.maximum(hidden @ a["w2"] + a["b2"], 0)
        return single(hidden @ a["w3"] + x @ a["around"] + a["b3"])


class Checkpoint(NamedTuple):
    """A trained network, and how it was made."""

    network: Network
    made: dict[str, Any]


@lru_cache(maxsize=8)
def _read(path: str, changed: float) -> Checkpoint:
    arrays = checkpoint_arrays(Path(path), "generalist", "features", "made")
    names = [str(name) for name in arrays.pop("features")]
    made = json.loads(str(arrays.pop("made")))
    if names != list(FEATURES):
        raise ValueError(
            f"{path} was trained on other features than there are now: train it again, with "
            f"python -m hwgym_agents.train_generalist"
        )
    return Checkpoint(Network(arrays), made)


def read_checkpoint(name: str) -> Checkpoint:
    """One that is shipped, by its name, or a file.

    Raises:
        ValueError: If there is none of that name, or the file is not one.
        OSError: If the file cannot be read.
    """
    path = checkpoint_path(name)
    return _read(str(path), path.stat().st_mtime)


def checkpoint_path(name: str) -> Path:
    """The file of one that is shipped, or that file.

    Raises:
        ValueError: If there is none of that name.
    """
    if name in CHECKPOINTS:
        return FOLDER / f"{name}.npz"
    if not Path(name).suffix:
        raise ValueError(nearest("checkpoint", name, CHECKPOINTS) + "; or give the path of an .npz")
    return Path(name)


class Lookahead:
    """The least that the layers from each on cost, for any budget, by given worths.

    Args:
        cost, usage: (steps, choices) > 0.
        works: (steps, choices): which choices count; at least one a step.
        alike: (steps,) equal numbers for steps with the same rows.
    """

    def __init__(self, cost: Floats, usage: Floats, works: Bools, alike: Ints) -> None:
        self.cost, self.usage, self.steps = cost, usage, len(cost)
        self._fronts = {}
        for number, step in zip(*np.unique(alike, return_index=True), strict=True):
            self._fronts[number] = _front(cost[step], usage[step], works[step])
        self._alike = alike
        least = np.array([self._fronts[number][1][0] for number in alike])
        self._least = np.append(np.cumsum(least[::-1])[::-1], 0.0)
        self._from, self._until = 0, -1

    def _plan(self, step: int, left: float) -> None:
        """Reckon for the steps from one on, with so much left. Later, when the steps that remain
        are half as many, in finer units again."""
        room = max(left - self._least[step], 0.0)
        self._unit = max(room / BINS, 1e-12 * left)
        self._from, self._until = step, step + max((self.steps - step) // 2, 1)
        value = np.zeros(BINS + 1)
        values = [value]
        shifted = _Shifted(BINS + 1)
        for later in range(self.steps - 1, step, -1):
            cost, usage = self._fronts[self._alike[later]]
            takes = (usage - usage[0]) / self._unit
            within = takes <= BINS
            ahead = shifted(value, takes[within])
            ahead += cost[within, None]
            value = ahead.min(axis=0)
            values.append(value)
        self._values = values[::-1]  # after the first step, after the second, ...

    def __call__(self, step: int, left: float) -> Floats:
        """(choices,): what each choice of a step, and the least of all later ones, would cost; with
        ``left`` of the budget. Infinite where it does not fit, as far as is thought."""
        if not self._from <= step < self._until:
            self._plan(step, left)
        room = (left - self.usage[step] - self._least[step + 1]) / self._unit
        ahead = self._values[step - self._from]
        return np.where(
            room >= 0, self.cost[step] + np.interp(room, np.arange(BINS + 1), ahead), np.inf
        )


def _front(cost: Floats, usage: Floats, works: Bools) -> tuple[Floats, Floats]:
    """Cost and usage of the choices that no other beats in both, by usage."""
    those = np.flatnonzero(works)
    order = those[np.lexsort((cost[those], usage[those]))]
    best = np.minimum.accumulate(cost[order])
    keep = order[np.concatenate([[True], best[1:] < best[:-1]])]
    return cost[keep], usage[keep]


class _Shifted:
    """A function of bins, less what choices take, between bins by a straight line."""

    def __init__(self, bins: int) -> None:
        self.bins = bins
        self._values, self._rises = np.full(2 * bins, np.inf), np.zeros(2 * bins)
        # Row i of a window begins at entry i: a choice that takes n bins reads row ``bins - n``.
        self._windows = [
            as_strided(padded, (bins + 1, bins), (padded.itemsize, padded.itemsize))
            for padded in (self._values, self._rises)
        ]

    def __call__(self, value: Floats, takes: Floats) -> Floats:
        """(choices, bins): the value at each bin less what choices take, in 0 to bins; infinite
        below the first."""
        self._values[self.bins :] = value
        np.subtract(value[1:], value[:-1], out=self._rises[self.bins : -1])
        whole = np.ceil(takes)
        rows = self.bins - whole.astype(np.int64)
        values, rises = (windows[rows] for windows in self._windows)
        rises *= (whole - takes)[:, None]
        rises += values
        found: Floats = rises
        return found


@dataclass
class Generalist:
    """A policy trained on other networks, budgets and machines: its first assignment has seen no
    cost of the problem"""

    checkpoint: str = "generalist"
    """Which network: `generalist`, which imitates optima; `generalist-returns`, which has learnt
    from returns; or the path of an .npz."""
    reach: float = 2.0
    """How far what a choice was seen to cost says something of others of its layer: in powers of
    two of PEs or filters."""
    doubt: float = 0.005
    """By how much worths of choices that it has not seen may be off when it samples: a standard
    deviation of their logarithms, doubled while samples are the same as others before, halved
    while they are new."""

    patience: int = 50
    """It is satisfied after so many samples of which none was better than all before."""

    sees: ClassVar[Sees] = "layers"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the checkpoint."""
        return digest(checkpoint_path(self.checkpoint))

    def __post_init__(self) -> None:
        positive(self, "patience")
        above_zero(self, "reach", "doubt")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Play the policy, then correct it by what it saw and play again, until all is spent or
        nothing better comes.

        Raises:
            ValueError: If the problem is none of those that it was made for.
        """
        check(evaluator.statement)
        warn_unlike("the generalist", evaluator.statement.known)
        played = Play(read_checkpoint(self.checkpoint).network, evaluator, self.reach)
        rng = np.random.default_rng(seed)
        doubt = 0.0
        seen: set[bytes] = set()
        try:
            while evaluator.remaining > 0 and _since_best(evaluator) < self.patience:
                actions = played.episode(doubt, rng).tobytes()
                if actions in seen:
                    doubt = max(2 * doubt, self.doubt)
                elif doubt:
                    doubt = max(doubt / 2, self.doubt)
                seen.add(actions)
        except BudgetSpent:
            return


@dataclass
class GeneralistFromReturns(Generalist):
    """The same policy, trained by policy gradient from the returns of episodes that it played,
    without an optimum"""

    checkpoint: str = "generalist-returns"
    """As of the generalist."""


def _since_best(evaluator: Evaluator) -> int:
    """Samples after the best; 0 while there is none."""
    found = evaluator.improvements
    return evaluator.spent - 1 - found[-1][0] if found else 0


class Play:
    """Episodes of a policy on a problem, and what they taught.

    Args:
        network: What thinks.
        evaluator: Of an agent that sees layers.
        reach: As :attr:`Generalist.reach`.
    """

    def __init__(self, network: Network, evaluator: Evaluator, reach: float = 2.0) -> None:
        self.statement = evaluator.statement
        known = known_of(self.statement.known)
        _, first, self.alike = np.unique(
            self.statement.alike, return_index=True, return_inverse=True
        )
        layers = [known.layers[i] for i in first]
        self.thought, self.usage, self.works = think(network, layers, known, self.statement)
        self.cost, self.seen = self.thought.copy(), np.zeros(self.thought.shape, bool)
        places = place_features(known)
        apart = ((places[:, None] - places) ** 2).sum(axis=-1)
        self._near: Floats = np.exp(-apart / (2 * reach**2))
        self.env = evaluator.environment(on_paid=self._learn, once=True)

    def episode(self, doubt: float, rng: np.random.Generator) -> Ints:
        """Play one, and give the actions.

        Args:
            doubt: Worths of choices that were not seen are off by so much, at random (Thompson,
                Biometrika 25, 1933), the same in all steps of a layer.
            rng: Of these draws.

        Raises:
            BudgetSpent: If no sample is left.
        """
        worth = self.cost
        if doubt:
            off = np.exp(doubt * rng.standard_normal(worth.shape))
            worth = np.where(self.seen, worth, worth * off)
        cost, usage = worth[self.alike], self.usage[self.alike]
        ahead = self._ahead(cost, usage)
        left = self.statement.limit
        actions = np.zeros(len(cost), np.int64)
        self.env.reset(seed=0)
        for step in range(len(cost)):
            mask = self.env.action_masks()[0]
            if self._corrected(step, mask):
                ahead = self._ahead(cost, usage)
            score = ahead(step, left)
            if not np.isfinite(score[mask]).any():  # it thinks that nothing will do
                score = usage[step]
            actions[step] = np.where(mask, score, np.inf).argmin()
            left -= usage[step, actions[step]]
            self.env.step(actions[step : step + 1])
        return actions

    def _ahead(self, cost: Floats, usage: Floats) -> Lookahead:
        return Lookahead(cost, usage, self.works[self.alike], self.alike)

    def _corrected(self, step: int, mask: Bools) -> bool:
        """Take over from a mask which choices of a layer work; whether that changes what lies
        ahead. What is masked though another that takes more is not, does not work."""
        row = self.alike[step]
        usage, works = self.usage[row], self.works[row]
        broken = ~mask & (usage < usage[mask].max() * (1 - 1e-9))
        found = (works | mask) & ~broken
        if not found.any() or (found == works).all():
            return False
        self.works[row] = found
        return bool((self.alike[step + 1 :] == row).any())

    def _learn(self, genes: Ints, scores: Scores, returns: Floats | None) -> None:
        """Take over what the layers of an episode cost and took, and shift what is thought of
        their other choices, the nearer the more."""
        assert scores.parts is not None  # it sees layers
        actions = self.statement.space.encode(genes)[0]
        done = np.flatnonzero(actions >= 0)
        rows, taken = self.alike[done], actions[done]
        self.cost[rows, taken] = scores.parts.cost[0, done]
        self.usage[rows, taken] = scores.parts.used[0, done]
        self.seen[rows, taken] = True
        off = np.where(self.seen, np.log(self.cost / self.thought), 0.0)
        shift = off @ self._near / (self.seen @ self._near + _PRIOR)
        self.cost = np.where(self.seen, self.cost, single(self.thought * np.exp(shift)))


def check(statement: Statement) -> None:
    """See that a problem is one that a generalist was made for.

    Raises:
        ValueError: If it is not.
    """
    known = known_of(statement.known)
    if len(known.layers) != statement.space.num_steps:
        raise ValueError(
            f"the generalist gives each layer a partition of its own (deployment LP); "
            f"{statement.title} has one configuration for all"
        )
    if statement.objective.name not in OBJECTIVES:
        raise ValueError(
            f"the generalist was trained on {', '.join(OBJECTIVES)}; it knows nothing of "
            f"{statement.objective.name!r}"
        )


def think(
    network: Network, layers: list[Layer], known: Known, statement: Statement
) -> tuple[Floats, Floats, Bools]:
    """(layers, choices of all dataflows) each: what choices cost, take, and whether they work, as
    far as a network thinks; at least one of a layer works."""
    assert statement.constraint is not None  # an assignment problem has one
    technology = known.hardware.tech
    energy = (technology.mac_energy_nj, technology.l1_energy_macs, technology.l2_energy_macs)
    parts: list[tuple[Floats, Floats, Floats]] = []
    for which in range(len(known.dataflows)):
        inputs = inputs_of(layers, known, which)
        said = network(inputs.features)
        parts.append(
            (
                single(worths(said, inputs, energy, statement.objective.name, np.exp2)),
                usage_of(inputs, technology, statement.constraint.name),
                said[..., -1],
            )
        )
    # The dataflow is the last axis of a choice.
    joined = (np.stack(each, axis=-1) for each in zip(*parts, strict=True))
    cost, usage, sure = (each.reshape(len(layers), -1) for each in joined)
    works = (sure > 0) | (sure >= sure.max(axis=1, keepdims=True))
    return cost, usage, works

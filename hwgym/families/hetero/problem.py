"""The problems: which sub-accelerators should be built, and what should each run when?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.core.certificate import Certificate
from hwgym.core.metric import METRICS
from hwgym.core.problem import InfeasibleError, Problem, Scores, Statement
from hwgym.core.space import Axis, Space
from hwgym.core.veil import check_lifted
from hwgym.costs.maestro import KINDS
from hwgym.costs.schedules import ChainSchedule, chains
from hwgym.families.hetero.costs import latency_table
from hwgym.families.hetero.scheduling import (
    closed_bounds,
    good_schedule,
    latency_of,
    partition_bounds,
)
from hwgym.families.hetero.space import HeteroSpace, Partition
from hwgym.families.scheduled.cores import MOST_PES
from hwgym.families.scheduled.proofs import proof_of
from hwgym.workloads import Layer, Mix, Workload
from hwgym.workloads import mix as mix_named

__all__ = ["HeteroProblem", "hetero_problem"]

NAME, VERSION = "hetero", 0
MOST_LAYERS = 4000
MOST_BANDWIDTH = 2**40
AT_ONCE = 256
"""Schedules that are scored together: their latencies stay in the cache, or nearly so."""


@dataclass(frozen=True, eq=False, repr=False)
class HeteroProblem(Problem):
    """How should PEs and bandwidth be divided among sub-accelerators, and which layer of which
    network should each run when, so that all networks end soonest?

    Attributes:
        mix: Networks, and how often each runs; the layers of an instance follow one another.
        pes: PEs in all.
        bandwidth: Elements a cycle, of all sub-accelerators; None if it is not limited.
        num_parts: Into which PEs and bandwidth are cut.
        subs: Sub-accelerators at most.
        kinds: Of which they can be.
        width: Choices of the action space's first axis; those beyond a step's own are not valid.
        model: Where cycles come from: ``maestro``, whose bandwidth is that between the global
            buffer and the sub-accelerators, or ``loopnest``, whose is DRAM's.

    Raises:
        InfeasibleError: If no kind can run all layers, however much it gets.
        ValueError: If there are too many partitions.
    """

    suits: ClassVar[str] = "relative"

    mix: Mix
    pes: int
    bandwidth: int | None
    num_parts: int
    subs: int
    kinds: tuple[str, ...]
    width: int
    model: str = "maestro"

    def __post_init__(self) -> None:
        if not len(self.decisions.partitions):
            raise InfeasibleError(
                f"no sub-accelerator of {', '.join(self.kinds)} can run all layers of {self.mix}"
            )

    @cached_property
    def instances(self) -> tuple[Workload, ...]:
        """The chains."""
        return self.mix.instances()

    @cached_property
    def lengths(self) -> Ints:
        """(chains,), layers."""
        return np.array([len(network) for network in self.instances])

    @cached_property
    def instance_names(self) -> tuple[str, ...]:
        """Of the chains: ``ResNet50``, and ``ResNet50 2`` where there are more of it."""
        before: Counter[str] = Counter()
        names = []
        for network in self.instances:
            before[network.name] += 1
            number = before[network.name]
            names.append(network.name if number == 1 else f"{network.name} {number}")
        return tuple(names)

    @cached_property
    def _table(self) -> Floats:
        return latency_table(
            self.instances, self.kinds, self.pes, self.num_parts, self.bandwidth, self.model
        )

    @cached_property
    def decisions(self) -> HeteroSpace:
        """What genes mean."""
        possible = np.isfinite(self._table).all(axis=-1)
        return HeteroSpace(np.asarray(possible), tuple(self.lengths.tolist()), self.subs)

    @cached_property
    def statement(self) -> Statement:
        places: dict[str, int] = {}
        shapes = [str([*layer.shape, layer.kind, layer.repeat]) for layer in self._layers()]
        numbers = [places.setdefault(shape, len(places)) for shape in shapes]
        ends = np.cumsum(self.lengths)
        return Statement(
            key={
                "family": NAME,
                "version": VERSION,
                "cost_model": {"name": self.model, "version": 1},
                "layers": list(places),
                "chains": [part.tolist() for part in np.split(np.array(numbers), ends[:-1])],
                "pes": self.pes,
                "bandwidth": self.bandwidth,
                "parts": self.num_parts,
                "subs": self.subs,
                "kinds": list(self.kinds),
                "width": self.width,
            },
            title=self._title,
            space=self._space,
            objective=METRICS["makespan"],
            features=self._features,
            work=self._work,
            names=self._names,
            scale=self._longest,
            allowed=self._allowed,
            draws=self.decisions.draw,
            repairs=self.decisions.repair,
            known={
                "latency": self._table,
                "lengths": self.lengths,
                "kinds": self.kinds,
                "subs": self.subs,
            },
        )

    @property
    def _title(self) -> str:
        where = " of DRAM" if self.model == "loopnest" else ""
        through = (
            f"{self.bandwidth:,} elements a cycle{where}" if self.bandwidth else "any bandwidth"
        )
        return f"{self.mix.name} on {self.pes:,} PEs, {through}"

    def _layers(self) -> Iterator[Layer]:
        for network in self.instances:
            yield from network

    @property
    def _space(self) -> Space:
        of = self.decisions
        share = np.arange(self.num_parts + 1)
        labels = {"kind": self.kinds, "PEs": tuple((self.pes * share // self.num_parts).tolist())}
        if self.bandwidth is not None:
            labels["bandwidth"] = tuple((self.bandwidth * share // self.num_parts).tolist())
        first = {
            what: Axis(what, values, "categorical" if what == "kind" else "ordered")
            for what, values in labels.items()
        }
        none = Axis("core", ("",), "categorical")
        send = (
            Axis("chain", self.instance_names, "categorical"),
            Axis("core", tuple(range(1, self.subs + 1)), "categorical"),
        )
        axes = (
            Axis("choice", tuple(range(self.width)), "categorical"),
            Axis("core", send[1].labels, "categorical"),
        )
        own = [*((first[what], none) for what, _ in of.decisions), *[send] * of.layers]
        return Space(len(own), axes, tuple(own))

    @property
    def _names(self) -> tuple[str, ...]:
        first = [f"{what} {sub + 1}" for what, sub in self.decisions.decisions]
        return (*first, *(f"layer {i + 1}" for i in range(self.decisions.layers)))

    @property
    def _features(self) -> Floats:
        """(steps, 4): one of what is decided, and of which sub-accelerator; 0 of a layer."""
        of = self.decisions
        features = np.zeros((len(of.decisions) + of.layers, 4))
        for at, (what, sub) in enumerate(of.decisions):
            features[at, ("kind", "PEs", "bandwidth").index(what)] = 1.0
            features[at, 3] = (sub + 1) / self.subs
        return features

    @property
    def _work(self) -> Floats:
        """(steps,): a layer's share of a good makespan; of the partition, all of it a decision."""
        of = self.decisions
        work = np.full(len(of.decisions) + of.layers, self.unit / of.layers)
        work[: len(of.decisions)] = self.unit
        return work

    @cached_property
    def bounds(self) -> Floats:
        """Cycles (designs,) that no schedule on each of ``decisions.designs`` is under."""
        return partition_bounds(self._table, self.lengths, self.decisions.designs)

    @cached_property
    def closed(self) -> Floats:
        """Such bounds (designs,) in closed form."""
        return closed_bounds(self._table, self.lengths, self.decisions.designs)

    @property
    def unit(self) -> float:
        """Cycles, by which observations measure: the least of those bounds."""
        return float(self.closed.min())

    @property
    def _longest(self) -> float:
        """No valid schedule takes longer: one layer after the other, each on its slowest."""
        can = self.decisions.possible[..., None]
        return float(np.where(can, self._table, 0.0).max(axis=(0, 1, 2)).sum())

    def _allowed(self, genes: Ints, step: int) -> Bools:
        choice, core = self.decisions.allowed(genes, step)
        mask = np.zeros((len(genes), self.width + self.subs), bool)
        mask[:, : choice.shape[1]] = choice
        mask[:, self.width :] = core
        return mask

    def fastest(self, partition: Partition) -> Floats:
        """(N, layers): cycles of each layer where it is fastest, of partitions (N, subs)."""
        found: Floats = latency_of(self._table, partition).min(axis=1)
        return found

    # --- solutions ------------------------------------------------------------------------------

    def schedule(self, genes: Ints) -> ChainSchedule:
        """When layers run, of valid genes (N, steps, 2).

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("an evaluation past the evaluator")
        return self._run(genes)

    def _run(self, genes: Ints) -> ChainSchedule:
        takes = latency_of(self._table, self.decisions.partition_of(genes))
        return chains(takes.transpose(0, 2, 1), self.lengths, *self.decisions.plan_of(genes))

    def built(self, genes: Ints) -> list[dict[str, Any]]:
        """The sub-accelerators of valid genes (steps, 2), JSON values each: its number, kind, PEs,
        bandwidth (elements a cycle; None if not limited), how many layers it runs, and its share
        of the makespan in which it does.

        Raises:
            Withheld: While an agent searches.
        """
        kind, pes, bandwidth = (e[0] for e in self.decisions.partition_of(genes[None]))
        found = self.schedule(genes[None])
        busy = found.busy[0] / found.makespan[0]
        return [
            {
                "number": sub + 1,
                "kind": self.kinds[kind[sub]],
                "pes": int(self.pes * pes[sub] // self.num_parts),
                "bandwidth": None
                if self.bandwidth is None
                else int(self.bandwidth * bandwidth[sub] // self.num_parts),
                "layers": int((found.core[0] == sub).sum()),
                "busy": float(busy[sub]),
            }
            for sub in np.flatnonzero(pes).tolist()
        ]

    def score(self, genes: Ints) -> Scores:
        """Valid is a partition that can be built, and a plan that sends every layer to it."""
        valid = self.decisions.valid(genes)
        makespan = np.full(len(genes), np.inf)
        which = np.flatnonzero(valid)
        for some in np.split(which, range(AT_ONCE, len(which), AT_ONCE)):
            if len(some):
                makespan[some] = self._run(genes[some]).makespan
        return Scores(makespan, np.zeros(len(genes)), valid, valid)

    def certify(self) -> Certificate:
        started = time.perf_counter()
        bound = float(self.bounds.min())
        if (kept := proof_of(self, bound)) is not None:
            return kept
        of = self.decisions
        found = good_schedule(self._table, self.lengths, of.designs, self.bounds)
        built = Partition(*(each[found.design] for each in of.designs))
        genes = of.genes_of(*built, found.chain, found.core)[0]
        makespan = float(self.score(genes[None]).objective[0])
        return Certificate(
            genes,
            makespan,
            min(bound, makespan),
            "list schedules under rules found by chance; bound by weights of sub-accelerators and "
            "chains, the least of all partitions",
            time.perf_counter() - started,
            min(self.unit, makespan),
        )

    @property
    def description(self) -> Mapping[str, Any]:
        networks = [
            [asdict(network) if isinstance(network, Workload) else network, count]
            for network, count in self.mix.networks
        ]
        return {
            "mix": {"name": self.mix.name, "networks": networks},
            "pes": self.pes,
            "bandwidth": self.bandwidth,
            "parts": self.num_parts,
            "subs": self.subs,
            "kinds": list(self.kinds),
            "width": self.width,
            "model": self.model,
        }


@lru_cache(maxsize=128)
def _problem(*asked: Any) -> HeteroProblem:
    return HeteroProblem(*asked)


def hetero_problem(
    mix: str | Mix | Mapping[str, Any] = "Mobile",
    pes: int = 1024,
    *,
    bandwidth: int | None = None,
    parts: int = 8,
    subs: int = 3,
    kinds: Sequence[str] = tuple(KINDS),
    width: int | None = None,
    model: str = "maestro",
) -> HeteroProblem:
    """A problem from names, shared: equal arguments give the same object and certificate.

    Args:
        mix: A mix or its name (:data:`~hwgym.workloads.MIXES`); or how often each network runs,
            ``{"ResNet50": 1, "MobileNetV2": 6}``; or a mix's ``name`` and ``networks``, pairs of a
            network, perhaps its ``name`` and ``layers``, and how often it runs.
        pes: PEs in all.
        bandwidth: Elements a cycle: between the global buffer and all sub-accelerators, or of DRAM,
            as the model has it; by default not limited.
        parts: Into which PEs and bandwidth are cut, 2 to 16.
        subs: Sub-accelerators at most, 1 to 4.
        kinds: Of which they can be, keys of :data:`~hwgym.costs.maestro.KINDS`.
        width: Choices of the action space's first axis, where problems of a bank must have as
            many; by default those that a step needs.
        model: Where cycles come from, ``maestro`` or ``loopnest``
            (:func:`~hwgym.families.hetero.latency_table`).

    Raises:
        ValueError: If a name or a number is wrong, or there are more than 200,000 partitions.
        InfeasibleError: If nothing can be built that runs all layers (a ValueError, too).
    """
    chosen = _mix_of(mix)
    if isinstance(kinds, str) or not kinds or len(set(kinds)) < len(kinds):
        raise ValueError(f"kinds must be one or more of {', '.join(KINDS)}, got {kinds!r}")
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(nearest("kind of sub-accelerator", kind, KINDS))
    whole = {"parts": (parts, 2, 16), "subs": (subs, 1, 4)}
    _check(whole)
    _check({"pes": (pes, parts, MOST_PES)})
    if bandwidth is not None:
        _check({"bandwidth": (bandwidth, parts, MOST_BANDWIDTH)})
    instances = chosen.instances()
    layers = sum(map(len, instances))
    if layers > MOST_LAYERS:
        raise ValueError(f"a mix may have {MOST_LAYERS:,} layers, {chosen} has {layers:,}")
    needed = max(len(instances), len(kinds), parts + 1 if subs > 1 else 0)
    if width is not None:
        _check({"width": (width, needed, 4096)})
    return _problem(chosen, pes, bandwidth, parts, subs, tuple(kinds), width or needed, model)


def _check(whole: Mapping[str, tuple[Any, int, int]]) -> None:
    for name, (value, least, most) in whole.items():
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{name} must be an integer from {least} to {most:,}, got {value!r}")


def _mix_of(given: str | Mix | Mapping[str, Any]) -> Mix:
    if not isinstance(given, Mapping):
        return mix_named(given)
    if "networks" not in given:
        name = ", ".join(f"{count} x {network}" for network, count in given.items())
        return Mix(name, tuple(given.items()))
    pairs = [(_network(network), count) for network, count in given["networks"]]
    return Mix(given.get("name", "mix"), tuple(pairs))


def _network(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    layers = (e if isinstance(e, Layer) else Layer(**e) for e in given.get("layers", ()))
    return Workload(given.get("name", "network"), tuple(layers))

"""The decisions: which sub-accelerators are built, then which layer is sent where, one by one.

Genes are (steps, 2). First the partition, one decision a step, in the first column: the kind of
the first sub-accelerator, its parts of the PEs, its parts of the bandwidth where that is limited,
then those of the second; of the last only the kind, since it gets what is left. One that has no
PEs is not built, and has no bandwidth; the first is built. Then a step a layer: the chain whose
next layer is sent, and the sub-accelerator that runs it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints

__all__ = ["MOST_PARTITIONS", "HeteroSpace", "Partition"]

MOST_PARTITIONS = 200_000


class Partition(NamedTuple):
    """Sub-accelerators, arrays (..., subs).

    Attributes:
        kind: Index of the kind; means nothing where there are no PEs.
        pes: Parts of the PEs; 0 where it is not built.
        bandwidth: Parts of the bandwidth; 1 of each that is built where it is not limited.
    """

    kind: Ints
    pes: Ints
    bandwidth: Ints


@dataclass(frozen=True, eq=False)
class HeteroSpace:
    """What genes mean, and which are valid.

    Attributes:
        possible: (kinds, parts, parts or 1) bools: every layer can run on a sub-accelerator of a
            kind with p + 1 parts of the PEs and b + 1 parts of the bandwidth; others are not built.
            The last axis has one entry where the bandwidth is not limited.
        lengths: Layers of each chain.
        subs: Sub-accelerators at most.

    Raises:
        ValueError: If there are more than 200,000 partitions.
    """

    possible: Bools
    lengths: tuple[int, ...]
    subs: int

    def __post_init__(self) -> None:
        kinds, most = self.possible.shape[0], self.parts - 1
        power = 2 if self.limited else 1
        count = kinds**self.subs * sum(
            math.comb(self.subs - 1, others) * math.comb(most, others) ** power
            for others in range(self.subs)
        )
        if count > MOST_PARTITIONS:
            raise ValueError(
                f"{self.subs} sub-accelerators of {kinds} kinds with {self.parts} parts can be "
                f"partitioned in {count:,} ways, more than {MOST_PARTITIONS:,}: take fewer parts "
                "or sub-accelerators"
            )

    @classmethod
    def told(cls, known: Mapping[str, Any]) -> HeteroSpace:
        """That of a problem, from its ``Statement.known``."""
        possible = np.isfinite(known["latency"]).all(axis=-1)
        return cls(possible, tuple(map(int, known["lengths"])), int(known["subs"]))

    @property
    def parts(self) -> int:
        """Into which the PEs are cut, and the bandwidth."""
        return int(self.possible.shape[1])

    @property
    def limited(self) -> bool:
        """Whether the bandwidth is divided, too."""
        return bool(self.possible.shape[2] > 1)

    @property
    def layers(self) -> int:
        """Of all chains."""
        return sum(self.lengths)

    @cached_property
    def decisions(self) -> tuple[tuple[str, int], ...]:
        """(what, which sub-accelerator) of the steps of the partition: ``kind``, ``PEs``,
        ``bandwidth``."""
        each = ("kind", "PEs", "bandwidth") if self.limited else ("kind", "PEs")
        found = [(what, sub) for sub in range(self.subs - 1) for what in each]
        return (*found, ("kind", self.subs - 1))

    # --- genes ----------------------------------------------------------------------------------

    def partition_of(self, genes: Ints) -> Partition:
        """The partition (N, subs) of valid genes (N, steps, 2)."""
        taken = genes[:, : len(self.decisions), 0]
        apart = {
            what: taken[:, [at for at, (each, _) in enumerate(self.decisions) if each == what]]
            for what in ("kind", "PEs", "bandwidth")
        }
        pes = self._with_last(apart["PEs"])
        bandwidth = self._with_last(apart["bandwidth"]) if self.limited else (pes > 0).astype(int)
        return Partition(apart["kind"], pes, bandwidth)

    def _with_last(self, taken: Ints) -> Ints:
        return np.column_stack([taken, self.parts - taken.sum(axis=1)])

    def plan_of(self, genes: Ints) -> tuple[Ints, Ints]:
        """By decision, (N, layers) each: the chain whose next layer is sent, and where to."""
        plan = genes[:, len(self.decisions) :]
        return plan[..., 0], plan[..., 1]

    def genes_of(self, kind: Ints, pes: Ints, bandwidth: Ints, chain: Ints, core: Ints) -> Ints:
        """Genes (N, steps, 2) of partitions (N, subs) and plans (N, layers); those of one without
        the first axis are of all."""
        told = dict(zip(("kind", "PEs", "bandwidth"), (kind, pes, bandwidth), strict=True))
        first = [np.asarray(told[what])[..., sub] for what, sub in self.decisions]
        count = max(np.size(each) for each in (*first, np.asarray(chain)[..., 0]))
        steps = len(self.decisions)
        genes = np.zeros((count, steps + self.layers, 2), np.int64)
        for at, values in enumerate(first):
            genes[:, at, 0] = values
        genes[:, steps:, 0], genes[:, steps:, 1] = chain, core
        return genes

    # --- which are valid ------------------------------------------------------------------------

    @cached_property
    def partitions(self) -> Ints:
        """(partitions, decisions): the genes of every valid one."""
        kinds = self.possible.shape[0]
        every = np.array(list(itertools.product(range(kinds), repeat=self.subs)))
        found = []
        for pes in self._divided(np.ones(self.subs, bool)):
            built = pes > 0
            shares = self._divided(built, all_of=True) if self.limited else [built.astype(int)]
            for bandwidth in shares:
                can = self.possible[every, pes - 1, bandwidth - 1] | ~built
                kept = every[can.all(axis=1)]
                if not len(kept):
                    continue
                columns = []
                for what, sub in self.decisions:
                    one = {"PEs": pes[sub], "bandwidth": bandwidth[sub]}
                    columns.append(
                        kept[:, sub] if what == "kind" else np.full(len(kept), one[what])
                    )
                found.append(np.stack(columns, axis=1))
        if not found:
            return np.zeros((0, len(self.decisions)), np.int64)
        return np.concatenate(found)

    def _divided(self, among: Bools, all_of: bool = False) -> Sequence[Ints]:
        """All ways to divide the parts among some sub-accelerators; the first gets one at least,
        or each (``all_of``)."""
        which = np.flatnonzero(among)
        ways = []
        for given in itertools.product(range(self.parts + 1), repeat=len(which) - 1):
            shares = np.array([*given, self.parts - sum(given)])
            if shares.min() >= all_of and shares[0] > 0:
                way = np.zeros(self.subs, np.int64)
                way[which] = shares
                ways.append(way)
        return ways

    @property
    def designs(self) -> Partition:
        """Every valid partition once, whatever the order of its sub-accelerators; those that are
        not built last."""
        return self._designs[0]

    @property
    def design_of(self) -> Ints:
        """(partitions,): which of :attr:`designs` each of :attr:`partitions` is."""
        return self._designs[1]

    @cached_property
    def _designs(self) -> tuple[Partition, Ints]:
        made = self.partition_of(self.partitions[:, :, None])
        size = (len(self.possible), self.parts + 1, self.parts + 1)
        # The kind first, then the more PEs; one that is not built after all others.
        code = np.ravel_multi_index(
            (made.kind, self.parts - made.pes, self.parts - made.bandwidth), size
        )
        code = np.sort(np.where(made.pes > 0, code, math.prod(size) - 1), axis=1)
        different, which = np.unique(code, axis=0, return_inverse=True)
        kind, pes, bandwidth = np.unravel_index(different, size)
        built = pes < self.parts
        designs = Partition(
            np.where(built, kind, 0),
            np.where(built, self.parts - pes, 0),
            np.where(built, self.parts - bandwidth, 0),
        )
        return designs, which.reshape(-1)

    @cached_property
    def _prefixes(self) -> list[tuple[Ints, Ints]]:
        """For each number of decisions taken: the codes of what can lead to a valid partition, in
        order, and of each valid partition which of them it begins with."""
        found = []
        for taken in range(len(self.decisions) + 1):
            codes, begins = np.unique(self._codes(self.partitions[:, :taken]), return_inverse=True)
            found.append((codes, begins.reshape(-1)))
        return found

    def _codes(self, taken: Ints) -> Ints:
        """(N,) numbers of decisions (N, n) taken; -1 where one cannot be."""
        base = max(self.parts + 1, len(self.possible))
        there = ((taken >= 0) & (taken < base)).all(axis=1)
        code: Ints = taken @ base ** np.arange(taken.shape[1], dtype=np.int64)
        return np.where(there, code, -1)

    def begun(self, genes: Ints, taken: int) -> Ints:
        """(N,): of genes (N, steps, 2) as a partition whose first decisions are taken, the number
        of that beginning, for :meth:`choices` and :meth:`least`; -1 where no valid one begins
        so."""
        codes = self._prefixes[taken][0]
        code = self._codes(genes[:, :taken, 0])
        at = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
        return np.where(codes[at] == code, at, -1)

    def least(self, of_designs: Floats) -> list[Floats]:
        """For each number of decisions taken (beginnings + 1,): the least that a number a design is
        over the partitions that begin so; the last, which -1 finds, of all."""
        found = []
        for codes, begins in self._prefixes:
            least = np.full(len(codes) + 1, of_designs.min())
            least[:-1] = np.inf
            np.minimum.at(least, begins, of_designs[self.design_of])
            found.append(least)
        return found

    @cached_property
    def choices(self) -> list[Bools]:
        """For each decision (beginnings + 1, choices): which can lead to a valid partition; the
        last row, which -1 finds, allows all."""
        found = []
        for at, (what, _) in enumerate(self.decisions):
            codes, begins = self._prefixes[at]
            size = len(self.possible) if what == "kind" else self.parts + 1
            can = np.zeros((len(codes) + 1, size), bool)
            can[begins, self.partitions[:, at]] = True
            can[-1] = True
            found.append(can)
        return found

    def allowed(self, genes: Ints, step: int) -> tuple[Bools, Bools]:
        """Which choices of a step of genes (N, steps, 2) can lead to a valid solution, given those
        before it: (N, choices) of the first axis, (N, subs) of the second.

        Every choice that can goes with every other of the other axis that can.
        """
        taken = len(self.decisions)
        where = np.zeros((len(genes), self.subs), bool)
        where[:, 0] = True
        if step < taken:
            return self.choices[step][self.begun(genes, step)], where
        valid = self.begun(genes, taken) >= 0
        where = (self.partition_of(genes).pes > 0) | ~valid[:, None]
        count = len(self.lengths)
        sent = genes[:, taken:step, 0]
        known = (sent >= 0) & (sent < count)
        cell = (np.arange(len(genes))[:, None] * (count + 1)) + np.where(known, sent, count)
        times = np.bincount(cell.reshape(-1), minlength=len(genes) * (count + 1))
        left = times.reshape(len(genes), count + 1)[:, :count] < np.array(self.lengths)
        return left, where

    def valid(self, genes: Ints) -> Bools:
        """(N,): genes (N, steps, 2) make a partition that can be built, send every layer, and send
        it to a sub-accelerator that is built."""
        taken = len(self.decisions)
        good = (self.begun(genes, taken) >= 0) & (genes[:, :taken, 1] == 0).all(axis=1)
        chain, core = self.plan_of(genes)
        pes = self.partition_of(genes).pes
        good &= ((core >= 0) & (core < self.subs)).all(axis=1)
        good &= (np.take_along_axis(pes, np.clip(core, 0, self.subs - 1), 1) > 0).all(axis=1)
        wanted = np.repeat(np.arange(len(self.lengths)), self.lengths)
        good &= (np.sort(chain, axis=1) == wanted).all(axis=1)
        return np.asarray(good)

    # --- whole solutions at once: there are too many steps to go one by one ---------------------

    def draw(self, rng: np.random.Generator, count: int) -> Ints:
        """Random valid genes (count, steps, 2): any partition, any order of the chains' layers, any
        sub-accelerator that is built, each as likely as any other."""
        taken = len(self.decisions)
        owner = np.repeat(np.arange(len(self.lengths)), self.lengths)
        genes = np.zeros((count, taken + self.layers, 2), np.int64)
        genes[:, :taken, 0] = self.partitions[rng.integers(len(self.partitions), size=count)]
        genes[:, taken:, 0] = rng.permuted(np.tile(owner, (count, 1)), axis=1)
        genes[:, taken:, 1] = self._any_built(genes, rng)
        return genes

    def repair(self, genes: Ints, rng: np.random.Generator) -> Ints:
        """Valid genes (N, steps, 2) that keep what they can of others: of the partition, decision
        by decision, the nearest choice that can be, of kinds any; where a chain is sent that has no
        layers left, in any order those of which there are some; for a sub-accelerator that is not
        built, any that is."""
        taken, genes = len(self.decisions), genes.copy()
        genes[:, :taken, 1] = 0
        for at, (what, _) in enumerate(self.decisions):
            can = self.choices[at][self.begun(genes, at)]
            away = np.arange(can.shape[1]) - genes[:, [at], 0]
            other = rng.random(can.shape) if what == "kind" else 2.0 * np.abs(away) + (away > 0)
            rank = np.where(can, np.where(away == 0, -1.0, other), np.inf)
            genes[:, at, 0] = rank.argmin(axis=1)

        sent, lengths = genes[:, taken:, 0], np.array(self.lengths)
        which = sent[..., None] == np.arange(len(lengths))
        times = np.minimum(which.sum(axis=1), lengths)
        too_many = ~(which & (which.cumsum(axis=1) <= lengths)).any(axis=2)
        row, at_layer = np.nonzero(too_many)
        order = np.lexsort((rng.random(len(row)), row))
        missing = np.tile(np.arange(len(lengths)), len(genes))
        sent[row, at_layer[order]] = np.repeat(missing, (lengths - times).reshape(-1))

        core = genes[:, taken:, 1]
        built = self.partition_of(genes).pes > 0
        wrong = ~np.take_along_axis(built, np.clip(core, 0, self.subs - 1), 1)
        wrong |= (core < 0) | (core >= self.subs)
        core[wrong] = self._any_built(genes, rng)[wrong]
        return genes

    def _any_built(self, genes: Ints, rng: np.random.Generator) -> Ints:
        """(N, layers): for each layer a random sub-accelerator that is built."""
        built = self.partition_of(genes).pes > 0
        first = np.argsort(~built, axis=1, kind="stable")
        number = (rng.random((len(genes), self.layers)) * built.sum(axis=1)[:, None]).astype(int)
        return np.take_along_axis(first, number, 1)

"""The cases of a level added up: cycles, accesses, buffers, bandwidths.

A case stands for as many iterations as its states make; its delay is that of what takes longest
among bringing data in, computing and sending results up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.costs.maestro.arithmetic import ceil_quotient, product, quotient, weighted_sum
from hwgym.costs.maestro.levels import INPUTS, Interconnect
from hwgym.costs.maestro.states import Block
from hwgym.costs.maestro.traffic import brought_in, sent_up

__all__ = ["NEVER", "Below", "Cases", "Totals", "Work"]


@dataclass
class Work:
    """What a level's work costs, per row.

    ``l1_bytes`` are elements (one byte each). ``aborted``: the reference stops with an error or a
    division by zero.
    """

    runtime: Ints
    active_units: Floats
    l1_bytes: Ints
    aborted: Bools


@dataclass
class Totals(Work):
    """What the outermost level costs, per row: sums and extremes over its cases.

    Counts are accesses; buffer requirements are elements. ``is_leaf``: no level below was ever
    asked.
    """

    is_leaf: Bools
    macs: Ints
    l2_request: dict[str, Ints]
    l2_read: dict[str, Ints]
    l1_write_output: Ints
    l2_write_output: Ints
    cases: Ints
    peak_bandwidth: Ints
    bandwidth_sum: Ints
    offchip_bandwidth: Ints
    delay_sum: dict[str, Ints]
    delay_min: dict[str, Ints]
    delay_max: dict[str, Ints]
    intensity: Floats


NEVER, FOREVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""Untouched, the reference's least delay is the greatest 80-bit float; as an integer, this."""


class Below(NamedTuple):
    """What a block's cases find below, (cases, rows): the work of a full sub-cluster and, where the
    last busy one may be clipped at a spatial edge, of that."""

    full: Work
    clipped: Work | None
    aborts: bool  # somewhere, so that it is worth a look


def _descend(block: Block, below: Below) -> Work:
    """What each case finds below, (cases, rows): the cycles of the slower of the full
    sub-clusters and the clipped one, and the busy PEs of all."""
    work, last, aborts = below
    busy = block.ordered(block.busy_units())
    runtime, l1_bytes, aborted = np.maximum(work.runtime, 0), work.l1_bytes, work.aborted
    if last is None:
        units = work.active_units * busy
    else:
        clipped = block.ordered(block.clipped_here)
        full = busy - clipped
        some_full = full > 0
        runtime = np.where(some_full, runtime, 0)
        runtime = np.where(clipped, np.maximum(runtime, last.runtime), runtime)
        units = np.where(some_full, work.active_units * full, 0.0)
        units = np.where(clipped, units + last.active_units, units)
        l1_bytes = np.where(clipped, last.l1_bytes, l1_bytes)
        if aborts:
            aborted = (aborted & some_full) | (clipped & last.aborted)
    return Work(runtime, np.where(units == 0, busy, units), l1_bytes, aborted)


@dataclass(frozen=True)
class Cases:
    """The cases of a block in the reference's order; arrays (cases, rows), or (rows,) by name.

    Attributes:
        sent, macs, brought, ingress: Traffic and work; what is brought, and that of all tensors.
        works: Whether anything is computed.
        always: All of them work.
        sized_by: (rows,) the case up to which buffers are sized. It is the first one that works;
            the reference knows the first case by a counter that cases without work do not move.
        done: Iterations, none for a case without work; ``times``, for any.
        below: Of what is computed in the case.
        aborted: (rows,).
    """

    block: Block
    noc: Interconnect
    sent: Ints
    macs: Ints
    brought: dict[str, Ints]
    ingress: Ints
    works: Bools
    always: bool
    sized_by: Ints
    times: Ints
    done: Ints
    delay: dict[str, Ints]
    below: Work
    aborted: Bools
    innermost: bool

    @classmethod
    def of(cls, block: Block, below: Below | None, noc: Interconnect) -> Cases:
        sent, macs, busiest = (block.ordered(v) for v in sent_up(block))
        works = busiest > 0
        sized_by = np.zeros(works.shape[1], np.int64)
        if not works[0].all():
            sized_by = np.where(works.any(axis=0), works.argmax(axis=0), len(works) - 1)

        brought, aborted = {}, block.no
        for t in INPUTS:
            volume, gives_up = brought_in(block, t)
            brought[t] = block.ordered(volume)
            if gives_up is not None:
                counts = works | (np.arange(len(works))[:, None] <= sized_by)
                aborted = aborted | (block.ordered(gives_up) & counts).any(axis=0)

        if below is None:
            found = Work(
                runtime=ceil_quotient(busiest, noc.lanes),
                active_units=block.ordered(block.busy_units()).astype(np.float64),
                l1_bytes=np.zeros_like(busiest),
                aborted=np.zeros_like(works),
            )
        else:
            found = _descend(block, below)
            if below.aborts:
                aborted = aborted | (works & found.aborted).any(axis=0)
        times = block.ordered(block.times())
        ingress = brought["input"] + brought["weight"]
        always = bool(works.all())
        delay = {
            "ingress": noc.delay(ingress),
            "egress": noc.delay(sent),
            "compute": found.runtime,
        }
        return cls(
            block=block,
            noc=noc,
            sent=sent,
            macs=macs,
            brought=brought,
            ingress=ingress,
            works=works,
            always=always,
            sized_by=sized_by,
            times=times,
            done=times if always else times * works,
            delay=delay,
            below=found,
            aborted=aborted,
            innermost=below is None,
        )

    def where_works(self, values: Ints, otherwise: int) -> Ints:
        """Values of the cases that work, and something else for the others."""
        return values if self.always else np.where(self.works, values, otherwise)

    def outstanding(self) -> Ints:
        """Cycles that an iteration of each case adds: what takes longest, once it overlaps."""
        compute, ingress = self.delay["compute"], self.delay["ingress"]
        cycles = np.maximum(self.delay["egress"], np.maximum(compute, ingress))
        cycles[0] = compute[0] + ingress[0]  # nothing to overlap with yet
        return cycles

    def work(self) -> Work:
        """The sums that every level needs."""
        return self._work(self.outstanding())

    def _work(self, outstanding: Ints) -> Work:
        units = weighted_sum(self.below.active_units, self.done)
        cases = self.done.sum(axis=0)
        np.divide(units, cases, out=units, where=cases != 0)
        columns = np.arange(len(self.sized_by))
        l1_bytes = self.below.l1_bytes[self.sized_by, columns]
        return Work(
            runtime=(self.done * outstanding).sum(axis=0),
            active_units=units,
            l1_bytes=np.where(self.is_leaf, self._own_bytes(), l1_bytes),
            aborted=self.aborted,
        )

    @property
    def is_leaf(self) -> Bools:
        """(rows,): no level below is ever asked."""
        if self.innermost:
            return self.block.yes
        leaf: Bools = ~self.works[self.sized_by, np.arange(len(self.sized_by))]
        return leaf

    def _own_bytes(self) -> Ints:
        """What a unit of this level buffers, doubled."""
        maps = self.block.maps
        held = {
            t: product((maps[i].mapped for i in coupled), self.block.one)
            for t, coupled in self.block.coupled.items()
        }
        return 2 * ((self.sized_by + 1) * (held["input"] + held["weight"]) + held["output"])

    def _sized(self, values: Ints, *, add: bool) -> Ints:
        """Values (cases or 1, rows) as the buffers see them in each case: up to ``sized_by``, added
        up or each replacing the one before, and from then on unchanged."""
        if not self.sized_by.any():
            return values[:1]
        if add:
            values = np.cumsum(values, axis=0)
        seen = np.minimum(np.arange(len(values))[:, None], self.sized_by)
        return np.take_along_axis(values, seen, axis=0)

    def requests(self) -> dict[str, Ints]:
        """What the shared buffer holds of each tensor in each case, both halves."""
        request = {t: 2 * self._sized(v, add=True) for t, v in self.brought.items()}
        request["output"] = 2 * self._sized(self.sent, add=False)
        return request

    def offchip(self, request: dict[str, Ints]) -> Ints:
        """Cycles to fill or to drain one half of it from off-chip memory."""
        inputs = request["input"] + request["weight"]
        filled, drained = (quotient(v, self.noc.offchip) for v in (inputs, request["output"]))
        return quotient(np.maximum(filled, drained), 2)

    def totals(self) -> Totals:
        """The sums that the outermost level reports."""
        works, done = self.works, self.done
        request = self.requests()
        inputs = request["input"] + request["weight"]
        work = self._work(np.maximum(self.outstanding(), self.offchip(request)))

        # The reference divides by the cycles of the level below.
        delay, aborted = self.delay, work.aborted
        if delay["compute"].min() < 1:
            aborted = aborted | (works & (delay["compute"] == 0)).any(axis=0)
            delay = {**delay, "compute": np.maximum(delay["compute"], 1)}
        traffic = np.maximum(self.ingress, self.sent)
        peak = self.where_works(quotient(traffic, delay["compute"]), 0).max(axis=0)
        need = quotient(np.maximum(request["output"], inputs), delay["compute"])
        some = works.any(axis=0)
        last = len(works) - 1 - works[::-1].argmax(axis=0)
        columns = np.arange(len(last))
        intensity = np.zeros(len(last))
        with np.errstate(divide="ignore", invalid="ignore"):  # a case may bring nothing in
            np.divide(
                self.macs[last, columns], self.ingress[last, columns], out=intensity, where=some
            )
        macs = (done * self.macs).sum(axis=0)
        return Totals(
            runtime=work.runtime,
            active_units=work.active_units,
            l1_bytes=work.l1_bytes,
            aborted=aborted,
            is_leaf=self.is_leaf,
            macs=macs,
            l2_request={t: v[-1] for t, v in request.items()},
            l2_read={t: (done * v).sum(axis=0) for t, v in self.brought.items()},
            l1_write_output=macs if self.always else (self.times * self.macs).sum(axis=0),
            l2_write_output=(self.times * self.sent).sum(axis=0),
            cases=done.sum(axis=0),
            peak_bandwidth=np.maximum(peak, 0),
            bandwidth_sum=quotient(done * traffic, delay["compute"]).sum(axis=0),
            offchip_bandwidth=self._halved(need),
            delay_sum={d: (done * v).sum(axis=0) for d, v in delay.items()},
            delay_min={
                d: np.where(some, self.where_works(v, FOREVER).min(axis=0), NEVER)
                for d, v in delay.items()
            },
            delay_max={
                d: np.maximum(self.where_works(v, 0).max(axis=0), 0) for d, v in delay.items()
            },
            intensity=intensity,
        )

    def _halved(self, need: Ints) -> Ints:
        """The greatest need of the cases that work; halved for double buffering and so, by a slip
        of the reference, again with each case that follows."""
        halvings: Ints = np.arange(len(need), 0, -1)[:, None]
        if not self.always:
            halvings = np.cumsum(self.works[::-1], axis=0, dtype=np.int64)[::-1]
        need = self.where_works(np.maximum(need, 0), 0)
        most: Ints = (need >> np.minimum(halvings, 63)).max(axis=0)
        return most

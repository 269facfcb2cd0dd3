"""The walk: an episode makes the partition, then sends one layer after the other.

Episodes have hundreds of steps, so the state carries what a step changes: when sub-accelerators
are free, how far chains are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints, rows_by
from hwgym.core.dynamics import Outcome
from hwgym.core.problem import Problem
from hwgym.core.walk import Walk, WalkState
from hwgym.costs.maestro import KINDS
from hwgym.families.hetero.problem import HeteroProblem

__all__ = ["HeteroState", "HeteroWalk"]


class HeteroState(NamedTuple):
    """Episodes under way. Times in cycles; W is the width of the action space.

    Attributes:
        step, genes, which: As of :class:`~hwgym.core.walk.WalkState`.
        shares: (N, subs, kinds + 2) of each sub-accelerator 1 at its kind, and its shares of the
            PEs and of the bandwidth; 0 while they are open.
        least: (N,) a bound in closed form: the least of the partitions that can still be.
        costs: (N, subs) where the cycles of each sub-accelerator begin in the walk's table; -1
            where it is not built, or the partition is open.
        free: (N, subs) until when it is busy.
        busy: (N, subs) cycles in which it runs layers.
        next: (N, W) next layer of each chain.
        ready: (N, W) when that can start.
        left: (N, W) cycles of all its layers that are left, each where it is fastest.
    """

    step: Ints
    genes: Ints
    which: Ints
    shares: Floats
    least: Floats
    costs: Ints
    free: Floats
    busy: Floats
    next: Ints
    ready: Floats
    left: Floats


class HeteroWalk(Walk):
    """An episode ends when its last layer is sent, or after a choice that cannot lead to a valid
    solution: it has failed. Masks allow exactly the others."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        posed = [problem for problem in problems if isinstance(problem, HeteroProblem)]
        self._posed = posed
        self._decided = np.array([len(each.decisions.decisions) for each in posed])
        self._layers = np.array([each.decisions.layers for each in posed])
        self._unit = np.array([each.unit for each in posed])
        self._subs = posed[0].subs
        self._kinds = len(KINDS)
        self._places = [np.array([list(KINDS).index(k) for k in each.kinds]) for each in posed]
        width = posed[0].width
        super().__init__(problems)

        # One row of cycles: for each sub-accelerator that could be built, its layers and a 0.
        tables = [each.statement.known["latency"] for each in posed]
        padded = [np.pad(t.reshape(-1, t.shape[-1]), ((0, 0), (0, 1))) for t in tables]
        self._cycles = np.concatenate([each.reshape(-1) for each in padded])
        sizes = np.array([each.size for each in padded])
        self._base = np.cumsum(sizes) - sizes
        self._first, self._end = (np.zeros((len(posed), width), np.int64) for _ in range(2))
        self._fastest = np.zeros((len(posed), width))
        self._least = [each.decisions.least(each.closed) for each in posed]
        for i, each in enumerate(posed):
            count = len(each.lengths)
            self._end[i, :count] = np.cumsum(each.lengths)
            self._first[i, :count] = self._end[i, :count] - each.lengths
            fastest = padded[i].min(axis=0)[:-1]
            self._fastest[i, :count] = np.add.reduceat(fastest, self._first[i, :count])

    # --- the state ------------------------------------------------------------------------------

    def begin(self, which: Ints, objective: bool = False) -> HeteroState:  # type: ignore[override]
        plain = super().begin(which, objective)
        count, width = len(plain.which), self._first.shape[1]
        return HeteroState(
            *plain,
            shares=np.zeros((count, self._subs, self._kinds + 2)),
            least=np.array([self._least[each][0][0] for each in plain.which]),
            costs=np.full((count, self._subs), -1),
            free=np.zeros((count, self._subs)),
            busy=np.zeros((count, self._subs)),
            next=self._first[plain.which],
            ready=np.zeros((count, width)),
            left=self._fastest[plain.which],
        )

    def step(self, state: HeteroState, choices: Array) -> tuple[HeteroState, Outcome]:  # type: ignore[override]
        choice, core = self.allowed(state)
        rows = np.arange(len(state.step))
        taken = self.problems[0].space.unpack(choices)
        good = choice[rows, taken[:, 0]] & core[rows, taken[:, 1]]
        after, outcome = super().step(WalkState(state.step, state.genes, state.which), choices)
        outcome = outcome._replace(failed=outcome.failed | ~good, finished=outcome.finished & good)
        kept: Any = [field.copy() for field in state[3:]]
        state = HeteroState(*after, *kept)
        goes = good & (after.step <= self.num_steps[after.which])  # one that is over stays
        sends = after.step > self._decided[after.which]
        self._decide(state, np.flatnonzero(goes & ~sends))
        self._send(state, np.flatnonzero(goes & sends), taken)
        return state, outcome

    def _decide(self, state: HeteroState, rows: Ints) -> None:
        """Write what the last decision on the partition, which may complete it, made of a new
        state."""
        most = int(self._decided.max()) + 1
        for place, own in rows_by(state.which[rows] * most + state.step[rows]):
            some = rows[own]
            which, step = divmod(place, most)
            problem, of = self._posed[which], self._posed[which].decisions
            what, sub = of.decisions[step - 1]
            value = state.genes[some, step - 1, 0]
            if what == "kind":
                state.shares[some, sub, self._places[which][value]] = 1.0
            else:
                place_of = self._kinds + (what == "bandwidth")
                state.shares[some, sub, place_of] = value / of.parts
            state.least[some] = self._least[which][step][of.begun(state.genes[some], step)]
            if step < len(of.decisions):
                continue
            made = of.partition_of(state.genes[some])
            state.shares[some, -1, self._kinds] = made.pes[:, -1] / of.parts
            if of.limited:
                state.shares[some, -1, self._kinds + 1] = made.bandwidth[:, -1] / of.parts
            number = np.ravel_multi_index(
                (made.kind, made.pes - 1, made.bandwidth - 1), of.possible.shape, mode="clip"
            )
            starts = self._base[which] + number * (of.layers + 1)
            state.costs[some] = np.where(made.pes > 0, starts, -1)
            fastest = problem.fastest(made)
            count = len(problem.lengths)
            state.left[some, :count] = np.add.reduceat(fastest, self._first[which, :count], axis=1)

    def _send(self, state: HeteroState, rows: Ints, taken: Ints) -> None:
        """Write what sending a layer makes of a new state."""
        chain, core = taken[rows, 0], taken[rows, 1]
        layer = state.next[rows, chain]
        takes = self._cycles_of(state, rows, layer[:, None])[:, 0]
        own = takes[np.arange(len(rows)), core]
        end = np.maximum(state.free[rows, core], state.ready[rows, chain]) + own
        state.free[rows, core] = state.ready[rows, chain] = end
        state.busy[rows, core] += own
        state.next[rows, chain] += 1
        state.left[rows, chain] -= takes.min(axis=1)

    def _cycles_of(self, state: HeteroState, rows: Ints, layer: Ints) -> Floats:
        """(n, layers, subs) cycles of layers (n, layers) of some episodes on each sub-accelerator;
        infinite on what is not built."""
        costs = state.costs[rows][:, None]
        cycles = self._cycles[np.maximum(costs, 0) + layer[..., None]]
        return np.where(costs >= 0, cycles, np.inf)

    # --- what may be chosen, and what is seen -----------------------------------------------------

    def allowed(self, state: HeteroState) -> Sequence[Bools]:  # type: ignore[override]
        sends = state.step >= self._decided[state.which]
        over = state.step >= self.num_steps[state.which]
        choice = (state.next < self._end[state.which]) | over[:, None]
        core = state.costs >= 0
        rows = np.flatnonzero(~sends)
        core[rows] = np.arange(self._subs) == 0
        choice[rows] = False
        most = int(self._decided.max())
        for place, own in rows_by(state.which[rows] * most + state.step[rows]):
            some = rows[own]
            which, step = divmod(place, most)
            of = self._posed[which].decisions
            can = of.choices[step][of.begun(state.genes[some], step)]
            choice[some, : can.shape[1]] = can
        return choice, core

    @property
    def seen_size(self) -> int:
        width = self._posed[0].width
        return self._subs * (self._kinds + 4) + 2 + width * (self._subs + 3) + 1

    def seen(self, state: HeteroState) -> Floats:  # type: ignore[override]
        count, which = len(state.step), state.which
        unit = self._unit[which][:, None]
        there = state.next < self._end[which]
        at = np.where(there, state.next, self._layers[which][:, None])
        cycles = self._cycles_of(state, np.arange(count), at)
        typical = (unit * self._subs / self._layers[which][:, None])[..., None]
        with np.errstate(invalid="ignore"):
            share = np.where(np.isfinite(cycles), cycles / (cycles + typical), 1.0)
        share *= there[..., None]
        long = np.maximum(self._end[which] - self._first[which], 1)
        built = np.maximum((state.costs >= 0).sum(axis=1), 1)
        bound = np.maximum(
            np.maximum(state.least, (state.ready + state.left).max(axis=1)),
            (state.free.sum(axis=1) + state.left.sum(axis=1)) / built,
        )
        open_ = 1.0 - state.shares[..., self._kinds :].sum(axis=1)
        times = np.concatenate(
            [state.ready, state.left, state.free, state.busy, bound[:, None]], axis=1
        )
        parts = [
            state.shares.reshape(count, -1),
            np.maximum(open_, 0.0),
            share.reshape(count, -1),
            (self._end[which] - state.next) / long,
            times / (times + unit),
        ]
        return np.concatenate(parts, axis=1)

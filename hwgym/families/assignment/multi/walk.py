"""How episodes walk assignment problems, shown in absolute units."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints, Observations
from hwgym.core.dynamics import Dynamics, Outcome
from hwgym.core.rewards import Reward
from hwgym.core.space import Space
from hwgym.core.table_walk import TableEpisode, TableState, TableWalk
from hwgym.core.veil import check_lifted
from hwgym.families.assignment.multi.cells import CELL, ENERGY, LATENCY
from hwgym.families.assignment.multi.deals import LAYER, SLOT, Deals
from hwgym.families.assignment.multi.dealt_episode import DealtEpisode
from hwgym.families.assignment.multi.features import (
    AHEAD,
    LEFT,
    SIZE,
    LayerRows,
    constants,
    context_features,
    hardware_features,
    left_features,
    shown,
    style_features,
    technology_features,
)
from hwgym.families.assignment.multi.problem import Instances, MultiProblem
from hwgym.families.assignment.multi.splits import CONSTRAINTS, OBJECTIVES

__all__ = ["DealtState", "DealtWalk", "ShownWalk", "walk"]

KEPT = 4096
"""Banks of up to so many problems are kept, once they are dealt."""

RING = 256
"""Slots for a few episodes of a bank that is not kept."""

AT_ONCE = 256
"""Episodes whose masks are made together: their tables stay in the cache."""


def _previous(space: Space) -> Observations:
    """(actions + 1, axes): what is shown of the previous choice; last, of none."""
    levels = space.decode(range(space.num_actions)) + 1.0
    return shown(np.vstack([levels, np.zeros(levels.shape[1])]) / np.array(space.shape))


def _joined(room: int, *parts: Observations) -> Observations:
    """Observations (N, entries + room), of their parts."""
    out = np.empty((len(parts[0]), sum(part.shape[1] for part in parts) + room), np.float32)
    at = 0
    for part in parts:
        out[:, at : at + part.shape[1]] = part
        at += part.shape[1]
    return out


# --- problems that are given ----------------------------------------------------------------------


class ShownWalk(TableWalk):
    """The walk over problems given by tables, shown in absolute units; see
    :mod:`hwgym.families.assignment.multi.features` for what is observed."""

    def __init__(self, problems: Sequence[MultiProblem]) -> None:
        super().__init__(problems)
        seen = [_Seen.of(problem) for problem in problems]
        self._ahead, self._remaining, self._contexts = (
            np.concatenate(each) for each in zip(*seen, strict=True)
        )
        self._shown = _previous(problems[0].space)
        self.observation_size = SIZE + len(problems[0].space.axes)

    def observe(self, state: TableState, room: int = 0) -> Observations:
        rows, limit, steps = state.step, self._limits, self._steps
        which = np.zeros_like(rows)
        if state.which is not None:
            which = state.which
            rows = rows + self._rows[which]
            limit, steps = limit[which], steps[which]  # type: ignore[index]
        return _joined(
            room,
            self._ahead.take(rows, axis=0),
            self._remaining.take(rows, axis=0),
            self._contexts.take(which, axis=0),
            self._shown.take(state.previous, axis=0),
            left_features(state.used, limit, steps - state.step),
        )

    def episode(self, reward: Reward) -> TableEpisode:
        return _ShownEpisode(self, reward)


class _ShownEpisode(TableEpisode):
    """As :class:`~hwgym.core.table_walk.TableEpisode`; what is observed is asked of the walk."""

    def __init__(self, walk: ShownWalk, reward: Reward) -> None:
        super().__init__(walk, reward)
        self._shown_walk = walk

    def observe(self) -> Observations:
        state = TableState(
            np.array([self._step]),
            np.array([self._previous]),
            np.array([self._used]),
            None,
            np.array([self.which]),
        )
        if self._shown_walk.single:
            state = state._replace(which=None)
        out: Observations = self._shown_walk.observe(state, self._room)[0]
        self._show_earned(out)
        return out


class _Seen(NamedTuple):
    """What is observed of one problem whatever is chosen.

    Attributes:
        ahead: (steps + 1, entries of the layers ahead)
        remaining: (steps + 1, entries)
        context: (1, entries)
    """

    ahead: Observations
    remaining: Observations
    context: Observations

    @classmethod
    def of(cls, problem: MultiProblem) -> _Seen:
        design, steps = problem.design, problem.num_steps
        layers = LayerRows(design.workload)
        if steps != len(design.workload):
            raise ValueError(
                f"problems of many networks have a step a layer, got {problem.statement.title!r}"
            )
        rows = np.append(np.arange(steps), [steps] * AHEAD)
        ahead = layers.shown[rows[np.arange(steps + 1)[:, None] + np.arange(AHEAD)]]
        remaining = layers.remaining(rows[:steps], np.array([steps]))
        none = np.full((1, remaining.shape[1]), -1.0, np.float32)
        context = context_features(
            np.array([OBJECTIVES.index(problem.objective.name)]),
            np.array([CONSTRAINTS.index(problem.constraint.name)]),
            style_features(design.dataflows)[None],
            technology_features(constants(design.hardware.tech)),
            hardware_features(design.hardware)[None],
            np.array([problem.limit]),
            np.array([steps]),
        )
        return cls(ahead.reshape(steps + 1, -1), np.concatenate([remaining, none]), shown(context))


# --- problems that are drawn ----------------------------------------------------------------------


class DealtState(NamedTuple):
    """Episodes under way, (N,) each.

    Attributes:
        step: To be taken next.
        previous: Action taken last; the number of actions where there is none.
        used: Of the constraint.
        slot: Where the problem has been dealt.
        which: Its number.
    """

    step: Ints
    previous: Ints
    used: Floats
    slot: Ints
    which: Ints


class DealtWalk:
    """The walk over the problems of a split, each with a network and tables of its own, which are
    gathered from a pool of layers.

    What episodes look up of their problems lies in slots (:class:`Deals`). A bank that is small has
    a slot for each; of others, the slots that were filled longest ago are filled anew. A state
    whose slot has gone, as that of an info which is read late, gets another.

    Attributes:
        problems: The bank.
        num_actions: Choices of a layer.
        observation_size: Entries of an observation.
        cells: What the pool's layers cost.
        deals: The slots.
        keeps: Whether there is a slot for each problem.
        shown: (actions + 1, axes) what is observed of the previous choice; last, of none.
    """

    def __init__(self, problems: Instances) -> None:
        self.problems = problems
        self._space = problems[0].space
        self.num_actions = self._space.num_actions
        self.cells = problems.dealer.cells
        self.shown = _previous(self._space)
        self.observation_size = SIZE + len(self._space.axes)
        self.keeps = len(problems) <= KEPT
        self.deals = self._new(len(problems) if self.keeps else RING)
        self._next = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return walk, (self.problems,)  # problems are dealt again

    def _new(self, slots: int) -> Deals:
        width = self.observation_size + 1 if self.keeps else 0
        return Deals(self.problems.dealer, self.problems.most_steps, slots, width)

    # --- slots ------------------------------------------------------------------------------------

    def slots(self, which: Ints) -> Ints:
        """(N,) slots in which problems (N,) are dealt."""
        if self.keeps:
            missing = np.unique(which[self.deals.number[which] != which])
            dealt = np.count_nonzero(self.deals.number >= 0) if len(missing) else 0
            if dealt + len(missing) > AT_ONCE // 8:  # where many are walked, all will be
                missing = np.flatnonzero(self.deals.number < 0)
            if len(missing):
                self.deals.put(missing, missing)
            return which.copy()
        numbers, back = np.unique(which, return_inverse=True)
        deals = self.deals
        if 3 * len(numbers) > len(deals.number):
            # States of before find that their slots have gone.
            deals = self.deals = self._new(3 * len(numbers))
            self._next = 0
        slots = (self._next + np.arange(len(numbers))) % len(deals.number)
        self._next = int((self._next + len(numbers)) % len(deals.number))
        deals.put(numbers, slots)
        return slots[back]

    def _sure(self, state: DealtState) -> DealtState:
        """The state, with slots that are its problems'."""
        number, slots = self.deals.number, state.slot
        gone = number.take(slots, mode="clip") != state.which
        if not gone.any():
            return state
        slots = slots.copy()
        while gone.any():  # a ring may run into its own tail, once
            slots[gone] = self.slots(state.which[gone])
            gone = self.deals.number.take(slots, mode="clip") != state.which
        return state._replace(slot=slots)

    # --- many episodes ----------------------------------------------------------------------------

    def begin(self, which: Ints, objective: bool = False) -> DealtState:
        count = len(which)
        return DealtState(
            np.zeros(count, np.int64),
            np.full(count, self.num_actions),
            np.zeros(count),
            self.slots(np.asarray(which)),
            np.asarray(which),
        )

    def step(self, state: DealtState, choices: Ints) -> tuple[DealtState, Outcome]:
        state = self._sure(state)
        deals, cells, slot = self.deals, self.cells, state.slot
        at = slot * deals.room + state.step
        # Side by side in memory, columns are worked on in half the time.
        of_slot = np.ascontiguousarray(deals.constants.take(slot, axis=0).T)
        limit, span, untimed, unpowered, mac_nj, l1_macs, l2_macs, pe, l1, l2 = of_slot
        timed, powered, top, *_ = deals.layer.take(at, axis=0).T
        cell = deals.block.take(at) * self.num_actions + choices
        numbers = np.ascontiguousarray(cells.numbers.take(cell, axis=0).T)
        cycles = numbers.ravel().take(deals.bandwidth.take(slot) * len(at) + np.arange(len(at)))
        takes = pe + l1 * numbers[CELL.l1_units]
        takes *= cells.pes.take(choices)
        takes += l2 * numbers[CELL.l2_units]
        used = state.used + np.maximum(takes, 0.0)
        failed = (used > limit) | (cycles < 0)
        energy = l1_macs * numbers[CELL.l1_accesses]
        energy += numbers[CELL.macs]
        energy += l2_macs * numbers[CELL.l2_accesses]
        energy *= mac_nj
        cost = (untimed + cycles * timed) * (unpowered + energy * powered)
        earned = (top - np.minimum(cost, top)) / span
        step = state.step + 1
        finished = step == deals.steps.take(slot)
        after = DealtState(step, choices, used, slot, state.which)
        return after, Outcome(failed, finished, None, None, earned)

    def observe(self, state: DealtState, room: int = 0) -> Observations:
        state = self._sure(state)
        deals, slot = self.deals, state.slot
        out = deals.seen(slot * deals.room + state.step, slot, self.observation_size + room)
        limit = deals.constants[:, SLOT.limit].take(slot)
        left = left_features(state.used, limit, deals.steps.take(slot) - state.step)
        chosen = self.shown.take(state.previous, axis=0)
        end = self.observation_size
        out[:, end - chosen.shape[1] - len(LEFT) : end] = np.concatenate([chosen, left], axis=1)
        return out

    def masks(self, state: DealtState, mode: str) -> Bools:
        state = self._sure(state)
        deals, slot = self.deals, state.slot
        at = slot * deals.room + np.minimum(state.step, deals.steps.take(slot) - 1)
        *_, least, after = deals.layer.take(at, axis=0).T
        limit, prices = deals.constants[:, SLOT.limit], deals.constants[:, SLOT.pe :]
        left = limit.take(slot) - state.used - after
        entries = self.num_actions if mode == "discrete" else sum(self._space.shape)
        masks = np.empty((len(at), entries), bool)
        for start in range(0, len(at), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            found = self.allowed(
                deals.block.take(at[part]), prices.take(slot[part], axis=0), left[part], least[part]
            )
            masks[part] = found if mode == "discrete" else self.levels(found)
        return masks

    def allowed(self, blocks: Ints, prices: Floats, left: Floats, least: Floats) -> Bools:
        """(n, actions): the choices of layers that take no more than is left; if there is none, the
        one that takes least.

        Args:
            blocks: (n,) of the pool.
            prices: (n, 3) of a PE, of L1 and of L2.
            left: (n,) for each.
            least: (n,) that any choice of each takes.
        """
        pe, l1, l2 = prices.T[..., None]
        needs = self.cells.l1_units.take(blocks, axis=0)  # NaN where invalid
        needs *= l1
        needs += pe
        needs *= self.cells.pes
        shared = self.cells.l2_units.take(blocks, axis=0)
        shared *= l2
        needs += shared
        found: Bools = needs <= left[:, None]
        lost = least > left
        if lost.any():
            first = np.where(np.isnan(needs[lost]), np.inf, needs[lost]).argmin(axis=1)
            found[lost] = np.arange(self.num_actions) == first[:, None]
        return found

    @cached_property
    def _others(self) -> list[tuple[int, ...]]:
        axes = range(1, len(self._space.shape) + 1)
        return [tuple(a for a in axes if a != axis) for axis in axes]

    def levels(self, joint: Bools) -> Bools:
        """(n, levels of the axes): one is allowed if some choice of the others goes with it."""
        grid = joint.reshape(-1, *self._space.shape)
        return np.concatenate([grid.any(axis=other) for other in self._others], axis=1)

    def summary(self, which: Ints, genes: Ints) -> dict[str, Floats]:
        slot = self._sure(self._found(which)).slot
        deals, pool = self.deals, self.problems.source.pool
        counts, constants = pool.counts, deals.constants.take(slot, axis=0)
        # Steps first: along this axis numpy adds step by step, in order, as an episode does.
        numbers = self._space.pack(genes, check=False).T
        step, episode = np.nonzero(numbers >= 0)
        choice, own = numbers[step, episode], slot[episode]
        at = own * deals.room + step
        block = deals.block.take(at)
        repeat = deals.layer[:, : LAYER.powered + 1].take(at, axis=0).max(axis=1)
        cell = (block, choice)
        mac_nj, l1_macs, l2_macs, *prices = constants.T[SLOT.mac_nj :, episode]
        cycles = counts.latency[(deals.bandwidth.take(own), *cell)] * repeat
        energy = l1_macs * counts.l1_accesses[cell] + counts.macs[cell]
        energy = mac_nj * (energy + l2_macs * counts.l2_accesses[cell]) * repeat
        takes = [
            pool.pes[choice] * (pe + l1 * pool.l1_units[cell]) + l2 * pool.l2_units[cell]
            for pe, l1, l2 in (prices, deals.others.take(own, axis=0).T)
        ]
        applied, other = (np.where(counts.mappable[cell], each, 0.0) for each in takes)
        by_area = deals.by_area.take(own)
        objective = deals.objective.take(own)
        cost = np.where(
            objective == LATENCY, cycles, np.where(objective == ENERGY, energy, energy * cycles)
        )
        table = np.zeros((len(numbers), len(which), 6))
        table[step, episode] = np.stack(
            [
                np.where(counts.valid[cell], cost, np.inf),
                applied,
                cycles,
                energy,
                np.where(by_area, applied, other),
                np.where(by_area, other, applied),
            ],
            axis=1,
        )
        names = ("objective", "used", "latency", "energy", "area", "power")
        totals = dict(zip(names, np.add.reduce(table, axis=0).T, strict=True))
        return {**totals, "limit": constants[:, SLOT.limit]}

    def _found(self, which: Ints) -> DealtState:
        """Episodes of problems (N,) that have begun, in the slots where these are, if they are."""
        number = self.deals.number
        order = np.argsort(number)
        place = np.minimum(np.searchsorted(number[order], which), len(order) - 1)
        none = np.zeros_like(which)
        return DealtState(none, none, np.zeros(len(which)), order[place], which)

    def episode(self, reward: Reward) -> DealtEpisode:
        return DealtEpisode(self, reward)


_kept = lru_cache(maxsize=8)(DealtWalk)  # environments of a bank share what is dealt


def walk(problems: Sequence[Any]) -> Dynamics:
    """How episodes walk a bank of problems, or a split.

    Raises:
        ValueError: If the problems cannot be stepped together, or show what this does not know.
        Withheld: While an agent searches.
    """
    check_lifted("what each choice costs")
    if isinstance(problems, Instances):
        return _kept(problems) if len(problems) <= KEPT else DealtWalk(problems)
    for problem in problems:
        if problem.objective.name not in OBJECTIVES:
            raise ValueError(
                f"problems of many networks minimise {', '.join(OBJECTIVES)}, got "
                f"{problem.statement.title!r}"
            )
    return ShownWalk(problems)

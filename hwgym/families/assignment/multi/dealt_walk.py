"""DealtWalk: how episodes walk problems that are drawn; DealtEpisode: one of them alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from math import inf
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints, Observations
from hwgym.core.dynamics import Outcome
from hwgym.core.episode import said
from hwgym.core.rewards import Reward
from hwgym.families.assignment.multi.cells import CELL, ENERGY, LATENCY
from hwgym.families.assignment.multi.deals import LAYER, SLOT, Deals
from hwgym.families.assignment.multi.features import (
    LEFT,
    SIZE,
    choices_shown,
    left_features,
    ranges,
)
from hwgym.families.assignment.multi.problem import Instances

__all__ = ["DealtEpisode", "DealtState", "DealtWalk", "dealt_walk"]

KEPT = 4096
"""Banks of up to so many problems are kept, once they are dealt."""

RING = 192
"""Slots for a few episodes of a bank that is not kept."""

SLOTS = 3
"""And for each of many: for problems under way, to come, and just over."""

PARTS = 6
"""One of so many parts of the slots is filled at a time, if that many problems are known to come:
many are dealt together in a fraction of the time."""

AT_ONCE = 256
"""Episodes whose masks are made together: their tables stay in the cache."""

LAYERS = 64
"""Layers of which it is found out together what every choice pays."""

PRICED = 200_000_000
"""Bytes that may be taken by what the choices of a kept bank pay, once many walk it."""


def _unknown(count: int) -> Ints:
    """No numbers: nobody knows what will be drawn."""
    return np.zeros(0, np.int64)


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


class _Priced(NamedTuple):
    """What every choice of a bank takes and pays; see :meth:`DealtWalk.bought`.

    Attributes:
        first: (problems,) the first row of each.
        pays: (rows x actions, 2), a row a layer, and one of none.
    """

    first: Ints
    pays: Floats


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
        coming: The numbers of about so many problems that will be drawn next, as far as somebody
            knows. Many problems are dealt together in a fraction of the time that each takes alone.
    """

    def __init__(self, problems: Instances) -> None:
        self.problems = problems
        self._space = problems[0].space
        self.num_actions = self._space.num_actions
        self.cells = problems.dealer.cells
        self.shown = choices_shown(self._space)
        self._levels = np.ascontiguousarray(self.shown.T)
        self.observation_size = SIZE + len(self._space.axes)
        self.keeps = len(problems) <= KEPT
        self.deals = self._new(len(problems) if self.keeps else RING)
        self.coming: Callable[[int], Ints] = _unknown
        self._priced: _Priced | None = None
        self._complete = False  # every problem of the bank has been dealt
        self._next = 0
        self._ahead: dict[int, int] = {}  # the slots of problems to come

    def __reduce__(self) -> tuple[Any, ...]:
        return dealt_walk, (self.problems,)  # problems are dealt again

    def _new(self, slots: int) -> Deals:
        width = self.observation_size + 1 if self.keeps else 0
        return Deals(self.problems.dealer, self.problems.most_steps, slots, width)

    # --- slots ------------------------------------------------------------------------------------

    def slots(self, which: Ints) -> Ints:
        """(N,) slots in which problems (N,) are dealt."""
        if self._complete:
            return which.copy()
        if self.keeps:
            missing = np.unique(which[self.deals.number[which] != which])
            dealt = np.count_nonzero(self.deals.number >= 0) if len(missing) else 0
            if dealt + len(missing) > AT_ONCE // 8:  # where many are walked, all will be
                missing = np.flatnonzero(self.deals.number < 0)
            if len(missing):
                self.deals.put(missing, missing)
                self._complete = bool((self.deals.number >= 0).all())
            return which.copy()
        numbers, back = np.unique(which, return_inverse=True)
        if SLOTS * len(numbers) > len(self.deals.number):
            # States of before find that their slots have gone.
            self.deals, self._next = self._new(SLOTS * len(numbers)), 0
        slots = np.zeros(len(numbers), np.int64)
        if self._ahead:
            slots[:] = [self._ahead.pop(number, 0) for number in numbers.tolist()]
        missing = self.deals.number[slots] != numbers
        if missing.any():
            slots[missing] = self._deal(numbers[missing])
        return slots[back]

    def _deal(self, numbers: Ints) -> Ints:
        """(n,) slots for problems (n,) that have none; those to come are dealt with a few."""
        count, deals = len(numbers), self.deals
        together = len(deals.number) // PARTS
        if count < together:
            coming = self.coming(together - count).tolist()
            known = {*self._ahead, *numbers.tolist()}
            more = [n for n in dict.fromkeys(coming) if n not in known][: together - count]
            numbers = np.concatenate([numbers, np.array(more, np.int64)])
        slots = (self._next + np.arange(len(numbers))) % len(deals.number)
        self._next = int((self._next + len(numbers)) % len(deals.number))
        deals.put(numbers, slots)
        if len(self._ahead) > len(deals.number):  # whoever reseeds leaves some behind
            self._ahead.clear()
        self._ahead.update(zip(numbers[count:].tolist(), slots[count:].tolist(), strict=True))
        return slots[:count]

    def _sure(self, state: DealtState) -> DealtState:
        """The state, with slots that are its problems'."""
        if self._complete:
            return state
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

    def left(self, state: DealtState) -> Ints:
        """(N,) layers that remain; anything where the slot has gone."""
        steps: Ints = self.deals.steps.take(state.slot, mode="clip")
        return steps - state.step

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
        deals, slot, priced = self.deals, state.slot, self._priced
        if priced is None and self._complete and len(slot) >= AT_ONCE:
            priced = self._price()
        if priced is None:
            takes, earned = self.bought(slot, slot * deals.room + state.step, choices)
        else:
            cell = (priced.first.take(slot) + state.step) * self.num_actions + choices
            takes, earned = np.ascontiguousarray(priced.pays.take(cell, axis=0).T)
        used = state.used + takes
        failed = (used > deals.constants[SLOT.limit].take(slot)) | np.isnan(earned)
        step = state.step + 1
        finished = step == deals.steps.take(slot)
        after = DealtState(step, choices, used, slot, state.which)
        return after, Outcome(failed, finished, None, None, earned)

    def bought(self, slot: Ints, at: Ints, choices: Ints) -> tuple[Floats, Floats]:
        """What choices (N,) take of the constraint, and what they pay where the episode does not
        fail; NaN of one that is not valid.

        Args:
            slot: (N,) of the problems.
            at: (N,) rows of the layers.
            choices: (N,)
        """
        deals, cells = self.deals, self.cells
        constants = deals.constants.take(slot, axis=1)
        _, span, untimed, unpowered, mac_nj, l1_macs, l2_macs, pe, l1, l2 = constants
        timed, powered, top = deals.layer[: LAYER.least].take(at, axis=1)
        cell = deals.block.take(at) * self.num_actions + choices
        found = cells.numbers.take(cell, axis=0)
        numbers = found.T
        cycles = found.ravel().take(np.arange(len(at)) * CELL.size + deals.bandwidth.take(slot))
        takes = l1 * numbers[CELL.l1_units]
        takes += pe
        takes *= cells.pes.take(choices)
        takes += l2 * numbers[CELL.l2_units]
        energy = l1_macs * numbers[CELL.l1_accesses]
        energy += numbers[CELL.macs]
        energy += l2_macs * numbers[CELL.l2_accesses]
        energy *= mac_nj
        cost = (untimed + cycles * timed) * (unpowered + energy * powered)
        earned = (top - np.minimum(cost, top)) / span
        earned[cycles < 0] = np.nan
        return np.maximum(takes, 0.0), earned

    def _price(self) -> _Priced | None:
        """What every choice of a bank that is kept pays, if there is room for it: to look that up
        takes a third of the time."""
        deals, actions = self.deals, self.num_actions
        first = np.cumsum(deals.steps) - deals.steps
        rows = int(deals.steps.sum())
        if (rows + 1) * actions * 16 > PRICED:
            return None
        pays = np.zeros((rows + 1, actions, 2))
        slots = np.repeat(np.arange(len(first)), deals.steps)
        at = ranges(np.arange(len(first)) * deals.room, deals.steps)
        choices = np.arange(actions)
        for start in range(0, rows, LAYERS):
            part = slice(start, start + LAYERS)
            each = np.repeat(np.arange(len(at[part])), actions)
            bought = self.bought(slots[part][each], at[part][each], np.tile(choices, len(at[part])))
            pays[part][: len(at[part])] = np.stack(bought, axis=-1).reshape(-1, actions, 2)
        self._priced = _Priced(first, pays.reshape(-1, 2))
        return self._priced

    def observe(self, state: DealtState, room: int = 0) -> Observations:
        state = self._sure(state)
        deals, slot = self.deals, state.slot
        out = deals.seen(slot * deals.room + state.step, slot, self.observation_size + room)
        limit = deals.constants[SLOT.limit].take(slot)
        left = left_features(state.used, limit, deals.steps.take(slot) - state.step)
        # One by one: short pieces of many rows are copied in twice the time.
        columns = [*(levels.take(state.previous) for levels in self._levels), *left.T]
        for place, column in enumerate(columns, self.observation_size - len(columns)):
            out[:, place] = column
        return out

    def masks(self, state: DealtState, mode: str) -> Bools:
        state = self._sure(state)
        deals, slot = self.deals, state.slot
        at = slot * deals.room + np.minimum(state.step, deals.steps.take(slot) - 1)
        least, after = deals.layer[LAYER.least :].take(at, axis=1)
        left = deals.constants[SLOT.limit].take(slot) - state.used - after
        prices = deals.constants[SLOT.pe :].take(slot, axis=1)
        entries = self.num_actions if mode == "discrete" else sum(self._space.shape)
        masks = np.empty((len(at), entries), bool)
        for start in range(0, len(at), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            found = self.allowed(
                deals.block.take(at[part]), prices[:, part], left[part], least[part]
            )
            masks[part] = found if mode == "discrete" else self.levels(found)
        return masks

    def allowed(self, blocks: Ints, prices: Floats, left: Floats, least: Floats) -> Bools:
        """(n, actions): the choices of layers that take no more than is left; if there is none, the
        one that takes least.

        Args:
            blocks: (n,) of the pool.
            prices: (3, n) of a PE, of L1 and of L2.
            left: (n,) for each.
            least: (n,) that any choice of each takes.
        """
        pe, l1, l2 = prices[..., None]
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
        counts, constants = pool.counts, deals.constants.take(slot, axis=1)
        # Steps first: along this axis numpy adds step by step, in order, as an episode does.
        numbers = self._space.pack(genes, check=False).T
        step, episode = np.nonzero(numbers >= 0)
        choice, own = numbers[step, episode], slot[episode]
        at = own * deals.room + step
        block = deals.block.take(at)
        repeat = deals.layer[: LAYER.powered + 1].take(at, axis=1).max(axis=0)
        cell = (block, choice)
        mac_nj, l1_macs, l2_macs, *prices = constants[SLOT.mac_nj :, episode]
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
        return {**totals, "limit": constants[SLOT.limit]}

    def _found(self, which: Ints) -> DealtState:
        """Episodes of problems (N,) that have begun, in the slots where these are, if they are."""
        number = self.deals.number
        order = np.argsort(number)
        place = np.minimum(np.searchsorted(number[order], which), len(order) - 1)
        none = np.zeros_like(which)
        return DealtState(none, none, np.zeros(len(which)), order[place], which)

    def episode(self, reward: Reward) -> DealtEpisode:
        return DealtEpisode(self, reward)


class DealtEpisode:
    """One episode of a :class:`~hwgym.families.assignment.multi.dealt_walk.DealtWalk`; see
    :class:`hwgym.core.episode.Episode`, of which it says the same, bit for bit.

    Where episodes follow one another, and nobody names a seed or a problem in between, problems
    are dealt together, those to come with the first.

    Attributes:
        coming: The numbers of so many problems that will be drawn next; none if that is not known.

    Args:
        walk: Where problems are dealt.
        reward: Made for the same bank.
    """

    def __init__(self, walk: DealtWalk, reward: Reward) -> None:
        self.walk, self.reward = walk, reward
        self.coming: Callable[[int], Ints] = _unknown
        self._expected = -1  # what is drawn after those that have been dealt
        first = walk.problems[0].statement
        self._statement = first
        self._levels = first.space.decode(range(first.space.num_actions))
        self._nothing = np.full((walk.problems.most_steps, len(first.space.axes)), -1)
        self._pes: list[float] = walk.cells.pes.tolist()
        self._width = walk.observation_size + 1
        self.over = True
        self._begin(0)

    def reset(self, which: int = 0) -> None:
        """Begin anew, with a problem of the bank."""
        self._begin(which)
        self.over = False

    def _ahead(self, count: int) -> Ints:
        """What is to be dealt with the problem of this episode."""
        coming = self.coming(count + 1)
        follows = self.which == self._expected
        self._expected = int(coming[-1 if follows else 0]) if len(coming) else -1
        return coming[: -1 if follows else 0]

    def _begin(self, which: int) -> None:
        self.which = which
        if not self.walk.keeps:
            self.walk.coming = self._ahead
        slot = int(self.walk.slots(np.array([which]))[0])
        deals = self.walk.deals
        self.choices: list[int] = []
        self.earned = self._used = 0.0
        self._num_steps = steps = int(deals.steps[slot])
        self._bandwidth = int(deals.bandwidth[slot])
        self._constants = deals.constants[:, slot].tolist()
        self._limit = self._constants[SLOT.limit]
        self._others = deals.others[slot].tolist()
        self._by_area = bool(deals.by_area[slot])
        at = slot * deals.room + np.arange(steps + 1)
        self._blocks = deals.block[at].tolist()
        self._layers = deals.layer[:, at].T.tolist()
        self._rows = deals.seen(at, np.full(steps + 1, slot), self._width)
        self._genes = self._nothing.copy()
        self._latency = self._energy = self._other = self._cost = 0.0

    def step(self, choice: int) -> tuple[float, bool, bool]:
        """Give the next step its choice: reward, failed, finished."""
        step, walk = len(self.choices), self.walk
        self.choices.append(choice)
        self._genes[step] = self._levels[choice]
        numbers = walk.cells.numbers[self._blocks[step] * walk.num_actions + choice].tolist()
        _, span, untimed, unpowered, mac_nj, l1_macs, l2_macs, *prices = self._constants
        timed, powered, top, *_ = self._layers[step]
        cycles, repeat = numbers[self._bandwidth], max(timed, powered)
        energy = l1_macs * numbers[CELL.l1_accesses] + numbers[CELL.macs]
        energy = (energy + l2_macs * numbers[CELL.l2_accesses]) * mac_nj
        self._used += self._takes(numbers, choice, prices)
        self._other += self._takes(numbers, choice, self._others)
        invalid = cycles < 0
        failed = self._used > self._limit or invalid
        finished = not failed and step + 1 == self._num_steps
        cost = (untimed + cycles * timed) * (unpowered + energy * powered)
        self._cost += inf if invalid else cost
        self._latency += (-1 - cycles if invalid else cycles) * repeat
        self._energy += energy * repeat
        earned = (top - min(cost, top)) / span
        if failed:
            earned = self.reward.failed(self.earned, self.which)
        self.earned += earned
        self.over = failed or finished
        return earned, failed, finished

    def _takes(self, numbers: list[float], choice: int, prices: list[float]) -> float:
        """What a layer takes of a constraint."""
        pe, l1, l2 = prices
        takes = (pe + l1 * numbers[CELL.l1_units]) * self._pes[choice]
        return max(takes + l2 * numbers[CELL.l2_units], 0.0)

    def observe(self) -> Observations:
        """As :meth:`hwgym.core.episode.EpisodeKernel.observe`, of one; always a new array."""
        walk, step = self.walk, len(self.choices)
        out: Observations = self._rows[step].copy()
        previous = self.choices[-1] if step else walk.num_actions
        remaining = np.array([self._num_steps - step])
        end = self._width - 1 - len(LEFT)
        out[end - walk.shown.shape[1] : end] = walk.shown[previous]
        out[end:-1] = left_features(np.array([self._used]), self._limit, remaining)[0]
        out[-1] = min(max(self.earned, 0.0), 1.0) * 2.0 - 1.0
        return out

    def tell(self, success: bool, certificate: bool) -> dict[str, Any]:
        """As :meth:`hwgym.core.episode.Episode.tell`."""
        area, power = self._used, self._other
        if not self._by_area:
            area, power = power, area
        totals = {
            "objective": self._cost,
            "used": self._used,
            "limit": self._limit,
            "latency": self._latency,
            "energy": self._energy,
            "area": area,
            "power": power,
        }
        regret = inf if certificate else None
        if certificate and success:
            regret = self.walk.problems[self.which].certificate().above(self._cost)
        found = said(self._statement, totals, success, regret)
        found["assignment"] = self._genes.copy()
        return found

    def mask(self, mode: str) -> Bools:
        """(entries,); always a new array."""
        step = min(len(self.choices), self._num_steps - 1)
        *_, least, after = self._layers[step]
        left = self._limit - self._used - after
        found = self.walk.allowed(
            np.array([self._blocks[step]]),
            np.array([self._constants[SLOT.pe :]]).T,
            np.array([left]),
            np.array([least]),
        )
        mask: Bools = (found if mode == "discrete" else self.walk.levels(found))[0]
        return mask


def dealt_walk(problems: Instances) -> DealtWalk:
    """The walk over a split; environments share one that keeps what is dealt."""
    return _kept(problems) if len(problems) <= KEPT else DealtWalk(problems)


_kept = lru_cache(maxsize=8)(DealtWalk)

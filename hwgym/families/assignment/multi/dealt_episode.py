"""DealtEpisode: one episode about a problem that is drawn, on plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._arrays import Bools, Ints, Observations
from hwgym.core.episode import said
from hwgym.core.rewards import Reward
from hwgym.families.assignment.multi.cells import CELL
from hwgym.families.assignment.multi.deals import SLOT
from hwgym.families.assignment.multi.features import LEFT, left_features

if TYPE_CHECKING:
    from hwgym.families.assignment.multi.walk import DealtWalk

__all__ = ["DealtEpisode"]

AT_ONCE = 32
"""Problems that are dealt together, where it is known which will be drawn."""


def _unknown(count: int) -> Ints:
    return np.zeros(0, np.int64)


class DealtEpisode:
    """One episode of a :class:`~hwgym.families.assignment.multi.walk.DealtWalk`; see
    :class:`hwgym.core.episode.Episode`, of which it says the same, bit for bit.

    Many problems are dealt together in a fraction of the time that each takes alone. So where
    episodes follow one another, and nobody names a seed or a problem in between, those to come are
    dealt with the first.

    Attributes:
        coming: The numbers of so many problems that will be drawn next; none if that is not known.

    Args:
        walk: Where problems are dealt.
        reward: Made for the same bank.
    """

    def __init__(self, walk: DealtWalk, reward: Reward) -> None:
        self.walk, self.reward = walk, reward
        self.coming: Callable[[int], Ints] = _unknown
        self._slots: dict[int, int] = {}  # of those dealt ahead
        self._expected = -1  # what is drawn after them
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

    def _slot(self, which: int) -> int:
        """Where a problem has been dealt."""
        slot = self._slots.get(which)
        if slot is not None and self.walk.deals.number[slot] == which:
            return slot
        numbers = [which]
        if not self.walk.keeps:
            coming = self.coming(AT_ONCE).tolist()
            if which == self._expected:
                numbers += coming[:-1]
            self._expected = coming[len(numbers) - 1] if coming else -1
        slots = self.walk.slots(np.array(numbers)).tolist()
        self._slots = dict(zip(numbers, slots, strict=True))
        return self._slots[which]

    def _begin(self, which: int) -> None:
        self.which, slot = which, self._slot(which)
        deals = self.walk.deals
        self.choices: list[int] = []
        self.earned = self._used = 0.0
        self._num_steps = steps = int(deals.steps[slot])
        self._bandwidth = int(deals.bandwidth[slot])
        self._constants = deals.constants[slot].tolist()
        self._limit = self._constants[SLOT.limit]
        self._others = deals.others[slot].tolist()
        self._by_area = bool(deals.by_area[slot])
        at = slot * deals.room + np.arange(steps + 1)
        self._blocks = deals.block[at].tolist()
        self._layers = deals.layer[at].tolist()
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
            np.array([self._constants[SLOT.pe :]]),
            np.array([left]),
            np.array([least]),
        )
        mask: Bools = (found if mode == "discrete" else self.walk.levels(found))[0]
        return mask

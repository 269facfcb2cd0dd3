"""Orders of jobs as choices in a window: which of the first ten that wait is sent next."""

from __future__ import annotations

from heapq import heapify, heapreplace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints

__all__ = ["WINDOW", "Sent", "send", "slots_of", "turns_of"]

WINDOW = 10


class Sent(NamedTuple):
    """What slots send.

    Attributes:
        sent: (N, steps), the jobs in the order sent, then others.
        window: (N, 10), those that can be sent next, by number; -1 where no more wait.
    """

    sent: Ints
    window: Ints


def send(slots: Ints, jobs: int) -> Sent:
    """The jobs that slots (N, steps) send, one after the other, of ``jobs`` that wait.

    A slot is the place among the jobs that wait, by number; -1 from the step on at which none is
    chosen yet. One that is not there stands for the nearest that is: it is not valid, but there has
    to be some answer.
    """
    steps = slots.shape[1]
    sent, windows = [], []
    for row in slots.tolist():
        wait, order = list(range(jobs)), []
        for slot in row:
            if slot < 0:
                break
            order.append(wait.pop(min(slot, WINDOW - 1, len(wait) - 1)))
        sent.append((order + wait)[:steps])
        windows.append((wait + [-1] * WINDOW)[:WINDOW])
    return Sent(
        np.array(sent, np.int64).reshape(slots.shape),
        np.array(windows, np.int64).reshape(len(slots), WINDOW),
    )


def slots_of(priority: ArrayLike) -> tuple[Ints, Ints]:
    """The slots that send, again and again, of the jobs in the window the one of least priority,
    the first of equal ones; and the jobs in that order. All arrays (jobs,)."""
    rank = np.asarray(priority).tolist()
    wait, slots, sent = list(range(len(rank))), [], []
    while wait:
        window = [rank[job] for job in wait[:WINDOW]]
        slot = window.index(min(window))
        slots.append(slot)
        sent.append(wait.pop(slot))
    return np.array(slots), np.array(sent)


def turns_of(priority: Ints) -> Ints:
    """The place of each job in the order in which :func:`slots_of` sends them, arrays (N, jobs)."""
    count, jobs = priority.shape
    turns = np.empty((count, jobs), np.int64)
    keys = priority * jobs + np.arange(jobs)
    turn = np.arange(jobs)
    for row, ranks in enumerate(keys.tolist()):
        window = ranks[:WINDOW]
        heapify(window)
        sent = [heapreplace(window, rank) for rank in ranks[WINDOW:]]
        sent += sorted(window)
        turns[row, np.array(sent) % jobs] = turn
    return turns

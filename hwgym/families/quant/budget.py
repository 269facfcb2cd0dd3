"""Budget: what every pair of widths takes of a limit, known before anything is paid for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgym._arrays import Bools, Floats, Ints

__all__ = ["Budget"]


@dataclass(frozen=True, eq=False)
class Budget:
    """What layers take of a limit, and which choices leave enough for the rest.

    Attributes:
        usage: (layers, weight bits, activation bits); sums of them are exact.
        limit: Of their total.
    """

    usage: Floats
    limit: float

    @cached_property
    def least_after(self) -> Floats:
        """(layers + 1,): the least that the layers from each on can take."""
        least = self.usage.min(axis=(1, 2))
        return np.append(np.cumsum(least[::-1])[::-1], 0.0)

    def used(self, genes: Ints) -> Floats:
        """(N,) by the layers of genes (N, layers, 2) that are chosen; others are below 0."""
        there = (genes >= 0).all(axis=2)
        chosen = np.maximum(genes, 0)
        taken = self.usage[np.arange(genes.shape[1]), chosen[..., 0], chosen[..., 1]]
        total: Floats = np.where(there, taken, 0.0).sum(axis=1)
        return total

    def left(self, genes: Ints) -> Floats:
        """(N,): the limit less what is used."""
        return self.limit - self.used(genes)

    def fits(self, left: Floats, step: int) -> Bools:
        """(N, weight bits, activation bits): which choices of a layer leave enough for those after
        it; where none does, the one that takes least."""
        usage = self.usage[step]
        fit: Bools = usage + self.least_after[step + 1] <= left[:, None, None]
        none = ~fit.any(axis=(1, 2))
        fit[none] = usage == usage.min()
        return fit

    def allowed(self, genes: Ints, step: int) -> Bools:
        """(N, weight bits + activation bits): a width is allowed if some other goes with it."""
        fit = self.fits(self.left(genes[:, :step]), step)
        return np.concatenate([fit.any(axis=2), fit.any(axis=1)], axis=1)

    def draw(self, rng: np.random.Generator, count: int) -> Ints:
        """Random genes (count, layers, 2) within the limit: layer by layer any pair that fits, each
        as likely as any other."""
        layers, _, narrow = self.usage.shape
        genes = np.empty((count, layers, 2), np.int64)
        left = self._all(count)
        for step in range(layers):
            passed = np.cumsum(self.fits(left, step).reshape(count, -1), axis=1)
            wanted = (rng.random(count) * passed[:, -1]).astype(np.int64)
            chosen = (passed > wanted[:, None]).argmax(axis=1)
            genes[:, step] = np.stack(np.divmod(chosen, narrow), axis=1)
            left = left - self.usage[step].ravel()[chosen]
        return genes

    def repair(self, genes: Ints, rng: np.random.Generator) -> Ints:
        """Genes (N, layers, 2) within the limit: layer by layer a pair that does not fit gives way
        to the nearest that does, of equals to the one that takes least."""
        genes, left = genes.copy(), self._all(len(genes))
        widths = np.indices(self.usage.shape[1:])
        for step, usage in enumerate(self.usage):
            fit = self.fits(left, step)
            chosen = genes[:, step]
            rows = np.flatnonzero(~fit[np.arange(len(genes)), chosen[:, 0], chosen[:, 1]])
            if len(rows):
                away = np.abs(widths[None] - chosen[rows][:, :, None, None]).sum(axis=1)
                rank = np.where(fit[rows], away + usage / (2 * usage.max()), np.inf)
                at = rank.reshape(len(rows), -1).argmin(axis=1)
                genes[rows, step] = np.stack(np.divmod(at, usage.shape[1]), axis=1)
            left = left - usage[genes[:, step, 0], genes[:, step, 1]]
        return genes

    def _all(self, count: int) -> Floats:
        return np.full(count, self.limit)

"""What is proven of network mappings, choice by choice of what is shared.

Once that is fixed, layers have nothing more to do with each other. The least energy of all, and the
least latency, are sums of what :mod:`hwgym.families.mapping.enumeration` finds for each. Their
product is no sum, yet least at a corner of what can be reached: where some weighted sum of energy
and latency is least, which falls apart into layers again. So a few weights settle it: each gives a
solution, and a line that none lies below (Aneja and Nair, Management Science 25, 1979).

Choices are looked at best bound first, until the bound reaches the best solution found; or until so
many have been, since each may take seconds, when the certificate says how far off it may be.

Energy is counted in elements that move, latency in cycles: both are integers, and what is said of
them is exact.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, permutations
from math import gcd, inf
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym.core.certificate import Certificate
from hwgym.core.problem import Scores
from hwgym.families.mapping.bounds import compulsory_elements, least_cycles, least_elements
from hwgym.families.mapping.enumeration import Best, Search
from hwgym.families.mapping.network.space import ORDERS, LayerSpace, NetworkSpace

__all__ = ["certify", "simple_bound"]

MOST_SHARED = 100
"""Choices of what is shared whose layers are solved."""
MOST_WEIGHTS = 16
"""Weights of energy and latency that are tried for one of them."""

Number = int | Fraction


def simple_bound(network: NetworkSpace, objective: str) -> float:
    """No solution's objective is less: cycles by the PEs and the network on the largest array that
    can be chosen, energy by moving inputs, filters and results once."""
    spaces = [network.widest(i) for i in range(len(network.layers))]
    cycles = sum(space.layer.repeat * least_cycles(space) for space in spaces)
    elements = sum(space.layer.repeat * compulsory_elements(space) for space in spaces)
    tech = network.hardware.interconnect.tech
    worth = float(_worth(objective, elements, cycles))
    return worth if objective == "latency" else worth * tech.l2_energy_macs * tech.mac_energy_nj


def _worth(objective: str, elements: Number, cycles: Number) -> Number:
    """Of the network's elements and cycles."""
    if objective == "edp":
        return elements * cycles
    return cycles if objective == "latency" else elements


# --- lines that nothing lies below ----------------------------------------------------------------


class _Line(NamedTuple):
    """No mappings have ``a`` elements + ``b`` cycles below ``c``; and, where mappings that have no
    more are known, their elements and cycles."""

    a: int
    b: int
    c: int
    at: tuple[int, int] | None = None


class _Corner(NamedTuple):
    """Where two lines cross, and no other is above."""

    elements: Fraction
    cycles: Fraction
    between: tuple[_Line, _Line]


def _corners(lines: Sequence[_Line]) -> list[_Corner]:
    """All of them; two of the lines bound elements and cycles by themselves."""
    least = [max((x for x in lines if not x[i]), key=lambda x: (x.c, x.at or ())) for i in (1, 0)]
    every = [*least, *(line for line in lines if line.a and line.b)]
    found = []
    for one, other in combinations(every, 2):
        if not (det := one.a * other.b - one.b * other.a):
            continue
        x = Fraction(one.c * other.b - one.b * other.c, det)
        y = Fraction(one.a * other.c - one.c * other.a, det)
        if all(a * x + b * y >= c for a, b, c, _ in every):
            found.append(_Corner(x, y, (one, other)))
    return found


# --- a layer --------------------------------------------------------------------------------------


class _LayerSearch(Search):
    """The mappings of a layer, asked several times: what is known already is kept.

    Args:
        space: The mappings.
        elements, cycles: What they have at least.
    """

    def __init__(self, space: LayerSpace, elements: int, cycles: int) -> None:
        super().__init__(space)
        self._floor = [_Line(1, 0, elements), _Line(0, 1, cycles)]
        self._known: dict[tuple[int, ...], list[tuple[_Line, Best]]] = {}
        self._outer: tuple[int, ...] = ()
        self._bounds: tuple[Ints, Ints, Ints] | None = None

    def least(self, a: int, b: int, outer: tuple[int, ...] = ()) -> tuple[int, Best]:
        """The mapping of the least ``a`` elements + ``b`` cycles, and what none has less than.

        Args:
            a, b: Not both 0.
            outer: The order of the loops over the array; by default any. In a cluster any.
        """
        known = self._known.setdefault(outer, [])
        if known:
            lines = [*self._floor, *(line for line, _ in known)]
            lower = min(a * x + b * y for x, y, _ in _corners(lines))
            best = min((found for _, found in known), key=lambda f: a * f.elements + b * f.cycles)
            if (value := a * best.elements + b * best.cycles) <= lower:
                return value, best
        self._outer = outer

        def worth(elements: Array, cycles: Array) -> Floats:
            value: Floats = np.asarray(float(a) * elements + float(b) * cycles)
            return value

        found = self.best(worth if a and b else "energy" if a else "latency")
        assert found is not None  # what is shared leaves every layer a mapping
        value = a * found.elements + b * found.cycles
        if not found.proven:
            value = min(value, int(found.lower_bound * (1 - 1e-12)))
        known.append((_Line(a, b, value, (found.elements, found.cycles)), found))
        return value, found

    def _bounded(self, worth: Callable[[Array, Array], Floats]) -> tuple[Ints, Floats]:
        if self._bounds is None:
            parts: list[tuple[Ints, Ints]] = []

            def keep(elements: Ints, cycles: Ints) -> Floats:
                parts.append((elements, cycles))
                return np.zeros(len(elements))

            codes, _ = super()._bounded(keep)
            elements, cycles = (np.concatenate(each) for each in zip(*parts, strict=True))
            self._bounds = codes, elements, cycles
        codes, elements, cycles = self._bounds
        bound = worth(elements, cycles)
        order = np.argsort(bound, kind="stable")
        return codes[order], bound[order]

    def _turning(self, level: int, dims: Sequence[int]) -> Iterator[tuple[int, ...]]:
        if level or not self._outer:
            yield from permutations(dims)
        else:
            yield tuple(d for d in self._outer if d in dims)


# --- all layers -----------------------------------------------------------------------------------


@dataclass(order=True)
class _Shared:
    """A choice of what is shared, and what it leaves at least.

    Attributes:
        bound: Of the objective.
        number: Which of all.
        refined: The bound is as good as it gets without solving layers.
        genes: The shared decisions.
        spaces: The layers' mappings.
        elements, cycles: Of one run of each layer, at least.
    """

    bound: Number
    number: int
    refined: bool = field(compare=False)
    genes: tuple[int, ...] = field(compare=False)
    spaces: list[LayerSpace] = field(compare=False, repr=False)
    elements: list[int] = field(compare=False, repr=False)
    cycles: list[int] = field(compare=False, repr=False)


class _Certifier:
    """The search for the best choice of what is shared; takes what :func:`certify` does."""

    def __init__(
        self, network: NetworkSpace, objective: str, score: Callable[[Ints], Scores]
    ) -> None:
        self.network, self.objective, self.score = network, objective, score
        self.runs = [layer.repeat for layer in self.network.layers]
        self.best: tuple[int, Ints] | None = None
        """What the best known solution is worth, and its genes."""
        self._alone: dict[int, _LayerSearch] = {}
        self._moved: dict[tuple[int, int], int] = {}

    @property
    def limit(self) -> float:
        """What is worth less is better than all that is known."""
        return inf if self.best is None else self.best[0]

    def run(self) -> Number | float:
        """Find the best solution; none is worth less than what is returned."""
        queue = list(self._choices())
        heapq.heapify(queue)
        lower: Number | float = inf
        solved = 0
        while queue and queue[0].bound < min(self.limit, lower):
            shared = heapq.heappop(queue)
            if not shared.refined:
                self._refine(shared)
                heapq.heappush(queue, shared)
                continue
            if solved == MOST_SHARED:
                return min(lower, shared.bound)
            solved += 1
            lower = min(lower, self._solve(shared))
        return min(lower, self.limit)

    # --- choices of what is shared --------------------------------------------------------------

    def _choices(self) -> Iterator[_Shared]:
        """Those that may be best, with a first bound."""
        network = self.network
        layers = range(len(network.layers))
        whole = [network.widest(i) for i in layers]
        elements = [compulsory_elements(space) for space in whole]
        if network.chooses_hardware:
            every = [
                (tuple(place), [network.on(i, *network.hardware_at(place)) for i in layers])
                for place in self._largest().tolist()
            ]
        else:
            every = [((number,), whole) for number in np.flatnonzero(network.starts).tolist()]
        if network.coupling == "order":
            every = [((*genes, 0), whole) for genes, _ in every]
        elif network.coupling == "cluster":
            every = [
                ((c,), [network.narrowed(i, network.clusters[c]) for i in layers])
                for (c,), _ in every
            ]
        cycles: dict[int, int] = {}  # of spaces that several choices have
        for number, (genes, spaces) in enumerate(every):
            for space in spaces:
                if id(space) not in cycles:
                    cycles[id(space)] = least_cycles(space)
            found = [cycles[id(space)] for space in spaces]
            bound = self._worth(elements, found)
            yield _Shared(
                bound, number, self.objective == "latency", genes, spaces, elements, found
            )

    def _largest(self) -> Ints:
        """(N, 3) the hardware within the area of which no buffer can be made larger: more of a
        buffer never hurts."""
        able = self.network.buildable
        larger = np.zeros_like(able)
        larger[:, :-1] |= able[:, 1:]
        larger[:, :, :-1] |= able[:, :, 1:]
        return np.argwhere(able & ~larger)

    def _refine(self, shared: _Shared) -> None:
        """Bound what has to move: for want of room where hardware is chosen, else in whatever way a
        layer would run by itself."""
        found = []
        for i, space in enumerate(shared.spaces):
            key = (i, space.hardware.l2_bytes)
            if key not in self._moved:
                if self.network.chooses_hardware:
                    self._moved[key] = least_elements(space)
                else:
                    self._moved[key], _ = self._by_itself(i, shared).least(1, 0)
            found.append(max(self._moved[key], shared.elements[i]))
        shared.elements, shared.refined = found, True
        shared.bound = max(shared.bound, self._worth(found, shared.cycles))

    def _by_itself(self, layer: int, shared: _Shared) -> _LayerSearch:
        """All mappings that a layer has if it shares nothing."""
        if layer not in self._alone:
            space = self.network.widest(layer)
            floor = compulsory_elements(space), least_cycles(space)
            self._alone[layer] = _LayerSearch(space, *floor)
        return self._alone[layer]

    def _sum(self, each: Sequence[int]) -> int:
        """Over all runs of all layers."""
        return sum(n * number for n, number in zip(self.runs, each, strict=True))

    def _worth(self, elements: Sequence[int], cycles: Sequence[int]) -> Number:
        return _worth(self.objective, self._sum(elements), self._sum(cycles))

    # --- the layers of one of them --------------------------------------------------------------

    def _solve(self, shared: _Shared) -> Number:
        """Look for the best mappings of all layers; none is worth less than what is returned."""
        lines = [_Line(1, 0, self._sum(shared.elements)), _Line(0, 1, self._sum(shared.cycles))]
        searches = [
            self._by_itself(i, shared)
            if self.network.coupling == "order"
            else _LayerSearch(space, shared.elements[i], shared.cycles[i])
            for i, space in enumerate(shared.spaces)
        ]
        for _ in range(MOST_WEIGHTS):
            bound, corner = self._nearest(lines)
            if bound >= self.limit or (weights := self._weights(lines, corner)) is None:
                break
            lines.append(self._least(shared, searches, lines, *weights))
        return self._nearest(lines)[0]

    def _nearest(self, lines: Sequence[_Line]) -> tuple[Number, _Corner]:
        """The corner that is worth least. No solution is worth less: what is above all lines is
        convex, and a product has no least value within."""
        corners = _corners(lines)
        worth = [_worth(self.objective, corner.elements, corner.cycles) for corner in corners]
        i = min(range(len(worth)), key=lambda i: worth[i])
        return worth[i], corners[i]

    def _weights(self, lines: Sequence[_Line], corner: _Corner) -> tuple[int, int] | None:
        """Of elements and cycles, for a line that cuts a corner off; None if there is none."""
        known = {(line.a, line.b) for line in lines if line.at}
        if self.objective != "edp":
            weights = (0, 1) if self.objective == "latency" else (1, 0)
        elif not known:
            weights = lines[1].c, lines[0].c
        elif bare := [line for line in corner.between if line.at is None]:
            weights = bare[0].a, bare[0].b
        else:
            (e, c), (f, d) = (line.at or (0, 0) for line in corner.between)
            weights = abs(c - d), abs(e - f)
        common = gcd(*weights)
        if not common or (c_of := (weights[0] // common, weights[1] // common)) in known:
            return None
        return c_of

    def _least(
        self,
        shared: _Shared,
        searches: Sequence[_LayerSearch],
        lines: Sequence[_Line],
        a: int,
        b: int,
    ) -> _Line:
        """The line of these weights; not as high as it could be, where it becomes clear on the way
        that it is high enough."""
        floors = [a * e + b * c for e, c in zip(shared.elements, shared.cycles, strict=True)]
        outer: tuple[int, ...] = ()
        if self.network.coupling == "order":
            outer = tuple(ORDERS[shared.genes[0]].tolist())
        found: dict[int, Best] = {}
        line = _Line(a, b, self._sum(floors))
        # Layers in which most is at stake come first: what they say may be enough.
        stake = [-n * floor for n, floor in zip(self.runs, floors, strict=True)]
        for i in sorted(range(len(stake)), key=lambda i: stake[i]):
            lower, found[i] = searches[i].least(a, b, outer)
            floors[i] = max(floors[i], lower)
            line = _Line(a, b, self._sum(floors))
            if len(found) < len(floors) and self._nearest([*lines, line])[0] >= self.limit:
                return line
        return line._replace(at=self._offer(shared, [found[i] for i in range(len(floors))]))

    def _offer(self, shared: _Shared, found: Sequence[Best]) -> tuple[int, int]:
        """Take mappings of all layers for the best if they are; their elements and cycles."""
        network = self.network
        elements = self._sum([each.elements for each in found])
        cycles = taken = self._sum([each.cycles for each in found])
        each = [network.widest(i).genes(best.mapping)[0] for i, best in enumerate(found)]
        genes = network.genes(shared.genes, each)
        if network.coupling == "order":  # in a cluster every layer had its own: find one for all
            genes = np.repeat(genes, len(ORDERS), axis=0)
            genes[:, 1, 0] = np.arange(len(ORDERS))
            latency = self.score(genes)["latency"]
            genes, taken = genes[[latency.argmin()]], int(latency.min())
        value = int(_worth(self.objective, elements, taken))
        if value < self.limit:
            self.best = value, genes[0]
        return elements, cycles


def certify(network: NetworkSpace, objective: str, score: Callable[[Ints], Scores]) -> Certificate:
    """The best solution known, and what is proven of it.

    Args:
        network: What can be chosen; some of what is shared leaves every layer a mapping.
        objective: ``edp``, ``latency`` or ``energy``.
        score: What solutions are worth.
    """
    start = time.perf_counter()
    certifier = _Certifier(network, objective, score)
    lower = certifier.run()
    assert certifier.best is not None  # the first choice is always solved
    worth, genes = certifier.best
    value = float(score(genes[None]).objective[0])
    simple = min(simple_bound(network, objective), value)
    if lower >= worth:
        bound, method = value, "every choice of what is shared, layer by layer"
    else:
        bound = max(simple, min(value, value * float(Fraction(lower) / worth)))
        method = "the likeliest choices of what is shared, layer by layer; else bounds"
    return Certificate(genes, value, bound, method, time.perf_counter() - start, simple)

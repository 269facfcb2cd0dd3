"""Mappings per second, on one core, every one with loops of its own: against one call a mapping.

Ours are `mapping_totals`, which is what a search asks, and `evaluate_mappings`, which gives all of
MAESTRO's statistics. The peer is `evaluate`, which takes one dataflow a call. Mappings of a layer
are drawn at random: cluster, spread dimensions, orders, and tiles that divide or any. Every
statistic of those that both cost must be equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial

import numpy as np

from benchmarks.measure import Row, Settings, Void, alternate, busiest, rating
from hwgym import Hardware, Layer, evaluate, workload
from hwgym.costs.maestro import Costs, Mappings, evaluate_mappings, extents, mapping_totals

PART = "mappings"
PEER = "evaluate, a call a mapping"
NUM_PES = 168
HARDWARE = Hardware(noc_bandwidth=81_920_000)


def drawn(layer: Layer, count: int, *, divisors: bool) -> Mappings:
    """So many mappings of a layer, at random."""
    rng = np.random.default_rng(0)
    tiles = np.empty((count, 2, 4), np.int64)
    for d, extent in enumerate(extents(layer)):
        divides = extent % np.arange(1, extent + 1) == 0
        whole = np.full(count, extent)
        for level in range(2):
            pick = rng.integers(1, whole + 1)
            if divisors:  # the nearest below that divides what is left
                choices = np.flatnonzero(divides) + 1
                fits = (whole[:, None] % choices == 0) & (choices <= pick[:, None])
                pick = np.where(fits, choices, 1).max(axis=1)
            tiles[:, level, d] = whole = pick
    orders = rng.permuted(np.tile(np.arange(4), (count * 2, 1)), axis=1).reshape(count, 2, 4)
    cluster = rng.integers(1, NUM_PES + 1, count)
    return Mappings(cluster, rng.integers(0, 4, (count, 2)), tiles, orders)


def singly(layer: Layer, mappings: Mappings) -> None:
    """A call a mapping, each held against ours.

    Raises:
        Void: If one differs.
    """
    ours = evaluate_mappings(layer, mappings, NUM_PES, HARDWARE)
    for row in range(len(mappings)):
        alone = evaluate(layer, mappings.dataflow(row, layer), NUM_PES, 1, HARDWARE)
        for f in fields(Costs):
            if not np.array_equal(getattr(alone, f.name), getattr(ours, f.name)[row], True):
                raise Void(f"{f.name} of mapping {row} differs: no speed to speak of")


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: what is asked x tiles."""
    layer = workload("ResNet50")[19]
    count = min(10_000, *settings.points)
    for divisors in (True, False):
        mappings = drawn(layer, count, divisors=divisors)
        few = mappings.take(slice(0, 40))
        singly(layer, few)
        calls: dict[str, Callable[[], object]] = {
            "mapping_totals": partial(mapping_totals, layer, mappings, NUM_PES, HARDWARE),
            "evaluate_mappings": partial(evaluate_mappings, layer, mappings, NUM_PES, HARDWARE),
        }

        def one_by_one(few: Mappings = few) -> None:
            for row in range(len(few)):
                evaluate(layer, few.dataflow(row, layer), NUM_PES, 1, HARDWARE)

        timed = {name: rating(call, count, settings.seconds) for name, call in calls.items()}
        timed[PEER] = rating(one_by_one, len(few), settings.seconds)
        figures = alternate(timed, settings.rounds)
        for name, call in calls.items():
            yield Row.of(
                PART, name, {"tiles": "divisors" if divisors else "any", "mappings": count},
                "mappings/s", figures[name], PEER, figures[PEER], where=busiest(call),
                note=f"The layer is {layer.name} of ResNet50.",
            )  # fmt: skip

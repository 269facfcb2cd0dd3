"""How cost grows with layers, actions, batch and environments: seconds a call, and the slope.

A slope of 1 on log-log axes is cost in proportion; less, that a part of the cost does not grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.cost import distinct_layers
from benchmarks.measure import Row, Settings, Spread, alternate, seconds_each
from benchmarks.stepping import Replay, env_id, vector
from hwgym import Shapes, evaluate
from hwgym.families.assignment import FINE_PE_LEVELS, TILE_LEVELS, AssignmentProblem

PART = "growth"
SLOPE = "slope"


def levels_for(actions: int) -> tuple[Sequence[int], Sequence[int]]:
    """PE counts and tiles, spread over the fine space, with so many choices together.

    Raises:
        ValueError: If they do not divide into up to 128 PE counts x 12 tiles.
    """
    tiles = TILE_LEVELS if actions % len(TILE_LEVELS) == 0 else TILE_LEVELS[:1]
    pes = actions // len(tiles)
    if not 1 <= pes <= len(FINE_PE_LEVELS):
        raise ValueError(f"actions must be a multiple of 12 up to 1536, got {actions}")
    chosen = np.unique(np.linspace(1, len(FINE_PE_LEVELS), pes).round().astype(int))
    return [int(p) for p in chosen], tiles


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Of log seconds over log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def calls_for(settings: Settings) -> dict[tuple[str, str], dict[int, Callable[[], object]]]:
    """By axis and what is called: a call for every size."""
    problem = AssignmentProblem.of(settings.model)
    rng = np.random.default_rng(0)
    pes, tiles = levels_for(144)
    most = distinct_layers(max(settings.growth["layers"]))
    out: dict[tuple[str, str], dict[int, Callable[[], object]]] = {}

    def cost_model(
        shapes: Shapes, pes: Sequence[int], tiles: Sequence[int]
    ) -> Callable[[], object]:
        query = shapes.reshape(-1, 1, 1), np.array(pes)[:, None], np.array(tiles)
        return lambda: evaluate(query[0], "NVDLA", query[1], query[2])

    def scoring(batch: int) -> Callable[[], object]:
        chosen = rng.integers(problem.num_actions, size=(batch, problem.num_steps))
        return lambda: problem.evaluate_actions(chosen)

    out["layers", "cost model"] = {
        n: cost_model(_first(most, n), pes, tiles) for n in settings.growth["layers"]
    }
    network = Shapes.of(problem.design.workload)
    out["actions", "cost model"] = {
        n: cost_model(network, *levels_for(n)) for n in settings.growth["actions"]
    }
    out["batch", "assignments"] = {n: scoring(n) for n in settings.growth["batch"]}
    out["environments", "vector episode"] = {}
    for n in settings.growth["environments"]:
        env = vector(env_id(settings.model), n, "discrete")
        out["environments", "vector episode"][n] = Replay(env, problem, "discrete")
    return out


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: an axis x a size, against its smallest; and a slope an axis."""
    for (axis, what), calls in calls_for(settings).items():
        figures = alternate(
            {str(n): _seconds(call, settings.seconds / 2) for n, call in calls.items()},
            settings.rounds,
        )
        smallest = str(min(calls))
        for n in calls:
            yield Row.of(
                PART, what, {"axis": axis, "size": n}, "s", figures[str(n)],
                f"{axis} {smallest}", figures[smallest],
            )  # fmt: skip
        sizes = sorted(calls)
        rounds = range(settings.rounds)
        all_ = [slope(sizes, [figures[str(n)][i] for n in sizes]) for i in rounds]
        upper = sizes[-max(2, (len(sizes) + 1) // 2) :]
        large = [slope(upper, [figures[str(n)][i] for n in upper]) for i in rounds]
        yield Row(
            PART, what, {"axis": axis, "size": SLOPE}, "log s / log size", Spread.of(all_),
            extra={"upper_half": Spread.of(large).median},
        )  # fmt: skip


def _first(shapes: Shapes, count: int) -> Shapes:
    columns: dict[str, Any] = {
        n: np.broadcast_to(values, shapes.macs.shape)[:count]
        for n, values in shapes.arrays().items()
    }
    return Shapes(**columns)


def _seconds(call: Callable[[], object], seconds: float) -> Callable[[], float]:
    return lambda: seconds_each(call, seconds)

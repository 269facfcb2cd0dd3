"""The Pareto front of assignments: what can be had for what.

Costs add up over layers, so the front can be computed exactly. Layers are added one by one, and of
the partial assignments only those stay that no other beats in every objective *and* in what it
takes of the budget (Nemhauser and Ullmann, Management Science 15(9), 1969, with more than one
objective). No heuristics are involved: whatever is left out is dominated, or cannot be completed
within the budget.

With one objective beside the constraint, such as latency and area, the list stays in the thousands
and the front is exact in a second or two. With two, as in latency, energy and area, it may grow to
hundreds of thousands. A tolerance ``epsilon`` then keeps it short: partial assignments are compared
on a logarithmic grid, and what falls together counts as equal. A sum of parts that are each off by
a factor is off by no more than the greatest of these, and the grids' factors along the way multiply
to ``1 + epsilon``, so that

    every feasible assignment is matched by a listed one that takes no more of the budget and is at
    most ``1 + epsilon`` times as large in each other objective.

Every listed point is an assignment, evaluated; only completeness depends on ``epsilon``, and the
least latency and energy within the budget are on the list in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgym._names import nearest
from hwgym.families.assignment.problem import AssignmentProblem

__all__ = ["OBJECTIVES", "TOO_MANY", "Frontier", "frontier"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

OBJECTIVES = ("latency", "energy", "edp", "throughput", "area", "power")
UNITS = {
    "latency": "cycles",
    "energy": "nJ",
    "edp": "nJ x cycles",
    "throughput": "cycles",
    "area": "um^2",
    "power": "mW",
}
ROUNDING = 1e-12  # relative: sums in another order differ by less, and are one point
TOO_MANY = 400_000  # partial assignments kept at once
FEW = 500  # shorter lists are not thinned: the tolerance is saved for longer ones
_BLOCK = 2_000_000  # candidates at once
_CELLS = 2**22  # of a grid that is held as an array; a finer one is sorted


@dataclass(frozen=True, eq=False)
class Frontier:
    """A Pareto front, by increasing first objective.

    Attributes:
        problem: With the constraint and the budget that all points keep.
        objectives: What is minimised.
        actions: (N, steps) action numbers.
        values: (N, objectives), as ``AssignmentProblem.evaluate`` gives them.
        epsilon: 0 if the front is exact (to 1e-12 relative); else what is said in the module's
            docstring.
        seconds: What it took.
    """

    problem: AssignmentProblem
    objectives: tuple[str, ...]
    actions: Ints
    values: Floats
    epsilon: float
    seconds: float

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return (
            f"<Frontier of {len(self):,} assignments: {' x '.join(self.objectives)}; {self.claim}>"
        )

    @property
    def exact(self) -> bool:
        """Whether nothing is missing."""
        return self.epsilon == 0

    @property
    def claim(self) -> str:
        """What is certain of it, in one sentence."""
        if self.exact:
            return "exact: these are all feasible assignments that no other beats"
        constraint = self.problem.constraint
        others = " and ".join(o for o in self.objectives if o != constraint)
        return (
            f"within {self.epsilon:.3g}: every feasible assignment is matched by one of these that "
            f"takes no more {constraint} and at most {1 + self.epsilon:.6g} times its {others}"
        )

    def assignment(self, point: int) -> Ints:
        """Level indices (steps, 2 or 3) of one point."""
        return self.problem.space.decode(self.actions[point])

    def select(self, count: int) -> Ints:
        """Indices of points that are far apart: the best in each objective, then those farthest
        from all chosen, by the ratios of their objectives; in order."""
        scale = np.log(np.maximum(self.values, 1e-300))
        scale = scale / np.maximum(np.ptp(scale, axis=0), 1e-12)
        chosen = list(dict.fromkeys(self.values.argmin(axis=0).tolist()))[:count]
        distance = np.full(len(self), np.inf)
        for point in chosen:
            distance = np.minimum(distance, np.abs(scale - scale[point]).max(axis=1))
        while len(chosen) < min(count, len(self)):
            point = int(distance.argmax())
            if distance[point] == 0:
                break
            chosen.append(point)
            distance = np.minimum(distance, np.abs(scale - scale[point]).max(axis=1))
        return np.sort(np.array(chosen, np.int64))

    def rows(self, points: Sequence[int] | Ints | None = None) -> list[dict[str, Any]]:
        """A row a point (of those given): latency, energy, area, power and the PEs of all layers,
        with the share of the budget used."""
        index = np.arange(len(self)) if points is None else np.asarray(points, np.int64)
        actions = self.actions[index]
        scores = self.problem.evaluate_actions(actions)
        pes = np.array(self.problem.space.pe_levels)[self.problem.space.decode(actions)[..., 0]]
        columns: dict[str, list[Any]] = {
            "point": index.tolist(),
            "latency_cycles": scores.latency_cycles.tolist(),
            "energy_nj": scores.energy_nj.tolist(),
            "area_um2": scores.area_um2.tolist(),
            "power_mw": scores.power_mw.tolist(),
        }
        for i, name in enumerate(self.objectives):
            if name in ("edp", "throughput"):
                columns[name] = self.values[index, i].tolist()
        columns["pes"] = pes.sum(axis=1).tolist()
        columns["budget_used"] = (scores.used / (self.problem.budget or 1)).tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def frontier(
    problem: AssignmentProblem,
    objectives: Sequence[str] = ("latency", "energy", "area"),
    *,
    epsilon: float = 0.0,
    progress: Callable[[int, int], object] | None = None,
) -> Frontier:
    """The Pareto front of the assignments within a problem's budget.

    Args:
        problem: Its constraint and budget hold; its own objective plays no part.
        objectives: Two or three of :data:`OBJECTIVES`, at most two of them beside the constraint.
        epsilon: 0 for the exact front; else a tolerance, as in the module's docstring.
        progress: Called after each step with the steps done and all steps.

    Raises:
        ValueError: If an objective is unknown or there are too many, epsilon is negative, or the
            list of partial assignments grows beyond :data:`TOO_MANY`.
    """
    start = time.perf_counter()
    names = _check(problem, objectives, epsilon)
    others = [o for o in names if o != problem.constraint]
    problems = {o: _with_objective(problem, o) for o in names if o in OBJECTIVES[:4]}
    tables = [_table(problem, problems, o) for o in others]
    actions = _enumerate(problem, others, tables, epsilon, progress)
    if epsilon:  # the ends of the front, proven
        ends = [problem.space.encode(p.optimum().assignment) for p in problems.values()]
        actions = np.concatenate((actions, ends))
    scores = problem.evaluate_actions(actions)
    actions = actions[scores.feasible]
    values = np.stack([_values(problem, problems, o, actions) for o in names], axis=1)
    keep = _undominated(*values.T)
    order = keep[np.lexsort(values[keep].T[::-1])]
    return Frontier(
        problem=problem,
        objectives=names,
        actions=actions[order],
        values=values[order],
        epsilon=float(epsilon),
        seconds=time.perf_counter() - start,
    )


def _check(
    problem: AssignmentProblem, objectives: Sequence[str], epsilon: float
) -> tuple[str, ...]:
    names = (objectives,) if isinstance(objectives, str) else tuple(objectives)
    for name in names:
        if name not in OBJECTIVES:
            raise ValueError(nearest("objective", name, OBJECTIVES))
    if len(set(names)) < len(names) or not 2 <= len(names) <= 3:
        raise ValueError(f"a front has two or three objectives, got {', '.join(names) or 'none'}")
    if "throughput" in names and problem.deployment == "LS":
        raise ValueError("throughput is the period of a layer pipeline (LP); under LS take latency")
    if len([n for n in names if n != problem.constraint]) > 2:
        raise ValueError(
            f"at most two objectives beside the constraint, {problem.constraint}, "
            f"got {', '.join(names)}"
        )
    if not np.isfinite(epsilon) or epsilon < 0:
        raise ValueError(f"epsilon must be a number >= 0, got {epsilon!r}")
    return names


def _with_objective(problem: AssignmentProblem, objective: str) -> AssignmentProblem:
    return AssignmentProblem(
        problem.space,
        objective,
        problem.constraint,
        budget=problem.budget,
        deployment=problem.deployment,
    )


def _table(
    problem: AssignmentProblem, problems: dict[str, AssignmentProblem], objective: str
) -> Floats:
    """(steps, actions): what each choice adds to an objective."""
    if objective in problems:
        return problems[objective].cost
    return problem.area if objective == "area" else problem.power


def _values(
    problem: AssignmentProblem,
    problems: dict[str, AssignmentProblem],
    objective: str,
    actions: Ints,
) -> Floats:
    if objective in problems:
        return problems[objective].evaluate_actions(actions).objective
    scores = problem.evaluate_actions(actions)
    return scores.area_um2 if objective == "area" else scores.power_mw


# --- the list of partial assignments --------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Part:
    """The undominated assignments of some of the steps.

    Attributes:
        steps: Which, in the order of ``actions``'s columns.
        usage, costs: (n,) what they take of the budget, and of each objective.
        error: Those left out are matched by one that is worse by this factor, less 1.
        actions: (n, steps) action numbers.
    """

    steps: tuple[int, ...]
    usage: Floats
    costs: tuple[Floats, ...]
    error: float
    actions: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.usage)


def _enumerate(
    problem: AssignmentProblem,
    others: Sequence[str],
    tables: Sequence[Floats],
    epsilon: float,
    progress: Callable[[int, int], object] | None,
) -> Ints:
    """Actions (N, steps) that cover the front, in the budget and in the other objectives."""
    adding = [np.maximum if name == "throughput" else np.add for name in others]
    parts = []
    for step in range(problem.num_steps):
        allowed = np.flatnonzero(problem.valid[step])
        columns = [problem.usage[step, allowed], *(table[step, allowed] for table in tables)]
        keep = _undominated(*columns)
        usage, *costs = (column[keep] for column in columns)
        actions = allowed[keep, None].astype(np.int16)
        parts.append(_Part((step,), usage, tuple(costs), 0.0, actions))
    least = sum(float(part.usage.min()) for part in parts)
    parts.sort(key=len)
    while len(parts) > 1:
        # With a tolerance the two shortest lists, so that few are thinned one after the other;
        # without, one long list and the short ones of single steps.
        first, second = (parts[0], parts[1])
        rest = least - float(first.usage.min()) - float(second.usage.min())
        room = problem.limit * (1 + ROUNDING) - rest
        share = (len(first.steps) + len(second.steps)) / problem.num_steps
        both = _combine(first, second, adding, room, (1 + epsilon) ** share - 1)
        if len(both) > TOO_MANY:
            raise ValueError(
                f"{len(both.steps)} of {problem.num_steps} layers have {len(both):,} undominated "
                f"assignments, more than {TOO_MANY:,}: give a tolerance above {epsilon:g}, a "
                "smaller budget or fewer objectives"
            )
        parts[:2] = [both]
        if epsilon:
            parts.sort(key=len)
        if progress is not None:
            progress(problem.num_steps - len(parts) + 1, problem.num_steps)
    [whole] = parts
    return whole.actions[:, np.argsort(whole.steps)].astype(np.int64)


def _combine(
    first: _Part, second: _Part, adding: Sequence[np.ufunc], room: float, allowed: float
) -> _Part:
    """Every assignment of one part with every one of another, less what is dominated or too big.

    A long list is thinned, so far as the error allowed in all leaves room. In blocks, so that
    memory stays bounded; their grid is the same, so that its error counts once.
    """
    if len(first) < len(second):
        first, second = second, first
    width = len(second)
    error = max(first.error, second.error)
    ratio = None
    if len(first) * width > FEW and allowed > error:
        ratio, error = (1 + allowed) / (1 + error) * (1 - ROUNDING), allowed
    block = max(1, _BLOCK // width)
    pick, usage = np.zeros(0, np.int64), np.zeros(0)
    costs = [np.zeros(0) for _ in adding]
    for start in range(0, len(first), block):
        rows = slice(start, start + block)
        added = np.add.outer(first.usage[rows], second.usage).ravel()
        fits = np.flatnonzero(added <= room)
        if not len(fits):
            continue
        pick = np.append(pick, fits + start * width)
        usage = np.append(usage, added[fits])
        costs = [
            np.append(cost, add.outer(a[rows], b).ravel()[fits])
            for cost, add, a, b in zip(costs, adding, first.costs, second.costs, strict=True)
        ]
        keep = _undominated(usage, *costs, ratio=ratio)
        pick, usage, costs = pick[keep], usage[keep], [cost[keep] for cost in costs]
    rows_of, columns_of = np.divmod(pick, width)
    return _Part(
        first.steps + second.steps,
        usage,
        tuple(costs),
        error,
        np.concatenate((first.actions[rows_of], second.actions[columns_of]), axis=1),
    )


def _undominated(*columns: Floats, ratio: float | None = None) -> Ints:
    """Indices of the points that no other beats, of two or three columns; less is better.

    Values of the first column that differ by rounding only are equal. With a ratio, so are those
    of the other columns that fall into one interval of a grid whose steps have that ratio.
    """
    if ratio is not None:
        cells = [np.floor(np.log(c) / np.log(ratio)) for c in columns[1:]]
        cells = [cell - cell.min() for cell in cells]
        shape = [int(cell.max()) + 1 for cell in cells]
        if np.prod(shape, dtype=float) <= _CELLS:
            places = [cell.astype(np.int64) for cell in cells]
            return _of_grid(columns[0], np.ravel_multi_index(places, shape), shape)
        columns = (columns[0], *cells)
    levels = _levels(columns[0])
    order = np.lexsort((*columns[:0:-1], levels))
    others = [column[order] for column in columns[1:]]
    if len(others) == 1:
        return order[_records(others[0])]
    return order[_sweep(levels[order], others[0], others[1])]


def _of_grid(values: Floats, cells: Ints, shape: Sequence[int]) -> Ints:
    """One index for every cell whose least value is below that of all cells before it."""
    least = np.full(int(np.prod(shape)), np.inf)
    np.minimum.at(least, cells, values)
    reached = np.flatnonzero(values == least[cells])
    index = np.full(len(least), -1)
    index[cells[reached]] = reached
    grid = least.reshape(shape)
    before = grid
    for axis in range(len(shape)):
        before = np.minimum.accumulate(before, axis=axis)
    bound = np.full(shape, np.inf)
    for axis in range(len(shape)):
        upper = [slice(None)] * len(shape)
        lower = [slice(None)] * len(shape)
        upper[axis], lower[axis] = slice(1, None), slice(None, -1)
        np.minimum(bound[tuple(upper)], before[tuple(lower)], out=bound[tuple(upper)])
    keep = np.isfinite(grid) & (grid < bound * (1 - ROUNDING))
    chosen: Ints = index[keep.ravel()]
    return chosen


def _levels(values: Floats) -> Ints:
    """Ranks of values, the same for values that differ by rounding only."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    rank = np.zeros(len(values), np.int64)
    rank[order[1:]] = np.cumsum(np.diff(ordered) > ROUNDING * np.abs(ordered[1:]))
    return rank


def _records(values: Floats, slack: float = ROUNDING) -> NDArray[np.bool_]:
    """Which values are less than all before them, by more than rounding."""
    keep = np.ones(len(values), bool)
    least = np.minimum.accumulate(values)[:-1]
    keep[1:] = values[1:] < least * (1 - slack)
    return keep


def _sweep(levels: Ints, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points, sorted by (level, x, y), no other beats in all three.

    Level by level; the undominated (x, y) of all levels so far are a staircase, x up and y down.
    """
    keep = np.zeros(len(levels), bool)
    stair_x, stair_y = np.array([-np.inf]), np.array([np.inf])
    bounds = np.flatnonzero(np.diff(levels)) + 1
    for start, end in zip(np.append(0, bounds), np.append(bounds, len(levels)), strict=True):
        best = stair_y[np.searchsorted(stair_x, x[start:end], side="right") - 1]
        new = start + np.flatnonzero(y[start:end] < best * (1 - ROUNDING))
        if not len(new):
            continue
        new = new[_records(y[new])]
        keep[new] = True
        all_x, all_y = np.append(stair_x, x[new]), np.append(stair_y, y[new])
        order = np.lexsort((all_y, all_x))
        all_x, all_y = all_x[order], all_y[order]
        steps = _records(all_y, 0.0)
        stair_x, stair_y = all_x[steps], all_y[steps]
    return keep

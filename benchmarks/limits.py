"""What the machine could do at best: the bytes that must move, over what memory moves.

Bandwidths are taken in the same rounds as the rates that they are held against: numpy's copy, and
numpy's gather of single numbers at random places; once with arrays beyond every cache, once with
arrays that fit a core's own. A copy counts what it reads and what it writes; that a write may read
the line first is the machine's affair.

The bytes that must move are what the interface asks for: every action read, every observation,
reward and flag written, every state read and written once, every table entry read once. What
``info`` holds is left out, as nobody reads it here, and so is anything that an implementation moves
besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.measure import Row, Settings, alternate, rating
from benchmarks.stepping import CARTPOLE, Replay, env_id, pre_drawn, vector
from hwgym.core import ACTION_MODES
from hwgym.families.assignment import AssignmentProblem

PART = "machine"
NUMBER = 8  # bytes of a float64 or int64
STATE = 3  # numbers an episode must keep: its step, what it used, what it cost


def copying(size: int) -> Callable[[], object]:
    """Copies arrays of so many bytes in all, half read and half written."""
    source = np.ones(size // 2 // NUMBER)
    target = np.empty_like(source)
    return lambda: np.copyto(target, source)


def gathering(size: int) -> tuple[Callable[[], object], int]:
    """Gathers from a table of so many bytes at random places; and the bytes that a call moves."""
    table = np.ones(size // NUMBER)
    places = np.random.default_rng(0).integers(len(table), size=min(len(table), 2**20))
    out = np.empty(len(places))
    return (lambda: table.take(places, out=out, mode="clip")), 3 * NUMBER * len(places)


def step_bytes(env: Any) -> dict[str, int]:
    """Bytes that a layer-step of one environment must move, by what they are."""
    action = env.single_action_space
    observed = int(np.prod(env.single_observation_space.shape))
    return {
        "action": int(np.prod(action.shape)) * action.dtype.itemsize,
        "observation": observed * 4,
        "reward and flags": NUMBER + 2,
        "state": 2 * STATE * NUMBER + NUMBER,  # and the action is recorded
        # Cost and constraint of the choice; the next layer's features.
        "tables": 2 * NUMBER + (observed - 1) * 4,
    }


def cartpole_bytes(env: Any) -> int:
    """The same for gymnasium's CartPole: four numbers of state, read, written and observed."""
    state = env.reset(seed=0)[0].itemsize * 4
    return int(NUMBER + 2 * state + state + NUMBER + 2)


def assignment_bytes(problem: AssignmentProblem, *, levels: bool) -> int:
    """Bytes to score a complete assignment: choices read, table entries read, scores written."""
    choice = len(problem.space.shape) * NUMBER if levels else NUMBER
    numbers, flags = 1 + len(problem.statement.metrics), 1  # of a layer: cost, metrics; validity
    # Of the whole: the same, and what it uses; valid and feasible.
    return problem.num_steps * (choice + numbers * NUMBER + flags) + (numbers + 1) * NUMBER + 2


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: bandwidths; then each rate in bytes, and its share of them."""
    seconds = settings.seconds
    calls: dict[str, Callable[[], float]] = {}
    sizes = {"memory": settings.big_bytes, "cache": settings.small_bytes}
    for where, size in sizes.items():
        calls[f"copy, {where}"] = _gigabytes(copying(size), size, seconds)
        gather, moved = gathering(size)
        calls[f"gather, {where}"] = _gigabytes(gather, moved, seconds)

    work: dict[tuple[str, str, int], int] = {}
    count = 4096 if 4096 in settings.num_envs else max(settings.num_envs)
    for mode in ACTION_MODES:
        env = vector(env_id(settings.model), count, mode)
        replay = Replay(env, env.problem, mode)
        must = sum(step_bytes(env).values())
        work["layer-step", mode, count] = must
        calls[f"layer-step {mode}"] = _gigabytes(replay, must * replay.work, seconds)
    theirs = vector(CARTPOLE, count)
    must = cartpole_bytes(theirs)
    step, steps = pre_drawn(theirs)
    work[f"{CARTPOLE} step", "-", count] = must
    calls[f"{CARTPOLE} step -"] = _gigabytes(step, must * steps, seconds)

    problem = AssignmentProblem.of(settings.model)
    number = settings.assignments
    chosen = np.random.default_rng(0).integers(
        problem.num_actions, size=(number, problem.num_steps)
    )
    levels = problem.space.decode(chosen)
    for form, call in {
        "level indices": lambda: problem.evaluate(levels),
        "action numbers": lambda: problem.evaluate_actions(chosen),
    }.items():
        must = assignment_bytes(problem, levels=form == "level indices")
        work["assignment", form, number] = must
        calls[f"assignment {form}"] = _gigabytes(call, must * number, seconds)

    figures = alternate(calls, settings.rounds)
    for where, bytes_ in sizes.items():
        for kind in ("copy", "gather"):
            yield Row.of(
                PART, kind, {"arrays in": where, "KiB": bytes_ // 1024}, "GB/s",
                figures[f"{kind}, {where}"],
            )  # fmt: skip
    for (what, mode, batch), must in work.items():
        # An assignment is all gather, a step mostly copying.
        kind = "gather" if what == "assignment" else "copy"
        for where in sizes:
            peer = f"{kind}, {where}"
            yield Row.of(
                PART, what, {"mode": mode, "batch": batch}, "GB/s", figures[f"{what} {mode}"],
                peer, figures[peer],
                extra={
                    "bytes": must,
                    "at_best_per_second": float(np.median(figures[peer])) * 1e9 / must,
                },
            )  # fmt: skip


def _gigabytes(call: Callable[[], object], moved: float, seconds: float) -> Callable[[], float]:
    return rating(call, moved / 1e9, seconds)

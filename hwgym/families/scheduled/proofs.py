"""What was found and proven once, and comes along: schedules, and bounds that a solver proved.

Certificates are to be the same whatever is installed, so no solver is asked for them.
``proofs.json`` has a record a problem; ``python -m benchmarks.schedule_proofs`` makes it anew.
Whether a schedule is what its record says is seen whenever that is read; that none is better than
its bound rests on the solver that the record names.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from hwgym.core.certificate import Certificate
from hwgym.core.problem import Problem, Statement

__all__ = ["FILE", "digest_of", "proof_of", "records"]

FILE = files("hwgym.families.scheduled").joinpath("proofs.json")
ROUNDING = 1e-9


def digest_of(statement: Statement) -> str:
    """What a problem is looked up by: a digest of what identifies it."""
    return hashlib.sha256(json.dumps(statement.key, sort_keys=True).encode()).hexdigest()[:32]


@cache
def records() -> Mapping[str, Mapping[str, Any]]:
    """All records, by digest, as the file has them.

    Each has ``id``, of the environment, for people; ``genes``, a row an axis; ``makespan``, theirs;
    ``bound``, cycles that a solver proved no schedule to be under, or null; and ``method``.
    """
    return {each["digest"]: each for each in json.loads(FILE.read_text(encoding="utf-8"))}


def proof_of(problem: Problem, relaxation: float) -> Certificate | None:
    """The certificate of a problem of which there is a record, else None.

    Args:
        problem: It scores the record's schedule.
        relaxation: A bound that needs no solver. What is certified is no less.

    Raises:
        RuntimeError: If the record is not true.
    """
    record = records().get(digest_of(problem.statement))
    if record is None:
        return None
    genes = np.array(record["genes"]).T
    said, bound = record["makespan"], record["bound"]
    try:
        scores = problem.score(problem.space.check(genes))
    except ValueError as error:
        raise _wrong(record, str(error)) from error
    makespan = float(scores.objective[0])
    if not scores.feasible[0] or not math.isclose(makespan, said, rel_tol=ROUNDING):
        raise _wrong(record, f"its schedule takes {makespan:,.15g} cycles, not {said:,.15g}")
    if bound is not None and bound > makespan * (1 + ROUNDING):
        raise _wrong(record, f"its schedule takes {makespan:,.15g} cycles, less than {bound:,.15g}")
    lower = relaxation if bound is None else max(bound, relaxation)
    return Certificate(
        genes, makespan, min(lower, makespan), record["method"], 0.0, min(relaxation, makespan)
    )


def _wrong(record: Mapping[str, Any], why: str) -> RuntimeError:
    return RuntimeError(
        f"proofs.json, {record['id']}: {why}; "
        f"`python -m benchmarks.schedule_proofs {record['id']}` makes it anew"
    )

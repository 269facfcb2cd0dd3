"""What comes along of schedules: the best that are known, and bounds that a solver proved.

    python -m benchmarks.schedule_proofs                     # every id, but for what is proven
    python -m benchmarks.schedule_proofs HWGroup-Vision-S2-Unlimited-v0 --seconds 600
    python -m benchmarks.schedule_proofs --samples 1000000   # search longer, too

Writes ``hwgym/families/scheduled/proofs.json`` anew after each id, and never anything worse than
what is there: what is broken off goes on where it was. Groups without a limit on the bandwidth are
left to CP-SAT (``pip install 'hwgym[cpsat]'``). Of all others, ``schedule-local`` looks for better
schedules, and CP-SAT improves those of networks on sub-accelerators. An id whose certificate is as
good by itself gets no record, but for those whose certificate takes long to find.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from hwgym._arrays import Ints
from hwgym._files import write_text
from hwgym._names import nearest
from hwgym.bounds.cpsat import best_chains, best_jobs
from hwgym.core import Problem, solve
from hwgym.core.certificate import Certificate
from hwgym.core.family import family_named, problem_of, ranked_ids
from hwgym.costs.schedules import chains
from hwgym.families.hetero.scheduling import NEVER, latency_of
from hwgym.families.hetero.space import HeteroSpace
from hwgym.families.scheduled import proofs

FAMILIES = ("group", "hetero")
LONG = 1.0
"""Seconds."""


def solver() -> str:
    """Who proves."""
    return f"CP-SAT of OR-tools {version('ortools')}"


def proven(problem: Problem, known: Certificate, seconds: float) -> Mapping[str, Any]:
    """What CP-SAT finds of a group without a limit on the bandwidth."""
    best = best_jobs(
        problem.statement.known["latency"], seconds=seconds, core=known.assignment[:, 0]
    )
    return {
        "genes": np.stack([best.core, np.zeros_like(best.core)]).tolist(),
        "makespan": best.makespan,
        "bound": best.bound,
        "method": f"{solver()}, and sums of subsets",
    }


def searched(
    problem: Problem, known: Certificate, samples: int, seed: int, seconds: float
) -> Mapping[str, Any]:
    """The best schedule known after a search; of chains, after one of CP-SAT on its partition."""
    genes, makespan, method = known.assignment, known.objective, known.method
    if samples:
        from hwgym_agents.schedule_local import LocalSchedule

        found = solve(LocalSchedule(), problem, samples=samples, seed=seed)
        if found.assignment is not None and found.objective < makespan:
            genes, makespan = found.assignment, found.objective
            method = f"schedule-local with {samples:,} samples; bound by weights"
    if "lengths" in problem.statement.known:
        planned = replanned(problem, genes, seconds)
        after = float(problem.evaluate(planned).objective[0])
        if after < makespan:
            genes, makespan = planned, after
            method = method if solver() in method else f"{method}; then {solver()}"
    return {"genes": genes.T.tolist(), "makespan": makespan, "bound": None, "method": method}


def replanned(problem: Problem, genes: Ints, seconds: float) -> Ints:
    """The same partition into sub-accelerators with what CP-SAT makes of its schedule."""
    known = problem.statement.known
    space = HeteroSpace.told(known)
    built = space.partition_of(genes[None])
    latency = latency_of(known["latency"], built)[0].T
    before = chains(latency, known["lengths"], *(each[0] for each in space.plan_of(genes[None])))
    latency[latency == NEVER] = np.inf
    if not (before.start == before.start.round()).all():
        return genes  # CP-SAT counts in whole cycles
    best = best_chains(
        latency, known["lengths"], seconds=seconds, start=before.start, core=before.core
    )
    order = np.argsort(best.start, kind="stable")
    chain = np.repeat(np.arange(len(known["lengths"])), known["lengths"])
    found: Ints = space.genes_of(*built, chain[order], best.core[order])[0]
    return found


def known_of(env_id: str, kept: dict[str, Any]) -> tuple[Problem, str, Certificate]:
    """A problem, its digest, its certificate; a record that is not true is dropped."""
    problem = problem_of(env_id)
    digest = proofs.digest_of(problem.statement)
    try:
        return problem, digest, problem.certificate()
    except RuntimeError:
        del kept[digest]
        write(kept)
        return problem, digest, problem.certificate()


def as_found(known: Certificate) -> Mapping[str, Any]:
    """A certificate as a record."""
    genes = known.assignment.T.tolist()
    return {
        "genes": genes,
        "makespan": known.objective,
        "bound": None,
        "method": known.method,
    }


def write(kept: Mapping[str, Mapping[str, Any]]) -> None:
    """All records, one a line."""
    order = sorted(kept.values(), key=lambda record: (record["id"], record["digest"]))
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in order)
    write_text(Path(str(proofs.FILE)), f"[\n{lines}\n]\n")
    proofs.records.cache_clear()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("ids", nargs="*", metavar="ENV_ID", help="by default all")
    parser.add_argument("--seconds", type=float, default=60, help="for CP-SAT, an id (%(default)s)")
    parser.add_argument(
        "--samples", type=int, default=100_000, help="for the search, an id (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the search (%(default)s)")
    given = parser.parse_args(arguments)
    every = [i for name in FAMILIES for i in ranked_ids(family_named(name))]
    for name in given.ids:
        if name not in every:
            parser.error(nearest("id", name, every))

    console = Console(highlight=False)
    kept = {digest: dict(record) for digest, record in proofs.records().items()}
    if not given.ids:  # what is of no id any more
        digests = {proofs.digest_of(problem_of(name).statement) for name in every}
        kept = {digest: record for digest, record in kept.items() if digest in digests}
        write(kept)
    for env_id in given.ids or every:
        problem, digest, known = known_of(env_id, kept)
        if not known.exact:
            free = problem.statement.known.get("bandwidth") == np.inf
            found = (
                proven(problem, known, given.seconds)
                if free
                else searched(problem, known, given.samples, given.seed, given.seconds)
            )
            before = kept.get(digest, found)["bound"]
            if before is not None:
                found = {**found, "bound": max(before, found["bound"])}
            bound = known.lower_bound if found["bound"] is None else found["bound"]
            if found["makespan"] < known.objective or bound > known.lower_bound:
                kept[digest] = {"id": env_id, "digest": digest, **found}
                write(kept)
            elif known.seconds > LONG:
                kept[digest] = {"id": env_id, "digest": digest, **as_found(known)}
                write(kept)
            known = proofs.proof_of(problem, known.lower_bound) or known
        console.print(
            f"{env_id}: {known.objective:,.0f} cycles, none under {known.lower_bound:,.0f} "
            f"({known.gap:.2%}): {known.method}",
            soft_wrap=True,
        )


if __name__ == "__main__":
    main()

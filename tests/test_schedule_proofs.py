"""What comes along of schedules: that it is true, and that what is not is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import schedule_proofs
from hwgym.bounds.cpsat import BestSchedule, best_chains, best_jobs
from hwgym.bounds.schedules import ascended_bound
from hwgym.core.family import problem_of, ranked_ids
from hwgym.families.group import group_problem
from hwgym.families.hetero import hetero_problem
from hwgym.families.hetero.scheduling import NEVER, latency_of
from hwgym.families.scheduled import proofs

RECORDS = tuple(proofs.records().values())


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["id"])
def test_records_are_true_and_no_worse_than_weights(record):
    assert record["id"] in ranked_ids()
    problem = problem_of(record["id"])
    assert proofs.digest_of(problem.statement) == record["digest"]
    genes = np.array(record["genes"]).T
    scores = problem.evaluate(genes)
    assert scores.feasible[0]
    assert scores.objective[0] == pytest.approx(record["makespan"], rel=1e-12)
    found = problem.certificate()
    assert found.method == record["method"]
    np.testing.assert_array_equal(found.assignment, genes)
    assert found.relaxation <= found.lower_bound <= found.objective
    if record["bound"] is not None:
        known = problem.statement.known
        weights = ascended_bound(known["latency"], known["traffic"], known["bandwidth"]).value
        assert weights <= record["bound"] * (1 + 1e-9)
        assert found.lower_bound == pytest.approx(record["bound"], rel=1e-12)


def small():
    return group_problem("Vision", ["nv:256", "yxp:256", "nv:256"], bandwidth=None, jobs=12, seed=1)


def small_again():
    """Nothing of it is known yet."""
    return replace(small())


def record_of(problem, **change):
    found = problem.certificate()
    record = {
        "id": "HWGroup-Small-v0",
        "digest": proofs.digest_of(problem.statement),
        "genes": found.assignment.T.tolist(),
        "makespan": found.objective,
        "bound": None,
        "method": "by hand",
    }
    return record | change


def kept(monkeypatch, record):
    monkeypatch.setattr(proofs, "records", lambda: {record["digest"]: record})


def test_a_record_is_what_is_certified(monkeypatch):
    problem = small()
    assert proofs.proof_of(problem, 1.0) is None
    own = problem.certificate()
    kept(monkeypatch, record_of(problem, bound=int(own.objective) - 1))
    found = proofs.proof_of(problem, 2.0)
    assert (found.objective, found.lower_bound) == (own.objective, own.objective - 1)
    assert (found.relaxation, found.method) == (2.0, "by hand")
    assert not found.exact
    assert proofs.proof_of(problem, own.objective * 2).exact  # no bound is above a schedule
    kept(monkeypatch, record_of(problem))
    assert proofs.proof_of(problem, 2.0).lower_bound == 2.0
    kept(monkeypatch, record_of(problem, bound=int(own.objective)))
    assert proofs.proof_of(problem, 2.0).exact
    certified = problem.certify()
    assert certified.method == "by hand"
    assert certified.relaxation <= certified.lower_bound


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"makespan": 1.0}, "cycles, not 1;"),
        ({"bound": 10**12}, "less than 1,000,000,000,000;"),
        ({"genes": [[0] * 11, [0] * 11]}, "HWGroup-Small-v0: "),
        ({"genes": [[3] * 12, [0] * 12]}, "HWGroup-Small-v0: "),
    ],
)
def test_a_record_that_is_not_true_is_refused(monkeypatch, change, message):
    problem = small()
    kept(monkeypatch, record_of(problem, **change))
    with pytest.raises(RuntimeError, match=re.escape(message)) as error:
        problem.certify()
    assert "python -m benchmarks.schedule_proofs HWGroup-Small-v0" in str(error.value)


def test_records_are_made_anew(monkeypatch, tmp_path, capsys):
    problem, name = small(), "HWGroup-Mobile-S2-v0"
    core = problem.certificate().assignment[:, 0]
    asked = []

    def found_best(latency, *, seconds, core):
        asked.append(seconds)
        return BestSchedule(core, 0 * core, int(problem.score(genes[None]).objective[0]), bound)

    monkeypatch.setattr(proofs, "FILE", tmp_path / "proofs.json")
    monkeypatch.setattr(schedule_proofs, "problem_of", lambda _: small_again())
    monkeypatch.setattr(schedule_proofs, "best_jobs", found_best)
    monkeypatch.setattr(schedule_proofs, "version", lambda _: "1.2.3")
    genes, bound = np.stack([core, 0 * core], axis=1), int(problem.certificate().lower_bound) + 1
    wrong = record_of(problem, makespan=1.0)
    schedule_proofs.write({wrong["digest"]: wrong})
    try:
        with pytest.raises(RuntimeError):
            small_again().certificate()
        schedule_proofs.main([name, "--seconds", "7"])  # the wrong one gives way
        assert "CP-SAT of OR-tools 1.2.3" in capsys.readouterr().out
        found = small_again().certificate()
        assert (found.lower_bound, found.relaxation) == (bound, problem.certificate().lower_bound)
        bound -= 1  # what is worse does not
        schedule_proofs.main([name])
        assert small_again().certificate().lower_bound == bound + 1
        bound = int(found.objective)
        schedule_proofs.main([name])
        schedule_proofs.main([name])  # proven: not asked again
        assert small_again().certificate().exact
        assert asked == [7.0, 60.0, 60.0]
        with pytest.raises(SystemExit):
            schedule_proofs.main(["HWGroup-Mobil-S2-v0"])
        assert "did you mean 'HWGroup-Mobile-S2-v0'" in capsys.readouterr().err
    finally:
        proofs.records.cache_clear()


def test_problems_that_differ_have_no_record_of_each_other():
    one, other = small(), group_problem(
        "Vision", ["nv:256", "yxp:256", "nv:256"], bandwidth=None, jobs=12, seed=2
    )  # fmt: skip
    assert proofs.digest_of(one.statement) != proofs.digest_of(other.statement)
    assert proofs.digest_of(one.statement) == proofs.digest_of(small().statement)


def test_a_quick_one_is_proven_again():
    pytest.importorskip("ortools", exc_type=ImportError)
    problem = problem_of("HWGroup-Vision-S2-Unlimited-v0")
    found, known = best_jobs(problem.statement.known["latency"]), problem.certificate()
    assert found.proven
    assert known.exact
    assert found.makespan == known.objective


def test_cp_sat_changes_the_schedule_of_a_partition():
    pytest.importorskip("ortools", exc_type=ImportError)
    problem = hetero_problem({"AlexNet": 2}, 256, parts=3, subs=2, kinds=["nv", "yxp"])
    known, of = problem.statement.known, problem.decisions
    genes = problem.statement.draw(np.random.default_rng(0), 4)
    found = np.stack([schedule_proofs.replanned(problem, each, 2) for each in genes])
    for one, other in zip(of.partition_of(genes), of.partition_of(found), strict=True):
        np.testing.assert_array_equal(one, other)
    gained = problem.evaluate(genes).objective - problem.evaluate(found).objective
    assert gained.min() >= 0
    assert gained.max() > 0
    # The best of all partitions, each proven: between the bound and the schedule certified.
    takes = latency_of(known["latency"], of.designs).transpose(0, 2, 1)
    takes[takes == NEVER] = np.inf
    best = [best_chains(each, known["lengths"], seconds=10) for each in takes]
    least = min(each.makespan for each in best)
    assert all(each.proven for each in best)
    certified = problem.certificate()
    assert certified.lower_bound <= least * (1 + 1e-12)
    assert least <= certified.objective


def test_some_groups_are_proven_optimal():
    assert sum(record["bound"] == record["makespan"] for record in RECORDS) >= 6

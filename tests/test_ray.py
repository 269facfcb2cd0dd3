"""Sweeps on a Ray cluster of several nodes, started on this machine."""

import os
import textwrap
import time
from pathlib import Path

import pytest
import tiny_families
from typer.testing import CliRunner

from hwgym.core import agents, families
from hwgym.leaderboard import Task, read_runs, runner
from hwgym.leaderboard.cli import app
from hwgym.leaderboard.workers import RayWorkers, perform

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'hwgym[ray]'")

# Ray's own warnings, of its future and of files that its processes leave open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning"
)

TASKS = (Task("HWAssign-AlexNet-NVDLA-v0", 400), Task("HWAssign-NCF-MIX-v0", 400))


def told(run):
    return run.job, run.found_at.tolist(), run.genes.tolist(), run.objective, run.error


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """An installed agent that shows that it has begun and waits until it may go on."""
    site, gate = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("gate")
    about = site / "patient-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: patient\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[hwgym.agents]\npatient = patient:Patient\ndies = patient:Dies\n"
    )
    (site / "patient.py").write_text(
        textwrap.dedent(
            """
            import os, pathlib, time
            from hwgym_agents.blind import RandomSearch

            class Patient(RandomSearch):
                def search(self, evaluator, seed):
                    gate = pathlib.Path(os.environ["PATIENT"])
                    (gate / f"begun-{os.getpid()}").touch()
                    while not (gate / "open").exists():
                        time.sleep(0.02)
                    super().search(evaluator, seed)

            class Dies(RandomSearch):
                def search(self, evaluator, seed):
                    os._exit(3)
            """
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setenv("PATIENT", str(gate))
        # For the nodes, which begin afresh: this package, the tests' families, the agents.
        here = Path(__file__).parent
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (here.parent, here, site))))
        agents._classes.cache_clear()
        yield gate
    agents._classes.cache_clear()


@pytest.fixture(scope="module")
def cluster(patient):
    """A head that runs nothing and two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    memory = 80 * 2**20
    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        head = {"num_cpus": 0, "object_store_memory": memory, "include_dashboard": False}
        started = Cluster(initialize_head=True, head_node_args={**head, "_system_config": quick})
        for _ in range(2):
            started.add_node(num_cpus=1, object_store_memory=memory)
        yield started
        started.shutdown()


def test_the_results_are_those_of_this_machine_though_a_node_dies(cluster, patient, tmp_path):
    jobs = runner.plan(["patient", "annealing", "cmaes"], TASKS, seeds=2)
    crew = RayWorkers(cluster.address)
    assert crew.count == 2

    began = time.monotonic()

    def listen(state, run):
        # As soon as a run is under way on either node, one of them dies; then all may go on.
        if len(cluster.worker_nodes) == 2 and len(list(patient.glob("begun-*"))) == 2:
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        if crew.lost or time.monotonic() - began > 90:
            (patient / "open").touch()

    try:
        state = runner.sweep(jobs, tmp_path, crew, listener=listen)
    finally:
        crew.close()
    assert [job.agent for job in crew.lost] == ["patient"]
    assert not state.failed
    found = {run.job.file: told(run) for run in read_runs(tmp_path)}
    assert found == {job.file: told(perform(job)) for job in jobs}


def test_the_command_line_uses_the_cluster(cluster, tmp_path):
    args = ["run", "--suite", "smoke", "--agents", "random,uniform", "--seeds", "1", "--ray"]
    args += ["--ray-address", cluster.address, "--out", str(tmp_path)]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    assert "6 of 6 runs done" in result.output
    assert not ray.is_initialized()
    assert len(list(read_runs(tmp_path))) == 6
    wrong = CliRunner().invoke(app, [*args, "--workers", "2"])
    assert wrong.exit_code == 2
    assert "--workers is for this machine" in wrong.output
    nobody = CliRunner().invoke(app, [*args, "--ray-address", "127.0.0.1:1"])
    assert nobody.exit_code == 2
    assert "no Ray cluster at 127.0.0.1:1" in nobody.output


def test_a_run_that_hangs_is_killed(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "hard_limit", lambda limit: 2.0)
    slow = runner.plan(["annealing"], [Task("HWAssign-MobileNetV2-NVDLA-v0", 10**6)], seeds=1)
    crew = RayWorkers(cluster.address)
    try:
        state = runner.sweep(slow, tmp_path, crew)
    finally:
        crew.close()
    assert [run.error["kind"] for run in state.failed] == ["hard limit"]
    assert not crew.lost


def test_a_run_whose_worker_is_lost_again_and_again_has_failed(cluster, tmp_path):
    jobs = runner.plan(["dies", "random"], TASKS[:1], seeds=1)
    crew = RayWorkers(cluster.address)
    try:
        state = runner.sweep(jobs, tmp_path, crew)
    finally:
        crew.close()
    assert {run.job.agent: run.error and run.error["kind"] for run in state.done} == {
        "dies": "crash",
        "random": None,
    }
    assert [job.agent for job in crew.lost] == ["dies"] * 3
    assert "its worker was lost 3 times" in state.failed[0].error["message"]


def test_nodes_learn_of_families_that_others_bring(cluster, tmp_path):
    assert tiny_families.TOUR in families()
    jobs = runner.plan(["random"], [Task("Bags-3-0-v0", 40), Task("Tour-4-v0", 40)], seeds=1)
    crew = RayWorkers(cluster.address)
    try:
        state = runner.sweep(jobs, tmp_path, crew)
    finally:
        crew.close()
    assert [run.error for run in state.done] == [None, None]
    assert {run.job.file: told(run) for run in state.done} == {
        job.file: told(perform(job)) for job in jobs
    }

"""The problems of groups: which core should run each of many jobs, and when?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds.schedules import makespan_bound, simple_bounds
from hwgym.core.certificate import Certificate
from hwgym.core.metric import METRICS
from hwgym.core.problem import InfeasibleError, Problem, Scores, Statement
from hwgym.core.space import Axis, Space
from hwgym.core.veil import check_lifted
from hwgym.costs.schedules import FluidSchedule, fluid
from hwgym.families.group.scheduling import good_schedule, lower_bound
from hwgym.families.group.settings import MOST_CORES, cores_of
from hwgym.families.scheduled import Core, JobCosts, job_costs
from hwgym.workloads import Layer, Mix, Workload, draw_jobs

__all__ = ["PRIORITIES", "GroupProblem", "group_problem", "hard_bandwidth"]

NAME, VERSION = "group", 0
COST_MODEL = {"name": "maestro", "version": 1}
PRIORITIES = 16
MOST_JOBS = 2000
LAYER_KINDS = {"CONV": 0.0, "DSCONV": 0.5, "GEMM": 1.0}


@dataclass(frozen=True, eq=False, repr=False)
class GroupProblem(Problem):
    """Which core should run each job of a group, and in which order, so that all end soonest?

    Attributes:
        jobs: One run of each layer, whatever its ``repeat``; none waits for another.
        cores: What they run on.
        bandwidth: Elements a cycle that all cores together move.
        priorities: Classes of priority.
        width: Cores of the action space; beyond those there are, a choice is not valid.

    Raises:
        InfeasibleError: If a job can run on no core.
    """

    suits: ClassVar[str] = "relative"

    jobs: Workload
    cores: tuple[Core, ...]
    bandwidth: float
    priorities: int
    width: int
    drawn: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for job in np.flatnonzero(~self.costs.possible.any(axis=1)):
            raise InfeasibleError(f"job {self.jobs[int(job)].name} can run on no core")

    @cached_property
    def costs(self) -> JobCosts:
        """What each job takes on each core, arrays (jobs, cores)."""
        costs = job_costs(tuple(self.jobs), self.cores)
        for array in costs:
            array.setflags(write=False)
        return costs

    @cached_property
    def statement(self) -> Statement:
        fastest = np.where(self.costs.possible, self.costs.latency, np.inf).min(axis=1)
        shapes = [[*layer.shape, layer.kind] for layer in self.jobs]
        place: dict[str, int] = {}
        alike = np.array([place.setdefault(str(shape), len(place)) for shape in shapes])
        cores = Axis("core", tuple(map(str, self.cores)), "categorical")
        wide = Axis("core", tuple(range(self.width)), "categorical")
        priority = Axis("priority", tuple(range(self.priorities)), "priority")
        count = len(self.jobs)
        return Statement(
            key={
                "family": NAME,
                "version": VERSION,
                "cost_model": COST_MODEL,
                "jobs": shapes,
                "cores": [str(core) for core in self.cores],
                "bandwidth": self.bandwidth,
                "priorities": self.priorities,
                "width": self.width,
            },
            title=f"{self.jobs.name} on {len(self.cores)} cores, {self.bandwidth:,g} elements a "
            "cycle",
            space=Space(count, (wide, priority), ((cores, priority),) * count),
            objective=METRICS["makespan"],
            features=self._features,
            alike=alike,
            work=fastest,
            names=tuple(layer.name for layer in self.jobs),
            scale=self._longest,
            allowed=self._allowed,
            known=self._known,
        )

    @cached_property
    def unit(self) -> float:
        """Cycles: a bound in closed form, by which observations measure."""
        costs = self.costs
        latency = np.where(costs.possible, costs.latency, np.inf)
        return simple_bounds(latency, costs.traffic, self.bandwidth).value

    @property
    def _longest(self) -> float:
        """No valid schedule takes longer: as long as jobs run, what is left of them, each in cycles
        alone or of moving its data, whichever is more, shrinks by a cycle a cycle at least."""
        takes = np.maximum(self.costs.latency, self.costs.traffic / self.bandwidth)
        return float(np.where(self.costs.possible, takes, 0.0).max(axis=1).sum())

    @property
    def _features(self) -> Floats:
        """(jobs, 1 + 2 x width): the kind of layer, and on each core cycles and the share of the
        bandwidth that it wants; cycles of 1 where it cannot run."""
        costs, count = self.costs, len(self.cores)
        features = np.zeros((len(self.jobs), 1 + 2 * self.width))
        features[:, 0] = [LAYER_KINDS[layer.kind] for layer in self.jobs]
        share = costs.latency / (costs.latency + self.unit / len(self.jobs))
        features[:, 1 : 1 + count] = np.where(costs.possible, share, 1.0)
        wanted = costs.traffic / costs.latency / self.bandwidth
        features[:, 1 + self.width : 1 + self.width + count] = wanted / (1.0 + wanted)
        return features

    @property
    def _known(self) -> Mapping[str, Any]:
        costs = self.costs
        latency = np.where(costs.possible, costs.latency, np.inf)
        latency.setflags(write=False)
        return {"latency": latency, "traffic": costs.traffic, "bandwidth": self.bandwidth}

    def _allowed(self, genes: Ints, step: int) -> Bools:
        mask = np.zeros((len(genes), self.width + self.priorities), bool)
        mask[:, : len(self.cores)] = self.costs.possible[step]
        mask[:, self.width :] = True
        return mask

    # --- solutions ------------------------------------------------------------------------------

    def schedule(self, genes: Ints) -> FluidSchedule:
        """When jobs run, of valid genes (N, jobs, 2).

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("an evaluation past the evaluator")
        return self._run(genes)

    def _run(self, genes: Ints) -> FluidSchedule:
        latency, traffic, _ = self.costs
        return fluid(latency, traffic, self.bandwidth, genes[..., 0], genes[..., 1])

    def runs(self, genes: Ints) -> Bools:
        """(N, jobs): the job has a core on which it can run, and a priority."""
        core = genes[..., 0]
        there = (genes >= 0).all(axis=2) & (core < len(self.cores))
        at = np.arange(len(self.jobs)), np.where(there, core, 0)
        return there & self.costs.possible[at]

    def score(self, genes: Ints) -> Scores:
        """Valid is a schedule in which every job has a core on which it can run."""
        valid: Bools = np.asarray(self.runs(genes).all(axis=1))
        makespan = np.full(len(genes), np.inf)
        if valid.any():
            makespan[valid] = self._run(genes[valid]).makespan
        return Scores(makespan, np.zeros(len(genes)), valid, valid)

    def certify(self) -> Certificate:
        started = time.perf_counter()
        core, priority = good_schedule(self.costs, self.bandwidth, self.priorities)
        genes = np.stack([core, priority], axis=1)
        found = float(self.score(genes[None]).objective[0])
        bound = min(lower_bound(self.costs, self.bandwidth), found)
        return Certificate(
            genes,
            found,
            bound,
            "list scheduling and local search; bound by weights of cores and bandwidth",
            time.perf_counter() - started,
        )

    @property
    def description(self) -> Mapping[str, Any]:
        jobs = self.drawn or {"mix": asdict(self.jobs)}
        return {
            **jobs,
            "cores": [str(core) for core in self.cores],
            "bandwidth": self.bandwidth,
            "priorities": self.priorities,
            "width": self.width,
        }


def hard_bandwidth(costs: JobCosts, ratio: float = 1.15) -> int:
    """The bandwidth, in whole elements a cycle, under which the linear programme's bound is about
    ``ratio`` times that without a limit: from 1.0 to 1.3 schedules are hardest to find.

    Raises:
        ImportError: If scipy is not installed (``pip install 'hwgym[milp]'``).
    """
    latency = np.where(costs.possible, costs.latency, np.inf)
    wanted = ratio * makespan_bound(latency).value
    low, high = 1, 1
    while makespan_bound(latency, costs.traffic, high).value > wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if makespan_bound(latency, costs.traffic, middle).value > wanted:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=256)
def _problem(
    jobs: Workload,
    cores: tuple[Core, ...],
    bandwidth: float,
    priorities: int,
    width: int,
    drawn: tuple[str, int, int] | None,
) -> GroupProblem:
    asked = None if drawn is None else dict(zip(("mix", "jobs", "seed"), drawn, strict=True))
    return GroupProblem(jobs, cores, bandwidth, priorities, width, asked)


def group_problem(
    mix: str | Mix | Workload | Mapping[str, Any] = "All",
    cores: str | Sequence[str | Core] = "S2",
    *,
    bandwidth: float = 64,
    jobs: int | None = None,
    seed: int | None = None,
    priorities: int = PRIORITIES,
    width: int | None = None,
) -> GroupProblem:
    """A problem from names, shared: equal arguments give the same object and certificate.

    Args:
        mix: A mix or its name (:data:`~hwgym.workloads.MIXES`), whose layers are drawn; or a
            workload (or its ``name`` and ``layers``), whose layers are the jobs.
        cores: A key of :data:`~hwgym.families.group.SETTINGS`, or cores such as
            ``["nv:2048", "yxp:1024"]``: kind and PEs.
        bandwidth: Elements a cycle that all cores together move.
        jobs: How many are drawn; by default 100.
        seed: Of the drawing; by default 0.
        priorities: Classes of priority, 1 to 256.
        width: Cores of the action space, where problems of a bank must have as many; by default
            those there are.

    Raises:
        ValueError: If a name or a number is wrong.
        InfeasibleError: If a job can run on no core (a ValueError, too).
    """
    chosen = cores_of(cores)
    whole = {"priorities": (priorities, 1, 256)}
    if width is not None:
        whole["width"] = (width, len(chosen), MOST_CORES)
    if jobs is not None:
        whole["jobs"] = (jobs, 1, MOST_JOBS)
    for name, (value, least, most) in whole.items():
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{name} must be an integer from {least} to {most}, got {value!r}")
    number = isinstance(bandwidth, int | float) and not isinstance(bandwidth, bool)
    if not (number and 0 < bandwidth < np.inf):
        raise ValueError(f"bandwidth must be a positive number, got {bandwidth!r}")
    drawn: tuple[str, int, int] | None = None
    if isinstance(mix, Mapping):
        layers = mix.get("layers", ())
        mix = Workload(
            mix.get("name", "jobs"),
            tuple(each if isinstance(each, Layer) else Layer(**each) for each in layers),
        )
    if isinstance(mix, Workload):
        if jobs is not None or seed is not None:
            raise ValueError("jobs and seed are of a mix; the layers of a workload are the jobs")
        group = mix
    else:
        count, start = 100 if jobs is None else jobs, 0 if seed is None else seed
        group = draw_jobs(mix, count, start)
        drawn = (mix, count, start) if isinstance(mix, str) else None
    return _problem(group, chosen, float(bandwidth), priorities, width or len(chosen), drawn)

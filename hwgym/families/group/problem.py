"""The problems of groups: which core should run each of many jobs, and when?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.bounds.schedules import ascended_bound, makespan_bound, simple_bounds
from hwgym.core.certificate import Certificate
from hwgym.core.metric import METRICS
from hwgym.core.problem import InfeasibleError, Problem, Scores, Statement
from hwgym.core.space import Axis, Space
from hwgym.core.veil import check_lifted
from hwgym.costs.schedules import FluidSchedule, fluid
from hwgym.families.group.orders import WINDOW, send, slots_of
from hwgym.families.group.scheduling import good_schedule
from hwgym.families.group.settings import MOST_CORES, cores_of
from hwgym.families.scheduled import COST_MODELS, Core, JobCosts, job_costs
from hwgym.families.scheduled.proofs import proof_of
from hwgym.workloads import Layer, Mix, Workload, draw_jobs

__all__ = ["DECISIONS", "PRIORITIES", "GroupProblem", "group_problem", "hard_bandwidth"]

NAME, VERSION = "group", 0
DECISIONS = ("priority", "window")
PRIORITIES = 16
MOST_JOBS = 2000
LAYER_KINDS = {"CONV": 0.0, "DSCONV": 0.5, "GEMM": 1.0}


@dataclass(frozen=True, eq=False, repr=False)
class GroupProblem(Problem):
    """Which core should run each job of a group, and in which order, so that all end soonest?

    Attributes:
        jobs: One run of each layer, whatever its ``repeat``; none waits for another.
        cores: What they run on.
        bandwidth: Elements a cycle that all cores together move; infinite without a limit.
        decisions: ``priority``: a step gives the next job a core and a class of priority;
            ``window``: it sends one of the first ten jobs that wait to a core.
        priorities: Classes of priority.
        width: Cores of the action space; beyond those there are, a choice is not valid.
        model: Where costs of jobs come from.

    Raises:
        InfeasibleError: If a job can run on no core.
    """

    suits: ClassVar[str] = "relative"

    jobs: Workload
    cores: tuple[Core, ...]
    bandwidth: float
    decisions: str
    priorities: int
    width: int
    model: str
    drawn: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for job in np.flatnonzero(~self.costs.possible.any(axis=1)):
            raise InfeasibleError(f"job {self.jobs[int(job)].name} can run on no core")

    @cached_property
    def costs(self) -> JobCosts:
        """What each job takes on each core, arrays (jobs, cores)."""
        costs = job_costs(tuple(self.jobs), self.cores, self.model)
        for array in costs:
            array.setflags(write=False)
        return costs

    @property
    def windowed(self) -> bool:
        """Whether steps send jobs of a window."""
        return self.decisions == "window"

    @cached_property
    def statement(self) -> Statement:
        shapes = [[*layer.shape, layer.kind] for layer in self.jobs]
        limit = None if np.isinf(self.bandwidth) else self.bandwidth
        key: dict[str, Any] = {
            "family": NAME,
            "version": VERSION,
            "cost_model": {"name": self.model, "version": 1},
            "jobs": shapes,
            "cores": [str(core) for core in self.cores],
            "bandwidth": limit,
            "decisions": self.decisions,
            "width": self.width,
        }
        if not self.windowed:
            key["priorities"] = self.priorities
        shared = "no limit on bandwidth" if limit is None else f"{limit:,g} elements a cycle"
        by = {"maestro": "", "magma": ", MAGMA's demand", "loopnest": ", loop nests"}[self.model]
        return Statement(
            key=key,
            title=f"{self.jobs.name} on {len(self.cores)} cores, {shared}{by}"
            + (", by window" if self.windowed else ""),
            space=self._space,
            objective=METRICS["makespan"],
            scale=self._longest,
            allowed=self._allowed,
            known=dict(zip(("latency", "traffic", "bandwidth"), self._asked, strict=True)),
            **({} if self.windowed else self._of_jobs(shapes)),
        )

    @property
    def _space(self) -> Space:
        count = len(self.jobs)
        cores = Axis("core", tuple(map(str, self.cores)), "categorical")
        wide = Axis("core", tuple(range(self.width)), "categorical")
        if not self.windowed:
            priority = Axis("priority", tuple(range(self.priorities)), "priority")
            return Space(count, (wide, priority), ((cores, priority),) * count)
        slots = [Axis("slot", tuple(range(n)), "categorical") for n in range(1, WINDOW + 1)]
        own = tuple((slots[min(WINDOW, count - step) - 1], cores) for step in range(count))
        return Space(count, (slots[-1], wide), own)

    def _of_jobs(self, shapes: Sequence[Any]) -> dict[str, Any]:
        """What a statement says of steps that are jobs."""
        place: dict[str, int] = {}
        return {
            "features": self.job_features,
            "alike": np.array([place.setdefault(str(shape), len(place)) for shape in shapes]),
            "work": self._asked[0].min(axis=1),
            "names": tuple(layer.name for layer in self.jobs),
        }

    @cached_property
    def _asked(self) -> tuple[Floats, Floats, float]:
        """Latency, infinite where a job cannot run; traffic; bandwidth."""
        latency = np.where(self.costs.possible, self.costs.latency, np.inf)
        latency.setflags(write=False)
        return latency, self.costs.traffic, self.bandwidth

    @cached_property
    def unit(self) -> float:
        """Cycles: a bound in closed form, by which observations measure."""
        return simple_bounds(*self._asked).value

    @property
    def _longest(self) -> float:
        """No valid schedule takes longer: as long as jobs run, what is left of them, each in cycles
        alone or of moving its data, whichever is more, shrinks by a cycle a cycle at least."""
        takes = np.maximum(self.costs.latency, self.costs.traffic / self.bandwidth)
        return float(np.where(self.costs.possible, takes, 0.0).max(axis=1).sum())

    @cached_property
    def job_features(self) -> Floats:
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

    def _allowed(self, genes: Ints, step: int) -> Bools:
        mask = np.zeros((len(genes), sum(self.space.shape)), bool)
        if not self.windowed:
            mask[:, : len(self.cores)] = self.costs.possible[step]
            mask[:, self.width :] = True
            return mask
        can = self.sendable(genes[:, :step, 0])
        mask[:, :WINDOW] = can.any(axis=2)
        mask[:, WINDOW : WINDOW + len(self.cores)] = can.any(axis=1)
        return mask

    def sendable(self, slots: Ints) -> Bools:
        """(N, 10, cores): after slots (N, steps) a job waits there, and can run on the core."""
        window = send(slots, len(self.jobs)).window
        can: Bools = self.costs.possible[window] & (window >= 0)[..., None]
        return can

    # --- solutions ------------------------------------------------------------------------------

    def decided(self, genes: Ints) -> Ints:
        """(N, steps): the job that each step of genes (N, steps, 2) is about."""
        if self.windowed:
            return send(genes[..., 0], len(self.jobs)).sent
        return np.broadcast_to(np.arange(genes.shape[1]), genes.shape[:2])

    def cores_at(self, genes: Ints) -> Ints:
        """(...,): the core that each step chooses; -1 where none is."""
        core: Ints = genes[..., 1 if self.windowed else 0]
        return core

    def schedule(self, genes: Ints) -> FluidSchedule:
        """When jobs run, of valid genes (N, steps, 2).

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("an evaluation past the evaluator")
        return self._run(genes)

    def _run(self, genes: Ints) -> FluidSchedule:
        core, priority = self.placed(genes)
        return fluid(self.costs.latency, self.costs.traffic, self.bandwidth, core, priority)

    def placed(self, genes: Ints) -> tuple[Ints, Ints]:
        """(N, jobs) twice: of each job its core and its priority, of valid genes (N, steps, 2)."""
        if not self.windowed:
            return genes[..., 0], genes[..., 1]
        sent = self.decided(genes)
        core, turn = np.empty_like(sent), np.empty_like(sent)
        np.put_along_axis(core, sent, self.cores_at(genes), 1)
        np.put_along_axis(turn, sent, np.arange(sent.shape[1])[None], 1)
        return core, turn

    def runs(self, genes: Ints) -> Bools:
        """(N, steps): what was chosen is there, and the job can run on the core."""
        core, steps = self.cores_at(genes), np.arange(genes.shape[1])
        there = (genes >= 0).all(axis=2) & (core < len(self.cores))
        if self.windowed:
            there &= genes[..., 0] < len(self.jobs) - steps
        return there & self.costs.possible[self.decided(genes), np.where(there, core, 0)]

    def score(self, genes: Ints) -> Scores:
        """Valid is a schedule in which every job has a core on which it can run."""
        valid: Bools = np.asarray(self.runs(genes).all(axis=1))
        makespan = np.full(len(genes), np.inf)
        if valid.any():
            makespan[valid] = self._run(genes[valid]).makespan
        return Scores(makespan, np.zeros(len(genes)), valid, valid)

    def certify(self) -> Certificate:
        started = time.perf_counter()
        classes = len(self.jobs) if self.windowed else self.priorities
        bound = ascended_bound(*self._asked)
        if (kept := proof_of(self, bound.value)) is not None:
            return kept
        core, priority = good_schedule(self.costs, self.bandwidth, classes, self.windowed, bound)
        if self.windowed:
            slots, sent = slots_of(priority)
            genes = np.stack([slots, core[sent]], axis=1)
        else:
            genes = np.stack([core, priority], axis=1)
        found = float(self.score(genes[None]).objective[0])
        return Certificate(
            genes,
            found,
            min(bound.value, found),
            "list scheduling and local search; bound by weights of cores and bandwidth",
            time.perf_counter() - started,
            min(self.unit, found),
        )

    @property
    def description(self) -> Mapping[str, Any]:
        jobs = self.drawn or {"mix": asdict(self.jobs)}
        how = {} if self.windowed else {"priorities": self.priorities}
        return {
            **jobs,
            "cores": [str(core) for core in self.cores],
            "bandwidth": None if np.isinf(self.bandwidth) else self.bandwidth,
            "decisions": self.decisions,
            "width": self.width,
            "model": self.model,
            **how,
        }


def hard_bandwidth(costs: JobCosts, ratio: float = 1.15) -> float:
    """The bandwidth, in elements a cycle to three digits, under which the linear programme's bound
    is about ``ratio`` times that without a limit: from 1.0 to 1.3 schedules are hardest to find.

    Raises:
        ImportError: If scipy is not installed (``pip install 'hwgym[milp]'``).
    """
    latency = np.where(costs.possible, costs.latency, np.inf)
    wanted = ratio * makespan_bound(latency).value
    low, high = 0.0, 1.0
    while makespan_bound(latency, costs.traffic, high).value > wanted:
        low, high = high, 2.0 * high
    while high > 1.001 * low:
        middle = (low + high) / 2
        if makespan_bound(latency, costs.traffic, middle).value > wanted:
            low = middle
        else:
            high = middle
    return float(f"{high:.3g}")


@lru_cache(maxsize=256)
def _problem(
    jobs: Workload,
    cores: tuple[Core, ...],
    bandwidth: float,
    decisions: str,
    priorities: int,
    width: int,
    model: str,
    drawn: tuple[str, int, int] | None,
) -> GroupProblem:
    asked = None if drawn is None else dict(zip(("mix", "jobs", "seed"), drawn, strict=True))
    return GroupProblem(jobs, cores, bandwidth, decisions, priorities, width, model, asked)


def group_problem(
    mix: str | Mix | Workload | Mapping[str, Any] = "All",
    cores: str | Sequence[str | Core] = "S2",
    *,
    bandwidth: float | None = 64,
    jobs: int | None = None,
    seed: int | None = None,
    decisions: str = "priority",
    priorities: int | None = None,
    width: int | None = None,
    model: str = "maestro",
) -> GroupProblem:
    """A problem from names, shared: equal arguments give the same object and certificate.

    Args:
        mix: A mix or its name (:data:`~hwgym.workloads.MIXES`), whose layers are drawn; or a
            workload (or its ``name`` and ``layers``), whose layers are the jobs.
        cores: A key of :data:`~hwgym.families.group.SETTINGS`, or cores such as
            ``["nv:2048", "yxp:1024"]``: kind and PEs.
        bandwidth: Elements a cycle that all cores together move; None: no limit.
        jobs: How many are drawn; by default 100.
        seed: Of the drawing; by default 0.
        decisions: ``priority``: a step gives the next job a core and a class of priority;
            ``window``: it sends one of the first ten jobs that wait to a core.
        priorities: Classes of priority, 1 to 256; by default 16. Not with ``window``.
        width: Cores of the action space, where problems of a bank must have as many; by default
            those there are.
        model: Where costs of jobs come from: ``maestro``, ``magma`` or ``loopnest``.

    Raises:
        ValueError: If a name or a number is wrong.
        InfeasibleError: If a job can run on no core (a ValueError, too).
    """
    chosen = cores_of(cores)
    for what, name, names in (
        ("decisions", decisions, DECISIONS),
        ("cost model", model, COST_MODELS),
    ):
        if name not in names:
            raise ValueError(nearest(what, name, names))
    if priorities is not None and decisions == "window":
        raise ValueError("priorities are of decisions='priority'; in a window, order is all")
    for name, value, least, most in (
        ("priorities", priorities, 1, 256),
        ("width", width, len(chosen), MOST_CORES),
        ("jobs", jobs, 1, MOST_JOBS),
    ):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (whole and least <= value <= most):
            raise ValueError(f"{name} must be an integer from {least} to {most}, got {value!r}")
    number = isinstance(bandwidth, int | float) and not isinstance(bandwidth, bool)
    if bandwidth is not None and not (number and 0 < bandwidth < np.inf):
        raise ValueError(
            f"bandwidth must be a positive number, or None for no limit; got {bandwidth!r}"
        )
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
    return _problem(
        group,
        chosen,
        np.inf if bandwidth is None else float(bandwidth),
        decisions,
        PRIORITIES if priorities is None else priorities,
        width or len(chosen),
        model,
        drawn,
    )

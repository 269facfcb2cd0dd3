"""HWHetero: schedules against an event loop, masks, bounds, helpers for genes, ids, errors."""

import itertools
from functools import cache

import gymnasium as gym
import numpy as np
import pytest

from hwgym import Layer, Workload
from hwgym.costs.loopnest import kind_costs
from hwgym.costs.maestro import KINDS, evaluate
from hwgym.costs.schedules import chains
from hwgym.families.hetero import (
    FAMILY,
    HeteroEnv,
    HeteroSpace,
    HeteroVectorEnv,
    hetero_problem,
    latency_table,
    list_schedules,
    partition_bounds,
)
from hwgym.families.hetero.scheduling import _turned, closed_bounds, latency_of
from hwgym.hardware import Hardware
from hwgym.workloads import MIXES, Mix

CONV = Layer("conv", "CONV", K=16, C=8, OY=14, OX=7, R=3, S=3)
DEPTH = Layer("depthwise", "DSCONV", K=1, C=24, OY=7, OX=14, R=5, S=3, repeat=2)
GEMM = Layer.gemm("gemm", M=20, N=30, K=40)
ONE, TWO = Workload("one", (CONV, DEPTH)), Workload("two", (GEMM,))
FEW = Mix("few", ((ONE, 2), (TWO, 1)))
TINY = Mix("tiny", ((ONE, 1), (TWO, 1)))


def tiny(**asked):
    return hetero_problem(TINY, 64, **{"parts": 2, "subs": 2, **asked})


def few(**asked):
    return hetero_problem(FEW, 256, **{"parts": 4, "bandwidth": 16, **asked})


def every(problem):
    """All genes there are of a small problem."""
    choices = list(itertools.product(*map(range, problem.space.shape)))
    return np.array(list(itertools.product(choices, repeat=problem.num_steps)))


@cache
def run(layer, kind, pes, noc):
    """MAESTRO's cycles of all runs of a layer; None if it cannot be."""
    through = Hardware() if noc is None else Hardware(noc_bandwidth=noc)
    found = evaluate([layer], KINDS[kind], pes, 1, through)
    return int(found.runtime_cycles[0]) * layer.repeat if found.valid[0] else None


def by_hand(problem, genes):
    """The makespan of genes (steps, 2) from the conventions alone; None if they are not valid."""
    limited = problem.bandwidth is not None
    values, at = genes[:, 0].tolist(), 0
    subs, left = [], {"pes": problem.num_parts, "bandwidth": problem.num_parts}
    for number in range(problem.subs):
        last = number == problem.subs - 1
        kind, at = values[at], at + 1
        if not 0 <= kind < len(problem.kinds) or genes[at - 1, 1] != 0:
            return None
        got = {}
        for what in ("pes", "bandwidth") if limited else ("pes",):
            if last:
                got[what] = left[what]
            else:
                if genes[at, 1] != 0:
                    return None
                got[what], at = values[at], at + 1
            left[what] -= got[what]
        if min(left.values()) < 0 or min(got.values()) < 0:
            return None
        if limited and (got["pes"] > 0) != (got["bandwidth"] > 0):
            return None
        share = problem.pes * got["pes"] // problem.num_parts
        noc = problem.bandwidth * got["bandwidth"] // problem.num_parts if limited else None
        subs.append((problem.kinds[kind], share, noc))
    if subs[0][1] == 0:
        return None
    for sub in subs:
        if sub[1] and any(run(e, *sub) is None for network in problem.instances for e in network):
            return None

    todo = [list(network) for network in problem.instances]
    free, ready = [0.0] * problem.subs, [0.0] * len(todo)
    for chain, core in genes[at:].tolist():
        if not 0 <= chain < len(todo) or not todo[chain] or not 0 <= core < len(subs):
            return None
        if subs[core][1] == 0:
            return None
        start = max(free[core], ready[chain])
        free[core] = ready[chain] = start + run(todo[chain].pop(0), *subs[core])
    return None if any(todo) else max(ready)


# --- schedules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bandwidth", [None, 16])
def test_schedules_are_those_of_an_event_loop(bandwidth):
    problem = few(bandwidth=bandwidth)
    rng = np.random.default_rng(0)
    genes = problem.statement.draw(rng, 12)
    broken = genes.copy()
    places = rng.integers(problem.num_steps, size=12), rng.integers(2, size=12)
    broken[(np.arange(12), *places)] = rng.integers(problem.width, size=12) % problem.subs
    scores = problem.evaluate(np.concatenate([genes, broken]))
    expected = [by_hand(problem, row) for row in np.concatenate([genes, broken])]
    assert scores.valid[:12].all()
    assert not scores.valid.all()
    assert scores.valid.tolist() == [each is not None for each in expected]
    assert scores.objective.tolist() == [np.inf if e is None else e for e in expected]


def test_the_walk_ends_where_the_schedule_does():
    problem = few()
    envs = HeteroVectorEnv(problem=problem, num_envs=6, action_mode="multi_discrete")
    envs.reset(seed=0)
    genes = problem.statement.draw(np.random.default_rng(1), 6)
    for step in range(problem.num_steps):
        *_, infos = envs.step(genes[:, step])
    found = infos.get("final_info", infos)
    np.testing.assert_array_equal(found["objective"], problem.evaluate(genes).objective)


def test_the_bound_that_is_observed_grows_to_the_makespan():
    problem = few()
    rng = np.random.default_rng(2)
    env = HeteroEnv(problem=problem, action_mode="multi_discrete")
    for genes in problem.statement.draw(rng, 5):
        shares = [env.reset()[0][-3]]
        for action in genes:
            observation, *_, info = env.step(action)
            shares.append(observation[-3])
        assert (np.diff(shares) >= 0).all()
        makespan = info["objective"]
        share = makespan / (makespan + problem.unit) * 2 - 1
        assert shares[-1] == pytest.approx(share, abs=1e-6)


def test_list_schedules_are_schedules():
    problem = few()
    of, table = problem.decisions, problem.statement.known["latency"]
    takes = latency_of(table, of.designs)
    against = np.random.default_rng(0).uniform(0, 1e4, takes.shape)
    chain, core, makespan = list_schedules(takes, against, problem.lengths)
    scores = problem.evaluate(of.genes_of(*of.designs, chain, core))
    np.testing.assert_array_equal(scores.objective, makespan)


def test_a_plan_from_the_end_on_takes_no_longer_when_it_is_turned():
    problem = few()
    genes = problem.statement.draw(np.random.default_rng(0), 8)
    of, table = problem.decisions, problem.statement.known["latency"]
    takes = latency_of(table, of.partition_of(genes)).transpose(0, 2, 1)
    ends = np.cumsum(problem.lengths)
    back = np.concatenate([np.arange(a, b)[::-1] for a, b in itertools.pairwise([0, *ends])])
    for cycles, chain, core in zip(takes, *of.plan_of(genes), strict=True):
        before = chains(cycles[back], problem.lengths, chain, core)
        after = chains(
            cycles, problem.lengths, *_turned(cycles[back], problem.lengths, chain, core)
        )
        assert after.makespan <= before.makespan
        np.testing.assert_array_equal(after.core, before.core[back])


# --- what may be chosen ---------------------------------------------------------------------------


def test_masks_are_exact():
    problem = tiny()
    genes = every(problem)
    valid = problem.evaluate(genes).valid
    assert valid.tolist() == [by_hand(problem, row) is not None for row in genes]
    good = {tuple(map(tuple, row)) for row in genes[valid].tolist()}
    begun = {()}
    for step in range(problem.num_steps):
        for start in begun:
            rows = np.full((1, problem.num_steps, 2), -1)
            if start:
                rows[0, :step] = start
            mask = problem.statement.allowed(rows, step)[0]
            choice, core = mask[: problem.width], mask[problem.width :]
            said = {(a, b) for a in np.flatnonzero(choice) for b in np.flatnonzero(core)}
            assert said == {row[step] for row in good if row[:step] == start}
        begun = {row[: step + 1] for row in good}


@pytest.mark.parametrize("bandwidth", [None, 16])
def test_the_walk_masks_as_the_statement_says(bandwidth):
    problem = few(bandwidth=bandwidth)
    walk = FAMILY.dynamics([problem])
    state = walk.begin(np.zeros(4, np.int64))
    genes = problem.statement.draw(np.random.default_rng(3), 4)
    for step in range(problem.num_steps):
        said = problem.statement.allowed(genes, step)
        np.testing.assert_array_equal(np.concatenate(walk.allowed(state), axis=1), said)
        state, outcome = walk.step(state, problem.space.pack(genes[:, step]))
        assert not outcome.failed.any()
    assert outcome.finished.all()


def test_a_choice_that_leads_nowhere_ends_the_episode():
    problem = few()
    env = HeteroEnv(problem=problem, action_mode="multi_discrete")
    env.reset()
    env.step(np.array([0, 0]))
    *_, terminated, truncated, info = env.step(np.array([0, 0]))  # the first is built
    assert terminated
    assert not truncated
    assert info["is_success"] is False


def test_sub_accelerators_that_cannot_run_a_layer_are_not_built():
    table = np.ones((2, 4, 1, 3))
    table[0, :2, 0, 1] = np.inf
    space = HeteroSpace(np.isfinite(table).all(axis=-1), (2, 1), 2)
    kind, pes, _ = space.designs
    assert not ((kind == 0) & (pes > 0) & (pes < 3)).any()
    assert ((kind == 0) & (pes == 3)).any()


@pytest.mark.parametrize(
    "problem", [tiny(), few(), few(bandwidth=None)], ids=["tiny", "few", "free"]
)
def test_solutions_are_drawn_and_repaired_whole(problem):
    statement, rng = problem.statement, np.random.default_rng(1)
    drawn = statement.draw(rng, 300)
    assert problem.evaluate(drawn).valid.all()
    np.testing.assert_array_equal(statement.repair(drawn, rng), drawn)
    anything = rng.integers(-1, problem.space.shape, size=drawn.shape)
    assert problem.evaluate(statement.repair(anything, rng)).valid.all()


def test_repair_keeps_what_it_can():
    problem = few(bandwidth=None)
    [genes] = problem.statement.draw(np.random.default_rng(1), 1)
    taken = len(problem.decisions.decisions)
    broken = genes.copy()
    at = taken + int((genes[taken:, 0] == 1).argmax())
    broken[at, 0] = 0  # now chain 0 is sent once too often, and chain 1 not often enough
    [mended] = problem.statement.repair(broken[None], np.random.default_rng(0))
    changed = np.flatnonzero((mended != broken).any(axis=1))
    assert len(changed) == 1
    assert broken[changed[0], 0] == 0
    assert mended[changed[0], 0] == 1
    broken = genes.copy()
    broken[1, 0] = 0  # the first has no PEs
    [mended] = problem.statement.repair(broken[None], np.random.default_rng(0))
    assert mended[1, 0] == 1


# --- genes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bandwidth", [None, 16])
def test_genes_are_made_and_read(bandwidth):
    problem = few(bandwidth=bandwidth)
    genes = problem.statement.draw(np.random.default_rng(0), 20)
    of = HeteroSpace.told(problem.statement.known)
    kind, pes, shares = of.partition_of(genes)
    chain, core = of.plan_of(genes)
    assert kind.shape == pes.shape == shares.shape == (20, 3)
    assert (pes.sum(axis=1) == of.parts).all()
    np.testing.assert_array_equal(of.genes_of(kind, pes, shares, chain, core), genes)
    alone = of.genes_of(kind[0], pes[0], shares[0], chain, core)
    np.testing.assert_array_equal(alone[0], genes[0])
    assert alone.shape == genes.shape


@pytest.mark.parametrize("bandwidth", [None, 16])
def test_designs_are_the_partitions_but_for_their_order(bandwidth):
    of = few(bandwidth=bandwidth).decisions
    made = of.partition_of(of.partitions[:, :, None])

    def sets(partition):
        rows = zip(*(each.tolist() for each in partition), strict=True)
        return [tuple(sorted(sub for sub in zip(*row, strict=True) if sub[1])) for row in rows]

    different = sets(of.designs)
    assert len(set(different)) == len(different)
    assert set(different) == set(sets(made))
    assert [different[i] for i in of.design_of] == sets(made)
    assert (of.designs.pes[:, 0] > 0).all()


# --- bounds ---------------------------------------------------------------------------------------


def test_no_schedule_is_under_its_partitions_bound():
    problem = tiny()
    genes = every(problem)
    scores = problem.evaluate(genes)
    genes, makespan = genes[scores.valid], scores.objective[scores.valid]
    of = problem.decisions
    which = of.design_of[[
        int(np.flatnonzero((of.partitions == row).all(axis=1))[0])
        for row in genes[:, : len(of.decisions), 0]
    ]]  # fmt: skip
    table = problem.statement.known["latency"]
    for bounds in (closed_bounds, partition_bounds):
        found = bounds(table, problem.lengths, of.designs)
        assert (makespan >= found[which] * (1 - 1e-12)).all()
    best = problem.certificate()
    assert best.lower_bound <= makespan.min() <= best.objective * (1 + 1e-12)
    assert best.objective == makespan.min()


@pytest.mark.parametrize("mix", ["Mobile", "ARVR-B"])
def test_the_bound_is_near_the_linear_programmes(mix):
    scipy = pytest.importorskip("scipy")
    assert scipy
    from hwgym.bounds.schedules import makespan_bound

    problem = hetero_problem(mix)
    takes = latency_of(problem.statement.known["latency"], problem.decisions.designs)
    which = int(problem.bounds.argmin())
    latency = takes[which][problem.decisions.designs.pes[which] > 0].T
    exact = makespan_bound(latency, lengths=problem.lengths).value
    assert 0.98 * exact <= problem.bounds[which] <= exact * (1 + 1e-9)


# --- costs ----------------------------------------------------------------------------------------


def test_latencies_are_maestros():
    table = latency_table([ONE, TWO], ("ykp", "yxp"), 128, 4, 64)
    assert table.shape == (2, 4, 4, 3)
    for place, (kind, p, b) in enumerate(itertools.product(("ykp", "yxp"), (0, 3), (1, 2))):
        one = evaluate([CONV, DEPTH, GEMM], KINDS[kind], 32 * (p + 1), 1,
                       Hardware(noc_bandwidth=16 * (b + 1)))  # fmt: skip
        assert one.valid.all(), place
        expected = one.runtime_cycles * np.array([1, 2, 1])
        np.testing.assert_array_equal(table[("ykp", "yxp").index(kind), p, b], expected)


@pytest.mark.parametrize("bandwidth", [None, 8])
def test_latencies_on_loop_nests_are_of_each_layers_best_mapping(bandwidth):
    table = latency_table([ONE, TWO], ("nv", "yxp"), 256, 4, bandwidth, "loopnest")
    widths = [np.inf] if bandwidth is None else [2, 4, 6, 8]
    for number, kind in enumerate(("nv", "yxp")):
        one = kind_costs([CONV, DEPTH, GEMM], kind, [64, 128, 192, 256], widths).cycles
        np.testing.assert_array_equal(table[number], one * np.array([1, 2, 1]))
    assert (np.diff(table, axis=1) <= 0).all()
    assert (np.diff(table, axis=2) <= 0).all()


def test_a_problem_on_loop_nests_is_another():
    nests = few(model="loopnest")
    assert nests.statement.key != few().statement.key
    assert nests.certificate().gap < 1
    assert hetero_problem(**nests.description).statement.key == nests.statement.key


# --- ids, arguments -------------------------------------------------------------------------------


def test_every_id_says_something():
    """No chain decides alone, and one sub-accelerator is not as good as several."""
    for entry in FAMILY.ids():
        if not entry.ranked or "model" in entry.kwargs:  # tables on loop nests take long
            continue
        problem = FAMILY.make(**entry.kwargs)
        table = problem.statement.known["latency"]
        designs = problem.decisions.designs
        takes = latency_of(table, designs)
        starts = np.cumsum(problem.lengths) - problem.lengths
        longest = np.add.reduceat(takes.min(axis=1), starts, axis=1).max(axis=1).min()
        apart = np.ones(table.shape[-1], np.int64)  # no layer waits for another
        work = next(
            least
            for bounds in (closed_bounds, partition_bounds)
            if longest < 0.8 * (least := bounds(table, apart, designs).min())
        )
        assert work > 0, entry.env_id
        alone = takes[(designs.pes > 0).sum(axis=1) == 1].min(axis=1).sum(axis=1).min()
        assert alone > 1.01 * problem.bounds.min(), entry.env_id


def test_a_mix_can_be_given_in_several_ways():
    named = hetero_problem({"NCF": 2, "AlexNet": 1}, 64)
    pairs = {"name": "2 x NCF, 1 x AlexNet", "networks": [["NCF", 2], ["AlexNet", 1]]}
    assert hetero_problem(pairs, 64) is named
    assert named.instance_names == ("NCF", "NCF 2", "AlexNet")
    assert hetero_problem("Mobile") is hetero_problem(MIXES["Mobile"])
    described = few()
    again = hetero_problem(**described.description)
    assert again.statement.key == described.statement.key
    env = gym.make("HWHetero-v0", mix={"NCF": 1}, pes=64, subs=1)
    assert env.unwrapped.num_steps == 1 + env.unwrapped.problem.decisions.layers


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"mix": "Mobil"}, "unknown mix 'Mobil'; did you mean 'Mobile'"),
        ({"pes": 4}, "pes must be an integer from 8 to 65,536, got 4"),
        ({"pes": 64.0}, "pes must be an integer"),
        ({"bandwidth": 7}, "bandwidth must be an integer from 8"),
        ({"parts": 1}, "parts must be an integer from 2 to 16, got 1"),
        ({"subs": 5}, "subs must be an integer from 1 to 4, got 5"),
        ({"kinds": ["nvd"]}, "unknown kind of sub-accelerator 'nvd'; did you mean 'nv'"),
        ({"kinds": ["nv", "nv"]}, "kinds must be one or more of nv, ykp, yxp, got"),
        ({"kinds": "nv"}, "kinds must be one or more"),
        ({"model": "magma"}, "unknown cost model 'magma'"),
        ({"model": "maestr"}, "unknown cost model 'maestr'; did you mean 'maestro'"),
        ({"width": 8}, "width must be an integer from 13 to 4,096, got 8"),
        ({"parts": 16, "subs": 4, "bandwidth": 64}, "partitioned in .* ways, more than 200,000"),
        ({"mix": {"BERT": 100}}, "a mix may have 4,000 layers"),
    ],
)
def test_errors_say_what_is_allowed(asked, message):
    with pytest.raises(ValueError, match=message):
        hetero_problem(**asked)


def test_a_picture_and_what_is_said_of_a_solution():
    pytest.importorskip("matplotlib")
    problem = few()
    best = problem.certificate().assignment
    told = FAMILY.view.describe_solution(problem, best)
    assert sum(each["layers"] for each in told["sub_accelerators"]) == problem.decisions.layers
    assert sum(each["pes"] for each in told["sub_accelerators"]) == problem.pes
    for each in told["sub_accelerators"]:
        assert 0 < each["busy"] <= 1
    text = FAMILY.view.text(problem, best)
    assert "one 2" in text
    axes = FAMILY.view.figure(problem, best).axes[0]
    assert len(axes.get_yticks()) == len(told["sub_accelerators"])
    for cut in (0, 3, len(problem.decisions.decisions), problem.num_steps - 1):
        part = np.where(np.arange(problem.num_steps)[:, None] < cut, best, -1)
        assert f"{cut} of {problem.num_steps} chosen" in FAMILY.view.text(problem, part)
        sent = max(cut - len(problem.decisions.decisions), 0)
        axes = FAMILY.view.figure(problem, part).axes[0]
        assert axes.get_title(loc="left").startswith(f"{sent} of" if sent else f"{cut} of")
        assert len(axes.containers[0] if sent else axes.images) == (sent or 1)
    wrong = best.copy()
    wrong[-3:] = [(2, 0), (2, 0), (-1, -1)]  # a chain of one layer, twice
    assert FAMILY.view.figure(problem, wrong).axes[0].images

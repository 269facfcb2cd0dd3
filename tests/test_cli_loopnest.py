"""The architect's commands: what they choose is the best of all, and what they say is so."""

import csv
import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hwgym.cli.loopnest import budget_amount
from hwgym.cli.loopnest_options import make_machine, parse_bandwidth, parse_bytes, parse_pes
from hwgym.cli.output import Failure
from hwgym.core.problem import InfeasibleError
from hwgym.costs.loopnest import TEMPLATES, array_area_um2, detail
from hwgym.families.loopnest import architect, loopnest_problem, report
from hwgym.families.loopnest.architect import Array, Given, arrays_of, bytes_text
from hwgym.hardware import Machine
from hwgym.workloads import Layer, Workload

TINY = Workload(
    "tiny",
    (
        Layer("stem", "CONV", K=8, C=3, OY=10, OX=10, R=3, S=3, stride=2),
        Layer("depthwise", "DSCONV", K=1, C=24, OY=7, OX=7, R=3, S=3, repeat=2),
        Layer.gemm("head", M=1, N=100, K=64),
    ),
)
OTHER = Workload("other", (Layer.gemm("one", M=16, N=32, K=48, repeat=3),))
GIVEN = Given(((2, 4), (4, 4)), (32, 64), (4096, 8192))
STYLES = ("NVDLA", "ShiDianNao")


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("HWGYM_CACHE", "")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for network in (TINY, OTHER):
        network.to_csv(folder / f"{network.name}.csv")
    return {network.name: str(folder / f"{network.name}.csv") for network in (TINY, OTHER)}


@pytest.fixture
def optimize(run, files):
    def invoke(*arguments, code=0):
        given = [files.get(str(a), a) for a in arguments]
        found, out, err = run("optimize", *given, "--model", "loopnest", "--json")
        assert found == code, err or out
        return json.loads(out) if code == 0 else err

    return invoke


@pytest.fixture
def wrong(run, files):
    """The message and the exit code of a command that fails."""

    def invoke(*arguments):
        code, out, err = run(*(files.get(str(a), a) for a in arguments))
        assert code in (1, 2)
        assert not out
        return code, " ".join(err.split())

    return invoke


def priced(objective="latency", networks=(TINY,), weights=None, styles=STYLES, given=GIVEN):
    return architect.price(networks, styles, Machine(), objective, weights=weights, given=given)


# --- the best of all ------------------------------------------------------------------------------


def period(costs, at):
    """Of a pipeline."""
    moved = [costs.dram_read_bytes, costs.dram_write_bytes]
    busy = [sum(m[i] for i in at) / costs.machine.dram_bandwidth for m in moved]
    return max(*busy, *(costs.latency_cycles[i] for i in at))


def every_solution(costs, deployment, constraint):
    """Objective and use of all there are, one by one."""
    layers = range(len(costs.layers))
    arrays = np.flatnonzero(costs.as_given)
    styles = range(len(costs.templates))
    points = list(product(arrays, styles))
    if deployment == "LP":
        chosen = product(points, repeat=len(layers))
    elif deployment == "LS":
        chosen = ([point] * len(layers) for point in points)
    else:
        chosen = (
            [(a, t) for t in each] for a in arrays for each in product(styles, repeat=len(layers))
        )
    usage = costs.usage(constraint)
    for each in chosen:
        at = [(i, a, t) for i, (a, t) in zip(layers, each, strict=True)]
        if all(costs.valid[i] for i in at):
            used = [usage[i] for i in at]
            objective = sum(costs.cost[i] for i in at)
            if deployment == "LP" and costs.objective == "throughput":
                objective = period(costs, at)
            yield objective, sum(used) if deployment == "LP" else max(used)


@pytest.mark.parametrize("deployment", architect.DEPLOYMENTS)
@pytest.mark.parametrize("constraint", ["area", "power"])
@pytest.mark.parametrize("objective", architect.OBJECTIVES)
def test_the_optimum_is_the_best_of_all(objective, constraint, deployment):
    costs = priced(objective)
    all_ = np.array(list(every_solution(costs, deployment, constraint)))
    least, most = architect.budget_range(costs, deployment, constraint)
    assert least == pytest.approx(all_[:, 1].min())
    for share in (0, 0.03, 0.2, 0.6, 1):
        budget = least + share * (most - least)
        found = architect.optimum(costs, deployment, constraint, budget)
        within = all_[all_[:, 1] <= budget * (1 + 1e-9)]
        assert found.objective == pytest.approx(within[:, 0].min(), rel=1e-12)
        assert found.lower_bound == found.objective
        assert found.used <= budget * (1 + 1e-9)
    with pytest.raises(InfeasibleError):
        architect.optimum(costs, deployment, constraint, 0.99 * least)


@pytest.mark.parametrize("deployment", ["LS", "shared"])
def test_a_mix_is_the_best_of_the_weighted_sum(deployment):
    costs = priced("energy", (TINY, OTHER), (0.5, 4))
    all_ = np.array(list(every_solution(costs, deployment, "area")))
    budget = float(np.median(all_[:, 1]))
    found = architect.optimum(costs, deployment, "area", budget)
    assert found.objective == pytest.approx(all_[all_[:, 1] <= budget, 0].min(), rel=1e-12)
    said = report.describe(costs, found, "area", budget)
    apart = {row["network"]: row["energy_nj"] for row in said["networks"]}
    assert found.objective == pytest.approx(0.5 * apart["tiny"] + 4 * apart["other"])
    assert said["energy_nj"] == pytest.approx(found.objective / 4.5)
    with pytest.raises(ValueError, match="one network"):
        architect.optimum(costs, "LP", "area", budget)


@pytest.mark.parametrize("deployment", architect.DEPLOYMENTS)
@pytest.mark.parametrize("objective", architect.OBJECTIVES)
def test_the_family_says_the_same(objective, deployment):
    if (objective, deployment) in (("throughput", "LS"), ("throughput", "shared")):
        objective = "latency"  # the same of one array
    problem = loopnest_problem(TINY, STYLES, objective=objective, ratio=0.2, deployment=deployment)
    costs = architect.price([TINY], STYLES, None, objective)
    assert architect.budget_range(costs, deployment, "area") == pytest.approx(problem.budget_range)
    found = architect.optimum(costs, deployment, "area", problem.budget)
    assert found.objective == problem.certificate().objective


def test_what_is_shared_is_no_worse_than_one_template():
    costs = priced(styles=tuple(TEMPLATES))
    budget = architect.budget_range(costs, "LS", "area")[1]
    objectives = [
        architect.optimum(costs, name, "area", budget).objective for name in ("shared", "LS")
    ]
    assert objectives[0] < objectives[1]


# --- what is said of it ---------------------------------------------------------------------------


def test_rows_say_what_the_cost_model_says():
    costs = priced("energy", given=Given(((8, 8),), (100,), (10_000,)))
    choice = architect.optimum(costs, "shared", "area", 1e9)
    rows = report.layer_rows(costs, choice)
    assert [row["layer"] for row in rows] == ["stem", "depthwise", "head"]
    for row, layer in zip(rows, TINY, strict=True):
        assert Array(*(row[n] for n in Array._fields)) == (8, 8, 100, 10_000)
        one = detail(layer, row["template"], (8, 8), 100, 10_000, Machine(), "energy",
                     choices=costs.choices)  # fmt: skip
        assert row["latency_cycles"] == layer.repeat * one.latency_cycles
        assert row["energy_nj"] == pytest.approx(layer.repeat * sum(one.energy_nj.values()))
        assert row["energy_nj"] == pytest.approx(
            sum(row[f"{level}_nj"] for level in ("mac", "l1", "l2", "dram"))
        )
        assert row["utilization"] == pytest.approx(one.utilization)
        assert row["bound"] == one.bound


def test_totals_follow_from_the_rows():
    machine = Machine(clock_ghz=0.5)
    costs = architect.price([TINY], STYLES, machine, given=GIVEN)
    budget = architect.budget_range(costs, "LP", "area")[1]
    for name in architect.DEPLOYMENTS:
        choice = architect.optimum(costs, name, "area", budget)
        rows, said = (
            report.layer_rows(costs, choice),
            report.describe(costs, choice, "area", budget),
        )
        cycles = [row["latency_cycles"] for row in rows]
        pes = [row["pes"] for row in rows]
        assert said["latency_cycles"] == sum(cycles)
        assert said["latency_ms"] == pytest.approx(sum(cycles) / 0.5e9 * 1e3)
        moved = [sum(row[f"dram_{way}_moved_bytes"] for row in rows) for way in ("read", "write")]
        if name == "LP":
            period = max(*cycles, max(moved) / machine.dram_bandwidth)
            areas = [row["area_um2"] for row in rows]
            assert (said["pes"], said["area_um2"]) == (sum(pes), pytest.approx(sum(areas)))
        else:
            period = sum(cycles)
            array = Array(**said["array"])
            area = array_area_um2(machine, array.pes, array.l1_bytes, array.l2_bytes)
            assert (said["pes"], said["area_um2"]) == (array.pes, pytest.approx(float(area)))
        assert said["period_cycles"] == pytest.approx(period)
        assert said["dram_bytes"] == pytest.approx(sum(moved))
        assert said["frames_per_s"] == pytest.approx(0.5e9 / period)
        assert said["power_w"] == pytest.approx(said["energy_nj"] * 1e-9 * said["frames_per_s"])
        assert said["tops"] == pytest.approx(2 * TINY.macs * said["frames_per_s"] * 1e-12)
        assert said["tops_per_w"] == pytest.approx(said["tops"] / said["power_w"])
        assert said["utilization_pipelined"] == pytest.approx(said["tops"] / said["peak_tops"])
        assert said["utilization"] == pytest.approx(TINY.macs / sum(cycles) / said["pes"])


def test_a_pipeline_waits_for_the_dram_that_its_arrays_share():
    rows = [Layer.gemm(f"part{i}", M=64, N=64, K=64) for i in range(8)]
    costs = architect.price([Workload("alike", tuple(rows))], ["NVDLA"], Machine(dram_bandwidth=1))
    budget = architect.budget_range(costs, "LP", "area")[1]
    said = report.describe(costs, architect.optimum(costs, "LP", "area", budget), "area", budget)
    slowest = said["latency_cycles"] / 8
    assert said["period_bound"] == "DRAM"
    assert slowest < said["period_cycles"] <= said["latency_cycles"]
    assert said["period_cycles"] == max(said["dram_read_cycles"], said["dram_write_cycles"])


def test_a_single_layer_is_a_pipeline_that_takes_its_latency():
    costs = architect.price([OTHER], ["TPU"], Machine(dram_bandwidth=0.5))
    budget = architect.budget_range(costs, "LP", "area")[1]
    said = report.describe(costs, architect.optimum(costs, "LP", "area", budget), "area", budget)
    assert said["period_cycles"] == said["latency_cycles"]


def test_the_command_answers_in_json(optimize):
    said = optimize("tiny", "--dataflow", "MIX", "--budget", "1mm2")
    assert said["templates"] == list(TEMPLATES)
    assert set(said["deployments"]) == set(architect.DEPLOYMENTS)
    assert said["deployment"] == "shared"
    best = said["optimum"]
    assert best["objective"] == said["deployments"]["shared"]["objective"]
    assert sum(best["energy_by_level"].values()) == pytest.approx(best["energy_nj"])
    assert best["area_mm2"] <= 1
    costs = architect.price([TINY], list(TEMPLATES))
    for name, row in said["deployments"].items():
        assert row["objective"] == architect.optimum(costs, name, "area", 1e6).objective


def test_what_is_given_is_fixed_and_the_rest_is_chosen(optimize):
    said = optimize("tiny", "--pes", "64", "--l1", "200B", "--l2", "0.5MB", "--deployment", "LP")
    for row in said["optimum"]["layers"]:
        assert (row["pes"], row["l1_bytes"], row["l2_bytes"]) == (64, 200, 512 << 10)
    assert said["shapes"] == [[r, 64 // r] for r in (1, 2, 4, 8, 16, 32, 64)]
    said = optimize("tiny", "--pes", "8x4", "--budget", "unlimited")
    assert said["optimum"]["array"] | {"rows": 8, "columns": 4} == said["optimum"]["array"]
    assert len(said["l1_bytes"]) > 1


def test_more_to_choose_from_is_never_worse(optimize):
    open_ = optimize("tiny", "--budget", "0.3mm2")["optimum"]["objective"]
    fixed = optimize("tiny", "--budget", "0.3mm2", "--l1", "64B")["optimum"]["objective"]
    assert open_ <= fixed


def test_platforms_and_shares_are_of_the_deployment_shown(optimize):
    for deployment in architect.DEPLOYMENTS:
        said = optimize("tiny", "--deployment", deployment, "--budget", "10%")
        least, most = said["budget_range"]
        assert said["budget"] == pytest.approx(least + 0.1 * (most - least))
        assert said == optimize("tiny", "--deployment", deployment, "--budget", "iot") | {
            "platform": None
        }


def test_a_mix_may_be_of_files_and_models(optimize, files):
    said = optimize("--mix", f"{files['tiny']}=3,{files['other']}=0.5")
    assert [row["weight"] for row in said["optimum"]["networks"]] == [3, 0.5]
    assert set(said["deployments"]) == {"LS", "shared"}
    assert {row["network"] for row in said["optimum"]["layers"]} == {"tiny", "other"}
    equal = optimize("tiny", "other")
    assert [row["weight"] for row in equal["optimum"]["networks"]] == [1, 1]
    assert [row["network"] for row in optimize("--mix", "ncf=2")["optimum"]["networks"]] == ["NCF"]


def test_a_batch_is_for_the_onnx_files_of_a_mix(tmp_path, optimize, files):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = helper.make_tensor("w", kind, (8, 3, 3, 3), [0.0] * 216)
    ends = [
        helper.make_tensor_value_info(name, kind, ["n", *shape])
        for name, shape in (("x", (3, 12, 12)), ("y", (8, 10, 10)))
    ]
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    graph = helper.make_graph([node], "net", ends[:1], ends[1:], [weights])
    onnx.save(helper.make_model(graph), tmp_path / "net.onnx")
    one, two = (
        optimize("--mix", f"{tmp_path / 'net.onnx'}=1,{files['other']}=1", "--batch", n)["optimum"]
        for n in (1, 2)
    )
    assert [row["macs"] for row in one["networks"]][1] == OTHER.macs
    assert two["networks"][0]["macs"] == 2 * one["networks"][0]["macs"]
    assert "batch and dims are for ONNX files" in optimize("tiny", "--batch", 2, code=2)


def test_time_is_cycles_by_the_clock_and_bandwidth_by_the_second(tmp_path, optimize):
    file = tmp_path / "npu.toml"
    file.write_text("[machine]\nclock_mhz = 500\ndram_gb_per_s = 8\nl2_bytes_per_cycle = 64\n")
    assert make_machine(file, None, None).dram_bandwidth == 16
    machine = make_machine(file, "1GHz", None)
    assert (machine.clock_ghz, machine.dram_bandwidth, machine.l2_bandwidth) == (1, 8, 64)
    assert make_machine(file, "1GHz", "4GB/s").dram_bandwidth == 4
    assert make_machine(file, None, "4GB/s").dram_bandwidth == 8
    assert make_machine(None, "2000 MHz", "4 B/cycle").dram_bandwidth == 4
    slow = optimize("tiny", "--hardware", file)
    assert slow["machine"]["clock_ghz"] == 0.5
    cycles = slow["optimum"]["latency_cycles"]
    assert slow["optimum"]["latency_ms"] == pytest.approx(cycles / 0.5e6)


def test_sizes_bandwidths_and_arrays_are_read():
    assert parse_bytes("--l1", "512B") == (512,)
    assert parse_bytes("--l1", "1KB, 0.5KiB,2 mb") == (512, 1024, 2 << 20)
    assert parse_bandwidth("16GB/s", 2.0) == 8
    assert parse_bandwidth("16 b/cycle", 2.0) == 16
    assert parse_pes("4x8, 2") == ((1, 2), (2, 1), (4, 8))
    assert arrays_of(12) == ((1, 12), (2, 6), (3, 4), (4, 3), (6, 2), (12, 1))
    assert [bytes_text(n) for n in (12_082, 1 << 17, 2 << 20)] == ["12,082 B", "128 KB", "2 MB"]


def test_files_are_written(tmp_path, optimize):
    said = optimize("tiny", "--out", tmp_path / "out", "-d", "MIX")
    written = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert set(written) == {"roofline.png", "energy.png", "layers.csv", "answer.json"}
    assert json.loads(written["answer.json"].read_text()) == said
    rows = list(csv.DictReader(written["layers.csv"].read_text().splitlines()))
    assert [row["layer"] for row in rows] == [layer.name for layer in TINY]
    for name in ("roofline.png", "energy.png"):
        assert written[name].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("deployment", architect.DEPLOYMENTS)
def test_people_read_it_on_narrow_terminals(run, files, monkeypatch, columns, deployment):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = run(
        "optimize", files["tiny"], "--model", "loopnest", "-d", "MIX", "--deployment", deployment,
        "--budget", "1mm2",
    )  # fmt: skip
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= columns
    for word in ("stem", "depthwise", "cycles", "utilised", "frames/s", "mJ", "TOPS/W", "mm²"):
        assert word in out
    for name in architect.DEPLOYMENTS:
        assert f" {name} " in out
    assert "LP's period" in out


# --- hwgym compare --------------------------------------------------------------------------------


def test_templates_stand_side_by_side(run, files, optimize, tmp_path):
    asked = ("compare", files["tiny"], "--model", "loopnest", "-o", "energy")
    code, out, err = run(*asked, "-b", "1mm2", "-b", "0.01mm2", "--json")
    assert code == 0, err
    rows = json.loads(out)["rows"]
    assert [row["dataflow"] for row in rows[::2]] == [*TEMPLATES, "MIX"]
    assert all(row["objective"] is None and row["over_best"] is None for row in rows[1::2])
    for row in rows[::2]:
        same = optimize("tiny", "-o", "energy", "-b", "1mm2", "-d", row["dataflow"])["optimum"]
        assert row["objective"] == same["objective"]
    best = min(row["objective"] for row in rows[::2])
    assert rows[-2]["objective"] == best
    assert rows[0]["over_best"] == rows[0]["objective"] / best - 1
    code, out, _ = run(*asked, "-b", "1mm2", "-d", "TPU", "-d", "MIX", "--out", tmp_path)
    assert code == 0
    assert "tiny (shared): least energy (nJ)" in out
    written = csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines())
    assert [row["dataflow"] for row in written] == ["TPU", "MIX"]
    assert (tmp_path / "comparison.png").exists()


def test_a_share_is_of_one_range_for_all_templates(run, files):
    code, out, _ = run("compare", files["tiny"], "--model", "loopnest", "-b", "30%", "--json")
    assert code == 0
    assert len({row["budget_value"] for row in json.loads(out)["rows"]}) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--model", "loopnest", "--pe-levels", "1,2"), "--pe-levels belongs to --model maestro"),
        (("--model", "loopnest", "-d", "KCP"), "unknown template 'KCP'"),
        (("--model", "loopnest", "-b", "1mm2", "-c", "volume"), "unknown constraint 'volume'"),
        (("--pes", "8"), "--pes belongs to --model loopnest"),
        (("--deployment", "shared"), "--deployment shared belongs to --model loopnest"),
    ],
)
def test_what_is_wrong_with_a_comparison_is_named(wrong, arguments, says):
    code, said = wrong("compare", "tiny", *arguments)
    assert says in said
    assert code == 2


# --- why nothing fits -----------------------------------------------------------------------------


def test_a_buffer_that_no_tile_fits_is_named(wrong, files):
    code, said = wrong("optimize", "tiny", "--model", "loopnest", "--l2", "100B")
    assert code == 1
    layer = "stem"
    needed = int(said.split("at least ")[1].split()[0].replace(",", ""))
    assert said == f"error: L2 of 100 B holds no tile of layer {layer}: at least {needed:,} bytes"
    assert wrong("optimize", "tiny", "--model", "loopnest", "--l2", f"{needed - 1}B")[0] == 1
    costs = architect.price([TINY], ["NVDLA"], given=Given(None, None, (needed,)))
    why = architect.unfit(costs)
    assert why is None or f"layer {layer}" not in why


def test_so_is_a_pe_buffer(wrong):
    code, said = wrong("optimize", "tiny", "--model", "loopnest", "--l1", "1B")
    assert (code, said[:33]) == (1, "error: L1 of 1 B holds no tile of")


def test_a_budget_that_nothing_fits_says_what_would(wrong, optimize):
    asked = ("optimize", "tiny", "--model", "loopnest", "--budget")
    code, said = wrong(*asked, "0.001mm2")
    assert code == 1
    least = said.split("fit in is ")[1].split()[0]
    assert said.startswith("error: budget 0.001mm2: the least that all layers fit in is 0.0")
    assert optimize("tiny", "--budget", f"{least}mm2")["optimum"]["area_mm2"] <= float(least)
    code, said = wrong(*asked, "1mm2", "--pes", "1024")
    assert code == 1
    assert "without --pes it would be 0.0" in said
    code, said = wrong(*asked, "0.1mm2", "--pes", "1024", "--l2", "512KB")
    assert said.endswith("leaving --pes or --l2 open would not do")


def test_layers_that_no_array_suits_all_are_a_failure():
    costs = priced()
    valid = costs.valid.copy()
    valid[0, :, 0] = valid[1, :, 1] = False  # each layer has a template, but not the same
    costs = replace(costs, valid=valid)
    with pytest.raises(Failure, match="LS: no array holds tiles of all layers under one template"):
        budget_amount(costs, "LS", "area", {"ratio": 0.5})
    least, most = budget_amount(costs, "shared", "area", {"ratio": 0.5})[1]
    assert 0 < least < most


def test_a_pipeline_that_does_not_fit_is_said_beside_the_others(optimize, run, files):
    said = optimize("tiny", "--budget", "0%")["deployments"]
    assert said["LP"]["objective"] is None
    assert said["LP"]["least"] > said["shared"]["area_um2"]
    _, out, _ = run("optimize", files["tiny"], "--model", "loopnest", "--budget", "0%")
    assert "nothing fits: it takes at least" in out


def test_one_layer_in_detail(run):
    layer = Layer("conv", "CONV", 32, 16, 14, 14, 3, 3, 2)
    asked = ("cost", "conv:K=32,C=16,OY=14,OX=14,R=3,S=3,stride=2", "--model", "loopnest")
    code, out, err = run(*asked, "-d", "Eyeriss", "-p", "4x8", "--l1", "256B", "--l2", "16KB",
                         "-o", "energy", "--json")  # fmt: skip
    assert code == 0, err
    found, want = json.loads(out), detail(layer, "Eyeriss", (4, 8), 256, 16384, None, "energy")
    assert found["layer"]["stride"] == 2
    for name, value in vars(want).items():
        assert found[name] == value
    code, out, _ = run(*asked)
    assert code == 0
    for word in ("mapping", "compute", "first load", "DRAM", "utilised", "mm²", "8 x 16"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--pes", "64"), "--pes: one array is needed, rows x columns; 64 may be 1x64, 2x32"),
        (("--l1", "64B,128B"), "--l1: one size is needed, got 2"),
        (("-d", "MIX"), "one design point has one template"),
        (("-o", "speed"), "--objective: unknown objective 'speed'"),
        (("--tile", "2"), "--tile belongs to --model maestro"),
        (("--technology", "a"), "--technology belongs to --model maestro"),
        (("--released",), "--released belongs to --model maestro"),
        (("--dram", "0B/cycle"), "--dram: the bandwidth must be above 0"),
    ],
)
def test_what_is_wrong_with_a_layer_is_named(wrong, arguments, says):
    code, said = wrong("cost", "tiny", 1, "--model", "loopnest", *arguments)
    assert says in said
    assert code == 2


def test_a_layer_that_a_buffer_cannot_hold_says_how_much_it_needs(wrong, run, files):
    asked = ("cost", "tiny", 1, "--model", "loopnest", "--l2")
    code, said = wrong(*asked, "100B")
    assert code == 1
    assert said.startswith("error: L2 of 100 B holds no tile of layer stem: at least ")
    needed = said.split()[-2].replace(",", "")
    assert run("cost", files["tiny"], 1, "--model", "loopnest", "--l2", f"{needed}B")[0] == 0
    assert wrong(*asked, f"{int(needed) - 1}B")[0] == 1


def test_a_stride_beyond_the_input_is_no_layer(wrong):
    spec = "conv:K=4,C=4,OY=1,OX=1,R=3,S=3,stride=4"
    code, said = wrong("cost", spec, "--model", "loopnest")
    assert (code, said) == (2, "error: conv: stride 4 is larger than the input, 3 x 3")
    assert "unknown size 'stride'" in wrong("cost", spec)[1]  # MAESTRO knows none


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--dram", "0GB/s"), "--dram: the bandwidth must be above 0, got '0GB/s'"),
        (("--dram", "16"), "--dram wants a number and its unit, 16GB/s or 16B/cycle"),
        (("--dram", "16GBps"), "--dram wants 16GB/s or 16B/cycle; unknown unit 'GBps'"),
        (("--clock", "0GHz"), "--clock must be above 0"),
        (("--clock", "fast"), "--clock wants a number and its unit, 1GHz or 800MHz"),
        (("--l1", "512"), "--l1 wants a number and its unit, 512B, 128KB or 1MB; got '512'"),
        (("--l1", "0B"), "--l1 must be a whole number of bytes, at least 1; got '0B'"),
        (("--l2", "0.3B"), "--l2 must be a whole number of bytes, at least 1; got '0.3B'"),
        (("--l2", "-4KB"), "--l2 must be a whole number of bytes, at least 1; got '-4KB'"),
        (("--l2", "9999999999MB"), "--l2 must be at most 1,048,576 MB"),
        (("--pes", "0x4"), "at least one row and one column of PEs; got '0x4'"),
        (("--pes", "0"), "at least one row and one column of PEs; got '0'"),
        (("--pes", "8x"), "--pes wants a number of PEs, 1024, or rows x columns, 32x32; got '8x'"),
        (("--pes", "2048x1024"), "an array has at most 1,048,576 PEs; got '2048x1024'"),
        (("--dataflow", "NVDIA"), "unknown template 'NVDIA'; did you mean 'NVDLA'?"),
        (("--dataflow", "KCP"), "(available: NVDLA, Eyeriss, ShiDianNao, TPU, MIX)"),
        (("--objective", "speed"), "--objective: unknown objective 'speed'"),
        (("--constraint", "volume"), "--constraint: unknown constraint 'volume'"),
        (("--deployment", "LPP"), "unknown deployment 'LPP'; did you mean 'LP'?"),
        (("--budget", "3mW"), "is an amount of power, but the constraint is area"),
        (("--fine",), "--fine belongs to --model maestro"),
        (("--released",), "--released belongs to --model maestro"),
        (("--pe-levels", "1,2"), "--pe-levels belongs to --model maestro"),
        (("--tile-levels", "1,2"), "--tile-levels belongs to --model maestro"),
        (("--mix", "NCF=1"), "either one by one or with --mix"),
        (("tiny",), "is given twice"),
        (("other", "--deployment", "LP"), "a pipeline is of one network's layers"),
    ],
)
def test_what_is_wrong_is_named(wrong, arguments, says):
    code, said = wrong("optimize", "tiny", "--model", "loopnest", *arguments)
    assert says in said
    assert code == 2


@pytest.mark.parametrize(
    ("mix", "says"),
    [
        ("NCF=-1", "--mix: the weight of NCF must be above 0; got '-1'"),
        ("NCF=0", "--mix: the weight of NCF must be above 0"),
        ("NCF=nan", "--mix: the weight of NCF must be above 0"),
        ("NCF=inf", "--mix: the weight of NCF must be above 0"),
        ("NCF=many", "--mix: the weight of NCF must be a number; got 'many'"),
        ("NCF", "--mix wants NAME=WEIGHT,NAME=WEIGHT; got 'NCF'"),
        ("NCF=1,NCF=2", "--mix: NCF is given twice"),
        ("NCF=1,ncf=2", "2 of the networks are called NCF"),
        ("NFC=1", "unknown model 'NFC'; did you mean 'NCF'?"),
    ],
)
def test_what_is_wrong_with_a_mix_is_named(wrong, mix, says):
    code, said = wrong("optimize", "--model", "loopnest", "--mix", mix)
    assert says in said
    assert code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--clock", "1GHz"), ("--pes", "8"), ("--l1", "64B"), ("--l2", "4KB"),
        ("--dram", "1GB/s"), ("--mix", "NCF=1"), ("--deployment", "shared"),
    ],
)  # fmt: skip
def test_options_of_loop_nests_mean_nothing_to_maestro(wrong, arguments):
    code, said = wrong("optimize", "NCF", *arguments)
    assert arguments[0] in said
    assert "belongs to --model loopnest" in said
    assert code == 2


@pytest.mark.parametrize(
    "arguments",
    [("--l1", "64B"), ("--l2", "4KB"), ("--clock", "1GHz"), ("--dram", "1GB/s"), ("-o", "edp")],
)
def test_so_do_they_of_one_layer(wrong, arguments):
    assert "belongs to --model loopnest" in wrong("cost", "NCF", 1, *arguments)[1]


def test_there_are_two_models_and_maestro_takes_one_network(wrong):
    assert (
        "unknown cost model 'lopnest'; did you mean 'loopnest'?"
        in wrong("optimize", "NCF", "--model", "lopnest")[1]
    )
    assert "several networks are for --model loopnest" in wrong("optimize", "NCF", "AlexNet")[1]
    for model in ("maestro", "loopnest"):
        assert "missing argument 'MODEL|FILE'" in wrong("optimize", "--model", model)[1]


def test_a_machine_of_no_bandwidth_is_none(tmp_path, wrong):
    file = tmp_path / "npu.toml"
    file.write_text("[machine]\ndram_gb_per_s = 0\n")
    code, said = wrong("optimize", "tiny", "--model", "loopnest", "--hardware", file)
    assert code == 2
    assert "dram_gb_per_s must be a positive number, got 0" in said

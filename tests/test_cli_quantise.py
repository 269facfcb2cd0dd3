"""``hwgym quantise``: noise of a file's own weights, the proven bits, files, and mistakes."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from conftest import finite

from hwgym.cli.quantise import parse_share
from hwgym.core.metric import METRICS
from hwgym.families.quant import Bitwidths, NoiseProblem, quant_problem
from hwgym.families.quant.measured import CLIPS, measure, weight_noise
from hwgym.workloads import Layer, Workload, load_workload

BITS = (2, 3, 4, 5, 6, 7, 8)


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def found(run):
    def invoke(*arguments):
        code, out, err = run("quantise", *arguments, "--json")
        assert code == 0, err or out
        return json.loads(out)

    return invoke


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A file: a convolution, a depthwise one, one without a weight but 0, a product of activations,
    and a classifier; and the weights of those that have any."""
    onnx = pytest.importorskip("onnx")
    rng, node = np.random.default_rng(1), onnx.helper.make_node
    weights = {
        "stem.weight": rng.normal(size=(8, 3, 3, 3)),
        "depthwise.weight": rng.standard_t(3, size=(8, 1, 3, 3)),
        "empty.weight": np.zeros((8, 8, 1, 1)),
        "head.weight": rng.normal(size=(64, 10)),
    }
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    shape = onnx.numpy_helper.from_array(np.int64([8, 64]), "shape")
    graph = onnx.helper.make_graph(
        [
            node("Conv", ["x", "stem.weight"], ["a"], pads=[1] * 4, strides=[2, 2]),
            node("Conv", ["a", "depthwise.weight"], ["b"], pads=[1] * 4, group=8),
            node("Conv", ["b", "empty.weight"], ["c"]),
            node("Reshape", ["c", "shape"], ["d"]),
            node("Transpose", ["d"], ["e"], perm=[1, 0]),
            node("MatMul", ["d", "e"], ["f"], name="scores"),
            node("MatMul", ["f", "d"], ["g"], name="context"),
            node("Gemm", ["g", "head.weight"], ["y"]),
        ],
        "graph",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 3, 16, 16))],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [*(onnx.numpy_helper.from_array(value, name) for name, value in weights.items()), shape],
    )
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    opset = [onnx.helper.make_opsetid("", 21)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset), path)
    return path, weights


def slowly(channels, bits):
    """Noise by signal, number by number."""
    noise = signal = 0.0
    top = 2 ** (bits - 1) - 1
    for channel in channels:
        numbers = [float(w) for w in channel]
        largest = max(map(abs, numbers))
        signal += sum(w * w for w in numbers)
        offered = []
        for clip in CLIPS:
            step, error = largest * clip / top, 0.0
            for w in numbers:
                code = min(max(round(w / step), -top), top) if step else 0
                error += (w - code * step) ** 2
            offered.append(error)
        noise += min(offered)
    return noise / signal if signal else 0.0


# --- noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", BITS)
def test_noise_is_what_a_slow_loop_finds(bits):
    rng = np.random.default_rng(bits)
    weights = rng.standard_t(4, size=(5, 37)).astype(np.float32)
    weights[2] = 0
    weights[3] *= 1e-3
    [found] = weight_noise(weights, [bits])
    assert found == pytest.approx(slowly(weights, bits), rel=1e-5)


def test_more_bits_are_less_noise_by_about_four_times_each():
    weights = np.random.default_rng(0).normal(size=(16, 90)).astype(np.float32)
    noise = weight_noise(weights, BITS)
    assert (np.diff(noise) < 0).all()
    assert ((noise[:-1] / noise[1:] > 2.5) & (noise[:-1] / noise[1:] < 7)).all()


def test_noise_knows_no_unit_and_no_block():
    weights = np.random.default_rng(0).normal(size=(3, 40_000)).astype(np.float32)
    whole = weight_noise(weights, (2, 8))
    assert weight_noise(weights * np.float32(2.0**-100), (2, 8)) == pytest.approx(whole)
    parts = [weight_noise(row[None], (2, 8)) for row in weights]
    power = (weights.astype(np.float64) ** 2).sum(axis=1)
    assert np.average(parts, axis=0, weights=power) == pytest.approx(whole)


def test_weights_that_are_levels_already_have_no_noise():
    ternary = np.float32([[1, 0, -1, 1], [0.25, 0.25, 0, -0.25]])
    assert weight_noise(ternary, (2, 3)).max() < 1e-12


def test_zeros_have_no_noise():
    assert weight_noise(np.zeros((3, 4), np.float32), BITS).tolist() == [0.0] * len(BITS)


def test_weights_that_are_no_numbers_are_refused():
    layer = Layer.gemm("fc", M=1, N=1, K=2)
    with pytest.raises(ValueError, match="fc: some of its weights are no finite numbers"):
        measure([(layer, np.float32([[1, np.nan]]))], BITS)


# --- a file ---------------------------------------------------------------------------------------


def test_bits_are_the_proven_ones_for_the_noise_of_the_files_weights(found, network):
    path, weights = network
    answer = found(str(path), "--budget", "60%energy")
    rows = [
        [slowly(weights[f"{name}.weight"].reshape(8, -1), b) for b in BITS]
        for name in ("stem", "depthwise", "empty")
    ]
    rows += [[4.0**-b for b in BITS]] * 2
    rows.append([slowly(weights["head.weight"].T, b) for b in BITS])
    measured = answer["problem"]["accuracy"]["weights"]
    assert measured == pytest.approx(np.array(rows), rel=1e-5)
    problem = quant_problem(load_workload(path), "energy", share=0.6, weight_noise=measured)
    best = problem.optimum()
    assert answer["optimum"]["assignment"] == best.assignment.tolist()
    assert answer["optimum"]["objective"] == best.objective
    assert answer["optimum"]["gap"] == 0
    assert answer["problem"]["accuracy"] == problem.statement.key["accuracy"]
    assert answer["weights_measured"]
    assert answer["without_weights"] == ["scores", "context"]
    assert "not accuracy" in answer["proxy"]
    assert finite(answer)


def test_the_answer_adds_up(found, network):
    answer = found(str(network[0]), "--budget", "0.6energy")
    best, most, uniform = answer["optimum"], answer["most_bits"], answer["best_uniform"]
    layers = best["layers"]
    assert sum(row["noise"] for row in layers) == pytest.approx(best["objective"])
    assert best["sqnr_db"] == pytest.approx(-10 * math.log10(best["objective"]))
    assert sum(row["of_network"] for row in layers) == pytest.approx(1)
    assert sum(row["energy_nj"] for row in layers) == pytest.approx(best["energy_nj"])
    assert best["energy_nj"] <= 0.6 * most["energy_nj"]
    assert (most["weight_bits"], most["activation_bits"]) == (8, 8)
    assert best["objective"] < uniform["objective"]
    assert uniform["energy_nj"] <= 0.6 * most["energy_nj"]


def test_the_best_uniform_bits_are_the_best_there_are(found, network):
    path, _ = network
    answer = found(str(path), "--budget", "55%latency", "--bits", "2,4,8")
    problem = quant_problem(
        load_workload(path), "latency", share=0.55, bits=(2, 4, 8),
        weight_noise=answer["problem"]["accuracy"]["weights"],
    )  # fmt: skip
    assert answer["best_uniform"]["objective"] == problem.best_uniform()


def test_a_layer_whose_weights_are_zero_gets_few_bits_of_them(found, network):
    layers = found(str(network[0]), "--budget", "60%area")["optimum"]["layers"]
    [empty] = [row for row in layers if row["layer"] == "empty"]
    assert empty["weight bits"] == 2
    assert empty["activation bits"] > 2


def test_people_are_told_what_noise_is(run, network):
    code, said, _ = run("quantise", str(network[0]))
    assert code == 0
    words = " ".join(said.split())
    assert "a proxy, not accuracy" in words
    assert "measured on the file's own" in words
    assert "no weights are known of scores, context" in words
    assert "proven optimum" in words
    assert "of weights" in words
    for metric in ("latency", "energy", "area"):
        assert metric in words
    assert "0.6 allowed" in words


def test_an_open_batch_reaches_the_weights(found, network, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(network[0])
    del model.graph.node[3:]
    model.graph.output[0].name = "c"
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(model, tmp_path / "open.onnx")
    path = str(tmp_path / "open.onnx")
    answer = found(path, "--batch", "2")
    assert answer == found(path, "--dims", "n=2") | {"optimum": answer["optimum"]}
    assert answer["without_weights"] == []


def test_a_file_without_weights_says_so(run, tmp_path):
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [onnx.helper.make_tensor_value_info(n, kind, (8, 8)) for n in "xw"],
        [onnx.helper.make_tensor_value_info("y", kind, None)],
    )
    onnx.save(onnx.helper.make_model(graph), tmp_path / "bare.onnx")
    code, said, err = run("quantise", str(tmp_path / "bare.onnx"))
    assert code == 0, err
    assert "no weights are known, so b bits have 4^-b in every layer" in " ".join(said.split())


# --- a model's name -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ((), {}),
        (("--budget", "45%latency"), {"constraint": "latency", "share": 0.45}),
        (("--unit", "serial", "--pes", "64"), {"unit": "serial", "pes": 64}),
        (("--bits", "2,4,6", "--model", "loopnest"), {"bits": (2, 4, 6), "model": "loopnest"}),
    ],
)
def test_a_model_has_the_uniform_proxy(found, options, asked):
    answer = found("NCF", *options)
    problem = quant_problem("NCF", **({"constraint": "energy", "share": 0.6} | asked))
    assert answer["optimum"]["objective"] == problem.optimum().objective
    assert answer["problem"]["accuracy"] == {"proxy": "noise", "weights": None}
    assert not answer["weights_measured"]
    assert answer["most_bits"]["weight_bits"] == asked.get("bits", BITS)[-1]


def test_shares_are_of_the_most_bits_and_are_called_so(run):
    code, said, _ = run("quantise", "NCF", "--bits", "2-6", "--budget", "70%energy")
    assert code == 0
    assert "of 6 bits" in said
    assert "at 6 bits" in said
    assert "8 bits" not in said


def test_where_no_uniform_bits_fit_it_says_so(run, found, monkeypatch):
    # One layer is least at few bits, the other at many: no bits suit both.
    layers = Workload("two", tuple(Layer.gemm(name, M=1, N=1, K=1) for name in "ab"))
    cost = np.array([[[1.0, 1.0], [9.0, 9.0]], [[9.0, 9.0], [1.0, 1.0]]])
    costs = dict.fromkeys(("latency", "energy", "area"), cost)

    def posed(_layers, constraint, *, share, **_):
        return NoiseProblem(Bitwidths(layers, (2, 8), costs, METRICS[constraint], share, "maestro"))

    monkeypatch.setattr("hwgym.cli.quantise.quant_problem", posed)
    answer = found("NCF", "--budget", "50%energy", "--sweep")
    assert [row["weight bits"] for row in answer["optimum"]["layers"]] == [2, 8]
    assert answer["best_uniform"] is None
    assert [row["uniform"] is None for row in answer["sweep"]] == [
        row["share"] < 1 for row in answer["sweep"]
    ]
    assert finite(answer)
    code, said, _ = run("quantise", "NCF", "--budget", "50%energy", "--sweep")
    assert code == 0
    assert "none fits the budget" in said


# --- a sweep, and files ---------------------------------------------------------------------------


def test_a_sweep_has_the_optimum_at_every_share_that_can_be_had(found, run):
    rows = found("NCF", "--sweep", "--budget", "50%area")["sweep"]
    shares = [row["share"] for row in rows]
    assert shares[-1] == 1.0
    for row in rows:
        problem = quant_problem("NCF", "area", share=row["share"])
        assert row["objective"] == problem.optimum().objective
        assert row["uniform"] is None or row["uniform"] >= row["objective"]
    with pytest.raises(ValueError, match="no widths fit"):
        quant_problem("NCF", "area", share=shares[0] - 0.05)
    assert (np.diff([row["objective"] for row in rows]) <= 0).all()
    assert rows[-1]["weight_bits"] == rows[-1]["activation_bits"] == 8
    code, said, _ = run("quantise", "NCF", "--sweep", "--budget", "50%area")
    assert code == 0
    assert "The least noise at each share of the area" in said
    assert said.count("%") >= len(rows)


def test_picture_and_files_are_those_of_the_answer(run, tmp_path):
    out = tmp_path / "result"
    code, said, _ = run("quantise", "NCF", "--sweep", "--out", str(out))
    assert code == 0
    assert "result.json" in said
    report = json.loads((out / "result.json").read_text(encoding="utf-8"))
    with (out / "bits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    layers = report["optimum"]["layers"]
    assert [int(row["weight bits"]) for row in rows] == [row["weight bits"] for row in layers]
    with (out / "sweep.csv").open(newline="") as file:
        swept = list(csv.DictReader(file))
    assert [float(row["share"]) for row in swept] == [row["share"] for row in report["sweep"]]
    for name in ("bits.png", "sweep.png"):
        assert (out / name).read_bytes()[:4] == b"\x89PNG"


def test_without_a_sweep_there_is_none(run, tmp_path):
    assert run("quantise", "NCF", "--out", str(tmp_path))[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"bits.png", "bits.csv", "result.json"}


# --- what is asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("60%energy", (0.6, "energy")),
        ("60% energy", (0.6, "energy")),
        ("60 % of latency", (0.6, "latency")),
        ("0.6energy", (0.6, "energy")),
        (".25 Area", (0.25, "area")),
        (" 100%latency ", (1.0, "latency")),
        ("1latency", (1.0, "latency")),
        ("12.5%area", (0.125, "area")),
    ],
)
def test_a_share(text, wanted):
    assert parse_share(text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("60%", "'60%' does not say of what; it wants a share as 60%energy"),
        ("energy", "wants a share as 60%energy"),
        ("", "wants a share"),
        (".%energy", "wants a share"),
        ("1.2.3%energy", "wants a share"),
        ("-5%energy", "wants a share"),
        ("60%enrgy", "unknown cost 'enrgy'; did you mean 'energy'? (available: energy, latency"),
        ("60energy", "at most 100%, got '60energy'; did you mean 60%energy?"),
        ("160%energy", "at most 100%, got '160%energy'"),
        ("0%energy", "above 0%"),
    ],
)
def test_what_is_no_share(text, said):
    with pytest.raises(ValueError) as error:
        parse_share(text)
    assert str(error.value).startswith("--budget")
    assert said in str(error.value)
    assert ("did you mean" in str(error.value)) == ("did you mean" in said)


@pytest.mark.parametrize(
    ("asked", "said", "code"),
    [
        ("Mobilenetv2", "did you mean 'MobileNetV2'?", 2),
        ("lost.onnx", "lost.onnx: No such file", 2),
        ("NCF --budget 60%power", "unknown cost 'power'", 2),
        ("NCF --model maestr", "--model: unknown cost model 'maestr'; did you mean 'maestro'?", 2),
        ("NCF --unit seral", "--unit: unknown unit 'seral'; did you mean 'serial'?", 2),
        ("NCF --pes 100", "pes must be the square of a power of two", 2),
        ("NCF --bits 1-4", "--bits must be from 2 to 8, got '1-4'", 2),
        ("NCF --bits 8,4", "--bits: numbers must increase", 2),
        ("NCF --batch 2", "batch and dims are for ONNX files", 2),
        ("HWQuant-v0", "is an environment", 2),
        ("NCF --budget 1%energy", "no widths fit 1 % of the energy at 8 bits: the least", 1),
    ],
)
def test_mistakes(run, asked, said, code):
    status, out, err = run("quantise", *asked.split())
    assert status == code
    assert not out
    assert said in err


def test_the_least_that_is_told_is_enough(run):
    _, _, err = run("quantise", "AlexNet", "--budget", "1%energy")
    least = err.split("take is ")[1].split("%")[0]
    assert run("quantise", "AlexNet", "--budget", f"{least}%energy")[0] == 0
    assert run("quantise", "AlexNet", "--budget", f"{float(least) - 0.01}%energy")[0] == 1

"""Networks of the package transformers, random weights: the zoo's, by every way of importing them.

It is too large for the ``test`` extra; install it by hand (``pip install transformers onnxscript``)
and these run, in half a minute. Otherwise they are skipped; ``test_import`` has the same networks
written from the papers.
"""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hwgym import Layer, workload
from hwgym.workloads import import_onnx, import_torch

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGE = torch.zeros(1, 3, 224, 224)
TOKENS = torch.zeros(1, 512, dtype=torch.long)
NETWORKS = {
    "ResNet50": ("ResNetForImageClassification", "ResNetConfig", {"num_labels": 1000}, IMAGE),
    "MobileNetV2": (
        "MobileNetV2ForImageClassification",
        "MobileNetV2Config",
        {"num_labels": 1000, "tf_padding": False},
        IMAGE,
    ),
    "ViT": ("ViTForImageClassification", "ViTConfig", {"num_labels": 1000}, IMAGE),
    "BERT": ("BertModel", "BertConfig", {}, TOKENS),
}
CLASSIFIERS = {"ResNet50": 2048, "MobileNetV2": 1280}  # which the zoo leaves out


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    model, config, settings, example = NETWORKS[request.param]
    module = getattr(transformers, model)(getattr(transformers, config)(**settings)).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.02)  # exporters store equal tensors once
    return request.param, module, example


def shapes_of(layers):
    return [(layer.kind, layer.shape, layer.repeat, layer.stride) for layer in layers]


def expected(name):
    head = [Layer.gemm("head", 1, 1000, CLASSIFIERS[name])] if name in CLASSIFIERS else []
    return shapes_of([*workload(name), *head])


def test_pytorch(network):
    name, module, example = network
    found = import_torch(module, example)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        module(example)
    assert found.complete
    assert shapes_of(found.workload) == expected(name)
    assert found.macs == counter.get_total_flops() // 2
    assert found.parameters == sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("exporter", ["dynamo", "TorchScript"])
def test_onnx(network, exporter, tmp_path):
    name, module, example = network
    if exporter == "dynamo":
        pytest.importorskip("onnxscript")
        free = {"dynamic_shapes": ({0: torch.export.Dim.DYNAMIC},)}
    elif name == "BERT":
        pytest.skip("transformers' BERT cannot be traced by this exporter")
    else:
        free = {"dynamic_axes": {"x": {0: "batch"}}}
    path = tmp_path / "net.onnx"
    settings = {"input_names": ["x"], "dynamo": exporter == "dynamo", **free}
    torch.onnx.export(module, (example,), path, verbose=False, **settings)
    found = import_onnx(path, batch=1)
    assert found.complete
    assert shapes_of(found.workload) == expected(name)
    # Normalisations are folded into convolutions: of two parameters a channel one is left.
    folded = (m.num_features for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert found.parameters == sum(p.numel() for p in module.parameters()) - sum(folded)
    assert import_onnx(path, batch=3).macs == 3 * found.macs


@pytest.mark.parametrize("name", ["Mixtral", "Qwen3Moe"])
def test_experts_are_complete_however_they_are_run(name):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "vocab_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_experts_per_tok": 2}
    found = {}
    for way in ("grouped_mm", "eager", "batched_mm"):
        config = getattr(transformers, f"{name}Config")(**sizes, **heads)
        config._experts_implementation = way
        module = getattr(transformers, f"{name}ForCausalLM")(config).eval()
        found[way] = import_torch(module, torch.arange(13)[None])
    assert all(each.complete for each in found.values())
    assert len({each.macs for each in found.values()}) == 1
    assert [bool(each.notes) for each in found.values()] == [True, False, False]

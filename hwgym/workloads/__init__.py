"""Layers, workloads, the networks that hwgym ships, mixes of them, ConfuciuX's released tables."""

from hwgym.workloads.imported import Imported, import_onnx, import_torch
from hwgym.workloads.layer import LAYER_KINDS, Layer, input_size
from hwgym.workloads.load import load_workload
from hwgym.workloads.mixes import MIXES, Mix, draw_jobs, mix
from hwgym.workloads.network import Workload
from hwgym.workloads.operators import SkippedLayersWarning, SkippedOperator
from hwgym.workloads.regroup import regroup
from hwgym.workloads.released import released_models, released_workload
from hwgym.workloads.zoo import (
    MODELS,
    alexnet,
    bert,
    densenet121,
    fast_depth,
    gnmt,
    googlenet,
    mnasnet,
    mobilenet_v2,
    models,
    ncf,
    resnet18,
    resnet50,
    resnext50,
    shufflenet_v2,
    squeezenet,
    ssd_mobilenet_v2,
    transformer,
    unet,
    vgg16,
    vit,
    wide_resnet50,
    workload,
)

__all__ = [
    "LAYER_KINDS",
    "MIXES",
    "MODELS",
    "Imported",
    "Layer",
    "Mix",
    "SkippedLayersWarning",
    "SkippedOperator",
    "Workload",
    "alexnet",
    "bert",
    "densenet121",
    "draw_jobs",
    "fast_depth",
    "gnmt",
    "googlenet",
    "import_onnx",
    "import_torch",
    "input_size",
    "load_workload",
    "mix",
    "mnasnet",
    "mobilenet_v2",
    "models",
    "ncf",
    "regroup",
    "released_models",
    "released_workload",
    "resnet18",
    "resnet50",
    "resnext50",
    "shufflenet_v2",
    "squeezenet",
    "ssd_mobilenet_v2",
    "transformer",
    "unet",
    "vgg16",
    "vit",
    "wide_resnet50",
    "workload",
]

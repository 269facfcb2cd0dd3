"""Every family keeps the contract; see ``contract.py`` for how to add one."""

import tiny_families
from contract import Contract, ContractOfProblems

from hwgym import Layer, Workload
from hwgym.families import (
    FAMILIES,
    assignment,
    group,
    hetero,
    loopnest,
    mapping,
    mapping_loopnest,
    quant,
    systolic,
)
from hwgym.families.assignment import multi as assignment_multi
from hwgym.families.mapping import network as mapping_network

THREE = Workload(
    "three",
    (
        Layer("conv", "CONV", K=16, C=8, OY=14, OX=7, R=3, S=3),
        Layer("depthwise", "DSCONV", K=1, C=24, OY=7, OX=14, R=5, S=3, repeat=2),
        Layer.gemm("gemm", M=20, N=30, K=40),
    ),
)
LEVELS = {"pe_levels": (1, 8, 64), "tile_levels": (1, 2, 5)}
PAIR_OF = (Workload("one", THREE.layers[:2]), Workload("two", THREE.layers[2:]))
PAIR = {"name": "pair", "networks": [[network, 1] for network in PAIR_OF]}


class TestAssignment(Contract):
    family = assignment.FAMILY
    small = {"workload": THREE, "dataflow": "MIX", "ratio": 0.3, **LEVELS}  # noqa: RUF012
    bank = (
        {"workload": THREE, "ratio": 0.3},
        {"workload": "AlexNet", "dataflow": "Eyeriss", "platform": "iotx"},
        {"workload": "NCF", "objective": "energy", "constraint": "power"},
        {"workload": "ViT", "deployment": "LS", "platform": "cloud"},
    )


ARRAYS = {"row_levels": (2, 8), "column_levels": (4, 16), "sram_levels": (512, 2048, 16384)}


class TestAssignmentMulti(Contract):
    family = assignment_multi.FAMILY
    small = {"workload": THREE, "dataflow": "MIX", "ratio": 0.3, **LEVELS}  # noqa: RUF012
    bank = (
        {"split": "zoo", "instance": 5},
        {"split": "zoo", "instance": 15},
        {"workload": THREE, "ratio": 0.3, "objective": "edp", "constraint": "power"},
    )


class TestSystolic(Contract):
    family = systolic.FAMILY
    small = {"workload": THREE, "dataflow": "SystolicMIX", "ratio": 0.3, **ARRAYS}  # noqa: RUF012
    bank = (
        {"workload": THREE, "ratio": 0.3},
        {"workload": "AlexNet", "dataflow": "SystolicOS", "platform": "iotx"},
        {"workload": "NCF", "objective": "energy", "constraint": "power"},
        {"workload": "ViT", "deployment": "LS", "platform": "cloud"},
    )


class TestSystolicShared(ContractOfProblems):
    family = systolic.FAMILY
    exact_masks = "discrete"
    small = TestSystolic.small | {"deployment": "shared"}
    bank = tuple(
        {"workload": workload, "dataflow": "SystolicMIX", "deployment": "shared", **asked}
        for workload, asked in (
            (THREE, {"ratio": 0.3}),
            ("AlexNet", {"platform": "iotx"}),
            ("NCF", {"objective": "energy", "constraint": "power"}),
        )
    )


class TestSystolicPipeline(ContractOfProblems):
    family = systolic.FAMILY
    exact_masks = "discrete"
    small = TestSystolic.small | {"objective": "throughput"}
    bank = tuple(
        {"workload": workload, "objective": "throughput", **asked}
        for workload, asked in (
            (THREE, {"ratio": 0.3}),
            ("AlexNet", {"dataflow": "SystolicOS", "platform": "iotx"}),
            ("NCF", {"constraint": "power"}),
        )
    )


class TestQuant(Contract):
    family = quant.FAMILY
    exact_masks = "discrete"
    lengths = 1
    small = {"workload": "Digits", "constraint": "energy", "share": 0.5}  # noqa: RUF012
    bank = (
        {"workload": "Digits", "constraint": "latency", "share": 0.3},
        {"workload": "MNIST5k", "constraint": "area", "share": 0.4},
        {"workload": "MNIST5k", "constraint": "energy", "share": 0.6, "model": "loopnest"},
    )


class TestQuantByProxy(ContractOfProblems):
    family = quant.FAMILY
    small = {"workload": THREE, "constraint": "latency", "share": 0.5, "bits": (2, 3, 5, 8)}  # noqa: RUF012
    bank = (
        {"workload": THREE, "share": 0.6},
        {"workload": "AlexNet", "constraint": "area", "share": 0.4, "unit": "serial"},
        {"workload": "NCF", "constraint": "latency", "share": 0.6, "pes": 64},
    )


FEW = {"shapes": ((2, 4), (8, 8)), "l1_levels": (64, 512), "l2_levels": (4096, 65536)}
ASKED = ({"ratio": 0.3}, {"platform": "iotx"}, {"constraint": "power", "ratio": 0.2})


class TestLoopnest(Contract):
    family = loopnest.FAMILY
    small = {"workload": THREE, "template": "MIX", "ratio": 0.3, **FEW}  # noqa: RUF012
    bank = (
        {"workload": THREE, "ratio": 0.3, **FEW},
        {"workload": "AlexNet", "template": "TPU", "platform": "iotx", **FEW},
        {"workload": "NCF", "objective": "energy", "constraint": "power", "ratio": 0.2, **FEW},
        {"workload": THREE, "deployment": "LS", "platform": "cloud", **FEW},
    )


class TestLoopnestShared(ContractOfProblems):
    family = loopnest.FAMILY
    exact_masks = "discrete"
    small = TestLoopnest.small | {"deployment": "shared"}
    bank = tuple(
        {"workload": workload, "template": "MIX", "deployment": "shared", **asked, **FEW}
        for workload, asked in zip((THREE, "AlexNet", "NCF"), ASKED, strict=True)
    )


class TestLoopnestPipeline(ContractOfProblems):
    family = loopnest.FAMILY
    exact_masks = "discrete"
    small = TestLoopnest.small | {"objective": "throughput"}
    bank = tuple(
        {"workload": workload, "objective": "throughput", **asked, **FEW}
        for workload, asked in zip((THREE, "AlexNet", "NCF"), ASKED, strict=True)
    )


SMALL_ARRAY = {"num_pes": 12, "l1_bytes": 100, "l2_bytes": 1_000, "noc_bandwidth": 4}
ROW = {"K": 4, "C": 2, "OY": 2, "OX": 3, "S": 3}


class TestMapping(Contract):
    family = mapping.FAMILY
    lengths = 1
    exact_masks = True
    small = {"layer": ROW, "hardware": SMALL_ARRAY}  # noqa: RUF012
    bank = (
        {"layer": ROW, "hardware": SMALL_ARRAY, "width": 32},
        {"layer": "MobileNetV2:2", "objective": "latency", "width": 32},
        {"layer": "ViT:6", "objective": "energy", "width": 32},
    )


TWO = Workload(
    "two",
    (
        Layer("row", "CONV", K=4, C=2, OY=2, OX=3, R=1, S=3),
        Layer("depthwise", "DSCONV", K=1, C=6, OY=2, OX=2, R=2, S=1, repeat=3),
    ),
)
SMALL_LEVELS = {"pe_levels": (4, 6, 8), "l1_levels": (40, 80), "l2_levels": (200, 400, 800)}


class TestMappingNetwork(Contract):
    family = mapping_network.FAMILY
    steps = 80
    drawn = 500  # none is in a table
    exact_masks = True
    small = {"workload": TWO, "hardware": SMALL_ARRAY}  # noqa: RUF012
    bank = (
        {"workload": TWO, "hardware": SMALL_ARRAY, "coupling": "order", "width": 67},
        {"workload": "AlexNet", "hardware": "1024", "objective": "latency"},
        {"workload": Workload("one", TWO.layers[1:]), "objective": "energy", "width": 67},
    )


class TestMappingNetworkHardware(ContractOfProblems):
    family = mapping_network.FAMILY
    steps = 90
    drawn = 500
    exact_masks = True
    small = {"workload": TWO, "coupling": "hardware", **SMALL_LEVELS}  # noqa: RUF012
    bank = (
        {"workload": TWO, "coupling": "hardware", **SMALL_LEVELS, "width": 40},
        {"workload": THREE, "coupling": "hardware", "objective": "latency", "width": 40},
        {"workload": Workload("one", TWO.layers[1:]), "coupling": "hardware",
         "objective": "energy", **SMALL_LEVELS, "area": 2_000.0, "width": 40},
    )  # fmt: skip


SMALL_GRID = {"rows": 2, "columns": 3, "l1_bytes": 40, "l2_bytes": 200}
PRODUCT = {"kind": "GEMM", "K": 6, "C": 4, "OY": 2}


class TestLoopnestMapping(Contract):
    family = mapping_loopnest.FAMILY
    exact_masks = True
    small = {"layer": PRODUCT, "hardware": SMALL_GRID}  # noqa: RUF012
    bank = (
        {"layer": PRODUCT, "hardware": SMALL_GRID, "width": 32},
        {"layer": {"K": 6, "OY": 4}, "objective": "latency", "width": 32},
        {"layer": "MobileNetV2:22", "objective": "energy", "width": 32},
    )


TINY_CORES = ["nv:64", "yxp:32"]


class TestGroup(Contract):
    family = group.FAMILY
    exact_masks = True
    small = {"mix": THREE, "cores": TINY_CORES, "width": 3, "priorities": 4}  # noqa: RUF012
    bank = (
        {"mix": THREE, "cores": TINY_CORES, "width": 4, "priorities": 4},
        {"mix": "Vision", "jobs": 5, "cores": "S2", "bandwidth": 99, "priorities": 4},
        {"mix": "All", "jobs": 7, "seed": 1, "cores": "S1", "priorities": 4},
    )


class TestHetero(Contract):
    family = hetero.FAMILY
    exact_masks = True
    small = {"mix": PAIR, "pes": 64, "parts": 2, "subs": 2}  # noqa: RUF012
    bank = (
        {"mix": PAIR, "pes": 64, "parts": 4, "width": 6},
        {"mix": {"name": "twice", "networks": [[PAIR_OF[0], 2]]}, "pes": 128, "parts": 4,
         "bandwidth": 16, "width": 6},
        {"mix": PAIR, "pes": 64, "parts": 4, "width": 6, "kinds": ["nv", "yxp"], "bandwidth": 8},
    )  # fmt: skip


class TestBags(Contract):
    family = tiny_families.BAGS
    small = {"bags": 3}  # noqa: RUF012
    bank = ({"bags": 4}, {"bags": 2, "seed": 5}, {"bags": 7})


class TestTour(Contract):
    family = tiny_families.TOUR
    small = {"places": 4}  # noqa: RUF012
    bank = ({"places": 4}, {"places": 6}, {"places": 2, "seed": 1})
    exact_masks = True


def test_every_family_is_held_to_the_contract():
    assert set(FAMILIES) <= {each.family for each in Contract.__subclasses__()}

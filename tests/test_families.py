"""Every family keeps the contract; see ``contract.py`` for how to add one."""

import tiny_families
from contract import Contract

from hwgym import Layer, Workload
from hwgym.families import FAMILIES, assignment, systolic

THREE = Workload(
    "three",
    (
        Layer("conv", "CONV", K=16, C=8, OY=14, OX=7, R=3, S=3),
        Layer("depthwise", "DSCONV", K=1, C=24, OY=7, OX=14, R=5, S=3, repeat=2),
        Layer.gemm("gemm", M=20, N=30, K=40),
    ),
)
LEVELS = {"pe_levels": (1, 8, 64), "tile_levels": (1, 2, 5)}


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


class TestSystolic(Contract):
    family = systolic.FAMILY
    small = {"workload": THREE, "dataflow": "SystolicMIX", "ratio": 0.3, **ARRAYS}  # noqa: RUF012
    bank = (
        {"workload": THREE, "ratio": 0.3},
        {"workload": "AlexNet", "dataflow": "SystolicOS", "platform": "iotx"},
        {"workload": "NCF", "objective": "energy", "constraint": "power"},
        {"workload": "ViT", "deployment": "LS", "platform": "cloud"},
    )


class TestSystolicShared(Contract):
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


class TestSystolicPipeline(Contract):
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

"""The model's time against a pipeline that is stepped; its capacity against what buffers hold."""

import math

import numpy as np
import pytest
from loopnest_pipeline import compared, noted, pipeline, work_of
from loopnest_simulator import DIMS, TENSORS, Machine, random_options, random_points

from hwgym.costs.loopnest import TEMPLATES, Hold, Nests, capacity, profile
from hwgym.hardware import Machine as Fixed
from hwgym.workloads import workload

ROUNDED = 5
"""Cycles that the model rounds up: two of the first load, one of the longest part, two of the last
store. The pipeline's time is not rounded."""


def random_problems(seed, count):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        options = random_options(rng)
        del options["boxes"]
        fixed = Fixed(
            dram_bandwidth=rng.choice([0.5, 1, 2, 4, 8]),
            l2_bandwidth=rng.choice([1, 2, 4, 8, 16]),
            weight_bits=int(rng.choice([4, 8])),
            output_bits=int(rng.choice([6, 8, 16])),
        )
        yield random_points(rng, 1)[0], options, fixed


def nests_of(point):
    return Nests(**{name: np.array([value]) for name, value in point.items()})


def profile_of(point, options, fixed):
    return profile(nests_of(point), fixed, **{**options, "hold": Hold(**options["hold"])})


def by_hand(fixed, order="PC", hold=None, **sizes):
    """Cycles of the model and of the pipeline; sizes are (extent, tile, spread, steps)."""
    columns = zip(*(sizes.get(d, (1, 1, 1, 1)) for d in DIMS), strict=True)
    point = dict(zip(("extent", "tile", "spread", "steps"), map(list, columns), strict=True))
    loops = order + "".join(d for d in DIMS if d not in order)
    places = [loops.index(d) for d in DIMS]
    point |= dict.fromkeys(("dram_order", "l2_order", "l1_order"), places)
    point |= {"stride": [1, 1], "dilation": [1, 1]}
    hold = hold or {"l2": TENSORS, "l1": TENSORS, "registers": ()}
    options = {"hold": hold, "halo": True, "forward": False, "reduce": False}
    work = work_of(point, options, fixed)
    assert work == noted(point, options, fixed)
    model = profile_of(point, options, fixed)
    return int(model.latency_cycles[0]), pipeline(work, hold, fixed)


def test_overlap_by_hand():
    # Three filters, four outputs each, one after the other. First load: 3 weights and 1 input into
    # L2 at 2 bytes a cycle, from there at 4. Then 4 steps of 3 cycles, in which all else arrives
    # and leaves but the last 3 outputs: 0.75 cycles to L2, 1.5 to DRAM.
    sizes = {"K": (3, 3, 1, 1), "P": (4, 1, 1, 1)}
    model, stepped = by_hand(Fixed(dram_bandwidth=2, l2_bandwidth=4), **sizes)
    assert model == 2 + 1 + 4 * 3 + 1 + 2
    assert stepped == model - 0.75
    # At a quarter of DRAM's bandwidth writing outputs takes longest, 6 cycles a step. Those of the
    # last step but one leave while the last come to L2: that cycle does not count twice.
    model, stepped = by_hand(Fixed(dram_bandwidth=0.5, l2_bandwidth=4), **sizes)
    assert model == 8 + 1 + (3 * 6 - 1) + 1 + 6
    assert model < stepped


def test_registers_hold_one_element_by_hand():
    # Eight inputs that pass L1 by: the array starts after the first, not after all.
    hold = {"l2": TENSORS, "l1": ("output",), "registers": ("weight", "input")}
    fixed = Fixed(dram_bandwidth=1, l2_bandwidth=1)
    model, stepped = by_hand(fixed, hold=hold, P=(8, 8, 1, 1))
    assert model == (8 + 1) + (1 + 1) + 8 + 8 + 8
    assert 0 <= stepped - model <= 1


@pytest.mark.parametrize("seed", range(6))
def test_never_more_than_the_pipeline(seed):
    longer = []
    for point, options, fixed in random_problems(seed, 50):
        work = noted(point, options, fixed)
        assert work == work_of(point, options, fixed)
        model = profile_of(point, options, fixed)
        stays = work.stays.items()
        hold = options["hold"]["l2"]
        from_dram = [s for (t, level), x in stays for s in x if level == "l2" or t not in hold]
        assert sum(s.load for s in from_dram) == pytest.approx(model.dram_read_bytes[0])
        assert sum(s.store for s in from_dram) == pytest.approx(model.dram_write_bytes[0])
        stepped = pipeline(work, options["hold"], fixed)
        assert model.latency_cycles[0] < stepped + ROUNDED, (point, options, fixed)
        longer.append(stepped / model.latency_cycles[0])
    # These problems are a few dozen cycles long: they are mostly first loads and last stores.
    assert np.median(longer) < 1.2


@pytest.mark.parametrize(
    ("network", "style", "name"),
    [
        ("MobileNetV2", "NVDLA", "block15.depthwise"),
        ("MobileNetV2", "Eyeriss", "block8.expand"),
        ("MobileNetV2", "ShiDianNao", "block14.project"),
        ("ResNet50", "Eyeriss", "layer4.1.conv2"),
    ],
)
def test_layers_of_networks(network, style, name):
    layer = next(x for x in workload(network).layers if x.name == name)
    sizes = 512, 128 << 10
    found = compared(layer, TEMPLATES[style], (8, 16), sizes, Fixed(), "energy", 5_000)
    model, stepped = found
    assert model < stepped + ROUNDED
    assert stepped < 1.1 * model


# Capacity


class Measuring(Machine):
    """The simulator, which notes the most elements that L2 and any PE's L1 hold."""

    def __init__(self, point, options):
        super().__init__(point, **options, boxes=False)
        self.most = {}
        self.tiles = {}

    def measure(self, level, tensor, elements):
        self.most[level, tensor] = max(elements, self.most.get((level, tensor), 0))

    def arrive(self, level, index):
        super().arrive(level, index)
        for tensor in TENSORS:
            position = tuple(self.at[level, tensor].values())
            self.tiles.setdefault((level, tensor), set()).add(position)
        self.tiles.setdefault("sums", set()).add(tuple(index[DIMS.index(d)] for d in "CRS"))

    def drain(self, level):
        if level == "l2":
            self.measure(level, "output", len(self.sums[level]))
        elif level == "l1":
            pes = [pe for pe, _ in self.sums[level]]
            self.measure(level, "output", max(map(pes.count, set(pes)), default=0))
        super().drain(level)

    def cycle(self, i0):
        super().cycle(i0)
        for tensor in ("weight", "input"):
            self.measure("l2", tensor, len(self.l2[tensor]))
            self.measure("l1", tensor, max(map(len, self.l1[tensor].values()), default=0))


def test_capacity_is_what_buffers_hold():
    rng = np.random.default_rng(3)
    for point, options, _ in random_problems(9, 150):
        weight, input_, output = (int(rng.choice([4, 6, 8])) for _ in range(3))
        partial = int(rng.choice([16, 32]))
        fixed = Fixed(
            weight_bits=weight, input_bits=input_, output_bits=output, partial_bits=partial
        )
        options["hold"]["l1"] = sorted({*options["hold"]["l1"], "output"})
        machine = Measuring(point, options)
        machine.run()
        l1, l2 = capacity(nests_of(point), fixed, hold=Hold(**options["hold"]))
        for level, given in (("l1", l1), ("l2", l2)):
            bits = {"weight": weight, "input": input_, "output": partial}
            # L2 has finished outputs only where no sum takes several steps.
            if level == "l2" and len({*machine.tiles["sums"]}) == 1:
                bits["output"] = output
            needed = sum(
                machine.most[level, tensor]
                * bits[tensor]
                * (2 if len(machine.tiles[level, tensor]) > 1 else 1)
                for tensor in options["hold"][level]
            )
            assert given[0] == math.ceil(needed / 8), (level, point, options)

"""A double-buffered pipeline, stepped: what the time of the loop-nest model is checked against.

The walk through a mapping is cut into beats, in which no tile moves. Tiles are loaded and stored
while others are worked on, as far as the second buffer and the bandwidths allow; a beat waits for
its tiles. `noted` takes the beats and what moves between them from the simulator, element by
element; `work_of` does the same from the tiles' extents, for problems of real size.

`python tests/loopnest_pipeline.py MobileNetV2 --objective energy` compares with the model.
"""

import argparse
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from loopnest_simulator import DIMS, OF, TENSORS, Machine, walk

from hwgym.costs.loopnest import CHOICES, TEMPLATES, Choices, layer_key
from hwgym.costs.loopnest.lattice import OBJECTIVES, choose, enumerate_profiles
from hwgym.hardware import Machine as Fixed
from hwgym.workloads import workload

SLIDES = {4: 0, 6: 0, 5: 1, 7: 1}  # dimensions that inputs slide along: the axis of each


@dataclass
class Stay:
    """Of a tile at a level: the first beat that needs it, bytes loaded before and stored after."""

    first: int
    load: float
    store: float = 0.0
    after: int | None = None  # the stay that left what is read back


@dataclass
class Work:
    """Cycles of each beat, and each tensor's stays in L2, and in the array: L1s, or registers
    where L1s do not hold it."""

    beats: list[int] = field(default_factory=list)
    stays: dict[tuple[str, str], list[Stay]] = field(default_factory=lambda: defaultdict(list))
    latest: dict[tuple, int] = field(default_factory=dict, compare=False)
    begins: bool = field(default=True, compare=False)

    def stay(self, tensor, level, load, position=None):
        """A tile arrives; of outputs, which."""
        stays = self.stays[tensor, level]
        after = None
        if tensor == "output":
            after = self.latest.get((level, position))
            self.latest[level, position] = len(stays)
        stays.append(Stay(len(self.beats), load, after=after))
        self.begins = True

    def cycles(self, count):
        if self.begins:
            self.beats.append(0)
        self.begins = False
        self.beats[-1] += count


def widths(fixed):
    """Bytes of an element; of outputs that are not finished, and that are."""
    bits = {"weight": fixed.weight_bits, "input": fixed.input_bits}
    bits |= {"output": fixed.partial_bits, "finished": fixed.output_bits}
    return {name: b / 8 for name, b in bits.items()}


# From the simulator


class Noting(Machine):
    """The simulator, which notes what moves between which beats."""

    def __init__(self, point, options, width):
        super().__init__(point, **options, boxes=False)
        self.width, self.work = width, Work()
        self.whole = math.prod(self.extent[DIMS.index(d)] for d in "CRS")

    def is_nearest(self, tensor, level):
        """Whether the array's tile of a tensor is at this level."""
        return level == ("l1" if tensor in self.hold["l1"] else "registers")

    def note(self, tensor, level, move, *arguments, position=None):
        above = self.above(tensor, level)
        before = self.counts[f"{tensor}_{above}_read"]
        move(*arguments)
        moved = self.counts[f"{tensor}_{above}_read"] - before
        where = "l2" if level == "l2" else "array"
        self.work.stay(tensor, where, moved * self.width[tensor], position)

    def fetch_tile(self, tensor, along):
        self.note(tensor, "l2", super().fetch_tile, tensor, along)

    def fetch_array(self, tensor, along):
        self.note(tensor, "l1", super().fetch_array, tensor, along)

    def read_back(self, level, position):
        self.note("output", level, super().read_back, level, position, position=position)

    def load(self, tensor, elements):
        if self.is_nearest(tensor, "registers"):
            self.note(tensor, "registers", super().load, tensor, elements)
        else:
            super().load(tensor, elements)

    def change_sums(self, elements, position):
        change = super().change_sums
        if self.is_nearest("output", "registers"):
            self.note("output", "registers", change, elements, position, position=position)
        else:
            change(elements, position)

    def drain(self, level):
        if self.sums[level] and (level == "l2" or self.is_nearest("output", level)):
            sums = Counter()
            for key, products in self.sums[level].items():
                sums[key if level == "l2" else key[1]] += products
            finished = sum(products == self.whole for products in sums.values())
            moved = finished * self.width["finished"]
            moved += (len(sums) - finished) * self.width["output"]
            self.work.stays["output", "l2" if level == "l2" else "array"][-1].store = moved
        super().drain(level)

    def cycle(self, i0):
        super().cycle(i0)
        self.work.cycles(1)


def noted(point, options, fixed):
    """The work of a small problem, as the simulator does it."""
    noting = Noting(point, options, widths(fixed))
    noting.run()
    return noting.work


# From extents


class Extents:
    """The same walk over ranges: a tile is as large as the product of its sides."""

    def __init__(self, point, options, width):
        for name, value in (point | options).items():
            setattr(self, name, value)
        self.width, self.work = width, Work()
        self.of = {t: [d for d, name in enumerate(DIMS) if name in OF[t]] for t in TENSORS}
        self.whole = math.prod(self.extent[DIMS.index(d)] for d in "CRS")
        self.at, self.ranges = {}, {}  # by tensor and level: where, and what, the tile is
        self.macs = Counter()  # by level and position of an output tile
        self.lines = {}

    def run(self):
        dims = range(len(DIMS))
        step = [self.tile[d] * self.spread[d] for d in dims]
        whole = [step[d] * self.steps[d] for d in dims]
        orders = self.dram_order, self.l2_order, self.l1_order
        for i2 in walk([-(-self.extent[d] // whole[d]) for d in dims], orders[0]):
            tile = [
                range(i * n, min((i + 1) * n, end))
                for i, n, end in zip(i2, whole, self.extent, strict=True)
            ]
            self.arrive("l2", self.hold["l2"], i2, tile)
            for i1 in walk([-(-len(tile[d]) // step[d]) for d in dims], orders[1]):
                ranges = [tile[d][i1[d] * step[d] : (i1[d] + 1) * step[d]] for d in dims]
                index = [i2[d] * self.steps[d] + i1[d] for d in dims]
                self.arrive("l1", self.hold["l1"], index, ranges)
                self.compute(index, ranges, orders[2])
        self.close("l2")
        return self.work

    def compute(self, index, ranges, order):
        inside = [min(n, len(values)) for n, values in zip(self.tile, ranges, strict=True)]
        passing = [t for t in TENSORS if t not in self.hold["l1"]]
        if not passing:
            self.count(math.prod(inside), ranges)
            return
        for i0 in walk(inside, order):
            active = [x[i::n] for x, i, n in zip(ranges, i0, self.tile, strict=True)]
            self.arrive("registers", passing, list(zip(index, i0, strict=True)), active)
            self.count(1, active)

    def count(self, cycles, ranges):
        self.work.cycles(cycles)
        for key in (("output", level) for level in ("l2", "array")):
            if key in self.at:
                self.macs[key[1], self.at[key]] += math.prod(map(len, ranges))

    def arrive(self, level, tensors, index, ranges):
        where = "l2" if level == "l2" else "array"
        for tensor in tensors:
            position = tuple(index[d] for d in self.of[tensor])
            before = self.at.get((tensor, where))
            if position == before:
                continue
            if tensor == "output":
                self.close(where)
                elements = self.elements("output", ranges) * ((where, position) in self.macs)
            else:
                elements = self.new(tensor, level, before, position, ranges)
            self.at[tensor, where], self.ranges[tensor, where] = position, ranges
            self.work.stay(tensor, where, elements * self.width[tensor], position)

    def close(self, where):
        """An output tile leaves; and the one in the array with it."""
        for at in ("array", where) if where == "l2" else (where,):
            if ("output", at) in self.at:
                position = self.at.pop(("output", at))
                elements = self.elements("output", self.ranges["output", at])
                finished = self.macs[at, position] == elements * self.whole
                moved = elements * self.width["finished" if finished else "output"]
                self.work.stays["output", at][-1].store = moved

    def new(self, tensor, level, before, position, ranges):
        """Elements of a tile that the one before has not."""
        if tensor == "input" and before and self.halo and level != "registers":
            moved = [d for d, a, b in zip(self.of[tensor], before, position, strict=True) if a != b]
            at = self.of[tensor].index(moved[0])
            near = len(moved) == 1 and position[at] == before[at] + 1
            if near and moved[0] in SLIDES and self.keeps(level, SLIDES[moved[0]]):
                axis = SLIDES[moved[0]]
                last = self.ranges[tensor, "l2" if level == "l2" else "array"]
                fresh = self.line(axis, ranges) - self.line(axis, last)
                return self.channels(ranges) * len(fresh) * len(self.line(1 - axis, ranges))
        return self.elements(tensor, ranges)

    def keeps(self, level, axis):
        alone = all(self.spread[d] == 1 for d, a in SLIDES.items() if a == axis)
        return level == "l2" or alone or self.forward

    def elements(self, tensor, ranges):
        if tensor == "input":
            rows, columns = (len(self.line(axis, ranges)) for axis in (0, 1))
            return self.channels(ranges) * rows * columns
        return math.prod(len(ranges[d]) for d in self.of[tensor])

    def channels(self, ranges):
        return math.prod(len(ranges[DIMS.index(d)]) for d in "BGC")

    def line(self, axis, ranges):
        """Input rows, or columns."""
        key = axis, ranges[4 + axis], ranges[6 + axis]
        if key not in self.lines:
            s, d = self.stride[axis], self.dilation[axis]
            self.lines[key] = {s * p + d * r for p in key[1] for r in key[2]}
        return self.lines[key]


def work_of(point, options, fixed):
    """The work of a problem, by its tiles' extents."""
    return Extents(point, options, widths(fixed)).run()


# The pipeline


class Stream:
    """A tensor's tiles at a level, one after the other: at most one is loaded, and one stored."""

    def __init__(self, tensor, level, stays, in_l2):
        self.tensor, self.stays = tensor, stays
        self.firsts = [stay.first for stay in stays]
        if level == "l2":
            self.ports = {"load": ("DRAM read", "L2 write"), "store": ("L2 read", "DRAM write")}
        else:
            above = "L2" if in_l2 else "DRAM"
            self.ports = {"load": (f"{above} read",), "store": (f"{above} write",)}
        self.loaded = self.stored = 0
        self.left = {}  # bytes of what is on its way

    def ready(self):
        """The first beat whose tile has not been loaded."""
        return self.first(self.loaded)

    def first(self, i):
        return self.firsts[i] if i < len(self.firsts) else math.inf

    def start_load(self, begun, until):
        """Into the second buffer, as soon as the tile before is worked on."""
        i = self.loaded
        if "load" in self.left or i == len(self.stays) or self.firsts[i] >= until:
            return
        stay = self.stays[i]
        free = i == 0 or begun >= self.firsts[i - 1]
        if free and (stay.after is None or self.stored > stay.after):
            self.left["load"] = stay.load

    def start_store(self, finished, inner):
        """When the last beat has ended, and all it left in the array has arrived."""
        i = self.stored
        if self.tensor != "output" or "store" in self.left or i == len(self.stays):
            return
        following = self.first(i + 1)
        if finished >= following and (inner is None or inner.first(inner.stored) >= following):
            self.left["store"] = self.stays[i].store

    def complete(self):
        """Count what has arrived. Sums that come in where others leave wait for the last of them.

        Returns whether anything did.
        """
        counts = self.loaded, self.stored
        if self.left.get("store", 1) <= 1e-7:
            del self.left["store"]
            self.stored += 1
        free = self.tensor != "output" or self.stored >= self.loaded - 1
        if free and self.left.get("load", 1) <= 1e-7:
            del self.left["load"]
            self.loaded += 1
        return counts != (self.loaded, self.stored)


def pipeline(work, hold, fixed):
    """Cycles, not rounded, from the first load to the last store.

    A tile is loaded from when the one before is worked on, and stored from when work on it has
    ended; into the array from when all of the L2 tile has arrived. A beat waits for its tiles. Each
    of the ports to read and write DRAM and L2 has its bandwidth; what concerns the array goes
    before what passes between DRAM and L2.
    """
    near, outer = (
        [
            Stream(tensor, level, work.stays[tensor, level], tensor in hold["l2"])
            for tensor in TENSORS
            if (tensor, level) in work.stays
        ]
        for level in ("array", "l2")
    )
    inner = next(s for s in near if s.tensor == "output")
    streams = near + outer
    ports = {"DRAM": fixed.dram_bandwidth, "L2": fixed.l2_bandwidth}
    free = {f"{name} {way}": rate for name, rate in ports.items() for way in ("read", "write")}
    now, begun, ends = 0.0, -1, math.inf
    while True:
        moving = True
        while moving:
            finished = begun if ends < math.inf else begun + 1
            if finished == len(work.beats):
                finished = math.inf
            tiles = min((s.ready() for s in outer), default=math.inf)
            for s in streams:
                s.start_load(begun, math.inf if s in outer else tiles)
                s.start_store(finished, inner if s in outer else None)
            moving = sum(s.complete() for s in streams) > 0
            if ends == math.inf and begun + 1 < min(len(work.beats), *(s.ready() for s in streams)):
                begun += 1
                ends, moving = now + work.beats[begun], True
        left, rates = dict(free), []
        for s in streams:
            for what, byte_count in s.left.items():
                rate = min(left[port] for port in s.ports[what])
                if byte_count > 1e-7 and rate > 0:
                    rates.append((s, what, rate))
                    for port in s.ports[what]:
                        left[port] -= rate
        wait = min([ends - now, *(s.left[what] / rate for s, what, rate in rates)])
        if wait == math.inf:
            break
        now += wait
        if ends <= now:
            ends = math.inf
        for s, what, rate in rates:
            s.left[what] -= wait * rate
    assert begun == len(work.beats) - 1
    assert all(s.loaded == len(s.stays) for s in streams)
    return now


# Comparison with the model


def options_of(style):
    """How a template's mappings are walked."""
    hold = {level: getattr(style.hold, level) for level in ("l2", "l1", "registers")}
    return {"hold": hold, "halo": True, "forward": style.forward, "reduce": style.reduce}


def point_of(nests, at):
    """One of many nests as plain numbers."""
    names = ("extent", "tile", "spread", "steps", "dram_order", "l2_order", "l1_order")
    return {name: getattr(nests, name)[at].tolist() for name in (*names, "stride", "dilation")}


def compared(layer, style, shape, sizes, fixed, objective, most):
    """The model's cycles for a layer's best mapping, and the pipeline's.

    None if it does not fit, or if it takes more than `most` beats.
    """
    nests, taken = enumerate_profiles(layer, style, *shape, CHOICES, fixed)
    at = int(choose(taken, Choices(*((size,) for size in sizes)), fixed, objective).point[0, 0])
    if at < 0:
        return None
    beats = -(-nests.extent[at] // np.minimum(nests.tile * nests.spread, nests.extent)[at]).prod()
    if len(style.hold.l1) < len(TENSORS):
        beats = taken.parts[at, 0]
    if beats > most:
        return None
    options = options_of(style)
    work = work_of(point_of(nests, at), options, fixed)
    return int(taken.latency_cycles[at]), pipeline(work, options["hold"], fixed)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Compare the model's time with the pipeline's.")
    parser.add_argument("network")
    parser.add_argument("--template", choices=TEMPLATES, default="NVDLA")
    parser.add_argument("--array", type=int, nargs=2, default=(8, 16), help="rows and columns")
    parser.add_argument("--l1", type=int, default=512, help="bytes of a PE's buffer")
    parser.add_argument("--l2", type=int, default=1 << 17, help="bytes of the shared buffer")
    parser.add_argument("--objective", choices=OBJECTIVES, default="latency")
    parser.add_argument(
        "--most", type=int, default=100_000, help="beats; longer layers are skipped"
    )
    given = parser.parse_args(arguments)
    style, sizes = TEMPLATES[given.template], (given.l1, given.l2)
    rest = style, given.array, sizes, Fixed(), given.objective, given.most
    found, total = {}, np.zeros(2)
    layers = workload(given.network).layers
    for layer in layers:
        key = layer_key(layer)
        if key not in found:
            found[key] = compared(layer, *rest)
            if found[key]:
                model, stepped = found[key]
                print(f"{layer.name}: {model:,} cycles, the pipeline {stepped / model - 1:+.2%}")
        if found[key]:
            total += np.array(found[key]) * layer.repeat
    ratios = [
        found[layer_key(x)][1] / found[layer_key(x)][0] for x in layers if found[layer_key(x)]
    ]
    print(
        f"{len(ratios)} of {len(layers)} layers: in all {total[1] / total[0] - 1:+.2%}, "
        f"median {np.median(ratios) - 1:+.2%}, {min(ratios) - 1:+.2%} to {max(ratios) - 1:+.2%}"
    )


if __name__ == "__main__":
    main()

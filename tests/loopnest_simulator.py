"""The loop-nest machine, walked step by step: what the closed formulas are checked against.

Every level is a Python set (or dictionary) of the very elements it holds, every loop is a loop, and
every multiplication asserts that its operands are where it reads them. Partial sums are carried
along as numbers: one that is lost, doubled or overwritten shows at the end.

`python tests/loopnest_simulator.py --count 100000 --seed 1` compares with the model.
"""

import argparse
import itertools
import math
import sys
from collections import Counter

import numpy as np

DIMS = "BGKCPQRS"
OF = {"weight": "GKCRS", "input": "BGCPQRS", "output": "BGKPQ"}
LEVELS = ("dram", "l2", "l1", "registers")
TENSORS = tuple(OF)
FIRST = (0,) * len(DIMS)  # the PE that always has something to do

NAMES = (
    "macs",
    "cycles",
    *(
        f"{tensor}_{name}"
        for tensor in ("weight", "input")
        for name in ("dram_read", "l2_fill", "l2_read", "l1_fill", "l1_read")
    ),
    *(f"output_dram_{name}" for name in ("write", "read")),
    *(f"output_l2_{name}" for name in ("drain", "fill", "write", "read")),
    *(f"output_l1_{name}" for name in ("drain", "fill", "write", "read")),
)


def simulate(point, *, hold, halo, forward, reduce=False, boxes=False):
    """Count what moves while the machine runs a mapping: a number for each of `NAMES`.

    `point` has extent, tile, spread, steps, dram_order, l2_order, l1_order (8 integers each) and
    stride, dilation (2 each); `hold` has the tensors of "l2", "l1" and "registers". With `reduce`,
    products of a cycle that belong to one output are added up before L1, which is defined where
    registers do not hold outputs (else ValueError). With `boxes`, an input tile is all rows from
    its first to its last by all columns from its first to its last; that is defined where neither
    rows nor columns are spread (else ValueError).
    """
    return Machine(point, hold, halo, forward, reduce, boxes).run()


class Machine:
    def __init__(self, point, hold, halo, forward, reduce, boxes):
        for name, value in point.items():
            setattr(self, name, [int(x) for x in value])
        if boxes and any(self.spread[DIMS.index(d)] > 1 for d in "PQRS"):
            raise ValueError("boxes are defined where P, Q, R and S are not spread")
        for tensor in TENSORS:
            if tensor not in hold["l1"] and tensor not in hold["registers"]:
                raise ValueError(f"{tensor} is held neither in L1 nor in registers")
        if reduce and "output" in hold["registers"]:
            raise ValueError("outputs reduced in the cycle are not held in registers")
        self.hold, self.halo, self.forward = hold, halo, forward
        self.reduce, self.boxes = reduce, boxes
        self.counts = dict.fromkeys(NAMES, 0)
        self.at = {}  # where a tensor is at a level: the indices of its loops down to there
        self.visited = {level: set() for level in LEVELS}  # by the output
        # Operands: all of them in DRAM, a set in L2, in L1 a set a PE, in registers one a PE.
        self.l2 = {"weight": set(), "input": set()}
        self.l1 = {"weight": {}, "input": {}}
        self.registers = {"weight": {}, "input": {}}
        # Sums: how many products an output has so far. Each sum is in one place at a time, and
        # those of PEs that share an output add up.
        self.sums = {"dram": {}, "l2": {}, "l1": {}, "registers": {}}
        self.array = {}
        self.done = set()

    def run(self):
        now = None
        for i2, i1, i0 in self.schedule():
            if (i2, i1) != now:
                now = i2, i1
                self.array_before, self.array = self.array, self.pes(i2, i1)
                self.arrive("l2", i2)
                self.arrive("l1", [i * n + j for i, n, j in zip(i2, self.steps, i1, strict=True)])
            self.cycle(i0)
        self.flush("l2")
        assert len(self.done) == self.counts["macs"] == math.prod(self.extent)
        assert not any(self.sums[level] for level in ("l2", "l1", "registers"))
        b, g, k, c, p, q, r, s = self.extent
        assert len(self.sums["dram"]) == b * g * k * p * q
        assert set(self.sums["dram"].values()) == {c * r * s}
        return self.counts

    # The schedule

    def schedule(self):
        """Indices of L2 tile, array step and element, a cycle each."""
        dims = range(len(DIMS))
        whole = [self.tile[d] * self.spread[d] * self.steps[d] for d in dims]
        abreast = [self.tile[d] * self.spread[d] for d in dims]
        tiles = [len(range(0, self.extent[d], whole[d])) for d in dims]
        for i2 in walk(tiles, self.dram_order):
            ends = [min((i2[d] + 1) * whole[d], self.extent[d]) for d in dims]
            steps = [len(range(i2[d] * whole[d], ends[d], abreast[d])) for d in dims]
            for i1 in walk(steps, self.l2_order):
                first = [i2[d] * whole[d] + i1[d] * abreast[d] for d in dims]
                inside = [
                    len(range(first[d], min(first[d] + self.tile[d], self.extent[d]))) for d in dims
                ]
                for i0 in walk(inside, self.l1_order):
                    yield i2, i1, i0

    def pes(self, i2, i1):
        """The PEs that have anything in an array step: index to the ranges of the dimensions."""
        columns = []
        for d in range(len(DIMS)):
            step = self.tile[d] * self.spread[d]
            first = i2[d] * step * self.steps[d] + i1[d] * step
            starts = [first + j * self.tile[d] for j in range(self.spread[d])]
            ranges = [range(x, min(x + self.tile[d], self.extent[d])) for x in starts]
            columns.append([(j, values) for j, values in enumerate(ranges) if values])
        chosen = itertools.product(*columns)
        return {tuple(j for j, _ in pe): [values for _, values in pe] for pe in chosen}

    def elements(self, tensor, ranges):
        """The elements of a tensor that products of these ranges of the dimensions touch."""
        of = dict(zip(DIMS, ranges, strict=True))
        if tensor != "input":
            return set(itertools.product(*(of[d] for d in OF[tensor])))
        rows = {self.row(p, r) for p in of["P"] for r in of["R"]}
        columns = {self.column(q, s) for q in of["Q"] for s in of["S"]}
        if self.boxes:
            rows = range(min(rows), max(rows) + 1)
            columns = range(min(columns), max(columns) + 1)
        return set(itertools.product(of["B"], of["G"], of["C"], rows, columns))

    def row(self, p, r):
        return self.stride[0] * p + self.dilation[0] * r

    def column(self, q, s):
        return self.stride[1] * q + self.dilation[1] * s

    def above(self, tensor, level):
        """The next level up that holds the tensor."""
        up = LEVELS[: LEVELS.index(level)][::-1]
        return next(x for x in up if x == "dram" or tensor in self.hold[x])

    # L2 and L1

    def arrive(self, level, index):
        """At the tile of a level with this index along each dimension, counted through L2 tiles."""
        for tensor in TENSORS:
            before = self.at.get((level, tensor))
            position = {d: i for d, i in zip(DIMS, index, strict=True) if d in OF[tensor]}
            if position == before:
                continue
            if tensor == "output":
                self.flush(level)
            self.at[level, tensor] = position
            if tensor not in self.hold[level]:
                continue
            if tensor == "output":
                self.read_back(level, tuple(position.values()))
                continue
            moved = [d for d in position if before and position[d] != before[d]]
            near = len(moved) == 1 and position[moved[0]] == before[moved[0]] + 1
            fetch = self.fetch_tile if level == "l2" else self.fetch_array
            fetch(tensor, moved[0] if near and self.halo else "")

    def fetch_tile(self, tensor, along):
        """Into L2: what it does not hold after a move along one dimension, or all."""
        wanted = self.elements(tensor, self.tile_ranges())
        new = wanted - self.l2[tensor] if along else wanted
        self.counts[f"{tensor}_dram_read"] += len(new)
        self.counts[f"{tensor}_l2_fill"] += len(new)
        self.l2[tensor] = wanted

    def tile_ranges(self):
        """The ranges of the L2 tile that the array works in."""
        ranges = []
        for d in range(len(DIMS)):
            size = self.tile[d] * self.spread[d] * self.steps[d]
            first = self.array[FIRST][d][0] // size * size
            ranges.append(range(first, min(first + size, self.extent[d])))
        return ranges

    def fetch_array(self, tensor, along):
        """Into the L1 of each PE that has anything to do: what it does not hold, or all."""
        held = self.l1[tensor]
        wanted = {pe: self.elements(tensor, ranges) for pe, ranges in self.array.items()}
        axis = next((axis for axis in ("PR", "QS") if along and along in axis), "")
        if axis and all(self.spread[DIMS.index(d)] == 1 for d in axis):
            assert all(held[pe] == self.tile_before(tensor, pe) for pe in wanted)
            new = {pe: wanted[pe] - held[pe] for pe in wanted}
            read = union(new.values())
        elif axis and self.forward:
            passed = union(self.elements(tensor, x) for x in self.array_before.values())
            assert passed == union(held[pe] for pe in self.array_before)
            new, read = wanted, union(wanted.values()) - passed
        else:
            new, read = wanted, union(wanted.values())
        above = self.above(tensor, "l1")
        assert above == "dram" or read <= self.l2[tensor]
        self.counts[f"{tensor}_{above}_read"] += len(read)
        self.counts[f"{tensor}_l1_fill"] += sum(len(x) for x in new.values())
        held.update(wanted)

    def tile_before(self, tensor, pe):
        """What a PE had of the array step before, also if it idled (others had the same)."""
        of = [d for d, name in enumerate(DIMS) if name in OF[tensor]]
        same = [x for j, x in self.array_before.items() if all(j[d] == pe[d] for d in of)]
        return self.elements(tensor, same[0])

    # Outputs

    def flush(self, level):
        """Sums go up, out of a level and all below it."""
        for below in ("registers", "l1", "l2"):
            self.drain(below)
            if below == level:
                return

    def drain(self, level):
        """Sums of a level go to the next one up; those of PEs that share an output are added."""
        leaving, self.sums[level] = self.sums[level], {}
        if not leaving:
            return
        above = self.above("output", level)
        if level != "registers":
            self.counts[f"output_{level}_drain"] += len(leaving)
        if level == "l2" or above == "l1":
            arriving = leaving
        else:
            arriving = Counter()
            for (_, element), count in leaving.items():
                arriving[element] += count
        assert not arriving.keys() & self.sums[above].keys()
        self.counts[f"output_{above}_write"] += len(arriving)
        self.sums[above].update(arriving)

    def read_back(self, level, position):
        """Sums come down to a tile of L2 or of the array, if they were there before."""
        again = position in self.visited[level]
        self.visited[level].add(position)
        if not again:
            return
        above = self.above("output", level)
        if level == "l2":
            for element in self.elements("output", self.tile_ranges()):
                self.sums["l2"][element] = self.sums[above].pop(element)
        else:
            owner = {}
            for pe, ranges in self.array.items():
                for element in self.elements("output", ranges):
                    owner.setdefault(element, pe)
            for element, pe in owner.items():
                self.sums["l1"][pe, element] = self.sums[above].pop(element)
        self.counts[f"output_{above}_read"] += len(self.sums[level])
        self.counts[f"output_{level}_fill"] += len(self.sums[level])

    # The PEs

    def cycle(self, i0):
        """The PEs that have an element in this cycle multiply theirs."""
        self.counts["cycles"] += 1
        active = {
            pe: [x[i] for x, i in zip(ranges, i0, strict=True)]
            for pe, ranges in self.array.items()
            if all(i < len(x) for x, i in zip(ranges, i0, strict=True))
        }
        touched = {pe: self.touched(index) for pe, index in active.items()}
        for tensor in self.hold["registers"]:
            # The first PE's element says where the loops are.
            first = active[FIRST]
            position = tuple(i for d, i in zip(DIMS, first, strict=True) if d in OF[tensor])
            if position != self.at.get(("registers", tensor)):
                self.at["registers", tensor] = position
                elements = {pe: of[tensor] for pe, of in touched.items()}
                if tensor == "output":
                    self.change_sums(elements, position)
                else:
                    self.load(tensor, elements)
        products = {}
        for pe, index in active.items():
            self.multiply(pe, tuple(index), touched[pe])
            products.setdefault(touched[pe]["output"], []).append(pe)
        for element, pes in products.items():
            if self.reduce:
                self.accumulate(pes[0], element, len(pes))
            else:
                for pe in pes:
                    self.accumulate(pe, element, 1)

    def touched(self, index):
        b, g, k, c, p, q, r, s = index
        return {
            "weight": (g, k, c, r, s),
            "input": (b, g, c, self.row(p, r), self.column(q, s)),
            "output": (b, g, k, p, q),
        }

    def load(self, tensor, elements):
        """Weights or inputs into registers."""
        self.registers[tensor] = elements
        above = self.above(tensor, "registers")
        if above == "l1":
            assert all(x in self.l1[tensor][pe] for pe, x in elements.items())
            self.counts[f"{tensor}_l1_read"] += len(elements)
        else:
            assert above == "dram" or self.l2[tensor].issuperset(elements.values())
            self.counts[f"{tensor}_{above}_read"] += len(set(elements.values()))

    def change_sums(self, elements, position):
        """The registers' sums go up, those of other outputs come down, or start at 0."""
        self.drain("registers")
        again = position in self.visited["registers"]
        self.visited["registers"].add(position)
        above = self.above("output", "registers")
        assert above == "l1" or not again or self.sums[above].keys() >= set(elements.values())
        for pe, element in elements.items():
            key = (pe, element) if above == "l1" else element
            # Of PEs that share an output, the first takes what comes from above.
            found = key in self.sums[above] and (above == "l1" or again)
            self.counts[f"output_{above}_read"] += found
            self.sums["registers"][pe, element] = self.sums[above].pop(key) if found else 0

    def multiply(self, pe, index, touched):
        assert index not in self.done
        self.done.add(index)
        self.counts["macs"] += 1
        for tensor in ("weight", "input"):
            if tensor in self.hold["registers"]:
                assert self.registers[tensor][pe] == touched[tensor]
            else:
                assert touched[tensor] in self.l1[tensor][pe]
                self.counts[f"{tensor}_l1_read"] += 1

    def accumulate(self, pe, element, products):
        """Into the sum that a PE holds of an output."""
        key = pe, element
        if "output" in self.hold["registers"]:
            self.sums["registers"][key] += products
        else:
            self.counts["output_l1_read"] += key in self.sums["l1"]
            self.counts["output_l1_write"] += 1
            self.sums["l1"][key] = self.sums["l1"].get(key, 0) + products


def walk(sizes, order):
    """The indices of nested loops, one a dimension; order 0 is outermost."""
    loops = sorted(range(len(sizes)), key=order.__getitem__)
    for values in itertools.product(*(range(sizes[d]) for d in loops)):
        index = dict(zip(loops, values, strict=True))
        yield tuple(index[d] for d in range(len(sizes)))


def union(sets):
    return set().union(*sets)


# Random problems


def random_points(rng, count, macs=256):
    """Small problems: extents of 1 among others, tiles that do not divide, windows that overlap."""
    return [random_point(rng, macs) for _ in range(count)]


def random_point(rng, macs):
    """One of at most that many multiplications, on at most 24 PEs."""
    extent, tile, spread, steps = np.ones((4, 8), int)
    limit = math.exp(rng.uniform(math.log(macs / 10), math.log(macs)))
    weight = np.array([1, 1, 1.5, 1.5, 3, 3, 3, 3])
    live = rng.choice(8, rng.integers(2, 7), replace=False, p=weight / weight.sum())
    if rng.random() < 0.4:
        live[:2] = rng.choice([(4, 6), (5, 7)])  # an axis that slides
    for d in rng.choice(live, 25):
        grown = min(extent[d] + rng.integers(1, 3), 9)
        if extent.prod() // extent[d] * grown <= limit:
            extent[d] = grown
    for d in rng.permutation(8):
        if extent[d] == 1 and rng.random() < 0.95:
            continue  # else more room than there is to fill
        tile[d] = rng.choice([1, 2, 3, 4], p=[0.55, 0.25, 0.15, 0.05])
        spread[d] = rng.choice([1, 2, 3, 4], p=[0.65, 0.2, 0.1, 0.05])
        steps[d] = rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2])
        if spread.prod() > 24:
            spread[d] = 1
    return {
        "extent": extent.tolist(),
        "tile": tile.tolist(),
        "spread": spread.tolist(),
        "steps": steps.tolist(),
        "dram_order": rng.permutation(8).tolist(),
        "l2_order": rng.permutation(8).tolist(),
        "l1_order": rng.permutation(8).tolist(),
        "stride": rng.choice([1, 2, 3], 2, p=[0.5, 0.3, 0.2]).tolist(),
        "dilation": rng.choice([1, 2, 3], 2, p=[0.5, 0.3, 0.2]).tolist(),
    }


def random_options(rng):
    """How to count: all tensors in L2 and L1 in half of the cases, any bypasses in the others."""
    hold = {level: list(TENSORS) for level in ("l2", "l1")}
    hold["registers"] = some_tensors(rng, rng.choice([0, 0.5, 1]))
    if rng.random() < 0.5:
        hold["l2"], hold["l1"] = some_tensors(rng, 0.6), some_tensors(rng, 0.6)
        hold["registers"] += [
            x for x in TENSORS if x not in hold["l1"] and x not in hold["registers"]
        ]
    return {
        "hold": hold,
        "halo": bool(rng.random() < 0.75),
        "forward": bool(rng.random() < 0.4),
        "reduce": "output" not in hold["registers"] and bool(rng.random() < 0.4),
        "boxes": bool(rng.random() < 0.2),
    }


def some_tensors(rng, probability):
    return [x for x in TENSORS if rng.random() < probability]


# Comparison with the model


def mismatches(seed, count, together=50):
    """Where model and machine differ on random problems: point, options, and both values."""
    from hwgym.costs.loopnest import Hold, Nests, analyse

    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, count, together):
        options = random_options(rng)
        points = random_points(rng, min(together, count - start))
        if options["boxes"]:
            for point in points:
                point["spread"][DIMS.index("P") :] = [1] * 4
        nests = Nests(**{name: np.array([x[name] for x in points]) for name in points[0]})
        traffic = analyse(nests, **{**options, "hold": Hold(**options["hold"])})
        for i, point in enumerate(points):
            machine = simulate(point, **options)
            model = {name: int(getattr(traffic, name)[i]) for name in NAMES}
            if model != machine:
                differ = {x: (model[x], machine[x]) for x in NAMES if model[x] != machine[x]}
                found.append({"point": point, "options": options, "model, machine": differ})
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Compare the loop-nest model with the machine.")
    parser.add_argument("--count", type=int, default=100_000, help="random problems")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="mismatches to print whole")
    given = parser.parse_args(arguments)
    found = mismatches(given.seed, given.count)
    for mismatch in found[: given.show]:
        for name, value in mismatch.items():
            print(f"{name}: {value}")
        print()
    print(f"{len(found)} mismatches in {given.count} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""The loop-nest model counts what the machine, walked step by step, moves."""

import pytest
from loopnest_simulator import DIMS, NAMES, TENSORS, mismatches, simulate

ALL = {"l2": TENSORS, "l1": TENSORS, "registers": ()}


def count(
    *,
    order=DIMS,
    hold=ALL,
    halo=True,
    forward=False,
    reduce=False,
    boxes=False,
    window=(1, 1),
    **sizes,
):
    """Simulate sizes by dimension, `P=(extent, tile, spread, steps)`; same order at all levels.

    `order` names the loops from the outermost, `window` is stride and dilation of the rows.
    """
    columns = zip(*(sizes.get(d, (1, 1, 1, 1)) for d in DIMS), strict=True)
    point = dict(zip(("extent", "tile", "spread", "steps"), columns, strict=True))
    loops = order + "".join(d for d in DIMS if d not in order)
    positions = [loops.index(d) for d in DIMS]
    point |= dict.fromkeys(("dram_order", "l2_order", "l1_order"), positions)
    point |= {"stride": [window[0], 1], "dilation": [window[1], 1]}
    options = {"halo": halo, "forward": forward, "reduce": reduce, "boxes": boxes}
    return simulate(point, hold=hold, **options)


def values(counts, tensor, *names):
    return [counts[f"{tensor}_{name}"] for name in names]


@pytest.mark.parametrize("seed", range(24))
def test_model_equals_machine(seed):
    assert mismatches(seed, 250, together=25) == []


# The machine itself, on cases small enough to count by hand.


def test_sliding_window_by_hand():
    # Four output rows with a filter of three, one row at a time, two to an L2 tile.
    sizes = {"P": (4, 1, 1, 2), "R": (3, 3, 1, 1)}
    counts = count(**sizes)
    assert list(counts) == list(NAMES)
    assert (counts["macs"], counts["cycles"]) == (12, 12)
    # L2 tiles have input rows 0-3 and 2-5: 4 + 2. L1 has 0-2, then one more at a time: 3 + 3.
    # The third step is in the next L2 tile and still next to the second.
    names = ("dram_read", "l2_fill", "l2_read", "l1_fill", "l1_read")
    assert values(counts, "input", *names) == [6, 6, 6, 6, 12]
    # The three weights never move.
    assert values(counts, "weight", *names) == [3, 3, 3, 3, 12]
    # Each output is finished in one stay: of 3 writes, the first starts afresh.
    names = ("l1_write", "l1_read", "l1_drain", "l1_fill", "l2_write", "l2_read", "l2_drain")
    assert values(counts, "output", *names) == [12, 8, 4, 0, 4, 0, 4]
    assert values(counts, "output", "l2_fill", "dram_write", "dram_read") == [0, 4, 0]
    # Without halo everything is fetched anew: 2 L2 tiles of 4, 4 steps of 3.
    counts = count(**sizes, halo=False)
    assert values(counts, "input", "dram_read", "l2_read", "l1_fill") == [8, 12, 12]


def test_rows_with_gaps_by_hand():
    # Stride and dilation 2: tiles touch rows {0, 2, 4} and {4, 6, 8}; as boxes 0-4 and 4-8.
    sizes = {"P": (4, 2, 1, 1), "R": (2, 2, 1, 1), "window": (2, 2)}
    exact, boxes = count(**sizes), count(**sizes, boxes=True)
    assert values(exact, "input", "dram_read", "l2_read", "l1_fill") == [3 + 2] * 3
    assert values(boxes, "input", "dram_read", "l2_read", "l1_fill") == [5 + 4] * 3
    with pytest.raises(ValueError, match="not spread"):
        count(P=(4, 2, 2, 1), boxes=True)


def test_two_moves_at_once_by_hand():
    # Two rows, two columns, filter of two rows, columns innermost. From (row 0, column 1) to
    # (row 1, column 0) two dimensions move, so that nothing is kept: 2 rows each of 4 times.
    sizes = {"P": (2, 1, 1, 2), "Q": (2, 1, 1, 2), "R": (2, 2, 1, 1)}
    assert count(**sizes, order="PQ")["input_l1_fill"] == 8
    # Rows innermost: 2 + 1 in each column. L2 has all 3 rows by 2 columns at once.
    counts = count(**sizes, order="QP")
    assert values(counts, "input", "dram_read", "l2_read", "l1_fill") == [6, 6, 6]


def test_read_back_by_hand():
    # Two channels outside, two outputs inside: (c0, p0), (c0, p1), (c1, p0), (c1, p1). All four
    # stays end with a drain, the last two begin with what the first two left.
    within = ("l1_drain", "l2_write", "l2_read", "l1_fill", "l1_write", "l1_read")
    beyond = ("l2_drain", "dram_write", "dram_read", "l2_fill")
    counts = count(C=(2, 1, 1, 1), P=(2, 1, 1, 1), order="CP")  # every step an L2 tile
    assert values(counts, "output", *within, *beyond) == [4, 4, 2, 2, 4, 2, 4, 4, 2, 2]
    counts = count(C=(2, 1, 1, 2), P=(2, 1, 1, 2), order="CP")  # all in one L2 tile
    assert values(counts, "output", *within, *beyond) == [4, 4, 2, 2, 4, 2, 2, 2, 0, 0]
    # Channels inside: two stays of two multiplications, the first of which starts afresh.
    counts = count(C=(2, 1, 1, 1), P=(2, 1, 1, 1), order="PC")
    assert values(counts, "output", *within, *beyond) == [2, 2, 0, 0, 4, 2, 2, 2, 0, 0]


def test_reduction_over_pes_by_hand():
    # As above with two PEs along four channels: each of the four stays drains both PEs into one
    # sum. In the last two, one of the PEs gets that sum back and does not start afresh: of 8
    # multiplications, 2 read their output before.
    counts = count(C=(4, 1, 2, 2), P=(2, 1, 1, 2), order="CP")
    names = ("l1_drain", "l2_write", "l2_read", "l1_fill", "l1_write", "l1_read")
    assert values(counts, "output", *names) == [8, 4, 2, 2, 8, 2]


def test_reduction_in_the_cycle_by_hand():
    # The same four stays; both products of a cycle make one sum, which one PE's L1 holds: 4
    # writes, of which the last two read what came back; 4 sums drained.
    sizes = {"C": (4, 1, 2, 2), "P": (2, 1, 1, 2), "order": "CP", "reduce": True}
    names = ("l1_drain", "l2_write", "l2_read", "l1_fill", "l1_write", "l1_read")
    assert values(count(**sizes), "output", *names) == [4, 4, 2, 2, 4, 2]
    # Three channels: the second PE idles in the last two stays, the first has the sums.
    sizes["C"] = (3, 1, 2, 2)
    assert values(count(**sizes), "output", *names) == [4, 4, 2, 2, 4, 2]
    # Channels inside: two stays of two cycles.
    assert values(count(**{**sizes, "order": "PC"}), "output", *names) == [2, 2, 0, 0, 4, 2]
    # PEs that make different outputs add nothing up.
    assert values(count(K=(2, 1, 2, 1), reduce=True), "output", *names) == [2, 2, 0, 0, 2, 0]
    with pytest.raises(ValueError, match="not held in registers"):
        count(reduce=True, hold={**ALL, "registers": ("output",)})


def test_sharing_and_idling_by_hand():
    # Three filters on two PEs: at the first step both read the one input, L2 once. It does not
    # move in the second step, in which the other PE idles.
    counts = count(K=(3, 1, 2, 2))
    assert (counts["macs"], counts["cycles"]) == (3, 2)
    assert values(counts, "input", "l2_read", "l1_fill", "l1_read") == [1, 2, 3]
    assert values(counts, "weight", "l2_read", "l1_fill", "l1_read") == [3, 3, 3]


def test_forward_by_hand():
    # Four columns on two PEs, filter of three. First step: 0-2 and 1-3, 4 distinct of 6. Second:
    # 2-4 and 3-5, 4 distinct again, of which the PEs together have 2 and 3.
    sizes = {"Q": (4, 1, 2, 2), "S": (3, 3, 1, 1)}
    assert values(count(**sizes), "input", "l2_read", "l1_fill") == [8, 12]
    assert values(count(**sizes, forward=True), "input", "l2_read", "l1_fill") == [6, 12]
    assert values(count(**sizes, forward=True, halo=False), "input", "l2_read") == [8]
    # Rows slide over the same two PEs along columns: they are not spread, and each PE keeps 1 of
    # its 2 rows. 3 rows of 2 columns; fills the same, nothing is shared.
    counts = count(P=(2, 1, 1, 2), R=(2, 2, 1, 1), Q=(2, 1, 2, 1))
    assert values(counts, "input", "l2_read", "l1_fill") == [6, 6]


def test_registers_by_hand():
    # Two filters by three outputs, on two PEs of two outputs each; the second has only one. Both
    # are active in the cycle of its output, one in the other, so that there are 4 cycles.
    hold = {**ALL, "registers": TENSORS}
    sizes = {"K": (2, 2, 1, 1), "P": (3, 2, 2, 1)}
    names = ("weight_l1_read", "input_l1_read", "output_l1_write", "output_l1_read")
    # Filters outside: weights move twice, with both PEs; inputs each time, with 2, 1, 2, 1.
    counts = count(**sizes, order="KP", hold=hold)
    assert (counts["macs"], counts["cycles"]) == (6, 4)
    assert [counts[name] for name in names] == [4, 6, 6, 0]
    # Filters inside: weights each time, with 2, 2, 1, 1; inputs twice, with 2, 1.
    counts = count(**sizes, order="PK", hold=hold)
    assert [counts[name] for name in names] == [6, 3, 6, 0]
    # Channels outside: four stays of outputs, of which the last two read what the first two
    # wrote. Channels inside: two stays, both afresh.
    sizes = {"C": (2, 2, 1, 1), "P": (2, 2, 1, 1)}
    counts = count(**sizes, order="CP", hold=hold)
    assert values(counts, "output", "l1_write", "l1_read", "l1_drain") == [4, 2, 2]
    counts = count(**sizes, order="PC", hold=hold)
    assert values(counts, "output", "l1_write", "l1_read", "l1_drain") == [2, 0, 2]


def test_registers_keep_no_halo_by_hand():
    # Row 1 is read for (p0, r1) and again for (p1, r0).
    hold = {**ALL, "registers": ("input",)}
    sizes = {"P": (2, 2, 1, 1), "R": (2, 2, 1, 1)}
    assert values(count(**sizes, hold=hold), "input", "l1_fill", "l1_read") == [3, 4]


def test_bypass_of_l2_by_hand():
    # Two weights in turn for each of three outputs: 6 moves towards the array, 2 into L2.
    sizes = {"K": (2, 1, 1, 2), "P": (3, 1, 1, 3), "order": "PK"}
    names = ("dram_read", "l2_fill", "l2_read", "l1_fill")
    assert values(count(**sizes), "weight", *names) == [2, 2, 6, 6]
    counts = count(**sizes, hold={**ALL, "l2": ("input", "output")})
    assert values(counts, "weight", *names) == [6, 0, 0, 6]
    assert values(counts, "input", *names) == [3, 3, 3, 3]


def test_bypass_of_l1_by_hand():
    # Channels outside, outputs inside, four channels on two PEs: each of the four stays in
    # registers ends with one sum for both PEs, and the last two begin with it.
    sizes = {"C": (4, 2, 2, 1), "P": (2, 2, 1, 1), "order": "CP"}
    names = ("l2_write", "l2_read", "l2_drain", "dram_write", "dram_read")
    hold = {"l2": TENSORS, "l1": ("weight", "input"), "registers": ("output",)}
    counts = count(**sizes, hold=hold)
    assert values(counts, "output", *names) == [4, 2, 2, 2, 0]
    assert [value for name, value in counts.items() if name.startswith("output_l1")] == [0] * 4
    counts = count(**sizes, hold={**hold, "l2": ("weight", "input")})
    assert values(counts, "output", *names) == [0, 0, 0, 4, 2]
    # Two PEs that use the same weight at the same time: L2 is read once for both.
    hold = {"l2": TENSORS, "l1": ("input", "output"), "registers": ("weight",)}
    counts = count(K=(2, 2, 1, 1), P=(2, 1, 2, 1), hold=hold)
    assert values(counts, "weight", "l2_read", "l1_fill", "l1_read") == [2, 0, 0]
    with pytest.raises(ValueError, match="neither in L1 nor in registers"):
        count(hold={**hold, "registers": ()})

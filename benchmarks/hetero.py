"""What several kinds of sub-accelerators gain over one: Herald's claim, tested again.

    python -m benchmarks.hetero                        # all, as a table
    python -m benchmarks.hetero --mix Mobile --pes 1024
    python -m benchmarks.hetero --write                # hetero.json and the documentation's picture

Herald (HPCA 2021) compares accelerators of several dataflows with those of one, whose clusters have
one size. Here that size is tuned for the mix, too: a single accelerator, and several of one kind,
get whichever of nine serves them best. All else is the same: MAESTRO's
cycles, no limit on bandwidth, PEs divided in eighths, one schedule of all layers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from hwgym._arrays import Floats
from hwgym._files import write_text
from hwgym.costs.maestro import KINDS, Cluster, Dataflow, TemporalMap, evaluate
from hwgym.families.hetero.scheduling import good_schedule, partition_bounds
from hwgym.families.hetero.space import HeteroSpace, Partition
from hwgym.workloads import Layer, Workload, mix

HERE = Path(__file__).parent
FILE = HERE / "hetero.json"
PICTURE = HERE.parent / "docs" / "heterogeneous.png"
CASES = tuple((name, pes) for name in ("Mobile", "ARVR-A", "ARVR-B") for pes in (1024, 4096, 16384))
CLUSTERS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
PARTS = 8
OWN = {"nv": 64, "ykp": 16, "yxp": 16}
"""The size of clusters of each of :data:`~hwgym.costs.maestro.KINDS`."""
PUBLISHED = -0.653
"""Herald's change of latency, on its mixes, against the best accelerator of one dataflow."""


@dataclass(frozen=True)
class Design:
    """The best of one sort that was found.

    Attributes:
        sort: What it may be.
        cycles: Of its schedule.
        bound: No design of the sort ends sooner, whatever its schedule.
        energy: Of its schedule, nJ: MAESTRO's accesses to L2.
        built: Its sub-accelerators: kind, cluster size, PEs.
    """

    sort: str
    cycles: float
    bound: float
    energy: float
    built: str


SORTS = (
    "one accelerator, fixed clusters",
    "one accelerator, tuned clusters",
    "several of one kind, tuned clusters",
    "several kinds, fixed clusters",
    "two of any kinds, tuned clusters",
)


def tuned(kind: str, cluster: int) -> Dataflow:
    """A kind with clusters of another size; ``ykp`` holds as many filters as a cluster has PEs."""
    style = KINDS[kind]

    def sized(directive: Any) -> Any:
        if isinstance(directive, Cluster):
            return Cluster(cluster)
        if kind == "ykp" and isinstance(directive, TemporalMap) and directive.size == OWN[kind]:
            return replace(directive, size=cluster, offset=cluster)
        return directive

    return replace(
        style,
        directives=tuple(map(sized, style.directives)),
        depthwise=tuple(map(sized, style.depthwise)),
    )


@cache
def costs(network: tuple[Layer, ...], kind: str, cluster: int, pes: int) -> Floats:
    """Cycles and nJ, (2, parts, 1, layers): on each number of eighths of the PEs; infinite where a
    layer cannot run."""
    share = np.arange(1, PARTS + 1)[:, None]
    found = evaluate(network, tuned(kind, cluster), pes * share // PARTS, 1)
    repeats = np.array([layer.repeat for layer in network])
    both = np.stack([found.runtime_cycles * repeats, found.energy_nj * repeats])
    takes: Floats = np.where(found.valid, both, np.inf)[:, :, None]
    return takes


class Case:
    """A mix on so many PEs."""

    def __init__(self, name: str, pes: int) -> None:
        self.networks: tuple[Workload, ...] = mix(name).instances()
        self.lengths = np.array([len(network) for network in self.networks])
        self.pes = pes

    def table(self, kinds: Sequence[tuple[str, int]]) -> Floats:
        """Cycles and nJ (2, kinds, parts, 1, layers)."""
        rows = [[costs(n.layers, *kind, self.pes) for n in self.networks] for kind in kinds]
        return np.stack([np.concatenate(row, axis=-1) for row in rows], axis=1)

    def single(self, sort: str, kinds: Sequence[tuple[str, int]]) -> Design:
        cycles, energy = self.table(kinds)[:, :, -1, 0].sum(axis=2)
        least = int(cycles.argmin())
        text = f"{_named(kinds[least])}: {self.pes:,}"
        return Design(sort, float(cycles[least]), float(cycles[least]), float(energy[least]), text)

    def several(self, sort: str, kinds: Sequence[tuple[str, int]], subs: int) -> Design:
        """The best found of at most so many sub-accelerators."""
        table, designs, bounds = self._bounded(kinds, subs)
        return self._searched(sort, kinds, table, designs, bounds)

    def of_one_kind(self, sort: str, kinds: Sequence[tuple[str, int]], subs: int) -> Design:
        """The best found of several of one kind, whichever that is; a kind that is proven to be
        no better is not searched."""
        bounded = [([kind], *self._bounded([kind], subs)) for kind in kinds]
        bounded.sort(key=lambda each: float(each[-1].min()))
        best = self._searched(sort, *bounded[0])
        for each in bounded[1:]:
            if each[-1].min() < best.cycles:
                best = min(best, self._searched(sort, *each), key=lambda design: design.cycles)
        return replace(best, bound=min(float(bounded[0][-1].min()), best.cycles))

    def _bounded(
        self, kinds: Sequence[tuple[str, int]], subs: int
    ) -> tuple[Floats, Partition, Floats]:
        table = self.table(kinds)
        possible = np.asarray(np.isfinite(table[0]).all(axis=-1))
        designs = HeteroSpace(possible, tuple(self.lengths.tolist()), subs).designs
        return table, designs, partition_bounds(table[0], self.lengths, designs)

    def _searched(
        self,
        sort: str,
        kinds: Sequence[tuple[str, int]],
        table: Floats,
        designs: Partition,
        bounds: Floats,
    ) -> Design:
        found = good_schedule(table[0], self.lengths, designs, bounds)
        built = Partition(*(each[found.design] for each in designs))
        text = " + ".join(
            f"{_named(kinds[kind])}: {self.pes * parts // PARTS:,}"
            for kind, parts in zip(built.kind, built.pes, strict=True)
            if parts
        )
        # Sorted by chain, decisions stand as layers do.
        on = found.core[np.argsort(found.chain, kind="stable")]
        energy = table[1, built.kind[on], built.pes[on] - 1, 0, np.arange(len(on))].sum()
        least = min(float(bounds.min()), found.makespan)
        return Design(sort, found.makespan, least, float(energy), text)


def every() -> list[tuple[str, int]]:
    """Kinds with each size of clusters."""
    return [(kind, cluster) for kind in KINDS for cluster in CLUSTERS]


def measured(name: str, pes: int) -> list[Design]:
    """The best of each sort."""
    case = Case(name, pes)
    own = list(OWN.items())
    return [
        case.single(SORTS[0], own),
        case.single(SORTS[1], every()),
        case.of_one_kind(SORTS[2], every(), 3),
        case.several(SORTS[3], own, 3),
        case.several(SORTS[4], every(), 2),
    ]


def _named(kind: tuple[str, int]) -> str:
    return f"{kind[0]} {kind[1]}"


# --- the record -----------------------------------------------------------------------------------


def load() -> dict[tuple[str, int], list[Design]]:
    """What was measured, by mix and PEs."""
    return {
        (each["mix"], each["pes"]): [Design(**design) for design in each["designs"]]
        for each in json.loads(FILE.read_text(encoding="utf-8"))
    }


def save(found: dict[tuple[str, int], list[Design]]) -> None:
    """Write :data:`FILE`."""
    rows = [
        {"mix": name, "pes": pes, "designs": [asdict(design) for design in designs]}
        for (name, pes), designs in found.items()
    ]
    write_text(FILE, json.dumps(rows, indent=1) + "\n")


def rows(found: dict[tuple[str, int], list[Design]], bold: str = "") -> Iterator[list[str]]:
    """Of a table: mix, PEs, and 10^6 cycles of each sort with the gap to the bound of its sort;
    the least with ``bold`` around it."""
    for (name, pes), designs in found.items():
        least = min(design.cycles for design in designs)
        cells = []
        for design in designs:
            text = f"{design.cycles / 1e6:,.2f}"
            text = f"{bold}{text}{bold}" if design.cycles == least else text
            gap = design.cycles / design.bound - 1
            cells.append(f"{text} ({gap:.1%})" if gap else text)
        yield [name, f"{pes:,}", *cells]


def energies(found: dict[tuple[str, int], list[Design]]) -> Iterator[list[str]]:
    """Of a table: mix, PEs, and the energy of each sort over that of the first."""
    for (name, pes), designs in found.items():
        over = [design.energy / designs[0].energy for design in designs]
        yield [name, f"{pes:,}", *(f"{ratio:,.2f}" for ratio in over)]


def markdown() -> str:
    """The record's cycles as a table."""
    return _markdown(rows(load(), "**"))


def energy_markdown() -> str:
    """The record's energies as a table."""
    return _markdown(energies(load()))


def _markdown(lines: Iterator[list[str]]) -> str:
    whole = [["mix", "PEs", *SORTS], ["---", *["--:"] * (len(SORTS) + 1)], *lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in whole)


def draw(found: dict[tuple[str, int], list[Design]], path: Path) -> None:
    """Cycles of each sort over those of the best single accelerator with tuned clusters; what is
    proven that none of the sort is under, as a tick."""
    import matplotlib as mpl

    from hwgym.plotting import save_figure
    from hwgym.plotting.picture import Picture
    from hwgym.plotting.style import BLUE, GREEN, GREY, ORANGE, SKY, STYLE, VERMILLION

    colours = (GREY, "#C9C9C9", SKY, ORANGE, GREEN)
    figure = Picture(9.6, 4.4)
    with mpl.rc_context(STYLE):
        axis = figure.subplots()
        width = 0.16
        at = np.arange(len(found), dtype=float)
        for i, (sort, colour) in enumerate(zip(SORTS, colours, strict=True)):
            here = at + (i - 2) * width
            over = [designs[i].cycles / designs[1].cycles for designs in found.values()]
            axis.bar(here, over, width * 0.92, color=colour, label=sort)
        for i in range(2, len(SORTS)):
            here = at + (i - 2) * width
            least = [designs[i].bound / designs[1].cycles for designs in found.values()]
            marks = axis.hlines(
                least, here - 0.42 * width, here + 0.42 * width, color="black", linewidth=1.2
            )
        marks.set_label("no design of the sort is under this")
        claim = [(1 + PUBLISHED) * d[0].cycles / d[1].cycles for d in found.values()]
        axis.hlines(claim, at - 0.42, at + 0.42, color=VERMILLION, linestyle="--", linewidth=1.2,
                    label="Herald's 65.3 % under one with fixed clusters")  # fmt: skip
        axis.axhline(1.0, color=BLUE, linewidth=0.8)
        axis.set_xticks(at, [f"{name}\n{pes:,} PEs" for name, pes in found])
        axis.set_ylabel("cycles / best single, tuned clusters")
        axis.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    save_figure(figure, path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mix", help="only this one")
    parser.add_argument("--pes", type=int, help="only so many")
    parser.add_argument("--write", action="store_true", help="hetero.json and the picture")
    parser.add_argument("--draw", action="store_true", help="only the picture, of hetero.json")
    given = parser.parse_args(arguments)
    if given.draw:
        draw(load(), PICTURE)
        return 0
    cases = [
        (name, pes) for name, pes in CASES if given.mix in (None, name) and given.pes in (None, pes)
    ]
    if not cases:
        parser.error(f"there are {', '.join(f'{name} with {pes} PEs' for name, pes in CASES)}")
    if given.write and len(cases) < len(CASES):
        parser.error("--write wants all cases")
    console = Console()
    found = {
        case: measured(*case)
        for case in track(cases, "mixes", console=Console(stderr=True), transient=True)
    }
    for title, lines in (
        ("10^6 cycles, and the gap to the bound of each sort", rows(found)),
        ("Energy over that of one accelerator with fixed clusters", energies(found)),
    ):
        table = Table("mix", "PEs", *SORTS, title=title)
        for line in lines:
            table.add_row(*line)
        console.print(table)
    for (name, pes), designs in found.items():
        for design in designs:
            console.print(f"{name}, {pes:,} PEs, {design.sort}: {design.built}")
    if given.write:
        save(found)
        draw(found, PICTURE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What GAMMA found: its winners costed again, and which of them a machine could do.

    python -m benchmarks.gamma             # the 34 winners of the released code
    python -m benchmarks.gamma --masked    # the 48 of its operators under masks, too
    python -m benchmarks.gamma --markdown  # as the documentation has it

Mappings and MAESTRO's answers are those of ``tests/golden/gamma.csv`` (``tests/golden/README.md``
says where they come from). Exits with 1 if our costs differ from MAESTRO's anywhere.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hwgym.costs.maestro import MappingCosts, Mappings, evaluate_mappings
from hwgym.costs.maestro.dataflow_file import directives_of
from hwgym.families.mapping import HARDWARE, mapping_problem
from hwgym.families.mapping.mapping_files import of_directives
from hwgym.workloads import Layer

FILE = Path(__file__).parents[1] / "tests" / "golden" / "gamma.csv"
EDGE = HARDWARE["edge"]
"""The array of GAMMA's script, on which all of them ran."""
SOURCES = ("released", "masked")
SAME = ("runtime_cycles", "energy_nj", "l1_bytes", "l2_bytes", "num_macs", "own_steps")
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Winner:
    """The best mapping that one run found.

    Attributes:
        source: ``released``: GAMMA's own code on MAESTRO; ``masked``: its operators, kept to
            mappings that are valid.
        name: Of the layer.
        layer: Its shape.
        objective, seed, samples: Of the run.
        mapping: A single one.
        said: What MAESTRO said of it, by name.
        costs, mended: Ours, of the model as released and with its two faults mended.
    """

    source: str
    name: str
    layer: Layer
    objective: str
    seed: int
    samples: int
    mapping: Mappings
    said: dict[str, float]
    costs: MappingCosts
    mended: MappingCosts

    def of(self, name: str) -> float:
        """One of our statistics."""
        value: float = getattr(self.costs, name)[0].item()
        return value

    @property
    def same(self) -> bool:
        """Whether our costs are MAESTRO's."""
        return all(
            abs(self.of(name) - self.said[name]) <= TOLERANCE * self.said[name] for name in SAME
        )

    @property
    def peak_cycles(self) -> int:
        """What the array needs if no PE is ever idle."""
        return -(-self.layer.macs // EDGE.num_pes)

    @property
    def faults(self) -> tuple[str, ...]:
        """Why no machine could do it: keys of :data:`FAULTS`."""
        found = {
            "work": self.of("num_macs") < self.layer.macs,
            "peak": self.of("runtime_cycles") < self.peak_cycles,
            "steps": self.of("runtime_cycles") < self.of("own_steps"),
            "traffic": not self.costs.moves_all[0],
        }
        return tuple(name for name, wrong in found.items() if wrong)


FAULTS = {
    "work": "multiply-accumulates are left out",
    "peak": "fewer cycles than all PEs together need for the layer",
    "steps": "fewer cycles than its busiest PE has steps",
    "traffic": "a cluster's traffic counts as nothing, or less of a tensor is moved than there is",
}


@cache
def winners(path: Path = FILE) -> tuple[Winner, ...]:
    """All of the file, costed again."""
    found = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            k, c, y, x, r, s = (int(row[d]) for d in "KCYXRS")
            layer = Layer(row["layer"], row["kind"], k, c, y - r + 1, x - s + 1, r, s)
            directives = directives_of(f"{path}, {row['layer']}", row["mapping"])
            mapping = of_directives(row["layer"], directives, layer)
            costs, mended = (
                evaluate_mappings(layer, mapping, EDGE.num_pes, EDGE.interconnect, fixed=fixed)
                for fixed in (False, True)
            )
            found.append(
                Winner(
                    row["source"],
                    row["layer"],
                    layer,
                    row["objective"],
                    int(row["seed"]),
                    int(row["samples"]),
                    mapping,
                    {name: float(row[name]) for name in SAME},
                    costs,
                    mended,
                )
            )
    return tuple(found)


def counts(some: Sequence[Winner]) -> dict[str, int]:
    """How many have each fault, and how many are left."""
    found = {text: sum(name in w.faults for w in some) for name, text in FAULTS.items()}
    physical = sum(not {"work", "peak"} & set(w.faults) for w in some)
    return {
        "winners": len(some),
        **found,
        "all work done, no faster than the array's peak": physical,
        "and no faster than the busiest PE's own steps": sum(
            not {"work", "peak", "steps"} & set(w.faults) for w in some
        ),
        "and all data moved: what a machine could do": sum(not w.faults for w in some),
    }


HEADER = (
    "layer", "objective", "seed", "cycles", "peak", "busiest PE", "MACs", "EDP", "faults",
    "mended cycles", "mended EDP",
)  # fmt: skip


def cells(winner: Winner) -> tuple[str, ...]:
    """A row of the table."""
    edp = winner.of("runtime_cycles") * winner.of("energy_nj")
    runtime, energy = (
        getattr(winner.mended, name)[0].item() for name in ("runtime_cycles", "energy_nj")
    )
    return (
        winner.name,
        winner.objective.upper() if winner.objective == "edp" else winner.objective,
        str(winner.seed),
        f"{winner.of('runtime_cycles'):,}",
        f"{winner.peak_cycles:,}",
        f"{winner.of('own_steps'):,}",
        f"{winner.of('num_macs') / winner.layer.macs:.1%}",
        f"{edp:.3g}",
        ", ".join(winner.faults) or "none",
        f"{runtime:,}",
        f"{runtime * energy:.3g}",
    )


def proven() -> dict[str, float]:
    """The proven least energy x latency (nJ x cycles) of each layer, of tiles that divide."""
    layers = {winner.name: winner.layer for winner in winners()}
    return {
        name: mapping_problem(layer, EDGE, objective="edp").optimum().objective
        for name, layer in layers.items()
    }


def least_edp(name: str, source: str, *, true: bool = False) -> float:
    """The least energy x latency that a source's runs claim for a layer, or of those that are true;
    infinite if none is."""
    return min(
        (
            winner.of("runtime_cycles") * winner.of("energy_nj")
            for winner in winners()
            if (winner.name, winner.source) == (name, source) and not (true and winner.faults)
        ),
        default=math.inf,
    )


def _table(header: Sequence[str], words: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown; columns that are not in ``words`` are aligned to the right."""
    lines = [header, ["---" if name in words else "---:" for name in header], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def counts_markdown() -> str:
    """How many winners have which fault, of both sources."""
    both = [counts([w for w in winners() if w.source == source]) for source in SOURCES]
    rows = [(text, *(str(found[text]) for found in both)) for text in both[0]]
    return _table(("of the winners", "GAMMA as released", "under masks"), ("of the winners",), rows)


def layers_markdown() -> str:
    """A row a layer: the least that runs claim, the least that is true, the proven optimum."""
    rows = []
    for name, optimum in proven().items():
        true = least_edp(name, "released", true=True)
        rows.append(
            (
                name,
                f"{least_edp(name, 'released'):.4g}",
                f"{true:.4g}" if math.isfinite(true) else "none",
                f"{least_edp(name, 'masked'):.4g}",
                f"{optimum:.4g}",
            )
        )
    header = ("layer", "released, claimed", "released, true", "under masks", "proven optimum")
    return _table(header, ("layer",), rows)


def winners_markdown(source: str = "released") -> str:
    """All winners of a source, a row each."""
    rows = [cells(w) for w in winners() if w.source == source]
    return _table(HEADER, ("layer", "objective", "faults"), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print it; 1 if a cost differs from MAESTRO's."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gamma",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--masked", action="store_true", help="the runs under masks, too")
    parser.add_argument("--markdown", action="store_true", help="as Markdown")
    asked = parser.parse_args(arguments)
    console = Console(highlight=False)
    if asked.markdown:
        print(counts_markdown(), layers_markdown(), sep="\n")
    for source in SOURCES[: 1 + asked.masked]:
        if asked.markdown:
            print(winners_markdown(source))
            continue
        some = [w for w in winners() if w.source == source]
        table = Table(*HEADER, title=f"GAMMA, {source}: {EDGE.title}")
        for column in table.columns[3:8] + table.columns[9:]:
            column.justify = "right"
        for winner in some:
            table.add_row(*cells(winner))
        console.print(table)
        for text, count in counts(some).items():
            console.print(f"{count:>4}  {text}")
    wrong = [w for w in winners() if not w.same]
    for winner in wrong:
        print(
            f"{winner.name}, {winner.objective}, seed {winner.seed}: not as MAESTRO has it",
            file=sys.stderr,
        )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

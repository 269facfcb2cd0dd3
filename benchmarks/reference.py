"""Ask a MAESTRO binary of one's own build, as ConfuciuX does."""

from __future__ import annotations

import csv
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.program import Program
from hwgym.costs.maestro import Cluster, Dataflow, SpatialMap
from hwgym.costs.maestro.directives import Size
from hwgym.workloads import Layer

FLAGS = (
    "--full_buffer=false", "--noc_bw_cstr=81920000", "--noc_hops=1", "--noc_hop_latency=1",
    "--noc_mc_support=true", "--num_simd_lanes=1", "--l1_size_cstr=819200000",
    "--l2_size_cstr=819200000", "--print_res=false", "--print_res_csv_file=true",
    "--print_log_file=false", "--print_design_space=false", "--msg_print_lv=0",
)  # fmt: skip
COLUMNS = {"runtime_cycles": 3, "l2_bytes": 14, "l1_bytes": 15, "num_macs": 21}


def mapping_text(points: Sequence[tuple[Layer, int]], style: Dataflow, num_pes: int) -> str:
    """A mapping file with a layer a point: (layer, filters per PE)."""
    blocks = []
    for number, (layer, tile) in enumerate(points):
        names = {"tile_k": tile, "cluster_size": num_pes, "num_pes": num_pes}
        names |= dict(zip("KCYXRS", layer.shape[:6], strict=True))

        def value(size: Size, names: dict[str, int] = names) -> int:
            return names[size] if isinstance(size, str) else size

        lines = []
        for d in style.depthwise if layer.is_depthwise else style.directives:
            if isinstance(d, Cluster):
                lines.append(f"Cluster({value(d.size)}, P);")
            else:
                kind = "SpatialMap" if isinstance(d, SpatialMap) else "TemporalMap"
                lines.append(f"{kind}({value(d.size)},{value(d.offset)}) {d.dim};")
        sizes = ", ".join(f"{d}: {names[d]}" for d in "KCYXRS")
        kind = "DSCONV" if layer.is_depthwise else "CONV"
        blocks.append(
            f"Layer L{number} {{\nType: {kind}\nDimensions {{ {sizes} }}\n"
            f"Dataflow {{\n{chr(10).join(lines)}\n}}\n}}\n"
        )
    return "Network n {\n" + "".join(blocks) + "}\n"


class Maestro(Program):
    """Runs the binary, a process a call, in a folder of its own that goes with the context.

    Attributes:
        seconds: What the last process took, from start to end.

    Raises:
        ValueError: If there is no such program.
    """

    def run(
        self, points: Sequence[tuple[Layer, int]], style: Dataflow, num_pes: int
    ) -> dict[str, NDArray[np.int64]]:
        """Cost of all points with one PE count, in one process; integer statistics by name.

        Raises:
            RuntimeError: If the program does not answer for every point.
        """
        folder = Path(self.folder.name)
        (folder / "m.m").write_text(mapping_text(points, style, num_pes))
        answer = folder / "m.csv"
        answer.unlink(missing_ok=True)
        start = time.perf_counter()
        subprocess.run(
            [str(self.binary), "--Mapping_file=m.m", f"--num_pes={num_pes}", *FLAGS],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        self.seconds = time.perf_counter() - start
        text = answer.read_text() if answer.exists() else ""
        rows = list(csv.reader(text.splitlines()))[1:]
        if len(rows) != len(points):
            raise RuntimeError(f"MAESTRO answered {len(rows)} of {len(points)} points")
        return {n: np.array([int(r[c]) for r in rows]) for n, c in COLUMNS.items()}

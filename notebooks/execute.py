"""Execute notebooks and keep what they show.

    python -m notebooks.execute                                  # all of them, in place
    python -m notebooks.execute notebooks/3_agents.ipynb
    python -m notebooks.execute notebooks/3_agents.ipynb SAMPLES=2000 SEEDS=10 --out mine.ipynb

``NAME=value`` changes a name that the notebook sets in its cell tagged ``parameters`` (the tag is
papermill's, so that works, too). What a notebook holds afterwards depends on no machine: there are
no times of execution, and the kernel is called ``python3``.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwgym._files import write_text
from hwgym._names import nearest

try:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
except ImportError as error:
    raise ImportError(f"no module {error.name!r}: pip install 'hwgym[notebooks]'") from error

__all__ = ["NOTEBOOKS", "execute", "parameters", "source"]

HERE = Path(__file__).parent
NOTEBOOKS = tuple(sorted(HERE.glob("*.ipynb"), key=lambda path: int(path.stem.split("_")[0])))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_SECONDS = 600
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def parameters(notebook: Any) -> dict[str, Any]:
    """The names that a notebook's parameter cell sets, with their values."""
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    found = {}
    for cell in cells:
        for statement in ast.parse(cell.source).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found


def execute(path: Path, changes: Mapping[str, Any] | None = None) -> Any:
    """Run a notebook from top to bottom in its own folder.

    Args:
        path: A notebook; its file is not touched.
        changes: New values of its parameters.

    Returns:
        The notebook with its output, of ``nbformat``.

    Raises:
        ValueError: If it has no parameter of a name.
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    notebook = source(nbformat.read(path, as_version=4))
    known = parameters(notebook)
    for name in changes or {}:
        if name not in known:
            raise ValueError(f"{path.name}: {nearest('parameter', name, known)}")
    for i, cell in enumerate(notebook.cells):
        if changes and "parameters" in cell.metadata.get("tags", []):
            text = "\n".join(f"{name} = {value!r}" for name, value in changes.items())
            notebook.cells.insert(i + 1, nbformat.v4.new_code_cell(text, id="changed-parameters"))
            break
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=ERROR", "--InteractiveShell.colors=nocolor"],
        resources={"metadata": {"path": str(path.parent.resolve())}},
    )
    # The package of this checkout, and plain text instead of a terminal's colours.
    search = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))
    client.execute(env={**os.environ, "PYTHONPATH": search, "NO_COLOR": "1"})
    return tidy(notebook)


def source(notebook: Any) -> Any:
    """A notebook without output and without what depends on a machine."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def tidy(notebook: Any) -> Any:
    """An executed notebook as it is kept: metadata as in :func:`source`, no addresses."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts = output.get("data", output)
            for key, text in texts.items():
                if isinstance(text, str) and key.startswith("text"):
                    texts[key] = ADDRESS.sub("", text)
    return notebook


def main(arguments: Sequence[str] | None = None) -> None:
    """Execute what the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m notebooks.execute",
        description="Execute notebooks and keep what they show.",
    )
    parser.add_argument("given", nargs="*", metavar="notebook or NAME=value")
    parser.add_argument("--out", type=Path, help="where to write, for one notebook")
    args = parser.parse_intermixed_args(arguments)
    paths = [Path(each) for each in args.given if "=" not in each] or list(NOTEBOOKS)
    changes = {}
    for each in args.given:
        name, equals, value = each.partition("=")
        if equals:
            try:
                changes[name] = ast.literal_eval(value)
            except (SyntaxError, ValueError):
                changes[name] = value
    if (args.out or changes) and len(paths) != 1:
        parser.error("--out and NAME=value are for one notebook: name it")
    if changes and not args.out:
        parser.error("NAME=value needs --out: the notebooks here are kept as they are")
    for path in paths:
        if not path.is_file():
            parser.error(f"{path}: no such notebook")
        start = time.perf_counter()
        try:
            notebook = execute(path, changes)
        except ValueError as error:
            parser.error(str(error))
        except CellExecutionError as error:
            parser.exit(1, f"{path}: {error}\n")
        write_text(args.out or path, nbformat.writes(notebook) + "\n")
        print(f"{args.out or path}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()

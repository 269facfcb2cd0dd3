"""The notebooks run from top to bottom, and what is committed of them is clean."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from conftest import needs_torch
from nbclient.exceptions import CellExecutionError

from notebooks import execute as tool

ROOT = Path(__file__).parent.parent
# Settings that make a notebook quick; everything else in it stays as readers have it.
SMALL = {
    "1_quick_start": {
        "ENV": "HWAssign-AlexNet-NVDLA-v0",
        "EPISODES": 2,
        "SAMPLES": 60,
    },
    "2_design_space": {"NETWORK": "AlexNet"},
    "3_agents": {"ENV": "HWAssign-AlexNet-NVDLA-v0", "SAMPLES": 150, "SEEDS": 2},
    "4_your_network": {"CHANNELS": 16, "BLOCKS": 1},
    "5_your_agent": {"SEEDS": 1},
    "6_cost_models": {"NETWORKS": ["AlexNet"]},
    "7_mappings": {"SAMPLES": 100, "SEEDS": 1},
    "8_schedules": {"MIX": {"AlexNet": 2, "SqueezeNet": 1}, "SAMPLES": 100, "SEEDS": 1},
    "9_train_once": {"OPTIMA": 96, "LOOKS": 1, "VAL": 4, "NETWORK": "AlexNet", "PUBLISHED": 1},
    "10_precision": {"SAMPLES": 60, "SEEDS": 1},
}
OF_A_MACHINE = re.compile(
    r"/(?:home|root|tmp|usr|opt|var|work|mnt|Users|private)/|[A-Z]:\\\\|site-packages"
    r"|\b0x[0-9a-f]{6,}\b|\bhttps?://(?:localhost|\d+\.\d+\.\d+\.\d+)"
)
every_notebook = pytest.mark.parametrize("path", tool.NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell):
    """What kinds of output a cell has: streams, and the richest form of each value."""
    forms = ("image/png", "text/html", "text/markdown", "text/plain")
    kinds = set()
    for output in cell.outputs:
        data = output.get("data", {})
        kinds.add(output.get("name") or next(f for f in forms if f in data))
    return kinds


@pytest.fixture(scope="module", params=tool.NOTEBOOKS, ids=lambda path: path.stem)
def both(request):
    """A notebook as committed, and executed on small settings."""
    path = request.param
    needs_torch(path.read_text(encoding="utf-8"))
    return nbformat.read(path, as_version=4), tool.execute(path, SMALL[path.stem])


def test_every_notebook_is_there():
    assert sorted(path.stem for path in tool.NOTEBOOKS) == sorted(SMALL)


class TestExecuted:
    def test_shows_what_the_committed_one_shows(self, both):
        committed, executed = both
        now = {cell.id: shown(cell) for cell in cells_of(executed)}
        assert "stderr" not in set().union(*now.values())  # warnings would be there
        assert now.pop("changed-parameters") == set()
        assert now == {cell.id: shown(cell) for cell in cells_of(committed)}

    def test_names_no_machine(self, both):
        assert not OF_A_MACHINE.search(text_of(both[1]))


def text_of(notebook):
    """All of a notebook but its pictures."""
    bare = json.loads(nbformat.writes(notebook))
    for cell in bare["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
    return json.dumps(bare)


@every_notebook
class TestCommitted:
    def test_is_valid_and_was_run_in_order(self, path):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        counts = [cell.execution_count for cell in cells_of(notebook)]
        assert counts == list(range(1, len(counts) + 1))

    def test_has_output_and_no_errors(self, path):
        outputs = [o for cell in cells_of(nbformat.read(path, as_version=4)) for o in cell.outputs]
        assert {o.output_type for o in outputs} <= {"stream", "execute_result", "display_data"}
        assert {o.name for o in outputs if o.output_type == "stream"} == {"stdout"}
        assert any("image/png" in o.get("data", {}) for o in outputs) or path.stem == "5_your_agent"

    def test_names_no_machine(self, path):
        found = OF_A_MACHINE.search(text_of(nbformat.read(path, as_version=4)))
        assert not found, found

    def test_has_no_metadata_but_tags(self, path):
        notebook = nbformat.read(path, as_version=4)
        assert notebook.metadata == tool.METADATA
        for cell in notebook.cells:
            assert set(cell.metadata) <= {"tags"}
            assert all(not output.get("metadata") for output in cell.get("outputs", []))

    def test_has_one_parameter_cell_first(self, path):
        notebook = nbformat.read(path, as_version=4)
        tagged = [c.id for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
        assert tagged == [cells_of(notebook)[0].id]
        assert set(SMALL[path.stem]) <= set(tool.parameters(notebook))

    def test_links_lead_somewhere(self, path):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for target in re.findall(r"\]\(([^)#]+)\)", cell.source):
                    assert target.startswith("https://") or (path.parent / target).exists(), target


class TestTool:
    @pytest.fixture
    def write(self, tmp_path):
        def written(*sources):
            cells = [nbformat.v4.new_code_cell(text) for text in sources]
            cells[0].metadata["tags"] = ["parameters"]
            cells[0].metadata["collapsed"] = True
            notebook = nbformat.v4.new_notebook(cells=cells, metadata={"author": "me"})
            path = tmp_path / "some.ipynb"
            nbformat.write(notebook, path)
            return path

        return written

    def test_writes_a_changed_copy_without_metadata(self, write, tmp_path, capsys):
        path = write("N = 1\nNAME = 'a'", "object()", "print(N, NAME)")
        before = path.read_text(encoding="utf-8")
        out = tmp_path / "out.ipynb"
        tool.main([str(path), "N=2", "NAME=b", "--out", str(out)])
        assert path.read_text(encoding="utf-8") == before
        assert str(out) in capsys.readouterr().out
        found = nbformat.read(out, as_version=4)
        assert found.metadata == tool.METADATA
        assert found.cells[0].metadata == {"tags": ["parameters"]}
        assert found.cells[2].outputs[0].data["text/plain"] == "<object>"  # and no address
        assert found.cells[3].outputs[0].text == "2 b\n"

    def test_a_failing_cell_leaves_the_file_alone(self, write, capsys):
        path = write("N = 1", "raise ValueError('no such thing')")
        before = path.read_text(encoding="utf-8")
        with pytest.raises(SystemExit) as exit_:
            tool.main([str(path)])
        assert exit_.value.code == 1
        assert "no such thing" in capsys.readouterr().err
        assert path.read_text(encoding="utf-8") == before
        with pytest.raises(CellExecutionError):
            tool.execute(path)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nowhere.ipynb"], "nowhere.ipynb: no such notebook"),
            (["N=2"], "are for one notebook"),
            (["--out", "x.ipynb"], "are for one notebook"),
            ([str(tool.NOTEBOOKS[2]), "SEEDS=2"], "needs --out"),
            ([str(tool.NOTEBOOKS[2]), "SEED=2", "--out", "x.ipynb"], "did you mean 'SEEDS'?"),
        ],
    )
    def test_wrong_arguments(self, arguments, message, capsys):
        with pytest.raises(SystemExit) as exit_:
            tool.main(arguments)
        assert exit_.value.code == 2
        assert message in capsys.readouterr().err

"""What several kinds gain: the record, and what it was measured with."""

import numpy as np
import pytest

from benchmarks import hetero
from hwgym.costs.maestro import KINDS, Cluster, evaluate
from hwgym.families.hetero import hetero_problem
from hwgym.workloads import mix

RECORD = hetero.load()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_tuned_to_its_own_size_is_itself(kind):
    assert hetero.tuned(kind, hetero.OWN[kind]) == KINDS[kind]
    other = hetero.tuned(kind, 32)
    assert Cluster(32) in other.directives
    assert Cluster(32) in other.depthwise


@pytest.mark.parametrize("case", [("Mobile", 1024), ("ARVR-B", 16384)])
def test_single_accelerators_of_the_record_take_what_is_said(case):
    name, pes = case
    layers = [layer for network in mix(name).instances() for layer in network]
    fixed, tuned = RECORD[case][:2]
    least = min(evaluate(layers, KINDS[kind], pes, 1).runtime_cycles.sum() for kind in KINDS)
    assert fixed.cycles == fixed.bound == least
    kind, cluster = tuned.built.partition(":")[0].split()
    found = evaluate(layers, hetero.tuned(kind, int(cluster)), pes, 1)
    assert found.valid.all()
    assert tuned.cycles == tuned.bound == found.runtime_cycles.sum() < least
    np.testing.assert_allclose(tuned.energy, found.energy_nj.sum())


def test_the_record_is_whole_and_no_design_is_under_its_bound():
    assert tuple(RECORD) == hetero.CASES
    for designs in RECORD.values():
        assert tuple(design.sort for design in designs) == hetero.SORTS
        assert all(0 < design.bound <= design.cycles for design in designs)
        fixed, tuned, alike, kinds, any_two = (design.cycles for design in designs)
        assert tuned <= fixed  # its own size is one of nine
        assert alike <= tuned  # one of several may have all PEs
        assert kinds <= fixed
        assert any_two <= tuned


def test_the_bound_of_several_kinds_is_that_of_the_family():
    said = RECORD["Mobile", 1024][3].bound
    assert said == pytest.approx(hetero_problem("Mobile", 1024).bounds.min(), rel=1e-9)


def test_tables_have_a_line_a_case():
    for text in (hetero.markdown(), hetero.energy_markdown()):
        lines = text.splitlines()
        assert len(lines) == 2 + len(hetero.CASES)
        assert {line.count("|") for line in lines} == {3 + len(hetero.SORTS)}
    assert "**" in hetero.markdown()


def test_a_case_that_is_not_there(capsys):
    with pytest.raises(SystemExit):
        hetero.main(["--mix", "Mobile", "--pes", "7"])
    assert "Mobile with 1024 PEs" in capsys.readouterr().err

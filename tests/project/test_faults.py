"""Every listed fault still fits the code, so that `python dev.py faults` can try it."""

import pytest
from pack.tests.support.paths import ROOT
from pack.workbench.faults.faults import Fault, read_faults


@pytest.mark.parametrize("fault", read_faults(), ids=lambda fault: f"{fault.room}: {fault.right[:40]}")
def test_a_fault_fits_one_place_and_names_tests(fault: Fault):
    assert fault.right in fault.file(ROOT).read_text(encoding="utf-8")
    assert [name for name in fault.tests if not (ROOT / "tests" / name).exists()] == []

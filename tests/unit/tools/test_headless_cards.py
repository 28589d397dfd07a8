"""Which cards each process of `headless.py` sees."""

import runpy

import pytest
from pack.tests.support.paths import ROOT

own_card = runpy.run_path(str(ROOT / "headless.py"))["own_card"]


@pytest.mark.parametrize(
    ("options", "environment", "card"),
    [
        ([], {}, None),
        (["--cuda-device", "1"], {}, "1"),
        (["--cuda-device=2,3"], {}, "2,3"),
        ([], {"LOCAL_RANK": "1"}, "1"),
        (["--cuda-device", "2,3"], {"LOCAL_RANK": "1"}, "3"),
        ([], {"LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "4,6"}, "6"),
        (["--default-device", "2"], {"LOCAL_RANK": "0"}, "2"),
        (["--default-device", "2"], {"LOCAL_RANK": "1"}, "0"),
    ],
)
def test_each_process_has_its_own_card(options, environment, card):
    assert own_card(options, environment) == card


def test_more_processes_than_cards_are_refused():
    with pytest.raises(SystemExit, match="more processes than GPUs"):
        own_card(["--cuda-device", "1"], {"LOCAL_RANK": "1"})

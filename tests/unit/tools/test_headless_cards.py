"""Which cards each process of `headless.py` sees."""

import runpy
import sys

import pytest
from pack.tests.support.paths import ROOT

program = runpy.run_path(str(ROOT / "headless.py"))
own_card = program["own_card"]


@pytest.mark.parametrize(
    ("parser", "options", "is_told"),
    [
        ('parser.add_argument("--disable-assets")', [], True),
        ('parser.add_argument("--disable-assets")', ["--enable-assets"], False),
        ('parser.add_argument("--enable-assets")', [], False),
    ],
)
def test_assets_are_not_scanned_where_the_host_can_leave_them(tmp_path, monkeypatch, parser, options, is_told):
    (tmp_path / "comfy").mkdir()
    (tmp_path / "comfy" / "cli_args.py").write_text(parser, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    program["start_arguments"](tmp_path, options, str(tmp_path))
    assert ("--disable-assets" in sys.argv) == is_told


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

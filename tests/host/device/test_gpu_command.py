"""`dev.py gpu` and `headless.py --check-gpu`, on the second device, with small models."""

import json
import subprocess
import sys

import pytest
from pack.tests.support.paths import ROOT

pytestmark = pytest.mark.comfy


def test_the_short_checks_hold_and_are_written(comfy, device, tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "support" / "alias.py"), "pack.workbench.gpu"]
    options = ["--second-device", "--short", "--out", str(tmp_path), "--lowvram"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    page, data = (tmp_path / "gpu-report.md").read_text(), json.loads((tmp_path / "gpu-report.json").read_text())
    assert "All held." in page and "Second device" in page
    about = {
        name: data["card"][name] for name in ("lora_bakery", "comfyui", "python", "torch", "options", "vram", "fast")
    }
    assert all(about.values()) and (about["options"], about["vram"]) == ("--lowvram", "LOW_VRAM"), about
    names = [check["name"] for check in data["checks"]]
    assert {
        "stop and continue",
        "out of memory",
        "preview between steps",
        "gradients, lora",
        "gradients, float8_e4m3fn weights",
    } <= set(names)
    left_out = {check["name"]: check["figures"]["reason"] for check in data["checks"] if check["held"] is None}
    assert {"several cards", "compiled model"} < set(left_out) and "--short" in str(left_out)
    assert not any(check["held"] is False for check in data["checks"])


def test_a_check_that_fails_is_a_failure_of_the_command(comfy, device, tmp_path, monkeypatch):
    from pack.workbench.gpu import checks, run

    monkeypatch.setattr(
        run, "all_checks", lambda card, is_short: iter([checks.Check("a", True), checks.Check("b", False)])
    )
    assert run.run(tmp_path, is_short=True, options=[]) == 1
    assert "1 of 2 did not hold" in (tmp_path / "gpu-report.md").read_text()

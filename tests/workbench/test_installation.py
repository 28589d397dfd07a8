"""Which packages the tests' ComfyUI gets, and that the workflow tries every version of it."""

import re

from pack.tests.support.paths import ROOT
from pack.workbench.dev.installation import HOST_RELEASES, NEWEST_PACKAGES, host_requirements

ASKED = """torch
torchvision
transformers>=4.50.3
comfy-kitchen==0.2.26

#non essential dependencies:
comfy-aimdo==0.4.11
yarl>=1.18.0"""


def test_comfyui_gets_what_it_asks_for_or_the_newest_of_what_it_is_built_with():
    assert host_requirements(ASKED, is_newest=False) == ASKED.splitlines()[2:]
    newest = host_requirements(ASKED, is_newest=True)
    assert set(NEWEST_PACKAGES) <= set(newest) and "yarl>=1.18.0" in newest


def test_the_workflow_tries_every_version_of_comfyui_and_the_newest_packages():
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    entries = re.findall(r"release: ([\d.]+), comfyui: ([\d.]+), packages: (\S+) }", text)
    assert {release: comfyui for release, comfyui, _ in entries} == HOST_RELEASES
    assert [release for release, _, packages in entries if packages == "newest"] == [max(HOST_RELEASES)]

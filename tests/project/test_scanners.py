"""What is published does nothing that scanners of node packs take for an attack; SECURITY.md explains the rest."""

import re

import pytest
from pack.tests.support.paths import ROOT

PUBLISHED = [ROOT / "__init__.py", ROOT / "headless.py", ROOT / "workbench" / "layouts.py"]
PUBLISHED += [path for name in ("nodes", "training", "workbench/gpu") for path in (ROOT / name).rglob("*.py")]
CALLS = ("compile", "eval", "exec", "importlib.import_module", "__import__", "os.system", "os.popen", "b64decode")
MODULES = ("pickle", "marshal", "shelve", "subprocess", "socket", "ctypes", "urllib", "requests", "http", "webbrowser")


def lines_with(pattern):
    for path in PUBLISHED:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(pattern, line):
                yield f"{path.relative_to(ROOT).as_posix()}:{number}: {line.strip()}"


@pytest.mark.parametrize("call", CALLS)
def test_no_published_file_calls_what_an_attack_would(call):
    assert list(lines_with(rf"{re.escape(call)}\(")) == []


@pytest.mark.parametrize("module", MODULES)
def test_no_published_file_imports_what_an_attack_would(module):
    assert list(lines_with(rf"^\s*(import|from) {module}\b")) == []

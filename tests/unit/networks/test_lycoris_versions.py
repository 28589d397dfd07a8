"""The tests against LyCORIS pass with the oldest version that our requirements allow, and with the newest there is."""

import os
import re
import subprocess
import sys

import pytest
from pack.tests.support.paths import ROOT

TESTS = ("test_trained_both_ways.py", "test_lycoris_library.py", "test_lycoris.py")
PRINTED = "import importlib.metadata as m, lycoris; print(m.version('lycoris-lora'), lycoris.__file__)"


def oldest():
    line = next(line for line in (ROOT / "requirements.txt").read_text().split() if line.startswith("lycoris-lora"))
    return line.replace(">=", "==")


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("wanted", [oldest(), "lycoris-lora"])
def test_the_tests_against_it_pass(wanted, tmp_path):
    folder = tmp_path / "lycoris"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), wanted]
    subprocess.run(pip, check=True)
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    printed = subprocess.run(
        [sys.executable, "-c", PRINTED], env=environment, capture_output=True, text=True, check=True
    )
    version, place = printed.stdout.split(maxsplit=1)
    assert str(folder) in place
    if "==" in wanted:
        assert re.fullmatch(re.escape(wanted.partition("==")[2]) + r"(\.0)*", version)
    files = [str(ROOT / "tests" / "unit" / "networks" / name) for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]

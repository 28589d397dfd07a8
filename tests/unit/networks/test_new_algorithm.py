"""An algorithm is one new file and one line in the table: everything else asks them."""

import shutil
import subprocess
import sys
from pathlib import Path

from pack.tests.support.paths import ROOT

HERE = ROOT / "tests" / "unit" / "networks" / "new_algorithm"
LAST_LINE = '    "lycoris",\n'


def test_a_new_file_and_a_line_are_trained_saved_loaded_merged_resized_and_recognized(tmp_path: Path):
    copy = tmp_path / "pack"
    for folder in ("training", "tests/support"):
        shutil.copytree(
            ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "host_nodes", "old_runs")
        )
    networks = copy / "training" / "networks"
    shutil.copy(HERE / "gated.py", networks)
    table = (networks / "algorithms.py").read_text(encoding="utf-8")
    assert table.count(LAST_LINE) == 1
    (networks / "algorithms.py").write_text(table.replace(LAST_LINE, f'{LAST_LINE}    "gated",\n'), encoding="utf-8")
    words = [sys.executable, str(HERE / "walk.py"), str(copy), str(tmp_path / "out")]
    walked = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert walked.returncode == 0, walked.stderr
    assert "walked" in walked.stdout

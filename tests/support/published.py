"""The node pack as the registry hands it to users: what git knows, without what `.comfyignore` names."""

import shutil
import subprocess
from pathlib import Path

from .paths import ROOT


def published_files() -> list[str]:
    """Paths below the repository, in order."""
    known, ignored = _listed(), _listed("--ignored", "--exclude-from=.comfyignore")
    return sorted(known - ignored)


def copy_published(target: Path) -> None:
    """Put the published files into a folder of their own."""
    for name in published_files():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, place)


def _listed(*options: str) -> set[str]:
    command = ["git", "-C", str(ROOT), "-c", "core.quotePath=off", "ls-files", "-z", "--cached", *options]
    found = subprocess.run(command, capture_output=True, check=True, text=True, encoding="utf-8").stdout
    return {name for name in found.split("\0") if name and (ROOT / name).is_file()}

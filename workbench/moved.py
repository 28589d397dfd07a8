"""Whether our requirements move a package of ComfyUI: pip resolves its requirements without and with ours.

    python workbench/moved.py .host/ComfyUI/requirements.txt ...

Nothing is installed. Exits with 1 where a package would get another version, or one of the host's would leave.
"""

import json
import subprocess
import sys
from pathlib import Path

OURS = Path(__file__).resolve().parents[1] / "requirements.txt"
HOSTS_OWN = ("torch", "numpy", "pillow", "safetensors", "einops", "tqdm")
"""Named in our requirements only because we import them: every ComfyUI brings them."""


def resolved(*files: Path) -> dict[str, str]:
    """Version of each package that pip would install from some requirements."""
    listed = [part for file in files for part in ("-r", str(file))]
    options = ["--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    command = [sys.executable, "-m", "pip", "install", *options, *listed]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = [item["metadata"] for item in report["install"]]
    return {about["name"].lower().replace("_", "-"): about["version"] for about in found}


def main() -> int:
    """Compare for each file on the command line."""
    failures = 0
    for file in map(Path, sys.argv[1:]):
        before, after = resolved(file), resolved(file, OURS)
        moved = {name: (version, after.get(name)) for name, version in before.items() if after.get(name) != version}
        absent = [name for name in HOSTS_OWN if name not in before]
        added = sorted(after.keys() - before.keys())
        print(f"{file}: {len(before)} packages, moved: {moved or 'none'}, added: {', '.join(added)}")
        print(f"  brings itself: {', '.join(name for name in HOSTS_OWN if name in before)}; not: {absent or 'none'}")
        failures += bool(moved or absent)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

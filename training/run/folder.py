"""Where a run keeps its files.

```
<loras>/<name>/<name>.safetensors               the latest LoRA
<loras>/<name>/<name>-step000200.safetensors    kept steps
<loras>/<name>/.run/lock
<loras>/<name>/.run/<id>/run.json               identity and plan
<loras>/<name>/.run/<id>/state-000200.state     exact state (safetensors; another suffix, so that loaders do not list it)
<loras>/<name>/.run/<id>/metrics.jsonl          one line a step
<loras>/<name>/.run/<id>/previews/              one picture a step
<loras>/<name>/.run/<id>/*.safetensors          kept steps of a run that another one replaced
```
"""

import re
from dataclasses import dataclass
from pathlib import Path

_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\\/]')
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)
MAX_NAME_LENGTH = 100
_STEP_FILE = re.compile(r"-step(\d+)\.safetensors$")


def check_name(name: str) -> str:
    """The name itself if it can be a folder and a file on every system.

    Raises ValueError otherwise, saying which character or word is the trouble.
    """
    found = _FORBIDDEN.search(name)
    if found:
        raise ValueError(f"name must not contain {found.group()!r}, got {name!r}; use letters, digits, space, - and _")
    if not name.strip() or name != name.strip() or name.startswith(".") or name.endswith("."):
        raise ValueError(f"name must not be empty or begin or end with a dot or space, got {name!r}")
    if _RESERVED.match(name) or len(name) > MAX_NAME_LENGTH:
        raise ValueError(f"name {name[:40]!r} cannot be a file name on Windows (reserved word or over 100 characters)")
    return name


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run; makes no folder by itself."""

    root: Path
    """`<loras>/<name>`."""
    run_id: str

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def private(self) -> Path:
        return self.root / ".run" / self.run_id

    @property
    def record(self) -> Path:
        return self.private / "run.json"

    @property
    def metrics(self) -> Path:
        return self.private / "metrics.jsonl"

    @property
    def previews(self) -> Path:
        return self.private / "previews"

    @property
    def latest_lora(self) -> Path:
        return self.root / f"{self.name}.safetensors"

    def step_lora(self, step: int) -> Path:
        return self.root / f"{self.name}-step{step:06d}.safetensors"

    def state(self, step: int) -> Path:
        return self.private / f"state-{step:06d}.state"

    def states(self) -> list[Path]:
        """State files, oldest first."""
        return sorted(self.private.glob("state-*.state"), key=lambda path: int(path.stem.split("-")[1]))

    def step_loras(self) -> dict[int, Path]:
        """Kept LoRAs of this run by step, whether it is the current run of its name or a replaced one."""
        home = self.root if current_run(self.root) == self.run_id else self.private
        found = {int(m.group(1)): path for path in home.glob("*.safetensors") if (m := _STEP_FILE.search(path.name))}
        return dict(sorted(found.items()))


def current_run(root: Path) -> str | None:
    """Id of the run that owns the LoRAs in the top folder."""
    marker = root / ".run" / "current"
    return marker.read_text(encoding="utf-8").strip() if marker.is_file() else None


def run_ids(root: Path) -> list[str]:
    """Ids of all runs of a name, newest first."""
    records = sorted((root / ".run").glob("*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.parent.name for path in records]

"""Disk usage of a LoRA name: what a run will write, what exists, and what may be deleted to free space.

Only users delete; nothing here does.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..loop.job import TrainJob
from .folder import current_run, lora_files
from .retention import STATES_KEPT
from .saver import SaveSettings

WORTH_TELLING = 100e6
"""Bytes that may be freed from which on the node says so."""
MOMENTS = 2
"""Numbers that a typical optimizer keeps per weight; some keep fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskUse:
    """Bytes that a name occupies."""

    loras: int
    """What users see: the latest LoRA and the kept steps."""
    aside: int
    """LoRAs beside them under other names: what was set aside, and what users put there."""
    current: int
    """Private folder of the run they belong to: states, metrics, pictures."""
    earlier: dict[str, int]
    """Private folders of all other runs and of copies cut short, by id; each may be deleted with its LoRAs."""

    @property
    def total(self) -> int:
        """Sum of all."""
        return self.loras + self.current + self.freeable

    @property
    def freeable(self) -> int:
        """What does not belong to the current run."""
        return self.aside + sum(self.earlier.values())


def disk_use(root: Path) -> DiskUse:
    """Measure what exists under a name."""
    owner = current_run(root)
    sizes = {path.name: _size(path) for path in (root / ".run").glob("*") if path.is_dir()}
    loras = sum(path.stat().st_size for path in lora_files(root, root.name))
    everything = sum(path.stat().st_size for path in root.glob("*.safetensors"))
    return DiskUse(loras=loras, aside=everything - loras, current=sizes.pop(owner or "", 0), earlier=sizes)


def bytes_to_write(job: TrainJob, saving: SaveSettings, step: int) -> int:
    """Approximate bytes that the rest of a run will add: kept steps, latest LoRA, states."""
    numbers = sum(parameter.numel() for _, parameter in job.network.named_parameters())
    width = {"float32": 4, "float16": 2, "bfloat16": 2}[saving.save_dtype]
    ends = {stage.end for stage in job.stages}
    saves = len({*range(saving.save_every, job.total_steps, saving.save_every), *ends} - set(range(step + 1)))
    kept = min(saves, saving.keep_last) if saving.keep_last else saves
    has_ema = any(stage.optimizer.ema_decay for stage in job.stages)
    states = STATES_KEPT + len(ends) - 1
    return numbers * (width * (kept + 1) + 4 * (1 + MOMENTS + has_ema) * states)


def disk_note(job: TrainJob, saving: SaveSettings, root: Path, step: int) -> str:
    """A note for the node: what a run will write, whether that fits, and what of the name may be deleted."""
    use, needed, free = disk_use(root), bytes_to_write(job, saving, step), shutil.disk_usage(root).free
    limit = "" if saving.keep_last else ", all kept steps (keep_last 0) among it"
    room = f"; only {_mb(free)} are free on the disk" if free < needed else ""
    held = ""
    if use.freeable > WORTH_TELLING:
        places = ["earlier runs in .run"] * bool(use.earlier) + [f"LoRAs beside {root.name}"] * bool(use.aside)
        held = f"; {' and '.join(places)} hold {_mb(use.freeable)} in {root.name}, which may be deleted"
    return f"will write about {_mb(needed)}{limit}{room}{held}"


def _mb(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

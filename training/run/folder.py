"""Where a run keeps its files.

```
<loras>/<name>/<name>.safetensors               the latest LoRA of the current run
<loras>/<name>/<name>-step000200.safetensors    kept steps
<loras>/<name>/.run/lock
<loras>/<name>/.run/name                        the name that the files have, until people rename the folder
<loras>/<name>/.run/<id>/run.json               identity, plan, rates changed by hand
<loras>/<name>/.run/<id>/state-000200.state     exact state: safetensors that loaders do not list
<loras>/<name>/.run/<id>/metrics.jsonl          one line a step
<loras>/<name>/.run/<id>/base_losses.jsonl      the base model's own loss on the samples of some steps
<loras>/<name>/.run/<id>/report.json            which images and tags were learned, once it is finished
<loras>/<name>/.run/<id>/previews/              one picture a step
<loras>/<name>/.run/<id>/*.safetensors          LoRAs of a run that another one replaced
```
"""

from dataclasses import dataclass
from pathlib import Path
from re import compile as regex

from ..files.atomic import patiently, temporary_path
from .naming import is_same_name, is_too_long

LONGEST_BELOW_ROOT = 90
"""Characters of a temporary preview's path below a run's root, `.run/<id>/previews/<set>/...`."""
_STEP_FILE = regex(r"(.+)-step(\d+)\.safetensors")
_STATE_FILE = regex(r"state-(\d+)\.state")
STOPS_FILE, PICK_FILE = "stops", "pick.json"


def check_names_fit(root: Path) -> None:
    """Check that the longest file name and path of a run can be created; creates `root`.

    Raises ValueError if not: Linux allows 255 bytes per name, which 71 Chinese characters fill here; Windows without
    long paths allows 260 characters per path.
    """
    longest = temporary_path(RunFolder(root, "").step_lora(0)).name
    probe = root / longest.ljust(LONGEST_BELOW_ROOT, "x")
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        if not is_too_long(error):
            raise
        raise ValueError(
            f"name {root.name!r} is too long for the files of a run in {root.parent}; shorten it, or turn on long "
            "paths if this is Windows"
        ) from error


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run; creates no folder."""

    root: Path
    """`<loras>/<name>`."""
    run_id: str

    @property
    def name(self) -> str:
        """Name of the LoRA."""
        return self.root.name

    @property
    def private(self) -> Path:
        """Folder of everything except the LoRAs."""
        return self.root / ".run" / self.run_id

    @property
    def record(self) -> Path:
        """Identity and plan."""
        return self.private / "run.json"

    @property
    def metrics(self) -> Path:
        """Metrics, one line per step."""
        return self.private / "metrics.jsonl"

    @property
    def base_losses(self) -> Path:
        """The base model's loss on the samples of some steps; one line per step."""
        return self.private / "base_losses.jsonl"

    @property
    def previews(self) -> Path:
        """Folder of the preview pictures."""
        return self.private / "previews"

    @property
    def latest_lora(self) -> Path:
        """The LoRA that users load."""
        return self.root / f"{self.name}.safetensors"

    def step_lora(self, step: int) -> Path:
        """LoRA of one step, while this run owns its name."""
        return self.root / f"{self.name}-step{step:06d}.safetensors"

    def state(self, step: int) -> Path:
        """Exact state after a step."""
        return self.private / f"state-{step:06d}.state"

    def states(self) -> dict[int, Path]:
        """State files by step, oldest first."""
        matches = ((_STATE_FILE.fullmatch(path.name), path) for path in self.private.glob("*.state"))
        return dict(sorted((int(match.group(1)), path) for match, path in matches if match))

    @property
    def report(self) -> Path:
        """What the finished run learned, by image and tag."""
        return self.private / "report.json"

    @property
    def wanted_report(self) -> Path:
        """Marks, from the start of a run, that it is to be measured at its end."""
        return self.private / "report.wanted"

    @property
    def pictures(self) -> Path:
        """Contents of the pictures that it has trained, with those of the runs it goes on from; one a line."""
        return self.private / "pictures"

    @property
    def notes(self) -> tuple[Path, ...]:
        """What is noted of the run beside its plan and state: figures, report, pictures, stops, pick."""
        names = (STOPS_FILE, PICK_FILE)
        figures = (self.metrics, self.base_losses)
        return (
            *figures,
            *map(waiting_file, figures),
            self.report,
            self.wanted_report,
            self.pictures,
            *(self.private / name for name in names),
        )

    def step_loras(self) -> dict[int, Path]:
        """Kept LoRAs of this run by step, whether it owns its name or was replaced."""
        return step_files(self._home, self.name)

    def loras(self) -> list[Path]:
        """All of them, with the latest."""
        return lora_files(self._home, self.name)

    @property
    def _home(self) -> Path:
        return self.root if current_run(self.root) == self.run_id else self.private


def waiting_file(path: Path) -> Path:
    """Lines of a file of figures that could not be added to it."""
    return path.with_name(f"{path.name}.waiting")


def step_files(folder: Path, name: str) -> dict[int, Path]:
    """LoRAs of single steps in a folder, by step."""
    found: dict[int, Path] = {}
    for path in folder.glob("*.safetensors"):
        match = _STEP_FILE.fullmatch(path.name)
        if match and is_same_name(match.group(1), name):
            found[int(match.group(2))] = path
    return dict(sorted(found.items()))


def split_name(path: Path) -> tuple[str, str]:
    """(name, `-stepN` or nothing) of a LoRA's file."""
    match = _STEP_FILE.fullmatch(path.name)
    return (match.group(1), path.stem[len(match.group(1)) :]) if match else (path.stem, "")


def lora_files(folder: Path, name: str) -> list[Path]:
    """All LoRAs of a run in a folder: those of steps, then the latest."""
    latest = folder / f"{name}.safetensors"
    return [*step_files(folder, name).values(), *([latest] if latest.is_file() else [])]


class Unreadable(RuntimeError):
    """A file of a run exists but cannot be read now; it must not be treated as missing or damaged."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be read now: {error.strerror or error}. Nothing was changed. Close what has it open (a "
            "virus scanner, a sync program), see that its drive is connected, then queue again."
        )


def current_run(root: Path) -> str | None:
    """Id of the run that owns the visible LoRAs."""
    return read_note(root / ".run" / "current").strip() or None


def read_note(path: Path) -> str:
    """Text of a small file of a name or run; empty if there is none, or one with bytes that are no text.

    Raises:
        OSError: The system refuses to read it now.
    """
    try:
        return patiently(lambda: path.read_text(encoding="utf-8")) if path.is_file() else ""
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def run_ids(root: Path) -> list[str]:
    """Ids of all runs of a name, newest first."""
    records = sorted((root / ".run").glob("*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.parent.name for path in records]

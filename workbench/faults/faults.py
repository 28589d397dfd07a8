"""The list of faults, read from faults.txt."""

from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("faults.txt")


@dataclass(frozen=True)
class Fault:
    """A piece of code, and a faulty replacement."""

    room: str
    """Folder in which `right` occurs exactly once."""
    tests: tuple[str, ...]
    """Files below tests/ of which at least one test must fail."""
    right: str
    wrong: str

    def file(self, root: Path) -> Path:
        """Return the file that contains the right piece.

        Raises:
            ValueError: No file has it, or it occurs twice: the code has changed, and the list must follow.
        """
        texts = {path: path.read_text(encoding="utf-8") for path in sorted((root / self.room).rglob("*.py"))}
        having = [path for path, text in texts.items() for _ in range(text.count(self.right))]
        if len(having) != 1:
            raise ValueError(f"{self.room} must have this once, got it {len(having)} times: {self.right}")
        return having[0]


def read_faults(path: Path = LIST) -> list[Fault]:
    """Read the list."""
    entries = path.read_text(encoding="utf-8").split("\n@ ")[1:]
    return [_read(*entry.splitlines()) for entry in entries]


def _read(head: str, *lines: str) -> Fault:
    room, *tests = head.split()
    right, wrong = ("\n".join(line[1:] for line in lines if line.startswith(sign)) for sign in "-+")
    return Fault(room, tuple(tests), right, wrong)

"""What edits of all pictures of a folder cost, by their number: `python workbench/reliability/many_pictures.py`.

Prints seconds of processor time as rows of a table, for folders of 100, 1,000 and 5,000 pictures with captions.
"""

import argparse
import io
import runpy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    runpy.run_path(str(ROOT / "tests" / "support" / "alias.py"))["alias_pack"]()

from pack.training.data import editor  # noqa: E402
from PIL import Image  # noqa: E402


def write_pictures(folder: Path, number: int) -> list[str]:
    """Small pictures with captions; returns their names."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    for index in range(number):
        (folder / f"p{index}.png").write_bytes(picture.getvalue())
        (folder / f"p{index}.txt").write_text(f"fox, tag {index}")
    return [f"p{index}.png" for index in range(number)]


def seconds(folder: Path, names: list[str]) -> dict[str, float]:
    """Processor time of each edit."""
    gone: list[str] = []
    edits: dict[str, Callable[[], object]] = {
        "removed": lambda: gone.extend(editor.set_removed(folder, names, True)),
        "restored": lambda: editor.set_removed(folder, gone, False),
        "listed": lambda: editor.list_folder(folder),
        "marked": lambda: editor.set_marks(folder, dict.fromkeys(names, "validation")),
        "a tag renamed": lambda: editor.edit_tag(folder, "fox", "cat"),
        "captions written": lambda: editor.save_captions(folder, dict.fromkeys(names, "cat")),
    }
    spent: dict[str, float] = {}
    for what, edit in edits.items():
        start = time.process_time()
        edit()
        spent[what] = time.process_time() - start
    return spent


def main() -> None:
    """Measure each number of pictures in a folder of its own and print a row for each edit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 5000])
    counts = parser.parse_args().counts
    found: list[dict[str, float]] = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            found.append(seconds(Path(folder), write_pictures(Path(folder), count)))
    print(f"| | {' | '.join(f'{count:,} pictures' for count in counts)} |")
    print(f"| --- |{' --- |' * len(counts)}")
    for what in found[0]:
        print(f"| {what} | {' | '.join(f'{one[what]:.2f}' for one in found)} |")


if __name__ == "__main__":
    main()

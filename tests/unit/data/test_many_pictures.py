"""Editing many pictures at once: what it asks of the disk grows with their number, not with its square."""

import os
from contextlib import ExitStack

import pytest
from pack.training.data.editor import (
    edit_tag,
    keep_files,
    list_entries,
    list_some,
    save_captions,
    set_marks,
    set_removed,
)
from PIL import Image

FEW, MANY = 40, 160


class Counter:
    """Counts the system's calls that look at files, and the names that listings bring."""

    def __init__(self):
        self.total = 0

    def counting(self, call):
        def counts(*args, **kwargs):
            self.total += 1
            return call(*args, **kwargs)

        return counts

    def listing(self, scandir):
        def counts(path="."):
            with scandir(path) as entries:
                found = list(entries)
            self.total += 1 + len(found)
            return Listed(found)

        return counts


class Listed(ExitStack):
    def __init__(self, found):
        super().__init__()
        self.found = iter(found)

    def __iter__(self):
        return self.found

    def __next__(self):
        return next(self.found)


@pytest.fixture
def counted(monkeypatch):
    counter = Counter()
    for name in ("stat", "lstat", "replace", "open"):
        monkeypatch.setattr(os, name, counter.counting(getattr(os, name)))
    monkeypatch.setattr(os, "scandir", counter.listing(os.scandir))
    return counter


def pictures(folder, number):
    folder.mkdir()
    for index in range(number):
        Image.new("RGB", (4, 4)).save(folder / f"p{index}.png")
        (folder / f"p{index}.txt").write_text(f"fox, tag {index}")
    return [f"p{index}.png" for index in range(number)]


def remove_and_restore(folder, names):
    gone = set_removed(folder, names, is_removed=True)
    assert list_entries(folder) == []
    assert set_removed(folder, gone, is_removed=False) == names


EDITS = {
    "removed and restored": remove_and_restore,
    "one picture kept many times": lambda folder, names: keep_files([folder / names[0]] * len(names), folder, "fox"),
    "listed": lambda folder, names: list_some(folder, names),
    "captions": lambda folder, names: save_captions(folder, dict.fromkeys(names, "cat")),
    "tag": lambda folder, names: edit_tag(folder, "fox", "cat"),
    "marks": lambda folder, names: set_marks(folder, dict.fromkeys(names, "validation")),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_four_times_the_pictures_ask_four_times_as_much_of_the_disk(edit, tmp_path, counted, quick_disk):
    spent = []
    for number in (FEW, MANY):
        folder = tmp_path / str(number)
        names = pictures(folder, number)
        counted.total = 0
        edit(folder, names)
        spent.append(counted.total)
    assert spent[0] >= FEW / 8
    assert spent[1] <= 4.5 * spent[0]


def test_a_mask_moves_once_though_it_is_named_beside_its_picture(tmp_path, quick_disk):
    folder = tmp_path / "data"
    pictures(folder, 2)
    Image.new("L", (4, 4)).save(folder / "p0_mask.png")
    gone = set_removed(folder, ["p0.png", "p0_mask.png", "p1.png", "p1.png"], is_removed=True)
    assert gone == [".removed/p0.png", ".removed/p1.png"]
    assert not list(folder.glob("*.png"))
    assert set_removed(folder, [*gone, ".removed/p0_mask.png"], is_removed=False) == ["p0.png", "p1.png"]
    assert sorted(path.name for path in folder.glob("*.png")) == ["p0.png", "p0_mask.png", "p1.png"]

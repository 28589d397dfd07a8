"""Marks, metadata, files of runs and setups as a hand may write them: each is read or refused in words."""

import json

import pytest
from pack.tests.support.words import in_words
from pack.training.compare.store import load_choice, load_comparison, load_votes
from pack.training.data.caption_files import CaptionRules
from pack.training.data.editor import set_marks
from pack.training.data.entries import read_listing
from pack.training.data.folder import scan_folder
from pack.training.data.marks import MARKS_FILE, read_marks
from pack.training.kohya.reading import read_kohya
from pack.training.run.folder import RunFolder
from pack.training.run.lines import read_lines
from pack.training.run.picks import load_pick
from pack.training.run.record import load_record
from pack.training.run.view import run_view
from PIL import Image

DEEP = "[" * 100_000
JSONS = {
    "nothing": "",
    "blank": " \n",
    "cut": '{"validation": ["a.png"',
    "deep list": DEEP,
    "deep object": '{"a":' * 50_000,
    "list": "[]",
    "text": '"a.png"',
    "number": "1",
    "null": "null",
    "true": "true",
    "NaN": "NaN",
    "1e400": "1e400",
    "digits": "9" * 10_000,
    "object of lists": '{"validation": [1, null, {}]}',
    "unknown": '{"best": ["a.png"]}',
    "other type": '{"validation": "a.png"}',
    "both": '{"validation": ["a.png"], "regularization": ["a.png"]}',
    "twice": '{"validation": ["a.png"], "validation": []}',
    "gone": '{"validation": ["gone.png"]}',
    "outside": '{"validation": ["../x.png", "/etc/passwd"]}',
    "half a pair": '{"validation": ["\\ud800.png"]}',
    "zero byte": '{"validation": ["a\\u0000.png"]}',
    "not UTF-8": b"\xff\xfe{}",
    "UTF-16": "{}".encode("utf-16"),
    "mark at the start": "\ufeff{}",
    "long": json.dumps({"validation": ["x" * 10_000] * 100}),
    "lines": '{"a": 1}\n{"a"\n',
    "right run": json.dumps({"format": 1, "base": "", "dataset": "", "segments": [], "description": {}}),
    "run of numbers": json.dumps({"format": 1, "base": 5, "dataset": [], "segments": [], "description": 1}),
    "run with a wrong stage": json.dumps(
        {
            "format": 1,
            "base": "",
            "dataset": "",
            "description": {},
            "segments": [{"stage": "x", "key": None, "steps": "many"}],
        }
    ),
    "run of endless steps": '{"format": 1, "base": "", "dataset": "", "description": {}, "segments": [{"stage": 0, '
    '"key": "", "steps": 1e400}]}',
    "run of negative steps": '{"format": 1, "base": "", "dataset": "", "description": '
    '{}, "segments": [{"stage": 0, "key": "", "steps": -5}]}',
    "run of wrong rates": '{"format": 1, "base": "", '
    '"dataset": "", "description": {}, "segments": [], "rate_changes": [[1e400, "x"]]}',
    "run of another format": '{"format": "1"}',
    "step": '{"step": "x", "loss": "y"}\n{"step": 1}\n',
    "pick": '{"step": 1}',
    "wrong pick": '{"step": "x", "picked_at": []}',
    "votes": '[[0, 1], [0], "x", [true, {}], [0, "y"]]',
    "cells": json.dumps({"cells": [1], "run": None}),
}


def written(path, kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = JSONS[kind]
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


@pytest.mark.parametrize("kind", JSONS)
def test_marks_and_metadata_written_by_hand_are_read_or_refused(tmp_path, kind):
    (tmp_path / "set").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "set" / "a.png")
    for file, read in (
        (MARKS_FILE, lambda folder: read_marks(folder)),
        (MARKS_FILE, lambda folder: scan_folder(folder)),
        (MARKS_FILE, lambda folder: set_marks(folder, {"a.png": "validation"})),
        ("meta.json", lambda folder: scan_folder(folder, metadata=folder / "meta.json")),
    ):
        written(tmp_path / "set" / file, kind)
        before = (tmp_path / "set" / file).read_bytes()
        try:
            read(tmp_path / "set")
        except ValueError as error:
            in_words(error, tmp_path)
            assert file.partition(".")[0] in str(error) or "validation" in str(error), error
            assert (tmp_path / "set" / file).read_bytes() == before
        rules = CaptionRules(metadata=tmp_path / "set" / "meta.json")
        listing = read_listing(tmp_path / "set", rules)
        assert len(listing.entries) == 1, "a broken file hides no picture"
        (tmp_path / "set" / file).unlink(missing_ok=True)


@pytest.mark.parametrize("kind", JSONS)
def test_files_of_a_run_written_by_hand_are_read_or_left(tmp_path, kind):
    folder = RunFolder(tmp_path / "loras" / "name", "0123456789ab")
    right = json.dumps({"format": 1, "base": "", "dataset": "", "segments": [], "description": {}})
    for path in (
        folder.record,
        folder.metrics,
        folder.private / "pick.json",
        folder.previews / "abcdefabcdef" / "settings.json",
    ):
        folder.private.mkdir(parents=True, exist_ok=True)
        folder.record.write_text(right)
        written(path, kind)
        load_record(folder.record)
        list(read_lines(folder.metrics))
        load_pick(folder)
        view = run_view(folder)
        json.dumps(view, allow_nan=False)
    comparison = tmp_path / "compare"
    for name in ("comparison.json", "votes.json", "choice.json"):
        written(comparison / name, kind)
    assert all(len(vote) == 2 and all(type(cell) is int for cell in vote) for vote in load_votes(comparison))
    found = load_comparison(comparison)
    if found is not None:
        load_choice(comparison, found)


KOHYA = {
    "nothing": "",
    "deep": '{"a":' * 9999,
    "1e400": '{"learning_rate": 1e400, "network_dim": 1e400}',
    "arguments": "--network_dim=1e400 --learning_rate=nan",
    "negative": "--network_dim=-1",
    "quotes": "--a='",
    "zero byte": "--network_dim=4\0",
    "half a pair": "--comment=\ud800",
    "TOML date": "a = 1979-05-27\n--x",
    "list": "[]",
    "huge": "--network_dim=" + "9" * 5000,
    "table": "[[a]]\nb = 1\n[[a]]\n",
    "nest": "a = " + "[" * 999,
    "flags": "-- -- --- --=",
    "args": "--network_args rank_dropout=x =y conv_dim=",
    "tabs": "\t\n\r--lr\x0b=1",
}


@pytest.mark.parametrize("kind", KOHYA)
def test_a_setup_is_read_or_refused(kind):
    from pack.training.kohya import import_kohya

    for read in (read_kohya, import_kohya):
        try:
            read(KOHYA[kind])
        except ValueError as error:
            assert str(error)

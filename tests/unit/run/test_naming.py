"""Names that one system refuses, or takes for another name, are refused on all of them before anything is written."""

import pytest
from pack.training.run.naming import check_name, check_new_folders, is_same_name

RESERVED = (
    "con",
    "PRN",
    "aux",
    "nul",
    "NUL.txt",
    "com1",
    "COM9.png",
    "lpt0",
    "com\u00b2",
    "conin$",
    "CONOUT$",
    "con .a",
)
TRIMMED = ("mira.", "mira ", " mira", "mira...", ".mira", "", " ", ".")
FORBIDDEN = (
    "mira:v2",
    "a*b",
    "what?",
    'a"b',
    "<a>",
    "a|b",
    "a\\b",
    "a/b",
    "a\tb",
    "a\x00b",
    "a\x7fb",
    "half \ud83d",
    "\x1bm",
)
RIGHT = (
    "mira",
    "Mira v2",
    "mira.v2",
    "\u72d0\u72f8",
    "m\u00efra",
    "console",
    "com",
    "com10",
    "lpt",
    "nullify",
    "a_b-c (1)",
)


@pytest.mark.parametrize("name", [*RESERVED, *TRIMMED, *FORBIDDEN, "x" * 101])
def test_no_such_name_of_a_run(name):
    with pytest.raises(ValueError, match="^name "):
        check_name(name)


@pytest.mark.parametrize("name", RIGHT)
def test_names_that_every_system_takes(name, tmp_path):
    assert check_name(name) == name
    assert check_new_folders(tmp_path / name / "x.png", tmp_path, "folder").parent.name == name


@pytest.mark.parametrize("name", [name for name in (*RESERVED, *TRIMMED, *FORBIDDEN) if name not in ("", ".", "a/b")])
def test_no_such_folder_is_created_but_one_that_is_there_is_used(name, tmp_path):
    with pytest.raises(ValueError, match="^folder "):
        check_new_folders(tmp_path / "right" / name / "right", tmp_path, "folder")
    if name.isprintable():
        (tmp_path / name).mkdir()
        assert check_new_folders(tmp_path / name / "right", tmp_path, "folder")


@pytest.mark.parametrize(
    ("one", "other"), [("Mira", "mira"), ("\u00fc", "u\u0308"), ("STRASSE", "strasse"), ("\u0130", "i\u0307")]
)
def test_names_that_are_one_folder_on_some_system(one, other):
    assert is_same_name(one, other)

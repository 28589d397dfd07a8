"""What a message of an error must be, whatever it says."""

from pathlib import Path


def in_words(error: BaseException, base: Path) -> None:
    """It says something, and no path of this machine."""
    assert str(error), "the message is empty"
    assert str(base) not in str(error), error

"""Which pictures a run has trained, with those of the runs it goes on from: a held-out one among them tells little."""

from collections.abc import Set

from ..files.atomic import write_text_atomic
from .folder import RunFolder, read_note
from .found import FoundRun


def trained_pictures(found: FoundRun) -> frozenset[str]:
    """Contents of the pictures that decided the weights a run goes on from; runs of earlier versions noted none."""
    parent, root = found.record.parent, found.folder.root
    own = _noted(found.folder)
    return own | _noted(RunFolder(root, parent.partition("@")[0])) if parent else own


def note_pictures(found: FoundRun, pictures: Set[str]) -> None:
    """Notes, before it trains, that a run trains these."""
    trained = trained_pictures(found) | pictures
    if trained != _noted(found.folder):  # the file may be open elsewhere
        write_text_atomic(found.folder.pictures, "\n".join(sorted(trained)))


def _noted(folder: RunFolder) -> frozenset[str]:
    return frozenset(read_note(folder.pictures).split())

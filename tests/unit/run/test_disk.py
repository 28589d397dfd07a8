"""What a run says it will write is what it writes; what may be freed is named by run."""

import pytest
from pack.tests.support.person import OTHER_RATE, Person
from pack.training.run.disk import bytes_to_write, disk_use
from pack.training.run.saver import SaveSettings

pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.mark.parametrize("keep_last", [0, 2])
def test_what_is_said_is_what_is_written(keep_last, tmp_path):
    """Headers and figures of the tiny network weigh as much as its numbers; the rest is told to a few percent."""
    person, saving = Person(tmp_path), SaveSettings(save_every=2, save_dtype="float32", keep_last=keep_last)
    result = person.queue(steps=12, saving=saving)
    job, root = person.session.job, result.folder.root
    files = [*root.glob("*.safetensors"), *result.folder.states().values()]
    headers = sum(8 + int.from_bytes(path.read_bytes()[:8], "little") for path in files)
    assert bytes_to_write(job, saving, 0) == pytest.approx(sum(p.stat().st_size for p in files) - headers, rel=0.05)
    assert bytes_to_write(job, saving, 12) < bytes_to_write(job, saving, 0)


def test_earlier_runs_are_counted_by_id(tmp_path):
    person = Person(tmp_path)
    first = person.queue()
    second = person.queue(optimizer=OTHER_RATE)
    use = disk_use(second.folder.root)
    assert set(use.earlier) == {first.folder.run_id}
    assert use.earlier[first.folder.run_id] > 0 < use.current
    assert use.total == sum(path.stat().st_size for path in second.folder.root.rglob("*") if path.is_file()) - sum(
        path.stat().st_size for path in (second.folder.root / ".run").glob("*") if path.is_file()
    )


def test_a_copy_that_was_cut_short_is_counted(tmp_path):
    """A killed process left no record of it."""
    left = tmp_path / "mira" / ".run" / "0123456789ab"
    left.mkdir(parents=True)
    (left / "mira-step000002.safetensors").write_bytes(b"1234")
    assert disk_use(tmp_path / "mira").earlier == {"0123456789ab": 4}

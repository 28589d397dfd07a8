"""What a run that diverges leaves: the steps before it went wrong, and whatever people use."""

import pytest
import torch
from pack.tests.support.toy_model import At
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.run.folder import RunFolder, run_ids
from pack.training.run.picks import save_pick
from pack.training.run.saver import SaveSettings
from pack.training.watch.divergence import DivergenceGuard
from pack.training.watch.judge import Excess, Judge

pytestmark = pytest.mark.usefixtures("quick_disk")

FEW = SaveSettings(save_every=2, save_dtype="float32", keep_last=1)


def excess_at(monkeypatch, step, good_step):
    """The judge finds an excess at a step."""
    add = Judge.add

    def found(self, at, *rest):
        add(self, at, *rest)
        return Excess(9.0, 24, good_step) if at == step else None

    monkeypatch.setattr(Judge, "add", found)


def test_a_finished_lora_stays_where_more_steps_diverge(person, monkeypatch):
    """The judge may find that it went wrong before it was finished; people use it all the same."""
    first = person.queue(steps=6)
    before = set(person.files().values())
    excess_at(monkeypatch, 9, good_step=3)
    with pytest.raises(RuntimeError, match="step 6"):
        person.queue(steps=12)
    assert before <= person.contents()
    assert person.lora().read_bytes() == first.folder.step_lora(6).read_bytes()
    assert person.queue(steps=6).losses == ()


def test_a_picked_step_stays_where_a_run_diverges(person, monkeypatch):
    excess_at(monkeypatch, 9, good_step=3)
    picked = At(7, lambda job, state: save_pick(person_folder(person), 6))
    with pytest.raises(RuntimeError):
        person.queue("mira", picked, steps=12)
    assert set(person_folder(person).step_loras()) == {2, 6}


def person_folder(person):
    root = person.loras / "mira"
    return RunFolder(root, run_ids(root)[0])


def test_a_state_and_a_lora_of_the_last_good_step_are_kept(person, monkeypatch):
    """However late it is noticed, and however few steps are to be kept."""
    excess_at(monkeypatch, 11, good_step=3)
    monkeypatch.setattr(DivergenceGuard, "good_step", property(lambda self: 3))
    with pytest.raises(RuntimeError, match="stands at step 2"):
        person.queue(steps=12, saving=FEW)
    folder = person_folder(person)
    assert list(folder.states()) == [2] and list(folder.step_loras()) == [2]
    assert load_lora(person.lora()).metadata["ss_steps"] == "2"
    monkeypatch.undo()
    assert "continued from step 2" in person.queue(steps=12, saving=FEW).message


def test_a_lora_put_there_meanwhile_stays_where_the_run_diverges(person, monkeypatch):
    excess_at(monkeypatch, 7, good_step=1)

    def put(job, state):
        for name in ("mira.safetensors", "mira-step000005.safetensors"):
            save_lora(person.loras / "mira" / name, {"a": torch.zeros(1)}, {"ss_session_id": "elsewhere"})

    with pytest.raises(RuntimeError, match="diverged"):
        person.queue("mira", At(6, put), steps=12)
    assert all(
        set(load_lora(person.loras / "mira" / name).tensors) == {"a"}
        for name in ("mira.safetensors", "mira-step000005.safetensors")
    )

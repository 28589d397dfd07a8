"""A stage with a resolution or images of its own trains those; the stages before and after keep theirs."""

import pytest
from pack.tests.support.toy_model import ToyBase, ToyHooks, other_dataset, run, toy_dataset, toy_request
from pack.training.data.dataset import combine
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.run.lines import read_lines
from pack.training.run.saver import SaveSettings
from pack.training.session.request import ValidationSettings
from pack.training.session.session import run_training

pytestmark = pytest.mark.usefixtures("quick_disk")


class SizeRecorder(ToyBase):
    """Notes the area of the latents of every prediction."""

    def __init__(self):
        super().__init__()
        self.areas = []

    def denoise(self, noisy_BCHW, timestep_B, texts, sizes):
        self.areas.append(noisy_BCHW.shape[-2] * noisy_BCHW.shape[-1])
        return super().denoise(noisy_BCHW, timestep_B, texts, sizes)


def test_each_stage_trains_at_its_own_resolution(tmp_path):
    base = SizeRecorder()
    stages = (Stage(steps=3), Stage(steps=3, resolution=128), Stage(steps=3))
    run(toy_request(tmp_path, base=base, stages=stages, saving=SaveSettings(save_every=100)))
    small, large = (64 // 8) ** 2, (128 // 8) ** 2
    assert len(base.areas) == 9
    assert all(area <= small for area in base.areas[:3] + base.areas[6:])
    assert all(small < area <= large for area in base.areas[3:6])


class CaptionRecorder(ToyBase):
    """Notes what is trained: with the text encoder trained too, each step encodes its own captions."""

    def __init__(self):
        super().__init__()
        self.encoded = []

    def encode_text(self, captions):
        self.encoded.append(set(captions))
        return super().encode_text(captions)


def test_each_stage_trains_its_own_images_for_its_epochs(tmp_path):
    """Two epochs of three pictures, two steps of the run's five, one epoch of three again."""
    base = CaptionRecorder()
    network = NetworkSettings(rank=2, parts=("unet", "text_encoder"))
    stages = Stage(epochs=2, dataset=other_dataset()), Stage(steps=2), Stage(epochs=1, dataset=other_dataset())
    request = toy_request(tmp_path, base=base, network=network, stages=stages, saving=SaveSettings(save_every=100))
    result = run(request)
    own, of_run = ({item.captions[0] for item in data.subsets[0].items} for data in (other_dataset(), toy_dataset()))
    steps = base.encoded[:11]
    assert result.step == len(steps) == 11
    assert set.union(*steps[0:3]) == set.union(*steps[3:6]) == set.union(*steps[8:11]) == own
    assert set.union(*steps[6:8]) < of_run


def test_the_images_of_all_stages_are_measured_at_the_end(tmp_path):
    stages = Stage(steps=30, batch_size=4, dataset=other_dataset()), Stage(steps=30, batch_size=4)
    request = toy_request(tmp_path, stages=stages, saving=SaveSettings(save_every=100), is_diagnosed=True)
    assert len(run(request).diagnosis.images) == 8


def test_held_out_images_are_trained_in_no_stage(tmp_path):
    """A share of all that is trained, also where the stages' datasets share pictures."""
    both = combine([toy_dataset(), other_dataset()])
    stages = Stage(steps=1), Stage(steps=1, dataset=other_dataset()), Stage(steps=1, dataset=both)
    hooks = ToyHooks()
    run_training(toy_request(tmp_path, stages=stages, validation=ValidationSettings(share=0.5)), hooks.hooks())
    session = hooks.sessions[0]
    held_out = session.request.validation.dataset.pictures()
    assert len(held_out) == session.validation.num_images == 4
    trained = [stage.dataset or session.request.dataset for stage in session.request.stages]
    assert [data.pictures() & held_out for data in trained] == [set(), set(), set()]
    assert set.union(*(data.pictures() for data in trained)) | held_out == both.pictures()


def test_a_validation_set_must_not_be_trained_in_any_stage(tmp_path):
    given = ValidationSettings(dataset=other_dataset())
    with pytest.raises(ValueError, match="validation_dataset.*3"):
        run(toy_request(tmp_path, stages=(Stage(steps=1), Stage(steps=1, dataset=other_dataset())), validation=given))


def test_diagnosis_and_metrics_name_the_images_of_stages_with_other_datasets(tmp_path):
    """Both number their images from 0: each number is that of the step's own stage."""
    hooks = ToyHooks()
    stages = (Stage(steps=32, batch_size=4), Stage(steps=32, batch_size=4, dataset=other_dataset()))
    request = toy_request(tmp_path, stages=stages, is_diagnosed=True, saving=SaveSettings(save_every=100))
    result = run_training(request, hooks.hooks())
    first, second = hooks.sessions[0].job.data
    assert len(first.image_names) == 5 and len(second.image_names) == 3
    seen = {0: set(), 1: set()}
    for line in (line for line in read_lines(result.folder.metrics) if "samples" in line):
        seen[line["stage"]] |= {sample["image_id"] for sample in line["samples"]}
    assert seen == {0: set(range(5)), 1: set(range(3))}

    diagnosis = result.diagnosis
    assert sorted(image.name for image in diagnosis.images) == sorted([*first.image_names, *second.image_names])
    tags = {tag.name: tag.num_images for tag in diagnosis.tags}
    assert (tags["creature"], tags["landscape"]) == (5, 3)
    total = sum(tag.loss * tag.num_images for tag in diagnosis.tags if tag.name in ("creature", "landscape"))
    assert total == pytest.approx(sum(image.loss for image in diagnosis.images), rel=1e-6)

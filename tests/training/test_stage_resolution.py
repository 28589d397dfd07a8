"""A stage with a resolution of its own trains larger pictures; the stages before and after keep theirs."""

from pack.tests.toy_model import ToyBase, run, toy_request
from pack.training.run.saver import SaveSettings
from pack.training.stages import Stage


class SizeRecorder(ToyBase):
    """Notes the area of the latents of every prediction."""

    def __init__(self):
        super().__init__()
        self.areas = []

    def denoise(self, noisy_BCHW, timestep_B, texts, sizes):
        self.areas.append(noisy_BCHW.shape[-2] * noisy_BCHW.shape[-1])
        return super().denoise(noisy_BCHW, timestep_B, texts, sizes)


def test_each_stage_trains_at_its_own_resolution(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    base = SizeRecorder()
    stages = (Stage(steps=3), Stage(steps=3, resolution=128), Stage(steps=3))
    run(toy_request(tmp_path, base=base, stages=stages, saving=SaveSettings(save_every=100)))
    small, large = (64 // 8) ** 2, (128 // 8) ** 2
    assert len(base.areas) == 9
    assert all(area <= small for area in base.areas[:3] + base.areas[6:])
    assert all(small < area <= large for area in base.areas[3:6])

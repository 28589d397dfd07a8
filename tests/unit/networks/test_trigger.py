"""A trigger word with vectors of its own: what it changes, what it leaves, and what a file holds."""

import pytest
import torch
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings
from pack.training.networks.trigger import SPEED, embedding_of, trigger_attachments
from torch import nn

WORDS = {"mia": [3, 4], "oc": [7]}


class Encoder(nn.Module):
    """A table of embeddings, called as the host calls it."""

    def __init__(self, width):
        super().__init__()
        self.token_embedding = HostTable(12, width).requires_grad_(False)


class HostTable(nn.Embedding):
    def forward(self, ids, out_dtype=None):
        return super().forward(ids).to(out_dtype)


class Base:
    def __init__(self, family="sd15"):
        torch.manual_seed(0)
        self.family = family
        widths = {"text_encoder": 6, "text_encoder_2": 8} if family == "sdxl" else {"text_encoder": 6}
        self._parts = {"unet": nn.Linear(2, 2), **{part: Encoder(width) for part, width in widths.items()}}

    def parts(self):
        return self._parts

    def frozen_tensor(self, module, name):
        return getattr(module, name)

    def token_ids(self, part, text):
        return [token for word in text.split() for token in WORDS.get(word, [])]


def network(base, word="mia", tensors=None):
    settings = NetworkSettings(parts=(), trigger_embedding=word)
    return Network(trigger_attachments(base, word, tensors), settings)


def moved(made):
    with torch.no_grad():
        for number, (_, parameter) in enumerate(made.named_parameters(), 1):
            parameter.fill_(0.1 * number)
    return made


IDS = torch.tensor([[0, 3, 4, 5, 3, 1], [4, 3, 4, 3, 4, 2]])
AT = torch.tensor([[0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_word_s_tokens_change_where_they_follow_each_other_and_nowhere_else(dtype):
    base = Base()
    table = base.parts()["text_encoder"].token_embedding
    before = table(IDS, out_dtype=dtype)
    made = moved(network(base))
    with made.attached():
        after = table(IDS, out_dtype=dtype)
    assert after.dtype == dtype
    expected = (AT[..., None] * (SPEED * 0.1)).expand_as(before).to(dtype)
    torch.testing.assert_close(after - before, expected, rtol=1e-2 if dtype == torch.float16 else 1e-5, atol=1e-3)
    assert torch.equal(table(IDS, out_dtype=dtype), before), "nothing stays behind"


def test_nothing_is_changed_before_training_and_a_text_that_is_too_short_is_left():
    base = Base()
    table = base.parts()["text_encoder"].token_embedding
    with network(base).attached():
        assert torch.equal(table(IDS, out_dtype=torch.float32), table.weight[IDS])
        assert table(torch.tensor([[3]]), out_dtype=torch.float32).shape == (1, 1, 6)


def test_gradients_reach_the_vectors_alone():
    base = Base()
    table = base.parts()["text_encoder"].token_embedding
    made = network(base)
    with made.attached():
        table(IDS, out_dtype=torch.float32).sum().backward()
    ((name, parameter),) = made.named_parameters()
    assert name == "bundle_emb.mia.clip_l"
    assert torch.equal(parameter.grad, torch.full((2, 6), SPEED * 3)), "the word stands there three times"
    assert table.weight.grad is None


@pytest.mark.parametrize(("family", "names"), [("sd15", {"string_to_param.*"}), ("sdxl", {"clip_l", "clip_g"})])
def test_a_file_holds_the_changed_vectors_and_is_trained_on(family, names):
    base = Base(family)
    made = moved(network(base))
    tensors = made.state_dict()
    assert {key.removeprefix("bundle_emb.mia.") for key in tensors} == names
    own = base.parts()["text_encoder"].token_embedding.weight[WORDS["mia"]]
    vectors = tensors[f"bundle_emb.mia.{'string_to_param.*' if family == 'sd15' else 'clip_l'}"]
    torch.testing.assert_close(vectors, own + SPEED * 0.1)
    again = network(base, tensors=tensors)
    for (_, one), (_, two) in zip(made.named_parameters(), again.named_parameters(), strict=True):
        torch.testing.assert_close(one, two)
    assert set(embedding_of(tensors)) == ({"emb_params"} if family == "sd15" else names)
    assert embedding_of({"lora_unet_x.alpha": torch.ones(1)}) == {}


def test_vectors_of_another_word_are_refused():
    base = Base()
    tensors = {key.replace("mia", "oc"): tensor for key, tensor in network(base).state_dict().items()}
    with pytest.raises(ValueError, match="trigger_embedding.*1 tokens"):
        network(base, "oc", tensors)


def test_a_word_without_tokens_and_a_base_without_text_encoders_are_refused():
    with pytest.raises(ValueError, match="nothing"):
        network(Base(), "nothing")
    base = Base()
    del base.parts()["text_encoder"]
    with pytest.raises(ValueError, match="CLIP"):
        network(base)


def test_no_part_is_for_a_trigger_alone():
    with pytest.raises(ValueError, match="parts"):
        NetworkSettings(parts=())
    assert NetworkSettings(parts=(), trigger_embedding="mia").trigger_embedding == "mia"

"""The change of a weight equals LyCORIS' own, for each algorithm on linear layers and convolutions."""

import pytest
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from pack.tests.support.cases import combined
from pack.training.networks import dora, oft
from pack.training.tools.deltas import algorithm_of, bias_change, delta_weight, needs_weight

# Merging, LyCORIS multiplies the scale of these in twice (training, once): scale 1 here, others against the host.
SCALED_ONCE = {"alpha": 4}
CASES = {
    "lora": (LoConModule, {}),
    "lora tucker": (LoConModule, {"use_tucker": True}),
    "lora scalar": (LoConModule, {"use_scalar": True}),
    "dora columns": (LoConModule, {"weight_decompose": True, "wd_on_out": False}),
    "dora rows": (LoConModule, {"weight_decompose": True, "wd_on_out": True}),
    "loha": (LohaModule, SCALED_ONCE),
    "loha tucker": (LohaModule, {"use_tucker": True} | SCALED_ONCE),
    "loha dora": (LohaModule, {"weight_decompose": True, "wd_on_out": False} | SCALED_ONCE),
    "lokr": (LokrModule, {"factor": 4} | SCALED_ONCE),
    "lokr both": (LokrModule, {"factor": 4, "decompose_both": True, "lora_dim": 1, "alpha": 1}),
    "lokr full": (LokrModule, {"full_matrix": True}),
    "lokr tucker": (LokrModule, {"factor": 2, "use_tucker": True, "lora_dim": 2, "alpha": 2}),
    "glora": (GLoRAModule, {}),
    "oft": (DiagOFTModule, {}),
    "oft constrained": (DiagOFTModule, {"constraint": 0.01}),
    "oft rescaled": (DiagOFTModule, {"rescaled": True}),
    "boft": (ButterflyOFTModule, {}),
    "boft constrained rescaled": (ButterflyOFTModule, {"constraint": 0.01, "rescaled": True}),
    "ia3 out": (IA3Module, {}),
    "ia3 in": (IA3Module, {"train_on_input": True}),
}
LAYERS = {
    "linear": lambda: torch.nn.Linear(24, 32),
    "conv 1x1": lambda: torch.nn.Conv2d(24, 32, 1),
    "conv 3x3": lambda: torch.nn.Conv2d(24, 32, 3),
}


def trained(case: str, layer: torch.nn.Module) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """File tensors of a module with random values, and the change of the weight that LyCORIS makes of them."""
    kind, settings = CASES[case]
    module = kind("x", layer, 1.0, **({"lora_dim": 4, "alpha": 3} | settings))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + 0.1)
    parts = {key: tensor.detach().clone() for key, tensor in module.state_dict().items() if "org" not in key}
    with torch.no_grad():
        merged = module.get_merged_weight(1, layer.weight.shape)[0]
    return parts, merged.reshape(layer.weight.shape) - layer.weight.detach()


@pytest.mark.parametrize(("case", "layer"), combined(CASES, LAYERS))
def test_equals_lycoris(case: str, layer: str):
    base = LAYERS[layer]()
    parts, expected = trained(case, base)
    weight = base.weight.detach()
    delta = delta_weight(parts, weight)
    close(delta, expected)
    if not needs_weight(parts):
        close(delta_weight(parts, shape=weight.shape), expected)


def close(got: torch.Tensor, expected: torch.Tensor):
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_full_and_norms_are_what_the_file_holds():
    diff, bias = torch.randn(4, 3, dtype=torch.float64), torch.randn(4)
    assert torch.equal(delta_weight({"diff": diff, "diff_b": bias}), diff)
    assert torch.equal(bias_change({"diff": diff, "diff_b": bias}), bias)
    assert torch.equal(delta_weight({"w_norm": bias.half()}), bias.half().float())
    assert bias_change({"diff": diff}) is None


def test_a_scalar_in_the_file_multiplies_the_change():
    parts, _ = trained("lora", LAYERS["linear"]())
    plain = {suffix: tensor for suffix, tensor in parts.items() if suffix != "scalar"}
    close(delta_weight({**plain, "scalar": torch.tensor(0.5)}), 0.5 * delta_weight(plain))


def test_a_weight_in_the_file_replaces_the_base():
    weight, wanted = torch.randn(4, 3), torch.randn(4, 3)
    close(weight + delta_weight({"set_weight": wanted}, weight), wanted)


def test_early_glora_files_name_the_factors_the_other_way_round():
    weight = torch.randn(8, 6)
    a1, a2, b1, b2 = torch.randn(6, 2), torch.randn(2, 6), torch.randn(8, 2), torch.randn(2, 6)
    now = {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2}
    early = {"a1.weight": a2, "a2.weight": a1, "b1.weight": b2, "b2.weight": b1}
    close(delta_weight(early, weight), delta_weight(now, weight))


def test_rotations_are_orthogonal_and_capped():
    blocks, one = torch.randn(3, 5, 5, dtype=torch.float64), torch.eye(5, dtype=torch.float64)
    turn = oft.cayley_minus_one(blocks) + one
    close(turn @ turn.transpose(1, 2), one.expand(3, 5, 5))
    capped = oft.constrained({"oft_blocks": blocks, "alpha": torch.tensor(1e-4)}, 10)
    assert float(oft.cayley_minus_one(capped).norm()) <= 2.1e-3


@pytest.mark.parametrize("axis", [0, 1])
def test_dora_sets_the_length(axis: int):
    weight, delta = torch.randn(6, 4, 3, 3, dtype=torch.float64), torch.randn(6, 4, 3, 3, dtype=torch.float64)
    others = [i for i in range(4) if i != axis]
    magnitude = torch.rand(6 if axis == 0 else 4, dtype=torch.float64) + 1
    changed = weight + dora.change(weight, delta, magnitude.reshape([-1 if i == axis else 1 for i in range(4)]))
    close(torch.linalg.vector_norm(changed, dim=others), magnitude)
    cosine = torch.nn.functional.cosine_similarity
    dims = changed.transpose(0, axis).flatten(1), (weight + delta).transpose(0, axis).flatten(1)
    close(cosine(*dims), torch.ones(changed.shape[axis], dtype=torch.float64))


def test_algorithms_are_told_by_their_tensors():
    one = torch.ones(2, 2, 2)
    assert algorithm_of({"oft_blocks": one}) == "oft"
    assert algorithm_of({"oft_blocks": one[None]}) == "boft"
    assert algorithm_of({"lokr_w2": one, "lokr_w1_a": one}) == "lokr"
    assert algorithm_of({"what": one}) == "unknown"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"oft_blocks": torch.ones(1, 2, 2)}, "weight.*oft.*base model"),
        ({"diff": torch.ones(2, 2), "dora_scale": torch.ones(2, 1)}, "dora_scale"),
        ({"what": torch.ones(2)}, "algorithm must be one of .*got tensors what"),
    ],
)
def test_refuses_by_name(parts: dict[str, torch.Tensor], message: str):
    with pytest.raises(ValueError, match=message):
        delta_weight(parts)


def test_refuses_another_base_model_s_shape():
    parts = {"diff": torch.ones(2, 3)}
    with pytest.raises(ValueError, match=r"shape.*\(4, 3\).*\(2, 3\)"):
        delta_weight(parts, torch.ones(4, 3))

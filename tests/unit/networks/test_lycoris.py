"""Each algorithm's change equals that of the LyCORIS module given the same file."""

import pytest
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.dylora import DyLoraModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from pack.tests.unit.networks.layers import layer_and_input, merged, trained
from pack.training.networks.split import split

DORA = {"weight_decompose": True, "wd_on_out": False}
MODULES = {
    "lora": (LoConModule, {}),
    "rslora": (LoConModule, {"rs_lora": True}),
    "dora": (LoConModule, DORA),
    "loha": (LohaModule, {}),
    "loha dora": (LohaModule, DORA),
    "lokr": (LokrModule, {"lora_dim": 2}),
    "lokr factor": (LokrModule, {"lora_dim": 2, "factor": 2}),
    "lokr full matrix": (LokrModule, {"full_matrix": True}),
    "lokr decompose both": (LokrModule, {"lora_dim": 1, "decompose_both": True}),
    "lokr dora": (LokrModule, {"lora_dim": 2, **DORA}),
    "ia3": (IA3Module, {}),
    "glora": (GLoRAModule, {}),
    "diag-oft": (DiagOFTModule, {}),
    "boft": (ButterflyOFTModule, {}),
}


@pytest.mark.parametrize("kind", ["linear", "conv3x3"])
@pytest.mark.parametrize("algorithm", list(MODULES))
def test_change_is_that_of_lycoris(algorithm, kind):
    module, x = layer_and_input(kind)
    module, x = module.float(), x.float()
    adapter = trained(algorithm, module).float()
    make, options = MODULES[algorithm]
    theirs = make("key", module, multiplier=1.0, bypass_mode=False, **{"lora_dim": 4, "alpha": 2.0, **options})
    file = adapter.native_file_tensors()
    own = dict(theirs.named_parameters())
    assert own.keys() <= file.keys()
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(file[name].reshape(parameter.shape))
    # Where both of LoKr's factors are whole its alpha has no meaning, and LyCORIS writes another.
    if "alpha" in file and algorithm != "lokr full matrix":
        torch.testing.assert_close(theirs.state_dict()["alpha"].float(), file["alpha"], rtol=1e-6, atol=0)
    # Its forward is the reference: its get_merged_weight applies alpha / rank twice to LoHa and LoKr.
    wanted = merged(module, adapter, x)
    theirs.eval()
    theirs.apply_to()
    torch.testing.assert_close(module(x), wanted, rtol=1e-4, atol=2e-5)


def test_dylora_with_blocks_of_one_is_that_of_lycoris_at_full_rank():
    module, _ = layer_and_input("linear")
    module = module.float()
    adapter = trained("dylora", module).float()
    theirs = DyLoraModule("key", module, lora_dim=4, alpha=2.0, block_size=1)
    with torch.no_grad():
        for index in range(4):
            theirs.down_list[index].copy_(adapter.lora_down[index : index + 1])
            theirs.up_list[index].copy_(adapter.lora_up[:, index : index + 1])
    delta, _ = theirs.get_diff_weight(rank=3)
    torch.testing.assert_close(delta, adapter.delta_weight(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("size", "factor", "parts"), [(360, -1, (18, 20)), (127, -1, (1, 127)), (320, 16, (16, 20)),
                                                       (360, 16, (15, 24)), (1024, 8, (8, 128))])  # fmt: skip
def test_sizes_are_split_evenly_or_by_the_factor(size, factor, parts):
    assert split(size, factor) == parts

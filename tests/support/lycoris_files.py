"""Files of an earlier LyCORIS, written by that version itself: `tests/unit/tools/data/lycoris-VERSION.safetensors`.

    pip install --no-deps --target DIR lycoris-lora==1.8.2
    PYTHONPATH=DIR python tests/support/lycoris_files.py 1.8.2

For each case and kind of layer: its tensors by suffix, `weight` of the layer and `change`: what the version's own
forward adds for impulses. Nothing of the pack is imported.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

DATA = Path(__file__).resolve().parents[1] / "unit" / "tools" / "data"
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "locon": ("locon", "LoConModule", {}),
    "loha": ("loha", "LohaModule", {}),
    "lokr": ("lokr", "LokrModule", {"factor": 4}),
    "lokr both": ("lokr", "LokrModule", {"factor": 4, "decompose_both": True}),
    "glora": ("glora", "GLoRAModule", {}),
    "full": ("full", "FullModule", {}),
    "diag-oft": ("diag_oft", "DiagOFTModule", {}),
    "ia3": ("ia3", "IA3Module", {}),
}
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(12, 16, bias=False),
    "kernel": lambda: nn.Conv2d(8, 8, 3, padding=1, bias=False),
}


def change_of(layer: nn.Module, forward: Callable[[Tensor], Tensor], before: Tensor) -> Tensor:
    """What a forward adds to the layer's weight, by its answers to impulses."""
    if isinstance(layer, nn.Linear):
        return forward(torch.eye(layer.in_features)).T - before
    impulses = torch.zeros(8, 8, 3, 3)
    impulses[range(8), range(8), 1, 1] = 1.0
    return forward(impulses).flip(-1, -2).transpose(0, 1) - before


def made(case: str, kind: str) -> dict[str, Tensor]:
    """A module of the version with random numbers, and what it does."""
    file, name, options = CASES[case]
    layer = LAYERS[kind]().requires_grad_(False)
    constructor = getattr(importlib.import_module(f"lycoris.modules.{file}"), name)
    known = inspect.signature(constructor.__init__).parameters
    options = {key: value for key, value in options.items() if key in known}
    before = layer.weight.detach().clone()
    module = constructor("lora_unet_x", layer, 1.0, lora_dim=4, alpha=2.0, **options)
    module.apply_to()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        change = change_of(LAYERS[kind](), module.eval().forward, before)
    tensors = {f"tensor.{key}": tensor.detach().clone() for key, tensor in module.state_dict().items()}
    return {**tensors, "weight": before, "change": change.contiguous()}


def main(version: str) -> None:
    """Writes what this version can, and says what it cannot."""
    torch.manual_seed(0)
    found: dict[str, Tensor] = {}
    for case in CASES:
        for kind in LAYERS:
            try:
                parts = made(case, kind)
            except Exception as error:  # a version that lacks it, or fails at it
                print(f"{version} {case} {kind}: {type(error).__name__}: {str(error)[:90]}")
                continue
            found |= {f"{case}/{kind}/{key}": tensor.contiguous() for key, tensor in parts.items()}
    DATA.mkdir(parents=True, exist_ok=True)
    save_file(found, DATA / f"lycoris-{version}.safetensors", {"lycoris-lora": version})


if __name__ == "__main__":
    main(sys.argv[1])

"""Other trainers on the same U-Net weights, each as its makers set it up: the host's own, diffusers + peft, LyCORIS."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...training.networks.targets import select_targets
from ..layouts import diffusers_model
from .contest import STEPS, TOKENS, Case, Gate, stacked

RATE = 1e-4


class _OnlyTargets:
    """A patcher whose model lists only the wanted modules: the host's trainer has no choice of layers."""

    def __init__(self, patcher: Any, wanted: set[nn.Module]) -> None:
        self._patcher, self._wanted = patcher, wanted

    @property
    def model(self) -> "_OnlyTargets":
        """Where `named_modules` is asked."""
        return self

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """The wanted ones."""
        return ((name, m) for name, m in self._patcher.model.named_modules() if m in self._wanted)

    def add_weight_wrapper(self, key: str, adapter: Any) -> None:
        """Pass on."""
        self._patcher.add_weight_wrapper(key, adapter)


def train_with_host(case: Case, model: Any, gate: Gate, *, is_bypass: bool) -> None:
    """The host's TrainLoraNode itself; the gate stands where it updates its progress bar.

    With targets `all` it is left as it is: every layer, norms and biases. Else its adapters are kept to the case's.
    """
    from comfy_extras import nodes_train

    class Progress:
        def __init__(self, total: int) -> None:
            pass

        def update(self, value: int) -> None:
            gate()

    nodes_train.ProgressBar = Progress
    nodes_train.comfy.utils.PROGRESS_BAR_ENABLED = False
    if case.targets != "all":
        _keep_to_targets(nodes_train, case)
    settings = {
        "batch_size": case.batch, "steps": STEPS, "grad_accumulation_steps": 1, "learning_rate": RATE,
        "rank": case.rank, "optimizer": "AdamW", "loss_function": "MSE", "seed": 0, "training_dtype": "fp32",
        "lora_dtype": "fp32", "quantized_backward": False, "algorithm": "LoRA", "gradient_checkpointing": False,
        "checkpoint_depth": 1, "offloading": False, "existing_lora": "[None]", "bucket_mode": False,
        "bypass_mode": is_bypass,
    }  # fmt: skip
    nodes_train.TrainLoraNode.execute(
        model=[model],
        latents=[{"samples": image} for image in case.images()],
        positive=[[[context, {}]] for context in case.contexts()],
        **{name: [value] for name, value in settings.items()},
    )


def _keep_to_targets(nodes_train: Any, case: Case) -> None:
    for name in ("_setup_lora_adapters", "_setup_lora_adapters_bypass"):
        original = getattr(nodes_train, name)

        def kept(patcher: Any, *args: Any, original: Any = original) -> Any:
            root = {"unet": patcher.model.diffusion_model}
            wanted = {t.module for t in select_targets(root, case.layout.family, case.network())}
            return original(_OnlyTargets(patcher, wanted), *args)

        setattr(nodes_train, name, kept)


def train_with_lycoris(case: Case, model: Any, gate: Gate) -> None:
    """LyCORIS' network over the host's U-Net with its default, which builds the changed weight of each layer."""
    from lycoris.wrapper import LycorisNetwork

    root = model.model.diffusion_model
    paths = [t.path for t in select_targets({"unet": root}, case.layout.family, case.network())]
    LycorisNetwork.apply_preset({"target_module": [], "target_name": paths, "use_fnmatch": True})
    network = LycorisNetwork(
        root, lora_dim=case.rank, conv_lora_dim=case.rank, alpha=case.rank, conv_alpha=case.rank,
        network_module="locon", bypass_mode=False,
    )  # fmt: skip
    network.apply_to()
    network.requires_grad_(True)
    network.train()

    def predict(noisy_BCHW: Tensor, timestep_B: Tensor, context_BLD: Tensor) -> Tensor:
        return root(noisy_BCHW, timestep_B, context=context_BLD, transformer_options={})

    _loop(case, predict, network.parameters(), gate)


def train_with_peft(case: Case, weights: Mapping[str, Tensor], gate: Gate) -> None:
    """The U-Net of diffusers with peft's LoRA on the same layers."""
    from peft import LoraConfig

    unet = diffusers_model(case.layout, weights)
    layers = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"]
    if case.targets == "all":
        layers = [name for name, module in unet.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    unet.add_adapter(LoraConfig(r=case.rank, lora_alpha=case.rank, target_modules=layers))
    unet.train()
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    _loop(case, lambda noisy, timestep, context: unet(noisy, timestep, context).sample, trained, gate)


def _loop(case: Case, predict: Any, parameters: Iterable[nn.Parameter], gate: Gate) -> None:
    """The usual script: noise, mean squared error, clipping, AdamW."""
    parameters = list(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=RATE)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000).square()
    alphas_cumprod = (1 - betas).cumprod(0)
    generator = torch.Generator().manual_seed(3)
    images, contexts = case.images(), case.contexts()
    assert contexts[0].shape[1] == TOKENS
    for step in range(STEPS):
        latents_BCHW = stacked(images, step, case.batch)
        noise_BCHW = torch.randn(latents_BCHW.shape, generator=generator)
        timestep_B = torch.randint(0, 1000, (case.batch,), generator=generator)
        alpha_B111 = alphas_cumprod[timestep_B][:, None, None, None]
        noisy_BCHW = alpha_B111.sqrt() * latents_BCHW + (1 - alpha_B111).sqrt() * noise_BCHW
        prediction_BCHW = predict(noisy_BCHW, timestep_B, stacked(contexts, step, case.batch))
        F.mse_loss(prediction_BCHW, noise_BCHW).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        gate()

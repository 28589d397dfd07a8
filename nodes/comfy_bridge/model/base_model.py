"""MODEL, CLIP and VAE of the graph as the base model that training asks for.

Shapes: B batch, C latent channels, H W latent rows and columns, L tokens, D text width.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Literal

import comfy.model_management
import torch
from comfy.ldm.modules.attention import attention_pytorch
from torch import Tensor, nn
from torch import compile as optimized

from ....training.base_model import Checkpointing, ImageSize, ModelFamily, PartName, PredictionType, TextConditioning
from ....training.devices import upload
from .card import deterministic_kernels, prepared_card, refuse_opaque, refuse_undetermined
from .checkpointing import checkpointed_blocks
from .frozen_layers import frozen_layers
from .frozen_tensors import FrozenTensors
from .layer_checks import check_layers, checkpoint_name, has_foreign_layers
from .loading import are_loaded, give_device_to
from .model_facts import (
    TORCH_COMPILE_KWARGS,
    check_clip,
    check_latents,
    model_family,
    model_times,
    prediction_type,
    refuse_bypass,
    signal_shares,
)
from .shared_weights import SharedWeights, weights_for_autograd
from .text_training import differentiable_text_encoder, kept_loaded, token_ids
from .text_waits import encoding_on

HALF_LOSS_SCALE = 2.0**16
"""Factor on the loss of fp16 models, the usual initial value of gradient scalers."""


def _differentiable_attention(_host_choice: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """Use torch's attention: the host's choice may have no backward (Sage, Flash) or keep far more memory."""
    return attention_pytorch(*args, **kwargs)


DIFFERENTIABLE = {"optimized_attention_override": _differentiable_attention}


def compiled(denoiser: nn.Module, model: Any) -> Callable[..., Tensor]:
    """The U-Net as the graph wants it to run: with torch.compile's options if the graph uses TorchCompileModel.

    Compilation follows adapters that are attached or detached later.
    """
    options = model.model_options.get(TORCH_COMPILE_KWARGS)
    return denoiser if options is None else optimized(denoiser, **options)


def _dtype_of(model: Any) -> torch.dtype:
    """What the host computes the U-Net in; before ComfyUI 0.13 it has no name for it."""
    if hasattr(model, "get_dtype_inference"):
        return model.get_dtype_inference()
    return model.manual_cast_dtype or model.get_dtype()


class ComfyBaseModel:
    """Implements `training.base_model.BaseModel` over the objects of a graph; copies no weight."""

    def __init__(
        self,
        model: Any,
        clip: Any | None,
        vae: Any,
        gradient_checkpointing: Checkpointing | Literal["auto"] = "auto",
        *,
        is_deterministic: bool = False,
    ) -> None:
        self.model = model
        self.clip = clip
        self.vae = vae
        self.family: ModelFamily = model_family(model)
        if clip is not None:
            check_clip(clip, self.family)
        for patcher in (model, *([] if clip is None else [clip.patcher])):
            refuse_bypass(patcher)
        automatic: Checkpointing = "on" if self.family == "sdxl" else "off"
        self.gradient_checkpointing: Checkpointing = (
            automatic if gradient_checkpointing == "auto" else gradient_checkpointing
        )
        self.prediction_type: PredictionType = prediction_type(model)
        self.alphas_cumprod = signal_shares(model)
        self._times_T = model_times(model)
        self.device: torch.device = model.load_device
        refuse_opaque(self.device)
        self._is_deterministic = is_deterministic
        if is_deterministic:
            refuse_undetermined(self.device)
        self._denoiser: nn.Module = model.model.diffusion_model
        self._predict = compiled(self._denoiser, model)
        self._dtype: torch.dtype = _dtype_of(model.model)
        self._shared: SharedWeights | None = None
        self._is_text_trained = False
        self._frozen = FrozenTensors([model, *([] if clip is None else [clip.patcher])])

    @property
    def precision(self) -> str | None:
        """What the U-Net computes in, as sd-scripts names it; None for other types."""
        return {torch.float32: "no", torch.float16: "fp16", torch.bfloat16: "bf16"}.get(self._dtype)

    @property
    def loss_scale(self) -> float:
        """Gradients in an fp16 U-Net would round to zero; bfloat16 and float32 need no scaling."""
        return HALF_LOSS_SCALE if self._dtype == torch.float16 else 1.0

    def parts(self) -> Mapping[PartName, nn.Module]:
        """The U-Net and, with a CLIP connected, its text encoders; paths inside them are the host's."""
        parts: dict[PartName, nn.Module] = {"unet": self._denoiser}
        if self.clip is not None:
            stage = self.clip.cond_stage_model
            names: tuple[tuple[PartName, str], ...] = (("text_encoder", "clip_l"), ("text_encoder_2", "clip_g"))
            for part, name in names:
                encoder = getattr(stage, name, None)
                if encoder is not None:
                    parts[part] = encoder.transformer
        return parts

    def check(self, trained: Sequence[PartName]) -> None:
        """Test a layer of each unusual kind in the U-Net and the trained parts; nothing to do for usual models.

        Raises:
            ValueError: A layer cannot be trained through.
        """
        source = checkpoint_name(self.model)
        for part, root in self.parts().items():
            if part == "unet" or part in trained:
                label, patcher = ("model", self.model)
                if part != "unet" and self.clip is not None:
                    label, patcher = ("clip", self.clip.patcher)
                if has_foreign_layers(root):  # these layers compute only where the host has put them
                    with torch.inference_mode():
                        comfy.model_management.load_models_gpu([patcher])
                check_layers(root, f"{label} ({source})" if source else label, patcher.load_device)

    def device_of(self, part: PartName) -> torch.device:
        """Device of the MODEL or of the CLIP, which the host may keep on the CPU."""
        return self.device if part == "unet" or self.clip is None else self.clip.patcher.load_device

    def frozen_tensor(self, module: nn.Module, name: str) -> Tensor:
        """A module's tensor with the patches of the graph's MODEL or CLIP."""
        return self._frozen(module, name)

    def token_ids(self, part: PartName, text: str) -> list[int]:
        """The host's tokens of a text, without beginning, end and padding."""
        return token_ids(self.clip, part, text)

    def denoise(
        self, noisy_BCHW: Tensor, timestep_B: Tensor, texts: Sequence[TextConditioning], sizes: Sequence[ImageSize]
    ) -> Tensor:
        """Raw prediction of the U-Net, float32, (B, C, H, W)."""
        self._ensure_loaded()
        wanted = [noisy_BCHW, self._times_T[timestep_B.cpu()], stack_contexts([text.context_LD for text in texts])]
        if self.family == "sdxl":
            wanted += self._size_conditioning(texts, sizes)
        noisy_BCHW, times_B, context_BLD, *sizes_BD = self._placed(wanted)
        extra = {"y": torch.cat(sizes_BD, dim=1).to(self._dtype)} if sizes_BD else {}
        return self._predict(
            noisy_BCHW.to(self._dtype), times_B, context=context_BLD.to(self._dtype),
            transformer_options=DIFFERENTIABLE, **extra,
        ).float()  # fmt: skip

    def _placed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Move to the device as float32; what is on the CPU goes in one transfer that waits for nothing."""
        up = iter(upload([tensor for tensor in tensors if tensor.device.type == "cpu"], self.device))
        return [next(up) if tensor.device.type == "cpu" else tensor.to(self.device).float() for tensor in tensors]

    def _size_conditioning(self, texts: Sequence[TextConditioning], sizes: Sequence[ImageSize]) -> list[Tensor]:
        """Pooled vectors and the sizes of each image as the host encodes them, each (B, D)."""
        pooled = [text.pooled_D for text in texts if text.pooled_D is not None]
        return [torch.stack(pooled), torch.stack([self._encoded_size(size, len(pooled[0])) for size in sizes])]

    def _encoded_size(self, size: ImageSize, pooled_width: int) -> Tensor:
        (height, width), (top, left), (target_height, target_width) = (
            size.original_hw,
            size.crop_top_left,
            size.target_hw,
        )
        encoded_1D = self.model.model.encode_adm(
            pooled_output=torch.zeros(1, pooled_width), device="cpu", width=width, height=height,
            crop_w=left, crop_h=top, target_width=target_width, target_height=target_height,
        )  # fmt: skip
        return encoded_1D[0, pooled_width:]

    def encode_text(self, captions: Sequence[str]) -> list[TextConditioning]:
        """The host's own encoding of each caption (weights, long prompts, clip skip as set on the CLIP)."""
        if self.clip is None:
            raise ValueError("clip is not connected: connect the CLIP of the checkpoint to encode captions.")
        if self._is_text_trained:
            self._ensure_loaded()
        texts = []
        for caption in captions:
            tokens = self.clip.tokenize(caption)
            with encoding_on(self.device_of("text_encoder")) if self._is_text_trained else nullcontext():
                out = self.clip.encode_from_tokens(tokens, return_pooled=True, return_dict=True)
            pooled = out["pooled_output"] if self.family == "sdxl" else None
            texts.append(TextConditioning(out["cond"][0], None if pooled is None else pooled[0]))
        if not self._is_text_trained:  # otherwise the host loaded nothing
            self.refresh()
        return texts

    def encode_images(self, pixels_BHWC: Tensor) -> Tensor:
        """Scaled latents, float32 on the CPU, (B, C, H, W), of pixels in 0..1."""
        with torch.inference_mode():
            # The host's own call would go on, in tiles, with a VAE that a full memory left half on its device.
            comfy.model_management.load_models_gpu([self.vae.patcher])
            latents = self.vae.encode(pixels_BHWC)
            check_latents(latents)
            latents = self.model.model.process_latent_in(latents)
        self.reclaim()
        return latents.to("cpu", torch.float32).clone()

    def refresh(self) -> None:
        """After the host ran another model: move the trained model back to its device and let autograd see it again."""
        if self._shared is None:
            return
        if not (comfy.model_management.is_device_cpu(self.device) and are_loaded(self._trained)):
            with torch.inference_mode():
                comfy.model_management.load_models_gpu(self._trained)
        self._shared.refresh()

    def _ensure_loaded(self) -> None:
        """Others may have unloaded the trained model between two steps: a button that frees memory, a node's thread."""
        if self._shared is not None and not are_loaded(self._trained):
            self.refresh()

    def reclaim(self) -> None:
        """After a picture: unload what was loaded for it, in favor of the trained model."""
        if self._shared is not None:
            with torch.inference_mode():
                give_device_to(self._trained)
            self._shared.refresh()

    @contextmanager
    def training(self, is_text_trained: bool) -> Generator[None, None, None]:
        """Context in which gradients flow through the loaded weights; afterwards the host's objects are as before."""
        clips = [self.clip] if is_text_trained and self.clip is not None else []
        self._trained = [self.model, *(clip.patcher for clip in clips)]
        with torch.inference_mode():
            give_device_to(self._trained)
        roots: list[nn.Module] = [self.model.model, *(clip.cond_stage_model for clip in clips)]
        with ExitStack() as stack:
            if self._is_deterministic:
                stack.enter_context(deterministic_kernels())
            stack.enter_context(prepared_card(self.device))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(told_to_train((comfy.model_management, self.model.model, self._denoiser)))
            self._shared = stack.enter_context(weights_for_autograd(roots))
            stack.callback(setattr, self, "_shared", None)
            for root in roots:
                stack.enter_context(frozen_layers(root))
            stack.enter_context(checkpointed_blocks(self._denoiser, self.gradient_checkpointing))
            for clip in clips:
                stack.enter_context(differentiable_text_encoder(clip.cond_stage_model))
                stack.enter_context(kept_loaded(clip))
                self._is_text_trained = True
                stack.callback(setattr, self, "_is_text_trained", False)
            yield


@contextmanager
def told_to_train(owners: Sequence[Any]) -> Generator[None, None, None]:
    """Set the host's `in_training` flag if it has one: it then avoids operations without gradients or in place."""
    before = [(owner, owner.in_training) for owner in owners if hasattr(owner, "in_training")]
    try:
        for owner, _ in before:
            owner.in_training = True
        yield
    finally:
        for owner, value in before:
            owner.in_training = value


def stack_contexts(contexts: Sequence[Tensor]) -> Tensor:
    """(B, L, D) of contexts with different L: each is repeated to the common length, as the host does.

    Repeating all tokens equally leaves attention unchanged; padding would not.
    """
    length = math.lcm(*(context.shape[0] for context in contexts))
    return torch.stack([context.repeat(length // context.shape[0], 1) for context in contexts])

"""All adapters of a base model: create, attach, name and save them."""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..base_model import ModelFamily, PartName
from .build import Attachment, create_attachments, read_attachments
from .draws import Draws
from .layer import ReadTensor, own_tensor
from .settings import NetworkSettings
from .share import Share


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters with the same part, block weight and role, which share a learning rate."""

    part: PartName
    block_weight: float
    """Factor of the learning rate, above 0."""
    is_up: bool
    """Whether they train at LoRA+'s higher learning rate."""
    scale: float
    """alpha / rank of their adapters; 1 for algorithms without it."""
    parameters: list[tuple[str, nn.Parameter]]
    """By name, as in `named_parameters`."""


class Network:
    """Adapters on the modules of a base model; make one with `create` or `from_tensors`."""

    def __init__(self, attachments: list[Attachment], settings: NetworkSettings) -> None:
        self.attachments = attachments
        self.settings = settings
        self.adapters = [attachment.adapter for attachment in attachments]
        self._draws = Draws()
        self._forwards: list[partial[Tensor] | None] = [None] * len(attachments)
        """The forward that `attach` gave each module the last time."""
        self._is_attached = False
        self._is_training = False
        self._strength = 1.0
        for index, adapter in enumerate(self.adapters):
            adapter.bind(self._draws, index, settings.dropout, settings.rank_dropout)

    @classmethod
    def create(
        cls,
        parts: Mapping[PartName, nn.Module],
        family: ModelFamily,
        settings: NetworkSettings,
        seed: int,
        read: ReadTensor = own_tensor,
    ) -> "Network":
        """A new network with zero change. Each module's start depends on the seed and its key alone.

        The parameters can be trained even if this is called in inference mode. `read` returns the frozen weights.

        Raises:
            ValueError: the settings do not fit the base model.
        """
        with torch.inference_mode(False):
            return cls(create_attachments(parts, family, settings, seed, read), settings)

    @classmethod
    def from_tensors(
        cls,
        parts: Mapping[PartName, nn.Module],
        family: ModelFamily,
        tensors: Mapping[str, Tensor],
        settings: NetworkSettings | None = None,
        *,
        unmatched: list[str] | None = None,
        read: ReadTensor = own_tensor,
    ) -> "Network":
        """A network from a file with kohya names. Each module's tensors decide its algorithm, rank and alpha.

        The tensors are copied. `settings` adds what files do not store: dropouts, trained parts, block weights. Keys
        that belong to no module are appended to `unmatched` if a list is given.

        Raises:
            ValueError: a key belongs to no module and no `unmatched` list is given, or nothing matches.
        """
        settings = settings or NetworkSettings(parts=tuple(parts))
        with torch.inference_mode(False):
            attachments, unknown = read_attachments(parts, family, tensors, settings, read)
        if unmatched is not None:
            unmatched += unknown
        elif unknown:
            raise ValueError(
                f"every tensor of the LoRA must belong to a module of this {family} base model, got {len(unknown)} "
                f"others ({', '.join(unknown[:3])}); it is for another model family, its text encoder is missing, or "
                "it changes embeddings, which cannot be trained"
            )
        if not attachments:
            raise ValueError(f"the LoRA must hold modules of this {family} base model, got none")
        return cls(attachments, settings)

    def of_parts(self, parts: Collection[PartName]) -> "Network":
        """The same network reduced to these parts; unchanged if nothing would be left."""
        kept = [attachment for attachment in self.attachments if attachment.target.part in parts]
        return Network(kept or self.attachments, self.settings)

    def attach(self) -> None:
        """Replace the forward of each adapted module. The base model's module tree and state dict stay as they are.

        Attaching again sets the same objects, so that a compiled model need not be compiled again.
        """
        if self._is_attached:
            return
        for index, attachment in enumerate(self.attachments):
            module, known = attachment.target.module, self._forwards[index]
            if known is None or known.keywords["base"] != module.forward:
                known = partial(attachment.adapter.forward, base=module.forward)
            module.forward = self._forwards[index] = known
        self._is_attached = True

    def detach(self) -> None:
        """Restore each module's own forward, leaving no attribute behind."""
        if not self._is_attached:
            return
        for attachment in self.attachments:
            module = attachment.target.module
            attached = module.forward
            assert isinstance(attached, partial)
            base = attached.keywords["base"]
            del module.forward
            if module.forward != base:
                module.forward = base
        self._is_attached = False

    @property
    def is_attached(self) -> bool:
        """Whether the base model currently computes with the network."""
        return self._is_attached

    @contextmanager
    def attached(self) -> Generator[None]:
        """Context in which the base model computes with the network."""
        was_attached = self._is_attached
        self.attach()
        try:
            yield
        finally:
            if not was_attached:
                self.detach()

    @contextmanager
    def disabled(self) -> Generator[None]:
        """Context in which the base model computes without the network."""
        was_attached = self._is_attached
        self.detach()
        try:
            yield
        finally:
            if was_attached:
                self.attach()

    @property
    def strength(self) -> float:
        """Multiplier of the whole change while attached; files are not affected."""
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        self._strength = strength
        for adapter in self.adapters:
            adapter.set_strength(strength)

    def train(self, mode: bool = True) -> None:
        """Switch dropout and DyLoRA's draws on or off."""
        self._is_training = mode
        for adapter in self.adapters:
            adapter.train(mode)
            adapter.is_dropped = False

    def begin(self, seed: int, step: int, micro_step: int, share: Share | None = None) -> None:
        """Name the draws of the coming forward passes, and draw what holds for a whole pass."""
        self._draws.begin(seed, step, micro_step, share)
        if not self._is_training:
            return
        if self.settings.module_dropout:
            self._draw_dropped(self.settings.module_dropout)
        for purpose in dict.fromkeys(adapter.draw for adapter in self.adapters if adapter.draw):
            drawing = [adapter for adapter in self.adapters if adapter.draw == purpose]
            for adapter, number in zip(drawing, self._draws.uniform(purpose, len(drawing)), strict=True):
                adapter.begin_pass(number)

    def see_noise(self, noise_B: Tensor) -> None:
        """Set the noise level of each sample of the coming passes, 0..1; holds until the next `begin`."""
        self._draws.noise_B = noise_B

    def _draw_dropped(self, rate: float) -> None:
        dropped = [number < rate for number in self._draws.uniform("module_dropout", len(self.adapters))]
        # A pass without any adapter has no gradient.
        dropped[0] = dropped[0] and not all(dropped)
        for adapter, is_dropped in zip(self.adapters, dropped, strict=True):
            adapter.is_dropped = is_dropped

    def to(self, device: torch.device) -> "Network":
        """Move the parameters; they stay the same objects."""
        for adapter in self.adapters:
            adapter.to(device)
        return self

    def to_parts(self, device_of: Callable[[PartName], torch.device]) -> "Network":
        """Move each part's parameters to the device that the part computes on."""
        for attachment in self.attachments:
            attachment.adapter.to(device_of(attachment.target.part))
        return self

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Every parameter as `<key>.<name>`, in the order of the model."""
        for attachment in self.attachments:
            for name, parameter in attachment.adapter.named_parameters():
                yield f"{attachment.target.key}.{name}", parameter

    def parameter_groups(self) -> list[ParameterGroup]:
        """Trained parameters by part, block weight and LoRA+ role."""
        groups: dict[tuple[PartName, float, bool, float], list[tuple[str, nn.Parameter]]] = {}
        for attachment in self.attachments:
            if attachment.block_weight == 0:
                continue
            adapter = attachment.adapter
            for name, parameter in adapter.named_parameters():
                role = (attachment.target.part, attachment.block_weight, name in adapter.up_names, adapter.base_scale)
                groups.setdefault(role, []).append((f"{attachment.target.key}.{name}", parameter))
        return [ParameterGroup(*role, parameters) for role, parameters in groups.items()]

    @torch.no_grad()
    def state_dict(self, dtype: torch.dtype = torch.float32, *, native: bool = False) -> dict[str, Tensor]:
        """The tensors of a file: copies on the CPU under kohya's names, alpha per module, contiguous.

        `native` writes (IA)^3 in LyCORIS's form, which ComfyUI does not read.
        """
        return {
            f"{attachment.target.key}.{suffix}": tensor.to("cpu", dtype, copy=True).contiguous()
            for attachment in self.attachments
            for suffix, tensor in (
                attachment.adapter.native_file_tensors() if native else attachment.adapter.file_tensors()
            ).items()
        }

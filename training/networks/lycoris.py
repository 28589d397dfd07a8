"""Any algorithm of the installed LyCORIS, computed by the library's own modules.

https://github.com/KohakuBlueleaf/LyCORIS. One of its modules stands beside each layer and is asked for its change of
the weight; the frozen weight it sees is float32, whatever the host keeps. Algorithms of this pack's own are the faster
way (docs/comparison.md); this one is for all others. Files: the library's tensors where their formula is known here,
else the same change as a product of two thin matrices, or whole.

Shapes: O out, I in, K kernel, R rank.
"""

import copy
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..rng import derived_seed
from . import dora, lokr
from .adapter import Adapter, Forward, frobenius
from .algorithm import SIZES, Algorithm, Start
from .layer import Layer
from .lora import FORM
from .lycoris_arguments import LycorisArguments, module_class, parsed
from .lycoris_library import FrozenLayer, masked, placed, seeded, stand_in, weight_change
from .rebuild import RebuiltAdapter
from .thin import NOTHING, is_alike, thin

if TYPE_CHECKING:
    from .settings import NetworkSettings

BISECTIONS = 20


class LycorisAdapter(RebuiltAdapter):
    """A module of the library beside one layer."""

    def __init__(self, layer: Layer, module: nn.Module, rank: int, *, is_bypass: bool) -> None:
        super().__init__(layer)
        self.module: Any = module
        self.rank, self.is_bypass = rank, is_bypass
        self.base_scale = float(getattr(module, "scale", 1.0))
        self.up_names = frozenset(name for name, _ in self.named_parameters() if ".lora_up." in name)
        self._start = [parameter.detach().clone() for parameter in self.parameters()]
        module.train(False)

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """Frozen output plus the change; T-LoRA's of each sample with the ranks that its noise level leaves."""
        if self.is_dropped:
            return base(x)
        noise_B = self.draws.noise_B if self.training and hasattr(self.module, "mask_group_id") else None
        if noise_B is None or len(noise_B) != x.shape[0]:
            return self._with_change(x, base, None)
        shares = [float(share) for share in noise_B]
        return torch.cat([self._with_change(x[i : i + 1], base, share) for i, share in enumerate(shares)])

    def _with_change(self, x: Tensor, base: Forward, noise: float | None) -> Tensor:
        if self.is_bypass:
            with self._drawing(x.device), masked(noise, self.rank), placed(self.module, org_forward=base):
                return self.module.bypass_forward(x, self.strength)
        return self._with_delta(x, base, lambda: self._drawn(noise))

    def _drawn(self, noise: float | None) -> Tensor:
        with self._drawing(self._device), masked(noise, self.rank):
            return self._change()

    def drawn_delta(self) -> Tensor:
        """The change of this pass with the library's own draws."""
        return self._drawn(None)

    def delta_weight(self) -> Tensor:
        """The library's change without its draws, (O, I, K, K)."""
        was_training = self.module.training
        self.module.train(False)
        try:
            return self._change()
        finally:
            self.module.train(was_training)

    def _change(self) -> Tensor:
        return weight_change(self.module, self._device)

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device

    @contextmanager
    def _drawing(self, device: torch.device) -> Generator[None]:
        """The library draws from the global generators: they are set for this pass and put back."""
        if not self.training:
            yield
            return
        draws = self.draws
        with seeded(derived_seed(draws.seed, "lycoris", draws.step, draws.micro_step, self.index), device):
            yield

    @torch.no_grad()
    def shrink(self, ratio: float) -> None:
        """Go back toward the start, where there is no change, until the change has the wanted norm."""
        wanted, low, high = ratio * float(self.delta_norm()), 0.0, 1.0
        now = [parameter.detach().clone() for parameter in self.parameters()]
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            self._move(now, middle)
            low, high = (middle, high) if float(self.delta_norm()) < wanted else (low, middle)
        self._move(now, low)

    def _move(self, now: list[Tensor], share: float) -> None:
        for parameter, start, end in zip(self.parameters(), self._start, now, strict=True):
            parameter.copy_(torch.lerp(start.to(end), end, share))

    @torch.no_grad()
    def file_tensors(self) -> dict[str, Tensor]:
        """The library's own where this pack reads them as they were trained, else the change itself."""
        change = self.delta_weight().detach()
        own = lokr.without_core({name: tensor.detach() for name, tensor in self.module.state_dict().items()})
        if self._is_read(own, change):
            return own
        return thin(change, self.rank) or {"diff": change}

    def _is_read(self, own: dict[str, Tensor], change: Tensor) -> bool:
        from .algorithms import form_of  # which lists this file

        tensors = {name: tensor.to(change) for name, tensor in own.items()}
        form = form_of(tensors)
        if form is None or form.delta is None or form.loaders == "none":
            return False
        if own.keys() - {"dora_scale", *form.tensors}:
            return False
        weight = self.layer.weight(change.device)
        read = form.delta(tensors, weight).reshape(change.shape)
        if "dora_scale" in tensors:
            read = dora.change(weight, read, tensors["dora_scale"])
        return is_alike(read, change, weight)


def _create(start: Start) -> Adapter:
    arguments = parsed(start.settings.lycoris_arguments)
    seed = int(torch.randint(2**62, (), generator=start.generator))
    with seeded(seed, torch.device("cpu")):
        try:
            module = _module(start, arguments)
        except (ValueError, NotImplementedError, AssertionError, RuntimeError) as error:
            raise ValueError(f"{_at(start, arguments)}: {error}; leave the layer out with exclude") from error
    adapter = LycorisAdapter(start.layer, module, start.rank, is_bypass=bool(arguments.options.get("bypass_mode")))
    module.org_module = [FrozenLayer(start.layer, module)]
    _check_start(adapter, start, arguments)
    if adapter.is_bypass:
        _check_bypass(adapter, start, arguments)
    return adapter


def _module(start: Start, arguments: LycorisArguments) -> Any:
    settings = start.settings
    options = {"bypass_mode": False, "wd_on_out": False, **arguments.options}
    return module_class(arguments.algo)(
        "",
        stand_in(start.layer),
        1.0,
        start.rank,
        start.alpha,
        settings.dropout,
        settings.rank_dropout,
        0.0,
        **options,
    )


@torch.no_grad()
def _check_start(adapter: LycorisAdapter, start: Start, arguments: LycorisArguments) -> None:
    """Refuses what does not fit the layer, or changes the model before anything is trained."""
    try:
        change = adapter.delta_weight()
    except RuntimeError as error:
        raise ValueError(f"{_at(start, arguments)}: {error}; choose targets without it, or exclude") from error
    weight = start.layer.weight(change.device)
    if change.shape != weight.shape or bool(frobenius(change) > NOTHING * frobenius(weight)):
        raise ValueError(f"{_at(start, arguments)} changes the model before training; leave the layer out with exclude")


@torch.no_grad()
def _check_bypass(adapter: LycorisAdapter, start: Start, arguments: LycorisArguments) -> None:
    """Refuses a bypass that computes something else than the change that a file holds, tried with other numbers."""
    source = torch.Generator().manual_seed(0)
    is_right = False
    with placed(adapter.module, org_module=[]):  # the host's layer may be large, or packed
        tried: Any = copy.deepcopy(adapter.module)
    tried.org_module = [stand_in(start.layer)]
    for parameter in tried.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=source))
    tail = [8] * (len(start.layer.weight_shape) - 2)
    x = torch.randn(2, start.layer.in_size, *tail, generator=source)
    whole = start.layer.operation()
    weight = start.layer.weight(torch.device("cpu"))
    bias = torch.randn(start.layer.out_size, *[1] * len(tail), generator=source)
    held = whole(x, weight_change(tried, torch.device("cpu")))
    base = whole(x, weight) + bias
    with placed(tried, org_forward=partial(_same, base)), suppress(RuntimeError):
        beside = tried.bypass_forward(x, 1.0) - base
        is_right = bool(frobenius(beside - held) <= 1e-3 * frobenius(held))
    if not is_right:
        raise ValueError(
            f"{_at(start, arguments)}: bypass_mode=True trains another change than its file holds; leave it out"
        )


def _same(output: Tensor, x: Tensor) -> Tensor:
    """A copy, which the library may change in place."""
    return output.clone()


def _at(start: Start, arguments: LycorisArguments) -> str:
    return f"lycoris_arguments: algo={arguments.algo} on {start.path} {tuple(start.layer.weight_shape)}"


def _check(settings: "NetworkSettings") -> None:
    arguments = parsed(settings.lycoris_arguments)
    if settings.dropout and not arguments.options.get("bypass_mode"):
        raise ValueError(
            f"dropout must be 0 with algorithm lycoris, got {settings.dropout}: the library has it with "
            "bypass_mode=True alone; use rank_dropout"
        )


ALGORITHMS = (
    Algorithm(
        name="lycoris",
        form=FORM,
        create=_create,
        options=frozenset({"lycoris_arguments", "dropout", "rank_dropout", "rank_stabilized"}),
        sizes=SIZES,
        check=_check,
    ),
)

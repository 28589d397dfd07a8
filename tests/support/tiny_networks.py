"""Small stand-ins for the parts of a base model, with the host's module names."""

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """One attention with the host's names; 64 wide, context 48."""

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Dropout(0.0))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        query, key, value = self.to_q(x), self.to_k(context), self.to_v(context)
        return self.to_out((query @ key.mT / query.shape[-1] ** 0.5).softmax(-1) @ value)


class Transformer(nn.Module):
    """proj_in, one block, proj_out, as in SD1.5 (1 x 1 convolutions)."""

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.proj_in = nn.Conv2d(width, width, 1)
        block = nn.Module()
        block.attn2 = Attention(width, context)
        block.norm2 = nn.LayerNorm(width)
        self.transformer_blocks = nn.ModuleList([block])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        hidden = self.proj_in(self.norm(x))
        tokens = hidden.flatten(2).mT
        block = self.transformer_blocks[0]
        tokens = tokens + block.attn2(block.norm2(tokens), context)
        return x + self.proj_out(tokens.mT.reshape(hidden.shape))


class ResBlock(nn.Module):
    """The convolutions of a resnet block with the host's names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Dropout(0.0), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        hidden = self.in_layers(x) + self.emb_layers(emb)[..., None, None]
        return x + self.out_layers(hidden)


class TinyUNet(nn.Module):
    """One level: conv in, resnet + transformer, middle, resnet + transformer, conv out."""

    def __init__(self, width: int = 64, context: int = 48) -> None:
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(16, width), nn.SiLU(), nn.Linear(width, width))
        self.input_blocks = nn.ModuleList(
            [
                nn.ModuleList([nn.Conv2d(4, width, 3, padding=1)]),
                nn.ModuleList([ResBlock(width), Transformer(width, context)]),
            ]
        )
        self.middle_block = nn.ModuleList([ResBlock(width), Transformer(width, context), ResBlock(width)])
        self.output_blocks = nn.ModuleList([nn.ModuleList([ResBlock(width), Transformer(width, context)])])
        self.out = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, x: Tensor, emb: Tensor, context: Tensor) -> Tensor:
        emb = self.time_embed(emb)
        hidden = self.input_blocks[0][0](x)
        for resnet, transformer in (self.input_blocks[1], self.middle_block[:2], self.output_blocks[0]):
            hidden = transformer(resnet(hidden, emb), context)
        return self.out(self.middle_block[2](hidden, emb))


class TinyTextEncoder(nn.Module):
    """Two CLIP layers with the host's names, weights only."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers = []
        for _ in range(2):
            layer = nn.Module()
            layer.self_attn = nn.ModuleDict(
                {name: nn.Linear(width, width) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
            )
            layer.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
            layers.append(layer)
        self.text_model = nn.Module()
        self.text_model.encoder = nn.Module()
        self.text_model.encoder.layers = nn.ModuleList(layers)
        self.text_projection = nn.Linear(width, width, bias=False)


def tiny_parts() -> dict[str, nn.Module]:
    """A U-Net and a text encoder with seeded, frozen weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = {"unet": TinyUNet(), "text_encoder": TinyTextEncoder()}
    for part in parts.values():
        part.requires_grad_(False)
    return parts


def tiny_inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """(x, emb, context) for a TinyUNet."""
    source = torch.Generator().manual_seed(1)
    shapes = ((2, 4, 4, 4), (2, 16), (2, 5, 48))
    return tuple(torch.randn(shape, generator=source, dtype=torch.float32).to(dtype) for shape in shapes)

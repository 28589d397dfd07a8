"""Small LoRAs of every algorithm for one module, with values like trained ones."""

import torch
from torch import Tensor

NAME = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
CONV = "lora_unet_down_blocks_0_resnets_0_conv1"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"
OUT, IN = 24, 20


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(hash((shape, seed)) % 2**31)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * 0.3


def low_rank(rank: int = 4, alpha: float = 3.0, *, kernel: int = 1, seed: int = 0) -> dict[str, Tensor]:
    tail = (kernel, kernel) if kernel > 1 else ()
    ones = (1, 1) if kernel > 1 else ()
    return {
        "lora_down.weight": draw(rank, IN, *tail, seed=seed),
        "lora_up.weight": draw(OUT, rank, *ones, seed=seed + 1),
        "alpha": torch.tensor(alpha, dtype=torch.float64),
    }


def of_algorithm(algorithm: str, seed: int = 0) -> dict[str, Tensor]:
    """A linear module's tensors; ranks and alphas differ between the algorithms."""
    alpha = {"alpha": torch.tensor(2.0, dtype=torch.float64)}
    made = {
        "lora": lambda: low_rank(seed=seed),
        "loha": lambda: {
            **alpha,
            **{f"hada_w{i}_a": draw(OUT, 3, seed=seed + i) for i in (1, 2)},
            **{f"hada_w{i}_b": draw(3, IN, seed=seed + i + 2) for i in (1, 2)},
        },
        "lokr": lambda: {
            **alpha,
            "lokr_w1": draw(4, 4, seed=seed),
            "lokr_w2_a": draw(6, 2, seed=seed),
            "lokr_w2_b": draw(2, 5, seed=seed),
        },
        "lokr full": lambda: {"lokr_w1": draw(4, 4, seed=seed), "lokr_w2": draw(6, 5, seed=seed)},
        "full": lambda: {"diff": draw(OUT, IN, seed=seed), "diff_b": draw(OUT, seed=seed)},
        "dora": lambda: low_rank(seed=seed) | {"dora_scale": draw(1, IN, seed=seed).abs() + 1},
        "glora": lambda: {
            **alpha,
            "a1.weight": draw(IN, 2, seed=seed),
            "a2.weight": draw(2, IN, seed=seed),
            "b1.weight": draw(OUT, 2, seed=seed),
            "b2.weight": draw(2, IN, seed=seed),
        },
        "oft": lambda: {"oft_blocks": draw(6, 4, 4, seed=seed)},
        "boft": lambda: {"oft_blocks": draw(2, 6, 4, 4, seed=seed)},
        "ia3": lambda: {"weight": draw(IN, seed=seed), "on_input": torch.tensor(1)},
    }
    return made[algorithm]()


ALGORITHMS = ("lora", "loha", "lokr", "lokr full", "full", "dora", "glora", "oft", "boft", "ia3")
FROM_FILE_ALONE = ("lora", "loha", "lokr", "lokr full", "full")


def named(name: str, parts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{suffix}": tensor for suffix, tensor in parts.items()}

"""Cost of the LoRA tools at SDXL's size: `start.py tools`; prints JSON.

Each runs as users run it, by `python -m training.tools`, on random LoRAs of rank 32 on attention and feed-forward, and
on two random U-Nets of the full layout that differ by a known change of rank 4.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from ...tests.support.paths import CACHE, ROOT
from ...training.base_model import PartName
from ...training.files.layout import file_order, header_bytes
from ...training.files.lora_file import load_lora, save_lora
from ...training.files.names import UNET_PREFIX, unet_name
from ...training.networks.network import Network
from ...training.networks.settings import NetworkSettings
from ..layouts import SDXL, _empty_model, weight_shapes

RANK, CHANGE_RANK = 32, 4
LORA_SIZE = 0.02
"""Standard deviation of a LoRA's numbers."""
SAMPLE = "middle_block.1.transformer_blocks.0.attn1.to_q.weight"
PREFIX = "model.diffusion_model."
TOOK = re.compile(r"took ([\d.]+) s \(([\d.]+) s of processor time\)(?:, (\d+) MiB of memory above)?")
JOBS = {
    "resize to rank 16": "resize a --rank 16",
    "resize by energy (sv_fro 0.9)": "resize a --rank 32 --rank-method sv_fro --threshold 0.9",
    "merge two, exact": "merge a b",
    "merge two to rank 32": "merge a b --rank 32",
    "merge two, TIES": "merge a b --method ties --rank 32",
    "merge two, DARE": "merge a b --method dare --rank 32",
}


def main(_: list[str]) -> None:
    """Print `run`'s measurements of each job, and the size of a file."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="tools-") as name:
        folder = Path(name)
        for seed, letter in enumerate("ab"):
            write_lora(folder / f"{letter}.safetensors", seed)
        result: dict[str, Any] = {"file_mib": (folder / "a.safetensors").stat().st_size / 2**20, "jobs": {}}
        for title, command in JOBS.items():
            result["jobs"][title] = run(folder, command)
        write_unet(folder / "original.safetensors", lambda name, weight: weight)
        write_unet(folder / "tuned.safetensors", lambda name, weight: (weight.float() + change(name, weight)).half())
        result["unet_gib"] = (folder / "tuned.safetensors").stat().st_size / 2**30
        command = f"extract original tuned --unet-only --rank {CHANGE_RANK} --dtype fp32"
        result["jobs"][f"extract rank {CHANGE_RANK} from two U-Nets"] = run(folder, command)
        result["extract_error"] = extract_error(folder)
    print(json.dumps(result))


def run(folder: Path, command: str) -> list[float]:
    """Seconds, CPU seconds, MiB of memory and MiB of files read of a command.

    The words a, b, original and tuned are replaced by files.
    """
    words = [str(folder / f"{w}.safetensors") if w in ("a", "b", "original", "tuned") else w for w in command.split()]
    arguments = [sys.executable, "-m", "training.tools", *words, "-o", str(folder / "out.safetensors"), "--overwrite"]
    done = subprocess.run(arguments, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    found = TOOK.search(done.stdout)
    if done.returncode or found is None:
        raise RuntimeError(f"{command} failed:\n{done.stdout}\n{done.stderr}")
    read_mib = sum(Path(word).stat().st_size for word in words if word.startswith(str(folder))) / 2**20
    return [*(float(number) for number in found.groups(default="nan")), read_mib]


def write_lora(path: Path, seed: int) -> None:
    """A LoRA of random numbers."""
    parts: dict[PartName, Any] = {"unet": _empty_model(SDXL).diffusion_model}
    network = Network.create(parts, "sdxl", NetworkSettings(rank=RANK, alpha=RANK), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: tensor if name.endswith("alpha") else LORA_SIZE * torch.randn(tensor.shape, generator=generator)
        for name, tensor in network.state_dict().items()
    }
    save_lora(path, {name: tensor.half() for name, tensor in tensors.items()}, {})


def write_unet(path: Path, changed: Callable[[str, Tensor], Tensor]) -> None:
    """A checkpoint with a U-Net of random fp16 weights, each passed through `changed`, written one by one."""
    tensors = dict(_weights())
    with path.open("wb") as file:
        file.write(header_bytes({name: torch.empty(shape, dtype=torch.float16, device="meta")
                                 for name, shape in tensors.items()}, {}))  # fmt: skip
        for name in file_order({name: torch.empty(0, dtype=torch.float16) for name in tensors}):
            generator = torch.Generator().manual_seed(sum(name.encode()))
            shape = tensors[name]
            weight = (torch.randn(shape, generator=generator) * (prod(shape[1:]) or 1) ** -0.5).half()
            file.write(changed(name, weight).numpy().tobytes())


def change(name: str, weight: Tensor) -> Tensor:
    """The tuned weight minus the original: rank 4 in linear layers of transformers, else 0."""
    if weight.dim() != 2 or "transformer_blocks" not in name:
        return torch.zeros_like(weight, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1 + sum(name.encode()))
    up, down = (
        torch.randn(size, generator=generator)
        for size in ((weight.shape[0], CHANGE_RANK), (CHANGE_RANK, weight.shape[1]))
    )
    return LORA_SIZE * up @ down


def extract_error(folder: Path) -> float:
    """Distance of an extracted layer from the known change, relative to it."""
    tensors = load_lora(folder / "out.safetensors").tensors
    module = UNET_PREFIX + unet_name(SAMPLE.removesuffix(".weight").replace(".", "_"), "sdxl")
    up, down = (tensors[f"{module}.lora_{side}.weight"].float() for side in ("up", "down"))
    with safetensors.safe_open(folder / "original.safetensors", "pt") as file:
        known = change(PREFIX + SAMPLE, file.get_tensor(PREFIX + SAMPLE))
    scale = float(tensors[f"{module}.alpha"]) / len(down)
    return float((scale * up @ down - known).norm() / known.norm())


def _weights() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "conditioner.embedders.1.model.logit_scale", ()
    for name, shape in weight_shapes(SDXL).items():
        yield PREFIX + name, shape

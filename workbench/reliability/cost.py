"""What recognizing a run costs a user at each queue: `python workbench/reliability/cost.py`.

First the digests of MODEL, CLIP and VAE at SDXL's sizes, from a file of random fp16 weights that the host's own loader
reads (5 GB on disk, 8 GB of RAM). Then, on a real server with the pocket model, the time from
queueing to the first step: of a first run, of a second one with another learning rate, and until a finished run has
returned. The same with a U-Net of SD1.5's size and random weights, pictures of 256².
"""

import argparse
import hashlib
import runpy
import tempfile
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    runpy.run_path(str(ROOT / "tests" / "support" / "alias.py"))["alias_pack"]()

import torch  # noqa: E402
from pack.tests.support.client import ComfyClient  # noqa: E402
from pack.tests.support.events import Event  # noqa: E402
from pack.tests.support.graphs import Prompt, node, run_folder, training_graph, write_dataset  # noqa: E402
from pack.tests.support.inprocess import HostModules, import_comfyui  # noqa: E402
from pack.tests.support.paths import CHECKPOINTS, POCKET_CHECKPOINT, comfyui_folder  # noqa: E402
from pack.tests.support.server import ComfyServer  # noqa: E402
from pack.training.files.layout import file_order, header_bytes  # noqa: E402
from pack.training.run.lines import read_lines  # noqa: E402
from pack.workbench.layouts import SD15, SDXL, weight_shapes  # noqa: E402
from pack.workbench.pocket.assemble import assemble, checkpoint_tensors  # noqa: E402
from pack.workbench.pocket.weights import WEIGHTS_FOLDER  # noqa: E402
from safetensors.torch import save_file  # noqa: E402


def write_unet(path: Path) -> int:
    """A U-Net of SDXL's layout, random fp16 weights, written tensor by tensor; returns its bytes."""
    shapes = weight_shapes(SDXL)
    generator = torch.Generator().manual_seed(0)
    empty = {name: torch.empty(shape, dtype=torch.float16, device="meta") for name, shape in shapes.items()}
    with path.open("wb") as file:
        file.write(header_bytes(empty, {}))
        for name in file_order(empty):
            size = prod(shapes[name][1:]) or 1
            file.write((torch.randn(shapes[name], generator=generator) * size**-0.5).half().numpy().tobytes())
        return file.tell()


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def sdxl_clip(host: HostModules) -> Any:
    """A CLIP of SDXL's size as the host wraps it; what its weights are makes no difference to the time."""
    clip = host.module("comfy.sdxl_clip").SDXLClipModel(device="cpu", dtype=torch.float16)
    return host.module("comfy.model_patcher").ModelPatcher(clip, torch.device("cpu"), torch.device("cpu"))


def sdxl_vae(host: HostModules) -> Any:
    """A VAE of SDXL's size, likewise."""
    config = {"ch": 128, "in_channels": 3, "out_ch": 3, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2,
              "z_channels": 4, "double_z": True, "resolution": 256, "attn_resolutions": [], "dropout": 0.0}  # fmt: skip
    vae = host.module("comfy.ldm.models.autoencoder").AutoencoderKL(ddconfig=config, embed_dim=4).half()
    return host.module("comfy.model_patcher").ModelPatcher(vae, torch.device("cpu"), torch.device("cpu"))


def measure_digests(host: HostModules, folder: Path) -> None:
    """Prints the time of each digest, and for comparison of reading every byte."""
    from pack.nodes.comfy_bridge.model.identity import patcher_key

    path = folder / "unet.safetensors"
    size = write_unet(path)
    with torch.inference_mode():
        model = host.module("comfy.sd").load_diffusion_model(str(path), model_options={"dtype": torch.float16})
    count = sum(tensor.numel() for tensor in model.model.state_dict().values())
    print(f"SDXL U-Net: {count / 1e9:.2f} billion weights, {size / 1e9:.1f} GB on disk")
    print(f"  digest, at each queue       {min(seconds(lambda: patcher_key(model)) for _ in range(3)):6.2f} s")
    whole = seconds(lambda: [hashlib.blake2b(t.numpy().data) for t in model.model.state_dict().values()])
    print(f"  every byte, for comparison  {whole:6.2f} s")
    path.unlink()
    for name, make in (("CLIP of SDXL", sdxl_clip), ("VAE", sdxl_vae)):
        patcher = make(host)
        print(f"{name}: digest {min(seconds(lambda patcher=patcher: patcher_key(patcher)) for _ in range(3)):.2f} s")


def write_sd15(path: Path) -> None:
    """A checkpoint with a U-Net of SD1.5's size, random fp16 weights; text encoder and VAE are the pocket model's."""
    prefix, generator = "model.diffusion_model.", torch.Generator().manual_seed(0)
    others = {name: t for name, t in checkpoint_tensors(WEIGHTS_FOLDER).items() if not name.startswith(prefix)}
    unet = {
        prefix + name: (torch.randn(shape, generator=generator) * (prod(shape[1:]) or 1) ** -0.5).half()
        for name, shape in weight_shapes(SD15).items()
    }
    save_file({**others, **unet}, path)


def first_step_after(server: ComfyServer, graph: Prompt, name: str) -> tuple[float | None, float]:
    """Seconds from queueing until the first step began, if there was one, and to the end of the prompt."""
    steps: list[float] = []

    def note(event: Event) -> None:
        if event.type == "bakery.step":
            steps.append(time.perf_counter())

    with ComfyClient(server.url, note) as client:
        started = time.perf_counter()
        queued = client.queue(graph)
        result = client.wait(queued)
        ended = time.perf_counter() - started
        assert result.status == "success", result.error
    if not steps:
        return None, ended
    run = run_folder(server.output, name)
    assert run is not None
    return steps[0] - started - next(iter(read_lines(run.metrics)))["seconds"], ended


def measure_starts(server: ComfyServer, checkpoint: str, side: int) -> None:
    """Prints how long runs on a checkpoint take to begin on a real server, with pictures of side² pixels."""
    client = server.client()
    for label, changes in (
        ("first run, checkpoint from disk", {}),
        ("second run, other learning rate", {"learning_rate": 2e-4}),
        ("finished run, other save_every", {"save_every": 3}),
    ):
        name = Path(checkpoint).stem
        graph = training_graph(client, name, "set", steps=2, **changes)
        graph["1"]["inputs"]["ckpt_name"] = checkpoint
        graph["buckets"] = node("BakeryBuckets", dataset=["2", 0], resolution=side)
        graph["5"]["inputs"]["dataset"] = ["buckets", 0]
        begun, ended = first_step_after(server, graph, name)
        first = "no step" if begun is None else f"first step began after {begun:.1f} s"
        print(f"{checkpoint}: {label}: {first}, all done after {ended:.1f} s")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="where 5 GB can be written for a minute; a temporary one if left out"
    )
    chosen = parser.parse_args().folder
    comfyui = comfyui_folder()
    assert comfyui is not None, "needs ComfyUI: run `python dev.py test` once, or set COMFYUI_PATH"
    with tempfile.TemporaryDirectory(dir=chosen) as found:
        host = import_comfyui(comfyui, Path(found) / "base")
        assemble(POCKET_CHECKPOINT)
        server = ComfyServer(comfyui, Path(found) / "server", extra_args=["--cache-classic"])
        large = CHECKPOINTS / "sd15_size.safetensors"
        try:
            write_sd15(large)
            server.start()
            write_dataset(server.input / "set")
            measure_starts(server, POCKET_CHECKPOINT.name, 64)
            measure_starts(server, large.name, 256)
        finally:
            server.stop()
            large.unlink(missing_ok=True)
        measure_digests(host, Path(found))


if __name__ == "__main__":
    main()

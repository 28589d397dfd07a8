"""Key names of other tools to kohya's, and back to diffusers'.

Read: kohya, LyCORIS (`lycoris_`), diffusers and peft (`unet.`, `base_model.model.`, `lora_A`), ComfyUI's own trainer
(`diffusion_model.`, convolutions flattened), SD1.5 and SDXL, original or diffusers paths.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from typing import cast as cast_type

import torch
from torch import Tensor

from ..base_model import ModelFamily
from ..networks.algorithms import TENSOR_NAMES
from .names import UNET_PREFIX, dotted, has_two_blocks_a_level, is_convolution_3x3, to_diffusers_unet, unet_name
from .types import cast, evened

Tensors = dict[str, Tensor]

_DOWN, _UP = "lora_down.weight", "lora_up.weight"
_SUFFIXES: tuple[tuple[str, str], ...] = (
    (r"[._]lora[._](?:A|down)(?:\.default)?(?:\.weight)?$", _DOWN),
    (r"[._]lora[._](?:B|up)(?:\.default)?(?:\.weight)?$", _UP),
    (r"\.lora_linear_layer\.down\.weight$", _DOWN),
    (r"\.lora_linear_layer\.up\.weight$", _UP),
    (r"\.lora_magnitude_vector(?:\.default)?(?:\.weight)?$", "dora_scale"),
    (r"\.(?:weight\.)?alpha$", "alpha"),
    (rf"\.({'|'.join(map(re.escape, (*TENSOR_NAMES, 'reshape_weight')))})$", r"\1"),
)
_TEXT_ENCODER_PATHS = (
    (r"(?:text_encoders?[._])?clip_g\.transformer\.", "lora_te2_"),
    (r"(?:text_encoders?[._])?clip_l\.transformer\.", "lora_te1_"),
    (r"lycoris_te2_|lora_te2_|text_encoder_2\.", "lora_te2_"),
    (r"lycoris_te1_|lora_te1_", "lora_te1_"),
    (r"lycoris_te_|lora_te_|text_encoder\.|(?=text_model[._])", "lora_te_"),
)
_UNET_PATHS = r"(?:diffusion_model\.|unet\.|lora_unet_|lycoris_unet_|lycoris_)?"
_UNET_START = re.compile(
    r"(down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block|conv_in|conv_out|conv_norm_out|out[._]\d"
    r"|time_embed|label_emb|add_embedding)"
)
_CHECKPOINT = re.compile(r"(first_stage_model|cond_stage_model|conditioner\.embedders|model\.diffusion_model)\.")
_IGNORED = re.compile(r"^(bundle_emb\.|lora_adapter_metadata)")
ALPHA_METADATA = "lora_adapter_metadata"
"""Where diffusers keeps peft's settings, alphas among them."""
_SD2_CONTEXT, _SDXL_CONTEXT = 1024, 2048


def to_kohya(
    tensors: Mapping[str, Tensor], family: ModelFamily | None = None, metadata: Mapping[str, str] | None = None
) -> Tensors:
    """The same LoRA under kohya's keys: prefix, underscored path, `.alpha` for every low-rank module.

    SD1.5 files have diffusers' names, unless their U-Net has other levels than SD1.5's: original names stay then.
    The family is found from names and shapes where not given. `metadata` is the file's: diffusers keeps peft's alphas
    in it. Tensors are passed through, except flattened convolutions, which get their shape back.

    Raises:
        ValueError: There is no key, one belongs to another architecture or to a checkpoint, two name one tensor, or the
            family cannot be told.
    """
    split = {key: split_key(key) for key in tensors if not is_ignored(key)}
    if not split:
        raise ValueError("the file holds no tensors of a LoRA; get it again or choose another")
    for key, (module, _) in split.items():
        _check_known(module, key)
    family = family or detect_family({key: tensors[key] for key in split})
    plain = {key: _module_name(module, family) for key, (module, _) in split.items()}
    named = _unet_names(plain.values(), family)
    renamed = {key: f"{named.get(plain[key], plain[key])}.{suffix}" for key, (_, suffix) in split.items()}
    _check_distinct(renamed)
    result = {new: tensors[key] for key, new in renamed.items()}
    return _with_alphas(_with_shapes(result), metadata or {})


def to_diffusers(tensors: Mapping[str, Tensor]) -> Tensors:
    """A low-rank LoRA in kohya names as diffusers and peft write it, the scale multiplied into the factors.

    Raises:
        ValueError: A module is not plain low-rank; resize the LoRA first, which makes it so.
    """
    modules = split_modules(tensors)
    result: Tensors = {}
    for name, parts in modules.items():
        if not {_DOWN, _UP} <= set(parts) <= {_DOWN, _UP, "alpha"}:
            raise ValueError(
                f"{name} is not plain low-rank ({', '.join(sorted(parts))}); resize the LoRA to a rank first"
            )
        path = _diffusers_path(name)
        scale = float(parts["alpha"]) / parts[_DOWN].shape[0] if "alpha" in parts else 1.0
        up, down = evened(parts[_UP].float() * scale, parts[_DOWN].float())
        result[f"{path}.lora_A.weight"] = cast(name, down, parts[_DOWN].dtype)
        result[f"{path}.lora_B.weight"] = cast(name, up, parts[_UP].dtype)
    return result


def is_ignored(key: str) -> bool:
    """Whether a file's key is no module of the LoRA but something packed beside it: embeddings, settings."""
    return _IGNORED.match(key) is not None


def split_modules(tensors: Mapping[str, Tensor]) -> dict[str, Tensors]:
    """Tensors by module: `{"lora_unet_x": {"lora_up.weight": ..., "alpha": ...}}`, in order of first appearance."""
    modules: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        module, _, suffix = key.partition(".")
        modules.setdefault(module, {})[suffix] = tensor
    return modules


def join_modules(modules: Mapping[str, Mapping[str, Tensor]]) -> Tensors:
    """Inverse of `split_modules`."""
    return {f"{module}.{suffix}": tensor for module, parts in modules.items() for suffix, tensor in parts.items()}


def detect_family(tensors: Mapping[str, Tensor]) -> ModelFamily:
    """SD1.5 or SDXL, by text-encoder names, else by the width of cross attention, else by the U-Net's blocks.

    Raises:
        ValueError: Nothing in the file tells; the message asks for the family.
    """
    names = list(tensors)
    if any(re.search(r"lora_te2_|lycoris_te2_|text_encoder_2|clip_g|lora_te1_", name) for name in names):
        return "sdxl"
    for name, tensor in tensors.items():
        if re.search(r"attn2[._](processor\.)?to_[kv][._](lora[._](down|A)|lora_linear_layer\.down|diff$)", name):
            if tensor.shape[1] == _SD2_CONTEXT:
                raise ValueError(f"{name}: belongs to a model of the SD2 family; SD1.5 and SDXL can be used here")
            return "sdxl" if tensor.shape[1] == _SDXL_CONTEXT else "sd15"
    text = "\n".join(names)
    if re.search(r"transformer_blocks[._][1-9]|label_emb|add_embedding|down_blocks[._]2[._]attentions.*ff", text):
        return "sdxl" if re.search(r"transformer_blocks[._][1-9]|label_emb|add_embedding", text) else "sd15"
    if re.search(r"input_blocks[._](1|2|10|11)[._]1|down_blocks[._](0|3)[._](attentions|resnets)|lora_te_text", text):
        return "sd15"
    raise ValueError("family: the file does not tell SD1.5 from SDXL; choose one of sd15, sdxl")


def known_family(tensors: Mapping[str, Tensor]) -> ModelFamily | None:
    """The same, None where nothing tells."""
    try:
        return detect_family(tensors)
    except ValueError:
        return None


def split_key(key: str) -> tuple[str, str]:
    """Module as the file names it, and the tensor's suffix in kohya's words.

    Raises:
        ValueError: It is no tensor of a LoRA.
    """
    plain = re.sub(r"^(unet\.|text_encoder(?:_2)?\.)?base_model\.model\.", r"\1", key).replace(".processor.", ".")
    for pattern, suffix in _SUFFIXES:
        if found := re.search(pattern, plain):
            return plain[: found.start()], found.expand(suffix)
    if _CHECKPOINT.match(key):
        raise ValueError(f"a whole checkpoint, not a LoRA (it holds {key}); load it with Load Checkpoint")
    raise ValueError(f"{key}: not a LoRA tensor known here; the file may belong to another kind of model")


def _check_known(module: str, key: str) -> None:
    """Before the family is asked for: what is of another model has none to choose."""
    if not any(re.match(pattern, module) for pattern, _ in _TEXT_ENCODER_PATHS) and not _unet_path(module):
        raise ValueError(
            f"{key}: not a module of SD1.5 or SDXL; LoRAs of other models cannot be used here, choose one of these two"
        )


def _unet_path(module: str) -> str:
    """Path within the U-Net, empty for what is no module of it."""
    start = re.match(_UNET_PATHS, module)
    path = module[start.end() if start else 0 :]
    return path if _UNET_START.match(path) else ""


def _module_name(module: str, family: ModelFamily) -> str:
    """With kohya's prefix and underscores; a U-Net's blocks are still named as in the file."""
    for pattern, prefix in _TEXT_ENCODER_PATHS:
        if found := re.match(pattern, module):
            path = re.sub(r"self_attn\.to_(q|k|v|out)$", r"self_attn.\1_proj", module[found.end() :])
            return _text_prefix(prefix, family) + path.replace(".", "_")
    name = _unet_path(module).replace(".", "_")
    return UNET_PREFIX + (name + "_0" if name.endswith("_to_out") else name)


def _check_distinct(renamed: Mapping[str, str]) -> None:
    first: dict[str, str] = {}
    for key, new in renamed.items():
        if (other := first.setdefault(new, key)) != key:
            raise ValueError(f"{other} and {key} are one tensor of the model; is the file for another model family?")


def _unet_names(names: Iterable[str], family: ModelFamily) -> dict[str, str]:
    """Kohya's name of every U-Net module, by its name in either naming."""
    bare = {name: name.removeprefix(UNET_PREFIX) for name in names if name.startswith(UNET_PREFIX)}
    if family == "sd15" and not has_two_blocks_a_level(bare.values()):
        return {}
    return {name: UNET_PREFIX + unet_name(path, family) for name, path in bare.items()}


def _text_prefix(prefix: str, family: ModelFamily) -> str:
    if family == "sd15":
        return "lora_te_"
    return "lora_te1_" if prefix == "lora_te_" else prefix


def _with_shapes(tensors: Tensors) -> Tensors:
    """Flattened 3x3 factors (rank, in * 9) and (out, rank) get four dimensions, peft's magnitudes a weight's."""
    result = dict(tensors)
    for name, parts in split_modules(tensors).items():
        if not {_DOWN, _UP} <= set(parts):
            continue
        down, up = parts[_DOWN], parts[_UP]
        if down.ndim == 2 and is_convolution_3x3(name):
            result[f"{name}.{_DOWN}"] = down.reshape(down.shape[0], -1, 3, 3)
            result[f"{name}.{_UP}"] = up.reshape(*up.shape[:2], 1, 1)
        if "dora_scale" in parts and parts["dora_scale"].ndim == 1:
            result[f"{name}.dora_scale"] = parts["dora_scale"].reshape(-1, *[1] * (down.ndim - 1))
    return result


def _with_alphas(tensors: Tensors, metadata: Mapping[str, str]) -> Tensors:
    """Every low-rank module gets an alpha: the file's, peft's, else the rank (scale 1), as all loaders read it."""
    result = dict(tensors)
    lacking = [
        (name, down.shape[0])
        for name, suffix, down in ((*key.partition(".")[::2], tensor) for key, tensor in tensors.items())
        if suffix == _DOWN and f"{name}.alpha" not in tensors
    ]
    settings = _peft_settings(metadata) if lacking else {}
    for name, rank in lacking:
        result[f"{name}.alpha"] = torch.tensor(_peft_alpha(name, rank, settings))
    return result


def _peft_settings(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Peft's settings as diffusers keeps them, by part; empty where there are none."""
    if ALPHA_METADATA not in metadata:
        return {}
    try:
        settings = json.loads(metadata[ALPHA_METADATA])
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(
            f"metadata: {ALPHA_METADATA} is not readable, so the LoRA's alphas are not known; get it again"
        )
    return cast_type(dict[str, Any], settings)


def _peft_alpha(name: str, rank: int, settings: Mapping[str, Any]) -> float:
    """Alpha in kohya's sense, scale times rank. Modules of their own alpha are named by the end of their path."""
    part = "unet" if name.startswith(UNET_PREFIX) else "text_encoder"
    part += "_2" if name.startswith("lora_te2_") else ""
    path = to_diffusers_unet(name.removeprefix(UNET_PREFIX))
    own = cast_type(dict[str, Any], settings.get(f"{part}.alpha_pattern") or {})
    found = [alpha for end, alpha in own.items() if re.search(rf"(?:^|_)(?:{end.replace('.', '_')})$", path)]
    alpha = found[0] if found else settings.get(f"{part}.lora_alpha")
    if not isinstance(alpha, int | float):
        return float(rank)
    return float(alpha) * (rank**0.5 if settings.get(f"{part}.use_rslora") else 1.0)


def _diffusers_path(name: str) -> str:
    if name.startswith(UNET_PREFIX):
        return "unet." + dotted(to_diffusers_unet(name.removeprefix(UNET_PREFIX)))
    prefix, _, path = name.removeprefix("lora_").partition("_")
    return ("text_encoder_2." if prefix == "te2" else "text_encoder.") + dotted(path)

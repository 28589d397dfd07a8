"""Converts files of other tools: key names to kohya's, tensor shapes to LyCORIS's.

Reads kohya, LyCORIS (`lycoris_`), OneTrainer (LoHa's factors of convolutions with four dimensions), diffusers and peft
(`unet.`, `base_model.model.`, `lora_A`), ComfyUI's own trainer and extractor (`diffusion_model.`, `text_encoders.`,
flattened convolutions), for SD1.5 and SDXL, original or diffusers paths.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from re import compile as regex

from torch import Tensor

from ..base_model import ModelFamily
from ..files.formats import Tensors, detect_family, split_modules
from ..files.lora_file import LoraFile, load_lora
from ..files.names import UNET_PREFIX, dotted, has_two_blocks_a_level, is_convolution_3x3, unet_name
from . import loha
from .algorithms import TENSOR_NAMES, form_of
from .peft_alphas import ALPHA_METADATA, no_alpha_note, peft_metadata, with_alphas

_DOWN, _UP = "lora_down.weight", "lora_up.weight"
_CORES = {"hada_t1", "hada_t2", "lokr_t2"}
_MAGNITUDE = regex(r"\.lora_magnitude_vector\b")
_SUFFIXES: tuple[tuple[str, str], ...] = (
    (r"[._]lora[._](?:A|down)(?:\.default|(?:\.[\w-]+)?\.weight)?$", _DOWN),  # with the adapter's name, from peft
    (r"[._]lora[._](?:B|up)(?:\.default|(?:\.[\w-]+)?\.weight)?$", _UP),
    (r"\.lora_linear_layer\.down\.weight$", _DOWN),
    (r"\.lora_linear_layer\.up\.weight$", _UP),
    (r"\.lora_magnitude_vector(?:\.[\w-]+)?(?:\.weight)?$", "dora_scale"),
    (r"\.(?:weight\.)?alpha$", "alpha"),
    (rf"\.({'|'.join(map(re.escape, (*TENSOR_NAMES, 'reshape_weight')))})$", r"\1"),
)
_TEXT_ENCODER_PATHS = (
    (r"(?:text_encoders?[._])?clip_g\.(?:transformer\.)?", "lora_te2_"),
    (r"(?:text_encoders?[._])?clip_l\.(?:transformer\.)?", "lora_te1_"),
    (r"(?:lycoris|lora)_te2[._]|text_encoder_2\.", "lora_te2_"),
    (r"(?:lycoris|lora)_te1[._]", "lora_te1_"),
    (r"(?:lycoris|lora)_te[._]|text_encoder\.|(?:lycoris_)?(?=text_model[._])", "lora_te_"),
)
_UNET_PATHS = r"(?:(?:model\.)?diffusion_model\.|unet\.|lora_unet[._]|lycoris_unet[._]|lycoris_)?"
_UNET_START = regex(
    r"(down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block|conv_in|conv_out|conv_norm_out|out[._]\d"
    r"|time_embed|label_emb|add_embedding)"
)
_CHECKPOINT = regex(
    r"(first_stage_model|cond_stage_model|conditioner\.embedders|model\.diffusion_model)\..*\.(weight|bias)$"
)
_WHOLE_MODEL = "a whole {}, not a LoRA (it holds {}); load it with {}"
_OFT_OF_SD_SCRIPTS = regex(r"oft_(unet|te\d?)_")
_UNKNOWN_ALGORITHM = "{}: of an algorithm that is not known here; convert the file with the tool that wrote it"
_EMBEDDING = "bundle_emb."
_IGNORED = regex(r"^(bundle_emb\.|lora_adapter_metadata)")


def to_kohya(
    tensors: Mapping[str, Tensor], family: ModelFamily | None = None, metadata: Mapping[str, str] | None = None
) -> Tensors:
    """The same LoRA under kohya's keys: prefix, underscored path, `.alpha` for every low-rank module.

    SD1.5 files get diffusers' names, unless the U-Net has other levels than SD1.5's; then original names. The family,
    if not given, is told from names and shapes. `metadata` is the file's: diffusers stores peft's alphas there. The
    tensors are moved to the CPU; flattened convolutions and LoHa's factors get LyCORIS's shapes.

    Raises:
        ValueError: There is no key, one belongs to another architecture or to a checkpoint, two name one tensor, or the
            family cannot be told.
    """
    split = {key: split_key(key) for key in tensors if not is_ignored(key)}
    if not split:
        raise ValueError("the file holds no tensors of a LoRA; download it again or choose another")
    for key, (module, suffix) in split.items():
        _check_known(module, suffix, key)
        _check_numbers(key, suffix, tensors[key])
    family = family or detect_family({key: tensors[key] for key in split})
    plain = {key: _module_name(module, family) for key, (module, _) in split.items()}
    named = _unet_names(plain.values(), family)
    renamed = {key: f"{named.get(plain[key], plain[key])}.{suffix}" for key, (_, suffix) in split.items()}
    _check_distinct(renamed)
    result = {new: _plain(key, tensors[key]) for key, new in renamed.items()}
    return with_alphas(_with_shapes(result), metadata or {})


def load_kohya(path: Path, family: ModelFamily | None = None) -> LoraFile:
    """Read a file under kohya's names, with alphas from diffusers' metadata as tensors.

    Raises:
        ValueError: It is not readable, or no LoRA of SD1.5 or SDXL, or `family` is not given and cannot be told.
    """
    file = load_lora(path)
    try:
        metadata = peft_metadata(path, file.tensors, file.metadata)
        tensors = to_kohya(file.tensors, family, metadata)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    notes = [ignored_note(file.tensors), no_alpha_note(file.tensors, metadata), zero_alpha_note(tensors)]
    note = "; ".join(filter(None, notes))
    return LoraFile(tensors, {key: text for key, text in file.metadata.items() if key != ALPHA_METADATA}, note)


def ignored_note(tensors: Mapping[str, Tensor]) -> str:
    """A note on tensors in the file that are not part of a LoRA and are not read; empty if there are none."""
    names = [key for key in tensors if key.startswith(_EMBEDDING)]
    if not names:
        return ""
    return (
        f"{len(names)} tensors of embeddings packed in the file are not read ({names[0]} first); load them from a file "
        "of their own in models/embeddings"
    )


def zero_alpha_note(tensors: Tensors) -> str:
    """A note on modules that do nothing for alpha 0 here and in ComfyUI, but act in sd-scripts; empty without any."""
    names = [name for name, parts in split_modules(tensors).items() if _is_silenced(parts)]
    if not names:
        return ""
    return (
        f"alpha is 0 in {len(names)} modules ({names[0]} first): as in ComfyUI they change nothing; sd-scripts takes "
        "alpha = rank there"
    )


def _is_silenced(parts: Tensors) -> bool:
    """Whether alpha 0 is the scale: in OFT it is a limit, and whole factors of LoKr do not read it."""
    form = form_of(parts)
    return "alpha" in parts and not parts["alpha"].any() and form is not None and form.rank(parts) > 0


def is_ignored(key: str) -> bool:
    """Whether a key belongs to no module of the LoRA but to something packed beside it: embeddings, settings."""
    return _IGNORED.match(key) is not None


def split_key(key: str) -> tuple[str, str]:
    """Module name as in the file, and the tensor's suffix in kohya's words.

    Raises:
        ValueError: It is no tensor of a LoRA.
    """
    if _CHECKPOINT.match(key) and not re.search(r"lora|hada|lokr", key):
        raise ValueError(_WHOLE_MODEL.format("checkpoint", key, "Load Checkpoint"))
    if _OFT_OF_SD_SCRIPTS.match(key):
        raise ValueError(_UNKNOWN_ALGORITHM.format(key))
    plain = re.sub(r"^(unet\.|text_encoder(?:_2)?\.)?base_model\.model\.", r"\1", key).replace(".processor.", ".")
    for pattern, suffix in _SUFFIXES:
        if found := re.search(pattern, plain):
            return plain[: found.start()], found.expand(suffix)
    if _path(plain):
        raise ValueError(_UNKNOWN_ALGORITHM.format(key))
    raise ValueError(f"{key}: not a LoRA tensor known here; the file may belong to another kind of model")


def _check_known(module: str, suffix: str, key: str) -> None:
    """Refuse modules of other models first: for those, asking for the family makes no sense."""
    path = _path(module)
    if not path:
        raise ValueError(
            f"{key}: not a module of SD1.5 or SDXL; LoRAs of other models cannot be used here, choose one of these two"
        )
    if suffix != "weight":
        return
    try:
        dotted(path.replace(".", "_"))
    except ValueError:  # the suffix alone suggests (IA)3, but peft's `oft_R.weight` ends like this too
        raise ValueError(_UNKNOWN_ALGORITHM.format(key)) from None


def _check_numbers(key: str, suffix: str, tensor: Tensor) -> None:
    """Refuse a layer's whole weight, and numbers that need a scale which no program writes beside them."""
    if suffix == "weight" and min([*tensor.shape[:2], tensor.ndim]) > 1:
        raise ValueError(_WHOLE_MODEL.format("model", key, "Load Diffusion Model"))
    if tensor.ndim > 1 and not tensor.dtype.is_floating_point:
        raise ValueError(f"{key} holds whole numbers ({tensor.dtype}); download the file in float16 or float32")


def _path(module: str) -> str:
    """Path within its part of the model; empty if it is no module of it."""
    for pattern, _ in _TEXT_ENCODER_PATHS:
        if found := re.match(pattern, module):
            return module[found.end() :]
    return _unet_path(module)


def _unet_path(module: str) -> str:
    """Path within the U-Net; empty if it is no module of it."""
    start = re.match(_UNET_PATHS, module)
    path = module[start.end() if start else 0 :]
    return path if _UNET_START.match(path) else ""


def _module_name(module: str, family: ModelFamily) -> str:
    """Name with kohya's prefix and underscores; U-Net blocks still named as in the file."""
    for pattern, prefix in _TEXT_ENCODER_PATHS:
        if found := re.match(pattern, module):
            path = re.sub(r"self_attn\.to_(q|k|v|out)$", r"self_attn.\1_proj", module[found.end() :])
            return _text_prefix(prefix, family) + path.replace(".", "_").removeprefix("transformer_")
    name = _unet_path(module).replace(".", "_")
    return UNET_PREFIX + (name + "_0" if name.endswith("_to_out") else name)


def _check_distinct(renamed: Mapping[str, str]) -> None:
    first: dict[str, str] = {}
    for key, new in renamed.items():
        if (other := first.setdefault(new, key)) != key:
            raise ValueError(f"{other} and {key} are one tensor of the model; is the file for another model family?")


def _unet_names(names: Iterable[str], family: ModelFamily) -> dict[str, str]:
    """Kohya's name of every U-Net module, by its name in either scheme."""
    bare = {name: name.removeprefix(UNET_PREFIX) for name in names if name.startswith(UNET_PREFIX)}
    if family == "sd15" and not has_two_blocks_a_level(bare.values()):
        return {}
    return {name: UNET_PREFIX + unet_name(path, family) for name, path in bare.items()}


def _text_prefix(prefix: str, family: ModelFamily) -> str:
    if family == "sd15":
        return "lora_te_"
    return "lora_te1_" if prefix == "lora_te_" else prefix


def _plain(key: str, tensor: Tensor) -> Tensor:
    """On the CPU; peft's magnitudes, (O,) or (1, O, 1, 1), as (O,), unlike those by input channel."""
    tensor = tensor.detach().cpu()
    return tensor.flatten() if _MAGNITUDE.search(key) else tensor


def _with_shapes(tensors: Tensors) -> Tensors:
    """Restore shapes: flattened 3x3 factors (rank, in * 9) and (out, rank), and peft's magnitudes.

    LoHa's factors, (out, rank, 1, 1) and (rank, in, 3, 3), become matrices unless there is a Tucker core beside them.
    """
    result = dict(tensors)
    for name, parts in split_modules(tensors).items():
        if not _CORES & parts.keys():
            matrices = [suffix for suffix in (*loha.NAMES, "lokr_w2_a", "lokr_w2_b") if suffix in parts]
            result |= {f"{name}.{suffix}": parts[suffix].flatten(1) for suffix in matrices}
        if not {_DOWN, _UP} <= set(parts):
            continue
        down, up = parts[_DOWN], parts[_UP]
        if down.ndim == 2 and is_convolution_3x3(name):
            result[f"{name}.{_DOWN}"] = down.reshape(down.shape[0], -1, 3, 3)
            result[f"{name}.{_UP}"] = up.reshape(*up.shape[:2], 1, 1)
        if "dora_scale" in parts and parts["dora_scale"].ndim == 1:
            result[f"{name}.dora_scale"] = parts["dora_scale"].reshape(-1, *[1] * (down.ndim - 1))
    return result

"""Imports and exports the network of an sd-scripts setup.

LyCORIS's `lora` adapts convolutions too if its preset has them, which is locon here; with a preset of linear layers it
is a plain LoRA.
"""

from collections.abc import Mapping
from typing import Any, get_args

from ..base_model import PartName
from ..networks.algorithms import OPTIONS, with_option
from ..networks.block_weights import BlockWeights
from ..networks.lycoris_arguments import module_class, takes
from ..networks.lycoris_presets import NOTES, PRESETS, preset_fields, without_convolutions
from ..networks.settings import WITH_KERNELS, NetworkSettings
from .options import Options
from .tables import BLOCK_ARGS, LYCORIS, NETWORK_ARGS

DEFAULT_RANK, DEFAULT_ALPHA = 4, 1.0
"""sd-scripts' defaults."""
ALL_PARTS: tuple[PartName, ...] = get_args(PartName)
TEXT_PARTS: tuple[PartName, ...] = ("text_encoder", "text_encoder_2")
LYCORIS_MODULE, LORA_MODULE, DYLORA_MODULE = "lycoris.kohya", "networks.lora", "networks.dylora"
LORA_FA_MODULE = "networks.lora_fa"
LIBRARY_ALONE = (
    "use_tucker",
    "use_cp",
    "use_conv_cp",
    "use_scalar",
    "constraint",
    "rescaled",
    "unbalanced_factorization",
    "sig_type",
    "use_data_init",
)
"""Arguments of LyCORIS that change what is trained and that no algorithm here has."""
ON_OUTPUT = ("wd_on_output", "wd_on_out")
"""DoRA by the other side, whose files are read otherwise than they were trained."""
LYCORIS_ONLY = ("weight_decompose", "rank_stabilized", "train_norms")


def import_network(options: Options, fields: Mapping[str, Any], notes: list[str]) -> NetworkSettings:
    """Import the network; `fields` are options that only have another name. Adds what has no equivalent to `notes`."""
    rank, alpha = options.integer("network_dim") or DEFAULT_RANK, options.number("network_alpha")
    alpha = DEFAULT_ALPHA if alpha is None else alpha
    module = options.text("network_module") or LORA_MODULE
    arguments = Options({**options.pairs("network_args"), **_loose_conv(options)})
    if module == LYCORIS_MODULE:
        kind = _lycoris_kind(arguments, rank, alpha, notes)
    else:
        kind = _plain_kind(module, arguments, notes)
    given = {
        option.field: _read(arguments, option.name, option.kind) for option in NETWORK_ARGS if option.name in arguments
    }
    taken: dict[str, Any] = {"parts": _parts(options), **fields, **kind, **_fitting(kind["algorithm"], given, notes)}
    settings = NetworkSettings(rank=rank, alpha=alpha, block_weights=_block_weights(arguments), **taken)
    notes += [f"network_args {name}={value}: no equivalent" for name, value in arguments.left_over().items()]
    return settings


def export_network(network: NetworkSettings, notes: list[str]) -> list[str]:
    """Export the network as options. Adds what sd-scripts has no equivalent for to `notes`."""
    module = _module(network)
    words = [f"--network_module={module}", f"--network_dim={network.rank}", f"--network_alpha={network.alpha:g}"]
    arguments = [*_kind_arguments(network, module, notes), *_changed_arguments(network, module)]
    arguments += _block_arguments(network.block_weights, notes)
    if network.dropout and module != LYCORIS_MODULE:
        words.append(f"--network_dropout={network.dropout:g}")
    notes += [
        f"{name}: no equivalent"
        for name in ("include", "exclude", "train_bias", "trigger_embedding")
        if getattr(network, name)
    ]
    words += _export_parts(network, notes)
    return [*words, *(["--network_args", *(f'"{argument}"' for argument in arguments)] if arguments else [])]


def _loose_conv(options: Options) -> dict[str, Any]:
    """The GUI's JSON stores these beside the network's arguments."""
    names = ("conv_dim", "conv_alpha")
    return {name: value for name in names if (value := options.text(name)) is not None}


def _lycoris_kind(arguments: Options, rank: int, alpha: float, notes: list[str]) -> dict[str, Any]:
    """Algorithm, targets and size of convolutions for LyCORIS, whose defaults are those of the linear layers."""
    name, preset = (arguments.text("algo") or "lora").lower(), arguments.text("preset") or "full"
    library = _by_library(name, arguments, notes)
    if name not in LYCORIS and not library:
        notes.append(f"algo={name}: no equivalent, locon instead")
    algorithm = "lycoris" if library else LYCORIS.get(name, "locon")
    conv_rank, conv_alpha = arguments.integer("conv_dim"), arguments.number("conv_alpha")
    size = {"block_size": arguments.integer("block_size")} if "block_size" in arguments else {}
    layers = _layers(preset, conv_rank, conv_alpha, notes)
    if layers["targets"] not in WITH_KERNELS:
        return {"algorithm": "lora" if algorithm == "locon" else algorithm, **layers, **size, **library}
    if conv_rank is not None and conv_alpha is None:
        conv_alpha = alpha
    wide = {"conv_rank": conv_rank, "conv_alpha": conv_alpha, **size, **library}
    if algorithm == "locon":  # widens the usual targets by itself
        layers = {name: value for name, value in layers.items() if name != "targets"}
    return {"algorithm": algorithm, **layers, **wide}


def _layers(preset: str, conv_rank: int | None, conv_alpha: float | None, notes: list[str]) -> dict[str, Any]:
    """Targets and parts of a preset of LyCORIS, in which a conv_dim of 0 leaves out convolutions."""
    if preset not in PRESETS:
        notes.append(f"preset={preset}: no equivalent, full instead; see targets, include, exclude")
        preset = "full"
    layers = preset_fields(preset)
    if conv_rank == 0:
        return without_convolutions(layers)
    if layers["targets"] not in WITH_KERNELS and (conv_rank is not None or conv_alpha is not None):
        notes.append(f"conv_dim, conv_alpha: preset={preset} has no convolutions, in LyCORIS neither")
    if preset in NOTES:
        notes.append(f"preset={preset}: {NOTES[preset]}")
    return layers


def _by_library(name: str, arguments: Options, notes: list[str]) -> dict[str, Any]:
    """What the installed LyCORIS is told where only it can train what is asked; empty where an algorithm here can."""
    wanted = [own for own in LIBRARY_ALONE if own in arguments]
    if name in LYCORIS and not wanted:
        return {}
    try:
        module_class(name)
        taken = [own for own in arguments.left_over() if takes(name, own) and own not in ON_OUTPUT]
    except ValueError as error:
        notes.append(f"{', '.join(wanted)}: {error}") if wanted else None
        return {}
    text = " ".join([f"algo={name}", *(f"{own}={arguments.text(own)}" for own in taken)])
    notes.append(f"{text}: trained by the installed LyCORIS, algorithm lycoris")
    if "dropout" in arguments and "bypass_mode" not in taken:
        notes.append(f"dropout={arguments.text('dropout')}: LyCORIS has it with bypass_mode=True alone, left out")
    return {"lycoris_arguments": text}


def _plain_kind(module: str, arguments: Options, notes: list[str]) -> dict[str, Any]:
    """Algorithm and size of convolutions for sd-scripts' own networks."""
    if module == LORA_FA_MODULE:
        notes.append(f"network_module {module}: its frozen down matrices have no equivalent, both are trained")
    elif module not in (LORA_MODULE, DYLORA_MODULE):
        notes.append(f"network_module {module}: no equivalent, a plain LoRA instead")
    has_conv = "conv_dim" in arguments or "conv_block_dims" in arguments
    conv_rank, conv_alpha = arguments.integer("conv_dim"), arguments.number("conv_alpha")
    conv = {"conv_rank": conv_rank, "conv_alpha": DEFAULT_ALPHA if conv_alpha is None else conv_alpha}
    if conv_rank == 0:  # the other layers of the resnets are adapted then
        conv = {}
    if module == DYLORA_MODULE:
        kind = {"algorithm": "dylora", "block_size": arguments.integer("unit") or 1}
        return {**kind, "targets": "blocks", **conv} if has_conv else kind
    if has_conv and not conv:
        return {"algorithm": "lora", "targets": "blocks"}
    return {"algorithm": "locon", **conv} if has_conv else {"algorithm": "lora"}


def _fitting(algorithm: str, given: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The options that the algorithm has here, without those that exclude each other."""
    lost = [name for name in given if name in OPTIONS and given[name] and algorithm not in with_option(name)]
    on = {name for name in given if given[name] and name not in lost}
    lost += ["decompose_both"] * ({"full_matrix", "decompose_both"} <= on)
    lost += ["dropout"] * ({"weight_decompose", "dropout"} <= on)
    names = {option.field: option.name for option in NETWORK_ARGS}
    notes += [f"{names[name]}={given[name]}: not with this network here, left out" for name in lost]
    return {name: value for name, value in given.items() if name not in lost}


def _read(options: Options, name: str, kind: str) -> Any:
    return {"integer": options.integer, "number": options.number, "flag": options.flag}[kind](name)


def _block_weights(arguments: Options) -> BlockWeights:
    texts = {field: text for name, field in BLOCK_ARGS.items() if (text := arguments.text(name)) is not None}
    return BlockWeights(**texts, zero_threshold=arguments.number("block_lr_zero_threshold") or 0.0)


def _parts(options: Options) -> tuple[PartName, ...]:
    is_unet_only = options.flag("network_train_unet_only")
    if options.flag("network_train_text_encoder_only"):
        return TEXT_PARTS
    return ("unet",) if is_unet_only else ALL_PARTS


def _module(network: NetworkSettings) -> str:
    if any(getattr(network, name) for name in LYCORIS_ONLY):
        return LYCORIS_MODULE
    if network.algorithm == "lora" and network.targets == "attention_feed_forward":
        return LORA_MODULE
    if network.algorithm == "locon" and network.preset == "blocks":
        return LORA_MODULE
    if network.algorithm == "dylora" and network.targets in ("attention_feed_forward", "blocks"):
        return DYLORA_MODULE
    return LYCORIS_MODULE


def _kind_arguments(network: NetworkSettings, module: str, notes: list[str]) -> list[str]:
    """network_args for algorithm, targets and convolutions."""
    found: list[str] = []
    if module == LYCORIS_MODULE:
        preset = next((name for name, targets in PRESETS.items() if targets == network.preset), "full")
        own = network.lycoris_arguments.split() or ["algo=lora"]
        found += [*(own if network.algorithm == "lycoris" else [f"algo={network.algorithm}"]), f"preset={preset}"]
        if network.preset in ("all_linear", "all"):
            notes.append(f"targets {network.targets}: no equivalent, LyCORIS's full instead")
    if network.preset in WITH_KERNELS and network.algorithm != "lora":
        rank, alpha = network.conv_size
        found += [f"conv_dim={rank}", f"conv_alpha={alpha:g}"]
    if network.algorithm == "dylora":
        found.append(f"{'unit' if module == DYLORA_MODULE else 'block_size'}={network.block_size}")
    return found


def _changed_arguments(network: NetworkSettings, module: str) -> list[str]:
    """network_args that only have another name, if they differ from the default."""
    default = NetworkSettings()
    changed = [option for option in NETWORK_ARGS if getattr(network, option.field) != getattr(default, option.field)]
    return [
        f"{option.name}={getattr(network, option.field)}"
        for option in changed
        if option.name != "dropout" or module == LYCORIS_MODULE
    ]


def _block_arguments(blocks: BlockWeights, notes: list[str]) -> list[str]:
    if blocks.lbw.strip():
        notes.append("block weights in LBW's form: write them as down, mid and up to export them")
    given = [f"{name}={text}" for name, field in BLOCK_ARGS.items() if (text := getattr(blocks, field).strip())]
    threshold = f"block_lr_zero_threshold={blocks.zero_threshold:g}"
    return [*given, threshold] if blocks.zero_threshold else given


def _export_parts(network: NetworkSettings, notes: list[str]) -> list[str]:
    if network.parts == ("unet",):
        return ["--network_train_unet_only"]
    if "unet" not in network.parts:
        return ["--network_train_text_encoder_only"]
    if "text_encoder" not in network.parts or "text_encoder_2" not in network.parts:
        notes.append("parts: for SDXL sd-scripts trains both text encoders, this network only one")
    return []

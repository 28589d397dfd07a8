"""Each algorithm on one layer by this pack's code and by LyCORIS's modules: `start.py both_ways` prints JSON.

The layer has SDXL's commonest size, the input the rows of a picture of 512 x 512 there. A step is forward and backward,
without an optimizer; both ways take one in turn. `tests/unit/networks/test_trained_both_ways.py` checks that they train
the same.
"""

import copy
import json
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch
from lycoris.modules.ia3 import IA3Module
from lycoris.wrapper import network_module_dict
from torch import Tensor, nn

from ...training.networks.build import create_adapter
from ...training.networks.settings import NetworkSettings
from ...training.networks.targets import Target
from .meters import MIB, saved_activations

CHANNELS, ROWS = 1280, 256
RANK = 16
NUM_STEPS, NUM_WARM = 7, 2
DORA = {"weight_decompose": True, "wd_on_out": False}
WAYS: Mapping[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    **{name: ({"algorithm": name}, name, {}) for name in ("lora", "loha", "lokr", "glora", "full")},
    "DoRA": ({"algorithm": "lora", "weight_decompose": True}, "lora", DORA),
    "dylora": ({"algorithm": "dylora", "block_size": RANK}, "dylora", {"block_size": RANK}),
    "diag-oft": ({"algorithm": "diag-oft"}, "diag-oft", {}),
    "boft": ({"algorithm": "boft"}, "boft", {}),
    "ia3": ({"algorithm": "ia3"}, "ia3", {}),
}
"""The pack's settings, the library's name and its arguments, by the name in the table."""
Step = Callable[[Tensor], Tensor]


def ways(name: str) -> tuple[tuple[Step, nn.Module, nn.Module], tuple[Step, nn.Module, nn.Module]]:
    """The changed layer by the pack and by the library, each with the frozen one and with what it trains."""
    settings, algorithm, options = WAYS[name]
    layer = nn.Linear(CHANNELS, CHANNELS).requires_grad_(False)
    other = copy.deepcopy(layer)
    made = NetworkSettings(**{"rank": RANK, "alpha": float(RANK), **settings})
    adapter = create_adapter(Target("unet", "to_k", "key", None, layer), made, None, torch.Generator().manual_seed(1))
    module_class = IA3Module if algorithm == "ia3" else network_module_dict[algorithm]
    module: Any = module_class("key", other, 1.0, RANK, float(RANK), bypass_mode=False, **options)
    module.apply_to()
    frozen = nn.Module() if name == "full" else other  # the library trains the weight itself
    return (lambda x: adapter(x, layer.forward), layer, adapter), (lambda x: other(x), frozen, module)


def measured(name: str) -> dict[str, list[float]]:
    """Processor seconds of a step and MiB that it keeps for the backward pass, of pack and library."""
    pack, library = ways(name)
    seconds: list[list[float]] = [[], []]
    kept = [0.0, 0.0]
    torch.manual_seed(0)
    for step in range(NUM_WARM + NUM_STEPS):
        x, direction = (torch.randn(1, ROWS, CHANNELS) for _ in "12")
        for index, (answer, frozen, trained) in enumerate((pack, library)):
            started = time.process_time()
            with saved_activations(frozen, trained) as saved:
                output = answer(x.detach().requires_grad_(True))
                kept[index] = saved.total / MIB
            output.backward(direction)
            if step >= NUM_WARM:
                seconds[index].append(time.process_time() - started)
    return {way: [median(seconds[index]), kept[index]] for index, way in enumerate(("pack", "library"))}


def main(_arguments: list[str]) -> None:
    """Print the figures by algorithm, of one thread."""
    torch.set_num_threads(1)
    print(json.dumps({name: measured(name) for name in WAYS}))


def both_ways_section(result: Mapping[str, Any]) -> str:
    """The part of the page: a row an algorithm."""
    rows = []
    for name in (name for name in WAYS if name in result):
        (own_s, own_mib), (their_s, their_mib) = result[name]["pack"], result[name]["library"]
        figures = [f"{1000 * own_s:.1f}", f"{1000 * their_s:.1f}", f"{their_s / own_s:.2f}"]
        rows.append(f"| {' | '.join([name, *figures, f'{own_mib:.1f}', f'{their_mib:.1f}'])} |")
    return (
        '## Each algorithm here and in LyCORIS\n\n`--only "both ways"`\n\nForward and backward through one linear '
        f"layer of {CHANNELS} × {CHANNELS} with {ROWS} rows, rank {RANK}, float32, one thread; memory is what is kept "
        "for the backward pass. LyCORIS builds the changed weight, its default (`bypass_mode=False`).\n\n"
        "| | this pack CPU ms | LyCORIS CPU ms | times | this pack MiB | LyCORIS MiB |\n|---|---|---|---|---|---|\n"
        + "\n".join(rows)
    )

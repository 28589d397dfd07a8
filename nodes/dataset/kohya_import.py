"""Setups of kohya's sd-scripts with their datasets, read from folders in ComfyUI's input folder."""

import logging
from pathlib import Path
from typing import Any

from ...training.data.dataset import Dataset
from ...training.kohya import KohyaDatasets, build_dataset, import_datasets, import_kohya, with_installed_optimizer
from ...training.kohya.whole import names_dataset, without_dataset_options
from ...training.optimizers import check_optimizer
from .. import sockets
from ..comfy_bridge.host.folders import find_input_folder, input_folder
from ..comfy_bridge.host.missing_output import missing_output
from ..comfy_bridge.host.node_api import io
from ..menu import ADVANCED
from .datasets import DATASET_OUTPUT, folder_state, summary

PLACEHOLDER = """[general]
caption_extension = ".txt"
[[datasets]]
resolution = 512
  [[datasets.subsets]]
  image_dir = "my_images"
  num_repeats = 10"""
NO_DATASET = (
    "dataset of Import Kohya Setup: the setup names no images; write train_data_dir into text, or paste the dataset "
    "config into dataset_config"
)


class BakeryImportKohya(io.ComfyNode):
    """A setup of sd-scripts as settings, with its dataset."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryImportKohya",
            display_name="Import Kohya Setup (Bakery)",
            category=ADVANCED,
            description="Reads a command line, TOML or JSON of kohya's sd-scripts or its GUI, and its dataset from "
            "folders of the same names in ComfyUI's input folder. The notes list every option that belongs to another "
            "node or has no equivalent.",
            search_aliases=["sd-scripts", "kohya_ss", "toml", "train_network.py", "sdxl_train_network.py"],
            inputs=[
                io.String.Input(
                    "text", multiline=True, default="",
                    placeholder="--network_module=networks.lora --network_dim=32 --learning_rate=1e-4 ...",
                    tooltip="The command line, or the content of the TOML or JSON file.",
                ),
                io.String.Input(
                    "dataset_config", multiline=True, default="", optional=True, placeholder=PLACEHOLDER,
                    tooltip="The content of the file that dataset_config names, if there is one. Empty = the folders "
                    "of train_data_dir and reg_data_dir.",
                ),
            ],
            outputs=[
                sockets.Network.Output(display_name="network", tooltip="For Train LoRA."),
                sockets.Optimizer.Output(display_name="optimizer", tooltip="For Train LoRA."),
                sockets.Objective.Output(display_name="objective", tooltip="For Train LoRA."),
                sockets.Stages.Output(display_name="stages", tooltip="For Train LoRA."),
                io.String.Output(display_name="notes", tooltip="What to set on other nodes, and what has no "
                "equivalent."),
                sockets.Dataset.Output(display_name="dataset", tooltip=DATASET_OUTPUT),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, text: str | None = None, dataset_config: str | None = "") -> str | float:
        """Changes when a file of the dataset's folders does; always while the text is unknown."""
        if text is None or dataset_config is None:
            return float("nan")
        return _folders_state(dataset_config or text, text if dataset_config else "")

    @classmethod
    def execute(cls, text: str, dataset_config: str = "") -> io.NodeOutput:
        setup = with_installed_optimizer(import_kohya(text))
        output: Any = missing_output(NO_DATASET)
        said: list[str] = []
        if dataset_config.strip() or names_dataset(setup):
            try:
                datasets, output, told = _read(dataset_config or text, text if dataset_config.strip() else "")
                setup, said = without_dataset_options(setup, datasets), [summary(output), *told]
            except ValueError as error:
                output, said = missing_output(f"dataset of Import Kohya Setup: {error}"), [f"dataset: {error}"]
        notes = "\n".join([setup.text(), *said])
        return io.NodeOutput(
            setup.network, check_optimizer(setup.optimizer), setup.objective, setup.stages, notes, output,
            ui={"text": [notes]},
        )  # fmt: skip


class BakeryImportKohyaDataset(io.ComfyNode):
    """A dataset config of sd-scripts as a dataset."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryImportKohyaDataset",
            display_name="Import Kohya Dataset (Bakery)",
            category=ADVANCED,
            description="The dataset alone; Import Kohya Setup reads it together with the rest. Reads a dataset TOML "
            "or JSON of kohya's sd-scripts, or the dataset options of a command line, and loads the folders of those "
            "names from ComfyUI's input folder.",
            is_deprecated=True,
            search_aliases=["sd-scripts", "dataset_config", "toml", "subsets", "train_data_dir"],
            inputs=[
                io.String.Input(
                    "text", multiline=True, default="", placeholder=PLACEHOLDER,
                    tooltip="The content of the dataset_config file, or a command line with train_data_dir.",
                ),
                io.String.Input(
                    "command", multiline=True, default="", optional=True, advanced=True,
                    tooltip="The command line that goes with the config. Its dataset options apply where the config "
                    "sets nothing.",
                ),
            ],
            outputs=[
                sockets.Dataset.Output(display_name="dataset", tooltip=DATASET_OUTPUT),
                io.String.Output(display_name="notes", tooltip="What to set on other nodes, and what has no "
                "equivalent."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, text: str | None = None, command: str | None = "") -> str | float:
        """Changes when a file of the folders does; always while the text is unknown."""
        if text is None or command is None:
            return float("nan")
        return _folders_state(text, command)

    @classmethod
    def execute(cls, text: str, command: str = "") -> io.NodeOutput:
        setup, dataset, told = _read(text, command)
        notes = "\n".join([setup.text(), *told])
        return io.NodeOutput(dataset, notes, ui={"text": [summary(dataset), notes]})


def _read(text: str, command: str) -> tuple[KohyaDatasets, Dataset, list[str]]:
    """The datasets as written, their images, and which folders were read with what was found there.

    Raises:
        ValueError: The text cannot be read, or folders or images are missing.
    """
    setup = import_datasets(text, command)
    dataset = build_dataset(setup, _find)
    for note in dataset.notes:
        logging.warning("LoRA Bakery: %s", note)
    return setup, dataset, [*_renamed(setup), *dataset.notes]


def _folders_state(text: str, command: str) -> str:
    """Changes when a file of the datasets' folders does."""
    try:
        setup = import_datasets(text, command)
        names = {name for subset in setup.subsets for name in (subset.folder, subset.mask_folder) if name}
        return " ".join(folder_state(found) for name in sorted(names) if (found := find_input_folder(name)))
    except ValueError:
        return ""  # said when it runs


def _find(written: str) -> Path | None:
    name = find_input_folder(written)
    return input_folder(name) if name else None


def _renamed(setup: KohyaDatasets) -> list[str]:
    """Which folder was used for which path."""
    named = dict.fromkeys(subset.folder for subset in setup.subsets)
    found = {name: find_input_folder(name) for name in named}
    return [f"{name}: read from input/{folder}" for name, folder in found.items() if folder != name]


NODES: list[type[io.ComfyNode]] = [BakeryImportKohya, BakeryImportKohyaDataset]

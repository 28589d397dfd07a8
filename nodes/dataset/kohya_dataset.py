"""Datasets of kohya's sd-scripts, read from folders in ComfyUI's input folder."""

import logging
from pathlib import Path

from comfy_api.latest import io

from ...training.kohya import KohyaDatasets, build_dataset, import_datasets
from .. import sockets
from ..comfy_bridge.host.folders import find_input_folder, input_folder
from ..menu import ADVANCED
from .datasets import DATASET_OUTPUT, folder_state, summary

PLACEHOLDER = """[general]
caption_extension = ".txt"
[[datasets]]
resolution = 512
  [[datasets.subsets]]
  image_dir = "my_images"
  num_repeats = 10"""


class BakeryImportKohyaDataset(io.ComfyNode):
    """A dataset config of sd-scripts as a dataset."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryImportKohyaDataset",
            display_name="Import Kohya Dataset (Bakery)",
            category=ADVANCED,
            description="Reads a dataset TOML or JSON of kohya's sd-scripts, or the dataset options of a command line, "
            "and loads the folders of those names from ComfyUI's input folder. The notes list every option that "
            "belongs to another node or has no equivalent.",
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
        try:
            setup = import_datasets(text, command)
            names = {name for subset in setup.subsets for name in (subset.folder, subset.mask_folder) if name}
            return " ".join(folder_state(found) for name in sorted(names) if (found := find_input_folder(name)))
        except ValueError:
            return ""  # said when it runs

    @classmethod
    def execute(cls, text: str, command: str = "") -> io.NodeOutput:
        setup = import_datasets(text, command)
        dataset = build_dataset(setup, _find)
        notes = "\n".join([setup.text(), *_renamed(setup), *dataset.notes])
        for note in dataset.notes:
            logging.warning("LoRA Bakery: %s", note)
        return io.NodeOutput(dataset, notes, ui={"text": [summary(dataset), notes]})


def _find(written: str) -> Path | None:
    name = find_input_folder(written)
    return input_folder(name) if name else None


def _renamed(setup: KohyaDatasets) -> list[str]:
    """Which folder was used for which path."""
    named = dict.fromkeys(subset.folder for subset in setup.subsets)
    found = {name: find_input_folder(name) for name in named}
    return [f"{name}: read from input/{folder}" for name, folder in found.items() if folder != name]


NODES: list[type[io.ComfyNode]] = [BakeryImportKohyaDataset]

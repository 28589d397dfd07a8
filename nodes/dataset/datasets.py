"""Datasets: from a folder, from images of the graph, joined, written to a folder."""

import hashlib
import logging
from itertools import chain
from typing import Any

from torch import Tensor

from ...training.data.dataset import Dataset, balance, combine
from ...training.data.export import write_dataset
from ...training.data.folder import scan_folder
from ...training.data.from_images import subset_from_images
from ...training.data.report import further_lines_note
from .. import sockets
from ..comfy_bridge.host.folders import input_folder, input_subfolders, new_input_folder
from ..comfy_bridge.host.node_api import io
from ..menu import ADVANCED, LEAD

EXAMPLE_FOLDER = "my_images"
MAX_DATASETS = 8

DATASET_OUTPUT = "Images with captions, for Train LoRA or another dataset node."


class BakeryLoadDataset(io.ComfyNode):
    """Images and captions of a folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        folders = input_subfolders() or [EXAMPLE_FOLDER]
        return io.Schema(
            node_id="BakeryLoadDataset",
            display_name="Load Dataset (Bakery)",
            category=LEAD,
            description="Loads images and captions from a folder in ComfyUI's input folder. Subfolders named like "
            "10_name are repeated ten times per epoch, as in kohya's scripts.",
            search_aliases=["training images", "kohya folder", "load images from folder", "dreambooth folder"],
            inputs=[
                io.Combo.Input(
                    "folder", options=folders, default=folders[0],
                    tooltip="Folder with images and captions in ComfyUI's input folder. Nested folders are read too.",
                ),
                io.String.Input(
                    "caption_extension", default=".txt",
                    tooltip="Extension of the caption files. Images without a caption file get their folder's name as "
                    "caption.",
                ),
                *_weight_inputs(),
                io.String.Input(
                    "metadata", default="", optional=True, advanced=True,
                    tooltip="JSON or JSON Lines file in the folder with captions and tags, used instead of caption "
                    "files.",
                ),
                io.String.Input(
                    "mask_folder", default="", optional=True, advanced=True,
                    tooltip="Folder in ComfyUI's input folder with masks named like the images. White is trained.",
                ),
            ],
            outputs=[sockets.Dataset.Output(display_name="dataset", tooltip=DATASET_OUTPUT)],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Refuse a missing folder before anything runs; one from a link is checked when the node runs.

        ComfyUI repeats a message for every input requested here, so masks are checked when the node runs.
        """
        if folder is not None and not isinstance(folder, str):  # a program may send anything in place of a choice
            return f"folder must be a name below ComfyUI's input folder, got a value of type {type(folder).__name__}"
        try:
            if folder is not None and not input_folder(folder).is_dir():
                return (
                    f"There is no folder {folder!r} in ComfyUI's input folder: put the images there or choose another."
                )
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, folder: str | None, mask_folder: str | None = "", **_: Any) -> str | float:
        """Changes when a file of the folder does; always while the folder's name is unknown."""
        if folder is None or mask_folder is None:
            return float("nan")
        return " ".join(folder_state(name) for name in (folder, mask_folder) if name)

    @classmethod
    def execute(cls, folder: str, repeats: int, **values: Any) -> io.NodeOutput:
        metadata, masks = values.get("metadata"), values.get("mask_folder")
        dataset = scan_folder(
            input_folder(folder),
            values["caption_extension"],
            repeats,
            input_folder(f"{folder}/{metadata}") if metadata else None,
            input_folder(masks) if masks else None,
        ).with_role(values.get("is_regularization", False), values.get("loss_weight", 1.0))
        for note in dataset.notes:
            logging.warning("LoRA Bakery: %s: %s", folder, note)
        text = [summary(dataset), *dataset.notes, *further_lines_note(dataset)]
        return io.NodeOutput(dataset, ui={"text": text, "bakery_dataset": [{"folder": folder}]})


class BakeryImagesToDataset(io.ComfyNode):
    """Images of the graph as training data."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryImagesToDataset",
            display_name="Images to Dataset (Bakery)",
            category=ADVANCED,
            description="Turns images of this graph into training data: loaded or generated, single, batch or list.",
            search_aliases=["make dataset", "generated images to dataset"],
            is_input_list=True,
            inputs=[
                io.Image.Input("images", tooltip="Images of any size: single, batch or list."),
                io.String.Input(
                    "captions", multiline=True, default="", placeholder="one caption, or one line an image",
                    tooltip="One caption for all images, one line per image, or a list with one text per image.",
                ),
                *_weight_inputs(),
                io.Mask.Input(
                    "masks", optional=True,
                    tooltip="White areas are trained, black ones are not. One mask for all images, or one per image. "
                    "An all-black mask counts as none.",
                ),
            ],
            outputs=[sockets.Dataset.Output(display_name="dataset", tooltip=DATASET_OUTPUT)],
        )  # fmt: skip

    @classmethod
    def execute(cls, images: list[Tensor], captions: list[str], **values: list[Any]) -> io.NodeOutput:
        pictures = list(chain.from_iterable(images))
        subset = subset_from_images(
            pictures,
            captions if len(captions) > 1 else _caption_lines(captions[0], len(pictures)),
            list(chain.from_iterable(mask for mask in values.get("masks", []) if mask is not None)),
            values["repeats"][0],
            values.get("is_regularization", [False])[0],
            values.get("loss_weight", [1.0])[0],
        )
        dataset = Dataset((subset,))
        return io.NodeOutput(dataset, ui={"text": [summary(dataset)]})


class BakeryCombineDatasets(io.ComfyNode):
    """Several datasets as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        further = [
            sockets.Dataset.Input(f"dataset_{number}", optional=True, tooltip="A dataset to join.")
            for number in range(2, MAX_DATASETS + 1)
        ]
        return io.Schema(
            node_id="BakeryCombineDatasets",
            display_name="Combine Datasets (Bakery)",
            category=ADVANCED,
            description="Joins datasets; each keeps its own settings. Can balance concepts so that all are trained "
            "equally often.",
            search_aliases=["merge datasets", "join datasets", "balance concepts"],
            inputs=[
                sockets.Dataset.Input("dataset_1", tooltip="A dataset to join."),
                *further,
                io.Boolean.Input(
                    "balance", default=False,
                    tooltip="Set repeats so that every concept is trained about equally often.",
                ),
            ],
            outputs=[sockets.Dataset.Output(display_name="dataset", tooltip=DATASET_OUTPUT)],
        )  # fmt: skip

    @classmethod
    def execute(cls, balance: bool, **datasets: Dataset | None) -> io.NodeOutput:
        named = (datasets.get(f"dataset_{number}") for number in range(1, MAX_DATASETS + 1))
        return io.NodeOutput(join([dataset for dataset in named if dataset is not None], balance))


class BakerySaveDataset(io.ComfyNode):
    """A dataset written to a new folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakerySaveDataset",
            display_name="Save Dataset (Bakery)",
            category=ADVANCED,
            description="Writes images (PNG) and captions (text files) to a new folder in ComfyUI's input folder, "
            "ready for Load Dataset. Never overwrites anything.",
            search_aliases=["export dataset", "write captions"],
            is_output_node=True,
            inputs=[
                sockets.Dataset.Input("dataset", tooltip="The dataset to write, with tag edits applied."),
                io.String.Input(
                    "folder", default="my_dataset", tooltip="Name of the new folder in ComfyUI's input folder."
                ),
            ],
            outputs=[sockets.Dataset.Output(display_name="dataset", tooltip="The same dataset.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Refuse a name outside the input folder before anything runs; one from a link is checked later."""
        try:
            if folder is not None:
                new_input_folder(folder)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, dataset: Dataset, folder: str) -> io.NodeOutput:
        write_dataset(dataset, new_input_folder(folder))
        return io.NodeOutput(dataset, ui={"text": [f"{summary(dataset)} written to input/{folder}"]})


def join(datasets: list[Dataset], is_balanced: bool) -> Dataset:
    """The datasets as one, with balanced concepts if wanted."""
    joined = combine(datasets)
    return balance(joined) if is_balanced else joined


def summary(dataset: Dataset) -> str:
    """Size of the dataset in one line."""
    samples = sum(subset.num_samples for subset in dataset.subsets)
    held_out = sum(len(subset.items) for subset in dataset.held_out)
    return f"{dataset.num_images} images, {samples} per epoch" + (f", {held_out} for validation" if held_out else "")


def _weight_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "repeats", default=1, min=1, max=10_000,
            tooltip="How often each image is trained per epoch. A number in a folder's name multiplies it.",
        ),
        io.Boolean.Input(
            "is_regularization", default=False, optional=True, advanced=True,
            tooltip="Regularization images: they show the class in general and keep the model from forgetting it.",
        ),
        io.Float.Input(
            "loss_weight", default=1.0, min=0.0, max=100.0, step=0.05, optional=True, advanced=True,
            tooltip="Weight of these images in the loss: 1 = normal, 0 = ignored.",
        ),
    ]  # fmt: skip


def _caption_lines(text: str, num_images: int) -> list[str]:
    """One text for all images, or one line each if there are several lines and images."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines if len(lines) > 1 and num_images > 1 else [text]


def folder_state(name: str) -> str:
    """Changes whenever a file below a folder of ComfyUI's input folder does."""
    try:
        files = sorted(path for path in input_folder(name).rglob("*") if path.is_file())
    except (ValueError, OSError):
        return ""
    stats = ((path.as_posix(), path.stat()) for path in files)
    state = [(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for path, stat in stats]
    return hashlib.blake2b(repr(state).encode(), digest_size=16).hexdigest()


NODES: list[type[io.ComfyNode]] = [BakeryLoadDataset, BakeryImagesToDataset, BakeryCombineDatasets, BakerySaveDataset]

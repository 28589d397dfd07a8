"""A setup together with its datasets, for a node that imports both."""

from dataclasses import replace

from .dataset_tables import COMMAND_OPTIONS
from .datasets import KohyaDatasets
from .setup import KohyaSetup

NAMES_IMAGES = ("train_data_dir", "reg_data_dir", "in_json", "datasets")


def names_dataset(setup: KohyaSetup) -> bool:
    """Whether the setup's own options name image folders."""
    return any(_option(line) in NAMES_IMAGES for line in (*setup.elsewhere, *setup.lost))


def without_dataset_options(setup: KohyaSetup, datasets: KohyaDatasets) -> KohyaSetup:
    """The setup's notes without those on dataset options, which the datasets' own notes replace."""
    of_setup = [line for line in setup.elsewhere if _option(line) not in {*COMMAND_OPTIONS, "dataset_config"}]
    of_data = [line for line in datasets.elsewhere if not line.endswith(": Import Kohya Setup")]
    lost = [line for line in setup.lost if _option(line) not in COMMAND_OPTIONS]
    return replace(
        setup,
        elsewhere=tuple(dict.fromkeys([*of_setup, *of_data])),
        lost=tuple(dict.fromkeys([*lost, *datasets.lost])),
    )


def _option(line: str) -> str:
    return line.partition(":")[0].split(" ")[0]

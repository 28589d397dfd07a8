"""Imports setups of kohya's sd-scripts, and exports to them."""

from .datasets import KohyaDatasets, import_datasets
from .export_datasets import export_datasets
from .read_datasets import build_dataset
from .setup import KohyaCommands, KohyaSetup, export_kohya, import_kohya, with_installed_optimizer

__all__ = [
    "KohyaCommands",
    "KohyaDatasets",
    "KohyaSetup",
    "build_dataset",
    "export_datasets",
    "export_kohya",
    "import_datasets",
    "import_kohya",
    "with_installed_optimizer",
]

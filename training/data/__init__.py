"""Images and captions, from a folder or the graph to batches of latents."""

from .batch import Batch, BatchPlan
from .buckets import BucketSettings
from .captions import CaptionSettings
from .dataset import Dataset, Subset, balance, combine, split, with_buckets, with_captions, with_tag_edits
from .folder import scan_folder
from .from_images import subset_from_images
from .images import ImageItem
from .prepare import prepare
from .prepared import PreparedDataset
from .tags import TagEdits

__all__ = [
    "Batch", "BatchPlan", "BucketSettings", "CaptionSettings", "Dataset", "ImageItem", "PreparedDataset", "Subset",
    "TagEdits", "balance", "combine", "prepare", "scan_folder", "split", "subset_from_images", "with_buckets",
    "with_captions", "with_tag_edits",
]  # fmt: skip

"""Shows a dataset: pictures and captions as trained, buckets, tags, warnings."""

from comfy_api.latest import ui

from ...training.base_model import ModelFamily
from ...training.data.dataset import Dataset
from ...training.data.gallery import draw_gallery
from ...training.data.report import describe, traits_of
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..menu import TOOLS


class BakeryInspectDataset(io.ComfyNode):
    """Shows a dataset as the trainer sees it, with warnings."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryInspectDataset",
            display_name="Inspect Dataset (Bakery)",
            category=TOOLS,
            description="Shows images and captions as they will be trained, the buckets and how often each tag occurs. "
            "Warns of duplicates, tiny images, empty captions and tags that always occur together.",
            search_aliases=["dataset gallery", "tag frequency", "bucket preview", "duplicates"],
            is_output_node=True,
            inputs=[
                sockets.Dataset.Input("dataset", tooltip="The dataset, ideally the one that goes into Train LoRA."),
                io.Combo.Input(
                    "family", options=["sd15", "sdxl"], default="sd15",
                    tooltip="Type of model it is for; sets the buckets if no resolution is set.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="Pages of images with captions, up to 100 images."),
                io.String.Output(display_name="report", tooltip="Buckets, tags and warnings as text."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, dataset: Dataset, family: ModelFamily) -> io.NodeOutput:
        pages, report = draw_gallery(dataset, family), describe(dataset, family)
        shown = {"text": [report], "bakery_traits": traits_of(dataset, family)}
        return io.NodeOutput(pages, report, ui={**ui.PreviewImage(pages, cls=cls).as_dict(), **shown})


NODES: list[type[io.ComfyNode]] = [BakeryInspectDataset]

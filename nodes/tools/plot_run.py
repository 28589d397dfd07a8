"""Charts of a run as an image."""

from ...training.data.images import pixels_HWC
from ...training.run.charts import draw_run
from ...training.run.folder import RunFolder
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..menu import TOOLS


class BakeryPlotRun(io.ComfyNode):
    """Loss, loss by timestep, learning rates and norms of a run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryPlotRun",
            display_name="Plot Run (Bakery)",
            category=TOOLS,
            description="Draws the charts of a run: loss (raw, smoothed, by timestep, validation), learning rates and "
            "norms.",
            search_aliases=["loss graph", "loss curve", "training chart"],
            inputs=[
                sockets.Run.Input("run", tooltip="The run from Train LoRA."),
                io.Int.Input("width", default=1024, min=256, max=4096, step=8, tooltip="Width in pixels."),
                io.Int.Input(
                    "panel_height", default=256, min=128, max=2048, step=8, tooltip="Height of each chart in pixels."
                ),
                io.Boolean.Input(
                    "log_scale",
                    default=False,
                    tooltip="Logarithmic scale for the losses, which shows late changes too.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The charts, one below another.")],
        )

    @classmethod
    def execute(cls, run: RunFolder, width: int, panel_height: int, log_scale: bool) -> io.NodeOutput:
        return io.NodeOutput(pixels_HWC(draw_run(run.metrics, width, panel_height, log_scale))[None])


NODES: list[type[io.ComfyNode]] = [BakeryPlotRun]

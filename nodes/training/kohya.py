"""Settings of the graph as a setup of kohya's sd-scripts; the way back is `nodes/dataset/kohya_import.py`."""

from ...training.data.dataset import Dataset
from ...training.kohya import export_datasets, export_kohya
from ...training.loop.stages import Plan, Stage
from ...training.networks.settings import NetworkSettings
from ...training.objective.settings import ObjectiveSettings
from ...training.optimizers.settings import OptimizerSettings
from .. import sockets
from ..comfy_bridge.host.folders import input_name
from ..comfy_bridge.host.node_api import io
from ..menu import ADVANCED


class BakeryExportKohya(io.ComfyNode):
    """Settings as a command line of sd-scripts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryExportKohya",
            display_name="Export Kohya Setup (Bakery)",
            category=ADVANCED,
            description="Writes settings as sd-scripts command lines, one per stage, and a dataset as TOML. Add the "
            "model and names yourself. Settings without an equivalent in sd-scripts are listed.",
            search_aliases=["sd-scripts", "kohya_ss", "command line"],
            is_output_node=True,
            inputs=[
                sockets.Network.Input("network", optional=True, tooltip="Not connected: a LoRA of rank 16."),
                sockets.Optimizer.Input("optimizer", optional=True, tooltip="Not connected: AdamW at 0.0002."),
                sockets.Objective.Input("objective", optional=True, tooltip="Not connected: min-SNR 5."),
                sockets.Stages.Input("stages", optional=True, tooltip="Not connected: 10 epochs."),
                sockets.Dataset.Input("dataset", optional=True, tooltip="Dataset to write as a dataset config."),
            ],
            outputs=[
                io.String.Output(display_name="command", tooltip="One line per stage."),
                io.String.Output(display_name="notes", tooltip="What sd-scripts has no option for."),
                io.String.Output(
                    display_name="dataset_config",
                    tooltip="TOML for --dataset_config; folders are named below ComfyUI's input folder.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        network: NetworkSettings | None = None,
        optimizer: OptimizerSettings | None = None,
        objective: ObjectiveSettings | None = None,
        stages: Plan | None = None,
        dataset: Dataset | None = None,
    ) -> io.NodeOutput:
        commands = export_kohya(
            network or NetworkSettings(),
            optimizer or OptimizerSettings(),
            objective or ObjectiveSettings(),
            stages or (Stage(),),
        )
        lost = list(commands.lost)
        config = export_datasets(dataset, input_name, lost) if dataset else ""
        notes = "\n".join(dict.fromkeys(lost)) or "Nothing is lost."
        return io.NodeOutput(
            commands.text, notes, config, ui={"text": [commands.text, *[config] * bool(config), notes]}
        )


NODES: list[type[io.ComfyNode]] = [BakeryExportKohya]

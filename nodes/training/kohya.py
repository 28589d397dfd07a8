"""Setups of kohya's sd-scripts: import and export."""

from comfy_api.latest import io

from ...training.data.dataset import Dataset
from ...training.kohya import export_datasets, export_kohya, import_kohya, with_installed_optimizer
from ...training.loop.stages import Plan, Stage
from ...training.networks.settings import NetworkSettings
from ...training.objective.settings import ObjectiveSettings
from ...training.optimizers import check_optimizer
from ...training.optimizers.settings import OptimizerSettings
from .. import sockets
from ..comfy_bridge.host.folders import input_name
from ..menu import ADVANCED


class BakeryImportKohya(io.ComfyNode):
    """A setup of sd-scripts as settings."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryImportKohya",
            display_name="Import Kohya Setup (Bakery)",
            category=ADVANCED,
            description="Reads a command line, TOML or JSON of kohya's sd-scripts or its GUI. The notes list every "
            "option that belongs to another node or has no equivalent.",
            search_aliases=["sd-scripts", "kohya_ss", "toml", "train_network.py", "sdxl_train_network.py"],
            inputs=[
                io.String.Input(
                    "text", multiline=True, default="",
                    placeholder="--network_module=networks.lora --network_dim=32 --learning_rate=1e-4 ...",
                    tooltip="The command line, or the content of the TOML or JSON file.",
                )
            ],
            outputs=[
                sockets.Network.Output(display_name="network", tooltip="For Train LoRA."),
                sockets.Optimizer.Output(display_name="optimizer", tooltip="For Train LoRA."),
                sockets.Objective.Output(display_name="objective", tooltip="For Train LoRA."),
                sockets.Stages.Output(display_name="stages", tooltip="For Train LoRA."),
                io.String.Output(display_name="notes", tooltip="What to set on other nodes, and what has no "
                "equivalent."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, text: str) -> io.NodeOutput:
        setup = with_installed_optimizer(import_kohya(text))
        notes = setup.text()
        return io.NodeOutput(
            setup.network, check_optimizer(setup.optimizer), setup.objective, setup.stages, notes, ui={"text": [notes]}
        )


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


NODES: list[type[io.ComfyNode]] = [BakeryImportKohya, BakeryExportKohya]

"""The LoRA of one saved step of a run."""

from typing import Any

from ...training.files.lora_file import LoraTensors, load_lora
from ...training.run.folder import RunFolder
from ...training.run.picks import PICK_RULES, PickRule, chosen_step, picks_state
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.host.run_folders import loras_output
from ..menu import LEAD


class BakeryPickStep(io.ComfyNode):
    """Chooses among the saved steps of a run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryPickStep",
            display_name="Pick Step (Bakery)",
            category=LEAD,
            description="Outputs the LoRA of one saved step of a run: the one picked in the preview strip on Train "
            "LoRA, the last, the best by validation loss, or a given step.",
            search_aliases=["choose checkpoint", "best epoch", "lora step"],
            inputs=[
                sockets.Run.Input("run", tooltip="The run from Train LoRA."),
                io.Combo.Input(
                    "pick", options=list(PICK_RULES), default=PICK_RULES[0],
                    tooltip="Which step to use. If nothing is picked in the strip, the last one.",
                ),
                io.Int.Input(
                    "step", default=0, min=0, max=1_000_000_000, tooltip="Step number, used if pick is step."
                ),
            ],
            outputs=[
                sockets.LoraModel.Output(display_name="lora", tooltip="The LoRA of that step."),
                io.Int.Output(display_name="step", tooltip="The number of that step."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, pick: str, step: int, **_: Any) -> str:
        """Changes when another step is picked on the page."""
        return f"{pick} {step} {picks_state(loras_output()) if pick == PICK_RULES[0] else ''}"

    @classmethod
    def execute(cls, run: RunFolder, pick: PickRule, step: int) -> io.NodeOutput:
        chosen = chosen_step(run, pick, step)
        file = load_lora(run.step_loras()[chosen])
        return io.NodeOutput(
            LoraTensors(file.tensors, file.metadata), chosen, ui={"text": [f"{run.name}: step {chosen}"]}
        )


NODES: list[type[io.ComfyNode]] = [BakeryPickStep]

"""Share LoRA: a folder with a LoRA's file, pictures, a card and the workflow."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...training.data.images import pixels_HWC
from ...training.files.facts import GraphFacts
from ...training.files.lora_file import LoraTensors, load_lora
from ...training.run.folder import RunFolder
from ...training.run.picks import PICK_RULES, chosen_step, picks_state
from ...training.sharing.card_words import CHINESE, ENGLISH
from ...training.sharing.samples import Sample, draw_sheet, samples_of_run
from ...training.sharing.share import Share, Words, write_share
from ...training.tools.result_metadata import resized_metadata
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.host.run_folders import loras_output, share_folder
from ..comfy_bridge.model.lora import kohya_tensors, lora_family
from ..comfy_bridge.page.progress import to_pil
from ..menu import TOOLS

LANGUAGES = ("as the page", ENGLISH, CHINESE)
"""The page puts its own in place of the first (js/share/share_node.js); without a page that is English."""


class BakeryShareLoRA(io.ComfyNode):
    """Writes a LoRA as a folder to share."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryShareLoRA",
            display_name="Share LoRA (Bakery)",
            category=TOOLS,
            description="Writes a folder to upload or send: the LoRA's file with trigger word and pictures in its "
            "header, a sheet of pictures, a card in Markdown, and the workflow if you want.",
            search_aliases=["publish lora", "upload lora", "model card", "export lora", "release"],
            is_output_node=True,
            inputs=[*_what_inputs(), *_word_inputs()],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The sheet of pictures."),
                io.String.Output(display_name="card", tooltip="The card, in Markdown."),
                io.String.Output(display_name="folder", tooltip="The folder, below ComfyUI's output folder."),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def fingerprint_inputs(cls, pick: str = PICK_RULES[0], **_: Any) -> str:
        """Changes when another step is picked on the page."""
        return picks_state(loras_output()) if pick == PICK_RULES[0] else ""

    @classmethod
    def execute(
        cls, name: str = "", include_workflow: bool = True, language: str = LANGUAGES[0], **values: Any
    ) -> io.NodeOutput:
        lora, step = _lora(values)
        run: RunFolder | None = values.get("run")
        name = name.strip() or lora.name
        samples = _samples(values)
        if not samples and run is not None and step is not None:
            samples = samples_of_run(run, step)
        workflow = (cls.hidden.extra_pnginfo or {}).get("workflow")
        share = Share(
            name=name, tensors=dict(lora), metadata=lora.metadata, samples=samples,
            words=Words(**{field: values.get(field, "") for field in Words.__dataclass_fields__}),
            graph=GraphFacts(workflow=workflow, prompt=cls.hidden.prompt) if include_workflow else None,
            language=ENGLISH if language == LANGUAGES[0] else language,
            dtype=torch.float16 if _is_float32(values.get("lora")) else None,
        )  # fmt: skip
        folder = share_folder(name)
        shared = write_share(folder, share)
        place = f"share/{folder.name}"
        said = [f"written to output/{place}: {', '.join(shared.files)}", *shared.notes]
        return io.NodeOutput(_sheet(samples), shared.card, place, ui={"text": said})


def _lora(values: Mapping[str, Any]) -> tuple[LoraTensors, int | None]:
    """The LoRA to share under kohya's names, and its step of the run if there is one.

    Raises:
        ValueError: Neither a run nor a LoRA is connected, or the run has no such step.
    """
    run: RunFolder | None = values.get("run")
    given: Mapping[str, Tensor] | None = values.get("lora")
    if given is not None:
        tensors = kohya_tensors(given)
        told: dict[str, str] = dict(getattr(given, "metadata", {})) or resized_metadata(
            {}, tensors, lora_family(tensors), ""
        )
        name = getattr(given, "name", "") or (run.name if run is not None else told.get("modelspec.title", "lora"))
        step = told.get("ss_steps", "")
        return LoraTensors(tensors, told, name), int(step) if step.isdecimal() else None
    if run is None:
        raise ValueError("nothing to share: connect the run of Train LoRA to run, or a LoRA to lora")
    step = chosen_step(run, values.get("pick", PICK_RULES[0]), values.get("step", 0))
    file = load_lora(run.step_loras()[step])
    return LoraTensors(file.tensors, file.metadata, run.name), step


def _is_float32(lora: Mapping[str, Tensor] | None) -> bool:
    """Whether a LoRA of the graph has float32 weights, as a merged one has; a run's file has what was chosen for it."""
    return any(tensor.dtype == torch.float32 and tensor.numel() > 1 for tensor in (lora or {}).values())


def _samples(values: Mapping[str, Any]) -> list[Sample]:
    """The connected pictures with their prompts; pictures beyond the prompts have none."""
    pictures: Tensor | None = values.get("images")
    if pictures is None:
        return []
    prompts = [line.strip() for line in values.get("prompts", "").splitlines() if line.strip()]
    prompts += [""] * (len(pictures) - len(prompts))
    return [
        Sample(picture=to_pil(picture[..., :3]), prompt=prompt)
        for picture, prompt in zip(pictures, prompts, strict=False)
    ]


def _sheet(samples: Sequence[Sample]) -> Tensor:
    """(1, H, W, 3); a gray block without pictures."""
    return pixels_HWC(draw_sheet(samples))[None] if samples else torch.full((1, 64, 64, 3), 0.5)


def _what_inputs() -> list[io.Input]:
    return [
        sockets.Run.Input(
            "run", optional=True, tooltip="The run from Train LoRA: its LoRA, and its previews as pictures."
        ),
        sockets.LoraModel.Input(
            "lora", optional=True,
            tooltip="A LoRA to share instead of the run's, such as one from Compare LoRAs, Resize LoRA or a file.",
        ),
        io.Combo.Input(
            "pick", options=list(PICK_RULES), default=PICK_RULES[0], optional=True,
            tooltip="Which step of the run. Not used if a LoRA is connected.",
        ),
        io.Int.Input(
            "step", default=0, min=0, max=1_000_000_000, optional=True, tooltip="Step number, used if pick is step."
        ),
        io.Image.Input(
            "images", optional=True, tooltip="Pictures to show instead of the run's previews at that step."
        ),
        io.String.Input(
            "prompts", multiline=True, default="", optional=True, tooltip="Prompts of those pictures, one per line."
        ),
        io.String.Input(
            "name", default="", optional=True, placeholder="mira_v1",
            tooltip="Name of the folder in output/share and of the file. Empty = the name of the run or LoRA.",
        ),
        io.Boolean.Input(
            "include_workflow", default=True, optional=True,
            tooltip="Put the workflow into the folder and the file. Off: it is taken out, with its prompts and folder "
            "names.",
        ),
    ]  # fmt: skip


def _word_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "trigger", display_name="trigger (empty = as trained)", default="", optional=True,
            tooltip="Trigger word for the header and the card. Empty = the one it was trained with.",
        ),
        io.String.Input(
            "strength", default="", optional=True, placeholder="0.7 to 0.9", tooltip="Strength you recommend."
        ),
        io.String.Input(
            "license", default="", optional=True, placeholder="Fair AI Public License 1.0-SD",
            tooltip="License or terms, written to the card and the header as they are. Empty = the card says that "
            "none is stated.",
        ),
        io.String.Input("author", default="", optional=True, tooltip="Who made it."),
        io.String.Input(
            "description", multiline=True, default="", optional=True,
            tooltip="What it is, what it draws well, and what it cannot do.",
        ),
        io.Combo.Input(
            "language", options=list(LANGUAGES), default=LANGUAGES[0], optional=True,
            tooltip="Language of the card.",
        ),
    ]  # fmt: skip


NODES: list[type[io.ComfyNode]] = [BakeryShareLoRA]

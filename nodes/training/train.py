"""Train LoRA: the training loop as a node."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...training.data.captions import CaptionMoment, process_caption
from ...training.data.dataset import bracket_notes, without_draws
from ...training.data.prepare import place_images
from ...training.data.report import dataset_notes
from ...training.files.lora_file import LoraTensors, load_lora, load_metadata
from ...training.loop.stages import Stage, stage_optimizers
from ...training.networks.settings import NetworkSettings
from ...training.networks.trigger import carried_by
from ...training.objective.settings import default_objective
from ...training.objective.weight_notes import weight_notes
from ...training.optimizers.settings import OptimizerSettings
from ...training.recipes.damping import describe_damping, network_of_file
from ...training.run.picks import load_pick, picks_state
from ...training.run.saver import SaveSettings
from ...training.run.stops import stops_state
from ...training.session.plan import trained_dataset
from ...training.session.request import LoraStart, TrainRequest, TrainResult, ValidationSettings
from ...training.session.trigger import preview_with_trigger, trigger_note, triggers_of
from ...training.tools.strengths import Strengths
from ...training.watch.model_pictures import for_model
from ...training.watch.previews import PreviewSettings
from .. import sockets
from ..comfy_bridge.host.embeddings import write_embedding
from ..comfy_bridge.host.given_runs import given_state, note_given
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.host.run_folders import latent_cache_folder, loras_output, run_root
from ..comfy_bridge.host.stale_loaders import check_not_on_itself, stale_note
from ..comfy_bridge.model.base_model import ComfyBaseModel
from ..comfy_bridge.model.identity import clip_key, patcher_key, tensors_key, vae_key
from ..comfy_bridge.model.lora import apply_lora, kohya_tensors
from ..comfy_bridge.model.model_facts import prediction_note, sampling_note
from ..comfy_bridge.preview_store import PreviewStore, preview_sheet
from ..comfy_bridge.train import GraphContext, HostSession
from ..menu import LEAD
from .run_name import accepted_name
from .train_inputs import DEFAULT_NAME, train_inputs


class BakeryTrain(io.ComfyNode):
    """Trains a LoRA on the loaded model and gives the model back with it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryTrain",
            display_name="Train LoRA (Bakery)",
            category=LEAD,
            description=(
                "Trains a LoRA on this graph's model and outputs the model with the LoRA, ready to sample. Canceling "
                "keeps what was trained; queue again to resume."
            ),
            search_aliases=["lora training", "train lora", "dreambooth", "finetune", "kohya"],
            is_output_node=True,
            inputs=train_inputs(),
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the trained LoRA."),
                io.Clip.Output(display_name="clip", tooltip="The CLIP with the trained LoRA."),
                sockets.LoraModel.Output(display_name="lora", tooltip="The LoRA, for LoRA nodes."),
                sockets.Run.Output(display_name="run", tooltip="The run, for Compare LoRAs, Pick Step and Plot Run."),
                io.Image.Output(
                    display_name="images", tooltip="All previews: one row per prompt, one column per step."
                ),
                sockets.LossMap.Output(display_name="loss_map", tooltip="Loss of each step trained in this queue."),
                io.String.Output(
                    display_name="trigger",
                    tooltip="The trigger word: that of Captions, else the one with which every caption begins.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def validate_inputs(cls, name: str | None = DEFAULT_NAME) -> bool | str:
        """Refuse the name before anything runs; one from a link is checked when the node runs."""
        return accepted_name(name)

    @classmethod
    def fingerprint_inputs(cls, name: str | None, **_: Any) -> str:
        """Changes when a run of the name was stopped early, a step picked, or its LoRA deleted or replaced.

        Then the node runs again. If the name comes from a link, it is unknown here, and any name counts.
        """
        if name is None:
            stops = (stops_state(root) for root in sorted(loras_output().glob("*")))
            return f"{' '.join(stops)} {picks_state(loras_output())} {given_state(None)}"
        root = run_root(name)
        return f"{stops_state(root)} {picks_state(root.parent, name)} {given_state(root)}"

    @classmethod
    def execute(cls, **values: Any) -> io.NodeOutput:
        check_not_on_itself(cls.hidden.prompt, cls.hidden.unique_id, run_root(values["name"]))
        base = _base_model(values)
        request = _request(base, values)
        notes = notes_before(request, values)
        context = GraphContext(
            node_id=cls.hidden.unique_id, prompt=cls.hidden.prompt, extra_pnginfo=cls.hidden.extra_pnginfo,
            note=" · ".join(notes),
        )  # fmt: skip
        asked = values.get("preview") or default_preview(request)
        asked = preview_with_trigger(asked, trained_dataset(request))
        preview = for_model(asked, base.family, base.prediction_type)
        result = HostSession(base, preview, context).run(request)
        note_given(result.folder)
        lora, picked = given_lora(result)
        model, clip = apply_lora(values["model"], values.get("clip"), dict(lora), Strengths())
        stale = stale_note(cls.hidden.prompt, request.root) if result.losses else ""
        embedding = write_embedding(lora, request.root.name)
        texts = (result.message, *notes, picked, embedding, stale, result.diagnosis and result.diagnosis.text())
        return io.NodeOutput(
            model, clip, lora, result.folder, preview_sheet(PreviewStore(result.folder, preview)),
            {"loss": list(result.losses)}, ", ".join(triggers_of(trained_dataset(request))),
            ui={"text": [text for text in texts if text]},
        )  # fmt: skip


def notes_before(request: TrainRequest, values: Mapping[str, Any]) -> list[str]:
    """Notes before training starts, a line each."""
    return [
        prediction_note(request.base.prediction_type, request.base.alphas_cumprod),
        *filter(None, [overruled_note(values), sampling_note(values["model"])]),
        *damping_notes(request),
        *filter(None, [trigger_note(trained_dataset(request))]),
        *trigger_notes(request),
        *bracket_notes(trained_dataset(request)),
        *dataset_notes(trained_dataset(request), request.base.family),
        *weight_notes(
            request.objective, request.base.prediction_type, request.base.alphas_cumprod, trained_dataset(request)
        ),
    ]


def damping_notes(request: TrainRequest) -> list[str]:
    """What alpha / rank, of the given LoRA if one is trained further, leaves of each stage's learning rate."""
    network: NetworkSettings | None = request.network
    if request.start:
        network = network_of_file(dict(request.start.tensors), request.network.parts)
    if network is None:
        return []
    optimizers = stage_optimizers(request.stages, request.optimizer)
    lines = dict.fromkeys(describe_damping(network, optimizer) for optimizer in optimizers)
    return [line for line in lines if line]


def trigger_notes(request: TrainRequest) -> list[str]:
    """What is to be said of a trigger word with an embedding of its own, and of one that a LoRA carries."""
    word = request.network.trigger_embedding.strip()
    carried = [] if request.start is None else list(carried_by(request.start.tensors))
    if not word:
        told = "lora carries an embedding, which is not trained on; set trigger_embedding to its word"
        return [f"{told}: {name}" for name in carried]
    captions = [item.captions[0] for subset in trained_dataset(request).subsets for item in subset.items]
    triggers = {subset.captions.trigger.strip().lower() for subset in trained_dataset(request).subsets}
    found = sum(word.lower() in caption.lower() for caption in captions)
    if found or word.lower() in triggers:
        return []
    return [f"trigger_embedding {word!r} is in none of {len(captions)} captions, so nothing is learned for it"]


def start_tensors(lora: Mapping[str, Tensor], model: Any) -> dict[str, Tensor]:
    """A LoRA to go on from under kohya's names, with the embedding that it carries."""
    carried = carried_by(lora)
    return carried if len(carried) == len(lora) else {**kohya_tensors(lora, model), **carried}


def overruled_note(values: Mapping[str, Any]) -> str:
    """A note that connected stages override the node's own inputs; empty without stages."""
    if not values.get("stages"):
        return ""
    return (
        f"the stages decide the length; steps ({values['steps']}) and batch_size ({values['batch_size']}) of this node "
        "are not used"
    )


def given_lora(result: TrainResult) -> tuple[LoraTensors, str]:
    """The LoRA to output with its file's header, and a line about it: the step picked in the strip, else the last."""
    saved, pick = result.folder.step_loras(), load_pick(result.folder)
    if pick is not None and pick.step != result.step:
        file = load_lora(saved[pick.step])
        told = f"step {pick.step} is the output, as picked in the strip; unpick it for step {result.step}"
        return LoraTensors(file.tensors, file.metadata), told
    header = load_metadata(saved[result.step]) if result.step in saved else {}
    return LoraTensors(result.tensors, header), ""


def _base_model(values: Mapping[str, Any]) -> ComfyBaseModel:
    if values.get("clip") is None:
        raise ValueError("clip is not connected: connect the CLIP of the checkpoint, it reads the captions.")
    base = ComfyBaseModel(
        values["model"], values["clip"], values["vae"], values["gradient_checkpointing"],
        is_deterministic=values.get("deterministic", False),
    )  # fmt: skip
    base.check((values.get("network") or NetworkSettings()).parts)
    return base


def _request(base: ComfyBaseModel, values: Mapping[str, Any]) -> TrainRequest:
    """Inputs without a default may be missing; the others are always there."""
    lora = None if values.get("lora") is None else start_tensors(values["lora"], base.model)
    return TrainRequest(
        base=base,
        base_key=f"{patcher_key(base.model)}:{clip_key(base.clip)}",
        encoder_key=vae_key(base.vae),
        dataset=values["dataset"],
        network=values.get("network") or NetworkSettings(),
        objective=values.get("objective") or default_objective(base.prediction_type),
        optimizer=values.get("optimizer") or OptimizerSettings(),
        stages=values.get("stages") or (Stage(steps=values["steps"], batch_size=values["batch_size"]),),
        seed=values["seed"],
        root=run_root(values["name"]),
        saving=SaveSettings(
            save_every=values["save_every"], keep_last=values["keep_last"], save_dtype=values["save_dtype"]
        ),
        start=None if lora is None else LoraStart(tensors=lora, key=tensors_key(lora)),
        on_dataset_change=values["on_dataset_change"],
        on_more_steps=values["on_more_steps"],
        after_stop=values["after_stop"],
        validation=ValidationSettings(
            dataset=values.get("validation_dataset"),
            share=values["validation_share"],
            every=values["validate_every"],
        ),
        cache_dir=latent_cache_folder(),
    )


def default_preview(request: TrainRequest) -> PreviewSettings:
    """The first two captions as they are trained, at their own size, a quarter of the run apart."""
    dataset = trained_dataset(request)
    first = CaptionMoment(seed=request.seed, epoch=0, image=0)
    items = [
        process_caption(item.captions, without_draws(subset).captions, first)
        for subset in dataset.subsets
        if not subset.is_regularization
        for item in subset.items
    ]
    captions = tuple(dict.fromkeys(items))[:2]
    width, height = place_images(dataset, request.base.family)[0].placement.bucket
    return PreviewSettings(prompts=captions, seed=request.seed, width=width, height=height, every=None)


NODES: list[type[io.ComfyNode]] = [BakeryTrain]

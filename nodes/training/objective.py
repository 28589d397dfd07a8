"""What a network learns from: loss, weights, noise and timesteps."""

from typing import Any, get_args

from ...training.objective.settings import (
    HuberSchedule,
    LossType,
    ObjectiveSettings,
    PriorPreservation,
    TimestepDistribution,
)
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..menu import ADVANCED

SETTINGS = ObjectiveSettings()


class BakeryObjective(io.ComfyNode):
    """Loss, weighting, noise, timesteps and prior preservation."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryObjective",
            display_name="Loss & Noise (Bakery)",
            category=ADVANCED,
            description="Loss and noise during training. The defaults suit most LoRAs. The prediction type (noise or "
            "velocity) is taken from the model.",
            search_aliases=[
                "objective", "loss", "min snr gamma", "noise offset", "masked loss", "prior loss", "huber", "timestep",
            ],
            inputs=[*_weight_inputs(), *_prior_inputs(), *_noise_inputs(), *_timestep_inputs(), *_further_inputs()],
            outputs=[sockets.Objective.Output(display_name="objective", tooltip="For Train LoRA.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, min_snr_gamma: float, p2_gamma: float = 0.0, **values: Any) -> io.NodeOutput:
        settings = ObjectiveSettings(min_snr_gamma=min_snr_gamma or None, p2_gamma=p2_gamma or None, **values)
        return io.NodeOutput(settings)


def _weight_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "loss_type", options=list(get_args(LossType)), default=SETTINGS.loss_type,
            tooltip="Loss function. l2 is usual; huber and smooth_l1 are less affected by bad images.",
        ),
        io.Float.Input(
            "min_snr_gamma", default=SETTINGS.min_snr_gamma or 0.0, min=0.0, max=100.0, step=0.5,
            tooltip="Gives less weight to low noise levels (fine detail), which makes training more stable: 5 is "
            "usual, 1 strong, 20 weak. 0 = off.",
        ),
        io.Boolean.Input(
            "debiased_estimation", default=SETTINGS.debiased_estimation, optional=True, advanced=True,
            tooltip="Debiased estimation, another weighting by noise level. With min_snr_gamma both are multiplied, as "
            "in kohya's scripts. Set min_snr_gamma to 0 to use it alone.",
        ),
        io.Boolean.Input(
            "soft_min_snr", default=SETTINGS.soft_min_snr, optional=True, advanced=True,
            tooltip="Soft min-SNR: min_snr_gamma as a smooth curve instead of a clipped one.",
        ),
        io.Float.Input(
            "p2_gamma", default=0.0, min=0.0, max=10.0, step=0.1, optional=True, advanced=True,
            tooltip="P2 weighting: favors content over detail; 1 is usual, with min_snr_gamma at 0. 0 = off.",
        ),
        io.Float.Input(
            "scale_weight_norms", default=SETTINGS.scale_weight_norms, min=0.0, max=100.0, step=0.1,
            tooltip="Limits the size of each layer's change: combines better with other LoRAs, learns less style. 1 is "
            "usual. 0 = off.",
        ),
    ]  # fmt: skip


def _prior_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "prior_loss_weight", default=SETTINGS.prior_loss_weight, min=0.0, max=10.0, step=0.1,
            tooltip="Loss weight of regularization images relative to the others.",
        ),
        io.Combo.Input(
            "prior_preservation", options=list(get_args(PriorPreservation)), default=SETTINGS.prior_preservation,
            tooltip="Preserves what the model knew by training toward its own prediction: on regularization images, on "
            "captions without the trigger word, or in an extra term for every caption with the trigger word removed "
            "(slower).",
        ),
        io.Float.Input(
            "prior_preservation_weight", default=SETTINGS.prior_preservation_weight, min=0.0, max=10.0, step=0.1,
            optional=True, advanced=True, tooltip="Weight of prior_preservation.",
        ),
        io.String.Input(
            "trigger", display_name="trigger (empty = of Captions)",
            default=SETTINGS.trigger, optional=True, advanced=True,
            tooltip="Trigger word that prior_preservation looks for in captions. Empty = that of Captions.",
        ),
        io.String.Input(
            "trigger_class", default=SETTINGS.trigger_class, placeholder="creature", optional=True, advanced=True,
            tooltip="Word that replaces the trigger word in the captions of extra_term. Empty = the trigger word is "
            "removed.",
        ),
    ]  # fmt: skip


def _noise_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "noise_offset", default=SETTINGS.noise_offset, min=0.0, max=1.0, step=0.01,
            tooltip="Lets the LoRA learn very dark and very bright pictures; usually 0.03 to 0.1. 0 = off.",
        ),
        io.Boolean.Input(
            "noise_offset_random", default=SETTINGS.noise_offset_random, optional=True, advanced=True,
            tooltip="Choose the strength at random between 0 and noise_offset for each image.",
        ),
        io.Float.Input(
            "adaptive_noise_scale", default=SETTINGS.adaptive_noise_scale, min=-10.0, max=10.0, step=0.001, round=False,
            optional=True, advanced=True,
            tooltip="More noise offset for pictures far from medium brightness. Needs noise_offset. 0 = off.",
        ),
        io.Int.Input(
            "multires_noise_iterations", default=SETTINGS.multires_noise_iterations, min=0, max=64,
            optional=True, advanced=True,
            tooltip="Adds coarser noise at this many scales, an alternative to "
            "noise_offset; usually 6. 0 = off.",
        ),
        io.Float.Input(
            "multires_noise_discount", default=SETTINGS.multires_noise_discount, min=0.01, max=1.0, step=0.01,
            optional=True, advanced=True, tooltip="Strength of each coarser noise relative to the one before.",
        ),
        io.Float.Input(
            "input_perturbation", default=SETTINGS.input_perturbation, min=0.0, max=1.0, step=0.01,
            optional=True, advanced=True, tooltip="Extra input noise (kohya: ip_noise_gamma); usually 0.1. 0 = off.",
        ),
        io.Boolean.Input(
            "input_perturbation_random", default=SETTINGS.input_perturbation_random, optional=True, advanced=True,
            tooltip="Choose its strength at random between 0 and input_perturbation for each image.",
        ),
    ]  # fmt: skip


def _timestep_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "timestep_distribution", options=list(get_args(TimestepDistribution)),
            default=SETTINGS.timestep_distribution, optional=True, advanced=True,
            tooltip="How noise levels are sampled. uniform: all equally often. logit_normal: mostly medium ones. "
            "low_discrepancy: like uniform, but evenly spread at any time.",
        ),
        io.Int.Input(
            "min_timestep", default=SETTINGS.min_timestep, min=0, max=999, optional=True, advanced=True,
            tooltip="Lowest noise level that is trained. Raise it to leave fine detail alone.",
        ),
        io.Int.Input(
            "max_timestep", default=SETTINGS.max_timestep, min=1, max=1000, optional=True, advanced=True,
            tooltip="Noise levels from here up are not trained. Lower it to leave composition alone.",
        ),
        io.Float.Input(
            "logit_mean", default=SETTINGS.logit_mean, min=-5.0, max=5.0, step=0.1, optional=True, advanced=True,
            tooltip="Center of logit_normal: below 0 favors detail, above 0 composition.",
        ),
        io.Float.Input(
            "logit_std", default=SETTINGS.logit_std, min=0.01, max=10.0, step=0.1, optional=True, advanced=True,
            tooltip="Width of logit_normal.",
        ),
    ]  # fmt: skip


def _further_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "huber_schedule", options=list(get_args(HuberSchedule)), default=SETTINGS.huber_schedule,
            optional=True, advanced=True,
            tooltip="How the threshold of huber and smooth_l1 depends on the noise "
            "level.",
        ),
        io.Float.Input(
            "huber_c", default=SETTINGS.huber_c, min=0.001, max=1.0, step=0.01, round=False,
            optional=True, advanced=True, tooltip="Errors above this threshold count less with huber and smooth_l1.",
        ),
        io.Float.Input(
            "huber_scale", default=SETTINGS.huber_scale, min=0.01, max=100.0, step=0.1, optional=True, advanced=True,
            tooltip="Multiplies that threshold.",
        ),
        io.Boolean.Input(
            "is_mask_area_normalized", display_name="small masks count in full",
            default=SETTINGS.is_mask_area_normalized, optional=True, advanced=True,
            tooltip="Images with small masks count as much as others. Off: they count less, as in sd-scripts.",
        ),
        io.Boolean.Input(
            "zero_terminal_snr", default=SETTINGS.zero_terminal_snr, optional=True, advanced=True,
            tooltip="Train up to pure noise. Only for v-prediction models that are also sampled with zero terminal "
            "SNR.",
        ),
        io.Boolean.Input(
            "scale_v_pred_loss_like_noise_pred", default=SETTINGS.scale_v_pred_loss_like_noise_pred,
            optional=True, advanced=True,
            tooltip="For v-prediction models: weight noise levels as for noise-prediction models.",
        ),
        io.Float.Input(
            "v_pred_like_loss", default=SETTINGS.v_pred_like_loss, min=0.0, max=10.0, step=0.01, round=False,
            optional=True, advanced=True,
            tooltip="For noise-prediction models: adds this share of a loss weighted as for v-prediction. 0 = off.",
        ),
        io.Float.Input(
            "unmasked_weight", default=SETTINGS.unmasked_weight, min=0.0, max=1.0, step=0.05,
            optional=True, advanced=True,
            tooltip="Weight of what is outside a mask (OneTrainer: Unmasked Weight). 0 = not trained, 1 = as inside.",
        ),
        io.Float.Input(
            "unmasked_prior_weight", default=SETTINGS.unmasked_prior_weight, min=0.0, max=10.0, step=0.1,
            optional=True, advanced=True,
            tooltip="Outside a mask, keeps what the base model itself would draw, with this weight (OneTrainer: Masked "
            "Prior Preservation Weight). Slower. 0 = off.",
        ),
    ]  # fmt: skip


NODES: list[type[io.ComfyNode]] = [BakeryObjective]

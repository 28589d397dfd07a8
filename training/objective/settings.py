"""Settings of the loss, its weights, the noise and the timesteps, with their checks."""

from dataclasses import dataclass
from typing import Literal, get_args

from ..base_model import PredictionType

LossType = Literal["l2", "l1", "huber", "smooth_l1"]
HuberSchedule = Literal["constant", "exponential", "snr"]
TimestepDistribution = Literal["uniform", "logit_normal", "low_discrepancy"]
PriorPreservation = Literal["off", "regularization_images", "captions_without_trigger", "extra_term"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveSettings:
    """Loss, weighting, noise, timesteps and prior preservation of a run."""

    loss_type: LossType = "l2"
    """Distance of prediction and target; huber and smooth_l1 are less affected by outliers."""
    huber_schedule: HuberSchedule = "snr"
    """How the threshold of huber and smooth_l1 depends on the noise level."""
    huber_c: float = 0.1
    """Threshold where distances turn from squared to absolute, above 0 to 1."""
    huber_scale: float = 1.0
    """Multiplier of the threshold, above 0."""
    min_snr_gamma: float | None = 5.0
    """Cap of the SNR weight, above 0; 1 strong, 20 weak. None off."""
    soft_min_snr: bool = False
    """min_snr_gamma as a smooth curve."""
    debiased_estimation: bool = False
    """Weight 1/√SNR; with min_snr_gamma, both are multiplied, as in sd-scripts."""
    p2_gamma: float | None = None
    """Exponent of the P2 weight, above 0; 1 usual. None off."""
    scale_v_pred_loss_like_noise_pred: bool = False
    """v-prediction only: weight timesteps as for noise prediction."""
    v_pred_like_loss: float = 0.0
    """epsilon only: share of an added loss that is weighted as for v-prediction. 0 off."""
    noise_offset: float = 0.0
    """Strength of a constant per channel added to the noise; 0.03-0.1 usual. 0 off."""
    noise_offset_random: bool = False
    """Strength uniform between 0 and noise_offset, per sample."""
    adaptive_noise_scale: float = 0.0
    """Added to noise_offset per unit of a latent channel's mean. 0 off."""
    multires_noise_iterations: int = 0
    """Number of coarser noise levels to add; 6-10 usual. 0 off."""
    multires_noise_discount: float = 0.3
    """Strength of each level relative to the one before, above 0 to 1."""
    input_perturbation: float = 0.0
    """Extra input noise (kohya: ip_noise_gamma); 0.1 usual. 0 off."""
    input_perturbation_random: bool = False
    """Strength uniform between 0 and input_perturbation, per sample."""
    min_timestep: int = 0
    """Lowest timestep trained, 0 = least noise."""
    max_timestep: int = 1000
    """First timestep that is not trained anymore."""
    timestep_distribution: TimestepDistribution = "uniform"
    """How timesteps are drawn within the range."""
    logit_mean: float = 0.0
    """Center of logit_normal: below 0 toward less noise."""
    logit_std: float = 1.0
    """Width of logit_normal, above 0."""
    zero_terminal_snr: bool = False
    """Rescale the schedule so that the last timestep is pure noise; v-prediction only."""
    is_mask_area_normalized: bool = True
    """Masked loss is the mean over the mask's area; off = over the whole picture, as in sd-scripts."""
    unmasked_weight: float = 0.0
    """Weight of the area outside a mask, 0..1: 0 = ignored, 1 = as much as inside."""
    unmasked_prior_weight: float = 0.0
    """Weight, outside a mask, of the loss against the base model's own prediction, 0 or more. 0 off."""
    scale_weight_norms: float = 0.0
    """Largest norm of a module's change; larger ones are scaled down after each step. 0 off, 1 usual."""
    prior_loss_weight: float = 1.0
    """Weight of regularization images, 0 or more."""
    prior_preservation: PriorPreservation = "off"
    """Where the base model's own prediction is the target.

    Nowhere, on regularization images, on captions without the trigger, or in an extra term for each caption with its
    trigger removed.
    """
    prior_preservation_weight: float = 1.0
    """Weight of the loss against the base model's own prediction, 0 or more."""
    trigger: str = ""
    """Word or tag to be learned, for captions_without_trigger and extra_term. Empty = the dataset's."""
    trigger_class: str = ""
    """Word that replaces the trigger in the captions of extra_term, such as creature. Empty = it is removed."""

    def __post_init__(self) -> None:
        """Refuse invalid values and combinations.

        Raises:
            ValueError: With the name, the range and the value of the field.
        """
        _check_choices(self)
        _check_ranges(self)
        _check_pairs(self)


def check_prediction_type(settings: ObjectiveSettings, prediction_type: PredictionType) -> None:
    """Refuse options that do not apply to the model's prediction type.

    Raises:
        ValueError: Naming the option and the prediction type it needs.
    """
    needs_velocity = {
        "zero_terminal_snr": settings.zero_terminal_snr,
        "scale_v_pred_loss_like_noise_pred": settings.scale_v_pred_loss_like_noise_pred,
    }
    for name, is_on in needs_velocity.items():
        if is_on and prediction_type != "v_prediction":
            raise ValueError(f"{name} needs a v-prediction model, this one predicts {prediction_type}; turn it off")
    if prediction_type == "flow":
        _check_flow(settings)
    if settings.v_pred_like_loss > 0 and prediction_type == "v_prediction":
        raise ValueError("v_pred_like_loss needs an epsilon model, this one predicts velocity already; set it to 0")


def needs_trigger(settings: ObjectiveSettings) -> bool:
    """Whether captions are told apart by the trigger word."""
    return settings.prior_preservation in ("captions_without_trigger", "extra_term")


def default_objective(prediction_type: PredictionType) -> ObjectiveSettings:
    """The default objective: min-SNR 5, except for rectified flow, which has no min-SNR."""
    return ObjectiveSettings(min_snr_gamma=None) if prediction_type == "flow" else ObjectiveSettings()


def _check_flow(settings: ObjectiveSettings) -> None:
    weighted = {
        "min_snr_gamma": settings.min_snr_gamma is not None,
        "debiased_estimation": settings.debiased_estimation,
        "p2_gamma": settings.p2_gamma is not None,
        "v_pred_like_loss": settings.v_pred_like_loss > 0,
    }
    given = [name for name, is_on in weighted.items() if is_on]
    if given:
        raise ValueError(
            f"{', '.join(given)}: for models that predict noise or v, this one is sampled by rectified flow; set to 0 "
            "or turn off. timestep_distribution logit_normal is usual there"
        )


def _check_choices(settings: ObjectiveSettings) -> None:
    for name, value, choices in (
        ("loss_type", settings.loss_type, get_args(LossType)),
        ("huber_schedule", settings.huber_schedule, get_args(HuberSchedule)),
        ("timestep_distribution", settings.timestep_distribution, get_args(TimestepDistribution)),
        ("prior_preservation", settings.prior_preservation, get_args(PriorPreservation)),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _check_ranges(settings: ObjectiveSettings) -> None:
    s = settings
    for name, value, is_valid, wanted in (
        ("huber_c", s.huber_c, 0 < s.huber_c <= 1, "above 0 to 1"),
        ("huber_scale", s.huber_scale, s.huber_scale > 0, "above 0"),
        ("min_snr_gamma", s.min_snr_gamma, s.min_snr_gamma is None or s.min_snr_gamma > 0, "above 0 or None"),
        ("p2_gamma", s.p2_gamma, s.p2_gamma is None or s.p2_gamma > 0, "above 0 or None"),
        ("v_pred_like_loss", s.v_pred_like_loss, s.v_pred_like_loss >= 0, "0 or more"),
        ("noise_offset", s.noise_offset, 0 <= s.noise_offset <= 1, "from 0 to 1"),
        ("multires_noise_iterations", s.multires_noise_iterations, s.multires_noise_iterations >= 0, "0 or more"),
        ("multires_noise_discount", s.multires_noise_discount, 0 < s.multires_noise_discount <= 1, "above 0 to 1"),
        ("input_perturbation", s.input_perturbation, 0 <= s.input_perturbation <= 1, "from 0 to 1"),
        ("min_timestep", s.min_timestep, s.min_timestep >= 0, "0 or more"),
        ("logit_std", s.logit_std, s.logit_std > 0, "above 0"),
        ("unmasked_weight", s.unmasked_weight, 0 <= s.unmasked_weight <= 1, "from 0 to 1"),
        ("unmasked_prior_weight", s.unmasked_prior_weight, s.unmasked_prior_weight >= 0, "0 or more"),
        ("scale_weight_norms", s.scale_weight_norms, s.scale_weight_norms >= 0, "0 or more"),
        ("prior_loss_weight", s.prior_loss_weight, s.prior_loss_weight >= 0, "0 or more"),
        ("prior_preservation_weight", s.prior_preservation_weight, s.prior_preservation_weight >= 0, "0 or more"),
    ):
        if not is_valid:
            raise ValueError(f"{name} must be {wanted}, got {value}")


def _check_pairs(settings: ObjectiveSettings) -> None:
    if settings.max_timestep <= settings.min_timestep:
        raise ValueError(
            f"max_timestep must be above min_timestep ({settings.min_timestep}), got {settings.max_timestep}"
        )
    others = {"min_snr_gamma": settings.min_snr_gamma is not None, "debiased_estimation": settings.debiased_estimation}
    active = [name for name, is_on in others.items() if is_on]
    if settings.p2_gamma is not None and active:
        raise ValueError(f"p2_gamma must be the only weighting, got {' and '.join(active)} too; turn the others off")
    if settings.soft_min_snr and settings.min_snr_gamma is None:
        raise ValueError("soft_min_snr needs min_snr_gamma above 0, got it turned off")
    if settings.adaptive_noise_scale != 0 and settings.noise_offset == 0:
        raise ValueError("adaptive_noise_scale needs noise_offset above 0, got 0")

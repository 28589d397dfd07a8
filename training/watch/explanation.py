"""Explains a diverged run from its settings and its folder: the cause, the last good save, what to change."""

from ..loop.job import NoNumber, TrainingDiverged, TrainJob, TrainState
from ..optimizers.arguments import parse_arguments
from ..optimizers.build import effective_rates
from ..optimizers.catalog import find_optimizer
from ..optimizers.rates import rate_source
from ..optimizers.settings import OptimizerSettings
from ..run.folder import RunFolder
from .judge import Excess

FAR_ABOVE_USUAL = 3.0


def diverged(job: TrainJob, state: TrainState, excess: Excess, folder: RunFolder) -> TrainingDiverged:
    """The exception for a step at which an excess was found."""
    return TrainingDiverged(
        f"training diverged: at step {state.step} {_finding(excess)}. {_where_it_stands(folder, excess.good_step)} "
        f"{likely_cause(job, state)}",
        excess.good_step,
    )


def without_numbers(job: TrainJob, state: TrainState, error: NoNumber) -> TrainingDiverged:
    """The exception for a step whose loss or gradient is not finite."""
    if state.step == 0 and not error.is_loss_finite:
        return TrainingDiverged(
            f"the loss is {error.loss} before anything is trained, so the learning rate is not the cause. "
            f"{_half_precision(job)}Otherwise the checkpoint, a LoRA applied to it, or the LoRA to train further is "
            "damaged: check that the model draws a picture, and train without the LoRAs."
        )
    return TrainingDiverged(
        f"training diverged at step {state.step + 1}: loss {error.loss}, gradient norm {error.grad_norm}. The run "
        f"stands at its last save. {likely_cause(job, state)} {_half_precision(job)}".rstrip()
    )


def _finding(excess: Excess) -> str:
    found = f"the loss of the last {excess.num_samples} samples is {excess.ratio:.3g} times"
    if excess.best_step is None:
        return f"{found} that of the base model on the same images and noise: the network is worse than none"
    grown = ", and the gradients have grown with it" if excess.has_growing_gradients else ""
    return f"{found} what it was at step {excess.best_step}{grown}"


def _where_it_stands(folder: RunFolder, good_step: int) -> str:
    saved, lora = (
        max((step for step in files if step <= good_step), default=0)
        for files in (folder.states(), folder.step_loras())
    )
    if saved:
        return f"The run stands at step {saved}, its last save before it diverged."
    if lora:
        return f"The LoRAs up to step {lora} are from before it diverged; the run itself starts over."
    return "Nothing was saved before it diverged."


def _half_precision(job: TrainJob) -> str:
    """The other likely cause of numbers that are not finite."""
    if job.base.loss_scale == 1.0:
        return ""
    return "The model computes in float16, which overflows: start ComfyUI with --bf16-unet or --fp32-unet. "


def likely_cause(job: TrainJob, state: TrainState) -> str:
    """One to three sentences about the learning rate last in effect, the highest of any group."""
    assert state.optimizer is not None, "a step was computed"
    rate = max(effective_rates(state.optimizer).values())
    return f"{_cause(job, state.optimizer_stage, rate)}{_raised(state.rate_factor)}"


def _cause(job: TrainJob, stage: int, rate: float) -> str:
    settings = job.stages[stage].optimizer
    scale = max((group.scale for group in job.network.parameter_groups()), default=1.0)
    source = rate_source(settings)
    if source == "factor of d":
        return _too_large_step(settings, rate, scale)
    if source == "found":
        return (
            f"Most likely the learning rate that {settings.optimizer} found ({rate:.2g}) is too high for this network: "
            "set one, with relative_step=False."
        )
    remedies = ["lower it 3-10 times"]
    if not settings.schedule.warmup_steps:
        remedies.append("add warmup_steps")
    if not settings.max_grad_norm:
        remedies.append("set max_grad_norm to 1")
    if scale > 1:
        remedies.append(f"lower alpha to the rank (alpha / rank is {scale:g})")
    if settings.loraplus_ratio > 1:
        remedies.append(
            f"lower loraplus_ratio ({settings.loraplus_ratio:g} times the learning rate for the up matrices)"
        )
    return (
        f"Most likely the learning rate ({rate:g}) is too high for this network; {', '.join(remedies)}."
        f"{_usual(settings, rate)}"
    )


def _too_large_step(settings: OptimizerSettings, rate: float, scale: float) -> str:
    remedies = [f"lower learning_rate to {settings.learning_rate / 3:.1g}"]
    d_coef = parse_arguments(settings.arguments).get("d_coef")
    if isinstance(d_coef, (int, float)) and d_coef > 1:
        remedies.append("d_coef to 1")
    if scale >= 1:
        remedies.append(f"alpha to 1, at most half the rank (alpha / rank is {scale:g}), which is usual with it")
    if settings.optimizer == "DAdaptAdam":
        remedies.append("or use Prodigy, which is more careful")
    return (
        f"Most likely the step size that {settings.optimizer} found (d x rate = {rate:.2g}) is too large for this "
        f"network; {', '.join(remedies)}."
    )


def _raised(by_hand: float) -> str:
    if by_hand <= 1:
        return ""
    return (
        f" It was raised by hand (x {by_hand:g}), and a run resumed before that point is raised again: lower it "
        "during training, or train under another name."
    )


def _usual(settings: OptimizerSettings, rate: float) -> str:
    usual = find_optimizer(settings.optimizer).usual_rate
    return f" Usual for {settings.optimizer}: {usual:g}." if rate >= FAR_ABOVE_USUAL * usual else ""

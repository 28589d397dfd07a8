"""Why a run most likely went wrong, and what to change: read from its settings."""

from ..optimizers.arguments import parse_arguments
from ..optimizers.catalog import find_optimizer
from ..optimizers.rates import rate_source
from ..optimizers.settings import OptimizerSettings
from .job import TrainJob

FAR_ABOVE_USUAL = 3.0


def likely_cause(job: TrainJob, stage: int, rate: float, by_hand: float = 1.0) -> str:
    """One to three sentences; `rate` is the highest of a group as it took effect, `by_hand` its factor set by hand."""
    return f"{_cause(job, stage, rate)}{_raised(by_hand)}"


def _cause(job: TrainJob, stage: int, rate: float) -> str:
    settings = job.stages[stage].optimizer
    scale = max((group.scale for group in job.network.parameter_groups()), default=1.0)
    source = rate_source(settings)
    if source == "factor of d":
        return _too_large_step(settings, rate, scale)
    if source == "found":
        return (
            f"Most likely the rate that {settings.optimizer} found ({rate:.2g}) is too high for this network: give it "
            "one with relative_step=False."
        )
    remedies = ["lower it 3-10 times"]
    if not settings.schedule.warmup_steps:
        remedies.append("add warmup_steps")
    if not settings.max_grad_norm:
        remedies.append("set max_grad_norm to 1")
    if scale > 1:
        remedies.append(f"lower alpha to the rank (alpha / rank is {scale:g})")
    if settings.loraplus_ratio > 1:
        remedies.append(f"lower loraplus_ratio ({settings.loraplus_ratio:g} times the rate for the up matrices)")
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
        f" It was raised by hand (x {by_hand:g}), and a run that goes on from before that is raised again: turn it "
        "down while it trains, or train under another name."
    )


def _usual(settings: OptimizerSettings, rate: float) -> str:
    usual = find_optimizer(settings.optimizer).usual_rate
    return f" Usual for {settings.optimizer}: {usual:g}." if rate >= FAR_ABOVE_USUAL * usual else ""

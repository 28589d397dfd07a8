"""How a dataset is trained: captions and sizes."""

from typing import Any

from ...training.data.buckets import BucketSettings
from ...training.data.captions import CaptionSettings, separator_settings
from ...training.data.dataset import Dataset, bracket_notes, with_buckets, with_captions, with_tag_edits
from ...training.data.edit_rules import parse_folds, parse_list, parse_pairs, parse_resolutions
from ...training.data.tags import TagEdits
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..inputs.defaults import EARLIER
from ..menu import LEAD
from .datasets import DATASET_OUTPUT, summary

CAPTIONS = CaptionSettings()
BUCKETS = BucketSettings()


class BakeryCaptions(io.ComfyNode):
    """Trigger word, tag edits, and how captions vary."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryCaptions",
            display_name="Captions (Bakery)",
            category=LEAD,
            description="Edits a dataset's captions and sets how they vary during training. Its settings replace those "
            "of an earlier Captions node; tag edits add up.",
            search_aliases=["trigger word", "tags", "shuffle caption", "caption dropout", "keep tokens"],
            inputs=[
                sockets.Dataset.Input("dataset", tooltip="The dataset whose captions to edit."),
                *_edit_inputs(),
                *_draw_inputs(),
                *_advanced_caption_inputs(),
            ],
            outputs=[sockets.Dataset.Output(display_name="dataset", tooltip=DATASET_OUTPUT)],
        )

    @classmethod
    def execute(cls, dataset: Dataset, replace: str, fold: str, prune: str, **values: Any) -> io.NodeOutput:
        edits = TagEdits(
            replace=parse_pairs("replace", replace),
            fold=parse_folds("fold", fold),
            prune=parse_list(prune),
            blacklist=parse_list(values.pop("blacklist", "")),
            order_by_frequency=values.pop("order_by_frequency", False),
        )
        replacements = parse_pairs("replacements", values.pop("replacements", ""))
        separator = separator_settings(values.pop("separator", CAPTIONS.separator))
        settings = CaptionSettings(**values, **separator, replacements=replacements)
        edited = with_tag_edits(dataset, edits, settings.keep_tags_separator, settings.separator)
        captioned = with_captions(edited, settings)
        return io.NodeOutput(captioned, ui={"text": [summary(captioned), *bracket_notes(captioned)]})


class BakeryBuckets(io.ComfyNode):
    """Sizes, crops, mirroring, masks and the cache."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryBuckets",
            display_name="Resolution & Buckets (Bakery)",
            category=LEAD,
            description="Sets the resolutions a dataset is trained at. Each image goes to the bucket with the nearest "
            "aspect ratio, is scaled to cover it and cropped.",
            search_aliases=["buckets", "resolution", "aspect ratio buckets", "flip", "crop", "alpha mask"],
            inputs=[
                sockets.Dataset.Input("dataset", tooltip="The dataset to set resolutions for."),
                *_size_inputs(),
                *_advanced_bucket_inputs(),
            ],
            outputs=[sockets.Dataset.Output(display_name="dataset", tooltip=DATASET_OUTPUT)],
        )

    @classmethod
    def execute(cls, dataset: Dataset, resolution: int, flip: bool, **values: Any) -> io.NodeOutput:
        height = values.pop("resolution_height", 0)
        further = parse_resolutions("more_resolutions", values.pop("more_resolutions", ""))
        if height and not resolution:
            raise ValueError(f"resolution_height is {height} but resolution is 0: set both, or neither")
        limits = {name: values.pop(name, 0) or None for name in ("min_bucket_size", "max_bucket_size")}
        size = (resolution, height) if resolution and height else resolution or None
        # without effect beside upscale, and then no part of a run's identity
        nearest = values.pop("nearest_bucket") and not values["upscale"]
        settings = BucketSettings(resolution=size, flip=flip, nearest_bucket=nearest, **limits, **values)
        return io.NodeOutput(with_buckets(dataset, settings, further))


def _edit_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "trigger", default=CAPTIONS.trigger,
            tooltip="Trigger word: what you type in a prompt to get the subject. It is added in front of captions that "
            "lack it, never to regularization images. Other nodes take it from here. Empty = the word with which every "
            "caption begins, if there is one.",
        ),
        io.String.Input(
            "prune", display_name="tags to remove", default="", multiline=True, placeholder="red hair, freckles",
            tooltip="Tags to remove from all captions, so that what they describe becomes part of the trigger word.",
        ),
        io.String.Input(
            "replace", display_name="tags to replace",
            default="", multiline=True, placeholder="crimson coat > red coat",
            tooltip="Tags to replace, one rule per line: old tag > new tag.",
        ),
        io.String.Input(
            "fold", display_name="tags to join",
            default="", multiline=True, placeholder="red hair + long hair > long red hair",
            tooltip="Tags to join into one where all are present, one rule per line: tag + tag > tag.",
        ),
        io.String.Input(
            "blacklist", display_name="tags to remove by pattern",
            default="", multiline=True, optional=True, advanced=True, placeholder="*watermark*, signature",
            tooltip="Patterns of tags to remove: * matches anything, ? one character.",
        ),
        io.Boolean.Input(
            "order_by_frequency", default=False, optional=True, advanced=True,
            tooltip="Put the most frequent tags first.",
        ),
    ]  # fmt: skip


def _draw_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "shuffle_tags", default=CAPTIONS.shuffle_tags,
            tooltip="Shuffle the tags each time, so that their position does not matter. Not for sentences.",
        ),
        io.Int.Input(
            "keep_tags", default=CAPTIONS.keep_tags, min=0, max=100,
            tooltip="How many of the first tags stay in place and are never dropped. The trigger word always stays.",
        ),
        io.Float.Input(
            "tag_dropout", default=CAPTIONS.tag_dropout, min=0.0, max=1.0, step=0.01,
            tooltip="Probability of dropping each tag; 0.1 makes the LoRA depend less on single tags. 0 = off.",
        ),
        io.Float.Input(
            "caption_dropout", default=CAPTIONS.caption_dropout, min=0.0, max=1.0, step=0.01,
            tooltip="Probability of training with an empty caption; 0.05 helps styles. 0 = off.",
        ),
        io.Boolean.Input(
            "use_wildcards", default=CAPTIONS.use_wildcards,
            tooltip="Pick one of {a|b|c}, and one line of each caption file, at random. Off: the first line as it is.",
        ),
    ]  # fmt: skip


def _advanced_caption_inputs() -> list[io.Input]:
    text: dict[str, Any] = {"optional": True, "advanced": True}
    return [
        io.String.Input("prefix", default=CAPTIONS.prefix, tooltip="Text added before each caption.", **text),
        io.String.Input("suffix", default=CAPTIONS.suffix, tooltip="Text added after each caption.", **text),
        io.String.Input(
            "separator", default=CAPTIONS.separator, tooltip="Separator between tags.", **text
        ),
        io.String.Input(
            "keep_tags_separator", default=CAPTIONS.keep_tags_separator, placeholder="|||",
            tooltip="Mark in captions: tags before it stay in place; tags after a second mark stay at the end.", **text,
        ),
        io.String.Input(
            "secondary_separator", default=CAPTIONS.secondary_separator, placeholder=";;;",
            tooltip="Mark that joins tags into a group, which is shuffled and dropped as one.", **text,
        ),
        io.Int.Input(
            "caption_dropout_every_n_epochs", display_name="caption_dropout_every_n_epochs (0 = off)",
            default=CAPTIONS.caption_dropout_every_n_epochs, min=0, max=10_000,
            tooltip="Every n-th epoch trains with empty captions only. 0 = off.", **text,
        ),
        io.Float.Input(
            "tag_warmup_steps", default=CAPTIONS.tag_warmup_steps, min=0.0, max=1_000_000.0, step=0.05,
            tooltip="Steps over which captions grow from a few tags to all; below 1, a fraction of the first stage. 0 "
            "= off.", **text,
        ),
        io.Int.Input(
            "tag_warmup_min", default=CAPTIONS.tag_warmup_min, min=0, max=1000,
            tooltip="Number of tags at the start of the warmup, not counting those that are kept.", **text,
        ),
        io.String.Input(
            "replacements", display_name="text to replace",
            default="", multiline=True, placeholder="old text > new text",
            tooltip="Text to replace in the finished caption, one rule per line.", **text,
        ),
        io.Boolean.Input(
            "caption_weights", default=CAPTIONS.caption_weights,
            tooltip="Read (tag) and (tag:1.3) in captions as weights, as in prompts (kohya: weighted_captions). Off: "
            "parentheses are text, as in hatsune miku (vocaloid).", **text,
        ),
    ]  # fmt: skip


def _size_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "resolution", display_name="resolution (0 = the model's)", default=0, min=0, max=8192, step=8,
            tooltip="Side of a square image in pixels; other shapes get about the same area. 0 = the model's native "
            "size (512 or 1024), or the images' own size if most are smaller.",
        ),
        io.Boolean.Input(
            "upscale", default=BUCKETS.upscale,
            tooltip="Enlarge images that are smaller than the resolution. Off: they are trained at their own size.",
        ),
        io.Boolean.Input(
            "flip", default=BUCKETS.flip,
            tooltip="Mirror half of the images at random. Leave off for text, or anything on one side only: a scar, an "
            "eye patch.",
        ),
        io.Boolean.Input(
            "use_alpha_masks", default=BUCKETS.use_alpha_masks,
            tooltip="Train only the parts that are not transparent. Off: transparent parts become white.",
        ),
    ]  # fmt: skip


def _advanced_bucket_inputs() -> list[io.Input]:
    more: dict[str, Any] = {"optional": True, "advanced": True}
    return [
        io.Int.Input(
            "resolution_height", display_name="resolution_height (0 = square)", default=0, min=0, max=8192, step=8,
            tooltip="Height, if it differs from resolution. 0 = same as resolution.", **more,
        ),
        io.String.Input(
            "more_resolutions", default="", placeholder="512, 768",
            tooltip="More resolutions, separated by commas. Each image is also trained at each of them.", **more,
        ),
        io.Int.Input(
            "bucket_step", default=BUCKETS.bucket_step, min=8, max=512, step=8,
            tooltip="Bucket sides are multiples of this many pixels.", **more,
        ),
        io.Int.Input(
            "min_bucket_size", display_name="min_bucket_size (0 = half)", default=0, min=0, max=8192, step=8,
            tooltip="Shortest side of a bucket in pixels. 0 = half the resolution.", **more,
        ),
        io.Int.Input(
            "max_bucket_size", display_name="max_bucket_size (0 = twice)", default=0, min=0, max=8192, step=8,
            tooltip="Longest side of a bucket in pixels. 0 = twice the resolution.", **more,
        ),
        io.Boolean.Input(
            "random_crop", default=BUCKETS.random_crop,
            tooltip="Crop at a random position instead of the center. Every step then encodes its images again, which "
            "is slower.", **more,
        ),
        io.Combo.Input(
            "cache", options=["ram", "disk"], default=BUCKETS.cache,
            tooltip="Where encoded images (latents) are cached: in memory for this run, or on disk for later "
            "runs too.", **more,
        ),
        io.Boolean.Input(
            "nearest_bucket", default=True, extra_dict={EARLIER: BUCKETS.nearest_bucket},
            tooltip="Where upscale is off: images larger than the resolution go to the nearest bucket, which cuts off "
            "less. Off: a bucket for each by the rule of kohya's sd-scripts.", **more,
        ),
    ]  # fmt: skip


NODES: list[type[io.ComfyNode]] = [BakeryCaptions, BakeryBuckets]

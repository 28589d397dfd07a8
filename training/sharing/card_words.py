"""The words of a shared LoRA's card, in English and Chinese."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ENGLISH, CHINESE = "English", "中文"


@dataclass(frozen=True, kw_only=True, slots=True)
class CardWords:
    """Headings, names and sentences; `{}` stands for what is filled in."""

    pictures_of: str = "Pictures of {}"
    file: str = "File"
    base_model: str = "Base model"
    trigger: str = "Trigger"
    no_trigger: str = "none"
    strength: str = "Strength"
    merged_from: str = "Merged from"
    made_by: str = "Made by"
    size: str = "{} rank {}, alpha {}"
    convolutions: str = ", convolutions rank {}"
    with_dora: str = "{} with DoRA"
    use: str = "How to use it"
    put: str = "Put {} into ComfyUI's `models/loras`."
    write: str = "Write {} in the prompt."
    v_prediction: str = "It belongs on v-prediction models."
    workflow: str = "{} is the workflow that made it; the LoRA file holds it too."
    pictures: str = "Pictures"
    no_prompt: str = "prompt not noted"
    of_strength: str = "strength {:g}"
    comma: str = ", "
    made: str = "How it was made"
    made_rows: Mapping[str, str] = field(
        default_factory=lambda: {
            "ss_steps": "steps",
            "ss_num_train_images": "images x repeats",
            "ss_resolution": "resolution",
            "ss_optimizer": "optimizer",
            "ss_learning_rate": "learning rate",
            "ss_unet_lr": "U-Net learning rate",
            "ss_text_encoder_lr": "text encoder learning rate",
            "ss_lr_scheduler": "schedule",
            "ss_min_snr_gamma": "min-SNR gamma",
            "ss_noise_offset": "noise offset",
            "ss_clip_skip": "clip skip",
        }
    )
    """Entries of the file's header, and what they are called."""
    reads: str = "What reads it"
    plain: str = "ComfyUI. Its key names are kohya's, which Forge, A1111, diffusers and sd-scripts read too."
    lycoris: str = "ComfyUI. It is a LyCORIS file ({}): of another program, see first whether it reads that form."
    license: str = "License"
    no_license: str = "Not stated. Ask its maker before you merge it, sell what it draws, or upload it elsewhere."


WORDS = {
    ENGLISH: CardWords(),
    CHINESE: CardWords(
        pictures_of="{} 的样图",
        file="文件",
        base_model="底模",
        trigger="触发词",
        no_trigger="无",
        strength="推荐强度",
        merged_from="合并自",
        made_by="作者",
        size="{}，rank {}，alpha {}",
        convolutions="，卷积层 rank {}",
        with_dora="{}，带 DoRA",
        use="怎么用",
        put="把 {} 放进 ComfyUI 的 `models/loras`。",
        write="在提示词里写 {}。",
        v_prediction="用在 v-prediction 的模型上。",
        workflow="{} 是训练它的工作流；LoRA 文件里也有。",
        pictures="样图",
        no_prompt="未记下提示词",
        of_strength="强度 {:g}",
        comma="，",
        made="怎么训练的",
        made_rows={
            "ss_steps": "步数",
            "ss_num_train_images": "图片数 × 重复次数",
            "ss_resolution": "分辨率",
            "ss_optimizer": "优化器",
            "ss_learning_rate": "学习率",
            "ss_unet_lr": "U-Net 学习率",
            "ss_text_encoder_lr": "文本编码器学习率",
            "ss_lr_scheduler": "学习率调度",
            "ss_min_snr_gamma": "min-SNR gamma",
            "ss_noise_offset": "噪声偏移",
            "ss_clip_skip": "clip skip",
        },
        reads="哪些程序能读",
        plain="ComfyUI。键名与 kohya 相同，Forge、A1111、diffusers 和 sd-scripts 也能读。",
        lycoris="ComfyUI。这是 LyCORIS 文件（{}）：用别的程序前，先看它能不能读这种形式。",
        license="许可",
        no_license="未说明。合并它、出售它画的图或转载之前，请先问作者。",
    ),
}
"""By language, as Share LoRA offers them."""

"""The example workflows, by file name. Each runs on the pocket model; the notes say what to change for a real one."""

from collections.abc import Callable

from .canvas import Canvas, Port

CHECKPOINT = "pocket.safetensors"
SIZE_PX = 64
NEGATIVE = ""


def train_then_sample(canvas: Canvas) -> None:
    """Dataset, train, sample: with the LoRA and without it, same seed."""
    canvas.note(
        0,
        "## Train a LoRA, then sample it\n"
        "1. Put 10-40 pictures of your character into a folder of ComfyUI's `input`, each with a `.txt` caption of the "
        "same name, and name the folder in **Load Dataset**.\n"
        "2. Choose your checkpoint (SD1.5 or SDXL).\n"
        "3. Queue. Previews grow on **Train LoRA**; cancelling keeps what was trained, queueing again goes on.\n\n"
        "As saved it runs on the pocket model of `python dev.py demo`, whose pictures are 64 px. For a real checkpoint "
        "set the sizes to 512 (SD1.5) or 1024 (SDXL), the learning rate to 1e-4, steps to 1000-2000.\n\n"
        "## 先训练 LoRA,再用它出图\n"
        "1. 把角色的 10-40 张图片放进 ComfyUI `input` 下的一个文件夹,每张配一个同名 `.txt` 标注,"
        "然后在 **Load Dataset** 中填写文件夹名。\n"
        "2. 选择底模(SD1.5 或 SDXL)。\n"
        "3. 运行。预览会显示在训练节点上;取消会保留已训练的部分,再次运行会接着训练。\n\n"
        "默认值用于 `python dev.py demo` 的 pocket 小模型(64 像素)。换成真实底模时,尺寸改为 512(SD1.5)或 1024(SDXL),"
        "学习率 1e-4,步数 1000-2000。",
        height=560,
    )
    model, clip, vae = canvas.add("CheckpointLoaderSimple", 1, ckpt_name=CHECKPOINT)
    (dataset,) = canvas.add("BakeryLoadDataset", 1, folder="zorblax")[:1]
    network = canvas.add("BakeryNetwork", 1, algorithm="locon", rank=16, alpha=16.0)[0]
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=1e-3, schedule="cosine", warmup_steps=20)[0]
    preview = canvas.add(
        "BakeryPreview", 1, prompts="zorblax, sky background\nzorblax, teal background", width=SIZE_PX, height=SIZE_PX,
        every=100, steps=16, cfg=4.0,
    )[0]  # fmt: skip
    trained = canvas.add(
        "BakeryTrain", 2, model=model, clip=clip, vae=vae, dataset=dataset, network=network, optimizer=optimizer,
        preview=preview, name="zorblax", steps=300, batch_size=4, seed=1, save_every=100,
    )  # fmt: skip
    canvas.add("PreviewImage", 2, title="All previews: a row a prompt, a column a step", images=trained[4])
    _sample(canvas, 3, "With the LoRA", trained[0], trained[1], vae)
    _sample(canvas, 4, "Without it", model, clip, vae)


def _sample(canvas: Canvas, column: int, title: str, model: Port, clip: Port, vae: Port) -> None:
    prompt = canvas.add("CLIPTextEncode", column, title="Prompt", clip=clip, text="zorblax, brown background")[0]
    negative = canvas.add("CLIPTextEncode", column, title="Negative", clip=clip, text=NEGATIVE)[0]
    latent = canvas.add("EmptyLatentImage", column, width=SIZE_PX, height=SIZE_PX, batch_size=4)[0]
    samples = canvas.add(
        "KSampler", column, model=model, positive=prompt, negative=negative, latent_image=latent, seed=1, steps=20,
        cfg=4.0, sampler_name="euler", scheduler="normal",
    )[0]  # fmt: skip
    images = canvas.add("VAEDecode", column, samples=samples, vae=vae)[0]
    canvas.add("PreviewImage", column, title=title, images=images)


EXAMPLES: dict[str, Callable[[Canvas], None]] = {"train_then_sample": train_then_sample}

"""Writes docs/performance.md from the results."""

import importlib
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from .both_ways import both_ways_section
from .busy import busy_table
from .card_sections import launches_section, precision_section
from .chart import Bar, bar_chart
from .dataset_report import dataset_section
from .kinds import KINDS, REST
from .meters import GIB, MIB
from .page_section import page_section
from .plan import BOUND, BOUND_WITH_PRODUCTS, CHECKPOINTING, PACK

NOTES = Path(__file__).with_name("notes.md")
"""Explanations, placed below the tables."""
PAGE, IMAGE = "performance.md", "images/performance.svg"
SDXL_LIMIT_GIB = 7.5
PACKAGES = ("torch", "diffusers", "peft", "lycoris-lora")

Results = Mapping[str, Any]


def write_report(results: Results, folder: Path) -> Path:
    """Write the page and its chart into a folder; returns the page."""
    compared = {name: result for name, result in results.items() if "entries" in result}
    image = folder / IMAGE
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_text(bar_chart([group for result in compared.values() for group in _bars(result)]), encoding="utf-8")
    sections = [_opening(results, compared), *(_comparison(name, result) for name, result in compared.items())]
    sections += [
        _outside(compared),
        _memory(results),
        _checkpointing(results),
        _sdxl(results),
        _quantized(results),
        both_ways_section(dict(results["both ways"])) if "both ways" in results else "",
        _previews(results),
        _busy(results),
        page_section(dict(results["page"])) if "page" in results else "",
        dataset_section(dict(results["dataset"])) if "dataset" in results else "",
        _tools(results),
        _profile(results),
        launches_section(results["launches"]) if "launches" in results else "",
        precision_section(results["precision"]) if "precision" in results else "",
    ]
    sections.append(NOTES.read_text(encoding="utf-8"))
    page = folder / PAGE
    page.write_text("\n\n".join(section.strip() for section in sections if section) + "\n", encoding="utf-8")
    return page


def _comparison(name: str, result: Results) -> str:
    return f'## {result["title"]}\n\n`--only "{name}"`\n\n{comparison_table(result)}'


def machine() -> str:
    """What results depend on: CPU, system and versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{_processor()}, {system}, {versions}, ComfyUI {_comfyui_version()}"


def _comfyui_version() -> str:
    return str(importlib.import_module("comfyui_version").__version__)


def _opening(results: Results, compared: Results) -> str:
    threads = " and ".join(sorted({_threads(result["threads"]) for result in compared.values()}))
    dates = sorted({result["date"] for name, result in results.items() if name != "machine"})
    return f"""# Performance

Written by `python dev.py bench --full`, or part by part with `--only` ({" to ".join(sorted({dates[0], dates[-1]}))}),
on {results["machine"]},
with PyTorch attention and {threads}, unless another number is named. A table is measured again by naming its part.

Each line of a table is a separate process with its own training loop. A few at a time, so that all fit into memory,
they take turns with the bound, one step each in alternating order, and medians of the same rounds are compared. The
chart shows processor time of all threads of a process: other programs on the machine change wall-clock time, but hardly
this. All use the same U-Net (random weights of the real SD1.5 layout, float32), latents, texts, rank, layers and AdamW.

The **bound** is the frozen U-Net's forward pass and its backward pass to the first adapted layer's input, as ComfyUI
computes them, without adapters, loss or optimizer. This pack can be faster, since it computes the products of frozen
linear layers differently (see below); the bound with those products has a line of its own. Memory is the peak besides
the loaded model, counted tensor by tensor.

![Time and memory]({IMAGE})"""


def _threads(count: int) -> str:
    return "one thread (`OMP_NUM_THREADS=1`)" if count == 1 else f"{count} threads"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def comparison_table(result: Results) -> str:
    """A row per entry, with ratios to the bound."""
    rows = [
        "| | s per step | CPU s per step | CPU s per image | time / bound | CPU time / bound | MiB | memory / bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    entries = _entries(result)
    bound = entries["bound"]
    for label, entry in entries.items():
        wall, cpu = median(entry["seconds"]), median(entry["cpu_seconds"])
        cells = [
            label,
            f"{wall:.2f}",
            f"{cpu:.2f}",
            f"{cpu / result['batch']:.2f}",
            f"{wall / median(entry['bound_seconds']):.2f}",
            f"{cpu / median(entry['bound_cpu_seconds']):.2f}",
            f"{entry['peak_bytes'] / MIB:.0f}",
            f"{entry['peak_bytes'] / bound['peak_bytes']:.2f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _entries(result: Results) -> Mapping[str, Results]:
    return {label: entry for label, entry in result["entries"].items() if not label.endswith("without the model")}


def _bars(result: Results) -> list[tuple[str, list[Bar]]]:
    entries = _entries(result)
    bound_bytes = entries["bound"]["peak_bytes"]
    times = [(label, median(e["cpu_seconds"]) / median(e["bound_cpu_seconds"])) for label, e in entries.items()]
    memory = [(label, e["peak_bytes"] / bound_bytes) for label, e in entries.items()]
    return [
        (result["title"], [(label, value, f"{value:.2f} × time") for label, value in times]),
        ("", [(label, value, f"{value:.2f} × memory") for label, value in memory]),
    ]


def _outside(compared: Results) -> str:
    for result in compared.values():
        entry = result["entries"].get(f"{PACK} without the model")
        if entry:
            own, whole = median(entry["cpu_seconds"]), median(result["entries"][PACK]["cpu_seconds"])
            share = f"{100 * own / whole:.1f} %"
            return f"""## Outside the model

The same loop with an empty denoiser takes {1000 * own:.0f} ms of processor time a step, {share} of a
step with SD1.5: batch, noise, loss, clipping, AdamW, report, and an epoch of two images, so that every second step
starts one. It does not grow with the number of steps (`tests/workbench/test_bench.py`)."""
    return ""


def _memory(results: Results) -> str:
    rows = []
    for name, result in results.items():
        if name.startswith("memory "):
            for what, (counted, on_paper) in (
                ("activations", result["activations"]),
                ("adapters and AdamW", result["state"]),
            ):
                rows.append(
                    f"| batch {name.split()[1]}: {what} | {counted / MIB:.1f} | {on_paper / MIB:.1f} "
                    f"| {counted / on_paper:.3f} |"
                )
    if not rows:
        return ""
    head = "| | counted MiB | on paper MiB | ratio |\n|---|---|---|---|\n"
    return (
        "## Memory on paper\n\nSD1.5, LoRA of rank 16 on attention and feed-forward, 32×32 latents. The calculation is "
        "in `workbench/bench/paper.py`; no kept tensor has the shape of a weight.\n\n" + head + "\n".join(rows)
    )


def _checkpointing(results: Results) -> str:
    narrow, memory = results.get("narrow 1"), results.get("memory 1")
    if not narrow or not memory:
        return ""
    entries, state = narrow["entries"], memory["state"][0]
    plain = entries[PACK]
    before = (plain["peak_bytes"] - state) / MIB
    rows = [f"| off | {before:.0f} | 1.0 | |"]
    for level, label in (("on", CHECKPOINTING), ("finer", f"{CHECKPOINTING} finer")):
        after = (entries[label]["peak_bytes"] - state) / MIB
        slower = median(entries[label]["cpu_seconds"]) / median(plain["cpu_seconds"]) - 1
        rows.append(f"| {level} | {after:.0f} | {before / after:.1f} | {100 * slower:.0f} % |")
    return (
        "## Gradient checkpointing\n\nWhat lives at once beside the model, adapters and optimizer: kept "
        "activations, the block being computed again, gradients. Same case as the first table.\n\n"
        "| gradient_checkpointing | MiB | times less | more time |\n|---|---|---|---|\n" + "\n".join(rows)
    )


def _sdxl(results: Results) -> str:
    rows = [
        f"| {result['dtype']} | {level} | {result[level]['weights'] / GIB:.2f} | {result[level]['state'] / GIB:.2f} "
        f"| {result[level]['peak'] / GIB:.2f} |"
        for name, result in results.items()
        if name.startswith("sdxl ")
        for level in ("on", "finer")
    ]
    if not rows:
        return ""
    return (
        "## SDXL in 8 GB\n\nThe whole U-Net, LoRA of rank 8 on attention and feed-forward, 1024², batch 1, "
        "AdamW, computing in bf16. Every tensor of a forward and a backward pass is counted, on shapes "
        f"alone; less than {SDXL_LIMIT_GIB} GiB is wanted. Not counted: a kernel's own workspace, and what the driver "
        "takes.\n\n| weights in | gradient_checkpointing | weights GiB | adapters and AdamW GiB "
        "| peak GiB, all included |\n|---|---|---|---|---|\n" + "\n".join(rows)
    )


def _quantized(results: Results) -> str:
    if "quantized" not in results:
        return ""
    sizes = results["quantized"]
    rows = [
        f"| {name} | {sizes['sd15'][name] / GIB:.2f} | {size / GIB:.2f} | {(sizes['sdxl']['bf16'] - size) / GIB:.2f} |"
        for name, size in sizes["sdxl"].items()
    ]
    return (
        "## Quantized checkpoints\n\n`--only quantized`\n\nThe frozen U-Net in memory by how its file holds the "
        "matrices, scales included; the rest is in halves. Training dequantizes each matrix for the moment of its "
        "product, forward and backward, and keeps nothing of it, so that what is saved here is saved of the peak.\n\n"
        "| matrices in | SD1.5 GiB | SDXL GiB | saved of SDXL GiB |\n|---|---|---|---|\n" + "\n".join(rows)
    )


def _previews(results: Results) -> str:
    if "previews" not in results:
        return ""
    host, preview = results["previews"]["host"], results["previews"]["preview"]
    return (
        f"## Previews\n\nTwo sampling steps of 256² with SD1.5: ComfyUI's sampler {host:.2f} s, a preview within "
        f"training, network attached, {preview:.2f} s: {preview / host:.2f} times. Nothing is loaded, copied or "
        "patched."
    )


def _busy(results: Results) -> str:
    if "busy" not in results:
        return ""
    return (
        f"## Beside other programs\n\n`--only busy`: seconds of the demo's training, and how many times that is of "
        f"the same alone.\n\n{busy_table(dict(results['busy']))}\n\nThreads that spin keep their core from the one "
        "they wait for. In the demo, the playground and the tests they sleep instead; training in your own ComfyUI "
        "runs as you started it."
    )


def _tools(results: Results) -> str:
    if "tools" not in results:
        return ""
    tools = results["tools"]
    rows = [
        f"| {title} | {seconds:.1f} | {cpu:.1f} | {mib:.0f} | {mib / read_mib:.1f} |"
        for title, (seconds, cpu, mib, read_mib) in tools["jobs"].items()
    ]
    return (
        "## LoRA tools at SDXL's size\n\n"
        f"`python -m training.tools`, LoRAs of rank 32 on attention and feed-forward ({tools['file_mib']:.0f} MiB in "
        f"fp16); extraction from two files of {tools['unet_gib']:.1f} GiB that differ by a known change of rank 4, "
        f"which it finds to {100 * tools['extract_error']:.1f} %. Memory above what Python and PyTorch take. "
        "Mapped pages of input files count, which the system takes back when it needs them: extraction itself holds "
        "one layer. TIES and DARE work on every element of the full change, a few rows at a time.\n\n"
        "| | s | CPU s | MiB | times the files read |\n|---|---|---|---|---|\n" + "\n".join(rows)
    )


def _profile(results: Results) -> str:
    if "profile" not in results:
        return ""
    profiles: Mapping[str, Mapping[str, float]] = results["profile"]
    names = {"bound": BOUND, "bound_products": BOUND_WITH_PRODUCTS, "pack": PACK}
    rows = [
        f"| {kind} | {' | '.join(f'{profiles[name].get(kind, 0):.0f}' for name in names)} |" for kind in (*KINDS, REST)
    ]
    return (
        "## Where the time goes\n\nMilliseconds of one SD1.5 step at 32×32 latents, batch 1, by PyTorch's profiler "
        "(`--only profile`), which slows the many small operations down.\n\n"
        f"| | {' | '.join(names.values())} |\n|---|---|---|---|\n" + "\n".join(rows)
    )

"""Which comparisons are run: quick on a small U-Net, SD1.5 by default, in full with every algorithm and size."""

from dataclasses import dataclass, replace

from .contest import Case
from .rounds import Entry

BOUND = "bound"
BOUND_WITH_PRODUCTS = "bound, this pack's products"
PACK = "LoRA Bakery"
CHECKPOINTING = f"{PACK}, checkpointing"
PEERS = {
    "TrainLoraNode, bypass": "host_bypass",
    "TrainLoraNode, weights": "host_weight",
    "diffusers + peft": "peft",
    "LyCORIS default": "lycoris",
}
SMALL_PEERS = ("diffusers + peft", "LyCORIS default")
"""Those that fit into 24 GB with a batch of 4 large pictures; the host's trainer makes 16 samples of them."""
ALGORITHMS = ("loha", "lokr", "dylora", "glora", "ia3", "diag-oft", "boft", "full")
BOFT_RANK = 16


@dataclass(frozen=True, slots=True)
class Comparison:
    """Entries measured in one run; the first is the bound."""

    name: str
    title: str
    entries: tuple[Entry, ...]
    num_rounds: int


def against_peers(
    name: str, title: str, case: Case, num_rounds: int, peers: tuple[str, ...] = tuple(PEERS)
) -> Comparison:
    """The bound, this pack, then others."""
    entries = [
        Entry(BOUND, "bound", case),
        Entry(BOUND_WITH_PRODUCTS, "bound_products", case),
        Entry(PACK, "pack", case),
    ]
    if case.targets != "all" and case.batch == 1:
        entries.append(Entry(CHECKPOINTING, "pack", replace(case, checkpointing="on")))
        entries.append(Entry(f"{CHECKPOINTING} finer", "pack", replace(case, checkpointing="finer")))
        entries.append(Entry(f"{PACK} without the model", "outside", case))
    entries += [Entry(label, PEERS[label], case) for label in peers]
    return Comparison(name, title, tuple(entries), num_rounds)


def every_algorithm(case: Case, num_rounds: int) -> Comparison:
    """Each algorithm of this pack beside a bound."""
    cases = {name: replace(case, algorithm=name, targets="attention_feed_forward") for name in ALGORITHMS}
    cases["DoRA"] = replace(case, weight_decompose=True)
    return Comparison(
        "algorithms",
        "Every algorithm, attention and feed-forward, batch 1",
        (Entry(BOUND, "bound", case), *(Entry(name, "pack", cases[name]) for name in cases)),
        num_rounds,
    )


def comparisons(*, layout_name: str, is_full: bool) -> list[Comparison]:
    """All of them, in order of importance."""
    narrow = Case(layout_name=layout_name, latent=32 if layout_name == "sd15" else 16)
    wide = replace(narrow, algorithm="locon", targets="all")
    size = f"{narrow.latent}×{narrow.latent} latents"
    found = [
        against_peers("narrow 1", f"Attention and feed-forward, rank 16, {size}, batch 1", narrow, 7),
        against_peers("wide 1", f"Every layer, rank 16, {size}, batch 1", wide, 5),
        against_peers("narrow 4", f"Attention and feed-forward, rank 16, {size}, batch 4", replace(narrow, batch=4), 4),
    ]
    if is_full:
        large = replace(narrow, latent=2 * narrow.latent)
        size = f"{large.latent}×{large.latent} latents"
        found.append(every_algorithm(narrow, 5))
        found.append(against_peers("large 1", f"Attention and feed-forward, rank 16, {size}, batch 1", large, 4))
        found.append(
            against_peers(
                "large 4",
                f"Attention and feed-forward, rank 16, {size}, batch 4",
                replace(large, batch=4),
                2,
                SMALL_PEERS,
            )
        )
    return found

"""Positions of nodes in ComfyUI's menu: eight for a first LoRA on top, the others one level below."""

LEAD = "LoRA Bakery"
"""Load Dataset, Captions, Resolution & Buckets, Recipe, LoRA Preview, Train LoRA, Compare LoRAs, Pick Step."""
ADVANCED = "LoRA Bakery/Advanced"
"""How a LoRA is trained in detail, and more sources of datasets."""
TOOLS = "LoRA Bakery/Tools"
"""Everything that inspects datasets, runs and LoRAs, or makes other files from them."""

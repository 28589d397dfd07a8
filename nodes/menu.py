"""Where nodes stand in ComfyUI's menu: the eight that a first LoRA takes lead, the others lie one level below."""

LEAD = "LoRA Bakery"
"""Load Dataset, Captions, Buckets, Recipe, LoRA Preview, Train LoRA, Compare LoRAs, Pick Step."""
ADVANCED = "LoRA Bakery/Advanced"
"""What decides how a LoRA is trained, and further ways to a dataset."""
TOOLS = "LoRA Bakery/Tools"
"""What looks at datasets, runs and LoRAs, and what makes other files of them."""

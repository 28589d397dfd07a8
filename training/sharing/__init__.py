"""A LoRA made ready for others: its file, pictures, a card that says how to use it, and the workflow."""

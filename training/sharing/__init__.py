"""Prepares a LoRA for sharing: its file, pictures, a card that says how to use it, and the workflow."""

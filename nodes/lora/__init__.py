"""Nodes under *LoRA*: files, merging, resizing, extracting, inspecting."""

"""Nodes under *Tools*: comparing, picking a step, charts."""

"""Nodes under *Dataset*: where images and captions come from, how they are read and shown."""

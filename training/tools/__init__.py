"""Tools for trained LoRAs: merge, bake, resize, extract, inspect."""

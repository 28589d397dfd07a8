"""Lets ComfyUI list models again after one of their folders was deleted while it runs.

It keeps its lists with the time at which each folder was changed. When it asks a folder for that time that is gone, it
fails at every further try: nodes that load LoRAs are missing from the page until ComfyUI is started again. Here that
happens to whoever empties the output folder, in which LoRAs and embeddings of runs lie.
"""

import os

import folder_paths

KINDS = ("loras", "embeddings")
"""The lists that the pack's folders are in."""


def forget_gone_folders() -> None:
    """Drops lists with a folder that is gone; ComfyUI makes them again."""
    for kind in KINDS:
        listed = folder_paths.filename_list_cache.get(kind)
        if listed is not None and not all(map(os.path.isdir, listed[1])):
            del folder_paths.filename_list_cache[kind]

"""Lets ComfyUI list models again after one of their folders was deleted while it runs.

It keeps its lists with the time at which each folder was changed. When it asks a folder for that time that is gone, it
fails at every further try: nodes that load models are missing from the page until ComfyUI is started again. Here that
happens to whoever empties the output folder, in which LoRAs and embeddings of runs lie, and merged checkpoints.
"""

import os

import folder_paths


def forget_gone_folders() -> None:
    """Drops lists with a folder that is gone; ComfyUI makes them again."""
    for kind, listed in list(folder_paths.filename_list_cache.items()):
        if not all(map(os.path.isdir, listed[1])):
            del folder_paths.filename_list_cache[kind]

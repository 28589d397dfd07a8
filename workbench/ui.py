"""Runs a ComfyUI with the pack until Ctrl-C: `python dev.py ui`. All that the example workflows name is there."""

import argparse
import sys
import time
from pathlib import Path

from ..tests.support.paths import PLAYGROUND, comfyui_folder
from ..tests.support.server import ComfyServer, end_on_sigterm
from .examples.data import add_example_data


def main() -> int:
    """Start the server, print where it is and where pictures go, show its output."""
    parser = argparse.ArgumentParser(prog="dev.py ui")
    parser.add_argument("--gpu", action="store_true", help="use the GPU if there is one")
    parser.add_argument("--folder", type=Path, default=PLAYGROUND, help="where its input and output folders lie")
    options = parser.parse_args()
    end_on_sigterm()
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    server = ComfyServer(comfyui, options.folder.absolute(), is_on_cpu=not options.gpu)
    print("==> Start ComfyUI", flush=True)
    try:
        server.start()
        add_example_data(server.input)
        print(welcome(server), flush=True)
        follow(server)
    except KeyboardInterrupt:
        print("\nStopping.")
    finally:
        server.stop()
    return 0


def welcome(server: ComfyServer) -> str:
    """What a newcomer needs to know."""
    return f"""
ComfyUI with LoRA Bakery: {server.url}
Its input folder:         {server.input}
Its output folder:        {server.output}

Templates > lora-bakery has the examples; they run as they are on the pocket model, which draws creatures of 64 pixels.
To train it on pictures of yours, put a folder of them into the input folder and Resolution & Buckets (resolution 64)
behind Load Dataset: larger ones take many times as long, and the model cannot draw them.
Ctrl-C ends it.
"""


def follow(server: ComfyServer) -> None:
    """Print what the server logs until it ends."""
    with server.log_path.open(encoding="utf-8", errors="replace") as log:
        log.seek(0, 2)
        while server.is_running:
            sys.stdout.write(log.read())
            sys.stdout.flush()
            time.sleep(0.3)


if __name__ == "__main__":
    sys.exit(main())

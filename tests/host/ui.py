"""Runs a ComfyUI with the pack until Ctrl-C: `python dev.py ui`. The pocket model and the demo's dataset are there."""

import argparse
import sys
import time

from ..demo.dataset import add_datasets
from .paths import PLAYGROUND, comfyui_folder
from .server import ComfyServer, end_on_sigterm


def main() -> int:
    """Start the server, print its address, show its output."""
    parser = argparse.ArgumentParser(prog="dev.py ui")
    parser.add_argument("--gpu", action="store_true", help="use the GPU if there is one")
    options = parser.parse_args()
    end_on_sigterm()
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    server = ComfyServer(comfyui, PLAYGROUND, is_on_cpu=not options.gpu)
    print("==> Start ComfyUI", flush=True)
    try:
        server.start()
        add_datasets(server.input)
        print(f"\nComfyUI with LoRA Bakery: {server.url}\nTemplates > lora-bakery has the examples. Ctrl-C ends it.\n")
        follow(server)
    except KeyboardInterrupt:
        print("\nStopping.")
    finally:
        server.stop()
    return 0


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

"""Writes the example workflows and their pictures: `python dev.py workflows`."""

import json
import tempfile
from pathlib import Path

from ..host.inprocess import import_comfyui
from ..host.paths import ROOT, comfyui_folder
from .canvas import Canvas
from .cards import write_card
from .examples import EXAMPLES


def main() -> None:
    """Composes every example from the nodes as they are now."""
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    with tempfile.TemporaryDirectory() as base:
        object_info = import_comfyui(comfyui, Path(base)).object_info()
        for name, compose in EXAMPLES.items():
            canvas = Canvas(object_info)
            compose(canvas)
            workflow, path = canvas.workflow(), ROOT / "example_workflows" / f"{name}.json"
            path.write_text(json.dumps(workflow, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            write_card(path, workflow)


if __name__ == "__main__":
    main()

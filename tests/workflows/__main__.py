"""Writes the example workflows: `python dev.py workflows`."""

import json
import tempfile
from pathlib import Path

from ..host.inprocess import import_comfyui
from ..host.paths import ROOT, comfyui_folder
from .canvas import Canvas
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
            text = json.dumps(canvas.workflow(), indent=1, ensure_ascii=False)
            (ROOT / "example_workflows" / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

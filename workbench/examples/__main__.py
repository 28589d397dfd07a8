"""Writes the example workflows with their pictures, and the blueprints: `python dev.py workflows`.

`--run [NAME ...]` first runs examples on the pocket model, for what their pictures show of it.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from ...tests.support.inprocess import import_comfyui
from ...tests.support.paths import ROOT, comfyui_folder
from .blueprints import BLUEPRINTS, compose_blueprint
from .cards import write_card
from .examples import EXAMPLES, SHIPPED, composed
from .results import run_examples


def main() -> None:
    """Composes every example from the nodes as they are now."""
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    parser = argparse.ArgumentParser(prog="dev.py workflows", description=__doc__)
    parser.add_argument("--run", nargs="*", choices=EXAMPLES, metavar="NAME", help="run these; all if none is named")
    options = parser.parse_args()
    if options.run is not None:
        run_examples(comfyui, options.run or list(EXAMPLES))
    with tempfile.TemporaryDirectory() as base:
        object_info = import_comfyui(comfyui, Path(base)).object_info()
        for number, name in enumerate(SHIPPED, start=1):
            workflow, path = composed(name, object_info).workflow(), ROOT / "example_workflows" / f"{name}.json"
            write_json(path, workflow)
            write_card(path, number, workflow)
        for blueprint in BLUEPRINTS:
            write_json(ROOT / "subgraphs" / f"{blueprint.name}.json", compose_blueprint(blueprint, object_info))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a workflow."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

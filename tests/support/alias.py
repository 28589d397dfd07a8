"""Makes the repository importable as `pack`; as a script, runs a module below it: `alias.py pack.workbench.demo ...`.

ComfyUI loads the repository's root as a package under a name of its own, so nothing inside may count on one. Tests and
tools call it `pack`. The root itself must not be on `sys.path`: our `nodes/` would hide ComfyUI's `nodes.py`.
"""

import runpy
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


def alias_pack() -> None:
    """Register the repository as the package `pack` without running its `__init__.py`."""
    pack = types.ModuleType("pack")
    pack.__path__ = [str(ROOT)]
    pack.__spec__ = ModuleSpec("pack", None, is_package=True)
    pack.__spec__.submodule_search_locations = [str(ROOT)]
    sys.modules["pack"] = pack
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in (ROOT, HERE)]


if __name__ == "__main__":
    alias_pack()
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)

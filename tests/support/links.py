"""Puts a folder at a second place: a symbolic link, on Windows a junction, else a shim that imports it."""

import os
import subprocess
from pathlib import Path

SHIM = '''"""Loads the pack from where it is being developed (made because this system allows no links)."""
import importlib.util as _util
import sys as _sys

_spec = _util.spec_from_file_location(
    __name__, {init!r}, submodule_search_locations=[{folder!r}]
)
_module = _util.module_from_spec(_spec)
_sys.modules[__name__] = _module
_spec.loader.exec_module(_module)
WEB_DIRECTORY = {web!r}
comfy_entrypoint = _module.comfy_entrypoint
'''


def link_folder(link: Path, target: Path) -> None:
    """Make `link` show the folder `target`; does nothing if it already does."""
    if _shows(link, target):
        return
    if link.is_symlink():
        link.unlink()
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError:
        if not _make_junction(link, target):
            _write_shim(link, target)


def _shows(link: Path, target: Path) -> bool:
    return link.exists() and os.path.realpath(link) == os.path.realpath(target)


def _make_junction(link: Path, target: Path) -> bool:
    if os.name != "nt":
        return False
    command = ["cmd", "/c", "mklink", "/J", str(link), str(target)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _write_shim(link: Path, target: Path) -> None:
    link.mkdir(exist_ok=True)
    web = os.path.relpath(target / "js", link)
    text = SHIM.format(init=str(target / "__init__.py"), folder=str(target), web=web)
    (link / "__init__.py").write_text(text, encoding="utf-8")

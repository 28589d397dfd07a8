"""Setups of kohya's sd-scripts: taken over, and written back."""

from .setup import KohyaCommands, KohyaSetup, export_kohya, import_kohya

__all__ = ["KohyaCommands", "KohyaSetup", "export_kohya", "import_kohya"]

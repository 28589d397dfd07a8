"""The input and output files of a command of the LoRA tools, one or many."""

from collections.abc import Sequence
from glob import has_magic
from pathlib import Path


def expand(patterns: Sequence[str]) -> list[Path]:
    """Expand arguments to files: a file, a folder (all .safetensors in it), or a pattern (`*`, `?`, `**`).

    Patterns are expanded here because the command line of Windows does not.

    Raises:
        ValueError: A folder has no such file, or nothing matches a pattern.
    """
    paths: dict[Path, None] = {}
    for text in patterns:
        if Path(text).is_dir():
            found = sorted(Path(text).glob("*.safetensors"))
        elif has_magic(text) and not Path(text).exists():
            start = Path(text).anchor
            inner = Path(text).relative_to(start).as_posix() if start else text
            found = sorted(path for path in Path(start).glob(inner) if path.suffix == ".safetensors")
        else:
            found = [Path(text)]
        if not found:
            raise ValueError(f"{text}: no .safetensors file there")
        paths |= dict.fromkeys(found)
    return list(paths)


def target(source: Path, output: Path, num_sources: int, *, suffix: str = ".safetensors") -> Path:
    """Output path for `source`: `output` itself, or a file named like `source` in that folder.

    `output` is a folder if it exists as one, has no ending, or there are several sources.

    Raises:
        ValueError: Several sources for one file, or a wrong ending.
    """
    if output.is_dir() or not output.suffix:
        return output / f"{source.stem}{suffix}"
    if num_sources > 1:
        raise ValueError(f"--output: {num_sources} files do not go into {output.name}; name a folder")
    if output.suffix != suffix:
        raise ValueError(f"--output: {output.name} must end in {suffix}")
    return output


def check_distinct(sources: Sequence[Path]) -> None:
    """Refuse sources with the same file name, whose results would overwrite each other in one folder.

    Raises:
        ValueError: Two have the same name, ignoring case, as on Windows.
    """
    seen: dict[str, Path] = {}
    for source in sources:
        other = seen.setdefault(source.stem.casefold(), source)
        if other is not source:
            raise ValueError(f"--output: {other} and {source} would both become {source.stem}; give each its own run")


def check_free(path: Path, sources: Sequence[Path], *, overwrite: bool) -> Path:
    """Return the path if it may be written.

    Raises:
        ValueError: It is one of the sources, or exists and must not be overwritten.
    """
    if any(source.exists() and path.exists() and source.samefile(path) for source in sources):
        raise ValueError(f"--output: {path.name} is what is read; choose another name")
    if path.exists() and not overwrite:
        raise ValueError(f"--output: {path.name} is there already; choose another name, or add --overwrite")
    return path

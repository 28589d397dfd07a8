"""Something goes wrong at one moment of writing or reading files, and all is well before and after."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pack.training.files import atomic, lora_file
from pack.training.run import state


class AtMoment:
    """Raises an error at the n-th call of what it counts, once or from then on."""

    def __init__(self, number: int, error: Callable[[Path], BaseException], *, is_lasting: bool = False) -> None:
        self.number = number
        self.is_lasting = is_lasting
        self.error = error
        self.count = 0

    def counted(self, function: Callable[..., object]) -> Callable[..., object]:
        """The function, which fails at its moment."""

        def wrapped(path: Path, *arguments: object, **options: object) -> object:
            self.count += 1
            if self.count == self.number or (self.is_lasting and self.count > self.number):
                raise self.error(path)
            return function(path, *arguments, **options)

        return wrapped


@contextmanager
def failing_write(
    number: int, error: Callable[[Path], BaseException], *, is_lasting: bool = False
) -> Iterator[AtMoment]:
    """Inside, the n-th flush or rename of a file fails, or all from there on."""
    moment = AtMoment(number, error, is_lasting=is_lasting)
    with pytest.MonkeyPatch.context() as patched:
        for name in ("_sync_file", "_replace"):
            patched.setattr(atomic, name, moment.counted(getattr(atomic, name)))
        yield moment


@contextmanager
def held(error: OSError, *names: str) -> Iterator[None]:
    """Inside, files of these names can be read, but neither written, replaced nor deleted."""

    def guarded(function: Callable[..., object], writes: Callable[..., bool]) -> Callable[..., object]:
        def wrapped(path: Path, *arguments: object, **options: object) -> object:
            target = next((str(one) for one in arguments if isinstance(one, Path)), None)
            if writes(*arguments, **options) and {path.name, Path(target or path).name} & set(names):
                raise type(error)(error.errno, error.strerror, str(path), None, target)
            return function(path, *arguments, **options)

        return wrapped

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(atomic, "_WAIT_S", 0.0)
        patched.setattr(Path, "open", guarded(Path.open, lambda mode="r", *_, **__: set(mode) & set("wa+")))
        for name in ("replace", "unlink"):
            patched.setattr(Path, name, guarded(getattr(Path, name), lambda *_, **__: True))
        yield


@contextmanager
def failing_read(number: int) -> Iterator[AtMoment]:
    """Inside, the n-th reading of a LoRA, a state or a text is refused, as by a virus scanner."""
    moment = AtMoment(number, lambda path: PermissionError(13, "Permission denied", str(path)))
    with pytest.MonkeyPatch.context() as patched:
        for module in (state, lora_file):
            patched.setattr(module, "open_tensors", moment.counted(lora_file.open_tensors))
        patched.setattr(Path, "read_text", moment.counted(Path.read_text))
        yield moment

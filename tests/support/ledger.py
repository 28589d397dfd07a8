"""What people have: every LoRA that they saw, where it may be, and what of it they deleted themselves."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from pack.tests.support.wishes import Wish, undisturbed
from pack.training.files.lora_file import load_lora
from pack.training.run.folder import RunFolder, current_run, split_name
from pack.training.run.record import load_record
from pack.training.run.untold import untold
from pack.training.session.request import TrainResult


class Ledger:
    """Compares what is on the disk with what people saw there."""

    def __init__(self, loras: Path) -> None:
        self._loras = loras
        self._seen: dict[bytes, int] = {}
        """Content of each LoRA that people saw and did not delete -> its steps; 0 for one that they put there."""
        self._finished: dict[tuple[str, Wish], bytes] = {}
        """(name, wish) that ended -> content of its last step."""
        self._said = ""

    def visible(self, name: str) -> list[Path]:
        """The LoRAs that people see under a name."""
        return sorted((self._loras / name).glob("*.safetensors"))

    def kept_steps(self, name: str) -> set[bytes]:
        """Contents of the files that a run of the name knows as steps."""
        root = self._loras / name
        known = [path for run in self._runs(root) if run.record.is_file() for path in run.step_loras().values()]
        return {path.read_bytes() for path in known}

    def hear(self, messages: Sequence[str]) -> None:
        """What the node said."""
        self._said += "\n".join(messages)

    def see(self, wish: Wish, *, is_killed: bool = False) -> None:
        """Looks at what is there; where few are to be kept, older steps may have gone.

        What a killed process wrote behind its last state is made again by the run, and belongs to nobody yet.
        """
        for root in self._roots():
            folder = RunFolder(root, current_run(root) or "")
            committed = max(folder.states(), default=0)
            for path in self.visible(root.name):
                steps = _steps(path)
                if not is_killed or steps <= committed:
                    self._seen.setdefault(path.read_bytes(), steps)
        if wish.keep_last:
            there = self._contents()
            for content in set(self._seen) - set(there):
                newest = max((steps for path, steps in self._all_steps()), default=0)
                assert 0 < self._seen.pop(content) < newest, "retention drops older steps alone"

    def check(self, name: str, wish: Wish, result: TrainResult, kept: set[bytes]) -> None:
        """Looks at what a queue that ended gave out; `kept` is what the name's runs had before."""
        content = self._finished.get((name, wish.weights))
        record = load_record(result.folder.record)
        assert record is not None
        is_own = not record.rate_changes and not record.parent
        if is_own and result.step == wish.steps:
            for key, tensor in undisturbed(wish.weights).items():
                assert torch.equal(result.tensors[key], tensor), f"{key} of {wish} has other bits: {result.message}"
            if content in kept:
                assert not result.losses, f"{wish} was trained again: {result.message}"
            last = result.folder.step_loras().get(result.step)
            if last is not None:
                self._finished[name, wish.weights] = last.read_bytes()
        latest = result.folder.latest_lora
        is_held = f"{latest.name} is open in another program" in result.message
        is_own = latest.is_file() and self._seen.get(latest.read_bytes()) != 0 and not is_held
        done = [*result.folder.states(), *result.folder.step_loras()]  # of a killed run, a step may have no state
        if result.step == max(done, default=0) and is_own:
            given = load_lora(latest).tensors
            assert all(torch.equal(given[key], tensor) for key, tensor in result.tensors.items())

    def add_foreign(self, path: Path) -> None:
        """People put a LoRA there."""
        self._seen[path.read_bytes()] = 0

    def delete(self, path: Path) -> None:
        """People delete a file or a folder; what has no other copy is gone, as they wanted."""
        before = set(self._contents())
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        for content in before - set(self._contents()):
            self._seen.pop(content, None)

    def move(self, old: str, new: str, *, is_copied: bool) -> None:
        """A folder got another name, or a copy."""
        moved = {(new, wish): content for (name, wish), content in self._finished.items() if name == old}
        kept = {key: content for key, content in self._finished.items() if is_copied or key[0] != old}
        self._finished = {**kept, **moved}

    def check_nothing_is_lost(self) -> None:
        """Every LoRA is there, and in sight or where the node said."""
        there = self._contents()
        weights = {_weights(content) for content in there}
        for content in set(self._seen) - set(there):
            # A step that a run writes again has the header of its plan now, and the same weights.
            assert self._seen[content] and _weights(content) in weights, f"step {self._seen[content]} is gone"
            del self._seen[content]
        for content, steps in self._seen.items():
            assert any(self._is_named(path) for path in there[content]), f"{there[content]} after {steps} is hidden"

    def check_files_are_whole(self) -> None:
        """Every LoRA loads, has finite weights, and the step in its name is that in its header."""
        for content, paths in self._contents().items():
            for path in paths:
                assert all(bool(tensor.isfinite().all()) for tensor in load_lora(path).tensors.values())
                step = split_name(path)[1]
                if step and self._seen.get(content) != 0:
                    assert _steps(path) == int(step.removeprefix("-step")), path

    def _is_named(self, path: Path) -> bool:
        if ".run" not in path.parts:
            return True
        run_id = path.parent.name
        pending = (line for root in self._roots() for line in untold(root))
        return run_id in self._said or any(run_id in line for line in pending)

    def _roots(self) -> list[Path]:
        return sorted(path for path in self._loras.glob("*") if path.is_dir())

    def _runs(self, root: Path) -> list[RunFolder]:
        return [RunFolder(root, path.name) for path in (root / ".run").glob("*") if path.is_dir()]

    def _contents(self) -> dict[bytes, list[Path]]:
        found: dict[bytes, list[Path]] = {}
        for path in self._loras.rglob("*.safetensors"):
            found.setdefault(path.read_bytes(), []).append(path)
        return found

    def _all_steps(self) -> list[tuple[Path, int]]:
        return [(path, _steps(path)) for paths in self._contents().values() for path in paths]


def _weights(content: bytes) -> bytes:
    """A LoRA without its header."""
    return content[8 + int.from_bytes(content[:8], "little") :]


def _steps(path: Path) -> int:
    return int(load_lora(path).metadata.get("ss_steps", 0))

"""On the real host: seeded sequences of what people do with two names; after each action every LoRA is still theirs.

The longer machine plays on a toy model (`tests/unit/run/test_people.py`); this one has the host's queue, cancel button,
cache and real files in between. `LORA_BAKERY_HOST_SEQUENCES` is the number of sequences.
"""

import os
import random
import shutil
import urllib.error

import pytest
from pack.tests.support.cases import chosen
from pack.tests.support.graphs import run_folder, set_aside, steps_done, training_graph, wait_until, write_dataset
from pack.tests.support.ledger import Ledger
from pack.tests.support.wishes import Wish
from pack.training.files.lora_file import load_lora
from pack.training.run.folder import RunFolder, current_run
from pack.training.run.record import load_record

pytestmark = pytest.mark.server

NUM_SEQUENCES = int(os.environ.get("LORA_BAKERY_HOST_SEQUENCES", "2"))
NUM_ACTIONS = 8
WISHES = {
    "usual": {},
    "longer": {"steps": 8},
    "another rate": {"learning_rate": 3e-4},
    "other pictures": {"folder": "other"},
}


@pytest.fixture(scope="module")
def server(comfy_server, pocket_checkpoint):
    write_dataset(comfy_server.input / "set")
    write_dataset(comfy_server.input / "other")
    (comfy_server.input / "other" / "2.txt").write_text("blue creature")
    return comfy_server


class Player:
    """Somebody at the canvas."""

    def __init__(self, server, number):
        self.server = server
        self.client = server.client()
        self.draw = random.Random(number)
        self.names = (f"mira {number}", f"nora {number}")
        self.seed = number
        self.ledger = Ledger(server.output / "loras")
        self.undisturbed = {}
        self.played = []

    def graph(self, name, wish, **changes):
        inputs = {"seed": self.seed, "save_dtype": "float32", **WISHES[wish], **changes}
        return training_graph(self.client, name, inputs.pop("folder", "set"), **inputs)

    def learn(self):
        """Trains each wish where nothing happens to it."""
        for wish in WISHES:
            alone = f"alone {self.seed} {wish}"
            result = self.client.run(self.graph(alone, wish))
            assert result.status == "success", result.error
            folder = set_aside(self.server.output, alone)
            steps = WISHES[wish].get("steps", 6)
            self.undisturbed[wish] = load_lora(folder.step_lora(steps)).tensors

    def play(self):
        """One action."""
        action = self.draw.choice([
            self.queue, self.queue, self.cancel, self.stop, self.pause, self.pick, self.keep_few, self.free_space,
            self.damage_marker, self.delete_latest, self.rename_folder, self.rename_file,
        ])  # fmt: skip
        name, wish = self.draw.choice(self.names), self.draw.choice(sorted(WISHES))
        self.played.append(f"{action.__name__}({name!r}, {wish!r})")
        action(name, wish)
        self.ledger.check_nothing_is_lost()
        self.ledger.check_files_are_whole()

    def heard(self, result, *, keep_last=0):
        texts = result.outputs.get("5", {}).get("text", [])
        self.ledger.hear([*texts, result.error])
        self.ledger.see(Wish(keep_last=keep_last))
        return " ".join(texts)

    def queue(self, name, wish):
        result = self.client.run(self.graph(name, wish))
        told = self.heard(result)
        assert result.status == "success", result.error
        folder = RunFolder(self.root(name), current_run(self.root(name)))
        record = load_record(folder.record)
        if record.rate_changes or "was kept" in told:
            return
        for key, tensor in self.undisturbed[wish].items():
            assert tensor.equal(load_lora(folder.latest_lora).tensors[key]), f"{name}, {wish}: {told}"

    def begun(self, name, wish, steps=200):
        """Queues what takes long, until it has trained a step; its prompt."""
        before = steps_done(self.server.output, name)
        queued = self.client.queue(self.graph(name, wish, steps=steps))
        wait_until(lambda: steps_done(self.server.output, name) not in (0, before))
        return queued

    def cancel(self, name, wish):
        queued = self.begun(name, wish)
        self.client.interrupt()
        self.heard(self.client.wait(queued))

    def stop(self, name, wish):
        queued = self.begun(name, wish)
        self.command(name, "stop")
        self.heard(self.client.wait(queued))

    def pause(self, name, wish):
        """Canceled while it is paused."""
        queued = self.begun(name, wish)
        self.command(name, "pause")
        self.client.interrupt()
        self.heard(self.client.wait(queued))

    def pick(self, name, wish):
        root = self.root(name)
        if (run_id := current_run(root)) and (steps := RunFolder(root, run_id).step_loras()):
            folder = RunFolder(root, run_id)
            self.client.post(f"/bakery/runs/{run_id}/pick?name={name.replace(' ', '%20')}", {"step": min(steps)})
            assert min(steps) in folder.step_loras()

    def keep_few(self, name, wish):
        self.heard(self.client.run(self.graph(name, wish, keep_last=1)), keep_last=1)

    def free_space(self, name, wish):
        self.ledger.delete(self.root(name) / ".run")

    def damage_marker(self, name, wish):
        marker = self.root(name) / ".run" / "current"
        if marker.is_file():
            marker.write_text("")

    def delete_latest(self, name, wish):
        self.ledger.delete(self.root(name) / f"{name}.safetensors")

    def rename_file(self, name, wish):
        if paths := self.ledger.visible(name):
            paths[-1].rename(paths[-1].with_name(f"good {len(paths)} {self.draw.random():.6f}.safetensors"))

    def rename_folder(self, name, wish):
        other = self.root(next(one for one in self.names if one != name))
        if self.root(name).exists() and not other.exists():
            self.root(name).rename(other)

    def command(self, name, what):
        """Presses a button, again until the run trains."""

        def is_heard():
            folder = run_folder(self.server.output, name)
            try:
                self.client.post(f"/bakery/runs/{folder.run_id}/{what}?name={name.replace(' ', '%20')}", {})
            except urllib.error.HTTPError as error:
                assert error.code == 404
                return False
            return True

        wait_until(is_heard)

    def root(self, name):
        return self.server.output / "loras" / name


@pytest.mark.parametrize("number", chosen(range(NUM_SEQUENCES), [0]))
def test_people(number, server):
    shutil.rmtree(server.output / "loras", ignore_errors=True)
    player = Player(server, number)
    player.learn()
    try:
        for _ in range(NUM_ACTIONS):
            player.play()
    except AssertionError as error:
        raise AssertionError(f"{error}, after {player.played}") from error

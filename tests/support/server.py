"""A real ComfyUI server on a free port, with folders of its own so that no other installation is touched."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from .client import ComfyClient
from .links import link_folder
from .paths import CHECKPOINTS, ROOT
from .patience import Deadline, time_limit

PACK_FOLDER_NAME = "lora-bakery"


class ServerFailed(RuntimeError):
    """The server ended, or did not answer in time; the message ends with its last lines of output."""


def end_on_sigterm() -> None:
    """Let a polite request to end this process unwind it, so that the servers it started end too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    """Return a TCP port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_base_folder(base: Path, pack: Path | None = ROOT) -> None:
    """Make the folders ComfyUI expects below its base directory, with the pack linked as a custom node.

    Checkpoints that all bases share are found by `model_paths`: `--models-directory` is unknown before ComfyUI 0.25.
    """
    for name in ("custom_nodes", "input", "output", "temp", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    shared = f"shared:\n  checkpoints: {json.dumps(str(CHECKPOINTS))}\n"  # a JSON string is one in YAML too
    model_paths(base).write_text(shared, encoding="utf-8")
    if pack is not None:
        link_folder(base / "custom_nodes" / PACK_FOLDER_NAME, pack)


def model_paths(base: Path) -> Path:
    """What `--extra-model-paths-config` reads."""
    return base / "model_paths.yaml"


class ComfyServer:
    """One server process: `start`, `stop`, `kill`; restart it with `start` to test what survives.

    Args:
        comfyui: the ComfyUI folder, with main.py.
        base: base directory: custom_nodes, input, output, temp and user lie below it.
        is_on_cpu: use no GPU.
        extra_args: more arguments for main.py.
        env: more environment variables.
        pack: folder of the node pack that is linked; None: what lies in custom_nodes already.
    """

    def __init__(
        self,
        comfyui: Path,
        base: Path,
        *,
        is_on_cpu: bool = True,
        extra_args: Sequence[str] = (),
        env: dict[str, str] | None = None,
        pack: Path | None = ROOT,
    ) -> None:
        self.comfyui, self.base, self.pack = comfyui, base, pack
        self.extra_args = [*(["--cpu"] if is_on_cpu else []), *extra_args]
        self.extra_env = dict(env or {})
        self.log_path = base / "server.log"
        self.port = 0
        self.num_starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the server, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def input(self) -> Path:
        """ComfyUI's input folder."""
        return self.base / "input"

    @property
    def output(self) -> Path:
        """ComfyUI's output folder."""
        return self.base / "output"

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def client(self) -> ComfyClient:
        """Return a new client, which keeps its own websocket."""
        return ComfyClient(self.url)

    def log_text(self) -> str:
        """Return everything the server printed since it was first started."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def start(self, timeout_s: float = 300.0) -> None:
        """Start the process and wait until it answers; started again it keeps its port, so that open pages find it.

        Args:
            timeout_s: seconds of an idle machine.

        Raises:
            ServerFailed: it ended, or did not answer in time.
        """
        assert not self.is_running, "the server is running already"
        make_base_folder(self.base, self.pack)
        self.port = self.port or free_port()
        self.num_starts += 1
        self._log = self.log_path.open("ab")
        self._process = subprocess.Popen(
            self._command(),
            cwd=self.comfyui,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait_until_ready(Deadline(timeout_s), timeout_s)

    def stop(self, timeout_s: float = 20.0) -> None:
        """End the process, politely first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._forget()

    def end(self, ends_with: signal.Signals, timeout_s: float = 60.0) -> None:
        """End the process by a signal, and wait for it.

        Args:
            ends_with: the signal.
            timeout_s: seconds of an idle machine.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        assert self._process is not None, "the server is not running"
        self._process.send_signal(ends_with)
        self._process.wait(time_limit(timeout_s))
        self._forget()

    def kill(self) -> None:
        """End the process at once, as a power cut would (SIGKILL)."""
        assert self._process is not None, "the server is not running"
        if os.name == "posix":
            self._process.send_signal(signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        self._forget()

    def _forget(self) -> None:
        self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _command(self) -> list[str]:
        options = {
            "--listen": "127.0.0.1",
            "--port": str(self.port),
            "--base-directory": str(self.base),
            "--extra-model-paths-config": str(model_paths(self.base)),
            "--database-url": "sqlite:///:memory:",
        }
        pairs = [part for option in options.items() for part in option]
        flags = ["--disable-auto-launch", "--disable-api-nodes"]
        return [sys.executable, "-u", "main.py", *flags, *pairs, *self.extra_args]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "", **self.extra_env}

    def _wait_until_ready(self, deadline: Deadline, timeout_s: float) -> None:
        while True:
            if not self.is_running:
                raise ServerFailed(f"ComfyUI ended while starting.\n{self._log_tail()}")
            try:
                with urllib.request.urlopen(f"{self.url}/system_stats", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                pass
            if deadline.is_over:
                self.stop()
                raise ServerFailed(f"ComfyUI did not answer within {timeout_s:.0f} s.\n{self._log_tail()}")
            time.sleep(0.2)

    def _log_tail(self, num_lines: int = 30) -> str:
        return "\n".join(self.log_text().splitlines()[-num_lines:])

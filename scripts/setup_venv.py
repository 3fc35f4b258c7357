"""Make `.venv` and install one extra of this project into it, with the standard library only.

Usage: python scripts/setup_venv.py demo|dev

It says first what it will download and how much disk that takes. A run that finds everything in
place does nothing and needs no network. What goes wrong ends in one sentence that names it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
CONSTRAINTS = ROOT / "constraints.txt"
LOG = VENV / "install.log"
OLDEST = (3, 11)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_DOWNLOAD_MB, CUDA_DISK_MB = 2600, 3900  # what PyPI's torch 2.13.0 takes beyond the CPU build

NETWORK_SIGNS = (
    "NewConnectionError",
    "Failed to establish",
    "Name or service not known",
    "Temporary failure in name resolution",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "SSLError",
    "Max retries exceeded",
    "(from versions: none)",
)
SPACE_SIGNS = ("No space left on device", "Disk quota exceeded")


class SetupError(Exception):
    """Set-up cannot go on; the text is the one sentence people get."""


@dataclass(frozen=True)
class Plan:
    """What an extra costs, measured by `du` and by pip's own figures on Linux with Python 3.11.

    Attributes:
        download_mb: size of all wheels together.
        disk_mb: size of `.venv` afterwards; the wheels lie beside it until pip is done.
        later: what the command itself downloads once it runs, for people.
    """

    download_mb: int
    disk_mb: int
    later: str = ""

    @property
    def peak_mb(self) -> int:
        """Free space needed while pip works, with a tenth to spare."""
        return (self.download_mb + self.disk_mb) * 11 // 10


PLANS = {
    "demo": Plan(350, 1500, later=", then an 84 MB model"),
    "dev": Plan(465, 1890),
}


def main(arguments: list[str]) -> int:
    """Install what the arguments name; returns the exit status."""
    if len(arguments) != 1 or arguments[0] not in PLANS:
        print(f"usage: setup_venv.py {'|'.join(PLANS)}", file=sys.stderr)
        return 2
    try:
        set_up(arguments[0])
    except SetupError as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def set_up(extra: str) -> None:
    """Bring `.venv` to where `extra` is installed, or do nothing if it is."""
    check_python()
    stamp, key = VENV / f".installed-{extra}", stamp_key()
    if stamp.is_file() and stamp.read_text() == key and venv_stands():
        return
    plan = PLANS[extra]
    print(
        f"making .venv first: downloads about {plan.download_mb} MB of Python "
        f"packages{plan.later}, takes about {plan.disk_mb / 1000:.1f} GB of disk in {VENV} "
        f"({plan.peak_mb / 1000:.1f} GB while installing)",
        flush=True,
    )
    check_space(plan.peak_mb)
    make_venv()
    install(extra)
    stamp.write_text(key)


def check_python() -> None:
    """Refuse a Python that is too old or cannot make virtual environments."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(
            f"Python 3.11 or newer is needed, {sys.executable} is {found}; "
            "say which to use: make PYTHON=/path/to/python3.11 ..."
        )
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        version = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(
            f"{sys.executable} lacks the standard module {missing[0]!r}, without which no virtual "
            f"environment can be made (Debian and Ubuntu: apt-get install python{version}-venv)"
        )


def stamp_key() -> str:
    """Changes when what has to be installed does: dependencies, versions, Python, place."""
    import tomllib  # noqa: PLC0415 - absent before 3.11, and the version is checked first

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    facts = [
        {name: project[name] for name in ("build-system", "project")},
        project["tool"]["setuptools"],
        CONSTRAINTS.read_text(encoding="utf-8"),
        sys.version,
        str(VENV),
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def venv_stands() -> bool:
    """Whether `.venv` runs, and was made where it stands (its scripts hold absolute paths)."""
    settings = VENV / "pyvenv.cfg"
    if not settings.is_file() or not (BIN / "python").exists():
        return False
    if str(VENV) not in settings.read_text(encoding="utf-8"):
        return False
    return subprocess.run([BIN / "python", "-c", "import pip"], check=False).returncode == 0


def check_space(needed_mb: int) -> None:
    """Refuse a disk that would fill, counting what an earlier run has put there already."""
    there = sum(path.lstat().st_size for path in VENV.rglob("*")) if VENV.is_dir() else 0
    needed = needed_mb * 10**6 - there
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        raise SetupError(
            f"too little disk space for {VENV}: {needed / 1e9:.1f} GB needed while installing, "
            f"{free / 1e9:.1f} GB free"
        )


def make_venv() -> None:
    """A virtual environment with pip, unless a good one stands there."""
    if venv_stands():
        return
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    print("+ " + " ".join(command).replace(f"{ROOT}/", ""), flush=True)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(explain("the virtual environment", done.stdout + done.stderr))


def install(extra: str) -> None:
    """Install pip itself and the build backend, then torch where it needs care, then the rest."""
    LOG.unlink(missing_ok=True)
    pip("pip", "setuptools", what="pip and setuptools")
    take_cpu_torch()
    pip("--no-build-isolation", "-e", f".[{extra}]", what=f"the packages of the extra {extra!r}")
    print(f"installed: {extra}", flush=True)


def take_cpu_torch() -> None:
    """Install torch's CPU build where the default index would bring gigabytes of CUDA."""
    if sys.platform != "linux" or not brings_cuda():
        return
    cpu = ["--no-deps", "--retries", "1", "--timeout", "15", "--index-url", CPU_INDEX]
    print(f"torch: the package index has only the CUDA build, so from {CPU_INDEX}", flush=True)
    if try_pip(*cpu, "torch"):
        return
    print(
        f"torch: {CPU_INDEX} does not answer, so the CUDA build after all: "
        f"about {CUDA_DOWNLOAD_MB / 1000:.1f} GB more to download, "
        f"{CUDA_DISK_MB / 1000:.1f} GB more of disk",
        flush=True,
    )
    check_space(CUDA_DOWNLOAD_MB + CUDA_DISK_MB + PLANS["dev"].peak_mb)


def brings_cuda() -> bool:
    """Whether the torch that pip would take requires CUDA packages; nothing is downloaded."""
    report = VENV / "torch.json"
    pip("--dry-run", "--no-deps", "--report", str(report), "torch", what="what pip knows of torch")
    planned = json.loads(report.read_text(encoding="utf-8"))["install"]
    needs = [need for item in planned for need in item["metadata"].get("requires_dist", [])]
    return any(need.startswith(("nvidia-", "cuda-")) for need in needs)


def pip(*arguments: str, what: str) -> None:
    """Run `pip install` under the constraints; what it says goes to the log."""
    if not try_pip(*arguments):
        raise SetupError(explain(what, LOG.read_text(encoding="utf-8", errors="replace")))


def try_pip(*arguments: str) -> bool:
    """Run `pip install`; whether it succeeded. Its temporary files stay on this disk."""
    spool = VENV / "tmp"
    spool.mkdir(exist_ok=True)
    command = [str(BIN / "python"), "-m", "pip", "install", "--progress-bar", "off"]
    if "--retries" not in arguments:
        command += ["--retries", "3"]
    command += ["-c", str(CONSTRAINTS), *arguments]
    print("+ " + " ".join(command).replace(f"{ROOT}/", ""), flush=True)
    with LOG.open("a", encoding="utf-8") as log:
        done = subprocess.run(
            command,
            cwd=ROOT,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(spool), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
    shutil.rmtree(spool, ignore_errors=True)
    return done.returncode == 0


def explain(what: str, output: str) -> str:
    """One sentence out of pip's many."""
    if any(sign in output for sign in SPACE_SIGNS):
        return f"the disk that holds {VENV} filled up while installing {what}"
    if any(sign in output for sign in NETWORK_SIGNS):
        return f"no network: the Python package index cannot be reached for {what} (see {LOG})"
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no reason given"]
    return f"{what} could not be installed: {errors[-1].removeprefix('ERROR:').strip()} (see {LOG})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

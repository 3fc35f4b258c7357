"""The program as a process: pipes, signals, terminals, and what starting it loads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.cli.terminals import on_a_terminal

DRIVER = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("canned", {conftest!r})
canned = importlib.util.module_from_spec(spec)
sys.modules["canned"] = canned
spec.loader.exec_module(canned)
import deltastore
from deltastore.results import Listing, ModelInfo
store = canned.FakeStore("models.ds", answers=canned.canned_answers())
deltastore.open = lambda url, **options: store
models = tuple(ModelInfo(f"team/model-{{n}}", ("main",), ()) for n in range(5000))
store.answers["ls"] = Listing(models=models)
def wait(options):
    print("waiting", file=sys.stderr, flush=True)
    time.sleep(60)
if "--wait" in sys.argv:
    sys.argv.remove("--wait")
    store.during = wait
from deltastore_cli.main import main
main()
"""


@pytest.fixture
def driver(tmp_path: Path) -> list[str]:
    """The program on a canned store, as a command line."""
    script = tmp_path / "driver.py"
    conftest = str(Path(__file__).with_name("conftest.py"))
    script.write_text(DRIVER.format(conftest=conftest))
    return [sys.executable, str(script), "-s", "models.ds"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_a_reader_that_leaves_ends_the_program_with_141(
    driver: list[str], extra: list[str], unbuffered: str
) -> None:
    process = subprocess.Popen(
        [*driver, "ls", *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    os.read(process.stdout.fileno(), 10)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 141
    assert err == b""


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_a_full_disk_behind_standard_output_is_an_error(
    driver: list[str], extra: list[str]
) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*driver, "ls", *extra], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ran.returncode == 7
    assert ran.stderr == b"error: standard output: No space left on device\n"


def test_closed_streams_are_no_trouble(driver: list[str]) -> None:
    closing = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh"]
    assert subprocess.run([*closing, *driver, "branch"], check=False).returncode == 0


def test_a_slow_reader_gets_all_of_a_long_document(driver: list[str]) -> None:
    process = subprocess.Popen(
        [*driver, "ls", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    out = process.communicate(timeout=30)[0]
    assert len(json.loads(out)["result"]["models"]) == 5000


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_control_c_says_nothing_was_recorded(driver: list[str], extra: list[str]) -> None:
    process = subprocess.Popen(
        [*driver, "commit", "x", "--to", "a/b", "-m", "m", "--wait", *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "interrupted: nothing recorded\n"
    assert (json.loads(out)["error"]["kind"] == "interrupted") if extra else (out == "")


def test_a_terminal_gets_color_unless_told_otherwise(driver: list[str]) -> None:
    assert "\x1b[33m4c1f09ab23de\x1b[0m" in on_a_terminal([*driver, "log", "me/math"])
    assert "\x1b[" in on_a_terminal([*driver, "branch"])
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        for command in ("log", "show", "diff", "stats", "branch", "fsck", "doctor"):
            arguments = ["me/math"] if command in ("log", "show", "diff") else []
            shown = on_a_terminal([*driver, command, *arguments], **environment)
            assert "\x1b" not in shown
            assert "Traceback" not in shown


def test_a_terminal_folds_what_is_too_wide_and_cuts_nothing(driver: list[str]) -> None:
    shown = on_a_terminal([*driver, "diff", "me/a", "--all"], NO_COLOR="1", COLUMNS="40")
    assert "…" not in shown
    assert all(len(line) <= 40 for line in shown.splitlines()[4:])


def test_an_encoding_without_the_letters_gets_escapes(driver: list[str]) -> None:
    ran = subprocess.run(
        [*driver, "nö"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"error: no such command 'n\\xf6'")


def loaded_by(*arguments: str) -> tuple[set[str], float]:
    """Top-level modules that a command loads, and the processor time it takes in seconds."""
    code = textwrap.dedent(
        f"""
        import sys, time
        from deltastore_cli.main import run
        run({list(arguments)!r})
        print(time.process_time(), *{{name.partition(".")[0] for name in sys.modules}})
        """
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *modules = ran.stdout.splitlines()[-1].split()
    return set(modules), float(seconds)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("commit", "--help"), ("log", "--help")])
def test_help_is_quick_and_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules, seconds = loaded_by(*arguments)
    heavy = {"torch", "numba", "duckdb", "fsspec", "numpy", "rich", "zstandard", "safetensors"}
    assert not modules & heavy
    assert seconds < 0.3


def test_completion_answers_the_shell() -> None:
    program = str(Path(sys.executable).with_name("deltastore"))
    environment = {
        "_DELTASTORE_COMPLETE": "bash_complete",
        "COMP_LINE": "deltastore com",
    }
    ran = subprocess.run(
        [program], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert [line.partition(",")[2] for line in ran.stdout.split()] == ["completion", "commit"]


def test_a_sentence_is_folded_between_words(driver: list[str]) -> None:
    shown = on_a_terminal([*driver, "fsck"], NO_COLOR="1", COLUMNS="24")
    assert shown == "checked 41 log entries,\n  12 packs: all is well\n"

"""Work under way, on a real terminal and on none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminals import on_a_terminal

DRIVER = """
import importlib.util, logging, os, sys, time
spec = importlib.util.spec_from_file_location("canned", {conftest!r})
canned = importlib.util.module_from_spec(spec)
sys.modules["canned"] = canned
spec.loader.exec_module(canned)
import deltastore, deltastore_cli.progress
store = canned.FakeStore("models.ds", answers=canned.canned_answers())
deltastore.open = lambda url, **options: store
seconds = float(sys.argv.pop(1))
deltastore_cli.progress.LINE_INTERVAL = float(sys.argv.pop(1))
deltastore_cli.progress.QUIET_START = float(os.environ.get("QUIET_START", "1"))
def work(options):
    logging.getLogger("deltastore").info("a remark")
    logging.getLogger("deltastore").warning("mind this")
    began = time.monotonic()
    while time.monotonic() - began < seconds and options.get("progress"):
        options["progress"]("encode", int(3e9), int(6e9))
        time.sleep(0.05)
store.during = work
from deltastore_cli.main import main
main()
"""
COLOR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")
MINUTE = "60"


@pytest.fixture
def driver(tmp_path: Path) -> list[str]:
    """The program on a store that works for as long, and tells as often, as the arguments say."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(conftest=str(Path(__file__).with_name("conftest.py"))))
    return [sys.executable, str(script)]


FSCK = ("-s", "models.ds", "fsck")


def test_a_bar_for_more_than_a_second(driver: list[str]) -> None:
    shown = on_a_terminal([*driver, "1.6", MINUTE, *FSCK])
    assert "encode" in shown
    assert "50%" in shown
    assert COLOR.search(shown)
    assert shown.endswith("all is well\x1b[0m\n")
    last = shown[shown.rindex("50%") :]
    assert "\x1b[2K" in last, "the bar stays on the screen"


def test_no_color_is_no_color(driver: list[str]) -> None:
    shown = on_a_terminal([*driver, "0.4", MINUTE, *FSCK], NO_COLOR="1", QUIET_START="0.1")
    assert "50%" in shown
    assert not COLOR.search(shown)


def test_short_work_shows_no_bar(driver: list[str]) -> None:
    assert "encode" not in on_a_terminal([*driver, "0.3", MINUTE, *FSCK])


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (("-q",), {}),
        ((), {"DELTASTORE_PROGRESS": "none"}),
        (("--progress", "plain"), {}),
        ((), {"TERM": "dumb"}),
    ],
)
def test_a_terminal_without_bars(
    driver: list[str], options: tuple[str, ...], environment: dict[str, str]
) -> None:
    environment = {**environment, "QUIET_START": "0.1"}
    shown = on_a_terminal([*driver, "0.3", MINUTE, *FSCK, *options], **environment)
    assert "encode" not in shown
    assert "all is well" in shown


def elsewhere(driver: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*driver, *arguments], capture_output=True, text=True, check=False)


def test_elsewhere_a_plain_line_at_a_time(driver: list[str]) -> None:
    """A minute is a fifth of a second here."""
    ran = elsewhere(driver, "0.5", "0.2", *FSCK)
    lines = [line for line in ran.stderr.splitlines() if "encode" in line]
    assert 1 <= len(lines) <= 2  # a busy machine may be late once
    assert all(re.fullmatch(r"fsck: encode 50 % 3\.00 GB of 6\.00 GB .*/s", line) for line in lines)
    assert "\x1b" not in ran.stderr + ran.stdout
    assert "\r" not in ran.stderr
    assert ran.stdout == "checked 41 log entries, 12 packs: all is well\n"
    assert "encode" not in elsewhere(driver, "0.1", MINUTE, *FSCK).stderr


def test_quiet_and_verbose(driver: list[str]) -> None:
    said = {
        option: elsewhere(driver, "0", MINUTE, *FSCK, *option) for option in ((), ("-q",), ("-v",))
    }
    assert said[()].stderr == "warning: mind this\n"
    assert said[("-q",)].stderr == ""
    assert said[("-v",)].stderr == "note: a remark\nwarning: mind this\n"
    assert len({ran.stdout for ran in said.values()}) == 1


def test_no_pager_is_started(driver: list[str], tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ntouch {tmp_path}/paged\ncat\n")
    pager.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    for name in ("less", "more"):
        (tmp_path / name).symlink_to(pager)
    shown = on_a_terminal(
        [*driver, "0", MINUTE, "-s", "models.ds", "diff", "me/a", "--all"],
        PAGER=str(pager), PATH=path,
    )  # fmt: skip
    assert shown.count("layers.") == 25
    assert not (tmp_path / "paged").exists()

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pytest

from deltastore_cli.progress import Bars, PlainLines, progress_report

if TYPE_CHECKING:
    from deltastore.config import ProgressMode


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_is_one_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with PlainLines("commit", clock) as report:
        for second in range(0, 181, 5):
            clock.now = second
            report("encode", second * 10**8, 40 * 10**9)
    assert capsys.readouterr().err.splitlines() == [
        "commit: encode 15 % 6.00 GB of 40.0 GB 100 MB/s",
        "commit: encode 30 % 12.0 GB of 40.0 GB 100 MB/s",
        "commit: encode 45 % 18.0 GB of 40.0 GB 100 MB/s",
    ]


def test_short_work_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for report in (PlainLines("commit", Clock()), Bars(Clock())):
        with report as show:
            show("encode", 1, 2)
            show("encode", 2, 2)
    assert capsys.readouterr() == ("", "")


def test_an_unknown_total_is_no_division(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with PlainLines("fsck", clock) as report:
        report("read", 0, 0)
        clock.now = 60
        report("read", 10**9, 0)
    assert capsys.readouterr().err == "fsck: read 1.00 GB 16.7 MB/s\n"


def test_bars_appear_after_a_second_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Bars(clock) as report:
        clock.now = 1.5
        report("encode", 3 * 10**9, 6 * 10**9)
        report("write", 10**9, 0)
    out, err = capsys.readouterr()
    assert out == ""
    assert "encode" in err
    assert "50%" in err
    assert "3.0/6.0 GB" in err


@pytest.mark.parametrize(
    ("mode", "terminal", "kind"),
    [
        ("auto", False, PlainLines),
        ("auto", True, Bars),
        ("bar", False, Bars),
        ("plain", True, PlainLines),
        ("none", True, type(None)),
    ],
)
def test_modes(
    mode: ProgressMode, terminal: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_report("commit", mode) as report:
        assert type(report) is kind


def test_quiet_and_settings_choose(store: Any, program: Any, monkeypatch: Any) -> None:
    def given(*arguments: str) -> object:
        assert program("fsck", *arguments).code == 0
        return store.calls[-1][2]["progress"]

    assert isinstance(given(), PlainLines)
    assert given("-q") is None
    monkeypatch.setenv("DELTASTORE_PROGRESS", "none")
    assert given() is None
    assert isinstance(given("--progress", "bar"), Bars)

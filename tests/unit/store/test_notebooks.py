"""What a real kernel shows: tables for results, one bar for a long call, no output otherwise."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import deltastore
from deltastore import progress
from deltastore.errors import StorageError
from tests.cli.weights import small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[deltastore.Store]:
    """A store that holds me/base."""
    write_model(tmp_path / "base", small_model())
    with deltastore.init(tmp_path / "models.ds", cache=tmp_path / "cache") as store:
        store.commit(tmp_path / "base", to="me/base", message=HOSTILE, preview=None)
        yield store


def test_a_store_shows_its_place_and_models(store: deltastore.Store) -> None:
    store.branch("me/base@<b>&'", "me/base")
    html = store._repr_html_()
    assert store.url in html
    assert store.store_id in html
    assert "me/base" in html
    assert "&lt;b&gt;&amp;&#x27;, main" in html
    assert "<b>&" not in html


def test_an_empty_store_is_shown_too(tmp_path: Path) -> None:
    with deltastore.init(tmp_path / "empty.ds", cache=tmp_path / "cache") as store:
        assert ">models<" in store._repr_html_()


def test_showing_a_store_asks_nothing_of_the_storage(
    store: deltastore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store._traffic()
    store._repr_html_()
    assert store._traffic() == before


def test_a_store_after_a_fork_is_only_named(
    store: deltastore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_process", -1)
    assert store._repr_html_() == f"Store(&#x27;{store.url}&#x27;)"
    with pytest.raises(StorageError):
        store.ls()


class FakeDisplay:
    """Stands for `IPython.display.display`: keeps what a cell's output shows."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.outputs = 0

    def __call__(self, drawing: dict[str, str], *, raw: bool, display_id: bool) -> FakeDisplay:
        assert raw
        assert display_id
        self.outputs += 1
        self.update(drawing, raw=True)
        return self

    def update(self, drawing: dict[str, str], *, raw: bool) -> None:
        self.shown.append(drawing)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeDisplay:
    """IPython under a kernel, as far as `as_report` looks at it."""
    display = FakeDisplay()
    shell = SimpleNamespace(kernel=object())
    fake = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return display


def test_a_bar_is_one_output_that_is_redrawn(
    kernel: FakeDisplay, capsys: pytest.CaptureFixture[str]
) -> None:
    report = progress.as_report(True)
    for done in range(1001):
        report("encode", done * 1_000_000, 1_000_000_000)
    report("<write>", 7_000_000, 0)
    report("<write>", 8_000_000, 8_000_000)
    assert kernel.outputs == 1
    assert len(kernel.shown) < 20
    last = kernel.shown[-1]
    assert last["text/plain"] == "encode 100 %, <write> 100 %"
    assert last["text/html"].count("<progress") == 2
    assert "&lt;write&gt; 100 %" in last["text/html"]
    assert capsys.readouterr() == ("", "")


def test_bars_are_drawn_by_any_thread(kernel: FakeDisplay) -> None:
    report = progress.as_report(True)
    threads = [
        threading.Thread(target=report, args=(f"stage {number}", 5, 5)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kernel.outputs == 1
    assert kernel.shown[-1]["text/plain"].count("100 %") == 8


def test_a_terminal_gets_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = SimpleNamespace(get_ipython=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    report = progress.as_report(True)
    for done in (0, 5, 5, 10):
        report("encode", done, 10)
    report("read", 3_000_000, 0)
    assert capsys.readouterr().err == "\rencode 0 %\rencode 50 %\rencode 100 %\n\rread 3 MB"


def test_nobody_loads_ipython_for_a_bar() -> None:
    code = (
        "import sys\nfrom deltastore.progress import as_report\nas_report(True)('a', 1, 1)\n"
        "assert 'IPython' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@contextmanager
def a_kernel(folder: Path) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """A real kernel; the function runs a cell and gives what a front end would show."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))

    def run(code: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        reply = client.execute_interactive(code, timeout=120, output_hook=messages.append)
        assert reply["content"]["status"] == "ok", reply["content"]
        return [found for found in messages if found["msg_type"] not in ("status", "execute_input")]

    try:
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


CELL = """
import deltastore
store = deltastore.open("models.ds")
done = store.commit("base", to="me/again", message="<script>alert(1)</script>", progress=True)
"""


def test_a_real_kernel(
    store: deltastore.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    with a_kernel(tmp_path) as run:
        messages = run(CELL)
        kinds = [message["msg_type"] for message in messages]
        assert kinds.count("display_data") == 1
        assert set(kinds) <= {"display_data", "update_display_data"}
        last = messages[-1]["content"]
        assert last["transient"]["display_id"] == messages[0]["content"]["transient"]["display_id"]
        assert "100 %" in last["data"]["text/plain"]
        assert "<progress" in last["data"]["text/html"]
        for code, says in {
            "done": "me/again",
            "store": "models.ds",
            "store.log('me/again')": "&lt;script&gt;alert(1)&lt;/script&gt;",
            "store.ls()": "me/again",
            "store.stats()": "stored bytes",
            "store.diff('me/base', 'me/again')": "unchanged",
        }.items():
            (answer,) = run(code)
            assert answer["msg_type"] == "execute_result"
            html = answer["content"]["data"]["text/html"]
            assert html.startswith("<table>")
            assert says in html
            assert "<script" not in html

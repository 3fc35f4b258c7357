"""Every kind of error, made to happen: as text, as a document, and through Python.

The table is the contract's. A kind without a situation here fails, and so does one that no longer
exists.
"""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import deltastore
from deltastore import errors
from deltastore.errors import DeltastoreError, UnreachableError
from deltastore.store.looking import Looking
from tests.cli.situations import SITUATIONS, World
from tests.cli.weights import fine_tuned, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran

EXIT_CODES = {
    "internal": 1,
    "usage": 2,
    "not_found": 3,
    "ambiguous": 3,
    "not_a_store": 3,
    "conflict": 4,
    "exists": 4,
    "dirty": 4,
    "invalid": 5,
    "incompatible": 5,
    "unsupported": 5,
    "newer_format": 5,
    "corrupt": 6,
    "missing_object": 6,
    "unreachable": 7,
    "access_denied": 7,
    "no_space": 7,
    "unsafe_backend": 7,
    "outcome_unknown": 7,
}
"""The contract's table."""

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"

NOT_YET: set[str] = set()
"""Kinds of the contract that no error has yet; one that gets an error must leave this set."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every situation starts from; made once."""
    folder = tmp_path_factory.mktemp("kinds")
    base = small_model()
    write_model(folder / "base", base)
    write_model(folder / "tuned", fine_tuned(base))
    with deltastore.init(folder / "models.ds") as store:
        store.commit(folder / "base", to="me/base", message="base", preview=None)
    return folder


@pytest.fixture
def world(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lonely_user: Path
) -> World:
    subprocess.run(["cp", "-a", f"{prepared}/.", str(tmp_path)], check=True)
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    return World(tmp_path, monkeypatch)


def test_every_kind_of_the_contract_is_made_to_happen() -> None:
    assert set(SITUATIONS) == set(EXIT_CODES) - NOT_YET


def test_kinds_are_the_contracts_and_those_that_are_missing_are_missing() -> None:
    kinds = {getattr(errors, name).kind: getattr(errors, name).exit_code for name in errors.__all__}
    assert kinds == {kind: code for kind, code in EXIT_CODES.items() if kind not in NOT_YET}


@pytest.mark.parametrize("kind", SITUATIONS)
def test_kind(kind: str, world: World, program: Callable[..., Ran]) -> None:
    code = EXIT_CODES[kind]
    told = 0
    for case in SITUATIONS[kind](world):
        told += 1
        as_text = program(*case.arguments)
        as_document = program(*case.arguments, "--json")
        with pytest.raises(case.raises) as raised:
            case.call()
        assert (as_text.code, as_document.code) == (code, code), as_text.err
        assert as_text.out == ""
        document = json.loads(as_document.out)
        assert "result" not in document
        error = document["error"]
        assert set(error) == {"kind", "message", "hint"}
        assert error["kind"] == kind
        assert case.says in error["message"]
        assert case.advises in error["hint"]
        told_as_text(as_text.err, error, traced=kind == "internal")
        said = plain(as_text.err.replace(str(world.folder), "/home/ada"))
        assert documented(kind).fullmatch(said), said
        if case.raises is DeltastoreError:
            assert isinstance(raised.value, DeltastoreError)
            assert raised.value.kind == kind
            assert case.says in str(raised.value)
            assert case.advises in raised.value.hint
    assert told == 1


def told_as_text(said: str, error: dict[str, str], *, traced: bool) -> None:
    """The same message and hint; a traceback only before what nobody foresaw."""
    trace, mark, rest = said.rpartition("error: ")
    assert mark
    assert trace.startswith("Traceback (most recent call last):\n") if traced else trace == ""
    assert plain(rest).startswith(plain(error["message"]))
    assert ("\nhint:  " in rest) == bool(error["hint"])


def plain(text: str) -> str:
    """Without indentation, and without ids, which are drawn anew each time."""
    return re.sub(r"\b([0-9a-f]{4}|[0-9a-f]{12,64})\b", "*", " ".join(text.split()))


def documented(kind: str) -> re.Pattern[str]:
    """What the page of errors shows of a kind; `...` stands for anything."""
    page = PAGE.read_text("utf-8").partition(f"\n### `{kind}`\n")[2].partition("\n### ")[0]
    example = plain("\n".join(re.findall(r"^    (.*)", page, re.MULTILINE)))
    return re.compile(".*".join(map(re.escape, example.split("..."))))


def test_the_page_shows_every_kind() -> None:
    shown = re.findall(r"^### `(\w+)`$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert shown == [kind for kind in EXIT_CODES if kind not in NOT_YET]


def test_findings_of_fsck_are_six_with_a_result(world: World, program: Callable[..., Ran]) -> None:
    world.packs()[0].unlink()
    ran = program("fsck", "--json")
    document = json.loads(ran.out)
    assert ran.code == 6
    assert document["result"]["ok"] is False
    assert document["result"]["findings"][0]["kind"] == "missing_object"
    assert not world.store().fsck().ok


def test_differences_are_eight_where_asked_for(world: World, program: Callable[..., Ran]) -> None:
    different = ("diff", "./base", "./tuned")
    assert program(*different).code == 0
    assert program(*different, "--exit-code").code == 8
    assert program(*different, "--exit-code", "--json").code == 8
    assert program("diff", "./base", "./base", "--exit-code").code == 0
    assert not world.store().diff("./base", "./tuned").same


def test_an_interrupt_is_130(world: World, program: Callable[..., Ran]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    world.patch.setattr(Looking, "show", interrupted)
    assert program("show", "me/base").code == 130
    ran = program("show", "me/base", "--json")
    assert ran.code == 130
    assert json.loads(ran.out)["error"]["kind"] == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        world.store().show("me/base")


@pytest.mark.parametrize(
    "arguments",
    [
        ("log", "me/base"),
        ("show", "me/base", "--json"),
        ("--help",),
        ("show", "me/base:config.json"),
    ],
    ids=" ".join,
)
def test_a_reader_that_left_is_141(world: World, arguments: tuple[str, ...]) -> None:
    program = "import sys; from deltastore_cli.entry import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (141, b"")


def test_errno_of_a_failing_disk_is_unreachable(world: World) -> None:
    """The one kind that both a network and a disk have."""

    def failing(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    world.patch.setattr("deltastore.storage.local.read_at", failing)
    with pytest.raises(UnreachableError, match="Input/output error"):
        world.store()

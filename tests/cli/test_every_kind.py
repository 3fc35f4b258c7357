"""Every kind of error, made to happen: as text, as a document, and through Python.

The table is the contract's. A kind without a situation here fails, and so does one that no longer
exists.
"""

from __future__ import annotations

import errno
import json
import re
import resource
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

import deltastore
from deltastore import errors
from deltastore.codecs import registry
from deltastore.errors import DeltastoreError, UnreachableError
from deltastore.history import publishing
from deltastore.history.commits import commit_id
from deltastore.ids import CommitId
from deltastore.storage.local import LocalBackend
from deltastore.store import recording
from deltastore.store.looking import Looking
from tests.cli.weights import fine_tuned, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deltastore import Store
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


@dataclass(frozen=True)
class World:
    """A folder with a store `models.ds` that holds me/base, and its checkpoint `base`."""

    folder: Path
    patch: pytest.MonkeyPatch

    def store(self) -> Store:
        return deltastore.open("models.ds", author="Ann")

    def packs(self) -> list[Path]:
        """The largest first: it holds the weights."""
        found = (self.folder / "models.ds" / "packs").rglob("*.safetensors")
        return sorted(found, key=lambda path: -path.stat().st_size)


@dataclass(frozen=True)
class Case:
    """One situation: what is typed, and the same through Python.

    `says` stands in the message, `advises` in the hint.
    """

    arguments: tuple[str, ...]
    call: Callable[[], object]
    says: str
    advises: str
    raises: type[Exception] = DeltastoreError


SITUATIONS: dict[str, Callable[[World], Iterator[Case]]] = {}


def situation(
    function: Callable[[World], Iterator[Case]],
) -> Callable[[World], Iterator[Case]]:
    SITUATIONS[function.__name__] = function
    return function


COMMIT = ("commit", "base", "--to", "me/new", "-m", "m")


@situation
def internal(world: World) -> Iterator[Case]:
    def broken(*_: object) -> None:
        msg = "nobody foresaw this"
        raise RuntimeError(msg)

    world.patch.setattr(Looking, "show", broken)
    yield Case(
        ("show", "me/base"),
        lambda: world.store().show("me/base"),
        "RuntimeError: nobody foresaw this",
        "this is a bug: please report it",
        raises=RuntimeError,
    )


@situation
def usage(world: World) -> Iterator[Case]:
    yield Case(
        ("commit", "base", "--to", "me/new", "-m", "m", "--preview", "2"),
        lambda: world.store().commit("base", to="me/new", message="m", preview=2),
        "2",
        "",
    )


@situation
def not_found(world: World) -> Iterator[Case]:
    yield Case(
        ("log", "me/base@v9"),
        lambda: world.store().log("me/base@v9"),
        "me/base@v9: no such branch, tag or commit",
        "main",
    )


@situation
def ambiguous(world: World) -> Iterator[Case]:
    """Two commits whose ids begin alike: of 2,000 messages, some pair has four digits in common."""
    time = "2026-11-21T00:00:00Z"
    world.patch.setattr(recording, "now", lambda: time)
    with world.store() as store:
        first = store.commit("base", to="me/probe", message="0", preview=None)
        header = store._history.header(CommitId(first.commit))
        seen: dict[str, int] = {}
        for number in range(2_000):
            ident = commit_id(replace(header, message=str(number)).encode())[:4]
            if ident in seen:
                break
            seen[ident] = number
        for other in (seen[ident], number):
            made = store.commit("base", to=f"me/b{other}", message=str(other), preview=None)
            assert made.commit.startswith(ident)
    yield Case(
        ("show", f"me/base@{ident}"),
        lambda: world.store().show(f"me/base@{ident}"),
        "fits several commits",
        "more of its digits",
    )


@situation
def not_a_store(world: World) -> Iterator[Case]:
    yield Case(
        ("-s", "nowhere", "ls"),
        lambda: deltastore.open("nowhere"),
        "nowhere",
        "deltastore init",
    )


@situation
def conflict(world: World) -> Iterator[Case]:
    yield Case(
        ("commit", "tuned", "--to", "me/base", "-m", "m", "--expect", "none"),
        lambda: world.store().commit("tuned", to="me/base", message="m", expect="none"),
        "me/base@main",
        "",
    )


@situation
def exists(world: World) -> Iterator[Case]:
    (world.folder / "out").mkdir()
    (world.folder / "out" / "config.json").write_text("mine")
    yield Case(
        ("checkout", "me/base", "out"),
        lambda: world.store().checkout("me/base", "out"),
        "config.json",
        "--overwrite",
    )


@situation
def dirty(world: World) -> Iterator[Case]:
    world.store().clone("me/base", "work")
    work = deltastore.Workspace.find("work")
    place = work.folder / "config.json"
    place.write_text("another")
    work.commit(message="another", to="@other")
    work.switch("main")
    place.write_text("mine")
    world.patch.chdir(work.folder)
    world.patch.delenv("DELTASTORE_STORE")
    yield Case(
        ("switch", "other"),
        lambda: deltastore.Workspace.find().switch("other"),
        "config.json",
        "restore PATH",
    )


@situation
def invalid(world: World) -> Iterator[Case]:
    (world.folder / "base" / "model.safetensors").write_bytes(b"\xff" * 7 + b"\x7f{}")
    yield Case(
        COMMIT,
        lambda: world.store().commit("base", to="me/new", message="m"),
        "model.safetensors",
        "",
    )


@situation
def incompatible(world: World) -> Iterator[Case]:
    foreign = {f"other.{name}": tensor for name, tensor in small_model(7).items()}
    write_model(world.folder / "foreign", foreign)
    yield Case(
        ("commit", "foreign", "--to", "me/new", "-m", "m", "--base", "me/base"),
        lambda: world.store().commit("foreign", to="me/new", message="m", base="me/base"),
        "me/base@main, the base",
        "--base none",
    )


@situation
def unsupported(world: World) -> Iterator[Case]:
    """The store was written with a codec that this program has not."""
    world.patch.setattr(registry, "CODECS", {"later/1": None})
    yield Case(
        ("checkout", "me/base", "out"),
        lambda: world.store().checkout("me/base", "out"),
        "unknown codec",
        "a newer one",
    )


@situation
def newer_format(world: World) -> Iterator[Case]:
    place = world.folder / "models.ds" / "FORMAT"
    place.chmod(0o644)
    place.write_text(json.dumps(json.loads(place.read_text()) | {"deltastore": 2}) + "\n")
    yield Case(("ls",), world.store, "2", "")


@situation
def corrupt(world: World) -> Iterator[Case]:
    for pack in world.packs():
        pack.chmod(0o644)
        data = bytearray(pack.read_bytes())
        data[-100] ^= 1
        pack.write_bytes(data)
    yield Case(
        ("checkout", "me/base", "out"),
        lambda: world.store().checkout("me/base", "out"),
        "",
        "deltastore fsck",
    )


@situation
def missing_object(world: World) -> Iterator[Case]:
    world.packs()[0].unlink()
    yield Case(
        ("checkout", "me/base", "out"),
        lambda: world.store().checkout("me/base", "out"),
        "no such object",
        "",
    )


@contextmanager
def a_bucket_that_answers(status: int, code: str, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """An S3 service on this machine that refuses everything; the environment leads there."""

    class Refusing(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            pass

    for verb in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Refusing, f"do_{verb}", Refusing.answer)
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        towards(patch, server.server_address[1])
        yield
        server.shutdown()


def towards(patch: pytest.MonkeyPatch, port: int) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        patch.setenv(name, value)


@situation
def unreachable(world: World) -> Iterator[Case]:
    """Nobody listens at port 1."""
    towards(world.patch, 1)
    yield Case(
        ("-s", "s3://bucket/x", "ls"),
        lambda: deltastore.open("s3://bucket/x"),
        "s3://bucket/x",
        "check the network",
    )


@situation
def access_denied(world: World) -> Iterator[Case]:
    with a_bucket_that_answers(403, "AccessDenied", world.patch):
        yield Case(
            ("-s", "s3://bucket/x", "ls"),
            lambda: deltastore.open("s3://bucket/x"),
            "s3://bucket/x",
            "check the credentials",
        )


@situation
def no_space(world: World) -> Iterator[Case]:
    """No file may grow beyond 16 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, before[1]))
    try:
        yield Case(
            ("commit", "tuned", "--to", "me/new", "-m", "m", "--base", "none"),
            lambda: world.store().commit("tuned", to="me/new", message="m", base="none"),
            "no space",
            "free some space",
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Careless(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A place that ignores conditional creation, as some gateways do."""

    protocol = "careless"
    store: dict[str, Any] = {}  # noqa: RUF012  # fsspec's own way to share between instances
    pseudo_dirs = [""]  # noqa: RUF012  # the same

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        del mode
        super().pipe_file(path, value, mode="overwrite", **kwargs)


@situation
def unsafe_backend(world: World) -> Iterator[Case]:
    world.patch.setitem(known_implementations, "careless", {"class": f"{__name__}.Careless"})
    fsspec.register_implementation("careless", Careless, clobber=True)
    yield Case(
        ("init", "careless://models"),
        lambda: deltastore.init("careless://models"),
        "careless://models",
        "--unsafe-single-writer",
    )


@situation
def outcome_unknown(world: World) -> Iterator[Case]:
    """The place answers until the log entry is written, and no longer."""
    create = LocalBackend.put_if_absent

    def cut_off(self: LocalBackend, key: str, data: bytes) -> bool:
        if key.startswith("log/"):
            raise UnreachableError("the network went away")
        return create(self, key, data)

    world.patch.setattr(LocalBackend, "put_if_absent", cut_off)
    world.patch.setattr(publishing, "pause", lambda _: None)
    yield Case(
        COMMIT,
        lambda: world.store().commit("base", to="me/new", message="m"),
        "it may be there",
        "run the same command again",
    )


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

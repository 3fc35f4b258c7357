"""Situations in which each kind of error happens, for real or nearly so; the name is the kind's."""

from __future__ import annotations

import json
import resource
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

import deltastore
from deltastore.codecs import registry
from deltastore.errors import DeltastoreError, UnreachableError
from deltastore.history import publishing
from deltastore.history.commits import commit_id
from deltastore.ids import CommitId
from deltastore.storage.local import LocalBackend
from deltastore.store import recording
from deltastore.store.looking import Looking
from tests.cli.weights import small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    from deltastore import Store

__all__ = ["SITUATIONS", "Case", "World"]


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

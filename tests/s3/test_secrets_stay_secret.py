"""Passwords in URLs, keys in the environment: nothing that is written anywhere repeats them.

Many commands run with secrets wherever a person might put one; then everything below the test's
home, the stores, and the bucket is searched, and all that was printed or raised.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import fsspec
import pytest

import deltastore
from deltastore.errors import DeltastoreError, UnreachableError, UsageError
from deltastore_cli.main import run
from tests.cli.weights import fine_tuned, small_model, write_model
from tests.s3.conftest import BUCKET, options_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deltastore import Store

pytestmark = pytest.mark.s3

PASSWORD = "pass-Word/7+in=url"  # noqa: S105  # a made-up one, to be looked for
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAFROMENVIRONMENT0",
    "AWS_SECRET_ACCESS_KEY": "kEy/from+the=environment",
    "AWS_SESSION_TOKEN": "tOken/from+the=environment",
    "HF_TOKEN": "hf_FromTheEnvironment",
}
WORDS = (PASSWORD, quote(PASSWORD, safe=""), *SECRETS.values())
URLS = (
    f"s3://AKIAIOSFODNN7EXAMPLE:{PASSWORD}@bucket/x",
    f"s3://:{quote(PASSWORD, safe='')}@bucket/x",
    f"https://ann:{quote(PASSWORD, safe='')}@registry.example.org/x",
    f"sftp://ann:{quote(PASSWORD, safe='')}@host/x",
    f"s3://bucket/x?X-Amz-Signature={quote(PASSWORD, safe='')}",
    f"https://host/x?token={quote(PASSWORD, safe='')}",
    f"simplecache::s3://key:{PASSWORD}@bucket/x",
)


@dataclass
class Ear:
    """Hears all that the program prints and the library raises."""

    heard: list[str] = field(default_factory=list)

    def program(self, *arguments: str) -> int:
        """Run the program; its exit code."""
        written, err = io.BytesIO(), io.StringIO()
        with redirect_stdout(io.TextIOWrapper(written, "utf-8")), redirect_stderr(err):
            code = run(arguments)
            sys.stdout.flush()
            self.heard += [written.getvalue().decode("utf-8", "replace"), err.getvalue()]
        return code

    def refused(self, call: Callable[[], object]) -> DeltastoreError:
        """An error of the library, as its users may log it."""
        with pytest.raises(DeltastoreError) as raised:
            call()
        error = raised.value
        self.heard += [str(error), repr(error), error.hint, *traceback.format_exception(error)]
        return error


def leaks(texts: list[str], *folders: Path) -> list[str]:
    """Where a secret is found."""
    found = [f"said: {word}" for text in texts for word in WORDS if word in text]
    for folder in folders:
        for path in folder.rglob("*"):
            data = path.read_bytes() if path.is_file() else b""
            found += [
                f"{path}: {word}" for word in WORDS if word.encode() in data or word in path.name
            ]
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_endpoint: str) -> Path:
    """A home of its own, secrets in the environment, checkpoints, and a store in a folder."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("DELTASTORE_")]:
        monkeypatch.delenv(name)
    for name, value in {
        **SECRETS,
        "HOME": str(home),
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "DELTASTORE_STORE": "models.ds",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home)
    base = small_model()
    write_model(home / "base", base)
    write_model(home / "tuned", fine_tuned(base))
    return home


WORK = (
    ("init",),
    ("commit", "base", "--to", "meta/llama", "-m", "as released"),
    ("commit", "tuned", "--to", "me/math", "--base", "meta/llama", "-m", "sft", "--metric", "a=1"),
    ("log", "me/math", "--graph"),
    ("show", "me/math", "--json"),
    ("diff", "meta/llama", "me/math"),
    ("ls", "--json"),
    ("stats",),
    ("branch", "me/math@prod", "me/math"),
    ("tag", "me/math@v1"),
    ("checkout", "me/math", "out"),
    ("export", "me/math", "fp32", "--dtype", "float32"),
    ("fsck", "--tensors", "--json"),
    ("doctor",),
    ("doctor", "--json"),
    ("config", "--json"),
    (),
)


def with_url(url: str) -> list[tuple[str, ...]]:
    """A URL wherever a person might write one."""
    commit = ("commit", "base", "--to", "me/x")
    return [
        ("-s", url, "ls"),
        ("ls", "-s", url, "--json"),
        (f"--store={url}", "log", "me/math", "-v"),
        ("init", url),
        ("commit", url, "--to", "me/x", "-m", "m"),
        (*commit, "-m", f"trained from {url}"),
        (*commit, "-m", "m", "--meta", f"source={url}"),
        (*commit, "-m", "m", "--base", url, "--json"),
        ("commit", "base", "--to", url, "-m", "m"),
        ("checkout", "me/math", url),
        ("checkout", url, "out2"),
        ("export", "me/math", url),
        ("diff", "me/math", url),
        ("log", url),
        ("show", f"me/math:{url}"),
        ("branch", "me/math@a", url),
        ("tag", "me/math@b", "-m", url),
        ("config", "store", url),
        ("config", "author", url),
        (url,),
        ("log", f"--{url}"),
        ("completion", url),
    ]


def test_urls_on_the_command_line(home: Path) -> None:
    ear = Ear()
    assert [ear.program(*arguments) for arguments in WORK] == [0] * len(WORK)
    for arguments in (arguments for url in URLS for arguments in with_url(url)):
        assert ear.program(*arguments) == 2, arguments
    for file in home.rglob("FORMAT"):
        assert file.parent == home / "models.ds", "another store was made"
    assert not (home / ".config").exists()
    assert len([path for path in home.rglob("*") if path.is_file()]) > 15
    assert len(ear.heard) > 300
    assert leaks(ear.heard, home) == []


@pytest.mark.parametrize("url", URLS)
def test_urls_in_environment_and_settings(
    url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Ear()
    asking = (("ls",), ("log", "me/math", "-v"), ("config",), ("config", "--json"), ("doctor",), ())
    monkeypatch.setenv("DELTASTORE_STORE", url)
    codes = {ear.program(*arguments) for arguments in asking}
    monkeypatch.delenv("DELTASTORE_STORE")
    settings = home / ".config" / "deltastore" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'store = "{url}"\nprogress = "{url}"\n')
    codes |= {ear.program(*arguments) for arguments in asking}
    settings.write_text(f'store = "{url}"\n')
    codes |= {ear.program(*arguments) for arguments in asking}
    settings.unlink()
    assert codes <= {0, 2, 5}
    assert 2 in codes
    assert leaks(ear.heard, home) == []


def in_python(store: Store, url: str) -> list[Callable[[], object]]:
    """A URL wherever a program might pass one."""
    return [
        lambda: deltastore.open(url),
        lambda: deltastore.init(url),
        lambda: store.commit("base", to="me/x", message=f"from {url}"),
        lambda: store.commit("base", to="me/x", message="m", author=url),
        lambda: store.commit("base", to="me/x", message="m", metadata={"source": url}),
        lambda: store.commit("base", to="me/x", message="m", metadata={url: "source"}),
        lambda: store.branch("me/base@x", message=url),
        lambda: store.commit(url, to="me/x", message="m"),
        lambda: store.commit("base", to=url, message="m"),
        lambda: store.commit("base", to="me/x", message="m", base=url),
        lambda: store.commit("base", to="me/x", message="m", expect=url),
        lambda: store.checkout("me/base", url),
        lambda: store.checkout(url, "out"),
        lambda: store.export("me/base", url),
        lambda: store.diff("me/base", url),
        lambda: store.log(url),
        lambda: store.log(f"me/base@{url}"),
        lambda: store.branch("me/base@x", url),
        lambda: store.tag(f"me/base@{url}"),
        lambda: store.tensor("me/base", url),
        lambda: list(store.read_file("me/base", url)),
    ]


def test_urls_from_python(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    ear = Ear()
    caplog.set_level("DEBUG", logger="deltastore")
    with deltastore.init("models.ds") as store:
        store.commit("base", to="me/base", message="m", preview=None)
        for url in URLS:
            errors = [ear.refused(call) for call in in_python(store, url)]
            assert {type(error) for error in errors[:7]} == {UsageError}, url
    assert len(list((home / "models.ds" / "log").glob("0*"))) == 2, "something was recorded"
    assert leaks([*ear.heard, caplog.text], home) == []


def shown(store: Store) -> list[str]:
    """What a notebook and a prompt show of a store and its results."""
    values = [
        store.ls(),
        store.log("me/math"),
        store.show("me/math"),
        store.stats(),
        store.doctor(),
    ]
    pages = [value._repr_html_() for value in values]
    return [repr(store), store.url, store._repr_html_(), *map(repr, values), *pages]


def test_a_store_in_a_bucket(home: Path, s3_url: str, s3_endpoint: str) -> None:
    """Keys come from the environment and from options; neither is written to the bucket."""
    ear = Ear()
    for arguments in WORK:
        assert ear.program("-s", s3_url, *arguments) == 0, ear.heard[-1]
    for wrong in (f"s3://no-such-{BUCKET}/x", f"{s3_url}-nothing"):
        assert ear.program("-s", wrong, "ls", "-v", "--json") in (3, 7)
    key: dict[str, Any] = {"key": "option-key", "secret": PASSWORD, "token": PASSWORD}
    options = {**options_for(s3_endpoint), **key}
    with deltastore.open(s3_url, **options) as store:
        store.commit("tuned", to="me/math", message="again", base="meta/llama", metadata={"a": "b"})
        ear.heard += shown(store)
    ear.refused(lambda: deltastore.open(f"s3://no-such-{BUCKET}/x", **options))
    ear.refused(lambda: deltastore.open(s3_url, **key, no_such_option=1))
    bucket = fsspec.filesystem("s3", **options_for(s3_endpoint))
    objects = [bucket.cat_file(path) for path in bucket.find(s3_url)]
    assert len(objects) > 5
    assert leaks([*ear.heard, *(data.decode("latin-1") for data in objects)], home) == []


@pytest.mark.parametrize("url", URLS)
def test_errors_of_the_library_blot_out(url: str) -> None:
    """Whatever it is that a message or hint repeats, such as an endpoint with a password in it."""
    error = UnreachableError(f"{url}: nobody answers", hint=f"is {url} right?")
    assert leaks([str(error), repr(error), error.hint, *map(str, error.args)]) == []
    assert "***" in str(error)
    assert "***" in error.hint


def test_an_error_nobody_foresaw(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message may have anything in it."""

    def broken(*_: object, **__: object) -> None:
        msg = f"cannot parse {URLS[0]} and {URLS[-2]}"
        raise RuntimeError(msg)

    ear = Ear()
    monkeypatch.setattr(deltastore, "open", broken, raising=False)
    assert ear.program("ls") == 1
    assert ear.program("ls", "--json") == 1
    assert leaks(ear.heard) == []


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """The negative control."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\0" + PASSWORD.encode() + b"\0")
    assert len(leaks([f"see {URLS[0]}"], tmp_path)) == 2
    assert leaks(["nothing"], tmp_path / "nowhere") == []

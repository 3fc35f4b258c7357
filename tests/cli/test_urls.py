"""URLs where commands take paths: the same texts and documents, and no password anywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import fsspec
import pytest

from tests.cli.weights import fine_tuned, safetensors_file, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

SECRET = "hunter2-not-for-logs"  # noqa: S105 - it must not appear anywhere


@pytest.fixture
def url(tmp_path: Path, program: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> str:
    """A fine-tune at a URL; a store with its base."""
    monkeypatch.setenv("DELTASTORE_STORE", str(tmp_path / "models.ds"))
    write_model(tmp_path / "base", small_model())
    assert program("init").code == 0
    assert program("commit", "base", "--to", "me/base", "-m", "base").code == 0
    found = f"memory://cli/{tmp_path.name}"
    memory = fsspec.filesystem("memory")
    memory.pipe_file(f"{found}/ft/model.safetensors", safetensors_file(fine_tuned(small_model())))
    memory.pipe_file(f"{found}/ft/config.json", b"{}")
    return found


def test_a_url_goes_in_and_out(url: str, program: Callable[..., Ran]) -> None:
    ran = program("commit", f"{url}/ft", "--to", "me/ft", "--base", "me/base", "-m", "m")
    assert ran.code == 0, ran.err
    assert "4 tensors: 2 deltas, 2 unchanged" in ran.out
    again = program("commit", f"{url}/ft", "--to", "me/ft", "-m", "m", "--json")
    assert json.loads(again.out)["result"]["unchanged"] is True
    assert program("checkout", "me/ft", f"{url}/out").code == 0
    assert "all 2 files already there" in program("checkout", "me/ft", f"{url}/out").out
    assert program("diff", f"{url}/ft", f"{url}/out", "--exit-code").code == 0
    assert program("diff", "me/base", f"{url}/out", "--exit-code").code == 8
    ran = program("export", "me/ft", f"{url}/one.safetensors", "--json")
    assert json.loads(ran.out)["result"]["files"] == 1
    assert program("export", "me/ft", f"{url}/one.safetensors").code == 4


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (("commit", "memory://cli/none", "--to", "me/x", "-m", "m"), "not_found", 3),
        (("commit", "hf://meta/llama", "--to", "me/x", "-m", "m"), "unsupported", 5),
        (("commit", "hf:meta/llama", "--to", "me/x", "-m", "m"), "unsupported", 5),
        (("checkout", "me/base", "gopher://x"), "usage", 2),
        (("export", "me/base", "hf:me/x"), "unsupported", 5),
        (("diff", "me/base", "hf:me/x"), "unsupported", 5),
    ],
)
def test_refusals(
    url: str, program: Callable[..., Ran], arguments: tuple[str, ...], kind: str, code: int
) -> None:
    ran = program(*arguments, "--json")
    error = json.loads(ran.out)["error"]
    assert (error["kind"], ran.code) == (kind, code)
    assert program(*arguments).err == ran.err
    assert ran.err.startswith("error: ")
    if kind == "unsupported":
        assert "hf download" in error["hint"]


@pytest.mark.parametrize("place", [f"s3://key:{SECRET}@bucket/x", f"https://host/x?token={SECRET}"])
@pytest.mark.parametrize(
    "command",
    [("commit", "{}", "--to", "me/x", "-m", "m"), ("checkout", "me/base", "{}"),
     ("export", "me/base", "{}"), ("diff", "me/base", "{}")],
)  # fmt: skip
def test_a_password_is_refused_and_repeated_nowhere(
    url: str, program: Callable[..., Ran], tmp_path: Path, place: str, command: tuple[str, ...]
) -> None:
    arguments = [part.format(place) for part in command]
    for ran in (program(*arguments), program(*arguments, "--json")):
        assert ran.code == 2
        assert SECRET not in ran.out + ran.err
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written

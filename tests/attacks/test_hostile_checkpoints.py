"""Checkpoint files made to crash, mislead or exhaust whoever reads them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from deltastore.checkpoints import walking
from deltastore.checkpoints.folder import scan
from deltastore.checkpoints.safetensors_header import parse_header, read_header
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT = 100_000_000


def _file(text: str | bytes, data: bytes = b"") -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return len(raw).to_bytes(8, "little") + raw + data


def _one(dtype: str = "U8", shape: str = "[1]", offsets: str = "[0,1]", more: str = "") -> str:
    return f'{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{more}}}}}'


def _tensors(*ranges: tuple[int, int]) -> str:
    return json.dumps(
        {
            str(index): {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
            for index, (begin, end) in enumerate(ranges)
        }
    )


STOCK_REFUSES = {
    "empty file": b"",
    "seven bytes": bytes(7),
    "length zero": bytes(8),
    "length one past the limit": (_LIMIT + 1).to_bytes(8, "little") + b"{}",
    "length at the limit, not there": _LIMIT.to_bytes(8, "little") + b"{}",
    "length of 2^63": (2**63).to_bytes(8, "little") + b"{}",
    "length of 2^64 - 1": b"\xff" * 8 + b"{}",
    "length one past the file": (3).to_bytes(8, "little") + b"{}",
    "cut off json": _file(_one()[:-1], b"a"),
    "null bytes as padding": _file("{}\0\0"),
    "byte order mark": _file(b"\xef\xbb\xbf{}"),
    "not utf-8": _file(b'{"__metadata__":{"a":"\xff"}}'),
    "nan": _file(_one(more=',"x":NaN'), b"a"),
    "lone surrogate": _file('{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "a key of a tensor twice": _file(_one(more=',"dtype":"U8"'), b"a"),
    "deep json": _file(_one(more=',"x":' + "[" * 200 + "]" * 200), b"a"),
    "very deep json": _file("[" * 100_000 + "]" * 100_000),
    "very deep objects": _file('{"a":' * 100_000 + "1" + "}" * 100_000),
    "overlap": _file(_tensors((0, 4), (2, 6)), bytes(6)),
    "same bytes twice": _file(_tensors((0, 4), (0, 4)), bytes(4)),
    "hole": _file(_tensors((0, 2), (3, 4)), bytes(4)),
    "hole at the start": _file(_tensors((1, 2)), bytes(2)),
    "unclaimed tail": _file(_tensors((0, 2)), bytes(3)),
    "truncated data": _file(_tensors((0, 4)), bytes(3)),
    "empty tensor inside another": _file(_tensors((0, 4), (2, 2)), bytes(4)),
    "negative offset": _file(_one(offsets="[-1,0]"), b"a"),
    "reversed offsets": _file(_one(offsets="[1,0]"), b"a"),
    "offsets at 2^64": _file(_one(offsets=f"[0,{2**64}]"), b"a"),
    "offsets at 2^63": _file(_one(shape=f"[{2**63}]", offsets=f"[0,{2**63}]"), b"a"),
    "negative zero": _file(_one(offsets="[-0,1]"), b"a"),
    "negative dimension": _file(_one(shape="[-1]"), b"a"),
    "two negative dimensions": _file(_one(shape="[-1,-1]"), b"a"),
    "fractional dimension": _file(_one(shape="[1.0]"), b"a"),
    "dimension with exponent": _file(_one(shape="[1e0]"), b"a"),
    "boolean dimension": _file(_one(shape="[true]"), b"a"),
    "dimension as text": _file(_one(shape='["1"]'), b"a"),
    "product overflows to 0": _file(_one(shape=f"[{2**32},{2**32}]", offsets="[0,0]")),
    "product overflows before a 0": _file(_one(shape=f"[{2**40},{2**40},0]", offsets="[0,0]")),
    "bits overflow": _file(_one("F64", f"[{2**58}]", "[0,0]")),
    "unknown dtype": _file(_one("F128", "[1]", "[0,16]"), bytes(16)),
    "lower-case dtype": _file(_one("u8"), b"a"),
    "half a byte": _file(_one("F4", "[1]", "[0,1]"), b"a"),
    "six bits": _file(_one("F6_E2M3", "[1]", "[0,1]"), b"a"),
    "metadata of numbers": _file('{"__metadata__":{"a":1}}'),
    "metadata of lists": _file('{"__metadata__":[]}'),
    "nothing but a list": _file("[]"),
    "a pickle": b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "a zip archive": b"PK\x03\x04" + bytes(40),
}

STOCK_TAKES = {
    "a tensor twice": _file(_one()[:-1] + "," + _one()[1:], b"a"),
    "a metadata key twice": _file('{"__metadata__":{"a":"1","a":"2"}}'),
    "deeper than the format allows": _file(_one(more=',"x":' + "[" * 40 + "]" * 40), b"a"),
    "rank 17": _file(_one(shape=json.dumps([1] * 17)), b"a"),
    "a size beyond 2^53": _file(_one(shape=f"[0,{2**53 + 1}]", offsets="[0,0]")),
    "a tensor as a list": _file('{"a":["U8",[1],[0,1]]}', b"a"),
}


@pytest.mark.parametrize("name", [*STOCK_REFUSES, *STOCK_TAKES])
def test_a_hostile_file_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    data = STOCK_REFUSES.get(name) or STOCK_TAKES.get(name, b"")
    if name in STOCK_TAKES:
        deserialize(data)  # type: ignore[no-untyped-call]
    else:
        with pytest.raises(SafetensorError):
            deserialize(data)  # type: ignore[no-untyped-call]
    place = tmp_path / "model.safetensors"
    place.write_bytes(data)
    (tmp_path / "config.json").write_bytes(b"{}")
    for call in (lambda: read_header(place), lambda: scan(tmp_path), lambda: scan(place)):
        started = time.monotonic()
        with pytest.raises(InvalidError, match=r"model\.safetensors: ") as caught:
            call()
        assert time.monotonic() - started < 5
        assert len(str(caught.value)) < 2000 + len(str(place))


def test_every_truncation_of_a_good_file_is_refused() -> None:
    whole = save({"b": np.arange(5, dtype=np.int16), "a": np.zeros((2, 2), np.float32)})
    length = int.from_bytes(whole[:8], "little")
    parse_header(whole[: 8 + length], file_size=len(whole), what="f")
    for size in range(len(whole)):
        with pytest.raises(InvalidError):
            parse_header(whole[: min(size, 8 + length)], file_size=size, what="f")


def test_a_header_of_another_length_than_it_says_is_refused() -> None:
    whole = save({"a": np.zeros(2, np.float32)})
    length = int.from_bytes(whole[:8], "little")
    for raw in (whole[: 7 + length], whole[: 9 + length], whole[:8], b""):
        with pytest.raises(InvalidError):
            parse_header(raw, file_size=len(whole), what="f")


def _limited(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code that may take 512 MiB of memory more than it has after its imports."""
    preamble = """
        import pathlib, resource, sys
        from deltastore.checkpoints.folder import scan
        from deltastore.checkpoints.safetensors_header import read_header
        from deltastore.errors import InvalidError
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + 512 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    """
    text = textwrap.dedent(preamble) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", text, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


_EXPECT_INVALID = """
    try:
        scan(pathlib.Path(sys.argv[1]))
    except InvalidError as error:
        print(str(error)[:300])
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="no limit on memory here")
@pytest.mark.parametrize(
    ("length", "reason"),
    [(_LIMIT, "not valid JSON"), (_LIMIT + 1, "announces a header"), (2**40, "announces a header")],
)
def test_a_header_of_100_mb_of_zeros_is_refused_in_bounded_memory(
    tmp_path: Path, length: int, reason: str
) -> None:
    place = tmp_path / "bomb.safetensors"
    with place.open("wb") as file:
        file.write(length.to_bytes(8, "little"))
        file.truncate(8 + length)  # a sparse file: the size costs nothing
    process = _limited(_EXPECT_INVALID, str(place))
    assert (process.returncode, process.stderr) == (0, "")
    assert reason in process.stdout


def test_a_tensor_larger_than_memory_costs_nothing_to_look_at(tmp_path: Path) -> None:
    place = tmp_path / "huge.safetensors"
    size = 2**40
    raw = _file(_one(shape=f"[{size}]", offsets=f"[0,{size}]"))
    with place.open("wb") as file:
        file.write(raw)
        file.truncate(len(raw) + size)
    process = _limited("print(scan(pathlib.Path(sys.argv[1])).size)", str(place))
    assert (process.returncode, process.stderr) == (0, "")
    assert int(process.stdout) == len(raw) + size


def _index(folder: Path, document: Any) -> Path:
    (folder / "m.safetensors").write_bytes(save({"a": np.zeros(2, np.float32)}))
    place = folder / "m.safetensors.index.json"
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    place.write_bytes(text)
    return place


@pytest.mark.parametrize(
    "document",
    [
        {"weight_map": {"a": "../../../../etc/passwd"}},
        {"weight_map": {"a": "/etc/passwd"}},
        {"weight_map": {"a": ""}},
        {"weight_map": {"a": "."}},
        {"weight_map": {"a": "m.safetensors\0"}},
        {"weight_map": {"b": "m.safetensors"}},
        {"weight_map": {"a": ["m.safetensors"]}},
        {"weight_map": None},
        {},
        [],
        b"",
        b"\xff\xfe",
        b'{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_hostile_index_is_refused_with_its_name(tmp_path: Path, document: Any) -> None:
    _index(tmp_path, document)
    with pytest.raises(InvalidError, match=r"m\.safetensors\.index\.json: "):
        scan(tmp_path)


def test_an_index_too_large_is_refused_unread(tmp_path: Path) -> None:
    place = _index(tmp_path, {"weight_map": {}})
    os.truncate(place, 2**36)
    with pytest.raises(InvalidError, match="more than the 67108864 allowed"):
        scan(tmp_path)


def test_links_that_multiply_folders_are_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty levels with two links each show a million folders where there are twenty."""
    for level in range(20):
        folder = tmp_path / f"level{level}"
        folder.mkdir()
        for name in ("a", "b"):
            (folder / name).symlink_to(tmp_path / f"level{level + 1}")
    (tmp_path / "level20").mkdir()
    monkeypatch.setattr(walking, "MAX_FILES", 2000)
    with pytest.raises(InvalidError, match="more than 2000 files or folders"):
        scan(tmp_path / "level0")
    monkeypatch.setattr(walking, "MAX_FILES", 100)
    with pytest.raises(InvalidError, match="holds no files"):
        scan(tmp_path / "level16")

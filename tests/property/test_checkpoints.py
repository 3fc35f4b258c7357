"""The header parser against the stock safetensors library: the same verdict on every file."""

from __future__ import annotations

import json
import string
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from deltastore.checkpoints.paths import check_path, check_paths
from deltastore.checkpoints.safetensors_header import SafetensorsHeader, parse_header
from deltastore.errors import InvalidError
from deltastore.specs import DTYPES


def _file(document: object, data: bytes, padding: int = 0) -> bytes:
    text = json.dumps(document, ensure_ascii=False).encode() + b" " * padding
    return len(text).to_bytes(8, "little") + text + data


def _parse(file: bytes) -> SafetensorsHeader:
    length = int.from_bytes(file[:8], "little")
    return parse_header(file[: 8 + length], file_size=len(file), what="f")


def _library(file: bytes) -> dict[str, dict[str, Any]] | None:
    try:
        return dict(deserialize(file))  # type: ignore[no-untyped-call]  # its stub has no types
    except SafetensorError:
        return None


def _ours(file: bytes) -> SafetensorsHeader | None:
    try:
        return _parse(file)
    except InvalidError:
        return None


def _same_verdict(file: bytes) -> bool:
    """Compare verdicts, and what is seen when both accept; returns whether they did."""
    stock, header = _library(file), _ours(file)
    assert (stock is None) == (header is None)
    if stock is None or header is None:
        return False
    assert {entry.spec.name for entry in header.tensors} == set(stock)
    for entry in header.tensors:
        tensor = stock[entry.spec.name]
        begin, end = header.data_start + entry.begin, header.data_start + entry.end
        assert entry.spec.dtype == tensor["dtype"]
        assert list(entry.spec.shape) == tensor["shape"]
        assert file[begin:end] == tensor["data"]
    assert header.raw == file[: len(header.raw)]
    assert header.file_size == len(file)
    return True


_NAMES = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name[:2] != "__")
_SHAPES = st.lists(st.integers(0, 4), max_size=4)


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """A valid header document and the size of its data, keys in any order."""
    entries, position = [], 0
    for name in draw(st.lists(_NAMES, unique=True, max_size=6)):
        dtype = draw(st.sampled_from(sorted(DTYPES)))
        shape = draw(_SHAPES)
        size = DTYPES[dtype].bits
        for dimension in shape:
            size *= dimension
        if size % 8:
            shape, size = [*shape, 4], size * 4
        offsets = [position, position + size // 8]
        position = offsets[1]
        entries.append((name, {"dtype": dtype, "shape": shape, "data_offsets": offsets}))
    document: dict[str, Any] = dict(draw(st.permutations(entries)))
    if draw(st.booleans()):
        metadata = draw(st.dictionaries(_NAMES, st.text(st.characters(codec="utf-8"), max_size=4)))
        document["__metadata__"] = metadata
    return document, position


@given(documents(), st.integers(0, 9))
def test_every_valid_file_is_read_as_the_library_reads_it(
    made: tuple[dict[str, Any], int], padding: int
) -> None:
    document, size = made
    file = _file(document, bytes(index % 251 for index in range(size)), padding)
    assert _same_verdict(file)
    header = _parse(file)
    keys = [key for key in document if key != "__metadata__"]
    assert [entry.spec.name for entry in header.tensors] == keys
    assert dict(header.metadata) == document.get("__metadata__", {})


_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 70),
        st.sampled_from([2**32, 2**40, 2**53, 0.0, -0.0, 1.0, 1.5]),
        st.sampled_from(sorted(DTYPES)),
        st.text(string.printable, max_size=3),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(documents(), st.data())
def test_the_same_verdict_when_a_field_is_wrong(
    made: tuple[dict[str, Any], int], data: st.DataObject
) -> None:
    document, size = made
    names = [name for name in document if name != "__metadata__"]
    assume(names)
    entry = document[data.draw(st.sampled_from(names))]
    action = data.draw(st.sampled_from(["replace", "delete", "nudge", "extra", "size"]))
    key = data.draw(st.sampled_from(["dtype", "shape", "data_offsets"]))
    if action == "replace":
        entry[key] = data.draw(_VALUES)
    elif action == "delete":
        del entry[key]
    elif action == "nudge":
        entry["data_offsets"][data.draw(st.integers(0, 1))] += data.draw(st.integers(-2, 2))
    elif action == "extra":
        entry["more"] = data.draw(_VALUES)
    else:
        size = max(0, size + data.draw(st.integers(-3, 3)))
    _same_verdict(_file(document, bytes(size)))


@given(documents(), st.integers(0, 400), st.integers(0, 255))
def test_the_same_verdict_when_a_byte_is_wrong(
    made: tuple[dict[str, Any], int], position: int, value: int
) -> None:
    document, size = made
    file = bytearray(_file(document, bytes(size)))
    file[position % len(file)] = value
    text = bytes(file[8 : 8 + int.from_bytes(file[:8], "little")])
    assume(not _repeats_a_key(text))
    _same_verdict(bytes(file))


def _repeats_a_key(text: bytes) -> bool:
    """Repeated names are refused here and taken by the library: a difference on purpose."""
    repeated = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        repeated = repeated or len({key for key, _ in items}) < len(items)
        return dict(items)

    try:
        json.loads(text.decode(), object_pairs_hook=pairs)
    except ValueError:
        return False
    return repeated


@given(st.binary(max_size=60))
@example(b"")
@example(b"\x02\0\0\0\0\0\0\0{}")
@example(b"\x04\0\0\0\0\0\0\0null")
@example(b"\x03\0\0\0\0\0\0\0 {}")
@example(b"\x03\0\0\0\0\0\0\0{}\0")
@example(b"\xff" * 16)
def test_the_same_verdict_on_garbage(file: bytes) -> None:
    _same_verdict(file)


_PARTS = st.text(st.characters(codec="utf-8"), max_size=6)


@given(st.lists(_PARTS, max_size=4).map("/".join))
def test_an_accepted_path_stays_below_any_folder(text: str) -> None:
    try:
        path = check_path(text)
    except InvalidError:
        return
    assert path == text
    assert not path.startswith("/")
    assert all(part not in ("", ".", "..") for part in path.split("/"))
    assert "\\" not in path
    assert "\0" not in path


@given(st.lists(st.lists(st.sampled_from("abA"), min_size=1, max_size=3).map("/".join), max_size=5))
def test_paths_are_refused_exactly_when_two_cannot_both_exist(paths: list[str]) -> None:
    clash = len(set(paths)) < len(paths) or any(
        below.startswith(f"{file}/") for file in paths for below in paths
    )
    try:
        warnings = check_paths(paths)
    except InvalidError:
        assert clash
        return
    assert not clash
    folded = [path.casefold() for path in paths]
    twins = len(set(folded)) < len(folded) or any(
        below.startswith(f"{file}/") for file in folded for below in folded
    )
    assert bool(warnings) == twins
